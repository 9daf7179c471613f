//! Rows from one place into others, exactly, and what they sum up to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{ArchiveProgress, Tell};
use crate::copy::{self, InTheWay, PAGE_ROWS_MAX, TOMBSTONE};
use crate::fault::Fault;
use crate::link::Link;
use crate::schema::{Schema, TableInfo};
use crate::tables::read;
use crate::value::{Row, Value};
use crate::write_set;

const TOMBSTONES: &str = "mm_tombstones";
const CONFLICTS: &str = "mm_conflicts";
/// The columns of `mm_conflicts`.
const CONFLICT: &str = "txid, reason, ops, found_at";
/// Conflicts read at a time: each may be as large as a transaction.
const CONFLICTS_AT_ONCE: usize = 20;
/// Before it is known how large the rows are.
const FIRST_PAGE: usize = 200;

/// What the rows of a table sum up to, in whatever order they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    pub(super) rows: u64,
    /// XXH3 of each row: all values, its version and its digest.
    digest: u64,
}

/// By table.
pub(super) type Sums = BTreeMap<String, Sum>;

/// Which one failed: the source, or the target of this number.
#[derive(Debug)]
pub(super) enum Failed {
    Source(Fault),
    Target(usize, Fault),
}

/// Where reading is.
enum Cursor<'a> {
    Tombstones(Option<(String, Vec<u8>)>),
    Conflicts(Option<Value>),
    Table(&'a TableInfo, Option<Vec<Value>>, usize),
}

impl<'a> Cursor<'a> {
    fn all(schema: &'a Schema) -> impl Iterator<Item = Self> {
        let tables = schema.infos().map(|info| Self::Table(info, None, FIRST_PAGE));
        [Self::Tombstones(None), Self::Conflicts(None)].into_iter().chain(tables)
    }

    const fn table(&self) -> &'static str {
        match self {
            Self::Tombstones(_) => TOMBSTONES,
            Self::Conflicts(_) => CONFLICTS,
            Self::Table(info, ..) => info.name,
        }
    }

    fn columns(&self) -> &str {
        match self {
            Self::Tombstones(_) => TOMBSTONE,
            Self::Conflicts(_) => CONFLICT,
            Self::Table(info, ..) => &info.sql.columns,
        }
    }

    /// The next rows; none at the end.
    async fn next(&mut self, from: &mut Link) -> Result<Vec<Row>, Fault> {
        match self {
            Self::Tombstones(after) => {
                let rows = copy::tombstones(from, after.as_ref(), PAGE_ROWS_MAX).await?;
                if let Some(last) = rows.last() {
                    *after = Some(copy::tombstone_key(last)?);
                }
                Ok(rows)
            }
            Self::Conflicts(after) => {
                let params: Vec<Value> = after.clone().into_iter().collect();
                let condition = if params.is_empty() { "" } else { "where txid > ? " };
                let sql = format!(
                    "select {CONFLICT} from {CONFLICTS} {condition}order by txid \
                     limit {CONFLICTS_AT_ONCE}"
                );
                let rows = from.query(&sql, &params).await?;
                if let Some(last) = rows.last() {
                    *after = Some(read(last, "txid")?);
                }
                Ok(rows)
            }
            Self::Table(info, after, count) => {
                let rows = copy::page(from, info, after.as_deref(), *count).await?;
                if let Some(last) = rows.last() {
                    *after = Some(info.key_of(last.values()));
                    *count = copy::next_rows(&rows);
                }
                Ok(rows)
            }
        }
    }

    /// How many of these rows are not what their digest says.
    fn altered(&self, rows: &[Row]) -> u64 {
        let Self::Table(info, ..) = self else { return 0 };
        let sound = |row: &Row| {
            let values = row.values();
            let (row, ours) = values.split_at(info.columns.len());
            ours.last() == Some(&Value::Int(write_set::digest(info, row)))
        };
        rows.iter().filter(|row| !sound(row)).count() as u64
    }
}

impl Sum {
    fn add(&mut self, rows: &[Row]) {
        for row in rows {
            self.rows += 1;
            let digest = xxh3_64(&write_set::key_bytes(row.values()));
            self.digest = self.digest.wrapping_add(digest);
        }
    }
}

/// Puts everything of `from` into `to`, each page in one transaction. Returns
/// what it sums up to, and how many rows were altered by hand.
pub(super) async fn pour(
    from: &mut Link,
    to: &mut [Link],
    schema: &Schema,
    rows_expected: u64,
    tell: Tell<'_>,
) -> Result<(Sums, u64), Failed> {
    let (mut sums, mut altered, mut rows_done) = (Sums::new(), 0, 0);
    for mut cursor in Cursor::all(schema) {
        let (table, columns) = (cursor.table(), cursor.columns().to_owned());
        let mut sum = Sum::default();
        loop {
            let rows = cursor.next(from).await.map_err(Failed::Source)?;
            if rows.is_empty() {
                break;
            }
            sum.add(&rows);
            altered += cursor.altered(&rows);
            rows_done += rows.len() as u64;
            let rows: Vec<Vec<Value>> = rows.into_iter().map(Row::into_values).collect();
            for (at, link) in to.iter_mut().enumerate() {
                let put = async {
                    link.begin().await?;
                    let rows = rows.clone();
                    copy::put_into(link, table, &columns, rows, InTheWay::Refused).await?;
                    link.commit().await
                };
                put.await.map_err(|fault| Failed::Target(at, fault))?;
            }
            tell(ArchiveProgress { checking: false, table, rows: rows_done, rows_expected });
            // Whoever waits for this may give it up.
            tokio::task::yield_now().await;
        }
        sums.insert(table.to_owned(), sum);
    }
    Ok((sums, altered))
}

/// What everything of `from` sums up to, and how many rows were altered by hand.
pub(super) async fn sum_up(
    from: &mut Link,
    schema: &Schema,
    rows_expected: u64,
    tell: Tell<'_>,
) -> Result<(Sums, u64), Fault> {
    let (mut sums, mut altered, mut rows_done) = (Sums::new(), 0, 0);
    for mut cursor in Cursor::all(schema) {
        let table = cursor.table();
        let mut sum = Sum::default();
        loop {
            let rows = cursor.next(from).await?;
            if rows.is_empty() {
                break;
            }
            sum.add(&rows);
            altered += cursor.altered(&rows);
            rows_done += rows.len() as u64;
            tell(ArchiveProgress { checking: true, table, rows: rows_done, rows_expected });
            tokio::task::yield_now().await;
        }
        sums.insert(table.to_owned(), sum);
    }
    Ok((sums, altered))
}

/// The first table that is not the same in both.
pub(super) fn difference(one: &Sums, other: &Sums) -> Option<String> {
    let tables: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    tables.into_iter().find(|table| one.get(*table) != other.get(*table)).cloned()
}

/// Rows of all tables.
pub(super) fn rows(sums: &Sums) -> u64 {
    sums.values().map(|sum| sum.rows).sum()
}

/// The newest marker goes along: versions are resumed from it.
pub(super) async fn newest_marker(from: &mut Link) -> Result<Option<Vec<Value>>, Fault> {
    let sql = "select txid, epoch, aborted, ops from mm_log order by txid desc limit 1";
    Ok(from.query(sql, &[]).await?.into_iter().next().map(Row::into_values))
}
