//! A reader's data, out and in.
//!
//! An export has everything on the shelf and the memos on it. (Memos of a book
//! that was taken off the shelf are found by nothing, and so not by an export;
//! they come back with the book.) Importing it into an empty account gives the
//! same shelf and memos: the same ids where they are free, the same times, and
//! all that the reader said. Versions are new.
//!
//! As CSV an export is two tables: the books, a blank line, the memos. Each can
//! be had, and imported, alone.

use std::collections::HashSet;

use endpaper_api::Instant;
use jiff::tz::TimeZone;
use multi_master::Db;
use stdx::UnixMicros;
use stdx::ids::Id as _;

use super::importing::ImportPlace;
use super::incoming::{EntryProblem, ImportFormat, ImportReport, IncomingBook, IncomingMemo};
use super::{ReadingError, ReadingService, goodreads};
use crate::export::{
    AtLine, BadItem, ENTRIES_MAX, Export, ExportBook, ExportMemo, ExportTag, write_books_csv,
    write_json, write_memos_csv,
};
use crate::import::{ImportFile, ImportProblem};
use crate::model::{
    BookFacts, Content, EXPECTATION_CHARS_MAX, Flaw, Flaws, Memo, MemoId, PAGES_MAX, Page,
    REVIEW_CHARS_MAX, Rating, ReaderId, Reading, ShelfBook, Tag, Tags, UserBookId,
};
use crate::rules::facts;
use crate::store::{memos, shelf};

/// Which of the two tables a CSV export has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CsvPart {
    /// Both: the books, a blank line, the memos.
    #[default]
    Both,
    /// The books.
    Books,
    /// The memos.
    Memos,
}

impl ReadingService {
    /// Everything on a reader's shelf, of one moment.
    pub async fn export(&self, reader: ReaderId) -> Result<Export, ReadingError> {
        let (books, memos) = self
            .0
            .store
            .read(async move |db: &mut Db| {
                let books = shelf::list(db, reader, None).await?;
                let memos = memos::of_span(db, reader, None).await?;
                Ok::<_, ReadingError>((books, memos))
            })
            .await?;
        let used = |tag: &&Tag| memos.iter().any(|memo| memo.draft.tags.as_slice().contains(tag));
        Ok(Export {
            exported_at: instant(self.now()),
            tags: Tag::ALL.iter().filter(used).copied().map(tag_out).collect(),
            books: books.into_iter().map(book_out).collect(),
            memos: memos.into_iter().map(memo_out).collect(),
        })
    }

    /// The export as JSON.
    pub async fn export_json(&self, reader: ReaderId) -> Result<Vec<u8>, ReadingError> {
        let mut file = Vec::new();
        write_json(&self.export(reader).await?, &mut file).expect("a vector takes all");
        Ok(file)
    }

    /// The export as CSV.
    pub async fn export_csv(
        &self,
        reader: ReaderId,
        part: CsvPart,
    ) -> Result<Vec<u8>, ReadingError> {
        let export = self.export(reader).await?;
        let mut file = Vec::new();
        if part != CsvPart::Memos {
            write_books_csv(&export.books, &mut file).expect("a vector takes all");
        }
        if part == CsvPart::Both {
            file.extend(b"\r\n");
        }
        if part != CsvPart::Books {
            let from = file.len();
            write_memos_csv(&export.memos, &mut file).expect("a vector takes all");
            if from > 0 && file[from..].starts_with(BYTE_ORDER_MARK) {
                file.drain(from..from + BYTE_ORDER_MARK.len());
            }
        }
        Ok(file)
    }

    /// Imports a Goodreads export, or one of ours as JSON or CSV; which one it
    /// is, the file says. Days of a Goodreads export are in `zone`. `progress`
    /// is told after each write.
    ///
    /// # Errors
    /// [`ReadingError::ImportUnreadable`] when the file is none of these;
    /// [`ReadingError::ImportInProgress`] when the reader imports already,
    /// [`ReadingError::Busy`] when too many others do. What
    /// was written before an error stays; the file can be imported again.
    pub async fn import_file(
        &self,
        reader: ReaderId,
        file: impl Into<Vec<u8>>,
        zone: &TimeZone,
        progress: impl FnMut(&ImportReport) + Send,
    ) -> Result<ImportReport, ReadingError> {
        self.import_at(self.begin_import(reader)?, file.into(), zone, progress).await
    }

    /// Imports a file as [`ReadingService::import_file`] does, where a place for
    /// it was taken before the file was there.
    pub async fn import_at(
        &self,
        place: ImportPlace,
        file: Vec<u8>,
        zone: &TimeZone,
        mut progress: impl FnMut(&ImportReport) + Send,
    ) -> Result<ImportReport, ReadingError> {
        let (reader, zone) = (place.reader(), zone.clone());
        // Reading a large file takes a core for a good part of a second. The
        // place goes along: it is taken for as long as the file is in memory,
        // also when the request is cancelled.
        let reading = tokio::task::spawn_blocking(move || {
            let incoming = read(reader, &file, &zone);
            (place, incoming)
        });
        let (place, incoming) = reading.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program ends.
            Err(_) => ReadingError::Busy,
        })?;
        let (mut report, books, memos) = incoming?;
        place.read(&report, books.len() + memos.len());
        let mut progress = |report: &ImportReport| {
            place.report(report);
            progress(report);
        };
        self.take_books(reader, books, &mut report, &mut progress).await?;
        self.take_memos(reader, memos, &mut report, &mut progress).await?;
        place.done(&report);
        Ok(report)
    }
}

type Incoming = (ImportReport, Vec<IncomingBook>, Vec<IncomingMemo>);

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

fn read(reader: ReaderId, file: &[u8], zone: &TimeZone) -> Result<Incoming, ReadingError> {
    let (first, second) = tables(file);
    let mut incoming = read_one(reader, first, zone)?;
    if let Some(second) = second {
        let (mut report, books, memos) = read_one(reader, second, zone)?;
        // The second table's lines go on after the first's.
        let lines = first.split(|byte| *byte == b'\n').skip(1).count() as u64;
        report.problems.iter_mut().for_each(|problem| problem.line += lines);
        for problem in std::mem::take(&mut report.problems) {
            incoming.0.problem(problem.line, problem.problem);
        }
        incoming.1.extend(books);
        incoming
            .2
            .extend(memos.into_iter().map(|memo| IncomingMemo { line: memo.line + lines, ..memo }));
    }
    Ok(incoming)
}

/// The tables of a file: where a header of memos stands in a line of its own
/// behind a blank one, a second table begins. It can't be a part of a cell: in
/// a cell its quotes would be doubled.
fn tables(file: &[u8]) -> (&[u8], Option<&[u8]>) {
    const MEMOS: &[u8] = b"\r\n\r\n\"memoId\",\"userBookId\",";
    let found = file.windows(MEMOS.len()).position(|window| window == MEMOS);
    match found {
        Some(at) => (&file[..at + 4], Some(&file[at + 4..])),
        None => (file, None),
    }
}

fn read_one(reader: ReaderId, file: &[u8], zone: &TimeZone) -> Result<Incoming, ReadingError> {
    let opened = ImportFile::open(file)
        .map_err(|problem| ReadingError::ImportUnreadable(Box::new(problem)))?;
    Ok(match opened {
        ImportFile::Goodreads(rows) => {
            let mut report = ImportReport::new(ImportFormat::Goodreads);
            let (books, memos) = goodreads::read(reader, rows, zone, &mut report)?;
            (report, books, memos)
        }
        ImportFile::Books(rows) => {
            let mut report = ImportReport::new(ImportFormat::Csv);
            let rows = good(rows, &mut report)?;
            let books = taken(rows, book_in, &mut report);
            (report, books, Vec::new())
        }
        ImportFile::Memos(rows) => {
            let mut report = ImportReport::new(ImportFormat::Csv);
            let rows = good(rows, &mut report)?;
            let memos = taken(rows, memo_in, &mut report);
            (report, Vec::new(), memos)
        }
        ImportFile::Export(read) => {
            let mut report = ImportReport::new(ImportFormat::Json);
            let books = numbered(read.export.books, "books", &read.bad);
            let memos = numbered(read.export.memos, "memos", &read.bad);
            for bad in read.bad {
                let line = bad.index as u64 + 1;
                report.problem(line, EntryProblem::Item(bad.list, bad.reason));
            }
            let books = taken(books, book_in, &mut report);
            let memos = taken(memos, memo_in, &mut report);
            (report, books, memos)
        }
    })
}

/// The entries of a list with their numbers in the file, from 1: those that
/// could not be read are counted and not among them.
fn numbered<T>(values: Vec<T>, list: &str, bad: &[BadItem]) -> Vec<AtLine<T>> {
    let unread: HashSet<usize> =
        bad.iter().filter(|item| item.list == list).map(|item| item.index).collect();
    let read = (0usize..).filter(|index| !unread.contains(index));
    read.zip(values).map(|(index, value)| AtLine { line: index as u64 + 1, value }).collect()
}

fn good<T>(
    rows: impl Iterator<Item = Result<AtLine<T>, crate::csv_rows::BadRow>>,
    report: &mut ImportReport,
) -> Result<Vec<AtLine<T>>, ReadingError> {
    let mut good = Vec::new();
    for (index, row) in rows.enumerate() {
        within_bounds(index)?;
        match row {
            Ok(row) => good.push(row),
            Err(bad) => report.bad_row(bad),
        }
    }
    Ok(good)
}

/// Refuses a file with more rows than are read.
pub(super) fn within_bounds(index: usize) -> Result<(), ReadingError> {
    if index < ENTRIES_MAX {
        return Ok(());
    }
    Err(ReadingError::ImportUnreadable(Box::new(ImportProblem::TooManyRows)))
}

fn taken<T, U>(
    rows: Vec<AtLine<T>>,
    read: fn(AtLine<T>) -> Result<U, Flaws>,
    report: &mut ImportReport,
) -> Vec<U> {
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        let line = row.line;
        match read(row) {
            Ok(value) => taken.push(value),
            Err(flaws) => {
                for Flaw { field, problem } in flaws.into_vec() {
                    report.problem(line, EntryProblem::Field(field, problem));
                }
            }
        }
    }
    taken
}

fn instant(at: UnixMicros) -> Instant {
    Instant::from_micros(at.0)
}

fn micros(at: Instant) -> UnixMicros {
    UnixMicros(at.as_micros())
}

fn tag_out(tag: Tag) -> ExportTag {
    ExportTag {
        code: tag.code().to_owned(),
        category: tag.category(),
        label_ko: tag.label(endpaper_api::Language::Ko).to_owned(),
        label_en: tag.label(endpaper_api::Language::En).to_owned(),
    }
}

fn book_out(book: ShelfBook) -> ExportBook {
    let ShelfBook { facts, reading, .. } = book;
    ExportBook {
        user_book_id: book.id.uuid(),
        isbn: book.book_key,
        title: facts.title,
        author: facts.author,
        publisher: facts.publisher,
        pub_date: facts.pub_date,
        cover_url: facts.cover_url,
        description: facts.description,
        total_pages: facts.total_pages,
        main_genre: facts.main_genre,
        category: reading.category,
        category_by_hand: reading.by_hand,
        expectation: reading.expectation,
        reading_start_date: reading.started_on.map(Into::into),
        reading_progress: reading.progress,
        purchase_type: reading.purchase_type,
        reading_finished_date: reading.finished_on.map(Into::into),
        rating: reading.rating.map(Rating::stars),
        review: reading.review,
        created_at: instant(book.created_at),
        updated_at: instant(book.updated_at),
    }
}

fn book_in(row: AtLine<ExportBook>) -> Result<IncomingBook, Flaws> {
    let book = row.value;
    let mut flaws = Flaws::default();
    let facts = facts::fitted(BookFacts {
        title: book.title,
        author: book.author,
        publisher: book.publisher,
        pub_date: book.pub_date,
        cover_url: book.cover_url,
        description: book.description,
        total_pages: book.total_pages,
        main_genre: book.main_genre,
    });
    if facts.is_none() {
        flaws.add("title", endpaper_api::FieldProblem::Required);
    }
    let facts = facts.unwrap_or_default();
    let pages_max = facts.total_pages.unwrap_or(PAGES_MAX);
    if book.reading_progress > pages_max {
        let max = pages_max.into();
        flaws.add("readingProgress", endpaper_api::FieldProblem::OutOfRange { min: 0, max });
    }
    let rating = book.rating.and_then(|stars| flaws.note("rating", Rating::new(stars.into())));
    let mut text = |field, text: Option<String>, max| {
        let text = text?;
        flaws.note(field, facts::within(&text, max))?;
        Some(text).filter(|text| !text.is_empty())
    };
    let reading = Reading {
        category: book.category,
        by_hand: book.category_by_hand,
        expectation: text("expectation", book.expectation, EXPECTATION_CHARS_MAX),
        started_on: book.reading_start_date.map(endpaper_api::Day::date),
        progress: book.reading_progress,
        purchase_type: book.purchase_type,
        finished_on: book.reading_finished_date.map(endpaper_api::Day::date),
        rating,
        review: text("review", book.review, REVIEW_CHARS_MAX),
    };
    flaws.check(IncomingBook {
        id: Some(UserBookId::from_uuid(book.user_book_id)),
        book_key: book.isbn,
        facts,
        completed: false,
        reading,
        created_at: Some(micros(book.created_at)),
        updated_at: Some(micros(book.updated_at)),
    })
}

fn memo_out(memo: Memo) -> ExportMemo {
    let draft = memo.draft;
    ExportMemo {
        memo_id: memo.id.uuid(),
        user_book_id: draft.user_book_id.uuid(),
        isbn: memo.book_key,
        book_title: memo.book_title,
        page_number: draft.page.number(),
        content: draft.content.as_str().to_owned(),
        tags: draft.tags.as_slice().iter().map(|tag| tag.code().to_owned()).collect(),
        tag_category: draft.tags.category(),
        memo_start_time: instant(draft.started_at),
        created_at: instant(memo.created_at),
        updated_at: instant(memo.updated_at),
    }
}

fn memo_in(row: AtLine<ExportMemo>) -> Result<IncomingMemo, Flaws> {
    let memo = row.value;
    let mut flaws = Flaws::default();
    let page = flaws.note("pageNumber", Page::new(memo.page_number.into()));
    let content = flaws.note("content", Content::new(memo.content));
    let codes = memo.tags.iter().map(String::as_str);
    let tags = Tags::new(codes, memo.tag_category).map_err(|flaw| flaw.problem);
    let tags = flaws.note("tags", tags);
    let (Some(page), Some(content), Some(tags)) = (page, content, tags) else {
        return Err(flaws);
    };
    Ok(IncomingMemo {
        line: row.line,
        book_key: memo.isbn,
        id: MemoId::from_uuid(memo.memo_id),
        page,
        content,
        tags,
        started_at: micros(memo.memo_start_time),
        created_at: Some(micros(memo.created_at)),
        updated_at: Some(micros(memo.updated_at)),
    })
}
