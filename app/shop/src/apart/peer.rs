//! Another process of the shop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use balance::{BreakerConfig, SharedBreaker};
use endpaper_http::Principal;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;
use reqwest::redirect;
use stdx::{Clock, Random};

use super::{Role, ServiceToken};

/// How long a request may take, from connecting to the end of the answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Another process can't be asked so: a mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It is no address.
    #[error("it is an address that begins with http:// or https://, without a path")]
    Url,
    /// No client can be made.
    #[error("no client can be made: {0}")]
    Client(String),
}

/// A request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was certainly not done.
    #[error("{0}")]
    Away(String),
    /// The path leads elsewhere: nothing was asked.
    #[error("the path is none of that service")]
    Path,
    /// Nobody knows whether it was done.
    #[error("{0}")]
    Unknown(String),
}

/// An answer.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Another process of the shop: requests with a limit of 5 s, and a breaker that asks it no
/// more for a while where it only fails. Cheap to clone; clones share connections and breaker.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    role: Role,
    client: reqwest::Client,
    base: Url,
    token: ServiceToken,
    breaker: SharedBreaker,
    clock: Clock,
    random: Random,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("role", &self.0.role).finish_non_exhaustive()
    }
}

impl Peer {
    /// The process with a role, at an address as `http://127.0.0.1:8081`.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn new(
        role: Role,
        address: &str,
        token: ServiceToken,
        clock: Clock,
        random: Random,
    ) -> Result<Self, PeerError> {
        let base = Url::parse(address).map_err(|_| PeerError::Url)?;
        let is_plain = matches!(base.scheme(), "http" | "https")
            && base.path() == "/"
            && base.query().is_none()
            && base.username().is_empty();
        if !is_plain {
            return Err(PeerError::Url);
        }
        let client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| PeerError::Client(error.to_string()))?;
        let breaker = breaker();
        Ok(Self(Arc::new(Inner { role, client, base, token, breaker, clock, random })))
    }

    /// Which part it has.
    #[must_use]
    pub fn role(&self) -> Role {
        self.0.role
    }

    /// The same process with a breaker of its own, for other requests: how those fare says
    /// nothing about these.
    #[must_use]
    pub(super) fn beside(&self) -> Self {
        let Inner { role, client, base, token, breaker: _, clock, random } = &*self.0;
        Self(Arc::new(Inner {
            role: *role,
            client: client.clone(),
            base: base.clone(),
            token: token.clone(),
            breaker: breaker(),
            clock: clock.clone(),
            random: random.clone(),
        }))
    }

    /// Asks for this process itself.
    pub(super) async fn ask(
        &self,
        limit: Duration,
        method: Method,
        path_and_query: &str,
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answered, CallError> {
        self.0.token.sign(&mut headers);
        self.send(method, path_and_query, headers, body, limit).await
    }

    /// Passes on what a reader asks, or somebody who is none.
    pub(super) async fn relay(
        &self,
        method: Method,
        path_and_query: &str,
        mut headers: HeaderMap,
        caller: Option<&Principal>,
        body: Vec<u8>,
    ) -> Result<Answered, CallError> {
        self.0.token.sign_relayed(&mut headers, caller);
        self.send(method, path_and_query, headers, body, DEADLINE).await
    }

    async fn send(
        &self,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Answered, CallError> {
        let Inner { role, client, base, breaker, clock, random, .. } = &*self.0;
        let url = base.join(path_and_query).map_err(|error| CallError::Away(error.to_string()))?;
        // What is joined could name another host, or with `..` another path.
        let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
        if url.origin() != base.origin() || url.path() != path {
            return Err(CallError::Path);
        }
        let permit = breaker.permit(clock.now()).map_err(|_| {
            CallError::Away(format!("the {role} service did not answer, and is asked again soon"))
        })?;
        let request = client.request(method, url).headers(headers).timeout(limit).body(body);
        let answered = answered(request).await;
        let now = clock.now();
        let is_sick = |status| {
            use StatusCode as Of;
            matches!(status, Of::BAD_GATEWAY | Of::SERVICE_UNAVAILABLE | Of::GATEWAY_TIMEOUT)
        };
        if answered.as_ref().is_ok_and(|answered| !is_sick(answered.status)) {
            permit.success(now);
        } else {
            permit.failure(now, random);
        }
        answered.map_err(|failed| match failed {
            Failed::Sent(error) if error.is_connect() => {
                CallError::Away(format!("the {role} service: {}", why(&error)))
            }
            Failed::Sent(error) => {
                CallError::Unknown(format!("the {role} service: {}", why(&error)))
            }
            Failed::TooLong => {
                CallError::Unknown(format!("the answer of the {role} service is too long"))
            }
        })
    }
}

/// Orders wait for it, and for what is given back: it is tried again soon.
fn breaker() -> SharedBreaker {
    SharedBreaker::new(BreakerConfig { open_max: DEADLINE, ..BreakerConfig::default() })
}

enum Failed {
    Sent(reqwest::Error),
    TooLong,
}

async fn answered(request: reqwest::RequestBuilder) -> Result<Answered, Failed> {
    let mut answer = request.send().await.map_err(Failed::Sent)?;
    let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Failed::Sent)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failed::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answered { status, headers, body })
}

/// The first cause: what reqwest says itself is that a request failed.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let first: &dyn std::error::Error = error;
    let causes = std::iter::successors(Some(first), |error| error.source());
    causes.last().unwrap_or(first).to_string()
}
