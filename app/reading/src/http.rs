//! The routes of reading, under `/api/v1`.
//!
//! | module | routes |
//! |---|---|
//! | `books` | `/books…`, `/health/books` |
//! | `shelf` | `/user/books…`, `/memos/books/{id}/close`, `/memos/books/recent` |
//! | `memos` | `/memos…`, `/today-flow`, `/tags` |
//! | `transfer` | `/import…`, `/export` |
//! | `sync` | `/sync/…` |
//! | `view` | what is said, in the types of the wire |

mod books;

mod memos;

mod shelf;

mod sync;

mod transfer;

mod view;

use axum::Router;
use endpaper_http::{ErrorCode, FieldError, Problem};
use stdx::ids::Id as _;
use utoipa::OpenApi;

use crate::model::{Flaws, ReaderId};
use crate::service::{ReadingError, ReadingService};

/// The routes. They need the extension
/// [`Authenticator`](endpaper_http::Authenticator) around them.
pub fn router(service: ReadingService) -> Router {
    Router::new()
        .merge(books::routes())
        .merge(shelf::routes())
        .merge(memos::routes())
        .merge(transfer::routes())
        .merge(sync::routes())
        .with_state(service)
}

/// What the routes take and answer, as a part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(tags(
        (name = "books", description = "The catalogue and the external sources"),
        (name = "shelf", description = "The reader's books"),
        (name = "memos", description = "Memos, the calendar, the flow of a day, tags"),
        (name = "import and export", description = "A reader's data in and out"),
        (name = "sync", description = "Devices that read and write offline"),
    ))]
    struct Base;

    let mut document = Base::openapi();
    document.merge(books::Document::openapi());
    document.merge(shelf::Document::openapi());
    document.merge(memos::Document::openapi());
    document.merge(transfer::Document::openapi());
    document.merge(sync::Document::openapi());
    document
}

fn reader(caller: &endpaper_http::Caller) -> ReaderId {
    ReaderId::from_uuid(caller.user.uuid())
}

impl From<Flaws> for Problem {
    fn from(flaws: Flaws) -> Self {
        let errors =
            flaws.into_vec().into_iter().map(|flaw| FieldError::new(flaw.field, flaw.problem));
        Self::fields(errors.collect())
    }
}

impl From<ReadingError> for Problem {
    fn from(error: ReadingError) -> Self {
        let code = match error {
            ReadingError::Invalid(flaws) => return flaws.into(),
            ReadingError::Db(error) => return error.into(),
            ReadingError::AlreadyOnShelf(existing) => {
                return Self::new(ErrorCode::BookAlreadyOnShelf)
                    .detail("existingId", existing.uuid());
            }
            ReadingError::InDoubt(txid) => {
                return multi_master::WriteError::<Self>::InDoubt(txid).into();
            }
            ReadingError::ImportUnreadable(why) => {
                return Self::new(ErrorCode::ImportUnreadable).detail("reason", why.to_string());
            }
            ReadingError::Busy => ErrorCode::ServerBusy,
            ReadingError::BookNotFound => ErrorCode::BookNotFound,
            ReadingError::UserBookNotFound => ErrorCode::UserBookNotFound,
            ReadingError::MemoNotFound => ErrorCode::MemoNotFound,
            ReadingError::IdTaken => ErrorCode::IdTaken,
            ReadingError::VersionConflict => ErrorCode::VersionConflict,
            ReadingError::KeyReused => ErrorCode::IdempotencyKeyReused,
            ReadingError::KeyInUse => ErrorCode::IdempotencyKeyInUse,
            ReadingError::ImportInProgress => ErrorCode::ImportInProgress,
            ReadingError::SourceAway => ErrorCode::SourceUnavailable,
            ReadingError::SourceQuota => ErrorCode::SourceQuotaExceeded,
        };
        Self::new(code)
    }
}
