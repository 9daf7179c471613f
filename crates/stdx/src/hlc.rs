//! A hybrid logical clock.
//!
//! Kulkarni, Demirbas, Madappa, Avva, Leone: *Logical Physical Clocks and
//! Consistent Snapshots in Globally Distributed Databases*, 2014. A timestamp
//! is the larger of the machine's clock and of every timestamp seen, with a
//! counter where the machine's clock does not move; so it is close to real
//! time and never contradicts cause and effect.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Clock, UnixMicros};

/// A timestamp of a [`HybridClock`]: 48 bits of milliseconds since 1970, then
/// 16 bits of counter.
///
/// Always fits a signed 64-bit column: see [`HybridTime::as_i64`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HybridTime(u64);

const COUNTER_BITS: u32 = 16;

impl HybridTime {
    /// Before every other.
    pub const ZERO: Self = Self(0);

    /// The last one that fits a signed 64-bit column: in the year 6429.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// The first timestamp of a millisecond.
    #[must_use]
    pub fn from_wall(at: UnixMicros) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(millis.min(Self::MAX.millis()) << COUNTER_BITS)
    }

    /// As a column holds it.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).expect("made only of values up to i64::MAX")
    }

    /// From a column; `None` where the value is negative.
    #[must_use]
    pub fn from_i64(value: i64) -> Option<Self> {
        u64::try_from(value).ok().map(Self)
    }

    /// The part that is time.
    #[must_use]
    pub fn wall(self) -> UnixMicros {
        UnixMicros::from_millis(i64::try_from(self.millis()).expect("47 bits fit"))
    }

    /// The next timestamp.
    ///
    /// # Panics
    /// After [`HybridTime::MAX`].
    #[must_use]
    pub fn next(self) -> Self {
        assert!(self < Self::MAX, "the hybrid clock is at its end, the year 6429");
        Self(self.0 + 1)
    }

    const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }
}

impl fmt::Debug for HybridTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms+{}", self.millis(), self.0 & ((1 << COUNTER_BITS) - 1))
    }
}

/// A timestamp from elsewhere is further ahead of this machine's clock than
/// the clock was told to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a timestamp is {ahead:?} ahead of this machine's clock, and at most {drift_max:?} is believed")]
pub struct TooFarAhead {
    /// How far ahead it is.
    pub ahead: Duration,
    /// The clock's bound.
    pub drift_max: Duration,
}

/// Gives out strictly increasing timestamps that follow every one it has seen.
///
/// - It never goes back, also when the machine's clock does.
/// - A timestamp of others moves it only when it is at most `drift_max` ahead
///   of the machine's clock; otherwise [`HybridClock::observe`] refuses it and
///   the clock stays as it was.
/// - It survives a restart when the program gives back, at the start, the last
///   timestamp it made durable: [`HybridClock::resume`].
///
/// Cheap to clone; clones are one clock.
#[derive(Clone, Debug)]
pub struct HybridClock {
    clock: Clock,
    drift_max: Duration,
    last: Arc<Mutex<HybridTime>>,
}

impl HybridClock {
    /// How far ahead others may be unless the program says otherwise.
    pub const DRIFT_MAX_DEFAULT: Duration = Duration::from_mins(1);

    /// A clock that has seen nothing.
    #[must_use]
    pub fn new(clock: Clock, drift_max: Duration) -> Self {
        Self { clock, drift_max, last: Arc::default() }
    }

    /// Goes on after `last`, a timestamp that this program itself stored. It
    /// is believed whatever the machine's clock says: going back would be worse.
    pub fn resume(&self, last: HybridTime) {
        let mut now = self.lock();
        *now = (*now).max(last);
    }

    /// A timestamp after every one given out or observed before.
    #[must_use]
    pub fn tick(&self) -> HybridTime {
        self.tick_after(HybridTime::ZERO)
    }

    /// A timestamp after every one given out or observed before, and after
    /// `floor`: for a new version of a thing whose old version is `floor`.
    #[must_use]
    pub fn tick_after(&self, floor: HybridTime) -> HybridTime {
        let wall = HybridTime::from_wall(self.clock.now());
        let mut last = self.lock();
        let after = (*last).max(floor).next();
        *last = after.max(wall);
        *last
    }

    /// Takes note of a timestamp from elsewhere, so that what is done next is
    /// later than it.
    pub fn observe(&self, remote: HybridTime) -> Result<(), TooFarAhead> {
        let ahead = remote.wall().since(self.clock.now());
        if ahead > self.drift_max {
            return Err(TooFarAhead { ahead, drift_max: self.drift_max });
        }
        self.resume(remote);
        Ok(())
    }

    /// The last timestamp given out or observed.
    #[must_use]
    pub fn last(&self) -> HybridTime {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HybridTime> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
