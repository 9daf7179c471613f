//! What the threads of one store have in common.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use stdx::{HybridClock, Random};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::config::{Config, Limits, Policy, WitnessConfig};
use crate::conflicts::Kept;
use crate::copy::Copies;
use crate::counters::Counters;
use crate::error::{DbError, MasterName, TxId};
use crate::fault::Fault;
use crate::lease::Lease;
use crate::link::Link;
use crate::membership::View;
use crate::mysql::MySqlLink;
use crate::numbers::Numbers;
use crate::queue::Keeper;
use crate::schema::Schema;
use crate::sqlite::{IfAbsent, SqliteLink};
use crate::supervisor::{Ask, Brought, Checked, FillAnew, FillError};
use crate::witness::Answer;
use crate::write_set;

/// Where a master is.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Sqlite(PathBuf),
    MySql(Box<mysql_async::Opts>),
}

/// Shared by the supervisor, the writers and the readers.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What this process calls itself in locks on servers.
    pub(crate) process: Uuid,
    /// Which set this is, once that is known.
    pub(crate) set: OnceLock<Uuid>,
    pub(crate) targets: Vec<Target>,
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
    pub(crate) schema: Arc<Schema>,
    pub(crate) clock: HybridClock,
    pub(crate) random: Random,
    /// The masters as they stand; only the supervisor changes it.
    pub(crate) view: watch::Sender<Arc<View>>,
    /// As [`Membership::left`](crate::membership::Membership::left), also of what is not in
    /// force yet.
    pub(crate) left: watch::Sender<Vec<u64>>,
    pub(crate) supervisor: mpsc::UnboundedSender<Command>,
    pub(crate) counters: Counters,
    /// Whether this process may read from the masters of its view.
    pub(crate) lease: Lease,
    /// The master of which a person has decided that it goes on.
    pub(crate) lead: Option<MasterName>,
    /// What the witness said last by itself, where nobody has looked at it yet.
    pub(crate) heard: Mutex<Option<Answer>>,
    /// Other processes may have the set open too.
    pub(crate) among_others: bool,
    /// How far masters are that are being filled.
    pub(crate) copies: Copies,
    pub(crate) numbers: Numbers,
    pub(crate) queue: Keeper,
    /// How much lost and is kept.
    pub(crate) kept: Kept,
}

/// What the supervisor is asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// A master could not be used by somebody who saw this view. `done` is told
    /// when it is known whether it still serves, and the view says so.
    Failed { master: usize, generation: u64, fault: Failed, done: oneshot::Sender<()> },
    /// Was this transaction saved?
    Lookup { txid: TxId, reply: oneshot::Sender<Option<bool>> },
    /// Has this master filled from another.
    Fill { ask: FillAnew, reply: oneshot::Sender<Result<(), FillError>> },
    /// A master that serves was asked whether it can.
    Checked(Checked),
    /// The log is too large to keep it for these masters, which are away in the view
    /// `generation`: they have to be filled. `done` is told whether it need not be kept.
    Outgrown { masters: Vec<usize>, generation: u64, why: String, done: oneshot::Sender<bool> },
    /// Try this master, which is away, now.
    Hurry { at: usize },
    /// Asked by the thread that brings this master back.
    Recovery { at: usize, ask: Ask },
    /// That thread has ended.
    Brought { at: usize, result: Result<(), Brought> },
    /// The witness for several processes said something: see [`Shared::heard`].
    Heard,
    /// End.
    Close { done: oneshot::Sender<()> },
}

/// How a master failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// A connection could not be made or fell: perhaps it was only that one.
    Connection(String),
    /// It can't be used, or may miss a write that was acknowledged: its commit
    /// did not come to its end.
    Master(String),
}

/// The time for which a master serves.
#[derive(Debug)]
pub(crate) struct Stay {
    left: watch::Receiver<Vec<u64>>,
    at: usize,
    generation: u64,
}

impl Stay {
    /// Waits until the master is taken out, which may be before the view says so.
    pub(crate) async fn over(&mut self) {
        let (at, generation) = (self.at, self.generation);
        drop(self.left.wait_for(|left| left[at] > generation).await);
    }
}

impl Shared {
    pub(crate) fn new(
        targets: Vec<Target>,
        config: Config,
        schema: Schema,
        supervisor: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let among_others = !matches!(config.witness, WitnessConfig::File(_));
        let none = View { epoch: 0, generation: 0, masters: Vec::new(), refuses: None };
        let random = Random::secret();
        let ids = stdx::IdSource::new(stdx::Clock::real(), random.clone());
        Self {
            process: ids.next_uuid(),
            set: OnceLock::new(),
            numbers: Numbers::new(targets.len()),
            left: watch::Sender::new(vec![0; targets.len()]),
            queue: Keeper::default(),
            kept: Kept::default(),
            targets,
            policy: config.policy,
            limits: config.limits,
            schema: Arc::new(schema),
            clock: HybridClock::new(config.clock, HybridClock::DRIFT_MAX_DEFAULT),
            random,
            view: watch::Sender::new(Arc::new(none)),
            supervisor,
            counters: Counters::default(),
            lease: if among_others { Lease::to_renew() } else { Lease::for_ever() },
            lead: config.lead,
            heard: Mutex::default(),
            among_others,
            copies: Copies::default(),
        }
    }

    /// Waits until another view is in force.
    pub(crate) async fn moved_on(&self, from: &View) {
        let mut views = self.view.subscribe();
        drop(views.wait_for(|view| view.generation != from.generation).await);
    }

    /// For as long as a master serves that does so under this view.
    pub(crate) fn stay(&self, view: &View, at: usize) -> Stay {
        Stay { left: self.left.subscribe(), at, generation: view.generation }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// The id of a transaction that ends now: later than any version that its
    /// rows were given.
    pub(crate) fn new_txid(&self) -> TxId {
        write_set::txid(self.clock.tick(), self.random.next_u64())
    }

    /// Reports that a master can't be used; the answer comes when those that are
    /// left can go on, or when it has shown that it can.
    pub(crate) fn report(
        &self,
        view: &View,
        master: usize,
        fault: Failed,
    ) -> oneshot::Receiver<()> {
        let (done, answer) = oneshot::channel();
        tracing::debug!(master = %view.masters[master].name, ?fault, "reported as failed");
        let generation = view.generation;
        // Nobody listens any more when the store closes: then the answer is an
        // error at once, and the caller finds the store closed.
        drop(self.supervisor.send(Command::Failed { master, generation, fault, done }));
        answer
    }

    /// A new connection to a master.
    pub(crate) async fn connect(&self, master: usize, if_absent: IfAbsent) -> Result<Link, Fault> {
        match &self.targets[master] {
            Target::Sqlite(path) => {
                let link = SqliteLink::open(path, if_absent, self.limits.statement)?;
                Ok(Link::Sqlite(link.with_schema(Arc::clone(&self.schema))))
            }
            Target::MySql(opts) => {
                let link = MySqlLink::connect(opts, &self.limits).await?;
                Ok(Link::MySql(Box::new(link)))
            }
        }
    }

    /// As [`Self::connect`] to a master that is there, for readers and writers,
    /// whose statements are counted.
    pub(crate) async fn connect_counted(&self, master: usize) -> Result<Link, Fault> {
        let mut link = self.connect(master, IfAbsent::Refuse).await?;
        link.count_on(self.numbers.meter(master));
        Ok(link)
    }

    /// Whether master `at` is known to serve now, and to have done so since this epoch.
    pub(crate) fn may_read(&self, at: usize, epoch: u64) -> bool {
        let view = self.view();
        self.lease.holds() && view.epoch == epoch && view.reading().contains(&at)
    }

    /// Whether a write may begin under this view.
    pub(crate) fn may_write(&self, view: &View) -> Result<(), DbError> {
        if view.serving().is_empty() {
            return Err(DbError::NoMaster(view.why_none()));
        }
        if let Some(why) = &view.refuses {
            return Err(DbError::NoMaster(why.clone()));
        }
        match self.policy {
            Policy::All if !view.all_serve() => Err(DbError::MasterAway(view.away())),
            Policy::All | Policy::Available => Ok(()),
        }
    }
}
