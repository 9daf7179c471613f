//! Emitting events, and delivering them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use multi_master::{Db, DbError, MultiMaster, Tx, TxId, WriteError};
use serde::Serialize;
use stdx::{Backoff, Clock, IdSource, Random, UnixMicros};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::lane::Lane;
use crate::model::{DeliveryId, EventId, Parked};
use crate::schema::{EVENT_BYTES_MAX, KEY_CHARS_MAX};
use crate::store::{self, Staged};
use crate::topics::{Subscriber, Topics};

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Config {
    /// For how long what was taken is this process's alone, at least: twice the deadline of a
    /// delivery, where that is longer. What a process leaves that dies is taken by another one
    /// after it. Default 1 min.
    pub lease: Duration,
    /// For the ids of events.
    pub clock: Clock,
    /// For pauses, and ids.
    pub random: Random,
}

impl Default for Config {
    fn default() -> Self {
        let (clock, random) = (Clock::real(), Random::secret());
        Self { lease: Duration::from_mins(1), clock, random }
    }
}

/// Pauses while a new store can't be written.
const LINES_PAUSE_BASE: Duration = Duration::from_millis(100);
const LINES_PAUSE_MAX: Duration = Duration::from_secs(5);

/// An event was not staged: then neither is what it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// No topic is called so: a mistake in the program.
    #[error("there is no topic `{0}`")]
    NoSuchTopic(String),
    /// A key has to fit its column.
    #[error("the key of an event has 1 to {KEY_CHARS_MAX} characters, and not {0}")]
    Key(usize),
    /// It can't be written as JSON, or is too long.
    #[error("the event can't be staged: {0}")]
    Event(String),
    /// The store said no.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What an operator asked for was not done, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It is not put aside.
    #[error("there is no event {0} that was put aside")]
    NotParked(DeliveryId),
    /// The store said no.
    #[error(transparent)]
    Db(#[from] DbError),
    /// It may be done: look at what is put aside.
    #[error("it is not known yet whether transaction {0} was saved: look again")]
    InDoubt(TxId),
}

/// What waits for a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Of what.
    pub topic: &'static str,
    /// For whom.
    pub subscriber: &'static str,
    /// How many events, those that are being delivered included.
    pub waiting: u64,
    /// Since when the oldest one does.
    pub oldest: Option<UnixMicros>,
}

/// Events of one store. Cheap to clone; clones are one. When the last one is dropped, nothing
/// more is delivered by this process.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("topics", &self.0.topics).finish_non_exhaustive()
    }
}

struct Inner {
    store: MultiMaster,
    ids: IdSource,
    topics: BTreeMap<&'static str, Vec<Lined>>,
    closing: watch::Sender<bool>,
    lanes: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

#[derive(Debug)]
struct Lined {
    name: &'static str,
    emitted: Arc<Notify>,
}

impl Outbox {
    /// Over a store that was opened with [`crate::MIGRATIONS`] among its migrations. From here
    /// on this process delivers, on the runtime that this is called on.
    ///
    /// A new store gets some rows of ours. Where that can't be written now, it is opened all the
    /// same, and they are written when that is possible: until then nothing can be emitted.
    ///
    /// # Errors
    /// Those of the store that do not pass by themselves.
    pub async fn open(store: MultiMaster, topics: Topics, config: Config) -> Result<Self, DbError> {
        let Config { lease, clock, random } = config;
        let ids = IdSource::new(clock, random.clone());
        let (closing, closes) = watch::channel(false);
        let (mut lined, mut lanes) = (BTreeMap::new(), Vec::new());
        match make_lines(&store).await {
            Ok(()) => {}
            Err(WriteError::NotSaved(error)) if !error.is_retryable() => return Err(error),
            Err(why) => {
                tracing::warn!(%why, "events can't be emitted yet: the store can't be written");
                lanes.push(tokio::spawn(make_lines_later(store.clone(), random.clone(), closes)));
            }
        }
        for (topic, subscribers) in topics.0 {
            let mut of_topic = Vec::new();
            for subscriber in subscribers {
                let emitted = Arc::new(Notify::new());
                of_topic.push(Lined { name: subscriber.name, emitted: Arc::clone(&emitted) });
                let lane = Lane {
                    store: store.clone(),
                    owner: ids.next_uuid(),
                    lease: lease.max(2 * subscriber.bounds.deadline),
                    random: random.clone(),
                    subscriber: Subscriber { ..subscriber },
                    emitted,
                    closing: closing.subscribe(),
                };
                lanes.push(tokio::spawn(lane.run()));
            }
            lined.insert(topic, of_topic);
        }
        let lanes = Mutex::new(lanes);
        Ok(Self(Arc::new(Inner { store, ids, topics: lined, closing, lanes })))
    }

    /// Stages an event in the transaction that causes it: it is delivered if that is saved, and
    /// only then, at least once, to each who gets the topic. Those of one key come one after
    /// the other, in the order in which their transactions were committed.
    ///
    /// It may be called several times, as every write: the event of the run that is saved is
    /// the one that counts.
    ///
    /// # Errors
    /// [`EmitError`].
    pub async fn emit<E: Serialize>(
        &self,
        tx: &mut Tx,
        topic: &str,
        key: &str,
        event: &E,
    ) -> Result<EventId, EmitError> {
        let subscribers =
            self.0.topics.get(topic).ok_or_else(|| EmitError::NoSuchTopic(topic.to_owned()))?;
        let chars = key.chars().count();
        if chars == 0 || chars > KEY_CHARS_MAX as usize {
            return Err(EmitError::Key(chars));
        }
        let json =
            serde_json::to_string(event).map_err(|error| EmitError::Event(error.to_string()))?;
        if json.len() > EVENT_BYTES_MAX {
            let why =
                format!("it has {} bytes, and at most {EVENT_BYTES_MAX} are kept", json.len());
            return Err(EmitError::Event(why));
        }
        let (event_id, emitted) = (self.0.ids.next(), tx.now().await?);
        let staged = Staged { event_id, topic, key, event: &json, emitted };
        let to = subscribers.iter().map(|lined| (self.0.ids.next(), lined.name));
        store::stage(tx, to, staged).await?;
        for lined in subscribers {
            lined.emitted.notify_one();
        }
        Ok(event_id)
    }

    /// What waits, for whom.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn backlog(&self) -> Result<Vec<Backlog>, DbError> {
        let mut all = Vec::new();
        for (topic, subscribers) in &self.0.topics {
            for Lined { name, .. } in subscribers {
                let (topic, subscriber) = (*topic, *name);
                let (waiting, oldest) =
                    self.0.store.read(async move |db| store::backlog(db, subscriber).await).await?;
                all.push(Backlog { topic, subscriber, waiting, oldest });
            }
        }
        Ok(all)
    }

    /// What was put aside, the oldest first, at most so many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn parked(&self, limit: u32) -> Result<Vec<Parked>, DbError> {
        self.0.store.read(async move |db| store::list_parked(db, limit).await).await
    }

    /// Has an event tried again that was put aside: behind those of its key that wait now.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn replay(&self, delivery: DeliveryId) -> Result<(), ReplayError> {
        let done = self.0.store.write(async move |tx: &mut Tx| store::replay(tx, delivery).await);
        match done.await.into_result() {
            Ok(true) => {
                for lined in self.0.topics.values().flatten() {
                    lined.emitted.notify_one();
                }
                Ok(())
            }
            Ok(false) => Err(ReplayError::NotParked(delivery)),
            Err(WriteError::NotSaved(error)) => Err(error.into()),
            Err(WriteError::InDoubt(txid)) => Err(ReplayError::InDoubt(txid)),
        }
    }

    /// Stops: what is being delivered is waited for, and the rest is left to others.
    pub async fn close(&self) {
        self.0.closing.send_replace(true);
        let lanes =
            std::mem::take(&mut *self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        for lane in lanes {
            let _ = lane.await;
        }
    }
}

/// Makes the rows that a new store needs.
async fn make_lines(store: &MultiMaster) -> Result<(), WriteError<DbError>> {
    if store.read(async |db: &mut Db| store::has_lines(db).await).await.unwrap_or(false) {
        return Ok(());
    }
    loop {
        match store.write(async |tx: &mut Tx| store::make_lines(tx).await).await.into_result() {
            // Another process makes them at the same time.
            Err(WriteError::NotSaved(DbError::Duplicate { .. })) => {}
            made => return made,
        }
    }
}

async fn make_lines_later(store: MultiMaster, random: Random, mut closing: watch::Receiver<bool>) {
    let mut backoff = Backoff::new(LINES_PAUSE_BASE, LINES_PAUSE_MAX);
    loop {
        tokio::select! {
            () = tokio::time::sleep(backoff.pause(&random)) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        if make_lines(&store).await.is_ok() {
            return;
        }
    }
}
