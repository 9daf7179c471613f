//! What refers to a record, and what an older program wrote.

use super::*;

/// A memo whose book is not on the server is held back, whatever its priority.
#[test]
fn what_refers_to_a_record_goes_when_the_server_has_that() {
    let mut device = Device::new();
    let (book, memo) = device.create_memo_of_book();
    assert_eq!(device.engine.state(&memo), RecordState::Waiting);
    for starts_again in [false, true] {
        if starts_again {
            device.start_again();
        }
        let (status, state) = (device.engine.status(), device.engine.state(&book));
        assert_eq!((status.to_send, status.waiting, state), (1, 1, RecordState::Pending));
    }
    device.connect();
    let sent: Vec<RecordKey> = device.sync().into_iter().map(|operation| operation.key).collect();
    assert_eq!(sent, [book.clone(), memo]);
    // Of a book that is there it goes at once, also where somebody edits that.
    device.hear(Input::Offline);
    device.edit(&book, Edit::Update(content("c"))).unwrap();
    device.create_memo(&book);
    assert_eq!(device.engine.status().to_send, 2);
    // Of one that is made anew when it is deleted and made.
    assert_eq!(device.push_all(), 2);
    device.hear(Input::Offline);
    device.edit(&book, Edit::Delete).unwrap();
    device.edit(&book, Edit::Create(content("d"))).unwrap();
    device.create_memo(&book);
    assert_eq!((device.engine.status().to_send, device.engine.status().waiting), (1, 2));
    assert_eq!(device.push_all(), 3);
}

/// The server makes each what it is now.
#[test]
fn what_an_older_program_wrote_stays_by_itself() {
    let mut device = Device::new();
    let key = device.create();
    device.config.schema = 2;
    device.start_again();
    device.edit(&key, Edit::Update(content("b"))).unwrap();
    device.edit(&key, Edit::Update(content("c"))).unwrap();
    device.connect();
    let sent: Vec<u32> = device.sync().iter().map(|operation| operation.schema).collect();
    assert_eq!((sent, device.shown(&key)), (vec![1, 2], Some(content("c"))));
    // Who deletes has not seen what is merged with the edit before it is sent.
    device.hear(Input::Offline);
    device.edit(&key, Edit::Update(content("d"))).unwrap();
    device.config.schema = 3;
    device.start_again();
    device.edit(&key, Edit::Update(content("e"))).unwrap();
    device.edit(&key, Edit::Delete).unwrap();
    device.connect();
    let sent: Vec<Action> = device.sync().into_iter().map(|operation| operation.action).collect();
    assert_eq!(sent, [Action::Delete]);
}

#[test]
fn what_refers_to_what_is_refused_waits_for_the_person() {
    for discards in [true, false] {
        let mut device = Device::new();
        let (book, memo) = device.create_memo_of_book();
        device.connect();
        let (id, push) = device.push().unwrap();
        let (code, message) = ("NO".to_owned(), "no".to_owned());
        let outcome = Outcome::Refused { code, message };
        let answers = vec![Answer { operation: push.operations[0].id, outcome }];
        let (now, head, log) = (HybridTime::ZERO, Version(device.head), device.log);
        let answer = PushAnswer { now, answers, head, sequence: 1, log, common: None };
        device.hear(Input::Pushed(id, Ok(answer)));
        let status = device.engine.status();
        assert_eq!((status.to_send, status.failed, status.waiting), (0, 1, 1));
        assert_eq!(device.engine.state(&memo), RecordState::Waiting);
        // What waits for the person is no reason to take no more edits, however long.
        device.pass(Duration::from_hours(24 * 30));
        device.create();
        if discards {
            let step = device.engine.discard(&book, device.now).1;
            device.does(step);
            assert_eq!(device.engine.state(&memo), RecordState::Pending);
        } else {
            device.edit(&book, Edit::Update(content("c"))).unwrap();
            device.connect();
            let sent = device.sync();
            let at = |key: &RecordKey| sent.iter().position(|one| one.key == *key).unwrap();
            assert!(at(&book) < at(&memo));
        }
    }
}

/// The server has given what was sent another name since, and has told that.
#[test]
fn an_answer_of_before_what_was_told_changes_nothing() {
    let mut device = Device::new();
    let key = device.create();
    let told = Some(Fields::from([("named otherwise", "a")]));
    let known = |version| Known { version: Version(version), generation: 1, fields: told.clone() };
    for (version, answered, keeps) in [(3, 3, true), (4, 3, true), (2, 3, false)] {
        let mut chain = device.engine.queue.chain(&key).unwrap().clone();
        chain.known = Some(known(version));
        chain.settle(&Outcome::Applied { version: Version(answered) }, 1, Version::NONE);
        assert_eq!(chain.known == Some(known(version)), keeps);
    }
}
