//! Deleting what has expired.

use multi_master::{Db, Tx};

use super::{AccountsError, AccountsService};
use crate::keys::superfluous;
use crate::store;

/// The most rows of each kind that one [`AccountsService::tidy`] deletes.
pub const TIDY_ROWS_MAX: u32 = 500;

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Sessions that nobody refreshed.
    pub sessions: usize,
    /// Reset tokens that nobody used.
    pub reset_tokens: usize,
    /// Signing keys that no token in use needs.
    pub keys: usize,
}

impl Tidied {
    /// Whether there may be more to delete.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let full = usize::try_from(TIDY_ROWS_MAX).unwrap_or(usize::MAX);
        self.sessions >= full || self.reset_tokens >= full
    }
}

impl AccountsService {
    /// Deletes some of what has expired; where there is nothing it costs three
    /// reads of indexes. To be called every few minutes, and again at once
    /// while [`Tidied::is_full`]. Expired rows do no harm but take room.
    pub async fn tidy(&self) -> Result<Tidied, AccountsError> {
        let now = self.0.clock.now();
        let access_life = self.0.config.access_life;
        let read = self.0.store.read(async move |db: &mut Db| {
            let keys = store::keys(db).await?;
            let created: Vec<_> = keys.iter().map(|key| (key.id, key.created_at)).collect();
            let sessions = store::expired_sessions(db, now, 1).await?;
            let resets = store::expired_reset_tokens(db, now, 1).await?;
            let keys = superfluous(&created, now, access_life);
            Ok::<_, AccountsError>((keys, !sessions.is_empty() || !resets.is_empty()))
        });
        let (keys, some_expired) = read.await?;
        if keys.is_empty() && !some_expired {
            return Ok(Tidied::default());
        }
        let write = self.0.store.write(async move |tx: &mut Tx| {
            let mut tidied = Tidied::default();
            for session in store::expired_sessions(tx, now, TIDY_ROWS_MAX).await? {
                tidied.sessions += usize::from(store::delete_session(tx, session).await?);
            }
            for token in store::expired_reset_tokens(tx, now, TIDY_ROWS_MAX).await? {
                tidied.reset_tokens += usize::from(store::delete_reset_token(tx, &token).await?);
            }
            for key in &keys {
                tidied.keys += usize::from(store::delete_key(tx, *key).await?);
            }
            Ok::<_, AccountsError>(tidied)
        });
        Ok(write.await.into_result()?)
    }
}
