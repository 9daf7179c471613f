//! The operations of the shop: what can be asked for and done.
//!
//! Each part of the shop is a service over a store: [`StockService`], [`WalletService`],
//! [`CouponService`], and [`OrderService`], which needs the others, here or elsewhere. A
//! [`Shop`] is those that a process has. They are cheap to clone; clones are one service. Every
//! operation on a reader's things takes the reader's id, and an id of somebody else's thing is
//! "not found".

mod base;

mod error;

mod products;

mod wallet;

mod coupons;

mod locks;

mod orders;

pub mod saga;

mod sagas;

mod audit;

mod demo;

mod readers;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::saga::sagas::DecideError;
use jiff::tz::TimeZone;
use lock::Locks;
use multi_master::{DbError, MultiMaster};
use outbox::{Bounds, Outbox, TopicError, Topics, webhook};
use stdx::{Clock, IdSource};

pub use audit::{Audit, Rebuilt};
pub use coupons::CouponService;
pub use error::ShopError;
pub use products::StockService;
pub use readers::{Contact, ContactReader, Contacting, FindReader, Finding, ReadersAway};
pub use saga::Parts;
pub use wallet::WalletService;

use crate::apart::Role;
use crate::choreography::{Stage, Takes};
use crate::events::{Notification, ORDERS, OrdersTo, Outside, SalesOf};
use crate::parts::{Here, Part};
pub(crate) use base::Base;
use locks::ReaderLocks;
pub(crate) use saga::Desk;
use sagas::OrderSagas;

pub(crate) use orders::Bill;

/// A row or some: what takes longer is tried again. And what a dead process was about to do
/// another one does after twice as long.
const SALES_DEADLINE: Duration = Duration::from_secs(5);

/// How long it can be seen how an order went.
pub(crate) const SAGAS_KEPT: Duration = Duration::from_hours(30 * 24);

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Config {
    /// The time zone that the shop's days are in. Default UTC.
    pub time_zone: TimeZone,
    /// How orders are told to the list of what was sold. Default 3 to 10 workers, a queue of 50.
    pub sales: Bounds,
    /// Who outside is told of orders. Default nobody.
    pub outside: Outside,
    /// How each of them is told. Default [`webhook::BOUNDS`].
    pub outside_bounds: Bounds,
    /// The machine's clock.
    pub clock: Clock,
    /// For ids that no client makes.
    pub ids: IdSource,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            time_zone: TimeZone::UTC,
            sales: Bounds {
                workers_min: 3,
                workers_max: 10,
                queue: 50,
                deadline: SALES_DEADLINE,
                ..Bounds::DEFAULT
            },
            outside: Outside::default(),
            outside_bounds: webhook::BOUNDS,
            clock: Clock::real(),
            ids: IdSource::system(),
        }
    }
}

/// How an order is made. The answers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In one transaction: everything has to be in one store.
    Transaction,
    /// As a saga: each part takes what it has in a transaction of its own, and gives it back
    /// where another one says no.
    Saga,
    /// From part to part, led by nobody.
    Choreography,
}

/// What makes orders. What was begun in one way goes on in it, whichever is chosen for those
/// that are new.
#[derive(Clone)]
pub struct Making {
    /// How those that are new are made.
    pub way: Way,
    /// Whom sagas ask.
    pub parts: Parts,
    /// Who takes batons; parts that are not among them take theirs over the store of orders.
    pub elsewhere: HashMap<Role, Arc<dyn Takes>>,
}

impl Making {
    /// Where everything is in one store.
    #[must_use]
    pub fn here(way: Way, store: &MultiMaster, clock: &Clock) -> Self {
        let here: Arc<dyn Part> = Arc::new(Here::new(store.clone(), clock.clone()));
        let (stock, coupons) = (Arc::clone(&here), Arc::clone(&here));
        let parts = Parts { stock, coupons, wallet: here };
        Self { way, parts, elsewhere: HashMap::new() }
    }
}

/// The shop could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration can't be right.
    #[error(transparent)]
    Config(#[from] TopicError),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] DbError),
    /// The sagas can't be opened.
    #[error(transparent)]
    Sagas(#[from] ::saga::sagas::OpenError),
}

/// Orders. Cheap to clone.
#[derive(Clone)]
pub struct OrderService(Arc<Orders>);

struct Orders {
    base: Base,
    outbox: Outbox,
    way: Way,
    sagas: OrderSagas,
    stage: Stage,
    /// `order:{reader}`: one order of a reader at a time.
    locks: ReaderLocks,
    time_zone: TimeZone,
}

impl fmt::Debug for OrderService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderService").finish_non_exhaustive()
    }
}

impl OrderService {
    /// Over a store that was opened with [`crate::MIGRATIONS`] among its migrations. From here
    /// on this process keeps the list of what was sold, and goes on with orders that others
    /// left.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        store: MultiMaster,
        making: Making,
        locks: Locks,
        contacts: Arc<dyn ContactReader>,
        config: Config,
    ) -> Result<Self, OpenError> {
        let Config { time_zone, sales, outside, outside_bounds, clock, ids } = config;
        let mut topics = Topics::default();
        let handler = SalesOf { store: store.clone(), time_zone: time_zone.clone() };
        topics.subscribe(ORDERS, "sales", sales, handler)?;
        if let Some(sink) = outside.data_platform {
            let handler = OrdersTo { store: store.clone(), sink };
            topics.subscribe(ORDERS, "data-platform", outside_bounds, handler)?;
        }
        if let Some(sink) = outside.stream {
            let handler = OrdersTo { store: store.clone(), sink };
            topics.subscribe(ORDERS, "stream", outside_bounds, handler)?;
        }
        if let Some(sink) = outside.notification {
            let handler = Notification { store: store.clone(), contacts, sink };
            topics.subscribe(ORDERS, "notification", outside_bounds, handler)?;
        }
        let events = outbox::Config {
            lease: 2 * SALES_DEADLINE,
            clock: clock.clone(),
            ..outbox::Config::default()
        };
        let outbox = Outbox::open(store.clone(), topics, events).await?;
        let desk = Desk { outbox: outbox.clone(), clock: clock.clone() };
        let Making { way, parts, elsewhere } = making;
        let sagas = OrderSagas::open(store.clone(), desk.clone(), &parts).await?;
        let all = [Role::Order, Role::Stock, Role::Coupon, Role::Wallet];
        let here: Vec<Role> =
            all.into_iter().filter(|role| !elsewhere.contains_key(role)).collect();
        let base = Base::new(store, clock.clone(), ids);
        let stage = Stage::open(base.clone(), &here, Some(desk), &elsewhere).await?;
        let locks = ReaderLocks::new(locks, clock);
        Ok(Self(Arc::new(Orders { base, outbox, way, sagas, stage, locks, time_zone })))
    }

    /// What waits to be told, and what was put aside.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The sagas of orders.
    #[must_use]
    pub fn sagas(&self) -> &::saga::Sagas {
        self.0.sagas.all()
    }

    /// What goes from part to part.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.0.stage
    }

    async fn close(&self) {
        self.sagas().close().await;
        self.0.stage.close().await;
        self.0.outbox.close().await;
        self.0.locks.close().await;
    }

    async fn tidy(&self) -> Result<(), ShopError> {
        self.0.stage.tidy().await?;
        let forgotten = self.sagas().forget(self.0.base.now().before(SAGAS_KEPT)).await;
        forgotten.map(drop).map_err(|error| match error {
            DecideError::Db(error) => ShopError::Db(error),
            DecideError::InDoubt(txid) => ShopError::InDoubt(txid),
            other => ShopError::Db(DbError::Shape(other.to_string())),
        })
    }
}

/// What of the shop a process has; the rest is elsewhere. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shop {
    /// Products and copies.
    pub stock: Option<StockService>,
    /// Money.
    pub wallet: Option<WalletService>,
    /// Coupons.
    pub coupons: Option<CouponService>,
    /// Orders, what is made of them, and their events.
    pub orders: Option<OrderService>,
    /// What goes on from a part to the next one, where orders are not here.
    pub stage: Option<Stage>,
}

impl Shop {
    /// Stops: orders that are under way go on to their next commit, and others go on with
    /// them; what is being told is waited for.
    pub async fn close(&self) {
        if let Some(orders) = &self.orders {
            orders.close().await;
        }
        if let Some(stage) = &self.stage {
            stage.close().await;
        }
    }

    /// Whether an order has been on its way from here to another part for longer than this.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_late(&self, after: Duration) -> Result<bool, DbError> {
        let Some(stage) = self.stage_here() else { return Ok(false) };
        let backlog = stage.outbox().backlog().await?;
        let since = stage.now().before(after);
        Ok(backlog.iter().any(|waiting| waiting.oldest.is_some_and(|oldest| oldest < since)))
    }

    fn stage_here(&self) -> Option<&Stage> {
        let of_orders = self.orders.as_ref().map(OrderService::stage);
        self.stage.as_ref().or(of_orders)
    }

    /// What waits to be told or to go on in this process, and what was put aside: several over
    /// one store.
    #[must_use]
    pub fn outboxes(&self) -> Vec<&Outbox> {
        let of_orders = self.orders.as_ref().map(OrderService::outbox);
        of_orders.into_iter().chain(self.stage_here().map(Stage::outbox)).collect()
    }

    /// Forgets how orders went that were over a month ago, and twice as long ago what its parts
    /// were asked: an order itself says what it is, and is kept. To be called now and then.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn tidy(&self) -> Result<(), ShopError> {
        if let Some(orders) = &self.orders {
            orders.tidy().await?;
        }
        let stock = self.stock.as_ref().map(StockService::base);
        let wallet = self.wallet.as_ref().map(WalletService::base);
        let coupons = self.coupons.as_ref().map(CouponService::base);
        for part in [stock, wallet, coupons].into_iter().flatten() {
            part.forget_asks().await?;
        }
        if let Some(stage) = &self.stage {
            stage.tidy().await?;
        }
        Ok(())
    }
}
