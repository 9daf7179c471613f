//! Changes that come by another way than a push: a website, an import, an operator.

use std::collections::BTreeMap;

use multi_master::{DbError, Tx};
use stdx::ids::Id as _;
use stdx::{HybridTime, UnixMicros};
use sync::merge::Stamp;
use sync::model::{AccountId, OperationId, RecordKey, Value, Version};
use uuid::Uuid;

use crate::domain::Domain;
use crate::state::State;
use crate::store::{self, Account};
use crate::{Inner, SyncError};

/// Records from before there was a sync server that one write takes up.
const LISTED_AT_ONCE: u32 = 500;
/// How often a write is run again that met another one that made the same row.
pub(crate) const MEETINGS_MAX: u32 = 3;

/// What was done to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note<'a> {
    /// These fields were set, or it was made with them; the others hold what follows
    /// from them, or nothing: what a device has set there is later.
    Set(&'a [&'a str]),
    /// It was deleted.
    Deleted,
}

/// Notes in the change log what is done to records of an account in the same
/// transaction, so that its devices hear of it. It has to be called by every write of
/// a record that is no [`Domain::save`], before or after the record is written.
///
/// It locks the account's row until the write ends.
///
/// # Errors
/// Those of the store. [`DbError::Duplicate`] of `sync_accounts` or `sync_records`
/// means that it met another write: run the write again.
pub async fn note(
    tx: &mut Tx,
    account: AccountId,
    notes: &[(RecordKey, Note<'_>)],
    now: UnixMicros,
) -> Result<(), DbError> {
    if notes.is_empty() {
        return Ok(());
    }
    let mut account = store::lock_account(tx, account).await?;
    account.time = HybridTime::from_wall(now).max(account.time);
    let mut by_table: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, (key, _)) in notes.iter().enumerate() {
        by_table.entry(&key.table).or_default().push(at);
    }
    for (table, places) in by_table {
        let keys: Vec<_> = places.iter().map(|at| notes[*at].0.id).collect();
        let mut known = store::states(tx, account.id, table, &keys).await?;
        for at in places {
            let (key, note) = &notes[at];
            let before = known.remove(&key.id);
            let is_new = before.is_none();
            let mut state = before.unwrap_or_default();
            account.head = account.head.next();
            state.version = account.head;
            let stamp = stamp(&account);
            match note {
                Note::Deleted => {
                    state.stamps.clear();
                    state.deleted = Some(stamp);
                }
                Note::Set(fields) => {
                    state.deleted = None;
                    set(&mut state, fields.iter().copied(), stamp);
                }
            }
            store::save_state(tx, &account, key, &state, is_new).await?;
            known.insert(key.id, state);
        }
    }
    store::save_account(tx, &account).await
}

/// What was done without an operation has the number of its change in the place of
/// one.
fn stamp(account: &Account) -> Stamp {
    let operation = OperationId::from_uuid(Uuid::from_u128(account.head.0.into()));
    Stamp { version: account.head, at: account.time, device: None, operation }
}

fn set<'a>(state: &mut State, fields: impl Iterator<Item = &'a str>, stamp: Stamp) {
    for field in fields {
        match state.stamps.binary_search_by(|(name, _)| (**name).cmp(field)) {
            Ok(at) => state.stamps[at].1 = stamp,
            Err(at) => state.stamps.insert(at, (field.into(), stamp)),
        }
    }
}

/// Takes some records into the change log that are from before there was one; where
/// there are none left, the account is listed.
pub(crate) async fn list_some<D: Domain>(inner: &Inner<D>, of: AccountId) -> Result<(), SyncError> {
    let mut meetings = 0;
    loop {
        let domain = std::sync::Arc::clone(&inner.domain);
        let now = inner.clock.now();
        let write = inner.store.write(async move |tx: &mut Tx| {
            let mut account = store::lock_account(tx, of).await?;
            account.time = HybridTime::from_wall(now).max(account.time);
            let before = account.head;
            for table in domain.tables() {
                let unlisted = domain.unlisted(tx, of, table.name, LISTED_AT_ONCE).await?;
                let values = domain.load(tx, of, table.name, &unlisted).await?;
                for (id, fields) in values {
                    account.head = account.head.next();
                    let mut state = State { version: account.head, ..State::default() };
                    let given = fields.iter().filter(|(_, value)| **value != Value::Null);
                    set(&mut state, given.map(|(name, _)| name), stamp(&account));
                    let key = RecordKey { table: table.name.into(), id };
                    store::save_state(tx, &account, &key, &state, true).await?;
                }
                if account.head != before {
                    break;
                }
            }
            account.listed = account.head == before;
            store::save_account(tx, &account).await?;
            Ok::<Version, SyncError>(account.head)
        });
        match write.await.into_result().map_err(SyncError::from) {
            Err(SyncError::Db(error)) if is_meeting(&error) && meetings < MEETINGS_MAX => {
                meetings += 1;
            }
            done => return done.map(drop),
        }
    }
}

/// Whether a row was made by another write since this one looked for it.
pub(crate) fn is_meeting(error: &DbError) -> bool {
    matches!(error, DbError::Duplicate { table, .. } if table.starts_with("sync_"))
}
