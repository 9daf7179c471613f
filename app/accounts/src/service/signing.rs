//! The ring of signing keys, shared by all processes through the store.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use multi_master::{Db, Tx};
use stdx::UnixMicros;
use tokio::sync::Mutex;

use super::{AccountsError, Inner};
use crate::keys::{Claims, KeyRing, KeySeed, Refused, StoredKey};
use crate::store;

/// Tokens with keys that are not known make a process look into the store, and
/// at most this often.
const RELOAD_EVERY: Duration = Duration::from_secs(1);

/// This process's copy of the ring. Empty until it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    ring: RwLock<Arc<KeyRing>>,
    /// Held while the ring is read from the store or a key is made, so that a
    /// burst of requests does it once.
    loaded_at: Mutex<Option<UnixMicros>>,
}

impl Signing {
    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, ring: KeyRing) -> Arc<KeyRing> {
        let ring = Arc::new(ring);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&ring);
        ring
    }
}

impl Inner {
    /// The ring, with a key that is young enough to sign.
    pub(super) async fn signing_ring(&self) -> Result<Arc<KeyRing>, AccountsError> {
        let fresh = |ring: &KeyRing| ring.is_fresh(self.clock.now(), self.config.rotate_keys_after);
        let ring = self.signing.ring();
        if fresh(&ring) {
            return Ok(ring);
        }
        let mut loaded_at = self.signing.loaded_at.lock().await;
        // Others may have been faster: first here, then elsewhere.
        let ring = self.signing.ring();
        if fresh(&ring) {
            return Ok(ring);
        }
        let ring = self.load(&mut loaded_at).await?;
        if fresh(&ring) {
            return Ok(ring);
        }
        match self.add_key().await {
            Ok(()) => self.load(&mut loaded_at).await,
            // An old key signs as well as a new one; the next log-in tries again.
            Err(error) if !ring.is_empty() => {
                tracing::warn!(%error, "the signing key is due for rotation, and no new one could be saved");
                Ok(ring)
            }
            Err(error) => Err(error),
        }
    }

    /// What an access token says, where it holds now.
    pub(super) async fn claims(&self, token: &str) -> Result<Claims, AccountsError> {
        let now = self.clock.now();
        let verified = match self.signing.ring().verify(token, now) {
            Err(Refused::UnknownKey) => self.reloaded_ring(now).await?.verify(token, now),
            verified => verified,
        };
        verified.map_err(|refused| match refused {
            Refused::Expired => AccountsError::TokenExpired,
            Refused::Invalid | Refused::UnknownKey => AccountsError::Unauthorized,
        })
    }

    async fn reloaded_ring(&self, now: UnixMicros) -> Result<Arc<KeyRing>, AccountsError> {
        let mut loaded_at = self.signing.loaded_at.lock().await;
        let just_now = |at: UnixMicros| at <= now && now < at.after(RELOAD_EVERY);
        if loaded_at.is_some_and(just_now) {
            return Ok(self.signing.ring());
        }
        self.load(&mut loaded_at).await
    }

    async fn load(
        &self,
        loaded_at: &mut Option<UnixMicros>,
    ) -> Result<Arc<KeyRing>, AccountsError> {
        let keys = self.store.read(async move |db: &mut Db| store::keys(db).await).await?;
        let ring = KeyRing::new(keys).map_err(|error| AccountsError::Broken(error.to_string()))?;
        *loaded_at = Some(self.clock.now());
        Ok(self.signing.set(ring))
    }

    async fn add_key(&self) -> Result<(), AccountsError> {
        let now = self.clock.now();
        let rotate_after = self.config.rotate_keys_after;
        let key =
            StoredKey { id: self.ids.next(), created_at: now, seed: KeySeed(self.random.bytes()) };
        self.store
            .write(async move |tx: &mut Tx| {
                let young = |stored: &StoredKey| now < stored.created_at.after(rotate_after);
                if store::keys(tx).await?.iter().any(young) {
                    return Ok(());
                }
                store::insert_key(tx, &key).await?;
                Ok::<_, AccountsError>(())
            })
            .await
            .into_result()?;
        Ok(())
    }
}
