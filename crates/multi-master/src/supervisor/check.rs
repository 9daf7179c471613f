//! Asking the masters that serve whether they still can.
//!
//! Each is asked by a task of its own. A server that is frozen answers nobody, and whoever
//! finds that out by a write reports it to the supervisor, which has to hear it at once.

use std::sync::Arc;

use super::ownership::{NotOurs, Ownership};
use super::{Supervisor, why};
use crate::fault::Fault;
use crate::shared::{Command, Failed, Shared};
use crate::sqlite::IfAbsent;
use crate::tables;

/// What a master said that was asked.
#[derive(Debug)]
pub(crate) struct Checked {
    at: usize,
    /// The generation of the view under which it was asked.
    generation: u64,
    /// The epoch that was in force then.
    since: u64,
    /// At which epoch it is.
    epoch: Result<Option<u64>, Fault>,
    /// Another process has it open with a witness of its own.
    taken: bool,
}

impl Supervisor {
    /// A master that fails while nobody uses it is found out so, and so is a file that
    /// was deleted or replaced.
    pub(super) fn check_those_serving(&mut self) {
        let generation = self.membership.view().generation;
        for at in self.membership.view().serving() {
            if self.tries[at].check.as_ref().is_some_and(|check| !check.is_finished()) {
                continue;
            }
            let (shared, ownership) = (Arc::clone(&self.shared), self.ownership.clone());
            let since = self.epoch_in_force;
            self.tries[at].check = Some(tokio::task::spawn_local(async move {
                let epoch = epoch_of(&shared, at).await;
                let taken = epoch.is_ok() && is_taken(&ownership, &shared, at).await;
                let checked = Checked { at, generation, since, epoch, taken };
                drop(shared.supervisor.send(Command::Checked(checked)));
            }));
        }
    }

    pub(super) async fn checked(&mut self, checked: Checked) {
        let Checked { at, generation, since, epoch, taken } = checked;
        if !self.membership.is_news(at, generation) {
            return;
        }
        if let Some(wrong) = self.wrong(epoch, since) {
            self.failed(at, generation, Failed::Connection(wrong)).await;
        } else if taken {
            self.take_out(at, NotOurs::Taken.why());
            self.put_in_force().await;
        }
    }

    /// Why a master can't serve that says this of its epoch, and was asked when the epoch
    /// `since` was in force; `None` where it can.
    pub(super) fn wrong(&self, said: Result<Option<u64>, Fault>, since: u64) -> Option<String> {
        let [_, epoch] = self.membership.epochs();
        match said {
            // What is to come may be there already or not yet; that another process
            // has gone on is about to be heard.
            Ok(Some(now)) if now >= since && (now <= epoch || self.shared.among_others) => None,
            Ok(now) => Some(format!(
                "its epoch is {} and should be {epoch}: something else wrote to it",
                now.unwrap_or(0)
            )),
            // It answers; others only hold what was to be read.
            Err(Fault::Busy) => None,
            Err(fault) => Some(why(fault)),
        }
    }
}

/// At which epoch a master is.
pub(super) async fn epoch_of(shared: &Shared, at: usize) -> Result<Option<u64>, Fault> {
    let mut link = shared.connect(at, IfAbsent::Refuse).await?;
    tables::epoch(&mut link).await
}

async fn is_taken(ownership: &Ownership, shared: &Shared, at: usize) -> bool {
    !ownership.taken(shared, &[at]).await.is_empty()
}
