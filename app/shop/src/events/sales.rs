//! What was sold, for the ranking.

use jiff::tz::TimeZone;
use multi_master::{DbError, MultiMaster, Tx};
use outbox::{Delivery, HandleError, Handler};

use super::OrderTold;
use crate::rules;
use crate::store::{orders, sales};

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
