//! The HTTP/1.1 server: accepts connections, bounds them, and stops gracefully.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::clients::Clients;
use super::stream::Stream;

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Connections at one time; further ones wait in the system's queue.
    pub(crate) connections_max: usize,
    /// Connections of one client at one time, where that is less than half of
    /// all; further ones are closed.
    pub(crate) connections_per_client_max: usize,
    /// Proxies, which may have as many connections as there are.
    pub(crate) proxies: Arc<[IpAddr]>,
    /// For the head of a request, the wait for it included.
    pub(crate) header: Duration,
    /// How long a client may read nothing of an answer.
    pub(crate) write: Duration,
    /// For requests in flight, once the listener stops.
    pub(crate) stop: Duration,
}

/// Whether everything was finished when the listener had stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Every request in flight was answered.
    Finished,
    /// The limit came first.
    CutOff,
}

/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long to wait when the system has no more file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How often the log says that connections are refused or can't be accepted.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// Serves `router` until `stop` resolves; then takes no more connections and
/// lets requests in flight finish within the bound.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) -> Stopped {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(bounds.connections_max.min(Semaphore::MAX_PERMITS)));
    // No client alone fills the listener.
    let per_client = bounds.connections_per_client_max.min(bounds.connections_max / 2).max(1);
    let clients = Clients::new(per_client, bounds.proxies);
    let (mut refused, mut failed) = (Rarely::default(), Rarely::default());
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await.expect("it is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(client_place) = clients.enter(peer.ip()) else {
                    if let Some(times) = refused.now() {
                        tracing::warn!(
                            %peer, times, per_client, "refused a client's further connections"
                        );
                    }
                    continue;
                };
                let stream = Stream::new(without_delay(stream), bounds.write);
                let connection = connection(stream, peer, router.clone(), bounds.header);
                let watched = graceful.watch(connection);
                tokio::spawn(async move {
                    // A connection that breaks is the client's business.
                    if let Err(error) = watched.await {
                        tracing::debug!(%error, %peer, "a connection ended");
                    }
                    drop((client_place, place));
                });
            }
            Err(error) => {
                if let Some(times) = failed.now() {
                    tracing::warn!(%error, times, "can't accept a connection");
                }
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    tracing::info!("no more connections are taken");
    match tokio::time::timeout(bounds.stop, graceful.shutdown()).await {
        Ok(()) => Stopped::Finished,
        Err(_) => Stopped::CutOff,
    }
}

/// Something that may happen often and is logged at most once in
/// [`SAID_EVERY`].
#[derive(Debug, Default)]
struct Rarely {
    said: Option<Instant>,
    times: u64,
}

impl Rarely {
    /// How often it has happened since it was last said, where it is to be said
    /// now.
    fn now(&mut self) -> Option<u64> {
        self.times += 1;
        if self.said.is_some_and(|said| said.elapsed() < SAID_EVERY) {
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.times))
    }
}

/// Answers are small and wait for nothing.
fn without_delay(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}

fn connection(
    stream: Stream<TcpStream>,
    peer: SocketAddr,
    router: Router,
    header: Duration,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router.oneshot(request).await.unwrap_or_else(|never| match never {}),
            )
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
}
