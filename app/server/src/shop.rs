//! The shop, wired to a store: all of it, or the part that this process has (`--role`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use endpaper_accounts::AccountsService;
use endpaper_accounts::service::{AccountsError, DEMO_LOGIN_ID};
use endpaper_api::accounts::AccountStatus;
use endpaper_http::UserId;
use endpaper_shop::apart::{
    self, Onward, Peer, RemoteReaders, Role, ServiceToken, There, TokenTooShort,
};
use endpaper_shop::choreography::{Stage, Takes};
use endpaper_shop::events::Outside;
use endpaper_shop::model::ReaderId;
use endpaper_shop::parts::Here;
use endpaper_shop::service::{
    Contact, ContactReader, Contacting, FindReader, Finding, Parts, ReadersAway,
};
use endpaper_shop::{
    Config, CouponService, Making, OrderService, Shop, ShopError, StockService, WalletService, Way,
};
use lock::Locks;
use multi_master::MultiMaster;
use outbox::Bounds;
use outbox::nats::{Nats, NatsConfig};
use outbox::webhook::{Webhook, WebhookConfig};
use stdx::ids::Id as _;
use stdx::{Clock, IdSource, Random};

use crate::app::App;
use crate::config::{LockAt, OrdersAs, Settings, ShopSettings, Workers};
use crate::failure::{Failure, Result};

/// What a process has of the shop, and the routes by which it is reached.
pub(crate) struct Wired {
    pub(crate) shop: Shop,
    /// Those that readers are served by, in this process or another.
    pub(crate) routes: Router,
    /// Those for other processes of the shop alone.
    pub(crate) internal: Router,
}

/// What this process has by its role; accounts and reading are where orders are.
pub(crate) async fn open(store: &MultiMaster, settings: &Settings) -> Result<(Option<App>, Wired)> {
    let (at, of) = (Clock::real, IdSource::system);
    let Some(role) = settings.shop.role else {
        let app = App::new(settings, store.clone())?;
        let wired = whole(&app, store, settings).await?;
        return Ok((Some(app), wired));
    };
    let token = token(&settings.shop)?;
    let mut shop = Shop::default();
    match role {
        Role::Order => {
            let app = App::new(settings, store.clone())?;
            let wired = orders(&app, store, settings, token).await?;
            return Ok((Some(app), wired));
        }
        Role::Stock => shop.stock = Some(StockService::new(store.clone(), at(), of())),
        Role::Coupon => shop.coupons = Some(CouponService::new(store.clone(), at(), of())),
        Role::Wallet => {
            let readers = peer(Role::Order, settings.shop.order_url.as_ref(), &token)?;
            let readers = Arc::new(RemoteReaders(readers));
            shop.wallet = Some(WalletService::new(store.clone(), readers, at(), of()));
        }
    }
    let here = Here::new(store.clone(), Clock::real());
    let elsewhere = onward(&peers(role, &settings.shop, &token)?);
    let stage = Stage::of_part(role, store.clone(), &elsewhere, at(), of()).await;
    let stage = stage.map_err(|error| Failure::new(format!("the shop: {error}")))?;
    let internal = apart::asks(role, here).merge(apart::batons(Arc::new(stage.clone())));
    shop.stage = Some(stage);
    let internal = apart::trusting(internal, endpaper_shop::router(&shop), &token);
    Ok((None, Wired { shop, routes: Router::new(), internal }))
}

/// All of the shop over one store.
async fn whole(app: &App, store: &MultiMaster, settings: &Settings) -> Result<Wired> {
    let (clock, ids) = (Clock::real(), IdSource::system());
    let readers = Arc::new(Readers(app.accounts.clone()));
    let (at, of) = (|| clock.clone(), || ids.clone());
    let way = way(settings.shop.orders.unwrap_or(OrdersAs::Transaction));
    let making = Making::here(way, store, &clock);
    let shop = Shop {
        stock: Some(StockService::new(store.clone(), at(), of())),
        wallet: Some(WalletService::new(store.clone(), readers, at(), of())),
        coupons: Some(CouponService::new(store.clone(), at(), of())),
        orders: Some(open_orders(app, store, &settings.shop, making).await?),
        stage: None,
    };
    let routes = endpaper_shop::router(&shop);
    Ok(Wired { shop, routes, internal: Router::new() })
}

/// Orders, whose parts other processes have: `--role order`.
async fn orders(
    app: &App,
    store: &MultiMaster,
    settings: &Settings,
    token: ServiceToken,
) -> Result<Wired> {
    let peers = peers(Role::Order, &settings.shop, &token)?;
    let there = |role| Arc::new(There(peers[&role].clone()));
    let way = way(settings.shop.orders.unwrap_or(OrdersAs::Saga));
    if way == Way::Transaction {
        return Err(Failure::new(
            "`shop.orders` is transaction, which needs all of the shop in one store: with \
             `--role order` it is saga or choreography",
        ));
    }
    let parts = Parts {
        stock: there(Role::Stock),
        wallet: there(Role::Wallet),
        coupons: there(Role::Coupon),
    };
    let making = Making { way, parts, elsewhere: onward(&peers) };
    let orders = open_orders(app, store, &settings.shop, making).await?;
    let stage = Arc::new(orders.stage().clone());
    let shop = Shop { orders: Some(orders), ..Shop::default() };
    let relays = peers.values().map(apart::relay);
    let routes = relays.fold(endpaper_shop::router(&shop), Router::merge);
    let readers = apart::readers(Arc::new(Readers(app.accounts.clone())));
    let internal = readers.merge(apart::batons(stage));
    Ok(Wired { shop, routes, internal: apart::trusting(internal, Router::new(), &token) })
}

fn bounds(name: &str, of: Workers, rest: Bounds) -> Result<Bounds> {
    let Workers { min, max, queue } = of;
    if min > max || max > queue {
        return Err(Failure::new(format!(
            "`shop.{name}_workers_min` ({min}) is at most `shop.{name}_workers_max` ({max}), and \
             that is at most `shop.{name}_queue` ({queue})"
        )));
    }
    Ok(Bounds { workers_min: min, workers_max: max, queue, ..rest })
}

const fn way(of: OrdersAs) -> Way {
    match of {
        OrdersAs::Transaction => Way::Transaction,
        OrdersAs::Saga => Way::Saga,
        OrdersAs::Choreography => Way::Choreography,
    }
}

/// From here on this process tells what happens there.
async fn open_orders(
    app: &App,
    store: &MultiMaster,
    settings: &ShopSettings,
    making: Making,
) -> Result<OrderService> {
    let name = &settings.time_zone;
    let time_zone = endpaper_http::headers::time_zone(name).ok_or_else(|| {
        Failure::new(format!(
            "`shop.time_zone` is {name}, which is no time zone; Asia/Seoul is one"
        ))
    })?;
    // Nobody waits long for it: an order is made once by its id.
    let config =
        lock::Config { request_max: LOCK_WITHIN, ttl: LOCK_TTL, ..lock::Config::default() };
    let locks = match &settings.lock {
        LockAt::Process => Locks::local(config),
        LockAt::Masters => Locks::masters(store.clone(), config),
        LockAt::Redis(Some(url)) => Locks::redis(url, config),
        LockAt::Redis(None) => {
            let why = "`shop.lock` is redis: `shop.lock_redis` says where that is";
            return Err(Failure::new(why));
        }
    };
    let locks = locks.map_err(|error| Failure::new(format!("`shop.lock`: {error}")))?;
    let defaults = Config::default();
    let config = Config {
        time_zone,
        sales: bounds("ranking", settings.ranking, defaults.sales)?,
        outside: outside(settings).await?,
        outside_bounds: bounds("outside", settings.outside, defaults.outside_bounds)?,
        ..defaults
    };
    let contacts = Arc::new(Readers(app.accounts.clone()));
    let orders = OrderService::open(store.clone(), making, locks, contacts, config).await;
    orders.map_err(|error| Failure::new(format!("the shop: {error}")))
}

fn token(settings: &ShopSettings) -> Result<ServiceToken> {
    let Some(token) = &settings.service_token else {
        return Err(Failure::new(
            "`--role` needs `shop.service_token`, by which the processes of the shop know each \
             other: the same for all of them, as `openssl rand -hex 16` makes it",
        ));
    };
    ServiceToken::new(token)
        .map_err(|why: TokenTooShort| Failure::new(format!("`shop.service_token`: {why}")))
}

fn peer(role: Role, address: Option<&String>, token: &ServiceToken) -> Result<Peer> {
    let Some(address) = address else {
        return Err(Failure::new(format!(
            "`shop.{role}_url` is missing: where the {role} service is, as http://127.0.0.1:8081"
        )));
    };
    let peer = Peer::new(role, address, token.clone(), Clock::real(), Random::secret());
    peer.map_err(|error| Failure::new(format!("`shop.{role}_url` is {address}: {error}")))
}

/// The processes that have the others.
fn peers(of: Role, settings: &ShopSettings, token: &ServiceToken) -> Result<HashMap<Role, Peer>> {
    let all = [
        (Role::Order, &settings.order_url),
        (Role::Stock, &settings.stock_url),
        (Role::Wallet, &settings.wallet_url),
        (Role::Coupon, &settings.coupon_url),
    ];
    let others = all.into_iter().filter(|(role, _)| *role != of);
    others.map(|(role, address)| Ok((role, peer(role, address.as_ref(), token)?))).collect()
}

/// Where batons go from here.
fn onward(peers: &HashMap<Role, Peer>) -> HashMap<Role, Arc<dyn Takes>> {
    let takes = |peer: &Peer| -> Arc<dyn Takes> { Arc::new(Onward(peer.clone())) };
    peers.iter().map(|(role, peer)| (*role, takes(peer))).collect()
}

/// Adds what is missing of the demo to what this process has of the shop.
pub(crate) async fn add_demo(shop: &Shop) -> Result {
    let failed = |error: ShopError| Failure::new(format!("the demo: {error}"));
    if let Some(stock) = &shop.stock {
        stock.add_demo().await.map_err(failed)?;
    }
    if let Some(coupons) = &shop.coupons {
        coupons.add_demo().await.map_err(failed)?;
    }
    if let Some(wallet) = &shop.wallet {
        wallet.add_demo(DEMO_LOGIN_ID).await.map_err(failed)?;
    }
    Ok(())
}

/// The same to a part, as soon as it can be: money needs a reader, whom another process makes.
pub(crate) async fn keep_adding_demo(shop: Shop) {
    while let Err(why) = add_demo(&shop).await {
        tracing::info!("{why}: it is tried again");
        tokio::time::sleep(DEMO_AGAIN).await;
    }
}

const LOCK_WITHIN: Duration = Duration::from_millis(250);
/// A reader waits no longer for a lock whose holder is gone.
const LOCK_TTL: Duration = Duration::from_secs(5);

const DEMO_AGAIN: Duration = Duration::from_secs(1);

/// Who is told of orders.
async fn outside(settings: &ShopSettings) -> Result<Outside> {
    let sink = |url: &Option<String>, name: &str| {
        let Some(url) = url else { return Ok(None) };
        let Some(secret) = &settings.webhook_key else {
            return Err(Failure::new(format!(
                "`{name}` needs `shop.webhook_key`, by which the receiver knows that it is us"
            )));
        };
        let config = WebhookConfig {
            allow_private: settings.webhook_private,
            ..WebhookConfig::new(url, secret)
        };
        let sink = Webhook::new(config);
        sink.map(Some).map_err(|error| {
            Failure::new(format!("`{name}`: {error} (`shop.webhook_key`, `shop.webhook_private`)"))
        })
    };
    let stream = match &settings.nats {
        Some(url) => {
            let sink = Nats::connect(NatsConfig::new(url, &settings.nats_subject)).await;
            let wrong = "`shop.nats`, `shop.nats_subject`";
            Some(sink.map_err(|error| Failure::new(format!("{wrong}: {error}")))?)
        }
        None => None,
    };
    Ok(Outside {
        stream,
        data_platform: sink(&settings.data_platform, "shop.data_platform")?,
        notification: sink(&settings.notification, "shop.notification")?,
    })
}

/// The shop looks readers up among the accounts.
struct Readers(AccountsService);

impl FindReader for Readers {
    fn by_login_id<'a>(&'a self, login_id: &'a str) -> Finding<'a> {
        Box::pin(async move {
            let found = self.0.find_user(login_id).await.map_err(|error| {
                tracing::warn!(%error, "readers can't be looked up");
                ReadersAway
            })?;
            let open = found.filter(|account| account.status == AccountStatus::Active);
            Ok(open.map(|account| ReaderId::from_uuid(account.id.uuid())))
        })
    }
}

impl ContactReader for Readers {
    fn contact(&self, reader: ReaderId) -> Contacting<'_> {
        Box::pin(async move {
            match self.0.profile(UserId::from_uuid(reader.uuid())).await {
                Ok(account) => Ok(Some(Contact {
                    name: account.name,
                    email: account.email,
                    language: account.language,
                })),
                Err(AccountsError::UserNotFound) => Ok(None),
                Err(error) => {
                    tracing::warn!(%error, "readers can't be looked up");
                    Err(ReadersAway)
                }
            }
        })
    }
}
