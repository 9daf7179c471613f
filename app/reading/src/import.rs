//! Telling what a file is that a reader wants to import.

use endpaper_api::Language;

use crate::csv_rows::{CsvRows, HeaderProblem, RowLines};
use crate::export::{BookRows, ENTRIES_MAX, ExportUnreadable, MemoRows, ReadExport, read_json};
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
    /// It is CSV, and has more rows than are read.
    #[error("it has more than {ENTRIES_MAX} rows")]
    TooManyRows,
}

impl ImportProblem {
    /// For people: what is wrong, and what helps.
    #[must_use]
    pub fn message(&self, language: Language) -> String {
        match language {
            Language::En => self.to_string(),
            Language::Ko => self.korean(),
        }
    }

    fn korean(&self) -> String {
        match self {
            Self::Csv(HeaderProblem::Empty) => "파일이 비어 있습니다.".to_owned(),
            Self::Csv(HeaderProblem::Utf16) => {
                "파일이 UTF-16입니다. UTF-8 CSV로 저장해 주세요.".to_owned()
            }
            Self::Csv(HeaderProblem::Unreadable(_)) => "첫 줄을 읽을 수 없습니다.".to_owned(),
            Self::Csv(HeaderProblem::MissingColumn { column, found }) => {
                format!("{column} 열이 없습니다. 있는 열: {}", found.join(", "))
            }
            Self::Csv(HeaderProblem::Unknown { found }) => {
                format!("가져올 수 있는 파일이 아닙니다. 있는 열: {}", found.join(", "))
            }
            Self::Json(ExportUnreadable::Json(why)) => {
                format!("JSON 파일이 온전하지 않습니다. 다시 내려받아 주세요. ({why})")
            }
            Self::Json(ExportUnreadable::Format) => {
                "JSON 파일이지만 Endpaper에서 내보낸 파일이 아닙니다.".to_owned()
            }
            Self::Json(ExportUnreadable::Version { found }) => {
                format!("더 새로운 버전({found})에서 내보낸 파일이라 읽을 수 없습니다.")
            }
            Self::Json(ExportUnreadable::Member { member }) => {
                format!("내보낸 파일에 {member} 항목이 없거나 올바르지 않습니다.")
            }
            Self::Json(ExportUnreadable::TooMany) | Self::TooManyRows => {
                format!("한 파일에서 {ENTRIES_MAX}개까지 가져올 수 있습니다. 나누어 올려 주세요.")
            }
        }
    }
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
