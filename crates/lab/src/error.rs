//! What can go wrong with a test's own servers.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A server or program of a test did not do what it was told.
///
/// Tests `unwrap` it: the message has what a person needs to see, the end of
/// the server's own log included.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file or directory can't be used.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program can't be started at all.
    #[error("can't start {program}: {source}")]
    Spawn {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program ended before it was ready.
    #[error("{program} ended ({status}) before it was ready:\n{log}")]
    Ended {
        /// Which.
        program: String,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        log: String,
    },
    /// A bounded wait reached its bound.
    #[error("{program} was not {what} within {limit:?}:\n{log}")]
    Late {
        /// Which program.
        program: String,
        /// What was waited for.
        what: &'static str,
        /// The bound.
        limit: Duration,
        /// The end of what it said.
        log: String,
    },
    /// A signal was not delivered.
    #[error("can't send {signal} to {program}: {source}")]
    Signal {
        /// The signal.
        signal: &'static str,
        /// To whom.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A statement was refused by the database.
    #[error("the database refused `{sql}`: {message}")]
    Sql {
        /// The statement.
        sql: String,
        /// What it said.
        message: String,
    },
    /// No free port was found.
    #[error("no free port between {from} and {to}")]
    NoPort {
        /// The first that was tried.
        from: u16,
        /// The last.
        to: u16,
    },
    /// A socket can't be used.
    #[error("{what}: {source}")]
    Network {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The call makes no sense in the state the server is in.
    #[error("{program} is {state}")]
    State {
        /// Which.
        program: String,
        /// `running` or `not running`.
        state: &'static str,
    },
}

impl LabError {
    pub(crate) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}
