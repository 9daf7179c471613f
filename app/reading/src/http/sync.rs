//! Devices that read and write offline: the protocol is that of [`sync::wire`].

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use endpaper_api::{Failure, Success};
use endpaper_http::{Answer, Caller, ErrorCode, JsonBody, Problem, QueryParams};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use sync::model::{AccountId, DeviceId, LogId, Version};
use sync::wire::{PROTOCOL, Pull, PullAnswer, Push, PushAnswer};
use sync_server::SyncError;
use utoipa::{IntoParams, OpenApi};

use super::reader;
use crate::service::ReadingService;
use crate::service::sync::account;

/// Who listens is asked to listen anew after so long: a session that has ended since
/// hears nothing more.
const LISTENS_MAX: Duration = Duration::from_mins(10);
/// Records of one answer where the device does not say how many.
const CHANGES_DEFAULT: u32 = 500;

pub(super) fn routes() -> Router<ReadingService> {
    Router::new()
        .route("/api/v1/sync/push", post(push))
        .route("/api/v1/sync/pull", get(pull))
        .route("/api/v1/sync/live", get(live))
}

#[derive(OpenApi)]
#[openapi(paths(push, pull, live))]
pub(super) struct Document;

/// Send edits that were made offline
///
/// Each is settled once, however often it is sent; the answer names what became of
/// each. What is left out of the answer is sent again.
#[utoipa::path(
    post,
    path = "/api/v1/sync/push",
    tag = "sync",
    security(("bearer" = [])),
    request_body(
        content = serde_json::Value,
        example = json!({
            "protocol": 1,
            "account": "0190163d-8694-739b-aea5-966c26f8ad90",
            "device": "0190163d-8694-739b-aea5-966c26f8ad91",
            "now": 1_700_000_000_000_000_i64,
            "settled": 6,
            "operations": [{
                "id": "0190163d-8694-739b-aea5-966c26f8ad92",
                "sequence": 7,
                "key": {"table": "memos", "id": "0190163d-8694-739b-aea5-966c26f8ad93"},
                "action": {"kind": "update", "fields": {"pageNumber": 12}},
                "base": 41,
                "written": 1_699_999_990_000_000_i64,
                "at": 1_700_000_000_000_000_i64,
                "after": 0,
                "schema": 1
            }]
        }),
    ),
    responses(
        (status = 200, description = "What became of each", body = Success<serde_json::Value>),
        (status = 403, description = "They are of another account", body = Failure),
        (status = 429, description = "Several requests of the account are being answered", body = Failure),
        (status = 504, description = "It is not known whether it was settled: send the same again", body = Failure),
        (status = "default", description = "Nothing was settled", body = Failure),
    ),
)]
async fn push(
    State(service): State<ReadingService>,
    caller: Caller,
    JsonBody(push): JsonBody<Push>,
) -> Result<Answer<PushAnswer>, Problem> {
    let answer = service.sync().push(account(reader(&caller)), push).await;
    Ok(Answer::ok(answer.map_err(problem)?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PullQuery {
    /// The version of the protocol; the newest without.
    protocol: Option<u32>,
    /// Whose changes the device wants: where it is not who is logged in, it is told none.
    /// Those of whoever is logged in without.
    #[param(value_type = Option<uuid::Uuid>)]
    account: Option<AccountId>,
    /// Which device asks.
    #[param(value_type = uuid::Uuid)]
    device: DeviceId,
    /// The change log of the cursor, as the answer before said; none before the first.
    #[param(value_type = Option<uuid::Uuid>)]
    log: Option<LogId>,
    /// After this change; 0 for all.
    cursor: u64,
    /// Where everything is pulled anew: the head of the first answer, and 0 before it.
    anew: Option<u64>,
    /// At most so many records, 1 to 1,000; 500 without.
    limit: Option<u32>,
}

/// What changed after a cursor
///
/// Each record once, as it is now, in the order of the changes.
#[utoipa::path(
    get,
    path = "/api/v1/sync/pull",
    tag = "sync",
    security(("bearer" = [])),
    params(PullQuery),
    responses(
        (status = 200, description = "The records, where to go on, and whether there is more", body = Success<serde_json::Value>),
        (status = 410, description = "Changes after the cursor are forgotten: begin anew", body = Failure),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn pull(
    State(service): State<ReadingService>,
    caller: Caller,
    QueryParams(query): QueryParams<PullQuery>,
) -> Result<Answer<PullAnswer>, Problem> {
    let account = account(reader(&caller));
    let pull = Pull {
        protocol: query.protocol.unwrap_or(PROTOCOL),
        account: query.account.unwrap_or(account),
        device: query.device,
        log: query.log,
        cursor: Version(query.cursor),
        anew: query.anew.map(Version),
        limit: query.limit.unwrap_or(CHANGES_DEFAULT),
    };
    let answer = service.sync().pull(account, pull).await;
    Ok(Answer::ok(answer.map_err(problem)?))
}

/// Hear of changes
///
/// Server-sent events named `head`, whose data is the number of the last change: now,
/// and each time that there is another one. It ends after ten minutes: listen again.
#[utoipa::path(
    get,
    path = "/api/v1/sync/live",
    tag = "sync",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Events", content_type = "text/event-stream", body = String),
        (status = 429, description = "Too many listen", body = Failure),
        (status = "default", description = "It was not done", body = Failure),
    ),
)]
async fn live(
    State(service): State<ReadingService>,
    caller: Caller,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let mut heard = service.sync().listen(account(reader(&caller))).await.map_err(problem)?;
    heard.mark_changed();
    let over = Box::pin(tokio::time::sleep(LISTENS_MAX));
    let events = stream::unfold((heard, over), |(mut heard, mut over)| async move {
        tokio::select! {
            changed = heard.changed() => changed.ok()?,
            () = &mut over => return None,
        }
        let head = heard.borrow_and_update().0;
        Some((Ok(Event::default().event("head").data(head.to_string())), (heard, over)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn problem(error: SyncError) -> Problem {
    let code = match error {
        SyncError::Db(error) => return error.into(),
        SyncError::InDoubt(txid) => {
            return multi_master::WriteError::<Problem>::InDoubt(txid).into();
        }
        SyncError::Protocol(_) => ErrorCode::SyncProtocolUnsupported,
        SyncError::WrongAccount => ErrorCode::SyncWrongAccount,
        SyncError::TooManyOperations(_) => ErrorCode::BodyTooLarge,
        SyncError::TooManyDevices => ErrorCode::SyncTooManyDevices,
        SyncError::NewerSchema { .. } => ErrorCode::SyncServerOlder,
        SyncError::Expired => ErrorCode::SyncCursorExpired,
        SyncError::TooManyRequests => {
            return Problem::new(ErrorCode::RateLimited).retry_after(Duration::from_secs(1));
        }
        SyncError::TooManyListeners => ErrorCode::RateLimited,
        SyncError::Stopping => ErrorCode::ServerBusy,
    };
    Problem::new(code)
}
