//! Filling a master from another, and the log while one is away.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use lab::TakenAway;
use multi_master::{
    Config, CopyPhase, Db, FillAnew, FillError, MasterName, MasterState, MultiMaster, Outcome,
    Policy, params,
};

use crate::common::{MIGRATIONS, add, contents, embedded, logins, open, pay};
use crate::copying_mariadb::{ROWS, add_many, until_copied};

fn name(name: &str) -> MasterName {
    MasterName(name.to_owned())
}

pub(crate) fn fill(to: &str, although_it_serves: bool) -> FillAnew {
    FillAnew { to: name(to), from: None, although_it_serves, why: "a test wants it".to_owned() }
}

async fn whole(store: &MultiMaster) {
    let whole = tokio::time::timeout(Duration::from_mins(1), store.wait_until_whole()).await;
    assert!(whole.is_ok(), "not whole: {:?}", store.status());
}

fn assert_same(folder: &Path) {
    let [(a, log_a), (b, log_b)] = ["a.db", "b.db"].map(|file| {
        let all = contents(&folder.join(file)).into_iter();
        let (log, rows): (Vec<_>, Vec<_>) = all.partition(|line| line.starts_with("log "));
        (rows, log)
    });
    assert!(!a.is_empty());
    assert_eq!(a, b);
    // One may have been stopped before the old markers were taken from it, too.
    assert!(log_a.ends_with(&log_b) || log_b.ends_with(&log_a), "{log_a:?} {log_b:?}");
}

#[tokio::test]
async fn a_master_that_serves_is_filled_only_where_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    for id in 0..10 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    assert_eq!(store.fill_anew(fill("b", false)).await, Err(FillError::Serves(name("b"))));
    let unknown = store.fill_anew(fill("c", true)).await.unwrap_err().to_string();
    assert_eq!(unknown, "there is no master `c`: there are a, b");
    let itself = FillAnew { from: Some(name("b")), ..fill("b", true) };
    assert_eq!(store.fill_anew(itself).await, Err(FillError::Itself(name("b"))));
    assert!(store.status().iter().all(|master| master.state == MasterState::Live));
    assert!(store.copies().is_empty());

    for to in ["b", "a"] {
        store.fill_anew(fill(to, true)).await.unwrap();
        let paid = pay(&store, 1, 5).await;
        assert!(matches!(paid, Outcome::Saved { .. } | Outcome::Owed { .. }), "{paid:?}");
        whole(&store).await;
        let copies = store.copies();
        let copy = copies.iter().find(|copy| copy.to == name(to)).unwrap();
        assert_eq!((&copy.phase, copy.rows), (&CopyPhase::Done, 10));
        assert_same(folder.path());
    }
    store.close().await;
    assert_eq!(store.fill_anew(fill("b", true)).await, Err(FillError::Closed));
}

#[tokio::test]
async fn the_last_master_is_never_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = embedded(folder.path(), Policy::Available);
    config.masters.truncate(1);
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    let _ = add(&store, 1, "minji").await;
    assert_eq!(store.fill_anew(fill("a", true)).await, Err(FillError::NoSource(name("a"))));
    assert_eq!(logins(&store).await, ["minji"]);
}

async fn until_down(store: &MultiMaster, at: usize) {
    let down = store.wait_until(|masters| !masters[at].state.serves());
    tokio::time::timeout(Duration::from_secs(30), down).await.expect("it is found out");
}

#[tokio::test]
async fn what_was_decided_while_a_master_was_away_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    for id in 0..10 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    let away = TakenAway::take(&folder.path().join("b.db")).unwrap();
    until_down(&store, 1).await;
    // What only a filling can mend.
    let b = rusqlite::Connection::open(away.aside()).unwrap();
    assert_eq!(b.execute("update accounts set balance = -1 where id = 3", []).unwrap(), 1);
    drop(b);
    store.fill_anew(fill("b", false)).await.unwrap();
    let told = store.wait_until(|masters| {
        let reason = masters[1].reason.as_deref().unwrap_or_default();
        masters[1].state == MasterState::Down
            && reason.contains("it will be filled anew (a test wants it): ")
    });
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("its state says so");
    let _ = pay(&store, 1, 5).await;
    store.close().await;
    drop(store);
    away.put_back().unwrap();

    let store = open(folder.path(), Policy::Available).await;
    whole(&store).await;
    assert_same(folder.path());
    assert_eq!(store.copies()[0].rows, 10);
    store.close().await;
    // Once: it is not filled again at every start.
    let store = open(folder.path(), Policy::Available).await;
    whole(&store).await;
    assert!(store.copies().is_empty(), "{:?}", store.copies());
}

fn markers(file: &Path) -> i64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.query_row("select count(*) from mm_log", [], |row| row.get(0)).unwrap()
}

/// A store whose log may hold few markers, under a clock of the test.
async fn bounded(folder: &Path, limit: (u64, u64)) -> (MultiMaster, stdx::Clock) {
    let clock = stdx::Clock::starting_at(stdx::UnixMicros(1_800_000_000_000_000));
    let mut config: Config = embedded(folder, Policy::Available);
    config.clock = clock.clone();
    (config.limits.log_rows_max, config.limits.log_bytes_max) = limit;
    // It looks at the log sixty times as seldom.
    config.limits.probe = Duration::from_millis(1);
    (MultiMaster::open(config, MIGRATIONS).await.unwrap(), clock)
}

/// A thread that reads stands between the choice of a file and its first statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_from_a_file_that_is_filled_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    add_many(&store).await;
    let (entered, mut has_entered) = tokio::sync::mpsc::unbounded_channel();
    // Each goes to another file.
    let reads = [0, 1].map(|_| {
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (store, entered, gate) = (store.clone(), entered.clone(), Mutex::new(gate));
        let read = tokio::spawn(async move {
            let rows = store.read(async move |db: &mut Db| {
                entered.send(()).unwrap();
                // Nobody sends: it is over when the other end is gone.
                let _ = gate.lock().unwrap().recv();
                let sql = "select count(*) as n from accounts";
                db.query(sql, params![]).await?[0].get::<i64>("n")
            });
            rows.await.unwrap()
        });
        (go, read)
    });
    for _ in 0..2 {
        has_entered.recv().await.unwrap();
    }
    store.fill_anew(fill("b", true)).await.unwrap();
    until_copied(&store, 1_000).await;
    for (go, read) in reads {
        drop(go);
        assert_eq!(read.await.unwrap(), ROWS);
    }
    whole(&store).await;
    store.close().await;
}

/// Markers become old enough to go, as soon as nobody needs them.
pub(crate) async fn while_time_passes<T>(clock: &stdx::Clock, event: impl Future<Output = T>) -> T {
    let mut event = std::pin::pin!(event);
    loop {
        tokio::select! {
            biased;
            done = &mut event => return done,
            () = tokio::task::yield_now() => clock.advance(Duration::from_mins(1)),
        }
    }
}

async fn a_log_that_outgrows(limit: (u64, u64)) {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = bounded(folder.path(), limit).await;
    for id in 0..20 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    let away = TakenAway::take(&folder.path().join("b.db")).unwrap();
    until_down(&store, 1).await;
    for round in 0..60 {
        let _ = pay(&store, round % 20, 1).await;
    }
    let marked = store.wait_until(|masters| {
        let reason = masters[1].reason.as_deref().unwrap_or_default();
        reason.contains("the log outgrew its limit of ")
    });
    let marked = while_time_passes(&clock, marked);
    tokio::time::timeout(Duration::from_secs(30), marked).await.expect("it is marked");
    // The next turn takes them away.
    let a = folder.path().join("a.db");
    let trimmed = while_time_passes(&clock, async {
        while markers(&a) > 2 {
            tokio::task::yield_now().await;
        }
    });
    tokio::time::timeout(Duration::from_secs(30), trimmed).await.expect("the log is trimmed");
    away.put_back().unwrap();
    whole(&store).await;
    assert_eq!(store.copies()[0].rows, 20, "it was filled");
    store.close().await;
    assert_same(folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_with_too_many_markers_is_cut_and_the_master_filled() {
    a_log_that_outgrows((50, u64::MAX)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_with_too_many_bytes_is_cut_and_the_master_filled() {
    a_log_that_outgrows((u64::MAX, 2_000)).await;
}

/// The clock was in another millennium for a moment: markers have ids of that time since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_cut_also_after_the_clock_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = bounded(folder.path(), (1_000, 1 << 30)).await;
    let _ = add(&store, 1, "minji").await;
    let now = clock.now();
    clock.set(stdx::UnixMicros::from_secs(200_000_000_000));
    let _ = pay(&store, 1, 1).await;
    clock.set(now);
    for _ in 0..30 {
        let _ = pay(&store, 1, 1).await;
    }
    let few = while_time_passes(&clock, async {
        while markers(&folder.path().join("a.db")) > 2 {
            tokio::task::yield_now().await;
        }
    });
    tokio::time::timeout(Duration::from_secs(30), few).await.expect("the log is cut");
    store.close().await;
    assert_same(folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_its_limit_the_log_is_kept_for_the_master_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = bounded(folder.path(), (1_000, 1 << 30)).await;
    let away = TakenAway::take(&folder.path().join("b.db")).unwrap();
    until_down(&store, 1).await;
    for id in 0..300 {
        let _ = add(&store, id, &format!("account {id}")).await;
        clock.advance(Duration::from_mins(11));
    }
    assert!(markers(&folder.path().join("a.db")) >= 300);
    away.put_back().unwrap();
    whole(&store).await;
    assert!(store.copies().is_empty(), "it was brought up by markers");
    store.close().await;
    assert_same(folder.path());
}
