//! Rows of a table, page by page: reading them, and putting them elsewhere.

use std::sync::Arc;

use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Dialect, Rows, Sql, Statement};
use crate::schema::TableInfo;
use crate::value::{Row, Value};

/// The most rows of a page.
pub(crate) const PAGE_ROWS_MAX: usize = 2_000;
/// A page that held more bytes than this is followed by a smaller one.
const PAGE_BYTES: usize = 2 << 20;
/// What one statement inserts on MariaDB: written as hexadecimal it is twice as
/// much.
const BYTES_AT_ONCE: usize = 256 << 10;
/// Rows that one statement inserts.
const ROWS_AT_ONCE_MAX: usize = 500;

/// How many rows the next page should have, after one with these.
pub(crate) fn next_rows(page: &[Row]) -> usize {
    let bytes: usize = page.iter().flat_map(Row::values).map(Value::bytes).sum();
    let each = bytes / page.len().max(1) + 1;
    (PAGE_BYTES / each).clamp(1, PAGE_ROWS_MAX)
}

/// The next rows of a table by key: all columns, `_v`, `_d`.
pub(crate) async fn page(
    from: &mut Link,
    info: &TableInfo,
    after: Option<&[Value]>,
    rows: usize,
) -> Result<Vec<Row>, Fault> {
    let keys: Vec<&str> = info.key.iter().map(|&at| info.columns[at].name).collect();
    let (columns, name, order) = (&info.sql.columns, info.name, keys.join(", "));
    let (condition, params) = match after {
        None => (String::new(), Vec::new()),
        Some(after) => {
            let (condition, params) = later(&keys, after);
            (format!(" where {condition}"), params)
        }
    };
    let sql = format!("select {columns} from {name}{condition} order by {order} limit {rows}");
    from.query(&sql, &params).await
}

/// "The key is after this one", in a form for which both engines use the index.
/// (MariaDB reads all of it for `(a, b) > (?, ?)`: 152 ms against 16 ms in the
/// middle of 400,000 rows.)
pub(super) fn later(keys: &[&str], after: &[Value]) -> (String, Vec<Value>) {
    match (keys, after) {
        ([key], [value]) => (format!("{key} > ?"), vec![value.clone()]),
        ([key, keys @ ..], [value, values @ ..]) => {
            let (rest, params) = later(keys, values);
            let both = [vec![value.clone(), value.clone()], params].concat();
            (format!("{key} >= ? and ({key} > ? or ({rest}))"), both)
        }
        _ => unreachable!("a key has as many values as columns, and at least one"),
    }
}

/// What is done with a row that has the key or a unique value of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InTheWay {
    /// It is an error: [`Fault::Duplicate`].
    Refused,
    /// The other goes.
    Goes,
}

/// Puts whole rows, with all columns, `_v` and `_d` as they are, into a table,
/// in the transaction that is open.
pub(crate) async fn put(
    to: &mut Link,
    info: &TableInfo,
    rows: Vec<Row>,
    in_the_way: InTheWay,
) -> Result<(), Fault> {
    let rows = rows.into_iter().map(Row::into_values).collect();
    put_into(to, info.name, &info.sql.columns, rows, in_the_way).await
}

/// As [`put`], into any table, of which these are the columns.
pub(crate) async fn put_into(
    to: &mut Link,
    table: &'static str,
    columns: &str,
    rows: Vec<Vec<Value>>,
    in_the_way: InTheWay,
) -> Result<(), Fault> {
    let verb = match in_the_way {
        InTheWay::Refused => "insert",
        InTheWay::Goes => "replace",
    };
    let Some(first) = rows.first() else { return Ok(()) };
    let marks = format!("({})", vec!["?"; first.len()].join(", "));
    let head = format!("{verb} into {table} ({columns}) values ");
    let one: Arc<str> = format!("{head}{marks}").into();
    // SQLite is quickest with one prepared statement for one row, MariaDB with
    // many rows at once.
    let (rows_max, bytes_max) =
        if to.dialect() == Dialect::Sqlite { (1, 0) } else { (ROWS_AT_ONCE_MAX, BYTES_AT_ONCE) };
    let mut rows = rows.into_iter().peekable();
    while let Some(mut params) = rows.next() {
        let mut taken = 1;
        let mut bytes = bytes_of(&params);
        while let Some(row) =
            rows.next_if(|row| taken < rows_max && bytes + bytes_of(row) <= bytes_max)
        {
            bytes += bytes_of(&row);
            params.extend(row);
            taken += 1;
        }
        let sql = match taken {
            1 => Arc::clone(&one),
            _ => format!("{head}{}", vec![marks.as_str(); taken].join(", ")).into(),
        };
        let rows = match in_the_way {
            InTheWay::Refused => Rows::Exactly(taken as u64),
            InTheWay::Goes => Rows::Any,
        };
        to.push(&Statement { sql: Sql::Made(sql), params, rows, table }).await?;
    }
    to.flush().await
}

fn bytes_of(row: &[Value]) -> usize {
    row.iter().map(Value::bytes).sum()
}
