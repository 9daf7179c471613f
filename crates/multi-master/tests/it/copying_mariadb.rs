//! Filling a MariaDB server that is killed meanwhile, and one that is another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use multi_master::{
    CopyProgress, DbError, MasterState, MultiMaster, Outcome, Policy, Tx, Verify, fields,
};
use stdx::{Clock, UnixMicros};

use crate::common::{MIGRATIONS, add, logins, pay};
use crate::copying::{fill, while_time_passes};
use crate::mariadb::{Pair, whole};

pub(crate) const ROWS: i64 = 30_000;

pub(crate) async fn add_many(store: &MultiMaster) {
    for from in (0..ROWS).step_by(1_000) {
        let done: Outcome<(), DbError> = store
            .write(async move |tx: &mut Tx| {
                for id in from..from + 1_000 {
                    let (login, note) = (format!("account {id}"), "책 ".repeat(40));
                    let row =
                        fields! {"id" => id, "login" => login, "balance" => 0i64, "note" => note};
                    tx.insert("accounts", row).await?;
                }
                Ok(())
            })
            .await;
        assert!(matches!(done, Outcome::Saved { .. }), "{done:?}");
    }
}

pub(crate) async fn until_copied(store: &MultiMaster, rows: u64) -> CopyProgress {
    let copied = async {
        loop {
            let copies = store.copies();
            match copies.first().filter(|copy| copy.phase.is_running() && copy.rows >= rows) {
                Some(copy) => return copy.clone(),
                None => tokio::task::yield_now().await,
            }
        }
    };
    let copied = tokio::time::timeout(std::time::Duration::from_mins(1), copied).await;
    copied.unwrap_or_else(|_| panic!("{rows}: {:?} {:?}", store.copies(), store.status()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filling_whose_server_dies_goes_on_where_it_was() {
    let Some(mut pair) = Pair::start("filling goes on") else { return };
    let store = pair.open(Policy::Available).await;
    add_many(&store).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        async move {
            let mut at = 0;
            while !stop.load(Ordering::Relaxed) {
                at = (at + 7_919) % ROWS;
                let paid = pay(&store, at, 1).await;
                assert!(matches!(paid, Outcome::Saved { .. } | Outcome::Owed { .. }), "{paid:?}");
            }
        }
    });
    store.fill_anew(fill("b", true)).await.unwrap();
    let mut least = 0;
    for _ in 0..3 {
        let copy = until_copied(&store, least + 3_000).await;
        assert!(copy.resumed_at.unwrap_or(0) >= least, "{copy:?}");
        least = copy.rows;
        pair.servers[1].kill().unwrap();
        let away = store.wait_until(|masters| masters[1].state == MasterState::Down);
        tokio::time::timeout(std::time::Duration::from_mins(1), away).await.unwrap();
        pair.servers[1].restart().unwrap();
    }
    whole(&store).await;
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    // On a busy machine it may have been taken out again meanwhile.
    whole(&store).await;
    let copy = store.copies()[0].clone();
    assert!(copy.resumed_at.is_some_and(|at| at >= least), "{copy:?}");
    assert_eq!(copy.rows, ROWS.unsigned_abs());
    eprintln!("filled at {} rows/s", copy.rows_per_second);
    pair.assert_same();
}

/// A server that is lost for good, and an empty one on the same address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_server_in_the_place_of_a_dead_one_is_filled() {
    for lost in [1, 0] {
        let Some(mut pair) = Pair::start(&format!("replaced {lost}")) else { return };
        let store = pair.open(Policy::Available).await;
        for id in 0..50 {
            let _ = add(&store, id, &format!("account {id}")).await;
        }
        pair.servers[lost].kill().unwrap();
        assert!(pay(&store, 1, 5).await.into_result().is_ok());
        let name = ["a", "b"][lost];
        // It may be said before the new server is there.
        store.fill_anew(fill(name, false)).await.unwrap();
        pair.servers[lost].restart().unwrap();
        whole(&store).await;
        assert_eq!(store.copies()[0].rows, 50);
        pair.assert_same();
        pair.servers[lost].kill().unwrap();
        assert!(pay(&store, 1, 5).await.into_result().is_ok());
        pair.servers[lost].restart_empty().unwrap();
        pair.servers[lost].create_database("books").unwrap();
        whole(&store).await;
        assert_eq!(logins(&store).await.len(), 50);
        pair.assert_same();
        assert!(matches!(pay(&store, 1, 5).await, Outcome::Saved { .. }));
    }
}

/// As on files: a server is away for too long, and later everybody has everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_servers_is_bounded_while_one_is_away_and_cut_when_all_are_there() {
    let Some(mut pair) = Pair::start("a bounded log") else { return };
    let clock = Clock::starting_at(UnixMicros(1_800_000_000_000_000));
    let mut config = pair.config(Policy::Available);
    config.clock = clock.clone();
    config.limits.log_rows_max = 50;
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    whole(&store).await;
    for id in 0..20 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    pair.servers[1].kill().unwrap();
    store.wait_until(|masters| masters[1].state == MasterState::Down).await;
    for round in 0..60 {
        let _ = pay(&store, round % 20, 1).await;
    }
    let marked = store.wait_until(|masters| {
        let reason = masters[1].reason.as_deref().unwrap_or_default();
        reason.contains("the log outgrew its limit of ")
    });
    let marked = while_time_passes(&clock, marked);
    tokio::time::timeout(Duration::from_mins(1), marked).await.expect("it is marked");
    until_few_markers(&clock, &pair, 0).await;
    pair.servers[1].restart().unwrap();
    whole(&store).await;
    assert_eq!(store.copies()[0].rows, 20, "it was filled");

    for round in 0..60 {
        let paid = pay(&store, round % 20, 1).await;
        assert!(matches!(paid, Outcome::Saved { .. }), "{paid:?}");
    }
    for at in [0, 1] {
        until_few_markers(&clock, &pair, at).await;
    }
    assert!(store.verify(Verify::default(), |_| {}).await.unwrap().is_well());
    store.close().await;
}

async fn until_few_markers(clock: &Clock, pair: &Pair, at: usize) {
    let few = while_time_passes(clock, async {
        let count = "select count(*) from mm_log";
        while pair.servers[at].sql("books", count).unwrap().trim().parse::<u32>().unwrap() > 2 {
            tokio::task::yield_now().await;
        }
    });
    tokio::time::timeout(Duration::from_mins(1), few).await.expect("the log is cut");
}
