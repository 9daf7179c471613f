//! The small things that every other crate of the library stands on.
//!
//! | module | what it has |
//! |---|---|
//! | [`time`] | [`UnixMicros`], and a [`Clock`] that is real or virtual |
//! | [`random`] | [`Random`]: seeded, the same seed gives the same bytes |
//! | [`ids`] | UUIDv7 newtypes by [`id_type!`], made by an [`IdSource`] |
//! | [`hlc`] | [`HybridClock`]: a hybrid logical clock with bounded drift |
//! | [`backoff`] | [`Backoff`]: growing pauses with full jitter |
//! | [`bounded`] | [`BoundedQueue`]: a queue that refuses instead of growing |
//!
//! **What it does not do:** it opens no file and no socket and starts no
//! thread. The doors to the operating system are [`Clock::real`] and, with the
//! feature `system`, `Random::secret` and `Seed::from_system`; everything else
//! is a value whose inputs are arguments, so that a simulation can replay it.
//! Without that feature it compiles for wasm32.
//!
//! ```
//! use stdx::{Clock, IdSource, Random, Seed};
//!
//! stdx::id_type! {
//!     /// Identifies one memo.
//!     pub struct MemoId;
//! }
//!
//! let clock = Clock::starting_at(stdx::UnixMicros::from_secs(1_700_000_000));
//! let ids = IdSource::new(clock.clone(), Random::new(Seed(7)));
//! let (first, second): (MemoId, MemoId) = (ids.next(), ids.next());
//! assert!(first < second, "ids of one source are in the order of their making");
//! ```

pub mod time;

pub mod random;

pub mod ids;

pub mod hlc;

pub mod backoff;

pub mod bounded;

pub use backoff::Backoff;
pub use bounded::BoundedQueue;
pub use hlc::{HybridClock, HybridTime};
pub use ids::IdSource;
pub use random::{Random, Seed};
pub use time::{Clock, UnixMicros};

/// What [`id_type!`] expands to needs these by a path that does not depend on
/// the caller's own dependencies.
#[doc(hidden)]
pub mod reexport {
    pub use serde;
    pub use uuid;
}
