//! Backups and moves between files and servers.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lab::MariaDb;
use multi_master::archive::{self, ArchiveError, Snapshot};
use multi_master::{
    Config, DbError, MasterName, MultiMaster, OpenError, Outcome, Policy, Tx, fields, params,
};

use crate::archive::{restore, rows};
use crate::common::{MIGRATIONS, add, embedded, logins, pay};
use crate::mariadb::{Pair, whole};

/// As [`rows`], of a server.
fn rows_there(server: &MariaDb) -> Vec<String> {
    let sql = "select concat_ws(' ', id, login, balance, coalesce(note, '-'), _v, _d) \
               from accounts order by id; \
               select concat_ws(' ', tbl, hex(k), v) from mm_tombstones order by tbl, k; \
               select concat_ws(' ', hex(txid), reason, hex(ops), found_at) from mm_conflicts \
               order by txid";
    server.sql("books", sql).unwrap().lines().map(str::to_owned).collect()
}

async fn some(store: &MultiMaster, count: i64) {
    for from in (0..count).step_by(500) {
        let done: Outcome<(), DbError> = store
            .write(async move |tx: &mut Tx| {
                for id in from..(from + 500).min(count) {
                    let note = (id % 3 == 0).then(|| format!("책갈피 {id} ✓ it's 🎈"));
                    let login = format!("계정 {id}");
                    let row =
                        fields! {"id" => id, "login" => login, "balance" => 100i64, "note" => note};
                    tx.insert("accounts", row).await?;
                }
                Ok(())
            })
            .await;
        assert!(matches!(done, Outcome::Saved { .. }), "{done:?}");
    }
    for id in [1i64, 7] {
        let gone: Outcome<bool, DbError> =
            store.write(async move |tx: &mut Tx| tx.delete("accounts", params![id]).await).await;
        assert!(matches!(gone.into_result(), Ok(true)));
    }
}

fn empty(pair: &Pair) {
    for server in &pair.servers {
        server.sql("books", "drop database books; create database books").unwrap();
    }
    for name in ["witness.json", "witness.json.before-move"] {
        drop(std::fs::remove_file(pair.scratch.path().join(name)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_servers_under_load_makes_the_same_store_of_either_kind() {
    let Some(pair) = Pair::start("backup of servers") else { return };
    let config = pair.config(Policy::Available);
    let store = pair.open(Policy::Available).await;
    some(&store, 4_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4i64)
        .map(|writer| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut round = 0;
                while !stop.load(Ordering::Relaxed) {
                    round += 1;
                    // From one account to another, far away: the total stays.
                    let (from, to) = (10 + (writer + round * 7) % 3_900, 3_990 - round % 3_900);
                    if from == to {
                        continue;
                    }
                    let done: Outcome<(), DbError> = store
                        .write(async move |tx: &mut Tx| {
                            for (id, by) in [(from.min(to), 1), (from.max(to), -1)] {
                                let row =
                                    tx.get("accounts", params![id]).await?.expect("it is there");
                                let balance = row.get::<i64>("balance")? + by;
                                tx.update("accounts", params![id], fields! {"balance" => balance})
                                    .await?;
                            }
                            Ok(())
                        })
                        .await;
                    assert!(
                        matches!(done, Outcome::Saved { .. } | Outcome::NotSaved(DbError::Busy)),
                        "{done:?}"
                    );
                }
            })
        })
        .collect();
    let saved = store.counts().saved;
    while store.counts().saved < saved + 50 {
        tokio::task::yield_now().await;
    }
    let file = pair.scratch.path().join("backup");
    // Not of the primary: any that serves will do.
    let b = MasterName("b".to_owned());
    let snapshot = Snapshot::of_master(&config, &b, MIGRATIONS).await.unwrap();
    let saved = store.counts().saved;
    while store.counts().saved < saved + 50 {
        tokio::task::yield_now().await;
    }
    let archived = snapshot.back_up(&file, |_| {}).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    for writer in load {
        writer.await.unwrap();
    }
    store.close().await;
    drop(store);
    assert_eq!((archived.rows, archived.altered), (4_000 - 2 + 2, 0));
    let connection = rusqlite::Connection::open(&file).unwrap();
    let total: i64 =
        connection.query_row("select sum(balance) from accounts", [], |row| row.get(0)).unwrap();
    assert_eq!(total, 3_998 * 100, "half a transfer is in it");
    drop(connection);

    // On files.
    let folder = tempfile::tempdir().unwrap();
    let files = embedded(folder.path(), Policy::Available);
    restore(&file, &files, MIGRATIONS).await.unwrap();
    for master in ["a.db", "b.db"] {
        assert_eq!(rows(&folder.path().join(master)), rows(&file));
    }
    // On servers, which are not empty yet.
    std::fs::remove_file(pair.scratch.path().join("witness.json")).unwrap();
    let error = restore(&file, &config, MIGRATIONS).await.unwrap_err();
    assert!(matches!(error, ArchiveError::NotEmpty { .. }), "{error}");
    empty(&pair);
    restore(&file, &config, MIGRATIONS).await.unwrap();
    for server in &pair.servers {
        assert_eq!(rows_there(server), rows(&file));
    }
    let store = pair.open(Policy::Available).await;
    whole(&store).await;
    assert_eq!(logins(&store).await.len(), 3_998);
    assert!(matches!(pay(&store, 11, 1).await, Outcome::Saved { .. }));
    pair.assert_same();
}

/// Moves; the process ends after so many pages.
async fn cut_after(pages: usize, from: &Config, into: &Config) -> bool {
    let done = Cell::new(0);
    let moving = archive::move_store(from, into, MIGRATIONS, |_| done.set(done.get() + 1));
    let mut moving = std::pin::pin!(moving);
    std::future::poll_fn(|context| {
        let polled = moving.as_mut().poll(context);
        match polled {
            std::task::Poll::Ready(moved) => {
                moved.unwrap();
                std::task::Poll::Ready(true)
            }
            std::task::Poll::Pending if done.get() >= pages => std::task::Poll::Ready(false),
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    })
    .await
}

/// Its lock goes when its threads end.
async fn until_free(config: &Config) {
    loop {
        match MultiMaster::open(config.clone(), MIGRATIONS).await {
            Err(OpenError::InUse(_)) => tokio::task::yield_now().await,
            Ok(store) => return store.close().await,
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_grows_out_of_two_files_and_goes_back() {
    let Some(pair) = Pair::start("moving") else { return };
    let folder = tempfile::tempdir().unwrap();
    let files = embedded(folder.path(), Policy::Available);
    let mut servers = pair.config(Policy::Available);
    // One data directory: the witness is the same.
    servers.witness = files.witness.clone();
    let store = MultiMaster::open(files.clone(), MIGRATIONS).await.unwrap();
    some(&store, 9_000).await;
    store.close().await;
    drop(store);
    let before = rows(&folder.path().join("a.db"));

    for pages in [1, 3, 5, 8] {
        assert!(!cut_after(pages, &files, &servers).await, "{pages}: it was done already");
        let error = MultiMaster::open(
            Config { witness: pair.scratch.path().join("another.json").into(), ..servers.clone() },
            MIGRATIONS,
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("Do again what filled them"), "{error}");
        // The old store is as it was.
        until_free(&files).await;
    }
    archive::move_store(&files, &servers, MIGRATIONS, |_| {}).await.unwrap();
    for server in &pair.servers {
        assert_eq!(rows_there(server), before);
    }
    let store = MultiMaster::open(servers.clone(), MIGRATIONS).await.unwrap();
    whole(&store).await;
    assert!(store.copies().is_empty());
    let _ = add(&store, 20_000, "new").await;
    pair.assert_same();
    store.close().await;
    drop(store);

    // And back, into another directory.
    let back = tempfile::tempdir().unwrap();
    let files = embedded(back.path(), Policy::All);
    archive::move_store(&servers, &files, MIGRATIONS, |_| {}).await.unwrap();
    for master in ["a.db", "b.db"] {
        assert_eq!(rows(&back.path().join(master)), rows_there(&pair.servers[0]));
    }
    assert!(folder.path().join("witness.json").exists(), "the servers are as they were");
    let store = MultiMaster::open(files, MIGRATIONS).await.unwrap();
    assert!(matches!(pay(&store, 20_000, 1).await, Outcome::Saved { .. }));
}
