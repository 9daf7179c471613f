use proptest::prelude::*;

use super::*;

type Read = Vec<Result<(u64, Vec<String>), BadRow>>;

fn read(file: &[u8]) -> Read {
    read_with(file, RowLines::Many)
}

fn read_with(file: &[u8], row_lines: RowLines) -> Read {
    let mut rows = CsvRows::new(file, row_lines).unwrap();
    std::iter::from_fn(|| rows.next_row()).map(|row| row.map(|row| (row.line, row.cells))).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside `bad` in lists")]
fn row(line: u64, cells: &[&str]) -> Result<(u64, Vec<String>), BadRow> {
    Ok((line, cells.iter().map(|cell| (*cell).to_owned()).collect()))
}

fn bad(line: u64, problem: RowProblem) -> Result<(u64, Vec<String>), BadRow> {
    Err(BadRow { line, problem })
}

#[test]
fn files_as_there_are() {
    let file =
        b"\xEF\xBB\xBFa,b\r\n1,2\r\n\r\n\"x, \"\"y\"\"\",\"two\r\nlines\"\r\n\n=\"01\",q\"q\nlast,";
    assert_eq!(
        read(file),
        [
            row(2, &["1", "2"]),
            row(4, &["x, \"y\"", "two\r\nlines"]),
            row(7, &["=\"01\"", "q\"q"]),
            row(8, &["last", ""]),
        ]
    );
}

#[test]
fn a_cut_takes_one_row_and_not_the_rest() {
    // Cut inside a quoted cell, and the next rows have quotes of their own.
    let file = b"a,b,c\n1,\"cut he\n2,\"whole\",x\n3,y,\"also\"\n4,\"cut at the end";
    assert_eq!(
        read(file),
        [
            bad(2, RowProblem::TextAfterQuote),
            row(3, &["2", "whole", "x"]),
            row(4, &["3", "y", "also"]),
            bad(5, RowProblem::UnclosedQuote),
        ]
    );
    // The same, and no row after it has a quote.
    assert_eq!(
        read(b"a,b\n1,\"cut\n2,x\n3,y\n"),
        [bad(2, RowProblem::UnclosedQuote), row(3, &["2", "x"]), row(4, &["3", "y"])]
    );
    // The open quote is closed by the next row's, and the cells fit; but
    // for their number, nobody could tell.
    assert_eq!(
        read(b"a,b,c\n1,\"cut\n2,\",y,z\n"),
        [bad(2, RowProblem::TooManyCells { expected: 3 }), bad(3, RowProblem::UnclosedQuote)]
    );
    // Where it fits by chance, only a format without line breaks can tell.
    let fits = b"a,b\n1,\"cut\n2,\"\n3,x\n";
    assert_eq!(read(fits), [row(2, &["1", "cut\n2,"]), row(4, &["3", "x"])]);
    assert_eq!(
        read_with(fits, RowLines::One),
        [bad(2, RowProblem::UnclosedQuote), bad(3, RowProblem::UnclosedQuote), row(4, &["3", "x"])]
    );
}

#[test]
fn rows_that_are_wrong_in_other_ways() {
    let mut file = b"a,b\n1\n1,2,3\n\xFF,2\n\"1\"x,2\n1,".to_vec();
    file.resize(file.len() + ROW_BYTES_MAX, b'z');
    file.extend_from_slice(b"\n5,6\n");
    assert_eq!(
        read(&file),
        [
            bad(2, RowProblem::TooFewCells { expected: 2, found: 1 }),
            bad(3, RowProblem::TooManyCells { expected: 2 }),
            bad(4, RowProblem::NotUtf8),
            bad(5, RowProblem::TextAfterQuote),
            bad(6, RowProblem::TooLong),
            row(7, &["5", "6"]),
        ]
    );
}

#[test]
fn headers_that_are_none() {
    for (file, problem) in [
        (&b""[..], HeaderProblem::Empty),
        (b"\n\r\n", HeaderProblem::Empty),
        (b"\xFF\xFEa\0,\0", HeaderProblem::Utf16),
        (b"a,\"b", HeaderProblem::Unreadable(RowProblem::UnclosedQuote)),
        (b"a,\xFF\n", HeaderProblem::Unreadable(RowProblem::NotUtf8)),
    ] {
        assert_eq!(CsvRows::new(file, RowLines::Many).err(), Some(problem));
    }
    let rows = CsvRows::new(&b" a ,b\n"[..], RowLines::One).unwrap();
    assert!(rows.require("a").is_ok());
    let missing = rows.require("isbn").unwrap_err();
    assert_eq!(missing.to_string(), "the column \"isbn\" is missing; there are: a, b");
}

#[test]
fn a_file_that_breaks_says_so_and_ends() {
    struct Breaks(usize);
    impl std::io::Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => {
                    buffer[..6].copy_from_slice(b"a\n1\n2\"");
                    Ok(6)
                }
                _ => Err(std::io::Error::other("the disk is gone")),
            }
        }
    }
    let mut rows = CsvRows::new(Breaks(0), RowLines::Many).unwrap();
    assert!(rows.next_row().unwrap().is_ok());
    let broken = rows.next_row().unwrap().unwrap_err();
    assert_eq!(broken, BadRow { line: 3, problem: RowProblem::Io("the disk is gone".into()) });
    assert!(rows.next_row().is_none());
}

#[test]
fn a_file_made_to_be_read_again_and_again_is_not() {
    // Each line opens a quote that the next one closes and opens again.
    let mut file = b"a,b,c,d,e,f\n".to_vec();
    for _ in 0..200_000 {
        file.extend_from_slice(b"a\",\"\n");
    }
    let bad = read(&file);
    assert_eq!(bad.len(), 200_000);
    assert!(bad.iter().all(Result::is_err));
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z\",\\r\\n =']{0,8}", any::<String>()]
}

fn written(rows: &[Vec<String>]) -> String {
    let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
    let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n";
    rows.iter().map(line).collect()
}

proptest! {
    #[test]
    fn what_is_quoted_is_read_as_it_was(
        rows in (1usize..5).prop_flat_map(|columns| {
            prop::collection::vec(prop::collection::vec(cell(), columns), 0..8)
        }),
    ) {
        let columns = rows.first().map_or(1, Vec::len);
        let header = vec!["h".to_owned(); columns];
        let all: Vec<Vec<String>> = std::iter::once(header).chain(rows.clone()).collect();
        let found: Vec<Vec<String>> =
            read(written(&all).as_bytes()).into_iter().map(|row| row.unwrap().1).collect();
        prop_assert_eq!(found, rows);
    }

    #[test]
    fn any_file_is_read_to_its_end(file in any::<Vec<u8>>(), text in "[a,\"\\r\\n]{0,60}") {
        for file in [file.as_slice(), text.as_bytes()] {
            if let Ok(mut rows) = CsvRows::new(file, RowLines::Many) {
                let mut last = 0;
                while let Some(row) = rows.next_row() {
                    let line = match row {
                        Ok(row) => row.line,
                        Err(bad) => bad.line,
                    };
                    prop_assert!(line > last, "each row begins on a line of its own");
                    last = line;
                }
            }
        }
    }

    /// A row is cut anywhere and the file goes on: that row is lost, and
    /// reported unless the cut was at its very end; no other is.
    #[test]
    fn no_row_is_lost_without_a_word(
        plain in prop::collection::vec("[a-z ]{0,8}", 2..20),
        wild in prop::collection::vec("[a-z,\" ]{0,8}", 2..20),
        at in any::<prop::sample::Index>(),
        cut in 1usize..14,
    ) {
        for (names, row_lines) in [(plain, RowLines::Many), (wild, RowLines::One)] {
            let cut_row = at.index(names.len());
            let mut file = "number,name,end\n".to_owned();
            for (number, name) in names.iter().enumerate() {
                let quoted = name.replace('"', "\"\"");
                let mut line = format!("{number},\"{quoted}\",end{number}");
                if number == cut_row {
                    // At least a character stays: a blank line is no row.
                    line.truncate(line.len().saturating_sub(cut).max(1));
                }
                file.push_str(&line);
                file.push('\n');
            }
            let rows = read_with(file.as_bytes(), row_lines);
            prop_assert_eq!(rows.len(), names.len(), "every line is a row or is reported");
            for (number, (row, name)) in rows.iter().zip(&names).enumerate() {
                if number != cut_row {
                    let expected = [number.to_string(), name.clone(), format!("end{number}")];
                    prop_assert_eq!(&row.as_ref().unwrap().1, &expected);
                }
            }
        }
    }
}
