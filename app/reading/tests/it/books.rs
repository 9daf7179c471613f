//! The catalogue and the sources behind it.

use std::sync::Arc;

use endpaper_reading::model::BookFacts;
use endpaper_reading::service::catalogue::{CatalogueEntry, CatalogueSummary, SkippedEntry};
use endpaper_reading::sources::{
    BookSource, BookSources, OpenLibraryConfig, OpenLibrarySource, SourceEnvironment,
};
use serde_json::{Value, json};
use stdx::{Random, Seed};

use crate::replay::{Replay, Reply, fixture};
use crate::world::{NOW, World};

#[expect(clippy::unnecessary_wraps, reason = "as the importer takes them")]
fn row(line: u64, key: &str, title: &str, author: &str) -> Result<CatalogueEntry, SkippedEntry> {
    Ok(CatalogueEntry {
        line,
        book_key: key.parse().unwrap(),
        facts: BookFacts {
            title: title.to_owned(),
            author: Some(author.to_owned()),
            ..BookFacts::default()
        },
        isbn_not_used: None,
    })
}

fn rows() -> Vec<Result<CatalogueEntry, SkippedEntry>> {
    vec![
        row(
            2,
            "9780439554930",
            "Harry Potter and the Sorcerer's Stone",
            "J.K. Rowling, Mary GrandPré",
        ),
        row(3, "9788983920720", "해리 포터와 마법사의 돌", "조앤 K. 롤링"),
        row(4, "9780060850524", "Brave New World", "Aldous Huxley"),
        row(5, "goodreads:2767052", "The Hunger Games", "Suzanne Collins"),
        row(6, "9788936434120", "소년이 온다", "한강"),
    ]
}

async fn import(
    world: &World,
    rows: Vec<Result<CatalogueEntry, SkippedEntry>>,
) -> CatalogueSummary {
    world.service.import_catalogue(rows, |_| {}).await.unwrap()
}

async fn found(world: &World, query: &str) -> Vec<String> {
    let page = world.get(&format!("/books/search?{query}")).of_nobody().send().await.ok();
    page["books"]
        .as_array()
        .unwrap()
        .iter()
        .map(|book| book["title"].as_str().unwrap().to_owned())
        .collect()
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

async fn an_import_can_be_run_again(world: World) {
    let first = import(&world, rows()).await;
    assert_eq!((first.rows, first.added, first.updated, first.unchanged), (5, 5, 0, 0));
    let second = import(&world, rows()).await;
    assert_eq!((second.rows, second.added, second.updated, second.unchanged), (5, 0, 0, 5));
    assert_eq!(world.service.catalogue_count().await.unwrap(), 5);

    let mut changed = rows();
    changed[4] = row(6, "9788936434120", "소년이 온다", "한강 (HAN KANG)");
    changed.push(Err(SkippedEntry { line: 7, reason: "no ISBN".to_owned() }));
    changed.push(row(8, "9788936434120", "Again", "Somebody"));
    changed.push(row(9, "9780141439587", " \n ", "Nobody"));
    let third = import(&world, changed).await;
    assert_eq!((third.rows, third.added, third.updated, third.unchanged), (8, 0, 1, 4));
    assert_eq!(third.skipped_count(), 3);
    let lines: Vec<u64> = third.skipped_rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [7, 8, 9]);
    let book = world.get("/books/8936434128").of_nobody().send().await.ok();
    assert_eq!(book["author"], "한강 (HAN KANG)");
}

async fn progress_is_told_batch_by_batch(world: World) {
    let rows =
        (0..1_250u64).map(|number| row(number + 2, &format!("goodreads:{number}"), "T", "A"));
    let mut told = Vec::new();
    let summary =
        world.service.import_catalogue(rows, |so_far| told.push(so_far.added)).await.unwrap();
    assert_eq!(told, [500, 1_000, 1_250]);
    assert_eq!(summary.added, 1_250);
}

async fn searches_find_parts_and_initial_consonants(world: World) {
    import(&world, rows()).await;
    let hp = "해리 포터와 마법사의 돌";
    for (query, title) in [
        ("ㅎㄹㅍㅌ", hp),
        ("해ㄹ포", hp),
        ("마법사", hp),
        ("해리포터", hp),
        ("\u{1112}\u{1162}\u{1105}\u{1175}", hp),
        ("hunger", "The Hunger Games"),
        ("SORCERER", "Harry Potter and the Sorcerer's Stone"),
    ] {
        assert_eq!(found(&world, &format!("query={}", encoded(query))).await, [title], "{query}");
    }
    assert_eq!(
        found(&world, &format!("query={}&queryType=AUTHOR", encoded("ㅎㄱ"))).await,
        ["소년이 온다"]
    );
    assert_eq!(found(&world, "query=huxley&queryType=AUTHOR").await, ["Brave New World"]);
    assert_eq!(found(&world, "query=huxley").await, [""; 0]);
    assert_eq!(found(&world, "query=huxley&queryType=PUBLISHER").await, [""; 0]);

    // Percent and underscore are letters like others.
    assert_eq!(found(&world, "query=%25").await, [""; 0]);
    assert_eq!(found(&world, "query=_").await, [""; 0]);
}

async fn pages_follow_each_other(world: World) {
    let all = (0..23u64).map(|number| {
        row(number, &format!("goodreads:{number}"), &format!("Part {number:02}"), "A")
    });
    import(&world, all.collect()).await;
    let mut seen = Vec::new();
    for start in [1, 11, 21] {
        let page = world.get(&format!("/books/search?query=part&start={start}&maxResults=10"));
        let page = page.of_nobody().send().await.ok();
        assert_eq!(
            (&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]),
            (&json!(23), &json!(start), &json!(10))
        );
        seen.extend(
            page["books"]
                .as_array()
                .unwrap()
                .iter()
                .map(|book| book["title"].as_str().unwrap().to_owned()),
        );
    }
    let expected: Vec<String> = (0..23).map(|number| format!("Part {number:02}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(found(&world, "query=part&start=24").await, [""; 0]);
}

async fn bad_questions_name_their_parameters(world: World) {
    for (query, fields) in [
        ("", &["query"][..]),
        ("query=", &["query"]),
        ("query=%20", &["query"]),
        ("query=%FF", &["query"]),
        ("query=a&queryType=GENRE", &["queryType"]),
        ("query=a&start=0", &["start"]),
        ("query=a&start=-1&maxResults=51", &["start", "maxResults"]),
        ("query=a&maxResults=0", &["maxResults"]),
        ("query=a&maxResults=ten", &["maxResults"]),
        ("query=a&query=b", &["query"]),
    ] {
        world.get(&format!("/books/search?{query}")).of_nobody().send().await.refuses(fields);
    }
    let long = "a".repeat(101);
    world.get(&format!("/books/search?query={long}")).of_nobody().send().await.refuses(&["query"]);
    for isbn in ["9780441172718", "hello", "%ED%95%9C"] {
        world.get(&format!("/books/{isbn}")).of_nobody().send().await.refuses(&["isbn"]);
    }
    let unknown = world.get("/books/9780441172719").of_nobody().send().await;
    assert_eq!(unknown.refused(404).0, "BOOK_NOT_FOUND");
}

async fn shelving_takes_from_the_catalogue_what_is_not_given(world: World) {
    import(&world, rows()).await;
    let body = json!({"isbn": "9780060850524", "totalPages": 288});
    let shelved = world.post("/user/books", body).send().await.created();
    assert_eq!(shelved["title"], "Brave New World");
    let shelf = world.get("/user/books").send().await.ok();
    assert_eq!(shelf["books"][0]["author"], "Aldous Huxley");
    let foreign = json!({"isbn": "goodreads:2767052"});
    let shelved = world.post("/user/books", foreign).send().await.created();
    assert_eq!(shelved["title"], "The Hunger Games");
}

async fn an_import_replaces_what_a_reader_typed(world: World) {
    let mine = json!({"isbn": "9780060850524", "title": "my secret name for it"});
    let shelved = world.post("/user/books", mine).send().await.created();
    assert_eq!(found(&world, "query=secret").await, [""; 0]);
    let got = world.get("/books/9780060850524").of_nobody().send().await;
    assert_eq!(got.refused(404).0, "BOOK_NOT_FOUND", "a reader's words are no catalogue");
    let summary = import(&world, rows()).await;
    assert_eq!((summary.added, summary.updated), (4, 1));
    assert_eq!(found(&world, "query=brave").await, ["Brave New World"]);
    let again =
        world.post("/user/books", json!({"isbn": "9780060850524"})).of(2).send().await.created();
    assert_eq!(again["bookId"], shelved["bookId"], "it is the same book");
}

/// An Open Library that has `books` (keys and titles) and gives as many of them
/// as it is asked for.
async fn library(books: Vec<(String, String)>) -> Replay {
    Replay::start(move |question, _| {
        if question.path != "/search.json" {
            return Reply::Status(404);
        }
        let doc = |(isbn, title): &(String, String)| {
            json!({
                "key": "/works/OL1W", "title": title, "isbn": [isbn],
                "editions": {"numFound": 1, "start": 0, "docs": [
                    {"key": "/books/OL1M", "title": title, "isbn": [isbn]},
                ]},
            })
        };
        let offset = question.parameters.get("offset").map_or(0, |n| n.parse().unwrap());
        let limit: usize = question.parameters.get("limit").map_or(10, |n| n.parse().unwrap());
        let docs: Vec<Value> = books.iter().skip(offset).take(limit).map(doc).collect();
        let body = json!({"numFound": books.len(), "start": offset, "docs": docs});
        Reply::Ok(body.to_string().into_bytes())
    })
    .await
}

async fn world_with(replay: &Replay) -> World {
    let clock = stdx::Clock::starting_at(NOW);
    let config =
        OpenLibraryConfig { base_url: replay.base_url.clone(), ..OpenLibraryConfig::default() };
    let environment = SourceEnvironment { clock, random: Random::new(Seed(1)) };
    let source = OpenLibrarySource::new(config, environment).unwrap();
    World::with(BookSources::new(vec![Arc::new(source) as Arc<dyn BookSource>])).await
}

fn isbn(number: u64) -> String {
    let body = format!("97889364{number:04}");
    let sum: u32 = body
        .bytes()
        .zip([1, 3].into_iter().cycle())
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

#[tokio::test]
async fn the_source_goes_on_where_the_catalogue_ends() {
    // Of the source's 30 books the catalogue has number 3 and number 12, and
    // three of its own.
    let title = |number: u64| format!("Wave {number:03}");
    let replay = library((0..30).map(|number| (isbn(number), title(number))).collect()).await;
    let world = world_with(&replay).await;
    let own = [3, 12, 100, 101, 102].map(|number| row(number, &isbn(number), &title(number), "A"));
    import(&world, own.to_vec()).await;

    let mut seen = Vec::new();
    for start in [1, 11, 21, 31] {
        let page = world.get(&format!("/books/search?query=wave&start={start}&maxResults=10"));
        let page = page.of_nobody().send().await.ok();
        assert_eq!(page["totalResults"], 35);
        assert_eq!(page["sources"], json!([{"name": "open_library", "state": "UP"}]));
        let books = page["books"].as_array().unwrap();
        assert!(books.len() <= 10);
        seen.extend(books.iter().map(|book| book["title"].as_str().unwrap().to_owned()));
    }
    let (catalogue, source) = seen.split_at(5);
    assert_eq!(catalogue, [3, 12, 100, 101, 102].map(title), "the catalogue's come first");
    let rest: Vec<String> = (0..30).filter(|number| ![3, 12].contains(number)).map(title).collect();
    assert_eq!(source, rest, "then the source's, each book once");
}

#[tokio::test]
async fn a_source_that_is_away_fails_no_search() {
    let replay = Replay::always(|| Reply::Status(500)).await;
    let world = world_with(&replay).await;
    import(&world, rows()).await;
    let page = world.get("/books/search?query=brave").of_nobody().send().await.ok();
    assert_eq!(page["books"][0]["title"], "Brave New World");
    assert_eq!(page["sources"], json!([{"name": "open_library", "state": "AWAY"}]));
    assert_eq!(page["totalResults"], 1);

    let known = world.get("/books/9780060850524").of_nobody().send().await;
    known.ok();
    let unknown = world.get("/books/9780441172719").of_nobody().send().await;
    assert_eq!(unknown.refused(503).0, "SOURCE_UNAVAILABLE");
    assert!(unknown.headers.contains_key("retry-after"));
    let health = world.get("/health/books").of_nobody().send().await;
    assert_eq!(health.refused(503).0, "SOURCE_UNAVAILABLE");
    let health = world.ask("HEAD", "/health/books").of_nobody().send().await;
    assert_eq!((health.status.as_u16(), health.text.as_str()), (503, ""));
}

#[tokio::test]
async fn health_of_the_sources() {
    let without = World::new().await;
    let health = without.get("/health/books").of_nobody().send().await.ok();
    assert_eq!(health, json!({"status": "NONE", "source": "", "sources": []}));

    let replay = library(vec![(isbn(1), "Wave".to_owned())]).await;
    let world = world_with(&replay).await;
    let health = world.get("/health/books").of_nobody().send().await.ok();
    assert_eq!((&health["status"], &health["source"]), (&json!("UP"), &json!("open_library")));
    let head = world.ask("HEAD", "/health/books").of_nobody().send().await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn what_a_source_knew_is_kept() {
    let replay = Replay::start(|question, number| match question.path.as_str() {
        "/api/books" if number == 0 => fixture("open_library/books.json"),
        _ => Reply::Status(500),
    })
    .await;
    let world = world_with(&replay).await;
    // The reader gives the ISBN alone.
    let body = json!({"isbn": "0-14-044913-2"});
    let shelved = world.post("/user/books", body.clone()).send().await.created();
    assert_eq!(shelved["title"], "The Odyssey: A new translation");
    // From here on the source is not needed.
    let book = world.get("/books/9780140449136").of_nobody().send().await.ok();
    assert_eq!((&book["publisher"], &book["totalPages"]), (&json!("Penguin"), &json!(541)));
    let again = world.post("/user/books", body).of(2).send().await.created();
    assert_eq!(again["bookId"], shelved["bookId"]);
    assert_eq!(replay.asked_count(), 1);
    assert_eq!(found(&world, "query=odyssey").await, ["The Odyssey: A new translation"]);
}

async fn the_demo_can_be_run_again(world: World) {
    let reader = crate::world::reader(1);
    let first = world.service.add_demo(reader).await.unwrap();
    assert_eq!((first.books, first.shelved, first.memos), (15, 6, 7));
    // ㅎㄹㅍㅌ
    let initials = "query=%E3%85%8E%E3%84%B9%E3%85%8D%E3%85%8C";
    assert_eq!(found(&world, initials).await, ["해리 포터와 마법사의 돌 1"]);
    world.clock.advance(std::time::Duration::from_hours(3 * 24));
    let second = world.service.add_demo(reader).await.unwrap();
    assert_eq!((second.books, second.shelved, second.memos), (0, 0, 0));
    let shelf = world.get("/user/books").send().await.ok();
    let categories: Vec<_> = shelf["books"]
        .as_array()
        .unwrap()
        .iter()
        .map(|book| book["category"].as_str().unwrap())
        .collect();
    for category in ["ToRead", "Reading", "AlmostFinished", "Finished"] {
        assert!(categories.contains(&category), "{categories:?}");
    }
    assert!(shelf["books"].as_array().unwrap().iter().all(|book| book["categoryByHand"] == false));
    assert_eq!(world.get("/today-flow?date=2024-05-01").send().await.ok()["totalMemoCount"], 3);
    let theirs = world.service.add_demo(crate::world::reader(2)).await.unwrap();
    assert_eq!((theirs.books, theirs.shelved, theirs.memos), (0, 6, 7));
}

crate::world::checks! {
    an_import_can_be_run_again,
    progress_is_told_batch_by_batch,
    searches_find_parts_and_initial_consonants,
    pages_follow_each_other,
    bad_questions_name_their_parameters,
    shelving_takes_from_the_catalogue_what_is_not_given,
    an_import_replaces_what_a_reader_typed,
    the_demo_can_be_run_again,
}

#[tokio::test]
async fn every_word_of_a_search_is_wanted_and_the_path_is_utf8() {
    let world = World::new().await;
    let rows = "book_id,goodreads_book_id,isbn,isbn13,authors,original_publication_year,title\n\
                1,3,0439554934,9780439554930,J.K. Rowling,1997,Harry Potter and the Sorcerer's Stone\n\
                2,4,,,Nobody,1990,A Harry of Stone\n";
    world.service.import_goodbooks(rows.as_bytes(), |_| {}).await.unwrap();
    for (query, count) in
        [("harry potter stone", 1), ("stone%20harry", 2), ("harry%20potter%20ring", 0)]
    {
        let path = format!("/books/search?query={}", query.replace(' ', "%20"));
        assert_eq!(world.get(&path).send().await.ok()["totalResults"], count, "{query}");
    }
    world.get("/books/%ff").send().await.refuses(&["path"]);
}
