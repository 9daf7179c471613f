//! Where reads and writes on MariaDB masters arrive, to become tasks of the
//! store's own thread; and the reads.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::db::Db;
use crate::error::DbError;
use crate::fault::Fault;
use crate::job::{ReadJob, Verdict, WriteJob};
use crate::link::Link;
use crate::membership::View;
use crate::mysql::commits::Commits;
use crate::mysql::gather::Gather;
use crate::mysql::lock_order::LockOrder;
use crate::mysql::pool::{Lease, Pool};
use crate::mysql::write::undo;
use crate::shared::{Failed, Shared};

/// How long a read waits until it is known which masters serve.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(3);
/// How long a read goes after masters that come and go.
const MOVES_MAX: Duration = Duration::from_secs(30);
const NO_LEASE: &str = "neither the witness nor every master that serves can be asked whether other \
                        processes go on without one: nothing can be read until one of the two can";

/// Where callers leave their work.
#[derive(Clone, Debug)]
pub(crate) struct MySqlHandle {
    writes: mpsc::UnboundedSender<Box<dyn WriteJob>>,
    reads: mpsc::UnboundedSender<Box<dyn ReadJob>>,
    /// Work that is accepted and not finished.
    waiting: Arc<Semaphore>,
    closing: Arc<AtomicBool>,
}

impl MySqlHandle {
    pub(crate) fn write(&self, job: Box<dyn WriteJob>) {
        let Ok(permit) = self.waiting.try_acquire() else {
            return job.finish(Verdict::NotSaved(self.refusal()));
        };
        match self.writes.send(job) {
            Ok(()) => permit.forget(),
            Err(mpsc::error::SendError(job)) => job.finish(Verdict::NotSaved(DbError::Closed)),
        }
    }

    pub(crate) fn read(&self, job: Box<dyn ReadJob>) {
        let Ok(permit) = self.waiting.try_acquire() else {
            return job.finish(Some(self.refusal()));
        };
        match self.reads.send(job) {
            Ok(()) => permit.forget(),
            Err(mpsc::error::SendError(job)) => job.finish(Some(DbError::Closed)),
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
    pub(super) gather: Gather,
    pub(super) lock_order: LockOrder,
    pub(super) writing: Vec<Pool>,
    pub(super) commits: Commits,
    reading: Vec<Pool>,
    turn: AtomicUsize,
}

impl MySqlStore {
    /// Takes work from the handle until all handles are gone.
    pub(crate) fn start(shared: &Arc<Shared>) -> MySqlHandle {
        let (writes, mut to_write) = mpsc::unbounded_channel();
        let (reads, mut to_read) = mpsc::unbounded_channel();
        let waiting = Arc::new(Semaphore::new(shared.limits.waiting_writes));
        let pools = |connections: usize| {
            (0..shared.targets.len()).map(|at| Pool::new(at, connections)).collect()
        };
        let store = Rc::new(Self {
            shared: Arc::clone(shared),
            waiting: Arc::clone(&waiting),
            gather: Gather::new(),
            lock_order: LockOrder::default(),
            writing: pools(shared.limits.write_connections),
            commits: Commits::default(),
            reading: pools(shared.limits.read_connections),
            turn: AtomicUsize::new(0),
        });
        let writer = Rc::clone(&store);
        tokio::task::spawn_local(async move {
            while let Some((group, turn)) = writer.gather.next(&mut to_write, &writer.shared).await
            {
                tokio::task::spawn_local(Rc::clone(&writer).write(group, turn));
            }
        });
        tokio::task::spawn_local(async move {
            while let Some(job) = to_read.recv().await {
                let store = Rc::clone(&store);
                tokio::task::spawn_local(async move {
                    store.read(job).await;
                    store.waiting.add_permits(1);
                });
            }
        });
        MySqlHandle { writes, reads, waiting, closing: Arc::default() }
    }

    /// Counts a verdict and gives it to the caller.
    pub(super) fn tell(&self, job: Box<dyn WriteJob>, verdict: Verdict) {
        self.shared.tally(&verdict);
        job.finish(verdict);
        self.waiting.add_permits(1);
    }

    async fn read(&self, mut job: Box<dyn ReadJob>) {
        // Who failed it first, how often one did, and whose connections are all in use.
        let mut fell: Option<usize> = None;
        let (mut failures, mut moves) = (0, 0);
        let mut full: Vec<usize> = Vec::new();
        let began = Instant::now();
        while failures <= self.shared.targets.len() {
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
            let reading: Vec<usize> = reading.into_iter().filter(|at| !full.contains(at)).collect();
            if reading.is_empty() {
                return job.finish(Some(DbError::Busy));
            }
            let at = reading[self.turn.fetch_add(1, Ordering::Relaxed) % reading.len()];
            match self.read_from(&view, at, &mut job).await {
                Ok((link, lease)) => {
                    self.shared.counters.reads.add(1);
                    if let Some(fell) = fell {
                        self.shared.counters.read_failovers.add(1);
                        self.shared.numbers.read_went_over(fell, Some(at));
                    }
                    // Nobody waits for the end of a transaction that only read.
                    job.finish(None);
                    return undo(link, lease).await;
                }
                Err(Fault::Full) => full.push(at),
                Err(Fault::Moved) if moves == 0 || began.elapsed() < MOVES_MAX => moves += 1,
                Err(Fault::Lost(why)) => {
                    failures += 1;
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

    async fn read_from<'a>(
        &'a self,
        view: &View,
        at: usize,
        job: &mut Box<dyn ReadJob>,
    ) -> Result<(Link, Lease<'a>), Fault> {
        // Those who use the connections of a master that is out wait for its answers.
        let (mut link, lease) = tokio::select! {
            biased;
            leased = self.reading[at].lease(&self.shared, view) => leased?,
            () = self.shared.moved_on(view) => return Err(Fault::Moved),
        };
        link.begin_read();
        let link = Link::MySql(Box::new(link));
        let mut db = Db::reading_from(link, &self.shared, at, view.epoch);
        let ran = AssertUnwindSafe(job.run(&mut db)).catch_unwind().await;
        match (db.fault.take(), ran) {
            (Some(fault @ Fault::Lost(_)), _) => Err(fault),
            (Some(Fault::Moved), _) => {
                undo(db.link, lease).await;
                Err(Fault::Moved)
            }
            (_, Ok(())) => Ok((db.link, lease)),
            (_, Err(_)) => {
                undo(db.link, lease).await;
                Err(Fault::Refused(DbError::Misuse("the closure panicked")))
            }
        }
    }
}
