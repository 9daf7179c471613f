//! The domains, wired to one store.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use endpaper_accounts::AccountsService;
use endpaper_accounts::mail::{FileOutbox, LogOutbox, Mailer};
use endpaper_accounts::service::AccountsError;
use endpaper_api::Secret;
use endpaper_api::accounts::AccountStatus;
use endpaper_http::{Authenticator, UserId};
use endpaper_reading::ReadingService;
use endpaper_reading::sources::{
    AladinConfig, AladinSource, BookSource, BookSources, OpenLibraryConfig, OpenLibrarySource,
    SourceEnvironment, SourceLimits,
};
use endpaper_shop::events::Outside;
use endpaper_shop::model::ReaderId;
use endpaper_shop::parts::{Here, Part};
use endpaper_shop::service::{Contact, Contacting, FindReader, Finding, Parts, ReadersAway};
use endpaper_shop::{Form, ShopService, Stores};
use lock::Locks;
use multi_master::MultiMaster;
use outbox::webhook::{Webhook, WebhookConfig};
use stdx::ids::Id as _;
use stdx::{Clock, IdSource, Random};

use crate::config::{BooksSettings, MailOutbox, OrdersAs, Settings, ShopSettings};
use crate::failure::{Failure, Result};
use crate::http::{document, health, web};

/// Every domain over one store. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) accounts: AccountsService,
    pub(crate) reading: ReadingService,
    store: MultiMaster,
}

impl App {
    /// Wires the domains to `store`, which has their tables.
    pub(crate) fn new(settings: &Settings, store: MultiMaster) -> Result<Self> {
        let (clock, ids, random) = (Clock::real(), IdSource::system(), Random::secret());
        let config = endpaper_accounts::Config {
            access_life: settings.accounts.access_token,
            refresh_life: settings.accounts.refresh_token,
            reset_life: settings.accounts.reset_token,
            public_url: settings.accounts.public_url.clone(),
            ..endpaper_accounts::Config::default()
        };
        let mailer = mailer(settings, clock.clone(), ids.clone())?;
        let environment = SourceEnvironment { clock: clock.clone(), random: random.clone() };
        let sources = sources(&settings.books, &environment)?;
        let accounts =
            AccountsService::new(store.clone(), config, clock.clone(), ids.clone(), random, mailer);
        let reading = ReadingService::new(store.clone(), sources, clock, ids);
        Ok(Self { accounts, reading, store })
    }

    /// The shop, over the same store. From here on this process tells what happens there.
    pub(crate) async fn open_shop(&self, settings: &Settings) -> Result<ShopService> {
        let name = &settings.shop.time_zone;
        let time_zone = endpaper_http::headers::time_zone(name).ok_or_else(|| {
            Failure::new(format!(
                "`shop.time_zone` is {name}, which is no time zone; Asia/Seoul is one"
            ))
        })?;
        let locks = Locks::local(lock::Config::default()).map_err(Failure::new)?;
        let outside = outside(&settings.shop)?;
        let config =
            endpaper_shop::Config { time_zone, outside, ..endpaper_shop::Config::default() };
        let readers = Arc::new(Readers(self.accounts.clone()));
        let form = match settings.shop.orders {
            OrdersAs::Transaction => Form::Transaction,
            OrdersAs::Saga => {
                let here: Arc<dyn Part> =
                    Arc::new(Here::new(self.store.clone(), config.clock.clone()));
                let (stock, coupons) = (Arc::clone(&here), Arc::clone(&here));
                Form::Saga(Parts { stock, coupons, wallet: here })
            }
        };
        let shop = ShopService::open(Stores::one(&self.store), form, locks, readers, config).await;
        shop.map_err(|error| Failure::new(format!("the shop: {error}")))
    }

    /// Every route.
    pub(crate) fn router(&self, shop: ShopService) -> Router {
        let authenticator = Authenticator(Arc::new(self.accounts.clone()));
        endpaper_accounts::router(self.accounts.clone())
            .merge(endpaper_reading::router(self.reading.clone()))
            .merge(endpaper_shop::router(shop))
            .layer(Extension(authenticator))
            .merge(health::router(self.store.clone()))
            .merge(document::router(&document::whole()))
            .merge(web::router())
    }

    /// Tells devices that listen what changes, for as long as it is polled; what this
    /// process does they hear without it.
    pub(crate) async fn tell_listeners(&self) {
        self.reading.sync().watch().await;
    }

    /// Nobody listens any more: a server that stops waits for no device.
    pub(crate) fn stop_listening(&self) {
        self.reading.sync().stop_listening();
    }

    /// Deletes what has expired, now and then, for as long as it is polled.
    pub(crate) async fn keep_tidy(&self, shop: &ShopService) {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            if let Err(error) = shop.tidy().await {
                tracing::debug!(%error, "how orders went stays for now");
            }
            match self.accounts.tidy().await {
                Ok(tidied) => tracing::debug!(?tidied, "deleted what has expired"),
                // The next time will do as well.
                Err(error) => tracing::debug!(%error, "what has expired stays for now"),
            }
        }
    }

    /// Finishes what goes on behind answers that were sent.
    pub(crate) async fn finish(&self) {
        self.accounts.settle().await;
    }
}

/// Who is told of orders.
fn outside(settings: &ShopSettings) -> Result<Outside> {
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
    Ok(Outside {
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

const TIDY_EVERY: Duration = Duration::from_mins(5);

fn mailer(settings: &Settings, clock: Clock, ids: IdSource) -> Result<Arc<dyn Mailer>> {
    match settings.mail.outbox {
        MailOutbox::Log => Ok(Arc::new(LogOutbox)),
        MailOutbox::File => {
            let directory = settings.data.join("mail");
            let outbox =
                FileOutbox::new(&directory, &settings.mail.from, clock, ids).map_err(|error| {
                    Failure::new(format!("can't make {}: {error}", directory.display()))
                })?;
            Ok(Arc::new(outbox))
        }
    }
}

/// The sources that are configured; Aladin, which knows Korean books, is asked
/// first.
fn sources(settings: &BooksSettings, environment: &SourceEnvironment) -> Result<BookSources> {
    let limits = SourceLimits { time: settings.source, ..SourceLimits::default() };
    let mut sources: Vec<Arc<dyn BookSource>> = Vec::new();
    if let Some(key) = &settings.aladin_key {
        let key = Secret::new(key).map_err(|_| Failure::new("`books.aladin_key` is no key"))?;
        let config = AladinConfig {
            base_url: settings.aladin_url.clone(),
            limits: limits.clone(),
            ..AladinConfig::new(key)
        };
        let aladin = AladinSource::new(config, environment.clone());
        let aladin = aladin.map_err(|error| Failure::new(format!("books.aladin: {error}")))?;
        sources.push(Arc::new(aladin));
    }
    if settings.open_library {
        let config = OpenLibraryConfig {
            base_url: settings.open_library_url.clone(),
            contact: settings.contact.clone(),
            limits,
            ..OpenLibraryConfig::default()
        };
        let open_library = OpenLibrarySource::new(config, environment.clone());
        let open_library =
            open_library.map_err(|error| Failure::new(format!("books.open_library: {error}")))?;
        sources.push(Arc::new(open_library));
    }
    Ok(BookSources::new(sources))
}
