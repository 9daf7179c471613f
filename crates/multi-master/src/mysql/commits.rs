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

impl Commits {
    pub(super) fn begin(&self) -> u64 {
        let ticket = self.next.get();
        self.next.set(ticket + 1);
        self.open.borrow_mut().insert(ticket);
        ticket
    }

    /// Ends this commit, and waits for those that began before it.
    pub(super) async fn end(&self, ticket: u64, saved: bool) {
        self.unsure.set(self.unsure.get() + u64::from(!saved));
        self.open.borrow_mut().remove(&ticket);
        self.ended.notify_waiters();
        self.before(ticket).await;
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
        let tickets = [0; 3].map(|_| commits.begin());
        let mut last = std::pin::pin!(commits.end(tickets[2], true));
        assert!((&mut last).now_or_never().is_none(), "two are under way");
        assert!(commits.end(tickets[0], true).now_or_never().is_some(), "none began before it");
        assert!((&mut last).now_or_never().is_none(), "one is under way");
        let _later = commits.begin();
        assert!(commits.end(tickets[1], true).now_or_never().is_some());
        assert!(last.now_or_never().is_some(), "one that began later is not waited for");
    }

    #[test]
    fn who_waited_for_a_commit_learns_that_it_may_be_gone() {
        let commits = Commits::default();
        let before = commits.unsure();
        let (saved, lost) = (commits.begin(), commits.begin());
        assert!(commits.end(saved, true).now_or_never().is_some());
        assert_eq!(commits.unsure(), before);
        let mut reader = std::pin::pin!(commits.all_so_far());
        assert!((&mut reader).now_or_never().is_none(), "it may have read what is under way");
        assert!(commits.end(lost, false).now_or_never().is_some());
        assert!(reader.now_or_never().is_some());
        assert_ne!(commits.unsure(), before);
    }
}
