//! In the masters.

use std::time::Duration;

use lock::{Config, Fence, Locks};
use multi_master::{MultiMaster, Policy};
use stdx::{Clock, UnixMicros};

use crate::common;

async fn store(folder: &tempfile::TempDir, clock: Clock) -> MultiMaster {
    let mut config = multi_master::Config::embedded(folder.path(), Policy::All);
    config.clock = clock;
    MultiMaster::open(config, lock::MIGRATIONS).await.unwrap()
}

fn locks(store: &MultiMaster) -> Locks {
    Locks::masters(store.clone(), Config::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_at_a_time_and_numbers_rise() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, Clock::real()).await;
    common::one_at_a_time(&[locks(&store), locks(&store)]).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_let_go_by_hand_by_drop_and_by_closing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, Clock::real()).await;
    common::it_is_let_go(&locks(&store), &locks(&store)).await;
    store.close().await;
}

/// By the clock of the database; and its number goes on where the process, and the clock,
/// begin anew.
#[tokio::test]
async fn it_is_free_when_its_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(UnixMicros::from_secs(1_800_000_000));
    let store = store(&folder, clock.clone()).await;
    let (one, other) = (locks(&store), locks(&store));
    let guard = one.try_lock("a").await.unwrap();
    assert_eq!(guard.fence(), Fence(1));
    clock.advance(Duration::from_secs(29));
    assert!(other.try_lock("a").await.unwrap_err().is_busy());
    clock.advance(Duration::from_secs(2));
    let taken = other.try_lock("a").await.unwrap();
    assert_eq!(taken.fence(), Fence(2));
    // The first one looks every now and then, and is told.
    guard.lost().await;
    store.close().await;
    clock.set(UnixMicros::from_secs(1_700_000_000));
    let store = self::store(&folder, clock.clone()).await;
    // It stands there until then; nobody renews it.
    assert!(locks(&store).try_lock("a").await.unwrap_err().is_busy());
    clock.set(UnixMicros::from_secs(1_800_000_100));
    assert_eq!(locks(&store).try_lock("a").await.unwrap().fence(), Fence(3));
    store.close().await;
}
