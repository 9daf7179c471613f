use proptest::prelude::*;
use stdx::IdSource;
use sync::engine::Stored;
use sync::strategies::persists;

use super::*;

fn id<I: stdx::ids::Id>(number: u8) -> I {
    I::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

fn session() -> Session {
    Session::new(id(100), id(101))
}

/// All that is in the file, as the engine and the person get it.
fn read(store: &mut Store, keys: impl Iterator<Item = RecordKey>) -> Stored {
    let all = store.read(|store| {
        let mut stored = Stored::new(store.session()?);
        for key in keys {
            if let Some(saved) = store.record(&key)? {
                stored.records.insert(key, saved);
            }
        }
        let (operations, known) = store.queue()?;
        for queued in operations {
            stored.operations.insert(queued.operation.id, queued);
        }
        assert_eq!(known, stored.known());
        for logged in store.log()? {
            stored.log.insert(logged.settled.0.cast_unsigned(), logged);
        }
        let versions =
            stored.records.values().filter_map(|saved| Some(saved.known.as_ref()?.version));
        for after in versions.chain([Version::NONE]) {
            assert_eq!(store.told_after(after)?, stored.told_after(after));
        }
        for table in ["memos", "shelf"] {
            let of = |(key, saved): (&RecordKey, &Saved)| {
                Some((key.id, saved.shown.clone().filter(|_| *key.table == *table)?))
            };
            let shown: Vec<(RecordId, Fields)> = stored.records.iter().filter_map(of).collect();
            assert_eq!(store.shown(table)?, shown);
        }
        Ok(stored)
    });
    all.unwrap()
}

fn all_keys() -> impl Iterator<Item = RecordKey> {
    ["memos", "shelf"].into_iter().flat_map(|table| {
        (0..6).map(move |number| RecordKey { table: table.into(), id: id(number) })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is written is read again, by this process and by the next one, and what was
    /// not committed was never there.
    #[test]
    fn a_file_is_what_memory_would_be(
        steps in prop::collection::vec(
            (prop::collection::vec(persists(session().account), 1..5), 0u8..5),
            0..25,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("folder/device.db");
        let mut store = Store::open(&path, &session()).unwrap();
        let mut model = Stored::new(session());
        for (step, then) in steps {
            let writing = store.begin().unwrap();
            for persist in &step {
                writing.write(persist).unwrap();
            }
            if then == 0 {
                drop(writing);
            } else {
                writing.commit().unwrap();
                for persist in step {
                    model.write(persist);
                }
            }
            if then == 1 {
                store = Store::open(&path, &session()).unwrap();
            }
        }
        prop_assert_eq!(read(&mut store, all_keys()), model);
    }
}

#[test]
fn a_file_of_somebody_else_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let open = |path: &Path, session: &Session| Store::open(path, session).map(drop);

    std::fs::write(path("text"), "my diary, which is no database at all, and is longer").unwrap();
    let before = std::fs::read(path("text")).unwrap();
    assert!(matches!(open(&path("text"), &session()), Err(StoreError::NotOurs { .. })));
    assert_eq!(std::fs::read(path("text")).unwrap(), before);

    let other = Connection::open(path("other.db")).unwrap();
    other.execute_batch("create table t (a); insert into t values (1)").unwrap();
    drop(other);
    let before = std::fs::read(path("other.db")).unwrap();
    assert!(matches!(open(&path("other.db"), &session()), Err(StoreError::NotOurs { .. })));
    assert_eq!(std::fs::read(path("other.db")).unwrap(), before);

    open(&path("ours.db"), &session()).unwrap();
    open(&path("ours.db"), &session()).unwrap();
    let other: AccountId = IdSource::system().next();
    let error = open(&path("ours.db"), &Session { account: other, ..session() });
    assert!(matches!(error, Err(StoreError::OtherAccount { ours, .. }) if ours == other));

    let ours = Connection::open(path("ours.db")).unwrap();
    ours.pragma_update(None, "user_version", FORM + 1).unwrap();
    assert!(matches!(open(&path("ours.db"), &session()), Err(StoreError::Newer { form: 2, .. })));
}

#[test]
fn a_row_that_cant_be_read_is_named_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("device.db");
    let mut store = Store::open(&path, &session()).unwrap();
    let sql =
        "insert into operations values (x'00112233445566778899aabbccddeeff', 'memos', x'00', '{')";
    store.connection.execute_batch(sql).unwrap();
    let read = |store: &Writing<'_>| store.queue().map(drop);
    let error = store.read(read).unwrap_err().to_string();
    assert!(error.contains("an operation can't be read"), "{error}");
    let count = store.connection.query_row("select count(*) from operations", [], |row| row.get(0));
    assert_eq!(count, Ok(1));
}
