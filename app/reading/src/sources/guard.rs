//! What stands before every question to a source: the breaker, and the
//! knowledge that asking is of no use today.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use balance::{BreakerConfig, SharedBreaker, State};
use stdx::{Clock, Random, UnixMicros};

use super::fetch::FetchError;
use super::found::{SourceError, SourceName, SourceState, Unavailable};

/// The clock and the chance that a source needs.
#[derive(Clone, Debug)]
pub struct SourceEnvironment {
    /// For the breaker and for quotas.
    pub clock: Clock,
    /// For how long a breaker stays open.
    pub random: Random,
}

/// Lets questions pass or not, and learns from the answers.
#[derive(Debug)]
pub(super) struct Guard {
    name: SourceName,
    environment: SourceEnvironment,
    breaker: SharedBreaker,
    hold: Mutex<Option<Hold>>,
    last_contact: Mutex<Option<Contact>>,
}

/// When the source was last asked, and whether it was well.
#[derive(Clone, Copy, Debug)]
struct Contact {
    at: UnixMicros,
    well: bool,
}

/// Not to be asked before a time, for a reason that no further question would
/// change.
#[derive(Clone, Copy, Debug)]
struct Hold {
    since: UnixMicros,
    lasts: Duration,
    why: HoldReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoldReason {
    Quota,
    Key,
    /// The source asked for it.
    Patience,
}

/// How a question went, for the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AskError {
    /// The source is sick.
    Failed(Unavailable),
    /// The source is well and refused this one question.
    Refused(Unavailable),
    /// The day's quota is used up, for so long.
    Quota(Duration),
    /// The key is wrong.
    Key,
    /// It asks to be left alone for so long.
    Patience { lasts: Duration, status: u16 },
}

/// How long a source whose key was not accepted is left alone: somebody may
/// have it accepted meanwhile.
const KEY_HOLD: Duration = Duration::from_mins(10);

/// The longest that a source may ask to be left alone.
const PATIENCE_MAX: Duration = Duration::from_hours(1);

/// How long a source that was heard of need not be asked how it is.
pub(super) const CONTACT_FRESH: Duration = Duration::from_secs(30);

impl From<FetchError> for AskError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Status { status, retry_after: Some(lasts) } => {
                Self::Patience { lasts: lasts.min(PATIENCE_MAX), status }
            }
            // It does not like the question; that says nothing about others.
            FetchError::Status { status, .. }
                if (400..500).contains(&status) && !matches!(status, 408 | 429) =>
            {
                Self::Refused(Unavailable::Status(status))
            }
            FetchError::Status { status, .. } => Self::Failed(Unavailable::Status(status)),
            FetchError::Unavailable(unavailable) => Self::Failed(unavailable),
        }
    }
}

impl Guard {
    pub(super) fn new(
        name: SourceName,
        breaker: BreakerConfig,
        environment: SourceEnvironment,
    ) -> Self {
        Self {
            name,
            environment,
            breaker: SharedBreaker::new(breaker),
            hold: Mutex::new(None),
            last_contact: Mutex::new(None),
        }
    }

    pub(super) fn now(&self) -> UnixMicros {
        self.environment.clock.now()
    }

    /// Asks, unless it is of no use. A caller that gives up while the question
    /// is under way leaves nothing behind.
    pub(super) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, SourceError> {
        let asked_at = self.now();
        if let Some(held) = self.held(asked_at) {
            return Err(held);
        }
        let permit = self.breaker.permit(asked_at).map_err(|refused| {
            SourceError::from(Unavailable::Resting { until: refused.retry_at })
        })?;
        let result = question.await;
        let now = self.now();
        let well = !matches!(result, Err(AskError::Failed(_) | AskError::Patience { .. }));
        *lock(&self.last_contact) = Some(Contact { at: now, well });
        let result = match result {
            Ok(answer) => {
                permit.success(now);
                Ok(answer)
            }
            Err(AskError::Failed(why)) => {
                permit.failure(now, &self.environment.random);
                Err(why.into())
            }
            Err(AskError::Refused(why)) => {
                permit.success(now);
                Err(why.into())
            }
            Err(AskError::Quota(lasts)) => {
                permit.success(now);
                Err(self.hold(now, lasts, HoldReason::Quota))
            }
            Err(AskError::Key) => {
                permit.success(now);
                Err(self.hold(now, KEY_HOLD, HoldReason::Key))
            }
            Err(AskError::Patience { lasts, status }) => {
                permit.failure(now, &self.environment.random);
                self.hold(now, lasts, HoldReason::Patience);
                Err(Unavailable::Status(status).into())
            }
        };
        self.log(&result);
        result
    }

    /// Whether the source was not heard of lately and may be asked: then
    /// somebody who wants to know how it is has to ask. True for one caller at
    /// a time.
    pub(super) fn should_be_reached(&self) -> bool {
        if !matches!(self.state(), SourceState::Ready | SourceState::Trying) {
            return false;
        }
        let now = self.now();
        let mut last = lock(&self.last_contact);
        let fresh = last.is_some_and(|last| last.at <= now && now.since(last.at) < CONTACT_FRESH);
        if !fresh {
            let well = last.is_none_or(|last| last.well);
            *last = Some(Contact { at: now, well });
        }
        !fresh
    }

    pub(super) fn state(&self) -> SourceState {
        let now = self.now();
        match self.held(now) {
            Some(SourceError::QuotaExceeded { until }) => SourceState::QuotaExceeded { until },
            Some(SourceError::BadKey { until }) => SourceState::BadKey { until },
            Some(SourceError::Unavailable(Unavailable::Resting { until })) => {
                SourceState::Resting { until }
            }
            Some(SourceError::Unavailable(_)) | None => match self.breaker.state(now) {
                State::Closed if lock(&self.last_contact).is_none_or(|last| last.well) => {
                    SourceState::Ready
                }
                State::Closed | State::HalfOpen => SourceState::Trying,
                State::Open { until } => SourceState::Resting { until },
            },
        }
    }

    fn hold(&self, now: UnixMicros, lasts: Duration, why: HoldReason) -> SourceError {
        let hold = Hold { since: now, lasts, why };
        *lock(&self.hold) = Some(hold);
        hold.error()
    }

    fn held(&self, now: UnixMicros) -> Option<SourceError> {
        let mut slot = lock(&self.hold);
        let hold = slot.as_mut()?;
        // A clock that went back must not make the hold longer than it is.
        hold.since = hold.since.min(now);
        if now.since(hold.since) >= hold.lasts {
            *slot = None;
            return None;
        }
        Some(hold.error())
    }

    fn log<T>(&self, result: &Result<T, SourceError>) {
        let source = self.name.as_str();
        if let Err(error) = result {
            tracing::warn!(source, %error, "a source of books gave no answer");
        }
        while let Some(change) = self.breaker.poll_change() {
            let (from, to, why) = (change.from, change.to, change.why);
            tracing::info!(source, ?from, ?to, ?why, "the breaker of a source of books changed");
        }
    }
}

impl Hold {
    fn error(self) -> SourceError {
        let until = self.since.after(self.lasts);
        match self.why {
            HoldReason::Quota => SourceError::QuotaExceeded { until },
            HoldReason::Key => SourceError::BadKey { until },
            HoldReason::Patience => Unavailable::Resting { until }.into(),
        }
    }
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
