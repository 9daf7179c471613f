//! Watching a service: for now, alerts. Somebody is told once when something
//! goes wrong, once when it is over, and not for every time that it flaps.
//!
//! | type | what it is |
//! |---|---|
//! | [`Alert`] | a severity, a key that says what it is about, a summary, details |
//! | [`Episodes`] | which alerts are one matter, and when anybody is told: a state machine without I/O |
//! | [`Monitor`] | takes alerts, and tells them to the log and to webhooks |
//! | [`TargetConfig`], [`DeliveryConfig`] | to whom, and how |
//!
//! **What it does not do:** it measures nothing and decides about nothing: what
//! is an alert, and when it is over, is said by the caller. It keeps nothing on
//! a disk: an episode ends with the process, without a message, and what is
//! still wrong afterwards is a new one. It can't say that the whole process is
//! gone: somebody outside has to look.
//!
//! # What is promised
//!
//! - Everything that is told is in the log, at once.
//! - The caller never waits: each target has a bounded queue and a task of its
//!   own.
//! - A target gets messages in the order in which they were made, each at least
//!   once (twice where its answer was lost: both have the same `id`). What can't
//!   be delivered is tried again, with growing pauses and a breaker, for as long
//!   as the process lives.
//! - What does not fit into the queue, or what the target refuses again and
//!   again (a status from 300 to 499, but for 408 and 429), is dropped, logged,
//!   and counted: the next message that arrives says how many were dropped.
//! - What is left when the monitor closes is logged.
//!
//! # What a webhook gets
//!
//! A POST with one JSON object; every 2xx means that it arrived.
//!
//! | field | what it has |
//! |---|---|
//! | `id` | of this message, a UUIDv7 |
//! | `episode` | a UUIDv7, the same in all messages of one episode |
//! | `event` | `raised`, `worsened`, `repeated` or `resolved` |
//! | `severity` | `INFO`, `WARNING` or `CRITICAL`: the highest of the episode |
//! | `key` | what it is about |
//! | `summary` | one line for people |
//! | `details` | an object of texts |
//! | `since`, `at` | when the episode began, when this was said: RFC 3339, UTC |
//! | `count` | how often it was raised in this episode |
//! | `lasted_ms` | how long it lasted; null where it is not over |
//! | `dropped` | messages that were dropped since the last that arrived |
//!
//! A target of the shape [`Shape::Slack`] gets `{"text": …, "blocks": […]}`.
//!
//! ```
//! use monitor::{Alert, AlertKey, Environment, Monitor, MonitorConfig, Severity};
//! use stdx::{Clock, IdSource, Random, Seed};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let (clock, random) = (Clock::real(), Random::new(Seed(7)));
//! let ids = IdSource::new(clock.clone(), random.clone());
//! let environment = Environment { clock, ids, random };
//! // To the log alone: there are no targets.
//! let monitor = Monitor::start(MonitorConfig::default(), environment)?;
//! let key = AlertKey::new("master/b");
//! monitor.raise(Alert::new(Severity::Warning, key.clone(), "master b is away"));
//! assert_eq!(monitor.open().len(), 1);
//! monitor.resolve(&key);
//! monitor.close(std::time::Duration::from_secs(2)).await;
//! assert!(monitor.open().is_empty());
//! # Ok::<(), monitor::SetupError>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alert;

mod message;

pub mod episodes;

mod courier;

mod wire;

mod target;

mod monitor;

pub use alert::{Alert, AlertKey, Severity};
pub use courier::DeliveryConfig;
pub use episodes::{Episodes, EpisodesConfig, OpenEpisode, TooMany};
pub use message::{EpisodeId, Event, Message, MessageId};
pub use monitor::{Environment, Monitor, MonitorConfig};
pub use target::{SetupError, Shape, TargetConfig};
