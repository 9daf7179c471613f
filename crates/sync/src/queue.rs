//! What was edited and is not settled, record by record.
//!
//! ```text
//!            edit                 take                    outcome
//! (nothing) ──────▶ PENDING ────────────────▶ SYNCING ──────────────▶ SUCCESS
//!               │      ▲  ▲                      │ │
//!               ▼      │  └── no answer came ────┘ │ refused
//!            WAITING ──┘ what it waits for        ▼
//!                        is settled              FAILED ── edited, tried again ─▶ PENDING
//!                                                  └────── discarded ─▶ (nothing)
//! ```
//!
//! The operations of one record are a chain, and only the first of a chain is ever
//! sent: so no two of a record are in flight, and none overtakes another. Where it is
//! refused, what waited behind it becomes one with it, under a new id: it may have
//! cured it, and is sent once more.
//!
//! What makes a record waits until what that refers to is on the server
//! ([`Rule::Reference`]), whatever its priority: a memo goes after its book, and where
//! the book is refused, it waits with it for the person. Where that is discarded, the
//! memo goes, and the server says what it thinks of it.
//!
//! They go by priority, and then in the order in which they were written. One that the
//! server leaves out while it settles others, or with which alone nothing was settled
//! for the third time, goes behind the others: it keeps nobody waiting.
//!
//! An operation that may have been sent never changes. One that was not, and is the
//! last of its chain, takes further edits in: so does one that was refused, under a
//! new id.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stdx::UnixMicros;

use crate::merge::{Outcome, text};
use crate::model::{Fields, OperationId, RecordKey, Rule, Table, Value, Version};
use crate::operation::{Action, Operation};

/// Which operations go first: 1 is high, 5 is low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// 1.
    pub const HIGH: Self = Self(1);
    /// 3.
    pub const NORMAL: Self = Self(3);
    /// 5.
    pub const LOW: Self = Self(5);
}

/// A priority is 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a priority is 1 (high) to 5 (low), not {0}")]
pub struct NoPriority(u8);

impl TryFrom<u8> for Priority {
    type Error = NoPriority;

    fn try_from(priority: u8) -> Result<Self, NoPriority> {
        if (1..=5).contains(&priority) { Ok(Self(priority)) } else { Err(NoPriority(priority)) }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// An operation in the queue, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// What was done.
    pub operation: Operation,
    /// How soon it is sent.
    pub priority: Priority,
    /// When it was queued, by the device's clock.
    pub queued: UnixMicros,
    /// It was sent, and no answer came that says what became of it.
    pub sent: bool,
    /// How often the server went on without it, or took nothing that it was in: it goes
    /// behind those with which that happened less often.
    #[serde(default)]
    pub passed_over: u32,
    /// What the server had said of the record, and may have lost since: it is compared with
    /// what the server says when everything was pulled anew, and becomes what is missing
    /// there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The server refused it.
    pub failure: Option<Failure>,
}

impl Queued {
    /// One that nobody has heard of.
    pub(crate) const fn new(operation: Operation, priority: Priority, queued: UnixMicros) -> Self {
        let (sent, passed_over, again, failure) = (false, 0, false, None);
        Self { operation, priority, queued, sent, passed_over, again, failure }
    }

    const fn is_passed_over(&self) -> bool {
        self.passed_over > 0 && self.failure.is_none()
    }
}

/// Why an operation needs a person's attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// As the server said.
    pub code: String,
    /// What a person can do.
    pub message: String,
}

/// What the server said last of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its version.
    pub version: Version,
    /// The generation in which it said so: counted up with each time that everything
    /// is pulled anew.
    pub generation: u32,
    /// What it holds; none where it is deleted.
    pub fields: Option<Fields>,
}

/// How one record stands, for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordState {
    /// ✓ Everything is on the server.
    Saved,
    /// ⏳ It is on this device, and will be sent.
    Pending,
    /// 🔄 It is being sent.
    Syncing,
    /// ⏸ Something is being sent, and more waits for its answer; or what it refers to has
    /// to be on the server first.
    Waiting,
    /// ❌ The server refused it: it needs attention.
    Failed,
}

impl RecordState {
    /// As programs know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Saved => "SUCCESS",
            Self::Pending => "PENDING",
            Self::Syncing => "SYNCING",
            Self::Waiting => "WAITING",
            Self::Failed => "FAILED",
        }
    }

    /// As one sign.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Saved => "✓",
            Self::Pending => "⏳",
            Self::Syncing => "🔄",
            Self::Waiting => "⏸",
            Self::Failed => "❌",
        }
    }
}

/// The operations of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) known: Option<Known>,
    /// Shared with whoever writes them down, and with what the chain was before.
    pub(crate) operations: VecDeque<Arc<Queued>>,
}

impl Chain {
    /// Which version the person has surely seen: what the server said while an edit
    /// waits is shown only as far as it goes together with that.
    pub(crate) fn seen(&self) -> Version {
        match (self.operations.front(), &self.known) {
            (Some(first), _) => first.operation.base,
            (None, Some(known)) => known.version,
            (None, None) => Version::NONE,
        }
    }

    /// What the person sees: what the server said, and what was done since.
    pub(crate) fn shown(&self, table: &Table) -> Option<Fields> {
        let known = self.known.as_ref().and_then(|known| known.fields.clone());
        self.operations.iter().fold(known, |shown, queued| applied(table, shown, queued))
    }

    fn first(&self) -> Option<&Operation> {
        self.operations.front().map(|first| &first.operation)
    }

    fn first_mut(&mut self) -> Option<&mut Queued> {
        self.operations.front_mut().map(Arc::make_mut)
    }
}

fn applied(table: &Table, shown: Option<Fields>, queued: &Queued) -> Option<Fields> {
    match &queued.operation.action {
        Action::Delete => None,
        Action::Create { fields } => Some(fields.clone()),
        Action::Update { fields, bases } => {
            let mut shown = shown.unwrap_or_default();
            for (name, value) in fields.iter() {
                let value = match table.rule(name) {
                    // What was sent may be in what the server says: merged with it, its
                    // words might be there twice.
                    Some(Rule::Text) if !queued.sent => {
                        merged(bases.get(name), shown.get(name), value)
                    }
                    _ => None,
                }
                .unwrap_or_else(|| value.clone());
                shown.set(name, value);
            }
            Some(shown)
        }
    }
}

/// What of a record as it was before is not there `now`.
fn missing(table: &Table, now: Option<&Known>, before: &Operation) -> Option<Action> {
    let is_news = now.is_some_and(|now| now.version > before.base);
    let now = now.and_then(|now| now.fields.as_ref());
    let Some(fields) = before.action.fields() else {
        // What somebody made since, or saved from being lost, stays.
        return now.filter(|_| !is_news).map(|_| Action::Delete);
    };
    let (mut changed, mut bases) = (Fields::new(), Fields::new());
    for (name, value) in fields.iter() {
        let (rule, old) = (table.rule(name), now.and_then(|now| now.get(name)));
        if rule == Some(Rule::Server) || old == Some(value) {
            continue;
        }
        changed.set(name, value.clone());
        if rule == Some(Rule::Text) && now.is_some() {
            // What it was made of is not known where it was changed since.
            let base = old.filter(|_| !is_news).cloned();
            bases.set(name, base.unwrap_or_else(|| "".into()));
        }
    }
    match now {
        None if !is_news => Some(Action::Create { fields: changed }),
        Some(_) if changed.is_empty() => None,
        // Where somebody has deleted it who may not have seen this, it is kept.
        _ => Some(Action::Update { fields: changed, bases }),
    }
}

/// What was edited from `base`, put on what is there `now`.
fn merged(base: Option<&Value>, now: Option<&Value>, edited: &Value) -> Option<Value> {
    let merged = text::merge(base?.text()?, now?.text()?, edited.text()?)?;
    Some(merged.into())
}

type Place = (u32, Priority, UnixMicros, OperationId);

/// An operation that was sent and has no answer.
#[derive(Clone, Debug)]
struct InFlight {
    id: OperationId,
    key: RecordKey,
    /// It may have been settled before, by a request that had no answer.
    sent_before: bool,
}

/// How a flight ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landed {
    /// Nothing of it was settled: there was an answer, which says so.
    NotTaken,
    /// What has no answer may have been settled.
    Unknown,
}

/// All chains, and which of their first operations can be sent.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    tables: &'static [Table],
    chains: BTreeMap<RecordKey, Chain>,
    ready: BTreeMap<Place, RecordKey>,
    /// Records that are to be made, by each record that they refer to.
    referring: BTreeMap<RecordKey, BTreeSet<RecordKey>>,
    /// Those of them that could be sent, were what they refer to on the server.
    held_back: BTreeSet<RecordKey>,
    /// Those that are not settled on the server.
    sequences: BTreeSet<u64>,
    /// What was sent and has no answer: one push, so few.
    in_flight: Vec<InFlight>,
    /// Records that stand in another way than before, since it was last asked, though their
    /// chains are the same.
    restated: BTreeSet<RecordKey>,
    failed: usize,
    passed_over: usize,
    again: usize,
    len: usize,
}

impl Queue {
    /// Nothing waits.
    ///
    /// # Panics
    /// Where a table refers to one that is not before it: two records might wait for each
    /// other.
    pub(crate) fn new(tables: &'static [Table]) -> Self {
        for (at, table) in tables.iter().enumerate() {
            for (field, rule) in table.fields {
                if let Rule::Reference(to) = rule {
                    let is_before = tables[..at].iter().any(|before| before.name == *to);
                    assert!(
                        is_before,
                        "`{field}` of `{}` refers to no table before it",
                        table.name
                    );
                }
            }
        }
        Self {
            tables,
            chains: BTreeMap::new(),
            ready: BTreeMap::new(),
            referring: BTreeMap::new(),
            held_back: BTreeSet::new(),
            sequences: BTreeSet::new(),
            in_flight: Vec::new(),
            restated: BTreeSet::new(),
            failed: 0,
            passed_over: 0,
            again: 0,
            len: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Those that wait to be compared.
    pub(crate) const fn to_compare(&self) -> usize {
        self.again
    }

    /// Those that were passed over, and are not refused.
    pub(crate) const fn passed_over(&self) -> usize {
        self.passed_over
    }

    pub(crate) const fn failed(&self) -> usize {
        self.failed
    }

    /// Chains whose first operation is sent, or can be.
    pub(crate) fn to_send(&self) -> usize {
        self.ready.len() + self.in_flight.len()
    }

    /// Whether an edit waits for the server: to be sent, or until it is known what the
    /// server has lost.
    pub(crate) fn is_waiting(&self) -> bool {
        self.to_send() > 0 || self.again > 0 && self.len > self.again + self.failed
    }

    /// Nothing is left to be done before the person has looked at what was refused.
    pub(crate) fn is_done(&self) -> bool {
        self.to_send() == 0 && self.again == 0
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Records that wait for what they refer to.
    pub(crate) fn held_back(&self) -> usize {
        self.held_back.len()
    }

    fn is_in_flight(&self, key: &RecordKey) -> bool {
        self.in_flight.iter().any(|one| one.key == *key)
    }

    /// Records that stand in another way than when this was last asked, beside those of which
    /// a chain was [`put`](Self::put).
    pub(crate) fn restated(&mut self) -> BTreeSet<RecordKey> {
        std::mem::take(&mut self.restated)
    }

    /// The record of an operation that is in flight.
    pub(crate) fn of_flying(&self, id: OperationId) -> Option<&RecordKey> {
        self.in_flight.iter().find(|one| one.id == id).map(|one| &one.key)
    }

    /// The answer to an operation has come: of which record. It is in flight no more.
    pub(crate) fn lands(&mut self, id: OperationId) -> Option<RecordKey> {
        let at = self.in_flight.iter().position(|one| one.id == id)?;
        Some(self.in_flight.swap_remove(at).key)
    }

    /// The record of which this operation is the first.
    pub(crate) fn first_with(&self, id: OperationId) -> Option<RecordKey> {
        let found = self.chains.iter().find(|(_, chain)| {
            chain.operations.front().is_some_and(|first| first.operation.id == id)
        });
        found.map(|(key, _)| key.clone())
    }

    /// Everything up to this sequence is settled.
    pub(crate) fn settled_up_to(&self, next: u64) -> u64 {
        self.sequences.first().copied().unwrap_or(next).saturating_sub(1)
    }

    pub(crate) fn chain(&self, key: &RecordKey) -> Option<&Chain> {
        self.chains.get(key)
    }

    /// Records of which something waits to be compared.
    pub(crate) fn again(&self) -> impl Iterator<Item = &RecordKey> {
        self.chains.iter().filter(|(_, chain)| chain.is_again()).map(|(key, _)| key)
    }

    pub(crate) fn chains(&self) -> impl ExactSizeIterator<Item = (&RecordKey, &Chain)> {
        self.chains.iter()
    }

    pub(crate) fn state(&self, key: &RecordKey) -> RecordState {
        let Some(chain) = self.chains.get(key) else { return RecordState::Saved };
        let syncing = self.is_in_flight(key);
        match chain.operations.front() {
            None => RecordState::Saved,
            Some(first) if first.failure.is_some() => RecordState::Failed,
            Some(_) if self.held_back.contains(key) => RecordState::Waiting,
            Some(_) if syncing && chain.operations.len() > 1 => RecordState::Waiting,
            Some(_) if syncing => RecordState::Syncing,
            Some(_) => RecordState::Pending,
        }
    }

    /// Puts a chain in the place of what it was. One without operations is no more.
    pub(crate) fn put(&mut self, key: &RecordKey, chain: Chain) {
        let was_to_be_made = self.is_to_be_made(key);
        if let Some(before) = self.chains.remove(key) {
            self.forget(key, &before);
        }
        self.note(key, &chain);
        if !chain.operations.is_empty() {
            self.chains.insert(key.clone(), chain);
        }
        self.place(key);
        if self.is_to_be_made(key) != was_to_be_made {
            for key in self.referring.get(key).cloned().unwrap_or_default() {
                self.place(&key);
            }
        }
    }

    /// What a chain that makes a record refers to.
    fn referred(&self, chain: &Chain) -> Vec<RecordKey> {
        let Some(Operation { key, action: Action::Create { fields }, .. }) = chain.first() else {
            return Vec::new();
        };
        let table = self.tables.iter().find(|table| *table.name == *key.table);
        let rules = table.into_iter().flat_map(|table| table.fields);
        let referred = rules.filter_map(|(name, rule)| {
            let Rule::Reference(to) = rule else { return None };
            let id = fields.get(name)?.text()?.parse().ok()?;
            Some(RecordKey { table: (*to).into(), id })
        });
        referred.collect()
    }

    /// Whether a record is to be made, and the server has none.
    fn is_to_be_made(&self, key: &RecordKey) -> bool {
        let Some(chain) = self.chains.get(key) else { return false };
        let is_known = chain.known.as_ref().is_some_and(|known| known.fields.is_some());
        let makes = |queued: &Arc<Queued>| matches!(queued.operation.action, Action::Create { .. });
        // What is behind the first makes it anew.
        chain.operations.iter().rposition(makes).is_some_and(|at| at > 0 || !is_known)
    }

    /// The first operation of a chain can be sent, or is held back, or neither.
    fn place(&mut self, key: &RecordKey) {
        let Some(chain) = self.chains.get(key) else { return };
        let Some(first) = chain.operations.front() else { return };
        let place = place(first);
        let can_go = first.failure.is_none() && !first.again && !self.is_in_flight(key);
        let waits = can_go && self.referred(chain).iter().any(|key| self.is_to_be_made(key));
        let is_restated =
            if waits { self.held_back.insert(key.clone()) } else { self.held_back.remove(key) };
        if is_restated {
            self.restated.insert(key.clone());
        }
        if can_go && !waits {
            self.ready.insert(place, key.clone());
        } else {
            self.ready.remove(&place);
        }
    }

    fn forget(&mut self, key: &RecordKey, chain: &Chain) {
        for queued in &chain.operations {
            self.len -= 1;
            self.failed -= usize::from(queued.failure.is_some());
            self.passed_over -= usize::from(queued.is_passed_over());
            self.again -= usize::from(queued.again);
            self.sequences.remove(&queued.operation.sequence);
        }
        self.held_back.remove(key);
        for to in self.referred(chain) {
            if let Some(all) = self.referring.get_mut(&to)
                && all.remove(key)
                && all.is_empty()
            {
                self.referring.remove(&to);
            }
        }
        if let Some(first) = chain.operations.front() {
            self.ready.remove(&place(first));
        }
    }

    fn note(&mut self, key: &RecordKey, chain: &Chain) {
        for queued in &chain.operations {
            self.len += 1;
            self.failed += usize::from(queued.failure.is_some());
            self.passed_over += usize::from(queued.is_passed_over());
            self.again += usize::from(queued.again);
            // The server has an answer to what it refused, and not to what it did not
            // take.
            if queued.failure.is_none() || queued.sent {
                self.sequences.insert(queued.operation.sequence);
            }
        }
        for to in self.referred(chain) {
            self.referring.entry(to).or_default().insert(key.clone());
        }
    }

    /// Takes those that go next: so many at most, and at most so many bytes, but
    /// one in any case.
    pub(crate) fn take(&mut self, count_max: usize, bytes_max: usize) -> Vec<Operation> {
        let mut taken: Vec<Operation> = Vec::new();
        let mut bytes = 0;
        while taken.len() < count_max
            && let Some(next) = self.ready.first_entry()
        {
            let Some(first) = self.chains.get_mut(next.get()).and_then(Chain::first_mut) else {
                next.remove();
                continue;
            };
            bytes += first.operation.bytes();
            if !taken.is_empty() && bytes > bytes_max {
                break;
            }
            let sent_before = std::mem::replace(&mut first.sent, true);
            taken.push(first.operation.clone());
            let (id, key) = (first.operation.id, next.remove());
            self.restated.insert(key.clone());
            self.in_flight.push(InFlight { id, key, sent_before });
        }
        taken
    }

    /// These are on their way.
    pub(crate) fn fly(&mut self, flight: &[OperationId]) {
        let began = self.in_flight.len();
        for (key, chain) in &mut self.chains {
            let is_flying = |first: &Arc<Queued>| flight.contains(&first.operation.id);
            if chain.operations.front().is_some_and(is_flying)
                && let Some(first) = chain.first_mut()
            {
                let sent_before = std::mem::replace(&mut first.sent, true);
                let (id, key) = (first.operation.id, key.clone());
                self.in_flight.push(InFlight { id, key, sent_before });
            }
        }
        for at in began..self.in_flight.len() {
            let key = self.in_flight[at].key.clone();
            self.place(&key);
        }
    }

    /// The flight is over: what of it has no answer, and can be sent again.
    pub(crate) fn landed(&mut self, landed: Landed) -> Vec<Arc<Queued>> {
        let mut left = Vec::new();
        for InFlight { key, sent_before, .. } in std::mem::take(&mut self.in_flight) {
            let chain = self.chains.get_mut(&key);
            if let Some(first) = chain.and_then(|chain| chain.operations.front_mut()) {
                Arc::make_mut(first).sent = sent_before || landed == Landed::Unknown;
                left.push(Arc::clone(first));
                self.place(&key);
                self.restated.insert(key);
            }
        }
        left
    }
}

fn place(queued: &Queued) -> Place {
    let Queued { operation, priority, passed_over, .. } = queued;
    (*passed_over, *priority, operation.written, operation.id)
}

impl Chain {
    /// Adds an edit, or takes it into the last operation, where that was never sent
    /// or was refused.
    pub(crate) fn add(&mut self, mut edit: Queued) {
        let Some(last) = self.operations.back() else { return self.push(edit) };
        let (refused, priority) = (last.failure.is_some(), last.priority.min(edit.priority));
        let schema = last.operation.schema.max(edit.operation.schema);
        // The server makes what is older newer, each by itself. A deletion is of any schema.
        let is_other = edit.operation.action != Action::Delete
            && last.operation.schema != edit.operation.schema;
        if last.sent || last.again || (last.operation.restores || is_other) && !refused {
            return self.push(edit);
        }
        let merged = match (&last.operation.action, &edit.operation.action) {
            // What nobody has heard of is gone without a word; where another device made
            // it as well, it is there.
            (Action::Create { .. }, Action::Delete) => {
                self.operations.pop_back();
                let is_there = self.known.as_ref().is_some_and(|known| known.fields.is_some());
                if is_there && self.operations.is_empty() {
                    self.push(edit);
                }
                return;
            }
            (Action::Update { .. }, Action::Delete) => {
                self.operations.pop_back();
                return self.add(edit);
            }
            (Action::Delete, _) if !refused => return self.push(edit),
            (Action::Create { fields }, Action::Update { fields: more, .. }) => {
                let mut fields = fields.clone();
                fields.set_all(more);
                Action::Create { fields }
            }
            (
                Action::Update { fields, bases },
                Action::Update { fields: more, bases: more_bases },
            ) => {
                let (mut fields, mut all) = (fields.clone(), more_bases.clone());
                fields.set_all(more);
                // What the texts were before the first of the edits.
                all.set_all(bases);
                Action::Update { fields, bases: all }
            }
            (_, action) => action.clone(),
        };
        let Some(last) = self.operations.pop_back() else { return };
        let mut last = Arc::unwrap_or_clone(last);
        if refused {
            // The server has an answer to the old one.
            edit.queued = last.queued;
            edit.operation.written = last.operation.written;
            edit.operation.base = last.operation.base.min(edit.operation.base);
            last = edit;
        } else {
            last.operation.at = edit.operation.at;
            last.operation.after = edit.operation.after;
        }
        last.priority = priority;
        last.failure = None;
        last.operation.schema = schema;
        last.operation.action = merged;
        self.push(last);
    }

    fn push(&mut self, edit: Queued) {
        self.operations.push_back(Arc::new(edit));
    }

    /// The server has settled the first operation. The device was told every change up
    /// to `cursor`.
    pub(crate) fn settle(&mut self, outcome: &Outcome, generation: u32, cursor: Version) {
        let Some(first) = self.operations.pop_front() else { return };
        let told = self.known.as_ref().map(|known| known.version);
        if let Some(version) = outcome.version() {
            if told.is_some_and(|told| told >= version) {
                // What was told has it, under the names that it has now; where nothing came
                // of it, it is as it was told.
                return;
            }
            if version <= cursor {
                // It is of so long ago that the record was deleted since, and forgotten.
                self.known = None;
                return;
            }
        }
        match outcome {
            Outcome::Applied { version } => {
                let before = self.known.take().and_then(|known| known.fields);
                let fields = match &first.operation.action {
                    Action::Delete => None,
                    Action::Create { fields } => Some(fields.clone()),
                    Action::Update { fields, .. } => {
                        let mut now = before.unwrap_or_default();
                        now.set_all(fields);
                        Some(now)
                    }
                };
                self.known = Some(Known { version: *version, generation, fields });
            }
            Outcome::Merged { version, fields, .. } => {
                let fields = Some(fields.clone());
                self.known = Some(Known { version: *version, generation, fields });
            }
            Outcome::Kept { version, .. } => {
                self.known = Some(Known { version: *version, generation, fields: None });
            }
            Outcome::Refused { code, message } => {
                let mut first = Arc::unwrap_or_clone(first);
                first.sent = false;
                self.refuse(first, Failure { code: code.clone(), message: message.clone() });
            }
        }
    }

    /// The server takes no request with the first operation in it. Where it may have
    /// settled that before, when no answer came, it stays as it is, and what was edited
    /// since behind it.
    pub(crate) fn reject(&mut self, failure: Failure) {
        if let Some(first) = self.operations.pop_front() {
            self.refuse(Arc::unwrap_or_clone(first), failure);
        }
    }

    /// What came after it was never sent: it becomes one with it, and may have cured it.
    fn refuse(&mut self, mut first: Queued, failure: Failure) {
        first.failure = Some(failure);
        let later = std::mem::replace(&mut self.operations, [Arc::new(first)].into());
        for edit in later {
            self.add(Arc::unwrap_or_clone(edit));
        }
    }

    /// Whether something waits to be compared.
    pub(crate) fn is_again(&self) -> bool {
        self.operations.iter().any(|queued| queued.again)
    }

    /// The server was put back to `common`: what it had said after that may be missing
    /// there, and goes before what the person did since. That names no version after it,
    /// and becomes other operations: the server may know a later one than them.
    pub(crate) fn put_back(
        &mut self,
        again: Option<Queued>,
        common: Version,
        mut number: impl FnMut() -> (OperationId, u64),
    ) {
        let is_after = |queued: &Arc<Queued>| queued.operation.base > common;
        if again.is_none() && !self.operations.iter().any(is_after) {
            return;
        }
        let before = std::mem::take(&mut self.operations).into_iter().map(Arc::unwrap_or_clone);
        // As nobody has heard of them, some become one.
        for mut queued in again.into_iter().chain(before) {
            (queued.operation.id, queued.operation.sequence) = number();
            queued.operation.base = queued.operation.base.min(common);
            queued.sent = false;
            self.add(queued);
        }
    }

    /// Everything was pulled anew: what the server had said before becomes what of it is
    /// missing.
    pub(crate) fn compare(&mut self, table: &Table) {
        while let Some(first) = self.operations.front_mut().filter(|first| first.again) {
            if let Some(action) = missing(table, self.known.as_ref(), &first.operation) {
                let first = Arc::make_mut(first);
                first.operation.action = action;
                first.again = false;
            } else {
                self.operations.pop_front();
            }
        }
    }

    /// What was refused is tried again: as another operation where the server has surely not
    /// settled it, and else as it was. Whether that may be.
    pub(crate) fn renew(&mut self, id: OperationId, sequence: &mut u64) -> bool {
        let Some(first) = self.first_mut() else { return false };
        first.failure = None;
        first.passed_over = 0;
        if first.sent {
            return true;
        }
        first.operation.id = id;
        for queued in &mut self.operations {
            *sequence = u64::saturating_add(*sequence, 1);
            Arc::make_mut(queued).operation.sequence = *sequence;
        }
        false
    }

    /// The server went on without the first operation.
    pub(crate) fn pass_over(&mut self) {
        if let Some(first) = self.first_mut() {
            first.passed_over = first.passed_over.saturating_add(1);
        }
    }

    /// Whether the first operation needs attention.
    pub(crate) fn needs_attention(&self) -> bool {
        self.operations.front().is_some_and(|first| first.failure.is_some())
    }

    /// The server says what the record is now. Texts that were edited and not sent
    /// are put on what it says.
    pub(crate) fn told(&mut self, table: &Table, known: Known) {
        let mut now = known.fields.clone();
        self.known = Some(known);
        for queued in &mut self.operations {
            if !queued.sent
                && let Some(now) = &now
                && let Action::Update { fields, bases } =
                    &mut Arc::make_mut(queued).operation.action
            {
                let edited: Vec<String> = bases.iter().map(|(name, _)| name.to_owned()).collect();
                for name in edited {
                    let on = now.get(&name);
                    let edited = fields.get(&name).cloned();
                    if let Some((on, edited)) = on.zip(edited)
                        && let Some(merged) = merged(bases.get(&name), Some(on), &edited)
                    {
                        bases.set(&name, on.clone());
                        fields.set(&name, merged);
                    }
                }
            }
            now = applied(table, now, queued);
        }
    }
}
