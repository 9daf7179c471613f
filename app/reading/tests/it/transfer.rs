//! Import and export.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use endpaper_reading::service::importing::{IMPORTS_AT_ONCE, ImportState};

use crate::world::{Ask, Got, World, reader};

const GOODREADS: &str = concat!(
    "Book Id,Title,Author,Author l-f,Additional Authors,ISBN,ISBN13,My Rating,Average Rating,",
    "Publisher,Binding,Number of Pages,Year Published,Original Publication Year,Date Read,",
    "Date Added,Bookshelves,Bookshelves with positions,Exclusive Shelf,My Review,Spoiler,",
    "Private Notes,Read Count,Owned Copies\n",
    "1371,The Odyssey,Homer,\"Homer, \",Robert Fagles,=\"0140449132\",=\"9780140449136\",4,3.78,",
    "Penguin,Paperback,541,2003,-700,2023/01/31,2022/12/25,,,read,",
    "\"Long, and =never() dull.<br/>Again!\",,\"lent to\nMinji\",1,1\n",
    "2,\"소년이 온다\",한강,,,=\"\",=\"9788936434120\",0,4.5,창비,Paperback,216,2014,2014,,",
    "2024/01/02,,,currently-reading,,,,0,0\n",
    "3,No Number At All,Nobody,,,=\"\",=\"\",0,0,,,,,,,2024/01/03,,,to-read,,,,0,0\n",
    "4,,Nobody,,,=\"\",=\"\",0,0,,,,,,,2024/01/03,,,to-read,,,,0,0\n",
    "5,Bad Number,Nobody,,,=\"0140449133\",=\"\",9,0,,,,,,someday,2024/01/03,,,favourites,,,,0,0\n",
    "6,too,few,cells\n",
);

fn csv<'w>(world: &'w World, path: &str, file: impl Into<axum::body::Body>) -> Ask<'w> {
    world.ask("POST", path).bytes("text/csv", file)
}

async fn shelf(world: &World, of: u128) -> Value {
    world.get("/user/books").of(of).send().await.ok()["books"].take()
}

/// All of a reader's memos by book, without the versions, which an import makes
/// new, and the ids, which are others in another account.
async fn memos(world: &World, of: u128) -> Value {
    let mut all = Vec::new();
    for book in shelf(world, of).await.as_array().unwrap() {
        let path = format!("/memos/books/{}", book["userBookId"].as_str().unwrap());
        let mut memos = world.get(&path).of(of).send().await.ok();
        for memo in memos.as_array_mut().unwrap() {
            for field in ["version", "id", "userBookId"] {
                memo.as_object_mut().unwrap().remove(field);
            }
            all.push(memo.take());
        }
    }
    Value::Array(all)
}

/// A shelf without the ids.
async fn books(world: &World, of: u128) -> Value {
    let mut books = shelf(world, of).await;
    for book in books.as_array_mut().unwrap() {
        book.as_object_mut().unwrap().remove("userBookId");
    }
    books
}

fn got_message(got: &Got) -> String {
    got.json()["error"]["message"].as_str().unwrap().to_owned()
}

fn counts(summary: &Value) -> [u64; 5] {
    ["booksAdded", "booksThere", "memosAdded", "memosThere", "problemCount"]
        .map(|field| summary[field].as_u64().unwrap())
}

async fn a_goodreads_export_is_imported(world: World) {
    let summary = csv(&world, "/import/goodreads", GOODREADS).send().await.ok();
    assert_eq!(summary["format"], "goodreads");
    // One without a title, one with too few cells; and of one the ISBN, the
    // stars, the date and the shelf.
    assert_eq!(counts(&summary), [4, 0, 1, 0, 6]);
    let problems: Vec<(u64, Value)> = summary["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["line"].as_u64().unwrap(), problem["field"].clone()))
        .collect();
    assert_eq!(
        problems,
        [
            (6, json!("Title")),
            (7, json!("ISBN")),
            (7, json!("My Rating")),
            (7, json!("Date Read")),
            (7, json!("Exclusive Shelf")),
            (8, Value::Null),
        ]
    );

    let shelf = shelf(&world, 1).await;
    let find = |title: &str| {
        shelf.as_array().unwrap().iter().find(|book| book["title"] == title).unwrap().clone()
    };
    let odyssey = find("The Odyssey");
    let expected = json!({
        "isbn": "9780140449136", "author": "Homer, Robert Fagles", "publisher": "Penguin",
        "totalPages": 541, "category": "Finished", "categoryByHand": false,
        "readingProgress": 541, "readingFinishedDate": "2023-01-31", "rating": 4,
        "review": "Long, and =never() dull.\nAgain!", "purchaseType": "Bought",
        "createdAt": "2022-12-24T15:00:00Z",
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&odyssey[field], value, "{field}");
    }
    assert_eq!(find("소년이 온다")["category"], "Reading");
    assert_eq!(find("No Number At All")["category"], "ToRead");
    assert_eq!(find("No Number At All")["isbn"], "goodreads:3");
    assert_eq!(find("Bad Number")["isbn"], "goodreads:5");
    let notes = world
        .get(&format!("/memos/books/{}", odyssey["userBookId"].as_str().unwrap()))
        .send()
        .await
        .ok();
    assert_eq!(notes[0]["content"], "lent to\nMinji");

    // Once more: nothing doubles, and what the reader did since stays.
    let id = odyssey["userBookId"].as_str().unwrap();
    world.put(&format!("/user/books/{id}"), json!({"rating": 5})).send().await.ok();
    let again = csv(&world, "/import/goodreads", GOODREADS).send().await.ok();
    assert_eq!(counts(&again), [0, 4, 0, 1, 6]);
    assert_eq!(world.get("/user/books").send().await.ok()["totalCount"], 4);
    let shelf = world.get("/user/books?category=Finished").send().await.ok();
    assert_eq!(shelf["books"][0]["rating"], 5);

    let korean = csv(&world, "/import/goodreads", GOODREADS).language("ko").send().await.ok();
    assert_eq!(korean["problems"][0]["message"], "Title 칸이 비어 있습니다.");
}

async fn a_file_that_was_cut_gives_what_is_whole(world: World) {
    let from = GOODREADS.find('\n').unwrap() + 1;
    for cut in from..GOODREADS.len() {
        if !GOODREADS.is_char_boundary(cut) || cut % 17 != 0 {
            continue;
        }
        let got = csv(&world, "/import/goodreads", &GOODREADS[..cut]).send().await.ok();
        let [added, there, ..] = counts(&got);
        assert!(added + there <= 4);
    }
    // In the middle of a character too.
    let half = &GOODREADS.as_bytes()[..=GOODREADS.find("소년").unwrap()];
    let got = csv(&world, "/import/goodreads", half.to_vec()).send().await.ok();
    assert_eq!(counts(&got)[4], 1);
}

async fn what_is_no_file_of_ours(world: World) {
    for file in [
        "",
        "\u{feff}",
        "a,b\n1,2\n",
        "<html>",
        "{}",
        "{\"format\":\"endpaper-export\"}",
        "{\"data\":[]}",
        "\0\0\0",
    ] {
        let got = csv(&world, "/import", file).send().await;
        assert_eq!(got.refused(400).0, "IMPORT_UNREADABLE", "{file:?}");
        assert!(got.json()["error"]["details"]["reason"].is_string());
    }
    let got = csv(&world, "/import", b"\xff\xfeB\0o\0o\0k\0".to_vec()).send().await;
    assert_eq!(got.refused(400).0, "IMPORT_UNREADABLE");
    let broken = [GOODREADS.as_bytes(), b"7,T\xff,A\n"].concat();
    let got = csv(&world, "/import", broken).send().await.ok();
    assert_eq!(counts(&got), [4, 0, 1, 0, 7], "a broken row spoils no other");
    let got = csv(&world, "/import", "x".repeat((16 << 20) + 1)).send().await;
    assert_eq!(got.refused(413).0, "BODY_TOO_LARGE");
    let got =
        world.ask("POST", "/import").bytes("multipart/form-data; boundary=x", "--x").send().await;
    assert_eq!(got.refused(415).0, "UNSUPPORTED_MEDIA_TYPE");
    let got = csv(&world, "/import", GOODREADS).of_nobody().send().await;
    assert_eq!(got.refused(401).0, "UNAUTHORIZED");
    // What fits what the file looks like, in the caller's language.
    let got = csv(&world, "/import", "{\"format\":").language("ko").send().await;
    let error = got.json()["error"].clone();
    let reason = error["details"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("JSON 파일이 온전하지 않습니다."), "{reason}");
    let message = got_message(&csv(&world, "/import", "{").send().await);
    assert!(message.contains("Endpaper"), "{message}");
    for path in ["/export?format=CSV&part=books", "/export?format=csv&part=MEMOS"] {
        assert_eq!(world.get(path).send().await.status, 200, "{path}");
    }
    world.get("/export?format=xml").send().await.refuses(&["format"]);
    world.get("/export?format=csv&part=TAGS").send().await.refuses(&["part"]);
}

/// A shelf with everything that can be on one.
async fn furnish(world: &World) {
    world.service.add_demo(reader(1)).await.unwrap();
    csv(world, "/import/goodreads", GOODREADS).send().await.ok();
    let body = json!({
        "title": "=cmd|' /C calc'!A0", "author": "@somebody, \"quoted\"", "publisher": "'apostrophe",
        "description": "first\n\n\"memoId\",\"userBookId\",\nlast", "category": "Reading",
        "expectation": "-1", "readingStartDate": "2024-03-01", "readingProgress": 5,
        "coverUrl": "https://covers.example/a,b.jpg", "pubDate": "-0750", "mainGenre": "\u{ff1d}x",
    });
    let shelved = world.post("/user/books", body).send().await.created();
    let book = shelved["userBookId"].as_str().unwrap();
    world
        .ask("PUT", &format!("/user/books/{book}/category?category=AlmostFinished"))
        .send()
        .await
        .ok();
    world.clock.advance(std::time::Duration::from_micros(1_234_567));
    for (content, category, tags) in [
        ("=1+1", Value::Null, json!([])),
        ("+tab\tand\nlines\n", json!("TYPE"), json!(["QUOTE", "FACT"])),
        (" 앞과 뒤 ", json!("TOPIC"), json!(["LOVE"])),
        (
            "\"memoId\",\"userBookId\",\"isbn\"\n\n\"memoId\",\"userBookId\",",
            Value::Null,
            json!(["LOVE", "QUOTE"]),
        ),
        ("''", Value::Null, json!([])),
    ] {
        let memo = json!({
            "userBookId": book, "pageNumber": 100_000, "content": content, "tags": tags,
            "tagCategory": category, "memoStartTime": "2024-04-30T23:59:59.123456+09:00",
        });
        let memo = world.post("/memos", memo).send().await.created();
        world.clock.advance(std::time::Duration::from_secs(1));
        let path = format!("/memos/{}", memo["id"].as_str().unwrap());
        world.put(&path, json!({"pageNumber": 9})).send().await.ok();
    }
}

async fn imported(world: &World, of: u128, file: &Got) -> Value {
    csv(world, "/import", file.text.clone()).of(of).send().await.ok()
}

async fn an_export_gives_the_same_shelf_in_another_account(world: World) {
    furnish(&world).await;
    let json = world.get("/export").send().await;
    assert_eq!(json.headers["content-type"], "application/json");
    assert_eq!(json.ok()["format"], "endpaper-export");
    let table = world.get("/export?format=csv").send().await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    assert!(!table.text.contains("\"=cmd"), "a cell that begins with = is marked");

    let (expected_books, expected_memos) = (books(&world, 1).await, memos(&world, 1).await);
    assert_eq!(expected_books.as_array().unwrap().len(), 10);
    assert_eq!(expected_memos.as_array().unwrap().len(), 13);
    for (of, file, format) in [(2, &json, "endpaper-json"), (3, &table, "endpaper-csv")] {
        let summary = imported(&world, of, file).await;
        assert_eq!(summary["format"], format);
        assert_eq!(counts(&summary), [10, 0, 13, 0, 0], "{summary}");
        assert_eq!(books(&world, of).await, expected_books, "{format}");
        assert_eq!(memos(&world, of).await, expected_memos, "{format}");
        let again = imported(&world, of, file).await;
        assert_eq!(counts(&again), [0, 10, 0, 13, 0], "{format}");
    }
    // Its own export, imported where everything is.
    assert_eq!(counts(&imported(&world, 1, &json).await), [0, 10, 0, 13, 0]);

    // The tables one by one; the memos need their books.
    let books_alone = world.get("/export?format=csv&part=BOOKS").send().await;
    let memos_alone = world.get("/export?format=csv&part=MEMOS").send().await;
    assert_eq!(counts(&imported(&world, 4, &memos_alone).await), [0, 0, 0, 0, 13]);
    assert_eq!(counts(&imported(&world, 4, &books_alone).await), [10, 0, 0, 0, 0]);
    assert_eq!(counts(&imported(&world, 4, &memos_alone).await), [0, 0, 13, 0, 0]);
    assert_eq!(memos(&world, 4).await, expected_memos);
}

#[tokio::test]
async fn an_export_gives_the_same_shelf_ids_included_on_another_server() {
    let world = World::new().await;
    furnish(&world).await;
    for path in ["/export", "/export?format=csv"] {
        let file = world.get(path).send().await;
        let other = World::new().await;
        imported(&other, 1, &file).await;
        let exported = |world: &World| world.service.clone();
        let mut left = exported(&world).export(reader(1)).await.unwrap();
        let mut right = exported(&other).export(reader(1)).await.unwrap();
        left.books.sort_by_key(|book| book.user_book_id);
        right.books.sort_by_key(|book| book.user_book_id);
        assert_eq!(left.books, right.books);
        assert_eq!(left.memos, right.memos);
        assert_eq!(left.tags, right.tags);
    }
}

async fn entries_of_an_export_that_can_not_be(world: World) {
    furnish(&world).await;
    let mut file = world.get("/export").send().await.ok();
    file["books"][0]["rating"] = json!(6);
    file["books"][1]["title"] = json!("  ");
    file["books"][2]["readingProgress"] = json!(100_001);
    file["books"][3]["category"] = json!("Read");
    file["books"][4]["review"] = json!("x".repeat(20_001));
    file["memos"][0]["pageNumber"] = json!(0);
    file["memos"][1]["content"] = json!("x".repeat(5_001));
    file["memos"][2]["tags"] = json!(["NO_SUCH_TAG"]);
    file["memos"][3]["memoId"] = json!("7");
    let summary = csv(&world, "/import", file.to_string()).of(2).send().await.ok();
    let fields: Vec<String> = summary["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| format!("{} {}", problem["line"], problem["field"].as_str().unwrap_or("-")))
        .collect();
    let expected = [
        "4 books",
        "4 memos",
        "1 rating",
        "2 title",
        "3 readingProgress",
        "5 review",
        "1 pageNumber",
        "2 content",
        "3 tags",
    ];
    assert_eq!(fields[..expected.len()], expected);
    assert_eq!(counts(&summary)[0], 5, "the others are taken");
    // The rest of the problems are memos of books that were not taken.
    assert!(fields[expected.len()..].iter().all(|problem| problem.ends_with(" -")), "{fields:?}");
}

async fn nobody_elses_data_is_exported(world: World) {
    furnish(&world).await;
    let theirs = world.get("/export").of(2).send().await.ok();
    assert_eq!((&theirs["books"], &theirs["memos"]), (&json!([]), &json!([])));
    let got = world.get("/export").of_nobody().send().await;
    assert_eq!(got.refused(401).0, "UNAUTHORIZED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_imports_at_once_one_runs() {
    let world = World::new().await;
    let (left, right) = tokio::join!(
        csv(&world, "/import", GOODREADS).send(),
        csv(&world, "/import", GOODREADS).send(),
    );
    for got in [&left, &right] {
        if got.status == 409 {
            assert_eq!(got.refused(409).0, "IMPORT_IN_PROGRESS");
        } else {
            got.ok();
        }
    }
    assert!(left.status == 200 || right.status == 200);
    assert_eq!(world.get("/user/books").send().await.ok()["totalCount"], 4);
    // And the guard is gone.
    csv(&world, "/import", GOODREADS).send().await.ok();
}

#[tokio::test]
async fn of_all_readers_two_import_at_once_and_the_rest_are_told_when_to_come_back() {
    let world = World::new().await;
    let places: Vec<_> =
        (0..IMPORTS_AT_ONCE).map(|n| world.service.begin_import(reader(100 + n as u128))).collect();
    assert!(places.iter().all(Result::is_ok));
    let got = csv(&world, "/import", GOODREADS).send().await;
    assert_eq!(got.refused(503).0, "SERVER_BUSY");
    assert!(got.headers.contains_key("retry-after"));
    drop(places);
    assert_eq!(counts(&csv(&world, "/import", GOODREADS).send().await.ok())[0], 4);
}

#[tokio::test]
async fn a_file_of_tiny_entries_is_refused_whatever_its_form() {
    let world = World::new().await;
    let json = format!(
        "{{\"format\":\"endpaper-export\",\"version\":1,\"exportedAt\":\"2024-05-01T00:00:00Z\",\
         \"books\":[{}{{}}],\"memos\":[],\"tags\":[]}}",
        "{},".repeat(1_000_000)
    );
    let goodreads = format!("Title,Exclusive Shelf\n{}", "T,read\n".repeat(1_000_000));
    for file in [json, goodreads] {
        let got = csv(&world, "/import", file).language("ko").send().await;
        assert_eq!(got.refused(400).0, "IMPORT_UNREADABLE");
        let reason = got.json()["error"]["details"]["reason"].clone();
        assert_eq!(reason, "한 파일에서 100000개까지 가져올 수 있습니다. 나누어 올려 주세요.");
    }
    assert_eq!(world.get("/user/books").send().await.ok()["totalCount"], 0);
}

#[tokio::test]
async fn what_of_a_goodreads_row_is_not_taken_along_is_said() {
    let world = World::new().await;
    let file = format!(
        "Book Id,Title,Author,ISBN,ISBN13,Number of Pages,Bookshelves,Exclusive Shelf,My Review\n\
         1,{},A,,,100001,,read,{}\n\
         2,Short,A,=\"0140449133\",=\"9780140449137\",,\"read, fantasy, to-buy\",read,fine\n",
        "t".repeat(501),
        "r".repeat(20_001),
    );
    let summary = csv(&world, "/import/goodreads", file).send().await.ok();
    let said: Vec<String> = summary["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            let [field, message] = ["field", "message"].map(|name| problem[name].as_str().unwrap());
            format!("{} {field}: {message}", problem["line"])
        })
        .collect();
    let isbn = "the ISBN was not used";
    assert_eq!(said[0], "2 Title: Title is longer than 500 characters: the rest was left out");
    assert_eq!(
        said[1],
        "2 My Review: My Review is longer than 20000 characters: the rest was left out"
    );
    assert!(said[2].starts_with("2 Number of Pages: "), "{said:?}");
    assert!(said[3].starts_with(&format!("3 ISBN13: {isbn}")), "{said:?}");
    assert!(said[4].starts_with(&format!("3 ISBN: {isbn}")), "{said:?}");
    assert_eq!(said[5], "3 Bookshelves: these shelves were not taken along: fantasy, to-buy");
    assert_eq!((said.len(), counts(&summary)[0]), (6, 2));
}

#[tokio::test]
async fn an_import_tells_how_far_it_is() {
    let world = World::new().await;
    let progress = async |of| world.get("/import/progress").of(of).send().await.ok();
    assert_eq!(progress(1).await["state"], "NONE");

    let mut rows = String::from("Book Id,Title,Exclusive Shelf\n");
    for number in 1..=450 {
        writeln!(rows, "{number},Book {number},read").unwrap();
    }
    let mut seen = Vec::new();
    let zone = jiff::tz::TimeZone::UTC;
    let service = world.service.clone();
    let import = service.import_file(reader(1), rows, &zone, |_| {
        let progress = world.service.import_progress(reader(1)).unwrap();
        seen.push((progress.state, progress.done, progress.total));
    });
    import.await.unwrap();
    let expected = [200, 400, 450].map(|done| (ImportState::Running, done, Some(450)));
    assert_eq!(seen, expected);
    let after = progress(1).await;
    assert_eq!((&after["state"], &after["done"]), (&json!("DONE"), &json!(450)));
    assert_eq!((&after["booksAdded"], &after["format"]), (&json!(450), &json!("goodreads")));

    csv(&world, "/import", "{").of(2).send().await.refused(400);
    assert_eq!(progress(2).await["state"], "FAILED");
    assert_eq!(progress(1).await["state"], "DONE", "each reader sees their own");
    let got = world.get("/import/progress").of_nobody().send().await;
    assert_eq!(got.refused(401).0, "UNAUTHORIZED");
}

/// The file is no part of this repository: where it is beside it, the whole of
/// it is read; else this says that it was left out.
#[tokio::test]
async fn the_real_catalogue_is_imported() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/goodbooks/books.csv");
    let Ok(file) = std::fs::File::open(&path) else {
        lab::suite::left_out("the real catalogue", "../shared/data/goodbooks/books.csv");
        return;
    };
    let world = World::new().await;
    let started = std::time::Instant::now();
    let summary = world.service.import_goodbooks(file, |_| {}).await.unwrap();
    let took = started.elapsed();
    assert_eq!(summary.rows, 10_000);
    assert_eq!(summary.added + summary.skipped_count(), 10_000);
    assert!(summary.skipped_count() < 20, "{:?}", summary.skipped);
    assert_eq!(summary.isbn_not_used.values().sum::<u64>(), 23, "{:?}", summary.isbn_not_used);
    println!("{took:?}, skipped {:?}", summary.skipped);
    let again = world.service.import_goodbooks(std::fs::File::open(&path).unwrap(), |_| {}).await;
    assert_eq!(again.unwrap().unchanged, summary.added);
    let found = world.get("/books/search?query=hunger%20games").of_nobody().send().await.ok();
    assert_eq!(found["books"][0]["isbn13"], "9780439023481");
    assert_eq!(found["books"][0]["author"], "Suzanne Collins");
}

crate::world::checks! {
    a_goodreads_export_is_imported,
    a_file_that_was_cut_gives_what_is_whole,
    what_is_no_file_of_ours,
    an_export_gives_the_same_shelf_in_another_account,
    entries_of_an_export_that_can_not_be,
    nobody_elses_data_is_exported,
}
