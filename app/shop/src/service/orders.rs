//! Orders: made in one transaction, told about after it.

use endpaper_api::shop::{EntryKind, OrderState, PlaceOrder, RankingSpan};
use endpaper_api::{FieldProblem, Text};
use endpaper_http::FieldError;
use jiff::civil::Date;
use multi_master::{Db, Tx};
use outbox::Outbox;
use stdx::UnixMicros;
use stdx::ids::Id as _;

use super::{ShopError, ShopService};
use crate::events::{ORDERS, OrderTold};
use crate::model::{
    Cart, Copies, CouponId, LINES_MAX, Order, OrderEvent, OrderId, ProductId, ReaderId, Refusal,
    Taken, TransferId, Wanted, Won,
};
use crate::rules;
use crate::store::orders::{self, Summary};
use crate::store::wallet::{self, Account};
use crate::store::{coupons, sales, stock};

/// Orders that are listed at once at most.
const LIST_MAX: u32 = 100;
/// Places of a ranking.
const PLACES: u32 = 20;

impl ShopService {
    /// Makes an order: takes copies, the coupon and the money, all of it or nothing. The same
    /// one again, under its id or the reader's key, gets the answer of the first time, also
    /// where that was no.
    ///
    /// # Errors
    /// [`ShopError::Invalid`]; [`ShopError::Refused`] where it can't be made, which is kept;
    /// [`ShopError::KeyReused`]; [`ShopError::InProgress`].
    pub async fn place(
        &self,
        reader: ReaderId,
        key: Option<&str>,
        request: &PlaceOrder,
    ) -> Result<Order, ShopError> {
        let cart = cart(request)?;
        let id = match (&request.id, key) {
            (Some(_), _) | (None, None) => {
                self.id_of(request.id.as_ref()).map_err(|why| ShopError::field("id", why))?
            }
            (None, Some(key)) => rules::derived(reader.uuid(), key),
        };
        // A reader's double click is one order. Where nobody can be asked who holds the lock,
        // the order is made all the same: it is made once by its id.
        let held = match self.0.locks.try_lock(&format!("order:{reader}")).await {
            Ok(guard) => Some(guard),
            Err(error) if error.is_busy() => return Err(ShopError::InProgress),
            Err(error) => {
                tracing::warn!(%error, "an order is made without its lock");
                None
            }
        };
        let placed = self.place_locked(reader, id, cart).await;
        if let Some(guard) = held {
            guard.release().await;
        }
        placed
    }

    async fn place_locked(
        &self,
        reader: ReaderId,
        id: OrderId,
        cart: Cart,
    ) -> Result<Order, ShopError> {
        let (outbox, now) = (self.0.outbox.clone(), self.now());
        let wanted = cart.clone();
        let placed = self.write(async move |tx: &mut Tx| {
            if let Some(order) = orders::get(tx, id).await? {
                return answer(order, reader, &wanted);
            }
            let made = make(tx, id, reader, &wanted, now).await?;
            let events = vec![OrderEvent::Placed { reader, cart: wanted.clone() }, made];
            let order = orders::append(tx, id, None, events, now).await?;
            tell(&outbox, tx, &order).await?;
            Ok(order)
        });
        match placed.await {
            Err(ShopError::Refused(why)) => self.reject(reader, id, cart, why).await,
            placed => placed,
        }
    }

    /// A repeat has to hear the same, whatever has changed since.
    async fn reject(
        &self,
        reader: ReaderId,
        id: OrderId,
        cart: Cart,
        why: Refusal,
    ) -> Result<Order, ShopError> {
        let now = self.now();
        let kept = self.write(async move |tx: &mut Tx| {
            if let Some(order) = orders::get(tx, id).await? {
                return Ok(order);
            }
            let placed = OrderEvent::Placed { reader, cart: cart.clone() };
            let events = vec![placed, OrderEvent::Rejected { why: why.clone() }];
            Ok(orders::append(tx, id, None, events, now).await?)
        });
        let order = kept.await?;
        let cart = order.cart.clone();
        answer(order, reader, &cart)
    }

    /// One of a reader's orders.
    ///
    /// # Errors
    /// [`ShopError::OrderNotFound`].
    pub async fn order(&self, reader: ReaderId, id: OrderId) -> Result<Order, ShopError> {
        let found = self.0.store.read(async move |db: &mut Db| orders::get(db, id).await).await?;
        found.filter(|order| order.reader == reader).ok_or(ShopError::OrderNotFound)
    }

    /// A reader's orders before one of them, the latest first; at most 100.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn orders(
        &self,
        reader: ReaderId,
        before: Option<(UnixMicros, OrderId)>,
        limit: u32,
    ) -> Result<Vec<Summary>, ShopError> {
        let limit = limit.clamp(1, LIST_MAX);
        let listed = self
            .0
            .store
            .read(async move |db: &mut Db| orders::list(db, reader, before, limit).await);
        Ok(listed.await?)
    }

    /// Undoes an order: copies, coupon and money are given back. What is cancelled stays so.
    ///
    /// # Errors
    /// [`ShopError::OrderNotFound`], [`ShopError::NotCancellable`].
    pub async fn cancel(&self, reader: ReaderId, id: OrderId) -> Result<Order, ShopError> {
        let (outbox, now) = (self.0.outbox.clone(), self.now());
        self.write(async move |tx: &mut Tx| {
            let order = orders::get(tx, id).await?.filter(|order| order.reader == reader);
            let order = order.ok_or(ShopError::OrderNotFound)?;
            match order.state {
                OrderState::Cancelled => return Ok(order),
                OrderState::Completed => {}
                OrderState::Placed | OrderState::Rejected => return Err(ShopError::NotCancellable),
            }
            undo(tx, &order, now).await?;
            let order =
                orders::append(tx, id, Some(order), vec![OrderEvent::Cancelled], now).await?;
            tell(&outbox, tx, &order).await?;
            Ok(order)
        })
        .await
    }

    /// What was sold most on a day, or on the seven days that end with it; today without one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn ranking(
        &self,
        span: RankingSpan,
        day: Option<Date>,
    ) -> Result<(Date, Date, Vec<(ProductId, String, i64)>), ShopError> {
        let to = day.unwrap_or_else(|| rules::day(self.now(), &self.0.time_zone));
        let from = match span {
            RankingSpan::Day => to,
            RankingSpan::Week => to.saturating_sub(jiff::Span::new().days(6)),
        };
        let places =
            self.0.store.read(async move |db: &mut Db| sales::ranking(db, from, to, PLACES).await);
        Ok((from, to, places.await?))
    }
}

fn cart(request: &PlaceOrder) -> Result<Cart, ShopError> {
    if request.lines.len() > LINES_MAX {
        let max = u32::try_from(LINES_MAX).expect("50");
        return Err(ShopError::field("lines", FieldProblem::TooMany { max }));
    }
    let mut wrong = Vec::new();
    let mut lines = Vec::with_capacity(request.lines.len());
    for (at, line) in request.lines.iter().enumerate() {
        let product = line.product_id.parse::<ProductId>().map_err(|_| {
            let name = format!("lines[{at}].productId");
            wrong.push(FieldError::new(name, FieldProblem::NotAnId));
        });
        let copies = Copies::new(line.copies)
            .map_err(|why| wrong.push(FieldError::new(format!("lines[{at}].copies"), why)));
        if let (Ok(product), Ok(copies)) = (product, copies) {
            lines.push(Wanted { product, copies });
        }
    }
    let coupon = request.coupon_id.as_ref().map(|id: &Text| id.parse::<CouponId>()).transpose();
    let coupon = coupon
        .map_err(|_| wrong.push(FieldError::new("couponId", FieldProblem::NotAnId)))
        .unwrap_or_default();
    if !wrong.is_empty() {
        return Err(ShopError::Invalid(wrong));
    }
    Ok(Cart::new(lines, coupon)?)
}

/// What an order that is there already answers to who asks for it again.
fn answer(order: Order, reader: ReaderId, cart: &Cart) -> Result<Order, ShopError> {
    if order.reader != reader {
        return Err(ShopError::IdTaken);
    }
    if order.cart != *cart {
        return Err(ShopError::KeyReused);
    }
    match order.why {
        Some(why) => Err(why.into()),
        None => Ok(order),
    }
}

/// Takes everything that an order needs.
async fn make(
    tx: &mut Tx,
    id: OrderId,
    reader: ReaderId,
    cart: &Cart,
    now: UnixMicros,
) -> Result<OrderEvent, ShopError> {
    let lines = stock::take(tx, id, cart.lines(), now).await?;
    let total = rules::total(&lines).ok_or(Refusal::TooMuch)?;
    let off = match cart.coupon {
        Some(coupon) => coupons::redeem(tx, id, coupon, reader, now).await?,
        None => Won::ZERO,
    };
    // A coupon is worth no more than what it is used for.
    let discount = off.min(total);
    let paid = total.minus(discount).unwrap_or_default();
    if paid > Won::ZERO {
        let from = Account::Reader(reader);
        let (id, kind, order) = (payment(id), EntryKind::Payment, Some(id));
        let payment = wallet::Transfer { id, kind, from, to: Account::Sales, amount: paid, order };
        wallet::transfer(tx, &payment, now).await?;
    }
    Ok(OrderEvent::Completed { lines, discount, paid })
}

/// Gives everything back that was taken for an order.
async fn undo(tx: &mut Tx, order: &Order, now: UnixMicros) -> Result<(), ShopError> {
    let lines: &[Taken] = &order.lines;
    stock::give_back(tx, order.id, lines).await?;
    if let Some(coupon) = order.cart.coupon {
        coupons::give_back(tx, order.id, coupon, order.reader).await?;
    }
    if order.paid > Won::ZERO {
        let to = Account::Reader(order.reader);
        let refund = wallet::Transfer {
            id: rules::derived(order.id.uuid(), "refund"),
            kind: EntryKind::Refund,
            from: Account::Sales,
            to,
            amount: order.paid,
            order: Some(order.id),
        };
        wallet::transfer(tx, &refund, now).await?;
    }
    Ok(())
}

fn payment(of: OrderId) -> TransferId {
    rules::derived(of.uuid(), "payment")
}

/// Who has to know hears of it, once it is saved. The last thing of a write: who emits in one
/// line waits for the others there.
async fn tell(outbox: &Outbox, tx: &mut Tx, order: &Order) -> Result<(), ShopError> {
    let told = OrderTold { order: order.id, state: order.state };
    outbox.emit(tx, ORDERS, &order.id.to_string(), &told).await?;
    Ok(())
}
