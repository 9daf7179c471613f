use endpaper_api::ErrorCode;
use serde_json::{Value, json};

use crate::world::World;

const TIME: &str = "2024-05-01T09:00:00+09:00";
const ID: &str = "018f3a5e-7c00-7abc-8def-0123456789ab";

fn memo(book: &str) -> Value {
    json!({
        "userBookId": book, "pageNumber": 12, "content": "모든 것은 지나간다.",
        "tags": ["QUOTE", "LOVE"], "memoStartTime": TIME,
    })
}

/// The memo with one field replaced, or added.
fn with(book: &str, field: &str, value: Value) -> Value {
    let mut memo = memo(book);
    memo[field] = value;
    memo
}

async fn a_memo_is_written_read_changed_and_deleted(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let got = world.post("/memos", memo(&book)).send().await;
    let written = got.created();
    let version = written["version"].as_str().unwrap().to_owned();
    assert_eq!(got.headers["etag"], format!("\"{version}\""));
    let expected = json!({
        "userBookId": book, "bookTitle": "Book 9780441172719", "bookIsbn": "9780441172719",
        "pageNumber": 12, "content": "모든 것은 지나간다.", "tags": ["QUOTE", "LOVE"],
        "tagCategory": null, "memoStartTime": "2024-05-01T00:00:00Z",
        "createdAt": "2024-05-01T03:00:00Z", "updatedAt": "2024-05-01T03:00:00Z",
        "id": written["id"], "version": version,
    });
    assert_eq!(written, expected);

    world.clock.advance(std::time::Duration::from_mins(1));
    let path = format!("/memos/{}", written["id"].as_str().unwrap());
    let got = world.put(&path, json!({"content": "둘째"})).send().await;
    let changed = got.ok();
    assert_eq!(changed["content"], "둘째");
    assert_eq!(changed["tags"], json!(["QUOTE", "LOVE"]), "what is not given stays");
    assert_eq!(changed["updatedAt"], "2024-05-01T03:01:00Z");
    assert_eq!(changed["createdAt"], "2024-05-01T03:00:00Z");
    let newer: i64 = changed["version"].as_str().unwrap().parse().unwrap();
    assert!(newer > version.parse().unwrap());
    assert_eq!(got.headers["etag"], format!("\"{newer}\""));

    let same = world.put(&path, json!({"content": "둘째"})).send().await.ok();
    assert_eq!(same, changed, "a change that changes nothing makes no version");
    let same = world.put(&path, json!({})).send().await.ok();
    assert_eq!(same, changed);

    let tagged = world
        .put(&path, json!({"tags": ["LOVE"], "tagCategory": "TOPIC", "pageNumber": 13}))
        .send()
        .await
        .ok();
    assert_eq!(tagged["tagCategory"], "TOPIC");
    world.put(&path, json!({"tags": ["QUOTE"]})).send().await.refuses(&["tags"]);
    let freed = world.put(&path, json!({"tags": ["QUOTE"], "tagCategory": null})).send().await.ok();
    assert_eq!((&freed["tags"], &freed["tagCategory"]), (&json!(["QUOTE"]), &Value::Null));

    let of_book = format!("/memos/books/{book}");
    assert_eq!(world.get(&of_book).send().await.ok(), json!([freed]));
    for _ in 0..2 {
        world.delete(&path).send().await.ok();
    }
    assert_eq!(world.get(&of_book).send().await.ok(), json!([]));
    assert_eq!(world.put(&path, json!({})).send().await.refused(404).0, "MEMO_NOT_FOUND");
}

async fn a_change_holds_only_for_the_version_that_was_seen(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let got = world.post("/memos", memo(&book)).send().await;
    let seen = got.headers["etag"].to_str().unwrap().to_owned();
    let path = format!("/memos/{}", got.created()["id"].as_str().unwrap());
    let change = |content: &str| world.put(&path, json!({"content": content}));

    let first = change("first").header("if-match", &seen).send().await;
    first.ok();
    let late = change("late").header("if-match", &seen).send().await;
    assert_eq!(late.refused(412).0, ErrorCode::VersionConflict.as_str());
    for wrong in ["nonsense", "\"0\"", "W/\"1\"", ""] {
        assert_eq!(change("late").header("if-match", wrong).send().await.status, 412, "{wrong}");
    }
    change("any").header("if-match", "*").send().await.ok();
    let memos = world.get(&format!("/memos/books/{book}")).send().await.ok();
    assert_eq!(memos[0]["content"], "any");
}

async fn another_readers_memo_is_not_there(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let written = world.post("/memos", memo(&book)).send().await.created();
    let path = format!("/memos/{}", written["id"].as_str().unwrap());
    let got = world.put(&path, json!({"content": "mine now"})).of(2).send().await;
    assert_eq!(got.refused(404).0, "MEMO_NOT_FOUND");
    world.delete(&path).of(2).send().await.ok();
    let memos = world.get(&format!("/memos/books/{book}")).send().await.ok();
    assert_eq!(memos, json!([written]));
    let theirs = world.get("/today-flow?date=2024-05-01").of(2).send().await.ok();
    assert_eq!(theirs["totalMemoCount"], 0);
}

async fn bad_input_names_its_fields_and_changes_nothing(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let write = async |body: Value| world.post("/memos", body).send().await;
    let refused = async |field: &str, value: Value| {
        write(with(&book, field, value)).await.refuses(&[field]);
    };
    refused("content", json!("가".repeat(5_001))).await;
    refused("content", json!("")).await;
    refused("content", json!(" \n ")).await;
    refused("content", json!(null)).await;
    refused("content", json!(7)).await;
    refused("content", json!("a\u{7}")).await;
    refused("pageNumber", json!(0)).await;
    refused("pageNumber", json!(-1)).await;
    refused("pageNumber", json!(100_001)).await;
    refused("pageNumber", json!("12")).await;
    refused("pageNumber", json!(1.5)).await;
    refused("tags", json!(["NO_SUCH_TAG"])).await;
    refused("tags", json!("QUOTE")).await;
    refused("tagCategory", json!("type")).await;
    refused("memoStartTime", json!("2024-02-30T09:00:00+09:00")).await;
    refused("memoStartTime", json!("2024-05-01T09:00:00")).await;
    refused("memoStartTime", json!("yesterday")).await;
    refused("memoStartTime", json!(1_714_532_400)).await;
    refused("userBookId", json!("7")).await;
    refused("id", json!("7")).await;
    refused("id", json!("f47ac10b-58cc-4372-a567-0e02b2c3d479")).await;
    write(with(&book, "tagCategory", json!("TYPE"))).await.refuses(&["tags"]);
    let several = json!({
        "userBookId": "x", "pageNumber": 0, "content": "", "tags": ["X"], "memoStartTime": TIME,
    });
    write(several).await.refuses(&["userBookId", "pageNumber", "content", "tags"]);
    write(json!({})).await.refuses(&["userBookId"]);
    let unknown = write(with(&book, "userId", json!(1))).await;
    assert_eq!(unknown.refused(400), ("UNKNOWN_FIELD".to_owned(), vec!["userId".to_owned()]));
    let nobodys = with("0190163d-8694-739b-aea5-966c26f8ad91", "pageNumber", json!(1));
    assert_eq!(write(nobodys).await.refused(404).0, "USER_BOOK_NOT_FOUND");
    assert_eq!(world.get("/today-flow?date=2024-05-01").send().await.ok()["totalMemoCount"], 0);

    // The longest that there is, of the widest characters.
    let longest = "😀".repeat(5_000);
    let written = write(with(&book, "content", json!(longest))).await.created();
    assert_eq!(written["content"], longest);
    let path = format!("/memos/{}", written["id"].as_str().unwrap());
    for (field, value) in [
        ("content", json!("가".repeat(5_001))),
        ("pageNumber", json!(0)),
        ("tags", json!(["?"])),
        ("tagCategory", json!("ALL")),
    ] {
        world.put(&path, json!({field: value})).send().await.refuses(&[field]);
    }
    let got = world.put(&path, json!({"memoStartTime": TIME})).send().await;
    assert_eq!(got.refused(400).0, "UNKNOWN_FIELD");
    world.put("/memos/7", json!({})).send().await.refuses(&["id"]);
}

async fn the_messages_are_in_the_readers_language(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let got = world.post("/memos", with(&book, "pageNumber", json!(0))).language("ko").send().await;
    let json = got.json();
    assert_eq!(json["error"]["fields"][0]["message"], "1에서 100000 사이의 수여야 합니다.");
    assert_eq!(got.headers["content-language"], "ko");
}

async fn a_memo_typed_on_a_mac_reads_the_same(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let written = world
        .post("/memos", with(&book, "content", json!("\u{1112}\u{1161}\u{11ab}\r\n글")))
        .send()
        .await
        .created();
    assert_eq!(written["content"], "한\n글");
}

async fn one_memo_under_one_id(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let body = with(&book, "id", json!(ID));
    let first = world.post("/memos", body.clone()).send().await;
    assert_eq!(first.created()["id"], ID);
    let repeat = world.post("/memos", body.clone()).send().await;
    assert_eq!(repeat.text, first.text);

    // The repeat of a request whose memo was changed since is no other memo.
    let path = format!("/memos/{ID}");
    world.put(&path, json!({"content": "changed"})).send().await.ok();
    let late = world.post("/memos", body.clone()).send().await.created();
    assert_eq!(late["content"], "changed");

    let mut other = body.clone();
    other["content"] = json!("another");
    assert_eq!(world.post("/memos", other).send().await.refused(409).0, "ID_TAKEN");
    let theirs = world.shelved(2, "9780441172719").await;
    for book in [theirs.as_str(), book.as_str()] {
        let got = world.post("/memos", with(book, "id", json!(ID))).of(2).send().await;
        assert_eq!(got.refused(409).0, "ID_TAKEN");
        assert!(!got.text.contains("changed") && !got.text.contains("지나간다"), "{}", got.text);
    }
    assert_eq!(world.get("/today-flow?date=2024-05-01").send().await.ok()["totalMemoCount"], 1);
}

async fn the_tag_catalogue_is_for_everybody(world: World) {
    let tags = world.get("/tags").of_nobody().send().await.ok();
    let tags = tags.as_array().unwrap();
    assert_eq!(
        tags[0],
        json!({"code": "QUOTE", "category": "TYPE", "labels": {"ko": "인용", "en": "Quote"}})
    );
    assert!(tags.iter().any(|tag| tag["category"] == "TOPIC"));

    let book = world.shelved(1, "9780441172719").await;
    for tag in tags {
        world.post("/memos", with(&book, "tags", json!([tag["code"]]))).send().await.created();
    }
}

crate::world::checks! {
    a_memo_is_written_read_changed_and_deleted,
    a_change_holds_only_for_the_version_that_was_seen,
    another_readers_memo_is_not_there,
    bad_input_names_its_fields_and_changes_nothing,
    the_messages_are_in_the_readers_language,
    a_memo_typed_on_a_mac_reads_the_same,
    one_memo_under_one_id,
    the_tag_catalogue_is_for_everybody,
}

#[tokio::test]
async fn what_can_not_be_empty_is_not_emptied() {
    let world = World::new().await;
    let book = world.shelved(1, "9780441172719").await;
    let memo = world.memo(1, &book, "2024-05-01T10:00:00+09:00", &[]).await;
    let path = format!("/memos/{}", memo["id"].as_str().unwrap());
    for field in ["content", "pageNumber", "tags"] {
        world.put(&path, json!({field: null})).send().await.refuses(&[field]);
    }
    let path = format!("/user/books/{book}");
    for field in ["title", "isbn", "category", "readingProgress"] {
        world.put(&path, json!({field: null})).send().await.refuses(&[field]);
    }
    let finished = json!({"readingFinishedDate": "2999-01-01", "rating": 4});
    let path = format!("/user/books/{book}/finish-reading");
    world.post(&path, finished).send().await.refuses(&["readingFinishedDate"]);
    let tomorrow = json!({"readingFinishedDate": "2024-05-02", "rating": 4});
    assert_eq!(world.post(&path, tomorrow).send().await.status, 200, "somewhere it is that day");
    let (path, later) =
        (format!("/user/books/{book}"), json!({"readingFinishedDate": "2999-01-01"}));
    world.put(&path, later).send().await.refuses(&["readingFinishedDate"]);
}

#[tokio::test]
async fn a_memo_is_deleted_in_the_version_that_was_seen() {
    let world = World::new().await;
    let book = world.shelved(1, "9780441172719").await;
    let memo = world.memo(1, &book, "2024-05-01T10:00:00+09:00", &[]).await;
    let path = format!("/memos/{}", memo["id"].as_str().unwrap());
    let seen = format!("\"{}\"", memo["version"].as_str().unwrap());
    let changed = world.put(&path, json!({"content": "other"})).send().await.ok();
    let got = world.delete(&path).header("if-match", &seen).send().await;
    assert_eq!(got.refused(412).0, "VERSION_CONFLICT");
    let now = format!("\"{}\"", changed["version"].as_str().unwrap());
    assert_eq!(world.delete(&path).header("if-match", &now).send().await.status, 200);
    assert_eq!(world.delete(&path).header("if-match", &now).send().await.status, 200, "a repeat");
}

#[tokio::test]
async fn a_day_beyond_the_calendar_is_told_the_range() {
    let world = World::new().await;
    let got = world.get("/today-flow?date=9999-12-31").send().await;
    assert!(got.text.contains("Write a day of the years 1 to 9998."), "{}", got.text);
}
