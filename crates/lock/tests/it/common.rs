//! What is so in every place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lock::fence::{self, FenceError};
use lock::{Fence, LockError, Locks, Released};
use multi_master::{MultiMaster, Policy, Tx, WriteError};
use tokio::sync::Mutex;

/// Processes that want one lock, each with many tasks: never two have it, and numbers rise.
pub(crate) async fn one_at_a_time(processes: &[Locks]) {
    let (inside, fences) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let mut tasks = Vec::new();
    for locks in processes {
        for _ in 0..4 {
            let (locks, inside) = (locks.clone(), Arc::clone(&inside));
            let fences = Arc::clone(&fences);
            tasks.push(tokio::spawn(async move {
                for _ in 0..10 {
                    let guard = locks.lock("one", Duration::from_mins(1)).await.unwrap();
                    assert!(!inside.swap(true, Ordering::SeqCst), "two have it");
                    fences.lock().await.push(guard.fence());
                    tokio::task::yield_now().await;
                    assert!(guard.is_held());
                    inside.store(false, Ordering::SeqCst);
                    assert_eq!(guard.release().await, Released::Yes);
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let fences = fences.lock().await;
    assert_eq!(fences.len(), processes.len() * 40);
    assert!(fences.windows(2).all(|two| two[0] < two[1]), "{fences:?}");
}

/// Who waits for it gets it when it is let go, and not before; who does not wait hears that it
/// is busy. A guard that is dropped, and one of locks that are closed, is let go.
pub(crate) async fn it_is_let_go(one: &Locks, other: &Locks) {
    let guard = one.lock("a", Duration::ZERO).await.unwrap();
    assert!(other.try_lock("a").await.unwrap_err().is_busy());
    assert!(one.try_lock("a").await.unwrap_err().is_busy(), "it is not reentrant");
    let elsewhere = other.try_lock("b").await.unwrap();
    assert_eq!(elsewhere.release().await, Released::Yes);
    let waits = tokio::spawn({
        let other = other.clone();
        async move { other.lock("a", Duration::from_mins(1)).await }
    });
    drop(guard);
    let second = waits.await.unwrap().unwrap();
    let fence = second.fence();
    other.close().await;
    // Its holder is told.
    second.lost().await;
    assert!(!second.is_held());
    assert_eq!(second.left(), Duration::ZERO);
    let third = one.lock("a", Duration::from_mins(1)).await.unwrap();
    assert!(third.fence() > fence);
    assert_eq!(second.release().await, Released::NotHeld, "and takes nothing away");
    assert!(third.is_held());
    assert_eq!(other.try_lock("a").await.unwrap_err(), LockError::Closed);
}

/// A process stands still for longer than its lock lasts; another one gets the lock and
/// writes; the first wakes, and what it writes is refused.
pub(crate) fn who_stood_still_changes_nothing(
    open: impl Fn() -> Locks + Send + Sync + 'static,
    within: &tokio::runtime::Runtime,
) {
    let folder = tempfile::tempdir().unwrap();
    let config = multi_master::Config::embedded(folder.path(), Policy::All);
    let store = within.block_on(MultiMaster::open(config, lock::MIGRATIONS)).unwrap();
    let open = Arc::new(open);
    let (stands, stood) = std::sync::mpsc::channel();
    let (wake, woken) = std::sync::mpsc::channel::<()>();
    let first = std::thread::spawn({
        let (store, open) = (store.clone(), Arc::clone(&open));
        move || {
            let alone = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            alone.block_on(async {
                let guard = open().lock("stock", Duration::from_mins(1)).await.unwrap();
                stands.send(guard.fence()).unwrap();
                // Nothing runs on this thread: no renewal, either.
                woken.recv().unwrap();
                assert!(!guard.is_held(), "it knows that its time is up");
                assert_eq!(guard.left(), Duration::ZERO);
                write(&store, guard.fence()).await
            })
        }
    });
    let early = stood.recv().unwrap();
    let late = within.block_on(async {
        let guard = open().lock("stock", Duration::from_mins(1)).await.unwrap();
        write(&store, guard.fence()).await.unwrap();
        guard.fence()
    });
    assert!(late > early);
    wake.send(()).unwrap();
    let refused = first.join().unwrap().unwrap_err();
    let name = "stock".to_owned();
    let expected = FenceError::Late { name, mine: early, seen: late };
    assert_eq!(refused, WriteError::NotSaved(expected));
    within.block_on(store.close());
}

async fn write(store: &MultiMaster, fence: Fence) -> Result<(), WriteError<FenceError>> {
    let written = store.write(async move |tx: &mut Tx| fence::check(tx, "stock", fence).await);
    written.await.into_result()
}
