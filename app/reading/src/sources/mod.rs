//! Books from elsewhere: Aladin's TTB interface and Open Library.
//!
//! A [`BookSource`] searches and looks up. [`BookSources`] asks those that are
//! configured, in their order, until one knows. Each stands behind a time
//! limit, a bound on the length of answers, a bound on redirects, and a
//! `balance` circuit breaker, so that a source that is down costs one
//! comparison and not three seconds.
//!
//! | module | what it has |
//! |---|---|
//! | [`aladin`] | [`AladinSource`]: Korean books, with a key, 5,000 questions a day |
//! | [`open_library`] | [`OpenLibrarySource`]: books of the world, without a key |
//!
//! **What it does not do:** it stores nothing and knows no catalogue of our own:
//! asking that first, and keeping what was found, is the service's concern. It
//! does not ask again after a failure: a reader is waiting.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;

pub mod aladin;

pub mod open_library;

mod fetch;

mod found;

mod guard;

mod lenient_json;

mod people;

mod pub_date;

mod wire;

pub use aladin::{AladinConfig, AladinSource};
pub use fetch::{SourceLimits, SourceSetupError};
pub use found::{
    BadSearch, FoundBook, FoundPage, SearchField, SearchRequest, SourceError, SourceName,
    SourceState, Unavailable,
};
pub use guard::SourceEnvironment;
pub use open_library::{OpenLibraryConfig, OpenLibrarySource};
pub use people::{Contributor, Role};
pub use pub_date::{NotAPubDate, PubDate};

use crate::isbn::BookKey;

/// What a source's methods return: a future that can be kept behind `dyn`.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// Somebody who knows books.
pub trait BookSource: Send + Sync + 'static {
    /// Which one it is.
    fn name(&self) -> SourceName;

    /// Searches. A page past the last is an empty page.
    fn search<'a>(&'a self, request: &'a SearchRequest) -> Answer<'a, FoundPage>;

    /// Looks up one book; `None` where the source does not know it.
    fn look_up<'a>(&'a self, key: &'a BookKey) -> Answer<'a, Option<FoundBook>>;

    /// How it is, as far as is known without asking it.
    fn state(&self) -> SourceState;

    /// Asks how it is, at most once in half a minute, and not while it rests.
    fn check(&self) -> Pin<Box<dyn Future<Output = SourceState> + Send + '_>>;
}

/// A source gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which one.
    pub source: SourceName,
    /// Why.
    pub error: SourceError,
}

/// What a search among all sources came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The page of the first source that found something; or of the first that
    /// answered, empty. `None` where none answered.
    pub page: Option<FoundPage>,
    /// The sources that were asked before that one and gave no answer.
    pub troubles: Vec<Trouble>,
}

/// What looking up a book in all sources came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// A source knows it.
    Found(Box<FoundBook>),
    /// All sources answered, and none knows it.
    NotFound,
    /// None knows it of those that answered, and these gave no answer. Without
    /// any source configured, there are none.
    Unavailable(Vec<Trouble>),
}

/// The sources that are configured, in the order in which they are asked.
/// Cheap to clone.
#[derive(Clone, Default)]
pub struct BookSources {
    sources: Arc<[Arc<dyn BookSource>]>,
}

impl BookSources {
    /// The sources, first the one to ask first. It can be none.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn BookSource>>) -> Self {
        Self { sources: sources.into() }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Asks one after the other until one finds something.
    ///
    /// A source whose search has results stays the one that answers also for a
    /// page past its last, so that leafing through does not change sources.
    pub async fn search(&self, request: &SearchRequest) -> Search {
        let mut search = Search { page: None, troubles: Vec::new() };
        for source in self.sources.iter() {
            match source.search(request).await {
                Ok(page) if page.total > 0 => {
                    search.page = Some(page);
                    break;
                }
                Ok(empty) => {
                    search.page.get_or_insert(empty);
                }
                Err(error) => search.troubles.push(Trouble { source: source.name(), error }),
            }
        }
        search
    }

    /// Asks one after the other until one knows the book.
    pub async fn look_up(&self, key: &BookKey) -> LookUp {
        let mut troubles = Vec::new();
        for source in self.sources.iter() {
            match source.look_up(key).await {
                Ok(Some(book)) => return LookUp::Found(Box::new(book)),
                Ok(None) => {}
                Err(error) => troubles.push(Trouble { source: source.name(), error }),
            }
        }
        if troubles.is_empty() { LookUp::NotFound } else { LookUp::Unavailable(troubles) }
    }

    /// How each source is, as far as is known without asking.
    #[must_use]
    pub fn states(&self) -> Vec<(SourceName, SourceState)> {
        self.sources.iter().map(|source| (source.name(), source.state())).collect()
    }

    /// Asks all sources at once how they are, those that were not heard of for half a
    /// minute; within the time limit of each.
    pub async fn check(&self) -> Vec<(SourceName, SourceState)> {
        let all = self.sources.iter().map(async |source| (source.name(), source.check().await));
        join_all(all).await
    }
}

impl std::fmt::Debug for BookSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|source| source.name())).finish()
    }
}
