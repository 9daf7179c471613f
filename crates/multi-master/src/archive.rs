//! One moment of a store, elsewhere: a backup in one file, a store made of a
//! backup, and a store moved to other masters, of the same or of the other kind.
//!
//! All three are one thing: the rows of a [`Snapshot`], with their versions and
//! digests, tombstones, and what lost in conflicts, are put into databases that
//! were empty, read back, and compared. Until that is done the databases say of
//! themselves that they are being filled, and serve nothing.
//!
//! **What it does not do:** a backup has no log. Transactions of before can't be
//! looked up in a store that was made of one, and masters of before don't belong
//! to it: it is a set of its own, with an id of its own.

mod error;
mod file;
mod moving;
mod pour;
mod snapshot;
mod target;

pub use self::error::ArchiveError;
pub use self::file::{Backup, verify_backup};
pub use self::moving::{move_store, restore};
pub use self::snapshot::Snapshot;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveProgress {
    /// What is done with the table: it is copied, or read back and compared.
    pub checking: bool,
    /// The table.
    pub table: &'static str,
    /// Rows so far, in all tables.
    pub rows: u64,
    /// How many it will be, about.
    pub rows_expected: u64,
}

/// What was put somewhere, and read back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Archived {
    /// Rows, tombstones and conflicts included.
    pub rows: u64,
    /// Tables of the program.
    pub tables: u64,
    /// Rows that are not what their digest says: somebody had changed them by
    /// hand. They are there as they were.
    pub altered: u64,
}

/// Hears how far it is.
type Tell<'a> = &'a mut dyn FnMut(ArchiveProgress);
