//! Rows: everything of this crate that is SQL.

use std::collections::BTreeMap;

use multi_master::{Db, DbError, Row, Tx, Value, fields, id, params};
use stdx::ids::Id;
use stdx::{HybridTime, IdSource, UnixMicros};
use sync::model::{AccountId, DeviceId, Fields, LogId, RecordId, RecordKey, Version};
use uuid::Uuid;

use crate::schema::RECORDS;
use crate::state::State;

/// An account's place in its change log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) head: Version,
    pub(crate) forgotten: Version,
    pub(crate) time: HybridTime,
    pub(crate) listed: bool,
    /// In which store its change log was begun.
    pub(crate) store: Option<Uuid>,
    /// Its change log.
    pub(crate) log: LogId,
}

/// A device, as far as it is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) settled: u64,
    pub(crate) sequence: u64,
}

/// A record's place in the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) key: RecordKey,
    pub(crate) version: Version,
    pub(crate) deleted: bool,
}

fn int(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn number(row: &Row, column: &str) -> Result<u64, DbError> {
    let value: i64 = row.get(column)?;
    u64::try_from(value)
        .map_err(|_| DbError::Shape(format!("column `{column}` is below 0: {value}")))
}

fn version(row: &Row, column: &str) -> Result<Version, DbError> {
    number(row, column).map(Version)
}

pub(crate) async fn account(db: &mut Db, account: AccountId) -> Result<Option<Account>, DbError> {
    let Some(row) = db.get("sync_accounts", params![id(account)]).await? else { return Ok(None) };
    Ok(Some(Account {
        id: account,
        head: version(&row, "head")?,
        forgotten: version(&row, "forgotten")?,
        time: row.get("at")?,
        listed: row.get("listed")?,
        store: row.get("store_id")?,
        log: row.id_or_null("log_id")?.unwrap_or_else(no_log),
    }))
}

fn no_log() -> LogId {
    LogId::from_uuid(Uuid::nil())
}

/// The account, locked. Where the store was put back from a backup since, its change log
/// is another one from here on.
pub(crate) async fn lock_account(tx: &mut Tx, of: AccountId) -> Result<Account, DbError> {
    if let Some(mut account) = account(tx, of).await? {
        if account.store != Some(tx.store_id()) {
            begin_log(tx, &mut account).await?;
        }
        return Ok(account);
    }
    let account = Account {
        id: of,
        head: Version::NONE,
        forgotten: Version::NONE,
        time: HybridTime::ZERO,
        listed: false,
        store: Some(tx.store_id()),
        log: IdSource::system().next(),
    };
    let mut row = account_fields(&account);
    row.push(("account_id", id(of)));
    tx.insert("sync_accounts", row).await?;
    Ok(account)
}

/// Ends the change log of an account, and begins another one.
pub(crate) async fn begin_log(tx: &mut Tx, account: &mut Account) -> Result<(), DbError> {
    if account.log != no_log() {
        let ended = fields! {
            "account_id" => id(account.id),
            "log_id" => id(account.log),
            "ended" => int(account.head.0),
        };
        tx.insert("sync_logs", ended).await?;
    }
    (account.store, account.log) = (Some(tx.store_id()), IdSource::system().next());
    save_account(tx, account).await
}

/// Up to which change a device's log is the same as the account's, where it is another
/// one, or has a change that this one has not.
pub(crate) async fn common(
    db: &mut Db,
    account: &Account,
    log: Option<LogId>,
    cursor: Version,
) -> Result<Option<Version>, DbError> {
    let Some(log) = log.filter(|log| *log != account.log) else {
        // Who put the store back did not say so: nobody knows since when it differs.
        let is_ahead = log.is_some() && cursor > account.head;
        return Ok(is_ahead.then_some(Version::NONE));
    };
    let row = db.get("sync_logs", params![id(account.id), id(log)]).await?;
    let ended = row.map(|row| version(&row, "ended")).transpose()?;
    Ok(Some(ended.unwrap_or(Version::NONE)))
}

/// Accounts after one, some, in the order of their ids.
pub(crate) async fn accounts_after(
    db: &mut Db,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<AccountId>, DbError> {
    let sql = "select account_id from sync_accounts where account_id > ? \
         order by account_id limit ?";
    let after = after.unwrap_or_else(|| AccountId::from_uuid(Uuid::nil()));
    let rows = db.query(sql, params![id(after), limit]).await?;
    rows.iter().map(|row| row.id("account_id")).collect()
}

pub(crate) async fn save_account(tx: &mut Tx, account: &Account) -> Result<(), DbError> {
    tx.update("sync_accounts", params![id(account.id)], account_fields(account)).await?;
    Ok(())
}

fn account_fields(account: &Account) -> Vec<(&'static str, Value)> {
    fields! {
        "head" => int(account.head.0),
        "forgotten" => int(account.forgotten.0),
        "at" => account.time,
        "listed" => account.listed,
        "store_id" => account.store,
        "log_id" => id(account.log),
    }
}

/// The last changes of some accounts.
pub(crate) async fn heads(
    db: &mut Db,
    accounts: &[AccountId],
) -> Result<Vec<(AccountId, Version)>, DbError> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "select account_id, head from sync_accounts where account_id in ({})",
        placeholders(accounts.len())
    );
    let rows = db.query(&sql, accounts.iter().map(|account| id(*account)).collect()).await?;
    rows.iter().map(|row| Ok((row.id("account_id")?, version(row, "head")?))).collect()
}

pub(crate) async fn devices(
    tx: &mut Tx,
    account: AccountId,
) -> Result<BTreeMap<DeviceId, Device>, DbError> {
    let sql = "select device_id, settled, sequence from sync_devices where account_id = ?";
    let rows = tx.query(sql, params![id(account)]).await?;
    let device = |row: &Row| {
        let device =
            Device { settled: number(row, "settled")?, sequence: number(row, "sequence")? };
        Ok((row.id("device_id")?, device))
    };
    rows.iter().map(device).collect()
}

/// The device that was seen last before an instant, and longest ago.
pub(crate) async fn forgotten_device(
    tx: &mut Tx,
    account: AccountId,
    before: UnixMicros,
) -> Result<Option<DeviceId>, DbError> {
    let sql = "select device_id from sync_devices where account_id = ? and seen_at < ? \
         order by seen_at, device_id limit 1";
    let row = tx.query_first(sql, params![id(account), before]).await?;
    row.map(|row| row.id("device_id")).transpose()
}

pub(crate) async fn drop_device(
    tx: &mut Tx,
    account: AccountId,
    device: DeviceId,
) -> Result<(), DbError> {
    tx.delete("sync_devices", params![id(account), id(device)]).await.map(drop)
}

pub(crate) async fn save_device(
    tx: &mut Tx,
    account: AccountId,
    device: DeviceId,
    counted: Device,
    is_new: bool,
    now: UnixMicros,
) -> Result<(), DbError> {
    let mut row = fields! {
        "settled" => int(counted.settled),
        "sequence" => int(counted.sequence),
        "seen_at" => now,
    };
    if is_new {
        row.extend(fields! {"account_id" => id(account), "device_id" => id(device)});
        tx.insert("sync_devices", row).await
    } else {
        tx.update("sync_devices", params![id(account), id(device)], row).await.map(drop)
    }
}

/// What is kept of records of one table.
pub(crate) async fn states(
    db: &mut Db,
    account: AccountId,
    table: &str,
    ids: &[RecordId],
) -> Result<BTreeMap<RecordId, State>, DbError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = format!(
        "select record_id, version, state from sync_records \
         where account_id = ? and table_name = ? and record_id in ({})",
        placeholders(ids.len())
    );
    let mut values = params![id(account), table];
    values.extend(ids.iter().map(|record| id(*record)));
    let state = |row: &Row| {
        let bytes: Vec<u8> = row.get("state")?;
        Ok((row.id("record_id")?, State::decode(version(row, "version")?, &bytes)?))
    };
    db.query(&sql, values).await?.iter().map(state).collect()
}

/// A deletion is dated by the server's time, whenever the device made it.
pub(crate) async fn save_state(
    tx: &mut Tx,
    account: &Account,
    key: &RecordKey,
    state: &State,
    is_new: bool,
) -> Result<(), DbError> {
    let (now, account) = (account.time.wall(), account.id);
    let mut row = fields! {
        "version" => int(state.version.0),
        "deleted_at" => state.deleted.map(|_| now),
        "state" => state.encode(),
    };
    if is_new {
        row.extend(fields! {
            "account_id" => id(account),
            "table_name" => &*key.table,
            "record_id" => id(key.id),
        });
        tx.insert(RECORDS, row).await
    } else {
        tx.update(RECORDS, params![id(account), &*key.table, id(key.id)], row).await.map(drop)
    }
}

/// What changed after a version, in the order of the changes.
pub(crate) async fn changes(
    db: &mut Db,
    account: AccountId,
    after: Version,
    limit: u32,
) -> Result<Vec<Logged>, DbError> {
    let sql = "select table_name, record_id, version, deleted_at from sync_records \
         where account_id = ? and version > ? order by version limit ?";
    let rows = db.query(sql, params![id(account), int(after.0), limit]).await?;
    let logged = |row: &Row| {
        let table: String = row.get("table_name")?;
        Ok(Logged {
            key: RecordKey { table: table.into(), id: row.id("record_id")? },
            version: version(row, "version")?,
            deleted: row.get::<Option<UnixMicros>>("deleted_at")?.is_some(),
        })
    };
    rows.iter().map(logged).collect()
}

/// Deletions from before an instant: some, the oldest first, as far as they can be read.
pub(crate) async fn deleted_before(
    tx: &mut Tx,
    account: AccountId,
    before: UnixMicros,
    limit: u32,
) -> Result<Vec<(RecordKey, State)>, DbError> {
    let sql = "select table_name, record_id, version, state from sync_records \
         where account_id = ? and deleted_at < ? order by deleted_at limit ?";
    let rows = tx.query(sql, params![id(account), before, limit]).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let (table, bytes): (String, Vec<u8>) = (row.get("table_name")?, row.get("state")?);
        let key = RecordKey { table: table.into(), id: row.id("record_id")? };
        // What can't be read stays: it is no reason to settle nothing else.
        if let Ok(state) = State::decode(version(row, "version")?, &bytes) {
            all.push((key, state));
        }
    }
    Ok(all)
}

pub(crate) async fn drop_state(
    tx: &mut Tx,
    account: AccountId,
    key: &RecordKey,
) -> Result<(), DbError> {
    tx.delete(RECORDS, params![id(account), &*key.table, id(key.id)]).await.map(drop)
}

pub(crate) async fn revisions(
    db: &mut Db,
    account: AccountId,
    ids: &[RecordId],
) -> Result<BTreeMap<RecordId, Fields>, DbError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = format!(
        "select record_id, fields from sync_revisions \
         where account_id = ? and record_id in ({})",
        placeholders(ids.len())
    );
    let mut values = params![id(account)];
    values.extend(ids.iter().map(|record| id(*record)));
    let revision = |row: &Row| {
        let bytes: Vec<u8> = row.get("fields")?;
        let fields = serde_json::from_slice(&bytes).map_err(|why| {
            DbError::Shape(format!("column `fields` of `sync_revisions` can't be read: {why}"))
        })?;
        Ok((row.id("record_id")?, fields))
    };
    db.query(&sql, values).await?.iter().map(revision).collect()
}

pub(crate) async fn insert_revision(
    tx: &mut Tx,
    account: AccountId,
    record: RecordId,
    held: &Fields,
) -> Result<(), DbError> {
    let bytes = serde_json::to_vec(held).expect("fields are JSON");
    let row = fields! {"account_id" => id(account), "record_id" => id(record), "fields" => bytes};
    tx.insert("sync_revisions", row).await
}

pub(crate) async fn delete_revision(
    tx: &mut Tx,
    account: AccountId,
    record: RecordId,
) -> Result<(), DbError> {
    tx.delete("sync_revisions", params![id(account), id(record)]).await.map(drop)
}

/// `?, ?, ?` for a list of parameters.
fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}
