//! The walk: what the platform is for, from the first command to a database
//! that dies at noon, against the real binary over HTTP.
//!
//! Read it from the top: [`the_walk`] is the story, each step is a function
//! below it. It is told twice: on the two files that a newcomer has, and on two
//! MariaDB servers.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use lab::{MariaDb, Scratch};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Reader, Server, run, until};
use crate::tables;

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_on_two_files() {
    let scratch = Scratch::new("walk-files").unwrap();
    let data = scratch.path().join("data");
    let place = Place { arguments: vec!["--data".to_owned(), data.display().to_string()] };

    the_walk(&place, scratch.path()).await;

    let [a, b] = ["a.db", "b.db"].map(|file| tables::of_sqlite(&data.join(file)));
    tables::assert_same(&a, &b);
    assert!(a.contains_key("memos") && !a["memos"].is_empty(), "{:?}", a.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_on_two_mariadb_servers_one_of_which_dies_at_noon() {
    let Some(software) = lab::require_mariadb("the walk on two MariaDB servers") else { return };
    let scratch = Scratch::new("walk-mariadb").unwrap();
    let mut masters = ["one", "two"].map(|name| {
        let master = MariaDb::start(&software, &scratch.path().join(name)).unwrap();
        master.create_database("endpaper").unwrap();
        master
    });
    let config = scratch.path().join("endpaper.toml");
    fs::write(&config, configuration(&masters)).unwrap();
    let place = Place { arguments: vec!["--config".to_owned(), config.display().to_string()] };

    the_walk(&place, scratch.path()).await;

    // A server dies at noon, first the second one, then the primary.
    let server = place.serve();
    for dying in [1, 0] {
        masters[dying].kill().unwrap();

        // Readers do not notice: log-in, reading and writing go on.
        let reader = Reader::log_in(&server, "walker").await;
        let shelf = reader.get(&server, "/api/v1/user/books").await;
        let book = shelf["books"][0]["userBookId"].as_str().unwrap();
        let written = format!("Written while master {dying} was away. 정오에 쓴 메모.");
        write_memo(&server, &reader, book, 20, &written, "2026-03-03T12:00:00+09:00", &[]).await;
        let noon =
            reader.get(&server, &format!("/api/v1/memos/books/{book}?date=2026-03-03")).await;
        assert!(noon.to_string().contains(&written), "{noon}");
        let health = health(&server).await;
        assert_eq!(
            (&health["status"], &health["masters"][dying]["state"]),
            (&json!("DEGRADED"), &json!("DOWN"))
        );

        // It comes back, gets what it missed, and serves again.
        masters[dying].restart().unwrap();
        until("every master is live", async || self::health(&server).await["status"] == "UP").await;
        let (one, two) =
            (tables::of_mariadb(&masters[0]).await, tables::of_mariadb(&masters[1]).await);
        tables::assert_same(&one, &two);
        assert!(one["memos"].iter().any(|row| row.contains(&written)), "the memo is on both");
    }
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

/// The story.
async fn the_walk(place: &Place, scratch: &Path) {
    // An operator fills the catalogue; a second time changes nothing.
    let catalogue = catalogue(scratch);
    let first = place.import_catalogue(&catalogue.file);
    assert_eq!(
        (&first["added"], &first["updated"]),
        (&json!(catalogue.books), &json!(0)),
        "{first}"
    );
    let again = place.import_catalogue(&catalogue.file);
    assert_eq!(
        (&again["added"], &again["unchanged"]),
        (&json!(0), &json!(catalogue.books)),
        "{again}"
    );
    place.import_catalogue(&korean_catalogue(scratch));

    // A reader signs up and logs in.
    let server = place.serve();
    let reader = Reader::sign_up(&server, "walker").await;

    // Books are found in English and in Korean, by parts, and by the initial
    // consonants of a Korean title, also when a Mac has taken it apart.
    let english = search(&server, &catalogue.part_of_a_title).await;
    assert!(english.contains(&catalogue.title), "{english:?}");
    for typed in ["해리포터", "리 포", "ㅎㄹㅍㅌ", "\u{1112}\u{1162}\u{1105}\u{1175}"] {
        let korean = search(&server, typed).await;
        assert_eq!(korean, ["해리 포터와 마법사의 돌"], "{typed}");
    }

    // Two of them go on the shelf; the same again is the same book.
    let potter = json!({ "isbn": KOREAN_ISBN, "totalPages": 360, "category": "ToRead" });
    let potter_id = reader.shelve(&server, potter.clone()).await;
    let (status, answer) =
        server.ask(Method::POST, "/api/v1/user/books", Some(&reader.token), Some(potter)).await;
    assert_eq!(
        (status, &answer["error"]["details"]["existingId"]),
        (StatusCode::CONFLICT, &json!(potter_id))
    );
    let other_id =
        reader.shelve(&server, json!({ "isbn": catalogue.isbn, "totalPages": 400 })).await;
    let start = json!({ "readingStartDate": "2026-03-01", "readingProgress": 10 });
    for book in [&potter_id, &other_id] {
        let path = format!("/api/v1/user/books/{book}/start-reading");
        reader.done(&server, Method::POST, &path, Some(start.clone())).await;
    }

    // Memos at a page, at a moment, with tags.
    let tags = reader.get(&server, "/api/v1/tags").await;
    let tag = tags[0]["code"].as_str().unwrap();
    let memos = [
        (&potter_id, 17, "부엉이가 편지를 물고 왔다.", "2026-03-01T21:30:00+09:00"),
        (&potter_id, 24, "기차역의 벽을 지나는 장면.", "2026-03-02T08:10:00+09:00"),
        (&other_id, 31, "The first page that I read twice.", "2026-03-02T08:40:00+09:00"),
    ];
    for (book, page, content, at) in memos {
        write_memo(&server, &reader, book, page, content, at, &[tag]).await;
    }

    // Read again: by book, by day, by tag, and in the calendar.
    let book = reader.get(&server, &format!("/api/v1/memos/books/{potter_id}")).await;
    assert_eq!(contents(&book), ["부엉이가 편지를 물고 왔다.", "기차역의 벽을 지나는 장면."]);
    let by_book = reader.get(&server, "/api/v1/today-flow?date=2026-03-02&sortBy=BOOK").await;
    assert_eq!(
        (&by_book["totalMemoCount"], by_book["memosByBook"].as_array().unwrap().len()),
        (&json!(2), 2)
    );
    let by_tag = reader.get(&server, "/api/v1/today-flow?date=2026-03-02&sortBy=TAG").await;
    assert_eq!(by_tag["memosByTag"][0]["tag"]["code"], tag);
    assert_eq!(contents(&by_tag["memosByTag"][0]["memos"]).len(), 2);
    let days = reader.get(&server, "/api/v1/memos/dates?year=2026&month=3").await;
    assert_eq!(days, json!(["2026-03-01", "2026-03-02"]));

    // The book is closed on page 300 of 360: the category follows from it.
    let close = json!({ "lastReadPage": 300 });
    reader
        .done(&server, Method::POST, &format!("/api/v1/memos/books/{potter_id}/close"), Some(close))
        .await;
    let almost = reader.get(&server, "/api/v1/user/books?category=AlmostFinished").await;
    assert_eq!(
        (&almost["totalCount"], &almost["books"][0]["title"]),
        (&json!(1), &json!("해리 포터와 마법사의 돌"))
    );

    // All of it can be taken along.
    let export = reader.get(&server, "/api/v1/export").await;
    assert_eq!(export["memos"].as_array().unwrap().len(), memos.len(), "{export}");

    // Somebody else, to whom it is given, has the same memos then.
    let friend = Reader::sign_up(&server, "friend").await;
    let taken = friend.done(&server, Method::POST, "/api/v1/import", Some(export.clone())).await;
    assert_eq!((&taken["booksAdded"], &taken["memosAdded"]), (&json!(2), &json!(3)), "{taken}");

    // The server is stopped and started. Everything is still there.
    let before = everything(&server, &reader, &potter_id).await;
    let finished = server.program.stop().unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let server = place.serve();
    let reader = Reader::log_in(&server, "walker").await;
    assert_eq!(everything(&server, &reader, &potter_id).await, before);
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

/// Where the store is: what every command is told.
struct Place {
    arguments: Vec<String>,
}

impl Place {
    fn serve(&self) -> Server {
        let mut arguments = vec!["serve"];
        arguments.extend(self.arguments.iter().map(String::as_str));
        Server::start_with(&arguments)
    }

    /// `endpaper import catalogue --json`, and what it says it did.
    fn import_catalogue(&self, file: &Path) -> Value {
        let file = file.display().to_string();
        let mut arguments = vec!["import", "catalogue", "--json", &file];
        arguments.extend(self.arguments.iter().map(String::as_str));
        let finished = run(&arguments);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        serde_json::from_str(&finished.stdout).expect(&finished.stdout)
    }
}

/// As an operator writes it.
fn configuration(masters: &[MariaDb; 2]) -> String {
    let mut text =
        String::from("data = \"data\"\n[store]\npolicy = \"available\"\nprobe_ms = 50\n");
    for (name, master) in ["one", "two"].into_iter().zip(masters) {
        let url = master.url("endpaper");
        writeln!(text, "[[masters]]\nname = \"{name}\"\nurl = \"{url}\"").unwrap();
    }
    text
}

/// A catalogue to import, and a book of it.
struct Catalogue {
    file: PathBuf,
    /// How many books it has.
    books: u64,
    isbn: String,
    title: String,
    part_of_a_title: String,
}

const HEADING: &str = "book_id,goodreads_book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,original_publication_year,original_title,title,language_code,average_rating,ratings_count,work_ratings_count,work_text_reviews_count,ratings_1,ratings_2,ratings_3,ratings_4,ratings_5,image_url,small_image_url";

/// The real catalogue beside the project, where it is; else a small one.
fn catalogue(scratch: &Path) -> Catalogue {
    let real =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/goodbooks/books.csv");
    if real.exists() {
        return Catalogue {
            file: real,
            books: 10_000,
            isbn: "9780439023481".to_owned(),
            title: "The Hunger Games (The Hunger Games, #1)".to_owned(),
            part_of_a_title: "hunger gam".to_owned(),
        };
    }
    let file = scratch.join("books.csv");
    let rows = "\
        1,2657,2657,3275794,487,61120081,9.78006112008e+12,Harper Lee,1960.0,To Kill a Mockingbird,To Kill a Mockingbird,eng,4.25,3198671,3340896,72586,60427,117415,446835,1001952,1714267,,\n\
        2,4671,4671,245494,1356,743273567,9.78074327356e+12,F. Scott Fitzgerald,1925.0,The Great Gatsby,The Great Gatsby,eng,3.89,2683664,2773745,51992,86236,197621,606158,936012,947718,,\n";
    fs::write(&file, format!("{HEADING}\n{rows}")).unwrap();
    Catalogue {
        file,
        books: 2,
        isbn: "9780743273565".to_owned(),
        title: "The Great Gatsby".to_owned(),
        part_of_a_title: "eat gats".to_owned(),
    }
}

const KOREAN_ISBN: &str = "9788983920676";

fn korean_catalogue(scratch: &Path) -> PathBuf {
    let file = scratch.join("korean.csv");
    let row = "1,990001,990001,1,1,898392067X,,\"J.K. 롤링, 김혜원\",1999.0,,해리 포터와 마법사의 돌,kor,4.5,10,10,1,0,0,1,3,6,,";
    fs::write(&file, format!("{HEADING}\n{row}\n")).unwrap();
    file
}

/// The titles that a search finds.
async fn search(server: &Server, typed: &str) -> Vec<String> {
    let query: String = typed.bytes().fold(String::new(), |mut query, byte| {
        write!(query, "%{byte:02X}").unwrap();
        query
    });
    let path = format!("/api/v1/books/search?query={query}&queryType=TITLE&maxResults=10");
    let (status, answer) = server.ask(Method::GET, &path, None, None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let books = answer["data"]["books"].as_array().unwrap();
    books.iter().map(|book| book["title"].as_str().unwrap().to_owned()).collect()
}

async fn write_memo(
    server: &Server,
    reader: &Reader,
    book: &str,
    page: u32,
    content: &str,
    at: &str,
    tags: &[&str],
) {
    let memo = json!({ "userBookId": book, "pageNumber": page, "content": content, "tags": tags, "memoStartTime": at });
    let written = reader.done(server, Method::POST, "/api/v1/memos", Some(memo)).await;
    assert_eq!(written["content"], content);
}

fn contents(memos: &Value) -> Vec<&str> {
    memos.as_array().unwrap().iter().map(|memo| memo["content"].as_str().unwrap()).collect()
}

/// What a reader has, as the API tells it.
async fn everything(server: &Server, reader: &Reader, book: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    for path in [
        "/api/v1/users/me",
        "/api/v1/user/books",
        &format!("/api/v1/memos/books/{book}"),
        "/api/v1/today-flow?date=2026-03-02&sortBy=SESSION",
        "/api/v1/books/search?query=a&queryType=TITLE",
    ] {
        answers.push(reader.get(server, path).await);
    }
    answers
}

async fn health(server: &Server) -> Value {
    server.ask(Method::GET, "/api/v1/health", None, None).await.1["data"].take()
}
