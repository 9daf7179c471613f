//! Backups, what is made of them, and moving, on files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use multi_master::archive::{self, ArchiveError, Archived, Snapshot};
use multi_master::{
    Column, Config, DbError, Kind, MasterName, Migration, MultiMaster, Outcome, Policy, Step, Tx,
    params,
};

use crate::common::{MIGRATIONS, add, embedded, logins, open, pay};

/// Rows, tombstones and conflicts of a SQLite master or a backup.
pub(crate) fn rows(file: &Path) -> Vec<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    let mut all = Vec::new();
    for sql in [
        "select id || ' ' || login || ' ' || balance || ' ' || coalesce(note, '-') || ' ' || _v \
         || ' ' || _d from accounts order by id",
        "select tbl || ' ' || hex(k) || ' ' || v from mm_tombstones order by tbl, k",
        "select hex(txid) || ' ' || reason || ' ' || hex(ops) || ' ' || found_at from \
         mm_conflicts order by txid",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.extend(rows.map(Result::unwrap));
    }
    all
}

fn a() -> MasterName {
    MasterName("a".to_owned())
}

pub(crate) async fn restore(
    file: &Path,
    into: &Config,
    migrations: &[Migration],
) -> Result<Archived, ArchiveError> {
    archive::restore(Snapshot::of_backup(file, migrations).await?, into, |_| {}).await
}

async fn snapshot(config: &Config) -> Snapshot {
    Snapshot::of_master(config, &a(), MIGRATIONS).await.unwrap()
}

async fn some(store: &MultiMaster, count: i64) {
    for id in 0..count {
        let _ = add(store, id, &format!("account {id}")).await;
    }
    let gone: Outcome<bool, DbError> =
        store.write(async move |tx: &mut Tx| tx.delete("accounts", params![1i64]).await).await;
    assert!(matches!(gone.into_result(), Ok(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_one_moment_and_makes_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
    std::fs::create_dir(&new).unwrap();
    let config = embedded(&old, Policy::Available);
    let store = MultiMaster::open(config.clone(), MIGRATIONS).await.unwrap();
    some(&store, 60).await;
    let conflict = rusqlite::Connection::open(old.join("a.db")).unwrap();
    let sql =
        "insert into mm_conflicts values (x'018cc251f400721ebe859cb798a208d9', 'why', x'00', 7)";
    conflict.execute(sql, []).unwrap();
    drop(conflict);
    // Every transfer moves from one account to the next: the total stays.
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let load = tokio::spawn({
        let (store, stop, acknowledged) =
            (store.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
        async move {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let done: Outcome<(), DbError> = store
                    .write(async move |tx: &mut Tx| {
                        for (id, amount) in [(2 + round % 50, -1), (3 + round % 50, 1)] {
                            let row = tx.get("accounts", params![id]).await?.expect("it is there");
                            let balance = row.get::<i64>("balance")? + amount;
                            let fields = multi_master::fields! {"balance" => balance};
                            tx.update("accounts", params![id], fields).await?;
                        }
                        let note = multi_master::fields! {"note" => format!("{round}")};
                        tx.update("accounts", params![0i64], note).await.map(drop)
                    })
                    .await;
                assert!(matches!(done, Outcome::Saved { .. }), "{done:?}");
                acknowledged.store(round, Ordering::SeqCst);
            }
        }
    });
    while acknowledged.load(Ordering::SeqCst) < 5 {
        tokio::task::yield_now().await;
    }
    let file = folder.path().join("backup");
    let before = acknowledged.load(Ordering::SeqCst);
    let snapshot = snapshot(&config).await;
    let during = acknowledged.load(Ordering::SeqCst);
    assert_eq!(snapshot.epoch(), store.epoch());
    while acknowledged.load(Ordering::SeqCst) < during + 5 {
        tokio::task::yield_now().await;
    }
    let archived = snapshot.back_up(&file, |_| {}).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    store.close().await;

    assert_eq!((archived.rows, archived.tables, archived.altered), (59 + 1 + 1, 1, 0));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "one file, the old and the new directory: {left:?}");
    let there = Snapshot::of_master(&config, &a(), MIGRATIONS).await.unwrap();
    let twice = there.back_up(&file, |_| {}).await.unwrap_err();
    assert!(matches!(twice, ArchiveError::FileExists(_)), "{twice}");

    let connection = rusqlite::Connection::open(&file).unwrap();
    let total: i64 =
        connection.query_row("select sum(balance) from accounts", [], |row| row.get(0)).unwrap();
    assert_eq!(total, 59 * 100, "half a transfer is in it");
    let note: String =
        connection.query_row("select note from accounts where id = 0", [], |r| r.get(0)).unwrap();
    let at: i64 = note.parse().unwrap();
    // One more may have been committed, and not acknowledged yet.
    assert!(at >= before && at <= during + 1, "{before} {at} {during}");
    drop(connection);

    let verified = archive::verify_backup(&file, MIGRATIONS, |_| {}).await.unwrap();
    assert_eq!(verified.archived, archived);
    let bytes = std::fs::read(&file).unwrap();
    let into = embedded(&new, Policy::Available);
    assert_eq!(restore(&file, &into, MIGRATIONS).await.unwrap(), archived);
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "a backup is only read");
    for master in ["a.db", "b.db"] {
        assert_eq!(rows(&new.join(master)), rows(&file));
    }
    let store = MultiMaster::open(into, MIGRATIONS).await.unwrap();
    store.wait_until_whole().await;
    assert!(store.copies().is_empty(), "both are whole at once");
    assert_eq!(store.epoch(), verified.epoch + 1);
    assert_eq!(logins(&store).await.len(), 59);
    // Versions go on from those of the backup.
    assert!(matches!(pay(&store, 5, 1).await, Outcome::Saved { .. }));
}

#[tokio::test]
async fn nothing_is_restored_over_anything() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let store = open(&one, Policy::Available).await;
    some(&store, 5).await;
    store.close().await;
    let file = folder.path().join("backup");
    let config = embedded(&one, Policy::Available);
    snapshot(&config).await.back_up(&file, |_| {}).await.unwrap();
    let before = rows(&one.join("a.db"));
    let error = restore(&file, &config, MIGRATIONS).await.unwrap_err();
    assert!(matches!(error, ArchiveError::StoreExists(_)), "{error}");
    // And where only the witness is gone.
    std::fs::remove_file(one.join("witness.json")).unwrap();
    let error = restore(&file, &config, MIGRATIONS).await.unwrap_err().to_string();
    assert!(error.contains("master `a` is not empty (it is a master of the set "), "{error}");
    assert_eq!(rows(&one.join("a.db")), before);
    // A database of somebody else.
    std::fs::create_dir(&two).unwrap();
    let other = rusqlite::Connection::open(two.join("b.db")).unwrap();
    other.execute_batch("create table songs (id int)").unwrap();
    let config = embedded(&two, Policy::Available);
    let error = restore(&file, &config, MIGRATIONS).await.unwrap_err().to_string();
    assert!(error.contains("master `b` is not empty (it has the table `songs`)"), "{error}");
    assert!(!two.join("witness.json").exists());
    other.execute_batch("drop table songs").unwrap();
    drop(other);
    restore(&file, &config, MIGRATIONS).await.unwrap();
    assert_eq!(rows(&two.join("b.db")), before);
}

#[tokio::test]
async fn a_backup_that_is_cut_or_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("one"), Policy::Available).await;
    some(&store, 400).await;
    store.close().await;
    let whole = folder.path().join("backup");
    let config = embedded(&folder.path().join("one"), Policy::Available);
    snapshot(&config).await.back_up(&whole, |_| {}).await.unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    let check = async |what: &str, bytes: &[u8]| {
        let file = folder.path().join("spoiled");
        std::fs::write(&file, bytes).unwrap();
        let verified = archive::verify_backup(&file, MIGRATIONS, |_| {}).await.unwrap_err();
        assert!(matches!(verified, ArchiveError::NoBackup { .. }), "{what}: {verified}");
        let new = tempfile::tempdir().unwrap();
        let into = embedded(new.path(), Policy::Available);
        let error = restore(&file, &into, MIGRATIONS).await.unwrap_err();
        assert!(matches!(error, ArchiveError::NoBackup { .. }), "{what}: {error}");
        // What was begun is no store, and is taken away by the next attempt.
        assert!(!new.path().join("witness.json").exists(), "{what}");
        if what == "changed" {
            let error = MultiMaster::open(into.clone(), MIGRATIONS).await.unwrap_err().to_string();
            assert!(error.contains("Do again what filled them"), "{error}");
        }
        restore(&whole, &into, MIGRATIONS).await.unwrap();
        assert_eq!(rows(&new.path().join("b.db")), rows(&whole));
    };
    for end in [bytes.len() / 2, bytes.len() - 4096, bytes.len() - 1] {
        check("cut", &bytes[..end]).await;
    }
    let mut changed = bytes.clone();
    let at = changed.windows(11).position(|bytes| bytes == b"account 399").unwrap();
    changed[at] = b'A';
    check("spoiled", &changed).await;
    let by_hand = folder.path().join("by hand");
    std::fs::write(&by_hand, &bytes).unwrap();
    let connection = rusqlite::Connection::open(&by_hand).unwrap();
    connection.execute("update accounts set balance = 7 where id = 399", []).unwrap();
    drop(connection);
    check("changed", &std::fs::read(&by_hand).unwrap()).await;

    let [empty, text, unfinished] =
        ["empty", "text", "unfinished"].map(|name| folder.path().join(name));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&text, "this is no database, but long enough to be one of them").unwrap();
    std::fs::write(&unfinished, &bytes).unwrap();
    let connection = rusqlite::Connection::open(&unfinished).unwrap();
    connection.execute_batch("drop table mm_backup").unwrap();
    drop(connection);
    for file in [&empty, &text, &unfinished, &folder.path().join("one/a.db")] {
        let error = archive::verify_backup(file, MIGRATIONS, |_| {}).await.unwrap_err();
        assert!(matches!(error, ArchiveError::NoBackup { .. }), "{error}");
    }
}

const COUNTRY: Migration = Migration {
    name: "country",
    steps: &[Step::AddColumn {
        table: "accounts",
        column: Column::nullable("country", Kind::Text { chars_max: 2 }),
    }],
};

#[tokio::test]
async fn a_backup_of_a_newer_program_is_refused_and_of_an_older_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let config = embedded(&folder.path().join("one"), Policy::Available);
    let store = MultiMaster::open(config.clone(), MIGRATIONS).await.unwrap();
    some(&store, 5).await;
    store.close().await;
    let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
    snapshot(&config).await.back_up(&old, |_| {}).await.unwrap();
    let newer = [MIGRATIONS[0], COUNTRY];
    MultiMaster::open(config.clone(), &newer).await.unwrap().close().await;
    let later = Snapshot::of_master(&config, &a(), &newer).await.unwrap();
    later.back_up(&new, |_| {}).await.unwrap();

    for error in [
        archive::verify_backup(&new, MIGRATIONS, |_| {}).await.unwrap_err(),
        restore(&new, &embedded(&folder.path().join("two"), Policy::All), MIGRATIONS)
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, ArchiveError::OtherProgram { .. }), "{error}");
        assert!(error.to_string().contains("`country`, which this program does not know"));
    }
    assert!(!folder.path().join("two").exists(), "it is found out first");
    let format = rusqlite::Connection::open(&new).unwrap();
    format.execute("update mm_backup set val = '2' where k = 'format'", []).unwrap();
    drop(format);
    let error = archive::verify_backup(&new, &newer, |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("has the format 2"), "{error}");

    let into = embedded(&folder.path().join("three"), Policy::All);
    std::fs::create_dir(folder.path().join("three")).unwrap();
    restore(&old, &into, &newer).await.unwrap();
    let store = MultiMaster::open(into, &newer).await.unwrap();
    let set: Outcome<_, DbError> = store
        .write(async move |tx: &mut Tx| {
            let fields = multi_master::fields! {"country" => "KR"};
            tx.update("accounts", params![3i64], fields).await.map(drop)
        })
        .await;
    assert!(matches!(set, Outcome::Saved { .. }), "{set:?}");
}

/// As a master, a backup would be emptied to be filled.
#[tokio::test]
async fn a_server_does_not_take_a_backup_for_a_master() {
    let folder = tempfile::tempdir().unwrap();
    let config = embedded(&folder.path().join("one"), Policy::Available);
    let store = MultiMaster::open(config.clone(), MIGRATIONS).await.unwrap();
    some(&store, 5).await;
    let file = folder.path().join("backup");
    snapshot(&config).await.back_up(&file, |_| {}).await.unwrap();
    store.close().await;
    let before = rows(&file);
    std::fs::copy(&file, folder.path().join("one/b.db")).unwrap();
    for end in ["-wal", "-shm"] {
        drop(std::fs::remove_file(folder.path().join(format!("one/b.db{end}"))));
    }
    let error = MultiMaster::open(config, MIGRATIONS).await.unwrap_err().to_string();
    assert!(error.contains("endpaper restore makes a store of it"), "{error}");
    assert_eq!(rows(&folder.path().join("one/b.db")), before);
}

#[tokio::test]
async fn a_store_moves_to_other_files_with_the_same_witness() {
    let folder = tempfile::tempdir().unwrap();
    let from = embedded(folder.path(), Policy::Available);
    let store = MultiMaster::open(from.clone(), MIGRATIONS).await.unwrap();
    some(&store, 20).await;
    let mut into = from.clone();
    for master in &mut into.masters {
        master.url = master.url.replace(".db", "-new.db");
        master.name.0.push_str("-new");
    }
    let open = archive::move_store(&from, &into, MIGRATIONS, |_| {}).await.unwrap_err();
    assert!(open.to_string().contains("in use by another process"), "{open}");
    store.close().await;
    drop(store);
    let same = archive::move_store(&from, &from, MIGRATIONS, |_| {}).await.unwrap_err();
    assert!(matches!(same, ArchiveError::NotEmpty { .. }), "{same}");
    let archived = archive::move_store(&from, &into, MIGRATIONS, |_| {}).await.unwrap();
    assert_eq!(archived.rows, 19 + 1);
    for master in ["a-new.db", "b-new.db"] {
        assert_eq!(rows(&folder.path().join(master)), rows(&folder.path().join("a.db")));
    }
    let store = MultiMaster::open(into.clone(), MIGRATIONS).await.unwrap();
    store.wait_until_whole().await;
    assert!(matches!(pay(&store, 5, 1).await, Outcome::Saved { .. }));
    store.close().await;
    drop(store);
    // The old masters and the new ones don't mix.
    let error = MultiMaster::open(from, MIGRATIONS).await.unwrap_err().to_string();
    assert!(error.contains("belongs to another set of masters"), "{error}");
    assert!(folder.path().join("witness.json.before-move").exists());
}

#[tokio::test]
async fn rows_that_somebody_changed_are_counted_and_kept_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let config = embedded(folder.path(), Policy::Available);
    let store = MultiMaster::open(config.clone(), MIGRATIONS).await.unwrap();
    some(&store, 5).await;
    store.close().await;
    let by_hand = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    by_hand.execute("update accounts set balance = 7 where id = 3", []).unwrap();
    drop(by_hand);
    let file = folder.path().join("backup");
    let archived = snapshot(&config).await.back_up(&file, |_| {}).await.unwrap();
    assert_eq!(archived.altered, 1);
    assert_eq!(rows(&file), rows(&folder.path().join("a.db")));
    let verified = archive::verify_backup(&file, MIGRATIONS, |_| {}).await.unwrap();
    assert_eq!(verified.archived.altered, 1);
}
