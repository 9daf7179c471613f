//! The way to one target: a bounded queue, one message under way at a time,
//! pauses after failures, a breaker.

use std::time::Duration;

use balance::{Breaker, BreakerConfig, Change, Ticket};
use stdx::{Backoff, BoundedQueue, Random, UnixMicros};

use crate::message::Message;

/// How messages are carried to each target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// Messages that may wait, the one under way included; more are dropped,
    /// and the next that arrives says how many. Default 1,000, at least 1.
    pub messages_max: usize,
    /// Time limit of one request, from connecting to the head of the answer.
    /// Default 5 s.
    pub request: Duration,
    /// The longest first pause after a failure; it doubles. Default 1 s.
    pub pause_first: Duration,
    /// What the doubling stops at. Default 1 min.
    pub pause_max: Duration,
    /// A message that the target refuses this many times, with a status that
    /// blames the message, is dropped. Failures of the target itself drop
    /// nothing: the message stays first in the queue. Default 10, at least 1.
    pub refusals_max: u32,
    /// The breaker in front of each target. Its `trial_lost_after` is brought
    /// above the time limit of a request.
    pub breaker: BreakerConfig,
}

impl DeliveryConfig {
    fn within_bounds(self) -> Self {
        let lost_after = self.breaker.trial_lost_after.max(self.request.saturating_mul(2));
        Self {
            messages_max: self.messages_max.max(1),
            pause_max: self.pause_max.max(self.pause_first),
            refusals_max: self.refusals_max.max(1),
            breaker: BreakerConfig { trial_lost_after: lost_after, ..self.breaker },
            ..self
        }
    }
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            messages_max: 1_000,
            request: Duration::from_secs(5),
            pause_first: Duration::from_secs(1),
            pause_max: Duration::from_mins(1),
            refusals_max: 10,
            breaker: BreakerConfig::default(),
        }
    }
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until there is a message.
    Idle,
    /// Nothing, until then.
    Wait(UnixMicros),
    /// Send this, and tell the courier what came of it.
    Send(Delivery),
}

/// One attempt to deliver a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// How many messages were dropped since the last that arrived.
    pub(crate) dropped: u64,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It arrived.
    Delivered,
    /// The target could not be reached, or is sick, and wants this much peace.
    Failed { retry_after: Option<Duration> },
    /// The target is well and does not want this message.
    Refused,
}

/// The longest peace that a target may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);

/// The way to one target. This type performs no I/O; time and chance are
/// arguments.
#[derive(Debug)]
pub(crate) struct Courier {
    config: DeliveryConfig,
    queue: BoundedQueue<Message>,
    /// Of the message at the front.
    under_way: Option<UnderWay>,
    refusals: u32,
    pause: Backoff,
    /// The present pause: since when, and how long.
    rest: Option<(UnixMicros, Duration)>,
    breaker: Breaker,
    /// Since the last message that arrived.
    dropped: u64,
}

#[derive(Debug)]
struct UnderWay {
    ticket: Ticket,
    /// What the message says of dropped ones.
    dropped: u64,
}

impl Courier {
    pub(crate) fn new(config: DeliveryConfig) -> Self {
        let config = config.within_bounds();
        Self {
            queue: BoundedQueue::new(config.messages_max),
            under_way: None,
            refusals: 0,
            pause: Backoff::new(config.pause_first, config.pause_max),
            rest: None,
            breaker: Breaker::new(config.breaker.clone()),
            dropped: 0,
            config,
        }
    }

    /// Takes a message to deliver; false where the queue is full, and it is
    /// dropped and counted.
    #[must_use]
    pub(crate) fn offer(&mut self, message: Message) -> bool {
        let fits = self.queue.push(message).is_ok();
        self.dropped += u64::from(!fits);
        fits
    }

    /// Counts something that never became a message.
    pub(crate) fn count_dropped(&mut self) {
        self.dropped += 1;
    }

    /// What to do now. One message is under way at a time, so that they arrive
    /// in their order.
    pub(crate) fn poll(&mut self, now: UnixMicros) -> Step {
        if self.under_way.is_some() {
            return Step::Idle;
        }
        let Some(message) = self.queue.front() else { return Step::Idle };
        if let Some((since, lasts)) = &mut self.rest {
            // A clock that went back must not make the pause longer than it is.
            *since = (*since).min(now);
            if now.since(*since) < *lasts {
                return Step::Wait(since.after(*lasts));
            }
            self.rest = None;
        }
        match self.breaker.ask(now) {
            Ok(ticket) => {
                self.under_way = Some(UnderWay { ticket, dropped: self.dropped });
                Step::Send(Delivery { message: message.clone(), dropped: self.dropped })
            }
            Err(refused) => Step::Wait(refused.retry_at),
        }
    }

    /// What came of the attempt under way. Returns the message where it is
    /// given up.
    pub(crate) fn came_of_it(
        &mut self,
        attempt: Attempt,
        now: UnixMicros,
        random: &Random,
    ) -> Option<Message> {
        let UnderWay { ticket, dropped } = self.under_way.take()?;
        match attempt {
            Attempt::Delivered => {
                self.breaker.success(ticket, now);
                self.dropped -= dropped;
                self.next();
                None
            }
            Attempt::Failed { retry_after } => {
                self.breaker.failure(ticket, now, random);
                let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
                self.rest = Some((now, self.pause.pause(random).max(asked)));
                None
            }
            Attempt::Refused => {
                self.breaker.success(ticket, now);
                self.refusals += 1;
                if self.refusals < self.config.refusals_max {
                    self.rest = Some((now, self.pause.pause(random)));
                    return None;
                }
                self.dropped += 1;
                self.next()
            }
        }
    }

    /// The next change of the breaker's state that nobody has taken yet.
    pub(crate) fn poll_change(&mut self) -> Option<Change> {
        self.breaker.poll_change()
    }

    /// Everything that waits, and how many were dropped since the last that
    /// arrived; nothing is left.
    pub(crate) fn give_up(&mut self) -> (Vec<Message>, u64) {
        self.under_way = None;
        let left = std::iter::from_fn(|| self.queue.pop()).collect();
        (left, std::mem::take(&mut self.dropped))
    }

    fn next(&mut self) -> Option<Message> {
        self.refusals = 0;
        self.pause.reset();
        self.queue.pop()
    }
}

#[cfg(test)]
mod tests;
