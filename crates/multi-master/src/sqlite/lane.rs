//! A file that is not the primary: it gets the same statements, on a thread of
//! its own, while the primary runs the next write.

// Other than those of `crossbeam`, these channels drop what waits in them when
// the receiver is gone: a vote that nobody will cast, and who waits for it.
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::job::{self, Ran};
use crate::link::Link;
use crate::render::Statement;
use crate::sabotage::{Point, reached};
use crate::sqlite::writer::GROUP_MAX;

/// How long one thread of an open group waits for another without sleeping.
const AWAKE_MAX: Duration = Duration::from_micros(100);

/// Statements on SQLite are done when they are called.
pub(super) fn ready<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match job::run_ready(future) {
        Ran::Returned(result) => result,
        Ran::Waited | Ran::Panicked => Err(Fault::Lost("the connection broke down".to_owned())),
    }
}

/// A file that is not the primary, with a thread of its own.
pub(super) struct Lane {
    pub(super) at: usize,
    tasks: SyncSender<Task>,
    thread: Option<JoinHandle<()>>,
}

/// Answers: what became of a task, or of each part of it.
pub(super) type Answers = Receiver<Result<(), Fault>>;

enum Task {
    /// Runs statements, in a transaction that it begins where there is none.
    Apply(Arc<Vec<Statement>>),
    /// Answers how the statements went and, where they went well on all files,
    /// commits and answers how that went.
    Commit(Vote, SyncSender<Result<(), Fault>>),
    Rollback(SyncSender<Result<(), Fault>>),
}

impl Lane {
    pub(super) fn start(at: usize, link: Link, epoch: u64) -> std::io::Result<Self> {
        // A group and the tasks that frame it: a full channel would only make
        // the writer wait.
        let (tasks, inbox) = sync_channel(GROUP_MAX + 8);
        let thread = std::thread::Builder::new()
            .name(format!("mm-apply-{at}"))
            .spawn(move || apply(link, epoch, &inbox))?;
        Ok(Self { at, tasks, thread: Some(thread) })
    }

    /// Runs statements, later.
    pub(super) fn apply(&self, statements: &Arc<Vec<Statement>>) {
        // Of a thread that ended, the next question has an error for an answer.
        drop(self.tasks.send(Task::Apply(Arc::clone(statements))));
    }

    /// Commits where `vote` says so. The first answer tells how the statements
    /// went, the second, where all files voted for it, how the commit did.
    pub(super) fn commit(&self, vote: Vote) -> Answers {
        let (answer, answers) = sync_channel(2);
        drop(self.tasks.send(Task::Commit(vote, answer)));
        answers
    }

    /// Undoes what was applied; when this returns, the file is free.
    pub(super) fn rollback(&self) {
        let (answer, answers) = sync_channel(1);
        drop(self.tasks.send(Task::Rollback(answer)));
        drop(answered(&answers));
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let (closed, _) = sync_channel(1);
        self.tasks = closed;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

pub(super) fn answered(answers: &Answers) -> Result<(), Fault> {
    soon(answers).unwrap_or_else(|_| Err(Fault::Lost("its thread ended".to_owned())))
}

/// Receives what is likely to come in less time than it takes to be put to sleep
/// and woken up.
fn soon<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    let start = Instant::now();
    while start.elapsed() < AWAKE_MAX {
        match from.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => std::thread::yield_now(),
        }
    }
    from.recv()
}

/// One file's voice in whether a group is committed: only where all of its
/// statements went well on every file. A voice that is dropped says no.
pub(super) struct Vote {
    election: Arc<Election>,
    cast: bool,
}

struct Election {
    state: Mutex<Count>,
    over: Condvar,
}

struct Count {
    missing: usize,
    all_well: bool,
}

impl Vote {
    /// One for each of `voices` files.
    pub(super) fn among(voices: usize) -> impl Iterator<Item = Self> {
        let state = Mutex::new(Count { missing: voices, all_well: true });
        let election = Arc::new(Election { state, over: Condvar::new() });
        (0..voices).map(move |_| Self { election: Arc::clone(&election), cast: false })
    }

    /// Waits until each file has voted, and says whether all went well.
    fn cast(mut self, well: bool) -> bool {
        self.count(well);
        let state = self.election.state.lock().unwrap_or_else(PoisonError::into_inner);
        let over = &self.election.over;
        over.wait_while(state, |count| count.missing > 0)
            .unwrap_or_else(PoisonError::into_inner)
            .all_well
    }

    fn count(&mut self, well: bool) {
        self.cast = true;
        let mut state = self.election.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.missing -= 1;
        state.all_well &= well;
        if state.missing == 0 {
            self.election.over.notify_all();
        }
    }
}

impl Drop for Vote {
    fn drop(&mut self) {
        if !self.cast {
            self.count(false);
        }
    }
}

/// The thread of a [`Lane`]. After a failure it does nothing until the rollback.
fn apply(mut link: Link, epoch: u64, inbox: &Receiver<Task>) {
    // How the transaction that is open went so far.
    let mut open: Option<Result<(), Fault>> = None;
    while let Ok(task) = if open.is_some() { soon(inbox) } else { inbox.recv() } {
        match task {
            Task::Apply(statements) => {
                let state = open.get_or_insert_with(|| ready(link.begin_under(epoch)));
                for statement in statements.iter() {
                    if state.is_ok() {
                        *state = ready(link.push(statement));
                    }
                }
            }
            Task::Commit(vote, answer) => {
                let nothing = || Err(Fault::Lost("it was given nothing".to_owned()));
                let ran = open.clone().unwrap_or_else(nothing);
                let well = ran.is_ok();
                reached(Point::BeforeCommits);
                drop(answer.send(ran));
                if vote.cast(well) {
                    let committed = ready(link.commit());
                    open = committed.is_err().then(|| committed.clone());
                    reached(Point::AfterOneCommit);
                    drop(answer.send(committed));
                }
            }
            Task::Rollback(answer) => {
                open = None;
                drop(answer.send(ready(link.rollback())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_committed_only_where_every_file_is_for_it() {
        for against in [None, Some(0), Some(2)] {
            let voters: Vec<_> = Vote::among(3)
                .enumerate()
                .map(|(at, vote)| std::thread::spawn(move || vote.cast(against != Some(at))))
                .collect();
            for voter in voters {
                assert_eq!(voter.join().unwrap(), against.is_none());
            }
        }
    }

    #[test]
    fn a_file_whose_thread_ended_is_against_it_and_keeps_nobody_waiting() {
        for ended_before in [false, true] {
            let (tasks, inbox) = sync_channel(8);
            let lane = Lane { at: 1, tasks, thread: None };
            let mut inbox = Some(inbox);
            if ended_before {
                inbox = None;
            }
            let mut votes = Vote::among(2);
            let (one, other) = (votes.next().unwrap(), votes.next().unwrap());
            let voter = std::thread::spawn(move || one.cast(true));
            let answers = lane.commit(other);
            // Where it had not ended yet, the task waits in its box for ever.
            drop(inbox);
            assert!(!voter.join().unwrap());
            assert!(matches!(answered(&answers), Err(Fault::Lost(_))));
        }
    }
}
