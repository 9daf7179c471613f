//! What a crash between the commits left: markers that only one master has.
//!
//! A crash is made by putting one file back to what it was before the last
//! transactions: exactly what is there when the process died after the other
//! file's commit and before this one's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use lab::TakenAway;
use multi_master::{
    Config, DbError, MasterName, MasterState, MultiMaster, OpenError, Outcome, Policy, Tx, TxId,
    fields, params,
};
use proptest::prelude::*;
use stdx::ids::Id as _;

use crate::common::{MIGRATIONS, add, contents, embedded, logins, open, pay};

#[derive(Clone, Debug)]
enum Op {
    Insert(i64),
    Update(i64, i64),
    /// Unique values move from row to row.
    Rename(i64, i64),
    Delete(i64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0..6i64).prop_map(Op::Insert),
        (0..6i64, 0..100i64).prop_map(|(id, balance)| Op::Update(id, balance)),
        (0..6i64, 0..8i64).prop_map(|(id, name)| Op::Rename(id, name)),
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
                    Op::Insert(id)
                        if tx.get("accounts", params![id]).await?.is_none()
                            && is_free(tx, id).await? =>
                    {
                        let login = format!("account {id}");
                        let fields = fields! {"id" => id, "login" => login, "balance" => 0i64};
                        tx.insert("accounts", fields).await?;
                    }
                    Op::Update(id, balance) if tx.get("accounts", params![id]).await?.is_some() => {
                        tx.update("accounts", params![id], fields! {"balance" => balance}).await?;
                    }
                    Op::Rename(id, name)
                        if tx.get("accounts", params![id]).await?.is_some()
                            && is_free(tx, name).await? =>
                    {
                        let login = format!("account {name}");
                        tx.update("accounts", params![id], fields! {"login" => login}).await?;
                    }
                    Op::Insert(_) | Op::Update(..) | Op::Rename(..) => {}
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

async fn is_free(tx: &mut Tx, name: i64) -> Result<bool, DbError> {
    let login = format!("account {name}");
    let taken = tx.query("select id from accounts where login = ?", params![login]).await?;
    Ok(taken.is_empty())
}

async fn close(store: MultiMaster) {
    store.close().await;
}

/// Runs transactions one by one, or all at once: those that wait share a commit
/// and a marker.
async fn run_all(store: &MultiMaster, all: Vec<Vec<Op>>, at_once: bool) {
    if at_once {
        join_all(all.into_iter().map(|ops| run(store, ops))).await;
    } else {
        for ops in all {
            run(store, ops).await;
        }
    }
}

/// Runs both programs, then puts `behind` back to where it was between them,
/// opens the set again and returns the rows after them, and now.
async fn crash(
    folder: &Path,
    policy: Policy,
    before: Vec<Vec<Op>>,
    (after, at_once): (Vec<Vec<Op>>, bool),
    behind: &str,
) -> [Vec<String>; 2] {
    let file = |name: &str| folder.join(format!("{name}.db"));
    let store = open(folder, policy).await;
    run_all(&store, before, false).await;
    close(store).await;
    let old = std::fs::read(file(behind)).unwrap();

    let store = open(folder, policy).await;
    run_all(&store, after, at_once).await;
    close(store).await;
    let rows_after = rows(&file("a"));
    assert!(!file(behind).with_extension("db-wal").exists(), "closing leaves one file");
    std::fs::write(file(behind), old).unwrap();

    let store = open(folder, policy).await;
    store.wait_until_whole().await;
    close(store).await;
    assert_eq!(contents(&file("a")), contents(&file("b")), "both masters hold the same");
    [rows_after, rows(&file("a"))]
}

fn rows(file: &Path) -> Vec<String> {
    contents(file).into_iter().filter(|line| line.starts_with("row ")).collect()
}

fn programs() -> impl Strategy<Value = Vec<Vec<Op>>> {
    prop::collection::vec(ops(), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Any marker anywhere means that it is saved: also one that only another
    /// master has than the primary, which may have forgotten it.
    #[test]
    fn what_one_master_has_all_have_in_the_end(
        before in programs(), after in (programs(), any::<bool>()), all in any::<bool>(),
        primary_behind in any::<bool>(),
    ) {
        let policy = if all { Policy::All } else { Policy::Available };
        let behind = if primary_behind { "a" } else { "b" };
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let [after, now] = runtime.block_on(crash(folder.path(), policy, before, after, behind));
        prop_assert_eq!(now, after);
    }
}

/// Long texts: what waits together is too much for one marker.
#[tokio::test]
async fn writes_that_share_a_commit_are_all_found_by_their_markers() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.db", "b.db"].map(|name| folder.path().join(name));
    let store = open(folder.path(), Policy::Available).await;
    close(store).await;
    let old = std::fs::read(&b).unwrap();
    let store = open(folder.path(), Policy::Available).await;
    let writes = (0..60i64).map(|id| {
        let runs = AtomicU32::new(0);
        store.write(async move |tx: &mut Tx| {
            let (login, note) = (format!("account {id}"), "책".repeat(1_500));
            let fields = fields! {"id" => id, "login" => login, "balance" => id, "note" => note};
            tx.insert("accounts", fields).await?;
            let again = runs.fetch_add(1, Ordering::Relaxed) > 0;
            // Some are refused after they changed something, among the others.
            // A group with one is run again: some are refused only then.
            match id % 7 {
                3 => Err(DbError::Misuse("refused")),
                2 if again => Err(DbError::Misuse("refused when run again")),
                _ => Ok(()),
            }
        })
    });
    let mut transactions = BTreeSet::new();
    let mut saved = 0;
    for outcome in join_all(writes).await {
        match outcome {
            Outcome::Saved { txid, .. } => {
                assert_eq!(store.lookup(txid).await, Some(true));
                transactions.insert(txid);
                saved += 1;
            }
            Outcome::NotSaved(DbError::Misuse(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    close(store).await;
    assert!((43..52).contains(&saved), "{saved} saved");
    assert!((2..saved).contains(&transactions.len()), "{} transactions", transactions.len());
    let log = contents(&a).into_iter().filter(|line| line.starts_with("log ")).count();
    assert_eq!(log, transactions.len(), "a marker for each transaction");

    std::fs::write(&b, old).unwrap();
    let store = open(folder.path(), Policy::Available).await;
    store.wait_until_whole().await;
    close(store).await;
    assert_eq!(rows(&a).len(), saved);
    assert_eq!(contents(&a), contents(&b), "the one that was away has them all");
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
    // Also where its log and what its connections share are forgotten there.
    for (round, endings) in [(0, &["db", "db-wal", "db-shm"][..]), (1, &["db"])] {
        for ending in endings {
            std::fs::remove_file(folder.path().join(format!("b.{ending}"))).unwrap();
        }
        let epoch = store.epoch();
        for id in 2..50 {
            run(&store, vec![Op::Insert(round * 100 + id)]).await;
            let _ = join_all((0..8).map(|_| logins(&store))).await;
        }
        store.wait_until(|_| store.epoch() > epoch + 1).await;
        store.wait_until_whole().await;
        run(&store, vec![Op::Insert(round * 100 + 50)]).await;
    }
    close(store).await;
    let [a, b] = ["a.db", "b.db"].map(|name| contents(&folder.path().join(name)));
    assert_eq!(a.iter().filter(|line| line.starts_with("row ")).count(), 99);
    assert_eq!(a, b);
}

fn take_away(folder: &Path, name: &str) -> TakenAway {
    TakenAway::take(&folder.join(format!("{name}.db"))).unwrap()
}

async fn until_away(store: &MultiMaster, at: usize) {
    let away = [MasterState::Down, MasterState::Behind];
    store.wait_until(|masters| away.contains(&masters[at].state)).await;
}

#[tokio::test]
async fn nothing_is_written_while_the_witness_can_not_be_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = open(folder, Policy::Available).await;
    let _ = add(&store, 1, "one").await;
    // The witness is written beside and renamed: that can't be done now.
    std::fs::create_dir(folder.join("witness.new")).unwrap();
    let b = take_away(folder, "b");
    until_away(&store, 1).await;
    let refused = add(&store, 2, "two").await;
    let Outcome::NotSaved(DbError::NoMaster(why)) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("witness"), "{why}");
    // Also after it was looked whether a is well, which is done 50 times a second.
    let out = store.wait_until(|masters| !masters[0].state.serves());
    let out = tokio::time::timeout(Duration::from_millis(300), out).await;
    assert!(out.is_err(), "a has done nothing wrong: {:?}", store.status());
    assert_eq!(logins(&store).await, ["one"], "what was saved can be read");
    let told = std::fs::read_to_string(folder.join("witness.json")).unwrap();
    assert!(told.contains(r#"["a","b"]"#), "b may still lead: {told}");
    std::fs::remove_dir(folder.join("witness.new")).unwrap();
    let store = tokio::time::timeout(Duration::from_secs(30), async {
        while !matches!(add(&store, 2, "two").await, Outcome::Owed { .. }) {
            tokio::task::yield_now().await;
        }
        store
    });
    close(store.await.expect("the witness is tried again")).await;

    b.put_back().unwrap();
    let _ = take_away(folder, "a");
    let alone = MultiMaster::open(embedded(folder, Policy::Available), MIGRATIONS).await;
    let alone = alone.unwrap_err().to_string();
    assert!(alone.contains("start a"), "b misses what a took alone: {alone}");
}

/// The master that took the last writes is gone for good, as far as anybody
/// knows, and a person decides that the other one goes on.
#[tokio::test]
async fn a_master_that_misses_writes_goes_on_where_a_person_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = open(folder, Policy::Available).await;
    let _ = add(&store, 1, "one").await;
    let b = take_away(folder, "b");
    until_away(&store, 1).await;
    assert!(matches!(add(&store, 2, "two").await, Outcome::Owed { .. }));
    assert!(matches!(pay(&store, 1, 5).await, Outcome::Owed { .. }));
    close(store).await;
    b.put_back().unwrap();
    let led_by = |name: &str| {
        let mut config = embedded(folder, Policy::Available);
        config.lead = Some(MasterName(name.to_owned()));
        MultiMaster::open(config, MIGRATIONS)
    };
    let early = led_by("b").await.unwrap_err().to_string();
    assert!(early.contains("`a` answers"), "{early}");
    let a = take_away(folder, "a");
    let alone = MultiMaster::open(embedded(folder, Policy::Available), MIGRATIONS).await;
    assert!(matches!(alone, Err(OpenError::NoMaster(_))), "{alone:?}");
    let unknown = led_by("c").await.unwrap_err().to_string();
    assert!(unknown.contains("they are a, b"), "{unknown}");
    let store = led_by("b").await.unwrap();
    assert_eq!(logins(&store).await, ["one"]);
    assert!(matches!(pay(&store, 1, 7).await, Outcome::Owed { value: 107, .. }));
    // It turns up after all: what nobody has touched since is not lost, and what
    // somebody has is kept for a person.
    a.put_back().unwrap();
    let whole = tokio::time::timeout(Duration::from_secs(30), store.wait_until_whole()).await;
    assert!(whole.is_ok(), "{:?}", store.status());
    assert_eq!(logins(&store).await, ["one", "two"]);
    assert!(matches!(pay(&store, 1, 0).await, Outcome::Saved { value: 107, .. }));
    let lost = store.conflicts(10).await.unwrap();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].reason.contains("was changed by another transaction"), "{lost:?}");
    let balance = |row: &Option<BTreeMap<String, serde_json::Value>>| -> i64 {
        row.as_ref().unwrap()["balance"].as_i64().unwrap()
    };
    let row = &lost[0].rows[0];
    assert_eq!((balance(&row.before), balance(&row.after)), (100, 105));
    close(store).await;
    assert_eq!(contents(&folder.join("a.db")), contents(&folder.join("b.db")));
    let kept = rusqlite::Connection::open(folder.join("a.db")).unwrap();
    let kept: i64 =
        kept.query_row("select count(*) from mm_conflicts", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn while_a_master_is_brought_back_the_others_are_heard() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut config = embedded(folder, Policy::Available);
    // Whoever waits for the lock that is held below waits for ever.
    config.limits.statement = Duration::from_hours(1);
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    let _ = add(&store, 1, "one").await;
    let b = take_away(folder, "b");
    until_away(&store, 1).await;
    assert!(matches!(add(&store, 2, "two").await, Outcome::Owed { .. }));
    let by_hand = rusqlite::Connection::open(b.aside()).unwrap();
    by_hand.execute_batch("begin immediate").unwrap();
    b.put_back().unwrap();
    store.wait_until(|masters| masters[1].state == MasterState::Behind).await;
    // It can't take what it missed; and that is nobody else's matter.
    let Outcome::Owed { txid, .. } = add(&store, 3, "three").await else { panic!() };
    assert_eq!(store.lookup(TxId::from_uuid(uuid::Uuid::nil())).await, None, "b may know it");
    assert_eq!(store.lookup(txid).await, Some(true));
    assert_eq!(logins(&store).await, ["one", "two", "three"]);
    assert_eq!(store.status()[1].state, MasterState::Behind);
    by_hand.execute_batch("rollback").unwrap();
    store.wait_until_whole().await;
    close(store).await;
    assert_eq!(contents(&folder.join("a.db")), contents(&folder.join("b.db")));
}

#[tokio::test]
async fn a_store_is_closed_while_a_master_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = open(folder, Policy::Available).await;
    for first in (0..4_000).step_by(500) {
        run(&store, (first..first + 500).map(Op::Insert).collect()).await;
    }
    close(store).await;
    // However far it has come when the store is closed, it is whole in the end.
    for _ in 0..4 {
        for ending in ["db", "db-wal", "db-shm"] {
            drop(std::fs::remove_file(folder.join(format!("b.{ending}"))));
        }
        let store = open(folder, Policy::Available).await;
        store.wait_until(|masters| masters[1].state == MasterState::Behind).await;
        close(store).await;
    }
    let store = open(folder, Policy::Available).await;
    store.wait_until_whole().await;
    close(store).await;
    assert_eq!(contents(&folder.join("a.db")), contents(&folder.join("b.db")));
}

#[tokio::test]
async fn a_row_made_by_hand_keeps_its_master_out_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = open(folder, Policy::Available).await;
    let _ = add(&store, 1, "one").await;
    let b = take_away(folder, "b");
    until_away(&store, 1).await;
    let Outcome::Owed { txid, .. } = add(&store, 2, "x").await else { panic!() };
    let by_hand = rusqlite::Connection::open(b.aside()).unwrap();
    by_hand.execute("insert into accounts values (99, 'x', 0, null, 1, 1)", []).unwrap();
    drop(by_hand);
    b.put_back().unwrap();
    let names_the_index = |reason: &String| reason.contains("accounts_login");
    store
        .wait_until(|masters| {
            masters[1].state == MasterState::Behind
                && masters[1].reason.as_ref().is_some_and(names_the_index)
        })
        .await;
    for _ in 0..3 {
        assert_eq!(logins(&store).await, ["one", "x"]);
    }
    assert_eq!(store.lookup(txid).await, Some(true));
    // Taken away by hand, as the reason says, the master is brought back.
    let b = rusqlite::Connection::open(folder.join("b.db")).unwrap();
    b.execute("delete from accounts where id = 99", []).unwrap();
    drop(b);
    store.wait_until_whole().await;
    assert_eq!(store.lookup(txid).await, Some(true));
    close(store).await;
    assert_eq!(contents(&folder.join("a.db")), contents(&folder.join("b.db")));
}

#[tokio::test]
async fn a_master_that_can_not_be_brought_back_does_not_keep_the_set_from_opening() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = open(folder, Policy::Available).await;
    let _ = add(&store, 1, "one").await;
    let b = take_away(folder, "b");
    until_away(&store, 1).await;
    let _ = add(&store, 2, "two").await;
    close(store).await;
    b.put_back().unwrap();
    let b = rusqlite::Connection::open(folder.join("b.db")).unwrap();
    b.execute_batch("begin immediate").unwrap();
    let mut config = embedded(folder, Policy::Available);
    config.limits.statement = Duration::from_secs(2);
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    assert_eq!(logins(&store).await, ["one", "two"]);
    assert!(matches!(pay(&store, 1, 1).await, Outcome::Owed { .. }));
    drop(b);
    store.wait_until_whole().await;
    close(store).await;
    assert_eq!(contents(&folder.join("a.db")), contents(&folder.join("b.db")));
}

#[tokio::test]
async fn a_lost_primary_is_filled_and_remembers_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = open(folder, Policy::All).await;
    let Outcome::Saved { txid, .. } = add(&store, 1, "one").await else { panic!() };
    close(store).await;
    std::fs::remove_file(folder.join("a.db")).unwrap();
    let store = open(folder, Policy::All).await;
    store.wait_until_whole().await;
    assert_eq!(logins(&store).await, ["one"]);
    assert_eq!(store.lookup(txid).await, Some(true));
    close(store).await;
    assert_eq!(contents(&folder.join("a.db")), contents(&folder.join("b.db")));
}

#[tokio::test]
async fn a_transaction_in_doubt_comes_back_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let transfer = async |store: &MultiMaster, from: i64, to: i64, amount: i64| {
        let done: Outcome<(), DbError> = store
            .write(async move |tx: &mut Tx| {
                for (id, amount) in [(from, -amount), (to, amount)] {
                    let row = tx.get("accounts", params![id]).await?.expect("it is there");
                    let balance = row.get::<i64>("balance")? + amount;
                    tx.update("accounts", params![id], fields! {"balance" => balance}).await?;
                }
                Ok(())
            })
            .await;
        done.into_result().unwrap();
    };
    let store = open(folder, Policy::Available).await;
    for id in 1..=3 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    close(store).await;
    let old = std::fs::read(folder.join("b.db")).unwrap();
    let store = open(folder, Policy::Available).await;
    transfer(&store, 1, 2, 50).await;
    close(store).await;
    // Only a has committed it, a is away, and b goes on without it.
    std::fs::write(folder.join("b.db"), old).unwrap();
    let a = take_away(folder, "a");
    let store = open(folder, Policy::Available).await;
    transfer(&store, 1, 3, 10).await;
    close(store).await;
    a.put_back().unwrap();
    let store = open(folder, Policy::Available).await;
    store.wait_until_whole().await;
    close(store).await;
    assert_eq!(contents(&folder.join("a.db")), contents(&folder.join("b.db")));
    let balances: Vec<String> = rows(&folder.join("a.db"))
        .iter()
        .map(|row| row.split(' ').nth(4).unwrap().to_owned())
        .collect();
    assert_eq!(balances, ["90", "100", "110"], "the later one counts, the other is kept aside");
    for name in ["a.db", "b.db"] {
        let kept: i64 = rusqlite::Connection::open(folder.join(name))
            .unwrap()
            .query_row("select count(*) from mm_conflicts", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 1);
    }
}

/// Three masters, all of them files.
fn three(folder: &Path, policy: Policy) -> Config {
    let mut config = embedded(folder, policy);
    let mut third = config.masters[0].clone();
    third.name = MasterName("c".to_owned());
    third.url = format!("sqlite:{}", folder.join("c.db").display());
    config.masters.push(third);
    config
}

async fn open_three(folder: &Path) -> MultiMaster {
    MultiMaster::open(three(folder, Policy::Available), MIGRATIONS).await.unwrap()
}

/// Makes three masters with the account `one`, of which `c` alone has the account `two`.
async fn three_of_which_one_has_more(folder: &Path) {
    let store = open_three(folder).await;
    let _ = add(&store, 1, "one").await;
    close(store).await;
    let old = ["a.db", "b.db"].map(|name| std::fs::read(folder.join(name)).unwrap());
    let store = open_three(folder).await;
    let _ = add(&store, 2, "two").await;
    close(store).await;
    for (name, bytes) in ["a.db", "b.db"].iter().zip(old) {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Whoever reads from `a` and then from `b` must not see that a row is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_third_has_is_on_none_that_serves_before_it_is_on_all() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    three_of_which_one_has_more(folder).await;
    let c = take_away(folder, "c");
    let store = open_three(folder).await;
    assert_eq!(logins(&store).await, ["one"]);
    let has = |name: &str| -> i64 {
        let file = rusqlite::Connection::open(folder.join(name)).unwrap();
        file.query_row("select count(*) from accounts", [], |row| row.get(0)).unwrap()
    };
    c.put_back().unwrap();
    while has("a.db") < 2 {
        tokio::task::yield_now().await;
    }
    let served = store.status()[1].state.serves();
    assert!(!served || has("b.db") == 2, "{:?}", store.status());
    store.wait_until_whole().await;
    assert_eq!(logins(&store).await, ["one", "two"]);
    close(store).await;
}

#[tokio::test]
async fn with_three_masters_what_only_one_has_reaches_both_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    three_of_which_one_has_more(folder).await;
    let store = open_three(folder).await;
    store.wait_until_whole().await;
    assert!(matches!(pay(&store, 2, 1).await, Outcome::Saved { value: 101, .. }));
    close(store).await;
    let [a, b, c] = ["a.db", "b.db", "c.db"].map(|name| contents(&folder.join(name)));
    assert_eq!(a, b);
    assert_eq!(b, c);
}

#[tokio::test]
async fn what_a_primary_forgot_it_gets_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let open = async || MultiMaster::open(three(folder, Policy::All), MIGRATIONS).await.unwrap();
    let store = open().await;
    let _ = add(&store, 1, "one").await;
    close(store).await;
    let before = std::fs::read(folder.join("a.db")).unwrap();
    let store = open().await;
    let _ = add(&store, 2, "two").await;
    close(store).await;
    // It was acknowledged, and the primary comes back as an older copy, when the
    // others serve already.
    std::fs::write(folder.join("a.db"), before).unwrap();
    let a = take_away(folder, "a");
    let store = open().await;
    a.put_back().unwrap();
    store.wait_until_whole().await;
    for _ in 0..3 {
        assert_eq!(logins(&store).await, ["one", "two"]);
    }
    assert!(matches!(pay(&store, 2, 1).await, Outcome::Saved { value: 101, .. }));
    close(store).await;
    let [a, b, c] = ["a.db", "b.db", "c.db"].map(|name| contents(&folder.join(name)));
    assert_eq!(a, b);
    assert_eq!(a, c);
}

#[tokio::test]
async fn masters_whose_urls_were_swapped_are_not_taken_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    let _ = add(&store, 1, "one").await;
    close(store).await;
    let mut config = embedded(folder.path(), Policy::Available);
    let url = config.masters[0].url.clone();
    config.masters[0].url = std::mem::replace(&mut config.masters[1].url, url);
    let swapped = MultiMaster::open(config, MIGRATIONS).await.unwrap_err().to_string();
    assert!(swapped.contains("swapped"), "{swapped}");
}
