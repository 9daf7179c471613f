//! How old a version is, although the clock jumps.

use std::collections::VecDeque;
use std::time::Duration;

use stdx::HybridTime;
use tokio::time::Instant;

/// Moments that are kept, at most: those of the time that is asked for, and one
/// before it.
const MOMENTS_MAX: usize = 64;

/// What the hybrid clock showed at moments of the past.
///
/// A version says what the clock showed, and that may have been a year ahead:
/// then every older version seems to be a year old at once, and every later one
/// seems to be new for a year. Time that has passed is told by a clock that does
/// not jump.
#[derive(Debug, Default)]
pub(super) struct Ages {
    moments: VecDeque<(Instant, HybridTime)>,
}

impl Ages {
    /// Notes what the clock shows.
    pub(super) fn note(&mut self, now: Instant, shows: HybridTime) {
        if self.moments.len() == MOMENTS_MAX {
            self.moments.pop_front();
        }
        self.moments.push_back((now, shows));
    }

    /// What was shown at the last moment noted that is `age` ago or longer. What
    /// has this version or an older one is older than `age`.
    pub(super) fn before(&mut self, now: Instant, age: Duration) -> Option<HybridTime> {
        let old = |moment: &(Instant, HybridTime)| now.duration_since(moment.0) >= age;
        while self.moments.get(1).is_some_and(old) {
            self.moments.pop_front();
        }
        self.moments.front().filter(|moment| old(moment)).map(|(_, shown)| *shown)
    }
}

#[cfg(test)]
mod tests {
    use stdx::UnixMicros;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const KEPT: Duration = Duration::from_mins(10);

    #[test]
    fn an_age_is_an_age_although_the_clock_jumps_a_year() {
        let (start, mut ages) = (Instant::now(), Ages::default());
        let year = Duration::from_hours(365 * 24);
        let wall = UnixMicros::from_secs(1_800_000_000);
        let mut shown = Vec::new();
        for minute in 0..40u32 {
            let now = start + MINUTE * minute;
            // The hybrid clock goes on from where the other had been.
            let ahead = if minute < 5 { Duration::ZERO } else { year };
            let shows = HybridTime::from_wall(wall.after(MINUTE * minute.min(5) + ahead));
            let shows = (5..minute).fold(shows, |shows, _| shows.next());
            ages.note(now, shows);
            shown.push(shows);
            let expected = minute.checked_sub(10).map(|then| shown[then as usize]);
            assert_eq!(ages.before(now, KEPT), expected, "minute {minute}");
        }
        assert!(ages.moments.len() <= 11, "what is not asked for any more is gone");
    }
}
