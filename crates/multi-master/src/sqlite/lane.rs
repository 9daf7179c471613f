//! A file that is not the primary: it gets the same statements, on a thread of
//! its own, while the primary runs the next write.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::fault::Fault;
use crate::job::{self, Ran};
use crate::link::Link;
use crate::render::Statement;
use crate::sqlite::writer::GROUP_MAX;

/// Begins a transaction and makes sure that the file is at the view's epoch.
pub(super) async fn begin(link: &mut Link, epoch: u64) -> Result<(), Fault> {
    link.begin().await?;
    let rows = link.query("select epoch from mm_epoch where id = 1", &[]).await?;
    let now: Option<i64> = rows.first().map(|row| crate::tables::read(row, "epoch")).transpose()?;
    if now == i64::try_from(epoch).ok() { Ok(()) } else { Err(Fault::Moved) }
}

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
    tasks: Sender<Asked>,
    thread: Option<JoinHandle<()>>,
}

/// A task, and where the answer goes where one is wanted.
type Asked = (Task, Option<Sender<Result<(), Fault>>>);

pub(super) enum Task {
    Begin,
    Apply(Arc<Vec<Statement>>),
    /// Says whether everything so far went well.
    Report,
    Commit,
    Rollback,
}

impl Lane {
    pub(super) fn start(at: usize, link: Link, epoch: u64) -> std::io::Result<Self> {
        // A group and the tasks that frame it: a full channel would only make
        // the writer wait.
        let (tasks, inbox) = bounded(GROUP_MAX + 8);
        let thread = std::thread::Builder::new()
            .name(format!("mm-apply-{at}"))
            .spawn(move || apply(link, epoch, &inbox))?;
        Ok(Self { at, tasks, thread: Some(thread) })
    }

    pub(super) fn tell(&self, task: Task) {
        // A thread that ended answers the next question with an error.
        drop(self.tasks.send((task, None)));
    }

    pub(super) fn begin_ask(&self, task: Task) -> Receiver<Result<(), Fault>> {
        let (answer, receiver) = bounded(1);
        drop(self.tasks.send((task, Some(answer))));
        receiver
    }

    pub(super) fn ask(&self, task: Task) -> Result<(), Fault> {
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

pub(super) fn answered(answer: &Receiver<Result<(), Fault>>) -> Result<(), Fault> {
    answer.recv().unwrap_or_else(|_| Err(Fault::Lost("its thread ended".to_owned())))
}

/// The thread of a [`Lane`]. After a failure it does nothing until the rollback.
fn apply(mut link: Link, epoch: u64, inbox: &Receiver<Asked>) {
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
