//! A shop on a store of its own, its routes, and readers who are logged in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use endpaper_api::shop::{Charge, NewCoupon, NewProduct, OrderLine, PlaceOrder};
use endpaper_api::{ErrorCode, Instant, Language, Text, accounts};
use endpaper_http::caller::Authenticating;
use endpaper_http::{Authenticate, Authenticator, Principal, Problem, SessionId, UserId};
use endpaper_shop::apart::{self, Onward, Peer, RemoteReaders, Role, ServiceToken, There};
use endpaper_shop::choreography::{Stage, Takes};
use endpaper_shop::events::Outside;
use endpaper_shop::model::{CouponId, Order, ProductId, ReaderId};
use endpaper_shop::parts::Here;
use endpaper_shop::service::{Contact, ContactReader, Contacting, FindReader, Finding, Parts};
use endpaper_shop::{
    Config, CouponService, MIGRATIONS, Making, OrderService, Shop, ShopError, StockService,
    WalletService, Way, router,
};
use http_body_util::BodyExt as _;
use lock::Locks;
use multi_master::{MultiMaster, Policy};
use serde_json::Value;
use stdx::ids::Id as _;
use stdx::{Clock, IdSource, Random, Seed, UnixMicros};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tower::ServiceExt as _;
use uuid::Uuid;

/// 2026-05-01T12:00:00+09:00.
pub(crate) const NOW: UnixMicros = UnixMicros::from_secs(1_777_604_400);

/// What takes longer never comes.
const WITHIN: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) shop: Shop,
    pub(crate) stock: StockService,
    pub(crate) wallet: WalletService,
    pub(crate) coupons: CouponService,
    pub(crate) orders: OrderService,
    pub(crate) stores: Stores,
    pub(crate) clock: Clock,
    routes: Router,
    pub(crate) served: Served,
    stages: Vec<Stage>,
    _directories: Vec<TempDir>,
}

/// Where the shop's things are: in one store, or in several.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) stock: MultiMaster,
    pub(crate) wallet: MultiMaster,
    pub(crate) coupons: MultiMaster,
    pub(crate) orders: MultiMaster,
}

/// How orders are made: the same tests hold for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// In one store, in one transaction.
    AtOnce,
    /// In four stores, as a saga.
    AsSaga,
    /// The same, where stock, coupons and wallet are asked over HTTP.
    Apart,
    /// In one store, from part to part.
    ByEvents,
    /// In four stores, from part to part over HTTP.
    ApartByEvents,
}

impl How {
    const fn is_apart(self) -> bool {
        matches!(self, Self::Apart | Self::ApartByEvents)
    }

    const fn way(self) -> Way {
        match self {
            Self::AtOnce => Way::Transaction,
            Self::AsSaga | Self::Apart => Way::Saga,
            Self::ByEvents | Self::ApartByEvents => Way::Choreography,
        }
    }
}

/// Has tests run in all forms.
macro_rules! in_all_forms {
    ($($test:ident),* $(,)?) => {
        crate::world::in_all_forms! {
            { $($test)* } at_once AtOnce, as_saga AsSaga, apart Apart, by_events ByEvents,
            apart_by_events ApartByEvents
        }
    };
    ($tests:tt $($form:ident $how:ident),*) => {
        $(mod $form {
            crate::world::in_all_forms! { $how $tests }
        })*
    };
    ($how:ident { $($test:ident)* }) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let how = crate::world::How::$how;
            Box::pin(super::$test(crate::world::World::new(how).await)).await;
        })*
    };
}

pub(crate) use in_all_forms;

/// The token, and the log-in id, of a reader is `reader-` and a number; 0 is an administrator.
pub(crate) struct Readers;

fn number(name: &str) -> Option<u128> {
    name.strip_prefix("reader-").and_then(|number| number.parse().ok())
}

impl Authenticate for Readers {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authenticating<'a> {
        Box::pin(async move {
            let number = number(token).ok_or(Problem::new(ErrorCode::Unauthorized))?;
            Ok(Principal {
                user: UserId::from_uuid(reader(number).uuid()),
                session: SessionId::from_uuid(Uuid::from_u128(number)),
                role: if number == 0 { accounts::Role::Admin } else { accounts::Role::User },
                language: Language::Ko,
                time_zone: "Asia/Seoul".to_owned(),
            })
        })
    }
}

impl ContactReader for Readers {
    fn contact(&self, of: ReaderId) -> Contacting<'_> {
        let contact = (0..1_000).find(|number| reader(*number) == of).map(|number| Contact {
            name: format!("독자 {number}"),
            email: format!("reader-{number}@example.com"),
            language: if number % 2 == 0 { Language::En } else { Language::Ko },
        });
        Box::pin(async move { Ok(contact) })
    }
}

impl FindReader for Readers {
    fn by_login_id<'a>(&'a self, login_id: &'a str) -> Finding<'a> {
        Box::pin(async move { Ok(number(login_id).filter(|number| *number < 1_000).map(reader)) })
    }
}

/// Servers on loopback, for as long as this is there.
pub(crate) struct Served {
    servers: JoinSet<()>,
    of: HashMap<Role, AbortHandle>,
    /// What stands around their routes.
    around: Box<dyn Fn(Router) -> Router + Send + Sync>,
}

impl Default for Served {
    fn default() -> Self {
        Self { servers: JoinSet::new(), of: HashMap::new(), around: Box::new(|routes| routes) }
    }
}

impl Served {
    /// Serves to those alone who have the token, and says where.
    pub(crate) async fn serve(&mut self, role: Role, internal: Router) -> String {
        let (listener, address) = bind().await;
        self.serve_at(listener, role, internal, Router::new());
        address
    }

    fn serve_at(&mut self, listener: TcpListener, role: Role, internal: Router, readers: Router) {
        let trusting = apart::trusting((self.around)(internal), (self.around)(readers), &token());
        let routes = endpaper_http::finish(trusting);
        let server =
            self.servers.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        self.of.insert(role, server);
    }

    /// Nobody listens there any more.
    pub(crate) async fn end(&mut self, role: Role) {
        self.of[&role].abort();
        self.servers.join_next().await.unwrap().unwrap_err();
    }
}

async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// What processes of the shop know each other by.
/// Until something is so that nobody tells of.
pub(crate) async fn until(reached: impl AsyncFn() -> bool) {
    let reached = async {
        while !reached().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, reached).await.expect("it is so within a minute");
}

pub(crate) fn token() -> ServiceToken {
    ServiceToken::new("of-one-shop-4d1b").unwrap()
}

pub(crate) fn peer(role: Role, address: &str, clock: &Clock) -> Peer {
    Peer::new(role, address, token(), clock.clone(), Random::new(Seed(8))).unwrap()
}

/// The others, for a part.
fn onward(peers: &HashMap<Role, Peer>, of: Role) -> HashMap<Role, Arc<dyn Takes>> {
    let others = peers.iter().filter(|(role, _)| **role != of);
    let takes = |peer: &Peer| -> Arc<dyn Takes> { Arc::new(Onward(peer.clone())) };
    others.map(|(role, peer)| (*role, takes(peer))).collect()
}

pub(crate) fn reader(number: u128) -> ReaderId {
    ReaderId::from_uuid(Uuid::from_u128(0x1000_0000 + number))
}

pub(crate) fn product(number: u128) -> ProductId {
    ProductId::from_uuid(Uuid::from_u128(0x2000_0000 + number))
}

pub(crate) fn coupon(number: u128) -> CouponId {
    CouponId::from_uuid(Uuid::from_u128(0x3000_0000 + number))
}

pub(crate) fn text(text: impl std::fmt::Display) -> Text {
    Text::new(&format!("{text}")).unwrap()
}

/// An order of some products, by their numbers.
pub(crate) fn wanted(lines: &[(u128, i64)], of: Option<u128>) -> PlaceOrder {
    let line = |(number, copies): &(u128, i64)| OrderLine {
        product_id: text(product(*number)),
        copies: *copies,
    };
    let coupon_id = of.map(|number| text(coupon(number)));
    PlaceOrder { id: None, lines: lines.iter().map(line).collect(), coupon_id }
}

pub(crate) async fn open(mut config: multi_master::Config, clock: &Clock) -> MultiMaster {
    config.clock = clock.clone();
    MultiMaster::open(config, MIGRATIONS).await.unwrap()
}

impl World {
    pub(crate) async fn new(how: How) -> Self {
        Self::with(how, Clock::starting_at(NOW), Served::default()).await
    }

    /// In four processes, with something around what they serve to each other.
    pub(crate) async fn apart(
        how: How,
        around: impl Fn(Router) -> Router + Send + Sync + 'static,
    ) -> Self {
        let served = Served { around: Box::new(around), ..Served::default() };
        Self::with(how, Clock::real(), served).await
    }

    async fn with(how: How, clock: Clock, served: Served) -> Self {
        let many = if matches!(how, How::AtOnce | How::ByEvents) { 1 } else { 4 };
        let (mut stores, mut directories) = (Vec::new(), Vec::new());
        for _ in 0..many {
            let directory = tempfile::tempdir().unwrap();
            let config = multi_master::Config::embedded(directory.path(), Policy::Available);
            stores.push(open(config, &clock).await);
            directories.push(directory);
        }
        let locks = Locks::local(lock::Config::default()).unwrap();
        Self::wired(how, &stores, clock, directories, Outside::default(), served, locks).await
    }

    /// Over other masters; `directories` live as long as the world.
    pub(crate) async fn over(
        how: How,
        stores: &[MultiMaster],
        clock: Clock,
        directories: Vec<TempDir>,
    ) -> Self {
        Self::telling(how, stores, clock, directories, Outside::default()).await
    }

    /// With somebody outside who is told.
    pub(crate) async fn telling(
        how: How,
        stores: &[MultiMaster],
        clock: Clock,
        directories: Vec<TempDir>,
        outside: Outside,
    ) -> Self {
        let locks = Locks::local(lock::Config::default()).unwrap();
        Self::locked(how, stores, clock, directories, outside, locks).await
    }

    /// With locks that others have too.
    pub(crate) async fn locked(
        how: How,
        stores: &[MultiMaster],
        clock: Clock,
        directories: Vec<TempDir>,
        outside: Outside,
        locks: Locks,
    ) -> Self {
        Self::wired(how, stores, clock, directories, outside, Served::default(), locks).await
    }

    async fn wired(
        how: How,
        stores: &[MultiMaster],
        clock: Clock,
        directories: Vec<TempDir>,
        outside: Outside,
        mut served: Served,
        locks: Locks,
    ) -> Self {
        let nth = |place: usize| stores[place % stores.len()].clone();
        let stores = Stores { orders: nth(0), stock: nth(1), coupons: nth(2), wallet: nth(3) };
        let ids = IdSource::new(clock.clone(), Random::new(Seed(7)));
        let (at, of) = (|| clock.clone(), || ids.clone());
        let (at_order, order_address) = bind().await;
        let readers: Arc<dyn FindReader> = if how.is_apart() {
            Arc::new(RemoteReaders(peer(Role::Order, &order_address, &clock)))
        } else {
            Arc::new(Readers)
        };
        let stock = StockService::new(stores.stock.clone(), at(), of());
        let coupons = CouponService::new(stores.coupons.clone(), at(), of());
        let wallet = WalletService::new(stores.wallet.clone(), readers, at(), of());
        let here = |store: &MultiMaster| Here::new(store.clone(), clock.clone());
        let only = |role| match role {
            Role::Stock => Shop { stock: Some(stock.clone()), ..Shop::default() },
            Role::Wallet => Shop { wallet: Some(wallet.clone()), ..Shop::default() },
            Role::Coupon => Shop { coupons: Some(coupons.clone()), ..Shop::default() },
            Role::Order => Shop::default(),
        };
        let parts = [
            (Role::Stock, &stores.stock),
            (Role::Coupon, &stores.coupons),
            (Role::Wallet, &stores.wallet),
        ];
        let (mut relays, mut stages) = (Router::new(), Vec::new());
        let mut peers = HashMap::from([(Role::Order, peer(Role::Order, &order_address, &clock))]);
        if how.is_apart() {
            let mut listeners = Vec::new();
            for (role, store) in parts {
                let (listener, address) = bind().await;
                peers.insert(role, peer(role, &address, &clock));
                listeners.push((listener, role, store));
            }
            for (listener, role, store) in listeners {
                let elsewhere = onward(&peers, role);
                let stage = Stage::of_part(role, store.clone(), &elsewhere, at(), of());
                let stage = stage.await.unwrap();
                let asks = apart::asks(role, here(store));
                let internal = asks.merge(apart::batons(Arc::new(stage.clone())));
                stages.push(stage);
                served.serve_at(listener, role, internal, router(&only(role)));
                relays = relays.merge(apart::relay(&peers[&role]));
            }
        }
        let making = if how.is_apart() {
            let there = |role| Arc::new(There(peers[&role].clone()));
            Making {
                way: how.way(),
                parts: Parts {
                    stock: there(Role::Stock),
                    coupons: there(Role::Coupon),
                    wallet: there(Role::Wallet),
                },
                elsewhere: onward(&peers, Role::Order),
            }
        } else {
            let parts = Parts {
                stock: Arc::new(here(&stores.stock)),
                coupons: Arc::new(here(&stores.coupons)),
                wallet: Arc::new(here(&stores.wallet)),
            };
            Making { way: how.way(), parts, elsewhere: HashMap::new() }
        };
        let config = Config { clock: at(), ids: of(), outside, ..Config::default() };
        let orders =
            OrderService::open(stores.orders.clone(), making, locks, Arc::new(Readers), config);
        let orders = orders.await.unwrap();
        let batons = apart::batons(Arc::new(orders.stage().clone()));
        let internal = apart::readers(Arc::new(Readers)).merge(batons);
        served.serve_at(at_order, Role::Order, internal, Router::new());
        let shop = Shop {
            stage: None,
            stock: Some(stock.clone()),
            wallet: Some(wallet.clone()),
            coupons: Some(coupons.clone()),
            orders: Some(orders.clone()),
        };
        let routes = if how.is_apart() {
            let alone = Shop { orders: Some(orders.clone()), ..Shop::default() };
            router(&alone).merge(relays)
        } else {
            router(&shop)
        };
        let routes =
            endpaper_http::finish(routes).layer(axum::Extension(Authenticator(Arc::new(Readers))));
        Self {
            shop,
            stock,
            wallet,
            coupons,
            orders,
            stores,
            clock,
            routes,
            served,
            stages,
            _directories: directories,
        }
    }

    pub(crate) async fn close(self) {
        self.shop.close().await;
        for stage in &self.stages {
            stage.close().await;
        }
        let Stores { orders, stock, coupons, wallet } = &self.stores;
        for store in [orders, stock, coupons, wallet] {
            store.close().await;
        }
    }

    /// A product with a number, of so many copies.
    pub(crate) async fn sells(&self, number: u128, price: i64, copies: i64) {
        let new = NewProduct {
            id: Some(text(product(number))),
            title: text(format!("책 {number}")),
            author: None,
            isbn: None,
            price,
            copies,
        };
        self.stock.add_product(&new).await.unwrap();
    }

    /// A coupon with a number, for a day.
    pub(crate) async fn offers(&self, number: u128, discount: i64, quantity: i64) {
        let new = NewCoupon {
            id: Some(text(coupon(number))),
            name: text("봄"),
            discount,
            quantity,
            ends: Instant::from_micros(self.clock.now().0 + 86_400_000_000),
        };
        self.coupons.add_coupon(&new).await.unwrap();
    }

    pub(crate) async fn charge(&self, number: u128, amount: i64) {
        let login_id = text(format!("reader-{number}"));
        self.wallet.charge(&Charge { id: None, login_id, amount }).await.unwrap();
    }

    pub(crate) async fn balance(&self, number: u128) -> i64 {
        self.wallet.wallet(reader(number)).await.unwrap().0.get()
    }

    pub(crate) async fn on_hand(&self, number: u128) -> i64 {
        self.stock.product(product(number)).await.unwrap().on_hand
    }

    /// An order of a reader under a key; where another one is being made, after it.
    pub(crate) async fn place(
        &self,
        number: u128,
        key: &str,
        order: &PlaceOrder,
    ) -> Result<Order, ShopError> {
        loop {
            match self.orders.place(reader(number), Some(key), order).await {
                Err(ShopError::InProgress) => tokio::task::yield_now().await,
                placed => return placed,
            }
        }
    }

    pub(crate) async fn check_sums(&self) {
        let audit = self.shop.audit().await.unwrap();
        assert!(audit.is_well(), "{audit:?}");
    }

    /// Waits until everybody has heard everything, and nothing is on its way.
    pub(crate) async fn told(&self) {
        let stages = self.stages.iter().map(Stage::outbox);
        for outbox in self.shop.outboxes().into_iter().chain(stages) {
            let is_empty = async || {
                let backlog = outbox.backlog().await.unwrap();
                backlog.iter().all(|waiting| waiting.waiting == 0)
            };
            until(is_empty).await;
        }
    }

    /// A request over HTTP.
    pub(crate) async fn ask(&self, of: u128, method: &str, path: &str, body: Option<Value>) -> Got {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/shop{path}"))
            .header("accept-language", "en")
            .header("authorization", format!("Bearer reader-{of}"));
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let response = self.routes.clone().oneshot(request.unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Got { status, headers, body: serde_json::from_slice(&bytes).unwrap() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Got {
    #[track_caller]
    pub(crate) fn data(&self) -> &Value {
        assert!(self.status.is_success(), "{self:?}");
        &self.body["data"]
    }

    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}
