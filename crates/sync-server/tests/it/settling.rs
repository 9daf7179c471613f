//! On two SQLite files.

use std::time::Duration;

use futures_util::future::join_all;
use multi_master::archive::{self, Snapshot};
use multi_master::{Config, Db, DbError, Policy, Tx, fields, id, params};
use sync::inbox;
use sync::merge::{Outcome, REVISIONS, Revision};
use sync::model::{Fields, RecordKey, Value, Version};
use sync::operation::{Action, Operation};
use sync::wire::{Pull, PullAnswer};
use sync_server::{
    CHANGES_BYTES_MAX, DEVICES_MAX, Note, OPERATIONS_MAX, REQUESTS_MAX, SyncError, note,
};

use crate::common::{STRANGE, Server, applied, code, content, migrations};

#[tokio::test]
async fn what_comes_again_is_answered_as_the_first_time_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut device = server.device(server.ids.next());
    let (one, two) = (server.key(), server.key());
    let operations = vec![device.create(&one, "첫 문장"), device.create(&two, "b")];
    let first = device.push(operations.clone()).await.unwrap();
    assert_eq!(first.head, Version(2));
    assert_eq!(first.sequence, 2);
    let again = device.push(operations.clone()).await.unwrap();
    assert_eq!((&again.answers, again.head), (&first.answers, Version(2)));
    // In another order, in other requests, and after the server was stopped.
    server.store.close().await;
    let server = Server::embedded(folder.path()).await;
    device.server = server.clone();
    for at in [1, 0] {
        let again = device.push(vec![operations[at].clone()]).await.unwrap();
        assert_eq!((&again.answers[0], again.head), (&first.answers[at], Version(2)));
    }
    // With another content it is another operation.
    let mut changed = operations[0].clone();
    changed.action = Action::Create { fields: content("something else") };
    assert_eq!(code(&device.outcomes(vec![changed]).await[0]), inbox::CHANGED);
    // What the device has the answer of need not come again.
    device.settled = 2;
    let late = device.outcomes(vec![operations[0].clone()]).await;
    assert_eq!(late, [applied(1)], "it is remembered until its record is written again");
    let more = Action::Update { fields: content("첫 문장은"), bases: content("첫 문장") };
    let more = device.operation(&one, more, 1);
    assert_eq!(device.outcomes(vec![more]).await, [applied(3)]);
    assert_eq!(code(&device.outcomes(vec![operations[0].clone()]).await[0]), inbox::USED);
    let told = device.pull(0, 10).await.unwrap();
    assert_eq!(told.changes.len(), 2);
    assert_eq!(told.changes[1].fields, Some(content("첫 문장은")));
}

#[tokio::test]
async fn what_is_refused_spoils_no_other_and_is_refused_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut stranger = server.device(server.ids.next());
    let (taken, mut device) = (server.key(), server.device(server.ids.next()));
    assert_eq!(stranger.create(&taken, "mine").sequence, 1);
    let theirs = stranger.create(&taken, "mine");
    assert_eq!(stranger.outcomes(vec![theirs]).await, [applied(1)]);

    let keys: Vec<RecordKey> = (0..7).map(|_| server.key()).collect();
    let revision = RecordKey { table: REVISIONS.name.into(), id: server.ids.next() };
    let nowhere = RecordKey { table: "nowhere".into(), id: server.ids.next() };
    let create = |fields: Fields| Action::Create { fields };
    let operations = vec![
        device.create(&keys[0], "a"),
        device.operation(&keys[1], create(Fields::from([("page", 0)])), 0),
        device.operation(&keys[2], create(Fields::from([("colour", 1)])), 0),
        // The store alone finds these two wrong.
        device.create(&taken, "not mine"),
        device.create(&keys[3], &"long".repeat(50)),
        device.operation(&nowhere, create(content("a")), 0),
        device.operation(&revision, create(Fields::new()), 0),
        device.create(&keys[4], "b"),
    ];
    let outcomes = device.outcomes(operations.clone()).await;
    assert_eq!((&outcomes[0], &outcomes[7]), (&applied(1), &applied(2)));
    let codes: Vec<&str> = outcomes[1..7].iter().map(code).collect();
    let expected =
        ["PAGE", "NO_SUCH_FIELD", "ID_TAKEN", "NOT_STORABLE", "NO_SUCH_TABLE", "READ_ONLY"];
    assert_eq!(codes, expected);
    assert_eq!(device.outcomes(operations).await, outcomes);
    assert_eq!(device.pull(0, 10).await.unwrap().changes.len(), 2);
    // Cured, under a new id.
    let cured = device.operation(&keys[1], create(Fields::from([("page", 3)])), 0);
    assert_eq!(device.outcomes(vec![cured]).await, [applied(3)]);
    // Nobody else's records are told or touched.
    let theirs = stranger.pull(0, 10).await.unwrap();
    assert_eq!(theirs.changes[0].fields, Some(content("mine")));
    let delete = device.operation(&taken, Action::Delete, 0);
    device.outcomes(vec![delete]).await;
    assert_eq!(stranger.pull(0, 10).await.unwrap().changes[0].fields, Some(content("mine")));
}

/// What an operator has to mend is no reason to keep anything else waiting.
#[tokio::test]
async fn what_cannot_be_settled_is_left_out_and_the_others_are_settled() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut device = server.device(server.ids.next());
    let keys: Vec<RecordKey> = (0..4).map(|_| server.key()).collect();
    let created = keys.iter().map(|key| device.create(key, "a")).collect();
    assert_eq!(device.outcomes(created).await.len(), 4);
    // What is kept of two of them can't be read: one of them is deleted long ago.
    let delete = device.operation(&keys[3], Action::Delete, 4);
    assert_eq!(device.outcomes(vec![delete]).await, [applied(5)]);
    let (account, spoilt) = (device.account, [keys[1].clone(), keys[3].clone()]);
    let spoil = server.store.write(async move |tx: &mut Tx| {
        for key in &spoilt {
            let of = params![id(account), &*key.table, id(key.id)];
            let row = fields! {"state" => vec![9_u8, 9]};
            tx.update("sync_records", of, row).await?;
        }
        Ok::<(), DbError>(())
    });
    spoil.await.into_result().unwrap();
    server.clock.advance(Duration::from_hours(100 * 24));
    let updates: Vec<Operation> = keys[..3]
        .iter()
        .map(|key| {
            let (fields, bases) = (content("b"), content("a"));
            device.operation(key, Action::Update { fields, bases }, 5)
        })
        .collect();
    let answer = device.push(updates.clone()).await.unwrap();
    let answered: Vec<_> = answer.answers.iter().map(|answer| answer.operation).collect();
    assert_eq!(answered, [updates[0].id, updates[2].id]);
    assert_eq!(device.pull(5, 10).await.unwrap().changes.len(), 2, "what is settled is told");
    let alone = device.push(vec![updates[1].clone()]).await.unwrap_err();
    assert!(alone.to_string().contains("can't be read: it has the form 9"), "{alone}");
}

#[tokio::test]
async fn what_cannot_be_read_keeps_no_other_from_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut device = server.device(server.ids.next());
    let keys: Vec<RecordKey> = (0..3).map(|_| server.key()).collect();
    let contents = ["a", STRANGE, "b"];
    let created =
        keys.iter().zip(contents).map(|(key, content)| device.create(key, content)).collect();
    assert_eq!(device.outcomes(created).await.len(), 3);
    let told = |answer: PullAnswer| {
        let changes = answer.changes.into_iter().map(|change| (change.key, change.fields));
        (changes.collect::<Vec<_>>(), answer.cursor.0, answer.more)
    };
    let first = (keys[0].clone(), Some(content("a")));
    let last = (keys[2].clone(), Some(content("b")));
    let all = told(device.pull(0, 10).await.unwrap());
    assert_eq!(all, (vec![first.clone(), last.clone()], 3, false));
    assert_eq!(told(device.pull(0, 2).await.unwrap()), (vec![first], 2, true));
    assert_eq!(told(device.pull(1, 1).await.unwrap()), (vec![], 2, true));
    assert_eq!(told(device.pull(2, 1).await.unwrap()), (vec![last], 3, false));
    // Who pulls all anew would take it for gone.
    let anew = Pull { anew: Some(Version::NONE), ..device.pull_of(0, 10) };
    let refused = server.sync.pull(device.account, anew).await.unwrap_err();
    assert!(refused.to_string().contains("can't be read"), "{refused}");
}

#[tokio::test]
async fn of_two_operations_of_one_record_the_second_waits_for_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut device = server.device(server.ids.next());
    let key = server.key();
    let edit = Action::Update { fields: content("b"), bases: content("a") };
    let both = vec![device.create(&key, "a"), device.operation(&key, edit, 1)];
    for _ in 0..2 {
        assert_eq!(device.outcomes(both.clone()).await, [applied(1)]);
    }
    assert_eq!(device.outcomes(both[1..].to_vec()).await, [applied(2)]);
    // Also where something else has them settled one by one.
    let key = server.key();
    let edit = Action::Update { fields: content("b"), bases: content("a") };
    let too_long = device.create(&server.key(), &"long".repeat(50));
    let three = vec![device.create(&key, "a"), too_long, device.operation(&key, edit, 3)];
    let outcomes = device.outcomes(three).await;
    assert_eq!(
        (outcomes.len(), &outcomes[0], code(&outcomes[1])),
        (2, &applied(3), "NOT_STORABLE")
    );
    // What a refusal says is bounded.
    let long = "x".repeat(10_000);
    let odd = Action::Create { fields: Fields::from([(long.as_str(), 1)]) };
    let odd = device.operation(&server.key(), odd, 0);
    let Outcome::Refused { message, .. } = &device.outcomes(vec![odd]).await[0] else { panic!() };
    assert!(message.len() < 400);
}

#[tokio::test]
async fn two_devices_are_merged_and_what_loses_its_place_is_a_revision_for_both() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let account = server.ids.next();
    let (mut phone, mut laptop) = (server.device(account), server.device(account));
    let key = server.key();
    let made = phone.create(&key, "one two three");
    assert_eq!(phone.outcomes(vec![made]).await, [applied(1)]);
    let edit =
        |text: &str| Action::Update { fields: content(text), bases: content("one two three") };
    let on_phone = phone.operation(&key, edit("one 2 three"), 1);
    let on_laptop = laptop.operation(&key, edit("one ii three"), 1);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(phone.outcomes(vec![on_phone]).await, [applied(2)]);
    let outcome = laptop.outcomes(vec![on_laptop.clone()]).await.remove(0);
    let Outcome::Merged { version, fields, revision: Some(revision) } = &outcome else {
        panic!("{outcome:?}")
    };
    let told = phone.pull(2, 10).await.unwrap();
    let kept = told.changes.iter().find(|change| *change.key.table == *REVISIONS.name).unwrap();
    let kept = Revision::of_record(kept.key.id, kept.fields.as_ref().unwrap()).unwrap();
    assert_eq!((kept.id, &kept.of), (*revision, &key));
    let texts = [fields, &kept.fields].map(|fields| fields.get("content").cloned());
    for text in ["one 2 three", "one ii three"] {
        assert!(texts.contains(&Some(Value::from(text))), "{text}: {texts:?}");
    }
    assert!(*version >= Version(2));
    assert_eq!(laptop.outcomes(vec![on_laptop]).await, std::slice::from_ref(&outcome));
    // A person has read it, and deletes it: once.
    let key = RecordKey { table: REVISIONS.name.into(), id: kept.id };
    let delete = phone.operation(&key, Action::Delete, told.head.0);
    let deleted = phone.outcomes(vec![delete.clone()]).await;
    assert_eq!(deleted, [applied(told.head.0 + 1)]);
    assert_eq!(phone.outcomes(vec![delete]).await, deleted);
    let told = laptop.pull(told.head.0, 10).await.unwrap();
    assert_eq!((told.changes.len(), &told.changes[0].fields), (1, &None));
}

#[tokio::test]
async fn what_is_changed_by_another_way_is_told_and_counts_field_by_field() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let account = server.ids.next();
    // From before there was a sync server: more than are taken up at once.
    let old: Vec<RecordKey> = (0..700).map(|_| server.key()).collect();
    let keys = old.clone();
    let write = server.store.write(async move |tx: &mut Tx| {
        for key in &keys {
            let (text, page) = ("from before", 1i64);
            let row = fields! {
                "id" => id(key.id), "account_id" => id(account), "content" => text, "page" => page,
            };
            tx.insert("notes", row).await?;
        }
        Ok::<(), DbError>(())
    });
    write.await.into_result().unwrap();
    let mut device = server.device(account);
    let told = device.pull(0, 1_000).await.unwrap();
    assert_eq!((told.changes.len(), told.head, told.more), (700, Version(700), false));

    // A website sets the page of one and deletes another.
    let (changed, deleted) = (old[0].clone(), old[1].clone());
    let now = server.clock.now();
    let write = server.store.write(async move |tx: &mut Tx| {
        tx.update("notes", params![id(changed.id)], fields! {"page" => 9i64}).await?;
        tx.delete("notes", params![id(deleted.id)]).await?;
        let notes = [(changed.clone(), Note::Set(&["page"])), (deleted.clone(), Note::Deleted)];
        note(tx, account, &notes, now).await
    });
    write.await.into_result().unwrap();
    let told = device.pull(700, 10).await.unwrap();
    assert_eq!(told.changes.len(), 2);
    assert_eq!(told.changes[0].fields.as_ref().unwrap().get("page"), Some(&Value::Int(9)));
    assert_eq!(told.changes[1].fields, None);

    // A device that has seen neither: its text is applied, and the page stays; its edit
    // of what is deleted is kept.
    let base = told.changes[0].version.0 - 1;
    let edit = |text: &str| Action::Update { fields: content(text), bases: content("from before") };
    let one = device.operation(&old[0], edit("from before, edited"), base);
    let two = device.operation(&old[1], edit("edited"), base);
    let outcomes = device.outcomes(vec![one, two]).await;
    let Outcome::Merged { fields, revision: None, .. } = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(fields.get("content").and_then(Value::text), Some("from before, edited"));
    assert_eq!(fields.get("page"), Some(&Value::Int(9)));
    assert!(matches!(outcomes[1], Outcome::Kept { .. }), "{outcomes:?}");
    // And who makes it, not knowing that it was deleted, makes it anew; but once: what
    // comes again, when it was deleted again, does not.
    let mut other = server.device(account);
    let made = other.create(&old[1], "made twice");
    let first = other.outcomes(vec![made.clone()]).await;
    assert!(matches!(first[0], Outcome::Applied { .. }), "{first:?}");
    let deleted = old[1].clone();
    let write = server.store.write(async move |tx: &mut Tx| {
        tx.delete("notes", params![id(deleted.id)]).await?;
        note(tx, account, &[(deleted.clone(), Note::Deleted)], now).await
    });
    write.await.into_result().unwrap();
    assert_eq!(other.outcomes(vec![made]).await, first);
    assert_eq!(device.pull(0, 1_000).await.unwrap().changes.last().unwrap().fields, None);
}

#[tokio::test]
async fn a_device_that_was_away_for_too_long_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let account = server.ids.next();
    let (mut phone, mut laptop) = (server.device(account), server.device(account));
    let (gone, stays) = (server.key(), server.key());
    let operations = vec![phone.create(&gone, "a"), phone.create(&stays, "b")];
    phone.outcomes(operations.clone()).await;
    let before = phone.pull(0, 10).await.unwrap().cursor.0;
    // It was made long ago, and comes now.
    let mut delete = phone.operation(&gone, Action::Delete, 1);
    delete.at = delete.at.before(Duration::from_hours(24 * 100));
    phone.outcomes(vec![delete]).await;
    phone.settled = 3;
    server.clock.advance(Duration::from_hours(24 * 89));
    phone.outcomes(vec![]).await;
    assert_eq!(phone.pull(before, 10).await.unwrap().changes[0].fields, None);
    server.clock.advance(Duration::from_hours(24 * 2));
    phone.outcomes(vec![]).await;
    assert_eq!(phone.pull(before, 10).await, Err(SyncError::Expired));
    assert_eq!(phone.pull(99, 10).await, Err(SyncError::Expired), "of another server's log");
    assert_eq!(phone.pull(3, 10).await.unwrap().changes, []);
    let anew = phone.pull(0, 10).await;
    assert_eq!(anew, Err(SyncError::Expired), "it did not say that it begins anew");
    // A request that was under way for a quarter of a year.
    assert_eq!(code(&phone.outcomes(vec![operations[0].clone()]).await[0]), inbox::USED);
    // Whoever did not hear of the deletion has its edit kept.
    let edit = Action::Update { fields: content("edited"), bases: content("a") };
    let edit = laptop.operation(&gone, edit, 1);
    assert!(matches!(laptop.outcomes(vec![edit]).await[0], Outcome::Kept { .. }));
}

#[tokio::test]
async fn an_answer_that_nobody_has_heard_outlives_the_deletion() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let account = server.ids.next();
    let (mut phone, mut laptop) = (server.device(account), server.device(account));
    let key = server.key();
    let made = phone.create(&key, "a");
    let first = phone.outcomes(vec![made.clone()]).await;
    let delete = laptop.operation(&key, Action::Delete, 1);
    laptop.outcomes(vec![delete]).await;
    laptop.settled = 1;
    server.clock.advance(Duration::from_hours(24 * 91));
    laptop.outcomes(vec![]).await;
    assert_eq!(phone.pull(1, 10).await, Err(SyncError::Expired));
    assert_eq!(phone.outcomes(vec![made]).await, first, "and it is not made again");
    assert_eq!(phone.pull(2, 10).await.unwrap().changes, []);
}

#[tokio::test]
async fn an_older_program_is_understood_and_a_newer_one_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut device = server.device(server.ids.next());
    let key = server.key();
    let fields = Fields::from([("content", Value::from("a")), ("leaf", Value::Int(7))]);
    let mut old = device.operation(&key, Action::Create { fields }, 0);
    old.schema = 1;
    for _ in 0..2 {
        let outcome = device.outcomes(vec![old.clone()]).await.remove(0);
        let Outcome::Merged { version: Version(1), fields, revision: None } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((fields.get("leaf"), fields.get("page")), (None, Some(&Value::Int(7))));
        let told = device.pull(0, 1).await.unwrap().changes.remove(0).fields;
        assert_eq!(told, Some(fields));
    }
    let mut new = device.create(&server.key(), "a");
    new.schema = 3;
    let error = SyncError::NewerSchema { theirs: 3, ours: 2 };
    assert_eq!(device.push(vec![new]).await, Err(error));
}

/// Who sends everything at once keeps no other account waiting.
#[tokio::test]
async fn an_account_is_answered_some_requests_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let (mut device, mut other) =
        (server.device(server.ids.next()), server.device(server.ids.next()));
    let memo = device.create(&server.key(), "a");
    let push = device.push_of(vec![memo]);
    let all = (0..REQUESTS_MAX + 5).map(|_| server.sync.push(device.account, push.clone()));
    let others = other.create(&server.key(), "b");
    let others = other.push(vec![others]);
    let (answers, others) = tokio::join!(join_all(all), others);
    assert_eq!(others.map(|answer| answer.head), Ok(Version(1)));
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (REQUESTS_MAX, 5));
    assert!(refused.iter().all(|one| *one == Err(SyncError::TooManyRequests)));
    assert_eq!(server.sync.push(device.account, push).await.map(|answer| answer.head.0), Ok(1));
}

/// A write goes on when nobody waits for it any more, and counts until it is over.
#[tokio::test]
async fn who_sends_and_goes_away_sends_no_more_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut device = server.device(server.ids.next());
    let memo = device.create(&server.key(), "a");
    device.push(vec![]).await.unwrap();
    let (free, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let (begins, begun) = tokio::sync::oneshot::channel();
    let begins = std::sync::Mutex::new(Some(begins));
    let writer = server.store.clone();
    let writer = tokio::spawn(async move {
        let write = writer.write(async move |_: &mut Tx| {
            let begins = begins.lock().unwrap().take();
            begins.map(|begins| begins.send(()));
            let _ = held.lock().unwrap().recv();
            Ok::<_, DbError>(())
        });
        write.await.into_result().unwrap();
    });
    begun.await.unwrap();
    let push = device.push_of(vec![memo]);
    // Each is dropped while it waits for the write before it, or before that.
    let mut one_more = None;
    for _ in 0..1_000 {
        let gone = server.sync.push(device.account, push.clone());
        one_more = tokio::time::timeout(Duration::from_millis(10), gone).await.ok();
        if one_more.is_some() {
            break;
        }
    }
    assert_eq!(one_more, Some(Err(SyncError::TooManyRequests)));
    drop(free);
    writer.await.unwrap();
    let done = async || server.sync.push(device.account, push.clone()).await;
    let mut answer = done().await;
    while answer == Err(SyncError::TooManyRequests) {
        tokio::task::yield_now().await;
        answer = done().await;
    }
    assert_eq!(answer.map(|answer| answer.head.0), Ok(1));
}

#[tokio::test]
async fn requests_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let (mut device, other) = (server.device(server.ids.next()), server.device(server.ids.next()));
    let own = device.create(&server.key(), "a");
    let mut push = device.push_of(vec![own]);
    assert_eq!(server.sync.push(other.account, push.clone()).await, Err(SyncError::WrongAccount));
    push.protocol = 9;
    assert_eq!(server.sync.push(device.account, push).await, Err(SyncError::Protocol(9)));
    let many: Vec<_> = (0..=OPERATIONS_MAX).map(|_| device.create(&server.key(), "a")).collect();
    let error = SyncError::TooManyOperations(OPERATIONS_MAX + 1);
    assert_eq!(device.push(many[1..].to_vec()).await.map(|answer| answer.head.0), Ok(200));
    assert_eq!(device.push(many).await, Err(error));
    for _ in 1..DEVICES_MAX {
        server.device(device.account).push(vec![]).await.unwrap();
    }
    let one_more = server.device(device.account).push(vec![]).await;
    assert_eq!(one_more, Err(SyncError::TooManyDevices));
    // One that is not seen for long makes room.
    server.clock.advance(Duration::from_hours(24 * 8));
    server.device(device.account).push(vec![]).await.unwrap();
    // Numbers that no device of ours sends.
    device.settled = u64::MAX;
    let mut odd = device.create(&server.key(), "a");
    (odd.base, odd.after) = (Version(u64::MAX), stdx::HybridTime::MAX);
    (odd.at, odd.written) = (stdx::UnixMicros(i64::MIN), stdx::UnixMicros(i64::MAX));
    assert_eq!(device.outcomes(vec![odd]).await, [applied(201)]);
    assert_eq!(device.pull(u64::MAX, 0).await, Err(SyncError::Expired));
    assert_eq!(device.pull(0, u32::MAX).await.unwrap().changes.len(), 201);
}

/// What is remembered of a record does not grow with those who have written it.
#[tokio::test]
async fn an_answer_that_was_heard_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let (account, key) = (server.ids.next(), server.key());
    let size = async || {
        let rows = server.store.read(async move |db: &mut Db| {
            db.query("select state from sync_records", params![]).await
        });
        rows.await.unwrap()[0].get::<Vec<u8>>("state").unwrap().len()
    };
    let mut sizes = Vec::new();
    for version in 0..30u64 {
        let mut device = server.device(account);
        let edit = Action::Update { fields: Fields::from([("page", 7)]), bases: Fields::new() };
        let edit = if version == 0 {
            device.create(&key, "a")
        } else {
            device.operation(&key, edit, version)
        };
        device.outcomes(vec![edit]).await;
        device.settled = 1;
        device.outcomes(vec![]).await;
        sizes.push(size().await);
    }
    assert!(sizes[29] < sizes[2] + 16, "{sizes:?}");
}

#[tokio::test]
async fn an_answer_to_a_pull_is_bounded_in_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut device = server.device(server.ids.next());
    // Edits of what is not there are kept whole, as revisions.
    let long = "긴 글 ".repeat(10_000);
    let edit = || Action::Update { fields: content(&long), bases: Fields::new() };
    for _ in 0..30 {
        let one = device.operation(&server.key(), edit(), 0);
        assert!(matches!(device.outcomes(vec![one]).await[0], Outcome::Kept { .. }));
    }
    let (mut cursor, mut seen, mut pulls) = (0, 0, 0);
    loop {
        let told = device.pull(cursor, 1_000).await.unwrap();
        let bytes: usize =
            told.changes.iter().map(|one| one.fields.as_ref().unwrap().bytes()).sum();
        assert!(bytes <= CHANGES_BYTES_MAX && !told.changes.is_empty());
        (cursor, seen, pulls) = (told.cursor.0, seen + told.changes.len(), pulls + 1);
        if !told.more {
            break;
        }
    }
    assert!(seen == 30 && pulls > 2, "{seen} in {pulls}");
}

#[tokio::test]
async fn an_answer_to_a_pull_is_bounded_and_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let mut device = server.device(server.ids.next());
    for _ in 0..3 {
        let some = (0..200).map(|_| device.create(&server.key(), "a memo")).collect();
        device.outcomes(some).await;
    }
    let (mut cursor, mut seen) = (0, 0);
    loop {
        let told = device.pull(cursor, 7).await.unwrap();
        assert!(told.changes.len() <= 7);
        seen += told.changes.len();
        cursor = told.cursor.0;
        if !told.more {
            break;
        }
    }
    assert_eq!((seen, cursor), (600, 600));
    let rows = server.store.read(async move |db: &mut Db| {
        db.query("select count(*) as n from sync_records", params![]).await
    });
    assert_eq!(rows.await.unwrap()[0].get::<i64>("n"), Ok(600));
}

/// What a device knows of a log that has ended is told apart from what it knows of this
/// one, also where new changes have taken the numbers of those that were lost.
#[tokio::test]
async fn a_store_that_was_put_back_says_so_and_up_to_where() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
    let server = Server::embedded(&old).await;
    let mut device = server.device(server.ids.next());
    let keys: Vec<RecordKey> = (0..3).map(|_| server.key()).collect();
    let create = device.create(&keys[0], "a");
    assert_eq!(device.outcomes(vec![create]).await, [applied(1)]);
    let log = device.pull(0, 10).await.unwrap().log;
    assert_eq!(device.pull(1, 10).await.unwrap().log, log, "it is the same");
    device.log = Some(log);
    server.store.close().await;
    let config = |folder: &std::path::Path| Config::embedded(folder, Policy::Available);
    let file = folder.path().join("backup");
    let master = config(&old).masters[0].name.clone();
    let snapshot = Snapshot::of_master(&config(&old), &master, &migrations()).await.unwrap();
    snapshot.back_up(&file, |_| {}).await.unwrap();
    // What comes after the backup is settled, told, and lost.
    let server = Server::embedded(&old).await;
    device.server = server.clone();
    let create = device.create(&keys[1], "b");
    assert_eq!(device.outcomes(vec![create]).await, [applied(2)]);
    server.store.close().await;
    let snapshot = Snapshot::of_backup(&file, &migrations()).await.unwrap();
    archive::restore(snapshot, &config(&new), |_| {}).await.unwrap();

    let server = Server::embedded(&new).await;
    device.server = server.clone();
    let told = device.pull(2, 10).await.unwrap();
    assert_eq!((told.common, told.changes.len()), (Some(Version(1)), 0));
    let next = told.log;
    assert_ne!(next, log);
    let update = Action::Update { fields: content("b"), bases: content("a") };
    let update = device.operation(&keys[0], update, 2);
    let answer = device.push(vec![update]).await.unwrap();
    assert_eq!((answer.common, answer.answers.len()), (Some(Version(1)), 0));
    let mut other = server.device(device.account);
    let create = other.create(&keys[2], "c");
    assert_eq!(other.outcomes(vec![create]).await, [applied(2)], "the number is taken");
    assert_eq!(device.pull(2, 10).await.unwrap().common, Some(Version(1)));
    device.log = Some(next);
    let told = device.pull(0, 10).await.unwrap();
    let told: Vec<&RecordKey> = told.changes.iter().map(|change| &change.key).collect();
    assert_eq!(told, [&keys[0], &keys[2]]);
    // A log of which nobody knows, and a cursor that was never there.
    assert_eq!(device.pull(3, 10).await.unwrap().common, Some(Version::NONE));
    device.log = Some(server.ids.next());
    assert_eq!(device.pull(1, 10).await.unwrap().common, Some(Version::NONE));
    // The store went on without some of its writes, as an operator decided.
    sync_server::end_logs(&server.store).await.unwrap();
    device.log = Some(next);
    assert_eq!(device.pull(2, 10).await.unwrap().common, Some(Version(2)));
    device.log = Some(log);
    assert_eq!(device.pull(2, 10).await.unwrap().common, Some(Version(1)));
}
