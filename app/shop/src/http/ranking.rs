//! What was sold most.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use endpaper_api::shop::{Ranking, RankingPlace, RankingSpan};
use endpaper_api::{Day, Failure, Success};
use endpaper_http::{Answer, Problem, QueryParams};
use serde::Deserialize;
use stdx::ids::Id as _;
use utoipa::{IntoParams, OpenApi};

use crate::model::ProductId;
use crate::service::OrderService;

pub(super) fn routes() -> Router<OrderService> {
    Router::new().route("/api/v1/shop/ranking", get(ranking))
}

#[derive(OpenApi)]
#[openapi(paths(ranking), components(schemas(RankingSpan)))]
pub(super) struct Document;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RankingQuery {
    /// `DAY` without.
    #[serde(default)]
    span: RankingSpan,
    /// The last day, in the shop's time zone; today without.
    day: Option<Day>,
}

/// What was sold most, by day or week
///
/// It follows the orders within moments. What was cancelled does not count.
#[utoipa::path(
    get, path = "/api/v1/shop/ranking", tag = "shop", params(RankingQuery),
    responses((status = 200, body = Success<Ranking>), (status = "default", body = Failure)),
)]
async fn ranking(
    State(service): State<OrderService>,
    QueryParams(query): QueryParams<RankingQuery>,
) -> Result<Answer<Ranking>, Problem> {
    let (from, to, places) = service.ranking(query.span, query.day.map(Day::date)).await?;
    let place = |(product, title, copies): (ProductId, _, _)| RankingPlace {
        product_id: product.uuid(),
        title,
        copies,
    };
    let places = places.into_iter().map(place).collect();
    Ok(Answer::ok(Ranking { from: from.into(), to: to.into(), places }))
}
