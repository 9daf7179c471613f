//! Importing a reader's Goodreads export.
//!
//! | Goodreads | here |
//! |---|---|
//! | shelf `to-read`, `currently-reading`, `read` | `ToRead`, `Reading`, `Finished` |
//! | rating, review, date read | rating, review, day of the finish |
//! | date added | when it was put on the shelf |
//! | owned copies | bought |
//! | private notes | memos on page 1, written when the book was added |
//!
//! Shelves of the reader's own making have no place here and are not kept; the
//! report says so, and which texts were cut.

use std::io::Read;

use endpaper_api::reading::{Category, PurchaseType};
use jiff::tz::TimeZone;
use stdx::UnixMicros;

use super::ReadingError;
use super::incoming::{EntryProblem, ImportReport, IncomingBook, IncomingMemo, derived_id};
use super::transfer::within_bounds;
use crate::goodreads::{GoodreadsRow, GoodreadsRows, RowNote};
use crate::model::{
    AUTHOR_CHARS_MAX, BookFacts, CONTENT_CHARS_MAX, Content, PAGES_MAX, PUBLISHER_CHARS_MAX, Page,
    REVIEW_CHARS_MAX, Rating, ReaderId, Reading, TITLE_CHARS_MAX, Tags,
};
use crate::rules::{days, facts, keys, progress};

/// Reads the rows: books, and private notes as memos.
pub(super) fn read<R: Read>(
    reader: ReaderId,
    rows: GoodreadsRows<R>,
    zone: &TimeZone,
    report: &mut ImportReport,
) -> Result<(Vec<IncomingBook>, Vec<IncomingMemo>), ReadingError> {
    let (mut books, mut memos) = (Vec::new(), Vec::new());
    for (index, row) in rows.enumerate() {
        within_bounds(index)?;
        let row = match row {
            Ok(row) => row,
            Err(bad) => {
                report.bad_row(bad);
                continue;
            }
        };
        for note in &row.notes {
            report.problem(row.line, EntryProblem::Note(note.clone()));
        }
        for note in left_behind(&row) {
            report.problem(row.line, EntryProblem::Note(note));
        }
        if let Some((book, notes)) = incoming(reader, row, zone) {
            books.push(book);
            memos.extend(notes);
        }
    }
    Ok((books, memos))
}

/// What a row has and is not taken along.
fn left_behind(row: &GoodreadsRow) -> Vec<RowNote> {
    let mut notes = Vec::new();
    let texts = [
        ("Title", Some(&row.title), TITLE_CHARS_MAX),
        ("Author", Some(&row.author), AUTHOR_CHARS_MAX),
        ("Publisher", row.publisher.as_ref(), PUBLISHER_CHARS_MAX),
        ("My Review", row.review.as_ref(), REVIEW_CHARS_MAX),
    ];
    for (column, text, max) in texts {
        if text.is_some_and(|text| text.chars().count() > max as usize) {
            notes.push(RowNote::Cut { column, max });
        }
    }
    if row.total_pages.is_some_and(|pages| pages > PAGES_MAX) {
        notes.push(RowNote::LeftOut { column: "Number of Pages" });
    }
    let is_said = |shelf: &str| {
        let is_ours = ["to-read", "currently-reading", "read"].contains(&shelf);
        let custom = |note: &RowNote| matches!(note, RowNote::CustomShelf(name) if name == shelf);
        is_ours || row.notes.iter().any(custom)
    };
    let dropped: Vec<String> =
        row.shelves.iter().filter(|shelf| !is_said(shelf)).cloned().collect();
    if !dropped.is_empty() {
        notes.push(RowNote::ShelvesNotKept(dropped));
    }
    notes
}

fn incoming(
    reader: ReaderId,
    row: GoodreadsRow,
    zone: &TimeZone,
) -> Option<(IncomingBook, Vec<IncomingMemo>)> {
    let facts = facts::fitted(BookFacts {
        title: row.title,
        author: Some(row.author),
        publisher: row.publisher,
        pub_date: row.pub_date.map(|date| date.to_string()),
        total_pages: row.total_pages,
        ..BookFacts::default()
    })?;
    let book_key = row.key.unwrap_or_else(|| keys::own(&facts.title, facts.author.as_deref()));
    let read = match (row.category, facts.total_pages) {
        (Category::Finished, Some(total)) => total,
        _ => 0,
    };
    let says = progress::category_of(read, facts.total_pages, row.category == Category::Reading);
    let reading = Reading {
        category: row.category,
        by_hand: says != row.category,
        expectation: None,
        started_on: None,
        progress: read,
        purchase_type: row.owned.then_some(PurchaseType::Bought),
        finished_on: row.read_on,
        rating: row.rating.and_then(|stars| Rating::new(stars.into()).ok()),
        review: row.review.map(|review: String| chars(&review, 0, REVIEW_CHARS_MAX)),
    };
    let added_at = row.added_on.and_then(|day| days::of_day(day, zone).ok()).map(|span| span.from);
    let memos = notes(reader, row.line, &book_key, row.private_notes.as_deref(), added_at);
    let book = IncomingBook {
        id: None,
        book_key,
        facts,
        completed: true,
        reading,
        created_at: added_at,
        updated_at: None,
    };
    Some((book, memos))
}

/// Private notes as memos, as many as their length needs.
fn notes(
    reader: ReaderId,
    line: u64,
    book_key: &crate::isbn::BookKey,
    text: Option<&str>,
    added_at: Option<UnixMicros>,
) -> Vec<IncomingMemo> {
    let Some(text) = text else { return Vec::new() };
    let started_at = added_at.unwrap_or(UnixMicros(0));
    let mut memos = Vec::new();
    let mut from = 0;
    loop {
        let part = chars(text, from, CONTENT_CHARS_MAX);
        if part.is_empty() {
            return memos;
        }
        let name = format!("goodreads private notes\0{book_key}\0{from}");
        from += CONTENT_CHARS_MAX;
        let Ok(content) = Content::new(part) else { continue };
        memos.push(IncomingMemo {
            line,
            book_key: book_key.clone(),
            id: derived_id(reader, started_at, name.as_bytes()),
            page: Page::new(1).expect("the first page"),
            content,
            tags: Tags::default(),
            started_at,
            created_at: None,
            updated_at: None,
        });
    }
}

fn chars(text: &str, from: u32, count: u32) -> String {
    text.chars().skip(from as usize).take(count as usize).collect()
}
