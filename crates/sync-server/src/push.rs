//! Operations of a device are settled, each once.
//!
//! One write on the masters settles a request. What is wrong with one operation is
//! seen before anything of it is written, so it spoils no other. Where only the store
//! finds it wrong (an id that another account has), the operations of the request are
//! settled one by one, each in a write of its own; what can't be settled even so is left
//! out of the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use multi_master::{DbError, Tx};
use stdx::{HybridTime, UnixMicros};
use sync::merge::{self, Held, Origin, Outcome, REVISIONS, Revision};
use sync::model::{AccountId, DeviceId, Fields, RecordId, RecordKey, Table, Version};
use sync::operation::{Action, Operation};
use sync::wire::{Answer, PROTOCOL, Push, PushAnswer};
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::{Change, Domain, Refusal};
use crate::note::{MEETINGS_MAX, is_meeting};
use crate::requests::Request;
use crate::state::State;
use crate::store::{self, Account, Device};
use crate::{DEVICES_MAX, OPERATIONS_MAX, SyncError, SyncServer};

/// The most characters of a refusal.
const MESSAGE_CHARS_MAX: usize = 300;
/// A device that was not seen for so long makes room for another one, where an account
/// has too many.
const DEVICE_KEPT: Duration = Duration::from_hours(7 * 24);
/// Old deletions that one push forgets.
const FORGOTTEN_AT_ONCE: u32 = 100;

/// A push that is settled: a write of it goes on when nobody waits for it any more, and
/// counts until then.
struct Accepted {
    push: Push,
    _request: Request,
}

impl Deref for Accepted {
    type Target = Push;

    fn deref(&self) -> &Push {
        &self.push
    }
}

impl<D: Domain> SyncServer<D> {
    /// Settles the operations of a device of `account`, which is who is logged in, in
    /// their order. Operations that the answer leaves out are to be sent again.
    ///
    /// # Errors
    /// [`SyncError`]; then nothing was settled, but for [`SyncError::InDoubt`].
    pub async fn push(&self, account: AccountId, mut push: Push) -> Result<PushAnswer, SyncError> {
        if push.protocol != PROTOCOL {
            return Err(SyncError::Protocol(push.protocol));
        }
        if push.account != account {
            return Err(SyncError::WrongAccount);
        }
        if push.operations.len() > OPERATIONS_MAX {
            return Err(SyncError::TooManyOperations(push.operations.len()));
        }
        let ours = self.0.domain.schema();
        let newest = push.operations.iter().map(|operation| operation.schema).max();
        if let Some(theirs) = newest.filter(|theirs| *theirs > ours) {
            return Err(SyncError::NewerSchema { theirs, ours });
        }
        let request = self.0.requests.begin(account)?;
        self.listed(account).await?;
        // The answer to the first of a record has to be heard before the second.
        let mut first = BTreeSet::new();
        push.operations.retain(|operation| first.insert(operation.key.clone()));
        let push = Arc::new(Accepted { push, _request: request });
        let all = 0..push.operations.len();
        let answer = match self.attempt(&push, all, None).await {
            Err(SyncError::Db(error)) if !error.is_retryable() => self.one_by_one(&push).await,
            answer => answer,
        }?;
        self.0.listeners.tell(account, answer.head);
        Ok(answer)
    }

    /// Settles each operation in a write of its own, up to the first that can't be
    /// settled now. One that can't be settled at all (the masters differ in its record,
    /// or what is stored of it can't be read) is left out: an operator has to look, and
    /// the others do not wait for that.
    async fn one_by_one(&self, push: &Arc<Accepted>) -> Result<PushAnswer, SyncError> {
        let mut answers = Vec::new();
        let (mut last, mut failed): (Option<PushAnswer>, Option<SyncError>) = (None, None);
        for at in 0..push.operations.len() {
            match self.alone(push, at).await {
                Ok(mut answer) => {
                    answers.append(&mut answer.answers);
                    last = Some(answer);
                }
                Err(SyncError::Db(error)) if !error.is_retryable() => {
                    let operation = &push.operations[at];
                    tracing::error!(
                        account = %push.account, record = %operation.key,
                        operation = %operation.id, %error,
                        "an edit can't be settled: it is left out until this is mended"
                    );
                    failed.get_or_insert(error.into());
                }
                Err(error) => {
                    failed.get_or_insert(error);
                    break;
                }
            }
        }
        match (last, failed) {
            (Some(last), _) => Ok(PushAnswer { answers, ..last }),
            (None, Some(failed)) => Err(failed),
            (None, None) => self.attempt(push, 0..0, None).await,
        }
    }

    async fn alone(&self, push: &Arc<Accepted>, at: usize) -> Result<PushAnswer, SyncError> {
        let one = || at..at + 1;
        let answer = self.attempt(push, one(), None).await;
        if let Err(SyncError::Db(error)) = &answer
            && let Some(refusal) = refusal(error)
        {
            return self.attempt(push, one(), Some(refusal)).await;
        }
        answer
    }

    /// Settles some operations in one write. They are refused where that is what is
    /// to be said of them.
    async fn attempt(
        &self,
        push: &Arc<Accepted>,
        range: Range<usize>,
        refused: Option<Refusal>,
    ) -> Result<PushAnswer, SyncError> {
        let mut meetings = 0;
        loop {
            let (push, range) = (Arc::clone(push), range.clone());
            let (domain, refused) = (Arc::clone(&self.0.domain), refused.clone());
            let (now, kept) = (self.0.clock.now(), self.0.limits.tombstone_kept);
            let write = self.0.store.write(async move |tx: &mut Tx| {
                let operations = &push.operations[range.clone()];
                settle_all(tx, &*domain, &push, operations, refused.as_ref(), (now, kept)).await
            });
            match write.await.into_result().map_err(SyncError::from) {
                Err(SyncError::Db(error)) if is_meeting(&error) && meetings < MEETINGS_MAX => {
                    meetings += 1;
                }
                done => return done,
            }
        }
    }
}

/// What is said of an operation that the store finds wrong.
fn refusal(error: &DbError) -> Option<Refusal> {
    match error {
        DbError::Duplicate { .. } => Some(Refusal::new(
            "ID_TAKEN",
            "something else has this id, or is the same: make it anew",
        )),
        DbError::Missing { .. } => {
            Some(Refusal::new("NOT_THERE", "what it belongs to is not there any more"))
        }
        DbError::Shape(_) => {
            Some(Refusal::new("NOT_STORABLE", "it can't be stored as it is: make it shorter"))
        }
        _ => None,
    }
}

async fn settle_all<D: Domain>(
    tx: &mut Tx,
    domain: &D,
    push: &Push,
    operations: &[Operation],
    refused: Option<&Refusal>,
    (now, tombstone_kept): (UnixMicros, Duration),
) -> Result<PushAnswer, SyncError> {
    let mut account = store::lock_account(tx, push.account).await?;
    account.time = HybridTime::from_wall(now).max(account.time);
    let log = account.log;
    if let Some(common) = store::common(tx, &account, push.log, Version::NONE).await? {
        let (now, answers, common) = (account.time, Vec::new(), Some(common));
        return Ok(PushAnswer { now, answers, head: account.head, sequence: 0, log, common });
    }
    let mut devices = store::devices(tx, account.id).await?;
    let is_new = !devices.contains_key(&push.device);
    if is_new && devices.len() >= DEVICES_MAX {
        // Who comes back after that is counted anew: what it sent before and comes only now
        // is long gone from every network.
        let before = now.before(DEVICE_KEPT);
        let away = store::forgotten_device(tx, account.id, before).await?;
        let away = away.ok_or(SyncError::TooManyDevices)?;
        store::drop_device(tx, account.id, away).await?;
        devices.remove(&away);
    }
    let device = devices.entry(push.device).or_default();
    // No device has the answer to what it sends now.
    let sequences = || push.operations.iter().map(|operation| operation.sequence);
    let before = sequences().min().map_or(u64::MAX, |first| first.saturating_sub(1));
    device.sequence = sequences().fold(device.sequence, u64::max);
    device.settled = push.settled.min(before).min(device.sequence).max(device.settled);
    let device = *device;
    store::save_device(tx, account.id, push.device, device, is_new, now).await?;

    let origin = Origin { device: push.device, device_now: push.now, now: account.time };
    let mut records = Records::load(tx, domain, account.id, operations).await?;
    let mut settling = Settling { domain, account, origin, devices, refused, now };
    let mut answers = Vec::with_capacity(operations.len());
    for operation in operations {
        let outcome = settling.settle(tx, &mut records, operation).await?;
        answers.push(Answer { operation: operation.id, outcome });
    }
    records.save(tx, &settling.account).await?;
    settling.forget(tx, now.before(tombstone_kept)).await?;
    let account = settling.account;
    store::save_account(tx, &account).await?;
    let (now, head, sequence) = (account.time, account.head, device.sequence);
    Ok(PushAnswer { now, answers, head, sequence, log, common: None })
}

/// The records that the operations of a request are of, as they are now.
#[derive(Default)]
struct Records(BTreeMap<RecordKey, Record>);

struct Record {
    state: State,
    fields: Option<Fields>,
    /// Whether there is a row for the state.
    stored: bool,
    changed: bool,
}

impl Records {
    async fn load<D: Domain>(
        tx: &mut Tx,
        domain: &D,
        account: AccountId,
        operations: &[Operation],
    ) -> Result<Self, DbError> {
        let mut records = Self::default();
        for table in domain.tables().iter().chain([&REVISIONS]) {
            let ids: BTreeSet<RecordId> = operations
                .iter()
                .filter(|operation| *operation.key.table == *table.name)
                .map(|operation| operation.key.id)
                .collect();
            let ids: Vec<RecordId> = ids.into_iter().collect();
            if ids.is_empty() {
                continue;
            }
            let mut states = store::states(tx, account, table.name, &ids).await?;
            let mut values = if table.name == REVISIONS.name {
                store::revisions(tx, account, &ids).await?
            } else {
                domain.load(tx, account, table.name, &ids).await?
            };
            for id in ids {
                let state = states.remove(&id);
                let record = Record {
                    stored: state.is_some(),
                    state: state.unwrap_or_default(),
                    fields: values.remove(&id),
                    changed: false,
                };
                records.0.insert(RecordKey { table: table.name.into(), id }, record);
            }
        }
        Ok(records)
    }

    async fn save(self, tx: &mut Tx, account: &Account) -> Result<(), DbError> {
        for (key, record) in self.0 {
            if record.changed {
                store::save_state(tx, account, &key, &record.state, !record.stored).await?;
            }
        }
        Ok(())
    }
}

/// The settling of one request.
struct Settling<'a, D> {
    domain: &'a D,
    account: Account,
    origin: Origin,
    devices: BTreeMap<DeviceId, Device>,
    refused: Option<&'a Refusal>,
    now: UnixMicros,
}

impl<D: Domain> Settling<'_, D> {
    fn table(&self, name: &str) -> Option<&'static Table> {
        let tables: &'static [Table] = self.domain.tables();
        tables.iter().find(|table| table.name == name).or_else(|| {
            static OWN: Table = REVISIONS;
            (name == OWN.name).then_some(&OWN)
        })
    }

    /// Up to which of its operations a device has said that it has answers.
    fn settled(&self, device: DeviceId) -> u64 {
        self.devices.get(&device).map_or(0, |known| known.settled)
    }

    async fn settle(
        &mut self,
        tx: &mut Tx,
        records: &mut Records,
        operation: &Operation,
    ) -> Result<Outcome, DbError> {
        let Some((table, record)) =
            self.table(&operation.key.table).zip(records.0.get_mut(&operation.key))
        else {
            let table = &operation.key.table;
            return Ok(no(&Refusal::new("NO_SUCH_TABLE", format!("there is no table `{table}`"))));
        };
        let device = self.origin.device;
        let digest = digest(operation);
        let held = record.state.held(record.fields.clone());
        let inbox = &record.state.inbox;
        let settled = self.settled(device);
        let known = inbox.answer(device, settled, operation, digest, held.as_ref());
        if let Some(known) = known {
            return Ok(known);
        }
        let outcome = match self.take(tx, table, record, held.as_ref(), operation).await? {
            Ok(outcome) => outcome,
            Err(refusal) => no(&refusal),
        };
        record.state.inbox.forget(|device| self.settled(device));
        record.state.inbox.note(device, operation, digest, &outcome);
        record.changed = true;
        Ok(outcome)
    }

    async fn take(
        &mut self,
        tx: &mut Tx,
        table: &'static Table,
        record: &mut Record,
        held: Option<&Held>,
        sent: &Operation,
    ) -> Result<Result<Outcome, Refusal>, DbError> {
        let mut operation = sent.clone();
        let is_revision = table.name == REVISIONS.name;
        if let Some(refused) = self.refused {
            return Ok(Err(refused.clone()));
        }
        if is_revision && operation.action != Action::Delete {
            let why = "a revision can be deleted, and not changed";
            return Ok(Err(Refusal::new("READ_ONLY", why)));
        }
        if !is_revision && let Err(refusal) = self.domain.upgrade(&mut operation) {
            return Ok(Err(refusal));
        }
        if let Some(field) = merge::stranger(table, &operation) {
            let why = format!("the table `{}` has no field `{field}`", table.name);
            return Ok(Err(Refusal::new("NO_SUCH_FIELD", why)));
        }
        let version = self.account.head.next();
        let mut settled = merge::settle(table, held, &operation, &self.origin, version);
        let is_as_sent = operation.action == sent.action;
        if let Some(held) = settled.held.as_ref().filter(|_| !is_as_sent) {
            settled.outcome = settled.outcome.followed(held);
        }
        if let Some(mut held) = settled.held {
            let after = held.deleted.is_none().then_some(&held.fields);
            if is_revision {
                store::delete_revision(tx, self.account.id, operation.key.id).await?;
            } else if after != record.fields.as_ref() {
                let change = Change {
                    account: self.account.id,
                    key: &operation.key,
                    before: record.fields.as_ref(),
                    after,
                    now: self.now,
                };
                match self.domain.save(tx, &change).await? {
                    Err(refusal) => return Ok(Err(refusal)),
                    Ok(saved) => {
                        let saved = saved.filter(|saved| *saved != held.fields);
                        if let Some(saved) = saved.filter(|_| held.deleted.is_none()) {
                            held.follow(saved, &operation, &self.origin);
                            settled.outcome = settled.outcome.followed(&held);
                        }
                    }
                }
            }
            self.account.head = held.version;
            record.state.take(&held);
            record.fields = held.deleted.is_none().then_some(held.fields);
        }
        if let Some(revision) = settled.revision {
            self.keep(tx, &revision).await?;
        }
        Ok(Ok(settled.outcome))
    }

    async fn keep(&mut self, tx: &mut Tx, revision: &Revision) -> Result<(), DbError> {
        let (key, fields) = revision.record();
        self.account.head = self.account.head.next();
        let state = State { version: self.account.head, ..State::default() };
        store::insert_revision(tx, self.account.id, key.id, &fields).await?;
        store::save_state(tx, &self.account, &key, &state, true).await
    }

    /// Forgets some deletions from before an instant. Where an operation on one may come
    /// again, what became of it stays.
    async fn forget(&mut self, tx: &mut Tx, before: UnixMicros) -> Result<(), DbError> {
        let old = store::deleted_before(tx, self.account.id, before, FORGOTTEN_AT_ONCE).await?;
        for (key, mut state) in old {
            self.account.forgotten = self.account.forgotten.max(state.version);
            state.inbox.forget(|device| self.settled(device));
            if state.inbox.is_empty() {
                store::drop_state(tx, self.account.id, &key).await?;
            } else {
                let state = State { inbox: state.inbox, ..State::default() };
                store::save_state(tx, &self.account, &key, &state, false).await?;
            }
        }
        Ok(())
    }
}

/// Tells contents of operations apart. It is stored: what a device sent to the program
/// before this one has to have the same digest here.
fn digest(operation: &Operation) -> u64 {
    xxh3_64(&serde_json::to_vec(operation).expect("an operation is JSON"))
}

/// What is remembered is bounded, whatever the message repeats.
fn no(refusal: &Refusal) -> Outcome {
    let cut = |text: &str| text.chars().take(MESSAGE_CHARS_MAX).collect();
    Outcome::Refused { code: cut(&refusal.code), message: cut(&refusal.message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_the_digest_that_it_always_had() {
        let of = |action: &str| {
            let json = format!(
                r#"{{"id":"0190163d-8694-739b-aea5-966c26f8ad92","sequence":7,
                "key":{{"table":"memos","id":"0190163d-8694-739b-aea5-966c26f8ad93"}},
                "action":{action},"base":41,"written":1699999990000000,
                "at":1700000000000000,"after":111411200000000,"schema":1}}"#
            );
            digest(&serde_json::from_str(&json).unwrap())
        };
        let create = of(
            r#"{"kind":"create","fields":{"content":"책","page":12,"tags":["a"],"x":null,"y":true}}"#,
        );
        let update =
            of(r#"{"kind":"update","fields":{"content":"책 읽기"},"bases":{"content":"책"}}"#);
        assert_eq!(
            [create, update, of(r#"{"kind":"delete"}"#)],
            [5_714_490_244_328_701_595, 2_064_746_281_129_722_659, 16_408_570_430_868_568_639,]
        );
    }
}
