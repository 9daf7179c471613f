//! Wire types of import and export.

use serde::{Deserialize, Serialize};

use crate::Instant;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImportSummary {
    /// What the file was taken for: `goodreads`, `endpaper-csv`,
    /// `endpaper-json`.
    pub format: String,
    /// Books put on the shelf.
    pub books_added: u64,
    /// Books that were on the shelf already; they stay as they are.
    pub books_there: u64,
    /// Memos written.
    pub memos_added: u64,
    /// Memos that were there already; they stay as they are.
    pub memos_there: u64,
    /// How many lines or entries could not be taken, or not whole.
    pub problem_count: u64,
    /// The first thousand of them.
    pub problems: Vec<ImportProblem>,
}

/// One line or entry that could not be taken, or not whole; `message` says
/// which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportProblem {
    /// The line of the file on which the entry begins, from 1; in a JSON file
    /// its number in its list, from 1.
    pub line: u64,
    /// Which column or field, where it is one.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// Whether an import runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum ImportState {
    /// None is known: it ran elsewhere, long ago, or never.
    None,
    /// It runs.
    Running,
    /// It came to its end.
    Done,
    /// It was broken off. What was taken before stays, and the file can be
    /// imported again.
    Failed,
}

/// How far the caller's import is, or how the last one ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImportProgress {
    /// Whether it runs.
    pub state: ImportState,
    /// When it began.
    pub started_at: Option<Instant>,
    /// See [`ImportSummary::format`]; `null` until the file is read.
    pub format: Option<String>,
    /// How many books and memos are through.
    pub done: u64,
    /// How many the file has; `null` until it is read.
    pub total: Option<u64>,
    /// Books put on the shelf so far.
    pub books_added: u64,
    /// Memos written so far.
    pub memos_added: u64,
    /// How many lines or entries could not be taken, or not whole, so far.
    pub problem_count: u64,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One JSON document.
    #[default]
    #[serde(alias = "JSON")]
    Json,
    /// Two tables: the books, a blank line, the memos.
    #[serde(alias = "CSV")]
    Csv,
}

/// One of the two tables of a CSV export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum ExportPart {
    /// The books.
    #[serde(alias = "books")]
    Books,
    /// The memos.
    #[serde(alias = "memos")]
    Memos,
}
