use endpaper_reading::store;
use multi_master::{Db, DbError};
use serde_json::{Value, json};

use crate::world::World;

const DUNE: &str = "9780441172719";
const EMMA: &str = "9780141439587";
/// A well-formed id that nobody has.
const NOBODYS: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

fn titles(shelf: &Value) -> Vec<&str> {
    shelf["books"].as_array().unwrap().iter().map(|book| book["title"].as_str().unwrap()).collect()
}

async fn a_book_goes_through_its_categories(world: World) {
    let shelved = world
        .post(
            "/user/books",
            json!({
                "isbn": "0-441-17271-7", "title": "Dune", "author": "Frank Herbert",
                "publisher": "Ace", "pubDate": "1965", "totalPages": 600, "mainGenre": "Fiction",
                "coverUrl": "https://covers.example/dune.jpg", "description": "Sand.\nSpice.",
                "category": "ToRead", "expectation": "worms",
            }),
        )
        .send()
        .await
        .created();
    assert_eq!(shelved["title"], "Dune");
    assert_eq!(shelved["category"], "ToRead");
    let book = shelved["userBookId"].as_str().unwrap();

    let started = world
        .post(
            &format!("/user/books/{book}/start-reading"),
            json!({
                "readingStartDate": "2024-04-01", "readingProgress": 10, "purchaseType": "Borrowed",
            }),
        )
        .send()
        .await
        .ok();
    assert_eq!(started["category"], "Reading");
    assert_eq!(started["readingPercent"], 1);

    let close = format!("/memos/books/{book}/close");
    let almost = world.post(&close, json!({"lastReadPage": 420})).send().await.ok();
    assert_eq!(almost["category"], "AlmostFinished");

    let asked = world.post(&close, json!({"lastReadPage": 600})).send().await;
    asked.refuses(&["readingFinishedDate", "rating"]);
    let finished = world
        .post(
            &close,
            json!({
                "lastReadPage": 600, "readingFinishedDate": "2024-04-30", "rating": 5,
                "review": "=SUM(worms)",
            }),
        )
        .send()
        .await
        .ok();
    assert_eq!(finished["category"], "Finished");

    let again = world
        .post(
            &format!("/user/books/{book}/finish-reading"),
            json!({
                "readingFinishedDate": "2024-05-01", "rating": 4,
            }),
        )
        .send()
        .await
        .ok();
    assert_eq!(again["review"], "=SUM(worms)", "what is not given stays");

    let shelf = world.get("/user/books").send().await.ok();
    assert_eq!(shelf["totalCount"], 1);
    let book = &shelf["books"][0];
    let expected = json!({
        "isbn": DUNE, "isbn13": DUNE, "title": "Dune", "author": "Frank Herbert",
        "publisher": "Ace", "pubDate": "1965", "totalPages": 600, "mainGenre": "Fiction",
        "coverUrl": "https://covers.example/dune.jpg", "description": "Sand.\nSpice.",
        "category": "Finished", "categoryByHand": false, "expectation": "worms",
        "readingStartDate": "2024-04-01", "readingProgress": 600, "readingPercent": 100,
        "purchaseType": "Borrowed", "readingFinishedDate": "2024-05-01", "rating": 4,
        "review": "=SUM(worms)", "createdAt": "2024-05-01T03:00:00Z",
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&book[field], value, "{field}");
    }
}

async fn the_same_book_twice_is_one_book(world: World) {
    let first = world.shelved(1, DUNE).await;
    // Written otherwise, it is the same book.
    for isbn in [DUNE, "978-0-441-17271-9", "0441172717"] {
        let got = world.post("/user/books", json!({"isbn": isbn, "title": "D"})).send().await;
        assert_eq!(got.refused(409).0, "BOOK_ALREADY_ON_SHELF");
        assert_eq!(got.json()["error"]["details"]["existingId"], first.as_str());
    }
    let another = world.shelved(2, DUNE).await;
    assert_ne!(first, another, "another reader has another shelf");
}

async fn two_devices_at_once_make_one_book(world: World) {
    for round in 0..20 {
        let body = json!({"title": format!("Book {round}"), "author": "A"});
        let (left, right) = tokio::join!(
            world.post("/user/books", body.clone()).send(),
            world.post("/user/books", body.clone()).send(),
        );
        let (made, refused) = if left.status == 201 { (left, right) } else { (right, left) };
        let made = made.created();
        assert_eq!(refused.refused(409).0, "BOOK_ALREADY_ON_SHELF");
        assert_eq!(refused.json()["error"]["details"]["existingId"], made["userBookId"]);
    }
    assert_eq!(world.get("/user/books").send().await.ok()["totalCount"], 20);
}

async fn two_readers_at_once_share_the_book_and_not_the_shelf(world: World) {
    let body = json!({"isbn": DUNE, "title": "Dune"});
    let all = (1..=8).map(|number| world.post("/user/books", body.clone()).of(number).send());
    let mut books = Vec::new();
    for got in futures(all).await {
        books.push(got.created()["bookId"].as_str().unwrap().to_owned());
    }
    assert!(books.iter().all(|book| *book == books[0]), "{books:?}");
}

async fn futures<F: Future>(all: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(all).await
}

async fn what_one_reader_types_is_not_shown_to_others(world: World) {
    world.shelved(1, DUNE).await;
    let got = world.post("/user/books", json!({"isbn": DUNE})).of(2).send().await;
    got.refuses(&["title"]);
}

async fn a_change_sets_what_is_given_and_keeps_the_rest(world: World) {
    let book = world.shelved(1, DUNE).await;
    let path = format!("/user/books/{book}");
    let change = json!({"author": "F. Herbert", "expectation": "sand", "readingProgress": 70});
    let changed = world.put(&path, change).send().await.ok();
    assert_eq!(changed["category"], "AlmostFinished");
    let changed = world.put(&path, json!({"author": null})).send().await.ok();
    assert_eq!((&changed["author"], &changed["expectation"]), (&Value::Null, &json!("sand")));
    assert_eq!(changed["readingProgress"], 70);
    let unchanged = world.put(&path, json!({})).send().await.ok();
    assert_eq!(unchanged, changed);

    // Another key, and one that is taken.
    let emma = world.shelved(1, EMMA).await;
    let got = world.put(&path, json!({"isbn": EMMA})).send().await;
    assert_eq!(got.refused(409).0, "BOOK_ALREADY_ON_SHELF");
    assert_eq!(got.json()["error"]["details"]["existingId"], emma.as_str());
    let moved = world.put(&path, json!({"isbn": "K642734155"})).send().await.ok();
    assert_eq!((&moved["isbn"], &moved["isbn13"]), (&json!("K642734155"), &Value::Null));
    assert_eq!(moved["userBookId"], book.as_str());
}

async fn a_category_set_by_hand_stays(world: World) {
    let book = world.shelved(1, DUNE).await;
    let set = world.ask("PUT", &format!("/user/books/{book}/category?category=Reading"));
    let set = set.send().await.ok();
    assert_eq!((&set["category"], &set["categoryByHand"]), (&json!("Reading"), &json!(true)));
    let close = format!("/memos/books/{book}/close");
    let closed = world.post(&close, json!({"lastReadPage": 90})).send().await.ok();
    assert_eq!((&closed["category"], &closed["readingProgress"]), (&json!("Reading"), &json!(90)));

    let wrong = world.ask("PUT", &format!("/user/books/{book}/category?category=Read"));
    wrong.send().await.refuses(&["category"]);
    let none = world.ask("PUT", &format!("/user/books/{book}/category"));
    none.send().await.refuses(&["category"]);
}

async fn the_shelf_is_sorted_for_its_reader(world: World) {
    for (title, author, publisher, genre, category) in [
        ("토지 10권", Some("박경리"), "다산", "소설", "ToRead"),
        ("Emma", Some("Jane Austen"), "Penguin", "Novel", "Reading"),
        ("가람", None, "문학동네", "시", "ToRead"),
        ("토지 2권", Some("박경리"), "다산", "소설", "ToRead"),
        ("éclair", Some("Zola"), "Albin", "Food", "ToRead"),
    ] {
        let body = json!({
            "title": title, "author": author, "publisher": publisher, "mainGenre": genre,
            "category": category,
        });
        world.post("/user/books", body).send().await.created();
    }
    let shelf = async |query: &str, language: &str| {
        let got = world.get(&format!("/user/books{query}")).language(language).send().await.ok();
        titles(&got).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shelf("", "ko").await, ["가람", "토지 2권", "토지 10권", "éclair", "Emma"]);
    assert_eq!(shelf("", "en").await, ["éclair", "Emma", "가람", "토지 2권", "토지 10권"]);
    assert_eq!(
        shelf("?sortBy=AUTHOR", "ko").await,
        ["토지 2권", "토지 10권", "Emma", "éclair", "가람"],
        "a book without an author comes last"
    );
    assert_eq!(
        shelf("?sortBy=PUBLISHER", "ko").await,
        ["토지 2권", "토지 10권", "가람", "éclair", "Emma"]
    );
    assert_eq!(
        shelf("?sortBy=GENRE", "en").await,
        ["éclair", "Emma", "토지 2권", "토지 10권", "가람"]
    );
    assert_eq!(shelf("?category=Reading", "ko").await, ["Emma"]);
    world.get("/user/books?sortBy=PRICE").send().await.refuses(&["sortBy"]);
    world.get("/user/books?category=").send().await.refuses(&["category"]);
}

async fn a_book_that_comes_back_brings_its_memos(world: World) {
    let book = world.shelved(1, DUNE).await;
    let memo = world.memo(1, &book, "2024-05-01T09:00:00+09:00", &[]).await;
    for _ in 0..2 {
        world.delete(&format!("/user/books/{book}")).send().await.ok();
    }
    assert_eq!(world.get("/user/books").send().await.ok()["totalCount"], 0);
    let memo_path = format!("/memos/{}", memo["id"].as_str().unwrap());
    for (got, code) in [
        (world.get(&format!("/memos/books/{book}")).send().await, "USER_BOOK_NOT_FOUND"),
        (world.put(&memo_path, json!({"pageNumber": 2})).send().await, "MEMO_NOT_FOUND"),
        (world.put(&format!("/user/books/{book}"), json!({})).send().await, "USER_BOOK_NOT_FOUND"),
    ] {
        assert_eq!(got.refused(404).0, code);
    }
    assert_eq!(world.get("/today-flow?date=2024-05-01").send().await.ok()["totalMemoCount"], 0);
    assert_eq!(world.get("/memos/dates?year=2024&month=5").send().await.ok(), json!([]));
    assert_eq!(world.get("/memos/books/recent").send().await.ok(), json!([]));

    let back = world.shelved(1, DUNE).await;
    assert_eq!(back, book, "the same book has its old id");
    let memos = world.get(&format!("/memos/books/{book}")).send().await.ok();
    assert_eq!(memos, json!([memo]));

    // And a second removal and return is like the first.
    world.delete(&format!("/user/books/{book}")).send().await.ok();
    assert_eq!(world.shelved(1, DUNE).await, book);
}

async fn another_readers_book_is_not_there(world: World) {
    let book = world.shelved(1, DUNE).await;
    let started = json!({"readingStartDate": "2024-04-01", "readingProgress": 1});
    let finished = json!({"readingFinishedDate": "2024-04-01", "rating": 1});
    let memo = json!({
        "userBookId": book, "pageNumber": 1, "content": "x", "tags": [],
        "memoStartTime": "2024-05-01T09:00:00+09:00",
    });
    for id in [book.as_str(), NOBODYS] {
        let asks = [
            world.put(&format!("/user/books/{id}"), json!({"title": "Mine"})),
            world.ask("PUT", &format!("/user/books/{id}/category?category=Finished")),
            world.post(&format!("/user/books/{id}/start-reading"), started.clone()),
            world.post(&format!("/user/books/{id}/finish-reading"), finished.clone()),
            world.post(&format!("/memos/books/{id}/close"), json!({"lastReadPage": 1})),
            world.get(&format!("/memos/books/{id}")),
        ];
        for ask in asks {
            assert_eq!(ask.of(2).send().await.refused(404).0, "USER_BOOK_NOT_FOUND");
        }
    }
    assert_eq!(world.post("/memos", memo).of(2).send().await.refused(404).0, "USER_BOOK_NOT_FOUND");
    world.delete(&format!("/user/books/{book}")).of(2).send().await.ok();
    let shelf = world.get("/user/books").send().await.ok();
    assert_eq!(titles(&shelf), [format!("Book {DUNE}")], "and it is as it was");
    assert_eq!(world.get("/user/books").of(2).send().await.ok()["totalCount"], 0);
}

async fn bad_input_names_its_fields_and_changes_nothing(world: World) {
    let shelve = async |body: Value| world.post("/user/books", body).send().await;
    shelve(json!({})).await.refuses(&["title"]);
    shelve(json!({"isbn": "9780441172718", "title": "D"})).await.refuses(&["isbn"]);
    shelve(json!({"isbn": "not-an-isbn", "title": "D"})).await.refuses(&["isbn"]);
    shelve(json!({"title": "가".repeat(501)})).await.refuses(&["title"]);
    shelve(json!({"title": "D", "rating": 5, "category": "Reading"})).await.refuses(&["rating"]);
    shelve(json!({"title": "D", "rating": 0, "category": "Finished"})).await.refuses(&["rating"]);
    shelve(json!({"title": "D", "rating": 4.5})).await.refuses(&["rating"]);
    shelve(json!({"title": "D", "totalPages": "many"})).await.refuses(&["totalPages"]);
    shelve(json!({"title": "D", "category": "Read"})).await.refuses(&["category"]);
    shelve(json!({"title": "D", "purchaseType": "Stolen"})).await.refuses(&["purchaseType"]);
    shelve(json!({"title": "D", "readingStartDate": "2024-02-30"}))
        .await
        .refuses(&["readingStartDate"]);
    let read = json!({"title": "D", "category": "Finished", "readingFinishedDate": "2999-01-01"});
    shelve(read).await.refuses(&["readingFinishedDate"]);
    shelve(json!({"title": "D", "pubDate": "tomorrow"})).await.refuses(&["pubDate"]);
    shelve(json!({"title": "D", "coverUrl": "javascript:alert(1)"})).await.refuses(&["coverUrl"]);
    shelve(json!({"title": "a\u{0}b"})).await.refuses(&["title"]);
    shelve(json!({"title": 5})).await.refuses(&["title"]);
    shelve(json!({"title": "D", "expectation": "x".repeat(501)})).await.refuses(&["expectation"]);
    let many = json!({"isbn": "1", "title": "", "totalPages": 0, "readingProgress": -1});
    shelve(many).await.refuses(&["isbn", "totalPages", "title", "readingProgress"]);
    let unknown = shelve(json!({"title": "D", "userId": NOBODYS})).await;
    assert_eq!(unknown.refused(400), ("UNKNOWN_FIELD".to_owned(), vec!["userId".to_owned()]));

    let post = || world.ask("POST", "/user/books");
    let got = post().bytes("application/json", b"{\"title\": \"\xff\"}".to_vec()).send().await;
    assert_eq!(got.refused(400).0, "MALFORMED_JSON");
    let got = post().bytes("application/json", "{\"title\": \"D\"").send().await;
    assert_eq!(got.refused(400).0, "MALFORMED_JSON");
    let got = post().bytes("text/plain", "{\"title\": \"D\"}").send().await;
    assert_eq!(got.refused(415).0, "UNSUPPORTED_MEDIA_TYPE");
    let got = post().bytes("application/json", "x".repeat(300 * 1024)).send().await;
    assert_eq!(got.refused(413).0, "BODY_TOO_LARGE");
    let got = post().json(&json!({"title": "D"})).of_nobody().send().await;
    assert_eq!(got.refused(401).0, "UNAUTHORIZED");
    world.put("/user/books/7", json!({})).send().await.refuses(&["id"]);

    let books = world
        .store
        .read(async |db: &mut Db| {
            let rows = db.query("select id from books", vec![]).await?;
            Ok::<_, DbError>(rows.len() as u64 + store::books::count(db).await?)
        })
        .await;
    assert_eq!(
        (books, world.get("/user/books").send().await.ok()["totalCount"].clone()),
        (Ok(0), json!(0))
    );
}

async fn a_title_typed_on_a_mac_is_the_same_title(world: World) {
    let apart = "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1161}\u{11bc}";
    world.post("/user/books", json!({"title": apart})).send().await.created();
    let got = world.post("/user/books", json!({"title": "한강"})).send().await;
    assert_eq!(got.refused(409).0, "BOOK_ALREADY_ON_SHELF");
    let shelf = world.get("/user/books").send().await.ok();
    assert_eq!(titles(&shelf), ["한강"]);
}

async fn a_fresh_service_on_the_same_store_has_the_same_shelf(world: World) {
    let book = world.shelved(1, DUNE).await;
    let again = endpaper_reading::ReadingService::new(
        world.store.clone(),
        endpaper_reading::sources::BookSources::default(),
        world.clock.clone(),
        world.ids.clone(),
    );
    let reader = crate::world::reader(1);
    let found = again.shelf_book(reader, book.parse().unwrap()).await.unwrap();
    assert_eq!(found, world.service.shelf_book(reader, book.parse().unwrap()).await.unwrap());
}

crate::world::checks! {
    a_book_goes_through_its_categories,
    the_same_book_twice_is_one_book,
    two_devices_at_once_make_one_book,
    two_readers_at_once_share_the_book_and_not_the_shelf,
    what_one_reader_types_is_not_shown_to_others,
    a_change_sets_what_is_given_and_keeps_the_rest,
    a_category_set_by_hand_stays,
    the_shelf_is_sorted_for_its_reader,
    a_book_that_comes_back_brings_its_memos,
    another_readers_book_is_not_there,
    bad_input_names_its_fields_and_changes_nothing,
    a_title_typed_on_a_mac_is_the_same_title,
    a_fresh_service_on_the_same_store_has_the_same_shelf,
}
