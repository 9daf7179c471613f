//! A reader's data out and in: exports come back as they were, and a Goodreads
//! export comes in with all its oddities.

use std::fmt::Write as _;

use endpaper_api::reading::{Category, PurchaseType, TagCategory};
use endpaper_api::{Day, Instant};
use endpaper_reading::csv_rows::{BadRow, HeaderProblem, RowProblem};
use endpaper_reading::export::{
    BookRows, Export, ExportBook, ExportMemo, ExportTag, ExportUnreadable, MemoRows, read_json,
    write_books_csv, write_json, write_memos_csv,
};
use endpaper_reading::goodreads::{GoodreadsRow, GoodreadsRows};
use endpaper_reading::import::{ImportFile, ImportProblem};
use endpaper_reading::isbn::BookKey;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use uuid::Uuid;

/// Text as the store has it, with a taste for what is dangerous in CSV.
fn text() -> impl Strategy<Value = String> {
    let any_text = prop_oneof![
        "['=+@\\-\t\n＝＋－＠\"]{0,3}[a-z가-힣,\"\n]{0,8}",
        "[=+@-](cmd|HYPERLINK\\(\"x\"\\)|1\\+1)",
        any::<String>(),
        Just(String::new()),
        Just("'".to_owned()),
    ];
    any_text.prop_filter_map("text that the store can't have", |text| {
        endpaper_api::text::nfc(&text).ok()
    })
}

fn optional_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text())
}

fn instant() -> impl Strategy<Value = Instant> {
    (-62_135_596_800_000_000i64..=253_402_207_200_000_000).prop_map(Instant::from_micros)
}

fn day() -> impl Strategy<Value = Day> {
    (1i16..=9999, 1i8..=12, 1i8..=28).prop_map(|(year, month, day)| {
        jiff::civil::Date::new(year, month, day).expect("every month has 28 days").into()
    })
}

fn key() -> impl Strategy<Value = BookKey> {
    prop_oneof![
        Just("9780140449136"),
        Just("K642734155"),
        Just("goodreads:2767052"),
        Just("OL7353617M"),
    ]
    .prop_map(|key| key.parse().expect("a key"))
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

prop_compose! {
    fn book()(
        (user_book_id, isbn, title, author, publisher) in (uuid(), key(), text(), optional_text(), optional_text()),
        (pub_date, cover_url, description, main_genre) in (optional_text(), optional_text(), optional_text(), optional_text()),
        total_pages in prop::option::of(any::<u32>()),
        category in prop::sample::select(&Category::ALL[..]),
        category_by_hand in any::<bool>(),
        (expectation, review) in (optional_text(), optional_text()),
        (reading_start_date, reading_finished_date) in (prop::option::of(day()), prop::option::of(day())),
        reading_progress in any::<u32>(),
        purchase_type in prop::option::of(prop::sample::select(&PurchaseType::ALL[..])),
        rating in prop::option::of(1u8..=5),
        (created_at, updated_at) in (instant(), instant()),
    ) -> ExportBook {
        ExportBook {
            user_book_id, isbn, title, author, publisher, pub_date, cover_url, description,
            total_pages, main_genre, category, category_by_hand, expectation, reading_start_date,
            reading_progress, purchase_type, reading_finished_date, rating, review, created_at,
            updated_at,
        }
    }
}

prop_compose! {
    fn memo()(
        (memo_id, user_book_id, isbn, book_title) in (uuid(), uuid(), key(), text()),
        page_number in any::<u32>(),
        content in text(),
        tags in prop::collection::vec("[A-Z_]{1,12}", 0..4),
        tag_category in prop::option::of(prop::sample::select(&TagCategory::ALL[..])),
        (memo_start_time, created_at, updated_at) in (instant(), instant(), instant()),
    ) -> ExportMemo {
        ExportMemo {
            memo_id, user_book_id, isbn, book_title, page_number, content, tags, tag_category,
            memo_start_time, created_at, updated_at,
        }
    }
}

prop_compose! {
    fn export()(
        exported_at in instant(),
        books in prop::collection::vec(book(), 0..4),
        memos in prop::collection::vec(memo(), 0..4),
        tags in prop::collection::vec(("[A-Z_]{1,12}", text(), text()), 0..3),
    ) -> Export {
        let tags = tags.into_iter().map(|(code, label_ko, label_en)| {
            ExportTag { code, category: TagCategory::Topic, label_ko, label_en }
        });
        Export { exported_at, books, memos, tags: tags.collect() }
    }
}

fn json(export: &Export) -> Vec<u8> {
    let mut file = Vec::new();
    write_json(export, &mut file).unwrap();
    file
}

fn books_csv(books: &[ExportBook]) -> Vec<u8> {
    let mut file = Vec::new();
    write_books_csv(books, &mut file).unwrap();
    file
}

fn memos_csv(memos: &[ExportMemo]) -> Vec<u8> {
    let mut file = Vec::new();
    write_memos_csv(memos, &mut file).unwrap();
    file
}

proptest! {
    #[test]
    fn an_export_as_json_comes_back_as_it_was(export in export()) {
        let read = read_json(&json(&export)).unwrap();
        prop_assert_eq!(read.bad, []);
        prop_assert_eq!(read.export, export);
    }

    #[test]
    fn books_and_memos_as_csv_come_back_as_they_were(export in export()) {
        let file = books_csv(&export.books);
        let books: Vec<ExportBook> =
            BookRows::open(&file[..]).unwrap().map(|row| row.unwrap().value).collect();
        prop_assert_eq!(books, export.books);
        let file = memos_csv(&export.memos);
        let memos: Vec<ExportMemo> =
            MemoRows::open(&file[..]).unwrap().map(|row| row.unwrap().value).collect();
        prop_assert_eq!(memos, export.memos);
    }

    #[test]
    fn no_cell_begins_as_a_formula_does(export in export()) {
        for file in [books_csv(&export.books), memos_csv(&export.memos)] {
            // Read by another reader than ours.
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&file[3..]);
            for record in reader.records() {
                for cell in &record.unwrap() {
                    prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']), "{:?}", cell);
                }
            }
        }
    }

    #[test]
    fn any_file_is_something_or_a_reason(bytes in any::<Vec<u8>>(), text in "[{}\\[\\]\",:a-zA-Z \n]{0,60}") {
        for file in [&bytes[..], text.as_bytes()] {
            let _ = ImportFile::open(file);
        }
    }

    #[test]
    fn an_export_that_was_cut_is_refused_or_reported(export in export(), at in any::<prop::sample::Index>()) {
        let whole = json(&export);
        let cut = &whole[..at.index(whole.len())];
        prop_assert!(read_json(cut).is_err());

        let whole = memos_csv(&export.memos);
        let cut = &whole[..at.index(whole.len())];
        if let Ok(rows) = MemoRows::open(cut) {
            // Every row but the one that was cut is as it was.
            let rows: Vec<_> = rows.collect();
            let good = rows.iter().take_while(|row| row.is_ok()).count();
            for (row, memo) in rows.iter().zip(&export.memos).take(good.saturating_sub(1)) {
                prop_assert_eq!(&row.as_ref().unwrap().value, memo);
            }
        }
    }
}

fn a_memo(content: &str) -> ExportMemo {
    ExportMemo {
        memo_id: Uuid::from_u128(1),
        user_book_id: Uuid::from_u128(2),
        isbn: "9780140449136".parse().unwrap(),
        book_title: "오디세이아".to_owned(),
        page_number: 12,
        content: content.to_owned(),
        tags: vec!["QUOTE".to_owned(), "LOVE".to_owned()],
        tag_category: Some(TagCategory::Type),
        memo_start_time: Instant::from_micros(1_772_334_000_000_000),
        created_at: Instant::from_micros(1_772_334_000_000_001),
        updated_at: Instant::from_micros(1_772_334_000_000_002),
    }
}

#[test]
fn what_is_written_is_what_other_programs_read() {
    let memos = [a_memo("=1+1"), a_memo("둘\n\"줄\"")];
    expect![[r#"
        ﻿"memoId","userBookId","isbn","bookTitle","pageNumber","content","tags","tagCategory","memoStartTime","createdAt","updatedAt"␍
        "00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002","9780140449136","오디세이아","12","'=1+1","QUOTE LOVE","TYPE","2026-03-01T03:00:00Z","2026-03-01T03:00:00.000001Z","2026-03-01T03:00:00.000002Z"␍
        "00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002","9780140449136","오디세이아","12","둘
        ""줄""","QUOTE LOVE","TYPE","2026-03-01T03:00:00Z","2026-03-01T03:00:00.000001Z","2026-03-01T03:00:00.000002Z"␍
    "#]].assert_eq(&String::from_utf8(memos_csv(&memos)).unwrap().replace('\r', "␍"));
    let export = Export {
        exported_at: Instant::from_micros(1_772_334_000_000_000),
        books: Vec::new(),
        memos: vec![a_memo("=1+1")],
        tags: Vec::new(),
    };
    expect![[r#"{"format":"endpaper-export","version":1,"exportedAt":"2026-03-01T03:00:00Z","books":[],"memos":[{"memoId":"00000000-0000-0000-0000-000000000001","userBookId":"00000000-0000-0000-0000-000000000002","isbn":"9780140449136","bookTitle":"오디세이아","pageNumber":12,"content":"=1+1","tags":["QUOTE","LOVE"],"tagCategory":"TYPE","memoStartTime":"2026-03-01T03:00:00Z","createdAt":"2026-03-01T03:00:00.000001Z","updatedAt":"2026-03-01T03:00:00.000002Z"}],"tags":[]}"#]].assert_eq(&String::from_utf8(json(&export)).unwrap());
}

#[test]
fn what_can_not_be_read_is_said_and_spoils_nothing_else() {
    let export = Export {
        exported_at: Instant::from_micros(0),
        books: Vec::new(),
        memos: vec![a_memo("one"), a_memo("two"), a_memo("three")],
        tags: Vec::new(),
    };
    let text = String::from_utf8(json(&export)).unwrap();
    let spoilt = text.replacen("\"content\":\"two\"", "\"content\":2", 1);
    let read = read_json(spoilt.as_bytes()).unwrap();
    assert_eq!(read.export.memos.len(), 2);
    expect!["memos[1]: invalid type: integer `2`, expected a string"]
        .assert_eq(&read.bad[0].to_string());

    for (from, to, problem) in [
        ("endpaper-export", "other", ExportUnreadable::Format),
        ("\"version\":1", "\"version\":2", ExportUnreadable::Version { found: "2".to_owned() }),
        ("\"version\":1,", "", ExportUnreadable::Member { member: "version" }),
        ("\"memos\"", "\"others\"", ExportUnreadable::Member { member: "memos" }),
        ("1970-", "x", ExportUnreadable::Member { member: "exportedAt" }),
    ] {
        assert_eq!(read_json(text.replacen(from, to, 1).as_bytes()), Err(problem), "{from}");
    }

    let file = String::from_utf8(memos_csv(&export.memos)).unwrap();
    for (from, to, expected) in [
        (
            "\"two\"",
            "\"t\u{7}wo\"",
            expect![[
                r#"line 3: content can't be "t\u{7}wo": Control characters other than newline and tab can't be used."#
            ]],
        ),
        (
            "\"12\"",
            "\"a\"",
            expect![[r#"line 3: pageNumber can't be "a": it is not of the right form"#]],
        ),
        (
            "\"TYPE\"",
            "\"KIND\"",
            expect![[r#"line 3: tagCategory can't be "KIND": it is one of TYPE, TOPIC"#]],
        ),
        (
            "\"9780140449136\"",
            "\"9780140449137\"",
            expect![[r#"line 3: isbn can't be "9780140449137": it is not of the right form"#]],
        ),
        ("\"9780140449136\"", "\"\"", expect!["line 3: isbn is empty"]),
        (
            "2026-03-01",
            "2026-02-30",
            expect![[
                r#"line 3: memoStartTime can't be "2026-02-30T03:00:00Z": it is not of the right form"#
            ]],
        ),
    ] {
        // In the second memo.
        let place = file.find("two").unwrap() - 120;
        let spoilt = file[..place].to_owned() + &file[place..].replacen(from, to, 1);
        let rows: Vec<_> = MemoRows::open(spoilt.as_bytes()).unwrap().collect();
        assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 2, "{from} {spoilt}");
        expected.assert_eq(&rows.into_iter().find_map(Result::err).unwrap().to_string());
    }
    let header = MemoRows::open(&b"memoId,content\n"[..]).err().unwrap();
    assert!(matches!(header, HeaderProblem::MissingColumn { column: "userBookId", .. }));
}

#[test]
fn a_file_is_known_by_what_it_begins_with() {
    let kind = |file: &[u8]| match ImportFile::open(file) {
        Ok(ImportFile::Goodreads(_)) => "goodreads".to_owned(),
        Ok(ImportFile::Books(_)) => "books".to_owned(),
        Ok(ImportFile::Memos(_)) => "memos".to_owned(),
        Ok(ImportFile::Export(_)) => "export".to_owned(),
        Err(problem) => problem.to_string(),
    };
    let export = Export {
        exported_at: Instant::from_micros(0),
        books: Vec::new(),
        memos: Vec::new(),
        tags: Vec::new(),
    };
    assert_eq!(kind(&json(&export)), "export");
    assert_eq!(kind(&[b"\xEF\xBB\xBF\n ".to_vec(), json(&export)].concat()), "export");
    assert_eq!(kind(&books_csv(&[])), "books");
    assert_eq!(kind(&memos_csv(&[])), "memos");
    assert_eq!(kind(GOODREADS_HEADER.as_bytes()), "goodreads");
    for (file, expected) in [
        (
            &b"Book Id,Title\n"[..],
            expect![[r#"the column "Exclusive Shelf" is missing; there are: Book Id, Title"#]],
        ),
        (
            b"a;b;c\n1;2;3\n",
            expect!["this is no file that can be imported; its columns are: a;b;c"],
        ),
        (b"", expect!["the file is empty"]),
        (b"{}", expect![[r#"it is no export: `format` is not "endpaper-export""#]]),
        (
            b"{\"format\":\"endpaper-export\"",
            expect![
                "it is no whole JSON document: EOF while parsing an object at line 1 column 27"
            ],
        ),
        (b"\xFF\xFEB\0", expect!["the file is UTF-16: save it as CSV in UTF-8"]),
        (b"PK\x03\x04\x00\xFF", expect!["the header: its text is not UTF-8"]),
    ] {
        expected.assert_eq(&kind(file));
    }
    assert_eq!(ImportFile::open(b"").err(), Some(ImportProblem::Csv(HeaderProblem::Empty)));
}

const GOODREADS_HEADER: &str = "Book Id,Title,Author,Author l-f,Additional Authors,ISBN,ISBN13,My Rating,\
    Average Rating,Publisher,Binding,Number of Pages,Year Published,Original Publication Year,Date Read,\
    Date Added,Bookshelves,Bookshelves with positions,Exclusive Shelf,My Review,Spoiler,Private Notes,\
    Read Count,Owned Copies\n";

fn goodreads(lines: &str) -> Vec<Result<GoodreadsRow, BadRow>> {
    GoodreadsRows::open((GOODREADS_HEADER.to_owned() + lines).as_bytes()).unwrap().collect()
}

fn check_goodreads(lines: &str, expected: &Expect) {
    let shown: String = goodreads(lines)
        .iter()
        .map(|row| match row {
            Ok(row) => {
                let key = row.key.as_ref().map(ToString::to_string);
                let date = row.pub_date.map(|date| date.to_string());
                let mut shown = format!(
                    "{}: {:?} | {} | {} | {:?} {:?} {:?} | {:?} {:?} | {:?} {:?} {} {} | {}\n",
                    row.line,
                    key,
                    row.title,
                    row.author,
                    row.publisher,
                    date,
                    row.total_pages,
                    row.category,
                    row.rating,
                    row.read_on,
                    row.added_on,
                    row.read_count,
                    row.owned,
                    row.shelves.join(","),
                );
                for text in [&row.review, &row.private_notes].into_iter().flatten() {
                    writeln!(shown, "    {text:?}").unwrap();
                }
                for note in &row.notes {
                    writeln!(shown, "    {note:?}").unwrap();
                }
                shown
            }
            Err(bad) => format!("{bad}\n"),
        })
        .collect();
    expected.assert_eq(&shown);
}

#[test]
fn a_goodreads_export_with_its_oddities() {
    check_goodreads(
        "1371,The Iliad,Homer,\"Homer, \",\"Robert Fagles, Bernard Knox\",=\"0140445927\",=\"9780140445923\",5,3.87,Penguin Classics,Paperback,683,1999,-800,2023/01/31,2022/12/01,\"classics, poetry\",\"classics (#1), poetry (#2)\",read,\"Sing, <i>goddess</i>.<br/><br/>&lt;분노&gt; &amp; more,\nand \"\"quotes\"\".\",,\"lent to\nMina\",2,1\n\
         2,Emma,Jane Austen,\"Austen, Jane\",,=\"\",=\"\",0,4.0,,,,,1815,,2023/02/30,,,to-read,,,,0,0\n\
         3,\"Half a Row,\n\
         4,토지 1,박경리,박경리,,=\"8900000047\",=\"\",3,4.0,마로니에북스,,0,0,,2023-1-5,2023/01/01,currently-reading,currently-reading (#3),currently-reading,,,,1,0\n\
         5,Unfinished,A,A,,=\"0140449133\",,6,,,,many,,,31/01/2023,,,,did-not-finish,,,,x,\n\
         6,Read Once,A,A,,,,0,,,,,,,2020/02/29,,gave-away,,gave-away,,,,,\n\
         ,No Number,A,A,,,,0,,,,,,,,,,,,,,,,\n\
         7,  ,A,A,,,,0,,,,,,,,,,,to-read,,,,,\n\
         8,Short\n",
        &expect![[r#"
            2: Some("9780140445923") | The Iliad | Homer, Robert Fagles, Bernard Knox | Some("Penguin Classics") Some("1999") Some(683) | Finished Some(5) | Some(2023-01-31) Some(2022-12-01) 2 true | classics,poetry,read
                "Sing, goddess.\n\n<분노> & more,\nand \"quotes\"."
                "lent to\nMina"
            5: Some("goodreads:2") | Emma | Jane Austen | None Some("1815") None | ToRead None | None None 0 false | to-read
                LeftOut { column: "Date Added" }
            line 6: text follows a closing quote
            7: Some("9788900000047") | 토지 1 | 박경리 | Some("마로니에북스") None None | Reading Some(3) | Some(2023-01-05) Some(2023-01-01) 1 false | currently-reading
            8: Some("goodreads:5") | Unfinished | A | None None None | ToRead None | None None 0 false | did-not-finish
                IsbnNotUsed { column: "ISBN", why: CheckDigit }
                LeftOut { column: "Number of Pages" }
                LeftOut { column: "Read Count" }
                LeftOut { column: "My Rating" }
                LeftOut { column: "Date Read" }
                CustomShelf("did-not-finish")
            9: Some("goodreads:6") | Read Once | A | None None None | Finished None | Some(2020-02-29) None 0 false | gave-away
                CustomShelf("gave-away")
            10: None | No Number | A | None None None | ToRead None | None None 0 false | 
            line 11: Title is empty
            line 12: it has 2 cells, and the header has 24
        "#]],
    );
}

#[test]
fn columns_can_be_missing_but_for_two() {
    let file = "Exclusive Shelf,Title\r\nread,Emma\r\n";
    let rows: Vec<_> = GoodreadsRows::open(file.as_bytes()).unwrap().collect();
    assert_eq!(rows[0].as_ref().unwrap().category, Category::Finished);
    let problem = GoodreadsRows::open(&b"Title,Author\n"[..]).err().unwrap();
    assert!(matches!(problem, HeaderProblem::MissingColumn { column: "Exclusive Shelf", .. }));
}

#[test]
fn broken_text_is_a_bad_row() {
    let mut file = GOODREADS_HEADER.as_bytes().to_vec();
    file.extend_from_slice(b"1,Caf\xE9,A,A,,,,0,,,,,,,,,,,read,,,,,\n");
    file.extend_from_slice(b"2,Caf\xC3\xA9,A,A,,,,0,,,,,,,,,,,read,,,,,\n");
    let rows: Vec<_> = GoodreadsRows::open(&file[..]).unwrap().collect();
    assert_eq!(rows[0], Err(BadRow { line: 2, problem: RowProblem::NotUtf8 }));
    assert_eq!(rows[1].as_ref().unwrap().title, "Café");
}

proptest! {
    #[test]
    fn any_goodreads_file_is_read_to_its_end(lines in "([0-9]{1,3},[a-z\"]{0,6},[a-z,\"\n<>/=]{0,60}\n){0,6}", text in any::<String>()) {
        for rest in [lines, text] {
            for row in goodreads(&rest) {
                prop_assert!(row.map_or_else(|bad| bad.line, |row| row.line) > 1);
            }
        }
    }
}
