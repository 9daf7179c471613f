//! Who readers are: the shop asks whoever composes it.

use std::pin::Pin;

use crate::model::ReaderId;

/// Readers can't be looked up now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("readers can't be looked up now")]
pub struct ReadersAway;

/// What [`FindReader`] returns.
pub type Finding<'a> =
    Pin<Box<dyn Future<Output = Result<Option<ReaderId>, ReadersAway>> + Send + 'a>>;

/// Looks readers up.
pub trait FindReader: Send + Sync + 'static {
    /// The reader with this log-in id, where there is one whose account is open.
    fn by_login_id<'a>(&'a self, login_id: &'a str) -> Finding<'a>;
}
