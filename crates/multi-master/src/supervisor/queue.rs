//! What an operator asks about what is owed to a master.

use std::time::Duration;

use tokio::time::Instant;

use super::{Supervisor, why};
use crate::config::Policy;
use crate::sqlite::IfAbsent;
use crate::tables;

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

    /// Marks a master that is away, so that it is filled anew when it is back,
    /// on each master that serves.
    pub(super) async fn mark_for_copy(&mut self, at: usize) -> Result<(), String> {
        let view = self.membership.view();
        let name = view.masters[at].name.clone();
        if self.shared.policy == Policy::All {
            return Err("under the policy `all` nothing is written while a master is away, so \
                        nothing is owed to it"
                .to_owned());
        }
        if view.serves(at) {
            return Err(format!("{name} serves, and has everything"));
        }
        if self.tries[at].bringing.is_some() {
            return Err(format!("{name} is being brought back: see what comes of that first"));
        }
        let serving = view.serving();
        if serving.is_empty() {
            return Err("no master serves, from which it could be filled".to_owned());
        }
        let mark = self.shared.new_txid();
        for on in serving {
            let marked = async {
                let mut link = self.shared.connect(on, IfAbsent::Refuse).await?;
                tables::mark_for_copy(&mut link, &name, mark.to_string()).await
            };
            marked.await.map_err(|fault| {
                format!("{}: {}", self.membership.view().masters[on].name, why(fault))
            })?;
        }
        self.shared.queue.pending().dropped(at);
        Ok(())
    }

    /// The masters that serve forget that one was to be filled, which it was. One
    /// that does not forget it is no harm: the mark is spent.
    pub(super) async fn forget_mark(&self, at: usize) {
        let name = &self.membership.view().masters[at].name;
        for on in self.membership.view().serving() {
            let forgotten = async {
                let mut link = self.shared.connect(on, IfAbsent::Refuse).await?;
                if tables::mark(&mut link, name).await?.is_some() {
                    tables::forget_mark(&mut link, name).await?;
                }
                Ok::<_, crate::fault::Fault>(())
            };
            if let Err(fault) = forgotten.await {
                tracing::debug!(why = why(fault), "a mark that is spent was not taken away");
            }
        }
    }
}
