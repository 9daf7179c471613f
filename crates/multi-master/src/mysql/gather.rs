//! Which writes share a transaction.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::job::WriteJob;
use crate::membership::View;
use crate::shared::Shared;

/// Writes that share one transaction. More would make the first wait for the
/// last.
const GROUP_MAX: usize = 64;
/// Groups that have a turn at one time, where the primary goes first. More would be
/// smaller ones, and wait for each other's rows; with one alone the primary has
/// nothing to do while an answer is on its way.
const TURNS: u32 = 2;
/// A group that runs for longer waits for a lock or for a server far away, and
/// the next one does not wait for it.
pub(super) const TURN_MAX: Duration = Duration::from_millis(20);

/// Takes the writes that wait as one group, and then those that came while it
/// ran.
///
/// Groups take turns: where the primary goes first, up to the point at which they
/// hold all their locks there, so that one commits while the next one runs; else up
/// to their end. None keeps its turn for longer than [`TURN_MAX`].
pub(super) struct Gather {
    turns: Arc<Semaphore>,
    /// How many the next group has at most: one after writes met others in their
    /// rows, then one more with each group that goes through.
    most: Cell<usize>,
}

impl Gather {
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(TURNS as usize)), most: Cell::new(GROUP_MAX) }
    }

    /// A turn, which is one of several where the primary goes first, and the only
    /// one where a group can be on all masters at the same time.
    pub(super) async fn turn(&self, shared: &Shared) -> Turn {
        let turns = if may_be_at_once(shared, &shared.view()) { TURNS } else { 1 };
        Turn(RefCell::new(Arc::clone(&self.turns).acquire_many_owned(turns).await.ok()))
    }

    /// The next group, when its turn has come. `None` when there will be no more.
    pub(super) async fn next(
        &self,
        inbox: &mut mpsc::UnboundedReceiver<Box<dyn WriteJob>>,
        shared: &Shared,
    ) -> Option<(Vec<Box<dyn WriteJob>>, Turn)> {
        let mut group = vec![inbox.recv().await?];
        let turn = self.turn(shared).await;
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

/// Whether a group that is alone sends its statements to all masters at the same
/// time: where no other process writes, and there is more than one master.
pub(super) fn may_be_at_once(shared: &Shared, view: &View) -> bool {
    !shared.among_others && view.serving().len() > 1
}

/// The right to run.
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
