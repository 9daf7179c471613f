//! Offline-first: what a person writes is on the device at once, reaches the server
//! by itself, once, and is never thrown away.
//!
//! | module | what it has |
//! |---|---|
//! | [`model`] | records, fields, and the [`Rule`](model::Rule) of each field |
//! | [`operation`] | one edit, as it is queued, sent and settled |
//! | [`queue`] | what is not settled, record by record; its state diagram |
//! | [`watch`] | whether the server can be reached; its state diagram |
//! | [`engine`] | the session of a device: [`Engine`](engine::Engine) |
//! | [`merge`] | how the server settles an operation with what it holds |
//! | [`inbox`] | how it settles each operation once |
//! | [`wire`] | the protocol |
//! | [`http`] | what it is over HTTP, without the HTTP |
//! | `strategies` | values for property tests, behind the feature `proptest` |
//! | [`sabotage`] | bugs that a simulation plants, behind the feature `faults` |
//!
//! **What it does not do:** it reads and writes nothing, opens no socket, has no
//! clock and no randomness: time and a seed are arguments, and what is to be done is
//! a value ([`Step`](engine::Step)). An adapter does it: it writes down what a step
//! wants, all or nothing, and only then does the rest. It compiles for wasm32.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use stdx::{IdSource, Random, Seed, Clock, UnixMicros};
//! use sync::engine::{Config, Edit, Effect, Engine, Input, Session};
//! use sync::model::{Fields, RecordKey, Rule, Table, Value};
//! use sync::queue::{Priority, RecordState};
//!
//! const TABLES: &[Table] =
//!     &[Table { name: "memos", fields: &[("content", Rule::Text), ("page", Rule::Latest)] }];
//! let now = UnixMicros::from_secs(1_700_000_000);
//! let ids = IdSource::new(Clock::starting_at(now), Random::new(Seed(7)));
//! let config = Config::new(TABLES, 1);
//! let session = Session::new(ids.next(), ids.next());
//! let (mut engine, _) = Engine::start(config, session, vec![], BTreeMap::new(), Seed(1), now);
//!
//! let key = RecordKey { table: "memos".into(), id: ids.next() };
//! let memo = Fields::from([("content", Value::from("첫 문장부터 좋다")), ("page", Value::Int(12))]);
//! let step = engine.edit(&key, Edit::Create(memo), None, (now, Priority::NORMAL), now)?;
//! // The adapter writes `step.persist` down; then the person sees the memo, and this:
//! assert_eq!(engine.state(&key), RecordState::Pending);
//!
//! // A network, and a second later the server is asked whether it is there.
//! let step = engine.hear(Input::Online, now);
//! let later = step.wake.unwrap();
//! let step = engine.hear(Input::Wake, later);
//! let Some(Effect::AskHealth(asked)) = step.effects.last() else { panic!() };
//! let step = engine.hear(Input::Health(*asked, true), later);
//! let pushed = step.effects.iter().any(|effect| matches!(effect, Effect::Push(..)));
//! assert!(pushed);
//! assert_eq!(engine.state(&key), RecordState::Syncing);
//! # Ok::<(), sync::engine::EditError>(())
//! ```

pub mod engine;
pub mod http;
pub mod inbox;
pub mod merge;
pub mod model;
pub mod operation;
pub mod queue;
pub mod sabotage;
#[cfg(any(test, feature = "proptest"))]
pub mod strategies;
pub mod watch;
pub mod wire;
