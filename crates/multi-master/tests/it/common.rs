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

/// Writes that are submitted at once, so that many share a commit: some refuse
/// after they changed something, some are refused, some panic, and all others are
/// saved. The one row that most of them change counts every one.
pub(crate) async fn errors_touch_no_other_write(store: &MultiMaster) {
    let _ = add(store, 0, "taken").await;
    let writes = (1..200i64).map(|id| async move {
        let outcome: Outcome<(), DbError> = store
            .write(async move |tx: &mut Tx| {
                let login = format!("account {id}");
                let fields = fields! {"id" => id, "login" => login, "balance" => 0i64};
                tx.insert("accounts", fields).await?;
                match id % 6 {
                    // The closure says no after it changed something.
                    1 => Err(DbError::Busy),
                    // So does an index.
                    2 => {
                        let fields = fields! {"id" => -id, "login" => "taken", "balance" => 0i64};
                        tx.insert("accounts", fields).await
                    }
                    3 => panic!("a mistake in a closure"),
                    4 => {
                        let row = tx.get("accounts", params![0i64]).await?.expect("it is there");
                        let balance = row.get::<i64>("balance")? + 1;
                        let fields = fields! {"balance" => balance};
                        tx.update("accounts", params![0i64], fields).await.map(drop)
                    }
                    // What was read in the same group counts.
                    5 => match tx.get("accounts", params![id - 1]).await? {
                        Some(_) if id % 12 == 5 => Err(DbError::Overloaded),
                        _ => Ok(()),
                    },
                    _ => Ok(()),
                }
            })
            .await;
        (id, outcome)
    });
    let mut right = vec!["taken".to_owned()];
    for (id, outcome) in futures_util::future::join_all(writes).await {
        match (id % 6, &outcome) {
            (1, Outcome::NotSaved(DbError::Busy))
            | (2, Outcome::NotSaved(DbError::Duplicate { .. }))
            | (3, Outcome::NotSaved(DbError::Misuse(_))) => {}
            (5, Outcome::NotSaved(DbError::Overloaded)) if id % 12 == 5 => {}
            (0 | 4 | 5, Outcome::Saved { .. }) => right.push(format!("account {id}")),
            _ => panic!("{id}: {outcome:?}"),
        }
        if let (2, Outcome::NotSaved(DbError::Duplicate { table, index })) = (id % 6, &outcome) {
            assert_eq!((table.as_str(), index.as_str()), ("accounts", "accounts_login"));
        }
    }
    assert_eq!(logins(store).await, right);
    let counted = pay(store, 0, 0).await.into_result().unwrap();
    assert_eq!(counted, 100 + 33);
}

/// Writes to a few rows at once: each sees what those before it left, and nothing
/// of those that were refused.
pub(crate) async fn writes_at_once_see_each_other(store: &MultiMaster) {
    for id in 0..4 {
        let _ = add(store, id, &format!("row {id}")).await;
    }
    let more = async |tx: &mut Tx, row: i64, more: i64| {
        let seen = tx.get("accounts", params![row]).await?.expect("it is there");
        let balance = seen.get::<i64>("balance")? + more;
        let after = tx.update("accounts", params![row], fields! {"balance" => balance}).await?;
        assert_eq!(after.get::<i64>("balance")?, balance);
        Ok::<_, DbError>(balance)
    };
    let writes = (0..240i64).map(|id| async move {
        let row = id % 4;
        let outcome: Outcome<(), DbError> = store
            .write(async move |tx: &mut Tx| {
                match id % 6 {
                    0 => more(tx, row, 1).await.map(drop),
                    1 => {
                        more(tx, row, 1_000).await?;
                        Err(DbError::Overloaded)
                    }
                    2 => {
                        let balance = more(tx, row, 1).await?;
                        tx.delete("accounts", params![row]).await?;
                        assert!(tx.get("accounts", params![row]).await?.is_none());
                        let login = format!("row {row}");
                        let again = fields! {"id" => row, "login" => login, "balance" => balance};
                        tx.insert("accounts", again).await
                    }
                    3 => {
                        more(tx, row, 1).await?;
                        more(tx, (row + 1) % 4, 1).await.map(drop)
                    }
                    4 => {
                        tx.delete("accounts", params![row]).await?;
                        Err(DbError::Overloaded)
                    }
                    // Who is not there is there afterwards.
                    _ => {
                        assert!(tx.get("accounts", params![id + 1_000]).await?.is_none());
                        let login = format!("new {id}");
                        let new = fields! {"id" => id + 1_000, "login" => login, "balance" => 1i64};
                        tx.insert("accounts", new).await?;
                        more(tx, id + 1_000, 1).await.map(drop)
                    }
                }
            })
            .await;
        let refused = matches!(outcome, Outcome::NotSaved(DbError::Overloaded));
        let saved = matches!(outcome, Outcome::Saved { .. });
        assert!(if [1, 4].contains(&(id % 6)) { refused } else { saved }, "{id}: {outcome:?}");
    });
    futures_util::future::join_all(writes).await;
    let balances: Result<Vec<(i64, i64)>, DbError> = store
        .read(async |db: &mut Db| {
            let rows = db.query("select id, balance from accounts order by id", params![]).await?;
            rows.iter().map(|row| Ok((row.get("id")?, row.get("balance")?))).collect()
        })
        .await;
    let mut right: Vec<(i64, i64)> = (0..4).map(|id| (id, 100)).collect();
    for id in 0..240 {
        let rows: &[i64] = match id % 6 {
            0 | 2 => &[0],
            3 => &[0, 1],
            _ => &[],
        };
        for more in rows {
            right[usize::try_from((id + more) % 4).unwrap()].1 += 1;
        }
    }
    right.extend((0..240).filter(|id| id % 6 == 5).map(|id| (id + 1_000, 2)));
    assert_eq!(balances.unwrap(), right);
}

/// Nobody waits for a closure that waits for something else than its statements.
pub(crate) async fn waiting_for_something_else_is_refused(store: &MultiMaster) {
    let waits = async {
        let outcome: Outcome<(), DbError> = store
            .write(async move |tx: &mut Tx| {
                tx.insert("accounts", fields! {"id" => 1i64, "login" => "x", "balance" => 0i64})
                    .await?;
                std::future::pending::<()>().await;
                Ok(())
            })
            .await;
        outcome
    };
    let (waits, other) = futures_util::future::join(waits, add(store, 2, "y")).await;
    assert!(matches!(waits, Outcome::NotSaved(DbError::Misuse(_))), "{waits:?}");
    assert!(matches!(other, Outcome::Saved { .. }), "{other:?}");
    assert_eq!(logins(store).await, ["y"]);
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
