//! What runs in this process and must not run twice at once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// The keys of what runs. Cheap to clone; clones are one set.
///
/// It holds as many keys as requests run, and the server bounds those.
#[derive(Debug)]
pub(super) struct Running<K: Eq + Hash>(Arc<Mutex<HashSet<K>>>);

/// Something that runs, until [`Run::end`], or until the last clone of this is
/// dropped: also when its request was cancelled or panicked.
///
/// A write goes on when its request is cancelled. Whoever gives its closure a
/// clone says that it runs as long as the write does.
#[derive(Clone, Debug)]
pub(super) struct Run<K: Eq + Hash>(Arc<Guard<K>>);

#[derive(Debug)]
struct Guard<K: Eq + Hash> {
    /// `None` once it has ended.
    key: Mutex<Option<K>>,
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
        is_new.then(|| {
            Run(Arc::new(Guard { key: Mutex::new(Some(key.clone())), running: self.clone() }))
        })
    }
}

impl<K: Eq + Hash> Run<K> {
    /// It has ended, also where clones are left.
    pub(super) fn end(&self) {
        self.0.end();
    }
}

impl<K: Eq + Hash> Guard<K> {
    fn end(&self) {
        let Some(key) = self.key.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

impl<K: Eq + Hash> Drop for Guard<K> {
    fn drop(&mut self) {
        self.end();
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
    fn it_runs_while_a_clone_is_left_unless_it_is_ended() {
        let running = Running::default();
        let request = running.begin(&"a").unwrap();
        let write = request.clone();
        drop(request);
        assert!(running.begin(&"a").is_none(), "the write goes on");
        write.end();
        let next = running.begin(&"a");
        assert!(next.is_some());
        drop(write);
        assert!(running.begin(&"a").is_none(), "an old one does not end the next");
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
