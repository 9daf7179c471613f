//! Asking for a lock, and waiting for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use multi_master::MultiMaster;
use stdx::{Clock, IdSource, Random};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::backend::{Asked, Backend, Local, Unavailable};
use crate::guard::{Guard, Held};

/// The longest name of a lock.
pub const NAME_CHARS_MAX: u32 = 200;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Config {
    /// For how long a lock is held that nobody renews. 100 ms to 10 min; default 30 s.
    pub ttl: Duration,
    /// How often it is looked whether a lock is still there, between renewals: its holder is
    /// told within this, and an answer, that its place has lost it. Default 700 ms.
    pub look_every: Duration,
    /// The first pause of who waits; it doubles with each further one. Default 10 ms.
    pub pause_base: Duration,
    /// No pause is longer. Default 1 s.
    pub pause_max: Duration,
    /// How long the answer to a request may take. 10 ms to 10 s, and at most a quarter of
    /// [`Config::ttl`]; default 1 s.
    pub request_max: Duration,
    /// Names in Redis begin so. Default `endpaper:lock:`.
    pub prefix: String,
    /// For the ids of owners, and the first numbers of locks in one process.
    pub clock: Clock,
    /// For pauses, and the ids of owners.
    pub random: Random,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            look_every: Duration::from_millis(700),
            pause_base: Duration::from_millis(10),
            pause_max: Duration::from_secs(1),
            request_max: Duration::from_secs(1),
            prefix: "endpaper:lock:".to_owned(),
            clock: Clock::real(),
            random: Random::secret(),
        }
    }
}

const TTL_MIN: Duration = Duration::from_millis(100);
const TTL_MAX: Duration = Duration::from_mins(10);
const REQUEST_MIN: Duration = Duration::from_millis(10);
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Locks can't be had so: a mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub String);

/// A lock was not got.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it, and had it for as long as was waited.
    #[error("somebody else has the lock `{0}`")]
    Busy(String),
    /// Nobody could be asked, or nobody knows what came of it. It is not waited for: whoever
    /// can go on without the lock does so at once.
    #[error("the lock `{name}` can't be asked for: {why}")]
    Unavailable {
        /// Which.
        name: String,
        /// Why.
        why: Unavailable,
    },
    /// No lock is called so.
    #[error(
        "`{0}` is no name of a lock: 1 to {NAME_CHARS_MAX} characters, none of them a control character"
    )]
    Name(String),
    /// The locks are closed.
    #[error("the process stops")]
    Closed,
    /// The configuration can't be right.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl LockError {
    /// Whether somebody else has it.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    /// Whether nobody could be asked.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Locks, in one place. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Locks(Arc<Inner>);

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// What the guards of a process share.
pub(crate) struct Inner {
    pub(crate) backend: Backend,
    pub(crate) config: Config,
    ids: IdSource,
    /// Within a process those who want the same lock wait for each other, and one of them asks.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Those that are held, by their owner; none once it is closed.
    held: Mutex<Option<HashMap<Uuid, Weak<Held>>>>,
    /// What sees to it that those are renewed that are held for long.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// The turn of one of those who want a lock, in this process.
pub(crate) struct Turn {
    inner: Arc<Inner>,
    name: String,
    mine: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.mine.take());
        let mut turns = self.inner.turns();
        // Whoever waits has a copy.
        if turns.get(&self.name).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.name);
        }
    }
}

impl Inner {
    fn turns(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has to see to it that what is held is renewed. Most locks are held for
    /// moments, and cost nothing for it: a task of its own has only what is still held when
    /// the keeper comes by.
    pub(crate) fn keep(self: &Arc<Self>) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        // It ends with the runtime that it was started in.
        if keeper.as_ref().is_some_and(|keeper| !keeper.is_finished()) {
            return;
        }
        let (inner, every) =
            (Arc::downgrade(self), self.config.look_every.min(self.config.ttl / 10));
        *keeper = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(inner) = inner.upgrade() else { return };
                let held: Vec<_> =
                    inner.held().iter().flatten().filter_map(|(_, held)| held.upgrade()).collect();
                for held in held {
                    held.care();
                }
            }
        }));
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Option<HashMap<Uuid, Weak<Held>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock that is asked for. Dropped before it is known what came of it, it is let go: nobody
/// may have waited for the answer, or there was none.
struct Asking<'a> {
    inner: &'a Arc<Inner>,
    name: &'a str,
    owner: Uuid,
    is_known: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.is_known {
            return;
        }
        let (inner, name, owner) = (Arc::clone(self.inner), self.name.to_owned(), self.owner);
        // Where it can't be told, its time is up some time.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let limit = inner.config.request_max;
                let _ = tokio::time::timeout(limit, inner.backend.release(&name, owner)).await;
            });
        }
    }
}

impl Locks {
    /// In this process alone.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn local(config: Config) -> Result<Self, SetupError> {
        let backend = Backend::Local(Local::new(config.clock.clone()));
        Self::new(backend, config)
    }

    /// In the masters, by the clock of the database: in a store that was opened with
    /// [`crate::MIGRATIONS`] among its migrations.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn masters(store: MultiMaster, config: Config) -> Result<Self, SetupError> {
        Self::new(Backend::Masters(store), config)
    }

    /// In a Redis server, as `redis://host:6379`. It is not asked yet.
    ///
    /// # Errors
    /// [`SetupError`].
    #[cfg(feature = "redis")]
    pub fn redis(url: &str, config: Config) -> Result<Self, SetupError> {
        let (prefix, limit) = (config.prefix.clone(), config.request_max);
        let redis = crate::backend::redis::Redis::new(url, prefix, limit).map_err(SetupError)?;
        Self::new(Backend::Redis(Box::new(redis)), config)
    }

    fn new(backend: Backend, config: Config) -> Result<Self, SetupError> {
        let no = |why: &str| Err(SetupError(why.to_owned()));
        if !(TTL_MIN..=TTL_MAX).contains(&config.ttl) {
            return no("a lock is held for 100 ms at least and 10 min at most");
        }
        if !(REQUEST_MIN..=REQUEST_MAX).contains(&config.request_max) {
            return no("the answer of a lock is waited for 10 ms at least and 10 s at most");
        }
        if config.request_max > config.ttl / 4 {
            return no(
                "the answer of a lock is waited for at most a quarter of the time that it is held: \
                 it has to be renewed in time",
            );
        }
        if config.look_every < REQUEST_MIN {
            return no("it is looked every 10 ms at most whether a lock is still there");
        }
        if config.pause_base.is_zero() || config.pause_base > config.pause_max {
            return no("the first pause of who waits is above zero, and not above the longest");
        }
        let ids = IdSource::new(config.clock.clone(), config.random.clone());
        let (turns, held) = (Mutex::default(), Mutex::new(Some(HashMap::new())));
        let keeper = Mutex::default();
        Ok(Self(Arc::new(Inner { backend, config, ids, turns, held, keeper })))
    }

    /// Gets a lock if nobody has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn try_lock(&self, name: &str) -> Result<Guard, LockError> {
        self.lock(name, Duration::ZERO).await
    }

    /// Gets a lock, and waits for it for as long at most.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn lock(&self, name: &str, wait: Duration) -> Result<Guard, LockError> {
        let chars = name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX as usize || name.chars().any(char::is_control) {
            return Err(LockError::Name(name.chars().take(50).collect()));
        }
        let until = Instant::now() + wait;
        let turn = self.turn(name, until).await?;
        let (inner, config) = (&self.0, &self.0.config);
        let mut asked = 0;
        loop {
            if inner.held().is_none() {
                return Err(LockError::Closed);
            }
            let (owner, sent) = (inner.ids.next_uuid(), Instant::now());
            let mut asking = Asking { inner, name, owner, is_known: false };
            let answer = inner.backend.acquire(name, owner, config.ttl);
            let why = match tokio::time::timeout(config.request_max, answer).await {
                Ok(Ok(Asked::Got(fence))) => {
                    asking.is_known = true;
                    return Guard::new(inner, turn, name, owner, fence, sent)
                        .ok_or(LockError::Closed);
                }
                Ok(Ok(Asked::Busy { left })) => {
                    asking.is_known = true;
                    let now = Instant::now();
                    if now >= until {
                        return Err(LockError::Busy(name.to_owned()));
                    }
                    // Who has it may be gone: then it is free when its time is up.
                    let pause = self.pause(asked).min(left.unwrap_or(Duration::MAX));
                    asked += 1;
                    let pause = pause.max(Duration::from_millis(1)).min(until - now);
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Ok(Err(why)) => why,
                Err(_) => Unavailable(format!("no answer within {:?}", config.request_max)),
            };
            return Err(LockError::Unavailable { name: name.to_owned(), why });
        }
    }

    async fn turn(&self, name: &str, until: Instant) -> Result<Turn, LockError> {
        let turn = Arc::clone(self.0.turns().entry(name.to_owned()).or_default());
        let mut taken = Turn { inner: Arc::clone(&self.0), name: name.to_owned(), mine: None };
        let busy = || LockError::Busy(name.to_owned());
        taken.mine = Some(match Arc::clone(&turn).try_lock_owned() {
            Ok(got) => got,
            Err(_) => {
                tokio::time::timeout_at(until, turn.lock_owned()).await.map_err(|_| busy())?
            }
        });
        Ok(taken)
    }

    /// Growing, and a quarter more or less by chance.
    fn pause(&self, asked: u32) -> Duration {
        let config = &self.0.config;
        let doubled = config.pause_base.saturating_mul(2u32.saturating_pow(asked));
        let pause = doubled.min(config.pause_max);
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        let least = micros - micros / 4;
        let pause = Duration::from_micros(least + config.random.below(micros / 2 + 1));
        pause.min(config.pause_max)
    }

    /// Releases every lock of this process, whose holders are told that they have lost it, and
    /// gives no more.
    pub async fn close(&self) {
        let held = self.0.held().take();
        for held in held.into_iter().flatten().filter_map(|(_, held)| held.upgrade()) {
            held.give_up().await;
        }
    }
}
