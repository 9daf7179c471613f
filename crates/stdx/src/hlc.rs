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
#[serde(try_from = "u64", into = "u64")]
pub struct HybridTime(u64);

/// A number is no timestamp of a [`HybridClock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no hybrid time: it is at most {max}", max = i64::MAX)]
pub struct NoHybridTime(u64);

impl TryFrom<u64> for HybridTime {
    type Error = NoHybridTime;

    fn try_from(value: u64) -> Result<Self, NoHybridTime> {
        if value <= Self::MAX.0 { Ok(Self(value)) } else { Err(NoHybridTime(value)) }
    }
}

impl From<HybridTime> for u64 {
    fn from(time: HybridTime) -> Self {
        time.0
    }
}

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
#[error(
    "a timestamp is {ahead:?} ahead of this machine's clock, and at most {drift_max:?} is believed"
)]
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

    /// The machine's clock beneath it.
    #[must_use]
    pub const fn machine(&self) -> &Clock {
        &self.clock
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What happens to two machines whose clocks disagree.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        /// A machine does something.
        Tick(usize),
        /// A machine hears from the other.
        Send(usize),
        /// A machine's clock jumps, to this many milliseconds.
        Jump(usize, i64),
        /// A machine restarts and gives its clock what it stored.
        Restart(usize),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => (0..2usize).prop_map(Event::Tick),
            3 => (0..2usize).prop_map(Event::Send),
            1 => (0..2usize, 0..10_000i64).prop_map(|(at, millis)| Event::Jump(at, millis)),
            1 => (0..2usize).prop_map(Event::Restart),
        ];
        prop::collection::vec(event, 0..80)
    }

    proptest! {
        #[test]
        fn effects_are_later_than_their_causes(events in events()) {
            let drift_max = Duration::from_secs(5);
            let wall = [0, 0].map(|_| Clock::starting_at(UnixMicros::from_millis(5_000)));
            let mut clocks = [0, 1].map(|at: usize| HybridClock::new(wall[at].clone(), drift_max));
            let mut last = [HybridTime::ZERO; 2];
            for event in events {
                match event {
                    Event::Tick(at) => {
                        let now = clocks[at].tick();
                        prop_assert!(now > last[at], "never back, whatever the machine's clock does");
                        prop_assert!(now.wall() >= UnixMicros::from_millis(wall[at].now().as_millis()));
                        last[at] = now;
                    }
                    Event::Send(to) => {
                        let sent = clocks[1 - to].tick();
                        last[1 - to] = sent;
                        let before = clocks[to].last();
                        let heard = clocks[to].observe(sent);
                        let ahead = sent.wall().since(wall[to].now());
                        prop_assert_eq!(heard.is_ok(), ahead <= drift_max);
                        if heard.is_ok() {
                            prop_assert!(clocks[to].tick() > sent);
                        } else {
                            prop_assert_eq!(clocks[to].last(), before, "refused and forgotten");
                        }
                        last[to] = clocks[to].last();
                    }
                    Event::Jump(at, millis) => wall[at].set(UnixMicros::from_millis(millis)),
                    Event::Restart(at) => {
                        clocks[at] = HybridClock::new(wall[at].clone(), drift_max);
                        clocks[at].resume(last[at]);
                    }
                }
            }
        }

        #[test]
        fn a_column_holds_every_timestamp(value in 0..=i64::MAX) {
            let time = HybridTime::from_i64(value).unwrap();
            prop_assert_eq!(time.as_i64(), value);
            prop_assert!(time.wall() <= UnixMicros::from_millis(i64::MAX >> 16));
        }

        #[test]
        fn a_new_version_is_after_the_old_one(floor in 0..i64::MAX - 1) {
            let floor = HybridTime::from_i64(floor).unwrap();
            let clock = HybridClock::new(Clock::starting_at(UnixMicros(0)), Duration::ZERO);
            prop_assert!(clock.tick_after(floor) > floor);
        }
    }

    #[test]
    fn negative_columns_and_the_end_of_time() {
        assert_eq!(HybridTime::from_i64(-1), None);
        assert_eq!(HybridTime::try_from(1 << 63), Err(NoHybridTime(1 << 63)));
        assert_eq!(
            HybridTime::from_wall(UnixMicros(i64::MAX)).next().wall(),
            HybridTime::MAX.wall()
        );
        assert!(std::panic::catch_unwind(|| HybridTime::MAX.next()).is_err());
        assert_eq!(HybridTime::from_wall(UnixMicros(-5)), HybridTime::ZERO);
    }

    #[test]
    fn more_than_65536_in_a_millisecond_go_on_in_the_next() {
        let clock =
            HybridClock::new(Clock::starting_at(UnixMicros::from_millis(9)), Duration::ZERO);
        let mut last = HybridTime::ZERO;
        for _ in 0..70_000 {
            let now = clock.tick();
            assert!(now > last);
            last = now;
        }
        assert_eq!(last.wall(), UnixMicros::from_millis(10));
    }
}
