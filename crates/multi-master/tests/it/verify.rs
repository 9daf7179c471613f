//! Masters that somebody changed by hand.

use std::path::Path;

use multi_master::{
    ConflictError, DbError, Findings, Held, MasterName, MultiMaster, Outcome, Policy, Repair, Tx,
    Verify, params,
};
use proptest::prelude::*;

use crate::common::{contents, open, pay};

const LOOK: Verify = Verify { repair: false, unhurried: false };
const REPAIR: Verify = Verify { repair: true, unhurried: false };

async fn verify(store: &MultiMaster, how: Verify) -> Findings {
    store.verify(how, |_| {}).await.unwrap()
}

fn by_hand(folder: &Path, master: &str, sql: &str) {
    let connection = rusqlite::Connection::open(folder.join(format!("{master}.db"))).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn rows(folder: &Path, master: &str) -> Vec<String> {
    let all = contents(&folder.join(format!("{master}.db")));
    all.into_iter().filter(|line| !line.starts_with("log ")).collect()
}

async fn filled(folder: &Path, rows: i64) -> MultiMaster {
    let store = open(folder, Policy::Available).await;
    let all: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            for id in 1..=rows {
                let login = format!("account {id}");
                let fields =
                    multi_master::fields! {"id" => id, "login" => login, "balance" => 100i64};
                tx.insert("accounts", fields).await?;
            }
            Ok(())
        })
        .await;
    all.into_result().unwrap();
    store
}

#[tokio::test]
async fn writes_under_way_are_no_differences() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), 1_000).await;
    let writers: Vec<_> = (0..8i64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut id = writer;
                while !matches!(pay(&store, id + 1, 1).await, Outcome::NotSaved(DbError::Closed)) {
                    id = (id + 8) % 1_000;
                }
            })
        })
        .collect();
    let mut looked_again = 0;
    while looked_again < 20 {
        for how in [LOOK, REPAIR] {
            let found = verify(&store, how).await;
            assert!(found.is_well() && found.different == 0, "{found:?}");
            assert_eq!((found.rows, found.tables), (1_000, 1));
            looked_again += found.looked_again;
        }
    }
    store.close().await;
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(rows(folder.path(), "a"), rows(folder.path(), "b"));
}

#[tokio::test]
async fn what_was_changed_by_hand_is_found_told_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = filled(folder, 700).await;
    let gone: Outcome<bool, DbError> =
        store.write(async move |tx: &mut Tx| tx.delete("accounts", params![600i64]).await).await;
    assert!(matches!(gone, Outcome::Saved { value: true, .. }));
    let before = rows(folder, "a");
    by_hand(folder, "b", "update accounts set balance = 1000000 where id = 5");
    by_hand(folder, "a", "delete from accounts where id = 300");
    by_hand(folder, "b", "delete from accounts where id = 699");
    by_hand(folder, "a", "insert into accounts values (9000, 'by hand', 1, null, 0, 0)");

    let found = verify(&store, LOOK).await;
    assert_eq!((found.different, found.repaired, found.is_well()), (4, 0, false), "{found:#?}");
    let told = |key: &str| {
        let one = found.rows_told.iter().find(|one| one.key == key).unwrap();
        assert_eq!(one.outcome, Repair::NotAsked);
        [one.masters[0].1, one.masters[1].1]
    };
    assert!(matches!(told("[5]"), [Held::Sound(a), Held::Altered(b)] if a == b));
    assert!(matches!(told("[300]"), [Held::Absent, Held::Sound(_)]));
    assert!(matches!(told("[699]"), [Held::Sound(_), Held::Absent]));
    assert!(matches!(told("[9000]"), [Held::Altered(_), Held::Absent]));
    assert_ne!(rows(folder, "a"), rows(folder, "b"), "nothing was asked for");

    let found = verify(&store, REPAIR).await;
    assert_eq!((found.different, found.repaired, found.is_well()), (4, 4, true), "{found:#?}");
    let (a, b) = (MasterName("a".to_owned()), MasterName("b".to_owned()));
    let winners: Vec<Repair> = found.rows_told.iter().map(|one| one.outcome.clone()).collect();
    let winner = |name: &MasterName| Repair::As(name.clone());
    assert_eq!(winners, [winner(&a), winner(&b), winner(&a), winner(&a)]);
    let after = rows(folder, "a");
    assert_eq!(after, rows(folder, "b"));
    let adopted: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(adopted.len() == 1 && adopted[0].starts_with("row 9000 by hand 1"), "{adopted:?}");
    assert!(before.iter().all(|row| after.contains(row)), "what was right is as it was");
    assert_eq!(verify(&store, LOOK).await.different, 0);
    let kept: i64 = rusqlite::Connection::open(folder.join("a.db"))
        .unwrap()
        .query_row("select count(*) from mm_conflicts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1, "the balance that was set by hand");
    let told = store.conflicts(10).await.unwrap();
    assert_eq!((told.len(), told[0].rows.len()), (1, 1));
    let row = &told[0].rows[0];
    assert_eq!((row.table.as_str(), row.key.as_str()), ("accounts", "[5]"));
    assert_eq!(row.after.as_ref().unwrap()["balance"], 1_000_000);
    store.drop_conflict(told[0].id).await.unwrap();
    let again = store.drop_conflict(told[0].id).await;
    assert_eq!(again, Err(ConflictError::NotThere(told[0].id)));
    assert_eq!((store.conflicts(10).await.unwrap(), store.conflicts_kept()), (Vec::new(), 0));
    assert!(matches!(pay(&store, 9_000, 5).await, Outcome::Saved { value: 6, .. }));
    store.close().await;
}

/// Each master is asked for so much at most, and one keeps what the other does not: the
/// list has no hole where one of them was cut short.
#[tokio::test]
async fn of_more_conflicts_than_are_told_at_once_none_is_left_out_between_two() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = filled(folder, 1).await;
    let kept = |master: &str, from: i64, to: i64, size: u64| {
        let sql = format!(
            "insert into mm_conflicts (txid, reason, ops, found_at) \
             with recursive n (n) as (select {from} union all select n + 1 from n where n < {to}) \
             select cast(printf('%016d', n) as blob), 'by hand', zeroblob({size}), n from n"
        );
        by_hand(folder, master, &sql);
    };
    kept("a", 50, 100, 1 << 20);
    kept("b", 10, 45, 1 << 10);
    let told = store.conflicts(1_000).await.unwrap();
    let times: Vec<i64> = told.iter().map(|one| one.found_at.0).collect();
    let oldest = 100 - i64::try_from(times.len()).unwrap();
    assert!(!times.is_empty() && times.iter().copied().eq((oldest + 1..=100).rev()), "{times:?}");
    store.close().await;
}

/// What was changed by hand is not what all should have only because the master
/// that still has the right row is away.
#[tokio::test]
async fn a_row_is_repaired_only_when_nobody_who_may_have_it_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = filled(folder, 10).await;
    let before = rows(folder, "a");
    let b = lab::TakenAway::take(&folder.join("b.db")).unwrap();
    store.wait_until(|masters| !masters[1].state.serves()).await;
    by_hand(folder, "a", "update accounts set balance = 1000000 where id = 5");
    let found = verify(&store, REPAIR).await;
    assert_eq!((found.different, found.repaired), (1, 0), "{found:#?}");
    let Repair::Failed(why) = &found.rows_told[0].outcome else { panic!("{found:#?}") };
    assert!(why.contains("`b` may hold it"), "{why}");
    b.put_back().unwrap();
    store.wait_until_whole().await;
    let found = verify(&store, REPAIR).await;
    assert_eq!((found.different, found.repaired), (1, 1), "{found:#?}");
    assert_eq!(found.rows_told[0].outcome, Repair::As(MasterName("b".to_owned())));
    store.close().await;
    assert_eq!((&rows(folder, "a"), &before), (&rows(folder, "b"), &before));
}

#[tokio::test]
async fn a_row_that_can_not_be_repaired_says_why_and_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = filled(folder, 10).await;
    // The login that row 3 should have is taken, on b, by a row made by hand.
    by_hand(
        folder,
        "b",
        "delete from accounts where id = 3; \
         insert into accounts values (2000, 'account 3', 1, null, 0, 0); \
         delete from accounts where id = 7",
    );
    let found = verify(&store, REPAIR).await;
    assert_eq!((found.different, found.repaired), (3, 1), "{found:#?}");
    for key in ["[3]", "[2000]"] {
        let one = found.rows_told.iter().find(|one| one.key == key).unwrap();
        let Repair::Failed(why) = &one.outcome else { panic!("{one:?}") };
        assert!(why.contains("accounts_login"), "{why}");
    }
    by_hand(folder, "b", "delete from accounts where id = 2000");
    assert!(verify(&store, REPAIR).await.is_well());
    store.close().await;
    assert_eq!(rows(folder, "a"), rows(folder, "b"));
}

#[tokio::test]
async fn tables_that_are_not_as_they_were_made_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = filled(folder, 3).await;
    by_hand(folder, "b", "drop index accounts_login; create table mine (x)");
    by_hand(
        folder,
        "a",
        "create table other (id bigint not null, login blob not null, balance bigint not null, \
         note text, _v bigint not null, _d bigint not null, more text, primary key (id)) \
         without rowid; \
         insert into other select id, login, balance, note, _v, _d, null from accounts; \
         drop table accounts; alter table other rename to accounts; \
         create index accounts_login on accounts (login)",
    );
    let found = verify(&store, REPAIR).await;
    assert_eq!(
        found.structure,
        [
            "a: column `login` of `accounts` is blob not null, and was made text not null",
            "a: column `more` of `accounts` is not this program's",
            "a: the index `accounts_login` of `accounts` is another than was made",
            "b: the index `accounts_login` of `accounts` is missing",
            "b: the table `mine` is not this program's",
        ]
    );
    assert!(!found.is_well());
    assert_eq!((found.not_compared, found.tables), (vec!["accounts".to_owned()], 0));
    store.close().await;
}

/// An index more is nobody's reason to look away from the rows.
#[tokio::test]
async fn rows_are_compared_and_repaired_beside_what_is_not_the_programs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = filled(folder, 3).await;
    by_hand(folder, "b", "create index mine on accounts (balance); drop index accounts_login");
    by_hand(folder, "b", "update accounts set balance = 1000000 where id = 1");
    let found = verify(&store, REPAIR).await;
    assert_eq!((found.structure.len(), found.not_compared.len()), (2, 0), "{found:#?}");
    assert_eq!((found.different, found.repaired, found.is_well()), (1, 1, false), "{found:#?}");
    store.close().await;
    assert_eq!(rows(folder, "a"), rows(folder, "b"));
}

/// Something that a person does to one master.
#[derive(Clone, Debug)]
enum Deed {
    Change(bool, i64, i64),
    Forge(bool, i64, i64),
    Delete(bool, i64),
    Insert(bool, i64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        (any::<bool>(), 1..30i64, any::<i64>()).prop_map(|(b, id, to)| Deed::Change(b, id, to)),
        (any::<bool>(), 1..30i64, 0..i64::MAX).prop_map(|(b, id, to)| Deed::Forge(b, id, to)),
        (any::<bool>(), 1..30i64).prop_map(|(b, id)| Deed::Delete(b, id)),
        (any::<bool>(), 1..40i64).prop_map(|(b, id)| Deed::Insert(b, id)),
    ];
    prop::collection::vec(deed, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was done by hand, afterwards both hold the same, every row is
    /// what its digest says, and rows that nobody touched are as they were.
    #[test]
    fn after_a_repair_both_are_the_same(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let store = filled(folder, 30).await;
            let before = rows(folder, "a");
            let mut touched = std::collections::BTreeSet::new();
            for deed in &deeds {
                let (on_b, id, sql) = match *deed {
                    Deed::Change(b, id, to) => {
                        (b, id, format!("update accounts set balance = {to} where id = {id}"))
                    }
                    Deed::Forge(b, id, to) => {
                        (b, id, format!("update accounts set _v = {to} where id = {id}"))
                    }
                    Deed::Delete(b, id) => (b, id, format!("delete from accounts where id = {id}")),
                    Deed::Insert(b, id) => (
                        b,
                        id,
                        format!("insert or ignore into accounts values \
                                 ({id}, 'hand {id}', 1, null, 1, 1)"),
                    ),
                };
                touched.insert(format!("row {id} "));
                by_hand(folder, if on_b { "b" } else { "a" }, &sql);
            }
            let found = verify(&store, REPAIR).await;
            assert!(found.is_well(), "{found:#?}");
            let after = rows(folder, "a");
            assert_eq!(after, rows(folder, "b"));
            for row in before {
                let known = touched.iter().any(|start| row.starts_with(start));
                assert!(known || after.contains(&row), "{row}");
            }
            let again = verify(&store, LOOK).await;
            assert_eq!((again.different, again.is_well()), (0, true), "{again:#?}");
            store.close().await;
        });
    }
}
