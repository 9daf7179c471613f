//! Many markers in few round trips.

use std::collections::BTreeMap;

use stdx::HybridTime;

use super::{Marker, Present, Rule};
use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Dialect, Rows, Sql, Statement};
use crate::sabotage::{Bug, is};
use crate::schema::{Schema, TableInfo};
use crate::tables::read;
use crate::value::Value;
use crate::write_set::{self, Change, RowOp};

/// Rows whose versions are asked for at a time.
const ASKED_AT_ONCE: usize = 200;

/// Rows to delete, by table.
type Gone<'a> = BTreeMap<&'static str, (&'a TableInfo, Vec<Vec<Value>>)>;

/// A row: its table and its primary key.
type RowKey = (&'static str, Vec<Value>);

/// Applies markers together: of each row only what it is after the last of them,
/// with few round trips however many there are.
pub(super) async fn forward(
    to: &mut Link,
    schema: &Schema,
    markers: &[Marker],
    rule: Rule,
) -> Result<(), Fault> {
    let mut last: BTreeMap<RowKey, RowOp<'_>> = BTreeMap::new();
    // A row that was deleted and made again has a tombstone all the same.
    let mut deleted: BTreeMap<RowKey, HybridTime> = BTreeMap::new();
    for marker in markers.iter().filter(|marker| !marker.aborted) {
        for op in marker.ops(schema)? {
            let at = (op.info.name, op.key.clone());
            let version = op.change.version();
            if op.change.after().is_none() {
                let newest = deleted.entry(at.clone()).or_insert(version);
                *newest = version.max(*newest);
            }
            if last.get(&at).is_none_or(|before| before.change.version() < version) {
                last.insert(at, op);
            }
        }
    }
    to.begin().await?;
    let present = present(to, last.values()).await?;
    // What changes is taken away before anything is put in its place: a unique
    // value may have moved from one row to another. (And a server parses many
    // rows of one statement in a fraction of the time of as many statements.)
    let (mut gone, mut put, mut buried) = (Gone::new(), Vec::new(), Vec::new());
    for (at, op) in last {
        let now = present.get(&at).copied().unwrap_or_default();
        let version = op.change.version();
        let newer = now.version.max(now.tombstone) < Some(version) || is(Bug::IgnoredVersions);
        let alive = op.change.after().is_some();
        if is(Bug::ForgottenDeletes) && !alive {
            continue;
        }
        let deleted = match deleted.get(&at) {
            Some(deleted) if alive => (Some(*deleted) > now.tombstone).then_some(*deleted),
            Some(_) | None => (newer && !alive).then_some(version),
        };
        buried.extend(deleted.map(|version| write_set::tombstone(at.0, &at.1, version)));
        if !newer {
            continue;
        }
        if now.version.is_some() {
            gone.entry(at.0).or_insert((op.info, Vec::new())).1.push(at.1);
        }
        if let Change::Insert { after } | Change::Update { after, .. } = op.change {
            // What is still in the way of a filling is of a later moment, and goes.
            put.push(match rule {
                Rule::Fill => write_set::replace(op.info, after),
                _ => write_set::insert(op.info, after),
            });
        }
    }
    for (info, keys) in gone.into_values() {
        for keys in keys.chunks(ASKED_AT_ONCE) {
            to.push(&take_away(info, keys, to.dialect())).await?;
        }
    }
    for statement in put.into_iter().chain(buried) {
        to.push(&statement).await?;
    }
    for marker in markers {
        to.push(&marker.statement()).await?;
    }
    to.commit().await
}

/// Deletes the rows with these keys.
fn take_away(info: &TableInfo, keys: &[Vec<Value>], dialect: Dialect) -> Statement {
    let sql = format!("delete from {} where {}", info.name, info.one_of(keys.len(), dialect));
    let params = keys.iter().flatten().cloned().collect();
    Statement { sql: Sql::Made(sql.into()), params, rows: Rows::Any, table: info.name }
}

/// What `to` holds of the rows of these operations.
async fn present<'a>(
    to: &mut Link,
    ops: impl Iterator<Item = &'a RowOp<'a>>,
) -> Result<BTreeMap<RowKey, Present>, Fault> {
    let mut present: BTreeMap<RowKey, Present> = BTreeMap::new();
    let mut by_table: BTreeMap<&str, (&TableInfo, Vec<&Vec<Value>>)> = BTreeMap::new();
    for op in ops {
        by_table.entry(op.info.name).or_insert((op.info, Vec::new())).1.push(&op.key);
    }
    for (name, (info, keys)) in by_table {
        let columns: Vec<&str> = info.key.iter().map(|&at| info.columns[at].name).collect();
        for keys in keys.chunks(ASKED_AT_ONCE) {
            let list = columns.join(", ");
            let condition = info.one_of(keys.len(), to.dialect());
            let sql = format!("select {list}, _v from {name} where {condition}");
            let params: Vec<Value> = keys.iter().flat_map(|key| (*key).clone()).collect();
            // Held: what is found is what is taken away below.
            for row in to.query_locked(&sql, &params).await? {
                let version = read(&row, "_v")?;
                let mut key = row.into_values();
                key.truncate(columns.len());
                present.entry((info.name, key)).or_default().version = Some(version);
            }
            let by_bytes: BTreeMap<Vec<u8>, &Vec<Value>> =
                keys.iter().map(|key| (write_set::key_bytes(key), *key)).collect();
            let marks = vec!["?"; by_bytes.len()].join(", ");
            let sql = format!("select k, v from mm_tombstones where tbl = ? and k in ({marks})");
            let mut params = vec![Value::from(info.name)];
            params.extend(by_bytes.keys().cloned().map(Value::Bytes));
            for row in to.query(&sql, &params).await? {
                let bytes: Vec<u8> = read(&row, "k")?;
                if let Some(key) = by_bytes.get(&bytes) {
                    let at = (info.name, (*key).clone());
                    present.entry(at).or_default().tombstone = Some(read(&row, "v")?);
                }
            }
        }
    }
    Ok(present)
}
