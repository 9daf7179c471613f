//! What a person is told: how far it is, and what is there.

use super::*;

/// Whoever looks sees how far it is, also from another process.
#[test]
fn how_far_a_sync_is_is_stored() {
    let mut device = Device::new();
    for _ in 0..3 {
        device.create();
    }
    device.connect();
    let (id, mut push) = device.push().unwrap();
    push.operations.truncate(2);
    device.answer((id, push));
    assert_eq!(device.engine.status().progress, (2, 3));
    device.hear(Input::Offline);
    device.create();
    device.start_again();
    assert_eq!(device.engine.status().progress, (2, 4));
    device.connect();
    device.sync();
    assert_eq!(device.engine.status().progress, (0, 0));
    device.hear(Input::Offline);
    device.create();
    device.start_again();
    assert_eq!(device.engine.status().progress, (0, 1));
    // What waits for the person is no part of it.
    device.connect();
    let (id, push) = device.push().unwrap();
    let outcome = Outcome::Refused { code: "NO".to_owned(), message: "no".to_owned() };
    let answers = vec![Answer { operation: push.operations[0].id, outcome }];
    let (now, head, log) = (HybridTime::ZERO, Version(device.head), device.log);
    let answer = PushAnswer { now, answers, head, sequence: 9, log, common: None };
    device.hear(Input::Pushed(id, Ok(answer)));
    for _ in 0..2 {
        device.create();
        assert_eq!(device.engine.status().progress, (0, 1));
        device.sync();
        assert_eq!(device.engine.status().progress, (0, 0));
    }
}

#[test]
fn what_the_server_needs_from_outside_is_asked_for_and_waited_for_by_nobody() {
    let mut device = Device::new();
    device.create();
    device.connect();
    let asked = device.taken(|effect| matches!(effect, Effect::AskSource(_)));
    let Some(Effect::AskSource(first)) = asked else { panic!("it is not asked for") };
    assert_eq!(device.sync().len(), 1);
    device.hear(Input::Source(RequestId(first.0 + 1_000), true));
    assert_eq!(device.engine.status().source.is_there(), None);
    device.hear(Input::Source(first, false));
    assert_eq!(device.engine.status().source.is_there(), Some(false));
    device.hear(Input::SyncNow);
    assert!(device.taken(|effect| matches!(effect, Effect::AskSource(_))).is_some());
    device.hear(Input::Source(first, true));
    assert_eq!(device.engine.status().source.is_there(), None, "of the request before");
    device.hear(Input::Offline);
    assert_eq!(device.engine.status().source.is_there(), None);
}

/// A server that ends what it said may be away: nobody is told that they are online for
/// minutes then.
#[test]
fn a_server_that_talks_no_more_is_asked_whether_it_is_there() {
    let mut device = Device::new();
    device.connect();
    device.sync();
    device.hear(Input::Live(Version::NONE));
    device.hear(Input::LiveEnded);
    assert!(device.push().is_none(), "it listens again first");
    device.pass(Duration::from_secs(5));
    assert!(device.taken(|effect| matches!(effect, Effect::Listen)).is_some());
    device.hear(Input::LiveEnded);
    let Some(Effect::Pull(id, _)) = device.taken(|effect| matches!(effect, Effect::Pull(..)))
    else {
        panic!("it asks nothing")
    };
    device.hear(Input::Pulled(id, Err(Trouble::Unreachable)));
    assert!(matches!(device.engine.status().watch, Watch::Waiting { .. }));
}
