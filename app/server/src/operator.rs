//! The operator's listener: `/metrics` for Prometheus, `/status` for people and
//! for `endpaper masters status`. It has no authentication and belongs on a
//! network that readers can't reach.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use multi_master::{MasterStatus, MultiMaster};
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) store: MultiMaster,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) witness: PathBuf,
}

/// How the masters of one store stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The witness file, which says which store this is.
    pub(crate) witness: PathBuf,
    pub(crate) masters: Vec<MasterLine>,
}

/// One master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MasterLine {
    pub(crate) name: String,
    /// `LIVE`, `SUSPECT`, `DOWN`, `BEHIND` or `JOINING`.
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
}

impl Status {
    pub(crate) fn of(witness: PathBuf, masters: &[MasterStatus]) -> Self {
        let line = |master: &MasterStatus| MasterLine {
            name: master.name.0.clone(),
            state: format!("{:?}", master.state).to_uppercase(),
            reason: master.reason.clone(),
        };
        Self { witness, masters: masters.iter().map(line).collect() }
    }
}

pub(crate) fn router(operator: Operator) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/status", get(status)).with_state(operator)
}

async fn metrics(State(operator): State<Operator>) -> impl IntoResponse {
    let text = operator.metrics.render(&operator.store.status(), &operator.store.counts());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn status(State(operator): State<Operator>) -> Json<Status> {
    Json(Status::of(operator.witness, &operator.store.status()))
}
