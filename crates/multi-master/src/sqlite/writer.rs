//! The one thread that writes to a set of SQLite files.
//!
//! Writes that wait are taken together: each runs on the primary, what it
//! changed is applied to the other files by a thread for each, and all share one
//! commit. An error in one undoes that one alone.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TrySendError, bounded};

use crate::error::DbError;
use crate::fault::Fault;
use crate::job::{Verdict, WriteJob};
use crate::membership::View;
use crate::shared::{Failed, Shared};
use crate::sqlite::lanes::{Lanes, One};
use crate::sqlite::queue::Closable;

/// Writes that share one commit. More would make the first wait for the last.
pub(super) const GROUP_MAX: usize = 256;
/// The longest wait for more writes to share a commit. Commits take from 0.2 ms.
const LINGER_MAX: Duration = Duration::from_micros(500);
/// Runs of one write before it is given back as busy.
const RUNS_MAX: u32 = 8;
/// Waits for a view of the masters that can be written, for one group.
const VIEWS_MAX: u32 = 8;

/// Where callers leave their writes.
#[derive(Clone, Debug)]
pub(crate) struct WriterHandle {
    queue: Closable<Box<dyn WriteJob>>,
}

impl WriterHandle {
    /// Leaves a write, or finishes it at once where too many wait.
    pub(crate) fn submit(&self, job: Box<dyn WriteJob>) {
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => job.finish(Verdict::NotSaved(DbError::Overloaded)),
            Err(TrySendError::Disconnected(job)) => {
                job.finish(Verdict::NotSaved(DbError::Closed));
            }
        }
    }

    /// Takes no more writes. The thread ends after those that wait already.
    pub(crate) fn stop(&self) {
        self.queue.close();
    }
}

/// The thread's own state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Box<dyn WriteJob>>,
    lanes: Option<Lanes>,
}

impl Writer {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<(WriterHandle, JoinHandle<()>)> {
        let (sender, queue) = bounded(shared.limits.waiting_writes);
        let writer = Self { shared, queue, lanes: None };
        let thread =
            std::thread::Builder::new().name("mm-writer".to_owned()).spawn(move || writer.run())?;
        Ok((WriterHandle { queue: Closable::new(sender) }, thread))
    }

    fn run(mut self) {
        let mut last = Last::default();
        while let Ok(first) = self.queue.recv() {
            let group = self.gather(first, &last);
            let (size, start) = (group.len(), Instant::now());
            self.finish_all(group);
            last = Last { size, took: start.elapsed(), waiting: self.queue.len() };
        }
    }

    /// Takes what waits; and waits a little for the callers of the last group,
    /// who were answered just now, where they are likely to come back. One
    /// commit for all of them is much cheaper than two for half of them each.
    fn gather(&self, first: Box<dyn WriteJob>, last: &Last) -> Vec<Waiting> {
        let mut group = vec![Waiting::new(first)];
        let likely = (last.size + last.waiting).min(GROUP_MAX);
        let until = Instant::now() + (last.took / 4).min(LINGER_MAX);
        while group.len() < GROUP_MAX {
            let next = if group.len() < likely && last.size > 1 {
                self.queue.recv_deadline(until).ok()
            } else {
                self.queue.try_recv().ok()
            };
            match next {
                Some(job) => group.push(Waiting::new(job)),
                None => break,
            }
        }
        group
    }

    /// Runs the group, and parts of it again, until each write has its verdict.
    fn finish_all(&mut self, mut group: Vec<Waiting>) {
        let mut views = 0;
        let mut guard = Guard::None;
        while !group.is_empty() {
            let view = self.shared.view();
            if let Err(error) = self.shared.may_write(&view) {
                return refuse(&self.shared, group, &error);
            }
            match self.run_group(group, &view, guard) {
                Next::Done => return,
                Next::Guarded(left) => {
                    guard = Guard::Savepoints;
                    group = left;
                }
                Next::Locked(left) => return refuse(&self.shared, left, &DbError::Busy),
                // A group in which one write spoils the others: each by itself.
                Next::OneByOne(left) => {
                    self.shared.counters.retried.add(left.len() as u64);
                    for mut one in left {
                        one.runs += 1;
                        if one.runs > RUNS_MAX {
                            refuse(&self.shared, vec![one], &DbError::Busy);
                        } else {
                            self.finish_all(vec![one]);
                        }
                    }
                    return;
                }
                Next::NewView { left, failed } => {
                    views += 1;
                    self.lanes = None;
                    if let Some((master, failed)) = failed {
                        let answered = self.shared.report(&view, master, failed);
                        if answered.blocking_recv().is_err() {
                            return refuse(&self.shared, left, &DbError::Closed);
                        }
                    } else {
                        self.wait_for_change(&view);
                    }
                    if views > VIEWS_MAX {
                        return refuse(&self.shared, left, &DbError::Busy);
                    }
                    group = left;
                }
            }
        }
    }

    /// The epoch on the file is another than the view's: the supervisor is
    /// about to say why.
    fn wait_for_change(&self, old: &View) {
        let start = Instant::now();
        while self.shared.view().generation == old.generation
            && start.elapsed() < self.shared.limits.statement
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn lanes(&mut self, view: &Arc<View>) -> Result<&mut Lanes, (usize, Fault)> {
        if self.lanes.as_ref().is_none_or(|lanes| lanes.view.generation != view.generation) {
            // The old connections are closed before new ones are opened.
            self.lanes = None;
            self.lanes = Some(Lanes::open(&self.shared, view)?);
        }
        Ok(self.lanes.as_mut().expect("opened just now"))
    }

    fn run_group(&mut self, group: Vec<Waiting>, view: &Arc<View>, guard: Guard) -> Next {
        let shared = Arc::clone(&self.shared);
        let lanes = match self.lanes(view) {
            Ok(lanes) => lanes,
            Err((at, fault)) => return Next::failed(group, at, fault),
        };
        if let Err((at, fault)) = lanes.begin() {
            lanes.rollback();
            return Next::failed(group, at, fault);
        }
        let (mut ran, mut rest) = (Vec::new(), group.into_iter());
        while let Some(mut waiting) = rest.next() {
            let (fault, verdict) = match lanes.run_one(&shared, &mut waiting, rest.len(), guard) {
                One::Ran(end) => {
                    ran.push((waiting, end));
                    continue;
                }
                One::Spoilt(verdict) => (None, Some(verdict)),
                One::Lost(fault) => (Some(fault), None),
            };
            let at = lanes.primary_at;
            lanes.rollback();
            let mut left: Vec<Waiting> = ran.into_iter().map(|(one, _)| one).collect();
            if let Some(verdict) = verdict
                && left.is_empty()
                && rest.len() == 0
            {
                // Alone, it spoils nothing for others.
                tell(&shared, waiting, verdict);
                return Next::Done;
            }
            left.push(waiting);
            left.extend(rest);
            return match fault {
                Some(fault) => Next::failed(left, at, fault),
                None => Next::Guarded(left),
            };
        }
        lanes.commit(&shared, ran)
    }
}

/// The group before: how many they were, how long it took, and how many came
/// meanwhile.
#[derive(Default)]
struct Last {
    size: usize,
    took: Duration,
    waiting: usize,
}

/// A write and how often it was run.
pub(super) struct Waiting {
    pub(super) job: Box<dyn WriteJob>,
    runs: u32,
}

impl Waiting {
    fn new(job: Box<dyn WriteJob>) -> Self {
        Self { job, runs: 0 }
    }
}

/// Counts a verdict and gives it to the caller.
pub(super) fn tell(shared: &Shared, waiting: Waiting, verdict: Verdict) {
    shared.tally(&verdict);
    waiting.job.finish(verdict);
}

pub(super) fn refuse(shared: &Shared, group: Vec<Waiting>, error: &DbError) {
    for waiting in group {
        tell(shared, waiting, Verdict::NotSaved(error.clone()));
    }
}

/// What undoes one write of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nothing: where one has to be undone, all are, and run again. Most groups
    /// have none, and savepoints cost a quarter of a small write.
    None,
    Savepoints,
}

/// What is to be done with a group.
pub(super) enum Next {
    Done,
    /// One had to be undone: again, with savepoints.
    Guarded(Vec<Waiting>),
    /// Something else holds the primary's file, and has for as long as a
    /// statement may take.
    Locked(Vec<Waiting>),
    OneByOne(Vec<Waiting>),
    NewView {
        left: Vec<Waiting>,
        failed: Option<(usize, Failed)>,
    },
}

impl Next {
    pub(super) fn failed(left: Vec<Waiting>, at: usize, fault: Fault) -> Self {
        match fault {
            Fault::Lost(why) => Self::NewView { left, failed: Some((at, Failed::Connection(why))) },
            Fault::Moved => Self::NewView { left, failed: None },
            Fault::Busy => Self::Locked(left),
            _ => Self::OneByOne(left),
        }
    }
}
