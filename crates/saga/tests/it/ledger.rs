//! The other end of a call: late, repeated, undone before it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use multi_master::{MultiMaster, Policy, Tx};
use saga::ledger::{self, Ledger};
use saga::{Fence, StepError, StepKey};

struct Service {
    ledger: Ledger,
    store: MultiMaster,
    /// How often the step was done, and undone.
    done: Arc<AtomicU32>,
    undone: Arc<AtomicU32>,
    _folder: tempfile::TempDir,
}

impl Service {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = multi_master::Config::embedded(folder.path(), Policy::All);
        let store = MultiMaster::open(config, ledger::MIGRATIONS).await.unwrap();
        let ledger = Ledger::new(store.clone());
        let (done, undone) = (Arc::default(), Arc::default());
        Self { ledger, store, done, undone, _folder: folder }
    }

    async fn forward(&self, fence: u64, says_no: bool) -> Result<u32, StepError> {
        let done = Arc::clone(&self.done);
        let effect = async move |_: &mut Tx| {
            if says_no {
                return Err(StepError::refused("NO", "no"));
            }
            Ok(done.fetch_add(1, Ordering::SeqCst) + 1)
        };
        self.ledger.forward(&key(), Fence(fence), effect).await
    }

    async fn undo(&self, fence: u64) -> Result<(), StepError> {
        let undone = Arc::clone(&self.undone);
        let effect = async move |_: &mut Tx, output: u32| {
            assert_eq!(output, 1, "what the step gave back");
            undone.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        self.ledger.undo(&key(), Fence(fence), effect).await
    }

    fn counts(&self) -> (u32, u32) {
        (self.done.load(Ordering::SeqCst), self.undone.load(Ordering::SeqCst))
    }
}

fn key() -> StepKey {
    "0190163d-8694-739b-aea5-966c26f8ad91/pay".parse().unwrap()
}

fn undone() -> Result<u32, StepError> {
    Err(StepError::refused("UNDONE", "this step was undone before it came"))
}

#[tokio::test]
async fn a_step_that_comes_after_its_compensation_is_refused() {
    let service = Service::open().await;
    for _ in 0..2 {
        service.undo(1).await.unwrap();
        assert_eq!(service.forward(1, false).await, undone());
    }
    assert_eq!(service.counts(), (0, 0), "nothing was done, and nothing undone");
    service.store.close().await;
}

#[tokio::test]
async fn a_step_is_done_once_and_undone_once() {
    let service = Service::open().await;
    for _ in 0..3 {
        assert_eq!(service.forward(1, false).await, Ok(1));
    }
    for _ in 0..3 {
        service.undo(2).await.unwrap();
    }
    assert_eq!(service.forward(2, false).await, undone());
    assert_eq!(service.counts(), (1, 1));
    service.store.close().await;
}

/// A repeat hears the same, also where the answer would be another one by now.
#[tokio::test]
async fn a_refusal_stays_one() {
    let service = Service::open().await;
    let no = Err(StepError::refused("NO", "no"));
    assert_eq!(service.forward(1, true).await, no);
    assert_eq!(service.forward(1, false).await, no);
    service.undo(1).await.unwrap();
    assert_eq!(service.counts(), (0, 0));
    service.store.close().await;
}

#[tokio::test]
async fn an_owner_that_was_followed_changes_nothing() {
    let service = Service::open().await;
    assert_eq!(service.forward(1, false).await, Ok(1));
    assert_eq!(service.forward(2, false).await, Ok(1), "the next owner asks again");
    for late in [service.forward(1, false).await.map(drop), service.undo(1).await] {
        let why = "owner 1 of the saga asks, and owner 2 has asked before";
        assert_eq!(late, Err(StepError::Failed(why.into())));
    }
    assert_eq!(service.counts(), (1, 0));
    service.store.close().await;
}
