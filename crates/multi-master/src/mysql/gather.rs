//! Which writes share a transaction.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::job::WriteJob;

/// Writes that share one transaction. More would make the first wait for the
/// last.
const GROUP_MAX: usize = 64;
/// Groups that have a turn at one time. More would be smaller ones, and
/// wait for each other's rows; with one alone the primary has nothing to do while
/// an answer is on its way.
const TURNS: usize = 2;
/// A group that runs for longer waits for a lock or for a server far away, and
/// the next one does not wait for it.
pub(super) const TURN_MAX: Duration = Duration::from_millis(20);

/// Takes the writes that wait as one group, and then those that came while it
/// ran.
///
/// Groups take turns on the primary, up to the point at which they hold all
/// their locks there: one commits while the next one runs.
pub(super) struct Gather {
    turns: Arc<Semaphore>,
    /// How many the next group has at most: one after writes met others in their
    /// rows, then one more with each group that goes through.
    most: Cell<usize>,
}

impl Gather {
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(TURNS)), most: Cell::new(GROUP_MAX) }
    }

    pub(super) async fn turn(&self) -> Turn {
        Turn(RefCell::new(Arc::clone(&self.turns).acquire_owned().await.ok()))
    }

    /// The next group, when its turn has come. `None` when there will be no more.
    pub(super) async fn next(
        &self,
        inbox: &mut mpsc::UnboundedReceiver<Box<dyn WriteJob>>,
    ) -> Option<(Vec<Box<dyn WriteJob>>, Turn)> {
        let mut group = vec![inbox.recv().await?];
        let turn = self.turn().await;
        while group.len() < self.most.get()
            && let Ok(next) = inbox.try_recv()
        {
            group.push(next);
        }
        Some((group, turn))
    }

    pub(super) fn went_through(&self, writes: usize) {
        if writes >= self.most.get() {
            self.most.set((self.most.get() + 1).min(GROUP_MAX));
        }
    }

    /// Others held the rows of a group: one write that waits for them is not to
    /// keep others waiting.
    pub(super) fn conflicted(&self) {
        self.most.set(1);
    }
}

/// The right to run on the primary.
pub(super) struct Turn(RefCell<Option<OwnedSemaphorePermit>>);

impl Turn {
    /// Of those who run without one.
    pub(super) fn over() -> Self {
        Self(RefCell::new(None))
    }

    /// Lets the next group run. This one may go on.
    pub(super) fn end(&self) {
        self.0.take();
    }
}
