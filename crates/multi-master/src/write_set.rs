//! What one transaction changes: its row operations, with the rows before and
//! after, as statements and as the bytes of a marker.

use serde::{Deserialize, Serialize};
use stdx::HybridTime;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{TxId, txid_of};
use crate::render::{Rows, Sql, Statement};
use crate::schema::TableInfo;
use crate::value::Value;

/// A row at one version: its values in the order of the table's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) row: Vec<Value>,
    pub(crate) version: HybridTime,
}

/// What an operation does to its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Insert { after: Image },
    Update { before: Image, after: Image },
    Delete { before: Image, version: HybridTime },
}

/// One operation on one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowOp {
    pub(crate) table: &'static str,
    pub(crate) key: Vec<Value>,
    pub(crate) change: Change,
}

impl RowOp {
    /// Appends the statements that apply this to a master that holds the row as
    /// it was before.
    pub(crate) fn statements(&self, info: &TableInfo, into: &mut Vec<Statement>) {
        match &self.change {
            Change::Insert { after } => into.push(insert(info, after)),
            Change::Update { before, after } => {
                let changed: Vec<usize> =
                    (0..after.row.len()).filter(|&at| before.row[at] != after.row[at]).collect();
                into.push(update(info, &self.key, &changed, after, before.version));
            }
            Change::Delete { before, version } => {
                into.push(delete(info, &self.key, before.version));
                into.push(tombstone(info.name, &self.key, *version));
            }
        }
    }
}

pub(crate) fn insert(info: &TableInfo, after: &Image) -> Statement {
    let mut params = Vec::with_capacity(after.row.len() + 2);
    params.extend_from_slice(&after.row);
    params.push(after.version.into());
    params.push(Value::Int(digest(info, &after.row)));
    Statement { sql: info.sql.insert.clone(), params, rows: Rows::One, table: info.name }
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
        sql: Sql::Made(info.update_sql(changed).into()),
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
    let mut bytes = Vec::with_capacity(24);
    for value in key {
        canonical(value, |part| bytes.extend_from_slice(part));
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
    let mut hash = Xxh3::new();
    for (column, value) in info.columns.iter().zip(row) {
        if *value != Value::Null {
            hash.update(column.name.as_bytes());
            hash.update(&[0]);
            canonical(value, |part| hash.update(part));
        }
    }
    i64::try_from(hash.digest() >> 16).expect("48 bits fit")
}

fn canonical(value: &Value, mut put: impl FnMut(&[u8])) {
    match value {
        Value::Null => put(&[0]),
        Value::Int(int) => {
            put(&[1]);
            put(&int.to_be_bytes());
        }
        Value::Text(text) => {
            put(&[2]);
            put(&(text.len() as u64).to_be_bytes());
            put(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            put(&[3]);
            put(&(bytes.len() as u64).to_be_bytes());
            put(bytes);
        }
    }
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

/// A marker's `ops`: what the transaction changed, for masters that were away
/// and for undoing.
///
/// Layout: postcard of [`Stored`], columns by name and without nulls, so that
/// a marker written before a column was added can still be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredOp {
    pub(crate) table: String,
    pub(crate) key: Vec<Value>,
    pub(crate) before: Option<StoredImage>,
    pub(crate) after: Option<StoredImage>,
    /// The version that this operation gives its row, or its tombstone.
    pub(crate) version: HybridTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredImage {
    pub(crate) fields: Vec<(String, Value)>,
    pub(crate) version: HybridTime,
}

#[derive(Deserialize)]
enum Stored {
    V1(Vec<StoredOp>),
}

#[derive(Serialize)]
struct OpRef<'a> {
    table: &'a str,
    key: &'a [Value],
    before: Option<ImageRef<'a>>,
    after: Option<ImageRef<'a>>,
    version: HybridTime,
}

#[derive(Serialize)]
struct ImageRef<'a> {
    fields: Vec<(&'a str, &'a Value)>,
    version: HybridTime,
}

/// The operations of a marker that is being made, as the bytes that it will hold.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    ops: usize,
    bytes: Vec<u8>,
}

impl Journal {
    pub(crate) fn is_empty(&self) -> bool {
        self.ops == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds one operation.
    pub(crate) fn add(&mut self, op: &RowOp, info: &TableInfo) {
        let (before, after, version) = match &op.change {
            Change::Insert { after } => (None, Some(image_ref(after, info)), after.version),
            Change::Update { before, after } => {
                (Some(image_ref(before, info)), Some(image_ref(after, info)), after.version)
            }
            Change::Delete { before, version } => (Some(image_ref(before, info)), None, *version),
        };
        let op = OpRef { table: op.table, key: &op.key, before, after, version };
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(&op, bytes).expect("memory takes any bytes");
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

    /// The bytes of the marker: [`Stored::V1`] with these operations.
    pub(crate) fn into_marker(self) -> Vec<u8> {
        const V1: u32 = 0;
        let mut marker =
            postcard::to_extend(&(V1, self.ops), Vec::new()).expect("memory takes any bytes");
        marker.extend_from_slice(&self.bytes);
        marker
    }
}

fn image_ref<'a>(image: &'a Image, info: &'a TableInfo) -> ImageRef<'a> {
    let fields = info
        .columns
        .iter()
        .zip(&image.row)
        .filter(|(_, value)| **value != Value::Null)
        .map(|(column, value)| (column.name, value))
        .collect();
    ImageRef { fields, version: image.version }
}

/// The operations of a marker.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<StoredOp>, String> {
    let (Stored::V1(ops), rest) = postcard::take_from_bytes(bytes)
        .map_err(|error| format!("a marker can't be read: {error}"))?;
    if !rest.is_empty() {
        return Err(format!("a marker has {} bytes too many", rest.len()));
    }
    Ok(ops)
}

impl StoredImage {
    /// As a row of the table as it is now.
    pub(crate) fn image(&self, info: &TableInfo) -> Result<Image, String> {
        let mut row = vec![Value::Null; info.columns.len()];
        for (name, value) in &self.fields {
            let at = info.column_at(name).ok_or_else(|| {
                format!("a marker names `{}.{name}`, which is unknown", info.name)
            })?;
            row[at] = value.clone();
        }
        Ok(Image { row, version: self.version })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schema::{Column, Kind, Table};

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

    fn ops() -> impl Strategy<Value = RowOp> {
        let changes = prop_oneof![
            images().prop_map(|after| Change::Insert { after }),
            (images(), images()).prop_map(|(before, after)| Change::Update { before, after }),
            (images(), versions()).prop_map(|(before, version)| Change::Delete { before, version }),
        ];
        (prop::collection::vec(values(), 1..3), changes).prop_map(|(key, change)| RowOp {
            table: "t",
            key,
            change,
        })
    }

    proptest! {
        #[test]
        fn markers_come_back_as_they_were(ops in prop::collection::vec(ops(), 0..5)) {
            let info = TableInfo::of(&TABLE).unwrap();
            // As two writes that share a marker.
            let (mut journal, mut later) = (Journal::default(), Journal::default());
            let (first, second) = ops.split_at(ops.len() / 2);
            for op in first {
                journal.add(op, &info);
            }
            for op in second {
                later.add(op, &info);
            }
            journal.append(later);
            let back = decode(&journal.into_marker()).unwrap();
            prop_assert_eq!(back.len(), ops.len());
            for (op, stored) in ops.iter().zip(&back) {
                prop_assert_eq!(&op.key, &stored.key);
                let (before, after, version) = match &op.change {
                    Change::Insert { after } => (None, Some(after), after.version),
                    Change::Update { before, after } => (Some(before), Some(after), after.version),
                    Change::Delete { before, version } => (Some(before), None, *version),
                };
                let image = |stored: &Option<StoredImage>| {
                    stored.as_ref().map(|image| image.image(&info).unwrap())
                };
                prop_assert_eq!(before.cloned(), image(&stored.before));
                prop_assert_eq!(after.cloned(), image(&stored.after));
                prop_assert_eq!(version, stored.version);
            }
        }

        #[test]
        fn broken_markers_are_refused_and_never_panic(bytes in any::<Vec<u8>>()) {
            let _ = decode(&bytes);
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
            a in prop::collection::vec(values(), 1..3), b in prop::collection::vec(values(), 1..3),
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
