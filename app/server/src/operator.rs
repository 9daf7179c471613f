//! The operator's listener: `/metrics` for Prometheus, `/status` for people and
//! for `endpaper masters status`, `/verify` for `endpaper masters verify`, `/copy`
//! for `endpaper masters copy`. It has no authentication and belongs on a network that readers can't reach.

mod copy;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use multi_master::{CopyProgress, Findings, MasterStatus, MultiMaster, Verify};
use serde::{Deserialize, Serialize};

pub(crate) use self::copy::{AskCopy, CopyLine, fill};

use crate::metrics::Metrics;

#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) store: MultiMaster,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) witness: String,
}

/// How the masters of one store stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Where the witness is, which says which store this is.
    pub(crate) witness: String,
    pub(crate) masters: Vec<MasterLine>,
    /// Changes whenever the set of masters that serve does.
    #[serde(default)]
    pub(crate) epoch: u64,
}

/// One master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MasterLine {
    pub(crate) name: String,
    /// `LIVE`, `SUSPECT`, `DOWN`, `BEHIND` or `JOINING`.
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    /// How far it is, where it is being filled.
    #[serde(default)]
    pub(crate) copy: Option<CopyProgress>,
}

impl Status {
    pub(crate) fn of(witness: String, store: &MultiMaster) -> Self {
        let copies = store.copies();
        let line = |master: MasterStatus| MasterLine {
            copy: copies
                .iter()
                .find(|copy| copy.to == master.name && copy.phase.is_running())
                .cloned(),
            name: master.name.0,
            state: format!("{:?}", master.state).to_uppercase(),
            reason: master.reason,
        };
        let epoch = store.epoch();
        Self { witness, masters: store.status().into_iter().map(line).collect(), epoch }
    }
}

pub(crate) fn router(operator: Operator) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/verify", post(verify))
        .route("/copy", post(copy::copy))
        .with_state(operator)
}

async fn metrics(State(operator): State<Operator>) -> impl IntoResponse {
    let text = operator.metrics.render(&operator.store.status(), &operator.store.counts());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn status(State(operator): State<Operator>) -> Json<Status> {
    Json(Status::of(operator.witness, &operator.store))
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

/// Compares the masters; whoever hangs up ends it. (JSON is asked for because a
/// page in a browser can't send it here without asking first.)
async fn verify(State(operator): State<Operator>, Json(ask): Json<AskVerify>) -> impl IntoResponse {
    let (sender, lines) = tokio::sync::mpsc::channel(LINES_WAITING_MAX);
    tokio::spawn(async move {
        let progress = sender.clone();
        let verify = operator.store.verify(ask.into(), move |progressed| {
            let line =
                VerifyLine::Progress { table: progressed.table.to_owned(), rows: progressed.rows };
            drop(progress.try_send(line));
        });
        let last = tokio::select! {
            found = verify => match found {
                Ok(findings) => VerifyLine::Found(findings),
                Err(error) => VerifyLine::Failed(error.to_string()),
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
