//! Accounts and reading, wired to one store.

use std::sync::Arc;

use axum::{Extension, Router};
use endpaper_accounts::AccountsService;
use endpaper_accounts::mail::{FileOutbox, LogOutbox, Mailer};
use endpaper_api::Secret;
use endpaper_http::Authenticator;
use endpaper_reading::ReadingService;
use endpaper_reading::sources::{
    AladinConfig, AladinSource, BookSource, BookSources, OpenLibraryConfig, OpenLibrarySource,
    SourceEnvironment, SourceLimits,
};
use multi_master::MultiMaster;
use stdx::{Clock, IdSource, Random};

use crate::config::{BooksSettings, MailOutbox, Settings};
use crate::failure::{Failure, Result};
use crate::http::{document, web};

/// Accounts and reading over one store. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) accounts: AccountsService,
    pub(crate) reading: ReadingService,
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
        let reading = ReadingService::new(store, sources, clock, ids);
        Ok(Self { accounts, reading })
    }

    /// Every route, with those of the shop.
    pub(crate) fn router(&self, shop: Router) -> Router {
        let authenticator = Authenticator(Arc::new(self.accounts.clone()));
        endpaper_accounts::router(self.accounts.clone())
            .merge(endpaper_reading::router(self.reading.clone()))
            .merge(shop)
            .layer(Extension(authenticator))
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

    /// Deletes what has expired.
    pub(crate) async fn tidy(&self) {
        match self.accounts.tidy().await {
            Ok(tidied) => tracing::debug!(?tidied, "deleted what has expired"),
            // The next time will do as well.
            Err(error) => tracing::debug!(%error, "what has expired stays for now"),
        }
    }

    /// Finishes what goes on behind answers that were sent.
    pub(crate) async fn finish(&self) {
        self.accounts.settle().await;
    }
}

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
