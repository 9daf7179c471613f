//! What can go wrong, and what the caller does next.

use endpaper_api::{FieldProblem, Language};
use endpaper_http::FieldError;
use multi_master::{DbError, TxId, WriteError};
use outbox::EmitError;

use crate::model::Refusal;

/// Why an operation was not done. Whatever the variant but [`ShopError::InDoubt`]: nothing was
/// taken and no money moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShopError {
    /// Fields are wrong: correct them.
    #[error("{}", listed(.0))]
    Invalid(Vec<FieldError>),
    /// It can't be, as the shop stands.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such reader.
    #[error("there is no such reader")]
    ReaderNotFound,
    /// There is no such coupon.
    #[error("there is no such coupon")]
    CouponNotFound,
    /// All of them are taken.
    #[error("all of these coupons are taken")]
    CouponSoldOut,
    /// The reader has no such order.
    #[error("there is no such order")]
    OrderNotFound,
    /// Only what was completed can be cancelled.
    #[error("this order can't be cancelled")]
    NotCancellable,
    /// Another order of the reader is being made: repeat it in a moment.
    #[error("another order of the reader is being made")]
    InProgress,
    /// The order was asked for before with something else: use a new id or key.
    #[error("this id or idempotency key came with something else before")]
    KeyReused,
    /// Another thing has the id that the client chose: choose another.
    #[error("another thing has this id")]
    IdTaken,
    /// Readers can't be looked up now: repeat it later.
    #[error("readers can't be looked up now")]
    ReadersAway,
    /// An event could not be staged: a mistake in the program.
    #[error("an event could not be staged: {0}")]
    Event(EmitError),
    /// The store could not do it; [`DbError::is_retryable`] says whether repeating makes sense.
    #[error(transparent)]
    Db(#[from] DbError),
    /// It may be saved: repeat exactly the same request.
    #[error("it is not known yet whether transaction {0} was saved")]
    InDoubt(TxId),
}

fn listed(errors: &[FieldError]) -> String {
    let one =
        |error: &FieldError| format!("{}: {}", error.field, error.problem.message(Language::En));
    errors.iter().map(one).collect::<Vec<_>>().join(" ")
}

impl ShopError {
    /// One field is wrong.
    pub(crate) fn field(field: &'static str, problem: FieldProblem) -> Self {
        Self::Invalid(vec![FieldError::new(field, problem)])
    }

    /// Whether two writes met and the later one, when it is run again, sees what the earlier
    /// one did.
    pub(crate) const fn is_meeting(&self) -> bool {
        matches!(self, Self::Db(DbError::Duplicate { .. }))
    }
}

impl From<FieldError> for ShopError {
    fn from(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }
}

impl From<EmitError> for ShopError {
    fn from(error: EmitError) -> Self {
        match error {
            EmitError::Db(error) => Self::Db(error),
            error => Self::Event(error),
        }
    }
}

impl From<WriteError<Self>> for ShopError {
    fn from(error: WriteError<Self>) -> Self {
        match error {
            WriteError::NotSaved(error) => error,
            WriteError::InDoubt(txid) => Self::InDoubt(txid),
        }
    }
}

impl From<WriteError<DbError>> for ShopError {
    fn from(error: WriteError<DbError>) -> Self {
        match error {
            WriteError::NotSaved(error) => Self::Db(error),
            WriteError::InDoubt(txid) => Self::InDoubt(txid),
        }
    }
}
