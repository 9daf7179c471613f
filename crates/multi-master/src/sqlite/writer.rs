//! The one thread that writes to a set of SQLite files.
//!
//! Writes that wait are taken together: each runs under a savepoint of its own
//! on the primary, what it changed is applied to the other files by a thread
//! for each, and all share one commit. An error in one undoes that one alone.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::config::Policy;
use crate::db::{Tx, WriteSet};
use crate::error::{DbError, TxId};
use crate::fault::Fault;
use crate::job::{self, Ran, Verdict, WriteJob};
use crate::link::Link;
use crate::membership::View;
use crate::render::Statement;
use crate::shared::Shared;
use crate::sqlite::IfAbsent;

/// Writes that share one commit. More would make the first wait for the last.
const GROUP_MAX: usize = 256;
/// Runs of one write before it is given back as busy.
const RUNS_MAX: u32 = 8;
/// Waits for a view of the masters that can be written, for one group.
const VIEWS_MAX: u32 = 8;

enum Message {
    Write(Box<dyn WriteJob>),
    Stop,
}

/// Where callers leave their writes.
#[derive(Clone, Debug)]
pub(crate) struct WriterHandle {
    queue: Sender<Message>,
}

impl WriterHandle {
    /// Leaves a write, or finishes it at once where too many wait.
    pub(crate) fn submit(&self, job: Box<dyn WriteJob>) {
        match self.queue.try_send(Message::Write(job)) {
            Ok(()) => {}
            Err(TrySendError::Full(Message::Write(job))) => {
                job.finish(Verdict::NotSaved(DbError::Overloaded));
            }
            Err(TrySendError::Disconnected(Message::Write(job))) => {
                job.finish(Verdict::NotSaved(DbError::Closed));
            }
            Err(_) => {}
        }
    }

    /// Asks the thread to end after the writes that wait already.
    pub(crate) fn stop(&self) {
        drop(self.queue.send(Message::Stop));
    }
}

/// The thread's own state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Message>,
    lanes: Option<Lanes>,
}

/// Connections for one view of the masters.
struct Lanes {
    view: Arc<View>,
    primary_at: usize,
    /// Taken out while a transaction uses it.
    primary: Option<Link>,
    others: Vec<Lane>,
}

impl Writer {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<(WriterHandle, JoinHandle<()>)> {
        let (sender, queue) = bounded(shared.limits.waiting_writes);
        let writer = Self { shared, queue, lanes: None };
        let thread =
            std::thread::Builder::new().name("mm-writer".to_owned()).spawn(move || writer.run())?;
        Ok((WriterHandle { queue: sender }, thread))
    }

    fn run(mut self) {
        while let Ok(Message::Write(first)) = self.queue.recv() {
            let mut group = vec![Waiting::new(first)];
            let mut stop = false;
            while group.len() < GROUP_MAX {
                match self.queue.try_recv() {
                    Ok(Message::Write(job)) => group.push(Waiting::new(job)),
                    Ok(Message::Stop) => {
                        stop = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.finish_all(group);
            if stop {
                break;
            }
        }
        // Whoever came after the stop is told; new ones find the queue closed.
        for message in self.queue.try_iter() {
            if let Message::Write(job) = message {
                job.finish(Verdict::NotSaved(DbError::Closed));
            }
        }
    }

    /// Runs the group, and parts of it again, until each write has its verdict.
    fn finish_all(&mut self, mut group: Vec<Waiting>) {
        let mut views = 0;
        while !group.is_empty() {
            let view = self.shared.view();
            if let Err(error) = self.shared.may_write(&view) {
                return refuse(&self.shared, group, &error);
            }
            match self.run_group(group, &view) {
                Next::Done => return,
                // Writers that another connection held back, or a group in which
                // one write spoils the others: each by itself.
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
                    if let Some((master, why)) = failed {
                        let answered = self.shared.report(&view, master, why);
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
        let start = std::time::Instant::now();
        while self.shared.view().generation == old.generation
            && start.elapsed() < self.shared.limits.statement
        {
            std::thread::sleep(std::time::Duration::from_millis(1));
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

    fn run_group(&mut self, group: Vec<Waiting>, view: &Arc<View>) -> Next {
        let shared = Arc::clone(&self.shared);
        let lanes = match self.lanes(view) {
            Ok(lanes) => lanes,
            Err((at, fault)) => return Next::failed(group, at, fault),
        };
        if let Err((at, fault)) = lanes.begin() {
            lanes.rollback();
            return Next::failed(group, at, fault);
        }
        let (mut sealed, mut rest) = (Vec::new(), group.into_iter());
        while let Some(mut waiting) = rest.next() {
            match lanes.run_one(&shared, &mut waiting) {
                One::Sealed(txid) => sealed.push((waiting, txid)),
                One::Unchanged => sealed.push((waiting, None)),
                One::Verdict(verdict) => {
                    shared.counters.not_saved.add(1);
                    waiting.job.finish(verdict);
                }
                One::Lost(fault) => {
                    let at = lanes.primary_at;
                    lanes.rollback();
                    let mut left: Vec<Waiting> = sealed.into_iter().map(|(one, _)| one).collect();
                    left.push(waiting);
                    left.extend(rest);
                    return Next::failed(left, at, fault);
                }
            }
        }
        lanes.commit(&shared, sealed)
    }
}

/// A write and how often it was run.
struct Waiting {
    job: Box<dyn WriteJob>,
    runs: u32,
}

impl Waiting {
    fn new(job: Box<dyn WriteJob>) -> Self {
        Self { job, runs: 0 }
    }
}

fn refuse(shared: &Shared, group: Vec<Waiting>, error: &DbError) {
    shared.counters.not_saved.add(group.len() as u64);
    for waiting in group {
        waiting.job.finish(Verdict::NotSaved(error.clone()));
    }
}

/// What is to be done with a group.
enum Next {
    Done,
    OneByOne(Vec<Waiting>),
    NewView { left: Vec<Waiting>, failed: Option<(usize, String)> },
}

impl Next {
    fn failed(left: Vec<Waiting>, at: usize, fault: Fault) -> Self {
        match fault {
            Fault::Lost(why) => Self::NewView { left, failed: Some((at, why)) },
            Fault::Moved => Self::NewView { left, failed: None },
            _ => Self::OneByOne(left),
        }
    }
}

/// What became of one write of a group, before the commit.
enum One {
    Sealed(Option<TxId>),
    /// It changed nothing.
    Unchanged,
    Verdict(Verdict),
    /// The primary can't be used.
    Lost(Fault),
}

impl Lanes {
    fn open(shared: &Arc<Shared>, view: &Arc<View>) -> Result<Self, (usize, Fault)> {
        let serving = view.serving();
        let primary_at = serving[0];
        let connect = |at: usize| match job::run_ready(shared.connect(at, IfAbsent::Refuse)) {
            Ran::Returned(Ok(link)) => Ok(link),
            Ran::Returned(Err(fault)) => Err((at, fault)),
            Ran::Waited | Ran::Panicked => Err((at, Fault::Lost("not opened".to_owned()))),
        };
        let primary = Some(connect(primary_at)?);
        let mut others = Vec::new();
        for &at in &serving[1..] {
            let lane = Lane::start(at, connect(at)?, view.epoch)
                .map_err(|error| (at, Fault::Lost(error.to_string())))?;
            others.push(lane);
        }
        Ok(Self { view: Arc::clone(view), primary_at, primary, others })
    }

    fn primary(&mut self) -> &mut Link {
        self.primary.as_mut().expect("put back after each transaction")
    }

    /// Begins on every file: the primary first, so that two sets of connections
    /// always meet in one order.
    fn begin(&mut self) -> Result<(), (usize, Fault)> {
        let (at, epoch) = (self.primary_at, self.view.epoch);
        ready(begin(self.primary(), epoch)).map_err(|fault| (at, fault))?;
        for lane in &self.others {
            lane.tell(Task::Begin);
        }
        Ok(())
    }

    fn rollback(&mut self) {
        if let Some(primary) = &mut self.primary {
            drop(ready(primary.rollback()));
        }
        for lane in &self.others {
            drop(lane.ask(Task::Rollback));
        }
    }

    fn run_one(&mut self, shared: &Shared, waiting: &mut Waiting) -> One {
        let mut link = self.primary.take().expect("put back after each transaction");
        if let Err(fault) = ready(link.batch("savepoint one")) {
            self.primary = Some(link);
            return One::Lost(fault);
        }
        let mut tx = Tx::new(link, Arc::clone(&shared.schema), shared.clock.clone());
        let ran = job::run_ready(waiting.job.run(&mut tx));
        let went_well = ran == Ran::Returned(true);
        let mut end = match (tx.fault.take(), job::misuse(&ran)) {
            (Some(fault @ (Fault::Lost(_) | Fault::Busy)), _) => End::Lost(fault),
            (_, Some(misuse)) => End::Undo(Verdict::NotSaved(misuse)),
            // The closure's own error says more than the statement's.
            (Some(_), None) if !went_well => End::Undo(Verdict::Refused),
            (Some(fault), None) => End::Undo(Verdict::NotSaved(fault.into())),
            (None, None) if !went_well => End::Undo(Verdict::Refused),
            (None, None) => End::Keep(None),
        };
        if let End::Keep(set) = &mut end {
            match ready(tx.seal(self.view.epoch, shared.random.next_u64())) {
                Ok(sealed) => *set = sealed,
                Err(fault @ (Fault::Lost(_) | Fault::Busy)) => end = End::Lost(fault),
                Err(fault) => end = End::Undo(Verdict::NotSaved(fault.into())),
            }
        }
        self.primary = Some(tx.into_link());
        self.end_savepoint(end)
    }

    fn end_savepoint(&mut self, end: End) -> One {
        let (undo, one) = match end {
            End::Lost(fault) => return One::Lost(fault),
            End::Undo(verdict) => (true, One::Verdict(verdict)),
            End::Keep(None) => (true, One::Unchanged),
            End::Keep(Some(WriteSet { txid, statements })) => {
                let statements = Arc::new(statements);
                for lane in &self.others {
                    lane.tell(Task::Apply(Arc::clone(&statements)));
                }
                (false, One::Sealed(Some(txid)))
            }
        };
        if undo && let Err(fault) = ready(self.primary().batch("rollback to one")) {
            return One::Lost(fault);
        }
        match ready(self.primary().batch("release one")) {
            Ok(()) => one,
            Err(fault) => One::Lost(fault),
        }
    }

    /// Commits the group and tells each caller.
    fn commit(&mut self, shared: &Shared, sealed: Vec<(Waiting, Option<TxId>)>) -> Next {
        if sealed.iter().all(|(_, txid)| txid.is_none()) {
            self.rollback();
            saved(shared, sealed, &self.view.away());
            return Next::Done;
        }
        let left = |sealed: Vec<(Waiting, Option<TxId>)>| {
            sealed.into_iter().map(|(waiting, _)| waiting).collect::<Vec<_>>()
        };
        // Every file has run everything before any of them commits.
        let applied: Vec<(usize, Result<(), Fault>)> =
            self.others.iter().map(|lane| (lane.at, lane.ask(Task::Report))).collect();
        if let Some((at, Err(fault))) = applied.into_iter().find(|(_, result)| result.is_err()) {
            self.rollback();
            return match fault {
                Fault::Mismatch { .. } | Fault::Duplicate { .. } | Fault::Refused(_) => {
                    self.differ(shared, left(sealed), at, fault)
                }
                fault => Next::failed(left(sealed), at, fault),
            };
        }
        match shared.policy {
            Policy::Available => self.commit_available(shared, sealed),
            Policy::All => self.commit_all(shared, sealed),
        }
    }

    /// The other file holds something else than the primary. One write that
    /// meets it is refused; in a group it is found by running each by itself.
    fn differ(&self, shared: &Shared, mut left: Vec<Waiting>, at: usize, fault: Fault) -> Next {
        if left.len() > 1 {
            return Next::OneByOne(left);
        }
        let what = format!("{}: {}", self.view.masters[at].name, DbError::from(fault));
        tracing::error!(severity = "CRITICAL", what, "the masters hold different rows");
        if let Some(one) = left.pop() {
            refuse(shared, vec![one], &DbError::Diverged(what));
        }
        Next::Done
    }

    fn commit_available(&mut self, shared: &Shared, sealed: Vec<(Waiting, Option<TxId>)>) -> Next {
        let answers: Vec<(usize, Receiver<Result<(), Fault>>)> =
            self.others.iter().map(|lane| (lane.at, lane.begin_ask(Task::Commit))).collect();
        let mut failed = Vec::new();
        if let Err(fault) = ready(self.primary().commit()) {
            failed.push((self.primary_at, fault));
        }
        let masters = 1 + answers.len();
        for (at, answer) in answers {
            if let Err(fault) = answered(&answer) {
                failed.push((at, fault));
            }
        }
        if failed.is_empty() {
            saved(shared, sealed, &self.view.away());
            return Next::Done;
        }
        let everywhere = failed.len() == masters;
        // Those that failed stop serving before anybody hears that it is saved.
        let owed: Vec<usize> = failed.iter().map(|(at, _)| *at).collect();
        let out = report_all(shared, &self.view, failed);
        if everywhere || !out {
            in_doubt(shared, sealed, &self.view.away());
        } else {
            saved(shared, sealed, &self.view.owed(&owed));
        }
        Next::NewView { left: Vec::new(), failed: None }
    }

    fn commit_all(&mut self, shared: &Shared, sealed: Vec<(Waiting, Option<TxId>)>) -> Next {
        for lane in &self.others {
            if let Err(fault) = lane.ask(Task::Commit) {
                // The primary has not committed, and never will: not saved.
                // Whoever has it already is set right when it joins again.
                let others: Vec<(usize, Fault)> =
                    self.others.iter().map(|lane| (lane.at, fault.clone())).collect();
                self.rollback();
                report_all(shared, &self.view, others);
                let left = sealed.into_iter().map(|(waiting, _)| waiting).collect();
                refuse(shared, left, &DbError::MasterAway(shared.view().away()));
                return Next::Done;
            }
        }
        if let Err(fault) = ready(self.primary().commit()) {
            report_all(shared, &self.view, vec![(self.primary_at, fault)]);
            in_doubt(shared, sealed, &self.view.away());
            return Next::Done;
        }
        saved(shared, sealed, &self.view.away());
        Next::Done
    }
}

/// How a savepoint ends.
enum End {
    Keep(Option<WriteSet>),
    Undo(Verdict),
    Lost(Fault),
}

/// Reports masters that failed; false when the store is closing.
fn report_all(shared: &Shared, view: &View, failed: Vec<(usize, Fault)>) -> bool {
    failed.into_iter().all(|(at, fault)| {
        shared.report(view, at, DbError::from(fault).to_string()).blocking_recv().is_ok()
    })
}

fn saved(shared: &Shared, sealed: Vec<(Waiting, Option<TxId>)>, owed: &[crate::MasterName]) {
    let counter = if owed.is_empty() { &shared.counters.saved } else { &shared.counters.owed };
    counter.add(sealed.len() as u64);
    for (waiting, txid) in sealed {
        let txid = txid.unwrap_or_else(|| {
            crate::write_set::txid(shared.clock.tick(), shared.random.next_u64())
        });
        waiting.job.finish(Verdict::Saved { txid, owed: owed.to_vec() });
    }
}

fn in_doubt(shared: &Shared, sealed: Vec<(Waiting, Option<TxId>)>, away: &[crate::MasterName]) {
    for (waiting, txid) in sealed {
        match txid {
            Some(txid) => {
                shared.counters.in_doubt.add(1);
                waiting.job.finish(Verdict::InDoubt(txid));
            }
            None => saved(shared, vec![(waiting, None)], away),
        }
    }
}

/// Begins a transaction and makes sure that the file is at the view's epoch.
async fn begin(link: &mut Link, epoch: u64) -> Result<(), Fault> {
    link.begin().await?;
    let rows = link.query("select epoch from mm_epoch where id = 1", &[]).await?;
    let now: Option<i64> = rows.first().map(|row| crate::tables::read(row, "epoch")).transpose()?;
    if now == i64::try_from(epoch).ok() { Ok(()) } else { Err(Fault::Moved) }
}

/// Statements on SQLite are done when they are called.
fn ready<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match job::run_ready(future) {
        Ran::Returned(result) => result,
        Ran::Waited | Ran::Panicked => Err(Fault::Lost("the connection broke down".to_owned())),
    }
}

/// A file that is not the primary, with a thread of its own.
struct Lane {
    at: usize,
    tasks: Sender<(Task, Option<Sender<Result<(), Fault>>>)>,
    thread: Option<JoinHandle<()>>,
}

enum Task {
    Begin,
    Apply(Arc<Vec<Statement>>),
    /// Says whether everything so far went well.
    Report,
    Commit,
    Rollback,
}

impl Lane {
    fn start(at: usize, link: Link, epoch: u64) -> std::io::Result<Self> {
        // A group and the tasks that frame it: a full channel would only make
        // the writer wait.
        let (tasks, inbox) = bounded(GROUP_MAX + 8);
        let thread = std::thread::Builder::new()
            .name(format!("mm-apply-{at}"))
            .spawn(move || apply(link, epoch, &inbox))?;
        Ok(Self { at, tasks, thread: Some(thread) })
    }

    fn tell(&self, task: Task) {
        // A thread that ended answers the next question with an error.
        drop(self.tasks.send((task, None)));
    }

    fn begin_ask(&self, task: Task) -> Receiver<Result<(), Fault>> {
        let (answer, receiver) = bounded(1);
        drop(self.tasks.send((task, Some(answer))));
        receiver
    }

    fn ask(&self, task: Task) -> Result<(), Fault> {
        answered(&self.begin_ask(task))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let (closed, _) = bounded(1);
        self.tasks = closed;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answered(answer: &Receiver<Result<(), Fault>>) -> Result<(), Fault> {
    answer.recv().unwrap_or_else(|_| Err(Fault::Lost("its thread ended".to_owned())))
}

/// The thread of a [`Lane`]. After a failure it does nothing until the rollback.
fn apply(mut link: Link, epoch: u64, inbox: &Receiver<(Task, Option<Sender<Result<(), Fault>>>)>) {
    let mut state = Ok(());
    while let Ok((task, answer)) = inbox.recv() {
        match task {
            Task::Begin => state = ready(begin(&mut link, epoch)),
            Task::Apply(statements) => {
                for statement in statements.iter() {
                    if state.is_ok() {
                        state = ready(link.push(statement));
                    }
                }
            }
            Task::Report => {}
            Task::Commit => {
                if state.is_ok() {
                    state = ready(link.commit());
                }
            }
            Task::Rollback => state = ready(link.rollback()),
        }
        if let Some(answer) = answer {
            drop(answer.send(state.clone()));
        }
    }
}
