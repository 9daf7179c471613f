//! What goes over the wire: the types of the REST API, version 1, and the one
//! list of its error codes. The server and the web client compile the same
//! types, so they can't disagree; the crate also compiles for wasm32.
//!
//! **What it does not do:** it knows no HTTP status and no header (statuses are
//! assigned in one file of `endpaper-http`), touches no store, and judges no
//! rule that needs more than the value itself.
//!
//! | module | what it has |
//! |---|---|
//! | [`envelope`] | [`Envelope`]: every answer's outside |
//! | [`code`] | [`ErrorCode`]: the closed list of wire codes, with their texts in Korean and English |
//! | [`field`] | [`FieldProblem`]: what can be wrong with one field, in both languages |
//! | [`language`] | [`Language`], read from `Accept-Language` |
//! | [`normal`] | Unicode's normalisation forms |
//! | [`text`] | [`Text`] and [`Secret`]: incoming text in Unicode's form NFC |
//! | [`time`] | [`Instant`] (RFC 3339) and [`Day`] (`YYYY-MM-DD`) |
//! | [`patch`] | [`Patch`]: absent, null or a value |
//! | [`health`] | how the server and its masters stand |
//! | [`accounts`] | requests and answers of sign-up, log-in, tokens, devices, recovery |
//! | [`reading`] | requests and answers of books, shelf, memos, the flow of a day, tags |
//! | [`shop`] | requests and answers of products, the wallet, coupons, orders, the ranking |
//!
//! Requests refuse unknown fields; answers may grow fields, and clients skip
//! those that they don't know. All names are camelCase on the wire.
//!
//! ```
//! use endpaper_api::{Envelope, ErrorCode, Language};
//!
//! let answer = r#"{"ok":false,"error":{"code":"MEMO_NOT_FOUND","message":"…","fields":[],"retryable":false}}"#;
//! let Envelope::Failure(failure) = serde_json::from_str::<Envelope<u32>>(answer).unwrap() else {
//!     panic!("this answer is a failure")
//! };
//! assert_eq!(failure.error.code, ErrorCode::MemoNotFound);
//! assert!(ErrorCode::MemoNotFound.message(Language::Ko).contains("메모"));
//! ```

pub mod envelope;

pub mod code;

pub mod field;

pub mod language;

pub mod normal;

pub mod text;

pub mod time;

pub mod patch;

pub mod health;

pub mod accounts;

pub mod reading;

pub mod shop;

pub mod sync;

pub use code::ErrorCode;
pub use envelope::{Envelope, ErrorBody, Failure, FieldMessage, Nothing, Success};
pub use field::{FieldProblem, JsonKind};
pub use language::Language;
pub use patch::Patch;
pub use text::{Secret, Text};
pub use time::{Day, Instant};
