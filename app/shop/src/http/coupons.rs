//! Coupons.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use endpaper_api::shop::{Coupon, NewCoupon};
use endpaper_api::{Failure, Instant, Success};
use endpaper_http::{Answer, Caller, JsonBody, PathId, Problem};
use stdx::ids::Id;
use utoipa::OpenApi;

use super::reader;
use crate::model::{self, CouponId, Piece};
use crate::service::CouponService;

pub(super) fn routes() -> Router<CouponService> {
    Router::new()
        .route("/api/v1/shop/coupons", get(list).post(add))
        .route("/api/v1/shop/coupons/{id}/claim", post(claim))
}

#[derive(OpenApi)]
#[openapi(paths(list, add, claim))]
pub(super) struct Document;

fn coupon((coupon, piece): (model::Coupon, Option<Piece>)) -> Coupon {
    Coupon {
        id: coupon.id.uuid(),
        name: coupon.name,
        discount: coupon.discount.get(),
        quantity: coupon.quantity,
        left: coupon.quantity - coupon.issued,
        ends: Instant::from_micros(coupon.ends.0),
        mine: piece.is_some(),
        used_for: piece.and_then(|piece| piece.used_for).map(Id::uuid),
    }
}

/// Coupons that can be had or used, those first that end first
#[utoipa::path(
    get, path = "/api/v1/shop/coupons", tag = "shop", security(("bearer" = [])),
    responses((status = 200, body = Success<Vec<Coupon>>), (status = "default", body = Failure)),
)]
async fn list(
    State(service): State<CouponService>,
    caller: Caller,
) -> Result<Answer<Vec<Coupon>>, Problem> {
    let found = service.coupons(reader(&caller)).await?;
    Ok(Answer::ok(found.into_iter().map(coupon).collect()))
}

/// Offer a coupon from now on
///
/// For administrators. Sent twice under one id it is one.
#[utoipa::path(
    post, path = "/api/v1/shop/coupons", tag = "shop", security(("bearer" = [])),
    request_body = NewCoupon,
    responses((status = 201, body = Success<Coupon>), (status = "default", body = Failure)),
)]
async fn add(
    State(service): State<CouponService>,
    caller: Caller,
    JsonBody(request): JsonBody<NewCoupon>,
) -> Result<Answer<Coupon>, Problem> {
    caller.must_be_admin()?;
    Ok(Answer::created(coupon((service.add_coupon(&request).await?, None))))
}

/// Get a piece of a coupon, first come, first served
///
/// One a reader: who has one gets it again.
#[utoipa::path(
    post, path = "/api/v1/shop/coupons/{id}/claim", tag = "shop", security(("bearer" = [])),
    params(("id" = String, Path, description = "the coupon")),
    responses((status = 200, body = Success<Coupon>), (status = "default", body = Failure)),
)]
async fn claim(
    State(service): State<CouponService>,
    caller: Caller,
    PathId(id): PathId<CouponId>,
) -> Result<Answer<Coupon>, Problem> {
    let (found, piece) = service.claim(reader(&caller), id).await?;
    Ok(Answer::ok(coupon((found, Some(piece)))))
}
