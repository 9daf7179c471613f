//! A shop on a store of its own, its routes, and readers who are logged in.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use endpaper_api::accounts::Role;
use endpaper_api::shop::{Charge, NewCoupon, NewProduct, OrderLine, PlaceOrder};
use endpaper_api::{ErrorCode, Instant, Language, Text};
use endpaper_http::caller::Authenticating;
use endpaper_http::{Authenticate, Authenticator, Principal, Problem, SessionId, UserId};
use endpaper_shop::events::Outside;
use endpaper_shop::model::{CouponId, Order, ProductId, ReaderId};
use endpaper_shop::parts::{Here, Part};
use endpaper_shop::service::{Contact, Contacting, FindReader, Finding, Parts};
use endpaper_shop::{Config, Form, MIGRATIONS, ShopError, ShopService, Stores, router};
use http_body_util::BodyExt as _;
use lock::Locks;
use multi_master::{MultiMaster, Policy};
use serde_json::Value;
use stdx::ids::Id as _;
use stdx::{Clock, IdSource, Random, Seed, UnixMicros};
use tempfile::TempDir;
use tower::ServiceExt as _;
use uuid::Uuid;

/// 2026-05-01T12:00:00+09:00.
pub(crate) const NOW: UnixMicros = UnixMicros::from_secs(1_777_604_400);

pub(crate) struct World {
    pub(crate) shop: ShopService,
    pub(crate) stores: Stores,
    pub(crate) clock: Clock,
    routes: Router,
    _directories: Vec<TempDir>,
}

/// How orders are made: the same tests hold for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// In one store, in one transaction.
    AtOnce,
    /// In four stores, as a saga.
    AsSaga,
}

/// Has tests run in both forms.
macro_rules! in_both_forms {
    ($($test:ident),* $(,)?) => {
        mod at_once {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let how = crate::world::How::AtOnce;
                Box::pin(super::$test(crate::world::World::new(how).await)).await;
            })*
        }

        mod as_saga {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let how = crate::world::How::AsSaga;
                Box::pin(super::$test(crate::world::World::new(how).await)).await;
            })*
        }
    };
}

pub(crate) use in_both_forms;

/// The token, and the log-in id, of a reader is `reader-` and a number; 0 is an administrator.
struct Readers;

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
                role: if number == 0 { Role::Admin } else { Role::User },
                language: Language::Ko,
                time_zone: "Asia/Seoul".to_owned(),
            })
        })
    }
}

impl FindReader for Readers {
    fn contact(&self, of: ReaderId) -> Contacting<'_> {
        let contact = (0..1_000).find(|number| reader(*number) == of).map(|number| Contact {
            name: format!("독자 {number}"),
            email: format!("reader-{number}@example.com"),
            language: if number % 2 == 0 { Language::En } else { Language::Ko },
        });
        Box::pin(async move { Ok(contact) })
    }

    fn by_login_id<'a>(&'a self, login_id: &'a str) -> Finding<'a> {
        Box::pin(async move { Ok(number(login_id).filter(|number| *number < 1_000).map(reader)) })
    }
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
        let clock = Clock::starting_at(NOW);
        let many = if how == How::AtOnce { 1 } else { 4 };
        let (mut stores, mut directories) = (Vec::new(), Vec::new());
        for _ in 0..many {
            let directory = tempfile::tempdir().unwrap();
            let config = multi_master::Config::embedded(directory.path(), Policy::Available);
            stores.push(open(config, &clock).await);
            directories.push(directory);
        }
        Self::over(how, &stores, clock, directories).await
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
        let at = |place: usize| stores[place % stores.len()].clone();
        let stores = Stores { orders: at(0), stock: at(1), coupons: at(2), wallet: at(3) };
        let here = |store: &MultiMaster| -> Arc<dyn Part> {
            Arc::new(Here::new(store.clone(), clock.clone()))
        };
        let form = match how {
            How::AtOnce => Form::Transaction,
            How::AsSaga => Form::Saga(Parts {
                stock: here(&stores.stock),
                coupons: here(&stores.coupons),
                wallet: here(&stores.wallet),
            }),
        };
        let ids = IdSource::new(clock.clone(), Random::new(Seed(7)));
        let locks = Locks::local(lock::Config::default()).unwrap();
        let config = Config { clock: clock.clone(), ids, outside, ..Config::default() };
        let shop = ShopService::open(stores.clone(), form, locks, Arc::new(Readers), config);
        let shop = shop.await.unwrap();
        let routes = endpaper_http::finish(router(shop.clone()))
            .layer(axum::Extension(Authenticator(Arc::new(Readers))));
        Self { shop, stores, clock, routes, _directories: directories }
    }

    pub(crate) async fn close(self) {
        self.shop.close().await;
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
        self.shop.add_product(&new).await.unwrap();
    }

    /// A coupon with a number, for a day.
    pub(crate) async fn offers(&self, number: u128, discount: i64, quantity: i64) {
        let new = NewCoupon {
            id: Some(text(coupon(number))),
            name: text("봄"),
            discount,
            quantity,
            ends: Instant::from_micros(NOW.0 + 86_400_000_000),
        };
        self.shop.add_coupon(&new).await.unwrap();
    }

    pub(crate) async fn charge(&self, number: u128, amount: i64) {
        let login_id = text(format!("reader-{number}"));
        self.shop.charge(&Charge { id: None, login_id, amount }).await.unwrap();
    }

    pub(crate) async fn balance(&self, number: u128) -> i64 {
        self.shop.wallet(reader(number)).await.unwrap().0.get()
    }

    pub(crate) async fn on_hand(&self, number: u128) -> i64 {
        self.shop.product(product(number)).await.unwrap().on_hand
    }

    /// An order of a reader under a key; where another one is being made, after it.
    pub(crate) async fn place(
        &self,
        number: u128,
        key: &str,
        order: &PlaceOrder,
    ) -> Result<Order, ShopError> {
        loop {
            match self.shop.place(reader(number), Some(key), order).await {
                Err(ShopError::InProgress) => tokio::task::yield_now().await,
                placed => return placed,
            }
        }
    }

    pub(crate) async fn check_sums(&self) {
        let audit = self.shop.audit().await.unwrap();
        assert!(audit.is_well(), "{audit:?}");
    }

    /// Waits until everybody has heard everything.
    pub(crate) async fn told(&self) {
        loop {
            let backlog = self.shop.outbox().backlog().await.unwrap();
            if backlog.iter().all(|waiting| waiting.waiting == 0) {
                return;
            }
            tokio::task::yield_now().await;
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
