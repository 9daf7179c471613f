//! What is owed to a master that is away: counted, tried again, dropped.

use std::path::Path;
use std::time::Duration;

use lab::{MariaDb, TakenAway};
use multi_master::{
    FailoverOf, MasterName, MasterState, MultiMaster, Outcome, Policy, Queue, QueueError,
    QueueItem, Retried, Verify,
};

use crate::common::{add, contents, open};
use crate::mariadb::Pair;

const REACHED_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// Asks until the queue is as it is wanted: it makes no event.
async fn queue_until(store: &MultiMaster, wanted: impl Fn(&Queue) -> bool) -> Queue {
    let asked = tokio::time::timeout(REACHED_WITHIN, async {
        while !wanted(&store.queue()) {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    });
    assert!(asked.await.is_ok(), "{:#?}", store.queue());
    store.queue()
}

fn master(name: &str) -> QueueItem {
    QueueItem::Master(MasterName(name.to_owned()))
}

fn take_away(folder: &Path) -> TakenAway {
    TakenAway::take(&folder.join("b.db")).unwrap()
}

async fn until_away(store: &MultiMaster) {
    let away = store.wait_until(|masters| masters[1].state == MasterState::Down);
    tokio::time::timeout(REACHED_WITHIN, away).await.unwrap();
}

#[tokio::test]
async fn what_a_master_misses_is_counted_until_it_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    assert!(matches!(add(&store, 1, "minji").await, Outcome::Saved { .. }));
    assert!(store.queue().is_empty());
    let nothing = store.retry(&master("b")).await;
    assert_eq!(nothing, Err(QueueError::NotThere(master("b"))));

    let b = take_away(folder.path());
    until_away(&store).await;
    for id in 2..5 {
        let added = add(&store, id, &format!("account {id}")).await;
        assert!(matches!(added, Outcome::Owed { .. }), "{added:?}");
    }
    let queue = queue_until(&store, |queue| {
        queue.masters.iter().any(|owed| owed.write_sets == Some(3) && owed.attempts > 0)
    });
    let queue = queue.await;
    let owed = &queue.masters[0];
    assert_eq!((owed.master.0.as_str(), owed.or_more, owed.to_be_filled), ("b", false, false));
    assert!(owed.oldest.unwrap() >= owed.since && owed.last_error.is_some(), "{owed:#?}");
    assert_eq!(store.retry(&master("b")).await, Ok(Retried::Trying));

    b.put_back().unwrap();
    store.wait_until_whole().await;
    assert!(store.queue().is_empty());
    assert!(store.counts().settled >= 3 && store.counts().undone == 0, "{:?}", store.counts());
    let [a, b] = ["a.db", "b.db"].map(|file| contents(&folder.path().join(file)));
    assert_eq!(a, b);
    store.close().await;
}

#[tokio::test]
async fn a_master_is_filled_when_what_was_owed_to_it_was_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    for id in 1..4 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    for round in 0..2 {
        let b = take_away(folder.path());
        until_away(&store).await;
        let added = add(&store, 10 + round, &format!("round {round}")).await;
        assert!(matches!(added, Outcome::Owed { .. }), "{added:?}");
        // It can't be dropped while the master is just being tried.
        let dropped = tokio::time::timeout(REACHED_WITHIN, async {
            loop {
                match store.drop_from_queue(&master("b"), "its disk is lost").await {
                    Err(QueueError::Refused(_)) => tokio::time::sleep(ASK_AGAIN).await,
                    dropped => return dropped,
                }
            }
        });
        assert_eq!(dropped.await.unwrap(), Ok(()));
        let queue = store.queue();
        assert!(queue.masters[0].to_be_filled && queue.masters[0].write_sets.is_none());
        // Something that only a filled master has not.
        let kept = rusqlite::Connection::open(b.aside()).unwrap();
        kept.execute("insert into mm_tombstones values ('accounts', x'00', 1)", []).unwrap();
        drop(kept);

        b.put_back().unwrap();
        store.wait_until_whole().await;
        let [a, b] = ["a.db", "b.db"].map(|file| contents(&folder.path().join(file)));
        let [a, b] = [a, b]
            .map(|all| all.into_iter().filter(|line| !line.starts_with("log")).collect::<Vec<_>>());
        assert_eq!(a, b, "round {round}: it was filled");
    }
    // And once only: what it misses next it gets as ever.
    let settled = store.counts().settled;
    let b = take_away(folder.path());
    until_away(&store).await;
    let _ = add(&store, 20, "later").await;
    b.put_back().unwrap();
    store.wait_until_whole().await;
    assert!(store.counts().settled > settled, "not filled again");
    assert!(store.verify(Verify::default(), |_| {}).await.unwrap().is_well());
    store.close().await;
}

#[tokio::test]
async fn under_all_a_master_may_be_given_up_and_filled_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::All).await;
    let b = take_away(folder.path());
    until_away(&store).await;
    store.drop_from_queue(&master("b"), "why").await.unwrap();
    assert!(add(&store, 1, "minji").await.into_result().is_err());
    b.put_back().unwrap();
    store.wait_until_whole().await;
    let failovers = store.failovers();
    let refused = failovers.iter().any(|one| one.what == FailoverOf::Writes && one.to.is_none());
    assert!(refused, "{failovers:?}");
    store.close().await;
}

/// The server is killed, and the program is started while it is away.
#[tokio::test]
async fn a_server_that_is_away_is_in_the_queue_with_what_it_misses() {
    let Some(mut pair) = Pair::start("the queue of a killed server") else { return };
    let store = pair.open(Policy::Available).await;
    let _ = add(&store, 1, "minji").await;
    pair.servers[0].kill().unwrap();
    for id in 2..12 {
        let added = add(&store, id, &format!("account {id}")).await;
        assert!(matches!(added, Outcome::Owed { .. }), "{added:?}");
    }
    let is_counted = |queue: &Queue| queue.masters.iter().any(|owed| owed.write_sets == Some(10));
    queue_until(&store, is_counted).await;
    let to_b = |one: &multi_master::Failover| {
        one.what == FailoverOf::Writes && one.from.0 == "a" && one.to.as_ref().unwrap().0 == "b"
    };
    assert!(store.failovers().iter().any(to_b), "{:?}", store.failovers());
    let numbers = store.numbers();
    assert!(numbers.iter().all(|one| one.statements.count() > 0 && one.commits.count() > 0));
    store.close().await;

    // What it has nobody knows now: at most everything.
    let store = pair.open(Policy::Available).await;
    let at_least = |queue: &Queue| {
        queue.masters.iter().any(|owed| owed.write_sets.is_some_and(|count| count >= 10))
    };
    queue_until(&store, at_least).await;
    MariaDb::restart(&mut pair.servers[0]).unwrap();
    store.wait_until_whole().await;
    assert!(store.queue().is_empty());
    pair.assert_same();
    store.close().await;
}
