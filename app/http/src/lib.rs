//! What every domain's HTTP routes share: problems in the reader's language,
//! the statuses, extractors that refuse clearly, and who is calling.
//!
//! **What it does not do:** it listens nowhere, knows no domain, stores
//! nothing, and does not check tokens itself: that is behind [`Authenticate`].
//!
//! A handler takes what it needs as extractors and returns
//! `Result<Answer<T>, Problem>`:
//!
//! ```
//! use axum::{Router, routing::post};
//! use endpaper_api::{ErrorCode, Text};
//! use endpaper_http::{Answer, JsonBody, Problem};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(rename_all = "camelCase", deny_unknown_fields)]
//! struct Greet { name: Text }
//!
//! async fn greet(JsonBody(greet): JsonBody<Greet>) -> Result<Answer<String>, Problem> {
//!     if greet.name.is_empty() {
//!         return Err(Problem::field("name", endpaper_api::FieldProblem::Required));
//!     }
//!     Ok(Answer::created(format!("Hello, {}", greet.name)))
//! }
//!
//! let router: Router = endpaper_http::finish(Router::new().route("/greetings", post(greet)));
//! # let _ = router;
//! ```
//!
//! | module | what it has |
//! |---|---|
//! | [`problem`] | [`Problem`]: why a request was not done |
//! | [`status`] | the one file that assigns HTTP statuses |
//! | [`answer`] | [`Answer`]: the envelope of what was done |
//! | [`body`] | [`JsonBody`]: a strict JSON body |
//! | [`params`] | [`QueryParams`], [`PathId`], [`PathText`] |
//! | [`caller`] | [`Caller`] of a route that needs one, and [`Authenticate`] |
//! | [`headers`] | [`Preferred`] language, [`RequestedTimeZone`], [`IdempotencyKey`], [`IfMatch`], [`ClientAddress`] |
//! | [`layer`] | [`finish`]: problems in the language of the request, 404 and 405 as problems |
//! | [`serde_errors`] | what a deserializer's message says about which field |
//!
//! # What the server puts into the router
//! - the layer of [`finish`], once, around everything;
//! - the extension [`caller::Authenticator`] around all 🔒 routes;
//! - the extension [`ClientAddress`] with the address of the connection, or of
//!   the client that a trusted proxy names.

pub mod problem;

pub mod status;

pub mod answer;

pub mod body;

pub mod params;

pub mod caller;

pub mod headers;

pub mod layer;

pub mod serde_errors;

pub use answer::Answer;
pub use body::JsonBody;
pub use caller::{Authenticate, Authenticator, Caller, Principal, SessionId, UserId};
pub use endpaper_api::{ErrorCode, FieldProblem, Language, Text};
pub use headers::{ClientAddress, IdempotencyKey, IfMatch, Preferred, RequestedTimeZone};
pub use layer::finish;
pub use params::{PathId, PathText, QueryParams};
pub use problem::{FieldError, Problem};
