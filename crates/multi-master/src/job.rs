//! A closure on its way to the thread that runs it, and its outcome on the way
//! back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use crate::db::{Db, Tx};
use crate::error::{DbError, MasterName, Outcome, TxId};

type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What became of a write, without its types.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Saved; `owed` names the masters that will get it later.
    Saved { txid: TxId, owed: Vec<MasterName> },
    /// The closure itself said no.
    Refused,
    /// The store said no.
    NotSaved(DbError),
    /// Nobody can say now.
    InDoubt(TxId),
}

/// A write's closure. It may run several times.
pub(crate) trait WriteJob: Send {
    /// Runs the closure; `true` when it returned `Ok`.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> Local<'a, bool>;
    /// Tells the caller.
    fn finish(self: Box<Self>, verdict: Verdict);
}

/// A read's closure. It may run several times.
pub(crate) trait ReadJob: Send {
    /// Runs the closure and keeps its result.
    fn run<'a>(&'a mut self, db: &'a mut Db) -> Local<'a, ()>;
    /// Tells the caller the closure's result, or why the store has none.
    fn finish(self: Box<Self>, failed: Option<DbError>);
}

pub(crate) struct Write<F, T, E> {
    closure: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Outcome<T, E>>,
}

pub(crate) struct Read<F, T, E> {
    closure: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

pub(crate) fn write<F, T, E>(closure: F) -> (Box<dyn WriteJob>, oneshot::Receiver<Outcome<T, E>>)
where
    F: AsyncFn(&mut Tx) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Write { closure, result: None, reply }), answer)
}

pub(crate) fn read<F, T, E>(closure: F) -> (Box<dyn ReadJob>, oneshot::Receiver<Result<T, E>>)
where
    F: AsyncFn(&mut Db) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Read { closure, result: None, reply }), answer)
}

impl<F, T, E> WriteJob for Write<F, T, E>
where
    F: AsyncFn(&mut Tx) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> Local<'a, bool> {
        Box::pin(async move {
            // Nothing of an earlier run is left over when this one panics.
            self.result = None;
            let result = (self.closure)(tx).await;
            let went_well = result.is_ok();
            self.result = Some(result);
            went_well
        })
    }

    fn finish(self: Box<Self>, verdict: Verdict) {
        let outcome = match (verdict, self.result) {
            (Verdict::Saved { txid, owed }, Some(Ok(value))) if owed.is_empty() => {
                Outcome::Saved { value, txid }
            }
            (Verdict::Saved { txid, owed }, Some(Ok(value))) => Outcome::Owed { value, txid, owed },
            (Verdict::InDoubt(txid), _) => Outcome::InDoubt(txid),
            (Verdict::Refused, Some(Err(error))) => Outcome::NotSaved(error),
            (Verdict::NotSaved(error), _) => Outcome::NotSaved(error.into()),
            (Verdict::Saved { .. } | Verdict::Refused, _) => {
                Outcome::NotSaved(DbError::Misuse("the closure panicked").into())
            }
        };
        // A caller that went away does not want to know.
        drop(self.reply.send(outcome));
    }
}

impl<F, T, E> ReadJob for Read<F, T, E>
where
    F: AsyncFn(&mut Db) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    fn run<'a>(&'a mut self, db: &'a mut Db) -> Local<'a, ()> {
        Box::pin(async move {
            self.result = None;
            self.result = Some((self.closure)(db).await);
        })
    }

    fn finish(self: Box<Self>, failed: Option<DbError>) {
        let result = match (failed, self.result) {
            (None, Some(result)) => result,
            (None, None) => Err(DbError::Misuse("the closure panicked").into()),
            (Some(error), _) => Err(error.into()),
        };
        drop(self.reply.send(result));
    }
}

/// How a closure's run on a thread of ours ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ran<T> {
    Returned(T),
    /// It waited for something that is not a statement of its own.
    Waited,
    Panicked,
}

/// Runs a future that is ready at once, as all are that await only statements
/// on a SQLite file.
pub(crate) fn run_ready<T>(future: impl Future<Output = T>) -> Ran<T> {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        future.as_mut().poll(&mut context)
    }));
    match polled {
        Ok(Poll::Ready(value)) => Ran::Returned(value),
        Ok(Poll::Pending) => Ran::Waited,
        Err(_) => Ran::Panicked,
    }
}

/// The errors for the ways in which a closure's run can go wrong.
pub(crate) fn misuse<T>(ran: &Ran<T>) -> Option<DbError> {
    match ran {
        Ran::Returned(_) => None,
        Ran::Waited => {
            Some(DbError::Misuse("the closure waited for something other than its own statements"))
        }
        Ran::Panicked => Some(DbError::Misuse("the closure panicked")),
    }
}
