//! Wire types of the catalogue and the external sources.

use serde::{Deserialize, Serialize};

/// What a search looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum QueryType {
    /// Titles.
    #[default]
    Title,
    /// Authors and translators.
    Author,
    /// Publishers.
    Publisher,
}

/// One book of the catalogue or of an external source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Book {
    /// What names the book in requests: its ISBN-13, or, where it has none,
    /// the id that its source gave it (`K642734155`).
    pub isbn: String,
    /// The ISBN-13, where the book has one.
    pub isbn13: Option<String>,
    /// The title.
    pub title: String,
    /// Authors and translators, as the source writes them.
    pub author: Option<String>,
    /// The publisher.
    pub publisher: Option<String>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub pub_date: Option<String>,
    /// Where a picture of the cover is. It is never fetched by the server.
    pub cover_url: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// How many pages it has.
    pub total_pages: Option<u32>,
    /// Its genre.
    pub main_genre: Option<String>,
}

/// One page of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct BookPage {
    /// How many books match: the catalogue's, and what the source that answered
    /// says it has. A book that both have counts twice.
    pub total_results: u64,
    /// The number of the first result, from 1.
    pub start_index: u32,
    /// The most books on a page.
    pub items_per_page: u32,
    /// The books: the catalogue's first. A page may be shorter than
    /// `itemsPerPage`: what the source has of the catalogue's books is left out.
    pub books: Vec<Book>,
    /// What was asked besides the catalogue, and whether it answered.
    pub sources: Vec<SourceReport>,
}

/// Whether an external source answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceReport {
    /// Its name: `aladin`, `open_library`.
    pub name: String,
    /// How it stands.
    pub state: SourceState,
}

/// How an external source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum SourceState {
    /// It answered.
    Up,
    /// It did not answer, or not with books.
    Away,
    /// It takes no more questions today.
    Quota,
}

/// How the external sources stand together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BooksHealth {
    /// `UP` when a source answers, `NONE` when none is configured; when none
    /// answers, the answer is 503.
    pub status: BooksStatus,
    /// The names of the sources, the one that is asked first first.
    pub source: String,
    /// Each of them.
    pub sources: Vec<SourceReport>,
}

/// See [`BooksHealth::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum BooksStatus {
    /// A source answers.
    Up,
    /// None is configured: the catalogue is all there is.
    None,
}
