//! N databases written as one: every write goes to all of them or is known not
//! to, any of them answers reads, and one that was away is brought up to date
//! before it serves again.
//!
//! The masters of a set are SQLite files, or MariaDB or MySQL servers. With one
//! master (which may itself be a cluster) the same code runs with N = 1.
//!
//! ```
//! use multi_master::{
//!     Column, Config, Db, DbError, Kind, Migration, MultiMaster, Policy, Step, Table, Tx,
//!     fields, params,
//! };
//!
//! const MIGRATIONS: &[Migration] = &[Migration {
//!     name: "notes",
//!     steps: &[Step::CreateTable(Table {
//!         name: "notes",
//!         key: &["id"],
//!         columns: &[
//!             Column::new("id", Kind::Int),
//!             Column::new("content", Kind::Text { chars_max: 5_000 }),
//!         ],
//!         indexes: &[],
//!     })],
//! }];
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! // Two SQLite files, a.db and b.db, and the witness beside them.
//! let config = Config::embedded(folder.path(), Policy::Available);
//! let store = MultiMaster::open(config, MIGRATIONS).await?;
//! store
//!     .write(async move |tx: &mut Tx| {
//!         tx.insert("notes", fields! {"id" => 1i64, "content" => "책갈피"}).await
//!     })
//!     .await
//!     .into_result()?;
//! let content: String = store
//!     .read(async move |db: &mut Db| {
//!         let row = db.get("notes", params![1i64]).await?.expect("it was inserted");
//!         Ok::<_, DbError>(row.get("content")?)
//!     })
//!     .await?;
//! assert_eq!(content, "책갈피");
//! # store.close().await;
//! # Ok(()) })
//! # }
//! ```
//!
//! # How a write goes
//!
//! 1. [`MultiMaster::write`] runs the closure with a [`Tx`] on the **primary**,
//!    the first master that serves. Reads inside it hold what they read.
//! 2. Each row operation gives its row a version (`_v`, hybrid logical time) and
//!    a digest (`_d`). The transaction's last statement inserts its **marker**
//!    into `mm_log`: *present there* means *committed here*. The marker also
//!    carries the rows before and after: it is the journal for a master that is
//!    away. Writes that wait are taken together, run one after the other in one
//!    transaction, and share a marker of some 64 KiB (on SQLite a group may have
//!    more than one): they have one fate and one transaction id.
//! 3. The other masters run the same statements; each must meet one row at the
//!    version that the primary had. Then all commit, at the same time. From here
//!    on a marker on any master means that it is saved.
//! 4. A master that fails stops serving **before** the caller is told
//!    [`Outcome::Owed`]: the witness hears of it, then the epoch row of those
//!    that are left, which every writer shares.
//!
//! One connection that falls makes a master only *suspect*: it is asked, and is
//! out where it does not answer within a second. Whose commit did not come to its
//! end is out at once.
//!
//! With a witness that several processes share, what one of them changes about
//! who serves the others hear within 150 ms; a process reads only while it knows
//! that nobody has gone on without it. What a process leaves that dies, another
//! one settles after five seconds.
//!
//! When a master answers again, markers are exchanged both ways, rows are
//! applied where the incoming version is newer, and it joins while writers wait
//! for one short transaction (80 ms at most, and longer only where that never did).
//! What only it has goes to one master first, and any third is out until it has that
//! too. What a crash left between two commits is settled by the same code when the
//! set is opened. What lost its place meanwhile is kept for a person to look at
//! ([`MultiMaster::conflicts`]).
//!
//! What is owed to a master that is away, and transactions whose outcome nobody
//! could tell, are in the recovery queue ([`MultiMaster::queue`]): counted, tried
//! again, looked up when a master comes back and at least each minute.
//!
//! # What is promised
//!
//! - *Durability*: what was acknowledged is on every master that serves, and a
//!   master that misses something acknowledged serves nothing.
//! - *Order*: two writes that meet in a row are in one order on all masters.
//! - *Isolation*: a write sees what is committed on the primary and holds the
//!   rows that it reads. On SQLite that is serializable. On MariaDB (`READ
//!   COMMITTED`, every read of a write with `FOR UPDATE`) rows that were read
//!   can't change before the commit, and the **absence** of a row is not held:
//!   a unique index has to decide. A read sees one moment of one master, after
//!   every write that was acknowledged before it began. On MariaDB it may see a
//!   transaction that a crash of every master in the same instant takes back,
//!   because InnoDB shows a commit before it is on the disk. Where several
//!   processes read, one may see what another has committed on one master so far;
//!   where that process and that master then end before anybody has settled it,
//!   the others may go on without it. Nobody was told that it is saved.
//!
//! # What it does not do
//!
//! - It was not tried on MySQL: what is rendered for it is read from its manual.
//! - SQLite files are for one process at a time. Several processes may have the
//!   same MariaDB servers open where they share a witness: see [`WitnessConfig`].
//!   Who has a witness of its own holds a lock by name on each server, and keeps
//!   others out by it.
//! - A [`archive`] has no log: what was saved before can't be looked up in a store
//!   that was made of one.
//! - It does not notice by itself that somebody changed rows behind its back: a
//!   write that meets one is refused with [`DbError::Diverged`], and
//!   [`MultiMaster::verify`] finds and repairs the others.
//! - It does not choose between two databases that both lost writes of each
//!   other: it prevents that, by the witness.
//!
//! # Where to read next
//!
//! `store.rs` (opening, the handles), `db.rs` ([`Db`], [`Tx`]), `write_set.rs`
//! (what a marker holds), `sqlite/writer.rs` and `mysql/write.rs` (commits),
//! `membership.rs` (who serves: a state machine without I/O), `supervisor.rs`
//! (decides), `supervisor/recovery.rs` and `settle.rs` (coming back), `witness.rs`
//! and `supervisor/processes.rs` (several processes), `copy.rs` (filling a master),
//! `archive.rs` (backup, restore, moving), `queue.rs` (what is left to be done),
//! `numbers.rs`.

pub mod archive;
pub mod config;
pub mod error;
pub mod sabotage;
pub mod schema;
pub mod value;

mod store;

mod conflicts;
mod copy;
mod counters;
mod db;
mod fault;
mod job;
mod lease;
mod link;
mod membership;
mod mysql;
mod named_lock;
mod numbers;
mod queue;
mod render;
mod settle;
mod shared;
mod sqlite;
mod supervisor;
mod tables;
mod timely;
mod verify;
mod witness;
mod write_set;

pub use config::{Config, Limits, MasterConfig, Policy, WitnessConfig};
pub use conflicts::{Conflict, ConflictError, LostRow};
pub use copy::{CopyPhase, CopyProgress};
pub use counters::Counts;
pub use db::{Db, Tx};
pub use error::{DbError, MasterName, OpenError, Outcome, TxId, WriteError};
pub use membership::{MasterState, MasterStatus};
pub use numbers::{Failover, FailoverOf, LATENCY_BOUNDS_US, Latency, MasterNumbers};
pub use queue::{InDoubt, Owed, Queue, QueueError, QueueItem, Retried};
pub use schema::{Column, Index, Kind, Migration, Schema, Step, Table};
pub use store::MultiMaster;
pub use supervisor::{FillAnew, FillError};
pub use value::{Row, Value, id};
pub use verify::{Difference, Findings, Held, Progress, Repair, Verify};
pub use witness::server::WitnessServer;
