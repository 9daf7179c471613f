//! Orders.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use endpaper_api::shop::{
    Order, OrderChange, OrderNeed, OrderState, OrderStep, OrderSummary, OrderedLine, Orders,
    PlaceOrder, StepState,
};
use endpaper_api::{Failure, FieldProblem, Instant, Success};
use endpaper_http::{Answer, Caller, IdempotencyKey, JsonBody, PathId, Problem, QueryParams};
use serde::Deserialize;
use stdx::UnixMicros;
use stdx::ids::Id;
use utoipa::{IntoParams, OpenApi};

use super::reader;
use crate::model::{self, OrderId, Taken, Wanted};
use crate::rules;
use crate::service::OrderService;
use crate::store::orders::Summary;

pub(super) fn routes() -> Router<OrderService> {
    Router::new()
        .route("/api/v1/shop/orders", get(list).post(place))
        .route("/api/v1/shop/orders/{id}", get(one))
        .route("/api/v1/shop/orders/{id}/cancel", post(cancel))
}

#[derive(OpenApi)]
#[openapi(paths(list, place, one, cancel), components(schemas(OrderState, OrderNeed, StepState)))]
pub(super) struct Document;

async fn shown(service: &OrderService, order: model::Order) -> Result<Order, Problem> {
    let steps = service.steps(&order).await?;
    Ok(wire(&order, steps))
}

fn wire(order: &model::Order, steps: Vec<OrderStep>) -> Order {
    let placed_at = Instant::from_micros(order.placed_at().0);
    let taken = |line: &Taken| OrderedLine {
        product_id: line.product.uuid(),
        title: Some(line.title.clone()),
        copies: line.copies.get(),
        price: Some(line.price.get()),
    };
    let wanted = |line: &Wanted| OrderedLine {
        product_id: line.product.uuid(),
        title: None,
        copies: line.copies.get(),
        price: None,
    };
    Order {
        id: order.id.uuid(),
        state: order.state,
        lines: if order.lines.is_empty() {
            order.cart.lines().iter().map(wanted).collect()
        } else {
            order.lines.iter().map(taken).collect()
        },
        total: rules::total(&order.lines).unwrap_or_default().get(),
        discount: order.discount.get(),
        paid: order.paid.get(),
        coupon_id: order.cart.coupon.map(Id::uuid),
        placed_at,
        history: order
            .history
            .iter()
            .map(|(state, at)| OrderChange { state: *state, at: Instant::from_micros(at.0) })
            .collect(),
        steps,
    }
}

/// Make an order
///
/// Copies, coupon and money are taken together, or nothing is. The same order again, under its
/// `id` or the same `Idempotency-Key`, gets the answer of the first time, also where that was
/// no: what could not be made is tried again under a new one.
#[utoipa::path(
    post, path = "/api/v1/shop/orders", tag = "shop", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 characters of visible ASCII")),
    request_body = PlaceOrder,
    responses(
        (status = 201, body = Success<Order>),
        (status = 404, description = "PRODUCT_NOT_FOUND, COUPON_NOT_FOUND", body = Failure),
        (status = 409, description = "OUT_OF_STOCK, BALANCE_TOO_LOW, COUPON_USED, COUPON_EXPIRED, ORDER_IN_PROGRESS", body = Failure),
        (status = 422, description = "IDEMPOTENCY_KEY_REUSED", body = Failure),
        (status = "default", body = Failure),
    ),
)]
async fn place(
    State(service): State<OrderService>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<PlaceOrder>,
) -> Result<Answer<Order>, Problem> {
    let placed = service.place(reader(&caller), key.as_deref(), &request).await?;
    Ok(Answer::created(shown(&service, placed).await?))
}

/// One order
#[utoipa::path(
    get, path = "/api/v1/shop/orders/{id}", tag = "shop", security(("bearer" = [])),
    params(("id" = String, Path, description = "the order")),
    responses((status = 200, body = Success<Order>), (status = "default", body = Failure)),
)]
async fn one(
    State(service): State<OrderService>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
) -> Result<Answer<Order>, Problem> {
    let order = service.order(reader(&caller), id).await?;
    Ok(Answer::ok(shown(&service, order).await?))
}

/// Cancel an order
///
/// Copies, coupon and money are given back. What is cancelled stays so.
#[utoipa::path(
    post, path = "/api/v1/shop/orders/{id}/cancel", tag = "shop", security(("bearer" = [])),
    params(("id" = String, Path, description = "the order")),
    responses(
        (status = 200, body = Success<Order>),
        (status = 409, description = "ORDER_NOT_CANCELLABLE", body = Failure),
        (status = "default", body = Failure),
    ),
)]
async fn cancel(
    State(service): State<OrderService>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
) -> Result<Answer<Order>, Problem> {
    let cancelled = service.cancel(reader(&caller), id).await?;
    Ok(Answer::ok(shown(&service, cancelled).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `next` of the answer before.
    before: Option<String>,
    /// 1 to 100; 20 without.
    limit: Option<u32>,
}

/// My orders, the latest first
#[utoipa::path(
    get, path = "/api/v1/shop/orders", tag = "shop", security(("bearer" = [])),
    params(ListQuery),
    responses((status = 200, body = Success<Orders>), (status = "default", body = Failure)),
)]
async fn list(
    State(service): State<OrderService>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Answer<Orders>, Problem> {
    let limit = query.limit.unwrap_or(20).clamp(1, 100);
    let before = query.before.as_deref().map(place_in_list).transpose()?;
    let found = service.orders(reader(&caller), before, limit).await?;
    let next = (found.len() == limit as usize).then(|| found.last()).flatten();
    let next = next.map(|last| format!("{}-{}", last.placed_at.0, last.id));
    let summary = |one: Summary| OrderSummary {
        id: one.id.uuid(),
        state: one.state,
        title: one.title,
        products: one.products,
        copies: one.copies,
        paid: one.paid,
        placed_at: Instant::from_micros(one.placed_at.0),
    };
    Ok(Answer::ok(Orders { orders: found.into_iter().map(summary).collect(), next }))
}

/// What `next` says: when an order was placed, and its id.
fn place_in_list(text: &str) -> Result<(UnixMicros, OrderId), Problem> {
    let read = || {
        let (at, order) = text.split_once('-')?;
        Some((UnixMicros(at.parse().ok()?), order.parse().ok()?))
    };
    read().ok_or_else(|| Problem::field("before", FieldProblem::NotAnId))
}
