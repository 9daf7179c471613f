//! The operations of the shop: what can be asked for and done.
//!
//! A [`ShopService`] is cheap to clone; clones are one service. Every operation on a reader's
//! things takes the reader's id, and an id of somebody else's thing is "not found".

mod error;

mod products;

mod wallet;

mod coupons;

mod orders;

pub mod saga;

mod sagas;

mod audit;

mod demo;

mod readers;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ::saga::ledger::Ledger;
use ::saga::sagas::DecideError;
use endpaper_api::{FieldProblem, Text};
use jiff::tz::TimeZone;
use lock::Locks;
use multi_master::{DbError, MultiMaster, Tx, WriteError};
use outbox::{Bounds, Outbox, TopicError, Topics, webhook};
use stdx::ids::Id;
use stdx::{Clock, IdSource, UnixMicros};

pub use audit::{Audit, Rebuilt};
pub use error::ShopError;
pub use readers::{Contact, Contacting, FindReader, Finding, ReadersAway};
pub use saga::Parts;

use crate::events::{DataPlatform, Notification, ORDERS, Outside, SalesOf};
use saga::Desk;
use sagas::OrderSagas;

/// How often a write is run again when it met another one, and a key decided. The second run
/// sees the other's rows.
const MEETINGS_MAX: u32 = 3;

/// A row or some: what takes longer is tried again. And what a dead process was about to do
/// another one does after twice as long.
const SALES_DEADLINE: Duration = Duration::from_secs(5);

/// How long it can be seen how an order went.
const SAGAS_KEPT: Duration = Duration::from_hours(30 * 24);

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Config {
    /// The time zone that the shop's days are in. Default UTC.
    pub time_zone: TimeZone,
    /// How orders are told to the list of what was sold. Default 3 to 10 workers, a queue of 50.
    pub sales: Bounds,
    /// Who outside is told of orders. Default nobody.
    pub outside: Outside,
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
            clock: Clock::real(),
            ids: IdSource::system(),
        }
    }
}

/// Where the shop's things are: in one store, or in several.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Products and copies.
    pub stock: MultiMaster,
    /// Money.
    pub wallet: MultiMaster,
    /// Coupons.
    pub coupons: MultiMaster,
    /// Orders, what is made of them, and their events.
    pub orders: MultiMaster,
}

impl Stores {
    /// All in one.
    #[must_use]
    pub fn one(store: &MultiMaster) -> Self {
        let store = || store.clone();
        Self { stock: store(), wallet: store(), coupons: store(), orders: store() }
    }
}

/// How an order is made. The answers are the same.
#[derive(Clone, Debug)]
pub enum Form {
    /// In one transaction: everything has to be in one store.
    Transaction,
    /// As a saga: each part takes what it has in a transaction of its own, and gives it back
    /// where another one says no.
    Saga(Parts),
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

/// The operations of the shop.
#[derive(Clone)]
pub struct ShopService(Arc<Inner>);

struct Inner {
    stores: Stores,
    outbox: Outbox,
    /// Nothing where orders are made in one transaction.
    sagas: Option<OrderSagas>,
    /// `order:{reader}`: one order of a reader at a time.
    locks: Locks,
    readers: Arc<dyn FindReader>,
    clock: Clock,
    ids: IdSource,
    time_zone: TimeZone,
}

impl fmt::Debug for ShopService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShopService").finish_non_exhaustive()
    }
}

impl ShopService {
    /// Over stores that were opened with [`crate::MIGRATIONS`] among their migrations. From
    /// here on this process keeps the list of what was sold, and goes on with orders that
    /// others left.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        stores: Stores,
        form: Form,
        locks: Locks,
        readers: Arc<dyn FindReader>,
        config: Config,
    ) -> Result<Self, OpenError> {
        let Config { time_zone, sales, outside, clock, ids } = config;
        let mut topics = Topics::default();
        let handler = SalesOf { store: stores.orders.clone(), time_zone: time_zone.clone() };
        topics.subscribe(ORDERS, "sales", sales, handler)?;
        let store = stores.orders.clone();
        if let Some(sink) = outside.data_platform {
            let handler = DataPlatform { store: store.clone(), sink };
            topics.subscribe(ORDERS, "data-platform", webhook::BOUNDS, handler)?;
        }
        if let Some(sink) = outside.notification {
            let handler = Notification { store, readers: Arc::clone(&readers), sink };
            topics.subscribe(ORDERS, "notification", webhook::BOUNDS, handler)?;
        }
        let events = outbox::Config {
            lease: 2 * SALES_DEADLINE,
            clock: clock.clone(),
            ..outbox::Config::default()
        };
        let outbox = Outbox::open(stores.orders.clone(), topics, events).await?;
        let sagas = match form {
            Form::Transaction => None,
            Form::Saga(parts) => {
                let desk = Desk { outbox: outbox.clone(), clock: clock.clone() };
                Some(OrderSagas::open(stores.orders.clone(), desk, &parts).await?)
            }
        };
        Ok(Self(Arc::new(Inner { stores, outbox, sagas, locks, readers, clock, ids, time_zone })))
    }

    /// What waits to be told, and what was put aside.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The sagas of orders, where they are made so.
    #[must_use]
    pub fn sagas(&self) -> Option<&::saga::Sagas> {
        self.0.sagas.as_ref().map(OrderSagas::all)
    }

    /// Stops: orders that are under way go on to their next commit, and others go on with
    /// them; what is being told is waited for.
    pub async fn close(&self) {
        if let Some(sagas) = &self.0.sagas {
            sagas.all().close().await;
        }
        self.0.outbox.close().await;
        self.0.locks.close().await;
    }

    /// Forgets how orders went that were over a month ago, and twice as long ago what its parts
    /// were asked: an order itself says what it is, and is kept. To be called now and then.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn tidy(&self) -> Result<(), ShopError> {
        let Some(sagas) = &self.0.sagas else { return Ok(()) };
        let Stores { orders: _, stock, coupons, wallet } = &self.0.stores;
        let before = self.now().before(SAGAS_KEPT);
        sagas.all().forget(before).await.map_err(|error| match error {
            DecideError::Db(error) => ShopError::Db(error),
            DecideError::InDoubt(txid) => ShopError::InDoubt(txid),
            other => ShopError::Db(DbError::Shape(other.to_string())),
        })?;
        for store in [stock, coupons, wallet] {
            let forgotten = Ledger::new(store.clone()).forget(before.before(SAGAS_KEPT)).await;
            forgotten.map_err(|error| match error {
                WriteError::NotSaved(error) => ShopError::Db(error),
                WriteError::InDoubt(txid) => ShopError::InDoubt(txid),
            })?;
        }
        Ok(())
    }

    fn now(&self) -> UnixMicros {
        self.0.clock.now()
    }

    /// The id that a client gave, or a new one.
    fn id_of<I: Id + FromStr>(&self, given: Option<&Text>) -> Result<I, FieldProblem> {
        match given {
            Some(given) => given.parse().map_err(|_| FieldProblem::NotAnId),
            None => Ok(I::from_uuid(self.0.ids.next_uuid())),
        }
    }

    /// Writes, and runs again what met another write of the same thing.
    async fn write<T, F>(&self, store: &MultiMaster, closure: F) -> Result<T, ShopError>
    where
        F: AsyncFn(&mut Tx) -> Result<T, ShopError> + Clone + Send + 'static,
        T: Send + 'static,
    {
        let mut meetings = 0;
        loop {
            let result = store.write(closure.clone()).await.into_result();
            match result.map_err(ShopError::from) {
                Err(error) if error.is_meeting() && meetings < MEETINGS_MAX => meetings += 1,
                result => return result,
            }
        }
    }
}
