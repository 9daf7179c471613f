//! The threads that read SQLite files.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, TrySendError, bounded};

use crate::db::Db;
use crate::error::DbError;
use crate::fault::Fault;
use crate::job::{self, Ran, ReadJob};
use crate::link::Link;
use crate::shared::{self, Shared};
use crate::sqlite::queue::Closable;

/// Reads that may wait for a thread. One is done in well under a millisecond.
const WAITING_MAX: usize = 10_000;
/// How often a read goes after masters that come and go.
const MOVES_MAX: u32 = 100;

/// Where callers leave their reads.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    queue: Closable<Box<dyn ReadJob>>,
}

impl Readers {
    pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (queue, inbox) = bounded(WAITING_MAX);
        let turn = Arc::new(AtomicUsize::new(0));
        let threads = shared.limits.read_connections.clamp(1, 64);
        let mut started = Vec::new();
        for at in 0..threads {
            let links = shared.targets.iter().map(|_| None).collect();
            let reader = Reader {
                shared: Arc::clone(shared),
                inbox: inbox.clone(),
                turn: Arc::clone(&turn),
                generation: 0,
                links,
            };
            started.push(
                std::thread::Builder::new()
                    .name(format!("mm-read-{at}"))
                    .spawn(move || reader.run())?,
            );
        }
        Ok((Self { queue: Closable::new(queue) }, started))
    }

    pub(crate) fn submit(&self, job: Box<dyn ReadJob>) {
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => job.finish(Some(DbError::Overloaded)),
            Err(TrySendError::Disconnected(job)) => job.finish(Some(DbError::Closed)),
        }
    }

    /// Takes no more reads. The threads end after those that wait already.
    pub(crate) fn stop(&self) {
        self.queue.close();
    }
}

struct Reader {
    shared: Arc<Shared>,
    inbox: Receiver<Box<dyn ReadJob>>,
    /// Spreads the reads of all threads over the masters.
    turn: Arc<AtomicUsize>,
    generation: u64,
    links: Vec<Option<Link>>,
}

impl Reader {
    fn run(mut self) {
        while let Ok(job) = self.inbox.recv() {
            self.read(job);
        }
    }

    fn read(&mut self, mut job: Box<dyn ReadJob>) {
        let shared = Arc::clone(&self.shared);
        // Each round either answers or takes a master out.
        // Who failed it first.
        let mut fell: Option<usize> = None;
        let (mut failures, mut moves) = (0, 0);
        while failures <= shared.targets.len() {
            let view = shared.view();
            if self.generation != view.generation {
                self.generation = view.generation;
                self.links.iter_mut().for_each(|link| *link = None);
            }
            let reading = view.reading();
            if reading.is_empty() {
                if let Some(fell) = fell {
                    shared.numbers.read_went_over(fell, None);
                }
                return job.finish(Some(DbError::NoMaster(view.why_none())));
            }
            let at = reading[self.turn.fetch_add(1, Ordering::Relaxed) % reading.len()];
            match self.read_from(at, view.epoch, &mut job) {
                Ok(()) => {
                    shared.counters.reads.add(1);
                    if let Some(fell) = fell {
                        shared.counters.read_failovers.add(1);
                        shared.numbers.read_went_over(fell, Some(at));
                    }
                    return job.finish(None);
                }
                Err(Failed::Misuse(error)) => return job.finish(Some(error)),
                Err(Failed::Moved) if moves < MOVES_MAX => moves += 1,
                Err(Failed::Moved) => return job.finish(Some(DbError::Busy)),
                Err(Failed::Lost(why)) => {
                    failures += 1;
                    fell.get_or_insert(at);
                    let failed = shared::Failed::Connection(why);
                    if shared.report(&view, at, failed).blocking_recv().is_err() {
                        return job.finish(Some(DbError::Closed));
                    }
                }
            }
        }
        job.finish(Some(DbError::NoMaster(shared.view().why_none())));
    }

    fn read_from(
        &mut self,
        at: usize,
        epoch: u64,
        job: &mut Box<dyn ReadJob>,
    ) -> Result<(), Failed> {
        let mut link = match self.links[at].take() {
            Some(link) => link,
            None => ready(self.shared.connect_counted(at))?,
        };
        ready(link.batch("begin"))?;
        let mut db = Db::reading_from(link, &self.shared, at, epoch);
        let ran = job::run_ready(job.run(&mut db));
        let fault = db.fault.take();
        if let Some(Fault::Lost(why)) = fault {
            return Err(Failed::Lost(why));
        }
        let mut link = db.link;
        ready(link.rollback())?;
        self.links[at] = Some(link);
        if matches!(fault, Some(Fault::Moved)) {
            return Err(Failed::Moved);
        }
        match job::misuse(&ran) {
            Some(error) => Err(Failed::Misuse(error)),
            None => Ok(()),
        }
    }
}

enum Failed {
    Lost(String),
    /// Who serves has changed meanwhile.
    Moved,
    Misuse(DbError),
}

fn ready<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Failed> {
    match job::run_ready(future) {
        Ran::Returned(Ok(value)) => Ok(value),
        Ran::Returned(Err(fault)) => Err(Failed::Lost(DbError::from(fault).to_string())),
        Ran::Waited | Ran::Panicked => Err(Failed::Lost("the connection broke down".to_owned())),
    }
}
