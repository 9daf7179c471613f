//! What is asked of a source of books, and what it answers.

use std::fmt;

use stdx::UnixMicros;

use super::people::Contributor;
use super::pub_date::PubDate;
use crate::isbn::{BookKey, Isbn13};
use crate::text::line;

/// Which source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceName {
    /// Aladin's TTB interface: Korean books.
    Aladin,
    /// The Internet Archive's Open Library.
    OpenLibrary,
}

impl SourceName {
    /// As it is called in configuration, logs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aladin => "aladin",
            Self::OpenLibrary => "open_library",
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a search looks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchField {
    /// The title.
    Title,
    /// Who made it.
    Author,
    /// The publisher.
    Publisher,
}

/// A page of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchRequest {
    query: String,
    field: SearchField,
    start: u32,
    max_results: u32,
}

/// Why there can be no such search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSearch {
    /// There is nothing to look for.
    #[error("there is nothing to look for")]
    Empty,
    /// The text to look for is longer than [`SearchRequest::QUERY_CHARS_MAX`].
    #[error("a search takes at most {} characters", SearchRequest::QUERY_CHARS_MAX)]
    TooLong,
    /// The first result is number 1.
    #[error(
        "the first result is number 1, and the last that can be asked for {}",
        SearchRequest::START_MAX
    )]
    Start,
    /// A page has 1 to [`SearchRequest::RESULTS_MAX`] results.
    #[error("a page has 1 to {} results", SearchRequest::RESULTS_MAX)]
    MaxResults,
}

impl SearchRequest {
    /// The most characters of a query.
    pub const QUERY_CHARS_MAX: usize = crate::text::QUERY_CHARS_MAX;
    /// The last result that a page may begin with.
    pub const START_MAX: u32 = 100_000;
    /// The most results of a page.
    pub const RESULTS_MAX: u32 = 50;

    /// The page of at most `max_results` results that begins with result number
    /// `start`; the first is number 1.
    pub fn new(
        query: &str,
        field: SearchField,
        start: u32,
        max_results: u32,
    ) -> Result<Self, BadSearch> {
        let query = line(query);
        match query.chars().count() {
            0 => return Err(BadSearch::Empty),
            1..=Self::QUERY_CHARS_MAX => {}
            _ => return Err(BadSearch::TooLong),
        }
        if !(1..=Self::START_MAX).contains(&start) {
            return Err(BadSearch::Start);
        }
        if !(1..=Self::RESULTS_MAX).contains(&max_results) {
            return Err(BadSearch::MaxResults);
        }
        Ok(Self { query, field, start, max_results })
    }

    /// What to look for: NFC, one line.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// What to look in.
    #[must_use]
    pub const fn field(&self) -> SearchField {
        self.field
    }

    /// The number of the first result wanted, from 1.
    #[must_use]
    pub const fn start(&self) -> u32 {
        self.start
    }

    /// The most results wanted, 1 to [`SearchRequest::RESULTS_MAX`].
    #[must_use]
    pub const fn max_results(&self) -> u32 {
        self.max_results
    }
}

/// A book as a source knows it. Texts are NFC, without HTML entities, and not
/// cut to any length: they are as long as the source has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBook {
    /// Who says so.
    pub source: SourceName,
    /// What it is known by: its ISBN, or the source's own id.
    pub key: BookKey,
    /// Never empty; without the subtitle.
    pub title: String,
    /// The subtitle.
    pub subtitle: Option<String>,
    /// Those who made it.
    pub people: Vec<Contributor>,
    /// The names to show as its author, separated by `, `; may be empty.
    pub author: String,
    /// The publisher.
    pub publisher: Option<String>,
    /// When it was published.
    pub pub_date: Option<PubDate>,
    /// The address of its cover: `https:` or `http:`.
    pub cover_url: Option<String>,
    /// What it is about; lines end with `\n`.
    pub description: Option<String>,
    /// How many pages, at least 1.
    pub total_pages: Option<u32>,
    /// Its genre, as the source calls it.
    pub genre: Option<String>,
}

impl FoundBook {
    /// Its ISBN, where it has one.
    #[must_use]
    pub const fn isbn13(&self) -> Option<Isbn13> {
        self.key.isbn13()
    }
}

/// A page of what a source found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPage {
    /// Who found it.
    pub source: SourceName,
    /// How many results there are that can be asked for, on all pages.
    pub total: u32,
    /// The page. It can have fewer books than results: those that have no
    /// title, or nothing that they could be known by, are left out.
    pub books: Vec<FoundBook>,
}

/// Why a source gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is out of reach, or what it says makes no sense. Ask again later.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// As many questions as the day allows were asked. It is not asked again
    /// before `until`.
    #[error("the daily quota is used up")]
    QuotaExceeded {
        /// When the day turns, where the source counts its days.
        until: UnixMicros,
    },
    /// It does not accept the key that the operator gave. It is not asked again
    /// before `until`, and only the operator can help.
    #[error("the source does not accept the key in the configuration")]
    BadKey {
        /// When it will be tried again.
        until: UnixMicros,
    },
}

/// In which way a source is out of reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No connection came about: refused, no such host, no valid certificate.
    #[error("no connection")]
    Connect,
    /// The whole answer was not there within the time limit.
    #[error("no answer within the time limit")]
    TimeLimit,
    /// The connection broke while the answer came.
    #[error("the answer broke off")]
    BrokeOff,
    /// It answered with a status that is no success.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It sent us elsewhere: to another host, or around in circles.
    #[error("it sent us to another place than itself")]
    Redirect,
    /// The answer is longer than we read.
    #[error("the answer is longer than {bytes_max} bytes")]
    TooLong {
        /// How much is read.
        bytes_max: usize,
    },
    /// The answer is not what it should be.
    #[error("the answer makes no sense: {0}")]
    Garbled(String),
    /// It refused the question, and not because of the key or a quota.
    #[error("it refused the question: {0}")]
    Refused(String),
    /// It was not asked, because it failed too often, or asked to be left
    /// alone for a while.
    #[error("it is given a rest after failures")]
    Resting {
        /// When it may be asked again.
        until: UnixMicros,
    },
}

impl From<Unavailable> for SourceError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl SourceError {
    /// When asking again makes sense, where that is known.
    #[must_use]
    pub const fn retry_at(&self) -> Option<UnixMicros> {
        match self {
            Self::QuotaExceeded { until }
            | Self::BadKey { until }
            | Self::Unavailable(Unavailable::Resting { until }) => Some(*until),
            Self::Unavailable(_) => None,
        }
    }
}

/// How a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It was well when last asked, or was not asked yet.
    Ready,
    /// It failed when last asked, and may be asked again.
    Trying,
    /// It failed too often, or asked to be left alone.
    Resting {
        /// When it is tried again.
        until: UnixMicros,
    },
    /// The quota of the day is used up.
    QuotaExceeded {
        /// When the day turns.
        until: UnixMicros,
    },
    /// The key is not accepted.
    BadKey {
        /// When it is tried again.
        until: UnixMicros,
    },
}
