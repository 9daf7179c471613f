//! Bodies, and problems in the language of the request.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::{get as on_get, post as on_post};
use endpaper_api::{Day, ErrorCode, Instant, Patch, Secret, Text};
use endpaper_http::body::JSON_BODY_BYTES_MAX;
use endpaper_http::{Answer, JsonBody, Problem};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde::Deserialize;

use crate::support::{line, post, send, text};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Shape {
    Round,
    Square,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Inner {
    #[expect(dead_code, reason = "only its reading is tested")]
    depth: u8,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only their reading is tested")]
struct Thing {
    name: Text,
    #[serde(default)]
    page_number: Option<u32>,
    #[serde(default)]
    tags: Vec<Text>,
    #[serde(default)]
    shape: Option<Shape>,
    #[serde(default)]
    day: Option<Day>,
    #[serde(default)]
    at: Option<Instant>,
    #[serde(default)]
    id: Option<endpaper_http::UserId>,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    inner: Option<Inner>,
    #[serde(default)]
    review: Patch<Text>,
    #[serde(default)]
    password: Option<Secret>,
}

fn router() -> Router {
    endpaper_http::finish(
        Router::new()
            .route(
                "/things",
                on_post(async |JsonBody(thing): JsonBody<Thing>| Answer::created(thing.name)),
            )
            .route("/busy", on_get(async || Problem::new(ErrorCode::StoreUnavailable)))
            .route("/version", on_get(async || Answer::ok(1).etag("17")))
            .route(
                "/taken",
                on_get(async || {
                    Problem::new(ErrorCode::BookAlreadyOnShelf).detail("existingId", "x")
                }),
            ),
    )
}

async fn check(body: &'static str, expected: Expect) {
    expected.assert_eq(&line(&router(), post("/things", body)).await);
}

#[tokio::test]
async fn what_is_right_is_read_in_nfc() {
    check(r#"{"name":"\u1112\u1161\u11ab강"}"#, expect![[r#"201 "한강""#]]).await;
    check(
        r#" {"name":"n","pageNumber":1,"tags":["a"],"shape":"round","day":"2024-02-29","at":"2024-02-29T00:00:00+09:00","id":"0190163d-8694-739b-aea5-966c26f8ad91","hidden":true,"inner":{"depth":1},"review":null}"#,
        expect![[r#"201 "n""#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    check("{}", expect!["400 VALIDATION_FAILED | name: This is required."]).await;
    check(r#"{"name":null}"#, expect!["400 VALIDATION_FAILED | name: This is required."]).await;
    check(
        r#"{"name":5}"#,
        expect!["400 VALIDATION_FAILED | name: This is of the wrong type. Send a text."],
    )
    .await;
    check(r#"{"name":"a\u0000"}"#, expect!["400 VALIDATION_FAILED | name: Control characters other than newline and tab can't be used."]).await;
    check(
        r#"{"name":"n","nmae":"n"}"#,
        expect!["400 UNKNOWN_FIELD | nmae: There is no such field. Check its name."],
    )
    .await;
    check(
        r#"{"name":"n","name":"m"}"#,
        expect!["400 VALIDATION_FAILED | name: This is given twice. Send it once."],
    )
    .await;
    check(
        r#"{"name":"n","pageNumber":"3"}"#,
        expect![
            "400 VALIDATION_FAILED | pageNumber: This is of the wrong type. Send a whole number."
        ],
    )
    .await;
    check(
        r#"{"name":"n","pageNumber":-1}"#,
        expect!["400 VALIDATION_FAILED | pageNumber: Must be from 0 to 4294967295."],
    )
    .await;
    check(
        r#"{"name":"n","pageNumber":1.5}"#,
        expect![
            "400 VALIDATION_FAILED | pageNumber: This is of the wrong type. Send a whole number."
        ],
    )
    .await;
    check(
        r#"{"name":"n","pageNumber":99999999999999999999}"#,
        expect![
            "400 VALIDATION_FAILED | pageNumber: This is of the wrong type. Send a whole number."
        ],
    )
    .await;
    check(
        r#"{"name":"n","tags":"a"}"#,
        expect!["400 VALIDATION_FAILED | tags: This is of the wrong type. Send a list."],
    )
    .await;
    check(
        r#"{"name":"n","tags":["a",2]}"#,
        expect!["400 VALIDATION_FAILED | tags[1]: This is of the wrong type. Send a text."],
    )
    .await;
    check(
        r#"{"name":"n","shape":"flat"}"#,
        expect!["400 VALIDATION_FAILED | shape: Must be one of: round, square"],
    )
    .await;
    check(
        r#"{"name":"n","shape":7}"#,
        expect!["400 VALIDATION_FAILED | shape: This is of the wrong type."],
    )
    .await;
    check(
        r#"{"name":"n","day":"2023-02-29"}"#,
        expect!["400 VALIDATION_FAILED | day: Write a day of the calendar as in 2026-03-01."],
    )
    .await;
    check(
        r#"{"name":"n","at":"yesterday"}"#,
        expect!["400 VALIDATION_FAILED | at: Write a time as in 2026-03-01T17:30:00+09:00."],
    )
    .await;
    check(r#"{"name":"n","id":"42"}"#, expect!["400 VALIDATION_FAILED | id: This is no id. Ids look like 0190163d-8694-739b-aea5-966c26f8ad91."]).await;
    check(
        r#"{"name":"n","id":42}"#,
        expect!["400 VALIDATION_FAILED | id: This is of the wrong type. Send a text."],
    )
    .await;
    check(
        r#"{"name":"n","hidden":"yes"}"#,
        expect!["400 VALIDATION_FAILED | hidden: This is of the wrong type. Send true or false."],
    )
    .await;
    check(
        r#"{"name":"n","inner":{"depth":300}}"#,
        expect!["400 VALIDATION_FAILED | inner.depth: Must be from 0 to 255."],
    )
    .await;
    check(
        r#"{"name":"n","inner":{"deep":3}}"#,
        expect!["400 UNKNOWN_FIELD | inner.deep: There is no such field. Check its name."],
    )
    .await;
    check(
        r#"{"name":"n","inner":{}}"#,
        expect!["400 VALIDATION_FAILED | inner.depth: This is required."],
    )
    .await;
    check(
        r#"{"name":"n","inner":7}"#,
        expect!["400 VALIDATION_FAILED | inner: This is of the wrong type. Send an object."],
    )
    .await;
    check(
        r#"{"name":"n","review":7}"#,
        expect!["400 VALIDATION_FAILED | review: This is of the wrong type. Send a text."],
    )
    .await;
    check(
        r#"{"name":"n","password":7}"#,
        expect!["400 VALIDATION_FAILED | password: This is of the wrong type. Send a text."],
    )
    .await;
    check(
        r#"["n"]"#,
        expect!["400 VALIDATION_FAILED | body: This is of the wrong type. Send an object."],
    )
    .await;
    check(
        r#""n""#,
        expect!["400 VALIDATION_FAILED | body: This is of the wrong type. Send an object."],
    )
    .await;
}

#[tokio::test]
async fn what_is_no_json_is_said_to_be_none() {
    check("", expect!["400 MALFORMED_JSON"]).await;
    check("name=n", expect!["400 MALFORMED_JSON"]).await;
    check(r#"{"name":"n""#, expect!["400 MALFORMED_JSON"]).await;
    check(r#"{"name":"n"} {}"#, expect!["400 MALFORMED_JSON"]).await;
    check(
        r#"{"name":"\ud800"}"#,
        expect!["400 VALIDATION_FAILED | name: This is of the wrong type."],
    )
    .await;
    check("\u{feff}{\"name\":\"n\"}", expect!["400 MALFORMED_JSON"]).await;

    let broken = post("/things", Bytes::from_static(b"{\"name\":\"\xff\xfe\"}"));
    expect!["400 MALFORMED_JSON | body: Send text as UTF-8."]
        .assert_eq(&line(&router(), broken).await);

    let deep = format!("{}{}", r#"{"name":"#.repeat(5_000), "}".repeat(5_000));
    let answer = line(&router(), post("/things", deep)).await;
    assert!(answer.starts_with("400 "), "{answer}");
}

#[tokio::test]
async fn a_long_field_name_does_not_come_back_whole() {
    let answer =
        line(&router(), post("/things", format!(r#"{{"{}":1}}"#, "x".repeat(100_000)))).await;
    assert!(answer.starts_with("400 UNKNOWN_FIELD") && answer.len() < 400, "{answer}");
}

#[tokio::test]
async fn other_content_types_are_refused() {
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let mut request = Request::post("/things");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Body::from(r#"{"name":"n"}"#)).unwrap();
        assert_eq!(line(&router(), request).await, "415 UNSUPPORTED_MEDIA_TYPE");
    }
    let request = Request::post("/things")
        .header("content-type", "Application/JSON; charset=utf-8")
        .body(Body::from(r#"{"name":"n"}"#))
        .unwrap();
    assert_eq!(line(&router(), request).await, r#"201 "n""#);
}

#[tokio::test]
async fn a_body_at_the_limit_is_read_and_one_more_byte_is_not() {
    let json = |bytes: usize| format!(r#"{{"name":"{}"}}"#, "x".repeat(bytes - 11));
    let at = json(JSON_BODY_BYTES_MAX);
    assert_eq!(at.len(), JSON_BODY_BYTES_MAX);
    assert!(line(&router(), post("/things", at)).await.starts_with("201 "));
    let over = post("/things", json(JSON_BODY_BYTES_MAX + 1));
    assert_eq!(line(&router(), over).await, "413 BODY_TOO_LARGE");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_counted_as_it_comes() {
    // A body that never ends: it must be refused without being read to its end.
    let over = post("/things", Body::from_stream(Endless));
    assert_eq!(line(&router(), over).await, "413 BODY_TOO_LARGE");
}

#[tokio::test]
async fn problems_speak_the_language_of_the_request() {
    let ask = async |language: Option<&str>| {
        let mut request = Request::get("/busy");
        if let Some(language) = language {
            request = request.header("accept-language", language);
        }
        send(&router(), request.body(Body::empty()).unwrap()).await
    };
    let korean = ask(Some("ko-KR,ko;q=0.9,en;q=0.8")).await;
    assert_eq!(korean.status(), 503);
    assert_eq!(korean.headers()["content-language"], "ko");
    assert_eq!(korean.headers()["retry-after"], "5");
    assert_eq!(korean.headers()["vary"], "accept-language");
    expect![[r#"{"ok":false,"error":{"code":"STORE_UNAVAILABLE","message":"지금은 저장할 수 없습니다. 아무것도 저장되지 않았으니 잠시 뒤 다시 시도해 주세요.","fields":[],"retryable":true}}"#]].assert_eq(&text(korean).await);
    for language in [None, Some("fr"), Some("en-GB")] {
        assert_eq!(ask(language).await.headers()["content-language"], "en");
    }
}

#[tokio::test]
async fn what_there_is_not_is_a_problem_too() {
    assert_eq!(line(&router(), post("/nowhere", "{}")).await, "404 NOT_FOUND");
    let response = send(&router(), post("/busy", "{}")).await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    assert!(text(response).await.contains("METHOD_NOT_ALLOWED"));
}

#[tokio::test]
async fn answers_carry_their_version_and_details() {
    let response = send(&router(), crate::support::get("/version")).await;
    assert_eq!(response.headers()["etag"], "\"17\"");
    let taken = text(send(&router(), crate::support::get("/taken")).await).await;
    assert!(taken.contains(r#""details":{"existingId":"x"}"#), "{taken}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_body_is_too_strange(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = endpaper_http::body::parse::<Thing>(&body);
    }

    /// Cut anywhere, changed anywhere: an answer, and never a 500.
    #[test]
    fn a_damaged_body_is_the_senders_mistake(cut in 0usize..120, at in 0usize..120, byte: u8) {
        let mut body = br#"{"name":"n","pageNumber":1,"tags":["a"],"shape":"round","day":"2024-02-29","inner":{"depth":1},"review":null}"#.to_vec();
        body.truncate(cut);
        if let Some(place) = body.get_mut(at) {
            *place = byte;
        }
        if let Err(problem) = endpaper_http::body::parse::<Thing>(&body) {
            prop_assert_eq!(problem.status().as_u16(), 400);
        }
    }
}

struct Endless;

impl futures_util::Stream for Endless {
    type Item = Result<Bytes, std::convert::Infallible>;
    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(Some(Ok(Bytes::from_static(&[b' '; 1_024]))))
    }
}
