//! The export as CSV.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::str::FromStr;

use endpaper_api::Language;
use endpaper_api::reading::{Category, PurchaseType, TagCategory};

use super::{ExportBook, ExportMemo};
use crate::csv_rows::{BadRow, ColumnIndex, CsvRows, HeaderProblem, Row, RowLines, RowProblem};

const BOOK_COLUMNS: [&str; 21] = [
    "userBookId",
    "isbn",
    "title",
    "author",
    "publisher",
    "pubDate",
    "coverUrl",
    "description",
    "totalPages",
    "mainGenre",
    "category",
    "categoryByHand",
    "expectation",
    "readingStartDate",
    "readingProgress",
    "purchaseType",
    "readingFinishedDate",
    "rating",
    "review",
    "createdAt",
    "updatedAt",
];

const MEMO_COLUMNS: [&str; 11] = [
    "memoId",
    "userBookId",
    "isbn",
    "bookTitle",
    "pageNumber",
    "content",
    "tags",
    "tagCategory",
    "memoStartTime",
    "createdAt",
    "updatedAt",
];

/// What makes a spreadsheet take a cell for a formula when it comes first, and
/// the apostrophe that says it is none. The full-width signs are the others to
/// spreadsheets of East Asian languages.
const MARKED: [char; 12] = ['\'', '=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Between the codes of tags in one cell.
const TAG_SEPARATOR: char = ' ';

/// Writes the shelf.
pub fn write_books_csv(books: &[ExportBook], to: impl Write) -> io::Result<()> {
    let mut writer = Writer::new(to, &BOOK_COLUMNS)?;
    for book in books {
        writer.cell(&book.user_book_id)?;
        writer.cell(&book.isbn)?;
        writer.cell(&book.title)?;
        writer.optional(book.author.as_ref())?;
        writer.optional(book.publisher.as_ref())?;
        writer.optional(book.pub_date.as_ref())?;
        writer.optional(book.cover_url.as_ref())?;
        writer.optional(book.description.as_ref())?;
        writer.optional(book.total_pages.as_ref())?;
        writer.optional(book.main_genre.as_ref())?;
        writer.cell(&book.category.name())?;
        writer.cell(&book.category_by_hand)?;
        writer.optional(book.expectation.as_ref())?;
        writer.optional(book.reading_start_date.as_ref())?;
        writer.cell(&book.reading_progress)?;
        writer.optional(book.purchase_type.map(PurchaseType::name).as_ref())?;
        writer.optional(book.reading_finished_date.as_ref())?;
        writer.optional(book.rating.as_ref())?;
        writer.optional(book.review.as_ref())?;
        writer.cell(&book.created_at)?;
        writer.cell(&book.updated_at)?;
        writer.end_row()?;
    }
    writer.end()
}

/// Writes the memos.
pub fn write_memos_csv(memos: &[ExportMemo], to: impl Write) -> io::Result<()> {
    let mut writer = Writer::new(to, &MEMO_COLUMNS)?;
    for memo in memos {
        writer.cell(&memo.memo_id)?;
        writer.cell(&memo.user_book_id)?;
        writer.cell(&memo.isbn)?;
        writer.cell(&memo.book_title)?;
        writer.cell(&memo.page_number)?;
        writer.cell(&memo.content)?;
        writer.cell(&memo.tags.join(&TAG_SEPARATOR.to_string()))?;
        writer.optional(memo.tag_category.map(TagCategory::name).as_ref())?;
        writer.cell(&memo.memo_start_time)?;
        writer.cell(&memo.created_at)?;
        writer.cell(&memo.updated_at)?;
        writer.end_row()?;
    }
    writer.end()
}

struct Writer<W: Write> {
    to: io::BufWriter<W>,
    starts_row: bool,
}

impl<W: Write> Writer<W> {
    fn new(to: W, columns: &[&str]) -> io::Result<Self> {
        let mut writer = Self { to: io::BufWriter::new(to), starts_row: true };
        writer.to.write_all(b"\xEF\xBB\xBF")?;
        for column in columns {
            writer.cell(column)?;
        }
        writer.end_row()?;
        Ok(writer)
    }

    fn cell(&mut self, value: &impl Display) -> io::Result<()> {
        let text = value.to_string();
        let mark = if text.starts_with(MARKED) { "'" } else { "" };
        self.raw(mark, &text)
    }

    fn optional(&mut self, value: Option<&impl Display>) -> io::Result<()> {
        match value.map(ToString::to_string) {
            None => self.raw("", ""),
            Some(text) if text.is_empty() => self.raw("'", ""),
            Some(text) => self.cell(&text),
        }
    }

    fn raw(&mut self, mark: &str, text: &str) -> io::Result<()> {
        let separator = if self.starts_row { "" } else { "," };
        self.starts_row = false;
        write!(self.to, "{separator}\"{mark}{}\"", text.replace('"', "\"\""))
    }

    fn end_row(&mut self) -> io::Result<()> {
        self.starts_row = true;
        self.to.write_all(b"\r\n")
    }

    fn end(mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What a row has, and the line on which the row begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtLine<T> {
    /// The line; the header is line 1.
    pub line: u64,
    /// What is there.
    pub value: T,
}

/// The books of a file that [`write_books_csv`] wrote.
pub struct BookRows<R> {
    rows: CsvRows<R>,
    columns: [ColumnIndex; BOOK_COLUMNS.len()],
}

/// The memos of a file that [`write_memos_csv`] wrote.
pub struct MemoRows<R> {
    rows: CsvRows<R>,
    columns: [ColumnIndex; MEMO_COLUMNS.len()],
}

impl<R: Read> BookRows<R> {
    /// Reads the header. All columns must be there, in any order.
    pub fn open(reader: R) -> Result<Self, HeaderProblem> {
        Self::of_rows(CsvRows::new(reader, RowLines::Many)?)
    }

    pub(crate) fn of_rows(rows: CsvRows<R>) -> Result<Self, HeaderProblem> {
        Ok(Self { columns: find_columns(&rows, BOOK_COLUMNS)?, rows })
    }
}

impl<R: Read> MemoRows<R> {
    /// Reads the header. All columns must be there, in any order.
    pub fn open(reader: R) -> Result<Self, HeaderProblem> {
        Self::of_rows(CsvRows::new(reader, RowLines::Many)?)
    }

    pub(crate) fn of_rows(rows: CsvRows<R>) -> Result<Self, HeaderProblem> {
        Ok(Self { columns: find_columns(&rows, MEMO_COLUMNS)?, rows })
    }
}

fn find_columns<R: Read, const N: usize>(
    rows: &CsvRows<R>,
    names: [&'static str; N],
) -> Result<[ColumnIndex; N], HeaderProblem> {
    let found = names.map(|name| rows.require(name));
    if let Some(Err(problem)) = found.iter().find(|column| column.is_err()) {
        return Err(problem.clone());
    }
    Ok(found.map(|column| column.unwrap_or_else(|_| unreachable!("looked at above"))))
}

impl<R: Read> Iterator for BookRows<R> {
    type Item = Result<AtLine<ExportBook>, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next_row()?.and_then(|row| {
            at_line(row.line, book(Cells::new(&row, &self.columns, &BOOK_COLUMNS)))
        }))
    }
}

impl<R: Read> Iterator for MemoRows<R> {
    type Item = Result<AtLine<ExportMemo>, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next_row()?.and_then(|row| {
            at_line(row.line, memo(Cells::new(&row, &self.columns, &MEMO_COLUMNS)))
        }))
    }
}

fn at_line<T>(line: u64, read: Result<T, RowProblem>) -> Result<AtLine<T>, BadRow> {
    match read {
        Ok(value) => Ok(AtLine { line, value }),
        Err(problem) => Err(BadRow { line, problem }),
    }
}

fn book(mut cells: Cells<'_>) -> Result<ExportBook, RowProblem> {
    // In the order of the columns.
    Ok(ExportBook {
        user_book_id: cells.parsed()?,
        isbn: cells.parsed()?,
        title: cells.text()?,
        author: cells.optional_text()?,
        publisher: cells.optional_text()?,
        pub_date: cells.optional_text()?,
        cover_url: cells.optional_text()?,
        description: cells.optional_text()?,
        total_pages: cells.optional()?,
        main_genre: cells.optional_text()?,
        category: cells.named(&Category::ALL, Category::name)?,
        category_by_hand: cells.parsed()?,
        expectation: cells.optional_text()?,
        reading_start_date: cells.optional()?,
        reading_progress: cells.parsed()?,
        purchase_type: cells.optional_named(&PurchaseType::ALL, PurchaseType::name)?,
        reading_finished_date: cells.optional()?,
        rating: cells.optional()?,
        review: cells.optional_text()?,
        created_at: cells.parsed()?,
        updated_at: cells.parsed()?,
    })
}

fn memo(mut cells: Cells<'_>) -> Result<ExportMemo, RowProblem> {
    Ok(ExportMemo {
        memo_id: cells.parsed()?,
        user_book_id: cells.parsed()?,
        isbn: cells.parsed()?,
        book_title: cells.text()?,
        page_number: cells.parsed()?,
        content: cells.text()?,
        tags: {
            let codes = cells.text()?;
            let codes = codes.split(TAG_SEPARATOR).filter(|code| !code.is_empty());
            codes.map(str::to_owned).collect()
        },
        tag_category: cells.optional_named(&TagCategory::ALL, TagCategory::name)?,
        memo_start_time: cells.parsed()?,
        created_at: cells.parsed()?,
        updated_at: cells.parsed()?,
    })
}

/// The cells of a row, one after the other, in the order in which they are
/// written.
struct Cells<'a> {
    row: &'a Row,
    columns: &'a [ColumnIndex],
    names: &'a [&'static str],
    next: usize,
}

impl<'a> Cells<'a> {
    fn new(row: &'a Row, columns: &'a [ColumnIndex], names: &'a [&'static str]) -> Self {
        Self { row, columns, names, next: 0 }
    }

    /// The next cell: its column, and its text where there is one.
    fn next(&mut self) -> (&'static str, Option<&'a str>) {
        let (name, column) = (self.names[self.next], self.columns[self.next]);
        self.next += 1;
        let cell = self.row.cell(column);
        let text = cell.strip_prefix('\'').unwrap_or(cell);
        (name, Some(text).filter(|_| !cell.is_empty()))
    }

    fn text(&mut self) -> Result<String, RowProblem> {
        Ok(self.optional_text()?.unwrap_or_default())
    }

    fn optional_text(&mut self) -> Result<Option<String>, RowProblem> {
        let (column, text) = self.next();
        let Some(text) = text else { return Ok(None) };
        match endpaper_api::text::nfc(text) {
            Ok(text) => Ok(Some(text)),
            Err(problem) => {
                Err(RowProblem::unreadable(column, text, problem.message(Language::En)))
            }
        }
    }

    fn optional<T: FromStr>(&mut self) -> Result<Option<T>, RowProblem> {
        let (column, text) = self.next();
        let Some(text) = text else { return Ok(None) };
        let unreadable = |_| RowProblem::unreadable(column, text, "it is not of the right form");
        text.parse().map(Some).map_err(unreadable)
    }

    fn parsed<T: FromStr>(&mut self) -> Result<T, RowProblem> {
        let column = self.names[self.next];
        self.optional()?.ok_or(RowProblem::Empty { column })
    }

    fn optional_named<T: Copy>(
        &mut self,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<Option<T>, RowProblem> {
        let (column, text) = self.next();
        let Some(text) = text else { return Ok(None) };
        let found = all.iter().copied().find(|value| name(*value) == text);
        let names = || all.iter().map(|value| name(*value)).collect::<Vec<_>>().join(", ");
        found.map(Some).ok_or_else(|| {
            RowProblem::unreadable(column, text, format!("it is one of {}", names()))
        })
    }

    fn named<T: Copy>(&mut self, all: &[T], name: fn(T) -> &'static str) -> Result<T, RowProblem> {
        let column = self.names[self.next];
        self.optional_named(all, name)?.ok_or(RowProblem::Empty { column })
    }
}
