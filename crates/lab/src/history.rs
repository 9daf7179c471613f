//! What clients did, what they were told, and whether that can be.
//!
//! A [`Recorder`] notes every operation of every client: when it was invoked,
//! when its outcome was known, and which outcome. A judge reads the
//! [`History`] afterwards and refuses what no database that keeps its promise
//! could have answered:
//!
//! | judge | what it holds the database to |
//! |---|---|
//! | [`bank`] | money moves and is never made: one total in every read |
//! | `register` | each key behaves as one copy: linearizability |
//! | `list_append` | an isolation level, by the anomalies that it forbids |
//!
//! The last two are there with the feature `judges`.
//!
//! **What it does not do:** a judge sees no more than what clients saw. It
//! proves that a history is spoiled, never that a database is sound: that
//! takes many histories, with faults in them.
//!
//! ```
//! use std::collections::BTreeMap;
//! use lab::history::bank::{self, Answer, Bank, Request};
//!
//! let recorder = lab::Recorder::new();
//! let mut reader = recorder.client();
//! let read = reader.invoke(Request::Read);
//! read.ok(Answer::Balances(BTreeMap::from([(0, 60), (1, 50)])));
//! let bank = Bank { accounts: 2, total: 100 };
//! let refusal = bank::judge(&recorder.history(), bank).unwrap_err();
//! assert!(refusal.to_string().contains("110"));
//! ```

pub mod bank;

#[cfg(feature = "judges")]
pub mod register;

#[cfg(feature = "judges")]
pub mod list_append;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One of the clients of a history. It does one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

/// A point of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The place among all moments of the history, which is what judges go
    /// by: no two have the same.
    pub order: u64,
    /// Since the recorder was made, for people who read a report.
    pub at: Duration,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// It happened, and this is the answer.
    Ok(O),
    /// It did not happen and never will.
    Fail,
    /// Nobody said. It may have happened, may happen later, or never.
    Unknown,
}

/// One operation of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Who asked.
    pub who: ClientId,
    /// For what.
    pub input: I,
    /// When.
    pub invoked: Moment,
    /// When the client knew the outcome, or stopped waiting for it. `None`
    /// while it waits.
    pub completed: Option<Moment>,
    /// What it was told.
    pub outcome: Outcome<O>,
}

impl<I, O> Operation<I, O> {
    /// The answer, of an operation that happened.
    pub fn answer(&self) -> Option<&O> {
        match &self.outcome {
            Outcome::Ok(answer) => Some(answer),
            Outcome::Fail | Outcome::Unknown => None,
        }
    }

    /// Whether this had its answer before `other` was asked for: then `other`
    /// must see it.
    pub fn is_before<J, P>(&self, other: &Operation<J, P>) -> bool {
        self.answer().is_some()
            && self.completed.is_some_and(|completed| completed.order < other.invoked.order)
    }
}

/// Operations in the order in which they were invoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<I, O> {
    operations: Vec<Operation<I, O>>,
}

impl<I, O> History<I, O> {
    /// A history that was not recorded here: read from a file, or made up to
    /// see that a judge refuses it.
    pub fn from_operations(mut operations: Vec<Operation<I, O>>) -> Result<Self, HistoryError> {
        operations.sort_by_key(|operation| operation.invoked.order);
        let mut moments = BTreeSet::new();
        let mut last: BTreeMap<ClientId, Option<u64>> = BTreeMap::new();
        for operation in &operations {
            let (who, invoked) = (operation.who, operation.invoked.order);
            let completed = operation.completed.map(|completed| completed.order);
            if completed.is_none() && !matches!(operation.outcome, Outcome::Unknown) {
                return Err(HistoryError::Early { who, invoked });
            }
            if completed.is_some_and(|completed| completed <= invoked) {
                return Err(HistoryError::Backwards { who, invoked });
            }
            for moment in [Some(invoked), completed].into_iter().flatten() {
                if !moments.insert(moment) {
                    return Err(HistoryError::Twice { order: moment });
                }
            }
            let is_free = match last.insert(who, completed) {
                None => true,
                Some(before) => before.is_some_and(|before| before < invoked),
            };
            if !is_free {
                return Err(HistoryError::Overlap { who, invoked });
            }
        }
        Ok(Self { operations })
    }

    /// All operations.
    #[must_use]
    pub fn operations(&self) -> &[Operation<I, O>] {
        &self.operations
    }

    /// All operations, to make another history of them.
    #[must_use]
    pub fn into_operations(self) -> Vec<Operation<I, O>> {
        self.operations
    }
}

/// A list of operations is no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A client asked for something while it waited.
    #[error("{who} invoked an operation at {invoked} while it waited for another")]
    Overlap {
        /// Who.
        who: ClientId,
        /// The place of the second invocation.
        invoked: u64,
    },
    /// An answer came before its request.
    #[error("{who}'s operation invoked at {invoked} is completed no later")]
    Backwards {
        /// Who.
        who: ClientId,
        /// The place of the invocation.
        invoked: u64,
    },
    /// An outcome is known that has not come.
    #[error("{who}'s operation invoked at {invoked} has an outcome and is not completed")]
    Early {
        /// Who.
        who: ClientId,
        /// The place of the invocation.
        invoked: u64,
    },
    /// Two moments have the same place.
    #[error("two things happened at {order}")]
    Twice {
        /// The place.
        order: u64,
    },
}

/// What a judge that has nothing to object to has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The operations that happened.
    pub ok: usize,
    /// Those that did not.
    pub failed: usize,
    /// Those of which nobody knows.
    pub unknown: usize,
}

impl Judged {
    fn count<I, O>(history: &History<I, O>) -> Self {
        let mut judged = Self { ok: 0, failed: 0, unknown: 0 };
        for operation in history.operations() {
            match operation.outcome {
                Outcome::Ok(_) => judged.ok += 1,
                Outcome::Fail => judged.failed += 1,
                Outcome::Unknown => judged.unknown += 1,
            }
        }
        judged
    }
}

/// Writes a history while it happens, from any number of threads.
#[derive(Debug)]
pub struct Recorder<I, O> {
    log: Arc<Log<I, O>>,
}

impl<I, O> Recorder<I, O> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let pages = Mutex::new(Pages { order: 0, clients: 0, operations: Vec::new() });
        Self { log: Arc::new(Log { started: Instant::now(), pages }) }
    }

    /// A further client. Give each thread or task one of its own.
    #[must_use]
    pub fn client(&self) -> Client<I, O> {
        let mut pages = self.log.pages();
        let id = ClientId(pages.clients);
        pages.clients += 1;
        Client { id, log: Arc::clone(&self.log) }
    }
}

impl<I: Clone, O: Clone> Recorder<I, O> {
    /// The history so far. What is under way is unknown in it.
    #[must_use]
    pub fn history(&self) -> History<I, O> {
        History { operations: self.log.pages().operations.clone() }
    }
}

impl<I, O> Default for Recorder<I, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I, O> Clone for Recorder<I, O> {
    fn clone(&self) -> Self {
        Self { log: Arc::clone(&self.log) }
    }
}

/// A client's own access to a [`Recorder`].
#[derive(Debug)]
pub struct Client<I, O> {
    id: ClientId,
    log: Arc<Log<I, O>>,
}

impl<I, O> Client<I, O> {
    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Notes that an operation begins. Call it before anything is sent.
    #[must_use = "what is dropped has an unknown outcome"]
    pub fn invoke(&mut self, input: I) -> Open<'_, I, O> {
        let mut pages = self.log.pages();
        let invoked = pages.now(self.log.started);
        let at = pages.operations.len();
        pages.operations.push(Operation {
            who: self.id,
            input,
            invoked,
            completed: None,
            outcome: Outcome::Unknown,
        });
        drop(pages);
        Open { client: self, at, is_pending: true }
    }
}

/// An operation whose outcome is not known yet. Dropped, it stays unknown.
#[derive(Debug)]
pub struct Open<'a, I, O> {
    client: &'a mut Client<I, O>,
    at: usize,
    is_pending: bool,
}

impl<I, O> Open<'_, I, O> {
    /// It happened. Call it after the answer has come.
    pub fn ok(self, answer: O) {
        self.close(Outcome::Ok(answer));
    }

    /// It surely did not happen and never will.
    pub fn fail(self) {
        self.close(Outcome::Fail);
    }

    /// Nobody said.
    pub fn unknown(self) {
        self.close(Outcome::Unknown);
    }

    fn close(mut self, outcome: Outcome<O>) {
        self.complete(outcome);
    }

    fn complete(&mut self, outcome: Outcome<O>) {
        if std::mem::take(&mut self.is_pending) {
            let log = &self.client.log;
            let mut pages = log.pages();
            let completed = pages.now(log.started);
            let operation = &mut pages.operations[self.at];
            operation.completed = Some(completed);
            operation.outcome = outcome;
        }
    }
}

impl<I, O> Drop for Open<'_, I, O> {
    fn drop(&mut self) {
        self.complete(Outcome::Unknown);
    }
}

#[derive(Debug)]
struct Log<I, O> {
    started: Instant,
    pages: Mutex<Pages<I, O>>,
}

#[derive(Debug)]
struct Pages<I, O> {
    order: u64,
    clients: u32,
    operations: Vec<Operation<I, O>>,
}

impl<I, O> Log<I, O> {
    fn pages(&self) -> MutexGuard<'_, Pages<I, O>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I, O> Pages<I, O> {
    /// The next moment. It is taken under the lock, so that the order of
    /// moments agrees with the order in which things happened.
    fn now(&mut self, started: Instant) -> Moment {
        let order = self.order;
        self.order += 1;
        Moment { order, at: started.elapsed() }
    }
}
