//! What the shop tells, to whom, after an order is saved.
//!
//! | subscriber | what becomes of it |
//! |---|---|
//! | `sales` | what was sold, for the ranking |
//! | `data-platform` | the order, as JSON, to the operator's data platform |
//! | `stream` | the same, to a stream of NATS JetStream |
//! | `notification` | a message for the reader, in the reader's language, to a message gateway |
//!
//! Each has its own workers and queue: one that hangs fills its own, and no order waits.

mod outside;

mod sales;

mod texts;

use endpaper_api::shop::OrderState;
use serde::{Deserialize, Serialize};

pub use outside::Outside;
pub(crate) use outside::{Notification, OrdersTo};
pub(crate) use sales::SalesOf;

use crate::model::OrderId;

/// The topic of orders that were made or cancelled. Its key is the order's id.
pub const ORDERS: &str = "orders";

/// An order stands otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderTold {
    /// Which.
    pub order: OrderId,
    /// How.
    pub state: OrderState,
}
