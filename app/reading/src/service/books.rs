//! The catalogue, and the external sources behind it.
//!
//! The catalogue comes first and is always there. A source that is away makes
//! answers shorter and never fails a search.

use std::collections::HashSet;

use endpaper_api::FieldProblem;
use endpaper_api::reading::QueryType;
use multi_master::{Db, Tx};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{ReadingError, ReadingService};
use crate::isbn::BookKey;
use crate::model::{BookFacts, BookId, CatalogueBook, Flaws, Origin};
use crate::rules::facts;
use crate::sources::{
    FoundBook, LookUp, SearchField, SearchRequest, SourceError, SourceName, SourceState, Trouble,
};
use crate::store::books;
use crate::text::{NoQuery, QUERY_CHARS_MAX, SearchQuery};

/// The most books of a page.
pub const PAGE_BOOKS_MAX: u32 = SearchRequest::RESULTS_MAX;

/// How many books a page has where nobody says.
pub const PAGE_BOOKS_DEFAULT: u32 = 10;

/// A page of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many books match: the catalogue's, and what the source that answered
    /// says it has.
    pub total: u64,
    /// The books, the catalogue's first, each once.
    pub books: Vec<(BookKey, BookFacts)>,
    /// Who was asked besides the catalogue, and whether an answer came.
    pub sources: Vec<(SourceName, Result<(), SourceError>)>,
}

/// How many searches look through the catalogue at once. Each looks at all of
/// it, on a connection that everything else needs too.
pub const SCANS_AT_ONCE: usize = 2;

/// How many more may wait for their turn; the rest are told to come back.
pub const SCANS_WAITING_MAX: usize = 32;

/// The bound of searches.
#[derive(Debug)]
pub(super) struct Scans {
    admitted: Semaphore,
    running: Semaphore,
}

impl Default for Scans {
    fn default() -> Self {
        Self {
            admitted: Semaphore::new(SCANS_AT_ONCE + SCANS_WAITING_MAX),
            running: Semaphore::new(SCANS_AT_ONCE),
        }
    }
}

impl Scans {
    /// Waits for a turn, unless too many do.
    async fn turn(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), ReadingError> {
        let admitted = self.admitted.try_acquire().map_err(|_| ReadingError::Busy)?;
        let running = self.running.acquire().await.map_err(|_| ReadingError::Busy)?;
        Ok((admitted, running))
    }
}

impl ReadingService {
    /// Searches the catalogue and the sources: `max_results` books from number
    /// `start` on; the first is number 1.
    ///
    /// The catalogue's books come first, then those of the first source that
    /// finds something. What the catalogue has found too is left out there, so
    /// a page may be shorter than asked for.
    ///
    /// # Errors
    /// [`ReadingError::Busy`] where [`SCANS_WAITING_MAX`] wait already.
    pub async fn search(
        &self,
        query: &str,
        query_type: QueryType,
        start: i64,
        max_results: i64,
    ) -> Result<Page, ReadingError> {
        let mut flaws = Flaws::default();
        let parsed = flaws.note("query", SearchQuery::parse(query).map_err(no_query));
        let start = flaws.note("start", within(start, SearchRequest::START_MAX));
        let wanted = flaws.note("maxResults", within(max_results, PAGE_BOOKS_MAX));
        let (Some(parsed), Some(start), Some(wanted)) = (parsed, start, wanted) else {
            return Err(flaws.into());
        };
        let offset = u64::from(start - 1);
        let local_query = parsed.clone();
        let turn = self.0.scans.turn().await?;
        let local = self
            .0
            .store
            .read(async move |db: &mut Db| {
                Ok::<_, ReadingError>(
                    books::search(db, &local_query, query_type, offset, wanted).await?,
                )
            })
            .await?;
        drop(turn);
        let mut page = Page {
            total: local.total,
            books: local.books.into_iter().map(|book| (book.book_key, book.facts)).collect(),
            sources: Vec::new(),
        };
        if self.0.sources.is_empty() {
            return Ok(page);
        }
        // The source's results stand behind the catalogue's. Where the page is
        // full without them, one is asked for, for their number.
        let missing = wanted - u32::try_from(page.books.len()).unwrap_or(wanted);
        let source_start = u32::try_from(offset.saturating_sub(local.total) + 1);
        let field = match query_type {
            QueryType::Title => SearchField::Title,
            QueryType::Author => SearchField::Author,
            QueryType::Publisher => SearchField::Publisher,
        };
        let request = source_start
            .ok()
            .and_then(|start| SearchRequest::new(query, field, start, missing.max(1)).ok());
        let Some(request) = request else { return Ok(page) };
        let found = self.0.sources.search(&request).await;
        let troubles =
            found.troubles.into_iter().map(|trouble| (trouble.source, Err(trouble.error)));
        page.sources.extend(troubles);
        let Some(answer) = found.page else { return Ok(page) };
        page.sources.push((answer.source, Ok(())));
        page.total += u64::from(answer.total);
        if missing > 0 {
            let shown = self.known_matches(&answer.books, parsed, query_type).await?;
            let mut seen: HashSet<BookKey> =
                page.books.iter().map(|(key, _)| key.clone()).chain(shown).collect();
            let fresh = answer
                .books
                .into_iter()
                .filter_map(|book| Some((book.key.clone(), facts::fitted(facts_of(book))?)))
                .filter(|(key, _)| seen.insert(key.clone()));
            page.books.extend(fresh.take(missing as usize));
        }
        Ok(page)
    }

    /// Which of a source's books the catalogue shows on some page of the same
    /// search.
    async fn known_matches(
        &self,
        found: &[FoundBook],
        query: SearchQuery,
        query_type: QueryType,
    ) -> Result<Vec<BookKey>, ReadingError> {
        let keys: Vec<BookKey> = found.iter().map(|book| book.key.clone()).collect();
        let known = self
            .0
            .store
            .read(async move |db: &mut Db| Ok::<_, ReadingError>(books::find_all(db, &keys).await?))
            .await?;
        let is_shown = |book: &CatalogueBook| {
            let text = match query_type {
                QueryType::Title => Some(book.facts.title.as_str()),
                QueryType::Author => book.facts.author.as_deref(),
                QueryType::Publisher => book.facts.publisher.as_deref(),
            };
            let keys = crate::text::SearchKeys::of(text.unwrap_or_default());
            book.origin != Origin::Reader && query.matches(&keys.text)
        };
        Ok(known.into_values().filter(is_shown).map(|book| book.book_key).collect())
    }

    /// One book: the catalogue's, else a source's, which the catalogue then
    /// keeps.
    ///
    /// # Errors
    /// [`ReadingError::BookNotFound`] where all were asked and none knows it;
    /// [`ReadingError::SourceAway`] or [`ReadingError::SourceQuota`] where that
    /// can't be said now.
    pub async fn book(&self, key: &BookKey) -> Result<(BookKey, BookFacts), ReadingError> {
        let wanted = key.clone();
        let known = self
            .0
            .store
            .read(async move |db: &mut Db| Ok::<_, ReadingError>(books::find(db, &wanted).await?))
            .await?;
        if let Some(book) = known.filter(|book| book.origin != Origin::Reader) {
            return Ok((book.book_key, book.facts));
        }
        let found = match self.0.sources.look_up(key).await {
            LookUp::Found(found) => found,
            LookUp::NotFound => return Err(ReadingError::BookNotFound),
            LookUp::Unavailable(troubles) => return Err(unavailable(&troubles)),
        };
        let found_key = found.key.clone();
        let facts = facts::fitted(facts_of(*found)).ok_or(ReadingError::BookNotFound)?;
        // A source may know the book by another key than the one asked for:
        // what is kept has to be found by both.
        for key in [key, &found_key].into_iter().collect::<HashSet<_>>() {
            if let Err(error) = self.keep(key.clone(), facts.clone()).await {
                tracing::warn!(%error, %key, "a book of a source could not be kept");
            }
        }
        Ok((found_key, facts))
    }

    async fn keep(&self, key: BookKey, facts: BookFacts) -> Result<(), ReadingError> {
        let now = self.now();
        let new_id: BookId = self.0.ids.next();
        self.write(async move |tx: &mut Tx| {
            let known = books::find(tx, &key).await?;
            let (book_key, facts, origin) = (key.clone(), facts.clone(), Origin::Source);
            match known {
                None => {
                    let book = CatalogueBook { id: new_id, book_key, facts, origin };
                    books::insert(tx, &book, now).await?;
                }
                Some(known) if known.origin == Origin::Reader => {
                    let book = CatalogueBook { id: known.id, book_key, facts, origin };
                    books::update(tx, &book, now).await?;
                }
                Some(_) => {}
            }
            Ok(())
        })
        .await
    }

    /// How each source is; those not heard of lately are asked.
    pub async fn check_sources(&self) -> Vec<(SourceName, SourceState)> {
        self.0.sources.check().await
    }

    /// How many books searches of the catalogue find.
    pub async fn catalogue_count(&self) -> Result<u64, ReadingError> {
        self.0
            .store
            .read(async move |db: &mut Db| Ok::<_, ReadingError>(books::count(db).await?))
            .await
    }
}

fn within(number: i64, max: u32) -> Result<u32, FieldProblem> {
    match u32::try_from(number) {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(FieldProblem::OutOfRange { min: 1, max: max.into() }),
    }
}

fn no_query(no: NoQuery) -> FieldProblem {
    match no {
        NoQuery::Empty => FieldProblem::Required,
        NoQuery::TooLong => {
            FieldProblem::TooLong { max: u32::try_from(QUERY_CHARS_MAX).unwrap_or(u32::MAX) }
        }
    }
}

fn unavailable(troubles: &[Trouble]) -> ReadingError {
    let is_quota = |trouble: &Trouble| matches!(trouble.error, SourceError::QuotaExceeded { .. });
    if troubles.is_empty() {
        ReadingError::BookNotFound
    } else if troubles.iter().all(is_quota) {
        ReadingError::SourceQuota
    } else {
        ReadingError::SourceAway
    }
}

fn facts_of(book: FoundBook) -> BookFacts {
    let title = match book.subtitle {
        Some(subtitle) => format!("{}: {subtitle}", book.title),
        None => book.title,
    };
    BookFacts {
        title,
        author: Some(book.author),
        publisher: book.publisher,
        pub_date: book.pub_date.map(|date| date.to_string()),
        cover_url: book.cover_url,
        description: book.description,
        total_pages: book.total_pages,
        main_genre: book.genre,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn searches_beyond_the_queue_are_told_to_come_back() {
        let scans = Scans::default();
        let mut running = Vec::new();
        for _ in 0..SCANS_AT_ONCE {
            running.push(scans.turn().await.unwrap());
        }
        let mut waiting: Vec<_> = (0..SCANS_WAITING_MAX).map(|_| Box::pin(scans.turn())).collect();
        for turn in &mut waiting {
            assert!(turn.now_or_never().is_none(), "it waits");
        }
        assert_eq!(scans.turn().await.err(), Some(ReadingError::Busy));
        drop(running);
        for turn in waiting {
            drop(turn.await.unwrap());
        }
        assert!(scans.turn().await.is_ok());
    }
}
