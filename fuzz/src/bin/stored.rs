//! What a device has stored, and begins with: one JSON value a line.
#![no_main]

use std::collections::BTreeMap;

use fuzz::{NOW, again, config, drive, hear, session};
use libfuzzer_sys::fuzz_target;
use stdx::Seed;
use sync::engine::{Engine, Input, Logged, Saved, Session};
use sync::queue::Queued;

fuzz_target!(|bytes: &[u8]| {
    let (mut begin, mut operations, mut known) = (session(), Vec::new(), BTreeMap::new());
    for line in bytes.split(|byte| *byte == b'\n').take(8) {
        again::<Logged>(line);
        if let Some(session) = again::<Session>(line) {
            begin = session;
        }
        if let Some(queued) = again::<Queued>(line) {
            operations.push(queued);
        }
        if let (Some(saved), Some(last)) = (again::<Saved>(line), operations.last())
            && let Some(one) = saved.known
        {
            known.insert(last.operation.key.clone(), one);
        }
    }
    let (mut engine, _) = Engine::start(config(), begin, operations, known, Seed(1), NOW);
    drive(&mut engine);
    for secs in [10, 86_400 * 30] {
        hear(&mut engine, Input::LoggedIn, secs);
        hear(&mut engine, Input::Wake, secs);
    }
    let failed: Vec<_> = engine.failed().map(|(key, ..)| key.clone()).collect();
    for key in failed {
        let _ = engine.try_again(&key, NOW);
        let _ = engine.discard(&key, NOW);
    }
    let _ = engine.status();
});
