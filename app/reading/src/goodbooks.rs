//! Reading the goodbooks-10k catalogue: `books.csv`, one book a line.
//!
//! The file is public (Zajac, *Goodbooks-10k*, 2017) and has quirks that this
//! module knows:
//!
//! - `isbn` is an ISBN-10 that a spreadsheet took for a number, so leading zeros
//!   are lost; the ISBN-13 is derived from it.
//! - `isbn13` was saved as a float (`9.78043902348e+12`) and is not read: its
//!   last digits are gone.
//! - 700 books have no ISBN. They are kept, known by their number at Goodreads.
//! - `original_publication_year` is a float, can be empty, and is negative for
//!   books before our era.
//! - Authors are one cell, separated by commas.
//!
//! A row that can't be read is reported by its line, and the others are read:
//! see [`crate::csv_rows`].
//!
//! **What it does not do:** it stores nothing, and two rows of one ISBN are two
//! rows.

use std::io::Read;

use crate::csv_rows::{BadRow, ColumnIndex, CsvRows, HeaderProblem, Row, RowLines, RowProblem};
use crate::isbn::{BookKey, Isbn13, NotAnIsbn};
use crate::sources::PubDate;
use crate::text::line;

/// One book of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueRow {
    /// The line of the file, the header being line 1.
    pub line: u64,
    /// What it is known by: its ISBN, or `goodreads:` and its number there.
    pub key: BookKey,
    /// Why what is in `isbn` was not used, where there is something.
    pub isbn_not_used: Option<NotAnIsbn>,
    /// Its number at Goodreads.
    pub goodreads_id: u64,
    /// Never empty.
    pub title: String,
    /// The title of the first edition, where it is another.
    pub original_title: Option<String>,
    /// The authors' names; never empty.
    pub authors: Vec<String>,
    /// The year of the first edition.
    pub pub_date: Option<PubDate>,
    /// As the file has it, such as `eng` or `en-US`.
    pub language: Option<String>,
    /// The average rating in hundredths of a star: 434 is 4.34.
    pub rating_hundredths: Option<u16>,
    /// How many readers rated it.
    pub ratings_count: u32,
    /// The address of a picture of its cover, at Goodreads. `None` for their
    /// picture of no cover.
    pub cover_url: Option<String>,
}

impl CatalogueRow {
    /// The authors as one line, separated by `, `.
    #[must_use]
    pub fn author(&self) -> String {
        self.authors.join(", ")
    }

    /// Its ISBN, where it has one.
    #[must_use]
    pub const fn isbn13(&self) -> Option<Isbn13> {
        self.key.isbn13()
    }
}

/// The books of a file, one after the other.
///
/// ```
/// use endpaper_reading::goodbooks::GoodbooksRows;
///
/// let file = "goodreads_book_id,isbn,authors,title\n\
///             2767052,439023483,Suzanne Collins,The Hunger Games\n\
///             oops\n";
/// let mut rows = GoodbooksRows::open(file.as_bytes())?;
/// assert_eq!(rows.next().unwrap().unwrap().key.as_str(), "9780439023481");
/// assert_eq!(rows.next().unwrap().unwrap_err().line, 3);
/// assert!(rows.next().is_none());
/// # Ok::<(), endpaper_reading::csv_rows::HeaderProblem>(())
/// ```
pub struct GoodbooksRows<R> {
    rows: CsvRows<R>,
    columns: Columns,
}

struct Columns {
    goodreads_id: ColumnIndex,
    isbn: ColumnIndex,
    authors: ColumnIndex,
    title: ColumnIndex,
    original_title: Option<ColumnIndex>,
    year: Option<ColumnIndex>,
    language: Option<ColumnIndex>,
    rating: Option<ColumnIndex>,
    ratings_count: Option<ColumnIndex>,
    image_url: Option<ColumnIndex>,
}

impl<R: Read> GoodbooksRows<R> {
    /// Reads the header. `goodreads_book_id`, `isbn`, `authors` and `title` must
    /// be there; the other columns may be missing.
    pub fn open(reader: R) -> Result<Self, HeaderProblem> {
        let rows = CsvRows::new(reader, RowLines::One)?;
        let columns = Columns {
            goodreads_id: rows.require("goodreads_book_id")?,
            isbn: rows.require("isbn")?,
            authors: rows.require("authors")?,
            title: rows.require("title")?,
            original_title: rows.column("original_title"),
            year: rows.column("original_publication_year"),
            language: rows.column("language_code"),
            rating: rows.column("average_rating"),
            ratings_count: rows.column("ratings_count"),
            image_url: rows.column("image_url"),
        };
        Ok(Self { rows, columns })
    }
}

impl<R: Read> Iterator for GoodbooksRows<R> {
    type Item = Result<CatalogueRow, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next_row()?.and_then(|row| {
            read(&self.columns, &row).map_err(|problem| BadRow { line: row.line, problem })
        }))
    }
}

fn read(columns: &Columns, row: &Row) -> Result<CatalogueRow, RowProblem> {
    let optional = |column| Some(line(row.cell_of(column))).filter(|text| !text.is_empty());
    let title = line(row.cell(columns.title));
    if title.is_empty() {
        return Err(RowProblem::Empty { column: "title" });
    }
    let authors: Vec<String> =
        row.cell(columns.authors).split(',').map(line).filter(|name| !name.is_empty()).collect();
    if authors.is_empty() {
        return Err(RowProblem::Empty { column: "authors" });
    }
    let id_cell = row.cell(columns.goodreads_id).trim();
    let goodreads_id = id_cell.parse::<u64>().map_err(|_| {
        RowProblem::unreadable("goodreads_book_id", id_cell, "it is no whole number")
    })?;
    let (isbn, isbn_not_used) = match Isbn13::from_cell(row.cell(columns.isbn)) {
        Ok(isbn) => (isbn, None),
        Err(problem) => (None, Some(problem)),
    };
    let year = row.cell_of(columns.year).trim();
    let pub_date = if year.is_empty() {
        None
    } else {
        let date = whole(year).and_then(|year| PubDate::year(i16::try_from(year).ok()?).ok());
        Some(date.ok_or_else(|| {
            RowProblem::unreadable("original_publication_year", year, "it is no year")
        })?)
    };
    let count = row.cell_of(columns.ratings_count).trim();
    let ratings_count = if count.is_empty() {
        0
    } else {
        count
            .parse()
            .map_err(|_| RowProblem::unreadable("ratings_count", count, "it is no whole number"))?
    };
    let rating = row.cell_of(columns.rating).trim();
    let rating_hundredths = if rating.is_empty() {
        None
    } else {
        let hundredths = hundredths(rating).filter(|hundredths| *hundredths <= 500);
        let problem =
            || RowProblem::unreadable("average_rating", rating, "it is no rating of 0 to 5");
        Some(hundredths.ok_or_else(problem)?)
    };
    Ok(CatalogueRow {
        line: row.line,
        key: isbn.map_or_else(|| BookKey::goodreads(goodreads_id), BookKey::Isbn),
        isbn_not_used,
        goodreads_id,
        original_title: optional(columns.original_title).filter(|original| *original != title),
        title,
        authors,
        pub_date,
        language: optional(columns.language),
        rating_hundredths,
        ratings_count,
        cover_url: optional(columns.image_url)
            .filter(|url| url.starts_with("http") && !url.contains("/nophoto/")),
    })
}

/// A whole number, also where it was saved as a float: `2008.0`.
fn whole(text: &str) -> Option<i64> {
    let digits = text.split_once('.').map_or(Some(text), |(whole, fraction)| {
        fraction.bytes().all(|byte| byte == b'0').then_some(whole)
    });
    digits?.parse().ok()
}

/// `4.34`, `4.3` or `4` in hundredths.
fn hundredths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_fraction = fraction.len() <= 2 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let padded = format!("{fraction:0<2}");
    let whole: u16 = whole.parse().ok()?;
    is_fraction.then(|| whole.checked_mul(100)?.checked_add(padded.parse().ok()?)).flatten()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "book_id,goodreads_book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,\
         original_publication_year,original_title,title,language_code,average_rating,ratings_count,image_url\n";

    fn check(lines: &str, expected: &Expect) {
        let rows = GoodbooksRows::open((HEADER.to_owned() + lines).into_bytes().as_slice())
            .unwrap()
            .map(|row| match row {
                Ok(row) => {
                    let year = row.pub_date.map(|date| date.to_string());
                    format!(
                        "{}: {} | {} | {:?} | {} | {:?} {:?} | {:?} {} | {:?}\n",
                        row.line,
                        row.key,
                        row.title,
                        row.original_title,
                        row.author(),
                        year,
                        row.language,
                        row.rating_hundredths,
                        row.ratings_count,
                        row.isbn_not_used,
                    )
                }
                Err(bad) => format!("{bad}\n"),
            })
            .collect::<String>();
        expected.assert_eq(&rows);
    }

    #[test]
    fn rows_as_they_are_and_as_they_should_not_be() {
        check(
            "1,2767052,1,1,272,439023483,9.78043902348e+12,Suzanne Collins,2008.0,The Hunger Games,\"The Hunger Games (The Hunger Games, #1)\",eng,4.34,4780653,https://example.org/1.jpg\n\
             2,3,1,1,2,043965548X,9.78043965548e+12,\"J.K. Rowling, Mary GrandPré\",1997.0,,Harry Potter,,4.5,1,x/nophoto/y\n\
             3,1371,1,1,2,,,\"Homer, Robert Fagles\",-750.0,Ἰλιάς,The Iliad,eng,3,7,\n\
             4,5,1,1,2,439023484,,A,,,Wrong check digit,,,,\n\
             5,6,1,1,2,,,A,,,,,,,\n\
             6,7,1,1,2,,,,,,No author,,,,\n\
             7,x,1,1,2,,,A,,,No number,,,,\n\
             8,9,1,1,2,,,A,soon,,No year,,,,\n\
             9,10,1,1,2,,,A,1999.5,,Half a year,,,,\n\
             10,11,1,1,2,,,A,1999,,Rating,,5.01,,\n\
             11,12,1,1,2,,,A,1999,,Count,,,-1,\n\
             12,13,1,1,2,,,A,1999,,\"Cut in ha\n\
             13,14,1,1,2,,,A,1999,,\"After the cut, whole\",,,,\n\
             14,15,1\n",
            &expect![[r#"
                2: 9780439023481 | The Hunger Games (The Hunger Games, #1) | Some("The Hunger Games") | Suzanne Collins | Some("2008") Some("eng") | Some(434) 4780653 | None
                3: 9780439655484 | Harry Potter | None | J.K. Rowling, Mary GrandPré | Some("1997") None | Some(450) 1 | None
                4: goodreads:1371 | The Iliad | Some("Ἰλιάς") | Homer, Robert Fagles | Some("-0750") Some("eng") | Some(300) 7 | None
                5: goodreads:5 | Wrong check digit | None | A | None None | None 0 | Some(CheckDigit)
                line 6: title is empty
                line 7: authors is empty
                line 8: goodreads_book_id can't be "x": it is no whole number
                line 9: original_publication_year can't be "soon": it is no year
                line 10: original_publication_year can't be "1999.5": it is no year
                line 11: average_rating can't be "5.01": it is no rating of 0 to 5
                line 12: ratings_count can't be "-1": it is no whole number
                line 13: a quote is opened and not closed
                14: goodreads:14 | After the cut, whole | None | A | Some("1999") None | None 0 | None
                line 15: it has 3 cells, and the header has 15
            "#]],
        );
    }

    #[test]
    fn a_column_that_is_missing_is_named() {
        let problem = GoodbooksRows::open(&b"book_id,goodreads_book_id,isbn13,authors,title\n"[..])
            .err()
            .unwrap();
        expect![[r#"the column "isbn" is missing; there are: book_id, goodreads_book_id, isbn13, authors, title"#]].assert_eq(&problem.to_string());
    }

    #[test]
    fn numbers() {
        assert_eq!(
            [whole("2008.0"), whole("-750.00"), whole("7"), whole("7."), whole("1.5"), whole("")],
            [Some(2008), Some(-750), Some(7), Some(7), None, None]
        );
        assert_eq!(
            [
                hundredths("4.34"),
                hundredths("4.3"),
                hundredths("4"),
                hundredths("4.345"),
                hundredths("-1"),
                hundredths("4.+1"),
                hundredths("700")
            ],
            [Some(434), Some(430), Some(400), None, None, None, None]
        );
    }

    proptest! {
        #[test]
        fn any_file_is_rows_and_reports(text in any::<String>(), lines in "([0-9a-z,.\"\\n]{0,30}\\n){0,10}") {
            for rest in [text, lines] {
                let file = HEADER.to_owned() + &rest;
                for row in GoodbooksRows::open(file.as_bytes()).unwrap() {
                    let line = row.map_or_else(|bad| bad.line, |row| row.line);
                    prop_assert!(line > 1);
                }
            }
        }
    }
}
