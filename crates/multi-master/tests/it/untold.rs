//! While the witness can't be told who serves.

use std::time::Duration;

use multi_master::{MasterState, Outcome, Policy};

use crate::common::{add, logins, open};

/// Within this time masters are looked at some dozen times.
const LOOKED_AT: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_survivor_serves_reads_and_is_not_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    assert!(matches!(add(&store, 1, "one").await, Outcome::Saved { .. }));
    // The witness is replaced by way of a file of this name.
    let beside = folder.path().join("witness.new");
    std::fs::create_dir(&beside).unwrap();
    let _ = lab::TakenAway::take(&folder.path().join("a.db")).unwrap();
    store.wait_until(|masters| masters[0].state == MasterState::Down).await;
    let refused = add(&store, 2, "two").await;
    assert!(matches!(&refused, Outcome::NotSaved(_)), "{refused:?}");

    let taken_out = store.wait_until(|masters| !masters[1].state.serves());
    let taken_out = tokio::time::timeout(LOOKED_AT, taken_out).await;
    assert!(taken_out.is_err(), "{:?}", store.status());
    assert_eq!(logins(&store).await, ["one"]);

    std::fs::remove_dir(&beside).unwrap();
    let saved = async {
        while !matches!(add(&store, 2, "two").await, Outcome::Owed { .. }) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, saved).await.unwrap();
    assert_eq!(logins(&store).await, ["one", "two"]);
    store.close().await;
}
