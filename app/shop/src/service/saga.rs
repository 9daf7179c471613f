//! Orders as sagas, where stock, wallet, coupons and orders have stores of their own.
//!
//! ```text
//!  order    place ─┬─ take stock ────┬─ pay ─ complete
//!                  └─ redeem coupon ─┘
//!  cancel   cancel ─┬─ give back stock ─┬─
//!                   ├─ return coupon ───┤
//!                   └─ refund ──────────┘
//! ```
//!
//! An order that can't be made gives back what was taken, and ends rejected, with the reason.
//! A cancellation is decided by its first step, and from then on only goes forward.

use std::fmt;
use std::sync::Arc;

use endpaper_api::shop::{OrderNeed, OrderState};
use multi_master::{DbError, Tx};
use outbox::Outbox;
use saga::{
    CallStep, CallUndo, Context, Definition, LocalStep, LocalUndo, Policy, Refusal, Step, StepError,
};
use serde::{Deserialize, Serialize};
use stdx::Clock;

use super::ShopError;
use super::orders::{self as making, tell};
use crate::model::{Cart, Order, OrderEvent, OrderId, ReaderId, Taken, Won};
use crate::parts::{Ask, Gave, Part, refusal, step_error};
use crate::store::orders;

/// Who has what an order needs.
#[derive(Clone)]
pub struct Parts {
    /// Copies.
    pub stock: Arc<dyn Part>,
    /// Coupons.
    pub coupons: Arc<dyn Part>,
    /// Money.
    pub wallet: Arc<dyn Part>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What the saga of an order is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placing {
    /// The order's id, which is the saga's too.
    pub order: OrderId,
    /// Who orders.
    pub reader: ReaderId,
    /// What.
    pub cart: Cart,
}

/// What the saga of a cancellation is started with: the order, as it was completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelling {
    order: OrderId,
    reader: ReaderId,
    cart: Cart,
    lines: Vec<Taken>,
    paid: Won,
}

impl Cancelling {
    /// Of an order that was completed.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        Self {
            order: order.id,
            reader: order.reader,
            cart: order.cart.clone(),
            lines: order.lines.clone(),
            paid: order.paid,
        }
    }
}

/// What the steps in the store of orders need.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Who has to know hears of orders by it.
    pub outbox: Outbox,
    /// The machine's clock.
    pub clock: Clock,
}

/// How an order is made.
#[must_use]
pub fn order(desk: Desk, parts: &Parts) -> Definition<Placing> {
    let Parts { stock, coupons, wallet } = parts.clone();
    Definition::new("order", 1)
        .local(Place(desk.clone()))
        .together(|group| group.call(TakeStock(stock)).call(RedeemCoupon(coupons)))
        .call(Pay(wallet))
        .pivot()
        .local_without_undo(Complete(desk))
}

/// How an order is undone that was made.
#[must_use]
pub fn cancel(desk: Desk, parts: &Parts) -> Definition<Cancelling> {
    let Parts { stock, coupons, wallet } = parts.clone();
    Definition::new("cancel-order", 1).local_without_undo(Cancel(desk)).pivot().together(|group| {
        group
            .call_without_undo(GiveBackStock(stock))
            .call_without_undo(ReturnCoupon(coupons))
            .call_without_undo(Refund(wallet))
    })
}

/// The order is there, and being made; undone, it is rejected.
struct Place(Desk);

impl Step for Place {
    type Output = ();
    const NAME: &'static str = "place";
}

impl LocalStep<Placing> for Place {
    async fn run(&self, tx: &mut Tx, placing: &Context<'_, Placing>) -> Result<(), StepError> {
        let Placing { order, reader, cart } = &placing.input;
        if orders::get(tx, *order).await?.is_some() {
            return Err(StepError::Refused(id_taken()));
        }
        let placed = OrderEvent::Placed { reader: *reader, cart: cart.clone() };
        orders::append(tx, *order, None, vec![placed], self.0.clock.now()).await?;
        Ok(())
    }

    fn refusal(&self, error: &DbError) -> Option<Refusal> {
        let is_taken =
            matches!(error, DbError::Duplicate { table, .. } if table == "shop_order_events");
        is_taken.then(id_taken)
    }
}

/// An order that was made in another form, or of another reader.
fn id_taken() -> Refusal {
    Refusal::new("ID_TAKEN", "there is an order of this id")
}

impl LocalUndo<Placing> for Place {
    async fn undo(
        &self,
        tx: &mut Tx,
        placing: &Context<'_, Placing>,
        (): (),
    ) -> Result<(), StepError> {
        let why = refusal(placing.cause());
        Ok(self.0.add(tx, placing.input.order, OrderEvent::Rejected { why }).await?)
    }
}

impl Desk {
    /// Adds an event to an order that is there.
    pub(crate) async fn add(
        &self,
        tx: &mut Tx,
        of: OrderId,
        event: OrderEvent,
    ) -> Result<(), ShopError> {
        let before = orders::get(tx, of).await?;
        let is_told = matches!(event, OrderEvent::Completed { .. } | OrderEvent::Cancelled);
        let order = orders::append(tx, of, before, vec![event], self.clock.now()).await?;
        if is_told {
            tell(&self.outbox, tx, &order).await?;
        }
        Ok(())
    }
}

/// Copies are taken.
struct TakeStock(Arc<dyn Part>);

impl Step for TakeStock {
    type Output = Vec<Taken>;
    const NAME: &'static str = "take-stock";
}

fn take(placing: &Placing) -> Ask {
    Ask::Take { order: placing.order, lines: placing.cart.lines().to_vec() }
}

impl CallStep<Placing> for TakeStock {
    async fn call(&self, placing: &Context<'_, Placing>) -> Result<Vec<Taken>, StepError> {
        match self.0.run(&placing.key(), placing.fence(), take(&placing.input)).await? {
            Gave::Taken(lines) => Ok(lines),
            other => Err(strange(&other)),
        }
    }
}

impl CallUndo<Placing> for TakeStock {
    async fn undo(
        &self,
        placing: &Context<'_, Placing>,
        _: Option<Vec<Taken>>,
    ) -> Result<(), StepError> {
        self.0.undo(&placing.key(), placing.fence(), take(&placing.input)).await
    }
}

/// The coupon is used, where there is one.
struct RedeemCoupon(Arc<dyn Part>);

impl Step for RedeemCoupon {
    type Output = Won;
    const NAME: &'static str = "redeem-coupon";
}

fn redeem(placing: &Placing) -> Option<Ask> {
    let Placing { order, reader, cart } = placing;
    cart.coupon.map(|coupon| Ask::Redeem { order: *order, reader: *reader, coupon })
}

impl CallStep<Placing> for RedeemCoupon {
    async fn call(&self, placing: &Context<'_, Placing>) -> Result<Won, StepError> {
        let Some(ask) = redeem(&placing.input) else { return Ok(Won::ZERO) };
        match self.0.run(&placing.key(), placing.fence(), ask).await? {
            Gave::Off(off) => Ok(off),
            other => Err(strange(&other)),
        }
    }
}

impl CallUndo<Placing> for RedeemCoupon {
    async fn undo(&self, placing: &Context<'_, Placing>, _: Option<Won>) -> Result<(), StepError> {
        let Some(ask) = redeem(&placing.input) else { return Ok(()) };
        self.0.undo(&placing.key(), placing.fence(), ask).await
    }
}

/// The money is taken. From here on the order is made.
struct Pay(Arc<dyn Part>);

impl Step for Pay {
    type Output = Won;
    const NAME: &'static str = "pay";
}

/// What it costs, and what of that is to be paid.
fn bill(placing: &Context<'_, Placing>) -> Result<making::Bill, StepError> {
    let (lines, off) = (placing.output::<TakeStock>()?, placing.output::<RedeemCoupon>()?);
    making::Bill::of(lines, off).map_err(|why| step_error(why.into()))
}

fn pay(placing: &Placing, amount: Won) -> Ask {
    Ask::Pay { order: placing.order, reader: placing.reader, amount }
}

impl CallStep<Placing> for Pay {
    async fn call(&self, placing: &Context<'_, Placing>) -> Result<Won, StepError> {
        let amount = bill(placing)?.paid;
        self.0.run(&placing.key(), placing.fence(), pay(&placing.input, amount)).await?;
        Ok(amount)
    }
}

impl CallUndo<Placing> for Pay {
    async fn undo(&self, placing: &Context<'_, Placing>, _: Option<Won>) -> Result<(), StepError> {
        let amount = bill(placing)?.paid;
        self.0.undo(&placing.key(), placing.fence(), pay(&placing.input, amount)).await
    }
}

/// Everything is there.
struct Complete(Desk);

impl Step for Complete {
    type Output = ();
    const NAME: &'static str = "complete";
}

impl LocalStep<Placing> for Complete {
    async fn run(&self, tx: &mut Tx, placing: &Context<'_, Placing>) -> Result<(), StepError> {
        let completed = bill(placing)?.completed();
        Ok(self.0.add(tx, placing.input.order, completed).await?)
    }
}

/// The order is cancelled: what was taken is given back after it.
struct Cancel(Desk);

impl Step for Cancel {
    type Output = ();
    const NAME: &'static str = "cancel";
}

impl LocalStep<Cancelling> for Cancel {
    async fn run(&self, tx: &mut Tx, of: &Context<'_, Cancelling>) -> Result<(), StepError> {
        let found = orders::get(tx, of.input.order).await?;
        if found.is_some_and(|order| order.state == OrderState::Cancelled) {
            // In another way: whoever did it gives everything back.
            return Err(StepError::refused("CANCELLED", "the order was cancelled already"));
        }
        Ok(self.0.add(tx, of.input.order, OrderEvent::Cancelled).await?)
    }
}

/// Copies are given back.
struct GiveBackStock(Arc<dyn Part>);

impl Step for GiveBackStock {
    type Output = ();
    const NAME: &'static str = "give-back-stock";
    const POLICY: Policy = Policy::UNDO_DEFAULT;
}

impl CallStep<Cancelling> for GiveBackStock {
    async fn call(&self, of: &Context<'_, Cancelling>) -> Result<(), StepError> {
        let ask = Ask::GiveBack { order: of.input.order, lines: of.input.lines.clone() };
        self.0.run(&of.key(), of.fence(), ask).await.map(drop)
    }
}

/// The coupon can be used again.
struct ReturnCoupon(Arc<dyn Part>);

impl Step for ReturnCoupon {
    type Output = ();
    const NAME: &'static str = "return-coupon";
    const POLICY: Policy = Policy::UNDO_DEFAULT;
}

impl CallStep<Cancelling> for ReturnCoupon {
    async fn call(&self, of: &Context<'_, Cancelling>) -> Result<(), StepError> {
        let Cancelling { order, reader, cart, .. } = &of.input;
        let Some(coupon) = cart.coupon else { return Ok(()) };
        let ask = Ask::Return { order: *order, reader: *reader, coupon };
        self.0.run(&of.key(), of.fence(), ask).await.map(drop)
    }
}

/// The money is given back.
struct Refund(Arc<dyn Part>);

impl Step for Refund {
    type Output = ();
    const NAME: &'static str = "refund";
    const POLICY: Policy = Policy::UNDO_DEFAULT;
}

impl CallStep<Cancelling> for Refund {
    async fn call(&self, of: &Context<'_, Cancelling>) -> Result<(), StepError> {
        let Cancelling { order, reader, paid, .. } = of.input;
        let ask = Ask::Refund { order, reader, amount: paid };
        self.0.run(&of.key(), of.fence(), ask).await.map(drop)
    }
}

/// Which step of the order's saga is about it, and which of the cancellation's.
pub(super) const fn names(of: OrderNeed) -> (&'static str, &'static str) {
    match of {
        OrderNeed::Stock => (TakeStock::NAME, GiveBackStock::NAME),
        OrderNeed::Coupon => (RedeemCoupon::NAME, ReturnCoupon::NAME),
        OrderNeed::Payment => (Pay::NAME, Refund::NAME),
    }
}

fn strange(gave: &Gave) -> StepError {
    StepError::Failed(format!("it answered something else: {gave:?}"))
}

impl From<ShopError> for StepError {
    fn from(error: ShopError) -> Self {
        step_error(error)
    }
}
