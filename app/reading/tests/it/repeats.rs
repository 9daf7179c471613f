//! `Idempotency-Key`.

use std::time::Duration;

use multi_master::Db;
use serde_json::{Value, json};

use crate::world::{Ask, World};

fn memo(book: &str, content: &str) -> Value {
    json!({
        "userBookId": book, "pageNumber": 1, "content": content, "tags": [],
        "memoStartTime": "2024-05-01T09:00:00+09:00",
    })
}

fn write<'w>(world: &'w World, key: &str, body: Value) -> Ask<'w> {
    world.post("/memos", body).header("idempotency-key", key)
}

async fn memo_count(world: &World) -> Value {
    world.get("/today-flow?date=2024-05-01").send().await.ok()["totalMemoCount"].clone()
}

async fn a_repeat_gets_the_first_answer(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let first = write(&world, "k-1", memo(&book, "one")).send().await;
    let written = first.created();
    let repeat = write(&world, "k-1", memo(&book, "one")).send().await;
    assert_eq!(repeat, first, "status, headers and body");
    assert_eq!(memo_count(&world).await, 1);

    // Also when the memo was changed, and the book taken off, in between.
    let path = format!("/memos/{}", written["id"].as_str().unwrap());
    world.put(&path, json!({"content": "changed"})).send().await.ok();
    world.delete(&format!("/user/books/{book}")).send().await.ok();
    assert_eq!(write(&world, "k-1", memo(&book, "one")).send().await, first);

    // The same JSON, spelt otherwise.
    let mut spelt = memo(&book, "one").to_string().replace(':', " :\n ");
    spelt = spelt.replace("09 :\n 00 :\n 00+09 :\n 00", "09:00:00+09:00");
    let got = world.ask("POST", "/memos").bytes("application/json", spelt);
    assert_eq!(got.header("idempotency-key", "\"k-1\"").send().await, first);
}

async fn a_key_is_for_one_body_and_one_reader(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    write(&world, "k-1", memo(&book, "one")).send().await.created();
    let other = write(&world, "k-1", memo(&book, "two")).send().await;
    assert_eq!(other.refused(422).0, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(memo_count(&world).await, 1);

    let theirs = world.shelved(2, "9780441172719").await;
    write(&world, "k-1", memo(&theirs, "two")).of(2).send().await.created();

    for key in ["", " ", "a b", "한글", &"k".repeat(129)] {
        write(&world, key, memo(&book, "one")).send().await.refuses(&["Idempotency-Key"]);
    }
}

async fn a_request_that_failed_can_be_repeated_under_its_key(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    write(&world, "k-1", memo(&book, "")).send().await.refuses(&["content"]);
    let nobodys = "0190163d-8694-739b-aea5-966c26f8ad91";
    assert_eq!(write(&world, "k-1", memo(nobodys, "x")).send().await.status, 404);
    write(&world, "k-1", memo(&book, "one")).send().await.created();
}

async fn of_many_at_once_one_is_written(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    for round in 0..20 {
        let key = format!("k-{round}");
        let asks = (0..6).map(|_| write(&world, &key, memo(&book, "one")).send());
        let all = futures_util::future::join_all(asks).await;
        let mut answers = Vec::new();
        for got in all {
            match got.status.as_u16() {
                201 => answers.push(got),
                409 => {
                    assert_eq!(got.refused(409).0, "IDEMPOTENCY_KEY_IN_USE");
                    assert_eq!(got.json()["error"]["retryable"], true);
                    assert_eq!(got.headers["retry-after"], "1");
                }
                _ => panic!("{got:?}"),
            }
        }
        assert!(!answers.is_empty());
        assert!(answers.iter().all(|answer| answer == &answers[0]));
        assert_eq!(memo_count(&world).await, round + 1);
        // And when all is quiet, a repeat gets the same.
        assert_eq!(write(&world, &key, memo(&book, "one")).send().await, answers[0]);
    }
}

async fn a_request_that_was_cancelled_frees_its_key(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    for round in 0..20 {
        let key = format!("k-{round}");
        let mut request = Box::pin(write(&world, &key, memo(&book, "one")).send());
        // Polled a few times, then dropped: before, while or after it is saved.
        for _ in 0..round % 4 {
            let _ = futures_util::poll!(&mut request);
            tokio::task::yield_now().await;
        }
        drop(request);
        // A write that has begun goes on to its end, and until then it runs.
        let mut got = write(&world, &key, memo(&book, "one")).send().await;
        while got.status == 409 {
            assert_eq!(got.refused(409).0, "IDEMPOTENCY_KEY_IN_USE");
            tokio::task::yield_now().await;
            got = write(&world, &key, memo(&book, "one")).send().await;
        }
        assert_eq!(got.status, 201, "{}", got.text);
        assert_eq!(memo_count(&world).await, round + 1);
    }
}

async fn answers_are_kept_a_day_at_least_and_not_for_ever(world: World) {
    let book = world.shelved(1, "9780441172719").await;
    let kept = async || {
        world
            .store
            .read(async |db: &mut Db| {
                let row = db.query_first("select count(*) as n from memo_requests", vec![]).await?;
                row.unwrap().get::<i64>("n")
            })
            .await
            .unwrap()
    };
    for number in 0..20 {
        write(&world, &format!("old-{number}"), memo(&book, "one")).send().await.created();
    }
    world.clock.advance(Duration::from_hours(24));
    let count = memo_count(&world).await;
    write(&world, "old-0", memo(&book, "one")).send().await.created();
    assert_eq!(memo_count(&world).await, count, "after a day it is still a repeat");

    world.clock.advance(Duration::from_hours(25));
    for number in 0..10 {
        write(&world, &format!("new-{number}"), memo(&book, "one")).send().await.created();
    }
    assert_eq!(kept().await, 10, "each new one took some old ones along");
}

crate::world::checks! {
    a_repeat_gets_the_first_answer,
    a_key_is_for_one_body_and_one_reader,
    a_request_that_failed_can_be_repeated_under_its_key,
    of_many_at_once_one_is_written,
    a_request_that_was_cancelled_frees_its_key,
    answers_are_kept_a_day_at_least_and_not_for_ever,
}
