//! Telling what a file is that a reader wants to import.

use crate::csv_rows::{CsvRows, HeaderProblem, RowLines};
use crate::export::{BookRows, ExportUnreadable, MemoRows, ReadExport, read_json};
use crate::goodreads::GoodreadsRows;

/// A file that can be imported, ready to be read.
pub enum ImportFile<'a> {
    /// A Goodreads export.
    Goodreads(GoodreadsRows<&'a [u8]>),
    /// The books of an export of ours, as CSV.
    Books(BookRows<&'a [u8]>),
    /// The memos of an export of ours, as CSV. Their books have to be there.
    Memos(MemoRows<&'a [u8]>),
    /// An export of ours, as JSON.
    Export(Box<ReadExport>),
}

/// Why a file can't be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportProblem {
    /// It should be CSV, and its header says otherwise.
    #[error(transparent)]
    Csv(#[from] HeaderProblem),
    /// It should be an export of ours, as JSON.
    #[error(transparent)]
    Json(#[from] ExportUnreadable),
}

impl<'a> ImportFile<'a> {
    /// Looks at the beginning of a file: JSON begins with a brace, and a CSV
    /// file has the columns that it has.
    pub fn open(file: &'a [u8]) -> Result<Self, ImportProblem> {
        let text = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file).trim_ascii_start();
        if text.starts_with(b"{") {
            return Ok(Self::Export(Box::new(read_json(text)?)));
        }
        let rows = CsvRows::new(file, RowLines::Many)?;
        let has = |name| rows.column(name).is_some();
        Ok(if has("memoId") {
            Self::Memos(MemoRows::of_rows(rows)?)
        } else if has("userBookId") {
            Self::Books(BookRows::of_rows(rows)?)
        } else if has("Exclusive Shelf") || has("Book Id") && has("Title") {
            Self::Goodreads(GoodreadsRows::of_rows(rows)?)
        } else {
            return Err(HeaderProblem::Unknown { found: rows.shown() }.into());
        })
    }
}
