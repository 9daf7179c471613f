//! Who listens for changes of which account.
//!
//! A push of this process tells listeners at once. Changes by other processes, and
//! by other ways than a push, are found by looking at the accounts that have
//! listeners, each second: [`SyncServer::watch`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use multi_master::Db;
use sync::model::{AccountId, Version};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::domain::Domain;
use crate::{SyncError, SyncServer, store};

/// How often the accounts that have listeners are looked at.
pub const WATCHED_EVERY: Duration = Duration::from_secs(1);
/// Accounts that one read looks at.
const WATCHED_AT_ONCE: usize = 500;
/// Listeners of one account at most.
pub const LISTENERS_MAX: usize = 50;

type Senders = HashMap<AccountId, watch::Sender<Version>>;

/// By account, the last change that its listeners were told of. None once nobody may
/// listen any more.
#[derive(Debug)]
pub(crate) struct Listeners(Mutex<Option<Senders>>);

impl Default for Listeners {
    fn default() -> Self {
        Self(Mutex::new(Some(Senders::new())))
    }
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, Option<Senders>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(
        &self,
        account: AccountId,
        head: Version,
    ) -> Result<watch::Receiver<Version>, SyncError> {
        let mut all = self.lock();
        let all = all.as_mut().ok_or(SyncError::Stopping)?;
        let sender = all.entry(account).or_insert_with(|| watch::Sender::new(head));
        if sender.receiver_count() >= LISTENERS_MAX {
            return Err(SyncError::TooManyListeners);
        }
        raise(sender, head);
        Ok(sender.subscribe())
    }

    pub(crate) fn tell(&self, account: AccountId, head: Version) {
        if let Some(sender) = self.lock().as_ref().and_then(|all| all.get(&account)) {
            raise(sender, head);
        }
    }

    /// The accounts that somebody listens to; what nobody listens to is forgotten.
    fn accounts(&self) -> Vec<AccountId> {
        let mut all = self.lock();
        let Some(all) = all.as_mut() else { return Vec::new() };
        all.retain(|_, sender| sender.receiver_count() > 0);
        all.keys().copied().collect()
    }
}

fn raise(sender: &watch::Sender<Version>, head: Version) {
    sender.send_if_modified(|known| {
        let later = head > *known;
        *known = head.max(*known);
        later
    });
}

impl<D: Domain> SyncServer<D> {
    /// Listens for changes of an account: the last change now, and each later one,
    /// or the last of several.
    ///
    /// # Errors
    /// [`SyncError::Db`]; [`SyncError::TooManyListeners`];
    /// [`SyncError::Stopping`] after [`SyncServer::stop_listening`].
    pub async fn listen(&self, account: AccountId) -> Result<watch::Receiver<Version>, SyncError> {
        let head = self.head(account).await?;
        self.0.listeners.listen(account, head)
    }

    /// Everybody who listens hears that it is over.
    pub fn stop_listening(&self) {
        self.0.listeners.lock().take();
    }

    /// Looks for ever what changed by other ways than a push to this process.
    pub async fn watch(&self) -> Infallible {
        let mut each = tokio::time::interval(WATCHED_EVERY);
        each.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            each.tick().await;
            for some in self.0.listeners.accounts().chunks(WATCHED_AT_ONCE) {
                let some = some.to_vec();
                let heads =
                    self.0.store.read(async move |db: &mut Db| store::heads(db, &some).await);
                match heads.await {
                    Ok(heads) => {
                        for (account, head) in heads {
                            self.0.listeners.tell(account, head);
                        }
                    }
                    Err(error) => tracing::debug!(%error, "who listens is told later"),
                }
            }
        }
    }
}
