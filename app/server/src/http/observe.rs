//! Request ids, the access log, metrics, and who is calling from where.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use endpaper_http::ClientAddress;
use stdx::IdSource;
use tracing::Instrument as _;

use super::request_id;
use crate::metrics::Metrics;

/// What the observing needs.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    pub(crate) ids: IdSource,
    pub(crate) metrics: Arc<Metrics>,
    /// Proxies whose word on the client's address is believed.
    pub(crate) trusted_proxies: Arc<[IpAddr]>,
}

/// The route's name in metrics where there is no route.
const NO_ROUTE: &str = "none";

pub(super) async fn observe(
    State(observer): State<Observer>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id::of(request.headers(), &observer.ids);
    let client = client_of(&request, &observer.trusted_proxies);
    request.extensions_mut().insert(ClientAddress(client));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let method = request.method().clone();
    // The query stays out of the log: it has mail addresses in it.
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());

    let mut response = next.run(request).instrument(span.clone()).await;

    let took = started.elapsed();
    let status = response.status();
    observer.metrics.request(route, &method, status.as_u16(), took);
    span.in_scope(|| {
        tracing::info!(
            target: "access",
            %method,
            path,
            status = status.as_u16(),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            bytes = response.body().size_hint().exact(),
            client = client.map(tracing::field::display),
        );
    });
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn client_of(request: &Request, trusted: &[IpAddr]) -> Option<IpAddr> {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(client(connection.0.ip(), request.headers(), trusted))
}

/// The client's address: the connection's, or, where that is a trusted proxy,
/// the last one in `X-Forwarded-For` that is not. What is left of it the client
/// itself may have made up.
fn client(connection: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut client = connection;
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    for hop in forwarded.into_iter().rev() {
        if !trusted.contains(&client) {
            break;
        }
        let Ok(hop) = hop.parse() else { break };
        client = hop;
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let of = |connection: &str, forwarded: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            let trusted = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
            client(connection.parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(of("9.9.9.9", &["1.1.1.1"]), "9.9.9.9", "anybody can send the header");
        assert_eq!(of("10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 1.1.1.1"]), "1.1.1.1", "6.6.6.6 may be made up");
        assert_eq!(of("10.0.0.1", &["1.1.1.1", "10.0.0.2"]), "1.1.1.1", "through two proxies");
        assert_eq!(of("10.0.0.1", &["1.1.1.1, nonsense"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
    }
}
