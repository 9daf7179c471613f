//! One master whose server keeps copies by itself: MariaDB's own replication in
//! a ring, or a Galera cluster, underneath a store with one URL.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::replication::{self, Server, wait_until_followed};
use lab::{Galera, MariaDb, Scratch};
use multi_master::{
    Config, DbError, MasterConfig, MasterName, MasterState, MultiMaster, Outcome, Policy, Tx,
    fields, params,
};

use crate::common::{MIGRATIONS, add, logins, pay};

fn config(server: &MariaDb, folder: &Path) -> Config {
    let url = server.url("books");
    let masters = vec![MasterConfig { name: MasterName("a".to_owned()), url }];
    let mut config = Config::new(masters, Policy::All, folder.join("witness.json"));
    config.limits.probe = Duration::from_millis(20);
    // A write of a test waits for what is done at another node, on a machine that has
    // other things to do.
    config.limits.statement = Duration::from_secs(20);
    config.limits.commit = Duration::from_secs(20);
    config
}

async fn open(config: Config) -> MultiMaster {
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    live(&store).await;
    store
}

async fn live(store: &MultiMaster) {
    let live = tokio::time::timeout(Duration::from_mins(1), store.wait_until_whole()).await;
    assert!(live.is_ok(), "not live: {:?}", store.status());
}

/// Everything that our tables hold, in an order of its own.
fn contents(server: &MariaDb, first: &str) -> String {
    let sql = "select id, login, balance, note, _v, _d from accounts order by id; \
               select tbl, hex(k), v from mm_tombstones order by tbl, k; \
               select hex(txid), epoch, aborted, hex(ops) from mm_log order by txid; \
               select k, val from mm_meta order by k; select * from mm_epoch; \
               select name, step, digest from mm_migrations order by name, step";
    server.sql("books", &format!("{first}{sql}")).unwrap()
}

/// An insert, an update and a delete.
async fn some_writes(store: &MultiMaster, id: i64) {
    assert!(matches!(add(store, id, &format!("해리 {id}")).await, Outcome::Saved { .. }));
    assert!(matches!(pay(store, id, 5).await, Outcome::Saved { value: 105, .. }));
    assert!(matches!(add(store, id + 1, &format!("go {id}")).await, Outcome::Saved { .. }));
    let gone: Outcome<bool, DbError> =
        store.write(async move |tx: &mut Tx| tx.delete("accounts", params![id + 1]).await).await;
    assert!(matches!(gone, Outcome::Saved { value: true, .. }), "{gone:?}");
}

/// The server behind the URL goes and comes back under a store that stays.
async fn away_and_back(store: &MultiMaster, restart: impl FnOnce()) {
    restart();
    // Connections from before are dead: whoever meets one asks again.
    live(store).await;
    assert_eq!(store.status()[0].state, MasterState::Live);
}

#[tokio::test]
async fn a_ring_underneath_carries_what_one_url_writes() {
    let Some(software) = lab::require_mariadb("replication in a ring underneath one URL") else {
        return;
    };
    let scratch = Scratch::new("ring-underneath").unwrap();
    let [mut one, mut two] = [Server::One, Server::Two].map(|server| {
        MariaDb::start_with(&software, scratch.path(), &replication::options(server)).unwrap()
    });
    replication::follow(&two, &one).unwrap();
    replication::follow(&one, &two).unwrap();
    one.create_database("books").unwrap();

    let store = open(config(&one, scratch.path())).await;
    some_writes(&store, 1).await;
    wait_until_followed(&two, &one).unwrap();
    assert_eq!(contents(&one, ""), contents(&two, ""));

    // Each of the two is restarted under the store.
    away_and_back(&store, || one.restart().unwrap()).await;
    two.restart().unwrap();
    some_writes(&store, 3).await;
    wait_until_followed(&two, &one).unwrap();
    assert_eq!(contents(&one, ""), contents(&two, ""));
    store.close().await;
    drop(store);

    // Moved to the other server: the same name, its URL.
    let store = open(config(&two, scratch.path())).await;
    assert_eq!(logins(&store).await, ["해리 1", "해리 3"]);
    some_writes(&store, 5).await;
    wait_until_followed(&one, &two).unwrap();
    assert_eq!(contents(&one, ""), contents(&two, ""));

    // What a server that is lost had not yet handed on is not on the other,
    // although it was acknowledged: that is what a ring does not promise.
    one.sql("mysql", "stop slave").unwrap();
    assert!(matches!(add(&store, 7, "late").await, Outcome::Saved { .. }));
    store.close().await;
    drop(store);
    two.kill().unwrap();
    let store = open(config(&one, scratch.path())).await;
    assert_eq!(logins(&store).await, ["해리 1", "해리 3", "해리 5"]);
}

#[tokio::test]
async fn a_cluster_underneath_carries_what_one_url_writes() {
    let Some(software) = lab::require_galera("a Galera cluster underneath one URL") else { return };
    let scratch = Scratch::new("cluster-underneath").unwrap();
    let cluster = Galera::start(&software, scratch.path(), 2, &[]).unwrap();
    // Also a write has it, for a moment.
    let cluster = Arc::new(Mutex::new(cluster));
    let nodes = || cluster.lock().unwrap();
    let at_node = |at: usize| config(&nodes().nodes()[at], scratch.path());
    let same = || {
        // A node answers after what it has been told of, and not before.
        let all = [0, 1].map(|at| contents(&nodes().nodes()[at], "set wsrep_sync_wait = 1; "));
        assert_eq!(all[0], all[1]);
    };
    nodes().nodes()[0].create_database("books").unwrap();
    let store = open(at_node(0)).await;
    some_writes(&store, 1).await;
    same();

    // Somebody changes a row at the other node while a write holds it here: the
    // cluster takes the write back, and it is run again.
    let runs = Arc::new(AtomicU32::new(0));
    let (there, counted) = (Arc::clone(&cluster), Arc::clone(&runs));
    let paid: Outcome<i64, DbError> = store
        .write(async move |tx: &mut Tx| {
            let row = tx.get("accounts", params![1i64]).await?.expect("it is there");
            let balance = row.get::<i64>("balance")? + 1;
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                let by_hand = "update accounts set balance = 200 where id = 1";
                there.lock().unwrap().nodes()[1].sql("books", by_hand).unwrap();
                // Answered when that has come here too.
                tx.query("select sleep(0.5)", params![]).await?;
            }
            tx.update("accounts", params![1i64], fields! {"balance" => balance}).await?;
            Ok(balance)
        })
        .await;
    assert!(matches!(paid, Outcome::Saved { value: 201, .. }), "{paid:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 2, "it was run again");

    nodes().stop(1).unwrap();
    some_writes(&store, 3).await;
    nodes().restart(1).unwrap();
    same();

    // The node behind the URL is away: it is the only one that is known.
    nodes().stop(0).unwrap();
    let refused = add(&store, 5, "nobody").await;
    assert!(matches!(refused, Outcome::NotSaved(_)), "{refused:?}");
    away_and_back(&store, || nodes().restart(0).unwrap()).await;
    some_writes(&store, 5).await;
    same();

    away_and_back(&store, || nodes().restart_all(1).unwrap()).await;
    some_writes(&store, 7).await;
    same();
    store.close().await;
    drop(store);

    let store = open(at_node(1)).await;
    assert_eq!(logins(&store).await, ["해리 1", "해리 3", "해리 5", "해리 7"]);
    some_writes(&store, 9).await;
    same();
}

/// Why the manual says: one URL.
#[tokio::test]
async fn two_urls_over_a_ring_write_every_row_twice_and_stop_the_replication() {
    let Some(software) = lab::require_mariadb("two URLs over a replication ring") else { return };
    let scratch = Scratch::new("two-urls-over-a-ring").unwrap();
    let [one, two] = [Server::One, Server::Two].map(|server| {
        MariaDb::start_with(&software, scratch.path(), &replication::options(server)).unwrap()
    });
    one.create_database("books").unwrap();
    two.create_database("books").unwrap();
    let mut both = config(&one, scratch.path());
    let url = two.url("books");
    both.masters.push(MasterConfig { name: MasterName("b".to_owned()), url });
    let store = open(both).await;
    replication::follow(&two, &one).unwrap();
    assert!(matches!(add(&store, 1, "twice").await, Outcome::Saved { .. }));
    // It stops at the first of them, and so never comes to what is later.
    let position = one.sql("books", "select @@gtid_binlog_pos").unwrap();
    let wait = format!("select ifnull(master_gtid_wait('{}', 3), -1)", position.trim());
    assert_eq!(two.sql("books", &wait).unwrap(), "-1\n");
    let status = two.sql("books", "show slave status").unwrap();
    assert!(status.contains("Duplicate entry"), "{status}");
}
