//! The real catalogue where it is at hand, and one of the same shape where it
//! is not.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use endpaper_reading::collation::ShelfCollator;
use endpaper_reading::goodbooks::{CatalogueRow, GoodbooksRows};
use endpaper_reading::text::{SearchKeys, SearchQuery};

/// Beside the project, where there is one.
fn real_catalogue() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3)?;
    let file = root.join("shared/data/goodbooks/books.csv");
    file.exists().then_some(file)
}

/// A catalogue of ten thousand books with the quirks of the real one: one in
/// fourteen has no ISBN, the ISBNs have lost their leading zeros.
fn made_catalogue() -> Vec<u8> {
    let mut file =
        "book_id,goodreads_book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,\
                    original_publication_year,original_title,title,language_code,average_rating,\
                    ratings_count,image_url\n"
            .to_owned();
    for number in 1..=10_000u32 {
        let body = format!("{number:09}");
        let sum: u32 =
            body.bytes().zip(1u32..).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        let check = char::from_digit(sum % 11, 10).unwrap_or('X');
        let isbn = format!("{body}{check}");
        let isbn = isbn.trim_start_matches('0');
        let has_isbn = number % 14 != 0 && isbn.len() >= 5;
        writeln!(
            file,
            "{number},{id},1,1,9,{isbn},9.78e+12,\"Author {author}, Other\",{year}.0,,\"Book {number}, or \"\"Tome\"\" (Series, #{volume})\",eng,4.{rating:02},{number},https://example.org/{number}.jpg",
            id = number + 5_000,
            isbn = if has_isbn { isbn } else { "" },
            author = number % 900,
            year = i64::from(number % 2_700) - 720,
            volume = number % 12,
            rating = number % 100,
        )
        .unwrap();
    }
    file.into_bytes()
}

fn read_all(file: &[u8]) -> Vec<CatalogueRow> {
    let rows = GoodbooksRows::open(file).unwrap();
    rows.collect::<Result<_, _>>().expect("every row of it can be read")
}

#[test]
fn ten_thousand_books_are_read_found_and_sorted() {
    let (file, is_real) = match real_catalogue() {
        Some(path) => (std::fs::read(path).unwrap(), true),
        None => (made_catalogue(), false),
    };
    let start = Instant::now();
    let books = read_all(&file);
    let read = start.elapsed();
    assert_eq!(books.len(), 10_000);
    let keys: BTreeSet<&str> = books.iter().map(|book| book.key.as_str()).collect();
    assert_eq!(keys.len(), 10_000, "each is a book of its own");
    let without_isbn = books.iter().filter(|book| book.isbn13().is_none()).count();
    if is_real {
        // 700 have none, and of 23 the check digit does not hold.
        let not_used = books.iter().filter(|book| book.isbn_not_used.is_some()).count();
        assert_eq!((without_isbn, not_used), (723, 23));
        let odyssey = books.iter().find(|book| book.title == "The Odyssey").unwrap();
        assert_eq!(
            odyssey.author(),
            "Homer, Robert Fagles, E.V. Rieu, Frédéric Mugler, Bernard Knox"
        );
    }

    let start = Instant::now();
    let searchable: Vec<SearchKeys> =
        books.iter().map(|book| SearchKeys::of(&book.title)).collect();
    let folded = start.elapsed();
    for (book, keys) in books.iter().zip(&searchable).step_by(97) {
        let part: String = book.title.chars().skip(2).take(30).collect();
        if let Ok(query) = SearchQuery::parse(&part) {
            assert!(query.matches(&keys.text), "{part:?} finds {:?}", book.title);
        }
    }

    let mut shelf: Vec<&CatalogueRow> = books.iter().take(5_000).collect();
    let collator = ShelfCollator::for_language("ko");
    let start = Instant::now();
    collator.sort_by_text(&mut shelf, |book| &book.title);
    let sorted = start.elapsed();
    assert!(shelf.is_sorted_by(|a, b| collator.compare(&a.title, &b.title).is_le()));
    println!(
        "real: {is_real}, 10,000 read in {read:?}, folded in {folded:?}; 5,000 sorted in {sorted:?}"
    );
}

#[test]
fn a_catalogue_that_was_cut_loses_one_row() {
    let file = real_catalogue().map_or_else(made_catalogue, |path| std::fs::read(path).unwrap());
    let whole = read_all(&file);
    // Cut in half in the middle of a row, and the halves glued together.
    let half = file.len() / 2;
    let missing = file[half..].iter().position(|byte| *byte == b'\n').unwrap();
    let glued = [&file[..half], b"\n", &file[half + missing + 1..]].concat();
    let (good, bad): (Vec<_>, Vec<_>) =
        GoodbooksRows::open(&glued[..]).unwrap().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (9_999, 1));
    let good: Vec<CatalogueRow> = good.into_iter().map(Result::unwrap).collect();
    assert!(good.iter().all(|book| {
        whole
            .binary_search_by_key(&book.line, |row| row.line)
            .is_ok_and(|place| whole[place] == *book)
    }));

    // Only the first half came.
    let rows: Vec<_> = GoodbooksRows::open(&file[..half]).unwrap().collect();
    assert!(rows[..rows.len() - 1].iter().all(Result::is_ok));
    assert_eq!(rows.last().unwrap().as_ref().unwrap_err().line, rows.len() as u64 + 1);
}
