//! How far fillings are, for people.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::error::MasterName;

/// How far the filling of one master is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CopyProgress {
    /// The master that is filled.
    pub to: MasterName,
    /// From which one.
    pub from: MasterName,
    /// What goes on.
    pub phase: CopyPhase,
    /// Rows that are there, in all tables, those of earlier attempts included.
    pub rows: u64,
    /// How many it will be, about; it does not follow what is written meanwhile.
    pub rows_expected: u64,
    /// Rows a second since this attempt began.
    pub rows_per_second: u64,
    /// Rows that an earlier attempt had put there, where it was taken up.
    pub resumed_at: Option<u64>,
}

/// What goes on in a filling.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyPhase {
    /// What was there is taken away.
    Emptying,
    /// Rows of this table are copied.
    Copying(String),
    /// What was changed meanwhile is applied; then it joins.
    Settling,
    /// It is over.
    Done,
    /// It was given up, and is taken up when the master is tried again.
    Interrupted,
}

impl CopyPhase {
    /// Whether something is done now.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Emptying | Self::Copying(_) | Self::Settling)
    }
}

/// The last filling of each master since the store was opened, and which have to
/// be filled.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    copies: Mutex<BTreeMap<usize, Copy>>,
    /// Why, as far as this process has heard.
    marks: Mutex<BTreeMap<usize, String>>,
}

#[derive(Debug)]
struct Copy {
    progress: CopyProgress,
    /// Rows and time at which this attempt began.
    since: (u64, Instant),
}

impl Copies {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<usize, Copy>) -> T) -> T {
        work(&mut self.copies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn marks(&self) -> MutexGuard<'_, BTreeMap<usize, String>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which masters have to be filled, and why.
    pub(crate) fn marked(&self) -> BTreeMap<usize, String> {
        self.marks().clone()
    }

    pub(crate) fn mark_of(&self, at: usize) -> Option<String> {
        self.marks().get(&at).cloned()
    }

    pub(crate) fn mark(&self, at: usize, why: String) {
        self.marks().insert(at, why);
    }

    pub(crate) fn unmark(&self, at: usize) {
        self.marks().remove(&at);
    }

    /// Every filling, by master.
    pub(crate) fn all(&self) -> Vec<CopyProgress> {
        self.with(|copies| copies.values().map(|copy| copy.progress.clone()).collect())
    }

    /// The filling of this master, where one runs.
    pub(crate) fn running(&self, at: usize) -> Option<CopyProgress> {
        self.with(|copies| copies.get(&at).map(|copy| copy.progress.clone()))
            .filter(|progress| progress.phase.is_running())
    }

    pub(super) fn begin(&self, at: usize, progress: CopyProgress) {
        let since = (progress.rows, Instant::now());
        self.with(|copies| copies.insert(at, Copy { progress, since }));
    }

    /// What could only be known after it had begun.
    pub(super) fn expect(&self, at: usize, rows: u64) {
        self.with(|copies| {
            if let Some(copy) = copies.get_mut(&at) {
                copy.progress.rows_expected = rows;
            }
        });
    }

    pub(super) fn tell(&self, at: usize, phase: CopyPhase, rows: u64) {
        self.with(|copies| {
            // What was given up stays so until it begins again.
            let copy = copies.get_mut(&at).filter(|copy| copy.progress.phase.is_running());
            let Some(copy) = copy else { return };
            let (rows_before, since) = copy.since;
            let millis = since.elapsed().as_millis().max(1);
            let rate = u128::from(rows.saturating_sub(rows_before)) * 1_000 / millis;
            copy.progress.rows_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
            copy.progress.rows = rows;
            copy.progress.phase = phase;
        });
    }

    /// The thread that filled it has ended.
    pub(crate) fn end(&self, at: usize, done: bool) {
        self.with(|copies| {
            if let Some(copy) = copies.get_mut(&at).filter(|copy| copy.progress.phase.is_running())
            {
                copy.progress.phase = if done { CopyPhase::Done } else { CopyPhase::Interrupted };
            }
        });
    }
}
