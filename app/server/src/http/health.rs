//! `/api/v1/health`: how the server and its masters stand.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use endpaper_api::health::{Health, HealthStatus, MasterHealth, MasterHealthState};
use endpaper_http::{Answer, ErrorCode, Problem};
use multi_master::{MasterState, MasterStatus, MultiMaster};
use utoipa::OpenApi;

use crate::store;

#[derive(OpenApi)]
#[openapi(
    paths(health),
    components(schemas(Health, HealthStatus, MasterHealth, MasterHealthState))
)]
struct Document;

pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(crate) fn router(store: MultiMaster) -> Router {
    Router::new().route("/api/v1/health", get(health)).with_state(store)
}

/// How the server and its masters stand
///
/// A read is made, not guessed from states, so that a yes means that reads are
/// served now.
#[utoipa::path(
    method(get, head),
    path = "/api/v1/health",
    tag = "server",
    responses(
        (status = 200, description = "Reads are served", body = endpaper_api::Success<Health>),
        (status = 503, description = "No read can be served; `details.masters` says how each master stands", body = endpaper_api::Failure),
    ),
)]
async fn health(State(store): State<MultiMaster>) -> Result<Answer<Health>, Problem> {
    let served = store::serves_reads(&store).await;
    let masters = store.status();
    let health = of(&masters);
    if served {
        Ok(Answer::ok(health).no_store())
    } else {
        Err(Problem::new(ErrorCode::StoreUnavailable).detail("masters", health.masters))
    }
}

pub(crate) fn of(masters: &[MasterStatus]) -> Health {
    let all_live = masters.iter().all(|master| master.state == MasterState::Live);
    Health {
        status: if all_live { HealthStatus::Up } else { HealthStatus::Degraded },
        masters: masters
            .iter()
            .map(|master| MasterHealth {
                name: master.name.0.clone(),
                state: match master.state {
                    MasterState::Live => MasterHealthState::Live,
                    MasterState::Down => MasterHealthState::Down,
                    MasterState::Behind => MasterHealthState::Behind,
                },
            })
            .collect(),
    }
}
