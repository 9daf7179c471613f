//! What lost against something else, kept in `mm_conflicts` until a person has
//! looked at it.
//!
//! Not every master has all of it: what was kept while one was away is on the
//! others alone. So all that serve are asked, and together they are the answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use stdx::UnixMicros;
use stdx::ids::Id as _;
use uuid::Uuid;

use crate::error::{DbError, TxId, txid_of};
use crate::fault::Fault;
use crate::link::Link;
use crate::schema::{Schema, TableInfo};
use crate::shared::Shared;
use crate::sqlite::IfAbsent;
use crate::tables::{self, read};
use crate::value::{Row, Value};
use crate::write_set::{self, Image};

/// Kept ones are counted up to here: a table that is longer is not read through
/// again and again.
pub(crate) const COUNTED_MAX: u64 = 10_000;
/// Read at a time.
const PAGE: usize = 20;
/// What is told at once holds so much, about.
const BYTES_MAX: usize = 8 << 20;

/// A transaction, or a row, that lost against something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The transaction's; of a row that a comparison repaired, one of its own.
    pub id: TxId,
    /// When the transaction began, or the row was repaired.
    pub found_at: UnixMicros,
    /// Why it is kept.
    pub reason: String,
    /// What it did to each row; nothing where nobody knows.
    pub rows: Vec<LostRow>,
    /// Why the rows can't be read, where they can't: another version of the program
    /// may have written them.
    pub unreadable: Option<String>,
}

/// What one operation that lost did to its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRow {
    /// The table.
    pub table: String,
    /// The key, for people.
    pub key: String,
    /// The row before, by column; `None` where it was inserted.
    pub before: Option<BTreeMap<String, serde_json::Value>>,
    /// The row after; `None` where it was deleted. Bytes are hexadecimal digits,
    /// and an id is written as ids are.
    pub after: Option<BTreeMap<String, serde_json::Value>>,
}

/// How many are kept, as it was counted last.
#[derive(Debug, Default)]
pub(crate) struct Kept(AtomicU64);

impl Kept {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts them anew.
pub(crate) async fn count(shared: &Shared) {
    let (mut most, mut all) = (0, shared.view().all_serve());
    for at in shared.view().serving() {
        match count_at(shared, at).await {
            Ok(count) => most = most.max(count),
            Err(_) => all = false,
        }
    }
    if all {
        shared.kept.0.store(most, Ordering::Relaxed);
    } else {
        // One that is away may have more.
        shared.kept.0.fetch_max(most, Ordering::Relaxed);
    }
}

async fn count_at(shared: &Shared, at: usize) -> Result<u64, Fault> {
    let sql = format!(
        "select count(*) as kept from (select 1 as one from mm_conflicts limit {COUNTED_MAX}) as m"
    );
    let mut link = shared.connect(at, IfAbsent::Refuse).await?;
    let rows = link.query(&sql, &[]).await?;
    let kept: Option<i64> = rows.first().map(|row| read(row, "kept")).transpose()?;
    Ok(kept.and_then(|kept| u64::try_from(kept).ok()).unwrap_or(0))
}

/// The newest that are kept, at most `max` of them.
pub(crate) async fn newest(shared: &Shared, max: usize) -> Result<Vec<Conflict>, DbError> {
    let view = shared.view();
    if view.serving().is_empty() {
        return Err(DbError::NoMaster(view.why_none()));
    }
    let (mut all, mut complete_from) = (BTreeMap::new(), None);
    for at in view.serving() {
        let mut link = shared.connect(at, IfAbsent::Refuse).await?;
        let Newest { kept, cut } = newest_at(&mut link, &shared.schema, max).await?;
        complete_from = complete_from.max(cut);
        for one in kept {
            all.entry(one.id).or_insert(one);
        }
    }
    let mut all: Vec<Conflict> = all.into_values().collect();
    all.retain(|one| Some(place(one)) >= complete_from);
    all.sort_by_key(|one| std::cmp::Reverse(place(one)));
    all.truncate(max);
    Ok(all)
}

/// In the order in which they are told, from the last.
const fn place(conflict: &Conflict) -> (UnixMicros, TxId) {
    (conflict.found_at, conflict.id)
}

/// The newest that one master keeps.
struct Newest {
    kept: Vec<Conflict>,
    /// Where it was too much: of what is older than this, it may keep some as well.
    cut: Option<(UnixMicros, TxId)>,
}

/// Few at a time, because each may be a large transaction.
async fn newest_at(link: &mut Link, schema: &Schema, max: usize) -> Result<Newest, Fault> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    let mut before = (i64::MAX, vec![0xff; 16]);
    let sql = format!(
        "select txid, reason, ops, found_at from mm_conflicts \
         where found_at < ? or found_at = ? and txid < ? \
         order by found_at desc, txid desc limit {PAGE}"
    );
    while all.len() < max {
        if bytes >= BYTES_MAX {
            let cut = all.last().map(place);
            return Ok(Newest { kept: all, cut });
        }
        let params = [before.0.into(), before.0.into(), Value::Bytes(before.1)];
        let page = link.query(&sql, &params).await?;
        let Some(last) = page.last() else { break };
        before = (read(last, "found_at")?, read(last, "txid")?);
        for row in &page {
            bytes += read::<Vec<u8>>(row, "ops")?.len();
            all.push(conflict(row, schema)?);
        }
    }
    all.truncate(max);
    Ok(Newest { kept: all, cut: None })
}

fn conflict(row: &Row, schema: &Schema) -> Result<Conflict, Fault> {
    let ops: Vec<u8> = read(row, "ops")?;
    let (rows, unreadable) = match write_set::decode(&ops, schema) {
        Ok(ops) => {
            let lost = ops.into_iter().map(|op| LostRow {
                table: op.info.name.to_owned(),
                key: format!("{:?}", op.key),
                before: op.change.before().map(|image| columns(op.info, image)),
                after: op.change.after().map(|image| columns(op.info, image)),
            });
            (lost.collect(), None)
        }
        Err(why) => (Vec::new(), Some(why)),
    };
    Ok(Conflict {
        id: txid_of(read::<Uuid>(row, "txid")?),
        found_at: read(row, "found_at")?,
        reason: read(row, "reason")?,
        rows,
        unreadable,
    })
}

fn columns(info: &TableInfo, image: &Image) -> BTreeMap<String, serde_json::Value> {
    let named = info.columns.iter().zip(&image.row);
    named.map(|(column, value)| (column.name.to_owned(), json(value))).collect()
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Int(int) => (*int).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Bytes(bytes) => {
            let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let digits = halves.filter_map(|half| char::from_digit(half.into(), 16));
            Uuid::from_slice(bytes).map_or_else(|_| digits.collect(), |id| id.to_string()).into()
        }
    }
}

/// Why a conflict can't be dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConflictError {
    /// It is not kept, or no more.
    #[error("`{0}` is not kept; `ls` shows what is")]
    NotThere(TxId),
    /// It would stay on a master that is away.
    #[error("{0} is away, and would keep it: drop it when every master serves")]
    Away(String),
    /// A master failed meanwhile.
    #[error(transparent)]
    Store(#[from] DbError),
}

/// Takes one away, from all masters.
pub(crate) async fn drop_one(shared: &Shared, id: TxId) -> Result<(), ConflictError> {
    let view = shared.view();
    let away = view.away();
    if !away.is_empty() {
        let away: Vec<&str> = away.iter().map(|name| name.0.as_str()).collect();
        return Err(ConflictError::Away(away.join(", ")));
    }
    let mut there = false;
    for at in view.serving() {
        there |= drop_at(shared, at, id).await.map_err(DbError::from)?;
    }
    count(shared).await;
    if !there {
        return Err(ConflictError::NotThere(id));
    }
    tracing::warn!(severity = "INFO", %id, "an operator dropped what was kept of a conflict");
    Ok(())
}

async fn drop_at(shared: &Shared, at: usize, id: TxId) -> Result<bool, Fault> {
    let mut link = shared.connect(at, IfAbsent::Refuse).await?;
    let sql = "select txid from mm_conflicts where txid = ?";
    let there = !link.query(sql, &[id.uuid().into()]).await?.is_empty();
    if there {
        let sql = "delete from mm_conflicts where txid = ?";
        tables::run(&mut link, sql, vec![id.uuid().into()]).await?;
    }
    Ok(there)
}
