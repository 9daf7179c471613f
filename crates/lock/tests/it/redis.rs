//! In a real Redis server.

use std::time::Duration;

use lab::{Redis, Scratch};
use lock::{Config, LockError, Locks, Released};

use crate::common;

fn server(test: &str) -> Option<(Scratch, Redis)> {
    if !Redis::require(test) {
        return None;
    }
    let scratch = Scratch::new(&test.replace(' ', "-")).unwrap();
    let server = Redis::start(&scratch.path().join("redis")).unwrap();
    Some((scratch, server))
}

fn locks(server: &Redis, config: Config) -> Locks {
    Locks::redis(&format!("redis://{}", server.address()), config).unwrap()
}

/// With a short time, so that it is over within a test.
fn short() -> Config {
    Config {
        ttl: Duration::from_secs(1),
        request_max: Duration::from_millis(250),
        ..Config::default()
    }
}

/// What somebody else does there.
async fn command(server: &Redis, command: &[&str]) {
    let client = redis::Client::open(format!("redis://{}", server.address())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]);
    let _: redis::Value = asked.query_async(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_at_a_time_and_numbers_rise() {
    let Some((_scratch, server)) = server("locks one at a time") else { return };
    let locks = || locks(&server, Config::default());
    common::one_at_a_time(&[locks(), locks(), locks()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_let_go_by_hand_by_drop_and_by_closing() {
    let Some((_scratch, server)) = server("locks are let go") else { return };
    let locks = || locks(&server, Config::default());
    common::it_is_let_go(&locks(), &locks()).await;
}

/// Who stops waiting for the answer leaves nothing locked, asking or letting go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_up_in_the_middle_leaves_nothing_locked() {
    let Some((_scratch, server)) = server("locks that are given up") else { return };
    let (one, other) = (locks(&server, Config::default()), locks(&server, Config::default()));
    // The connections are there: what is asked is sent at once.
    drop(one.try_lock("warm").await.unwrap());
    let wait = Duration::from_secs(10);
    // Mostly it is asked, and its answer not waited for; now and then the answer is quicker.
    drop(tokio::time::timeout(Duration::ZERO, one.try_lock("a")).await);
    let guard = other.lock("a", wait).await.unwrap();
    let _ = tokio::time::timeout(Duration::ZERO, guard.release()).await;
    one.lock("a", wait).await.unwrap();
}

/// Every name is a lock of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lock_is_in_the_way_of_what_another_one_remembers() {
    let Some((_scratch, server)) = server("locks with odd names") else { return };
    let locks = locks(&server, Config::default());
    let first = locks.try_lock("a").await.unwrap().fence();
    for name in ["a:fence", "fence:a", "held:a", ":a", "a:"] {
        assert_eq!(locks.try_lock(name).await.unwrap().release().await, Released::Yes, "{name}");
    }
    assert!(locks.lock("a", Duration::from_secs(10)).await.unwrap().fence() > first);
}

#[test]
fn who_stood_still_changes_nothing() {
    let Some((_scratch, server)) = server("locks and pauses") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let url = format!("redis://{}", server.address());
    let open = move || Locks::redis(&url, short()).unwrap();
    common::who_stood_still_changes_nothing(open, &runtime);
}

/// Its data is gone: the holder is told although its time is not up, and the next one has a
/// greater number all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_data_tells_the_holder_and_numbers_rise() {
    let Some((_scratch, server)) = server("locks without data") else { return };
    let (one, other) = (locks(&server, Config::default()), locks(&server, Config::default()));
    let mut last = None;
    for _ in 0..3 {
        let guard = one.try_lock("a").await.unwrap();
        assert!(last < Some(guard.fence()));
        command(&server, &["FLUSHALL"]).await;
        guard.lost().await;
        let next = other.try_lock("a").await.unwrap();
        assert!(next.fence() > guard.fence());
        last = Some(next.fence());
        assert_eq!(guard.release().await, Released::NotHeld);
        assert_eq!(next.release().await, Released::Yes, "it took nothing away");
    }
}

/// The server is killed and comes back with its data while the lock is held: it is held on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_keeps_the_lock() {
    let Some((_scratch, mut server)) = server("locks and a restart") else { return };
    let (one, other) = (locks(&server, Config::default()), locks(&server, Config::default()));
    let guard = one.try_lock("a").await.unwrap();
    assert!(other.try_lock("a").await.unwrap_err().is_busy());
    server.kill().unwrap();
    let away = other.try_lock("a").await.unwrap_err();
    assert!(away.is_unavailable(), "{away}");
    server.restart().unwrap();
    // On a new connection, with scripts that the server has forgotten.
    assert!(other.try_lock("a").await.unwrap_err().is_busy());
    assert!(guard.is_held());
    assert_eq!(guard.release().await, Released::Yes);
    assert_eq!(other.try_lock("a").await.unwrap().release().await, Released::Yes);
}

/// The server stays away: the holder is told before its time is up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_not_renew_is_told_before_the_time_is_up() {
    let Some((_scratch, mut server)) = server("locks that can not be renewed") else { return };
    let locks = locks(&server, short());
    let guard = locks.try_lock("a").await.unwrap();
    assert!(guard.left() <= short().ttl * 9 / 10, "it is told a tenth of its time before the end");
    server.kill().unwrap();
    guard.lost().await;
    assert!(!guard.is_held());
    assert_eq!(guard.left(), Duration::ZERO);
    assert_eq!(guard.release().await, Released::Unknown);
    let nobody = locks.lock("a", Duration::from_mins(1)).await.unwrap_err();
    assert!(matches!(nobody, LockError::Unavailable { .. }), "it is not waited for: {nobody}");
}
