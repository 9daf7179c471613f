//! Events staged in the transaction that causes them, and delivered after it.
//!
//! | type | what it is |
//! |---|---|
//! | [`Outbox`] | [`Outbox::emit`] in a write; what waits; what was put aside, and again |
//! | [`Topics`], [`Bounds`] | who gets what, with how many workers and how long a queue |
//! | [`Handler`], [`Delivery`] | who takes an event, and the event |
//! | `webhook::Webhook` (feature `webhook`) | an event to somebody else's address, signed |
//! | `nats::Nats` (feature `nats`) | an event to a stream of NATS JetStream |
//! | [`inbox::first_time`] | each event once in effect, where the effect is in the same store |
//!
//! ```
//! use multi_master::{Config, MultiMaster, Policy, Tx};
//! use outbox::{Bounds, Delivery, HandleError, Handler, Outbox, Topics};
//!
//! struct Ranking(tokio::sync::mpsc::UnboundedSender<String>);
//!
//! impl Handler for Ranking {
//!     async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
//!         let title: String = delivery.read()?;
//!         self.0.send(title).map_err(|_| HandleError::Again("nobody listens".to_owned()))
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let config = Config::embedded(folder.path(), Policy::All);
//! let store = MultiMaster::open(config, outbox::MIGRATIONS).await?;
//! let (sold, mut heard) = tokio::sync::mpsc::unbounded_channel();
//! let mut topics = Topics::default();
//! topics.subscribe("orders", "ranking", Bounds::DEFAULT, Ranking(sold))?;
//! let outbox = Outbox::open(store.clone(), topics, outbox::Config::default()).await?;
//!
//! let emits = outbox.clone();
//! let ordered = store.write(async move |tx: &mut Tx| {
//!     // … the order's own rows …
//!     emits.emit(tx, "orders", "minji", &"무진기행").await
//! });
//! ordered.await.into_result()?;
//! assert_eq!(heard.recv().await.as_deref(), Some("무진기행"));
//! # outbox.close().await;
//! # store.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - *With its cause*: an event is delivered if the write that emitted it is saved, and never
//!   else. Nothing outside is waited for before that.
//! - *At least once*, to each subscriber; more than once where a process died, or an answer was
//!   lost. [`Delivery::event_id`] is the same each time.
//! - *In order, for each key* and subscriber: the order is that in which the writes were
//!   committed, also of several processes, because the place of an event is given out under a
//!   lock that is held until the commit: of 256 lines, the one that its key is in. So an event
//!   is emitted last in a write, and two writes that emit wait for each other once in 256
//!   times where their keys differ. A delivery that takes long, or fails, keeps those of its
//!   own key waiting, and no others.
//! - *Nobody holds up anybody else*: each subscriber has its own workers, queue and share of the
//!   store's connections (one write at a time to take, and to tell what came of it). What is
//!   more than its queue has room for waits in the table, and not in memory.
//! - *Soon*: in the process that emits, it is looked for from the moment that it was emitted,
//!   until it is committed; other processes look twice a second.
//! - *Poison is put aside*: what can't be delivered again and again, or never will, keeps the
//!   next ones of its key waiting no longer, and waits for a person ([`Outbox::parked`],
//!   [`Outbox::replay`]). So order holds for what is not put aside.
//!
//! # What it does not do
//!
//! - It keeps nothing of what was delivered: a subscriber that is new gets what is emitted from
//!   then on.
//! - Who subscribes no more has to be taken from all processes; what waits for it stays in the
//!   table.
//!
//! # Where to read next
//!
//! `lane.rs` (one subscriber), `store.rs` (rows), `outbox.rs`.

pub mod inbox;
pub mod model;
pub mod outbox;
pub mod schema;
pub mod topics;

#[cfg(feature = "nats")]
pub mod nats;

#[cfg(feature = "webhook")]
pub mod webhook;

mod lane;
mod store;

pub use self::model::{Delivery, DeliveryId, EventId, HandleError, Handler, Parked, Sink};
pub use self::outbox::{Backlog, Config, EmitError, Outbox, ReplayError};
pub use self::schema::MIGRATIONS;
pub use self::topics::{Bounds, TopicError, Topics};
