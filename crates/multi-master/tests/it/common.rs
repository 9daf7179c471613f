//! A small program's tables, and ways to look at masters from outside.

use std::path::Path;

use multi_master::{
    Column, Config, Db, DbError, Index, Kind, Migration, MultiMaster, Outcome, Policy, Step, Table,
    Tx, fields, params,
};

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "accounts",
    steps: &[Step::CreateTable(Table {
        name: "accounts",
        key: &["id"],
        columns: &[
            Column::new("id", Kind::Int),
            Column::new("login", Kind::Text { chars_max: 40 }),
            Column::new("balance", Kind::Int),
            Column::nullable("note", Kind::Text { chars_max: 5_000 }),
        ],
        indexes: &[Index { name: "accounts_login", columns: &["login"], unique: true }],
    })],
}];

pub(crate) fn embedded(folder: &Path, policy: Policy) -> Config {
    let mut config = Config::embedded(folder, policy);
    config.limits.probe = std::time::Duration::from_millis(20);
    config
}

pub(crate) async fn open(folder: &Path, policy: Policy) -> MultiMaster {
    MultiMaster::open(embedded(folder, policy), MIGRATIONS).await.unwrap()
}

pub(crate) async fn add(store: &MultiMaster, id: i64, login: &str) -> Outcome<(), DbError> {
    let login = login.to_owned();
    store
        .write(async move |tx: &mut Tx| {
            tx.insert("accounts", fields! {"id" => id, "login" => &login, "balance" => 100i64})
                .await
        })
        .await
}

pub(crate) async fn pay(store: &MultiMaster, id: i64, amount: i64) -> Outcome<i64, DbError> {
    store
        .write(async move |tx: &mut Tx| {
            let row = tx.get("accounts", params![id]).await?;
            let Some(row) = row else {
                return Err(DbError::Missing { table: "accounts".to_owned(), key: id.to_string() });
            };
            let balance = row.get::<i64>("balance")? + amount;
            tx.update("accounts", params![id], fields! {"balance" => balance}).await?;
            Ok(balance)
        })
        .await
}

pub(crate) async fn logins(store: &MultiMaster) -> Vec<String> {
    store
        .read(async move |db: &mut Db| {
            let rows = db.query("select login from accounts order by id", params![]).await?;
            rows.iter().map(|row| row.get("login")).collect::<Result<Vec<String>, DbError>>()
        })
        .await
        .unwrap()
}

/// Everything in a SQLite master that must be the same on all: rows with their
/// versions and digests, and tombstones.
pub(crate) fn contents(file: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut all = Vec::new();
    for sql in [
        "select 'row ' || id || ' ' || login || ' ' || balance || ' ' || coalesce(note, '-') || \
         ' ' || _v || ' ' || _d from accounts order by id",
        "select 'tomb ' || tbl || ' ' || hex(k) || ' ' || v from mm_tombstones order by tbl, k",
        "select 'log ' || hex(txid) || ' ' || aborted from mm_log where aborted = 0 order by txid",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.extend(rows.map(Result::unwrap));
    }
    all
}
