//! Looking readers up in the process that has the accounts.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use endpaper_api::ErrorCode;
use endpaper_http::{Problem, QueryParams};
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use super::Peer;
use super::peer::DEADLINE;
use crate::model::ReaderId;
use crate::service::{FindReader, Finding, ReadersAway};

const READERS: &str = "/internal/v1/readers";

/// Who was found.
#[derive(Serialize, Deserialize)]
struct Found {
    reader: Option<ReaderId>,
}

/// Readers, by the process that knows them.
#[derive(Clone, Debug)]
pub struct RemoteReaders(pub Peer);

impl FindReader for RemoteReaders {
    fn by_login_id<'a>(&'a self, login_id: &'a str) -> Finding<'a> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let path = format!("{READERS}?{}", query.append_pair("loginId", login_id).finish());
        Box::pin(async move {
            let answered =
                self.0.ask(DEADLINE, Method::GET, &path, HeaderMap::new(), Vec::new()).await;
            let answered = answered.map_err(|error| {
                tracing::warn!(%error, "readers can't be looked up");
                ReadersAway
            })?;
            let found = serde_json::from_slice::<Found>(&answered.body);
            found
                .ok()
                .filter(|_| answered.status.is_success())
                .map(|found| found.reader)
                .ok_or_else(|| {
                    tracing::warn!(status = %answered.status, "readers can't be looked up");
                    ReadersAway
                })
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    login_id: String,
}

/// The route by which other processes look readers up here, to be put into
/// [`super::trusting`].
pub fn readers(find: Arc<dyn FindReader>) -> Router {
    Router::new().route(READERS, get(find_one)).with_state(find)
}

async fn find_one(
    State(find): State<Arc<dyn FindReader>>,
    QueryParams(query): QueryParams<Query>,
) -> Result<Json<Found>, Problem> {
    let found = find.by_login_id(&query.login_id).await;
    let reader = found.map_err(|ReadersAway| Problem::new(ErrorCode::StoreUnavailable))?;
    Ok(Json(Found { reader }))
}
