//! One process alone on two MariaDB servers: its groups of writes are on both at the
//! same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use lab::proxy::{Proxy, Traffic, Way};
use multi_master::{
    Column, Db, DbError, Kind, Migration, MultiMaster, Outcome, Policy, Step, Table, Tx, Value,
    Verify, fields, params,
};
use mysql_async::prelude::Queryable as _;

use crate::common::{MIGRATIONS, add, pay};
use crate::mariadb::Pair;

const LONG: Duration = Duration::from_secs(20);

/// The other server gets its statements while the first has not answered; and
/// nothing is committed anywhere before both have.
#[tokio::test]
async fn who_writes_alone_is_on_both_servers_at_the_same_time() {
    let Some(pair) = Pair::start("at once") else { return };
    let proxies = [0, 1].map(|at| Proxy::to(pair.servers[at].address()).unwrap());
    let mut config = pair.config(Policy::Available);
    for (at, proxy) in proxies.iter().enumerate() {
        config.masters[at].url = pair.servers[at].url_at(proxy.address(), "books");
    }
    // Nobody else speaks to the servers.
    config.limits.probe = Duration::from_hours(1);
    config.limits.statement = Duration::from_mins(1);
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    store.wait_until_whole().await;
    let _ = add(&store, 1, "minji").await;
    let [first, other] = proxies;
    let before = other.counters();
    first.set(Way::ToClient, Traffic::Held).unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let heard = other.wait_until("sent anything", LONG, |now| {
            now.to_server.passed_bytes > before.to_server.passed_bytes
                && now.to_client.passed_bytes > before.to_client.passed_bytes
        });
        (heard.map(drop), other, first)
    });
    let both = async {
        let (heard, other, first) = heard.await.unwrap();
        heard.unwrap();
        assert_eq!(pair.servers[1].sql("books", "select id from accounts").unwrap().trim(), "1");
        first.pass().unwrap();
        (other, first)
    };
    let (saved, _proxies) = join(add(&store, 2, "jisoo"), both).await;
    assert!(matches!(saved, Outcome::Saved { .. }), "{saved:?}");
    pair.assert_same();
}

/// A comparison holds writers back again and again, on one server after the other:
/// that costs nobody a write, and no master its place.
#[tokio::test]
async fn writers_go_on_while_the_masters_are_compared() {
    let Some(pair) = Pair::start("compared under load") else { return };
    let store = pair.open(Policy::Available).await;
    store.wait_until_whole().await;
    for id in 0..8 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..8i64).map(|id| {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut paid = 0;
            while !stop.load(Ordering::SeqCst) {
                // All write to one row, and each to one of its own.
                for id in [id, 0] {
                    let saved = pay(&store, id, 1).await;
                    assert!(matches!(saved, Outcome::Saved { .. }), "{saved:?}");
                    paid += 1;
                }
            }
            paid
        })
    });
    let writers: Vec<_> = writers.collect();
    // Writers are held back where the servers are read in different moments.
    let (mut looked_again, mut compared) = (0, 0);
    while compared < 30 || looked_again == 0 && compared < 3_000 {
        let found = store.verify(Verify::default(), |_| {}).await.unwrap();
        assert!(found.is_well(), "{found:?}");
        looked_again += found.looked_again;
        compared += 1;
    }
    stop.store(true, Ordering::SeqCst);
    let paid: i64 = join_all(writers).await.into_iter().map(Result::unwrap).sum();
    let total = store
        .read(async |db: &mut Db| {
            let rows = db.query("select sum(balance) as total from accounts", params![]).await?;
            rows[0].get::<i64>("total")
        })
        .await
        .unwrap();
    assert_eq!(total, 800 + paid);
    assert!(looked_again > 0, "it never held writers back");
    assert_eq!(store.epoch(), 1, "no master was taken out");
    pair.assert_same();
}

/// The keys of the application: ids, and several columns with bytes among them.
#[tokio::test]
async fn rows_are_found_by_keys_of_every_kind_where_many_are_set_at_once() {
    const TABLES: &[Migration] = &[Migration {
        name: "kinds",
        steps: &[
            Step::CreateTable(Table {
                name: "by_id",
                key: &["id"],
                columns: &[
                    Column::new("id", Kind::Id),
                    Column::nullable("bytes", Kind::Bytes { bytes_max: 100 }),
                    Column::nullable("flag", Kind::Bool),
                    Column::nullable("body", Kind::Text { chars_max: 5_000 }),
                ],
                indexes: &[],
            }),
            Step::CreateTable(Table {
                name: "by_two",
                key: &["part", "number"],
                columns: &[
                    Column::new("part", Kind::Bytes { bytes_max: 8 }),
                    Column::new("number", Kind::Int),
                    Column::nullable("at", Kind::Time),
                ],
                indexes: &[],
            }),
        ],
    }];
    let id = |at: u8| Value::Bytes(vec![at; 16]);
    let part = |at: u8| Value::Bytes(vec![at; usize::from(at % 3)]);
    let Some(pair) = Pair::start("keys of every kind") else { return };
    let store = MultiMaster::open(pair.config(Policy::All), TABLES).await.unwrap();
    store.wait_until_whole().await;
    let made: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            for at in 0..30 {
                tx.insert("by_id", fields! {"id" => id(at), "body" => "a"}).await?;
                let fields = fields! {"part" => part(at), "number" => i64::from(at), "at" => 0i64};
                tx.insert("by_two", fields).await?;
            }
            Ok(())
        })
        .await;
    assert!(matches!(made, Outcome::Saved { .. }), "{made:?}");
    let bytes = |at: u8| match at % 4 {
        0 => Value::Null,
        1 => Value::Bytes(Vec::new()),
        _ => Value::Bytes(vec![0, at, 255]),
    };
    let mut by_hand = mysql_async::Conn::from_url(pair.servers[1].url("books")).await.unwrap();
    by_hand.query_drop("begin").await.unwrap();
    let held = "select * from by_id where id = repeat(char(20), 16) for update";
    assert_eq!(by_hand.query::<mysql_async::Row, _>(held).await.unwrap().len(), 1);
    let held = "select * from by_two where number = 20 and part = repeat(char(20), 2) for update";
    assert_eq!(by_hand.query::<mysql_async::Row, _>(held).await.unwrap().len(), 1);
    let set: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            for at in (0..30).filter(|at| *at != 20) {
                let fields = fields! {
                    "bytes" => bytes(at), "flag" => at % 2 == 0, "body" => Value::Null
                };
                tx.update("by_id", vec![id(at)], fields).await?;
            }
            for at in (0..30).filter(|at| *at != 20) {
                let key = vec![part(at), i64::from(at).into()];
                tx.update("by_two", key, fields! {"at" => i64::from(at) - 15}).await?;
            }
            Ok(())
        })
        .await;
    assert!(matches!(set, Outcome::Saved { .. }), "{set:?}");
    by_hand.query_drop("rollback").await.unwrap();
    let (by_id, by_two) = store
        .read(async |db: &mut Db| {
            let by_id = db.query("select * from by_id order by id", params![]).await?;
            Ok::<_, DbError>((
                by_id,
                db.query("select * from by_two order by number", params![]).await?,
            ))
        })
        .await
        .unwrap();
    for at in 0..30u8 {
        let place = usize::from(at);
        let changed = at != 20;
        let found: Value = by_id[place].get("bytes").unwrap();
        assert_eq!(found, if changed { bytes(at) } else { Value::Null }, "{at}");
        let flag: Option<bool> = by_id[place].get("flag").unwrap();
        assert_eq!(flag, changed.then_some(at % 2 == 0), "{at}");
        let body: Option<String> = by_id[place].get("body").unwrap();
        assert_eq!(body, (!changed).then(|| "a".to_owned()), "{at}");
        let found: i64 = by_two[place].get("at").unwrap();
        assert_eq!(found, if changed { i64::from(at) - 15 } else { 0 }, "{at}");
    }
    assert!(store.verify(Verify::default(), |_| {}).await.unwrap().is_well());
}
