//! What an operator asks about what is owed to a master.

use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;

impl Supervisor {
    /// Tells the queue how the masters stand.
    pub(super) fn tell_queue(&self) {
        use stdx::ids::Id as _;
        let view = self.membership.view();
        let now = self.shared.now();
        let next_try = |at: usize| -> Option<Duration> {
            let tried = &self.tries[at];
            let pause = tried.at.saturating_duration_since(Instant::now());
            tried.bringing.is_none().then_some(pause)
        };
        let mut pending = self.shared.queue.pending();
        if !pending.lacks_any() {
            self.shared.queue.nothing_owed();
        }
        // Of one that was away when the store was opened nobody knows what it has.
        let opening = self.shared.view().masters.is_empty();
        let has = (!opening).then(|| self.shared.new_txid().uuid());
        pending.see(now, &view.masters, has, next_try);
        drop(pending);
        let may_write = self.shared.may_write(view).is_ok();
        let first = view.serving().first().copied().filter(|_| may_write);
        self.shared.numbers.writes_go_to(first);
    }

    /// A master that is away is tried now, and not after its pause.
    pub(super) fn hurry(&mut self, at: usize) {
        if self.may_be_tried(at) {
            self.tries[at].at = Instant::now();
            self.tries[at].backoff.reset();
            self.tell_queue();
        }
    }
}
