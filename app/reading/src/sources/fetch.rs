//! One bounded GET: so long, so much, and from nowhere else.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode, Url, header, redirect};

use super::found::Unavailable;

/// How long, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLimits {
    /// From the question to the last byte of the answer, redirects included.
    /// Default 3 s.
    pub time: Duration,
    /// The longest answer that is read. Default 2 MiB: fifty books with
    /// descriptions have some 200 kB.
    pub body_bytes_max: usize,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(3), body_bytes_max: 2 << 20 }
    }
}

/// Why a source can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum SourceSetupError {
    /// The base address is not one of a server.
    #[error("the base address must be http:// or https:// with a host, and is {0:?}")]
    BaseUrl(String),
    /// The key is empty, or has white space in it.
    #[error("the key must not be empty and has no white space")]
    Key,
    /// The contact for the User-Agent can't stand in a header.
    #[error("the contact must be printable ASCII, and is {0:?}")]
    Contact(String),
    /// There can be no client here, for example because the machine has no
    /// certificates of authorities.
    #[error("no HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

/// How many times a source may send us on.
const REDIRECTS_MAX: usize = 3;

pub(super) const USER_AGENT: &str = concat!("Endpaper/", env!("CARGO_PKG_VERSION"));

/// A client for one source.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    client: Client,
    base: Url,
    limits: SourceLimits,
}

/// An answer that is a success.
#[derive(Debug)]
pub(super) struct Body(pub(super) Vec<u8>);

/// What came instead of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FetchError {
    /// A status that is no success; with how long to leave it alone, where the
    /// source says so.
    Status { status: u16, retry_after: Option<Duration> },
    /// Anything else.
    Unavailable(Unavailable),
}

impl Fetcher {
    pub(super) fn new(
        base_url: &str,
        user_agent: &str,
        limits: SourceLimits,
    ) -> Result<Self, SourceSetupError> {
        let bad_base = || SourceSetupError::BaseUrl(base_url.to_owned());
        let base = Url::parse(base_url).map_err(|_| bad_base())?;
        let is_server = matches!(base.scheme(), "http" | "https")
            && base.host_str().is_some_and(|host| !host.is_empty())
            && base.query().is_none()
            && base.fragment().is_none();
        if !is_server {
            return Err(bad_base());
        }
        let mut builder = Client::builder()
            .user_agent(user_agent)
            // The address of a question can have a key in it: it is told to
            // nobody else.
            .referer(false)
            .redirect(redirect::Policy::custom(|attempt| {
                let from = attempt.previous().last();
                let stays = from.is_some_and(|from| stays_there(from, attempt.url()));
                if stays && attempt.previous().len() <= REDIRECTS_MAX {
                    attempt.follow()
                } else {
                    attempt.error("a redirect that is not followed")
                }
            }));
        if is_loopback(&base) {
            // A proxy could not reach it.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(SourceSetupError::Client)?;
        Ok(Self { client, base, limits })
    }

    /// The address of a page below the base, with its parameters encoded.
    pub(super) fn url(&self, path: &[&str], parameters: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url
    }

    /// Fetches a page within the limits.
    pub(super) async fn get(&self, url: Url) -> Result<Body, FetchError> {
        let fetched = tokio::time::timeout(self.limits.time, self.get_unlimited(Method::GET, url));
        fetched.await.unwrap_or(Err(FetchError::Unavailable(Unavailable::TimeLimit)))
    }

    /// Whether the server is there: whatever it says to a question about
    /// nothing, as long as it is no failure of its own.
    pub(super) async fn reach(&self) -> Result<(), FetchError> {
        let mut root = self.base.clone();
        root.set_path("/");
        let asked = tokio::time::timeout(self.limits.time, self.get_unlimited(Method::HEAD, root));
        match asked.await.unwrap_or(Err(FetchError::Unavailable(Unavailable::TimeLimit))) {
            // A redirect to its own start page on another host is an answer.
            Ok(_) | Err(FetchError::Unavailable(Unavailable::Redirect)) => Ok(()),
            Err(FetchError::Status { status, .. }) if status < 500 => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn get_unlimited(&self, method: Method, url: Url) -> Result<Body, FetchError> {
        let mut response = self.client.request(method, url).send().await.map_err(unavailable)?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = retry_after(response.headers(), status);
            return Err(FetchError::Status { status: status.as_u16(), retry_after });
        }
        let bytes_max = self.limits.body_bytes_max;
        let too_long = || FetchError::Unavailable(Unavailable::TooLong { bytes_max });
        let announced = response.content_length().unwrap_or(0);
        if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Body(body))
    }
}

/// The same server, or the same host by its secure door.
fn stays_there(from: &Url, to: &Url) -> bool {
    let is_secured = from.scheme() == "http" && to.scheme() == "https" && to.port().is_none();
    from.host_str() == to.host_str() && (from.origin() == to.origin() || is_secured)
}

fn is_loopback(base: &Url) -> bool {
    let Some(host) = base.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `Retry-After` in seconds. Its other form, a date, is not read: it needs a
/// clock that agrees with theirs.
fn retry_after(headers: &header::HeaderMap, status: StatusCode) -> Option<Duration> {
    let asks_for_patience =
        matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let value = headers.get(header::RETRY_AFTER).filter(|_| asks_for_patience)?;
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn unavailable(error: reqwest::Error) -> FetchError {
    // Without its address, which may have a key in it.
    let error = error.without_url();
    tracing::debug!(%error, cause = ?std::error::Error::source(&error), "a source of books failed");
    FetchError::Unavailable(if error.is_redirect() {
        Unavailable::Redirect
    } else if error.is_timeout() {
        Unavailable::TimeLimit
    } else if error.is_connect() {
        Unavailable::Connect
    } else {
        Unavailable::BrokeOff
    })
}
