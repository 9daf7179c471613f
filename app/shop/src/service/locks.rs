//! One order of a reader at a time.

use std::time::Duration;

use balance::{BreakerConfig, SharedBreaker};
use lock::{Guard, Locks};
use stdx::{Clock, Random};

use super::ShopError;
use crate::model::ReaderId;

/// Where the lock can't be asked twice in a row, orders do without it for a while.
const FAILURES_MAX: u32 = 2;
const OPEN_MAX: Duration = Duration::from_secs(10);

/// `order:{reader}`. It is a courtesy: an order is made once by its id.
pub(super) struct ReaderLocks {
    locks: Locks,
    breaker: SharedBreaker,
    clock: Clock,
    random: Random,
}

impl ReaderLocks {
    pub(super) fn new(locks: Locks, clock: Clock) -> Self {
        let breaker = SharedBreaker::new(BreakerConfig {
            consecutive_failures_max: FAILURES_MAX,
            open_max: OPEN_MAX,
            ..BreakerConfig::default()
        });
        Self { locks, breaker, clock, random: Random::secret() }
    }

    /// Holds it, so that a double click is one order. Where nobody can be asked who holds it,
    /// nothing is held, and the order is made all the same, as soon as ever.
    pub(super) async fn hold(&self, reader: ReaderId) -> Result<Option<Guard>, ShopError> {
        let Ok(permit) = self.breaker.permit(self.clock.now()) else { return Ok(None) };
        match self.locks.try_lock(&format!("order:{reader}")).await {
            Ok(guard) => {
                permit.success(self.clock.now());
                Ok(Some(guard))
            }
            Err(error) if error.is_busy() => {
                permit.success(self.clock.now());
                Err(ShopError::InProgress)
            }
            Err(error) => {
                permit.failure(self.clock.now(), &self.random);
                tracing::warn!(%error, "an order is made without its lock");
                Ok(None)
            }
        }
    }

    pub(super) async fn close(&self) {
        self.locks.close().await;
    }
}
