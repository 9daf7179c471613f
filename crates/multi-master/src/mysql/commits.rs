//! Which commits are under way.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use tokio::sync::Notify;

/// The commits that are under way, in the order in which they began.
///
/// A write may have read what another has committed on the primary and not yet
/// on the others. It is acknowledged after that one, so that who reads next,
/// from any master, finds what the write had found.
#[derive(Default)]
pub(super) struct Commits {
    next: Cell<u64>,
    open: RefCell<BTreeSet<u64>>,
    ended: Notify,
    /// How many ended, and are not known to be saved.
    unsure: Cell<u64>,
}

/// A commit that is under way. Where it is dropped, what became of it is not known,
/// and nobody waits for it any more.
pub(super) struct UnderWay<'a> {
    commits: &'a Commits,
    number: u64,
    saved: bool,
}

impl UnderWay<'_> {
    /// Ends this commit, and waits for those that began before it.
    pub(super) async fn end(mut self, saved: bool) {
        self.saved = saved;
        let (commits, number) = (self.commits, self.number);
        drop(self);
        commits.before(number).await;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Self { commits, number, saved } = self;
        commits.unsure.set(commits.unsure.get() + u64::from(!*saved));
        commits.open.borrow_mut().remove(number);
        commits.ended.notify_waiters();
    }
}

impl Commits {
    pub(super) fn begin(&self) -> UnderWay<'_> {
        let number = self.next.get();
        self.next.set(number + 1);
        self.open.borrow_mut().insert(number);
        UnderWay { commits: self, number, saved: false }
    }

    /// Waits for all that have begun by now.
    pub(super) async fn all_so_far(&self) {
        self.before(self.next.get()).await;
    }

    /// Counts the commits that are not known to be saved. A server shows what is
    /// committed a moment before it is on its disk, and may die between the two:
    /// what was read while this grew may be gone.
    pub(super) fn unsure(&self) -> u64 {
        self.unsure.get()
    }

    async fn before(&self, bound: u64) {
        loop {
            let ended = self.ended.notified();
            if self.open.borrow().first().is_none_or(|first| *first >= bound) {
                return;
            }
            ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Commits;

    #[test]
    fn a_commit_is_acknowledged_after_those_that_began_before_it() {
        let commits = Commits::default();
        let [first, second, third] = [0; 3].map(|_| commits.begin());
        let mut last = std::pin::pin!(third.end(true));
        assert!((&mut last).now_or_never().is_none(), "two are under way");
        assert!(first.end(true).now_or_never().is_some(), "none began before it");
        assert!((&mut last).now_or_never().is_none(), "one is under way");
        let _later = commits.begin();
        assert!(second.end(true).now_or_never().is_some());
        assert!(last.now_or_never().is_some(), "one that began later is not waited for");
    }

    #[test]
    fn who_waited_for_a_commit_learns_that_it_may_be_gone() {
        let commits = Commits::default();
        let before = commits.unsure();
        let (saved, lost) = (commits.begin(), commits.begin());
        assert!(saved.end(true).now_or_never().is_some());
        assert_eq!(commits.unsure(), before);
        let mut reader = std::pin::pin!(commits.all_so_far());
        assert!((&mut reader).now_or_never().is_none(), "it may have read what is under way");
        assert!(lost.end(false).now_or_never().is_some());
        assert!(reader.now_or_never().is_some());
        assert_ne!(commits.unsure(), before);
    }

    #[test]
    fn a_commit_whose_task_ended_by_a_panic_keeps_nobody_waiting() {
        let commits = Commits::default();
        let before = commits.unsure();
        let (panics, other) = (commits.begin(), commits.begin());
        drop(panics);
        assert!(other.end(true).now_or_never().is_some());
        assert_ne!(commits.unsure(), before);
    }
}
