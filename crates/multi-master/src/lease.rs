//! Until when this process may read from the masters that its view names.
//!
//! Another process may take a master out and go on without it. It waits a lease
//! before it acknowledges anything that the master misses, and by then whoever
//! has not heard reads no more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How long what was heard holds. A master that is taken out keeps writers
/// waiting as long, where other processes may read from it.
pub(crate) const LEASE: Duration = Duration::from_millis(500);

/// Where only this process has the set open, nothing has to be renewed.
const FOR_EVER: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Lease {
    from: Instant,
    /// In microseconds after `from`.
    until: AtomicU64,
    renewed: watch::Sender<()>,
    /// It is over, and is to be renewed at once.
    over: Notify,
}

impl Lease {
    /// One that need not be renewed.
    pub(crate) fn for_ever() -> Self {
        let renewed = watch::Sender::new(());
        let (from, until) = (Instant::now(), AtomicU64::new(FOR_EVER));
        Self { from, until, renewed, over: Notify::new() }
    }

    /// One that has to be renewed, and holds not yet.
    pub(crate) fn to_renew() -> Self {
        let lease = Self::for_ever();
        lease.until.store(0, Ordering::SeqCst);
        lease
    }

    /// What was heard in answer to a question asked at `asked` says that the
    /// view's masters serve.
    pub(crate) fn renew(&self, asked: Instant) {
        let until = asked.duration_since(self.from) + LEASE;
        let until = u64::try_from(until.as_micros()).unwrap_or(FOR_EVER);
        self.until.fetch_max(until, Ordering::SeqCst);
        self.renewed.send_replace(());
    }

    /// The view has masters of which what was heard does not say that they serve.
    pub(crate) fn end(&self) {
        if self.until.load(Ordering::SeqCst) != FOR_EVER {
            self.until.store(0, Ordering::SeqCst);
            self.over.notify_one();
        }
    }

    /// Waits until it was ended.
    pub(crate) async fn ended(&self) {
        self.over.notified().await;
    }

    pub(crate) fn holds(&self) -> bool {
        let until = self.until.load(Ordering::SeqCst);
        until == FOR_EVER || self.from.elapsed().as_micros() < u128::from(until)
    }

    /// Waits until it holds; false where that does not come within `limit`.
    pub(crate) async fn wait(&self, limit: Duration) -> bool {
        let mut renewed = self.renewed.subscribe();
        let wait = async {
            while !self.holds() {
                // The sender lives as long as `self`.
                drop(renewed.changed().await);
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn where_it_was_ended_it_holds_when_it_is_renewed() {
        let lease = Lease::to_renew();
        lease.renew(Instant::now());
        assert!(lease.holds());
        lease.end();
        assert!(!lease.holds());
        lease.ended().await;
        lease.renew(Instant::now());
        assert!(lease.holds());
        let for_ever = Lease::for_ever();
        for_ever.end();
        assert!(for_ever.holds(), "nobody else takes a master out");
    }

    #[tokio::test(start_paused = true)]
    async fn it_holds_from_when_was_asked_and_not_from_when_was_answered() {
        let lease = Lease::to_renew();
        assert!(!lease.holds());
        let asked = Instant::now();
        tokio::time::advance(LEASE / 2).await;
        lease.renew(asked);
        assert!(lease.holds());
        tokio::time::advance(LEASE / 2).await;
        assert!(!lease.holds());
        assert!(!lease.wait(LEASE).await);
        lease.renew(Instant::now());
        assert!(lease.wait(LEASE).await);
        lease.renew(asked);
        assert!(lease.holds(), "an older answer takes nothing away");
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_single_process_it_always_holds() {
        let lease = Lease::for_ever();
        tokio::time::advance(LEASE * 1_000_000).await;
        assert!(lease.holds());
    }
}
