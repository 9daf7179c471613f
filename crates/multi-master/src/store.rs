//! The store: a set of masters, open.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::config::{Config, MasterConfig, WitnessConfig};
use crate::conflicts::{self, Conflict, ConflictError};
use crate::copy::CopyProgress;
use crate::counters::Counts;
use crate::db::{Db, Tx};
use crate::error::{DbError, MasterName, OpenError, Outcome, TxId};
use crate::job;
use crate::membership::{MasterState, MasterStatus};
use crate::mysql::{MySqlHandle, MySqlStore};
use crate::numbers::{Failover, MasterNumbers};
use crate::queue::{self, Queue, QueueError, QueueItem, Retried};
use crate::schema::{Migration, Schema};
use crate::shared::{Command, Shared, Target};
use crate::sqlite::{Readers, Writer, WriterHandle};
use crate::supervisor::{FillAnew, FillError, Supervisor};
use crate::verify::{self, Findings, Progress, Verify};
use crate::witness::Witness;

/// A set of masters, open. Cheap to clone; clones are one store.
///
/// Dropping the last clone ends the store's threads after the work that they
/// have accepted; [`MultiMaster::close`] waits for that.
#[derive(Clone, Debug)]
pub struct MultiMaster(Arc<Inner>);

/// Locks are waited for a second less than a statement may take.
const STATEMENT_MIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    engine: Engine,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Engine {
    Sqlite { writer: WriterHandle, readers: Readers },
    MySql(MySqlHandle),
}

impl MultiMaster {
    /// Opens the masters, settles what a crash left, and applies migrations.
    ///
    /// The first time every master has to answer; later one that holds every
    /// acknowledged write is enough.
    ///
    /// # Errors
    /// Each says which master, why, and what to do: see [`OpenError`].
    pub async fn open(config: Config, migrations: &[Migration]) -> Result<Self, OpenError> {
        let schema = Schema::of(migrations).map_err(OpenError::Config)?;
        let targets = targets(&config.masters)?;
        if config.limits.statement < STATEMENT_MIN || config.limits.commit < STATEMENT_MIN {
            return Err(OpenError::Config(format!(
                "the time limits on a statement and on a commit are at least {} ms: a lock has to \
                 be given up before the server is",
                STATEMENT_MIN.as_millis()
            )));
        }
        let file = matches!(config.witness, WitnessConfig::File(_));
        if matches!(targets[0], Target::Sqlite(_)) && !file {
            return Err(OpenError::Config(
                "SQLite files are for one process: their witness is a file".to_owned(),
            ));
        }
        let process = stdx::IdSource::new(stdx::Clock::real(), stdx::Random::secret()).next_uuid();
        let witness = Witness::hold(&config.witness, process)?;
        let names: Vec<MasterName> =
            config.masters.iter().map(|master| master.name.clone()).collect();
        let (supervisor, commands) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(targets, config, schema, supervisor));
        let (opened, answer) = oneshot::channel();
        let thread = start_thread(
            Arc::clone(&shared),
            migrations.to_vec(),
            witness,
            names,
            commands,
            opened,
        )?;
        let handle = answer
            .await
            .map_err(|_| OpenError::Config("the store's thread ended while opening".into()))??;
        let mut threads = vec![thread];
        let engine = if let Some(handle) = handle {
            Engine::MySql(handle)
        } else {
            let (writer, thread) = Writer::start(Arc::clone(&shared)).map_err(|e| no_thread(&e))?;
            threads.push(thread);
            let (readers, more) = Readers::start(&shared).map_err(|e| no_thread(&e))?;
            threads.extend(more);
            Engine::Sqlite { writer, readers }
        };
        threads.push(queue::start(&shared).map_err(|e| no_thread(&e))?);
        Ok(Self(Arc::new(Inner { shared, engine, threads: Mutex::new(threads) })))
    }

    /// Runs `closure` against one live master, in one snapshot. When that
    /// master fails it is run again, from its start, against another.
    ///
    /// # Errors
    /// The closure's own; or [`DbError::NoMaster`], [`DbError::Overloaded`] and
    /// [`DbError::Closed`] made into its type.
    pub async fn read<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: AsyncFn(&mut Db) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (job, answer) = job::read(closure);
        match &self.0.engine {
            Engine::Sqlite { readers, .. } => readers.submit(job),
            Engine::MySql(handle) => handle.read(job),
        }
        answer.await.unwrap_or_else(|_| Err(DbError::Closed.into()))
    }

    /// Runs `closure` and commits its row operations on the masters.
    ///
    /// The closure may be run several times (after a deadlock, or when a master
    /// fell before anything was committed); each run starts from nothing. It
    /// awaits nothing but its own statements. The write goes on to its end when
    /// the caller stops waiting for it.
    pub async fn write<T, E, F>(&self, closure: F) -> Outcome<T, E>
    where
        F: AsyncFn(&mut Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (job, answer) = job::write(closure);
        match &self.0.engine {
            Engine::Sqlite { writer, .. } => writer.submit(job),
            Engine::MySql(handle) => handle.write(job),
        }
        answer.await.unwrap_or_else(|_| Outcome::NotSaved(DbError::Closed.into()))
    }

    /// Whether a transaction was saved; `None` while no master that knows can
    /// be asked, and while writes are refused because the witness can't be told who
    /// serves. Markers are kept for ten minutes at least, and while a master is away.
    pub async fn lookup(&self, txid: TxId) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.0.shared.supervisor.send(Command::Lookup { txid, reply }).ok()?;
        answer.await.ok().flatten()
    }

    /// Compares the masters that serve, row by row, while they serve, and where
    /// `how` says so makes them the same again: a row that is what its digest
    /// says wins against one that is not, then the newer one, then the
    /// primary's; what loses is kept in `mm_conflicts`. Writers wait for rows
    /// that differ to be looked at again, some milliseconds for 50.
    ///
    /// Where a table, a column or an index is not as the program made it, that is
    /// told. Rows are compared all the same, but for tables whose columns or key are
    /// not there or others.
    ///
    /// # Errors
    /// [`DbError::NoMaster`] when a master fails or another one joins meanwhile;
    /// [`DbError::Closed`].
    pub async fn verify(
        &self,
        how: Verify,
        progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Findings, DbError> {
        let answer = verify::start(Arc::clone(&self.0.shared), how, Box::new(progress));
        let answer = answer
            .map_err(|error| DbError::NoMaster(format!("no thread could be started: {error}")))?;
        answer.await.unwrap_or(Err(DbError::Closed))
    }

    /// Has a master filled from another: what it alone holds is kept in
    /// `mm_conflicts` of the other, then it is emptied and gets every row, while
    /// reads and writes go on. Returns when that is noted, on the masters that
    /// serve, so that a crash does not forget it; [`Self::copies`] tells how far
    /// it is, and [`Self::status`] when it serves. A master that is not there is
    /// filled when it comes. One that is being filled already goes on.
    ///
    /// # Errors
    /// [`FillError`]; nothing was changed.
    pub async fn fill_anew(&self, ask: FillAnew) -> Result<(), FillError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.shared.supervisor.send(Command::Fill { ask, reply });
        sent.map_err(|_| FillError::Closed)?;
        answer.await.unwrap_or(Err(FillError::Closed))
    }

    /// The last filling of each master since the store was opened, those that
    /// run included.
    pub fn copies(&self) -> Vec<CopyProgress> {
        self.0.shared.copies.all()
    }

    /// Which masters have to be filled from another, and why; each until it serves
    /// again. What another process has decided is heard within a minute.
    pub fn marked(&self) -> Vec<(MasterName, String)> {
        let view = self.0.shared.view();
        let marked = self.0.shared.copies.marked();
        marked.into_iter().map(|(at, why)| (view.masters[at].name.clone(), why)).collect()
    }

    /// How each master stands, in the order of the configuration.
    pub fn status(&self) -> Vec<MasterStatus> {
        self.0.shared.view().masters.clone()
    }

    /// The numbers of each master, in the order of the configuration.
    pub fn numbers(&self) -> Vec<MasterNumbers> {
        let names = self.status().into_iter().map(|master| master.name);
        self.0.shared.numbers.of(names)
    }

    /// Which masters took over from which, and how often, since the store was
    /// opened.
    pub fn failovers(&self) -> Vec<Failover> {
        let names: Vec<_> = self.status().into_iter().map(|master| master.name).collect();
        self.0.shared.numbers.failovers(&names)
    }

    /// What is owed to a master or in doubt, as it is known now: it waits for
    /// nothing. What is owed is counted each second, or less often where there is
    /// much.
    pub fn queue(&self) -> Queue {
        let masters = self.status();
        self.0.shared.queue.pending().queue(&masters)
    }

    /// Tries an item of the queue now, and not after its pause.
    ///
    /// # Errors
    /// [`QueueError`]: where it is not there (any more), or the store closes.
    pub async fn retry(&self, item: &QueueItem) -> Result<Retried, QueueError> {
        queue::retry(&self.0.shared, item).await
    }

    /// Takes an item out of the queue, for good.
    ///
    /// A transaction in doubt is looked up no more: the reason is logged, and kept
    /// in `mm_conflicts` of the masters that serve. Where what is owed to a master
    /// is dropped, the master is filled anew when it is back: the item stays until
    /// then, and says so.
    ///
    /// # Errors
    /// [`QueueError`]: where it is not there (any more), where it can't be done
    /// now, or the store closes.
    pub async fn drop_from_queue(&self, item: &QueueItem, reason: &str) -> Result<(), QueueError> {
        queue::drop_item(&self.0.shared, item, reason).await
    }

    /// The newest of what lost against something else and is kept until a person
    /// drops it, at most `max` of them: transactions of which nobody was told that
    /// they were saved, and rows that a comparison repaired.
    ///
    /// # Errors
    /// Why no master could be asked.
    pub async fn conflicts(&self, max: usize) -> Result<Vec<Conflict>, DbError> {
        conflicts::newest(&self.0.shared, max).await
    }

    /// How much lost and is kept, as it was counted some seconds ago; at most
    /// 10,000.
    pub fn conflicts_kept(&self) -> u64 {
        self.0.shared.kept.get()
    }

    /// Drops one of [`Self::conflicts`], for good.
    ///
    /// # Errors
    /// [`ConflictError`]: where it is not kept, or a master is away.
    pub async fn drop_conflict(&self, id: TxId) -> Result<(), ConflictError> {
        conflicts::drop_one(&self.0.shared, id).await
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0.shared)
    }

    /// The epoch in force.
    pub fn epoch(&self) -> u64 {
        self.0.shared.view().epoch
    }

    /// Why nothing can be written although masters serve, where that is so: the
    /// witness can't be told who they are, or one of them serves only for other
    /// processes.
    pub fn refuses(&self) -> Option<String> {
        self.0.shared.view().refuses.clone()
    }

    /// How often things happened since the store was opened.
    pub fn counts(&self) -> Counts {
        self.0.shared.counters.counts()
    }

    /// Waits until the masters stand as `stand` wants.
    pub async fn wait_until(&self, stand: impl Fn(&[MasterStatus]) -> bool) {
        let mut views = self.0.shared.view.subscribe();
        // The sender lives as long as `self`.
        drop(views.wait_for(|view| stand(&view.masters)).await);
    }

    /// Waits until this epoch or a later one is in force.
    pub async fn wait_for_epoch(&self, epoch: u64) {
        let mut views = self.0.shared.view.subscribe();
        // The sender lives as long as `self`.
        drop(views.wait_for(|view| view.epoch >= epoch).await);
    }

    /// Waits until writes are refused, or until they are not.
    pub async fn wait_until_refused(&self, refused: bool) {
        let mut views = self.0.shared.view.subscribe();
        drop(views.wait_for(|view| view.refuses.is_some() == refused).await);
    }

    /// Waits until every master is live.
    pub async fn wait_until_whole(&self) {
        self.wait_until(|masters| masters.iter().all(|master| master.state == MasterState::Live))
            .await;
    }

    /// Ends the store: new work is refused with [`DbError::Closed`], accepted
    /// work is finished, then files and connections are closed.
    pub async fn close(&self) {
        self.0.shared.queue.stop();
        match &self.0.engine {
            Engine::Sqlite { writer, readers } => {
                writer.stop();
                readers.stop();
            }
            Engine::MySql(handle) => handle.drain(self.0.shared.limits.waiting_writes).await,
        }
        let mut threads =
            std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        // The writer may still need the supervisor: it ends last.
        let supervisor = threads.remove(0);
        join_all(threads).await;
        let (done, ended) = oneshot::channel();
        drop(self.0.shared.supervisor.send(Command::Close { done }));
        drop(ended.await);
        join_all(vec![supervisor]).await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Engine::Sqlite { writer, readers } = &self.engine {
            writer.stop();
            readers.stop();
        }
        self.shared.queue.stop();
        let (done, _) = oneshot::channel();
        drop(self.shared.supervisor.send(Command::Close { done }));
    }
}

async fn join_all(threads: Vec<JoinHandle<()>>) {
    // The threads end by themselves; only waiting for them blocks.
    let joined = tokio::task::spawn_blocking(move || {
        for thread in threads {
            drop(thread.join());
        }
    });
    drop(joined.await);
}

fn no_thread(error: &std::io::Error) -> OpenError {
    OpenError::Config(format!("no thread could be started: {error}"))
}

type Opened = Result<Option<MySqlHandle>, OpenError>;

/// The thread of the supervisor and, with MariaDB masters, of all statements.
fn start_thread(
    shared: Arc<Shared>,
    migrations: Vec<Migration>,
    witness: Witness,
    names: Vec<MasterName>,
    commands: mpsc::UnboundedReceiver<Command>,
    opened: oneshot::Sender<Opened>,
) -> Result<JoinHandle<()>, OpenError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| no_thread(&error))?;
    std::thread::Builder::new()
        .name("mm-store".to_owned())
        .spawn(move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                let supervisor =
                    Supervisor::open(Arc::clone(&shared), migrations, witness, &names).await;
                match supervisor {
                    Err(error) => drop(opened.send(Err(error))),
                    Ok(supervisor) => {
                        let handle = matches!(shared.targets[0], Target::MySql(_))
                            .then(|| MySqlStore::start(&shared));
                        // Whoever opened the store may have gone away meanwhile.
                        if opened.send(Ok(handle.clone())).is_ok() {
                            supervisor.run(commands).await;
                            if let Some(handle) = handle {
                                handle.finish(&shared).await;
                            }
                        }
                    }
                }
            });
        })
        .map_err(|error| no_thread(&error))
}

/// Where the masters are; all of one kind, none twice.
pub(crate) fn targets(masters: &[MasterConfig]) -> Result<Vec<Target>, OpenError> {
    if masters.is_empty() {
        return Err(OpenError::Config("a store needs at least one master".to_owned()));
    }
    let mut names = BTreeSet::new();
    let mut urls = BTreeSet::new();
    let mut files = BTreeSet::new();
    let mut targets = Vec::new();
    for master in masters {
        if !names.insert(&master.name) {
            return Err(OpenError::Config(format!("two masters are called `{}`", master.name)));
        }
        if !urls.insert(&master.url) {
            return Err(OpenError::Config(format!(
                "master `{}` has the same URL as another: two copies in one place are one copy",
                master.name
            )));
        }
        let wrong = |reason: String| OpenError::Refused { master: master.name.clone(), reason };
        let target = if let Some(path) = master.url.strip_prefix("sqlite:") {
            if path.is_empty() {
                return Err(wrong("`sqlite:` is followed by the path of a file".to_owned()));
            }
            let path = PathBuf::from(path);
            if !files.insert(place_of(&path)) {
                return Err(wrong("another master is the same file".to_owned()));
            }
            Target::Sqlite(path)
        } else if master.url.starts_with("mysql://") || master.url.starts_with("mariadb://") {
            let url = master.url.replacen("mariadb://", "mysql://", 1);
            let opts = mysql_async::Opts::from_url(&url)
                .map_err(|error| wrong(format!("its URL can't be read: {error}")))?;
            if opts.db_name().is_none_or(str::is_empty) {
                return Err(wrong(
                    "its URL names no database: mysql://user:password@host:port/database"
                        .to_owned(),
                ));
            }
            Target::MySql(Box::new(opts))
        } else {
            return Err(wrong(
                "a master's URL is `sqlite:PATH` or `mysql://user:password@host:port/database`"
                    .to_owned(),
            ));
        };
        targets.push(target);
    }
    let on_disk = targets.iter().filter(|target| matches!(target, Target::Sqlite(_))).count();
    if on_disk != 0 && on_disk != targets.len() {
        return Err(OpenError::Config(
            "the masters of one set are of one kind: all SQLite files, or all MariaDB servers"
                .to_owned(),
        ));
    }
    Ok(targets)
}

/// One file has one place, however its path is written.
pub(crate) fn place_of(path: &std::path::Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(std::path::Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: &T) {}

    /// Handlers of web servers are spawned on any thread: what they await must
    /// be `Send`, although the closures' own futures are not.
    #[test]
    fn reads_and_writes_can_be_awaited_in_a_handler() {
        async fn helper(db: &mut Db) -> Result<(), DbError> {
            db.query_first("select 1", Vec::new()).await.map(drop)
        }
        async fn read(store: MultiMaster, name: String) -> Result<usize, DbError> {
            store
                .read(async move |db: &mut Db| {
                    let rows = db.query("select ?", crate::params![&name]).await?;
                    helper(db).await?;
                    Ok::<_, DbError>(rows.len())
                })
                .await
        }
        async fn write(store: MultiMaster, name: String) -> Outcome<(), DbError> {
            store
                .write(async move |tx: &mut Tx| {
                    helper(tx).await?;
                    tx.insert("names", crate::fields! {"name" => &name}).await
                })
                .await
        }
        fn both(store: MultiMaster) {
            is_send(&read(store.clone(), String::new()));
            is_send(&write(store, String::new()));
        }
        let _ = both;
    }

    #[test]
    fn mistakes_in_urls_are_named() {
        let master = |name: &str, url: &str| MasterConfig {
            name: MasterName(name.to_owned()),
            url: url.to_owned(),
        };
        let error = |masters: &[MasterConfig]| targets(masters).unwrap_err().to_string();
        assert!(error(&[]).contains("at least one"));
        assert!(error(&[master("a", "postgres://x")]).contains("sqlite:PATH"));
        assert!(error(&[master("a", "mysql://root@127.0.0.1")]).contains("names no database"));
        assert!(error(&[master("a", "mysql://root@127.0.0.1:port/x")]).contains("can't be read"));
        assert!(error(&[master("a", "sqlite:x"), master("a", "sqlite:y")]).contains("two masters"));
        assert!(error(&[master("a", "sqlite:x"), master("b", "sqlite:x")]).contains("same URL"));
        assert!(
            error(&[master("a", "sqlite:x"), master("b", "mysql://r@h/d")]).contains("of one kind")
        );
    }
}
