//! What comes in from a file: books with how their reader stands with them,
//! and memos.
//!
//! An import can be run again. A book that is on the shelf stays as it is, and
//! a memo that is there is not written again; so a file that was taken half is
//! taken whole by taking it once more.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use endpaper_api::{FieldProblem, Language};
use multi_master::{Db, Tx};
use sha2::{Digest as _, Sha256};
use stdx::UnixMicros;
use stdx::ids::Id as _;
use uuid::Uuid;

use super::memos::made_of;
use super::shelf::{New, put};
use super::{ReadingError, ReadingService, sync};
use crate::csv_rows::{BadRow, RowProblem};
use crate::goodreads::RowNote;
use crate::isbn::BookKey;
use crate::model::{
    BookFacts, BookId, Content, MemoDraft, MemoId, Origin, Page, ReaderId, Reading, Tags,
    UserBookId,
};
use crate::rules::{facts, keys};
use crate::store::{books, memos, shelf};

/// How many books, or memos, are one write.
const BATCH_ROWS: usize = 200;

/// How many problems a report lists; it counts all.
pub const PROBLEMS_LISTED_MAX: usize = 1_000;

/// What a file was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// A Goodreads export.
    Goodreads,
    /// Our own export as CSV.
    Csv,
    /// Our own export as JSON.
    Json,
}

impl ImportFormat {
    /// As answers name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodreads => "goodreads",
            Self::Csv => "endpaper-csv",
            Self::Json => "endpaper-json",
        }
    }
}

/// What is wrong with an entry of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryProblem {
    /// The row can't be read, and was not taken.
    Row(RowProblem),
    /// Something in the row was left out; the rest was taken.
    Note(RowNote),
    /// A field can't be what it is; the entry was not taken.
    Field(&'static str, FieldProblem),
    /// An entry of this list of a JSON file can't be read, and was not taken.
    Item(&'static str, String),
    /// The book of this memo is neither in the file nor on the shelf; it was
    /// not taken.
    NoBook,
}

/// An entry of a file that was not taken, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportProblem {
    /// The line on which the entry begins, from 1; in JSON the number of the
    /// entry, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: EntryProblem,
}

/// What an import has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// What the file was taken for.
    pub format: ImportFormat,
    /// Books put on the shelf.
    pub books_added: u64,
    /// Books that were there.
    pub books_there: u64,
    /// Memos written.
    pub memos_added: u64,
    /// Memos that were there.
    pub memos_there: u64,
    /// How many entries were not taken, or not all of them.
    pub problem_count: u64,
    /// The first [`PROBLEMS_LISTED_MAX`] of them.
    pub problems: Vec<ImportProblem>,
}

impl ImportReport {
    pub(super) const fn new(format: ImportFormat) -> Self {
        Self {
            format,
            books_added: 0,
            books_there: 0,
            memos_added: 0,
            memos_there: 0,
            problem_count: 0,
            problems: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, line: u64, problem: EntryProblem) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_LISTED_MAX {
            self.problems.push(ImportProblem { line, problem });
        }
    }

    pub(super) fn bad_row(&mut self, bad: BadRow) {
        self.problem(bad.line, EntryProblem::Row(bad.problem));
    }
}

/// A book of a file.
#[derive(Clone, Debug)]
pub(super) struct IncomingBook {
    /// The id that it has in the file. It is taken over where it is free.
    pub(super) id: Option<UserBookId>,
    pub(super) book_key: BookKey,
    pub(super) facts: BookFacts,
    /// Whether the catalogue fills what the file leaves open.
    pub(super) completed: bool,
    pub(super) reading: Reading,
    pub(super) created_at: Option<UnixMicros>,
    pub(super) updated_at: Option<UnixMicros>,
}

/// A memo of a file, on a book of the file or of the shelf.
#[derive(Clone, Debug)]
pub(super) struct IncomingMemo {
    pub(super) line: u64,
    pub(super) book_key: BookKey,
    /// The id that it has in the file; a file without ids has something else
    /// that is the same each time.
    pub(super) id: MemoId,
    pub(super) page: Page,
    pub(super) content: Content,
    pub(super) tags: Tags,
    pub(super) started_at: UnixMicros,
    pub(super) created_at: Option<UnixMicros>,
    pub(super) updated_at: Option<UnixMicros>,
}

/// An id that follows from a reader and from what is to be told apart: each
/// import of the same file finds what the first one wrote.
pub(super) fn derived_id(reader: ReaderId, at: UnixMicros, of: &[u8]) -> MemoId {
    let digest: [u8; 32] = Sha256::digest([reader.uuid().as_bytes(), of].concat()).into();
    let millis = u64::try_from(at.as_millis()).unwrap_or(0).to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis[2..]);
    bytes[6..].copy_from_slice(&digest[..10]);
    // RFC 9562: version 7, variant 10.
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    MemoId::from_uuid(Uuid::from_bytes(bytes))
}

impl ReadingService {
    /// Puts books on the shelf that are not there.
    pub(super) async fn take_books(
        &self,
        reader: ReaderId,
        incoming: Vec<IncomingBook>,
        report: &mut ImportReport,
        progress: &mut (dyn FnMut(&ImportReport) + Send),
    ) -> Result<(), ReadingError> {
        for batch in incoming.chunks(BATCH_ROWS) {
            let now = self.now();
            let ids: Vec<(UserBookId, BookId)> =
                batch.iter().map(|_| (self.0.ids.next(), self.0.ids.next())).collect();
            let batch = Arc::new(batch.to_vec());
            let (added, there) = self
                .write(async move |tx: &mut Tx| {
                    let keys: Vec<BookKey> =
                        batch.iter().map(|book| book.book_key.clone()).collect();
                    let known = books::find_all(tx, &keys).await?;
                    let mut on_shelf = shelf::find_all(tx, reader, &keys).await?;
                    // Nobody brings an id that follows from another reader's book.
                    let ids_of = |book: &IncomingBook| {
                        let own = book.id.filter(|id| id.uuid().get_version_num() == 7);
                        [own, keys::shelf_id(reader, &book.book_key)].into_iter().flatten()
                    };
                    let wanted: Vec<UserBookId> = batch.iter().flat_map(ids_of).collect();
                    let taken = shelf::taken(tx, &wanted).await?;
                    let (mut added, mut there) = (0u64, 0u64);
                    let mut written = Vec::new();
                    for (book, (user_book_id, book_id)) in batch.iter().zip(&ids) {
                        if on_shelf.contains_key(&book.book_key) {
                            there += 1;
                            continue;
                        }
                        let known = known.get(&book.book_key);
                        let shared =
                            known.filter(|known| book.completed && known.origin != Origin::Reader);
                        let facts = match shared {
                            Some(shared) => {
                                facts::completed(book.facts.clone(), shared.facts.clone())
                            }
                            None => book.facts.clone(),
                        };
                        let created_at = book.created_at.unwrap_or(now);
                        let new = New {
                            user_book_id: ids_of(book)
                                .find(|id| !taken.contains(id))
                                .unwrap_or(*user_book_id),
                            book_id: *book_id,
                            created_at,
                            updated_at: book.updated_at.unwrap_or(created_at),
                        };
                        let key = &book.book_key;
                        let put =
                            put(tx, reader, key, known, facts, book.reading.clone(), new).await?;
                        on_shelf.insert(key.clone(), put.id);
                        written.push(put);
                        added += 1;
                    }
                    sync::books_put(tx, reader, &written, now).await?;
                    Ok((added, there))
                })
                .await?;
            report.books_added += added;
            report.books_there += there;
            progress(report);
        }
        Ok(())
    }

    /// Writes memos that are not there, on books of the shelf.
    pub(super) async fn take_memos(
        &self,
        reader: ReaderId,
        incoming: Vec<IncomingMemo>,
        report: &mut ImportReport,
        progress: &mut (dyn FnMut(&ImportReport) + Send),
    ) -> Result<(), ReadingError> {
        if incoming.is_empty() {
            return Ok(());
        }
        let shelf: HashMap<BookKey, UserBookId> = self
            .0
            .store
            .read(async move |db: &mut Db| Ok::<_, ReadingError>(shelf::keys(db, reader).await?))
            .await?
            .into_iter()
            .collect();
        let mut drafts = Vec::with_capacity(incoming.len());
        for memo in incoming {
            let Some(&user_book_id) = shelf.get(&memo.book_key) else {
                report.problem(memo.line, EntryProblem::NoBook);
                continue;
            };
            let IncomingMemo { id, page, content, tags, started_at, .. } = memo;
            let draft = MemoDraft { user_book_id, page, content, tags, started_at };
            drafts.push((id, draft, memo.created_at, memo.updated_at));
        }
        for batch in drafts.chunks(BATCH_ROWS) {
            let now = self.now();
            let batch = Arc::new(batch.to_vec());
            let (added, there) = self
                .write(async move |tx: &mut Tx| {
                    // An id of the file may belong to another reader: the file
                    // was exported from another account of this server. Then
                    // the memo gets one that follows from it.
                    let derived = |id: MemoId, draft: &MemoDraft| {
                        derived_id(reader, draft.started_at, id.uuid().as_bytes())
                    };
                    let ids = batch
                        .iter()
                        .flat_map(|(id, draft, ..)| [*id, derived(*id, draft)])
                        .collect::<Vec<_>>();
                    let mut held = memos::holders(tx, &ids).await?;
                    let (mut added, mut there) = (0u64, 0u64);
                    let mut written = Vec::new();
                    for (id, draft, created_at, updated_at) in batch.iter() {
                        let own = [*id, derived(*id, draft)];
                        if own.iter().any(|id| held.get(id) == Some(&reader)) {
                            there += 1;
                            continue;
                        }
                        let Some(free) = own.into_iter().find(|id| !held.contains_key(id)) else {
                            return Err(ReadingError::IdTaken);
                        };
                        let created_at = created_at.unwrap_or(now);
                        let updated_at = updated_at.unwrap_or(created_at);
                        let made_of = made_of(draft);
                        let times = (created_at, updated_at);
                        memos::insert(tx, reader, free, draft, &made_of, times).await?;
                        written.push(free);
                        held.insert(free, reader);
                        added += 1;
                    }
                    sync::memos_written(tx, reader, &written, now).await?;
                    Ok((added, there))
                })
                .await?;
            report.memos_added += added;
            report.memos_there += there;
            progress(report);
        }
        Ok(())
    }
}

impl EntryProblem {
    /// Which column or field it is about, where it is about one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Row(RowProblem::Empty { column } | RowProblem::Unreadable { column, .. })
            | Self::Note(
                RowNote::LeftOut { column }
                | RowNote::IsbnNotUsed { column, .. }
                | RowNote::Cut { column, .. },
            ) => Some(column),
            Self::Note(RowNote::ShelvesNotKept(_)) => Some("Bookshelves"),
            Self::Note(RowNote::CustomShelf(_)) => Some("Exclusive Shelf"),
            Self::Field(field, _) | Self::Item(field, _) => Some(field),
            Self::Row(_) | Self::NoBook => None,
        }
    }

    /// For people: what is wrong, and whether the entry was taken.
    #[must_use]
    pub fn message(&self, language: Language) -> String {
        match language {
            Language::Ko => self.korean(),
            Language::En => self.to_string(),
        }
    }

    fn korean(&self) -> String {
        match self {
            Self::Row(problem) => korean(problem),
            Self::Note(RowNote::Cut { column, max }) => {
                format!("{column} 값이 길어 앞의 {max}자만 가져왔습니다.")
            }
            Self::Note(RowNote::ShelvesNotKept(shelves)) => {
                format!("직접 만든 책장은 가져오지 않았습니다: {}", shelves.join(", "))
            }
            Self::Note(RowNote::IsbnNotUsed { .. }) => {
                "ISBN이 올바르지 않아 쓰지 않았습니다. 책은 가져왔습니다.".to_owned()
            }
            Self::Note(RowNote::CustomShelf(shelf)) => {
                format!("서재에 없는 책장({shelf})이라 읽은 날짜로 상태를 정했습니다.")
            }
            Self::Note(RowNote::LeftOut { column }) => {
                format!("{column} 값을 읽을 수 없어 비워 두었습니다. 책은 가져왔습니다.")
            }
            Self::Field(_, problem) => problem.message(Language::Ko),
            Self::Item(_, why) => format!("읽을 수 없는 항목입니다: {why}"),
            Self::NoBook => "이 메모의 책이 파일에도 서재에도 없습니다.".to_owned(),
        }
    }
}

fn korean(problem: &RowProblem) -> String {
    match problem {
        RowProblem::UnclosedQuote => "열린 따옴표가 닫히지 않았습니다.".to_owned(),
        RowProblem::TextAfterQuote => "닫는 따옴표 뒤에 글자가 있습니다.".to_owned(),
        RowProblem::TooFewCells { expected, found } => {
            format!("칸이 {found}개뿐입니다. 첫 줄에는 {expected}개가 있습니다.")
        }
        RowProblem::TooManyCells { expected } => {
            format!("칸이 첫 줄의 {expected}개보다 많습니다.")
        }
        RowProblem::NotUtf8 => "글자가 UTF-8이 아닙니다.".to_owned(),
        RowProblem::TooLong => "한 줄이 너무 깁니다.".to_owned(),
        RowProblem::Empty { column } => format!("{column} 칸이 비어 있습니다."),
        RowProblem::Unreadable { column, value, .. } => {
            format!("{column} 칸의 {value:?} 값을 읽을 수 없습니다.")
        }
        RowProblem::Io(_) => "파일을 더 읽을 수 없습니다.".to_owned(),
    }
}

impl fmt::Display for EntryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(problem) => write!(f, "{problem}"),
            Self::Note(RowNote::Cut { column, max }) => {
                write!(f, "{column} is longer than {max} characters: the rest was left out")
            }
            Self::Note(RowNote::ShelvesNotKept(shelves)) => {
                write!(f, "these shelves were not taken along: {}", shelves.join(", "))
            }
            Self::Note(RowNote::IsbnNotUsed { why, .. }) => {
                write!(f, "the ISBN was not used: {why}; the book was taken")
            }
            Self::Note(RowNote::CustomShelf(shelf)) => {
                write!(
                    f,
                    "the shelf {shelf:?} is none of ours: when it was read decided the category"
                )
            }
            Self::Note(RowNote::LeftOut { column }) => {
                write!(f, "what is in {column} can't be read and was left out; the book was taken")
            }
            Self::Field(_, problem) => f.write_str(&problem.message(Language::En)),
            Self::Item(_, why) => write!(f, "it can't be read: {why}"),
            Self::NoBook => {
                f.write_str("the book of this memo is neither in the file nor on the shelf")
            }
        }
    }
}
