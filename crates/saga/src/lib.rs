//! Durable steps with compensation: a distributed transaction that ends complete or
//! undone, whatever crashes.
//!
//! A saga is a list of steps with a name, a version and an input. A step is done in the
//! store that the saga is journaled in (its effect, the record that it is done and its
//! events are one commit), or it asks somebody else. Where one says no, or can't be done,
//! what was done before it is undone, in the reverse order.
//!
//! | type | what it is |
//! |---|---|
//! | [`Step`], [`LocalStep`], [`CallStep`] | what is done, and [`LocalUndo`], [`CallUndo`], what undoes it |
//! | [`Definition`] | the steps: one after the other, some at the same time, the pivot |
//! | [`Sagas`] | the orchestrator: starts, drives, takes over, lists, obeys operators |
//! | [`ledger::Ledger`] | the other end of a call: does it once, refuses what was undone |
//! | [`machine::Machine`] | what is done next: a state machine without I/O |
//! | `crash_everywhere!` (feature `crash`) | a test that stops your saga at every point |
//!
//! ```
//! use multi_master::{Config, MultiMaster, Policy, Tx};
//! use saga::{Context, Definition, Definitions, LocalStep, LocalUndo, SagaId, SagaState};
//! use saga::{Sagas, Step, StepError};
//!
//! struct TakeFromStock;
//!
//! impl Step for TakeFromStock {
//!     type Output = u32;
//!     const NAME: &'static str = "take-from-stock";
//! }
//!
//! impl LocalStep<u32> for TakeFromStock {
//!     async fn run(&self, tx: &mut Tx, order: &Context<'_, u32>) -> Result<u32, StepError> {
//!         // Changes of `tx` here; what is returned is stored with them.
//! #       let _ = tx;
//!         Ok(order.input)
//!     }
//! }
//!
//! impl LocalUndo<u32> for TakeFromStock {
//!     async fn undo(
//!         &self,
//!         tx: &mut Tx,
//!         order: &Context<'_, u32>,
//!         taken: u32,
//!     ) -> Result<(), StepError> {
//! #       let _ = (tx, order, taken);
//!         Ok(())
//!     }
//! }
//!
//! struct Pay;
//!
//! impl Step for Pay {
//!     type Output = ();
//!     const NAME: &'static str = "pay";
//! }
//!
//! impl LocalStep<u32> for Pay {
//!     async fn run(&self, _: &mut Tx, order: &Context<'_, u32>) -> Result<(), StepError> {
//!         match order.output::<TakeFromStock>()? {
//!             0..=10 => Ok(()),
//!             copies => Err(StepError::refused("NO_MONEY", format!("{copies} are too dear"))),
//!         }
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let config = Config::embedded(folder.path(), Policy::All);
//! let store = MultiMaster::open(config, saga::MIGRATIONS).await?;
//! let mut definitions = Definitions::default();
//! let order = Definition::new("order", 1).local(TakeFromStock).local_without_undo(Pay);
//! let order = definitions.add(order)?;
//! let sagas = Sagas::open(store.clone(), definitions, saga::Config::default()).await?;
//!
//! // The id is made by who asks: asked again, it is the same order.
//! let id: SagaId = "0190163d-8694-739b-aea5-966c26f8ad91".parse()?;
//! sagas.start(&order, id, &12).await?;
//! assert_eq!(sagas.wait(id).await?, Some(SagaState::Compensated));
//! let saga = sagas.view(id).await?.expect("it was started");
//! assert_eq!(saga.cause.expect("it was refused").code.as_deref(), Some("NO_MONEY"));
//! # sagas.close().await;
//! # store.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - *Complete or undone*: once [`Sagas::start`] has returned, the saga ends
//!   [`SagaState::Completed`], or [`SagaState::Compensated`]; or it is
//!   [`SagaState::Stuck`] and waits for an operator, which it says. No crash of any process,
//!   at any point, changes that.
//! - *Once*: a local step, and its compensation, happen once. A call may be made several
//!   times, each under the same [`Context::key`]: who is asked has to know a repeat, as a
//!   [`ledger::Ledger`] does.
//! - *Maybe ran counts as ran*: that a call begins is committed before it is made. Where
//!   nobody knows what came of it, the compensation is called too; it may come before the
//!   call.
//! - *One owner*: any number of equal processes may drive the sagas of one store, with no
//!   coordinator. An owner has a lease by the database's clock, and a number ([`Fence`]) that
//!   each of its writes is checked against: one that stood still past its lease changes
//!   nothing when it wakes.
//! - *Old ones end under the old definition*: a saga keeps the version it was started under;
//!   a definition whose steps changed while its version did not is told by its fingerprint,
//!   and its sagas wait, listed by [`Sagas::of_others`].
//! - *One bad saga* keeps no other waiting: a step that panics is one that failed, and a saga
//!   that ends its process again and again is [`SagaState::Stuck`].
//!
//! # What it costs
//!
//! A saga of *n* local steps is *n* commits; of *n* calls, *n* + 1: what came of a call is
//! written together with the intent of the next one, and the end together with the last.
//!
//! # What it does not do
//!
//! - It isolates nothing: others see what the first step did before the last one is done
//!   (Garcia-Molina and Salem, *Sagas*, 1987, section 2). Reserve first, where that matters.
//! - It does not cancel a saga that goes forward: that is another saga.
//! - Steps of a group are tried again when all of them have answered.
//! - Leases are by the clock of the database that is the primary. Where another one becomes
//!   it whose clock is ahead, a saga may be taken over early: its first owner's writes are
//!   refused then.
//! - A call that has no ledger at its other end may be done twice.
//!
//! # Where to read next
//!
//! `machine.rs` (what is done next), `drive.rs` (does it), `sagas.rs` (who drives what),
//! `store.rs` (rows), `ledger.rs`.

pub mod definition;
pub mod ledger;
pub mod machine;
pub mod model;
pub mod sagas;
pub mod schema;
pub mod wire;

#[cfg(feature = "crash")]
pub mod crash;
#[cfg(not(feature = "crash"))]
mod crash;
mod drive;
mod store;

pub use self::definition::{
    CallStep, CallUndo, Context, Definition, DefinitionError, LocalStep, LocalUndo, Step,
};
pub use self::model::{Fence, Policy, Refusal, SagaId, SagaState, StepError, StepKey, StepState};
pub use self::sagas::{Config, Definitions, Kind, SagaView, Sagas, StartError, Started, StepView};
pub use self::schema::MIGRATIONS;
pub use self::store::Listing;
