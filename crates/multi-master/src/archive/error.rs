//! Why nothing was archived, restored or moved.

use std::path::{Path, PathBuf};

use crate::error::{MasterName, OpenError};
use crate::fault::Fault;

/// Why a backup, a restore or a move did not come to its end. What was being
/// filled is no store: it is filled from the start by the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file is there already.
    #[error("{0} is there already: nothing is overwritten; give another name")]
    FileExists(PathBuf),
    /// A file or directory can't be used.
    #[error("{path}: {reason}")]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is not a whole backup.
    #[error("{file} is no whole backup: {reason}")]
    NoBackup {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file or the store was made by another program.
    #[error("{what} {reason}")]
    OtherProgram {
        /// Which.
        what: String,
        /// In which way.
        reason: String,
    },
    /// A database that was to be filled has something in it.
    #[error(
        "master `{master}` is not empty ({found}): nothing is overwritten. Give it an empty \
         database or another file, or take away what is there"
    )]
    NotEmpty {
        /// Which.
        master: MasterName,
        /// What was found.
        found: String,
    },
    /// There is a store already.
    #[error(
        "{0} says that there is a store already: give another data directory, or move that file \
         and the masters that it is about away"
    )]
    StoreExists(PathBuf),
    /// A master failed.
    #[error("master `{master}`: {reason}")]
    Master {
        /// Which.
        master: MasterName,
        /// Why.
        reason: String,
    },
    /// What was read back is not what was written.
    #[error("{what} does not hold what was copied into `{table}`: is its disk broken?")]
    Differs {
        /// Which master or file.
        what: String,
        /// Which table.
        table: String,
    },
}

pub(super) type Result<T> = std::result::Result<T, ArchiveError>;

pub(super) fn of_master(master: &MasterName) -> impl Fn(Fault) -> ArchiveError + use<> {
    let master = master.clone();
    move |fault| ArchiveError::Master { master: master.clone(), reason: why(fault) }
}

pub(super) fn on_disk(path: &Path) -> impl Fn(std::io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |error| ArchiveError::Disk { path: path.clone(), reason: error.to_string() }
}

pub(super) fn why(fault: Fault) -> String {
    match fault {
        Fault::Lost(why) => why,
        other => crate::error::DbError::from(other).to_string(),
    }
}
