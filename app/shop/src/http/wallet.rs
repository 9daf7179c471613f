//! Wallets.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use endpaper_api::shop::{Charge, EntryKind, Transfer, Wallet, WalletEntry};
use endpaper_api::{Failure, Instant, Success};
use endpaper_http::{Answer, Caller, JsonBody, Problem};
use stdx::ids::Id;
use utoipa::OpenApi;

use super::reader;
use crate::model::Entry;
use crate::service::WalletService;

pub(super) fn routes() -> Router<WalletService> {
    Router::new()
        .route("/api/v1/shop/wallet", get(wallet))
        .route("/api/v1/shop/wallet/transfers", post(transfer))
        .route("/api/v1/shop/charges", post(charge))
}

#[derive(OpenApi)]
#[openapi(paths(wallet, transfer, charge), components(schemas(EntryKind)))]
pub(super) struct Document;

/// What is in the wallet, and what came and went
#[utoipa::path(
    get, path = "/api/v1/shop/wallet", tag = "shop", security(("bearer" = [])),
    responses((status = 200, body = Success<Wallet>), (status = "default", body = Failure)),
)]
async fn wallet(
    State(service): State<WalletService>,
    caller: Caller,
) -> Result<Answer<Wallet>, Problem> {
    let (balance, entries) = service.wallet(reader(&caller)).await?;
    let entry = |entry: Entry| WalletEntry {
        transfer_id: entry.transfer.uuid(),
        kind: entry.kind,
        amount: entry.amount,
        balance: entry.balance,
        order_id: entry.order.map(Id::uuid),
        at: Instant::from_micros(entry.at.0),
    };
    let entries = entries.into_iter().map(entry).collect();
    Ok(Answer::ok(Wallet { balance: balance.get(), entries }))
}

/// Give money to another reader
///
/// The answer is what is left. Sent twice under one id it is given once.
#[utoipa::path(
    post, path = "/api/v1/shop/wallet/transfers", tag = "shop", security(("bearer" = [])),
    request_body = Transfer,
    responses((status = 200, body = Success<i64>), (status = "default", body = Failure)),
)]
async fn transfer(
    State(service): State<WalletService>,
    caller: Caller,
    JsonBody(request): JsonBody<Transfer>,
) -> Result<Answer<i64>, Problem> {
    Ok(Answer::ok(service.transfer(reader(&caller), &request).await?.get()))
}

/// Book what a reader paid in
///
/// For administrators: there is no payment provider behind it. The answer is what is in the
/// wallet then. Sent twice under one id it is booked once.
#[utoipa::path(
    post, path = "/api/v1/shop/charges", tag = "shop", security(("bearer" = [])),
    request_body = Charge,
    responses((status = 200, body = Success<i64>), (status = "default", body = Failure)),
)]
async fn charge(
    State(service): State<WalletService>,
    caller: Caller,
    JsonBody(request): JsonBody<Charge>,
) -> Result<Answer<i64>, Problem> {
    caller.must_be_admin()?;
    Ok(Answer::ok(service.charge(&request).await?.get()))
}
