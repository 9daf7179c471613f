//! Who is told: webhooks.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url, header, redirect};

use crate::courier::{Attempt, Delivery};
use crate::wire;

/// What a webhook's bodies look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One JSON object with everything that is known; see the
    /// [crate's page](crate).
    Json,
    /// What Slack's incoming webhooks take, and Mattermost's, Rocket.Chat's and
    /// others': `{"text": …, "blocks": […]}`.
    Slack,
}

/// One webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetConfig {
    /// What the log calls it.
    pub name: String,
    /// Where to POST, `http://…` or `https://…`. It is a secret: whoever knows
    /// it can post there.
    pub url: String,
    /// What the bodies look like.
    pub shape: Shape,
}

impl fmt::Debug for TargetConfig {
    /// Never prints the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetConfig")
            .field("name", &self.name)
            .field("url", &"***")
            .field("shape", &self.shape)
            .finish()
    }
}

/// Why a monitor can't be started. No variant shows an address.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address of a target is none.
    #[error("{target}: the address must be http:// or https:// with a host")]
    Url {
        /// Its name.
        target: String,
    },
    /// There can be no client here, for example because the machine has no
    /// certificates of authorities.
    #[error("{target}: no HTTP client: {source}")]
    Client {
        /// Its name.
        target: String,
        /// What reqwest says.
        source: reqwest::Error,
    },
}

/// A client for one target.
#[derive(Debug)]
pub(crate) struct Target {
    name: String,
    client: Client,
    url: Url,
    shape: Shape,
    limit: Duration,
}

const USER_AGENT: &str = concat!("Endpaper/", env!("CARGO_PKG_VERSION"));

impl Target {
    pub(crate) fn new(config: TargetConfig, limit: Duration) -> Result<Self, SetupError> {
        let TargetConfig { name, url, shape } = config;
        let url = Url::parse(&url).ok().filter(|url| {
            let has_host = url.host_str().is_some_and(|host| !host.is_empty());
            has_host && matches!(url.scheme(), "http" | "https")
        });
        let Some(url) = url else { return Err(SetupError::Url { target: name }) };
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .referer(false)
            // An alert goes where the operator said, and nowhere else.
            .redirect(redirect::Policy::none());
        if is_loopback(&url) {
            // A proxy could not reach it.
            builder = builder.no_proxy();
        }
        match builder.build() {
            Ok(client) => Ok(Self { name, client, url, shape, limit }),
            Err(source) => Err(SetupError::Client { target: name, source }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Posts a message, within the time limit.
    pub(crate) async fn post(&self, delivery: &Delivery) -> Attempt {
        let body = match self.shape {
            Shape::Json => wire::webhook(&delivery.message, delivery.dropped),
            Shape::Slack => wire::slack(&delivery.message, delivery.dropped),
        };
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let target = self.name.as_str();
        let failed = Attempt::Failed { retry_after: None };
        match tokio::time::timeout(self.limit, request.send()).await {
            Ok(Ok(response)) => self.came_of_it(&response),
            Ok(Err(error)) => {
                // Without the address, which is a secret.
                let error = error.without_url();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(to = target, %error, cause, "an alert was not delivered; it is tried again");
                failed
            }
            Err(_) => {
                tracing::warn!(to = target, limit = ?self.limit, "an alert was not delivered within the time limit; it is tried again");
                failed
            }
        }
    }

    fn came_of_it(&self, response: &Response) -> Attempt {
        let status = response.status();
        if status.is_success() {
            return Attempt::Delivered;
        }
        tracing::warn!(to = self.name, status = status.as_u16(), "an alert was not accepted");
        let is_sick = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        if is_sick {
            Attempt::Failed { retry_after: retry_after(response.headers()) }
        } else {
            Attempt::Refused
        }
    }
}

/// `Retry-After` in seconds. Its other form, a date, is not read: it needs a
/// clock that agrees with theirs.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?;
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, SetupError> {
        let config =
            TargetConfig { name: "hook".to_owned(), url: url.to_owned(), shape: Shape::Json };
        Target::new(config, Duration::from_secs(1))
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_being_shown() {
        for url in
            ["", "secret", "ftp://secret/", "http://", "https://:80/secret", "file:///secret"]
        {
            let error = target(url).unwrap_err();
            assert!(matches!(error, SetupError::Url { .. }));
            assert_eq!(
                error.to_string(),
                "hook: the address must be http:// or https:// with a host"
            );
        }
        assert!(target("http://127.0.0.1:1/secret").is_ok());
        let config = TargetConfig {
            name: "hook".to_owned(),
            url: "https://hooks.example/secret".to_owned(),
            shape: Shape::Slack,
        };
        assert!(!format!("{config:?}").contains("secret"));
    }
}
