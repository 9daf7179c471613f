//! The other side over HTTP: the routes of [`sync::http`].

use std::time::Duration;

use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use sync::engine::Trouble;
use sync::http::{
    ANSWER_MAX, Envelope, HEALTH, Heads, LIVE, PULL, PUSH, REQUEST_MAX, SILENCE_MAX, SOURCE, query,
};
use sync::model::Version;
use sync::wire::{Pull, PullAnswer, Push, PushAnswer};
use tokio::sync::mpsc;

pub use sync::http::Tokens;

use crate::server::Server;

const CONNECT_MAX: Duration = Duration::from_secs(3);

/// A server at a URL.
#[derive(Debug)]
pub struct HttpServer<T> {
    client: Client,
    base: Url,
    tokens: T,
}

/// Makes a client for a server of ours: it follows no redirect, which would take tokens
/// along.
///
/// # Errors
/// Where the system has no certificates.
pub fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_MAX)
        .user_agent(concat!("endpaper-sync/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl<T: Tokens> HttpServer<T> {
    /// The server whose routes begin at `base`, such as `https://books.example.com/`.
    #[must_use]
    pub const fn new(client: Client, base: Url, tokens: T) -> Self {
        Self { client, base, tokens }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let start = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{start}{path}"));
        url
    }

    async fn says_yes(&self, path: &str) -> bool {
        let request = self.client.get(self.url(path)).timeout(REQUEST_MAX);
        answer::<serde_json::Value>(request).await.is_ok()
    }

    /// Sends a request as who is logged in; once more where the token had expired.
    async fn ask<A: DeserializeOwned>(&self, request: RequestBuilder) -> Result<A, Trouble> {
        let again = request.try_clone();
        let token = self.tokens.token(None).await?;
        let answer = answer(request.timeout(REQUEST_MAX).bearer_auth(&token)).await;
        match (answer, again) {
            (Err(Trouble::LogIn), Some(again)) => {
                let token = self.tokens.token(Some(&token)).await?;
                self::answer(again.timeout(REQUEST_MAX).bearer_auth(&token)).await
            }
            (answer, _) => answer,
        }
    }

    async fn listen(&self, heard: &mpsc::Sender<Version>) -> Option<()> {
        let token = self.tokens.token(None).await.ok()?;
        let request = self.client.get(self.url(LIVE));
        let request = request.bearer_auth(&token).header(ACCEPT, "text/event-stream");
        let mut response = within(request.send()).await?.ok()?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // With another one it is listened the next time.
            self.tokens.token(Some(&token)).await.ok()?;
        }
        if response.status() != StatusCode::OK {
            return None;
        }
        let mut lines = Heads::default();
        while let Some(some) = within(response.chunk()).await?.ok()? {
            for head in lines.take(&some)? {
                heard.send(head).await.ok()?;
            }
        }
        None
    }
}

async fn within<F: Future>(future: F) -> Option<F::Output> {
    tokio::time::timeout(SILENCE_MAX, future).await.ok()
}

impl<T: Tokens> Server for HttpServer<T> {
    async fn is_well(&self) -> bool {
        self.says_yes(HEALTH).await
    }

    async fn is_source_well(&self) -> bool {
        self.says_yes(SOURCE).await
    }

    async fn push(&self, push: &Push) -> Result<PushAnswer, Trouble> {
        self.ask(self.client.post(self.url(PUSH)).json(push)).await
    }

    async fn pull(&self, pull: &Pull) -> Result<PullAnswer, Trouble> {
        let mut url = self.url(PULL);
        url.query_pairs_mut().extend_pairs(query(pull));
        self.ask(self.client.get(url)).await
    }

    async fn live(&self, heard: mpsc::Sender<Version>) {
        self.listen(&heard).await;
    }
}

/// What the server says to a request.
///
/// # Errors
/// [`Trouble`], from what it says, and what its status says of that.
pub async fn answer<A: DeserializeOwned>(request: RequestBuilder) -> Result<A, Trouble> {
    let lost = |_| Trouble::Unreachable;
    let mut response = request.send().await.map_err(lost)?;
    let status = response.status();
    let later = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let later = later.and_then(|secs| secs.trim().parse().ok()).map(Duration::from_secs);
    let mut body = Vec::new();
    while let Some(some) = response.chunk().await.map_err(lost)? {
        if body.len() + some.len() > ANSWER_MAX {
            return Err(Trouble::Unreachable);
        }
        body.extend_from_slice(&some);
    }
    let envelope = serde_json::from_slice::<Envelope<A>>(&body).ok();
    sync::http::answer(status.as_u16(), envelope, later)
}
