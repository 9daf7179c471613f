//! Numbers for monitors.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often things happened since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) saved: Counter,
    pub(crate) owed: Counter,
    pub(crate) not_saved: Counter,
    pub(crate) in_doubt: Counter,
    pub(crate) diverged: Counter,
    pub(crate) retried: Counter,
    pub(crate) reads: Counter,
    pub(crate) read_failovers: Counter,
    pub(crate) settled: Counter,
    pub(crate) undone: Counter,
    pub(crate) verifications: Counter,
    pub(crate) differences: Counter,
    pub(crate) repaired: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A copy of the store's counters. Each only grows, from 0 when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Writes that every master has.
    pub saved: u64,
    /// Writes that are saved and owed to a master that was away.
    pub owed: u64,
    /// Writes that were refused, by the closure or by the store.
    pub not_saved: u64,
    /// Writes whose outcome could not be told.
    pub in_doubt: u64,
    /// Writes that were refused because the masters hold different rows; they are
    /// among `not_saved`.
    pub diverged: u64,
    /// Runs of a write that were repeated, after a deadlock or a failure.
    pub retried: u64,
    /// Reads answered.
    pub reads: u64,
    /// Reads that were answered by another master after one failed.
    pub read_failovers: u64,
    /// Transactions given to a master that had been away, or taken back there.
    pub settled: u64,
    /// Those of them that were taken back: something else took their place on the
    /// master that served.
    pub undone: u64,
    /// Comparisons of the masters that came to their end.
    pub verifications: u64,
    /// Rows that they found different.
    pub differences: u64,
    /// Rows that they made the same again.
    pub repaired: u64,
}

impl Counters {
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            saved: self.saved.get(),
            owed: self.owed.get(),
            not_saved: self.not_saved.get(),
            in_doubt: self.in_doubt.get(),
            diverged: self.diverged.get(),
            retried: self.retried.get(),
            reads: self.reads.get(),
            read_failovers: self.read_failovers.get(),
            settled: self.settled.get(),
            undone: self.undone.get(),
            verifications: self.verifications.get(),
            differences: self.differences.get(),
            repaired: self.repaired.get(),
        }
    }
}
