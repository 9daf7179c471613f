//! Limits of one request, and panics made into answers.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use endpaper_http::{ErrorCode, Problem};
use futures_util::FutureExt as _;
use http_body_util::Limited;

/// The limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    /// The largest body.
    pub(crate) body_bytes_max: usize,
    /// The longest a request may take, its body included.
    pub(crate) request: Duration,
}

pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let announced = request.body().size_hint().lower();
    if usize::try_from(announced).map_or(true, |bytes| bytes > guard.body_bytes_max) {
        return Problem::new(ErrorCode::BodyTooLarge).into_response();
    }
    let changes = !is_safe(request.method());
    let request = request.map(|body| Body::new(Limited::new(body, guard.body_bytes_max)));
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(guard.request, answered).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => Problem::internal(&message_of(panic.as_ref())).into_response(),
        // A write that was begun goes on without us and may be saved.
        Err(_) if changes => Problem::new(ErrorCode::OutcomeUnknown).into_response(),
        Err(_) => Problem::new(ErrorCode::ServerBusy).into_response(),
    }
}

/// Whether the method changes nothing (RFC 9110, section 9.2.1).
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_else(|| "without a text".to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use endpaper_http::JsonBody;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(method: Method, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
        async fn panics() -> &'static str {
            panic!("on purpose")
        }
        let routes = Router::new()
            .route("/panic", get(panics))
            .route("/slow", get(std::future::pending::<()>).post(std::future::pending::<()>))
            .route(
                "/echo",
                post(async |JsonBody(value): JsonBody<serde_json::Value>| value.to_string()),
            );
        let guard = Guard { body_bytes_max: 20, request: Duration::from_secs(30) };
        let router = endpaper_http::finish(
            routes.layer(axum::middleware::from_fn_with_state(guard, super::guard)),
        );
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("accept-language", "ko")
            .body(body.into())
            .unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_without_its_text() {
        let (status, body) = ask(Method::GET, "/panic", "").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("INTERNAL") && !body.contains("on purpose"), "{body}");
        assert!(body.contains("서버에"), "in the language of the request: {body}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_in_time_and_says_whether_it_may_be_saved() {
        let (status, body) = ask(Method::GET, "/slow", "").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("SERVER_BUSY"), "{body}");
        let (_, body) = ask(Method::POST, "/slow", "").await;
        assert!(body.contains("OUTCOME_UNKNOWN"), "{body}");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_also_when_it_does_not_say_so() {
        let (status, _) = ask(Method::POST, "/echo", r#"{"a":"short"}"#).await;
        assert_eq!(status, StatusCode::OK);
        let long = r#"{"a":"longer than that"}"#;
        let (status, body) = ask(Method::POST, "/echo", long).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
        let pieces = long.as_bytes().chunks(7).map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
        let stream = Body::from_stream(futures_util::stream::iter(pieces.collect::<Vec<_>>()));
        let (status, body) = ask(Method::POST, "/echo", stream).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    }
}
