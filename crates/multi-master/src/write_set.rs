//! What one transaction changes: its row operations, with the rows before and
//! after, as statements and as the bytes of a marker.

use serde::{Deserialize, Serialize};
use stdx::HybridTime;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{TxId, txid_of};
use crate::render::{Rows, Sql, Statement};
use crate::schema::{Schema, TableInfo};
use crate::value::Value;

/// Bytes that most rows fit into.
const ROW_BYTES: usize = 512;

/// A row at one version: its values in the order of the table's columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) row: Vec<Value>,
    pub(crate) version: HybridTime,
}

/// What an operation does to its row. `I` is an [`Image`], owned or borrowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change<I> {
    Insert { after: I },
    Update { before: I, after: I },
    Delete { before: I, version: HybridTime },
}

impl<I> Change<I> {
    pub(crate) const fn before(&self) -> Option<&I> {
        match self {
            Self::Insert { .. } => None,
            Self::Update { before, .. } | Self::Delete { before, .. } => Some(before),
        }
    }

    pub(crate) const fn after(&self) -> Option<&I> {
        match self {
            Self::Insert { after } | Self::Update { after, .. } => Some(after),
            Self::Delete { .. } => None,
        }
    }
}

impl Change<Image> {
    /// The version that this gives its row, or its tombstone.
    pub(crate) const fn version(&self) -> HybridTime {
        match self {
            Self::Insert { after } | Self::Update { after, .. } => after.version,
            Self::Delete { version, .. } => *version,
        }
    }

    /// The row, before or after: its primary key is the same.
    fn row(&self) -> &[Value] {
        match self {
            Self::Insert { after: image }
            | Self::Update { before: image, .. }
            | Self::Delete { before: image, .. } => &image.row,
        }
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut Vec<Value>> {
        let (one, other) = match self {
            Self::Insert { after: image } | Self::Delete { before: image, .. } => (image, None),
            Self::Update { before, after } => (before, Some(after)),
        };
        std::iter::once(one).chain(other).map(|image| &mut image.row)
    }
}

pub(crate) fn insert(info: &TableInfo, after: Image) -> Statement {
    let digest = digest(info, &after.row);
    let mut params = after.row;
    params.push(after.version.into());
    params.push(Value::Int(digest));
    Statement { sql: info.sql.insert.clone(), params, rows: Rows::One, table: info.name }
}

/// Puts a row in the place of all that have its key or a unique value of its.
pub(crate) fn replace(info: &TableInfo, after: Image) -> Statement {
    let insert = insert(info, after);
    let sql = insert.sql.replacen("insert", "replace", 1);
    Statement { sql: Sql::Made(sql.into()), rows: Rows::Any, ..insert }
}

/// Sets the columns `changed` of a row that is at version `old`.
pub(crate) fn update(
    info: &TableInfo,
    key: &[Value],
    changed: &[usize],
    after: &Image,
    old: HybridTime,
) -> Statement {
    let mut params: Vec<Value> = changed.iter().map(|&at| after.row[at].clone()).collect();
    params.push(after.version.into());
    params.push(Value::Int(digest(info, &after.row)));
    params.extend_from_slice(key);
    params.push(old.into());
    Statement {
        sql: Sql::Update(info.update_sql(changed).into()),
        params,
        rows: Rows::One,
        table: info.name,
    }
}

pub(crate) fn delete(info: &TableInfo, key: &[Value], old: HybridTime) -> Statement {
    let mut params = key.to_vec();
    params.push(old.into());
    Statement { sql: info.sql.delete.clone(), params, rows: Rows::One, table: info.name }
}

/// Takes a row away where there is one, at whatever version.
pub(crate) fn take_away(info: &TableInfo, key: &[Value]) -> Statement {
    let sql = format!("delete from {} where {}", info.name, info.sql.where_key);
    Statement {
        sql: Sql::Made(sql.into()),
        params: key.to_vec(),
        rows: Rows::Any,
        table: info.name,
    }
}

/// Keeps the version at which a row was deleted, so that an older insert or
/// update that arrives later can't bring it back.
pub(crate) fn tombstone(table: &'static str, key: &[Value], version: HybridTime) -> Statement {
    Statement {
        sql: "replace into mm_tombstones (tbl, k, v) values (?, ?, ?)".into(),
        params: vec![table.into(), Value::Bytes(key_bytes(key)), version.into()],
        rows: Rows::Any,
        table,
    }
}

/// A primary key as the bytes that `mm_tombstones.k` holds.
pub(crate) fn key_bytes(key: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ROW_BYTES);
    for value in key {
        canonical(value, &mut bytes);
    }
    bytes
}

/// The digest of a row, `_d`: 48 bits, so that the sum over a chunk of rows
/// fits 64.
///
/// XXH3 over each column that is not null, as its name and its value in a form
/// that does not depend on the engine. A column that is added later, being
/// null in old rows, does not change their digest.
pub(crate) fn digest(info: &TableInfo, row: &[Value]) -> i64 {
    let mut bytes = Vec::with_capacity(ROW_BYTES);
    for (column, value) in info.columns.iter().zip(row) {
        if *value != Value::Null {
            bytes.extend_from_slice(column.name.as_bytes());
            bytes.push(0);
            canonical(value, &mut bytes);
        }
    }
    i64::try_from(xxh3_64(&bytes) >> 16).expect("48 bits fit")
}

fn canonical(value: &Value, into: &mut Vec<u8>) {
    let (kind, bytes) = match value {
        Value::Null => return into.push(0),
        Value::Int(int) => {
            into.push(1);
            return into.extend_from_slice(&int.to_be_bytes());
        }
        Value::Text(text) => (2, text.as_bytes()),
        Value::Bytes(bytes) => (3, bytes.as_slice()),
    };
    into.push(kind);
    into.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    into.extend_from_slice(bytes);
}

/// A transaction's id: a UUIDv7 whose time and first 16 further bits are the
/// transaction's version, so that ids sort as versions do.
pub(crate) fn txid(version: HybridTime, random: u64) -> TxId {
    let version = version.as_i64().cast_unsigned();
    let (millis, counter) = (version >> 16, version & 0xffff);
    let high = (millis << 16) | 0x7000 | (counter >> 4);
    let low = (0b10 << 62) | ((counter & 0xf) << 58) | (random >> 6);
    txid_of(Uuid::from_u64_pair(high, low))
}

/// The version inside a transaction's id; `None` for an id that is not one.
pub(crate) fn version_of(txid: Uuid) -> Option<HybridTime> {
    let (high, low) = txid.as_u64_pair();
    if txid.get_version_num() != 7 {
        return None;
    }
    let counter = ((high & 0xfff) << 4) | ((low >> 58) & 0xf);
    HybridTime::from_i64(i64::try_from(((high >> 16) << 16) | counter).ok()?)
}

/// The operations of a marker that is being made, as the bytes that it will hold
/// in `mm_log.ops`: what masters that were away get, and what undoing needs.
///
/// Layout: postcard of a [`Stored`]. Values stand in the order of the table's
/// columns, and tell nothing of columns that were added later: migrations only
/// add columns, each after the others, and masters with other migrations don't
/// serve.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    ops: usize,
    bytes: Vec<u8>,
}

/// Of operations by their table's name: [`Journal`] writes the same bytes one
/// operation at a time.
#[derive(Deserialize)]
enum Stored {
    V1(Vec<(String, Change<Image>)>),
}

/// The number of [`Stored::V1`].
const V1: u32 = 0;

impl Journal {
    pub(crate) const fn is_empty(&self) -> bool {
        self.ops == 0
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds one operation.
    pub(crate) fn add(&mut self, info: &TableInfo, change: &Change<&Image>) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.reserve(ROW_BYTES);
        self.bytes =
            postcard::to_extend(&(info.name, change), bytes).expect("memory takes any bytes");
        self.ops += 1;
    }

    /// Adds what was journalled after this.
    pub(crate) fn append(&mut self, later: Self) {
        if self.is_empty() {
            *self = later;
            return;
        }
        self.ops += later.ops;
        self.bytes.extend_from_slice(&later.bytes);
    }

    /// The bytes of the marker.
    pub(crate) fn into_marker(self) -> Vec<u8> {
        let mut marker = Vec::with_capacity(self.bytes.len() + 8);
        marker = postcard::to_extend(&(V1, self.ops), marker).expect("memory takes any bytes");
        marker.extend_from_slice(&self.bytes);
        marker
    }
}

/// One operation of a marker, on a row of the table as it is now.
#[derive(Clone, Debug)]
pub(crate) struct RowOp<'a> {
    pub(crate) info: &'a TableInfo,
    pub(crate) key: Vec<Value>,
    pub(crate) change: Change<Image>,
}

/// The operations of a marker.
pub(crate) fn decode<'a>(bytes: &[u8], schema: &'a Schema) -> Result<Vec<RowOp<'a>>, String> {
    let (Stored::V1(ops), rest) = postcard::take_from_bytes(bytes)
        .map_err(|error| format!("a marker can't be read: {error}"))?;
    if !rest.is_empty() {
        return Err(format!("a marker has {} bytes too many", rest.len()));
    }
    ops.into_iter()
        .map(|(table, mut change)| {
            let info = schema.table(&table).map_err(|_| {
                format!("a marker is about the table `{table}`, which this program has not")
            })?;
            for row in change.rows_mut() {
                if row.len() > info.columns.len() {
                    return Err(format!(
                        "a marker has {} columns for `{table}`, and this program {}",
                        row.len(),
                        info.columns.len()
                    ));
                }
                row.resize(info.columns.len(), Value::Null);
            }
            let key = info.key_of(change.row());
            Ok(RowOp { info, key, change })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schema::{Column, Kind, Migration, Step, Table};

    const TABLE: Table = Table {
        name: "t",
        key: &["id"],
        columns: &[
            Column::new("id", Kind::Int),
            Column::nullable("a", Kind::Text { chars_max: 100 }),
            Column::nullable("b", Kind::Bytes { bytes_max: 100 }),
        ],
        indexes: &[],
    };

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            any::<String>().prop_map(Value::Text),
            any::<Vec<u8>>().prop_map(Value::Bytes),
        ]
    }

    fn versions() -> impl Strategy<Value = HybridTime> {
        (0..i64::MAX).prop_map(|v| HybridTime::from_i64(v).unwrap())
    }

    fn images() -> impl Strategy<Value = Image> {
        (prop::collection::vec(values(), 3), versions())
            .prop_map(|(row, version)| Image { row, version })
    }

    fn changes() -> impl Strategy<Value = Change<Image>> {
        prop_oneof![
            images().prop_map(|after| Change::Insert { after }),
            (images(), images()).prop_map(|(before, mut after)| {
                after.row[0] = before.row[0].clone();
                Change::Update { before, after }
            }),
            (images(), versions()).prop_map(|(before, version)| Change::Delete { before, version }),
        ]
    }

    fn borrowed(change: &Change<Image>) -> Change<&Image> {
        match change {
            Change::Insert { after } => Change::Insert { after },
            Change::Update { before, after } => Change::Update { before, after },
            Change::Delete { before, version } => Change::Delete { before, version: *version },
        }
    }

    /// The table with its first `columns` columns.
    fn schema(columns: usize) -> Schema {
        let table = Table { columns: &TABLE.columns[..columns], ..TABLE };
        let steps = Box::leak(Box::new([Step::CreateTable(table)]));
        Schema::of(&[Migration { name: "one", steps }]).unwrap()
    }

    proptest! {
        #[test]
        fn markers_come_back_as_they_were(changes in prop::collection::vec(changes(), 0..5)) {
            let schema = schema(3);
            let info = schema.table("t").unwrap();
            // As two writes that share a marker.
            let (mut journal, mut later) = (Journal::default(), Journal::default());
            let (first, second) = changes.split_at(changes.len() / 2);
            for change in first {
                journal.add(info, &borrowed(change));
            }
            for change in second {
                later.add(info, &borrowed(change));
            }
            journal.append(later);
            let back = decode(&journal.into_marker(), &schema).unwrap();
            prop_assert_eq!(back.len(), changes.len());
            for (change, back) in changes.iter().zip(&back) {
                prop_assert_eq!(back.info.name, "t");
                prop_assert_eq!(&back.change, change);
                let row = &change.before().or(change.after()).unwrap().row;
                prop_assert_eq!(&back.key[..], &row[..1]);
            }
        }

        #[test]
        fn broken_markers_are_refused_and_never_panic(bytes in any::<Vec<u8>>()) {
            let _ = decode(&bytes, &schema(3));
        }

        #[test]
        fn a_marker_from_before_a_column_was_added_has_nothing_in_it(
            mut change in changes(),
        ) {
            change.rows_mut().for_each(|row| row.truncate(2));
            let (old, new) = (schema(2), schema(3));
            let mut journal = Journal::default();
            journal.add(old.table("t").unwrap(), &borrowed(&change));
            let marker = journal.into_marker();
            change.rows_mut().for_each(|row| row.push(Value::Null));
            prop_assert_eq!(&decode(&marker, &new).unwrap()[0].change, &change);
        }

        #[test]
        fn a_marker_with_a_column_that_is_not_known_is_refused(change in changes()) {
            let mut journal = Journal::default();
            journal.add(schema(3).table("t").unwrap(), &borrowed(&change));
            let why = decode(&journal.into_marker(), &schema(2)).unwrap_err();
            prop_assert!(why.contains("3 columns for `t`, and this program 2"), "{}", why);
        }

        #[test]
        fn transaction_ids_sort_as_their_versions(
            a in versions(), b in versions(), x in any::<u64>(), y in any::<u64>(),
        ) {
            use stdx::ids::Id as _;
            let (ida, idb) = (txid(a, x).uuid(), txid(b, y).uuid());
            prop_assert_eq!(version_of(ida), Some(a));
            prop_assert_eq!(ida.get_version_num(), 7);
            if a != b {
                prop_assert_eq!(a < b, ida < idb);
            }
        }

        #[test]
        fn keys_that_differ_have_different_bytes(
            a in prop::collection::vec(values(), 1..3),
            b in prop::collection::vec(values(), 1..3),
        ) {
            prop_assert_eq!(a == b, key_bytes(&a) == key_bytes(&b));
        }
    }

    #[test]
    fn the_digest_is_written_down() {
        let info = TableInfo::of(&TABLE).unwrap();
        let row = [Value::Int(1), Value::from("책"), Value::Null];
        // Stored in every row: it must never change.
        assert_eq!(digest(&info, &row), 176_525_380_551_751);
        assert_ne!(digest(&info, &row), digest(&info, &[Value::Int(1), Value::Null, "책".into()]));
    }
}
