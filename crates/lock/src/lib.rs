//! A distributed lock with a fencing token: in Redis, in the masters where there is no
//! Redis, or in one process.
//!
//! | type | what it is |
//! |---|---|
//! | [`Locks`] | where locks are: [`Locks::redis`], [`Locks::masters`], [`Locks::local`] |
//! | [`Guard`] | a lock that is held: its [`Fence`], until when, whether it was lost |
//! | [`Config`] | for how long, how often renewed, how long waited |
//! | [`LockError`] | *busy* (somebody has it) and *unavailable* (nobody can be asked) kept apart |
//! | [`fence::check`] | what a store does that is protected by a lock |
//!
//! ```
//! use std::time::Duration;
//!
//! use lock::{Config, Locks, Released};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let locks = Locks::local(Config::default())?;
//! let guard = locks.lock("order:minji", Duration::from_secs(2)).await?;
//! assert!(locks.try_lock("order:minji").await.unwrap_err().is_busy());
//! // … and what is written carries `guard.fence()`.
//! assert_eq!(guard.release().await, Released::Yes);
//! # Ok::<(), lock::LockError>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - *One at a time, as long as nobody is late*: a lock has one holder, until it is released
//!   or its time is up. The holder counts that time on its own monotonic clock, from before
//!   the request was sent, and renews it when 70 % of it are left behind.
//! - *The holder is told*: where it can't be renewed, [`Guard::lost`] ends before the time
//!   is up, by a margin of a tenth of it.
//! - *A number that only rises*: each holder of a name has a greater [`Fence`] than the one
//!   before, also where Redis lost its data meanwhile: it is at least the microseconds of the
//!   clock there. (Where that lost its data *and* its clock was set back, it may not rise until
//!   the clock has caught up: a store that checks refuses such a holder.)
//! - *Busy is not unavailable*: who can't be asked says nothing about who has the lock.
//! - A guard that is dropped is released; so are all at [`Locks::close`].
//!
//! # What it does not promise
//!
//! **Nothing that has only a lease is safe by itself.** A process can stand still after it has
//! looked whether it still has the lock, for longer than the lock lasts (a pause of the
//! machine, a page from a slow disk, a packet on its way), and write when somebody else has it.
//! No length of the lease and no number of servers change that: Kleppmann, *How to do
//! distributed locking*, 2016; to which the author of Redlock answered (antirez, *Is Redlock
//! safe?*, 2016), and both agree that a check at the store is what makes it safe, where the
//! store can do one. So:
//!
//! - Where two at once would only be *waste*, the lock is enough.
//! - Where it would be *wrong*, the store that is written to has to refuse the smaller
//!   [`Fence`]: [`fence::check`] does it for the masters, in the transaction of the write.
//! - One Redis server is one point of failure, and its replicas are asynchronous: where one of
//!   them takes its place, a lock that it had not heard of is given twice. That is why the
//!   check is there, and why this crate has no Redlock: five servers that each may do so make
//!   it rarer, and not safe.
//!
//! # What it does not do
//!
//! - It is not fair between processes: who waits asks again with growing pauses (a quarter of
//!   chance in them, a second at most). Within one process, who came first is first.
//! - It is not reentrant: who has the lock and asks for it again waits for itself.

pub mod fence;

mod backend;
mod guard;
mod locks;
mod store;

pub use self::backend::Unavailable;
pub use self::fence::Fence;
pub use self::guard::{Guard, Released};
pub use self::locks::{Config, LockError, Locks, NAME_CHARS_MAX, SetupError};
pub use self::store::MIGRATIONS;
