//! Reading: books, the shelf, memos, the flow of a day.
//!
//! | module | what it has |
//! |---|---|
//! | [`isbn`] | [`BookKey`](isbn::BookKey): an ISBN, or the id of a book that has none |
//! | [`text`] | one form for text, and searches by part, spelling and initial consonants |
//! | [`collation`] | [`ShelfCollator`](collation::ShelfCollator): the order of Korean and Latin titles |
//! | [`sources`] | [`BookSources`](sources::BookSources): Aladin and Open Library |
//! | [`csv_rows`] | CSV files that people have: bad rows by their line, nothing lost without a word |
//! | [`goodbooks`], [`goodreads`] | the public catalogue; a reader's Goodreads export |
//! | [`export`], [`import`] | all of a reader's data out, as JSON and CSV, and back in |

pub mod isbn;

pub mod text;

pub mod collation;

pub mod sources;

pub mod csv_rows;

pub mod goodbooks;

pub mod goodreads;

pub mod export;

pub mod import;

pub mod model;

pub mod rules;

pub mod store;

pub mod service;

pub mod http;

pub use http::{openapi, router};
pub use service::{ReadingError, ReadingService};
pub use store::schema::MIGRATIONS;
