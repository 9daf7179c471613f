//! Many markers in few round trips.

use std::collections::BTreeMap;

use stdx::HybridTime;

use super::{Marker, Present, change, table};
use crate::fault::Fault;
use crate::link::Link;
use crate::render::Dialect;
use crate::schema::Schema;
use crate::tables::read;
use crate::value::Value;
use crate::write_set::{self, StoredOp};

/// Rows whose versions are asked for at a time.
const ASKED_AT_ONCE: usize = 200;

/// Applies markers together: of each row only what it is after the last of them,
/// with few round trips however many there are.
pub(super) async fn forward(
    to: &mut Link,
    schema: &Schema,
    markers: &[Marker],
) -> Result<(), Fault> {
    let mut last: BTreeMap<(String, Vec<Value>), StoredOp> = BTreeMap::new();
    // A row that was deleted and made again has a tombstone all the same.
    let mut deleted: BTreeMap<(String, Vec<Value>), HybridTime> = BTreeMap::new();
    for marker in markers.iter().filter(|marker| !marker.aborted) {
        for op in marker.ops()? {
            let at = (op.table.clone(), op.key.clone());
            if op.after.is_none() {
                let newest = deleted.entry(at.clone()).or_insert(op.version);
                *newest = op.version.max(*newest);
            }
            if last.get(&at).is_none_or(|before| before.version < op.version) {
                last.insert(at, op);
            }
        }
    }
    let mut ops: Vec<StoredOp> = last.into_values().collect();
    to.begin().await?;
    let now = present(to, schema, &ops).await?;
    // In the order in which they were made: who left a unique value made room
    // for who took it.
    ops.sort_by_key(|op| op.version);
    for op in &ops {
        let info = table(schema, &op.table)?;
        let now = now.get(&(info.name, op.key.clone())).copied().unwrap_or_default();
        for statement in change(info, op, now)? {
            to.push(&statement).await?;
        }
        let deleted = deleted.get(&(op.table.clone(), op.key.clone())).copied();
        if let Some(at) = deleted.filter(|at| Some(*at) > now.tombstone && op.after.is_some()) {
            to.push(&write_set::tombstone(info.name, &op.key, at)).await?;
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
    schema: &'a Schema,
    ops: &[StoredOp],
) -> Result<BTreeMap<(&'a str, Vec<Value>), Present>, Fault> {
    let mut present: BTreeMap<(&'a str, Vec<Value>), Present> = BTreeMap::new();
    let mut by_table: BTreeMap<&str, Vec<&Vec<Value>>> = BTreeMap::new();
    for op in ops {
        by_table.entry(&op.table).or_default().push(&op.key);
    }
    for (name, keys) in by_table {
        let info = table(schema, name)?;
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
