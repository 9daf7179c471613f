//! The state machine.

use std::time::Duration;

use stdx::{Backoff, BoundedQueue, Random, UnixMicros};

use super::BreakerConfig;

/// What a breaker lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing, until then.
    Open {
        /// When calls may try again.
        until: UnixMicros,
    },
    /// A few calls, which try.
    HalfOpen,
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// So many calls failed, one after the other.
    ConsecutiveFailures(u32),
    /// So many percent of the last calls failed.
    FailureRate(u32),
    /// A trial failed.
    TrialFailed,
    /// The time for which it was open is over.
    TimeIsUp,
    /// Enough trials succeeded.
    TrialsSucceeded,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: UnixMicros,
    /// From which state.
    pub from: State,
    /// To which.
    pub to: State,
    /// Why.
    pub why: Why,
}

/// The call may not be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend is given a rest: too many calls to it failed")]
pub struct Refused {
    /// When to ask again. Where all trials are under way, nobody knows how long
    /// they take: then this is when the oldest of them would be taken for lost,
    /// and it can be sooner.
    pub retry_at: UnixMicros,
}

/// The right to make one call, to be given back with what came of it.
///
/// It belongs to the breaker that gave it, and to the state that it was given
/// in: what comes of it after a change of state moves nothing.
#[must_use = "a ticket is given back by success, failure or cancel"]
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    number: u64,
    generation: u64,
}

/// A trial under way.
#[derive(Clone, Debug)]
struct Trial {
    ticket_number: u64,
    lost_at: UnixMicros,
}

#[derive(Clone, Debug)]
enum Phase {
    Closed(Window),
    Open { since: UnixMicros, pause: Duration },
    HalfOpen { under_way: Vec<Trial>, succeeded: u32 },
}

/// The circuit breaker. This type performs no I/O; see the
/// [module's page](super) for its states.
///
/// Its time may jump: when `now` goes back behind the moment of opening, the
/// time of being open is counted anew from there, so that it is open no longer
/// than its time by the clock that the caller shows it.
#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    phase: Phase,
    /// Half of the longest pause, growing.
    half_pause: Backoff,
    /// Grows with every change of state, so that late results are known.
    generation: u64,
    tickets_given: u64,
    changes: BoundedQueue<Change>,
}

impl Breaker {
    /// How many changes of state are kept for [`Breaker::poll_change`]: above
    /// it, the oldest is forgotten.
    pub const CHANGES_MAX: usize = 16;

    /// A closed breaker.
    #[must_use]
    pub fn new(config: BreakerConfig) -> Self {
        let config = config.within_bounds();
        Self {
            phase: Phase::Closed(Window::default()),
            half_pause: Backoff::new(config.open_first / 2, config.open_max / 2),
            generation: 0,
            tickets_given: 0,
            changes: BoundedQueue::new(Self::CHANGES_MAX),
            config,
        }
    }

    /// The configuration, within its bounds.
    #[must_use]
    pub const fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// May a call be made?
    ///
    /// Costs no more than a look at `trials_max` trials.
    pub fn ask(&mut self, now: UnixMicros) -> Result<Ticket, Refused> {
        self.pass_time(now);
        let number = self.tickets_given;
        match &mut self.phase {
            Phase::Closed(_) => {}
            Phase::Open { since, pause } => return Err(Refused { retry_at: since.after(*pause) }),
            Phase::HalfOpen { under_way, .. } => {
                under_way.retain(|trial| {
                    // A clock that went back must not keep a lost trial alive.
                    let ends_in = trial.lost_at.since(now);
                    !ends_in.is_zero() && ends_in <= self.config.trial_lost_after
                });
                let oldest = under_way.iter().map(|trial| trial.lost_at).min();
                match oldest {
                    Some(retry_at) if under_way.len() >= self.config.trials_max as usize => {
                        return Err(Refused { retry_at });
                    }
                    _ => {}
                }
                let lost_at = now.after(self.config.trial_lost_after);
                under_way.push(Trial { ticket_number: number, lost_at });
            }
        }
        self.tickets_given += 1;
        Ok(Ticket { number, generation: self.generation })
    }

    /// The call went well.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket counts once, so it is taken")]
    pub fn success(&mut self, ticket: Ticket, now: UnixMicros) {
        if ticket.generation != self.generation {
            return;
        }
        let closes = match &mut self.phase {
            Phase::Closed(window) => {
                window.record(false, self.config.window_calls);
                false
            }
            Phase::Open { .. } => unreachable!("no ticket is given while open"),
            Phase::HalfOpen { under_way, succeeded } => {
                if !take_trial(under_way, &ticket) {
                    return;
                }
                *succeeded += 1;
                *succeeded >= self.config.trials_to_close
            }
        };
        if closes {
            self.half_pause.reset();
            self.change(Phase::Closed(Window::default()), now, Why::TrialsSucceeded);
        }
    }

    /// The call failed. Chance decides how long the breaker stays open if it
    /// opens.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket counts once, so it is taken")]
    pub fn failure(&mut self, ticket: Ticket, now: UnixMicros, random: &Random) {
        if ticket.generation != self.generation {
            return;
        }
        let why = match &mut self.phase {
            Phase::Closed(window) => {
                window.record(true, self.config.window_calls);
                window.reason_to_open(&self.config)
            }
            Phase::Open { .. } => unreachable!("no ticket is given while open"),
            Phase::HalfOpen { under_way, .. } => {
                take_trial(under_way, &ticket).then_some(Why::TrialFailed)
            }
        };
        if let Some(why) = why {
            let pause = self.draw_pause(random);
            self.change(Phase::Open { since: now, pause }, now, why);
        }
    }

    /// The call was given up before anything came of it: its place goes back,
    /// and it counts neither way.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket counts once, so it is taken")]
    pub fn cancel(&mut self, ticket: Ticket) {
        if let Phase::HalfOpen { under_way, .. } = &mut self.phase
            && ticket.generation == self.generation
        {
            take_trial(under_way, &ticket);
        }
    }

    /// The state at this moment.
    pub fn state(&mut self, now: UnixMicros) -> State {
        self.pass_time(now);
        self.phase.state()
    }

    /// Trials under way, at most `trials_max`; 0 where it is not half-open.
    #[must_use]
    pub fn trials_under_way(&self) -> usize {
        match &self.phase {
            Phase::HalfOpen { under_way, .. } => under_way.len(),
            Phase::Closed(_) | Phase::Open { .. } => 0,
        }
    }

    /// The next change of state that nobody has taken yet, oldest first. At
    /// most [`Breaker::CHANGES_MAX`] are kept.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop()
    }

    fn pass_time(&mut self, now: UnixMicros) {
        let Phase::Open { since, pause } = &mut self.phase else { return };
        *since = (*since).min(now);
        if now.since(*since) >= *pause {
            let half_open = Phase::HalfOpen { under_way: Vec::new(), succeeded: 0 };
            self.change(half_open, now, Why::TimeIsUp);
        }
    }

    /// Between half of the ceiling and the whole: Brooker's *equal jitter*. Full
    /// jitter could give a sick backend no rest at all.
    fn draw_pause(&mut self, random: &Random) -> Duration {
        self.half_pause.ceiling() + self.half_pause.pause(random)
    }

    fn change(&mut self, phase: Phase, at: UnixMicros, why: Why) {
        let change = Change { at, from: self.phase.state(), to: phase.state(), why };
        self.phase = phase;
        self.generation += 1;
        if self.changes.is_full() {
            self.changes.pop();
        }
        self.changes.push(change).expect("there is room for one");
    }
}

impl Phase {
    fn state(&self) -> State {
        match self {
            Self::Closed(_) => State::Closed,
            Self::Open { since, pause } => State::Open { until: since.after(*pause) },
            Self::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

/// Ends a trial; false where it was taken for lost before.
fn take_trial(under_way: &mut Vec<Trial>, ticket: &Ticket) -> bool {
    let place = under_way.iter().position(|trial| trial.ticket_number == ticket.number);
    place.is_some_and(|place| {
        under_way.swap_remove(place);
        true
    })
}

/// The last calls while closed.
#[derive(Clone, Debug, Default)]
struct Window {
    /// One bit a call, the latest the lowest; 1 is a failure.
    failures: u128,
    calls: u32,
    consecutive_failures: u32,
}

impl Window {
    fn record(&mut self, failed: bool, window_calls: u32) {
        let kept = u128::MAX >> (BreakerConfig::WINDOW_CALLS_MAX - window_calls);
        self.failures = (self.failures << 1 | u128::from(failed)) & kept;
        self.calls = (self.calls + 1).min(window_calls);
        self.consecutive_failures =
            if failed { self.consecutive_failures.saturating_add(1) } else { 0 };
    }

    fn reason_to_open(&self, config: &BreakerConfig) -> Option<Why> {
        if self.consecutive_failures >= config.consecutive_failures_max {
            return Some(Why::ConsecutiveFailures(self.consecutive_failures));
        }
        let percent = self.failures.count_ones() * 100 / self.calls;
        let counts = self.calls >= config.window_calls_min;
        (counts && percent >= config.failure_percent).then_some(Why::FailureRate(percent))
    }
}
