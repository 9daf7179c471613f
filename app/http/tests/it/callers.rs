//! Who is calling.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::routing::get as on_get;
use axum::{Extension, Router};
use endpaper_api::accounts::Role;
use endpaper_api::{ErrorCode, Language};
use endpaper_http::caller::Authenticating;
use endpaper_http::{Answer, Authenticate, Authenticator, Caller, Principal, Problem};

use crate::support::{line, send, text};

const USER: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// Knows three tokens.
struct ThreeTokens;

impl Authenticate for ThreeTokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authenticating<'a> {
        Box::pin(async move {
            match token {
                "good" => Ok(Principal {
                    user: USER.parse().expect("an id"),
                    session: USER.parse().expect("an id"),
                    role: Role::User,
                    language: Language::Ko,
                    time_zone: "Asia/Seoul".to_owned(),
                }),
                "old" => Err(Problem::new(ErrorCode::TokenExpired)),
                _ => Err(Problem::new(ErrorCode::Unauthorized)),
            }
        })
    }
}

fn router() -> Router {
    let routes = Router::new()
        .route(
            "/me",
            on_get(async |caller: Caller| {
                let zone = caller.time_zone.iana_name().unwrap_or_default().to_owned();
                Answer::ok((caller.user, caller.language, zone))
            }),
        )
        .route("/fails", on_get(async |_: Caller| Problem::new(ErrorCode::MemoNotFound)))
        .route(
            "/admin",
            on_get(async |caller: Caller| caller.must_be_admin().map(|()| Answer::ok(()))),
        );
    endpaper_http::finish(routes.layer(Extension(Authenticator(Arc::new(ThreeTokens)))))
}

fn ask(path: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn the_profile_decides_where_the_request_does_not() {
    let me = line(&router(), ask("/me", &[("authorization", "Bearer good")])).await;
    assert_eq!(me, format!(r#"200 ["{USER}","ko","Asia/Seoul"]"#));
    let me = line(
        &router(),
        ask(
            "/me",
            &[
                ("authorization", "bearer good"),
                ("accept-language", "en"),
                ("x-time-zone", "Europe/Berlin"),
            ],
        ),
    )
    .await;
    assert_eq!(me, format!(r#"200 ["{USER}","en","Europe/Berlin"]"#));
}

#[tokio::test]
async fn a_problem_after_the_caller_is_known_speaks_the_callers_language() {
    let response = send(&router(), ask("/fails", &[("authorization", "Bearer good")])).await;
    assert_eq!(response.headers()["content-language"], "ko");
    assert!(text(response).await.contains("메모"));
}

#[tokio::test]
async fn without_a_token_that_holds_there_is_no_caller() {
    for authorization in
        ["", "Bearer", "Bearer ", "Basic good", "good", "Bearer bad", "Bearer good x"]
    {
        let response = send(&router(), ask("/me", &[("authorization", authorization)])).await;
        assert_eq!(response.status(), 401, "{authorization:?}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert!(text(response).await.contains("UNAUTHORIZED"));
    }
    assert_eq!(line(&router(), ask("/me", &[])).await, "401 UNAUTHORIZED");
    let long = format!("Bearer {}", "x".repeat(5_000));
    assert_eq!(line(&router(), ask("/me", &[("authorization", &long)])).await, "401 UNAUTHORIZED");

    let expired = send(&router(), ask("/me", &[("authorization", "Bearer old")])).await;
    assert_eq!(expired.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
    assert!(text(expired).await.contains("TOKEN_EXPIRED"));
}

#[tokio::test]
async fn a_zone_that_there_is_not_is_the_callers_mistake() {
    let answer = line(
        &router(),
        ask("/me", &[("authorization", "Bearer good"), ("x-time-zone", "Mars/Olympus")]),
    )
    .await;
    assert!(answer.starts_with("400 VALIDATION_FAILED | X-Time-Zone: "), "{answer}");
}

#[tokio::test]
async fn users_are_no_admins() {
    let answer = line(&router(), ask("/admin", &[("authorization", "Bearer good")])).await;
    assert_eq!(answer, "403 FORBIDDEN");
}

#[tokio::test]
async fn a_router_without_an_authenticator_lets_nobody_in() {
    let forgotten: Router =
        endpaper_http::finish(Router::new().route("/me", on_get(async |_: Caller| Answer::ok(()))));
    let answer = line(&forgotten, ask("/me", &[("authorization", "Bearer good")])).await;
    assert_eq!(answer, "500 INTERNAL");
}
