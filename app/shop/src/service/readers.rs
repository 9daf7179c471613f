//! Who readers are: the shop asks whoever composes it.

use std::pin::Pin;

use endpaper_api::Language;

use crate::model::ReaderId;

/// Readers can't be looked up now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("readers can't be looked up now")]
pub struct ReadersAway;

/// What [`FindReader`] returns.
pub type Finding<'a> =
    Pin<Box<dyn Future<Output = Result<Option<ReaderId>, ReadersAway>> + Send + 'a>>;

/// How a reader is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// How they are called.
    pub name: String,
    /// A mail address.
    pub email: String,
    /// In which language.
    pub language: Language,
}

/// What [`ContactReader`] returns.
pub type Contacting<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Contact>, ReadersAway>> + Send + 'a>>;

/// Looks readers up.
pub trait FindReader: Send + Sync + 'static {
    /// The reader with this log-in id, where there is one whose account is open.
    fn by_login_id<'a>(&'a self, login_id: &'a str) -> Finding<'a>;
}

/// Knows how readers are written to.
pub trait ContactReader: Send + Sync + 'static {
    /// How a reader is written to, where there is such an account.
    fn contact(&self, reader: ReaderId) -> Contacting<'_>;
}
