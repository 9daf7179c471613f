//! Orders and cancellations as sagas, stopped at every commit and call, alone and in pairs.

use std::sync::Arc;

use endpaper_api::shop::{EntryKind, OrderState};
use endpaper_shop::MIGRATIONS;
use endpaper_shop::events::ORDERS;
use endpaper_shop::model::{
    Cart, Copies, Coupon, Order, OrderId, Product, ReaderId, ReceiptId, Wanted, Won,
};
use endpaper_shop::parts::{Here, Part};
use endpaper_shop::rules;
use endpaper_shop::service::Parts;
use endpaper_shop::service::saga::{Cancelling, Desk, Placing, cancel, order};
use endpaper_shop::store::wallet::{Account, Transfer};
use endpaper_shop::store::{coupons, orders, stock, wallet};
use multi_master::{Config, Db, MultiMaster, Policy, Tx, id, params};
use outbox::{Outbox, Topics};
use saga::crash::World;
use saga::{Definitions, Kind, SagaId, SagaState, SagaView, Sagas, StartError};
use stdx::ids::Id as _;
use stdx::{Clock, UnixMicros};
use tempfile::TempDir;

use crate::world::{coupon, product};

/// Orders, stock, coupons and wallets, each in a store of its own.
struct Shop {
    orders: MultiMaster,
    stock: MultiMaster,
    coupons: MultiMaster,
    wallet: MultiMaster,
    outbox: Outbox,
    clock: Clock,
    _folders: Vec<TempDir>,
}

/// It is made; there is no money, when the rest is taken; there are no copies; the coupon is
/// another reader's; it is made and cancelled.
const MADE: usize = 0;
const NO_MONEY: usize = 1;
const NO_COPIES: usize = 2;
const NO_COUPON: usize = 3;
const CANCELLED: usize = 4;

async fn write<F, T>(store: &MultiMaster, closure: F) -> T
where
    F: AsyncFn(&mut Tx) -> Result<T, endpaper_shop::ShopError> + Send + 'static,
    T: Send + 'static,
{
    store.write(closure).await.into_result().unwrap()
}

impl World for Shop {
    const SCENARIOS: usize = 5;
    type Kind = (Kind<Placing>, Kind<Cancelling>);

    async fn begin(clock: Clock) -> Self {
        let (mut stores, mut folders) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let mut config = Config::embedded(folder.path(), Policy::All);
            config.clock = clock.clone();
            stores.push(MultiMaster::open(config, MIGRATIONS).await.unwrap());
            folders.push(folder);
        }
        let mut topics = Topics::default();
        topics.topic(ORDERS).unwrap();
        let outbox = Outbox::open(stores[0].clone(), topics, outbox::Config::default());
        let outbox = outbox.await.unwrap();
        let now = clock.now();
        write(&stores[1], async move |tx: &mut Tx| {
            let book = Product {
                id: product(1),
                title: "무진기행".to_owned(),
                author: None,
                isbn: None,
                price: Won::new(12_000).unwrap(),
                on_hand: 0,
            };
            stock::insert(tx, &book, now).await?;
            stock::insert(tx, &Product { id: product(2), ..book }, now).await?;
            let receipt = ReceiptId::from_uuid(uuid::Uuid::from_u128(1));
            stock::receive(tx, receipt, product(1), 1_000_000, now).await
        })
        .await;
        write(&stores[2], async move |tx: &mut Tx| {
            let spring = Coupon {
                id: coupon(1),
                name: "봄".to_owned(),
                discount: Won::new(2_000).unwrap(),
                quantity: 1_000_000,
                issued: 0,
                ends: UnixMicros(i64::MAX),
            };
            Ok(coupons::insert(tx, &spring, now).await?)
        })
        .await;
        let [orders, stock, coupons, wallet] = stores.try_into().expect("four");
        Self { orders, stock, coupons, wallet, outbox, clock, _folders: folders }
    }

    fn store(&self) -> &MultiMaster {
        &self.orders
    }

    fn define(&self, definitions: &mut Definitions) -> Self::Kind {
        let desk = Desk { outbox: self.outbox.clone(), clock: self.clock.clone() };
        let here = |store: &MultiMaster| -> Arc<dyn Part> {
            Arc::new(Here::new(store.clone(), self.clock.clone()))
        };
        let parts = Parts {
            stock: here(&self.stock),
            coupons: here(&self.coupons),
            wallet: here(&self.wallet),
        };
        let order = definitions.add(order(desk.clone(), &parts)).unwrap();
        (order, definitions.add(cancel(desk, &parts)).unwrap())
    }

    async fn start(
        &self,
        sagas: &Sagas,
        (to_order, to_cancel): &Self::Kind,
        scenario: usize,
        id: SagaId,
    ) -> Result<(), StartError> {
        let of = order_of(scenario, id);
        let reader = self.reader(scenario, of).await;
        let wanted = |number| Wanted { product: product(number), copies: Copies::new(2).unwrap() };
        let line = wanted(if scenario == NO_COPIES { 2 } else { 1 });
        let cart = Cart::new(vec![line], Some(coupon(1))).unwrap();
        let placing = Placing { order: of, reader, cart };
        let order_saga = SagaId::from_uuid(of.uuid());
        sagas.start(to_order, order_saga, &placing).await?;
        if scenario == CANCELLED {
            sagas.wait(order_saga).await.unwrap();
            let made = self.order(of).await;
            let made = Order { state: OrderState::Completed, ..made };
            sagas.start(to_cancel, id, &Cancelling::of(&made)).await?;
        }
        Ok(())
    }

    async fn check(&self, scenario: usize, saga: &SagaView) {
        let of = order_of(scenario, saga.id);
        let order = self.order(of).await;
        let (taken, used, spent) = self.left_of(of).await;
        let (ends, state) = match scenario {
            MADE => (SagaState::Completed, OrderState::Completed),
            CANCELLED => (SagaState::Completed, OrderState::Cancelled),
            _ => (SagaState::Compensated, OrderState::Rejected),
        };
        assert_eq!((saga.state, order.state), (ends, state), "{order:?}");
        if scenario == MADE {
            assert_eq!((taken, used, spent), (1, 1, -22_000));
        } else {
            assert_eq!((taken, used, spent), (0, 0, 0), "nothing is left");
        }
        assert_eq!(order.why.is_some(), state == OrderState::Rejected);
        let wrong = self.stock.read(async |db: &mut Db| stock::audit(db).await).await.unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
        let wrong = self.coupons.read(async |db: &mut Db| coupons::audit(db).await).await.unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
        let money = self.wallet.read(async |db: &mut Db| wallet::audit(db).await).await.unwrap();
        assert!(money.0 == 0 && money.2.is_empty(), "{money:?}");
    }
}

/// Each run has an order, and a reader, of its own.
fn order_of(scenario: usize, saga: SagaId) -> OrderId {
    if scenario == CANCELLED {
        rules::derived(saga.uuid(), "order")
    } else {
        OrderId::from_uuid(saga.uuid())
    }
}

impl Shop {
    /// With what the scenario gives them.
    async fn reader(&self, scenario: usize, of: OrderId) -> ReaderId {
        let (reader, now) = (rules::derived::<ReaderId>(of.uuid(), "reader"), self.clock.now());
        if scenario != NO_MONEY {
            let charge = Transfer {
                id: rules::derived(of.uuid(), "charge"),
                kind: EntryKind::Charge,
                from: Account::PaidIn,
                to: Account::Reader(reader),
                amount: Won::new(50_000).unwrap(),
                order: None,
            };
            write(&self.wallet, async move |tx: &mut Tx| wallet::transfer(tx, &charge, now).await)
                .await;
        }
        if scenario != NO_COUPON {
            write(&self.coupons, async move |tx: &mut Tx| {
                coupons::issue(tx, coupon(1), reader, now).await
            })
            .await;
        }
        reader
    }

    async fn order(&self, of: OrderId) -> Order {
        let found = self.orders.read(async move |db: &mut Db| orders::get(db, of).await);
        found.await.unwrap().expect("it was placed")
    }

    /// Copies that are taken for an order, coupons that are used, money that is gone.
    async fn left_of(&self, of: OrderId) -> (i64, i64, i64) {
        let number = async |store: &MultiMaster,
                            sql: &'static str,
                            of: Vec<multi_master::Value>| {
            let row = store.read(async move |db: &mut Db| db.query_first(sql, of.clone()).await);
            row.await.unwrap().unwrap().get::<i64>("n").unwrap()
        };
        let of = || params![id(of)];
        let taken = "select count(*) as n from shop_moves where source_id = ? and undone = 0";
        let used = "select count(*) as n from shop_pieces where order_id = ?";
        let spent = "select cast(coalesce(sum(amount), 0) as signed) as n from shop_entries \
             where order_id = ? and balance is not null";
        (
            number(&self.stock, taken, of()).await,
            number(&self.coupons, used, of()).await,
            number(&self.wallet, spent, of()).await,
        )
    }
}

saga::crash_everywhere!(an_order_is_made_or_nothing_is_left_whatever_crashes, Shop);
