//! Sagas: those of orders, as an operator sees them and decides about them.
//!
//! | route | what |
//! |---|---|
//! | `GET /sagas?state=&limit=` | the latest first, without their steps |
//! | `GET /sagas/{id}` | one, with its steps |
//! | `POST /sagas/retry`, `POST /sagas/skip` | what becomes of one that is stuck |

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use saga::{Listing, SagaId, SagaState, SagaView, Sagas};
use serde::{Deserialize, Serialize};

use super::{Operator, REASON_CHARS_MAX};

pub(super) fn router() -> Router<Operator> {
    Router::new()
        .route("/sagas", get(list))
        .route("/sagas/retry", post(retry))
        .route("/sagas/skip", post(skip))
        .route("/sagas/{id}", get(show))
}

/// A saga, for programs. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SagaLine {
    pub(crate) id: SagaId,
    pub(crate) kind: String,
    pub(crate) version: u32,
    pub(crate) state: String,
    /// Whether it goes forward, also where it is stuck.
    pub(crate) forward: bool,
    pub(crate) started_us: i64,
    pub(crate) finished_us: Option<i64>,
    /// Why it turned back, or is stuck.
    pub(crate) cause: Option<String>,
    /// Those of one that was asked for by its id.
    pub(crate) steps: Vec<StepLine>,
}

/// A step of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepLine {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) attempts: u32,
    pub(crate) undo_attempts: u32,
    pub(crate) began_us: Option<i64>,
    pub(crate) ended_us: Option<i64>,
    pub(crate) undone_us: Option<i64>,
    pub(crate) error: Option<String>,
}

impl From<SagaView> for SagaLine {
    fn from(saga: SagaView) -> Self {
        let step = |step: saga::StepView| StepLine {
            name: step.name,
            state: step.record.state.name().to_owned(),
            attempts: step.record.attempts,
            undo_attempts: step.record.undo_attempts,
            began_us: step.record.began.map(|at| at.0),
            ended_us: step.record.ended.map(|at| at.0),
            undone_us: step.record.undone.map(|at| at.0),
            error: step.record.error,
        };
        Self {
            id: saga.id,
            kind: saga.kind,
            version: saga.version,
            state: saga.state.name().to_owned(),
            forward: saga.is_forward,
            started_us: saga.started.0,
            finished_us: saga.finished.map(|at| at.0),
            cause: saga.cause.map(|cause| cause.message),
            steps: saga.steps.into_iter().map(step).collect(),
        }
    }
}

/// Which are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AskSagas {
    pub(crate) state: Option<String>,
    pub(crate) limit: Option<u32>,
}

/// About which a decision is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskRetrySaga {
    pub(crate) id: SagaId,
}

/// Which step is left out, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskSkip {
    pub(crate) id: SagaId,
    pub(crate) step: String,
    pub(crate) reason: String,
}

impl Operator {
    fn sagas(&self) -> Result<&Sagas, String> {
        Ok(self.orders()?.sagas())
    }

    pub(crate) async fn list_sagas(&self, ask: AskSagas) -> Result<Vec<SagaLine>, String> {
        let state = ask.state.map(|name| {
            let known = SagaState::ALL.into_iter().find(|state| state.name() == name);
            known.ok_or_else(|| {
                let all: Vec<_> = SagaState::ALL.iter().map(|state| state.name()).collect();
                format!("`{name}` is no state of a saga: there are {}", all.join(", "))
            })
        });
        let listing = Listing { state: state.transpose()?, limit: ask.limit, before: None };
        let listed = self.sagas()?.list(listing).await.map_err(|why| why.to_string())?;
        Ok(listed.into_iter().map(SagaLine::from).collect())
    }

    pub(crate) async fn show_saga(&self, id: SagaId) -> Result<SagaLine, String> {
        let found = self.sagas()?.view(id).await.map_err(|why| why.to_string())?;
        found.map(SagaLine::from).ok_or_else(|| format!("there is no saga {id}"))
    }

    pub(crate) async fn retry_saga(&self, id: SagaId) -> Result<(), String> {
        self.sagas()?.retry(id).await.map_err(|why| why.to_string())
    }

    pub(crate) async fn skip_step(
        &self,
        id: SagaId,
        step: &str,
        reason: &str,
    ) -> Result<(), String> {
        if reason.chars().count() > REASON_CHARS_MAX {
            return Err(format!("a reason has at most {REASON_CHARS_MAX} characters: it is kept"));
        }
        self.sagas()?.skip(id, step, reason).await.map_err(|why| why.to_string())
    }
}

async fn list(
    State(operator): State<Operator>,
    Query(ask): Query<AskSagas>,
) -> Json<Result<Vec<SagaLine>, String>> {
    Json(operator.list_sagas(ask).await)
}

async fn show(
    State(operator): State<Operator>,
    Path(id): Path<SagaId>,
) -> Json<Result<SagaLine, String>> {
    Json(operator.show_saga(id).await)
}

async fn retry(
    State(operator): State<Operator>,
    Json(ask): Json<AskRetrySaga>,
) -> Json<Result<(), String>> {
    Json(operator.retry_saga(ask.id).await)
}

async fn skip(
    State(operator): State<Operator>,
    Json(AskSkip { id, step, reason }): Json<AskSkip>,
) -> Json<Result<(), String>> {
    Json(operator.skip_step(id, &step, &reason).await)
}
