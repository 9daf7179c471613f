//! Reads and writes on MariaDB masters, as tasks of the store's own thread.
//!
//! A write runs on the primary, which orders it against others by its locks;
//! then each other master gets the whole of it in one packet; then all commit.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use stdx::Backoff;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::config::Policy;
use crate::db::{self, Db, Tx, WriteSet};
use crate::error::{DbError, TxId};
use crate::fault::Fault;
use crate::job::{ReadJob, Verdict, WriteJob};
use crate::link::Link;
use crate::membership::View;
use crate::mysql::commits::Commits;
use crate::mysql::pool::{Lease, Pool};
use crate::render::Statement;
use crate::sabotage::{Point, reached};
use crate::shared::{Command, Failed, Shared};
use crate::witness::SILENCE_MAX;

/// Runs of one write before it is given back as busy.
const RUNS_MAX: u32 = 10;
/// A closure that takes longer waits for something that is not the store.
const CLOSURE_MAX: Duration = Duration::from_secs(30);
/// Pauses between runs after a deadlock.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(200));

/// How long a read waits until it is known which masters serve.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(3);
const NO_LEASE: &str = "neither the witness nor every master that serves can be asked whether other \
                        processes go on without one: nothing can be read until one of the two can";
/// How long it takes until what a dead process left is settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(2 * SILENCE_MAX.as_secs());

enum Message {
    Write(Box<dyn WriteJob>),
    Read(Box<dyn ReadJob>),
}

/// Where callers leave their work.
#[derive(Clone, Debug)]
pub(crate) struct MySqlHandle {
    queue: mpsc::UnboundedSender<Message>,
    /// Work that is accepted and not finished.
    waiting: Arc<Semaphore>,
    closing: Arc<AtomicBool>,
}

impl MySqlHandle {
    pub(crate) fn write(&self, job: Box<dyn WriteJob>) {
        let Ok(permit) = self.waiting.try_acquire() else {
            return job.finish(Verdict::NotSaved(self.refusal()));
        };
        match self.queue.send(Message::Write(job)) {
            Ok(()) => permit.forget(),
            Err(mpsc::error::SendError(Message::Write(job))) => {
                job.finish(Verdict::NotSaved(DbError::Closed));
            }
            Err(_) => {}
        }
    }

    pub(crate) fn read(&self, job: Box<dyn ReadJob>) {
        let Ok(permit) = self.waiting.try_acquire() else {
            return job.finish(Some(self.refusal()));
        };
        match self.queue.send(Message::Read(job)) {
            Ok(()) => permit.forget(),
            Err(mpsc::error::SendError(Message::Read(job))) => job.finish(Some(DbError::Closed)),
            Err(_) => {}
        }
    }

    fn refusal(&self) -> DbError {
        if self.closing.load(Ordering::SeqCst) { DbError::Closed } else { DbError::Overloaded }
    }

    /// Waits for what was accepted, when the last handle is gone.
    pub(crate) async fn finish(&self, shared: &Shared) {
        let limit = shared.limits.statement + shared.limits.commit;
        drop(tokio::time::timeout(limit, self.drain(shared.limits.waiting_writes)).await);
    }

    /// Takes no more work, and waits for what was accepted.
    pub(crate) async fn drain(&self, waiting_max: usize) {
        self.closing.store(true, Ordering::SeqCst);
        let all = u32::try_from(waiting_max).unwrap_or(u32::MAX);
        if let Ok(permits) = self.waiting.acquire_many(all).await {
            permits.forget();
        }
        self.waiting.close();
    }
}

/// The store's thread's own state.
pub(crate) struct MySqlStore {
    pub(super) shared: Arc<Shared>,
    waiting: Arc<Semaphore>,
    writing: Vec<Pool>,
    reading: Vec<Pool>,
    commits: Commits,
    turn: AtomicUsize,
}

/// Why a write has to be run again.
enum Again {
    /// Others held the rows.
    Busy,
    /// Another view is coming into force.
    Moved,
    /// Another master holds something else than the primary.
    Differs(String),
    /// This master can't be used.
    Failed(usize, String),
}

impl Again {
    /// What a fault before any commit means: `Err` where it is the end.
    fn of(at: usize, fault: Fault) -> Result<Self, Fault> {
        match fault {
            Fault::Lost(why) => Ok(Self::Failed(at, why)),
            Fault::Busy => Ok(Self::Busy),
            Fault::Moved => Ok(Self::Moved),
            other => Err(other),
        }
    }
}

impl MySqlStore {
    /// Takes work from `handle` until all handles are gone.
    pub(crate) fn start(shared: &Arc<Shared>) -> MySqlHandle {
        let (queue, mut inbox) = mpsc::unbounded_channel();
        let waiting = Arc::new(Semaphore::new(shared.limits.waiting_writes));
        let pools = |connections: usize| {
            (0..shared.targets.len()).map(|at| Pool::new(at, connections)).collect()
        };
        let store = Rc::new(Self {
            shared: Arc::clone(shared),
            waiting: Arc::clone(&waiting),
            writing: pools(shared.limits.write_connections),
            reading: pools(shared.limits.read_connections),
            commits: Commits::default(),
            turn: AtomicUsize::new(0),
        });
        tokio::task::spawn_local(async move {
            while let Some(message) = inbox.recv().await {
                let store = Rc::clone(&store);
                tokio::task::spawn_local(async move {
                    match message {
                        Message::Write(job) => store.write(job).await,
                        Message::Read(job) => store.read(job).await,
                    }
                    store.waiting.add_permits(1);
                });
            }
        });
        MySqlHandle { queue, waiting, closing: Arc::default() }
    }

    async fn write(&self, mut job: Box<dyn WriteJob>) {
        let verdict = self.verdict(&mut job).await;
        self.shared.tally(&verdict);
        job.finish(verdict);
    }

    async fn verdict(&self, job: &mut Box<dyn WriteJob>) -> Verdict {
        let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
        let mut differed = false;
        let began = Instant::now();
        for _ in 0..RUNS_MAX {
            let view = self.shared.view();
            if let Err(error) = self.shared.may_write(&view) {
                return Verdict::NotSaved(error);
            }
            let again = match self.run(&view, job).await {
                Ok(verdict) => return verdict,
                Err(again) => again,
            };
            self.shared.counters.retried.add(1);
            match again {
                Again::Busy => tokio::time::sleep(backoff.pause(&self.shared.random)).await,
                // A master may have failed between another write's commits: then
                // that is about to be known, and it does not count.
                Again::Differs(_) if !differed => {
                    differed = true;
                    self.commits.all_so_far().await;
                }
                // A process that fell may have left it so: then it is settled when
                // the others take it for dead.
                Again::Differs(_)
                    if self.shared.among_others && began.elapsed() < SETTLED_WITHIN =>
                {
                    self.wait_for_change(&view).await;
                }
                Again::Differs(what) => {
                    tracing::error!(severity = "CRITICAL", what, "the masters hold different rows");
                    return Verdict::NotSaved(DbError::Diverged(what));
                }
                Again::Moved => self.wait_for_change(&view).await,
                Again::Failed(at, why) => {
                    let failed = Failed::Connection(why);
                    if self.shared.report(&view, at, failed).await.is_err() {
                        return Verdict::NotSaved(DbError::Closed);
                    }
                }
            }
        }
        Verdict::NotSaved(DbError::Busy)
    }

    async fn wait_for_change(&self, old: &View) {
        let mut views = self.shared.view.subscribe();
        let changed = views.wait_for(|view| view.generation != old.generation);
        drop(tokio::time::timeout(self.shared.limits.statement, changed).await);
    }

    /// Runs a write once, up to its verdict.
    async fn run(&self, view: &Arc<View>, job: &mut Box<dyn WriteJob>) -> Result<Verdict, Again> {
        let unsure = self.commits.unsure();
        let serving = view.serving();
        let first = serving[0];
        let (mut link, lease) = match self.writing[first].lease(&self.shared, view).await {
            Ok(leased) => leased,
            Err(fault) => return refused(Again::of(first, fault)),
        };
        link.begin_write(view.epoch);
        let link = Link::MySql(Box::new(link));
        let mut tx = Tx::new(link, Arc::clone(&self.shared.schema), self.shared.clock.clone());
        reached(Point::BeforeStatements);
        let ran = AssertUnwindSafe(job.run(&mut tx)).catch_unwind();
        let ran = tokio::time::timeout(CLOSURE_MAX, ran).await;
        let went_well = matches!(ran, Ok(Ok(true)));
        reached(Point::AfterStatements);
        let end = match tx.fault.take() {
            _ if ran.is_err() => Err(Ok(Verdict::NotSaved(DbError::Misuse(
                "the closure took longer than 30 s: it awaits nothing but its own statements",
            )))),
            Some(fault) => match Again::of(first, fault) {
                Ok(again) => Err(Err(again)),
                // The closure's own error says more than the statement's.
                Err(fault) if went_well => Err(Ok(Verdict::NotSaved(fault.into()))),
                Err(_) => Err(Ok(Verdict::Refused)),
            },
            None if !went_well => Err(Ok(Verdict::Refused)),
            None => match self.seal(&mut tx, view.epoch).await {
                Ok(sealed) => Ok(sealed),
                Err(fault) => Err(refused(Again::of(first, fault))),
            },
        };
        let mut link = tx.into_link();
        let sealed = match end {
            Ok(Some(sealed)) => sealed,
            Ok(None) => {
                // Nothing to commit; but what was read must have been current.
                let read = link.flush().await;
                undo(link, lease).await;
                self.rests_on_what_is_saved(unsure).await?;
                return match read {
                    Ok(()) => {
                        Ok(Verdict::Saved { txid: self.shared.new_txid(), owed: view.away() })
                    }
                    Err(fault) => refused(Again::of(first, fault)),
                };
            }
            Err(end) => {
                undo(link, lease).await;
                if matches!(end, Ok(Verdict::Refused)) {
                    self.rests_on_what_is_saved(unsure).await?;
                }
                return end;
            }
        };
        self.spread(view, &serving, Branch { at: first, link, lease }, sealed).await
    }

    /// Waits for the commits that a write which changes nothing may have read
    /// from; it is run again where one of them may be gone. Also a refusal may
    /// rest on what another write did.
    async fn rests_on_what_is_saved(&self, unsure: u64) -> Result<(), Again> {
        self.commits.all_so_far().await;
        if self.commits.unsure() == unsure { Ok(()) } else { Err(Again::Busy) }
    }

    /// Ends the write on the primary with its marker. `None` where it changed
    /// nothing.
    async fn seal(&self, tx: &mut Tx, epoch: u64) -> Result<Option<Sealed>, Fault> {
        let Some(WriteSet { mut statements, journal }) = tx.write_set()? else { return Ok(None) };
        let txid = self.shared.new_txid();
        let marker = db::marker(txid, epoch, journal.into_marker());
        tx.link.push(&marker).await?;
        tx.link.flush().await?;
        statements.push(marker);
        Ok(Some(Sealed { txid, statements }))
    }

    /// Runs the write on the other masters, and commits.
    async fn spread<'a>(
        &'a self,
        view: &Arc<View>,
        serving: &[usize],
        primary: Branch<'a>,
        sealed: Sealed,
    ) -> Result<Verdict, Again> {
        reached(Point::MarkerSent);
        let others = serving[1..].iter().map(|&at| self.apply(view, at, &sealed));
        let (mut branches, mut fault) = (Vec::new(), None);
        for (result, &at) in join_all(others).await.into_iter().zip(&serving[1..]) {
            match result {
                Ok(branch) => branches.push(branch),
                Err(why) => fault = fault.or(Some((at, why))),
            }
        }
        if let Some((at, fault)) = fault {
            branches.push(primary);
            join_all(branches.into_iter().map(|branch| undo(branch.link, branch.lease))).await;
            return Err(Again::of(at, fault).unwrap_or_else(|fault| {
                let master = &view.masters[at].name;
                Again::Differs(format!("{master}: {}", DbError::from(fault)))
            }));
        }
        reached(Point::BeforeCommits);
        let ticket = self.commits.begin();
        let txid = sealed.txid;
        let verdict = match self.shared.policy {
            #[cfg(feature = "faults")]
            _ if super::planted::compensates() => {
                self.commit_and_compensate(view, primary, branches, &sealed).await
            }
            Policy::Available => self.commit_available(view, primary, branches, txid).await,
            Policy::All => self.commit_all(view, primary, branches, txid).await,
        };
        reached(Point::BeforeAnswer);
        self.commits.end(ticket, matches!(verdict, Verdict::Saved { .. })).await;
        Ok(verdict)
    }

    async fn apply<'a>(
        &'a self,
        view: &View,
        at: usize,
        sealed: &Sealed,
    ) -> Result<Branch<'a>, Fault> {
        let (mut link, lease) = self.writing[at].lease(&self.shared, view).await?;
        link.begin_write(view.epoch);
        let mut link = Link::MySql(Box::new(link));
        let all = async {
            for statement in &sealed.statements {
                link.push(statement).await?;
            }
            link.flush().await
        };
        match all.await {
            Ok(()) => Ok(Branch { at, link, lease }),
            Err(fault) => {
                undo(link, lease).await;
                Err(fault)
            }
        }
    }

    /// All at the same time: any one of them makes it saved.
    async fn commit_available(
        &self,
        view: &Arc<View>,
        primary: Branch<'_>,
        mut others: Vec<Branch<'_>>,
        txid: TxId,
    ) -> Verdict {
        others.insert(0, primary);
        let masters: Vec<usize> = others.iter().map(|branch| branch.at).collect();
        let failed: Vec<(usize, Fault)> = join_all(others.into_iter().enumerate().map(commit_nth))
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        if failed.is_empty() {
            return Verdict::Saved { txid, owed: view.away() };
        }
        let owed: Vec<usize> = failed.iter().map(|(at, _)| *at).collect();
        // Those that failed stop serving before anybody hears that it is saved.
        if self.report_all(view, failed).await && self.shared.view().keeps(&masters, &owed) {
            return Verdict::Saved { txid, owed: view.owed(&owed) };
        }
        self.doubt(txid).await
    }

    /// The others first; the primary's commit decides.
    async fn commit_all(
        &self,
        view: &Arc<View>,
        primary: Branch<'_>,
        others: Vec<Branch<'_>>,
        txid: TxId,
    ) -> Verdict {
        let all: Vec<usize> = others.iter().map(|branch| branch.at).collect();
        let results = join_all(others.into_iter().map(commit)).await;
        if let Some(fault) = results.into_iter().find_map(Result::err).map(|(_, fault)| fault) {
            // The primary has not committed, and never will: not saved. Whoever
            // has it already is set right when it joins again.
            undo(primary.link, primary.lease).await;
            self.report_all(view, all.into_iter().map(|at| (at, fault.clone())).collect()).await;
            return Verdict::NotSaved(DbError::MasterAway(self.shared.view().away()));
        }
        reached(Point::BeforePrimaryCommit);
        match commit(primary).await {
            Ok(()) => Verdict::Saved { txid, owed: view.away() },
            Err(failed) => {
                self.report_all(view, vec![failed]).await;
                self.doubt(txid).await
            }
        }
    }

    /// Takes masters out; false when the store is closing.
    pub(super) async fn report_all(&self, view: &View, failed: Vec<(usize, Fault)>) -> bool {
        for (at, fault) in failed {
            let failed = Failed::Master(DbError::from(fault).to_string());
            if self.shared.report(view, at, failed).await.is_err() {
                return false;
            }
        }
        true
    }

    /// The answer to a commit was lost; perhaps it can be looked up.
    async fn doubt(&self, txid: TxId) -> Verdict {
        let (reply, answer) = oneshot::channel();
        drop(self.shared.supervisor.send(Command::Lookup { txid, reply }));
        match answer.await {
            Ok(Some(true)) => {
                let owed = self.shared.view().away();
                Verdict::Saved { txid, owed }
            }
            Ok(Some(false)) => Verdict::NotSaved(DbError::Busy),
            Ok(None) | Err(_) => Verdict::InDoubt(txid),
        }
    }

    async fn read(&self, mut job: Box<dyn ReadJob>) {
        // Who failed it first.
        let mut fell: Option<usize> = None;
        for _ in 0..=self.shared.targets.len() {
            // Before the view: what joins it later has everything.
            if !self.shared.lease.holds() && !self.shared.lease.wait(LEASE_WAIT_MAX).await {
                return job.finish(Some(DbError::NoMaster(NO_LEASE.to_owned())));
            }
            let view = self.shared.view();
            let reading = view.reading();
            if reading.is_empty() {
                if let Some(fell) = fell {
                    self.shared.numbers.read_went_over(fell, None);
                }
                return job.finish(Some(DbError::NoMaster(view.why_none())));
            }
            let at = reading[self.turn.fetch_add(1, Ordering::Relaxed) % reading.len()];
            match self.read_from(&view, at, &mut job).await {
                Ok(()) => {
                    self.shared.counters.reads.add(1);
                    if let Some(fell) = fell {
                        self.shared.counters.read_failovers.add(1);
                        self.shared.numbers.read_went_over(fell, Some(at));
                    }
                    return job.finish(None);
                }
                Err(Fault::Lost(why)) => {
                    fell.get_or_insert(at);
                    let failed = Failed::Connection(why);
                    if self.shared.report(&view, at, failed).await.is_err() {
                        return job.finish(Some(DbError::Closed));
                    }
                }
                Err(fault) => return job.finish(Some(fault.into())),
            }
        }
        job.finish(Some(DbError::NoMaster(self.shared.view().why_none())));
    }

    async fn read_from(
        &self,
        view: &View,
        at: usize,
        job: &mut Box<dyn ReadJob>,
    ) -> Result<(), Fault> {
        let (mut link, lease) = self.reading[at].lease(&self.shared, view).await?;
        link.begin_read();
        let mut db = Db::reading(Link::MySql(Box::new(link)), Arc::clone(&self.shared.schema));
        let ran = AssertUnwindSafe(job.run(&mut db)).catch_unwind().await;
        if let Some(fault @ Fault::Lost(_)) = db.fault.take() {
            return Err(fault);
        }
        undo(db.link, lease).await;
        ran.map_err(|_| Fault::Refused(DbError::Misuse("the closure panicked")))
    }
}

/// A transaction that has run on the primary, its marker last.
pub(super) struct Sealed {
    pub(super) txid: TxId,
    pub(super) statements: Vec<Statement>,
}

/// One master's part of a write.
pub(super) struct Branch<'a> {
    pub(super) at: usize,
    pub(super) link: Link,
    pub(super) lease: Lease<'a>,
}

/// As [`commit`], of one of several that commit at the same time.
async fn commit_nth((nth, branch): (usize, Branch<'_>)) -> Result<(), (usize, Fault)> {
    if nth > 0 {
        reached(Point::BetweenCommits);
    }
    commit(branch).await
}

pub(super) async fn commit(mut branch: Branch<'_>) -> Result<(), (usize, Fault)> {
    match branch.link.commit().await {
        Ok(()) => {
            reached(Point::AfterOneCommit);
            give_back(branch.link, branch.lease);
            Ok(())
        }
        Err(fault) => Err((branch.at, fault)),
    }
}

/// Rolls back; a connection on which that fails is closed, which does the same.
pub(super) async fn undo(mut link: Link, lease: Lease<'_>) {
    if link.rollback().await.is_ok() {
        give_back(link, lease);
    }
}

fn give_back(link: Link, lease: Lease<'_>) {
    if let Link::MySql(link) = link {
        lease.give_back(*link);
    }
}

fn refused(again: Result<Again, Fault>) -> Result<Verdict, Again> {
    match again {
        Ok(again) => Err(again),
        Err(fault) => Ok(Verdict::NotSaved(fault.into())),
    }
}
