//! The circuit breaker against a model of it that keeps everything it ever saw.

use std::time::Duration;

use balance::{Breaker, BreakerConfig, Change, Permit, SharedBreaker, State, Why};
use proptest::prelude::*;
use stdx::{Random, Seed, UnixMicros};

const START: UnixMicros = UnixMicros::from_secs(1_700_000_000);

fn config() -> impl Strategy<Value = BreakerConfig> {
    (1u32..6, 1u32..130, 1u32..12, 1u32..101, 1u64..50, 0u64..400, 1u32..4, 1u32..4, 1u64..200)
        .prop_map(|(failures, window, min, percent, first, max, trials, to_close, lost)| {
            BreakerConfig {
                consecutive_failures_max: failures,
                window_calls: window,
                window_calls_min: min,
                failure_percent: percent,
                open_first: Duration::from_millis(first),
                open_max: Duration::from_millis(max),
                trials_max: trials,
                trials_to_close: to_close,
                trial_lost_after: Duration::from_millis(lost),
            }
            .within_bounds()
        })
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    JumpBack(u64),
    Ask,
    Succeed(usize),
    Fail(usize),
    Drop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0u64..100).prop_map(Step::Pass),
        1 => (0u64..100_000).prop_map(Step::JumpBack),
        6 => Just(Step::Ask),
        3 => any::<usize>().prop_map(Step::Succeed),
        4 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::Drop),
    ];
    prop::collection::vec(step, 0..120)
}

/// What a breaker should do, told without a window, a mask or a generation:
/// every call since the last change of state, in a list.
struct Model {
    config: BreakerConfig,
    state: State,
    opened_at: UnixMicros,
    openings: u32,
    results: Vec<bool>,
    changes: u64,
}

impl Model {
    fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: State::Closed,
            opened_at: START,
            openings: 0,
            results: Vec::new(),
            changes: 0,
        }
    }

    fn go_to(&mut self, state: State) {
        self.state = state;
        self.results.clear();
        self.changes += 1;
    }

    fn should_open(&self) -> bool {
        let run = self.results.iter().rev().take_while(|failed| **failed).count();
        let window = self.config.window_calls as usize;
        let last: Vec<bool> = self.results.iter().rev().take(window).copied().collect();
        let failed = last.iter().filter(|failed| **failed).count();
        run >= self.config.consecutive_failures_max as usize
            || last.len() >= self.config.window_calls_min as usize
                && failed * 100 / last.len() >= self.config.failure_percent as usize
    }

    /// The bounds of the time to be open.
    fn pause_bounds(&self) -> (Duration, Duration) {
        let doubled = self.config.open_first.saturating_mul(1 << self.openings.min(20));
        let longest = doubled.min(self.config.open_max);
        (longest / 2, longest)
    }

    fn record(&mut self, failed: bool, now: UnixMicros, actual: State) {
        match self.state {
            State::Open { .. } => panic!("no call is let through while it is open"),
            State::Closed => {
                self.results.push(failed);
                if failed && self.should_open() {
                    self.open(now, actual);
                }
            }
            State::HalfOpen if failed => self.open(now, actual),
            State::HalfOpen => {
                self.results.push(failed);
                if self.results.len() >= self.config.trials_to_close as usize {
                    self.openings = 0;
                    self.go_to(State::Closed);
                }
            }
        }
    }

    fn open(&mut self, now: UnixMicros, actual: State) {
        let State::Open { until } = actual else { panic!("must be open, and is {actual:?}") };
        let (shortest, longest) = self.pause_bounds();
        let pause = until.since(now);
        assert!(shortest <= pause && pause <= longest, "{shortest:?} {pause:?} {longest:?}");
        self.openings += 1;
        self.opened_at = now;
        self.go_to(actual);
    }

    fn see_time(&mut self, now: UnixMicros) {
        let State::Open { until } = self.state else { return };
        let pause = until.since(self.opened_at);
        self.opened_at = self.opened_at.min(now);
        let until = self.opened_at.after(pause);
        self.state = State::Open { until };
        if now >= until {
            self.go_to(State::HalfOpen);
        }
    }
}

struct Held {
    permit: Permit,
    /// How many changes there had been when it was given.
    given_in: u64,
    lost_at: UnixMicros,
    given_at: UnixMicros,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn it_does_what_the_model_does_and_is_never_stuck(
        config in config(), steps in steps(), seed in any::<u64>(), forget in any::<bool>(),
    ) {
        let breaker = SharedBreaker::new(config.clone());
        let random = Random::new(Seed(seed));
        let mut model = Model::new(config.clone());
        let mut held: Vec<Held> = Vec::new();
        let mut now = START;
        for step in steps {
            // Only what is asked of it moves a breaker's time; the model's
            // must move at the same moments.
            match step {
                Step::Pass(millis) => now = now.after(Duration::from_millis(millis)),
                Step::JumpBack(millis) => now = now.before(Duration::from_millis(millis)),
                Step::Ask => {
                    model.see_time(now);
                    let lives = |held: &Held| {
                        held.given_in == model.changes && held.given_at <= now && now < held.lost_at
                    };
                    let trials = held.iter().filter(|held| lives(held)).count();
                    let passes = match model.state {
                        State::Closed => true,
                        State::Open { .. } => false,
                        State::HalfOpen => trials < config.trials_max as usize,
                    };
                    match breaker.permit(now) {
                        Ok(permit) => {
                            prop_assert!(passes, "{:?} with {trials} trials", model.state);
                            let lost_at = now.after(config.trial_lost_after);
                            held.push(Held { permit, given_in: model.changes, lost_at, given_at: now });
                        }
                        Err(refused) => {
                            prop_assert!(!passes);
                            prop_assert!(refused.retry_at > now);
                            let wait = refused.retry_at.since(now);
                            prop_assert!(wait <= config.open_max.max(config.trial_lost_after));
                        }
                    }
                    if model.state == State::HalfOpen {
                        // Those that were lost are forgotten: a result that
                        // comes all the same moves nothing.
                        for lost in held.iter_mut().filter(|held| {
                            held.given_in == model.changes
                                && !(held.given_at <= now && now < held.lost_at)
                        }) {
                            lost.given_in = u64::MAX;
                        }
                    }
                }
                Step::Succeed(which) | Step::Fail(which) if !held.is_empty() => {
                    let failed = matches!(step, Step::Fail(_));
                    let Held { permit, given_in, .. } = held.swap_remove(which % held.len());
                    if failed {
                        permit.failure(now, &random);
                    } else {
                        permit.success(now);
                    }
                    if given_in == model.changes {
                        model.record(failed, now, breaker.state(now));
                    }
                }
                Step::Drop(which) if !held.is_empty() => {
                    drop(held.swap_remove(which % held.len()));
                }
                Step::Succeed(_) | Step::Fail(_) | Step::Drop(_) => {}
            }
            model.see_time(now);
            prop_assert_eq!(breaker.state(now), model.state);
        }

        // Whatever happened, and also when those who had permits never speak
        // again: after the longest wait, calls pass, and when they go well the
        // breaker closes.
        if forget {
            for Held { permit, .. } in held {
                std::mem::forget(permit);
            }
        } else {
            drop(held);
        }
        now = now.after(config.open_max.max(config.trial_lost_after));
        for _ in 0..config.trials_to_close {
            breaker.permit(now).expect("not stuck").success(now);
        }
        prop_assert_eq!(breaker.state(now), State::Closed);
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses(seed in any::<u64>()) {
        let run = || {
            let mut breaker = Breaker::new(BreakerConfig::default());
            let random = Random::new(Seed(seed));
            let mut now = START;
            let mut seen = Vec::new();
            for _ in 0..40 {
                match breaker.ask(now) {
                    Ok(ticket) => breaker.failure(ticket, now, &random),
                    Err(refused) => now = refused.retry_at,
                }
                seen.push(breaker.state(now));
            }
            seen
        };
        prop_assert_eq!(run(), run());
    }
}

fn fail(breaker: &SharedBreaker, now: UnixMicros, times: u32) {
    let random = Random::new(Seed(1));
    for _ in 0..times {
        breaker.permit(now).expect("it lets pass").failure(now, &random);
    }
}

#[test]
fn five_failures_in_a_row_open_it_and_a_success_between_them_does_not() {
    let breaker = SharedBreaker::new(BreakerConfig::default());
    fail(&breaker, START, 4);
    breaker.permit(START).unwrap().success(START);
    fail(&breaker, START, 4);
    assert_eq!(breaker.state(START), State::Closed);
    fail(&breaker, START, 1);
    let State::Open { until } = breaker.state(START) else { panic!("must be open") };
    let change = breaker.poll_change().unwrap();
    assert_eq!(
        change,
        Change {
            at: START,
            from: State::Closed,
            to: State::Open { until },
            why: Why::ConsecutiveFailures(5)
        }
    );
    assert_eq!(breaker.poll_change(), None);
    assert_eq!(breaker.permit(START).unwrap_err().retry_at, until);
}

#[test]
fn every_other_call_failing_opens_it_by_rate() {
    let breaker = SharedBreaker::new(BreakerConfig::default());
    for call in 0..9 {
        if call % 2 == 0 {
            fail(&breaker, START, 1);
        } else {
            breaker.permit(START).unwrap().success(START);
        }
        assert_eq!(breaker.state(START), State::Closed, "too few calls to judge");
    }
    fail(&breaker, START, 1);
    assert_eq!(breaker.poll_change().unwrap().why, Why::FailureRate(60));
}

#[test]
fn a_dropped_trial_gives_its_place_back() {
    let breaker = SharedBreaker::new(BreakerConfig::default());
    fail(&breaker, START, 5);
    let now = breaker.permit(START).unwrap_err().retry_at;
    let trial = breaker.permit(now).unwrap();
    assert!(breaker.permit(now).is_err());
    drop(trial);
    assert_eq!(breaker.state(now), State::HalfOpen, "a cancelled call says nothing");
    breaker.permit(now).unwrap().success(now);
    assert_eq!(breaker.state(now), State::Closed);
}

#[test]
fn a_result_from_before_the_opening_moves_nothing() {
    let breaker = SharedBreaker::new(BreakerConfig::default());
    let late = breaker.permit(START).unwrap();
    let later = breaker.permit(START).unwrap();
    fail(&breaker, START, 5);
    let now = breaker.permit(START).unwrap_err().retry_at;
    assert_eq!(breaker.state(now), State::HalfOpen);
    late.success(now);
    later.failure(now, &Random::new(Seed(1)));
    assert_eq!(breaker.state(now), State::HalfOpen, "only trials decide now");
}

#[test]
fn each_opening_doubles_the_time_and_a_closing_ends_that() {
    let config = BreakerConfig {
        open_first: Duration::from_secs(1),
        open_max: Duration::from_secs(5),
        ..BreakerConfig::default()
    };
    let breaker = SharedBreaker::new(config);
    let mut now = START;
    fail(&breaker, now, 5);
    for longest_secs in [1, 2, 4, 5, 5] {
        let wait = breaker.permit(now).unwrap_err().retry_at.since(now);
        let longest = Duration::from_secs(longest_secs);
        assert!(longest / 2 <= wait && wait <= longest, "{wait:?} of {longest:?}");
        now = now.after(wait);
        fail(&breaker, now, 1);
    }
    now = breaker.permit(now).unwrap_err().retry_at;
    breaker.permit(now).unwrap().success(now);
    fail(&breaker, now, 5);
    assert!(breaker.permit(now).unwrap_err().retry_at <= now.after(Duration::from_secs(1)));
}

#[test]
fn a_clock_set_back_by_years_does_not_keep_it_open_for_years() {
    let breaker = SharedBreaker::new(BreakerConfig::default());
    fail(&breaker, START, 5);
    let past = UnixMicros::from_secs(1_000_000_000);
    let retry_at = breaker.permit(past).unwrap_err().retry_at;
    assert!(retry_at <= past.after(Duration::from_secs(1)));
    assert!(breaker.permit(retry_at).is_ok());
}

#[test]
fn changes_that_nobody_takes_are_bounded_and_the_latest_are_kept() {
    let breaker = SharedBreaker::new(BreakerConfig::default());
    let mut now = START;
    fail(&breaker, now, 5);
    for _ in 0..100 {
        now = breaker.permit(now).unwrap_err().retry_at;
        fail(&breaker, now, 1);
    }
    let changes: Vec<Change> = std::iter::from_fn(|| breaker.poll_change()).collect();
    assert_eq!(changes.len(), Breaker::CHANGES_MAX);
    assert_eq!(changes.last().unwrap().at, now);
}

#[test]
fn values_out_of_bounds_are_brought_in() {
    let nothing = BreakerConfig {
        consecutive_failures_max: 0,
        window_calls: 0,
        window_calls_min: 0,
        failure_percent: 0,
        open_first: Duration::ZERO,
        open_max: Duration::ZERO,
        trials_max: 0,
        trials_to_close: 0,
        trial_lost_after: Duration::ZERO,
    };
    let breaker = SharedBreaker::new(nothing);
    fail(&breaker, START, 1);
    let now = START.after(BreakerConfig::TIME_MIN);
    breaker.permit(now).unwrap().success(now);
    assert_eq!(breaker.state(now), State::Closed);
    let config = BreakerConfig {
        window_calls: u32::MAX,
        failure_percent: u32::MAX,
        ..BreakerConfig::default()
    }
    .within_bounds();
    assert_eq!((config.window_calls, config.failure_percent), (128, 100));
    fail(&SharedBreaker::new(config), START, 5);
}

#[test]
fn many_threads_share_one_breaker() {
    let breaker = SharedBreaker::new(BreakerConfig { trials_max: 3, ..BreakerConfig::default() });
    fail(&breaker, START, 5);
    let now = breaker.permit(START).unwrap_err().retry_at;
    let trials: Vec<Option<Permit>> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..16).map(|_| scope.spawn(|| breaker.permit(now).ok())).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert_eq!(trials.iter().flatten().count(), 3);
}
