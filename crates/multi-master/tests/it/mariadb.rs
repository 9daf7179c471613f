//! Two real MariaDB servers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lab::proxy::{Traffic, Way};
use lab::{MariaDb, Scratch};
use multi_master::{
    Column, Config, Db, DbError, Index, Kind, MasterConfig, MasterName, MasterState, Migration,
    MultiMaster, Outcome, Policy, Step, Table, Tx, Verify, fields, params,
};
use mysql_async::prelude::Queryable as _;

use crate::common::{
    MIGRATIONS, add, errors_touch_no_other_write, logins, pay,
    waiting_for_something_else_is_refused, writes_at_once_see_each_other,
};

pub(crate) struct Pair {
    pub(crate) servers: [MariaDb; 2],
    pub(crate) scratch: Scratch,
}

impl Pair {
    pub(crate) fn start(test: &str) -> Option<Self> {
        let software = lab::require_mariadb(test)?;
        let scratch = Scratch::new(&test.replace(' ', "-")).unwrap();
        let servers = ["a", "b"].map(|name| {
            let server = MariaDb::start(&software, &scratch.path().join(name)).unwrap();
            server.create_database("books").unwrap();
            server
        });
        Some(Self { servers, scratch })
    }

    pub(crate) fn config(&self, policy: Policy) -> Config {
        let masters = ["a", "b"].into_iter().zip(&self.servers).map(|(name, server)| {
            MasterConfig { name: MasterName(name.to_owned()), url: server.url("books") }
        });
        let witness = self.scratch.path().join("witness.json");
        let mut config = Config::new(masters.collect(), policy, witness);
        config.limits.probe = Duration::from_millis(20);
        config.limits.statement = Duration::from_secs(3);
        config.limits.commit = Duration::from_secs(3);
        config
    }

    pub(crate) async fn open(&self, policy: Policy) -> MultiMaster {
        MultiMaster::open(self.config(policy), MIGRATIONS).await.unwrap()
    }

    /// Everything that must be the same on both.
    fn contents(&self) -> [String; 2] {
        let sql = "select id, login, balance, note, _v, _d from accounts order by id; \
                   select tbl, hex(k), v from mm_tombstones order by tbl, k; \
                   select hex(txid) from mm_log where aborted = 0 order by txid";
        [0, 1].map(|at| self.servers[at].sql("books", sql).unwrap())
    }

    pub(crate) fn assert_same(&self) {
        let [a, b] = self.contents();
        assert!(!a.is_empty());
        let [a, b] = [&a, &b].map(|all| all.lines().collect::<BTreeSet<&str>>());
        let only = |one: &BTreeSet<&str>, other: &BTreeSet<&str>| -> Vec<String> {
            one.difference(other).take(5).map(|line| (*line).to_owned()).collect()
        };
        assert_eq!((only(&a, &b), only(&b, &a)), (Vec::new(), Vec::new()), "only on a, only on b");
    }
}

/// Waits until both serve, and says how they stand where that does not come.
pub(crate) async fn whole(store: &MultiMaster) {
    let whole = tokio::time::timeout(Duration::from_mins(1), store.wait_until_whole()).await;
    assert!(whole.is_ok(), "not whole: {:?}", store.status());
}

#[tokio::test]
async fn a_write_is_on_both_servers() {
    let Some(pair) = Pair::start("a write is on both servers") else { return };
    let store = pair.open(Policy::Available).await;
    assert!(matches!(add(&store, 1, "minji").await, Outcome::Saved { .. }));
    assert!(matches!(pay(&store, 1, 50).await, Outcome::Saved { value: 150, .. }));
    let twice = add(&store, 2, "minji").await;
    let Outcome::NotSaved(DbError::Duplicate { table, index }) = twice else { panic!("{twice:?}") };
    assert_eq!((table.as_str(), index.as_str()), ("accounts", "accounts_login"));
    let Outcome::Saved { txid, .. } = add(&store, 3, "해리 포터 ✓").await else { panic!() };
    assert_eq!(store.lookup(txid).await, Some(true));
    let text = "it's \"quoted\" \\ back\0slash\n🎈 ";
    let noted: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            tx.update("accounts", params![3i64], fields! {"note" => text}).await?;
            assert!(tx.delete("accounts", params![1i64]).await?);
            assert!(!tx.delete("accounts", params![1i64]).await?);
            assert!(tx.get("accounts", params![1i64]).await?.is_none());
            Ok(())
        })
        .await;
    assert!(matches!(noted, Outcome::Saved { .. }), "{noted:?}");
    let read: String = store
        .read(async move |db: &mut Db| {
            let row = db.get("accounts", params![3i64]).await?.expect("it was inserted");
            row.get::<String>("note")
        })
        .await
        .map_err(|error: DbError| error)
        .unwrap();
    assert_eq!(read, text);
    assert_eq!(logins(&store).await, ["해리 포터 ✓"]);
    pair.assert_same();
    store.close().await;
    let again = pair.open(Policy::Available).await;
    assert_eq!(logins(&again).await, ["해리 포터 ✓"]);
}

/// In UTC, whatever zone the server is set to; in reads, and in writes between statements
/// that are put off.
#[tokio::test]
async fn the_time_of_a_server_is_in_utc() {
    let Some(pair) = Pair::start("the time of a server") else { return };
    pair.servers[0].sql("", "set global time_zone = '+09:00'").unwrap();
    let store = pair.open(Policy::All).await;
    let before = stdx::Clock::real().now();
    let read = store.read(async |db: &mut Db| db.now().await).await.unwrap();
    let written = store.write(async |tx: &mut Tx| {
        tx.insert("accounts", fields! {"id" => 1, "login" => "a", "balance" => 1}).await?;
        let now = tx.now().await?;
        tx.insert("accounts", fields! {"id" => 2, "login" => "b", "balance" => 1}).await?;
        Ok::<_, DbError>(now)
    });
    let written = written.await.into_result().unwrap();
    let after = stdx::Clock::real().now();
    assert!(before <= read && read <= written && written <= after, "{before:?} {read:?} {after:?}");
    assert_eq!(logins(&store).await.len(), 2);
    store.close().await;
    pair.assert_same();
}

#[tokio::test]
async fn writers_meet_in_one_order_on_both_servers() {
    let Some(pair) = Pair::start("writers meet in one order") else { return };
    let store = pair.open(Policy::All).await;
    for id in 0..4 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    let writers = (0..8i64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..40i64 {
                let (from, to) = ((writer + round) % 4, (writer + round * 3 + 1) % 4);
                let moved: Outcome<(), DbError> = store
                    .write(async move |tx: &mut Tx| {
                        for (id, amount) in [(from, -1i64), (to, 1)] {
                            let row = tx.get("accounts", params![id]).await?.expect("it is there");
                            let balance = row.get::<i64>("balance")? + amount;
                            tx.update("accounts", params![id], fields! {"balance" => balance})
                                .await?;
                        }
                        Ok(())
                    })
                    .await;
                match moved {
                    Outcome::Saved { .. } | Outcome::NotSaved(DbError::Busy) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let total: i64 = store
        .read(async move |db: &mut Db| {
            let row =
                db.query_first("select sum(balance) as total from accounts", params![]).await?;
            row.expect("a sum has one row").get("total")
        })
        .await
        .map_err(|error: DbError| error)
        .unwrap();
    assert_eq!(total, 400);
    pair.assert_same();
    assert!(store.counts().saved >= 300, "{:?}", store.counts());
}

#[tokio::test]
async fn one_server_dies_and_readers_do_not_notice() {
    for dies in [0, 1] {
        let Some(mut pair) = Pair::start(&format!("server {dies} dies")) else { return };
        let store = pair.open(Policy::Available).await;
        let _ = add(&store, 1, "minji").await;
        let _ = add(&store, 2, "jisoo").await;
        pair.servers[dies].kill().unwrap();
        // Reads are spread over both: some of these meet the dead one.
        for _ in 0..4 {
            assert_eq!(logins(&store).await, ["minji", "jisoo"]);
        }
        let owed = MasterName(["a", "b"][dies].to_owned());
        let wrote = add(&store, 3, "harry").await;
        assert!(matches!(wrote, Outcome::Saved { .. } | Outcome::Owed { .. }), "{wrote:?}");
        let paid = pay(&store, 1, 5).await;
        let Outcome::Owed { value: 105, owed: to, .. } = paid else { panic!("{paid:?}") };
        assert_eq!(to, std::slice::from_ref(&owed));
        let deleted: Outcome<bool, DbError> =
            store.write(async move |tx: &mut Tx| tx.delete("accounts", params![2i64]).await).await;
        assert!(matches!(deleted.into_result(), Ok(true)));
        let status = store.status();
        let down = status.iter().find(|master| master.name == owed).unwrap();
        assert_eq!(down.state, MasterState::Down);
        assert!(down.reason.is_some());

        pair.servers[dies].restart().unwrap();
        whole(&store).await;
        pair.assert_same();
        for _ in 0..4 {
            assert_eq!(logins(&store).await, ["minji", "harry"]);
        }
        assert!(matches!(pay(&store, 1, 5).await, Outcome::Saved { value: 110, .. }));
        pair.assert_same();
    }
}

#[tokio::test]
async fn under_all_nothing_is_written_while_a_server_is_away() {
    let Some(mut pair) = Pair::start("all or nothing") else { return };
    let store = pair.open(Policy::All).await;
    let _ = add(&store, 1, "minji").await;
    pair.servers[1].kill().unwrap();
    let refused = pay(&store, 1, 5).await;
    let Outcome::NotSaved(DbError::MasterAway(away)) = refused else { panic!("{refused:?}") };
    assert_eq!(away, [MasterName("b".to_owned())]);
    assert_eq!(logins(&store).await, ["minji"]);
    pair.servers[1].restart().unwrap();
    whole(&store).await;
    assert!(matches!(pay(&store, 1, 5).await, Outcome::Saved { value: 105, .. }));
    pair.assert_same();
}

#[tokio::test]
async fn a_frozen_server_is_left_behind_within_the_limit_and_caught_up() {
    let Some(mut pair) = Pair::start("frozen") else { return };
    let store = pair.open(Policy::Available).await;
    let _ = add(&store, 1, "minji").await;
    pair.servers[1].freeze().unwrap();
    assert!(matches!(pay(&store, 1, 5).await, Outcome::Owed { value: 105, .. }));
    assert_eq!(store.status()[1].state, MasterState::Down);
    assert!(matches!(pay(&store, 1, 5).await.into_result(), Ok(110)));
    pair.servers[1].thaw().unwrap();
    whole(&store).await;
    pair.assert_same();
}

/// A server that is frozen answers neither who asks whether it is well nor who looks
/// after its log. That is to hold up none of those who report that it failed.
#[tokio::test]
async fn who_looks_after_a_frozen_server_keeps_nobody_waiting() {
    let Some(pair) = Pair::start("looked after") else { return };
    let proxy = lab::Proxy::to(pair.servers[1].address()).unwrap();
    let mut config = pair.config(Policy::Available);
    config.masters[1].url = pair.servers[1].url_at(proxy.address(), "books");
    // Each of them waits for so long, and begins long before the write has waited for
    // its own limit.
    config.limits.connect = Duration::from_mins(1);
    assert!(config.limits.probe * 60 < config.limits.statement);
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    let _ = add(&store, 1, "minji").await;
    proxy.set_both(Traffic::Held).unwrap();
    let paid = tokio::time::timeout(Duration::from_secs(30), pay(&store, 1, 5)).await;
    assert!(matches!(paid, Ok(Outcome::Owed { value: 105, .. })), "{paid:?}");
    proxy.pass().unwrap();
    whole(&store).await;
    pair.assert_same();
}

/// A write holds its rows on one server while it waits for the other. Nobody goes on
/// before it ends, so it ends when that one is known to be away, and not at its own limit.
#[tokio::test]
async fn a_write_that_waits_for_a_server_ends_when_that_is_given_up() {
    let Some(mut pair) = Pair::start("given up") else { return };
    let mut config = pair.config(Policy::Available);
    config.limits.connect = Duration::from_secs(1);
    config.limits.statement = Duration::from_mins(2);
    config.limits.commit = Duration::from_mins(2);
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    let _ = add(&store, 1, "minji").await;
    for frozen in [1, 0] {
        pair.servers[frozen].freeze().unwrap();
        let paid = tokio::time::timeout(Duration::from_mins(1), pay(&store, 1, 5)).await;
        assert!(matches!(paid, Ok(Outcome::Owed { .. })), "{paid:?}");
        pair.servers[frozen].thaw().unwrap();
        whole(&store).await;
    }
    pair.assert_same();
}

#[tokio::test]
async fn reads_that_wait_for_a_connection_to_a_frozen_server_go_to_the_other() {
    let Some(mut pair) = Pair::start("frozen_reads") else { return };
    let mut config = pair.config(Policy::Available);
    config.limits.read_connections = 1;
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    let _ = add(&store, 1, "minji").await;
    for server in [0, 1] {
        whole(&store).await;
        // Both connections are there.
        assert_eq!([logins(&store).await, logins(&store).await], [["minji"], ["minji"]]);
        pair.servers[server].freeze().unwrap();
        // `logins` panics where it is told no rows.
        let reads: Vec<_> = (0..6).map(|_| logins(&store)).collect();
        for read in futures_util::future::join_all(reads).await {
            assert_eq!(read, ["minji"]);
        }
        pair.servers[server].thaw().unwrap();
    }
}

#[tokio::test]
async fn an_empty_server_is_filled_and_a_stale_one_serves_nothing() {
    let Some(mut pair) = Pair::start("filled") else { return };
    let store = pair.open(Policy::Available).await;
    for id in 0..1_200 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    pair.servers[1].kill().unwrap();
    assert!(matches!(pay(&store, 1, 5).await.into_result(), Ok(105)));
    store.close().await;
    drop(store);

    // Alone, the one that was away must not serve.
    pair.servers[0].kill().unwrap();
    pair.servers[1].restart().unwrap();
    let alone = MultiMaster::open(pair.config(Policy::Available), MIGRATIONS).await;
    let error = alone.unwrap_err().to_string();
    assert!(error.contains("start a"), "{error}");

    // Replaced by an empty database, it is filled from the other.
    pair.servers[1].sql("books", "drop database books; create database books").unwrap();
    pair.servers[0].restart().unwrap();
    let store = pair.open(Policy::Available).await;
    whole(&store).await;
    let rows = pair
        .servers
        .each_ref()
        .map(|server| server.sql("books", "select * from accounts order by id").unwrap());
    assert_eq!(rows[0].lines().count(), 1_200);
    assert_eq!(rows[0], rows[1]);
    assert!(matches!(pay(&store, 1, 5).await, Outcome::Saved { value: 110, .. }));
}

#[tokio::test]
async fn a_write_that_is_too_large_is_refused_and_harms_nobody() {
    let Some(pair) = Pair::start("too large") else { return };
    let store = pair.open(Policy::Available).await;
    let large: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            let note = "책".repeat(5_000);
            for id in 0..500i64 {
                let login = format!("account {id}");
                let fields =
                    fields! {"id" => id, "login" => login, "balance" => 0i64, "note" => &note};
                tx.insert("accounts", fields).await?;
            }
            Ok(())
        })
        .await;
    let Outcome::NotSaved(DbError::Shape(why)) = &large else { panic!("{large:?}") };
    assert!(why.contains("make it several"), "{why}");
    assert!(logins(&store).await.is_empty());
    assert!(matches!(add(&store, 1, "minji").await, Outcome::Saved { .. }));
    assert_eq!(store.epoch(), 1, "no master was taken out");
}

#[tokio::test]
async fn a_connection_that_is_cut_costs_no_master() {
    let Some(pair) = Pair::start("cut") else { return };
    let store = pair.open(Policy::Available).await;
    let pair = std::sync::Arc::new(pair);
    let _ = add(&store, 1, "minji").await;
    let (server, runs) = (pair.clone(), std::sync::Arc::new(AtomicU32::new(0)));
    let counted = runs.clone();
    let saved: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            tx.update("accounts", params![1i64], fields! {"balance" => 7i64}).await?;
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                let id = tx.query("select connection_id() as id", params![]).await?;
                let kill = format!("kill {}", id[0].get::<i64>("id")?);
                server.servers[0].sql("books", &kill).unwrap();
            }
            tx.query("select 1", params![]).await.map(drop)
        })
        .await;
    assert!(matches!(saved, Outcome::Saved { .. }), "{saved:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 2, "it was run again");
    assert_eq!(store.epoch(), 1, "no master was taken out");
    assert!(store.status().iter().all(|master| master.state == MasterState::Live));
    pair.assert_same();
}

const STEPS: &[Step] = &[
    MIGRATIONS[0].steps[0],
    Step::AddColumn { table: "accounts", column: Column::nullable("country", Kind::Int) },
    Step::CreateIndex {
        table: "accounts",
        index: Index { name: "accounts_country", columns: &["country"], unique: false },
    },
];

/// MariaDB commits each change of a table by itself: a crash may come between
/// one and the note that it is done.
#[tokio::test]
async fn a_migration_that_was_interrupted_is_taken_up() {
    let Some(pair) = Pair::start("interrupted migration") else { return };
    let migrations = [Migration { name: "accounts", steps: STEPS }];
    let config = || pair.config(Policy::Available);
    let store = MultiMaster::open(config(), &migrations).await.unwrap();
    let _ = add(&store, 1, "minji").await;
    store.close().await;
    for (server, noted) in pair.servers.iter().zip([1, 2]) {
        let forget = format!("delete from mm_migrations where step >= {noted}");
        server.sql("books", &forget).unwrap();
    }
    let store = MultiMaster::open(config(), &migrations).await.unwrap();
    whole(&store).await;
    assert!(matches!(pay(&store, 1, 5).await, Outcome::Saved { value: 105, .. }));
    assert!(store.verify(Verify::default(), |_| {}).await.unwrap().is_well());
    pair.assert_same();
}

/// The network loses what a server is sent, and so also that its client went
/// away: the transaction that was open there must not hold its locks for ever.
#[tokio::test]
async fn a_transaction_of_which_a_server_hears_no_more_keeps_nobody_out() {
    let Some(pair) = Pair::start("no more heard") else { return };
    let proxy = std::sync::Arc::new(lab::Proxy::to(pair.servers[0].address()).unwrap());
    let mut config = pair.config(Policy::Available);
    config.masters[0].url = pair.servers[0].url_at(proxy.address(), "books");
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    let _ = add(&store, 1, "minji").await;
    let network = proxy.clone();
    let saved: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            tx.get("accounts", params![1i64]).await?;
            network.set(Way::ToServer, Traffic::Lost).unwrap();
            tx.update("accounts", params![1i64], fields! {"balance" => 7i64}).await.map(drop)
        })
        .await;
    assert!(matches!(&saved, Outcome::Owed { owed, .. } if owed[0].0 == "a"), "{saved:?}");
    proxy.pass().unwrap();
    whole(&store).await;
    assert!(matches!(pay(&store, 1, 5).await, Outcome::Saved { value: 12, .. }));
    pair.assert_same();
}

#[tokio::test]
async fn what_was_changed_by_hand_is_repaired_and_what_was_altered_is_told() {
    let Some(pair) = Pair::start("by hand") else { return };
    let store = pair.open(Policy::Available).await;
    for id in 1..=450 {
        let _ = add(&store, id, &format!("해리 {id}")).await;
    }
    let found = store.verify(Verify::default(), |_| {}).await.unwrap();
    assert!(found.is_well() && found.rows == 450, "{found:#?}");
    pair.servers[0].sql("books", "update accounts set note = '손으로' where id = 210").unwrap();
    pair.servers[1].sql("books", "delete from accounts where id = 400").unwrap();
    let by_hand = "insert into accounts values (500, 'by hand', 1, null, 0, 0)";
    pair.servers[1].sql("books", by_hand).unwrap();
    let repair = Verify { repair: true, unhurried: false };
    let found = store.verify(repair, |_| {}).await.unwrap();
    assert_eq!((found.different, found.repaired), (3, 3), "{found:#?}");
    pair.assert_same();
    let found = store.verify(repair, |_| {}).await.unwrap();
    assert!(found.is_well() && found.different == 0 && found.rows == 451, "{found:#?}");
    let alter = "alter table accounts modify login varchar(41) collate utf8mb4_general_ci not null,
                 drop index accounts_login, add column more int; create table other (x int)";
    pair.servers[1].sql("books", alter).unwrap();
    let found = store.verify(repair, |_| {}).await.unwrap();
    assert_eq!(
        found.structure,
        [
            "b: column `login` of `accounts` is varchar(41) collate utf8mb4_general_ci not null, \
             and was made varchar(40) collate utf8mb4_nopad_bin not null",
            "b: column `more` of `accounts` is not this program's",
            "b: the index `accounts_login` of `accounts` is missing",
            "b: the table `other` is not this program's",
        ]
    );
}

#[tokio::test]
async fn a_statement_whose_future_is_dropped_ends_its_write_alone() {
    let Some(pair) = Pair::start("dropped") else { return };
    let store = pair.open(Policy::Available).await;
    let _ = add(&store, 1, "minji").await;
    for _ in 0..5 {
        let dropped: Outcome<(), DbError> = store
            .write(async move |tx: &mut Tx| {
                tx.update("accounts", params![1i64], fields! {"balance" => 7i64}).await?;
                {
                    let mut query = Box::pin(tx.query("select sleep(0.01)", params![]));
                    // Sent, and dropped before its answer.
                    let _ = futures_util::poll!(&mut query);
                }
                tx.query("select 2 as two", params![]).await.map(drop)
            })
            .await;
        assert!(matches!(dropped, Outcome::NotSaved(DbError::Misuse(_))), "{dropped:?}");
    }
    assert!(matches!(pay(&store, 1, 5).await, Outcome::Saved { value: 105, .. }));
    assert_eq!(store.epoch(), 1, "no master was taken out");
    pair.assert_same();
}

#[tokio::test]
async fn writes_that_share_a_transaction_see_each_other() {
    let Some(pair) = Pair::start("groups that read") else { return };
    let store = pair.open(Policy::Available).await;
    writes_at_once_see_each_other(&store).await;
    pair.assert_same();
}

/// A group waits for few answers, however many rows its writes read.
#[tokio::test]
async fn what_the_writes_of_a_group_read_first_is_read_at_once() {
    let Some(pair) = Pair::start("reading ahead") else { return };
    let store = pair.open(Policy::Available).await;
    let rows = 60u64;
    let names: Vec<_> = (0..60).map(|id| (id, format!("account {id}"))).collect();
    let adds = names.iter().map(|(id, name)| add(&store, *id, name));
    futures_util::future::join_all(adds).await;
    let before = store.numbers()[0].statements.count();
    let paid = futures_util::future::join_all((0..60).map(|id| pay(&store, id, 1))).await;
    assert!(paid.iter().all(|paid| matches!(paid, Outcome::Saved { value: 101, .. })));
    let asked = store.numbers()[0].statements.count() - before;
    assert!(asked < rows, "{asked} packets for {rows} rows");
    pair.assert_same();
}

/// One table that can't be read is the matter of who reads it.
#[tokio::test]
async fn what_can_not_be_read_ahead_refuses_one_write_alone() {
    const NOTES: Migration = Migration {
        name: "notes",
        steps: &[Step::CreateTable(Table {
            name: "notes",
            key: &["id"],
            columns: &[Column::new("id", Kind::Int)],
            indexes: &[],
        })],
    };
    let Some(pair) = Pair::start("reading ahead fails") else { return };
    let config = pair.config(Policy::Available);
    let store = MultiMaster::open(config, &[MIGRATIONS[0], NOTES]).await.unwrap();
    for id in 0..10 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    for server in &pair.servers {
        server.sql("books", "rename table notes to elsewhere").unwrap();
    }
    let writes = (0..10i64).map(|id| {
        let store = store.clone();
        async move {
            let outcome: Outcome<(), DbError> = store
                .write(async move |tx: &mut Tx| {
                    let table = if id == 5 { "notes" } else { "accounts" };
                    tx.get(table, params![id]).await?;
                    tx.update("accounts", params![id], fields! {"balance" => 7i64}).await.map(drop)
                })
                .await;
            (id, outcome)
        }
    });
    for (id, outcome) in futures_util::future::join_all(writes).await {
        assert_eq!(matches!(outcome, Outcome::Saved { .. }), id != 5, "{id}: {outcome:?}");
    }
}

#[tokio::test]
async fn writes_that_share_a_transaction_do_not_share_their_errors() {
    let Some(pair) = Pair::start("groups") else { return };
    for policy in [Policy::Available, Policy::All] {
        let store = pair.open(policy).await;
        for id in [501, 502] {
            let _ = add(&store, id, &format!("{id}")).await;
        }
        store.close().await;
        // The first packet of its connection is refused by an update.
        let store = pair.open(policy).await;
        let refused: Outcome<(), DbError> = store
            .write(async move |tx: &mut Tx| {
                tx.update("accounts", params![501i64], fields! {"login" => "502"}).await?;
                let fields = fields! {"id" => 503i64, "login" => "503", "balance" => 0i64};
                tx.insert("accounts", fields).await
            })
            .await;
        let Outcome::NotSaved(DbError::Duplicate { table, index }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((table.as_str(), index.as_str()), ("accounts", "accounts_login"));
        for id in [501i64, 502] {
            let gone = store
                .write(async move |tx: &mut Tx| tx.delete("accounts", params![id]).await)
                .await;
            assert!(matches!(gone, Outcome::Saved { value: true, .. }), "{gone:?}");
        }
        errors_touch_no_other_write(&store).await;
        assert!(store.verify(Verify::default(), |_| {}).await.unwrap().is_well());
        pair.assert_same();
        store.close().await;
        for server in &pair.servers {
            server.sql("books", "delete from accounts").unwrap();
        }
    }
    let store = pair.open(Policy::Available).await;
    waiting_for_something_else_is_refused(&store).await;
    assert_eq!(store.epoch(), 1, "no master was taken out");
}

#[tokio::test]
async fn a_difference_is_found_by_the_write_that_meets_it_and_harms_no_other() {
    let Some(pair) = Pair::start("differ") else { return };
    let store = pair.open(Policy::Available).await;
    for id in 0..12 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    pair.servers[1].sql("books", "update accounts set _v = _v + 1 where id = 1").unwrap();
    pair.servers[1].sql("books", "insert into accounts values (20, 'x', 1, null, 0, 0)").unwrap();
    let pays = futures_util::future::join_all((0..12).map(|id| pay(&store, id, 5)));
    let (paid, added) = futures_util::future::join(pays, add(&store, 20, "y")).await;
    for (id, outcome) in paid.iter().enumerate() {
        match outcome {
            Outcome::NotSaved(DbError::Diverged(what)) if id == 1 => {
                assert!(what.contains("one row of `accounts` met 0 rows"), "{what}");
            }
            Outcome::Saved { value: 105, .. } if id != 1 => {}
            _ => panic!("{id}: {outcome:?}"),
        }
    }
    let Outcome::NotSaved(DbError::Diverged(what)) = added else { panic!("{added:?}") };
    assert!(what.contains("accounts"), "{what}");
    let repair = Verify { repair: true, unhurried: false };
    assert_eq!(store.verify(repair, |_| {}).await.unwrap().repaired, 2);
    assert!(matches!(pay(&store, 1, 5).await, Outcome::Saved { value: 105, .. }));
    pair.assert_same();
}

/// Somebody else holds a row, on either server: who writes to it waits, nothing of
/// that is committed anywhere meanwhile, and nobody else waits.
#[tokio::test]
async fn a_row_that_is_held_keeps_nobody_waiting_who_does_not_want_it() {
    for (holder, policy) in [(0, Policy::Available), (1, Policy::All), (1, Policy::Available)] {
        let Some(pair) = Pair::start(&format!("held row {holder} {policy:?}")) else { return };
        let mut config = pair.config(policy);
        config.limits.statement = Duration::from_secs(30);
        let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
        store.wait_until_whole().await;
        let _ = add(&store, 1, "minji").await;
        let mut by_hand =
            mysql_async::Conn::from_url(pair.servers[holder].url("books")).await.unwrap();
        by_hand.query_drop("begin").await.unwrap();
        by_hand.query_drop("select * from accounts where id = 1 for update").await.unwrap();
        // They are submitted together, one who waits for the row among others: those
        // are done before it is let go.
        let done = tokio::sync::watch::Sender::new(0);
        let one = async |id: i64| {
            if id % 20 == 10 {
                let held = pay(&store, 1, 1).await;
                assert!(matches!(held, Outcome::Saved { .. }), "{held:?}");
            } else {
                let added = add(&store, id, &format!("account {id}")).await;
                assert!(matches!(added, Outcome::Saved { .. }), "{added:?}");
                done.send_modify(|done| *done += 1);
            }
        };
        let all = futures_util::future::join_all((10..70).map(one));
        let let_go = async {
            done.subscribe().wait_for(|done| *done == 57).await.unwrap();
            let balance = "select balance from accounts where id = 1";
            for server in &pair.servers {
                assert_eq!(server.sql("books", balance).unwrap().trim(), "100");
            }
            by_hand.query_drop("rollback").await.unwrap();
        };
        futures_util::future::join(all, let_go).await;
        assert!(matches!(pay(&store, 1, 0).await, Outcome::Saved { value: 103, .. }));
        pair.assert_same();
    }
}

/// Rows of which the same is set are one statement: each gets its own values, also
/// where those are of different kinds and lengths, and no other row is touched.
#[tokio::test]
async fn each_row_gets_its_own_values_where_many_are_set_at_once() {
    let Some(pair) = Pair::start("many updates") else { return };
    let store = pair.open(Policy::All).await;
    for id in 0..40 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    let note = |id: i64| match id % 5 {
        0 => None,
        1 => Some(String::new()),
        2 => Some("책을 읽으며 적은 메모".to_owned()),
        3 => Some("\u{1F4D6}".repeat(100)),
        _ => Some("' ? \\ --".to_owned()),
    };
    let balance = |id: i64| if id % 2 == 0 { i64::MIN + id } else { i64::MAX - id };
    let mut by_hand = mysql_async::Conn::from_url(pair.servers[0].url("books")).await.unwrap();
    by_hand.query_drop("begin").await.unwrap();
    by_hand.query_drop("select * from accounts where id = 20 for update").await.unwrap();
    for round in 0..2 {
        let done = store
            .write(async move |tx: &mut Tx| {
                for id in (0..40i64).filter(|id| *id != 20) {
                    let fields = fields! {"note" => "before", "balance" => round};
                    tx.update("accounts", params![id], fields).await?;
                }
                for id in (0..40i64).filter(|id| *id != 20) {
                    let fields = fields! {"note" => note(id), "balance" => balance(id)};
                    tx.update("accounts", params![id], fields).await?;
                }
                Ok::<_, DbError>(())
            })
            .await;
        assert!(matches!(done, Outcome::Saved { .. }), "{done:?}");
    }
    by_hand.query_drop("rollback").await.unwrap();
    let rows = store
        .read(async |db: &mut Db| db.query("select * from accounts order by id", params![]).await)
        .await
        .unwrap();
    for (id, row) in (0..).zip(rows) {
        let expected = if id == 20 { (None, 100) } else { (note(id), balance(id)) };
        let found: (Option<String>, i64) = (row.get("note").unwrap(), row.get("balance").unwrap());
        assert_eq!(found, expected, "{id}");
    }
    assert!(store.verify(Verify::default(), |_| {}).await.unwrap().is_well(), "digests, too");
    pair.assert_same();
    // One of many is not what it should be.
    pair.servers[1].sql("books", "update accounts set _v = _v + 1 where id = 7").unwrap();
    let done = store
        .write(async move |tx: &mut Tx| {
            for id in 0..12i64 {
                tx.update("accounts", params![id], fields! {"balance" => 5i64}).await?;
            }
            Ok::<_, DbError>(())
        })
        .await;
    let Outcome::NotSaved(DbError::Diverged(what)) = done else { panic!("{done:?}") };
    assert!(what.contains("a change of 12 rows of `accounts` met 11 rows"), "{what}");
}

#[tokio::test]
async fn a_server_dies_under_load_and_nothing_acknowledged_is_lost() {
    let cases =
        [(Policy::Available, 0), (Policy::Available, 1), (Policy::All, 0), (Policy::All, 1)];
    for (policy, dies) in cases {
        let Some(mut pair) = Pair::start(&format!("load {policy:?} {dies}")) else { return };
        let store = pair.open(policy).await;
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let writers: Vec<_> = (0..6i64)
            .map(|writer| {
                let (store, stop) = (store.clone(), stop.clone());
                tokio::spawn(async move {
                    let (mut acknowledged, mut refused, mut id) = (Vec::new(), Vec::new(), writer);
                    while !stop.load(Ordering::SeqCst) {
                        id += 6;
                        match add(&store, id, &format!("account {id}")).await {
                            Outcome::Saved { .. } | Outcome::Owed { .. } => acknowledged.push(id),
                            Outcome::NotSaved(error) if error.is_retryable() => refused.push(id),
                            Outcome::InDoubt(_) => {}
                            Outcome::NotSaved(error) => panic!("{error:?}"),
                        }
                        tokio::task::yield_now().await;
                    }
                    (acknowledged, refused)
                })
            })
            .collect();
        let enough = async |more: u64| {
            let counts = store.counts();
            let goal = counts.saved + counts.owed + counts.not_saved + more;
            loop {
                let counts = store.counts();
                if counts.saved + counts.owed + counts.not_saved >= goal {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        for _ in 0..2 {
            enough(100).await;
            pair.servers[dies].kill().unwrap();
            enough(100).await;
            pair.servers[dies].restart().unwrap();
            whole(&store).await;
        }
        enough(50).await;
        stop.store(true, Ordering::SeqCst);
        let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
        for writer in writers {
            let (saved, not) = writer.await.unwrap();
            acknowledged.extend(saved);
            refused.extend(not);
        }
        whole(&store).await;
        pair.assert_same();
        let there: BTreeSet<i64> = pair.servers[1 - dies]
            .sql("books", "select id from accounts")
            .unwrap()
            .lines()
            .map(|id| id.trim().parse().unwrap())
            .collect();
        assert!(acknowledged.iter().all(|id| there.contains(id)), "{policy:?} {dies}: lost");
        assert!(!refused.iter().any(|id| there.contains(id)), "{policy:?} {dies}: not refused");
    }
}
