//! Events of orders, and the list that is made of them.

use endpaper_api::shop::OrderState;
use multi_master::{Db, DbError, Row, Tx, fields, id, params};
use stdx::UnixMicros;
use stdx::ids::Id as _;
use uuid::Uuid;

use super::strange;
use crate::model::{Order, OrderEvent, OrderId, ReaderId};
use crate::rules;

/// An order with all its events; nothing where it has none.
pub async fn get(db: &mut Db, of: OrderId) -> Result<Option<Order>, DbError> {
    let sql = "select event, at from shop_order_events where order_id = ? order by seq";
    let rows = db.query(sql, params![id(of)]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let event = |row: &Row| {
        let json: String = row.get("event")?;
        let event: OrderEvent =
            serde_json::from_str(&json).map_err(|error| strange("event", &error.to_string()))?;
        Ok((event, row.get("at")?))
    };
    let events = rows.iter().map(event).collect::<Result<Vec<_>, DbError>>()?;
    rules::replay(of, events).map(Some).map_err(DbError::Shape)
}

/// Adds events to an order, and has the list say how it is then. Who adds to an order that
/// has changed meanwhile meets the other's event.
pub async fn append(
    tx: &mut Tx,
    of: OrderId,
    before: Option<Order>,
    events: Vec<OrderEvent>,
    now: UnixMicros,
) -> Result<Order, DbError> {
    let seq = before.as_ref().map_or(0, |order| order.history.len());
    for (seq, event) in (seq..).zip(&events) {
        let json = serde_json::to_string(event).expect("an event is JSON");
        let row = fields! {
            "order_id" => id(of),
            "seq" => i64::try_from(seq).expect("four at most"),
            "event" => json,
            "at" => now,
        };
        tx.insert("shop_order_events", row).await?;
    }
    let order = rules::append(of, before, events.into_iter().map(|event| (event, now)))
        .map_err(DbError::Shape)?;
    list_order(tx, &order).await?;
    Ok(order)
}

/// Makes the list's row of an order what its events say.
pub async fn list_order(tx: &mut Tx, order: &Order) -> Result<(), DbError> {
    let copies: i64 = order.cart.lines().iter().map(|line| line.copies.get()).sum();
    let products = i64::try_from(order.cart.lines().len()).expect("50 at most");
    let mut row = fields! {
        "reader_id" => id(order.reader),
        "state" => order.state.name(),
        "title" => order.lines.first().map(|line| line.title.as_str()),
        "products" => products,
        "copies" => copies,
        "paid" => order.paid.get(),
        "placed_at" => order.placed_at(),
    };
    if tx.get("shop_orders", params![id(order.id)]).await?.is_some() {
        tx.update("shop_orders", params![id(order.id)], row).await?;
    } else {
        row.push(("order_id", id(order.id)));
        tx.insert("shop_orders", row).await?;
    }
    Ok(())
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which order.
    pub id: OrderId,
    /// How it stands.
    pub state: OrderState,
    /// What was ordered first.
    pub title: Option<String>,
    /// Of how many products.
    pub products: i64,
    /// How many copies of all together.
    pub copies: i64,
    /// What was paid, in won.
    pub paid: i64,
    /// When it was placed.
    pub placed_at: UnixMicros,
}

/// A reader's orders before one of them, the latest first.
pub async fn list(
    db: &mut Db,
    reader: ReaderId,
    before: Option<(UnixMicros, OrderId)>,
    limit: u32,
) -> Result<Vec<Summary>, DbError> {
    let (at, order) = before.unwrap_or((UnixMicros(i64::MAX), OrderId::from_uuid(Uuid::max())));
    let sql = "select * from shop_orders where reader_id = ? and placed_at <= ? and \
         (placed_at < ? or order_id < ?) order by placed_at desc, order_id desc limit ?";
    let rows = db.query(sql, params![id(reader), at, at, id(order), limit]).await?;
    let summary = |row: &Row| {
        let state: String = row.get("state")?;
        let known = OrderState::ALL.into_iter().find(|known| known.name() == state);
        Ok(Summary {
            id: row.id("order_id")?,
            state: known.ok_or_else(|| strange("state", &state))?,
            title: row.get("title")?,
            products: row.get("products")?,
            copies: row.get("copies")?,
            paid: row.get("paid")?,
            placed_at: row.get("placed_at")?,
        })
    };
    rows.iter().map(summary).collect()
}

/// Orders that have events, after one of them, by their ids.
pub async fn ids(db: &mut Db, after: Option<OrderId>, limit: u32) -> Result<Vec<OrderId>, DbError> {
    let after = after.unwrap_or(OrderId::from_uuid(Uuid::nil()));
    let sql = "select order_id from shop_order_events where seq = 0 and order_id > ? \
         order by order_id limit ?";
    let rows = db.query(sql, params![id(after), limit]).await?;
    rows.iter().map(|row| row.id("order_id")).collect()
}

/// Takes lines out of the list that are of no order that has events, some; how many.
pub async fn drop_strays(tx: &mut Tx, limit: u32) -> Result<usize, DbError> {
    let sql = "select o.order_id as order_id from shop_orders o where not exists \
         (select 1 from shop_order_events e where e.order_id = o.order_id and e.seq = 0) limit ?";
    let rows = tx.query(sql, params![limit]).await?;
    for row in &rows {
        tx.delete("shop_orders", params![id(row.id::<OrderId>("order_id")?)]).await?;
    }
    Ok(rows.len())
}
