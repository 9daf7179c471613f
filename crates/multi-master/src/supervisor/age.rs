//! How old markers are.
//!
//! A marker's id has a time in it, that of the process that wrote it, whose clock may
//! jump by a year. So their age goes by when this process saw that they were there.

use std::collections::VecDeque;
use std::time::Duration;

/// Markers are kept at least this long, so that an outcome can be looked up.
pub(super) const MARKERS_KEPT: Duration = Duration::from_mins(10);
/// How often it is noted which marker was the last.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// Which marker was the last of a master, and when, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Ages(VecDeque<(Duration, i64)>);

impl Ages {
    /// Notes that `last` is the last marker now, and returns up to which one they are
    /// old; 0 where that is not known yet.
    pub(super) fn old(&mut self, now: Duration, last: i64) -> i64 {
        let age = |then: Duration| now.saturating_sub(then);
        if self.0.back().is_none_or(|&(then, _)| age(then) >= NOTED_EVERY) {
            self.0.push_back((now, last));
        }
        while self.0.get(1).is_some_and(|&(then, _)| age(then) >= MARKERS_KEPT) {
            self.0.pop_front();
        }
        self.0.front().filter(|&&(then, _)| age(then) >= MARKERS_KEPT).map_or(0, |&(_, last)| last)
    }

    /// The master has left: its log may be another when it comes back.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_was_seen_ten_minutes_ago() {
        let mut ages = Ages::default();
        let after = |seconds| Duration::from_secs(seconds);
        // Markers of which nothing is known may be of this moment.
        assert_eq!(ages.old(after(0), 7), 0);
        for second in 1..600 {
            assert_eq!(ages.old(after(second), 7 + i64::try_from(second).unwrap()), 0);
        }
        assert_eq!(ages.old(after(600), 1_000), 7);
        assert_eq!(ages.old(after(661), 1_000), 7 + 60);
        assert!(ages.0.len() < 13, "{ages:?}");
        // Nobody looked for a while.
        assert_eq!(ages.old(after(5_000), 2_000), 1_000);
        ages.forget();
        assert_eq!(ages.old(after(6_000), 3), 0);
        assert_eq!(ages.old(after(6_600), 9), 3);
    }
}
