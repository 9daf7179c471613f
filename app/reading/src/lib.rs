//! Reading: books, the shelf, memos, the flow of a day.
//!
//! **What it does not do:** it knows no accounts and checks no token (a reader
//! is an id that the caller vouches for), opens no store and listens nowhere,
//! and keeps no copies of covers.
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
//! | [`model`] | books, the shelf, memos, tags, and their bounds |
//! | [`rules`] | what follows from what: the category from progress, the days of a time zone |
//! | [`store`] | the tables, and everything that is SQL |
//! | [`service`] | [`ReadingService`]: the operations |
//! | [`http`] | [`router`]: the routes under `/api/v1` |
//!
//! Without the feature `server` there are [`isbn`], [`text`], [`model`] and [`rules`] alone:
//! they compile for browsers.
//!
//! ```
//! use endpaper_api::{Text, reading::ShelveBook};
//! use endpaper_reading::{MIGRATIONS, ReadingService, model::ReaderId, sources::BookSources};
//! use multi_master::{Config, MultiMaster, Policy};
//! use stdx::{Clock, IdSource};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! let config = Config::embedded(directory.path(), Policy::Available);
//! let store = MultiMaster::open(config, MIGRATIONS).await?;
//! let ids = IdSource::system();
//! let reader: ReaderId = ids.next();
//! let reading = ReadingService::new(store, BookSources::default(), Clock::real(), ids);
//!
//! let title = Text::new("채식주의자").expect("no control characters");
//! let request = ShelveBook { title: Some(title), ..ShelveBook::default() };
//! let book = reading.shelve(reader, request).await?;
//! assert_eq!(reading.shelf_book(reader, book.id).await?.facts.title, "채식주의자");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod isbn;

pub mod text;

#[cfg(feature = "server")]
pub mod collation;

#[cfg(feature = "server")]
pub mod sources;

#[cfg(feature = "server")]
pub mod csv_rows;

#[cfg(feature = "server")]
pub mod goodbooks;

#[cfg(feature = "server")]
pub mod goodreads;

#[cfg(feature = "server")]
pub mod export;

#[cfg(feature = "server")]
pub mod import;

pub mod model;

pub mod rules;

#[cfg(feature = "server")]
pub mod store;

#[cfg(feature = "server")]
pub mod service;

#[cfg(feature = "server")]
pub mod http;

#[cfg(feature = "server")]
pub use http::{openapi, router};
#[cfg(feature = "server")]
pub use service::{ReadingError, ReadingService};
#[cfg(feature = "server")]
pub use store::schema::MIGRATIONS;
