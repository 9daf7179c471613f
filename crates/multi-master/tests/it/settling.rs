//! What a crash between the commits left: markers that only one master has.
//!
//! A crash is made by putting one file back to what it was before the last
//! transactions: exactly what is there when the process died after the other
//! file's commit and before this one's.

use std::path::Path;

use multi_master::{DbError, MultiMaster, Outcome, Policy, Tx, fields, params};
use proptest::prelude::*;

use crate::common::{contents, open};

#[derive(Clone, Debug)]
enum Op {
    Insert(i64),
    Update(i64, i64),
    Delete(i64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0..6i64).prop_map(Op::Insert),
        (0..6i64, 0..100i64).prop_map(|(id, balance)| Op::Update(id, balance)),
        (0..6i64).prop_map(Op::Delete),
    ];
    prop::collection::vec(op, 0..8)
}

/// One transaction with all that is possible of `ops`.
async fn run(store: &MultiMaster, ops: Vec<Op>) {
    let done: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            for op in &ops {
                match *op {
                    Op::Insert(id) if tx.get("accounts", params![id]).await?.is_none() => {
                        let login = format!("account {id}");
                        let fields = fields! {"id" => id, "login" => login, "balance" => 0i64};
                        tx.insert("accounts", fields).await?;
                    }
                    Op::Update(id, balance) if tx.get("accounts", params![id]).await?.is_some() => {
                        tx.update("accounts", params![id], fields! {"balance" => balance}).await?;
                    }
                    Op::Insert(_) | Op::Update(..) => {}
                    Op::Delete(id) => {
                        tx.delete("accounts", params![id]).await?;
                    }
                }
            }
            Ok(())
        })
        .await;
    assert!(matches!(done, Outcome::Saved { .. } | Outcome::Owed { .. }), "{done:?}");
}

async fn close(store: MultiMaster) {
    store.close().await;
}

/// Runs both programs, then puts `behind` back to where it was between them,
/// opens the set again and returns the rows before, after, and now.
async fn crash(
    folder: &Path,
    policy: Policy,
    before: Vec<Vec<Op>>,
    after: Vec<Vec<Op>>,
    behind: &str,
) -> [Vec<String>; 3] {
    let file = |name: &str| folder.join(format!("{name}.db"));
    let store = open(folder, policy).await;
    for ops in before {
        run(&store, ops).await;
    }
    close(store).await;
    let old = std::fs::read(file(behind)).unwrap();
    let rows_before = rows(&file("a"));

    let store = open(folder, policy).await;
    for ops in after {
        run(&store, ops).await;
    }
    close(store).await;
    let rows_after = rows(&file("a"));
    assert!(!file(behind).with_extension("db-wal").exists(), "closing leaves one file");
    std::fs::write(file(behind), old).unwrap();

    let store = open(folder, policy).await;
    store.wait_until_whole().await;
    close(store).await;
    assert_eq!(contents(&file("a")), contents(&file("b")), "both masters hold the same");
    [rows_before, rows_after, rows(&file("a"))]
}

fn rows(file: &Path) -> Vec<String> {
    contents(file).into_iter().filter(|line| line.starts_with("row ")).collect()
}

fn programs() -> impl Strategy<Value = Vec<Vec<Op>>> {
    prop::collection::vec(ops(), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Under `available` any marker anywhere means that it is saved; under
    /// `all` the primary decides.
    #[test]
    fn one_sided_markers_are_settled_by_the_policy(
        before in programs(), after in programs(), all in any::<bool>(), primary_behind in any::<bool>(),
    ) {
        let policy = if all { Policy::All } else { Policy::Available };
        let behind = if primary_behind { "a" } else { "b" };
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let [before, after, now] =
            runtime.block_on(crash(folder.path(), policy, before, after, behind));
        let right = if all && primary_behind { before } else { after };
        prop_assert_eq!(now, right);
    }
}

#[tokio::test]
async fn a_lost_file_is_rebuilt_from_the_other() {
    for lost in ["a", "b"] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), Policy::Available).await;
        let insert = |ids: std::ops::Range<i64>| ids.map(Op::Insert).collect::<Vec<_>>();
        run(&store, insert(0..600)).await;
        run(&store, vec![Op::Delete(3)]).await;
        close(store).await;
        for ending in ["db", "db-wal", "db-shm"] {
            drop(std::fs::remove_file(folder.path().join(format!("{lost}.{ending}"))));
        }
        let store = open(folder.path(), Policy::Available).await;
        store.wait_until_whole().await;
        run(&store, insert(600..610)).await;
        close(store).await;
        let [a, b] = ["a.db", "b.db"].map(|name| contents(&folder.path().join(name)));
        assert_eq!(a.iter().filter(|line| line.starts_with("row ")).count(), 609);
        assert_eq!(a, b);
    }
}

#[tokio::test]
async fn a_file_deleted_under_our_feet_is_rebuilt_while_writes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    run(&store, vec![Op::Insert(1)]).await;
    for ending in ["db", "db-wal", "db-shm"] {
        std::fs::remove_file(folder.path().join(format!("b.{ending}"))).unwrap();
    }
    let epoch = store.epoch();
    for id in 2..50 {
        run(&store, vec![Op::Insert(id)]).await;
    }
    store.wait_until(|_| store.epoch() > epoch + 1).await;
    store.wait_until_whole().await;
    run(&store, vec![Op::Insert(50)]).await;
    close(store).await;
    let [a, b] = ["a.db", "b.db"].map(|name| contents(&folder.path().join(name)));
    assert_eq!(a.iter().filter(|line| line.starts_with("row ")).count(), 50);
    assert_eq!(a, b);
}
