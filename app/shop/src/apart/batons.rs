//! Batons of orders that go to a part that is elsewhere: `POST /internal/v1/batons`. The event's
//! id comes as `Idempotency-Key`: each is taken once.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use endpaper_api::{ErrorCode, FieldProblem};
use endpaper_http::{JsonBody, Problem};
use http::{HeaderMap, HeaderValue, Method, header};
use outbox::EventId;
use serde::{Deserialize, Serialize};

use super::ask::KEY;
use super::{Peer, Role};
use crate::choreography::{Baton, CALL_WITHIN, NotTaken, Takes, Taking};

const BATONS: &str = "/internal/v1/batons";

/// A baton, and whom it is for.
#[derive(Serialize, Deserialize)]
struct Carried<B> {
    to: Role,
    baton: B,
}

/// A part that another process has.
#[derive(Clone, Debug)]
pub struct Onward(pub Peer);

impl Takes for Onward {
    fn take<'a>(&'a self, to: Role, event: EventId, baton: &'a Baton) -> Taking<'a> {
        Box::pin(async move {
            let mut headers = HeaderMap::new();
            headers.insert(KEY, HeaderValue::from_str(&event.to_string()).expect("a UUID"));
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let body = serde_json::to_vec(&Carried { to, baton }).expect("a baton is JSON");
            let answered = self.0.ask(CALL_WITHIN, Method::POST, BATONS, headers, body).await;
            let answered = answered.map_err(|error| NotTaken::Again(error.to_string()))?;
            let taken: Option<Result<(), NotTaken>> = serde_json::from_slice(&answered.body).ok();
            taken.filter(|_| answered.status.is_success()).unwrap_or_else(|| {
                Err(NotTaken::Again(format!("the {to} service answered {}", answered.status)))
            })
        })
    }
}

/// The route by which batons come to the part that this process has, to be put into
/// [`super::trusting`].
pub fn batons(takes: Arc<dyn Takes>) -> Router {
    Router::new().route(BATONS, post(take)).with_state(takes)
}

async fn take(
    State(takes): State<Arc<dyn Takes>>,
    headers: HeaderMap,
    JsonBody(Carried { to, baton }): JsonBody<Carried<Baton>>,
) -> Result<Json<Result<(), NotTaken>>, Problem> {
    let event = headers.get(KEY).and_then(|event| event.to_str().ok()?.parse().ok());
    let event = event.ok_or_else(|| {
        Problem::new(ErrorCode::ValidationFailed)
            .with(endpaper_http::FieldError::new("Idempotency-Key", FieldProblem::NotAnId))
    })?;
    Ok(Json(takes.take(to, event, &baton).await))
}
