//! How old markers are.
//!
//! A marker's id has a time in it, that of the process that wrote it, whose clock may
//! jump by a year. So their age goes by when this process saw that they were there.

use std::collections::VecDeque;
use std::time::Duration;

use uuid::Uuid;

/// Markers are kept at least this long, so that an outcome can be looked up.
pub(super) const MARKERS_KEPT: Duration = Duration::from_mins(10);
/// How often it is noted which marker was the last.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// Which marker was the last of a master, and when, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// Of which log.
    log: Option<Uuid>,
    seen: VecDeque<(Duration, i64)>,
}

impl Ages {
    /// Notes that `last` is the last marker of this log now, and returns up to which one
    /// they are old; 0 where that is not known yet.
    pub(super) fn old(&mut self, now: Duration, log: Option<Uuid>, last: i64) -> i64 {
        if self.log != log {
            *self = Self { log, ..Self::default() };
        }
        let age = |then: Duration| now.saturating_sub(then);
        if self.seen.back().is_none_or(|&(then, _)| age(then) >= NOTED_EVERY) {
            self.seen.push_back((now, last));
        }
        while self.seen.get(1).is_some_and(|&(then, _)| age(then) >= MARKERS_KEPT) {
            self.seen.pop_front();
        }
        self.seen
            .front()
            .filter(|&&(then, _)| age(then) >= MARKERS_KEPT)
            .map_or(0, |&(_, last)| last)
    }

    /// The master has left: its log may be another when it comes back.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_was_seen_ten_minutes_ago() {
        let mut ages = Ages::default();
        let after = |seconds| Duration::from_secs(seconds);
        let (log, another) = (None, Some(Uuid::from_u128(7)));
        // Markers of which nothing is known may be of this moment.
        assert_eq!(ages.old(after(0), log, 7), 0);
        for second in 1..600 {
            assert_eq!(ages.old(after(second), log, 7 + i64::try_from(second).unwrap()), 0);
        }
        assert_eq!(ages.old(after(600), log, 1_000), 7);
        assert_eq!(ages.old(after(661), log, 1_000), 7 + 60);
        assert!(ages.seen.len() < 13, "{ages:?}");
        // Nobody looked for a while.
        assert_eq!(ages.old(after(5_000), log, 2_000), 1_000);
        ages.forget();
        assert_eq!(ages.old(after(6_000), log, 3), 0);
        assert_eq!(ages.old(after(6_600), log, 9), 3);
        // It was emptied between two looks.
        assert_eq!(ages.old(after(6_700), another, 5), 0);
        assert_eq!(ages.old(after(7_300), another, 9), 5);
    }
}
