//! `endpaper serve`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use endpaper_shop::Shop;
use endpaper_shop::apart::Role;
use stdx::{Clock, IdSource, Random};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Talk, print, with_faults};
use crate::app::App;
use crate::cli::Serve;
use crate::config::Settings;
use crate::failure::{Failure, Result};
use crate::faults::Faults;
use crate::http::listener::{self, Bounds, Stopped};
use crate::http::{self, Guard, Observer, health};
use crate::metrics::Metrics;
use crate::operator::recent::Recent;
use crate::operator::{self, Operator};
use crate::ops::Sessions;
use crate::shop::{self, Wired};
use crate::verification::Verification;
use crate::{alerts, demo, open_files, store, token};

pub(crate) fn run(arguments: &Serve) -> Result {
    let demo = arguments.demo;
    with_faults(&arguments.flags(), Talk::Server, async move |settings, faults| {
        serve(settings, faults, demo).await
    })
}

async fn serve(settings: Settings, faults: Faults, demo: bool) -> Result {
    // Before anything else, so that a signal during the start is not lost.
    let stop = stop_signal()?;
    // An address that is taken is found out before the store is touched.
    let listener = bind(settings.listen).await?;
    let operator_listener = bind_operator(&settings).await?;
    let bounds = bounds(&settings);
    let monitor = alerts::start(&settings.alerts)?;

    let store = store::open(&settings).await?;
    let (app, Wired { shop, routes, internal }) = shop::open(&store, &settings).await?;
    let adding_demo = match &app {
        Some(app) if demo => {
            demo::prepare(app).await?;
            shop::add_demo(&shop).await?;
            None
        }
        Some(app) => {
            demo::warn_of_account(app).await;
            None
        }
        // Its reader may be made by another process that is started after this one.
        None if demo => Some(tokio::spawn(shop::keep_adding_demo(shop.clone()))),
        None => None,
    };
    let tidying = tokio::spawn(keep_tidy(app.clone(), shop.clone()));

    let listening = tokio::spawn({
        let (app, stop) = (app.clone(), stop.clone());
        async move {
            let Some(app) = app else { return };
            tokio::select! {
                () = app.tell_listeners() => {}
                () = stopped(stop) => app.stop_listening(),
            }
        }
    });

    let (clock, random) = (Clock::real(), Random::secret());
    let verification = Verification::new(store.clone(), monitor.clone(), clock.clone());
    let watching = tokio::spawn({
        let (store, verification) = (store.clone(), verification.clone());
        let (monitor, settings) = (monitor.clone(), settings.clone());
        async move { alerts::watch(&store, &verification, &monitor, &settings).await }
    });

    let watching_shop = tokio::spawn({
        let (shop, monitor) = (shop.clone(), monitor.clone());
        async move { alerts::watch_shop(&shop, &monitor).await }
    });

    let verifying = tokio::spawn({
        let (verification, random, every) =
            (verification.clone(), random.clone(), settings.verify_every);
        async move { verification.keep(every, &random).await }
    });
    let recent = Recent::default();
    let counting = tokio::spawn({
        let (recent, store) = (recent.clone(), store.clone());
        async move { recent.keep(&store).await }
    });

    let metrics = Arc::new(Metrics::default());
    let operator_address =
        operator_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let operator = operator_listener.map(|listener| -> Result<_> {
        let operator = Operator {
            store: store.clone(),
            shop: shop.clone(),
            metrics: Arc::clone(&metrics),
            monitor: monitor.clone(),
            verification,
            faults,
            recent,
            token: token::of_server(&settings, &random)?,
            sessions: Sessions::new(clock.clone(), random.clone()),
            clock,
            witness: store::witness(&settings),
        };
        let bounds = Bounds { connections_max: OPERATOR_CONNECTIONS_MAX, ..bounds.clone() };
        Ok(tokio::spawn(listener::serve(
            listener,
            operator::router(operator),
            bounds,
            stopped(stop.clone()),
        )))
    });
    let operator = operator.transpose()?;
    let routes = app.as_ref().map_or_else(Router::new, |app| app.router(routes));
    let router = http::around(
        routes.merge(internal).merge(health::router(store.clone())),
        Guard { body_bytes_max: settings.server.body_bytes_max, request: settings.server.request },
        Observer {
            ids: IdSource::system(),
            metrics,
            trusted_proxies: settings.server.trusted_proxies.as_slice().into(),
        },
    );

    let address = listener.local_addr().map_err(Failure::new)?;
    announce(&settings, address, operator_address);
    print(&format!("listening on http://{address}"));
    let how = listener::serve(listener, router, bounds, stopped(stop)).await;
    if how == Stopped::CutOff {
        tracing::warn!(limit = ?settings.server.stop, "requests in flight were cut off at the limit");
    }
    // These have nothing that must be finished.
    tidying.abort();
    watching.abort();
    watching_shop.abort();
    listening.abort();
    verifying.abort();
    counting.abort();
    if let Some(operator) = operator {
        operator.abort();
    }
    if let Some(adding) = adding_demo {
        adding.abort();
    }
    if let Some(app) = app {
        app.finish().await;
    }
    shop.close().await;
    store.close().await;
    monitor.close(alerts::STOP_MAX).await;
    tracing::info!("stopped");
    Ok(())
}

/// Deletes what has expired, now and then, for as long as it is polled.
async fn keep_tidy(app: Option<App>, shop: Shop) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        if let Err(error) = shop.tidy().await {
            tracing::debug!(%error, "how orders went stays for now");
        }
        if let Some(app) = &app {
            app.tidy().await;
        }
    }
}

const TIDY_EVERY: Duration = Duration::from_mins(5);

/// Prometheus and a person or two.
const OPERATOR_CONNECTIONS_MAX: usize = 32;

/// The bounds of the settings. As many connections as are wanted, or as many as
/// there can be while the store still gets its files: without one it could not
/// write, and would give up its masters.
fn bounds(settings: &Settings) -> Bounds {
    let wanted = settings.server.connections_max;
    let limit = open_files::raise_limit();
    let connections_max = wanted.min(open_files::connections_below(limit));
    if connections_max < wanted {
        tracing::warn!(
            connections_max,
            wanted,
            open_files_max = limit,
            "fewer connections than configured: the system's limit of open files is low"
        );
    }
    Bounds {
        connections_max,
        // A part of the shop has few clients: the other processes.
        connections_per_client_max: match settings.shop.role {
            None | Some(Role::Order) => settings.server.connections_per_client_max,
            Some(Role::Stock | Role::Wallet | Role::Coupon) => connections_max,
        },
        proxies: settings.server.trusted_proxies.as_slice().into(),
        write: settings.server.write,
        header: settings.server.header,
        stop: settings.server.stop,
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::new(format!("can't listen on {address}: {error}")))
}

/// A default that is taken, by another of our servers for example, is gone
/// without; an address that somebody chose is not.
async fn bind_operator(settings: &Settings) -> Result<Option<TcpListener>> {
    let Some(address) = settings.operator.listen else { return Ok(None) };
    match bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(failure) if settings.operator.chosen => Err(failure),
        Err(failure) => {
            tracing::warn!(
                "no /metrics: {failure}; `operator.listen` takes another address, or off"
            );
            Ok(None)
        }
    }
}

/// Says what was started and where, for people.
fn announce(settings: &Settings, address: SocketAddr, operator: Option<SocketAddr>) {
    let masters: Vec<String> =
        settings.store.masters.iter().map(|master| format!("{master:?}")).collect();
    tracing::info!(
        data = %settings.data.display(),
        masters = masters.join(" "),
        policy = ?settings.store.policy,
        version = env!("CARGO_PKG_VERSION"),
        "the store is open"
    );
    tracing::info!(
        "the API is at http://{address}/api/v1, its document at http://{address}/api/docs"
    );
    if let Some(operator) = operator {
        tracing::info!("metrics are at http://{operator}/metrics");
        let token = settings.operator.token.as_ref().map_or_else(
            || format!("in {}", token::file(settings).display()),
            |_| "`operator.token`".to_owned(),
        );
        tracing::info!("the operator's page is at http://{operator}/ops; its token is {token}");
    }
}

/// Turns true at the first SIGTERM or SIGINT. At the second the process ends
/// as it would without us.
pub(super) fn stop_signal() -> Result<watch::Receiver<bool>> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::new(format!("can't handle signals: {error}")));
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut either = async || {
            tokio::select! {
                _ = terminate.recv() => {},
                _ = interrupt.recv() => {},
            }
        };
        either().await;
        tracing::info!("stopping: requests in flight are finished first");
        let _ = sender.send(true);
        either().await;
        tracing::warn!("stopping at once: a second signal came");
        std::process::exit(1);
    });
    Ok(receiver)
}

pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, with which nothing can stop us
    // but the second signal.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
