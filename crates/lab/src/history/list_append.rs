//! Transactions that append to lists and read them: which isolation they had.
//!
//! No element is appended twice, so a read shows the order of all appends
//! before it, and from reads and appends follows which transaction depends on
//! which. A cycle of dependencies is an anomaly, and every isolation level is
//! the set of anomalies that it forbids (Adya, *Weak Consistency*, 1999;
//! Kingsbury and Alvaro, *Elle: Inferring Isolation Anomalies from
//! Experimental Observations*, 2020). The crate `adya` searches for them; what
//! a reader saw that nobody appended is looked for here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use adya::history::{Interner, Mop, Op, OpType, ReadValue, Scalar};
use adya::{Opts, Valid, Workload};

use super::{History, Judged, Operation, Outcome};

/// Which list.
pub type List = u32;

/// What is appended. No two appends to one list may have the same.
pub type Element = u32;

/// The most anomalies that a refusal has.
pub const ANOMALIES_MAX: usize = 16;

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Append to a list.
    Append {
        /// Which.
        list: List,
        /// What.
        element: Element,
    },
    /// Read a whole list.
    Read {
        /// Which.
        list: List,
    },
}

/// A transaction: its steps, in order.
pub type Request = Vec<Step>;

/// What its reads showed, in order: one list for each [`Step::Read`].
pub type Answer = Vec<Vec<Element>>;

/// What a database promises. Each forbids the anomalies that are named, and
/// those that imply them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Adya's PL-1: no cycle of writes (G0), no element twice.
    ReadUncommitted,
    /// PL-2: also no read of what was undone (G1a) or was on the way (G1b), no
    /// cycle of reads and writes (G1c).
    ReadCommitted,
    /// PL-2 in the order of real time: also, what was acknowledged is seen by
    /// what begins later.
    StrongReadCommitted,
    /// PL-2.99: also no lost update, and no cycle with reads of what another
    /// then changed (G2-item).
    RepeatableRead,
    /// PL-SI: also one snapshot for each transaction (G-single), of which the
    /// first to commit wins. Write skew is allowed.
    SnapshotIsolation,
    /// PL-SI in the order of real time.
    StrongSnapshotIsolation,
    /// PL-3: as if one after the other, in an order of the database's choice.
    Serializable,
    /// PL-SS: as if one after the other, in an order that agrees with real
    /// time.
    StrictSerializable,
}

impl Level {
    /// All of them, from what promises least.
    pub const ALL: [Self; 8] = [
        Self::ReadUncommitted,
        Self::ReadCommitted,
        Self::StrongReadCommitted,
        Self::RepeatableRead,
        Self::SnapshotIsolation,
        Self::StrongSnapshotIsolation,
        Self::Serializable,
        Self::StrictSerializable,
    ];

    /// Its name in the literature.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read-uncommitted",
            Self::ReadCommitted => "read-committed",
            Self::StrongReadCommitted => "strong-read-committed",
            Self::RepeatableRead => "repeatable-read",
            Self::SnapshotIsolation => "snapshot-isolation",
            Self::StrongSnapshotIsolation => "strong-snapshot-isolation",
            Self::Serializable => "serializable",
            Self::StrictSerializable => "strict-serializable",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a history of lists is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No transaction depends on another: there is nothing to judge.
    #[error("no transaction has seen anything of another")]
    NothingSeen,
    /// The load or its recording is at fault, not the database.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Reads show what the level forbids.
    #[error("not {level}: {}", list(.anomalies))]
    Spoiled {
        /// What was promised.
        level: Level,
        /// What was found, at most [`ANOMALIES_MAX`].
        anomalies: Vec<Anomaly>,
    },
    /// The search was not over in time. Shorter histories help.
    #[error("the search for {level} was not over within {limit:?}")]
    Undecided {
        /// What was promised.
        level: Level,
        /// The time it had.
        limit: Duration,
    },
}

/// Why it is not known that everything acknowledged was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// The load or its recording is at fault, not the database.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Acknowledged elements are gone.
    #[error("{} acknowledged elements are gone; the first: {} of list {}", elements.len(), elements[0].1, elements[0].0)]
    Lost {
        /// Each with its list.
        elements: Vec<(List, Element)>,
    },
    /// A list was not read after its last acknowledged append.
    #[error("list {list} was not read after {element} was appended")]
    NotRead {
        /// Which list.
        list: List,
        /// The element that nobody looked for.
        element: Element,
    },
}

/// Why reads of lists are refused that must be fresh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFresh {
    /// The load or its recording is at fault, not the database.
    #[error(transparent)]
    Form(#[from] FormError),
    /// No list was read: there is nothing to judge.
    #[error("no read of a list was answered")]
    NothingRead,
    /// A read lacks what was acknowledged before it began.
    #[error("T{transaction} read list {list} without {lacks:?}, acknowledged before it began")]
    Stale {
        /// The read, by its place in the history.
        transaction: usize,
        /// Which list.
        list: List,
        /// What it lacks.
        lacks: Vec<Element>,
    },
}

/// A history of lists that no judge can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The load appended an element twice: nobody can tell who read which.
    #[error("element {element} was appended to list {list} by two steps")]
    AppendedTwice {
        /// Which list.
        list: List,
        /// What.
        element: Element,
    },
    /// The recorder was told the answer to another request.
    #[error("transaction {transaction} has an answer that is none to its request")]
    Answer {
        /// The place of the operation in the history.
        transaction: usize,
    },
}

/// What a history shows that a level forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Its name in the literature, such as `G1a`, `lost-update` or `G2-item`;
    /// `phantom-element` is what nobody appended. `-realtime` at the end says
    /// that real time is a part of the cycle.
    pub kind: String,
    /// Why it is one. `T3` is the operation at place 3 of the history.
    pub explanation: String,
}

type Transaction = Operation<Request, Answer>;

/// Refuses a history that shows an anomaly which `level` forbids. The search
/// for cycles takes at most about `limit` for each group of transactions that
/// hang together.
///
/// An acknowledged append that later transactions don't see is an anomaly
/// under the levels of real time alone; [`kept`] looks for it under all.
pub fn judge(
    history: &History<Request, Answer>,
    level: Level,
    limit: Duration,
) -> Result<Judged, Refusal> {
    check_form(history)?;
    let mut anomalies = phantoms(history);
    let options = Opts { models: vec![level.name().to_owned()], timeout: limit, ..Opts::default() };
    let report = adya::check(&translate(history), Workload::ListAppend, &options);
    if report.valid == Valid::False {
        let found = report.anomalies.into_values().flatten();
        anomalies.extend(found.filter(|found| !NO_ANOMALIES.contains(&&*found.kind)).map(
            |found| {
                let explanation = found.explanation.trim_end().to_owned();
                Anomaly { kind: found.kind, explanation }
            },
        ));
    }
    if !anomalies.is_empty() {
        anomalies.truncate(ANOMALIES_MAX);
        return Err(Refusal::Spoiled { level, anomalies });
    }
    match report.valid {
        Valid::True => Ok(Judged::count(history)),
        Valid::Unknown if report.anomaly_types.iter().any(|kind| kind == TIMEOUT) => {
            Err(Refusal::Undecided { level, limit })
        }
        Valid::Unknown | Valid::False => Err(Refusal::NothingSeen),
    }
}

/// Refuses a history in which an acknowledged append is not in the last read
/// of its list. For the end of a run, when everything has healed: read every
/// list once more, and nothing that was acknowledged may be missing, whatever
/// the isolation level.
pub fn kept(history: &History<Request, Answer>) -> Result<Judged, NotKept> {
    check_form(history)?;
    let mut last: BTreeMap<List, (&Transaction, &[Element])> = BTreeMap::new();
    for transaction in history.operations() {
        for (list, elements) in reads(transaction) {
            last.insert(list, (transaction, elements));
        }
    }
    let (mut gone, mut not_read) = (Vec::new(), None);
    for transaction in history.operations().iter().filter(|other| other.answer().is_some()) {
        for (list, element) in appends(transaction) {
            match last.get(&list) {
                Some((_, elements)) if elements.contains(&element) => {}
                Some((read, _)) if transaction.is_before(read) => gone.push((list, element)),
                _ => not_read = not_read.or(Some(NotKept::NotRead { list, element })),
            }
        }
    }
    if !gone.is_empty() {
        return Err(NotKept::Lost { elements: gone });
    }
    not_read.map_or_else(|| Ok(Judged::count(history)), Err)
}

/// Refuses a history in which a read lacks what was acknowledged before it
/// began. For reads that go to any copy of the data and are ordered with nothing
/// else: each may show less than the one before it, and never less than what
/// clients had been told by then.
pub fn fresh(history: &History<Request, Answer>) -> Result<Judged, NotFresh> {
    check_form(history)?;
    let mut told: BTreeMap<List, Vec<(&Transaction, Element)>> = BTreeMap::new();
    for transaction in history.operations().iter().filter(|other| other.answer().is_some()) {
        for (list, element) in appends(transaction) {
            told.entry(list).or_default().push((transaction, element));
        }
    }
    let mut reads_seen = 0;
    for (place, transaction) in history.operations().iter().enumerate() {
        for (list, elements) in reads(transaction) {
            reads_seen += 1;
            let shown: BTreeSet<Element> = elements.iter().copied().collect();
            let told = told.get(&list).into_iter().flatten();
            let lacks = told.filter(|(append, _)| append.is_before(transaction));
            let lacks: Vec<Element> =
                lacks.map(|(_, element)| *element).filter(|one| !shown.contains(one)).collect();
            if !lacks.is_empty() {
                return Err(NotFresh::Stale { transaction: place, list, lacks });
            }
        }
    }
    if reads_seen == 0 {
        return Err(NotFresh::NothingRead);
    }
    Ok(Judged::count(history))
}

/// As `adya` calls a search that it gave up.
const TIMEOUT: &str = "cycle-search-timeout";

/// What `adya` notes among anomalies that says nothing about the database.
const NO_ANOMALIES: [&str; 2] = [TIMEOUT, "empty-transaction-graph"];

fn check_form(history: &History<Request, Answer>) -> Result<(), FormError> {
    let mut appended = BTreeSet::new();
    for (place, transaction) in history.operations().iter().enumerate() {
        let count =
            transaction.input.iter().filter(|step| matches!(step, Step::Read { .. })).count();
        if transaction.answer().is_some_and(|answer| answer.len() != count) {
            return Err(FormError::Answer { transaction: place });
        }
        for (list, element) in appends(transaction) {
            if !appended.insert((list, element)) {
                return Err(FormError::AppendedTwice { list, element });
            }
        }
    }
    Ok(())
}

/// Elements that were read and that nobody ever tried to append.
fn phantoms(history: &History<Request, Answer>) -> Vec<Anomaly> {
    let appended: BTreeSet<_> = history.operations().iter().flat_map(appends).collect();
    let mut found = Vec::new();
    for (place, transaction) in history.operations().iter().enumerate() {
        for (list, elements) in reads(transaction) {
            let phantom = elements.iter().find(|element| !appended.contains(&(list, **element)));
            found.extend(phantom.map(|element| Anomaly {
                kind: "phantom-element".to_owned(),
                explanation: format!(
                    "T{place} read element {element} of list {list}, which nobody appended"
                ),
            }));
        }
    }
    found
}

fn appends(transaction: &Transaction) -> impl Iterator<Item = (List, Element)> {
    transaction.input.iter().filter_map(|step| match *step {
        Step::Append { list, element } => Some((list, element)),
        Step::Read { .. } => None,
    })
}

fn reads(transaction: &Transaction) -> impl Iterator<Item = (List, &[Element])> {
    let lists = transaction.input.iter().filter_map(|step| match *step {
        Step::Read { list } => Some(list),
        Step::Append { .. } => None,
    });
    let answers = transaction.answer().into_iter().flatten().map(Vec::as_slice);
    lists.zip(answers)
}

/// The history as `adya` takes it: beginnings and ends in the order of time.
fn translate(history: &History<Request, Answer>) -> adya::History {
    let mut names = Interner::default();
    let mut events = Vec::new();
    for (place, transaction) in (0_u64..).zip(history.operations()) {
        let mut event = |order: u64, kind: OpType| {
            let value = micro_operations(transaction, kind, &mut names);
            let process = Some(i64::from(transaction.who.0));
            events.push((order, Op { index: place, kind, process, value, time: None }));
        };
        event(transaction.invoked.order, OpType::Invoke);
        let kind = match transaction.outcome {
            Outcome::Ok(_) => OpType::Ok,
            Outcome::Fail => OpType::Fail,
            Outcome::Unknown => OpType::Info,
        };
        // What is under way at the end may happen after it.
        event(transaction.completed.map_or(u64::MAX, |completed| completed.order), kind);
    }
    events.sort_by_key(|(order, _)| *order);
    adya::History::from_ops(events.into_iter().map(|(_, event)| event).collect(), names)
}

fn micro_operations(transaction: &Transaction, kind: OpType, names: &mut Interner) -> Vec<Mop> {
    let mut name = |number: u32| names.intern(Scalar::Int(i64::from(number)));
    let mut answers = reads(transaction);
    transaction
        .input
        .iter()
        .map(|step| match *step {
            Step::Append { list, element } => Mop::Append { key: name(list), value: name(element) },
            Step::Read { list } => {
                let key = name(list);
                let value = match answers.next() {
                    Some((_, elements)) if kind == OpType::Ok => {
                        ReadValue::List(elements.iter().map(|element| name(*element)).collect())
                    }
                    _ => ReadValue::Nil,
                };
                Mop::Read { key, value }
            }
        })
        .collect()
}

fn list(anomalies: &[Anomaly]) -> String {
    let shown: Vec<_> =
        anomalies.iter().map(|found| format!("{}: {}", found.kind, found.explanation)).collect();
    shown.join("\n")
}
