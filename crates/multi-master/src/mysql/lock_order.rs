//! Which groups of writes take locks on one master after the other, and which one
//! takes them on all at the same time.
//!
//! Groups that take locks on the primary first wait there for each other, and
//! nowhere in a circle. A group that takes them everywhere at the same time saves a
//! round trip, but two of these, or one of each kind, might each wait for what the
//! other holds on another master. So it does that only while it is alone.

use tokio::sync::{Semaphore, SemaphorePermit};

/// More than there ever are at a time.
const ALL: u32 = 1 << 20;

#[derive(Debug)]
pub(super) struct LockOrder(Semaphore);

/// The right to take locks on one master after the other, in their order.
pub(super) struct InOrder<'a> {
    order: &'a LockOrder,
    _one: SemaphorePermit<'a>,
}

/// The right to take locks on all masters at the same time, while nobody else
/// takes any.
pub(super) struct AtOnce<'a> {
    _rest: SemaphorePermit<'a>,
}

impl Default for LockOrder {
    fn default() -> Self {
        Self(Semaphore::new(ALL as usize))
    }
}

impl LockOrder {
    /// Waits while somebody takes locks on all masters at the same time.
    pub(super) async fn in_order(&self) -> InOrder<'_> {
        let one = self.0.acquire().await.expect("it is never closed");
        InOrder { order: self, _one: one }
    }
}

impl InOrder<'_> {
    /// Whether nobody else is in order just now.
    pub(super) fn is_alone(&self) -> bool {
        self.order.0.available_permits() == ALL as usize - 1
    }

    /// Where nobody else is in order just now, nobody will be until this ends.
    pub(super) fn at_once(&self) -> Option<AtOnce<'_>> {
        let rest = self.order.0.try_acquire_many(ALL - 1).ok()?;
        Some(AtOnce { _rest: rest })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::LockOrder;

    #[test]
    fn who_takes_locks_at_once_is_alone() {
        let order = LockOrder::default();
        let first = order.in_order().now_or_never().unwrap();
        {
            let second = order.in_order().now_or_never().unwrap();
            assert!(first.at_once().is_none());
            assert!(second.at_once().is_none());
            assert!(!first.is_alone());
        }
        assert!(first.is_alone());
        let alone = first.at_once().unwrap();
        let mut third = std::pin::pin!(order.in_order());
        assert!((&mut third).now_or_never().is_none());
        drop(alone);
        let third = third.now_or_never().unwrap();
        assert!(third.at_once().is_none());
        drop(first);
        assert!(third.at_once().is_some());
    }
}
