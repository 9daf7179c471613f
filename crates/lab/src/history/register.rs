//! Keys that each behave as if there were one copy of them: linearizability.
//!
//! Every operation takes effect at one moment between its invocation and its
//! answer (Herlihy and Wing, *Linearizability: a correctness condition for
//! concurrent objects*, 1990). The search is that of Wing and Gong with Lowe's
//! memory of what was tried (*Testing for linearizability*, 2017), as
//! `porcupine-rs` has it. Keys are judged one by one, which is sound because
//! linearizability is local.
//!
//! A write of unknown outcome may take effect at any moment after its
//! invocation, or never.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use porcupine_rs::CheckResult;

use super::{History, Judged, Operation, Outcome};

/// Which register.
pub type Key = u32;

/// What is in it. A search goes quickest where no two writes write the same.
pub type Value = u32;

/// The most operations that a refusal shows.
pub const SHOWN_MAX: usize = 8;

/// What is asked of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Write it.
    Write {
        /// Which.
        key: Key,
        /// What.
        value: Value,
    },
    /// Read it.
    Read {
        /// Which.
        key: Key,
    },
}

impl Request {
    fn key(self) -> Key {
        match self {
            Self::Write { key, .. } | Self::Read { key } => key,
        }
    }
}

/// What a register says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a write.
    Written,
    /// To a read. A key that nobody wrote has none.
    Value(Option<Value>),
}

/// Why a history of registers is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No read was answered: there is nothing to judge.
    #[error("no read of a register was answered")]
    NothingRead,
    /// The recorder was told the answer to another request.
    #[error("{operation:?} has an answer that is none to its request")]
    Answer {
        /// The operation.
        operation: Operation<Request, Answer>,
    },
    /// No order of the operations explains the answers.
    #[error("key {key} is not linearizable: nothing explains {}", list(.last))]
    NotLinearizable {
        /// Which key.
        key: Key,
        /// The last operations of the shortest beginning of the history that
        /// can't be, at most [`SHOWN_MAX`], newest first. Without the first of
        /// them, it can be.
        last: Vec<Operation<Request, Answer>>,
    },
    /// The search was not over in time. Shorter histories, or fewer unknown
    /// outcomes for each key, help.
    #[error("key {key} could not be judged within {limit:?}")]
    Undecided {
        /// Which key.
        key: Key,
        /// The time it had.
        limit: Duration,
    },
}

/// Refuses a history that is not linearizable. A key that nobody wrote has no
/// value. Each key's search takes at most `limit`.
pub fn judge(history: &History<Request, Answer>, limit: Duration) -> Result<Judged, Refusal> {
    let mut keys: BTreeMap<Key, Vec<&Operation<Request, Answer>>> = BTreeMap::new();
    let mut reads = 0;
    for operation in history.operations() {
        match (operation.input, operation.answer()) {
            (Request::Read { .. }, Some(Answer::Value(_))) => reads += 1,
            (_, None) | (Request::Write { .. }, Some(Answer::Written)) => {}
            (Request::Read { .. }, Some(Answer::Written))
            | (Request::Write { .. }, Some(Answer::Value(_))) => {
                return Err(Refusal::Answer { operation: operation.clone() });
            }
        }
        keys.entry(operation.input.key()).or_default().push(operation);
    }
    for (key, operations) in keys {
        match search(&operations, u64::MAX, limit) {
            CheckResult::Ok => {}
            CheckResult::Unknown => return Err(Refusal::Undecided { key, limit }),
            CheckResult::Illegal => {
                let last = shortest(&operations, limit);
                return Err(Refusal::NotLinearizable { key, last });
            }
        }
    }
    if reads == 0 {
        return Err(Refusal::NothingRead);
    }
    Ok(Judged::count(history))
}

/// The end of the shortest beginning of a refused history that is refused.
///
/// Every beginning of a linearizable history is linearizable, so halving finds
/// it.
fn shortest(
    operations: &[&Operation<Request, Answer>],
    limit: Duration,
) -> Vec<Operation<Request, Answer>> {
    let mut completed: Vec<_> = operations
        .iter()
        .filter(|operation| operation.answer().is_some())
        .filter_map(|operation| Some((operation.completed?.order, *operation)))
        .collect();
    completed.sort_by_key(|(order, _)| *order);
    // The beginning up to the last of these is known to be refused.
    let (mut sound, mut refused) = (0, completed.len());
    while sound + 1 < refused {
        let middle = usize::midpoint(sound, refused);
        let (until, _) = completed[middle - 1];
        match search(operations, until, limit) {
            CheckResult::Illegal => refused = middle,
            // What took too long is not known to be refused.
            CheckResult::Ok | CheckResult::Unknown => sound = middle,
        }
    }
    completed[..refused]
        .iter()
        .rev()
        .take(SHOWN_MAX)
        .map(|(_, operation)| (*operation).clone())
        .collect()
}

/// Whether one key's history up to the moment `until` is linearizable.
fn search(operations: &[&Operation<Request, Answer>], until: u64, limit: Duration) -> CheckResult {
    let seen: Vec<_> = operations
        .iter()
        .filter(|operation| operation.invoked.order <= until)
        .map(|operation| {
            let completed = operation.completed.filter(|completed| completed.order <= until);
            (*operation, completed)
        })
        .collect();
    let read: BTreeSet<Value> = seen
        .iter()
        .filter(|(_, completed)| completed.is_some())
        .filter_map(|(operation, _)| match operation.answer() {
            Some(Answer::Value(value)) => *value,
            Some(Answer::Written) | None => None,
        })
        .collect();
    let history: Vec<_> = seen
        .into_iter()
        .filter_map(|(operation, completed)| {
            let op = match (operation.input, &operation.outcome, completed) {
                (_, Outcome::Fail, Some(_)) => return None,
                (Request::Write { value, .. }, Outcome::Ok(_), Some(_)) => Op::Write(value),
                // What nobody read explains nothing, and each such write
                // doubles the search.
                (Request::Write { value, .. }, ..) if read.contains(&value) => {
                    return Some(entry(operation, None, Op::Write(value)));
                }
                (Request::Read { .. }, Outcome::Ok(Answer::Value(value)), Some(_)) => {
                    Op::Read(*value)
                }
                _ => return None,
            };
            Some(entry(operation, completed.map(|completed| completed.order), op))
        })
        .collect();
    porcupine_rs::check_operations_timeout(&history, limit)
}

fn entry(
    operation: &Operation<Request, Answer>,
    completed: Option<u64>,
    op: Op,
) -> porcupine_rs::Operation<Register> {
    let time = |order: u64| i64::try_from(order).unwrap_or(i64::MAX);
    porcupine_rs::Operation {
        client_id: Some(operation.who.0),
        call_time: time(operation.invoked.order),
        // What never completes may take effect after everything else, which is
        // the same as never.
        return_time: completed.map_or(i64::MAX, time),
        op,
        metadata: None,
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Write(Value),
    Read(Option<Value>),
}

#[derive(Clone, Debug)]
struct Register;

impl porcupine_rs::Model for Register {
    type State = Option<Value>;
    type Op = Op;
    type Metadata = ();

    fn init() -> Option<Value> {
        None
    }

    fn step(state: &Option<Value>, op: &Op) -> (bool, Option<Value>) {
        match op {
            Op::Write(value) => (true, Some(*value)),
            Op::Read(value) => (value == state, *state),
        }
    }
}

fn list(operations: &[Operation<Request, Answer>]) -> String {
    let show = |operation: &Operation<Request, Answer>| {
        let what = match (operation.input, operation.answer()) {
            (Request::Write { value, .. }, _) => format!("wrote {value}"),
            (Request::Read { .. }, Some(Answer::Value(Some(value)))) => format!("read {value}"),
            (Request::Read { .. }, _) => "read nothing".to_owned(),
        };
        let (from, to) = (operation.invoked.at, operation.completed.map(|moment| moment.at));
        format!("{} {what} ({from:?} to {:?})", operation.who, to.unwrap_or_default())
    };
    let shown: Vec<_> = operations.iter().map(show).collect();
    shown.join(", after ")
}
