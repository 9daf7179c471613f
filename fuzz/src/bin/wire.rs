//! What devices and the server say to each other.
#![no_main]

use std::collections::BTreeMap;

use fuzz::{NOW, TABLES, again, config, drive, hear, request, session};
use libfuzzer_sys::fuzz_target;
use stdx::{HybridTime, Seed};
use sync::engine::{Engine, Input};
use sync::inbox::Inbox;
use sync::merge::{Held, Origin, settle, stranger};
use sync::model::Version;
use sync::wire::{Pull, PullAnswer, Push, PushAnswer};

fuzz_target!(|bytes: &[u8]| {
    again::<Pull>(bytes);
    if let Some(push) = again::<Push>(bytes) {
        server(&push);
    }
    if let Some(answer) = again::<PushAnswer>(bytes) {
        device(|engine, effects| {
            let (id, _) = request(effects).expect("edits are sent");
            let mut answer = answer.clone();
            // The ids are made by chance: those of the answer are put in the place of them.
            for (one, sent) in answer.answers.iter_mut().zip(sent(effects)) {
                one.operation = sent;
            }
            hear(engine, Input::Pushed(id, Ok(answer)), 2)
        });
    }
    if let Some(answer) = again::<PullAnswer>(bytes) {
        let mut engine =
            Engine::start(config(), session(), Vec::new(), BTreeMap::new(), Seed(1), NOW).0;
        let effects = hear(&mut engine, Input::SyncNow, 0);
        let Some(sync::engine::Effect::AskHealth(asked)) = effects.last() else { return };
        let effects = hear(&mut engine, Input::Health(*asked, true), 1);
        let (id, false) = request(&effects).expect("it pulls") else { return };
        hear(&mut engine, Input::Pulled(id, Ok(answer)), 2);
        drive(&mut engine);
    }
});

fn sent(effects: &[sync::engine::Effect]) -> Vec<sync::model::OperationId> {
    let pushed = effects.iter().find_map(|effect| match effect {
        sync::engine::Effect::Push(_, push) => Some(push),
        _ => None,
    });
    pushed.map_or_else(Vec::new, |push| push.operations.iter().map(|one| one.id).collect())
}

fn device(answers: impl Fn(&mut Engine, &[sync::engine::Effect]) -> Vec<sync::engine::Effect>) {
    let (mut engine, _) =
        Engine::start(config(), session(), Vec::new(), BTreeMap::new(), Seed(1), NOW);
    let effects = drive(&mut engine);
    answers(&mut engine, &effects);
    // It goes on, whatever it heard.
    drive(&mut engine);
    hear(&mut engine, Input::Wake, 86_400);
    let _ = engine.status();
}

/// A server that settles the operations one after the other.
fn server(push: &Push) {
    let now = HybridTime::from_wall(NOW);
    let origin = Origin { device: push.device, device_now: push.now, now };
    let (mut held, mut inbox): (Option<Held>, Inbox) = (None, Inbox::default());
    for (version, operation) in (1..).zip(&push.operations) {
        if stranger(&TABLES[0], operation).is_some() {
            continue;
        }
        if inbox.answer(push.device, push.settled, operation, 1, held.as_ref()).is_some() {
            continue;
        }
        let settled = settle(&TABLES[0], held.as_ref(), operation, &origin, Version(version));
        inbox.note(push.device, operation, 1, &settled.outcome);
        if let Some(revision) = settled.revision {
            let (key, fields) = revision.record();
            assert!(sync::merge::Revision::of_record(key.id, &fields).is_some(), "{fields:?}");
        }
        held = settled.held.or(held);
    }
}
