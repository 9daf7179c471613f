//! The operator's listener.
//!
//! | route | for whom | asks for the token |
//! |---|---|---|
//! | `GET /metrics` | Prometheus | no |
//! | `GET /status` | `endpaper masters status` | no |
//! | `POST /verify` | `endpaper masters verify` | yes |
//! | `POST /copy` | `endpaper masters copy` | yes |
//! | `GET /queue`, `POST /queue/retry`, `POST /queue/drop` | `endpaper masters queue` | yes |
//! | `GET /conflicts`, `POST /conflicts/drop` | `endpaper masters conflicts` | yes |
//! | `GET /sagas`, `GET /sagas/{id}`, `POST /sagas/retry`, `POST /sagas/skip` | `endpaper saga` | yes |
//! | `POST /shop/audit`, `POST /shop/rebuild`, `GET /shop/events`, `POST /shop/replay` | `endpaper shop` | yes |
//! | `/ops` | a person with a browser | by a log-in |
//!
//! It belongs on the loopback address, or on a network that readers can't reach:
//! nothing here is encrypted.

mod copy;

pub(crate) mod recent;

pub(crate) mod sagas;

pub(crate) mod shop;

pub(crate) mod status;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use endpaper_http::{ErrorCode, Problem};
use endpaper_shop::Shop;
use futures_util::stream;
use monitor::Monitor;
use multi_master::{Conflict, Findings, MultiMaster, Queue, QueueItem, Retried, TxId, Verify};
use serde::{Deserialize, Serialize};
use stdx::Clock;

pub(crate) use self::copy::{AskCopy, CopyLine, fill};

use crate::faults::Faults;
use crate::metrics::{Metrics, Seen};
use crate::ops;
use crate::token::Token;
use crate::verification::{By, Verification};

use recent::Recent;
use status::Status;

/// What the operator's routes need.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) store: MultiMaster,
    pub(crate) shop: Shop,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) monitor: Monitor,
    pub(crate) verification: Verification,
    pub(crate) faults: Faults,
    pub(crate) recent: Recent,
    pub(crate) token: Token,
    pub(crate) sessions: ops::Sessions,
    pub(crate) clock: Clock,
    /// Where the witness is, which says which store this is.
    pub(crate) witness: String,
}

pub(crate) fn router(operator: Operator) -> Router {
    let guarded = Router::new()
        .route("/verify", post(verify))
        .route("/copy", post(copy::copy))
        .route("/queue", get(queue))
        .route("/queue/retry", post(retry))
        .route("/queue/drop", post(drop_item))
        .route("/conflicts", get(conflicts))
        .route("/conflicts/drop", post(drop_conflict))
        .merge(sagas::router())
        .merge(shop::router())
        .route_layer(middleware::from_fn_with_state(operator.clone(), with_token));
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .merge(guarded)
        .merge(ops::router())
        .with_state(operator);
    endpaper_http::finish(routes)
}

/// Lets those through who have the token. (A page in a browser that is not ours
/// can't send it.)
async fn with_token(State(operator): State<Operator>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(header::AUTHORIZATION);
    let sent = sent.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let tried = sent.map(|sent| operator.sessions.try_token(&operator.token, sent));
    match tried {
        Some(ops::Tried::Right) => next.run(request).await,
        Some(ops::Tried::TooOften) => Problem::new(ErrorCode::RateLimited).into_response(),
        Some(ops::Tried::Wrong) | None => Problem::new(ErrorCode::Unauthorized).into_response(),
    }
}

async fn metrics(State(operator): State<Operator>) -> impl IntoResponse {
    let seen = Seen {
        now: operator.clock.now(),
        masters: &operator.store.status(),
        counts: &operator.store.counts(),
        numbers: &operator.store.numbers(),
        failovers: &operator.store.failovers(),
        queue: &operator.store.queue(),
        conflicts_kept: operator.store.conflicts_kept(),
        verified: &operator.verification.verified(),
        alerts: &operator.monitor.open(),
    };
    let text = operator.metrics.render(&seen);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn status(State(operator): State<Operator>) -> Json<Status> {
    Json(operator.status())
}

impl Operator {
    /// How the store stands, with what was counted in the last minute.
    pub(crate) fn status(&self) -> Status {
        let mut status = Status::of(self.witness.clone(), &self.store, self.clock.now());
        status.verified = self.verification.verified();
        status.put_numbers(&self.recent.of(&self.store.numbers()));
        status
    }
}

async fn queue(State(operator): State<Operator>) -> Json<Queue> {
    Json(operator.store.queue())
}

/// What `/queue/retry` is asked: about one item, or about all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskRetry {
    pub(crate) item: Option<QueueItem>,
}

/// What `/queue/drop` is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskDrop {
    pub(crate) item: QueueItem,
    pub(crate) reason: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Came {
    Retried(Vec<(QueueItem, Retried)>),
    Dropped,
    Refused(String),
}

async fn retry(State(operator): State<Operator>, Json(ask): Json<AskRetry>) -> Json<Came> {
    Json(retry_all(&operator.store, ask.item).await)
}

/// Tries an item, or all of them.
pub(crate) async fn retry_all(store: &MultiMaster, item: Option<QueueItem>) -> Came {
    let is_one = item.is_some();
    let items = item.map_or_else(|| items(&store.queue()), |item| vec![item]);
    let mut retried = Vec::new();
    for item in items {
        match store.retry(&item).await {
            Ok(came) => retried.push((item, came)),
            Err(why) if is_one => return Came::Refused(why.to_string()),
            // It has left the queue meanwhile.
            Err(_) => {}
        }
    }
    Came::Retried(retried)
}

/// Transactions that are tried at once when all are: more take their turn each
/// minute.
const RETRIED_MAX: usize = 200;

fn items(queue: &Queue) -> Vec<QueueItem> {
    let masters = queue.masters.iter().map(|owed| QueueItem::Master(owed.master.clone()));
    let in_doubt = queue.in_doubt.iter().map(|doubt| QueueItem::Transaction(doubt.txid));
    masters.chain(in_doubt.take(RETRIED_MAX)).collect()
}

async fn drop_item(State(operator): State<Operator>, Json(ask): Json<AskDrop>) -> Json<Came> {
    Json(drop_for(&operator.store, &ask.item, &ask.reason).await)
}

/// The longest reason.
pub(crate) const REASON_CHARS_MAX: usize = 500;

/// Drops an item, for a reason that somebody gives.
pub(crate) async fn drop_for(store: &MultiMaster, item: &QueueItem, reason: &str) -> Came {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Came::Refused(format!(
            "a reason is needed, of at most {REASON_CHARS_MAX} characters: it is kept"
        ));
    }
    match store.drop_from_queue(item, reason).await {
        Ok(()) => Came::Dropped,
        Err(why) => Came::Refused(why.to_string()),
    }
}

/// The newest that `/conflicts` tells of.
pub(crate) const CONFLICTS_TOLD_MAX: usize = 1_000;

/// What lost against something else and is kept. The rows may hold what is secret.
async fn conflicts(State(operator): State<Operator>) -> Json<Result<Vec<Conflict>, String>> {
    let kept = operator.store.conflicts(CONFLICTS_TOLD_MAX).await;
    Json(kept.map_err(|why| why.to_string()))
}

/// What `/conflicts/drop` is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskDropConflict {
    pub(crate) id: TxId,
}

async fn drop_conflict(
    State(operator): State<Operator>,
    Json(ask): Json<AskDropConflict>,
) -> Json<Came> {
    Json(match operator.store.drop_conflict(ask.id).await {
        Ok(()) => Came::Dropped,
        Err(why) => Came::Refused(why.to_string()),
    })
}

/// What `/verify` is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskVerify {
    pub(crate) repair: bool,
    pub(crate) fast: bool,
}

impl From<AskVerify> for Verify {
    fn from(ask: AskVerify) -> Self {
        Self { repair: ask.repair, unhurried: !ask.fast }
    }
}

/// One line of the answer of `/verify`: how far it has come, and last what was
/// found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VerifyLine {
    Progress { table: String, rows: u64 },
    Found(Findings),
    Failed(String),
}

/// Lines that wait for somebody who reads slowly. More are left out: the next
/// says as much.
const LINES_WAITING_MAX: usize = 16;

/// Compares the masters; whoever hangs up ends it.
async fn verify(State(operator): State<Operator>, Json(ask): Json<AskVerify>) -> impl IntoResponse {
    let (sender, lines) = tokio::sync::mpsc::channel(LINES_WAITING_MAX);
    tokio::spawn(async move {
        let progress = sender.clone();
        let verify = operator.verification.run(ask.into(), By::Operator, move |progressed| {
            let line =
                VerifyLine::Progress { table: progressed.table.to_owned(), rows: progressed.rows };
            drop(progress.try_send(line));
        });
        let last = tokio::select! {
            found = verify => match found {
                Ok(findings) => VerifyLine::Found(findings),
                Err(why) => VerifyLine::Failed(why),
            },
            () = sender.closed() => return,
        };
        drop(sender.send(last).await);
    });
    ndjson(lines)
}

/// An answer of one JSON value a line, as they come.
fn ndjson<T: Serialize + Send + 'static>(
    lines: tokio::sync::mpsc::Receiver<T>,
) -> impl IntoResponse {
    let lines = stream::unfold(lines, async |mut lines| {
        let line = lines.recv().await?;
        let mut text = serde_json::to_vec(&line).expect("names and numbers are JSON");
        text.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), lines))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines))
}
