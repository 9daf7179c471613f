//! Where locks are.

#[cfg(feature = "redis")]
pub(crate) mod redis;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use multi_master::{Db, DbError, MultiMaster, Tx, WriteError};
use stdx::Clock;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fence::Fence;
use crate::store;

/// Nobody can be asked, or nobody knows what came of it. It says nothing about who has the
/// lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// What came of asking for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Got(Fence),
    /// Somebody has it, for as long at most unless they renew it.
    Busy {
        left: Option<Duration>,
    },
}

pub(crate) enum Backend {
    Local(Local),
    Masters(MultiMaster),
    #[cfg(feature = "redis")]
    Redis(Box<redis::Redis>),
}

impl Backend {
    pub(crate) async fn acquire(
        &self,
        name: &str,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<Asked, Unavailable> {
        match self {
            Self::Local(local) => Ok(local.acquire(name, owner, ttl)),
            Self::Masters(store) => {
                let name = name.to_owned();
                let asked = store
                    .write(async move |tx: &mut Tx| store::acquire(tx, &name, owner, ttl).await);
                match asked.await.into_result() {
                    Ok(asked) => Ok(asked),
                    // Somebody was the first to have this lock, at the same time.
                    Err(WriteError::NotSaved(DbError::Duplicate { .. } | DbError::Busy)) => {
                        Ok(Asked::Busy { left: None })
                    }
                    Err(error) => Err(Unavailable(error.to_string())),
                }
            }
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.acquire(name, owner, ttl).await,
        }
    }

    /// Holds it for as long from now on; false where this owner has it no more.
    pub(crate) async fn extend(
        &self,
        name: &str,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<bool, Unavailable> {
        match self {
            Self::Local(local) => Ok(local.extend(name, owner, ttl)),
            Self::Masters(store) => hold_for(store, name, owner, ttl).await,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.extend(name, owner, ttl).await,
        }
    }

    /// Whether this owner has it still.
    pub(crate) async fn holds(&self, name: &str, owner: Uuid) -> Result<bool, Unavailable> {
        match self {
            Self::Local(local) => Ok(local.holds(name, owner)),
            Self::Masters(store) => {
                let name = name.to_owned();
                let held =
                    store.read(async move |db: &mut Db| store::holds(db, &name, owner).await);
                held.await.map_err(|error: DbError| Unavailable(error.to_string()))
            }
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.holds(name, owner).await,
        }
    }

    /// Lets it go where that takes no time; false where it has to be asked for.
    pub(crate) fn release_at_once(&self, name: &str, owner: Uuid) -> bool {
        let is_local = matches!(self, Self::Local(_));
        if let Self::Local(local) = self {
            local.release(name, owner);
        }
        is_local
    }

    /// Lets it go; false where this owner had it no more.
    pub(crate) async fn release(&self, name: &str, owner: Uuid) -> Result<bool, Unavailable> {
        match self {
            Self::Local(local) => Ok(local.release(name, owner)),
            Self::Masters(store) => hold_for(store, name, owner, Duration::ZERO).await,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.release(name, owner).await,
        }
    }
}

async fn hold_for(
    store: &MultiMaster,
    name: &str,
    owner: Uuid,
    ttl: Duration,
) -> Result<bool, Unavailable> {
    let name = name.to_owned();
    let held = store.write(async move |tx: &mut Tx| store::hold_for(tx, &name, owner, ttl).await);
    held.await.into_result().map_err(|error| Unavailable(error.to_string()))
}

/// The locks of one process.
pub(crate) struct Local {
    clock: Clock,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    by_name: HashMap<String, (Uuid, Instant)>,
    last: Fence,
}

impl Local {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire(&self, name: &str, owner: Uuid, ttl: Duration) -> Asked {
        let now = Instant::now();
        let held = &mut *self.held();
        match held.by_name.entry(name.to_owned()) {
            Entry::Occupied(there) if there.get().1 > now => {
                return Asked::Busy { left: Some(there.get().1 - now) };
            }
            Entry::Occupied(mut there) => drop(there.insert((owner, now + ttl))),
            Entry::Vacant(vacant) => drop(vacant.insert((owner, now + ttl))),
        }
        // Not below those of the process before this one.
        let time = u64::try_from(self.clock.now().0).unwrap_or(0);
        held.last = Fence((held.last.0 + 1).max(time));
        Asked::Got(held.last)
    }

    fn holds(&self, name: &str, owner: Uuid) -> bool {
        let now = Instant::now();
        self.held().by_name.get(name).is_some_and(|(of, until)| *of == owner && *until > now)
    }

    fn extend(&self, name: &str, owner: Uuid, ttl: Duration) -> bool {
        let now = Instant::now();
        let mut held = self.held();
        let mine = held.by_name.get_mut(name).filter(|(of, until)| *of == owner && *until > now);
        let is_mine = mine.is_some();
        if let Some((_, until)) = mine {
            *until = now + ttl;
        }
        is_mine
    }

    fn release(&self, name: &str, owner: Uuid) -> bool {
        let now = Instant::now();
        let mut held = self.held();
        match held.by_name.entry(name.to_owned()) {
            Entry::Occupied(there) if there.get().0 == owner => there.remove().1 > now,
            _ => false,
        }
    }
}
