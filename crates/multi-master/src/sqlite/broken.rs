//! Commits that fail, for tests: what comes after one can't be had from a real
//! disk when it is wanted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How the next commit on a file fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It is undone: the disk was full.
    Undone,
    /// It is done, and then the disk fails.
    Done,
}

static NEXT: Mutex<BTreeMap<PathBuf, Broken>> = Mutex::new(BTreeMap::new());

fn next() -> MutexGuard<'static, BTreeMap<PathBuf, Broken>> {
    NEXT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Breaks the next commit on this file.
pub(crate) fn break_next(file: &Path, how: Broken) {
    next().insert(file.to_owned(), how);
}

/// Whether this commit is to be broken.
pub(super) fn take(file: &Path) -> Option<Broken> {
    next().remove(file)
}
