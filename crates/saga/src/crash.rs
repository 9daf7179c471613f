//! Named crash points, and a test that stops at each of them.
//!
//! Every commit and every call of a saga has a point before and one after it, with a name.
//! [`crash_everywhere!`](crate::crash_everywhere) runs a saga of yours again and again: each
//! time the process stops at another point (nothing that it had in mind happens any more),
//! its lease ends, and another one takes over; then at each pair of points. After each run
//! your own [`World::check`] says whether all is done or nothing is left.
//!
//! ```
//! # use multi_master::{Column, Config, Db, Kind, Migration, MultiMaster, Policy, Table, Tx};
//! # use multi_master::{DbError, fields, params};
//! # use saga::crash::World;
//! # use saga::{Context, Definition, Definitions, Kind as SagaKind, LocalStep, LocalUndo};
//! # use saga::{SagaId, SagaState, SagaView, Sagas, StartError, Step, StepError};
//! # use stdx::{Clock, UnixMicros};
//! # const ROOMS: Table = Table {
//! #     name: "rooms",
//! #     key: &["saga_id"],
//! #     columns: &[Column::new("saga_id", Kind::Id)],
//! #     indexes: &[],
//! # };
//! struct BookRoom;
//!
//! impl Step for BookRoom {
//!     type Output = ();
//!     const NAME: &'static str = "book-room";
//! }
//!
//! impl LocalStep<u32> for BookRoom {
//!     async fn run(&self, tx: &mut Tx, context: &Context<'_, u32>) -> Result<(), StepError> {
//!         let row = fields! {"saga_id" => multi_master::id(context.saga())};
//!         Ok(tx.insert("rooms", row).await?)
//!     }
//! }
//!
//! impl LocalUndo<u32> for BookRoom {
//!     async fn undo(
//!         &self,
//!         tx: &mut Tx,
//!         context: &Context<'_, u32>,
//!         (): (),
//!     ) -> Result<(), StepError> {
//!         tx.delete("rooms", params![multi_master::id(context.saga())]).await?;
//!         Ok(())
//!     }
//! }
//!
//! /// A hotel that has rooms up to a price.
//! struct Pay;
//!
//! impl Step for Pay {
//!     type Output = ();
//!     const NAME: &'static str = "pay";
//! }
//!
//! impl LocalStep<u32> for Pay {
//!     async fn run(&self, _: &mut Tx, context: &Context<'_, u32>) -> Result<(), StepError> {
//!         match context.input {
//!             0..=100 => Ok(()),
//!             price => Err(StepError::refused("TOO_DEAR", format!("{price} is too dear"))),
//!         }
//!     }
//! }
//!
//! struct Hotel {
//!     store: MultiMaster,
//!     clock: Clock,
//!     _folder: tempfile::TempDir,
//! }
//!
//! impl World for Hotel {
//!     // One that is paid, and one that is not.
//!     const SCENARIOS: usize = 2;
//!     type Kind = SagaKind<u32>;
//!
//!     async fn begin(clock: Clock) -> Self {
//!         let folder = tempfile::tempdir().unwrap();
//!         let mut config = Config::embedded(folder.path(), Policy::All);
//!         config.clock = clock.clone();
//!         let migrations: Vec<Migration> = saga::MIGRATIONS
//!             .iter()
//!             .copied()
//!             .chain([Migration {
//!                 name: "rooms",
//!                 steps: &[multi_master::Step::CreateTable(ROOMS)],
//!             }])
//!             .collect();
//!         let store = MultiMaster::open(config, &migrations).await.unwrap();
//!         Self { store, clock, _folder: folder }
//!     }
//!
//!     fn store(&self) -> &MultiMaster {
//!         &self.store
//!     }
//!
//!     fn define(&self, definitions: &mut Definitions) -> Self::Kind {
//!         let stay = Definition::new("stay", 1).local(BookRoom).local_without_undo(Pay);
//!         definitions.add(stay).unwrap()
//!     }
//!
//!     async fn start(
//!         &self,
//!         sagas: &Sagas,
//!         stay: &Self::Kind,
//!         scenario: usize,
//!         id: SagaId,
//!     ) -> Result<(), StartError> {
//!         sagas.start(stay, id, &[80, 1_000][scenario]).await.map(|_| ())
//!     }
//!
//!     async fn check(&self, _: usize, saga: &SagaView) {
//!         let id = saga.id;
//!         let room = self.store.read(async move |db: &mut Db| {
//!             db.get("rooms", params![multi_master::id(id)]).await
//!         });
//!         let is_booked = room.await.unwrap().is_some();
//!         assert_eq!(is_booked, saga.state == SagaState::Completed);
//!     }
//! }
//!
//! saga::crash_everywhere!(a_stay_survives_crashes, Hotel);
//! # saga::crash::everywhere::<Hotel>(2);
//! ```

#[cfg(feature = "crash")]
mod everywhere;

#[cfg(feature = "crash")]
pub use self::everywhere::{Crash, Crashes, World, everywhere};

/// Makes a test of a [`World`], with this name: a crash at each point, and crashes at each
/// pair of points.
#[cfg(feature = "crash")]
#[macro_export]
macro_rules! crash_everywhere {
    ($name:ident, $world:ty) => {
        #[test]
        fn $name() {
            let crashes = $crate::crash::everywhere::<$world>(2);
            assert!(crashes.runs > 0, "nothing crashed");
        }
    };
}

/// Which crash points are armed, of one orchestrator: none.
#[cfg(not(feature = "crash"))]
#[derive(Clone, Debug)]
pub(crate) struct Crash;

#[cfg(not(feature = "crash"))]
impl Crash {
    pub(crate) const fn none() -> Self {
        Self
    }

    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    pub(crate) async fn reached(&self, _point: impl FnOnce() -> String) {}
}
