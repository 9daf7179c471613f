//! Faults for tests: real servers that a test starts itself, and stops,
//! freezes, kills and starts again.
//!
//! | module | what it has |
//! |---|---|
//! | [`suite`] | which part of the tests runs (quick or full), and [`Scratch`] directories |
//! | [`process`] | [`Process`]: a child with bounded waits that never outlives its test |
//! | [`program`] | [`Program`]: one of our own servers, started and listening |
//! | [`mariadb`] | [`MariaDb`]: a MariaDB server with a data directory of its own |
//! | [`daemon`] | [`Redis`], [`Nats`]: servers that are one program each |
//! | [`galera`] | [`Galera`]: a cluster of them |
//! | [`replication`] | MariaDB's own replication between two of them |
//! | [`chromium`] | `Browser` (feature `browser`): a real Chromium, driven as a person would |
//! | [`taken_away`] | [`TakenAway`]: a SQLite file that is away while a program has it open |
//! | [`disk`] | [`SmallDisk`]: a file system of its own, full when it is told to be |
//! | [`proxy`] | [`Proxy`]: the network between a program and a server, cut, slow or lossy when told to be |
//! | [`history`] | [`Recorder`]: what clients did and were told; judges that say whether that can be |
//!
//! **What it does not do:** it never touches a database server that it did not
//! start, installs nothing, and listens on loopback alone. What must hold after
//! a fault is the test's to say; the judges of a [`history`] help it.
//!
//! The calls block; none waits without a bound. In an async test that is fine
//! for the short ones (`kill`, `freeze`, `thaw`), and the others belong in
//! `spawn_blocking` where something has to go on meanwhile.
//!
//! ```no_run
//! # fn test() -> Result<(), lab::LabError> {
//! // In the quick run this prints what is left out; in the full run a missing
//! // server is a failure.
//! let Some(software) = lab::require_mariadb("rows survive kill -9") else { return Ok(()) };
//! let scratch = lab::Scratch::new("rows-survive")?;
//! let mut server = lab::MariaDb::start(&software, scratch.path())?;
//! server.create_database("endpaper")?;
//! println!("connect to {}", server.url("endpaper"));
//! server.kill()?;
//! server.restart()?;
//! # Ok(()) }
//! ```

pub mod suite;

pub mod process;

pub mod program;

pub mod mariadb;

pub mod daemon;

pub mod galera;

pub mod chromium;

pub mod replication;

pub mod proxy;

pub mod disk;

pub mod taken_away;

pub mod history;

mod port;

mod error;

pub use chromium::require_chromium;
pub use daemon::{Nats, Redis};
pub use disk::SmallDisk;
pub use error::LabError;
pub use galera::{Galera, galera_missing, require_galera};
pub use history::{History, Recorder};
pub use mariadb::{MariaDb, Software, mariadb_missing, require_mariadb};
pub use port::Port;
pub use process::{Finished, Process, run};
pub use program::Program;
pub use proxy::Proxy;
pub use suite::{Scratch, Suite, has_program, target_dir};
pub use taken_away::TakenAway;
