//! Two machines, each with a witness that is a file of its own, on the same servers.

use std::sync::Arc;
use std::time::Duration;

use lab::Scratch;
use multi_master::{
    Config, MasterState, MultiMaster, OpenError, Outcome, Policy, WitnessConfig, WitnessServer,
};
use mysql_async::prelude::Queryable as _;
use tokio::net::TcpListener;

use crate::common::{MIGRATIONS, add, pay};
use crate::mariadb::{Pair, whole};

/// As somebody would do who copies a configuration to another machine.
fn elsewhere(pair: &Pair) -> Config {
    let mut config = pair.config(Policy::Available);
    let witness = pair.scratch.path().join("elsewhere.json");
    config.witness = WitnessConfig::File(witness);
    config
}

#[tokio::test]
async fn a_second_process_with_a_file_of_its_own_is_refused_until_the_first_is_gone() {
    let Some(pair) = Pair::start("two files") else { return };
    let store = pair.open(Policy::Available).await;
    whole(&store).await;
    let _ = add(&store, 1, "minji").await;
    let (second, paid) = tokio::join!(MultiMaster::open(elsewhere(&pair), MIGRATIONS), async {
        pay(&store, 1, 1).await
    });
    let Err(OpenError::Refused { master, reason }) = second else { panic!("{second:?}") };
    assert_eq!(master.0, "a");
    assert!(reason.contains("with a witness of its own"), "{reason}");
    assert!(matches!(paid, Outcome::Saved { .. }), "{paid:?}");
    assert_eq!(store.epoch(), 1, "nobody was disturbed");
    store.close().await;
    let second = MultiMaster::open(elsewhere(&pair), MIGRATIONS).await.unwrap();
    whole(&second).await;
    assert!(matches!(pay(&second, 1, 1).await, Outcome::Saved { value: 102, .. }));
    second.close().await;
}

/// Takes the lock of a server from the store, as when the store's machine slept.
/// Whoever waits for it gets it before the store can come back.
async fn stolen(pair: &Pair, at: usize) -> mysql_async::Conn {
    let url = pair.servers[at].url("books");
    let theirs = "select get_lock(concat('endpaper serve ', md5('books')), 30)";
    let mut other = mysql_async::Conn::from_url(&url).await.unwrap();
    let waiting = tokio::spawn(async move {
        let got: Option<i64> = other.query_first(theirs).await.unwrap().flatten();
        assert_eq!(got, Some(1));
        other
    });
    let mut by_hand = mysql_async::Conn::from_url(&url).await.unwrap();
    let waits = "select count(*) from information_schema.processlist where state = 'User lock'";
    let waits = async {
        while by_hand.query_first::<i64, _>(waits).await.unwrap() != Some(1) {}
        let holder = "select is_used_lock(concat('endpaper serve ', md5('books')))";
        let holder: Option<i64> = by_hand.query_first(holder).await.unwrap().flatten();
        by_hand.query_drop(format!("kill {}", holder.unwrap())).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(30), waits).await.unwrap();
    waiting.await.unwrap()
}

/// A process was stopped for so long that another one took its place on both servers,
/// and told them an epoch that is also the next one of this process.
#[tokio::test]
async fn who_lost_its_place_writes_nothing() {
    let Some(pair) = Pair::start("lost its place") else { return };
    let mut config = pair.config(Policy::Available);
    // It looks only when something goes wrong.
    config.limits.probe = Duration::from_hours(1);
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    whole(&store).await;
    let _ = add(&store, 1, "minji").await;
    let mut others = [stolen(&pair, 0).await, stolen(&pair, 1).await];
    for other in &mut others {
        other.query_drop("update mm_epoch set epoch = 2").await.unwrap();
        // The server forgets a client that is silent for long.
        let clients = "select id from information_schema.processlist \
                       where user <> 'system user' and id <> connection_id()";
        for id in other.query::<u64, _>(clients).await.unwrap() {
            drop(other.query_drop(format!("kill {id}")).await);
        }
    }
    for _ in 0..20 {
        let paid = pay(&store, 1, 1).await;
        assert!(matches!(paid, Outcome::NotSaved(_)), "{paid:?}");
    }
    store.wait_until(|masters| masters.iter().all(|one| !one.state.serves())).await;
    for server in &pair.servers {
        let balance = server.sql("books", "select balance from accounts where id = 1").unwrap();
        assert_eq!(balance.trim(), "100");
    }
    drop(others);
}

/// The connection that holds a server for this process is cut, as by an
/// administrator: it is made anew. Where somebody else was faster, the server is
/// theirs.
#[tokio::test]
async fn a_server_that_somebody_else_has_taken_is_not_used_any_more() {
    let Some(pair) = Pair::start("taken by another") else { return };
    let store = pair.open(Policy::Available).await;
    whole(&store).await;
    let _ = add(&store, 1, "minji").await;
    let mut by_hand = mysql_async::Conn::from_url(pair.servers[1].url("books")).await.unwrap();
    let holder = "select is_used_lock(concat('endpaper serve ', md5('books')))";
    let first: Option<i64> = by_hand.query_first(holder).await.unwrap().flatten();
    let first = first.expect("the store holds it");
    by_hand.query_drop(format!("kill {first}")).await.unwrap();
    let anew = async {
        loop {
            let now: Option<i64> = by_hand.query_first(holder).await.unwrap().flatten();
            if now.is_some_and(|now| now != first) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), anew).await.unwrap();
    assert_eq!(store.epoch(), 1, "the server went on serving");

    let other = stolen(&pair, 1).await;
    store.wait_until(|masters| !masters[1].state.serves()).await;
    assert!(matches!(pay(&store, 1, 1).await, Outcome::Owed { value: 101, .. }));
    let told = || store.status()[1].reason.clone().is_some_and(|why| why.contains("of its own"));
    let told = async {
        while !told() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    drop(other);
    whole(&store).await;
    assert_eq!(store.status()[1].state, MasterState::Live);
    pair.assert_same();
}

/// Somebody gives one machine the witness for several, and forgets to stop the other.
#[tokio::test]
async fn a_process_with_a_witness_for_several_is_refused_beside_one_with_a_file() {
    let Some(pair) = Pair::start("a file and a witness for several") else { return };
    let store = pair.open(Policy::Available).await;
    whole(&store).await;
    let folder = Scratch::new("shared-witness").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let witness = WitnessServer::hold(folder.path(), None).unwrap();
    tokio::spawn(Arc::new(witness).serve(listener));
    let mut config = pair.config(Policy::Available);
    config.witness = WitnessConfig::Server { address, token: None, set: "endpaper".to_owned() };
    let second = MultiMaster::open(config, MIGRATIONS).await;
    let Err(OpenError::Refused { reason, .. }) = second else { panic!("{second:?}") };
    assert!(reason.contains("with a witness of its own"), "{reason}");
}
