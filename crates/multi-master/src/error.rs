//! What can go wrong, and what the caller does next.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

/// A master's name, as the configuration gives it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct MasterName(pub String);

impl fmt::Display for MasterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

stdx::id_type! {
    /// Identifies one transaction: the key of its marker in `mm_log`.
    pub struct TxId;
}

/// Why a statement, a read or a write failed.
///
/// In [`Outcome::NotSaved`], whatever the variant: nothing of the transaction was
/// saved, on any master. (Where that can't be said, the outcome is
/// [`Outcome::InDoubt`].)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// A row with the same key exists. The caller decides: it is a conflict,
    /// or the thing that was wanted is there already.
    #[error("a row with the same `{index}` exists in `{table}`")]
    Duplicate {
        /// The table.
        table: String,
        /// The name of the index, or `primary key`.
        index: String,
    },
    /// The row to update or to delete is not there.
    #[error("`{table}` has no row {key}")]
    Missing {
        /// The table.
        table: String,
        /// Its key.
        key: String,
    },
    /// A value doesn't fit its column, or there is no such column or table: a
    /// mistake in the program.
    #[error("{0}")]
    Shape(String),
    /// The SQL of a read was refused: a mistake in the program.
    #[error("the read was refused: {0}")]
    Statement(String),
    /// Others held the rows for too long, or a deadlock was broken, more often
    /// than this write was tried. Trying again later makes sense.
    #[error("others hold the same rows; try again")]
    Busy,
    /// Too many writes are waiting already. Trying again later makes sense.
    #[error("too many writes are waiting; try again in a moment")]
    Overloaded,
    /// The policy `all` needs every master, and these are away. Trying again
    /// makes sense when they are back.
    #[error("nothing was saved: this store writes to all of its masters or to none, and {} away", away(.0))]
    MasterAway(Vec<MasterName>),
    /// No master can serve. Trying again makes sense when one is back.
    #[error("no master can serve: {0}")]
    NoMaster(String),
    /// The masters do not hold the same for a row that was to be written.
    /// Nothing was written; an operator has to look.
    #[error("the masters differ: {0}")]
    Diverged(String),
    /// The closure of a read or write waited for something other than its own
    /// statements, or went on after an error: a mistake in the program.
    #[error("{0}")]
    Misuse(&'static str),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

fn away(masters: &[MasterName]) -> String {
    let names: Vec<&str> = masters.iter().map(|name| name.0.as_str()).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

impl DbError {
    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Overloaded | Self::MasterAway(_) | Self::NoMaster(_) | Self::Closed
        )
    }

    /// When to try again, where that makes sense.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy | Self::Overloaded => Some(Duration::from_secs(1)),
            Self::MasterAway(_) | Self::NoMaster(_) | Self::Closed => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a write may not have been saved"]
pub enum Outcome<T, E> {
    /// Every master has it.
    Saved {
        /// What the closure returned.
        value: T,
        /// The transaction's id; writes that shared a commit may share it. Where
        /// nothing was changed, no marker has it.
        txid: TxId,
    },
    /// It is saved, and these masters, which were away, are owed it. They get
    /// it when they come back, before they serve anything.
    Owed {
        /// What the closure returned.
        value: T,
        /// The transaction's id.
        txid: TxId,
        /// Who will get it later.
        owed: Vec<MasterName>,
    },
    /// Nothing was saved anywhere, and here is why: the closure's own error,
    /// or one of the store made into it.
    NotSaved(E),
    /// The connection fell while committing and the answer can't be had now.
    /// It is looked up when a master is back: ask
    /// [`crate::MultiMaster::lookup`] with this id, or repeat the write under
    /// the same idempotency key.
    InDoubt(TxId),
}

/// A write that is not known to be saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// Nothing was saved.
    #[error("{0}")]
    NotSaved(E),
    /// It may be saved: see [`Outcome::InDoubt`].
    #[error("it is not known yet whether transaction {0} was saved")]
    InDoubt(TxId),
}

impl<T, E> Outcome<T, E> {
    /// The closure's value where the write is saved; for callers to whom
    /// "saved" and "saved, and owed to a master" are the same.
    pub fn into_result(self) -> Result<T, WriteError<E>> {
        match self {
            Self::Saved { value, .. } | Self::Owed { value, .. } => Ok(value),
            Self::NotSaved(error) => Err(WriteError::NotSaved(error)),
            Self::InDoubt(txid) => Err(WriteError::InDoubt(txid)),
        }
    }
}

/// The store could not be opened. Each message says which master and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration can't be right.
    #[error("{0}")]
    Config(String),
    /// Another process uses the store.
    #[error("{0} is in use by another process: stop it, or give this one another data directory")]
    InUse(String),
    /// A file or directory can't be used.
    #[error("{path}: {reason}")]
    Disk {
        /// Which.
        path: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Not enough masters answer to serve anything.
    #[error("{0}")]
    NoMaster(String),
    /// The witness can't be asked or told: nobody knows which masters hold every
    /// write.
    #[error("the witness {0}")]
    Witness(String),
    /// A master is none of this set, or holds tables this program can't use.
    #[error("master `{master}`: {reason}")]
    Refused {
        /// Which.
        master: MasterName,
        /// Why, and what to do.
        reason: String,
    },
}

pub(crate) fn txid_of(uuid: Uuid) -> TxId {
    stdx::ids::Id::from_uuid(uuid)
}
