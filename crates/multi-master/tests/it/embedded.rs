//! Two SQLite files.

use multi_master::{DbError, OpenError, Outcome, Policy, Tx, fields, params};

use crate::common::{MIGRATIONS, add, contents, embedded, logins, open, pay};

#[tokio::test]
async fn a_write_is_on_both_files_and_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    assert!(matches!(add(&store, 1, "minji").await, Outcome::Saved { .. }));
    assert!(matches!(pay(&store, 1, 50).await, Outcome::Saved { value: 150, .. }));
    let Outcome::Saved { txid, .. } = add(&store, 2, "해리").await else { panic!() };
    assert_eq!(store.lookup(txid).await, Some(true));
    assert_eq!(logins(&store).await, ["minji", "해리"]);
    store.close().await;
    assert!(matches!(add(&store, 3, "x").await, Outcome::NotSaved(DbError::Closed)));
    drop(store);

    let a = contents(&folder.path().join("a.db"));
    assert_eq!(a.len(), 2 + 3, "{a:#?}");
    assert_eq!(a, contents(&folder.path().join("b.db")));
    let again = open(folder.path(), Policy::Available).await;
    assert_eq!(logins(&again).await, ["minji", "해리"]);
}

#[tokio::test]
async fn what_a_refused_write_did_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::All).await;
    let _ = add(&store, 1, "minji").await;
    let twice = add(&store, 2, "minji").await;
    let Outcome::NotSaved(DbError::Duplicate { table, index }) = twice else { panic!("{twice:?}") };
    assert_eq!((table.as_str(), index.as_str()), ("accounts", "accounts_login"));
    let same = add(&store, 1, "other").await;
    assert!(
        matches!(same, Outcome::NotSaved(DbError::Duplicate { index, .. }) if index == "primary key")
    );
    let gone_on: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            tx.insert("accounts", fields! {"id" => 5i64, "login" => "five", "balance" => 0i64})
                .await?;
            let failed = tx
                .insert("accounts", fields! {"id" => 6i64, "login" => "minji", "balance" => 0i64})
                .await;
            assert!(failed.is_err());
            let after = tx.query("select 1", params![]).await;
            assert!(matches!(after, Err(DbError::Misuse(_))));
            Ok(())
        })
        .await;
    assert!(matches!(gone_on, Outcome::NotSaved(DbError::Duplicate { .. })), "{gone_on:?}");
    assert_eq!(logins(&store).await, ["minji"]);
    store.close().await;
    assert_eq!(contents(&folder.path().join("a.db")), contents(&folder.path().join("b.db")));
}

#[tokio::test]
async fn a_store_is_used_by_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path(), Policy::Available).await;
    let second =
        multi_master::MultiMaster::open(embedded(folder.path(), Policy::Available), MIGRATIONS)
            .await;
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
}
