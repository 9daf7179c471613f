//! Events to somebody else's address, signed, as the [Standard
//! Webhooks](https://www.standardwebhooks.com) specification has it.
//!
//! Whoever gets one sees three headers beside the body: `webhook-id`, the same each time that
//! the event comes; `webhook-timestamp`, the seconds since 1970 when this try was sent; and
//! `webhook-signature`, `v1,` and in base64 the HMAC-SHA-256 of `id.timestamp.body` under the
//! secret that both know. An event that is older than some minutes, or whose signature is
//! another one, was not sent by us.
//!
//! **Where it does not go:** to addresses that are not public (RFC 6890), whatever their names
//! are, unless that is allowed; and nowhere that an answer sends it: a redirection is no
//! success.
//!
//! ```
//! use outbox::webhook::{Webhook, WebhookConfig};
//!
//! let config = WebhookConfig::new("https://platform.example/orders", "a secret of 16 bytes or more");
//! let sink = Webhook::new(config)?;
//! // topics.subscribe("orders", "data-platform", outbox::webhook::BOUNDS, sink)?;
//!
//! let inside = WebhookConfig::new("http://10.0.0.7/orders", "a secret of 16 bytes or more");
//! assert!(Webhook::new(inside).is_err(), "unless `allow_private` says so");
//! # let _ = sink;
//! # Ok::<(), outbox::webhook::WebhookError>(())
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{StatusCode, Url, header, redirect};
use stdx::Clock;

use crate::model::{Delivery, HandleError, Handler, Sink};
use crate::topics::Bounds;

/// Bounds for who may be away for days: an event is tried a thousand times, in the end every
/// five minutes at the least, before it is put aside.
pub const BOUNDS: Bounds = Bounds { attempts_max: 1_000, ..Bounds::DEFAULT };

/// The shortest secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;

/// Where events go, and how.
#[derive(Clone)]
pub struct WebhookConfig {
    /// An `http` or `https` address.
    pub url: String,
    /// What both know: 16 bytes at least.
    pub secret: String,
    /// Whether the address may be one that is not public: this machine, a network of one's
    /// own. Default: no.
    pub allow_private: bool,
    /// How long one try may take, from connecting to the end of the answer's head. Less than
    /// [`Bounds::deadline`]. Default 5 s.
    pub time_limit: Duration,
    /// For the time that is signed.
    pub clock: Clock,
}

impl WebhookConfig {
    /// With what is default.
    pub fn new(url: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret: secret.into(),
            allow_private: false,
            time_limit: Duration::from_secs(5),
            clock: Clock::real(),
        }
    }
}

impl fmt::Debug for WebhookConfig {
    /// Never prints the secret, nor what may be one in the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("allow_private", &self.allow_private)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// A webhook can't be as it is configured. The address is not repeated: who knows it may post
/// there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// It is no address, or of another scheme.
    #[error("a webhook has an address that begins with http:// or https://")]
    Url,
    /// It goes where it may not.
    #[error("{0} is no public address, and webhooks to others have to be allowed")]
    Private(IpAddr),
    /// Everybody could guess it.
    #[error("the secret of a webhook has {SECRET_BYTES_MIN} bytes at least")]
    Secret,
    /// No client can be made.
    #[error("no client can be made: {0}")]
    Client(String),
}

/// Sends events to one address. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Webhook {
    client: reqwest::Client,
    url: Url,
    key: Arc<hmac::Key>,
    clock: Clock,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// One that is ready to send.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn new(config: WebhookConfig) -> Result<Self, WebhookError> {
        let WebhookConfig { url, secret, allow_private, time_limit, clock } = config;
        let url = Url::parse(&url).map_err(|_| WebhookError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebhookError::Url);
        }
        if secret.len() < SECRET_BYTES_MIN {
            return Err(WebhookError::Secret);
        }
        let mut client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(time_limit)
            .timeout(time_limit);
        if !allow_private {
            // A name is looked up when it is connected to, and may mean another address then.
            client = client.dns_resolver(Arc::new(PublicAlone));
            let literal = match url.host() {
                Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
                Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
                _ => None,
            };
            if let Some(ip) = literal.filter(|ip| !is_public(*ip)) {
                return Err(WebhookError::Private(ip));
            }
        }
        let client = client.build().map_err(|error| WebhookError::Client(error.to_string()))?;
        let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        Ok(Self { client, url, key, clock })
    }
}

impl Sink for Webhook {
    async fn send(&self, delivery: &Delivery, body: String) -> Result<(), HandleError> {
        let (id, at) = (delivery.event_id.to_string(), self.clock.now().as_secs());
        let signed = hmac::sign(&self.key, format!("{id}.{at}.{body}").as_bytes());
        let signature = format!("v1,{}", BASE64_STANDARD.encode(signed.as_ref()));
        let sent = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await;
        // The answer's body is nothing to us, and not read.
        match sent.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(HandleError::Again(said(status))),
            Err(error) => Err(HandleError::Again(why(&error.without_url()))),
        }
    }
}

fn said(status: StatusCode) -> String {
    if status.is_redirection() {
        return format!("it answered {}: a redirection is not followed", status.as_u16());
    }
    format!("it answered {}", status.as_u16())
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

/// The event itself is the body.
impl Handler for Webhook {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        self.send(delivery, delivery.event.to_string()).await
    }
}

/// Looks names up, and leaves out addresses that are not public.
struct PublicAlone;

impl Resolve for PublicAlone {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                return Err(
                    "it has no public address, and webhooks to others have to be allowed".into()
                );
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public network (RFC 6890 and its registries).
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

const fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        // "This network"; shared between carriers and homes; protocol assignments;
        // benchmarks; reserved.
        || a == 0
        || (a == 100 && b >= 64 && b < 128)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        // Addresses of the other kind inside: mapped, translated, 6to4.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(v4(high, low))
        }
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // The rest of the public network is 2000::/3, less what is for documentation, for
        // protocols and for Teredo.
        [0x2001, second, ..] => second != 0xdb8 && second >= 0x200,
        [0x3fff, second, ..] => second >= 0x1000,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2a00::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let secret = "0123456789abcdef";
        let new = |url: &str| Webhook::new(WebhookConfig::new(url, secret)).map(drop);
        assert_eq!(new("https://platform.example/x"), Ok(()));
        for wrong in ["", "platform.example", "ftp://platform.example", "file:///etc/passwd"] {
            assert_eq!(new(wrong), Err(WebhookError::Url), "{wrong}");
        }
        for inside in [
            "http://127.0.0.1/x",
            "http://[::1]/x",
            "http://169.254.169.254/latest",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(matches!(new(inside), Err(WebhookError::Private(_))), "{inside}");
        }
        let short = WebhookConfig::new("https://platform.example/x", "short");
        assert_eq!(Webhook::new(short).map(drop), Err(WebhookError::Secret));
    }
}
