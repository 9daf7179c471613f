//! What runs in this process and must not run twice at once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// The keys of what runs. Cheap to clone; clones are one set.
///
/// It holds as many keys as requests run, and the server bounds those.
#[derive(Debug)]
pub(super) struct Running<K: Eq + Hash>(Arc<Mutex<HashSet<K>>>);

/// Something that runs, until this is dropped: also when its request was
/// cancelled or panicked.
#[derive(Debug)]
pub(super) struct Run<K: Eq + Hash> {
    key: K,
    running: Running<K>,
}

impl<K: Eq + Hash> Default for Running<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Clone for Running<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Clone> Running<K> {
    /// Begins to run, unless something with this key runs.
    pub(super) fn begin(&self, key: &K) -> Option<Run<K>> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        is_new.then(|| Run { key: key.clone(), running: self.clone() })
    }
}

impl<K: Eq + Hash> Drop for Run<K> {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_does_not_run_twice_and_ends_with_its_guard() {
        let running = Running::default();
        let first = running.begin(&"a");
        assert!(first.is_some());
        assert!(running.clone().begin(&"a").is_none());
        assert!(running.begin(&"b").is_some(), "and its guard is dropped at once");
        assert!(running.begin(&"b").is_some());
        drop(first);
        assert!(running.begin(&"a").is_some());
    }

    #[test]
    fn a_panic_ends_it() {
        let running: Running<&str> = Running::default();
        let inside = running.clone();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _run = inside.begin(&"a").unwrap();
            panic!("in the middle");
        }));
        assert!(panicked.is_err());
        assert!(running.begin(&"a").is_some());
    }
}
