//! Products.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use endpaper_api::shop::{NewProduct, Product, Products, StockChange};
use endpaper_api::{Failure, Success};
use endpaper_http::{Answer, Caller, JsonBody, PathId, Problem, QueryParams};
use serde::Deserialize;
use stdx::ids::Id as _;
use utoipa::{IntoParams, OpenApi};

use crate::model::{self, ProductId};
use crate::service::StockService;

pub(super) fn routes() -> Router<StockService> {
    Router::new()
        .route("/api/v1/shop/products", get(list).post(add))
        .route("/api/v1/shop/products/{id}", get(one))
        .route("/api/v1/shop/products/{id}/stock", post(change_stock))
}

#[derive(OpenApi)]
#[openapi(paths(list, add, one, change_stock))]
pub(super) struct Document;

fn product(product: model::Product) -> Product {
    Product {
        id: product.id.uuid(),
        title: product.title,
        author: product.author,
        isbn: product.isbn,
        price: product.price.get(),
        on_hand: product.on_hand,
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `next` of the answer before.
    #[param(value_type = Option<String>)]
    after: Option<ProductId>,
    /// 1 to 100; 50 without.
    limit: Option<u32>,
}

/// Products in the order of their titles
#[utoipa::path(
    get, path = "/api/v1/shop/products", tag = "shop", params(ListQuery),
    responses((status = 200, body = Success<Products>), (status = "default", body = Failure)),
)]
async fn list(
    State(service): State<StockService>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Answer<Products>, Problem> {
    let limit = query.limit.unwrap_or(50).clamp(1, 100);
    let found = service.products(query.after, limit).await?;
    let next = (found.len() == limit as usize).then(|| found.last()).flatten();
    let next = next.map(|last| last.id.to_string());
    Ok(Answer::ok(Products { products: found.into_iter().map(product).collect(), next }))
}

/// One product
#[utoipa::path(
    get, path = "/api/v1/shop/products/{id}", tag = "shop",
    params(("id" = String, Path, description = "the product")),
    responses((status = 200, body = Success<Product>), (status = "default", body = Failure)),
)]
async fn one(
    State(service): State<StockService>,
    PathId(id): PathId<ProductId>,
) -> Result<Answer<Product>, Problem> {
    Ok(Answer::ok(product(service.product(id).await?)))
}

/// Sell a product from now on
///
/// For administrators. The same product sent twice under one id is one.
#[utoipa::path(
    post, path = "/api/v1/shop/products", tag = "shop", security(("bearer" = [])),
    request_body = NewProduct,
    responses((status = 201, body = Success<Product>), (status = "default", body = Failure)),
)]
async fn add(
    State(service): State<StockService>,
    caller: Caller,
    JsonBody(request): JsonBody<NewProduct>,
) -> Result<Answer<Product>, Problem> {
    caller.must_be_admin()?;
    Ok(Answer::created(product(service.add_product(&request).await?)))
}

/// Copies came, or were taken out by hand
///
/// For administrators. Sent twice under one id it is done once.
#[utoipa::path(
    post, path = "/api/v1/shop/products/{id}/stock", tag = "shop", security(("bearer" = [])),
    params(("id" = String, Path, description = "the product")), request_body = StockChange,
    responses((status = 200, body = Success<Product>), (status = "default", body = Failure)),
)]
async fn change_stock(
    State(service): State<StockService>,
    caller: Caller,
    PathId(id): PathId<ProductId>,
    JsonBody(request): JsonBody<StockChange>,
) -> Result<Answer<Product>, Problem> {
    caller.must_be_admin()?;
    Ok(Answer::ok(product(service.change_stock(id, &request).await?)))
}
