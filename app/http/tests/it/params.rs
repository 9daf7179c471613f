//! The address and the headers.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get as on_get;
use endpaper_api::Text;
use endpaper_http::{
    Answer, ClientAddress, IdempotencyKey, IfMatch, PathId, PathText, Preferred, QueryParams,
    RequestedTimeZone, UserId,
};
use expect_test::{Expect, expect};
use serde::Deserialize;

use crate::support::{get, line};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    query: Text,
    max_results: Option<u32>,
    day: Option<endpaper_api::Day>,
    exact: Option<bool>,
}

fn router() -> Router {
    endpaper_http::finish(
        Router::new()
            .route(
                "/search",
                on_get(async |QueryParams(search): QueryParams<Search>| {
                    let Search { query, max_results, day, exact } = search;
                    Answer::ok((query, max_results, day, exact))
                }),
            )
            .route("/users/{userId}", on_get(async |PathId(id): PathId<UserId>| Answer::ok(id)))
            .route("/books/{isbn}", on_get(async |PathText(isbn): PathText| Answer::ok(isbn)))
            .route(
                "/headers",
                on_get(
                    async |Preferred(language): Preferred,
                           RequestedTimeZone(zone): RequestedTimeZone,
                           IdempotencyKey(key): IdempotencyKey,
                           if_match: IfMatch,
                           ClientAddress(address): ClientAddress| {
                        let zone = zone.map(|zone| zone.iana_name().unwrap_or("?").to_owned());
                        Answer::ok((language, zone, key, if_match.allows(17), address))
                    },
                ),
            ),
    )
}

async fn check(path: &str, expected: Expect) {
    expected.assert_eq(&line(&router(), get(path)).await);
}

async fn check_headers(headers: &[(&str, &str)], expected: Expect) {
    let mut request = Request::get("/headers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    expected.assert_eq(&line(&router(), request.body(Body::empty()).unwrap()).await);
}

#[tokio::test]
async fn query_strings() {
    check(
        "/search?query=%ED%95%9C%EA%B0%95&maxResults=5&day=2024-02-29&exact=true",
        expect![[r#"200 ["한강",5,"2024-02-29",true]"#]],
    )
    .await;
    check("/search?query=%E1%84%92%E1%85%A1%E1%86%AB", expect![[r#"200 ["한",null,null,null]"#]])
        .await;
    check("/search?query=a+b&utm_source=mail", expect![[r#"200 ["a b",null,null,null]"#]]).await;
    check("/search", expect!["400 VALIDATION_FAILED | query: This is required."]).await;
    check(
        "/search?query=a&maxResults=many",
        expect![
            "400 VALIDATION_FAILED | maxResults: This is of the wrong type. Send a whole number."
        ],
    )
    .await;
    check(
        "/search?query=a&maxResults=",
        expect![
            "400 VALIDATION_FAILED | maxResults: This is of the wrong type. Send a whole number."
        ],
    )
    .await;
    check(
        "/search?query=a&maxResults=99999999999",
        expect![
            "400 VALIDATION_FAILED | maxResults: This is of the wrong type. Send a whole number."
        ],
    )
    .await;
    check(
        "/search?query=a&maxResults=-1",
        expect![
            "400 VALIDATION_FAILED | maxResults: This is of the wrong type. Send a whole number."
        ],
    )
    .await;
    check(
        "/search?query=a&exact=yes",
        expect!["400 VALIDATION_FAILED | exact: This is of the wrong type. Send true or false."],
    )
    .await;
    check(
        "/search?query=a&day=2023-02-29",
        expect!["400 VALIDATION_FAILED | day: Write a day of the calendar as in 2026-03-01."],
    )
    .await;
    check(
        "/search?query=a&query=b",
        expect!["400 VALIDATION_FAILED | query: This is given twice. Send it once."],
    )
    .await;
    check("/search?query=%ff%fe", expect!["400 VALIDATION_FAILED | query: Send text as UTF-8."])
        .await;
    check("/search?query=a%00b", expect!["400 VALIDATION_FAILED | query: Control characters other than newline and tab can't be used."]).await;
    check("/search?query=100%&exact=true", expect![[r#"200 ["100%",null,null,true]"#]]).await;
}

#[tokio::test]
async fn paths() {
    check(
        "/users/0190163d-8694-739b-aea5-966c26f8ad91",
        expect![[r#"200 "0190163d-8694-739b-aea5-966c26f8ad91""#]],
    )
    .await;
    check(
        "/users/0190163D-8694-739B-AEA5-966C26F8AD91",
        expect![[r#"200 "0190163d-8694-739b-aea5-966c26f8ad91""#]],
    )
    .await;
    check("/users/42", expect!["400 VALIDATION_FAILED | userId: This is no id. Ids look like 0190163d-8694-739b-aea5-966c26f8ad91."]).await;
    check("/users/%ff", expect!["400 VALIDATION_FAILED | path: Send text as UTF-8."]).await;
    check("/books/%E1%84%92%E1%85%A1%E1%86%AB", expect![[r#"200 "한""#]]).await;
    check("/books/a%00", expect!["400 VALIDATION_FAILED | isbn: Control characters other than newline and tab can't be used."]).await;
}

#[tokio::test]
async fn headers() {
    check_headers(&[], expect![[r#"200 ["en",null,null,true,null]"#]]).await;
    check_headers(
        &[
            ("accept-language", "ko"),
            ("x-time-zone", "asia/seoul"),
            ("idempotency-key", "\"k-1\""),
            ("if-match", "\"16\", \"17\""),
        ],
        expect![[r#"200 ["ko","Asia/Seoul","k-1",true,null]"#]],
    )
    .await;
    check_headers(
        &[("if-match", "\"16\""), ("idempotency-key", "k")],
        expect![[r#"200 ["en",null,"k",false,null]"#]],
    )
    .await;
    check_headers(&[("if-match", "W/\"17\"")], expect![[r#"200 ["en",null,null,false,null]"#]])
        .await;
    check_headers(&[("if-match", "*")], expect![[r#"200 ["en",null,null,true,null]"#]]).await;
    for bad in ["Mars/Olympus", "", "+09:00", "../../etc/passwd", "Asia/Seoul\u{e9}"] {
        check_headers(
            &[("x-time-zone", bad)],
            expect!["400 VALIDATION_FAILED | X-Time-Zone: Write the name of a time zone as in Asia/Seoul."],
        )
        .await;
    }
    check_headers(
        &[("idempotency-key", "")],
        expect!["400 VALIDATION_FAILED | Idempotency-Key: Use 1 to 128 letters, digits and signs of ASCII, without spaces."],
    )
    .await;
    check_headers(&[("idempotency-key", "a b")], expect!["400 VALIDATION_FAILED | Idempotency-Key: Use 1 to 128 letters, digits and signs of ASCII, without spaces."]).await;
    check_headers(
        &[("idempotency-key", "a"), ("idempotency-key", "b")],
        expect!["400 VALIDATION_FAILED | Idempotency-Key: This is given twice. Send it once."],
    )
    .await;
    check_headers(
        &[("idempotency-key", &"k".repeat(129))],
        expect!["400 VALIDATION_FAILED | Idempotency-Key: Use 1 to 128 letters, digits and signs of ASCII, without spaces."],
    )
    .await;
}
