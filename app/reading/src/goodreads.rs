//! Reading a reader's Goodreads export: `goodreads_library_export.csv`.
//!
//! What it looks like: ISBN cells dressed up as formulas (`="0140449132"`),
//! reviews of many lines with `<br/>`, dates as `2023/01/31`, a rating of 0 for
//! none, and shelves: `to-read`, `currently-reading`, `read`, and any that the
//! reader made.
//!
//! A row that can't be read is reported by its line, and the others are read:
//! see [`crate::csv_rows`]. What is strange in a row that can be read is told in
//! its [`notes`](GoodreadsRow::notes).
//!
//! **What it does not do:** it stores nothing, and does not decide what happens
//! with a book that is on the shelf already.

use std::io::Read;

use endpaper_api::reading::Category;
use jiff::civil::Date;

use crate::csv_rows::{BadRow, ColumnIndex, CsvRows, HeaderProblem, Row, RowLines, RowProblem};
use crate::isbn::{BookKey, Isbn13, NotAnIsbn};
use crate::sources::PubDate;
use crate::text::{line, plain_text};

/// One book of a Goodreads export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodreadsRow {
    /// The line of the file on which the row begins, the header being line 1.
    pub line: u64,
    /// Its ISBN, or `goodreads:` and its number there; `None` where it has
    /// neither.
    pub key: Option<BookKey>,
    /// Never empty.
    pub title: String,
    /// The author and the additional authors, separated by `, `; may be empty.
    pub author: String,
    /// The publisher.
    pub publisher: Option<String>,
    /// The year of this edition; where it is not given, of the first.
    pub pub_date: Option<PubDate>,
    /// How many pages, at least 1.
    pub total_pages: Option<u32>,
    /// Where the book stands.
    pub category: Category,
    /// The reader's stars, 1 to 5.
    pub rating: Option<u8>,
    /// What the reader says of it: plain text, lines end with `\n`.
    pub review: Option<String>,
    /// What the reader noted for nobody else: plain text, lines end with `\n`.
    pub private_notes: Option<String>,
    /// When it was read to the end, the last time.
    pub read_on: Option<Date>,
    /// When it was put on a shelf.
    pub added_on: Option<Date>,
    /// How often it was read.
    pub read_count: u32,
    /// Whether the reader has a copy.
    pub owned: bool,
    /// All shelves that it is on, the exclusive one among them.
    pub shelves: Vec<String>,
    /// What is strange about the row.
    pub notes: Vec<RowNote>,
}

/// Something strange in a row that was read all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowNote {
    /// What is in an ISBN column is none, and was not used.
    IsbnNotUsed {
        /// The column's name.
        column: &'static str,
        /// Why it is none.
        why: NotAnIsbn,
    },
    /// The text in this column is longer than what is kept of it.
    Cut {
        /// The column's name.
        column: &'static str,
        /// How many characters are kept.
        max: u32,
    },
    /// The book is on shelves that the reader made, which are not kept.
    ShelvesNotKept(Vec<String>),
    /// The exclusive shelf is one that the reader made: the category was
    /// guessed from when and how often the book was read.
    CustomShelf(String),
    /// What is in this column can't be read, and was left out.
    LeftOut {
        /// The column's name.
        column: &'static str,
    },
}

/// The books of an export, one after the other.
///
/// ```
/// use endpaper_api::reading::Category;
/// use endpaper_reading::goodreads::GoodreadsRows;
///
/// let file = "Book Id,Title,Author,ISBN,ISBN13,My Rating,Date Read,Exclusive Shelf\n\
///             1371,The Odyssey,Homer,=\"0140449132\",=\"\",4,2023/01/31,read\n";
/// let row = GoodreadsRows::open(file.as_bytes())?.next().unwrap()?;
/// assert_eq!(row.key.unwrap().as_str(), "9780140449136");
/// assert_eq!((row.category, row.rating), (Category::Finished, Some(4)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct GoodreadsRows<R> {
    rows: CsvRows<R>,
    columns: Columns,
}

struct Columns {
    title: ColumnIndex,
    exclusive_shelf: ColumnIndex,
    book_id: Option<ColumnIndex>,
    author: Option<ColumnIndex>,
    additional_authors: Option<ColumnIndex>,
    isbn: Option<ColumnIndex>,
    isbn13: Option<ColumnIndex>,
    rating: Option<ColumnIndex>,
    publisher: Option<ColumnIndex>,
    pages: Option<ColumnIndex>,
    year: Option<ColumnIndex>,
    original_year: Option<ColumnIndex>,
    date_read: Option<ColumnIndex>,
    date_added: Option<ColumnIndex>,
    shelves: Option<ColumnIndex>,
    review: Option<ColumnIndex>,
    private_notes: Option<ColumnIndex>,
    read_count: Option<ColumnIndex>,
    owned: Option<ColumnIndex>,
}

impl<R: Read> GoodreadsRows<R> {
    /// Reads the header. `Title` and `Exclusive Shelf` must be there; Goodreads
    /// has changed the others over the years.
    pub fn open(reader: R) -> Result<Self, HeaderProblem> {
        Self::of_rows(CsvRows::new(reader, RowLines::Many)?)
    }

    pub(crate) fn of_rows(rows: CsvRows<R>) -> Result<Self, HeaderProblem> {
        let columns = Columns {
            title: rows.require("Title")?,
            exclusive_shelf: rows.require("Exclusive Shelf")?,
            book_id: rows.column("Book Id"),
            author: rows.column("Author"),
            additional_authors: rows.column("Additional Authors"),
            isbn: rows.column("ISBN"),
            isbn13: rows.column("ISBN13"),
            rating: rows.column("My Rating"),
            publisher: rows.column("Publisher"),
            pages: rows.column("Number of Pages"),
            year: rows.column("Year Published"),
            original_year: rows.column("Original Publication Year"),
            date_read: rows.column("Date Read"),
            date_added: rows.column("Date Added"),
            shelves: rows.column("Bookshelves"),
            review: rows.column("My Review"),
            private_notes: rows.column("Private Notes"),
            read_count: rows.column("Read Count"),
            owned: rows.column("Owned Copies"),
        };
        Ok(Self { rows, columns })
    }
}

impl<R: Read> Iterator for GoodreadsRows<R> {
    type Item = Result<GoodreadsRow, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next_row()?.and_then(|row| {
            read(&self.columns, &row).map_err(|problem| BadRow { line: row.line, problem })
        }))
    }
}

fn read(columns: &Columns, row: &Row) -> Result<GoodreadsRow, RowProblem> {
    let title = line(row.cell(columns.title));
    if title.is_empty() {
        return Err(RowProblem::Empty { column: "Title" });
    }
    let mut notes = Vec::new();
    let line_of = |column| Some(line(row.cell_of(column))).filter(|text| !text.is_empty());
    let text_of = |column| Some(plain_text(row.cell_of(column))).filter(|text| !text.is_empty());

    let key = key_of(columns, row, &mut notes);
    let mut number = |column, name| -> u32 {
        let text = row.cell_of(column).trim();
        text.parse().unwrap_or_else(|_| {
            if !text.is_empty() {
                notes.push(RowNote::LeftOut { column: name });
            }
            0
        })
    };
    let stars = number(columns.rating, "My Rating");
    let pages = number(columns.pages, "Number of Pages");
    let read_count = number(columns.read_count, "Read Count");
    let owned = number(columns.owned, "Owned Copies");
    if stars > 5 {
        notes.push(RowNote::LeftOut { column: "My Rating" });
    }
    let mut date = |column, name| -> Option<Date> {
        let text = row.cell_of(column).trim();
        let date = date_of(text);
        if date.is_none() && !text.is_empty() {
            notes.push(RowNote::LeftOut { column: name });
        }
        date
    };
    let read_on = date(columns.date_read, "Date Read");
    let added_on = date(columns.date_added, "Date Added");

    let exclusive_shelf = line(row.cell(columns.exclusive_shelf));
    let category = match exclusive_shelf.as_str() {
        "to-read" => Category::ToRead,
        "currently-reading" => Category::Reading,
        "read" => Category::Finished,
        _ => {
            if !exclusive_shelf.is_empty() {
                notes.push(RowNote::CustomShelf(exclusive_shelf.clone()));
            }
            let was_read = read_on.is_some() || read_count > 0;
            if was_read { Category::Finished } else { Category::ToRead }
        }
    };
    let mut shelves: Vec<String> = row
        .cell_of(columns.shelves)
        .split(',')
        .map(line)
        .filter(|shelf| !shelf.is_empty())
        .collect();
    if !exclusive_shelf.is_empty() && !shelves.contains(&exclusive_shelf) {
        shelves.push(exclusive_shelf);
    }
    let additional = line_of(columns.additional_authors);
    let authors = [line_of(columns.author), additional].into_iter().flatten();
    Ok(GoodreadsRow {
        line: row.line,
        key,
        title,
        author: authors.collect::<Vec<_>>().join(", "),
        publisher: line_of(columns.publisher),
        pub_date: year_of(row, columns.year).or_else(|| year_of(row, columns.original_year)),
        total_pages: (pages > 0).then_some(pages),
        category,
        rating: u8::try_from(stars).ok().filter(|stars| (1..=5).contains(stars)),
        review: text_of(columns.review),
        private_notes: text_of(columns.private_notes),
        read_on,
        added_on,
        read_count,
        owned: owned > 0,
        shelves,
        notes,
    })
}

fn key_of(columns: &Columns, row: &Row, notes: &mut Vec<RowNote>) -> Option<BookKey> {
    for (column, name) in [(columns.isbn13, "ISBN13"), (columns.isbn, "ISBN")] {
        match Isbn13::from_cell(row.cell_of(column)) {
            Ok(Some(isbn)) => return Some(BookKey::Isbn(isbn)),
            Ok(None) => {}
            Err(why) => notes.push(RowNote::IsbnNotUsed { column: name, why }),
        }
    }
    row.cell_of(columns.book_id).trim().parse().ok().map(BookKey::goodreads)
}

/// `2023/01/31`, and with hyphens, as spreadsheets turn it.
fn date_of(text: &str) -> Option<Date> {
    let mut parts = text.split(['/', '-']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_date = parts.next().is_none() && year.len() == 4;
    let is_number = |part: &str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !(is_date && [year, month, day].into_iter().all(is_number)) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

fn year_of(row: &Row, column: Option<ColumnIndex>) -> Option<PubDate> {
    let year = row.cell_of(column).trim().parse().ok().filter(|year| *year != 0)?;
    PubDate::year(year).ok()
}
