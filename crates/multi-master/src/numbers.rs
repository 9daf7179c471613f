//! How long statements and commits take on each master, how long connections
//! are waited for, and who takes over from whom.
//!
//! What is counted here is counted where readers and writers pass: a few
//! additions to atomics, and never a lock. Numbers that are read while others
//! count may be a moment apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::counters::Counter;
use crate::error::MasterName;

/// Upper bounds of the buckets of a [`Latency`], in microseconds: from a row
/// that SQLite has in memory to the time limit of a statement.
pub const LATENCY_BOUNDS_US: [u64; 16] = [
    20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    2_000_000, 10_000_000,
];

/// How long something took, by fixed buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// How often it took at most as long as the bound of the same place in
    /// [`LATENCY_BOUNDS_US`] and longer than the one before; the last, one more
    /// than there are bounds, is for what took longer than all of them.
    pub buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// All of it together, in microseconds.
    pub total_us: u64,
}

impl Latency {
    /// How often it happened.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The bound, in microseconds, below which `percent` of all were; `None`
    /// where nothing happened, and the greatest bound for what is above all.
    #[must_use]
    pub fn below_us(&self, percent: u64) -> Option<u64> {
        let count = self.count();
        let wanted = (count * percent.min(100)).div_ceil(100).max(1);
        let mut below = 0;
        let at = self.buckets.iter().position(|bucket| {
            below += bucket;
            below >= wanted
        });
        let greatest = LATENCY_BOUNDS_US[LATENCY_BOUNDS_US.len() - 1];
        (count > 0).then(|| at.and_then(|at| LATENCY_BOUNDS_US.get(at)).map_or(greatest, |us| *us))
    }

    /// What happened since `before`, an earlier copy of the same.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut buckets = self.buckets;
        for (now, then) in buckets.iter_mut().zip(before.buckets) {
            *now = now.saturating_sub(then);
        }
        Self { buckets, total_us: self.total_us.saturating_sub(before.total_us) }
    }
}

/// The numbers of one master. Each only grows, from 0 when the store was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterNumbers {
    /// Which.
    pub name: MasterName,
    /// Statements of reads and writes; on MariaDB what is sent in one packet is
    /// one.
    pub statements: Latency,
    /// Commits of writes.
    pub commits: Latency,
    /// How often a connection to it had to be waited for. (SQLite masters have
    /// no pools.)
    pub pool_waits: u64,
    /// All of these waits together, in microseconds.
    pub pool_waited_us: u64,
}

/// Who took over from whom, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    /// What went over.
    pub what: FailoverOf,
    /// The master that failed, or gave its place back to one before it.
    pub from: MasterName,
    /// Who took over; `None`: nobody could, and readers or writers were refused.
    pub to: Option<MasterName>,
    /// How often, since the store was opened.
    pub count: u64,
}

/// What goes over to another master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailoverOf {
    /// One read.
    Read,
    /// The place of the first, on which every write runs first.
    Writes,
}

/// The numbers of all masters.
#[derive(Debug)]
pub(crate) struct Numbers {
    meters: Vec<Arc<Meter>>,
    /// From each master to each, and last to nobody.
    reads: Vec<Counter>,
    writes: Vec<Counter>,
    /// Where writes go first, or went while there was such a place; as many as
    /// there are masters before the store is open. Only the supervisor changes
    /// it, and the next.
    first: AtomicUsize,
    /// Whether there is no such place now.
    refused: AtomicBool,
}

/// What is counted on one master.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    statements: Histogram,
    commits: Histogram,
    pool_waits: Counter,
    pool_waited_us: Counter,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [Counter; LATENCY_BOUNDS_US.len() + 1],
    total_us: Counter,
}

impl Histogram {
    fn took(&self, took: Duration) {
        let us = micros(took);
        let at = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[at].add(1);
        self.total_us.add(us);
    }

    fn latency(&self) -> Latency {
        Latency {
            buckets: std::array::from_fn(|at| self.buckets[at].get()),
            total_us: self.total_us.get(),
        }
    }
}

impl Meter {
    pub(crate) fn statement(&self, took: Duration) {
        self.statements.took(took);
    }

    pub(crate) fn commit(&self, took: Duration) {
        self.commits.took(took);
    }

    pub(crate) fn waited(&self, waited: Duration) {
        self.pool_waits.add(1);
        self.pool_waited_us.add(micros(waited));
    }
}

impl Numbers {
    pub(crate) fn new(masters: usize) -> Self {
        let directions = || (0..masters * (masters + 1)).map(|_| Counter::default()).collect();
        Self {
            meters: (0..masters).map(|_| Arc::default()).collect(),
            reads: directions(),
            writes: directions(),
            first: AtomicUsize::new(masters),
            refused: AtomicBool::new(false),
        }
    }

    pub(crate) fn meter(&self, master: usize) -> &Arc<Meter> {
        &self.meters[master]
    }

    fn nobody(&self) -> usize {
        self.meters.len()
    }

    /// A read that `from` failed was answered by `to`, or by nobody.
    pub(crate) fn read_went_over(&self, from: usize, to: Option<usize>) {
        let to = to.unwrap_or(self.nobody());
        self.reads[from * (self.nobody() + 1) + to].add(1);
    }

    /// Writes go to this master first from now on, or to nobody.
    pub(crate) fn writes_go_to(&self, first: Option<usize>) {
        let from = self.first.load(Ordering::Relaxed);
        let refused = self.refused.swap(first.is_none(), Ordering::Relaxed);
        if let Some(to) = first {
            self.first.store(to, Ordering::Relaxed);
        }
        let went = match first {
            Some(to) => to != from,
            None => !refused,
        };
        // Nobody was first before the store was open.
        if went && from != self.nobody() {
            let to = first.unwrap_or(self.nobody());
            self.writes[from * (self.nobody() + 1) + to].add(1);
        }
    }

    /// The numbers of each master, which are called so.
    pub(crate) fn of(&self, names: impl Iterator<Item = MasterName>) -> Vec<MasterNumbers> {
        let each = names.zip(&self.meters).map(|(name, meter)| MasterNumbers {
            name,
            statements: meter.statements.latency(),
            commits: meter.commits.latency(),
            pool_waits: meter.pool_waits.get(),
            pool_waited_us: meter.pool_waited_us.get(),
        });
        each.collect()
    }

    /// Who took over from whom, where that has happened.
    pub(crate) fn failovers(&self, names: &[MasterName]) -> Vec<Failover> {
        let places = self.nobody() + 1;
        let of = |what, counters: &[Counter]| {
            let counted = counters.iter().enumerate().filter(|(_, counter)| counter.get() > 0);
            let told = counted.filter_map(|(at, counter)| {
                let (from, to) = (names.get(at / places)?.clone(), names.get(at % places).cloned());
                Some(Failover { what, from, to, count: counter.get() })
            });
            told.collect::<Vec<_>>()
        };
        [of(FailoverOf::Read, &self.reads), of(FailoverOf::Writes, &self.writes)].concat()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Vec<MasterName> {
        ["a", "b"].map(|name| MasterName(name.to_owned())).into()
    }

    proptest! {
        /// Each bucket's bound holds what is in it, and no smaller one would.
        #[test]
        fn what_took_some_time_is_in_the_bucket_of_that_time(us in 0..20_000_000u64) {
            let histogram = Histogram::default();
            histogram.took(Duration::from_micros(us));
            let latency = histogram.latency();
            let at = latency.buckets.iter().position(|count| *count == 1).unwrap();
            prop_assert!(LATENCY_BOUNDS_US.get(at).is_none_or(|bound| us <= *bound));
            prop_assert!(at == 0 || us > LATENCY_BOUNDS_US[at - 1]);
            prop_assert_eq!((latency.count(), latency.total_us), (1, us));
        }
    }

    #[test]
    fn a_share_is_below_a_bound() {
        let histogram = Histogram::default();
        assert_eq!(histogram.latency().below_us(50), None);
        for _ in 0..99 {
            histogram.took(Duration::from_micros(150));
        }
        let before = histogram.latency();
        histogram.took(Duration::from_mins(1));
        let latency = histogram.latency();
        assert_eq!(
            [50, 99, 100].map(|percent| latency.below_us(percent).unwrap()),
            [200, 200, 10_000_000]
        );
        assert_eq!(
            (latency.since(&before).count(), latency.since(&before).total_us),
            (1, 60_000_000)
        );
    }

    #[test]
    fn writes_go_over_once_for_each_change_of_who_is_first() {
        let numbers = Numbers::new(2);
        for first in [Some(0), Some(0), Some(1), None, None, Some(1), None, Some(0), Some(0)] {
            numbers.writes_go_to(first);
        }
        numbers.read_went_over(0, Some(1));
        numbers.read_went_over(0, Some(1));
        numbers.read_went_over(1, None);
        let told: Vec<String> = numbers
            .failovers(&names())
            .iter()
            .map(|one| {
                let to = one.to.as_ref().map_or("nobody", |name| name.0.as_str());
                format!("{:?} {} {to} {}", one.what, one.from, one.count)
            })
            .collect();
        assert_eq!(
            told,
            ["Read a b 2", "Read b nobody 1", "Writes a b 1", "Writes b a 1", "Writes b nobody 2",]
        );
    }
}
