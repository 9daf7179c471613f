//! Many markers in few round trips.

use std::collections::BTreeMap;

use stdx::HybridTime;

use super::{Marker, Present, Rule, change};
use crate::fault::Fault;
use crate::link::Link;
use crate::render::Dialect;
use crate::schema::{Schema, TableInfo};
use crate::tables::read;
use crate::value::Value;
use crate::write_set::{self, RowOp};

/// Rows whose versions are asked for at a time.
const ASKED_AT_ONCE: usize = 200;

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
    let mut last: Vec<(RowKey, RowOp<'_>)> = last.into_iter().collect();
    // In the order in which they were made: who left a unique value made room
    // for who took it.
    last.sort_by_key(|(_, op)| op.change.version());
    for (at, op) in last {
        let now = present.get(&at).copied().unwrap_or_default();
        let alive = op.change.after().is_some();
        for statement in change(op, now, rule) {
            to.push(&statement).await?;
        }
        let deleted = deleted.get(&at).copied();
        if let Some(version) = deleted.filter(|version| alive && Some(*version) > now.tombstone) {
            to.push(&write_set::tombstone(at.0, &at.1, version)).await?;
        }
    }
    for marker in markers {
        to.push(&marker.statement()).await?;
    }
    to.commit().await
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
        let one = format!("({})", vec!["?"; columns.len()].join(", "));
        for keys in keys.chunks(ASKED_AT_ONCE) {
            let marks = vec![one.as_str(); keys.len()].join(", ");
            let list = columns.join(", ");
            let sql = format!("select {list}, _v from {name} where ({list}) in (values {marks})");
            let sql = match to.dialect() {
                Dialect::Sqlite => sql,
                Dialect::MariaDb | Dialect::MySql => sql.replace("in (values ", "in ("),
            };
            let params: Vec<Value> = keys.iter().flat_map(|key| (*key).clone()).collect();
            for row in to.query(&sql, &params).await? {
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
