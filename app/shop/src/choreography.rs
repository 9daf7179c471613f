//! Orders that nobody leads: each part does its own, and tells the next one.
//!
//! ```text
//!  order   PLACED ──▶ stock ──▶ coupon ──▶ wallet ──▶ COMPLETED
//!          REJECTED ◀── stock ◀── coupon ◀──┘ no money
//!          CANCELLED ─▶ stock ──▶ coupon ──▶ wallet    everything is given back
//! ```
//!
//! What goes from one to the next is a [`Baton`]: it says what was taken so far, so that who
//! gets it needs to ask nobody. It is an event of the outbox, staged in the transaction that did
//! the part, and taken once by the inbox of the next one; so each part is done once, and an
//! order is never between two of them. The steps are those of the saga ([`crate::parts`]), and
//! so are the answers.
//!
//! What is different: nobody knows how far an order is but who has its baton, and a part that
//! is away is waited for, while a saga gives up after some seconds and undoes what was done. An
//! order is `PLACED` for so long.
//!
//! (Garcia-Molina and Salem, *Sagas*, 1987, have a leader; choreography is how Richardson,
//! *Microservices Patterns*, 2018, chapter 4, calls this.)

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use multi_master::{MultiMaster, Tx};
use outbox::{Bounds, Delivery, EventId, HandleError, Handler, Outbox, Topics, inbox};
use serde::{Deserialize, Serialize};
use stdx::{Clock, IdSource, UnixMicros};
use tokio::sync::Notify;

use crate::apart::Role;
use crate::model::{Cart, Order, OrderEvent, OrderId, ReaderId, Refusal, Taken, Won};
use crate::parts::{self, Ask, Gave};
use crate::service::{Base, Bill, Desk, OpenError, SAGAS_KEPT, ShopError};

/// A part takes some milliseconds. What a dead process was about to do another one does after
/// twice as long.
const DEADLINE: Duration = Duration::from_millis(2_500);
/// A part that is elsewhere has less, so that it is known that it did not answer.
pub(crate) const CALL_WITHIN: Duration = Duration::from_secs(2);

/// Who is away is asked again every five seconds at the least, for days.
const BOUNDS: Bounds = Bounds {
    deadline: DEADLINE,
    attempts_max: 1_000_000,
    pause_max: Duration::from_secs(5),
    ..Bounds::DEFAULT
};

/// What goes from one part to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baton {
    /// Of which order.
    pub order: OrderId,
    /// Whose.
    pub reader: ReaderId,
    /// What was wanted.
    pub cart: Cart,
    /// What was taken.
    pub lines: Vec<Taken>,
    /// What the coupon takes off.
    pub off: Won,
    /// What is to be done.
    pub errand: Errand,
}

/// What is to be done with an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Errand {
    /// Make it.
    Make,
    /// It can't be made: give back what was taken.
    Undo {
        /// Why it can't.
        why: Refusal,
    },
    /// It was cancelled: give everything back.
    GiveBack,
}

impl Baton {
    /// For an order that is placed.
    pub(crate) const fn placed(order: OrderId, reader: ReaderId, cart: Cart) -> Self {
        Self { order, reader, cart, lines: Vec::new(), off: Won::ZERO, errand: Errand::Make }
    }

    /// For one that is cancelled.
    pub(crate) fn cancelled(of: &Order) -> Self {
        Self {
            order: of.id,
            reader: of.reader,
            cart: of.cart.clone(),
            lines: of.lines.clone(),
            off: of.discount,
            errand: Errand::GiveBack,
        }
    }

    /// What is asked of a part; nothing where it has none in this order.
    fn ask(&self, role: Role) -> Result<Option<Ask>, ShopError> {
        let Self { order, reader, lines, .. } = self;
        let (order, reader, lines) = (*order, *reader, || lines.clone());
        let is_made = self.errand == Errand::Make;
        Ok(match role {
            Role::Order => None,
            Role::Stock if is_made => Some(Ask::Take { order, lines: self.cart.lines().to_vec() }),
            Role::Stock => Some(Ask::GiveBack { order, lines: lines() }),
            Role::Coupon => self.cart.coupon.map(|coupon| {
                if is_made {
                    Ask::Redeem { order, reader, coupon }
                } else {
                    Ask::Return { order, reader, coupon }
                }
            }),
            Role::Wallet => {
                let amount = Bill::of(lines(), self.off)?.paid;
                Some(if is_made {
                    Ask::Pay { order, reader, amount }
                } else {
                    Ask::Refund { order, reader, amount }
                })
            }
        })
    }

    /// Who gets it after a part has done its own.
    const fn next(&self, after: Role) -> Option<Role> {
        match (&self.errand, after) {
            (_, Role::Order) => None,
            (Errand::Undo { .. }, Role::Wallet) => Some(Role::Coupon),
            (Errand::Undo { .. }, Role::Coupon) => Some(Role::Stock),
            (Errand::Undo { .. }, Role::Stock) | (_, Role::Wallet) => Some(Role::Order),
            (_, Role::Stock) => Some(Role::Coupon),
            (_, Role::Coupon) => Some(Role::Wallet),
        }
    }
}

/// Why a part did not take a baton.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NotTaken {
    /// It may the next time.
    #[error("{0}")]
    Again(String),
    /// It never will: a person has to look at it.
    #[error("{0}")]
    Never(String),
}

/// What [`Takes`] returns.
pub type Taking<'a> = Pin<Box<dyn Future<Output = Result<(), NotTaken>> + Send + 'a>>;

/// A part that takes batons, here or elsewhere: each event once in effect.
pub trait Takes: Send + Sync + 'static {
    /// Does its part, and sees to it that the next one gets it.
    fn take<'a>(&'a self, role: Role, event: EventId, baton: &'a Baton) -> Taking<'a>;
}

/// The parts that a process has over one store. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Stage(Arc<Inner>);

struct Inner {
    base: Base,
    roles: Vec<Role>,
    /// What tells of orders, where they are here.
    desk: Option<Desk>,
    /// From when it is open on.
    outbox: OnceLock<Outbox>,
    waiting: Waiting,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("roles", &self.0.roles).finish_non_exhaustive()
    }
}

const fn topic(of: Role) -> &'static str {
    match of {
        Role::Order => "to-order",
        Role::Stock => "to-stock",
        Role::Wallet => "to-wallet",
        Role::Coupon => "to-coupon",
    }
}

impl Stage {
    /// Over a store that was opened with [`crate::MIGRATIONS`] among its migrations. From here
    /// on what is staged there goes on, to the parts that are here and to those `elsewhere`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) async fn open(
        base: Base,
        roles: &[Role],
        desk: Option<Desk>,
        elsewhere: &HashMap<Role, Arc<dyn Takes>>,
    ) -> Result<Self, OpenError> {
        let (store, clock) = (base.store.clone(), base.clock.clone());
        let (roles, outbox, waiting) = (roles.to_vec(), OnceLock::new(), Waiting::default());
        let stage = Self(Arc::new(Inner { base, roles, desk, outbox, waiting }));
        let mut topics = Topics::default();
        for role in [Role::Order, Role::Stock, Role::Coupon, Role::Wallet] {
            let to: Arc<dyn Takes> = if stage.0.roles.contains(&role) {
                Arc::new(stage.clone())
            } else if let Some(to) = elsewhere.get(&role) {
                Arc::clone(to)
            } else {
                continue;
            };
            topics.subscribe(topic(role), topic(role), BOUNDS, Carry { role, to })?;
        }
        let config = outbox::Config { lease: 2 * DEADLINE, clock, ..outbox::Config::default() };
        let outbox = Outbox::open(store, topics, config).await?;
        assert!(stage.0.outbox.set(outbox).is_ok(), "it is opened once");
        Ok(stage)
    }

    /// A part over a store: what it takes it does there, and tells the next one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn of_part(
        role: Role,
        store: MultiMaster,
        elsewhere: &HashMap<Role, Arc<dyn Takes>>,
        clock: Clock,
        ids: IdSource,
    ) -> Result<Self, OpenError> {
        Self::open(Base::new(store, clock, ids), &[role], None, elsewhere).await
    }

    /// What goes on from here, and what was put aside.
    ///
    /// # Panics
    /// Never: it is there from when it is open.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        self.0.outbox.get().expect("it is open")
    }

    pub(crate) fn now(&self) -> UnixMicros {
        self.0.base.now()
    }

    /// Gives a baton to a part, as a part of a write: the last one of it.
    pub(crate) async fn pass(&self, tx: &mut Tx, to: Role, baton: &Baton) -> Result<(), ShopError> {
        // Between the opening of the outbox and its being known there are some instructions.
        let outbox = self.0.outbox.get().ok_or(ShopError::InProgress)?;
        outbox.emit(tx, topic(to), &baton.order.to_string(), baton).await?;
        Ok(())
    }

    /// An order for whose end somebody waits.
    pub(crate) fn wait_for(&self, order: OrderId) -> Waiter<'_> {
        self.0.waiting.begin(order)
    }

    /// Stops: what is being taken is waited for.
    pub async fn close(&self) {
        self.outbox().close().await;
    }

    /// Forgets what was taken long ago.
    pub(crate) async fn tidy(&self) -> Result<(), ShopError> {
        let before = self.0.base.now().before(2 * SAGAS_KEPT);
        inbox::forget(&self.0.base.store, before).await?;
        Ok(())
    }

    async fn take_here(&self, role: Role, event: EventId, baton: &Baton) -> Result<(), ShopError> {
        let (stage, wanted) = (self.clone(), baton.clone());
        let done = self.0.base.write(async move |tx: &mut Tx| {
            if inbox::first_time_of(tx, topic(role), event).await? {
                let baton = stage.do_part(tx, role, wanted.clone()).await?;
                if let Some(next) = baton.next(role) {
                    stage.pass(tx, next, &baton).await?;
                }
            }
            Ok(())
        });
        match done.await {
            Err(ShopError::Refused(why)) if baton.errand == Errand::Make => {
                self.turn_back(role, event, baton, why).await
            }
            done => done,
        }
    }

    /// A part says no: who was before it gives back what was taken.
    async fn turn_back(
        &self,
        role: Role,
        event: EventId,
        baton: &Baton,
        why: Refusal,
    ) -> Result<(), ShopError> {
        let stage = self.clone();
        let baton = Baton { errand: Errand::Undo { why }, ..baton.clone() };
        let turned = self.0.base.write(async move |tx: &mut Tx| {
            if inbox::first_time_of(tx, topic(role), event).await?
                && let Some(next) = baton.next(role)
            {
                stage.pass(tx, next, &baton).await?;
            }
            Ok(())
        });
        turned.await
    }

    async fn do_part(&self, tx: &mut Tx, role: Role, mut baton: Baton) -> Result<Baton, ShopError> {
        let now = self.0.base.now();
        if let Some(ask) = baton.ask(role)? {
            match parts::run(tx, &ask, now).await? {
                Gave::Taken(lines) => baton.lines = lines,
                Gave::Off(off) => baton.off = off,
                Gave::Done => {}
            }
        }
        if role == Role::Order
            && let Some(desk) = &self.0.desk
        {
            let event = match &baton.errand {
                Errand::Make => Some(Bill::of(baton.lines.clone(), baton.off)?.completed()),
                Errand::Undo { why } => Some(OrderEvent::Rejected { why: why.clone() }),
                Errand::GiveBack => None,
            };
            if let Some(event) = event {
                desk.add(tx, baton.order, event).await?;
            }
        }
        Ok(baton)
    }
}

impl Takes for Stage {
    fn take<'a>(&'a self, role: Role, event: EventId, baton: &'a Baton) -> Taking<'a> {
        Box::pin(async move {
            if !self.0.roles.contains(&role) {
                let why = format!("the {role} service is not here: look at `shop.{role}_url`");
                return Err(NotTaken::Again(why));
            }
            self.take_here(role, event, baton).await.map_err(|error| match &error {
                // What gives something back can't be refused.
                ShopError::Refused(_)
                | ShopError::Invalid(_)
                | ShopError::Event(_)
                | ShopError::IdTaken
                | ShopError::KeyReused => NotTaken::Never(error.to_string()),
                // A mistake, or an order that is not in this store.
                ShopError::Db(why) if !why.is_retryable() && !error.is_meeting() => {
                    NotTaken::Never(error.to_string())
                }
                error => NotTaken::Again(error.to_string()),
            })?;
            if role == Role::Order {
                self.0.waiting.end(baton.order);
            }
            Ok(())
        })
    }
}

/// Brings what is staged to the part that it is for.
struct Carry {
    role: Role,
    to: Arc<dyn Takes>,
}

impl Handler for Carry {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        let baton: Baton = delivery.read()?;
        let taken = self.to.take(self.role, delivery.event_id, &baton).await;
        taken.map_err(|error| match error {
            NotTaken::Again(why) => HandleError::Again(why),
            NotTaken::Never(why) => HandleError::Poison(why),
        })
    }
}

/// Who waits in this process for an order to be over.
#[derive(Default)]
struct Waiting(Mutex<HashMap<OrderId, (usize, Arc<Notify>)>>);

/// One of those who wait.
pub(crate) struct Waiter<'a> {
    waiting: &'a Waiting,
    order: OrderId,
    over: Arc<Notify>,
}

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<OrderId, (usize, Arc<Notify>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, order: OrderId) -> Waiter<'_> {
        let mut all = self.all();
        let (waiters, over) = all.entry(order).or_default();
        *waiters += 1;
        Waiter { waiting: self, order, over: Arc::clone(over) }
    }

    fn end(&self, order: OrderId) {
        if let Some((_, over)) = self.all().get(&order) {
            over.notify_waiters();
        }
    }
}

impl Waiter<'_> {
    /// Ends at the next thing that happens to the order in this process. What happens from the
    /// call on is not missed.
    pub(crate) fn over(&self) -> tokio::sync::futures::Notified<'_> {
        self.over.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut all = self.waiting.all();
        if let Some((waiters, _)) = all.get_mut(&self.order) {
            *waiters -= 1;
            if *waiters == 0 {
                all.remove(&self.order);
            }
        }
    }
}
