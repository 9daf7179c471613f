//! Reading CSV files that people have: rows one by one, and what can't be read
//! reported by its line, without the rest being lost.
//!
//! RFC 4180, with what real exports need: a byte order mark, lines that end in
//! `\n` or `\r\n`, quotes inside a cell that does not begin with one
//! (`="0140449132"`), blank lines.
//!
//! A file that was cut in the middle of a quoted cell and went on is the trap
//! here: the open quote takes everything up to the next quote into one cell,
//! and a lenient reader loses rows without a word. Here, a row that comes out
//! wrong (its quote is never closed, text follows a closing quote, it has
//! another number of cells than the header) is reported by the line that it
//! begins on, and reading goes on **with the very next line**. What remains is
//! a cut whose pieces happen to fit together into a row with the right number of
//! cells. Where a format has no line breaks in cells, reading it a line a row
//! rules that out too.
//!
//! Memory is bounded by [`ROW_BYTES_MAX`], whatever the file is, and each byte
//! is looked at a bounded number of times: a row ends where it has more cells
//! than the header.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};

/// The longest row. Longer ones are reported and left out.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// The most columns of a header.
const COLUMNS_MAX: usize = 200;

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadRow {
    /// The line of the file on which the row begins; the first is 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: RowProblem,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// A quote opens and is never closed: the file was cut there.
    #[error("a quote is opened and not closed")]
    UnclosedQuote,
    /// Text follows a closing quote: a quote in a cell was not doubled, or the
    /// file was cut there.
    #[error("text follows a closing quote")]
    TextAfterQuote,
    /// It has fewer cells than the header.
    #[error("it has {found} cells, and the header has {expected}")]
    TooFewCells {
        /// As many as the header.
        expected: usize,
        /// As many as there are.
        found: usize,
    },
    /// It has more cells than the header.
    #[error("it has more cells than the {expected} of the header")]
    TooManyCells {
        /// As many as the header.
        expected: usize,
    },
    /// Its text is broken UTF-8.
    #[error("its text is not UTF-8")]
    NotUtf8,
    /// It is longer than [`ROW_BYTES_MAX`].
    #[error("it is longer than {ROW_BYTES_MAX} bytes")]
    TooLong,
    /// A cell that must have something is empty.
    #[error("{column} is empty")]
    Empty {
        /// The column's name.
        column: &'static str,
    },
    /// A cell has something that can't be there.
    #[error("{column} can't be {value:?}: {reason}")]
    Unreadable {
        /// The column's name.
        column: &'static str,
        /// The beginning of what is there.
        value: String,
        /// Why it can't be.
        reason: String,
    },
    /// The file could not be read any further.
    #[error("the file could not be read on: {0}")]
    Io(String),
}

impl RowProblem {
    pub(crate) fn unreadable(
        column: &'static str,
        value: &str,
        reason: impl std::fmt::Display,
    ) -> Self {
        let value = value.chars().take(40).collect();
        Self::Unreadable { column, value, reason: reason.to_string() }
    }
}

/// Why a file is not read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is UTF-16, as some spreadsheets save: it has to be saved as UTF-8.
    #[error("the file is UTF-16: save it as CSV in UTF-8")]
    Utf16,
    /// Its first row can't be read.
    #[error("the header: {0}")]
    Unreadable(RowProblem),
    /// A column is missing.
    #[error("the column {column:?} is missing; there are: {}", found.join(", "))]
    MissingColumn {
        /// The column that is missing.
        column: &'static str,
        /// Those that are there; at most as many as are worth showing.
        found: Vec<String>,
    },
    /// The columns are those of no file that is known here.
    #[error("this is no file that can be imported; its columns are: {}", found.join(", "))]
    Unknown {
        /// The columns that are there; at most as many as are worth showing.
        found: Vec<String>,
    },
}

/// How many columns are shown where one is missing.
const COLUMNS_SHOWN_MAX: usize = 30;

/// The rows after the header.
pub(crate) struct CsvRows<R> {
    lines: Lines<R>,
    columns: Vec<String>,
}

/// Whether a cell can have line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowLines {
    /// A row is a line.
    One,
    /// A row can go on for lines.
    Many,
}

/// One row: as many cells as the header has.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) line: u64,
    cells: Vec<String>,
}

/// Where a column is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnIndex(usize);

impl Row {
    /// The cell of a column.
    pub(crate) fn cell(&self, column: ColumnIndex) -> &str {
        self.cells.get(column.0).map_or("", String::as_str)
    }

    /// The cell of a column that the file may not have.
    pub(crate) fn cell_of(&self, column: Option<ColumnIndex>) -> &str {
        column.map_or("", |column| self.cell(column))
    }
}

impl<R: Read> CsvRows<R> {
    /// Reads the header.
    pub(crate) fn new(reader: R, row_lines: RowLines) -> Result<Self, HeaderProblem> {
        let mut lines = Lines::new(reader, row_lines);
        lines.strip_byte_order_mark().map_err(|problem| match problem {
            Some(problem) => HeaderProblem::Unreadable(problem),
            None => HeaderProblem::Utf16,
        })?;
        match lines.next_row(None) {
            None => Err(HeaderProblem::Empty),
            Some(Err(bad)) => Err(HeaderProblem::Unreadable(bad.problem)),
            Some(Ok(row)) => {
                let columns = row.cells.iter().map(|name| name.trim().to_owned()).collect();
                Ok(Self { lines, columns })
            }
        }
    }

    pub(crate) fn column(&self, name: &str) -> Option<ColumnIndex> {
        self.columns.iter().position(|column| column == name).map(ColumnIndex)
    }

    pub(crate) fn require(&self, name: &'static str) -> Result<ColumnIndex, HeaderProblem> {
        self.column(name)
            .ok_or_else(|| HeaderProblem::MissingColumn { column: name, found: self.shown() })
    }

    pub(crate) fn shown(&self) -> Vec<String> {
        self.columns.iter().take(COLUMNS_SHOWN_MAX).cloned().collect()
    }

    pub(crate) fn next_row(&mut self) -> Option<Result<Row, BadRow>> {
        self.lines.next_row(Some(self.columns.len()))
    }
}

/// The lines of a file: those read and not used yet, and the rest.
struct Lines<R> {
    reader: BufReader<R>,
    breaks: RowLines,
    /// Each ends in `\n`.
    ahead: VecDeque<Line>,
    /// The number of the first line in `ahead`, or of the next one read.
    number: u64,
    ended: bool,
}

enum Line {
    Whole(Vec<u8>),
    /// It was longer than a row may be.
    TooLong,
    Broken(String),
}

impl<R: Read> Lines<R> {
    fn new(reader: R, breaks: RowLines) -> Self {
        let reader = BufReader::new(reader);
        Self { reader, breaks, ahead: VecDeque::new(), number: 1, ended: false }
    }

    fn strip_byte_order_mark(&mut self) -> Result<(), Option<RowProblem>> {
        let start = match self.reader.fill_buf() {
            Ok(start) => start,
            Err(error) => return Err(Some(RowProblem::Io(error.to_string()))),
        };
        if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
            return Err(None);
        }
        if start.starts_with(b"\xEF\xBB\xBF") {
            self.reader.consume(3);
        }
        Ok(())
    }

    /// The line `ahead` of the present one, read when needed.
    fn line(&mut self, ahead: usize) -> Option<&Line> {
        while self.ahead.len() <= ahead && !self.ended {
            if let Some(line) = self.read_line() {
                self.ahead.push_back(line);
            }
        }
        self.ahead.get(ahead)
    }

    fn read_line(&mut self) -> Option<Line> {
        let mut line = Vec::new();
        let limit = u64::try_from(ROW_BYTES_MAX).unwrap_or(u64::MAX);
        if let Err(error) = self.reader.by_ref().take(limit).read_until(b'\n', &mut line) {
            self.ended = true;
            return Some(Line::Broken(error.to_string()));
        }
        if line.ends_with(b"\n") {
            return Some(Line::Whole(line));
        }
        if line.len() < ROW_BYTES_MAX {
            self.ended = true;
            if line.is_empty() {
                return None;
            }
            line.push(b'\n');
            return Some(Line::Whole(line));
        }
        // The rest of it is passed over in pieces.
        loop {
            let (used, done) = match self.reader.fill_buf() {
                Ok(bytes) if !bytes.is_empty() => {
                    match bytes.iter().position(|byte| *byte == b'\n') {
                        Some(end) => (end + 1, true),
                        None => (bytes.len(), false),
                    }
                }
                // The end, or an error, of which the next read says.
                Ok(_) | Err(_) => (0, true),
            };
            self.reader.consume(used);
            if done {
                return Some(Line::TooLong);
            }
        }
    }

    fn use_lines(&mut self, count: usize) {
        self.ahead.drain(..count);
        self.number += count as u64;
    }

    fn next_row(&mut self, expected: Option<usize>) -> Option<Result<Row, BadRow>> {
        while let Some(Line::Whole(line)) = self.line(0)
            && matches!(line.as_slice(), b"\n" | b"\r\n")
        {
            self.use_lines(1);
        }
        self.line(0)?;
        let line = self.number;
        let (used, cells) = self.split_row(expected);
        self.use_lines(used);
        Some(match cells {
            Ok(cells) => Ok(Row { line, cells }),
            Err(problem) => Err(BadRow { line, problem }),
        })
    }

    /// The cells of the row that begins with the present line, and how many
    /// lines it has: one, where it can't be read.
    fn split_row(&mut self, expected: Option<usize>) -> (usize, Result<Vec<String>, RowProblem>) {
        let mut splitter = Splitter::new(expected.unwrap_or(COLUMNS_MAX));
        let mut bytes = 0;
        for ahead in 0.. {
            let taken = match self.line(ahead) {
                Some(Line::Whole(line)) => {
                    bytes += line.len();
                    if bytes > ROW_BYTES_MAX {
                        return (1, Err(RowProblem::TooLong));
                    }
                    splitter.take(line)
                }
                Some(Line::TooLong) => return (1, Err(RowProblem::TooLong)),
                Some(Line::Broken(error)) if ahead == 0 => {
                    let problem = RowProblem::Io(error.clone());
                    return (1, Err(problem));
                }
                Some(Line::Broken(_)) | None => return (1, Err(RowProblem::UnclosedQuote)),
            };
            match taken {
                Ok(Taken::More) if self.breaks == RowLines::Many => {}
                Ok(Taken::More) => return (1, Err(RowProblem::UnclosedQuote)),
                Ok(Taken::Row) => {
                    let cells = splitter.into_cells(expected);
                    let used = if cells.is_ok() { ahead + 1 } else { 1 };
                    return (used, cells);
                }
                Err(problem) => return (1, Err(problem)),
            }
        }
        unreachable!("the loop has no end of its own")
    }
}

enum Taken {
    Row,
    More,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    StartOfCell,
    Plain,
    Quoted,
    AfterQuote,
    /// After a closing quote and a carriage return.
    AfterQuoteReturn,
}

struct Splitter {
    cells: Vec<Vec<u8>>,
    cell: Vec<u8>,
    at: At,
    cells_max: usize,
}

impl Splitter {
    fn new(cells_max: usize) -> Self {
        Self { cells: Vec::new(), cell: Vec::new(), at: At::StartOfCell, cells_max }
    }

    /// Takes a line with its `\n`.
    fn take(&mut self, line: &[u8]) -> Result<Taken, RowProblem> {
        for &byte in line {
            match (self.at, byte) {
                (At::StartOfCell, b'"') => self.at = At::Quoted,
                (At::Quoted, b'"') => self.at = At::AfterQuote,
                (At::Quoted, _) => self.cell.push(byte),
                (At::AfterQuote, b'"') => {
                    self.cell.push(b'"');
                    self.at = At::Quoted;
                }
                (At::AfterQuote, b'\r') => self.at = At::AfterQuoteReturn,
                (At::AfterQuote | At::AfterQuoteReturn, b'\n') => {
                    self.end_cell()?;
                    return Ok(Taken::Row);
                }
                (At::StartOfCell | At::Plain | At::AfterQuote, b',') => self.end_cell()?,
                (At::AfterQuote | At::AfterQuoteReturn, _) => {
                    return Err(RowProblem::TextAfterQuote);
                }
                (At::StartOfCell | At::Plain, b'\n') => {
                    if self.cell.ends_with(b"\r") {
                        self.cell.pop();
                    }
                    self.end_cell()?;
                    return Ok(Taken::Row);
                }
                (At::StartOfCell | At::Plain, _) => {
                    self.cell.push(byte);
                    self.at = At::Plain;
                }
            }
        }
        Ok(Taken::More)
    }

    fn end_cell(&mut self) -> Result<(), RowProblem> {
        if self.cells.len() == self.cells_max {
            return Err(RowProblem::TooManyCells { expected: self.cells_max });
        }
        self.cells.push(std::mem::take(&mut self.cell));
        self.at = At::StartOfCell;
        Ok(())
    }

    fn into_cells(self, expected: Option<usize>) -> Result<Vec<String>, RowProblem> {
        let found = self.cells.len();
        if let Some(expected) = expected.filter(|expected| found < *expected) {
            return Err(RowProblem::TooFewCells { expected, found });
        }
        let texts = self.cells.into_iter().map(String::from_utf8).collect::<Result<_, _>>();
        texts.map_err(|_| RowProblem::NotUtf8)
    }
}

#[cfg(test)]
mod tests;
