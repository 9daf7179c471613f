//! The breaker for callers on several threads or tasks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stdx::{Random, UnixMicros};

use super::{Breaker, BreakerConfig, Change, Refused, State, Ticket};

/// A [`Breaker`] that many callers share. Cheap to clone; clones are one
/// breaker. It never blocks longer than a few comparisons take.
#[derive(Clone, Debug)]
pub struct SharedBreaker(Arc<Mutex<Breaker>>);

/// The right to make one call. Dropped without a result, because the caller
/// gave up or its future was dropped, it gives its place back.
#[must_use = "a permit that is dropped counts for nothing: say success or failure"]
#[derive(Debug)]
pub struct Permit {
    breaker: SharedBreaker,
    /// Taken by the first of success, failure and drop.
    ticket: Option<Ticket>,
}

impl SharedBreaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(config: BreakerConfig) -> Self {
        Self(Arc::new(Mutex::new(Breaker::new(config))))
    }

    /// May a call be made?
    pub fn permit(&self, now: UnixMicros) -> Result<Permit, Refused> {
        let ticket = self.lock().ask(now)?;
        Ok(Permit { breaker: self.clone(), ticket: Some(ticket) })
    }

    /// The state at this moment.
    #[must_use]
    pub fn state(&self, now: UnixMicros) -> State {
        self.lock().state(now)
    }

    /// The next change of state that nobody has taken yet, oldest first.
    #[must_use]
    pub fn poll_change(&self) -> Option<Change> {
        self.lock().poll_change()
    }

    /// No operation of a breaker leaves it half done, so a panic of another
    /// caller spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The call went well.
    pub fn success(mut self, now: UnixMicros) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.lock().success(ticket, now);
        }
    }

    /// The call failed.
    pub fn failure(mut self, now: UnixMicros, random: &Random) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.lock().failure(ticket, now, random);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.lock().cancel(ticket);
        }
    }
}
