//! Reading: books, the shelf, memos, the flow of a day.
//!
//! | module | what it has |
//! |---|---|
//! | [`isbn`] | [`BookKey`](isbn::BookKey): an ISBN, or the id of a book that has none |
//! | [`text`] | one form for text, and searches by part, spelling and initial consonants |
//! | [`collation`] | [`ShelfCollator`](collation::ShelfCollator): the order of Korean and Latin titles |
//! | [`sources`] | [`BookSources`](sources::BookSources): Aladin and Open Library |

pub mod isbn;

pub mod text;

pub mod collation;

pub mod sources;

pub mod model;

pub mod rules;

pub mod store;

pub mod service;

pub mod http;

pub use http::{openapi, router};
pub use service::{ReadingError, ReadingService};
pub use store::schema::MIGRATIONS;
