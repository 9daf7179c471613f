//! What the masters hold, row by row, read by clients of the databases
//! themselves.

use std::collections::BTreeMap;
use std::path::Path;

use lab::MariaDb;
use mysql_async::prelude::Queryable as _;
use rusqlite::OpenFlags;

/// The rows of each table, in an order of their own, versions and digests
/// included.
pub(crate) type Tables = BTreeMap<String, Vec<String>>;

/// What is about one master alone: who it is, and which transactions it still
/// has markers of. Markers are taken away on each by itself.
fn is_about_one_master(table: &str) -> bool {
    table.starts_with("mm_") || table.starts_with("sqlite_")
}

/// # Panics
/// When a table has another row on one of them.
pub(crate) fn assert_same(one: &Tables, other: &Tables) {
    assert!(one.keys().eq(other.keys()), "{:?} and {:?}", one.keys(), other.keys());
    for (table, rows) in one {
        assert_eq!(rows.len(), other[table].len(), "the number of rows of {table}");
        for (row, its_twin) in rows.iter().zip(&other[table]) {
            assert_eq!(row, its_twin, "{table}");
        }
    }
}

pub(crate) fn of_sqlite(file: &Path) -> Tables {
    let database =
        rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut names =
        database.prepare("select name from sqlite_master where type = 'table'").unwrap();
    let names: Vec<String> =
        names.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let rows_of = |table: &String| {
        let mut select = database.prepare(&format!("select * from \"{table}\"")).unwrap();
        let columns = select.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            let values = (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at));
            Ok(format!("{:?}", values.collect::<Result<Vec<_>, _>>()?))
        };
        let mut rows: Vec<String> =
            select.query_map((), text).unwrap().map(Result::unwrap).collect();
        rows.sort_unstable();
        rows
    };
    let ours = names.into_iter().filter(|name| !is_about_one_master(name));
    ours.map(|name| (name.clone(), rows_of(&name))).collect()
}

pub(crate) async fn of_mariadb(server: &MariaDb) -> Tables {
    let options = mysql_async::Opts::from_url(&server.url("endpaper")).unwrap();
    let mut client = mysql_async::Conn::new(options).await.unwrap();
    let names: Vec<String> = client.query("show tables").await.unwrap();
    let mut tables = Tables::new();
    for name in names.into_iter().filter(|name| !is_about_one_master(name)) {
        let rows: Vec<mysql_async::Row> =
            client.query(format!("select * from `{name}`")).await.unwrap();
        let text = |row: mysql_async::Row| {
            let values = row.unwrap().into_iter().map(|value| value.as_sql(true));
            values.collect::<Vec<_>>().join(", ")
        };
        let mut rows: Vec<String> = rows.into_iter().map(text).collect();
        rows.sort_unstable();
        tables.insert(name, rows);
    }
    client.disconnect().await.unwrap();
    tables
}
