//! Two SQLite files.

use multi_master::{Db, DbError, OpenError, Outcome, Policy, Tx, fields, params};

use crate::common::{
    MIGRATIONS, add, contents, embedded, errors_touch_no_other_write, logins, open, pay,
    waiting_for_something_else_is_refused, writes_at_once_see_each_other,
};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_when_a_store_is_closed_is_told() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), Policy::Available).await;
        let _ = add(&store, 1, "minji").await;
        let readers: Vec<_> = (0..16)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    while store
                        .read(async move |db: &mut Db| db.query("select 1", params![]).await)
                        .await
                        != Err(DbError::Closed)
                    {}
                })
            })
            .collect();
        let writers: Vec<_> = (0..16)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    while !matches!(pay(&store, 1, 1).await, Outcome::NotSaved(DbError::Closed)) {}
                })
            })
            .collect();
        while store.counts().reads < 50 {
            tokio::task::yield_now().await;
        }
        store.close().await;
        for task in readers.into_iter().chain(writers) {
            tokio::time::timeout(std::time::Duration::from_secs(20), task)
                .await
                .expect("nobody waits for ever")
                .unwrap();
        }
    }
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

#[tokio::test]
async fn writes_that_share_a_commit_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    writes_at_once_see_each_other(&store).await;
    store.close().await;
    assert_eq!(contents(&folder.path().join("a.db")), contents(&folder.path().join("b.db")));
}

#[tokio::test]
async fn an_error_in_one_write_of_a_group_touches_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    errors_touch_no_other_write(&store).await;
    store.close().await;
    assert_eq!(contents(&folder.path().join("a.db")), contents(&folder.path().join("b.db")));
}

#[tokio::test]
async fn a_closure_that_waits_for_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    waiting_for_something_else_is_refused(&store).await;
}

#[tokio::test]
async fn masters_that_differ_are_found_out_by_the_write_that_meets_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Policy::Available).await;
    for id in 0..3 {
        let _ = add(&store, id, &format!("account {id}")).await;
    }
    let b = rusqlite::Connection::open(folder.path().join("b.db")).unwrap();
    b.execute("update accounts set _v = _v + 1 where id = 1", []).unwrap();
    drop(b);
    let writes = futures_util::future::join_all((0..3).map(|id| pay(&store, id, 5))).await;
    assert!(matches!(writes[0], Outcome::Saved { value: 105, .. }), "{writes:?}");
    assert!(matches!(writes[1], Outcome::NotSaved(DbError::Diverged(_))), "{writes:?}");
    assert!(matches!(writes[2], Outcome::Saved { value: 105, .. }), "{writes:?}");
}

#[tokio::test]
async fn migrations_are_taken_up_and_refused_when_they_differ() {
    use multi_master::{Column, Kind, Migration, MultiMaster, Step, Table};
    const NOTES: Step = Step::AddColumn {
        table: "accounts",
        column: Column::nullable("country", Kind::Text { chars_max: 2 }),
    };
    const PHONE: Step = Step::AddColumn {
        table: "accounts",
        column: Column::nullable("phone", Kind::Text { chars_max: 20 }),
    };
    const EDITED: Migration = Migration {
        name: "accounts",
        steps: &[Step::CreateTable(Table {
            name: "accounts",
            key: &["id"],
            columns: &[Column::new("id", Kind::Int)],
            indexes: &[],
        })],
    };
    let folder = tempfile::tempdir().unwrap();
    let config = || embedded(folder.path(), Policy::Available);
    let store = open(folder.path(), Policy::Available).await;
    let _ = add(&store, 1, "minji").await;
    store.close().await;

    let more = [MIGRATIONS[0], Migration { name: "country", steps: &[NOTES] }];
    let store = MultiMaster::open(config(), &more).await.unwrap();
    let set: Outcome<_, DbError> = store
        .write(async move |tx: &mut Tx| {
            let row = tx.update("accounts", params![1i64], fields! {"country" => "KR"}).await?;
            row.get::<String>("country")
        })
        .await;
    assert!(matches!(set.into_result(), Ok(country) if country == "KR"));
    store.close().await;

    let older = MultiMaster::open(config(), MIGRATIONS).await.unwrap_err().to_string();
    assert!(older.contains("`country`, which this program does not know"), "{older}");
    // A column is known by its place.
    let between = [
        MIGRATIONS[0],
        Migration { name: "phone", steps: &[PHONE] },
        Migration { name: "country", steps: &[NOTES] },
    ];
    let between = MultiMaster::open(config(), &between).await.unwrap_err().to_string();
    assert!(between.contains("a new migration goes to the end"), "{between}");
    let edited = [EDITED, Migration { name: "country", steps: &[NOTES] }];
    let edited = MultiMaster::open(config(), &edited).await.unwrap_err().to_string();
    assert!(edited.contains("must not be edited"), "{edited}");
}

/// A row changed after the clock was set back is newer all the same.
#[tokio::test]
async fn versions_go_on_when_the_clock_was_set_back_while_nothing_ran() {
    let folder = tempfile::tempdir().unwrap();
    let clock = stdx::Clock::starting_at(stdx::UnixMicros(1_800_000_000_000_000));
    let open = async || {
        let mut config = embedded(folder.path(), Policy::Available);
        config.clock = clock.clone();
        multi_master::MultiMaster::open(config, MIGRATIONS).await.unwrap()
    };
    let store = open().await;
    let Outcome::Saved { txid: first, .. } = add(&store, 1, "minji").await else { panic!() };
    store.close().await;
    clock.set(stdx::UnixMicros(1_700_000_000_000_000));
    let store = open().await;
    let Outcome::Saved { txid: second, .. } = add(&store, 2, "haejin").await else { panic!() };
    assert!(second > first, "{second} is not after {first}");
    let versions: Vec<i64> = store
        .read(async move |db: &mut Db| {
            let rows = db.query("select _v from accounts order by id", params![]).await?;
            rows.iter().map(|row| row.get::<i64>("_v")).collect::<Result<_, DbError>>()
        })
        .await
        .unwrap();
    assert!(versions[1] > versions[0], "{versions:?}");
    let now = store.read(async |db: &mut Db| db.now().await).await;
    assert_eq!(now, Ok(clock.now()), "files have the clock that they were opened with");
    store.close().await;
}

#[tokio::test]
async fn what_can_not_be_opened_says_what_to_do() {
    use multi_master::{Config, MasterConfig, MasterName, MultiMaster};
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.db"),
        "this is no database, but it is long enough to be one",
    )
    .unwrap();
    let broken = MultiMaster::open(embedded(folder.path(), Policy::Available), MIGRATIONS).await;
    let broken = broken.unwrap_err().to_string();
    assert!(broken.contains("master `a`") && broken.contains("not a database"), "{broken}");

    // A port on which something answers that is no database.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = listener.accept().unwrap();
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    });
    let folder = tempfile::tempdir().unwrap();
    let master = MasterConfig {
        name: MasterName("a".to_owned()),
        url: format!("mysql://reader:secret@127.0.0.1:{port}/books"),
    };
    let mut config =
        Config::new(vec![master], Policy::Available, folder.path().join("witness.json"));
    config.limits.connect = std::time::Duration::from_millis(500);
    let no_database = MultiMaster::open(config, MIGRATIONS).await.unwrap_err().to_string();
    assert!(no_database.contains("master `a`"), "{no_database}");
    assert!(no_database.contains("no MariaDB or MySQL server"), "{no_database}");
    assert!(!no_database.contains("secret"), "{no_database}");
    web.join().unwrap();
}
