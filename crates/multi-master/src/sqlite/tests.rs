//! Commits that fail on one file or on both.

use std::path::Path;
use std::time::Duration;

use super::broken::{Broken, break_next};
use crate::job::Verdict;
use crate::shared::{Command, Failed};
use crate::{
    Column, Config, Db, DbError, Kind, MasterState, Migration, MultiMaster, Outcome, Policy,
    QueueError, QueueItem, Retried, Step, Table, Tx, Verify, fields, params,
};

const MIGRATIONS: &[Migration] = &[Migration {
    name: "notes",
    steps: &[Step::CreateTable(Table {
        name: "notes",
        key: &["id"],
        columns: &[Column::new("id", Kind::Int)],
        indexes: &[],
    })],
}];

async fn open(folder: &Path, policy: Policy) -> MultiMaster {
    let mut config = Config::embedded(folder, policy);
    config.limits.probe = Duration::from_millis(20);
    MultiMaster::open(config, MIGRATIONS).await.unwrap()
}

async fn note(store: &MultiMaster, id: i64) -> Outcome<(), DbError> {
    store.write(async move |tx: &mut Tx| tx.insert("notes", fields! {"id" => id}).await).await
}

async fn has(store: &MultiMaster, id: i64) -> bool {
    let found = store.read(async move |db: &mut Db| db.get("notes", params![id]).await).await;
    found.unwrap().is_some()
}

/// What the caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It is saved, and these masters are owed it.
    Owed(&'static [&'static str]),
    InDoubt,
}

/// Breaks commits of one write, and says what the caller is told and whether
/// the row is there when both masters are back.
async fn check(policy: Policy, broken: [Option<Broken>; 2], told: Told, there: bool) {
    let case = format!("{policy:?}, {broken:?}");
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), policy).await;
    assert!(matches!(note(&store, 1).await, Outcome::Saved { .. }), "{case}");
    for (name, how) in ["a.db", "b.db"].into_iter().zip(broken) {
        if let Some(how) = how {
            break_next(&folder.path().join(name), how);
        }
    }
    // Writes that share the commit, and one that only reads and one that is
    // refused beside them.
    let reads = store.write(async |tx: &mut Tx| tx.get("notes", params![1i64]).await.map(drop));
    let refused = note(&store, 1);
    let (written, second, read, refused) =
        tokio::join!(note(&store, 2), note(&store, 3), reads, refused);
    let heard = |outcome: &Outcome<(), DbError>| match outcome {
        Outcome::Owed { owed, .. } => {
            let owed: Vec<&str> = owed.iter().map(|name| name.0.as_str()).collect();
            format!("owed {owed:?}")
        }
        Outcome::NotSaved(_) => "not saved".to_owned(),
        Outcome::InDoubt(_) => "in doubt".to_owned(),
        Outcome::Saved { .. } => "saved".to_owned(),
    };
    let expected = match told {
        Told::Owed(owed) => format!("owed {owed:?}"),
        Told::InDoubt => "in doubt".to_owned(),
    };
    assert_eq!(heard(&written), expected, "{case}");
    assert!(!matches!(read, Outcome::InDoubt(_)), "{case}: it wrote nothing");
    assert!(matches!(refused, Outcome::NotSaved(_)), "{case}");
    let txid = match (&written, &second) {
        (Outcome::Owed { txid, .. } | Outcome::InDoubt(txid), _) => Some(*txid),
        _ => None,
    };
    store.wait_until_whole().await;
    for _ in 0..3 {
        assert_eq!(has(&store, 2).await, there, "{case}");
    }
    if let Some(txid) = txid {
        assert_eq!(store.lookup(txid).await, Some(there), "{case}");
    }
    let found = store.verify(Verify::default(), |_| {}).await.unwrap();
    assert!(found.is_well() && found.different == 0, "{case}: {found:?}");
    assert!(matches!(note(&store, 4).await, Outcome::Saved { .. }), "{case}");
    store.close().await;
}

#[tokio::test]
async fn one_master_that_has_it_is_enough() {
    use Broken::{Done, Undone};
    let (a, b) = (Told::Owed(&["a"]), Told::Owed(&["b"]));
    for (broken, told, there) in [
        ([None, Some(Undone)], b, true),
        ([None, Some(Done)], b, true),
        ([Some(Undone), None], a, true),
        ([Some(Done), None], a, true),
        ([Some(Undone), Some(Undone)], Told::InDoubt, false),
        ([Some(Done), Some(Done)], Told::InDoubt, true),
        ([Some(Undone), Some(Done)], Told::InDoubt, true),
        ([Some(Done), Some(Undone)], Told::InDoubt, true),
    ] {
        check(Policy::Available, broken, told, there).await;
        check(Policy::All, broken, told, there).await;
    }
}

/// The only master that commits was taken out while the group ran: another one
/// may lead without the write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_master_has_that_was_taken_out_is_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    assert!(matches!(note(&store, 1).await, Outcome::Saved { .. }));
    let (shared, witness) = (store.shared(), folder.path().join("witness.json"));
    let file = folder.path().join("a.db");
    let written: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            tx.insert("notes", fields! {"id" => 2i64}).await?;
            let (done, _) = tokio::sync::oneshot::channel();
            let fault = Failed::Master("test".to_owned());
            let generation = shared.view().generation;
            shared.supervisor.send(Command::Failed { master: 1, generation, fault, done }).unwrap();
            // The witness hears of it while this write holds the primary.
            while !std::fs::read_to_string(&witness).unwrap().contains(r#""serving":["a"]"#) {
                std::thread::yield_now();
            }
            break_next(&file, Broken::Undone);
            Ok(())
        })
        .await;
    assert!(matches!(written, Outcome::InDoubt(_)), "{written:?}");
    store.wait_until(|masters| masters.iter().all(|one| one.state == MasterState::Live)).await;
    let found = store.verify(Verify::default(), |_| {}).await.unwrap();
    assert!(found.is_well() && found.different == 0, "{found:?}");
    store.close().await;
}

/// What could not be told is looked up when the master is back that may know,
/// and at once where one that serves does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_doubt_leaves_the_queue_when_somebody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    let Outcome::Saved { txid: saved, .. } = note(&store, 1).await else { panic!() };
    let b = lab::TakenAway::take(&folder.path().join("b.db")).unwrap();
    store.wait_until(|masters| masters[1].state == MasterState::Down).await;
    let [lost, dropped] = [0; 2].map(|_| store.shared().new_txid());
    for txid in [saved, lost, dropped] {
        store.shared().tally(&Verdict::InDoubt(txid));
    }
    assert_eq!(store.counts().in_doubt, 3);
    let stays =
        |txid| store.queue().in_doubt.iter().any(|one| one.txid == txid && one.attempts > 0);
    while store.queue().in_doubt.iter().any(|one| one.txid == saved) || !stays(lost) {
        tokio::task::yield_now().await;
    }
    let item = QueueItem::Transaction;
    let asked = store.retry(&item(lost)).await.unwrap();
    assert_eq!(asked, Retried::StillInDoubt("b may have it, and can't be asked".to_owned()));
    store.drop_from_queue(&item(dropped), "it was paid back").await.unwrap();
    let again = store.drop_from_queue(&item(dropped), "twice").await;
    assert_eq!(again, Err(QueueError::NotThere(item(dropped))));
    let a = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    let reason: String =
        a.query_row("select reason from mm_conflicts", [], |row| row.get(0)).unwrap();
    assert_eq!(reason, "in doubt, and dropped by an operator: it was paid back");

    b.lose().unwrap();
    store.wait_until_whole().await;
    while !store.queue().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.lookup(lost).await, Some(false));
    store.close().await;
}
