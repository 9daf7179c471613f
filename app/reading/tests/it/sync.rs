//! What devices edit offline, and what the routes change, are one.

use std::collections::BTreeMap;

use http_body_util::BodyExt as _;
use multi_master::{Db, DbError, Tx, params};
use serde_json::{Value, json};

use crate::world::{Got, NOW, World, checks};

checks! {
    what_a_device_sends_is_what_the_routes_show,
    what_two_devices_put_on_the_shelf_is_one_book,
    what_the_routes_change_devices_are_told,
    what_can_not_be_is_refused_by_its_code_and_harms_nothing_else,
    what_is_from_before_there_was_sync_is_told_too,
    requests_that_are_none_are_named,
    who_listens_hears_of_it,
}

/// A device of reader 1, as the routes see it.
struct Device {
    id: String,
    sequence: u64,
}

impl Device {
    fn new(world: &World) -> Self {
        Self { id: world.ids.next_uuid().to_string(), sequence: 0 }
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers make it in place")]
    fn operation(
        &mut self,
        world: &World,
        table: &str,
        id: &str,
        base: u64,
        action: Value,
    ) -> Value {
        self.sequence += 1;
        json!({
            "id": world.ids.next_uuid(), "sequence": self.sequence,
            "key": {"table": table, "id": id}, "action": action, "base": base,
            "written": NOW.0, "at": NOW.0, "after": 0, "schema": 1,
        })
    }

    fn push_of(&self, operations: &[Value]) -> Value {
        json!({
            "protocol": 1, "account": account(1), "device": self.id, "now": NOW.0, "settled": 0,
            "operations": operations,
        })
    }

    async fn push(&self, world: &World, operations: &[Value]) -> Vec<Value> {
        let answer = world.post("/sync/push", self.push_of(operations)).send().await.ok();
        let answers = answer["answers"].as_array().unwrap();
        assert_eq!(answers.len(), operations.len());
        answers.clone()
    }

    async fn pull(&self, world: &World, cursor: u64) -> Value {
        world.get(&format!("/sync/pull?device={}&cursor={cursor}", self.id)).send().await.ok()
    }
}

fn account(reader: u128) -> String {
    crate::world::reader(reader).to_string()
}

/// What a device holds that pulls everything: by table and id.
async fn held(world: &World) -> BTreeMap<String, Value> {
    let device = Device::new(world);
    let (mut all, mut cursor) = (BTreeMap::new(), 0);
    loop {
        let path = format!("/sync/pull?device={}&cursor={cursor}&anew=0&limit=3", device.id);
        let told = world.get(&path).send().await.ok();
        for change in told["changes"].as_array().unwrap() {
            let key = format!(
                "{}/{}",
                change["key"]["table"].as_str().unwrap(),
                change["key"]["id"].as_str().unwrap()
            );
            if change["fields"].is_null() {
                all.remove(&key);
            } else {
                all.insert(key, change["fields"].clone());
            }
        }
        cursor = told["cursor"].as_u64().unwrap();
        if told["more"] == false {
            return all;
        }
    }
}

fn create(fields: &Value) -> Value {
    json!({"kind": "create", "fields": fields})
}

fn memo_fields(book: &str, page: i64, content: &str) -> Value {
    json!({
        "userBookId": book, "pageNumber": page, "content": content, "tags": ["QUOTE"],
        "memoStartTime": NOW.0,
    })
}

async fn what_a_device_sends_is_what_the_routes_show(world: World) {
    let mut device = Device::new(&world);
    let [book, memo] = [0; 2].map(|_| world.ids.next_uuid().to_string());
    // Both were made offline, the book first.
    let shelf = create(&json!({"title": "소년이 온다", "totalPages": 216, "readingProgress": 30}));
    let operations = [
        device.operation(&world, "shelf", &book, 0, shelf),
        // Decomposed, as some keyboards write it.
        device.operation(
            &world,
            "memos",
            &memo,
            0,
            create(&memo_fields(&book, 12, "\u{1112}\u{1161}\u{11ab} 줄")),
        ),
    ];
    let answers = device.push(&world, &operations).await;
    // What follows from it the device is told.
    assert_eq!(answers[0]["outcome"], "merged");
    assert_eq!(answers[0]["fields"]["category"], "Reading");
    assert_eq!(answers[0]["fields"]["categoryByHand"], false);
    assert_eq!(device.push(&world, &operations).await[0]["version"], answers[0]["version"]);
    let shown = world.get("/user/books").send().await.ok();
    assert_eq!(shown["books"][0]["userBookId"], book);
    assert_eq!(shown["books"][0]["readingPercent"], 13);
    let shown = world.get(&format!("/memos/books/{book}")).send().await.ok();
    assert_eq!(shown[0]["content"], "한 줄", "composed, as everything that is stored");
    assert_eq!(shown.as_array().unwrap().len(), 1, "once");

    // Two devices that had not seen each other's edits, and the website.
    let version = device.pull(&world, 0).await["head"].as_u64().unwrap();
    let edit =
        |fields: Value| json!({"kind": "update", "fields": fields, "bases": {"content": "한 줄"}});
    let path = format!("/memos/{memo}");
    world.put(&path, json!({"pageNumber": 99})).send().await.ok();
    let mut other = Device::new(&world);
    let one =
        device.operation(&world, "memos", &memo, version, edit(json!({"content": "한 줄 더"})));
    let two =
        other.operation(&world, "memos", &memo, version, edit(json!({"content": "또 한 줄"})));
    let merged = device.push(&world, &[one]).await;
    assert_eq!(merged[0]["outcome"], "merged");
    assert_eq!(merged[0]["fields"]["pageNumber"], 99);
    let merged = other.push(&world, &[two]).await;
    assert_eq!(merged[0]["fields"]["content"], "또 한 줄 더");
    let shown = world.get(&format!("/memos/books/{book}")).send().await.ok();
    assert_eq!(
        (&shown[0]["content"], &shown[0]["pageNumber"]),
        (&json!("또 한 줄 더"), &json!(99))
    );

    let gone = device.operation(&world, "memos", &memo, u64::MAX, json!({"kind": "delete"}));
    let off = device.operation(&world, "shelf", &book, u64::MAX, json!({"kind": "delete"}));
    device.push(&world, &[gone, off]).await;
    assert_eq!(world.get("/user/books").send().await.ok()["totalCount"], 0);
    assert_eq!(held(&world).await, BTreeMap::new());
}

/// The id that a device gives to a book with an ISBN.
fn shelf_id(isbn: &str) -> String {
    let key = endpaper_reading::rules::keys::of_input(isbn).unwrap();
    endpaper_reading::rules::keys::shelf_id(crate::world::reader(1), &key).unwrap().to_string()
}

/// Neither has heard of the other, and each has memos under its book.
async fn what_two_devices_put_on_the_shelf_is_one_book(world: World) {
    let (mut one, mut other) = (Device::new(&world), Device::new(&world));
    let book = shelf_id("978-0-441-17271-9");
    let shelve = |rest: Value| {
        let mut fields = json!({"isbn": "9780441172719", "title": "Dune"});
        fields.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        create(&fields)
    };
    let memos = [0; 2].map(|_| world.ids.next_uuid().to_string());
    let first = [
        one.operation(&world, "shelf", &book, 0, shelve(json!({"author": "F. Herbert"}))),
        one.operation(&world, "memos", &memos[0], 0, create(&memo_fields(&book, 1, "one"))),
    ];
    let said = json!({"expectation": "worms", "totalPages": 412, "readingProgress": 30});
    let mut second = [
        other.operation(&world, "shelf", &book, 0, shelve(said)),
        other.operation(&world, "memos", &memos[1], 0, create(&memo_fields(&book, 2, "two"))),
    ];
    // It was made before the other one, which says nothing of what this one says.
    second[0]["at"] = json!(NOW.0 - 3_600_000_000);
    for answer in [one.push(&world, &first).await, other.push(&world, &second).await].concat() {
        assert!(answer["outcome"] == "merged" || answer["outcome"] == "applied", "{answer}");
        assert!(answer["revision"].is_null(), "{answer}");
    }
    let listed = world.get("/user/books").send().await.ok();
    assert_eq!(
        (&listed["totalCount"], &listed["books"][0]["userBookId"]),
        (&json!(1), &json!(book))
    );
    let listed = &listed["books"][0];
    assert_eq!((&listed["totalPages"], &listed["readingProgress"]), (&json!(412), &json!(30)));
    assert_eq!((&listed["expectation"], &listed["category"]), (&json!("worms"), &json!("Reading")));
    assert_eq!(listed["author"], "F. Herbert");
    let listed = world.get(&format!("/memos/books/{book}")).send().await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    // The website gives it the same id, and so does an import.
    let refused = world.post("/user/books", json!({"isbn": "9780441172719", "title": "Dune"}));
    assert_eq!(refused.send().await.refused(409).0, "BOOK_ALREADY_ON_SHELF");
    let shelved = world.shelved(1, "9780140449136").await;
    assert_eq!(shelved, shelf_id("9780140449136"));
    let read = create(&json!({"isbn": "9780140449136", "title": "x", "readingProgress": 7}));
    let mut read = other.operation(&world, "shelf", &shelved, 0, read);
    read["at"] = json!(NOW.0 - 3_600_000_000);
    assert_eq!(other.push(&world, &[read]).await[0]["fields"]["readingProgress"], 7);
    let csv = "Title,Author,ISBN13,Exclusive Shelf\nEmma,Austen,9780141439587,to-read\n";
    let imported = world.ask("POST", "/import/goodreads").bytes("text/csv", csv).send().await;
    assert!(imported.status.is_success(), "{}", imported.text);
    assert!(held(&world).await.contains_key(&format!("shelf/{}", shelf_id("9780141439587"))));
    // A device that never heard that it was there and is gone makes it anew.
    let mut third = Device::new(&world);
    world.delete(&format!("/user/books/{book}")).send().await.ok();
    let again = third.operation(&world, "shelf", &book, 0, shelve(json!({"totalPages": 412})));
    assert_eq!(third.push(&world, &[again]).await[0]["outcome"], "merged");
    assert_eq!(held(&world).await, shown_with_memos(&world, &book, 2).await);
    // Nobody makes ids of other books, or of other readers.
    let wood = json!({"isbn": "9780099448822", "title": "Norwegian Wood"});
    let key = endpaper_reading::rules::keys::of_input("9780099448822").unwrap();
    let theirs = endpaper_reading::rules::keys::shelf_id(crate::world::reader(2), &key).unwrap();
    for id in [shelf_id("9780306406157"), theirs.to_string()] {
        let theirs = third.operation(&world, "shelf", &id, 0, create(&wood));
        assert_eq!(third.push(&world, &[theirs]).await[0]["code"], "VALIDATION_FAILED");
    }
    // The ISBN is corrected, and the book taken off; a device has not heard of it.
    world.put(&format!("/user/books/{book}"), json!({"isbn": "9780306406157"})).send().await.ok();
    world.delete(&format!("/user/books/{book}")).send().await.ok();
    let again = third.operation(&world, "shelf", &book, 0, shelve(json!({})));
    assert_eq!(third.push(&world, &[again]).await[0]["outcome"], "merged");
    let corrected = world.shelved(1, "9780306406157").await;
    assert_ne!(corrected, book);
    assert_eq!(held(&world).await, shown(&world).await);
    // Taken off once more, under either ISBN, each comes back as itself.
    for id in [&book, &corrected] {
        world.delete(&format!("/user/books/{id}")).send().await.ok();
    }
    assert_eq!(world.shelved(1, "9780441172719").await, book);
    assert_eq!(world.shelved(1, "9780306406157").await, corrected);
}

async fn shown_with_memos(world: &World, book: &str, count: usize) -> BTreeMap<String, Value> {
    let shown = shown(world).await;
    let of_it = |fields: &&Value| fields["userBookId"] == book;
    assert_eq!(shown.values().filter(of_it).count(), count, "its memos came back with it");
    shown
}

/// What the routes show, in the form of what devices hold.
async fn shown(world: &World) -> BTreeMap<String, Value> {
    let mut shown = BTreeMap::new();
    let books = world.get("/user/books").send().await.ok()["books"].clone();
    for book in books.as_array().unwrap() {
        let id = book["userBookId"].as_str().unwrap();
        let mut fields = book.clone();
        for other in ["userBookId", "bookId", "isbn13", "readingPercent", "createdAt", "updatedAt"]
        {
            fields.as_object_mut().unwrap().remove(other);
        }
        shown.insert(format!("shelf/{id}"), fields);
        let memos = world.get(&format!("/memos/books/{id}")).send().await.ok();
        for memo in memos.as_array().unwrap() {
            let mut fields = memo.clone();
            for other in ["id", "bookTitle", "bookIsbn", "createdAt", "updatedAt", "version"] {
                fields.as_object_mut().unwrap().remove(other);
            }
            let time: jiff::Timestamp = memo["memoStartTime"].as_str().unwrap().parse().unwrap();
            fields["memoStartTime"] = time.as_microsecond().into();
            shown.insert(format!("memos/{}", memo["id"].as_str().unwrap()), fields);
        }
    }
    shown
}

async fn what_the_routes_change_devices_are_told(world: World) {
    let device = Device::new(&world);
    let book = world.shelved(1, "9780441172719").await;
    let off = world.shelved(1, "9780140449136").await;
    let memo = world.memo(1, &book, "2024-05-01T09:00:00+09:00", &["QUOTE"]).await;
    let gone = world.memo(1, &book, "2024-05-01T10:00:00+09:00", &[]).await;
    world.memo(2, &world.shelved(2, "9780441172719").await, "2024-05-01T10:00:00+09:00", &[]).await;
    assert_eq!(held(&world).await, shown(&world).await);
    let path = |id: &Value| format!("/memos/{}", id.as_str().unwrap());
    let mut cursor = device.pull(&world, 0).await["cursor"].as_u64().unwrap();
    // Each way of changing something is heard of, and tells that one thing alone.
    let steps: Vec<(&str, String, Value)> = vec![
        (
            "PUT",
            path(&memo["id"]),
            json!({"content": "other", "tags": ["LOVE"], "tagCategory": "TOPIC"}),
        ),
        ("DELETE", path(&gone["id"]), Value::Null),
        ("PUT", format!("/user/books/{book}"), json!({"title": "Dune", "author": null})),
        ("PUT", format!("/user/books/{book}/category?category=Reading"), Value::Null),
        (
            "POST",
            format!("/user/books/{book}/start-reading"),
            json!({"readingStartDate": "2024-04-01", "readingProgress": 10}),
        ),
        ("POST", format!("/memos/books/{book}/close"), json!({"lastReadPage": 80})),
        (
            "POST",
            format!("/user/books/{book}/finish-reading"),
            json!({"readingFinishedDate": "2024-04-30", "rating": 5, "review": "좋다"}),
        ),
        ("DELETE", format!("/user/books/{off}"), Value::Null),
        ("POST", "/user/books".to_owned(), json!({"isbn": "9780140449136", "title": "back again"})),
    ];
    for (method, path, body) in steps {
        let ask = world.ask(method, &path);
        let got = if body.is_null() { ask.send().await } else { ask.json(&body).send().await };
        assert!(got.status.is_success(), "{method} {path}: {}", got.text);
        let told = device.pull(&world, cursor).await;
        assert_eq!(told["changes"].as_array().unwrap().len(), 1, "{method} {path}: {told}");
        cursor = told["cursor"].as_u64().unwrap();
        assert_eq!(held(&world).await, shown(&world).await, "{method} {path}");
    }
    // What changes nothing is no news.
    world.put(&path(&memo["id"]), json!({"content": "other"})).send().await.ok();
    assert_eq!(device.pull(&world, cursor).await["changes"], json!([]));
    // An import.
    let csv = "Title,Author,Exclusive Shelf,Private Notes\nEmma,Austen,read,wonderful\n";
    let imported = world.ask("POST", "/import/goodreads").bytes("text/csv", csv).send().await;
    assert!(imported.status.is_success(), "{}", imported.text);
    let told = device.pull(&world, cursor).await["changes"].clone();
    let tables: Vec<&Value> =
        told.as_array().unwrap().iter().map(|change| &change["key"]["table"]).collect();
    assert_eq!(tables, ["shelf", "memos"]);
    assert_eq!(held(&world).await, shown(&world).await);
}

async fn what_can_not_be_is_refused_by_its_code_and_harms_nothing_else(world: World) {
    let mut device = Device::new(&world);
    let book = world.shelved(1, "9780441172719").await;
    let theirs = world.shelved(2, "9780441172719").await;
    let diary = json!({"title": "Diary", "totalPages": 9});
    let their_diary = world.post("/user/books", diary).of(2).send().await.created();
    let their_diary = their_diary["userBookId"].as_str().unwrap().to_owned();
    let their_memo = world.memo(2, &theirs, "2024-05-01T10:00:00+09:00", &[]).await;
    let was_there = world.shelved(1, "9780140449136").await;
    world.delete(&format!("/user/books/{was_there}")).send().await.ok();
    let id = || world.ids.next_uuid().to_string();
    let wrong: Vec<(&str, String, Value, &str)> = vec![
        ("memos", id(), memo_fields(&book, 0, "a"), "VALIDATION_FAILED"),
        ("memos", id(), memo_fields(&book, 1, " "), "VALIDATION_FAILED"),
        ("memos", id(), memo_fields(&book, 1, &"가".repeat(5_001)), "VALIDATION_FAILED"),
        ("memos", id(), json!({"userBookId": book}), "VALIDATION_FAILED"),
        (
            "memos",
            id(),
            json!({"userBookId": 7, "tags": "QUOTE", "content": true}),
            "VALIDATION_FAILED",
        ),
        ("memos", id(), memo_fields(&theirs, 1, "a"), "USER_BOOK_NOT_FOUND"),
        (
            "memos",
            "11111111-1111-4111-8111-111111111111".to_owned(),
            memo_fields(&book, 1, "a"),
            "VALIDATION_FAILED",
        ),
        (
            "memos",
            their_memo["id"].as_str().unwrap().to_owned(),
            memo_fields(&book, 1, "a"),
            "ID_TAKEN",
        ),
        ("memos", id(), json!({"colour": "red"}), "NO_SUCH_FIELD"),
        ("shelf", id(), json!({"isbn": "9780441172719", "title": "Dune"}), "BOOK_ALREADY_ON_SHELF"),
        ("shelf", id(), json!({"isbn": "9780140449136", "title": "x"}), "BOOK_WAS_ON_SHELF"),
        ("shelf", id(), json!({"isbn": "no isbn"}), "VALIDATION_FAILED"),
        ("shelf", id(), json!({"title": "x", "rating": "five"}), "VALIDATION_FAILED"),
        ("shelf", id(), json!({"author": "nobody"}), "VALIDATION_FAILED"),
        ("shelf", id(), json!({"title": "x", "readingProgress": -1}), "VALIDATION_FAILED"),
        ("shelf", their_diary, json!({"title": "x"}), "ID_TAKEN"),
        ("elsewhere", id(), json!({}), "NO_SUCH_TABLE"),
    ];
    let well = id();
    let mut operations: Vec<Value> = wrong
        .iter()
        .map(|(table, id, fields, _)| device.operation(&world, table, id, 0, create(fields)))
        .collect();
    operations.push(device.operation(
        &world,
        "memos",
        &well,
        0,
        create(&memo_fields(&book, 1, "a")),
    ));
    let answers = device.push(&world, &operations).await;
    for ((.., code), answer) in wrong.iter().zip(&answers) {
        assert_eq!(answer["code"], *code, "{answer}");
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    let last = answers.last().unwrap();
    assert!(last["outcome"] == "merged" || last["outcome"] == "applied", "{last}");
    assert_eq!(held(&world).await, shown(&world).await);
    assert_eq!(device.push(&world, &operations).await[..wrong.len()], answers[..wrong.len()]);
    // The book and the time of a memo stay.
    let other = world.shelved(1, "9780306406157").await;
    for fields in [json!({"memoStartTime": 5}), json!({"userBookId": other})] {
        let move_it = json!({"kind": "update", "fields": fields});
        let moved = device.operation(&world, "memos", &well, u64::MAX, move_it);
        assert_eq!(device.push(&world, &[moved]).await[0]["code"], "VALIDATION_FAILED");
    }
    // A memo of it that was written meanwhile waits for it with the others.
    let memo = id();
    let late = create(&memo_fields(&was_there, 1, "late"));
    let late = device.operation(&world, "memos", &memo, 0, late);
    assert_eq!(device.push(&world, &[late]).await[0]["outcome"], "merged");
    // Under its old id the book comes back, and with it its memos.
    let back = create(&json!({"isbn": "9780140449136", "title": "x"}));
    let back = device.operation(&world, "shelf", &was_there, u64::MAX, back);
    assert_eq!(device.push(&world, &[back]).await[0]["outcome"], "merged");
    assert_eq!(world.get("/user/books").send().await.ok()["totalCount"], 3);
    let memos = world.get(&format!("/memos/books/{was_there}")).send().await.ok();
    assert_eq!((&memos[0]["id"], &memos[0]["content"]), (&json!(memo), &json!("late")));
}

async fn what_is_from_before_there_was_sync_is_told_too(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    for hour in 1..5 {
        world.memo(1, &book, &format!("2024-05-01T0{hour}:00:00+09:00"), &[]).await;
    }
    let forget = world.store.write(async move |tx: &mut Tx| {
        for row in tx
            .query("select account_id, table_name, record_id from sync_records", params![])
            .await?
        {
            tx.delete("sync_records", row.values().to_vec()).await?;
        }
        for row in tx.query("select account_id from sync_accounts", params![]).await? {
            tx.delete("sync_accounts", row.values().to_vec()).await?;
        }
        Ok::<_, DbError>(())
    });
    forget.await.into_result().unwrap();
    // Something is written before a device comes.
    world.memo(1, &book, "2024-05-01T08:00:00+09:00", &[]).await;
    assert_eq!(held(&world).await, shown(&world).await);
    let rows = world.store.read(async move |db: &mut Db| {
        db.query("select count(*) as n from sync_records", params![]).await
    });
    assert_eq!(rows.await.unwrap()[0].get::<i64>("n"), Ok(6));
}

async fn requests_that_are_none_are_named(world: World) {
    let device = Device::new(&world);
    let code = |got: Got, status: u16| got.refused(status).0;
    let push = device.push_of(&[]);
    let other = |name: &str, value: Value| {
        let mut push = push.clone();
        push[name] = value;
        world.post("/sync/push", push)
    };
    let got = other("account", account(2).into()).send().await;
    assert_eq!(code(got, 403), "SYNC_WRONG_ACCOUNT");
    assert_eq!(code(other("protocol", 2.into()).send().await, 400), "SYNC_PROTOCOL_UNSUPPORTED");
    assert_eq!(code(other("settled", json!(-1)).send().await, 400), "VALIDATION_FAILED");
    assert_eq!(code(other("colour", 1.into()).send().await, 400), "UNKNOWN_FIELD");
    let pull = |rest: &str| world.get(&format!("/sync/pull?device={}&{rest}", device.id));
    assert_eq!(code(pull("cursor=7").send().await, 410), "SYNC_CURSOR_EXPIRED");
    pull("cursor=-1").send().await.refuses(&["cursor"]);
    world.get("/sync/pull?cursor=0&device=x").send().await.refuses(&["device"]);
    let korean = other("account", account(2).into()).language("ko").send().await;
    assert!(korean.text.contains("다른 계정에서"), "{}", korean.text);
}

async fn who_listens_hears_of_it(world: World) {
    let mut body = world.get("/sync/live").open().await;
    let mut next = async || {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(frame.to_vec()).unwrap()
    };
    assert_eq!(next().await, "event: head\ndata: 0\n\n");
    let watching = world.service.sync().clone();
    let watching = tokio::spawn(async move { watching.watch().await });
    world.shelved(1, "9780441172719").await;
    assert_eq!(next().await, "event: head\ndata: 1\n\n");
    watching.abort();
}
