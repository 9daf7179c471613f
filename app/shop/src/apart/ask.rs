//! What sagas ask of a part that is elsewhere.
//!
//! `POST /internal/v1/asks` does an [`Ask`], and `POST /internal/v1/asks/undo` undoes it. The
//! step's key comes as `Idempotency-Key`, and the number of the saga's driver as
//! `Endpaper-Fence`: what was done once is answered again, and what was undone is refused, by
//! the ledger of the part ([`saga::ledger`]).

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use endpaper_api::{ErrorCode, FieldProblem};
use endpaper_http::{JsonBody, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use saga::{Fence, Refusal, StepError, StepKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::peer::DEADLINE;
use super::{CallError, Peer, Role};
use crate::parts::{Ask, Asked, Gave, Here, Part};

pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FENCE: HeaderName = HeaderName::from_static("endpaper-fence");

const ASKS: &str = "/internal/v1/asks";
const UNDO: &str = "/internal/v1/asks/undo";

/// What comes of a step, on the wire.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Outcome<T> {
    Done(T),
    Refused { code: String, message: String },
    Failed(String),
    Unknown(String),
}

impl<T> From<Result<T, StepError>> for Outcome<T> {
    fn from(result: Result<T, StepError>) -> Self {
        match result {
            Ok(done) => Self::Done(done),
            Err(StepError::Refused(Refusal { code, message })) => Self::Refused { code, message },
            Err(StepError::Unknown(why)) => Self::Unknown(why),
            Err(StepError::Failed(why)) => Self::Failed(why),
            Err(StepError::Db(error)) => Self::Failed(error.to_string()),
        }
    }
}

impl<T> From<Outcome<T>> for Result<T, StepError> {
    fn from(outcome: Outcome<T>) -> Self {
        match outcome {
            Outcome::Done(done) => Ok(done),
            Outcome::Refused { code, message } => Err(StepError::refused(code, message)),
            Outcome::Failed(why) => Err(StepError::Failed(why)),
            Outcome::Unknown(why) => Err(StepError::Unknown(why)),
        }
    }
}

/// A part that another process has.
#[derive(Clone, Debug)]
pub struct There(pub Peer);

impl There {
    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &StepKey,
        fence: Fence,
        ask: &Ask,
    ) -> Result<T, StepError> {
        let mut headers = HeaderMap::new();
        let name = HeaderValue::from_str(&key.to_string()).expect("a UUID and a name");
        headers.insert(KEY, name);
        headers.insert(FENCE, HeaderValue::from(fence.0));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = serde_json::to_vec(ask).expect("what is asked is JSON");
        let answered = self.0.ask(DEADLINE, Method::POST, path, headers, body).await;
        let answered = answered.map_err(|error| match error {
            CallError::Path => StepError::Failed(error.to_string()),
            CallError::Away(why) => StepError::Failed(why),
            CallError::Unknown(why) => StepError::Unknown(why),
        })?;
        let outcome: Option<Outcome<T>> = serde_json::from_slice(&answered.body).ok();
        match outcome.filter(|_| answered.status.is_success()) {
            Some(outcome) => outcome.into(),
            // It was not even looked at.
            None if matches!(answered.status.as_u16(), 401 | 404) => {
                Err(StepError::Failed(format!(
                    "the {0} service answered {1}: look at `shop.{0}_url` and `shop.service_token`",
                    self.0.role(),
                    answered.status
                )))
            }
            None => Err(StepError::Unknown(format!(
                "the {} service answered {}",
                self.0.role(),
                answered.status
            ))),
        }
    }
}

impl Part for There {
    fn run<'a>(&'a self, key: &'a StepKey, fence: Fence, ask: Ask) -> Asked<'a, Gave> {
        Box::pin(async move { self.ask(ASKS, key, fence, &ask).await })
    }

    fn undo<'a>(&'a self, key: &'a StepKey, fence: Fence, ask: Ask) -> Asked<'a, ()> {
        Box::pin(async move { self.ask(UNDO, key, fence, &ask).await })
    }
}

/// What a process has that is asked.
#[derive(Clone)]
struct Asks {
    role: Role,
    here: Here,
}

/// The routes by which sagas ask the part that this process has, to be put into
/// [`super::trusting`].
pub fn asks(role: Role, here: Here) -> Router {
    Router::new().route(ASKS, post(run)).route(UNDO, post(undo)).with_state(Asks { role, here })
}

impl Asks {
    /// Every store has the tables of all parts: what is meant for another one would find nothing
    /// here, and be refused for good.
    fn must_be_ours(&self, ask: &Ask) -> Result<(), StepError> {
        let (wanted, have) = (ask.role(), self.role);
        if wanted == have {
            return Ok(());
        }
        Err(StepError::Failed(format!(
            "the {wanted} service was asked for, and this is the {have} service: \
             look at `shop.{wanted}_url`"
        )))
    }
}

async fn run(
    State(asks): State<Asks>,
    headers: HeaderMap,
    JsonBody(ask): JsonBody<Ask>,
) -> Result<Json<Outcome<Gave>>, Problem> {
    let (key, fence) = of(&headers)?;
    let outcome = match asks.must_be_ours(&ask) {
        Ok(()) => asks.here.run(&key, fence, ask).await,
        Err(error) => Err(error),
    };
    Ok(Json(outcome.into()))
}

async fn undo(
    State(asks): State<Asks>,
    headers: HeaderMap,
    JsonBody(ask): JsonBody<Ask>,
) -> Result<Json<Outcome<()>>, Problem> {
    let (key, fence) = of(&headers)?;
    let outcome = match asks.must_be_ours(&ask) {
        Ok(()) => asks.here.undo(&key, fence, ask).await,
        Err(error) => Err(error),
    };
    Ok(Json(outcome.into()))
}

/// Which step asks, and with which number its driver.
fn of(headers: &HeaderMap) -> Result<(StepKey, Fence), Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let wrong = |name: &'static str| {
        Problem::new(ErrorCode::ValidationFailed)
            .with(endpaper_http::FieldError::new(name, FieldProblem::NotAnId))
    };
    let key = text(KEY).and_then(|key| key.parse().ok());
    let fence = text(FENCE).and_then(|fence| fence.parse().ok());
    Ok((
        key.ok_or_else(|| wrong("Idempotency-Key"))?,
        Fence(fence.ok_or_else(|| wrong("Endpaper-Fence"))?),
    ))
}
