//! Who outside is told of orders, by signed webhooks or a stream.

use std::sync::Arc;

use endpaper_api::Instant;
use endpaper_api::shop::OrderState;
use multi_master::{Db, MultiMaster};
use outbox::nats::Nats;
use outbox::webhook::Webhook;
use outbox::{Delivery, HandleError, Handler, Sink};
use serde::Serialize;
use serde_json::json;
use stdx::UnixMicros;
use stdx::ids::Id;
use uuid::Uuid;

use super::OrderTold;
use super::texts::{Message, message};
use crate::model::{Order, OrderId, Won};
use crate::rules;
use crate::service::{ContactReader, ReadersAway};
use crate::store::orders;

/// Who outside is told of orders that were completed or cancelled.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Where orders are analysed: gets them as JSON.
    pub data_platform: Option<Webhook>,
    /// A stream of NATS JetStream that gets the same.
    pub stream: Option<Nats>,
    /// A gateway for messages, in the form that those of Korea have: `message` with `to`,
    /// `subject`, `text`, `type` `LMS`, and `customFields`. There are no telephone numbers
    /// here: `to` is a mail address.
    pub notification: Option<Webhook>,
}

/// What the data platform and the stream get. The same event has the same body each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderBody {
    order_id: Uuid,
    reader_id: Uuid,
    state: OrderState,
    at: Instant,
    lines: Vec<LineBody>,
    total: Won,
    discount: Won,
    paid: Won,
    coupon_id: Option<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct LineBody {
    product_id: Uuid,
    title: String,
    copies: i64,
    price: Won,
}

impl OrderBody {
    fn of(order: &Order, state: OrderState, at: UnixMicros) -> Self {
        let line = |line: &crate::model::Taken| LineBody {
            product_id: line.product.uuid(),
            title: line.title.clone(),
            copies: line.copies.get(),
            price: line.price,
        };
        Self {
            order_id: order.id.uuid(),
            reader_id: order.reader.uuid(),
            state,
            at: Instant::from_micros(at.0),
            lines: order.lines.iter().map(line).collect(),
            total: rules::total(&order.lines).unwrap_or_default(),
            discount: order.discount,
            paid: order.paid,
            coupon_id: order.cart.coupon.map(Id::uuid),
        }
    }
}

/// Tells who wants orders as JSON.
pub(crate) struct OrdersTo<S> {
    pub(crate) store: MultiMaster,
    pub(crate) sink: S,
}

impl<S: Sink> Handler for OrdersTo<S> {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        let OrderTold { order, state } = delivery.read()?;
        let (order, at) = told(&self.store, order, state).await?;
        let body = serde_json::to_string(&OrderBody::of(&order, state, at));
        self.sink.send(delivery, body.expect("names and numbers are JSON")).await
    }
}

/// Tells the reader, by a message gateway.
pub(crate) struct Notification {
    pub(crate) store: MultiMaster,
    pub(crate) contacts: Arc<dyn ContactReader>,
    pub(crate) sink: Webhook,
}

impl Handler for Notification {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        let OrderTold { order, state } = delivery.read()?;
        let (order, _) = told(&self.store, order, state).await?;
        let contact = self.contacts.contact(order.reader).await;
        let contact = contact.map_err(|ReadersAway| HandleError::Again(ReadersAway.to_string()))?;
        // An account that is gone is told nothing.
        let Some(contact) = contact else { return Ok(()) };
        let Message { subject, text } = message(&order, state, &contact.name, contact.language);
        let body = json!({
            "message": {
                "to": contact.email,
                "type": "LMS",
                "subject": subject,
                "text": text,
                "customFields": {
                    "orderId": order.id,
                    "state": state,
                    "language": contact.language.tag(),
                },
            },
        });
        self.sink.send(delivery, body.to_string()).await
    }
}

/// The order, and when it came to stand as it was told.
async fn told(
    store: &MultiMaster,
    id: OrderId,
    state: OrderState,
) -> Result<(Order, UnixMicros), HandleError> {
    let found = store.read(async move |db: &mut Db| orders::get(db, id).await).await;
    let order = found.map_err(|error| HandleError::Again(error.to_string()))?;
    let order = order.ok_or_else(|| HandleError::Poison(format!("there is no order {id}")))?;
    let at = order.history.iter().find(|(was, _)| *was == state).map(|(_, at)| *at);
    let at = at.ok_or_else(|| HandleError::Poison(format!("it was never {}", state.name())))?;
    Ok((order, at))
}
