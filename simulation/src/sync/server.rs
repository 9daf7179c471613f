//! The server: it settles operations one after the other, remembers the answers, and
//! tells what changed. Here it is a model in memory; `real` has the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hasher as _};

use stdx::{HybridTime, UnixMicros};
use sync::inbox::Inbox;
use sync::merge::{Held, Origin, Outcome, Revision, settle, stranger};
use sync::model::{DeviceId, Fields, LogId, RecordKey, Value, Version};
use sync::operation::Operation;
use sync::wire::{Answer, Change, Pull, PullAnswer, Push, PushAnswer};

use super::schema::{self, BOOKS, SCHEMA};
use super::world::{NO_BOOK, NO_FIELD, book_of};

/// What devices and the judge ask of a server.
pub(super) trait Server: Debug {
    fn push(&mut self, push: &Push, now: UnixMicros) -> PushAnswer;
    /// `None` where the cursor is older than what is kept.
    fn pull(&mut self, pull: Pull, now: UnixMicros) -> Option<PullAnswer>;
    /// Forgets deletions.
    fn forget(&mut self);
    /// It is stopped, and starts again.
    fn restart(&mut self);
    /// One of its masters is away until it is started again.
    fn lose_a_master(&mut self);
    /// A backup is made.
    fn back_up(&mut self);
    /// It is put back from the last backup, as another change log; what it lost by that. None
    /// where there is no backup.
    fn put_back(&mut self, log: LogId) -> Option<Lost>;
    /// Its program is a newer one from now on, where it was not: its change log is another.
    fn upgrade(&mut self, log: LogId);
    /// The schema of its program.
    fn schema(&self) -> u32;
    /// Whether a device of this log and cursor has heard of everything.
    fn is_all(&self, log: Option<LogId>, cursor: Version) -> bool;
    /// The last change.
    fn head(&self) -> Version;
    /// What everybody has to see in the end.
    fn shown(&mut self) -> BTreeMap<RecordKey, Fields>;
    /// How many operations were settled.
    fn settled(&self) -> u64;
    /// What must never happen, and has.
    fn wrong(&mut self) -> Option<String>;
}

/// What a server lost that was put back from a backup.
#[derive(Debug)]
pub(super) struct Lost {
    /// What everybody had to see, and is otherwise now.
    pub(super) shown: BTreeMap<RecordKey, Fields>,
    pub(super) changed: Changed,
}

/// Records of which operations came since a backup was made.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed {
    pub(super) records: BTreeSet<RecordKey>,
    /// The server was put back to that backup before: a device that has heard of the log
    /// between has nothing in common with it, and brings back all that it knows.
    pub(super) any: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Which operations it has settled.
    pub(super) remembers: bool,
    /// Who sent an old name is told the new one.
    pub(super) tells_names: bool,
    schema: u32,
    log: LogId,
    /// The logs before this one, and the last change of each that it has.
    logs: BTreeMap<LogId, Version>,
    backup: Option<Box<Self>>,
    since_backup: Changed,
    held: BTreeMap<RecordKey, Held>,
    /// The last change of each record.
    log_of: BTreeMap<Version, RecordKey>,
    head: Version,
    /// Deletions up to here are forgotten.
    forgotten: Version,
    inboxes: BTreeMap<RecordKey, Inbox>,
    /// Books that were there.
    books: BTreeSet<RecordKey>,
    /// Of each device: up to where it has all answers, and its greatest sequence.
    devices: BTreeMap<DeviceId, (u64, u64)>,
    /// The last operation that each device has had settled of each record.
    order: BTreeMap<(DeviceId, RecordKey), u64>,
    settled: u64,
    /// What must never happen.
    wrong: Option<String>,
}

impl Model {
    pub(super) fn new(log: LogId) -> Self {
        Self {
            remembers: true,
            tells_names: true,
            schema: schema::FIRST,
            log,
            logs: BTreeMap::new(),
            backup: None,
            since_backup: Changed::default(),
            held: BTreeMap::new(),
            log_of: BTreeMap::new(),
            head: Version::NONE,
            forgotten: Version::NONE,
            inboxes: BTreeMap::new(),
            books: BTreeSet::new(),
            devices: BTreeMap::new(),
            order: BTreeMap::new(),
            settled: 0,
            wrong: None,
        }
    }

    /// Up to where the log of a device is the same as this one, where it is another.
    fn common(&self, log: Option<LogId>, cursor: Version) -> Option<Version> {
        match log {
            Some(log) if log != self.log => {
                Some(self.logs.get(&log).copied().unwrap_or(Version::NONE))
            }
            _ => (cursor > self.head).then_some(Version::NONE),
        }
    }

    fn receive(&mut self, operation: &Operation, origin: &Origin, settled: u64) -> Outcome {
        if !self.remembers {
            return self.settle(operation, origin);
        }
        let digest = digest(operation);
        let mut inbox = self.inboxes.remove(&operation.key).unwrap_or_default();
        let devices = &self.devices;
        inbox.forget(|device| devices.get(&device).map_or(0, |(settled, _)| *settled));
        let held = self.held.get(&operation.key);
        let known = inbox.answer(origin.device, settled, operation, digest, held);
        let outcome = known.unwrap_or_else(|| {
            let outcome = self.settle(operation, origin);
            inbox.note(origin.device, operation, digest, &outcome);
            outcome
        });
        self.inboxes.insert(operation.key.clone(), inbox);
        outcome
    }

    fn settle(&mut self, operation: &Operation, origin: &Origin) -> Outcome {
        let last = self.order.entry((origin.device, operation.key.clone())).or_default();
        if operation.sequence <= *last {
            self.wrong = Some(format!("{operation:?} came after {last}"));
        }
        *last = operation.sequence;
        self.settled += 1;
        let refused = |code: &str, message: &str| Outcome::Refused {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        let forbidden = operation.action.fields().and_then(|fields| fields.get("page"));
        if forbidden == Some(&Value::Int(-1)) {
            return refused("PAGE", "a page is 1 or more");
        }
        let mut newer = operation.clone();
        if self.schema == SCHEMA {
            schema::upgrade_operation(&mut newer);
        }
        let (sent, operation) = (operation, &newer);
        let mut tables = schema::tables(self.schema).iter();
        let Some(table) = tables.find(|table| *table.name == *operation.key.table) else {
            return refused("TABLE", "there is no such table");
        };
        if stranger(table, operation).is_some() {
            return refused(NO_FIELD, "its table has no such field");
        }
        let held = self.held.get(&operation.key);
        if held.is_none_or(|held| held.deleted.is_some())
            && book_of(operation).is_some_and(|book| !self.books.contains(&book))
        {
            return refused(NO_BOOK, "its book was never there");
        }
        let mut settled = settle(table, held, operation, origin, self.head.next());
        if let Some(held) = settled.held.as_ref().filter(|_| operation.action != sent.action)
            && self.tells_names
        {
            settled.outcome = settled.outcome.followed(held);
        }
        if let Some(held) = settled.held {
            self.put(operation.key.clone(), held);
        }
        if let Some(revision) = settled.revision {
            self.keep(&revision);
        }
        settled.outcome
    }

    fn put(&mut self, key: RecordKey, held: Held) {
        if let Some(before) = self.held.get(&key) {
            self.log_of.remove(&before.version);
        }
        if *key.table == *BOOKS {
            self.books.insert(key.clone());
        }
        self.head = held.version;
        self.log_of.insert(held.version, key.clone());
        self.held.insert(key, held);
    }

    fn keep(&mut self, revision: &Revision) {
        let version = self.head.next();
        let (key, fields) = revision.record();
        if self.held.contains_key(&key) {
            self.wrong = Some(format!("the revision {key} was made twice"));
        }
        self.put(key, Held { version, fields, stamps: Vec::new(), deleted: None });
    }
}

impl Server for Model {
    fn push(&mut self, push: &Push, now: UnixMicros) -> PushAnswer {
        let now = HybridTime::from_wall(now);
        if let Some(common) = self.common(push.log, Version::NONE) {
            let (answers, common, log) = (Vec::new(), Some(common), self.log);
            return PushAnswer { now, answers, head: self.head, sequence: 0, log, common };
        }
        let origin = Origin { device: push.device, device_now: push.now, now };
        let (settled, sequence) = self.devices.entry(push.device).or_default();
        *settled = push.settled.max(*settled);
        let settled = *settled;
        for operation in &push.operations {
            *sequence = operation.sequence.max(*sequence);
            self.since_backup.records.insert(operation.key.clone());
        }
        let sequence = *sequence;
        let answers = push
            .operations
            .iter()
            .map(|operation| Answer {
                operation: operation.id,
                outcome: self.receive(operation, &origin, settled),
            })
            .collect();
        PushAnswer { now, answers, head: self.head, sequence, log: self.log, common: None }
    }

    fn pull(&mut self, pull: Pull, now: UnixMicros) -> Option<PullAnswer> {
        let (now, log) = (HybridTime::from_wall(now), self.log);
        if let Some(common) = self.common(pull.log, pull.cursor) {
            let (changes, cursor, common) = (Vec::new(), pull.cursor, Some(common));
            let head = self.head;
            return Some(PullAnswer { now, changes, cursor, more: false, head, log, common });
        }
        let begins = pull.anew.is_some() && pull.cursor == Version::NONE;
        if !begins && pull.cursor.max(pull.anew.unwrap_or_default()) < self.forgotten {
            return None;
        }
        let mut changes = Vec::new();
        let mut cursor = pull.cursor;
        let mut more = false;
        for (version, key) in self.log_of.range(pull.cursor.next()..) {
            if changes.len() == pull.limit as usize {
                more = true;
                break;
            }
            cursor = *version;
            let held = &self.held[key];
            let fields = held.deleted.is_none().then(|| held.fields.clone());
            changes.push(Change { version: *version, key: key.clone(), fields });
        }
        if !more {
            cursor = cursor.max(self.head);
        }
        Some(PullAnswer { now, changes, cursor, more, head: self.head, log, common: None })
    }

    fn forget(&mut self) {
        self.forgotten = self.head;
        let gone: Vec<RecordKey> = self
            .held
            .iter()
            .filter(|(_, held)| held.deleted.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            if let Some(held) = self.held.remove(&key) {
                self.log_of.remove(&held.version);
            }
        }
    }

    fn is_all(&self, log: Option<LogId>, cursor: Version) -> bool {
        log == Some(self.log) && cursor == self.head
    }

    fn head(&self) -> Version {
        self.head
    }

    fn shown(&mut self) -> BTreeMap<RecordKey, Fields> {
        let there = self.held.iter().filter(|(_, held)| held.deleted.is_none());
        there.map(|(key, held)| (key.clone(), held.fields.clone())).collect()
    }

    fn restart(&mut self) {}

    /// It has none.
    fn lose_a_master(&mut self) {}

    fn back_up(&mut self) {
        self.backup = None;
        self.since_backup = Changed::default();
        self.backup = Some(Box::new(self.clone()));
    }

    fn put_back(&mut self, log: LogId) -> Option<Lost> {
        let backup = self.backup.take()?;
        let mut shown = self.shown();
        let changed = std::mem::take(&mut self.since_backup);
        let mut before = Self { backup: Some(backup.clone()), ..*backup };
        before.logs.insert(before.log, before.head);
        before.log = log;
        before.settled = self.settled;
        before.since_backup.any = true;
        *self = before;
        let there = self.shown();
        shown.retain(|key, fields| there.get(key) != Some(fields));
        Some(Lost { shown, changed })
    }

    fn upgrade(&mut self, log: LogId) {
        if self.schema == SCHEMA {
            return;
        }
        self.schema = SCHEMA;
        self.held.values_mut().for_each(|held| schema::renamed(&mut held.fields));
        self.logs.insert(self.log, self.head);
        self.log = log;
        self.since_backup.any = true;
    }

    fn schema(&self) -> u32 {
        self.schema
    }

    fn settled(&self) -> u64 {
        self.settled
    }

    fn wrong(&mut self) -> Option<String> {
        self.wrong.take()
    }
}

fn digest(operation: &Operation) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(format!("{operation:?}").as_bytes());
    hasher.finish()
}
