//! What the shop tells, and what it makes of it itself.

use endpaper_api::shop::OrderState;
use jiff::tz::TimeZone;
use multi_master::{DbError, MultiMaster, Tx};
use outbox::{Delivery, HandleError, Handler};
use serde::{Deserialize, Serialize};

use crate::model::OrderId;
use crate::rules;
use crate::store::{orders, sales};

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

/// Keeps the list of what was sold. What comes twice, or late, does no harm: it reads how the
/// order stands now.
pub(crate) struct SalesOf {
    pub(crate) store: MultiMaster,
    pub(crate) time_zone: TimeZone,
}

impl Handler for SalesOf {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        let OrderTold { order, .. } = delivery.read()?;
        let zone = self.time_zone.clone();
        let kept = self.store.write(async move |tx: &mut Tx| {
            if let Some(order) = orders::get(tx, order).await? {
                sales::set(tx, order.id, rules::sales(&order, &zone)).await?;
            }
            Ok::<_, DbError>(())
        });
        kept.await.into_result().map_err(|error| HandleError::Again(error.to_string()))
    }
}
