//! What can go wrong, and what the caller does next.

use endpaper_api::FieldProblem;
use multi_master::{DbError, TxId, WriteError};

use crate::import::ImportProblem;
use crate::model::{Flaw, Flaws, UserBookId};

/// Why an operation was not done. Whatever the variant but
/// [`ReadingError::InDoubt`]: nothing was saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadingError {
    /// Fields are wrong: correct them.
    #[error("{}", listed(.0))]
    Invalid(Flaws),
    /// Neither the catalogue nor a source has the book.
    #[error("there is no such book")]
    BookNotFound,
    /// The reader's shelf has no such book.
    #[error("the shelf has no such book")]
    UserBookNotFound,
    /// The reader has no such memo.
    #[error("there is no such memo")]
    MemoNotFound,
    /// The book is on the shelf under this id: use it.
    #[error("the book is on the shelf already")]
    AlreadyOnShelf(UserBookId),
    /// Another memo has the id that the client chose: choose another.
    #[error("another memo has this id")]
    IdTaken,
    /// The memo was changed since the version that the client saw: load it.
    #[error("the memo was changed in the meantime")]
    VersionConflict,
    /// The idempotency key came with another body before: use a new key.
    #[error("this idempotency key came with another body before")]
    KeyReused,
    /// The first request with this idempotency key runs: repeat it in a moment.
    #[error("the first request with this idempotency key is still running")]
    KeyInUse,
    /// The file is not what can be imported.
    #[error(transparent)]
    ImportUnreadable(#[from] Box<ImportProblem>),
    /// Too many imports, or searches, are under way: repeat it in a moment.
    #[error("too much is under way")]
    Busy,
    /// Another import of the reader runs: repeat it when that has finished.
    #[error("another import is running")]
    ImportInProgress,
    /// The catalogue does not have the book and no source answers: repeat it
    /// later.
    #[error("the book source does not answer")]
    SourceAway,
    /// The catalogue does not have the book and the source answers no more
    /// questions today.
    #[error("the book source answers no more questions today")]
    SourceQuota,
    /// The store could not do it; [`DbError::is_retryable`] says whether
    /// repeating makes sense.
    #[error(transparent)]
    Db(#[from] DbError),
    /// It may be saved: repeat exactly the same request.
    #[error("it is not known yet whether transaction {0} was saved")]
    InDoubt(TxId),
}

fn listed(flaws: &Flaws) -> String {
    let flaw = |flaw: &Flaw| {
        format!("{}: {}", flaw.field, flaw.problem.message(endpaper_api::Language::En))
    };
    flaws.as_slice().iter().map(flaw).collect::<Vec<_>>().join(" ")
}

impl ReadingError {
    /// One field is wrong.
    #[must_use]
    pub fn field(field: &'static str, problem: FieldProblem) -> Self {
        Self::Invalid(Flaw::new(field, problem).into())
    }

    /// Whether two writes met and the later one, when it is run again, sees
    /// what the earlier one did.
    pub(super) const fn is_meeting(&self) -> bool {
        matches!(self, Self::Db(DbError::Duplicate { .. }))
    }
}

impl From<Flaws> for ReadingError {
    fn from(flaws: Flaws) -> Self {
        Self::Invalid(flaws)
    }
}

impl From<Flaw> for ReadingError {
    fn from(flaw: Flaw) -> Self {
        Self::Invalid(flaw.into())
    }
}

impl From<WriteError<Self>> for ReadingError {
    fn from(error: WriteError<Self>) -> Self {
        match error {
            WriteError::NotSaved(error) => error,
            WriteError::InDoubt(txid) => Self::InDoubt(txid),
        }
    }
}
