//! Limits of one request, and panics made into answers.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use endpaper_http::{ErrorCode, Problem};
use futures_util::FutureExt as _;
use http_body_util::Limited;
use tokio::time::Instant;

use super::upload::{Upload, Watched};

/// The limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    /// The largest body.
    pub(crate) body_bytes_max: usize,
    /// The longest a request may take once its body is there, and the longest
    /// that nothing may come of its body.
    pub(crate) request: Duration,
}

/// The longest that a body may take to arrive, in limits of a request: a body
/// that comes in drops ends as well.
const UPLOAD_LIMITS_MAX: u32 = 20;

pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let announced = request.body().size_hint().lower();
    if usize::try_from(announced).map_or(true, |bytes| bytes > guard.body_bytes_max) {
        return Problem::new(ErrorCode::BodyTooLarge).into_response();
    }
    let changes = !is_safe(request.method());
    let upload = Upload::of(request.body());
    let watched = |body| Body::new(Limited::new(Watched::new(body, &upload), guard.body_bytes_max));
    let answered = AssertUnwindSafe(next.run(request.map(watched))).catch_unwind();
    match within(&guard, &upload, answered).await {
        Some(Ok(response)) => response,
        Some(Err(panic)) => Problem::internal(&message_of(panic.as_ref())).into_response(),
        // Nothing was begun without the whole of it.
        None if !upload.has_ended() => Problem::new(ErrorCode::RequestTimeout).into_response(),
        // A write that was begun goes on without us and may be saved.
        None if changes => Problem::new(ErrorCode::OutcomeUnknown).into_response(),
        None => Problem::new(ErrorCode::ServerBusy).into_response(),
    }
}

/// What comes of `answered`, or `None` where it takes longer than it may.
async fn within<T>(guard: &Guard, upload: &Upload, answered: impl Future<Output = T>) -> Option<T> {
    let latest = Instant::now() + guard.request * UPLOAD_LIMITS_MAX;
    let mut answered = pin!(answered);
    loop {
        // Each piece of the body that arrives gives the rest its time.
        let moved = upload.moved_at();
        let until = (moved + guard.request).min(latest);
        if let Ok(answered) = tokio::time::timeout_at(until, &mut answered).await {
            return Some(answered);
        }
        if upload.moved_at() == moved || until == latest {
            return None;
        }
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
    use futures_util::StreamExt as _;
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
                "/slow-after",
                post(async |_: JsonBody<serde_json::Value>| std::future::pending::<()>().await),
            )
            .route(
                "/echo",
                post(async |JsonBody(value): JsonBody<serde_json::Value>| value.to_string()),
            );
        let guard = Guard { body_bytes_max: 22, request: Duration::from_secs(30) };
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

    /// A body of these pieces, each after a pause; then, perhaps, nothing for
    /// ever.
    fn slowly(pieces: &'static [&'static str], pause: Duration, ends: bool) -> Body {
        let pieces = futures_util::stream::iter(pieces).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(*piece)
        });
        if ends {
            Body::from_stream(pieces)
        } else {
            Body::from_stream(pieces.chain(futures_util::stream::pending()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_body_never_came_has_changed_nothing() {
        let never = slowly(&["{"], Duration::from_secs(1), false);
        let (status, body) = ask(Method::POST, "/slow-after", never).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{body}");
        assert!(body.contains("REQUEST_TIMEOUT"), "{body}");
        // One that came may have.
        let came = slowly(&["{", "}"], Duration::from_secs(1), true);
        let (_, body) = ask(Method::POST, "/slow-after", came).await;
        assert!(body.contains("OUTCOME_UNKNOWN"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_its_time_while_it_moves_but_not_for_ever() {
        let moving = slowly(&["{", "\"a\"", ":", "1", "}"], Duration::from_secs(29), true);
        let (status, body) = ask(Method::POST, "/echo", moving).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"a":1}"#));
        let started = Instant::now();
        let drops = slowly(&[" "; 1_000], Duration::from_secs(29), true);
        let (status, body) = ask(Method::POST, "/echo", drops).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{body}");
        assert_eq!(started.elapsed(), Duration::from_mins(10));
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
