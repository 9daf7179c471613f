//! `/api/v1/health`: how the server and its masters stand.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use endpaper_api::health::{Health, HealthStatus, MasterHealth, MasterHealthState};
use endpaper_http::{Answer, ErrorCode, Problem};
use multi_master::{MasterState, MasterStatus, MultiMaster};
use utoipa::OpenApi;

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
/// It says what the store knows, and waits for nothing: a master that fails is
/// noticed at the next read or write, or when the store looks by itself
/// (`store.probe_ms`). So a server that is busy is not taken for one that is
/// down.
#[utoipa::path(
    method(get, head),
    path = "/api/v1/health",
    tag = "server",
    responses(
        (status = 200, description = "A master serves: it is `LIVE` or `SUSPECT`", body = endpaper_api::Success<Health>),
        (status = 503, description = "No master serves: nothing can be read or written; `details.masters` says how each master stands", body = endpaper_api::Failure),
    ),
)]
async fn health(State(store): State<MultiMaster>) -> Result<Answer<Health>, Problem> {
    answer(&store.status())
}

fn answer(masters: &[MasterStatus]) -> Result<Answer<Health>, Problem> {
    let health = of(masters);
    if masters.iter().any(|master| master.state.serves()) {
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
                    MasterState::Suspect => MasterHealthState::Suspect,
                    MasterState::Down => MasterHealthState::Down,
                    MasterState::Behind => MasterHealthState::Behind,
                    MasterState::Joining => MasterHealthState::Joining,
                },
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use axum::response::IntoResponse as _;
    use multi_master::{Config, Db, DbError, MasterName, Policy};
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn it_serves_while_a_master_lives() {
        let states = [
            MasterState::Live,
            MasterState::Suspect,
            MasterState::Joining,
            MasterState::Behind,
            MasterState::Down,
        ];
        let statuses = states.map(|state| {
            let master = |name: &str, state| MasterStatus {
                name: MasterName(name.to_owned()),
                state,
                reason: None,
            };
            let masters = [master("a", MasterState::Down), master("b", state)];
            answer(&masters).into_response().status()
        });
        let (yes, no) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(statuses, [yes, yes, no, no, no]);
    }

    #[tokio::test]
    async fn a_server_whose_readers_are_all_busy_is_not_down() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(directory.path(), Policy::Available);
        config.limits.read_connections = 1;
        let store = MultiMaster::open(config, &[]).await.unwrap();
        // More reads than there are connections on both masters; none ends.
        let (begun, mut has_begun) = tokio::sync::mpsc::channel(8);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (store, begun) = (store.clone(), begun.clone());
                tokio::spawn(async move {
                    let read = store.read(async move |db: &mut Db| {
                        db.query("select 1", Vec::new()).await?;
                        begun.send(()).await.expect("the test waits");
                        std::future::pending::<Result<(), DbError>>().await
                    });
                    read.await
                })
            })
            .collect();
        has_begun.recv().await.unwrap();
        let request = Request::get("/api/v1/health").body(Body::empty()).unwrap();
        let asked = router(store).oneshot(request);
        let answered = tokio::time::timeout(Duration::from_secs(1), asked).await;
        assert_eq!(answered.expect("it waits for no reader").unwrap().status(), StatusCode::OK);
        readers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
