//! What the fuzz targets share.
//!
//! | target | what it does with the bytes |
//! |---|---|
//! | `wire` | they are an answer that a device hears, or a push that a server settles |
//! | `stored` | they are what a device has stored, and begins with |
//!
//! Nothing may panic, and what was read is written and read again as the same.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stdx::UnixMicros;
use sync::engine::{Config, Edit, Effect, Engine, Input, RequestId, Session, Step};
use sync::merge::REVISIONS;
use sync::model::{Fields, RecordKey, Rule, Table, Value};

/// A table with each rule.
pub const TABLES: &[Table] = &[
    Table {
        name: "memos",
        fields: &[
            ("content", Rule::Text),
            ("page", Rule::Latest),
            ("first", Rule::Earliest),
            ("count", Rule::Server),
        ],
    },
    REVISIONS,
];

/// When it begins.
pub const NOW: UnixMicros = UnixMicros::from_secs(1_700_000_000);

/// What can be read is written and read again as the same.
///
/// # Panics
/// When it is not.
#[expect(clippy::must_use_candidate, reason = "it is often called for its check alone")]
pub fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let text = serde_json::to_vec(&value).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&text).expect("what was written can be read"), value);
    Some(value)
}

/// A record of a few.
///
/// # Panics
/// Never.
#[must_use]
pub fn key(number: u8) -> RecordKey {
    let id = format!("0190163d-8694-739b-aea5-966c26f8ad9{}", number % 4);
    RecordKey { table: "memos".into(), id: id.parse().expect("an id") }
}

/// The session of a device.
///
/// # Panics
/// Never.
#[must_use]
pub fn session() -> Session {
    let id = "0190163d-8694-739b-aea5-966c26f8ad00";
    Session::new(id.parse().expect("an id"), id.parse().expect("an id"))
}

/// A device's configuration.
#[must_use]
pub fn config() -> Config {
    Config::new(TABLES, 1)
}

/// The person edits, the network comes, and the first request is sent: which one.
pub fn drive(engine: &mut Engine) -> Vec<Effect> {
    let now = NOW;
    for number in 0..2 {
        let memo = Fields::from([("content", Value::from("하나 둘 셋")), ("page", Value::Int(1))]);
        let written = (now, sync::queue::Priority::NORMAL);
        let _ = engine.edit(&key(number), Edit::Create(memo), None, written, now);
    }
    let mut effects = hear(engine, Input::SyncNow, 0);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::AskHealth(id) => Some(*id),
        _ => None,
    });
    if let Some(asked) = asked {
        effects = hear(engine, Input::Health(asked, true), 1);
    }
    effects
}

/// What an engine does, some seconds after [`NOW`].
pub fn hear(engine: &mut Engine, input: Input, secs: u64) -> Vec<Effect> {
    let Step { effects, .. } = engine.hear(input, NOW.after(std::time::Duration::from_secs(secs)));
    effects
}

/// The request that waits for an answer.
#[must_use]
pub fn request(effects: &[Effect]) -> Option<(RequestId, bool)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Push(id, _) => Some((*id, true)),
        Effect::Pull(id, _) => Some((*id, false)),
        _ => None,
    })
}
