//! Days in the reader's time zone: a book's memos of a day, the calendar, the
//! flow of a day, books with memos lately.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

fn contents(memos: &Value) -> Vec<String> {
    let content =
        |memo: &Value| memo["content"].as_str().unwrap().trim_start_matches("at ").to_owned();
    memos.as_array().unwrap().iter().map(content).collect()
}

async fn a_day_is_the_readers_day(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    // The last microsecond of the 30th of April in Seoul, and the first of May.
    let last = "2024-04-30T23:59:59.999999+09:00";
    let first = "2024-05-01T00:00:00+09:00";
    for time in [first, last, "2024-05-01T23:59:59+09:00", "2024-05-02T00:00:00+09:00"] {
        world.memo(1, &book, time, &[]).await;
    }
    let of_day = format!("/memos/books/{book}?date=2024-05-01");
    let seoul = world.get(&of_day).send().await.ok();
    assert_eq!(contents(&seoul), [first, "2024-05-01T23:59:59+09:00"]);
    let utc = world.get(&of_day).zone("UTC").send().await.ok();
    assert_eq!(contents(&utc), ["2024-05-01T23:59:59+09:00", "2024-05-02T00:00:00+09:00"]);
    let all = world.get(&format!("/memos/books/{book}")).send().await.ok();
    assert_eq!(contents(&all)[0], last, "in the order of their time");

    let month = |number: u32| format!("/memos/dates?year=2024&month={number}");
    assert_eq!(world.get(&month(5)).send().await.ok(), json!(["2024-05-01", "2024-05-02"]));
    assert_eq!(world.get(&month(4)).send().await.ok(), json!(["2024-04-30"]));
    assert_eq!(
        world.get(&month(4)).zone("America/New_York").send().await.ok(),
        json!(["2024-04-30"])
    );
    assert_eq!(
        world.get(&month(5)).zone("America/New_York").send().await.ok(),
        json!(["2024-05-01"])
    );
    assert_eq!(world.get(&month(6)).send().await.ok(), json!([]));
}

async fn a_day_of_23_hours(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    // New York, 10 March 2024: from 05:00 to 04:00 UTC.
    for time in [
        "2024-03-10T04:59:59Z",
        "2024-03-10T05:00:00Z",
        "2024-03-11T03:59:59Z",
        "2024-03-11T04:00:00Z",
    ] {
        world.memo(1, &book, time, &[]).await;
    }
    let flow = world.get("/today-flow?date=2024-03-10&sortBy=BOOK").zone("America/New_York");
    let flow = flow.send().await.ok();
    assert_eq!(
        contents(&flow["memosByBook"][0]["memos"]),
        ["2024-03-10T05:00:00Z", "2024-03-11T03:59:59Z"]
    );
}

async fn the_flow_of_a_day(world: World) {
    let dune = world.shelved(1, "9780441172719").await;
    let emma = world.shelved(1, "9780141439587").await;
    let at = |time: &str| format!("2024-05-01T{time}:00+09:00");
    for (book, time, tags) in [
        (&dune, "07:00", &["QUOTE"][..]),
        (&emma, "07:30", &["QUOTE", "LOVE"]),
        (&dune, "08:01", &[]),
        (&emma, "21:00", &["LOVE"]),
    ] {
        world.memo(1, book, &at(time), tags).await;
    }
    let flow = async |query: &str| {
        world.get(&format!("/today-flow?date=2024-05-01{query}")).send().await.ok()
    };

    let by_session = flow("").await;
    assert_eq!(
        (&by_session["date"], &by_session["sortBy"]),
        (&json!("2024-05-01"), &json!("SESSION"))
    );
    assert_eq!(by_session["totalMemoCount"], 4);
    let sessions: Vec<_> = by_session["memosBySession"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| {
            (
                session["startedAt"].as_str().unwrap(),
                session["endedAt"].as_str().unwrap(),
                contents(&session["memos"]).len(),
            )
        })
        .collect();
    assert_eq!(
        sessions,
        [
            ("2024-04-30T22:00:00Z", "2024-04-30T22:30:00Z", 2),
            ("2024-04-30T23:01:00Z", "2024-04-30T23:01:00Z", 1),
            ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z", 1),
        ]
    );
    assert!(by_session.get("memosByBook").is_none() && by_session.get("memosByTag").is_none());

    let by_book = flow("&sortBy=BOOK").await;
    assert_eq!(by_book["memosByBook"][0]["userBookId"], dune.as_str());
    assert_eq!(by_book["memosByBook"][0]["bookIsbn"], "9780441172719");
    assert_eq!(contents(&by_book["memosByBook"][1]["memos"]), [at("07:30"), at("21:00")]);

    let groups = |flow: &Value| -> Vec<(Value, Vec<String>)> {
        let group = |group: &Value| (group["tag"]["code"].clone(), contents(&group["memos"]));
        flow["memosByTag"].as_array().unwrap().iter().map(group).collect()
    };
    let quote = (json!("QUOTE"), vec![at("07:00"), at("07:30")]);
    let love = (json!("LOVE"), vec![at("07:30"), at("21:00")]);
    let by_tag = flow("&sortBy=TAG").await;
    assert_eq!(groups(&by_tag), [quote.clone(), love.clone(), (Value::Null, vec![at("08:01")])]);
    assert_eq!(by_tag["totalMemoCount"], 4, "each counted once");
    let by_type = flow("&sortBy=TAG&tagCategory=TYPE").await;
    assert_eq!(groups(&by_type), [quote, (Value::Null, vec![at("08:01"), at("21:00")])]);

    let today = world.get("/today-flow").send().await.ok();
    assert_eq!(today, by_session, "today is the 1st of May in Seoul");
    world.clock.advance(Duration::from_hours(12));
    let today = world.get("/today-flow").send().await.ok();
    assert_eq!((&today["date"], &today["totalMemoCount"]), (&json!("2024-05-02"), &json!(0)));
    let today = world.get("/today-flow").zone("America/New_York").send().await.ok();
    assert_eq!(today["date"], "2024-05-01");
}

async fn books_with_memos_lately(world: World) {
    let dune = world.shelved(1, "9780441172719").await;
    let emma = world.shelved(1, "9780141439587").await;
    world.shelved(1, "9780140449136").await;
    world.memo(1, &emma, "2024-04-20T09:00:00+09:00", &[]).await;
    world.memo(1, &dune, "2024-04-30T09:00:00+09:00", &[]).await;
    world.memo(1, &emma, "2024-05-01T09:00:00+09:00", &[]).await;
    world.memo(1, &dune, "2023-06-01T09:00:00+09:00", &[]).await;
    let recent = async |query: &str| {
        let books = world.get(&format!("/memos/books/recent{query}")).send().await.ok();
        books
            .as_array()
            .unwrap()
            .iter()
            .map(|book| {
                let last = book["lastMemoTime"].as_str().unwrap().to_owned();
                (
                    book["userBookId"].as_str().unwrap().to_owned(),
                    last,
                    book["memoCount"].as_u64().unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    let emmas = (emma, "2024-05-01T00:00:00Z".to_owned(), 2);
    let dunes = (dune, "2024-04-30T00:00:00Z".to_owned(), 1);
    assert_eq!(recent("").await, [emmas.clone(), dunes.clone()]);
    assert_eq!(recent("?months=1").await, [emmas.clone(), dunes.clone()]);
    assert_eq!(recent("?months=12").await, [emmas, (dunes.0, dunes.1, 2)]);
    assert_eq!(world.get("/memos/books/recent").of(2).send().await.ok(), json!([]));
    for months in ["0", "-1", "121", "x", "99999999999999999999"] {
        let got = world.get(&format!("/memos/books/recent?months={months}")).send().await;
        got.refuses(&["months"]);
    }
}

async fn days_that_there_are_not(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    for date in ["2024-02-30", "2023-02-29", "2024-13-01", "20240501", "today", "", "%ED%95%9C"] {
        for path in [format!("/memos/books/{book}?date={date}"), format!("/today-flow?date={date}")]
        {
            world.get(&path).send().await.refuses(&["date"]);
        }
    }
    world.get("/today-flow?date=9999-12-31").send().await.refuses(&["date"]);
    world.get("/today-flow?sortBy=BOOKS").send().await.refuses(&["sortBy"]);
    world.get("/today-flow?tagCategory=ALL").send().await.refuses(&["tagCategory"]);
    world.get("/memos/dates?year=2024&month=13").send().await.refuses(&["month"]);
    world.get("/memos/dates?year=0&month=0").send().await.refuses(&["year", "month"]);
    world.get("/memos/dates?year=2024").send().await.refuses(&["month"]);
    world.get("/memos/dates").send().await.refuses(&["year"]);
    world.get("/today-flow").zone("Mars/Olympus").send().await.refuses(&["X-Time-Zone"]);
    let got = world.get("/today-flow?date=%FF").send().await;
    got.refuses(&["query"]);
    let got =
        world.get("/today-flow?date=2011-12-30&sortBy=BOOK").zone("Pacific/Apia").send().await;
    assert_eq!(got.ok()["totalMemoCount"], 0, "a day that a zone left out has no memos");
}

crate::world::checks! {
    a_day_is_the_readers_day,
    a_day_of_23_hours,
    the_flow_of_a_day,
    books_with_memos_lately,
    days_that_there_are_not,
}
