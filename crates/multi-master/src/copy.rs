//! Filling a master from another.

use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Dialect, Rows, Statement};
use crate::sabotage::{Point, reached};
use crate::schema::{Schema, TableInfo};
use crate::settle::At;
use crate::tables::read;
use crate::value::{Row, Value};
use crate::write_set::{self, Image};

/// Rows copied at a time.
const COPY_PAGE: usize = 500;

/// Fills a master: takes away what it has, then copies tombstones and every
/// table, by key, page by page. Writes may go on meanwhile: what they change is
/// settled afterwards. After a crash it is begun anew.
pub(crate) async fn copy(from: &mut Link, to: &mut Link, schema: &Schema) -> Result<u64, At> {
    wipe(to, schema).await.map_err(At::To)?;
    copy_tombstones(from, to).await?;
    let mut copied = 0;
    for info in schema.infos() {
        let mut after: Option<Vec<Value>> = None;
        loop {
            let rows = page(from, info, after.as_deref(), COPY_PAGE).await.map_err(At::From)?;
            let rows: Vec<Image> = rows
                .into_iter()
                .map(|row| Image::of(info, row).map_err(|error| At::From(Fault::Refused(error))))
                .collect::<Result<_, _>>()?;
            let Some(last) = rows.last() else { break };
            after = Some(info.key_of(&last.row));
            to.begin().await.map_err(At::To)?;
            for image in rows {
                to.push(&write_set::insert(info, image)).await.map_err(At::To)?;
                copied += 1;
            }
            reached(Point::CopyingPage);
            to.commit().await.map_err(At::To)?;
            // Between two pages whoever waits for this may give it up.
            tokio::task::yield_now().await;
        }
        tracing::info!(table = info.name, rows = copied, "copied so far");
    }
    Ok(copied)
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
fn later(keys: &[&str], after: &[Value]) -> (String, Vec<Value>) {
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

/// Takes everything away that a copy brings.
async fn wipe(to: &mut Link, schema: &Schema) -> Result<(), Fault> {
    let verb = match to.dialect() {
        Dialect::Sqlite => "delete from",
        Dialect::MariaDb | Dialect::MySql => "truncate table",
    };
    for info in schema.infos() {
        to.batch(&format!("{verb} {}", info.name)).await?;
    }
    to.batch(&format!("{verb} mm_tombstones")).await?;
    to.batch(&format!("{verb} mm_log")).await
}

async fn copy_tombstones(from: &mut Link, to: &mut Link) -> Result<(), At> {
    let (mut table, mut key) = (String::new(), Vec::new());
    loop {
        let (condition, params) =
            later(&["tbl", "k"], &[table.as_str().into(), Value::Bytes(key.clone())]);
        let sql = format!(
            "select tbl, k, v from mm_tombstones where {condition} order by tbl, k \
             limit {COPY_PAGE}"
        );
        let rows = from.query(&sql, &params).await.map_err(At::From)?;
        let Some(last) = rows.last() else { return Ok(()) };
        table = read(last, "tbl").map_err(At::From)?;
        key = read(last, "k").map_err(At::From)?;
        to.begin().await.map_err(At::To)?;
        for row in rows {
            to.push(&Statement {
                sql: "replace into mm_tombstones (tbl, k, v) values (?, ?, ?)".into(),
                params: row.into_values(),
                rows: Rows::Any,
                table: "mm_tombstones",
            })
            .await
            .map_err(At::To)?;
        }
        to.commit().await.map_err(At::To)?;
    }
}
