//! Orders: made in one transaction or as a saga, told about after it.

use std::time::Duration;

use endpaper_api::shop::{OrderState, OrderStep, PlaceOrder, RankingSpan};
use endpaper_api::{FieldProblem, Text};
use endpaper_http::FieldError;
use jiff::civil::Date;
use multi_master::{Db, Tx};
use outbox::Outbox;
use stdx::UnixMicros;
use stdx::ids::Id as _;

use super::{OrderService, Orders, ShopError, Way};
use crate::apart::Role;
use crate::choreography::{Baton, Stage};
use crate::events::{ORDERS, OrderTold};
use crate::model::{
    Cart, Copies, CouponId, LINES_MAX, Order, OrderEvent, OrderId, ProductId, ReaderId, Refusal,
    Taken, Wanted, Won,
};
use crate::parts::{self, Ask, Gave};
use crate::rules;
use crate::store::orders::{self, Summary};
use crate::store::sales;

/// Orders that are listed at once at most.
const LIST_MAX: u32 = 100;
/// Who asks for an order that goes from part to part waits for it for so long; then it is told
/// how it stands, and can be asked for again.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Who cancels one waits for so long until everything is given back.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked what other processes made of an order.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Places of a ranking.
const PLACES: u32 = 20;

impl OrderService {
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
                self.0.base.id_of(request.id.as_ref()).map_err(|why| ShopError::field("id", why))?
            }
            (None, Some(key)) => rules::derived(reader.uuid(), key),
        };
        let held = self.0.locks.hold(reader).await?;
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
        let Orders { base, sagas, stage, .. } = &*self.0;
        match self.0.way {
            Way::Transaction => self.place_at_once(reader, id, cart).await,
            Way::Saga => sagas.place(&base.store, reader, id, cart).await,
            Way::Choreography => self.place_on(stage, reader, id, cart).await,
        }
    }

    async fn place_on(
        &self,
        stage: &Stage,
        reader: ReaderId,
        id: OrderId,
        cart: Cart,
    ) -> Result<Order, ShopError> {
        let (begins, asked, now) = (stage.clone(), cart.clone(), self.0.base.now());
        let waiter = stage.wait_for(id);
        let placed = self.0.base.write(async move |tx: &mut Tx| {
            if let Some(order) = orders::get(tx, id).await? {
                return Ok(order);
            }
            let placed = OrderEvent::Placed { reader, cart: cart.clone() };
            let order = orders::append(tx, id, None, vec![placed], now).await?;
            begins.pass(tx, Role::Stock, &Baton::placed(id, reader, cart.clone())).await?;
            Ok(order)
        });
        let order = placed.await?;
        let settled = async {
            loop {
                let over = waiter.over();
                // Whoever is told may be another process: then it is looked for.
                let found = self.find(id).await?;
                if let Some(order) = found.filter(|order| order.state != OrderState::Placed) {
                    return Ok::<_, ShopError>(order);
                }
                let _ = tokio::time::timeout(LOOK_AGAIN, over).await;
            }
        };
        let order = match tokio::time::timeout(WAIT_MAX, settled).await {
            Ok(settled) => settled?,
            Err(_) => order,
        };
        answer(order, reader, &asked)
    }

    /// Cancels it, and waits for a moment until everything is given back.
    async fn cancel_on(
        &self,
        stage: &Stage,
        reader: ReaderId,
        id: OrderId,
    ) -> Result<Order, ShopError> {
        let (begins, outbox) = (stage.clone(), self.0.outbox.clone());
        let (waiter, now) = (stage.wait_for(id), self.0.base.now());
        let over = waiter.over();
        let cancelled = self.0.base.write(async move |tx: &mut Tx| {
            let order = orders::get(tx, id).await?.filter(|order| order.reader == reader);
            let order = order.ok_or(ShopError::OrderNotFound)?;
            if !is_to_cancel(&order)? {
                return Ok((order, false));
            }
            let baton = Baton::cancelled(&order);
            let cancelled = vec![OrderEvent::Cancelled];
            let order = orders::append(tx, id, Some(order), cancelled, now).await?;
            begins.pass(tx, Role::Stock, &baton).await?;
            tell(&outbox, tx, &order).await?;
            Ok((order, true))
        });
        let (order, is_under_way) = cancelled.await?;
        if is_under_way {
            let _ = tokio::time::timeout(GIVEN_BACK_WITHIN, over).await;
        }
        Ok(order)
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, ShopError> {
        Ok(self.0.base.store.read(async move |db: &mut Db| orders::get(db, id).await).await?)
    }

    async fn place_at_once(
        &self,
        reader: ReaderId,
        id: OrderId,
        cart: Cart,
    ) -> Result<Order, ShopError> {
        let (outbox, now) = (self.0.outbox.clone(), self.0.base.now());
        let wanted = cart.clone();
        let placed = self.0.base.write(async move |tx: &mut Tx| {
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
        let now = self.0.base.now();
        let asked = cart.clone();
        let kept = self.0.base.write(async move |tx: &mut Tx| {
            if let Some(order) = orders::get(tx, id).await? {
                return Ok(order);
            }
            let placed = OrderEvent::Placed { reader, cart: cart.clone() };
            let events = vec![placed, OrderEvent::Rejected { why: why.clone() }];
            Ok(orders::append(tx, id, None, events, now).await?)
        });
        answer(kept.await?, reader, &asked)
    }

    /// One of a reader's orders.
    ///
    /// # Errors
    /// [`ShopError::OrderNotFound`].
    pub async fn order(&self, reader: ReaderId, id: OrderId) -> Result<Order, ShopError> {
        let found =
            self.0.base.store.read(async move |db: &mut Db| orders::get(db, id).await).await?;
        found.filter(|order| order.reader == reader).ok_or(ShopError::OrderNotFound)
    }

    /// What an order needs, and how far each is.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn steps(&self, order: &Order) -> Result<Vec<OrderStep>, ShopError> {
        self.0.sagas.steps(order, rules::steps(order)).await
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
            .base
            .store
            .read(async move |db: &mut Db| orders::list(db, reader, before, limit).await);
        Ok(listed.await?)
    }

    /// Undoes an order: copies, coupon and money are given back. What is cancelled stays so.
    ///
    /// # Errors
    /// [`ShopError::OrderNotFound`], [`ShopError::NotCancellable`].
    pub async fn cancel(&self, reader: ReaderId, id: OrderId) -> Result<Order, ShopError> {
        let Orders { base, sagas, stage, .. } = &*self.0;
        match self.0.way {
            Way::Transaction => self.cancel_at_once(reader, id).await,
            Way::Saga => {
                let order = self.order(reader, id).await?;
                if is_to_cancel(&order)? {
                    sagas.cancel(&base.store, order).await
                } else {
                    Ok(order)
                }
            }
            Way::Choreography => self.cancel_on(stage, reader, id).await,
        }
    }

    async fn cancel_at_once(&self, reader: ReaderId, id: OrderId) -> Result<Order, ShopError> {
        let (outbox, now) = (self.0.outbox.clone(), self.0.base.now());
        self.0
            .base
            .write(async move |tx: &mut Tx| {
                let order = orders::get(tx, id).await?.filter(|order| order.reader == reader);
                let order = order.ok_or(ShopError::OrderNotFound)?;
                if !is_to_cancel(&order)? {
                    return Ok(order);
                }
                undo(tx, &order, now).await?;
                let cancelled = vec![OrderEvent::Cancelled];
                let order = orders::append(tx, id, Some(order), cancelled, now).await?;
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
        let to = day.unwrap_or_else(|| rules::day(self.0.base.now(), &self.0.time_zone));
        let from = match span {
            RankingSpan::Day => to,
            RankingSpan::Week => to.saturating_sub(jiff::Span::new().days(6)),
        };
        let places = self
            .0
            .base
            .store
            .read(async move |db: &mut Db| sales::ranking(db, from, to, PLACES).await);
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

/// Whether there is something to cancel.
fn is_to_cancel(order: &Order) -> Result<bool, ShopError> {
    match order.state {
        OrderState::Completed => Ok(true),
        OrderState::Cancelled => Ok(false),
        OrderState::Placed | OrderState::Rejected => Err(ShopError::NotCancellable),
    }
}

/// What an order that is there already answers to who asks for it again.
pub(super) fn answer(order: Order, reader: ReaderId, cart: &Cart) -> Result<Order, ShopError> {
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

/// What an order costs.
pub(crate) struct Bill {
    lines: Vec<Taken>,
    discount: Won,
    pub(crate) paid: Won,
}

impl Bill {
    /// Of what was taken, and what a coupon takes off: a coupon is worth no more than what it
    /// is used for.
    pub(crate) fn of(lines: Vec<Taken>, off: Won) -> Result<Self, Refusal> {
        let total = rules::total(&lines).ok_or(Refusal::TooMuch)?;
        let discount = off.min(total);
        let paid = total.minus(discount).unwrap_or_default();
        Ok(Self { lines, discount, paid })
    }

    pub(crate) fn completed(self) -> OrderEvent {
        let Self { lines, discount, paid } = self;
        OrderEvent::Completed { lines, discount, paid }
    }
}

/// Takes everything that an order needs.
async fn make(
    tx: &mut Tx,
    order: OrderId,
    reader: ReaderId,
    cart: &Cart,
    now: UnixMicros,
) -> Result<OrderEvent, ShopError> {
    let take = Ask::Take { order, lines: cart.lines().to_vec() };
    let Gave::Taken(lines) = parts::run(tx, &take, now).await? else {
        unreachable!("copies are what is given")
    };
    let off = match cart.coupon {
        Some(coupon) => parts::run(tx, &Ask::Redeem { order, reader, coupon }, now).await?,
        None => Gave::Done,
    };
    let off = if let Gave::Off(off) = off { off } else { Won::ZERO };
    let bill = Bill::of(lines, off)?;
    parts::run(tx, &Ask::Pay { order, reader, amount: bill.paid }, now).await?;
    Ok(bill.completed())
}

/// Gives everything back that was taken for an order.
async fn undo(tx: &mut Tx, of: &Order, now: UnixMicros) -> Result<(), ShopError> {
    let (order, reader) = (of.id, of.reader);
    parts::run(tx, &Ask::GiveBack { order, lines: of.lines.clone() }, now).await?;
    if let Some(coupon) = of.cart.coupon {
        parts::run(tx, &Ask::Return { order, reader, coupon }, now).await?;
    }
    parts::run(tx, &Ask::Refund { order, reader, amount: of.paid }, now).await?;
    Ok(())
}

/// Who has to know hears of it, once it is saved. The last thing of a write: who emits in one
/// line waits for the others there.
pub(super) async fn tell(outbox: &Outbox, tx: &mut Tx, order: &Order) -> Result<(), ShopError> {
    let told = OrderTold { order: order.id, state: order.state };
    outbox.emit(tx, ORDERS, &order.id.to_string(), &told).await?;
    Ok(())
}
