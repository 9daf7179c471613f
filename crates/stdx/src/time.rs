//! Time as an argument: an instant type, and a clock that is real or virtual.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use web_time::{Instant, SystemTime, UNIX_EPOCH};

/// An instant, in microseconds since 1970-01-01T00:00:00Z, leap seconds not
/// counted.
///
/// Arithmetic saturates at the ends of the range (the years −290,308 and
/// +294,247) instead of overflowing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMicros(pub i64);

impl UnixMicros {
    /// The instant `secs` seconds after the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// The instant `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant, `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// This instant, `duration` earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// How long after `earlier` this is; zero where it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Debug for UnixMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}µs", self.0)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Tells the time: the machine's, or one that a test moves by hand.
///
/// Cheap to clone; clones of a virtual clock share one time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real,
    Virtual(Arc<Virtual>),
}

#[derive(Debug)]
struct Virtual {
    now: AtomicI64,
    /// What it was moved forward by, jumps left out.
    passed: AtomicI64,
}

impl Clock {
    /// The machine's clock. It may jump, also backwards: nothing that needs
    /// order may be built on it alone (see [`crate::HybridClock`]).
    #[must_use]
    pub const fn real() -> Self {
        Self(Source::Real)
    }

    /// A virtual clock that stands at `now` until it is moved.
    #[must_use]
    pub fn starting_at(now: UnixMicros) -> Self {
        let clock = Virtual { now: AtomicI64::new(now.0), passed: AtomicI64::new(0) };
        Self(Source::Virtual(Arc::new(clock)))
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> UnixMicros {
        match &self.0 {
            Source::Real => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => UnixMicros(micros(since)),
                Err(before) => UnixMicros(micros(before.duration()).saturating_neg()),
            },
            Source::Virtual(clock) => UnixMicros(clock.now.load(Ordering::SeqCst)),
        }
    }

    /// How long it has been since some moment of this process: for ages and pauses. It
    /// does not jump when [`Self::now`] does.
    #[must_use]
    pub fn passed(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Source::Real => BEGAN.get_or_init(Instant::now).elapsed(),
            Source::Virtual(clock) => {
                let micros = clock.passed.load(Ordering::SeqCst);
                Duration::from_micros(u64::try_from(micros).unwrap_or(0))
            }
        }
    }

    /// Lets time pass on a virtual clock.
    ///
    /// # Panics
    /// When this is the real clock: a test that believes it is moving time and
    /// is not would prove nothing.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::Real => panic!("the real clock can't be moved"),
            Source::Virtual(clock) => {
                for time in [&clock.now, &clock.passed] {
                    time.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |at| {
                        Some(at.saturating_add(micros(by)))
                    })
                    .expect("the update function always returns a value");
                }
            }
        }
    }

    /// Sets a virtual clock, also to an earlier time: clocks of machines jump.
    ///
    /// # Panics
    /// When this is the real clock.
    pub fn set(&self, to: UnixMicros) {
        match &self.0 {
            Source::Real => panic!("the real clock can't be set"),
            Source::Virtual(clock) => clock.now.store(to.0, Ordering::SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let last = UnixMicros(i64::MAX);
        assert_eq!(last.after(Duration::MAX), last);
        assert_eq!(UnixMicros(i64::MIN).before(Duration::MAX), UnixMicros(i64::MIN));
        assert_eq!(UnixMicros(5).since(UnixMicros(9)), Duration::ZERO);
        assert_eq!(UnixMicros(-1).as_millis(), -1, "rounded down, also before 1970");
    }

    #[test]
    fn clones_of_a_virtual_clock_share_its_time() {
        let clock = Clock::starting_at(UnixMicros::from_secs(10));
        let other = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(other.now(), UnixMicros::from_secs(15));
        other.set(UnixMicros::from_secs(1));
        assert_eq!(clock.now(), UnixMicros::from_secs(1));
        assert_eq!(clock.passed(), Duration::from_secs(5), "a jump is no time that passes");
    }

    #[test]
    fn the_real_clock_is_after_this_was_written() {
        assert!(Clock::real().now() > UnixMicros::from_secs(1_750_000_000));
    }
}
