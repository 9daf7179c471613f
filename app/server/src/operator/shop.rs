//! What an operator asks of the shop.
//!
//! | route | what |
//! |---|---|
//! | `POST /shop/audit` | whether all sums are right |
//! | `POST /shop/rebuild` | the lists that are made of events of orders are made again |
//! | `GET /shop/events`, `POST /shop/replay` | what waits to be told, and what was put aside |

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use endpaper_shop::OrderService;
use outbox::DeliveryId;
use serde::{Deserialize, Serialize};

use super::Operator;

pub(super) fn router() -> Router<Operator> {
    Router::new()
        .route("/shop/audit", post(audit))
        .route("/shop/rebuild", post(rebuild))
        .route("/shop/events", get(events))
        .route("/shop/replay", post(replay))
}

impl Operator {
    /// Orders, where this process makes them.
    pub(super) fn orders(&self) -> Result<&OrderService, String> {
        self.shop.orders.as_ref().ok_or_else(|| {
            "this process has a part of the shop: ask the one with `--role order`".to_owned()
        })
    }
}

/// What the sums are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Audited {
    pub(crate) well: bool,
    /// What all entries of all accounts are together: 0.
    pub(crate) entries_sum: i64,
    /// What is in readers' wallets, in won.
    pub(crate) in_wallets: i64,
    /// Readers, products and coupons of which the sums are wrong.
    pub(crate) wallets: Vec<String>,
    pub(crate) products: Vec<String>,
    pub(crate) coupons: Vec<String>,
}

async fn audit(State(operator): State<Operator>) -> Json<Result<Audited, String>> {
    let audit = operator.shop.audit().await;
    Json(audit.map_err(|why| why.to_string()).map(|audit| Audited {
        well: audit.is_well(),
        entries_sum: audit.entries_sum,
        in_wallets: audit.in_wallets,
        wallets: audit.wallets.iter().map(ToString::to_string).collect(),
        products: audit.products.iter().map(ToString::to_string).collect(),
        coupons: audit.coupons.iter().map(ToString::to_string).collect(),
    }))
}

/// What was made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rebuilt {
    pub(crate) orders: u64,
    pub(crate) strays: u64,
}

async fn rebuild(State(operator): State<Operator>) -> Json<Result<Rebuilt, String>> {
    let rebuilt = async {
        let made = operator.orders()?.rebuild().await.map_err(|why| why.to_string())?;
        Ok(Rebuilt { orders: made.orders, strays: made.strays })
    };
    Json(rebuilt.await)
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Events {
    pub(crate) waiting: Vec<WaitingEvents>,
    pub(crate) parked: Vec<ParkedEvent>,
}

/// What waits for one who gets events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingEvents {
    pub(crate) topic: String,
    pub(crate) subscriber: String,
    pub(crate) waiting: u64,
    pub(crate) oldest_us: Option<i64>,
}

/// One that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParkedEvent {
    pub(crate) id: DeliveryId,
    pub(crate) subscriber: String,
    pub(crate) key: String,
    pub(crate) event: String,
    pub(crate) error: String,
}

/// Events that were put aside and are told of at once.
const PARKED_MAX: u32 = 100;

async fn events(State(operator): State<Operator>) -> Json<Result<Events, String>> {
    let found = async {
        let (mut waiting, mut parked) = (Vec::new(), Vec::new());
        for outbox in operator.shop.outboxes() {
            waiting.extend(outbox.backlog().await?.into_iter().map(|backlog| WaitingEvents {
                topic: backlog.topic.to_owned(),
                subscriber: backlog.subscriber.to_owned(),
                waiting: backlog.waiting,
                oldest_us: backlog.oldest.map(|at| at.0),
            }));
            // Those over one store see the same.
            parked = outbox.parked(PARKED_MAX).await?;
        }
        let parked = parked.into_iter().map(|parked| ParkedEvent {
            id: parked.delivery.id,
            subscriber: parked.delivery.subscriber,
            key: parked.delivery.key,
            event: parked.delivery.event.to_string(),
            error: parked.error,
        });
        Ok::<_, multi_master::DbError>(Events { waiting, parked: parked.collect() })
    };
    Json(found.await.map_err(|why| why.to_string()))
}

/// Which is to be told again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskReplay {
    pub(crate) id: DeliveryId,
}

async fn replay(
    State(operator): State<Operator>,
    Json(ask): Json<AskReplay>,
) -> Json<Result<(), String>> {
    let outboxes = operator.shop.outboxes();
    let Some(outbox) = outboxes.first() else {
        return Json(Err("nothing is told by this process".to_owned()));
    };
    Json(outbox.replay(ask.id).await.map_err(|why| why.to_string()))
}
