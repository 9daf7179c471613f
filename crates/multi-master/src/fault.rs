//! Why a statement failed, as the code that commits needs to know it.

use crate::error::DbError;

/// What happened to a statement on one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The master can't be used: the connection fell, the disk is full, the
    /// file is broken, no answer came in time.
    Lost(String),
    /// A lock was waited for too long, or a deadlock was broken.
    Busy,
    /// Every connection is in use, and has been for as long as a statement may
    /// take.
    Full,
    /// Another view of the masters is in force, or about to be.
    Moved,
    /// A unique index refuses the row.
    Duplicate { table: String, index: String },
    /// A statement met another number of rows than it must.
    Mismatch { table: &'static str, met: u64, must: u64 },
    /// The row to change is not there.
    Missing { table: &'static str, key: String },
    /// The statement or a value is wrong.
    Refused(DbError),
}

impl From<Fault> for DbError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Lost(why) => Self::NoMaster(why),
            Fault::Busy | Fault::Full | Fault::Moved => Self::Busy,
            Fault::Duplicate { table, index } => Self::Duplicate { table, index },
            Fault::Mismatch { table, met, must: 1 } => {
                Self::Diverged(format!("a change of one row of `{table}` met {met} rows"))
            }
            Fault::Mismatch { table, met, must } => {
                Self::Diverged(format!("a change of {must} rows of `{table}` met {met} rows"))
            }
            Fault::Missing { table, key } => Self::Missing { table: table.to_owned(), key },
            Fault::Refused(error) => error,
        }
    }
}
