//! Writers while a master comes back.

use std::time::{Duration, Instant};

use lab::proxy::Proxy;
use multi_master::{MasterState, MultiMaster, Outcome, Policy};
use mysql_async::prelude::Queryable as _;

use crate::common::{MIGRATIONS, add, pay};
use crate::mariadb::{Pair, whole};

/// Somebody's transaction is open for long on the master from which another is
/// brought up, and those who want to hold writers back wait for it. Whoever writes
/// meanwhile must not wait behind them until it ends.
#[tokio::test]
async fn a_long_transaction_of_one_keeps_nobody_waiting_behind_a_master_that_comes_back() {
    let Some(pair) = Pair::start("a long transaction of another") else { return };
    let proxy = Proxy::to(pair.servers[1].address()).unwrap();
    let mut config = pair.config(Policy::Available);
    config.masters[1].url = pair.servers[1].url_at(proxy.address(), "books");
    config.limits.statement = Duration::from_secs(10);
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    whole(&store).await;
    proxy.refuse().unwrap();
    let _ = add(&store, 1, "minji").await;
    let _ = pay(&store, 1, 1).await;
    store.wait_until(|masters| masters[1].state == MasterState::Down).await;
    let mut long = mysql_async::Conn::from_url(pair.servers[0].url("books")).await.unwrap();
    long.query_drop("start transaction").await.unwrap();
    long.query_drop("select epoch from mm_epoch where id = 1 lock in share mode").await.unwrap();
    proxy.pass().unwrap();
    store.wait_until(|masters| masters[1].state != MasterState::Down).await;
    let mut longest = Duration::ZERO;
    for _ in 0..300 {
        let began = Instant::now();
        let saved = pay(&store, 1, 1).await;
        assert!(matches!(saved, Outcome::Saved { .. } | Outcome::Owed { .. }), "{saved:?}");
        longest = longest.max(began.elapsed());
    }
    assert!(!store.status()[1].state.serves(), "nobody could be sure of the last writes yet");
    // A lock is waited for for 9 s; for this one 1.6 s at a time, in the end.
    assert!(longest < Duration::from_secs(5), "a write waited for {longest:?}");
    long.query_drop("rollback").await.unwrap();
    whole(&store).await;
    pair.assert_same();
}
