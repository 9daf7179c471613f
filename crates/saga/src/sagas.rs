//! The orchestrator: starts sagas, drives them, takes over those that others left.

mod operator;
mod recovery;
mod view;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use multi_master::{DbError, MultiMaster, TxId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stdx::{Clock, IdSource, Random, UnixMicros};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use uuid::Uuid;

use crate::crash::Crash;
use crate::definition::{Definition, DefinitionError, Program};
use crate::drive::{Begun, Drive, Halt};
use crate::model::{Fence, SagaId, SagaState};
use crate::store::{self, Known};
use crate::wire::{self, JsonError};

pub use self::operator::DecideError;
pub use self::view::{SagaView, StepView};

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Config {
    /// For how long a saga is its owner's alone, by the clock of the database. An owner that
    /// lives renews it each third of that; one that died is followed after it. 1 s to
    /// 10 min; default 30 s.
    pub lease: Duration,
    /// Sagas that this process drives at the same time. 1 to 100,000; default 1,000.
    pub driven_max: usize,
    /// How often a saga may be taken over with nothing done in between before it is left to
    /// an operator: it may be what ends the processes. Default 10.
    pub taken_over_max: u32,
    /// For pauses.
    pub clock: Clock,
    /// For pauses.
    pub random: Random,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            driven_max: 1_000,
            taken_over_max: 10,
            clock: Clock::real(),
            random: Random::secret(),
        }
    }
}

/// Sagas that are taken over, or whose leases are renewed, in one go.
const BATCH: u32 = 100;
/// How often somebody looks who waits for a saga that another process drives.
const WATCH_EVERY: Duration = Duration::from_millis(200);
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_mins(10);
const DRIVEN_MAX: usize = 100_000;

/// The sagas that a program knows.
#[derive(Clone, Debug, Default)]
pub struct Definitions(BTreeMap<(&'static str, u32), Arc<Program>>);

/// A definition that was [added](Definitions::add): sagas are started by it.
pub struct Kind<I> {
    program: Arc<Program>,
    input: PhantomData<fn(I)>,
}

impl<I> Clone for Kind<I> {
    fn clone(&self) -> Self {
        Self { program: Arc::clone(&self.program), input: PhantomData }
    }
}

impl<I> fmt::Debug for Kind<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kind").field(&self.program.name).field(&self.program.version).finish()
    }
}

impl Definitions {
    /// Makes a definition known.
    ///
    /// # Errors
    /// [`DefinitionError`] where it can't be right, or there is one of its name and version.
    pub fn add<I: DeserializeOwned + Send + Sync + 'static>(
        &mut self,
        definition: Definition<I>,
    ) -> Result<Kind<I>, DefinitionError> {
        let program = Arc::new(definition.program);
        program.check()?;
        if self.0.insert((program.name, program.version), Arc::clone(&program)).is_some() {
            let why = format!("there are two of version {}", program.version);
            return Err(DefinitionError { saga: program.name.to_owned(), why });
        }
        Ok(Kind { program, input: PhantomData })
    }
}

/// The orchestrator could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration can't be right.
    #[error("{0}")]
    Config(&'static str),
    /// The store can't be read.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A saga was not started, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// There is a saga of this id that was started with something else.
    #[error("saga {0} was started with another input: take another id")]
    OtherInput(SagaId),
    /// This process drives as many as it may. Nothing was saved; come back in a moment.
    #[error("{0} sagas are being driven already: come back in a moment")]
    Overloaded(usize),
    /// The input can't be stored.
    #[error(transparent)]
    Input(#[from] JsonError),
    /// The process stops. Nothing was saved.
    #[error("the process stops")]
    Closing,
    /// Nothing was saved.
    #[error(transparent)]
    Db(#[from] DbError),
    /// It may have been started: start it again under the same id, or ask for it.
    #[error(
        "it is not known yet whether transaction {0} was saved: start it again, with the same id"
    )]
    InDoubt(TxId),
}

/// Whether a saga is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It is.
    New,
    /// There was one of this id with this input.
    Before,
}

/// The orchestrator of one process. Any number of equal ones may have the same store. Cheap
/// to clone; clones are one. When the last one is dropped its sagas are let go.
#[derive(Clone)]
pub struct Sagas(Arc<Handle>);

impl fmt::Debug for Sagas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sagas").field("owner", &self.0.core.owner).finish_non_exhaustive()
    }
}

struct Handle {
    core: Arc<Core>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.closing.send_replace(true);
    }
}

/// What all drives of a process share.
pub(crate) struct Core {
    pub(crate) store: MultiMaster,
    pub(crate) owner: Uuid,
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) crash: Crash,
    programs: BTreeMap<(&'static str, u32), Arc<Program>>,
    known: Known,
    closing: watch::Sender<bool>,
    room: Arc<Semaphore>,
    live: Mutex<BTreeMap<SagaId, Live>>,
    /// What the database's clock said, and when that was by ours.
    database_time: Mutex<(UnixMicros, Duration)>,
    /// Somebody let a saga go, or an operator decided.
    look: tokio::sync::Notify,
}

/// A saga that this process drives.
struct Live {
    fence: Fence,
    /// When its lease was last made longer.
    saved: Duration,
    ended: watch::Sender<Option<SagaState>>,
}

impl Core {
    /// The time of the database, about.
    pub(crate) fn now(&self) -> UnixMicros {
        let (time, at) = *self.database_time.lock().unwrap_or_else(PoisonError::into_inner);
        time.after(self.config.clock.passed().saturating_sub(at))
    }

    async fn ask_time(&self) -> Result<(), DbError> {
        let asked = self.config.clock.passed();
        let now = self.store.read(async |db| db.now().await).await?;
        *self.database_time.lock().unwrap_or_else(PoisonError::into_inner) = (now, asked);
        Ok(())
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// `false` where the process stops meanwhile.
    pub(crate) async fn sleep(&self, pause: Duration) -> bool {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            _ = closing.wait_for(|closing| *closing) => false,
        }
    }

    /// Its lease is longer.
    pub(crate) fn was_saved(&self, saga: SagaId) {
        let passed = self.config.clock.passed();
        if let Some(live) = self.live().get_mut(&saga) {
            live.saved = passed;
        }
    }

    /// A named crash point. Nothing, but in tests.
    pub(crate) async fn reached(&self, point: impl FnOnce() -> String) {
        self.crash.reached(point).await;
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<SagaId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives a saga to its end.
    async fn drive(self: &Arc<Self>, saga: SagaId, drive: Drive, room: OwnedSemaphorePermit) {
        let fence = drive.fence();
        let ended = drive.run().await;
        let live = {
            let mut live = self.live();
            // One that was lost may be under way here again, under a greater number.
            let is_mine = live.get(&saga).is_some_and(|live| live.fence == fence);
            is_mine.then(|| live.remove(&saga)).flatten()
        };
        drop(room);
        match &ended {
            Ok(SagaState::Stuck) => {
                tracing::error!(%saga, "a saga is stuck: an operator has to decide");
            }
            Ok(_) | Err(Halt::NotBegun | Halt::Closing) => {}
            Err(Halt::Lost) => tracing::warn!(%saga, "another process took a saga over"),
            Err(Halt::Unreadable(why)) => tracing::error!(%saga, why, "a saga can't be read"),
        }
        if let (Some(live), Ok(state)) = (live, ended) {
            live.ended.send_replace(Some(state));
        }
    }
}

impl Sagas {
    /// Over a store that was opened with [`crate::MIGRATIONS`] among its migrations. From
    /// here on this process also takes over what others leave.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        store: MultiMaster,
        definitions: Definitions,
        config: Config,
    ) -> Result<Self, OpenError> {
        let sagas = Self::open_alone(store, definitions, config, Crash::none()).await?;
        for other in sagas.of_others().await? {
            tracing::error!(
                saga = %other.id, kind = other.kind, version = other.version,
                "a saga waits that this program can't go on with: give it that definition"
            );
        }
        let (renewing, recovering) = (Arc::clone(&sagas.0.core), Arc::clone(&sagas.0.core));
        tokio::spawn(renewing.renew_leases());
        tokio::spawn(recovering.recover());
        Ok(sagas)
    }

    /// One that renews no lease and looks for nothing by itself.
    pub(crate) async fn open_alone(
        store: MultiMaster,
        definitions: Definitions,
        config: Config,
        crash: Crash,
    ) -> Result<Self, OpenError> {
        if !(LEASE_MIN..=LEASE_MAX).contains(&config.lease) {
            return Err(OpenError::Config(
                "the lease of a saga is 1 s at least and 10 min at most",
            ));
        }
        if !(1..=DRIVEN_MAX).contains(&config.driven_max) {
            return Err(OpenError::Config("a process drives 1 to 100,000 sagas at the same time"));
        }
        let known = definitions
            .0
            .values()
            .map(|program| (program.name, program.version, program.fingerprint()))
            .collect();
        let owner = IdSource::new(config.clock.clone(), Random::secret()).next_uuid();
        let core = Arc::new(Core {
            store,
            owner,
            random: config.random.clone(),
            crash,
            programs: definitions.0,
            known,
            closing: watch::Sender::new(false),
            room: Arc::new(Semaphore::new(config.driven_max)),
            live: Mutex::default(),
            database_time: Mutex::new((UnixMicros(0), Duration::ZERO)),
            look: tokio::sync::Notify::new(),
            config,
        });
        core.ask_time().await?;
        Ok(Self(Arc::new(Handle { core })))
    }

    /// Starts a saga, and returns when it is stored, together with what its first step did.
    /// From then on it ends complete or undone, whatever crashes.
    ///
    /// Started again under the same id with the same input, it is the same saga.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start<I: Serialize + Sync>(
        &self,
        kind: &Kind<I>,
        saga: SagaId,
        input: &I,
    ) -> Result<Started, StartError> {
        let core = &self.0.core;
        let input: Arc<str> = wire::write("the input of a saga", input)?.into();
        if core.is_closing() {
            return Err(StartError::Closing);
        }
        let full = || StartError::Overloaded(core.config.driven_max);
        let room = Arc::clone(&core.room).try_acquire_owned().map_err(|_| full())?;
        let program = Arc::clone(&kind.program);
        let (begun, answer) = oneshot::channel();
        let drive = Drive::begin(Arc::clone(core), saga, program, Arc::clone(&input), begun);
        if !core.enter(saga, drive.fence()) {
            return self.is_the_same(kind, saga, &input).await;
        }
        let driver = Arc::clone(core);
        tokio::spawn(async move { driver.drive(saga, drive, room).await });
        match answer.await {
            Ok(Begun::Yes) => Ok(Started::New),
            Ok(Begun::Exists(row)) => same(kind, saga, &input, &row.kind, &row.input),
            Ok(Begun::No(error)) => Err(error.into()),
            Ok(Begun::InDoubt(txid)) => Err(StartError::InDoubt(txid)),
            Err(_) => Err(StartError::Closing),
        }
    }

    /// There is one of this id under way in this process.
    async fn is_the_same<I>(
        &self,
        kind: &Kind<I>,
        saga: SagaId,
        input: &str,
    ) -> Result<Started, StartError> {
        let found = self.0.core.store.read(async move |db| store::saga(db, saga).await).await?;
        match found {
            Some(row) => same(kind, saga, input, &row.kind, &row.input),
            // It is being saved at this moment.
            None => Err(DbError::Busy.into()),
        }
    }

    /// Waits until a saga is over, or stuck, whichever process drives it, and says which. `None`
    /// where there is none of this id. What it did [`Sagas::view`] tells.
    ///
    /// # Errors
    /// Those of the store, which is asked where another process drives the saga.
    pub async fn wait(&self, saga: SagaId) -> Result<Option<SagaState>, DbError> {
        loop {
            let ended = self.0.core.live().get(&saga).map(|live| live.ended.subscribe());
            if let Some(mut ended) = ended {
                // Where it ended without a state another process may go on.
                let ended = ended.wait_for(Option::is_some).await.map_or(None, |state| *state);
                if let Some(state) = ended {
                    return Ok(Some(state));
                }
            }
            let row = self.0.core.store.read(async move |db| store::saga(db, saga).await).await?;
            match row.map(|row| row.state) {
                Some(state) if state.is_active() => tokio::time::sleep(WATCH_EVERY).await,
                ended => return Ok(ended),
            }
        }
    }

    /// Takes over, now, what others left: gives back how many.
    ///
    /// It happens by itself, at the start and each third of a lease, at least once a minute.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn recover_now(&self) -> Result<usize, DbError> {
        self.0.core.take_over_some().await
    }

    /// Stops: what is under way goes on to its next commit, and is let go for others.
    pub async fn close(&self) {
        self.0.core.closing.send_replace(true);
        let all = u32::try_from(self.0.core.config.driven_max).expect("100,000 at most");
        // Each drive has a permit to its end.
        let _ = self.0.core.room.acquire_many(all).await;
    }
}

fn same<I>(
    kind: &Kind<I>,
    saga: SagaId,
    input: &str,
    its_kind: &str,
    its_input: &str,
) -> Result<Started, StartError> {
    if its_kind == kind.program.name && its_input == input {
        Ok(Started::Before)
    } else {
        Err(StartError::OtherInput(saga))
    }
}

impl Core {
    /// Whether a saga is not under way here already: then it is from now on.
    fn enter(&self, saga: SagaId, fence: Fence) -> bool {
        match self.live().entry(saga) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(self.now_live(fence));
                true
            }
        }
    }

    fn now_live(&self, fence: Fence) -> Live {
        Live { fence, saved: self.config.clock.passed(), ended: watch::Sender::new(None) }
    }
}
