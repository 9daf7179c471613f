//! Importing the catalogue.
//!
//! An import can be run again: what is there and the same is not written, and
//! nothing doubles. What a row leaves open keeps the value that the catalogue
//! has.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use multi_master::Tx;

use super::{ReadingError, ReadingService};
use crate::goodbooks::GoodbooksRows;
use crate::isbn::{BookKey, NotAnIsbn};
use crate::model::{BookFacts, BookId, CatalogueBook, Origin};
use crate::rules::facts;
use crate::store::books;

/// How many rows are one write: enough that commits cost little, few enough
/// that readers' writes get in between.
pub const BATCH_ROWS: usize = 500;

/// How many skipped rows a summary lists; it counts all.
pub const SKIPPED_LISTED_MAX: usize = 1_000;

/// A row of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// What the book is known by.
    pub book_key: BookKey,
    /// What is said of it.
    pub facts: BookFacts,
    /// Why what the row has as its ISBN was not used, where there is something.
    pub isbn_not_used: Option<NotAnIsbn>,
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedEntry {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Why, in words that are the same for all rows of the kind.
    pub reason: String,
}

/// What an import has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogueSummary {
    /// Rows that were read.
    pub rows: u64,
    /// Books that were not there.
    pub added: u64,
    /// Books of which something else was known.
    pub updated: u64,
    /// Books that were there and the same.
    pub unchanged: u64,
    /// Rows that were not taken, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// The first [`SKIPPED_LISTED_MAX`] of them.
    pub skipped_rows: Vec<SkippedEntry>,
    /// Rows that were taken without what they have as their ISBN, by reason.
    pub isbn_not_used: BTreeMap<String, u64>,
}

impl CatalogueSummary {
    fn skip(&mut self, row: SkippedEntry) {
        *self.skipped.entry(row.reason.clone()).or_default() += 1;
        if self.skipped_rows.len() < SKIPPED_LISTED_MAX {
            self.skipped_rows.push(row);
        }
    }

    /// How many rows were not taken.
    #[must_use]
    pub fn skipped_count(&self) -> u64 {
        self.skipped.values().sum()
    }
}

impl ReadingService {
    /// Imports a catalogue, [`BATCH_ROWS`] rows in one write, and tells
    /// `progress` after each. Of rows with the same key the first is taken.
    ///
    /// # Errors
    /// The store's. What was written before stays; the import can be run again.
    pub async fn import_catalogue(
        &self,
        rows: impl IntoIterator<Item = Result<CatalogueEntry, SkippedEntry>>,
        mut progress: impl FnMut(&CatalogueSummary),
    ) -> Result<CatalogueSummary, ReadingError> {
        let mut summary = CatalogueSummary::default();
        let mut keys: HashSet<BookKey> = HashSet::new();
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        for row in rows {
            summary.rows += 1;
            if let Ok(CatalogueEntry { isbn_not_used: Some(why), .. }) = &row {
                *summary.isbn_not_used.entry(why.to_string()).or_default() += 1;
            }
            match row.and_then(|row| self.prepared(row, &mut keys)) {
                Ok(book) => batch.push(book),
                Err(skipped) => summary.skip(skipped),
            }
            if batch.len() == BATCH_ROWS {
                self.write_batch(std::mem::take(&mut batch), &mut summary).await?;
                progress(&summary);
            }
        }
        self.write_batch(batch, &mut summary).await?;
        progress(&summary);
        Ok(summary)
    }

    /// Imports the goodbooks catalogue: see [`crate::goodbooks`].
    ///
    /// # Errors
    /// [`ReadingError::ImportUnreadable`] when the file is none; else as
    /// [`ReadingService::import_catalogue`].
    pub async fn import_goodbooks(
        &self,
        file: impl std::io::Read + Send,
        progress: impl FnMut(&CatalogueSummary) + Send,
    ) -> Result<CatalogueSummary, ReadingError> {
        let rows = GoodbooksRows::open(file)
            .map_err(|problem| ReadingError::ImportUnreadable(Box::new(problem.into())))?;
        let entries = rows.map(|row| match row {
            Ok(row) => Ok(CatalogueEntry {
                line: row.line,
                facts: BookFacts {
                    author: Some(row.author()),
                    title: row.title,
                    pub_date: row.pub_date.map(|date| date.to_string()),
                    cover_url: row.cover_url,
                    ..BookFacts::default()
                },
                book_key: row.key,
                isbn_not_used: row.isbn_not_used,
            }),
            Err(bad) => Err(SkippedEntry { line: bad.line, reason: bad.problem.to_string() }),
        });
        self.import_catalogue(entries, progress).await
    }

    fn prepared(
        &self,
        row: CatalogueEntry,
        keys: &mut HashSet<BookKey>,
    ) -> Result<CatalogueBook, SkippedEntry> {
        let skipped = |reason: &str| SkippedEntry { line: row.line, reason: reason.to_owned() };
        let facts = facts::fitted(row.facts).ok_or_else(|| skipped("it has no title"))?;
        if !keys.insert(row.book_key.clone()) {
            return Err(skipped("the same book was in an earlier row"));
        }
        let id: BookId = self.0.ids.next();
        Ok(CatalogueBook { id, book_key: row.book_key, facts, origin: Origin::Import })
    }

    async fn write_batch(
        &self,
        batch: Vec<CatalogueBook>,
        summary: &mut CatalogueSummary,
    ) -> Result<(), ReadingError> {
        if batch.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let batch = Arc::new(batch);
        let (added, updated, unchanged) = self
            .write(async move |tx: &mut Tx| {
                let keys: Vec<BookKey> = batch.iter().map(|book| book.book_key.clone()).collect();
                let known = books::find_all(tx, &keys).await?;
                let (mut added, mut updated, mut unchanged) = (0u64, 0u64, 0u64);
                for book in batch.iter() {
                    let Some(known) = known.get(&book.book_key) else {
                        books::insert(tx, book, now).await?;
                        added += 1;
                        continue;
                    };
                    let is_readers = known.origin == Origin::Reader;
                    let new = CatalogueBook {
                        id: known.id,
                        book_key: known.book_key.clone(),
                        // What a reader typed is nobody else's to see.
                        facts: if is_readers {
                            book.facts.clone()
                        } else {
                            facts::completed(book.facts.clone(), known.facts.clone())
                        },
                        origin: if is_readers { Origin::Import } else { known.origin },
                    };
                    if new == *known {
                        unchanged += 1;
                    } else {
                        books::update(tx, &new, now).await?;
                        updated += 1;
                    }
                }
                Ok((added, updated, unchanged))
            })
            .await?;
        summary.added += added;
        summary.updated += updated;
        summary.unchanged += unchanged;
        Ok(())
    }
}
