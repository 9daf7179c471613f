//! The other side over HTTP (RFC 9110): the routes of the protocol, version 1.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/health` | `{"ok":true,"data":…}`: it is well |
//! | `GET /api/v1/health/books` | `{"ok":true,"data":…}`: its sources of books answer |
//! | `POST /api/v1/sync/push` with a [`Push`] | a [`PushAnswer`] |
//! | `GET /api/v1/sync/pull?account=…&device=…&cursor=…&anew=…&limit=…` | a [`PullAnswer`] |
//! | `GET /api/v1/sync/live` | server-sent events named `head`, whose data is a number |
//!
//! Answers come as `{"ok":true,"data":…}`, or as `{"ok":false,"error":{"code":…,
//! "message":…,"retryable":…}}`. Anything else is no answer of the server, whatever its
//! status says: the page of a captive portal, or of a proxy whose server is away. Of
//! others only 429 counts, which is obeyed whoever says it.

use std::time::Duration;

use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sync::engine::Trouble;
use sync::model::Version;
use sync::queue::Failure;
use sync::wire::{Pull, PullAnswer, Push, PushAnswer};
use tokio::sync::mpsc;

use crate::server::Server;

/// A request has so long.
const REQUEST_MAX: Duration = Duration::from_secs(30);
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A server that talks says something at least so often.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The longest line of an event.
const LINE_MAX: usize = 4 << 10;
/// The largest answer.
const ANSWER_MAX: usize = 64 << 20;

/// Says who is asking.
#[expect(async_fn_in_trait, reason = "they run on the task that drives the device")]
pub trait Tokens {
    /// A token for `Authorization: Bearer`; where the server did not take `stale`, another
    /// one.
    ///
    /// # Errors
    /// [`Trouble::LogIn`] where there is none, and nobody but the person can get one;
    /// others where none could be asked for.
    async fn token(&self, stale: Option<&str>) -> Result<String, Trouble>;
}

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
        let request = self.client.get(self.url("/api/v1/sync/live"));
        let request = request.bearer_auth(&token).header(ACCEPT, "text/event-stream");
        let mut response = within(request.send()).await?.ok()?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // With another one it is listened the next time.
            self.tokens.token(Some(&token)).await.ok()?;
        }
        if response.status() != StatusCode::OK {
            return None;
        }
        let mut lines = Lines::default();
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
        self.says_yes("/api/v1/health").await
    }

    async fn is_source_well(&self) -> bool {
        self.says_yes("/api/v1/health/books").await
    }

    async fn push(&self, push: &Push) -> Result<PushAnswer, Trouble> {
        self.ask(self.client.post(self.url("/api/v1/sync/push")).json(push)).await
    }

    async fn pull(&self, pull: &Pull) -> Result<PullAnswer, Trouble> {
        let mut url = self.url("/api/v1/sync/pull");
        url.query_pairs_mut()
            .append_pair("protocol", &pull.protocol.to_string())
            .append_pair("account", &pull.account.to_string())
            .append_pair("device", &pull.device.to_string())
            .append_pair("cursor", &pull.cursor.0.to_string())
            .append_pair("limit", &pull.limit.to_string());
        if let Some(log) = pull.log {
            url.query_pairs_mut().append_pair("log", &log.to_string());
        }
        if let Some(anew) = pull.anew {
            url.query_pairs_mut().append_pair("anew", &anew.0.to_string());
        }
        self.ask(self.client.get(url)).await
    }

    async fn live(&self, heard: mpsc::Sender<Version>) {
        self.listen(&heard).await;
    }
}

/// `ok` says which of the two it is: one that is neither is no answer of ours.
#[derive(Deserialize)]
struct Envelope<A> {
    ok: bool,
    data: Option<A>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
    retryable: bool,
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
    let Ok(envelope) = serde_json::from_slice::<Envelope<A>>(&body) else {
        // Who is between and says so has counted requests: it is asked less often.
        return Err(match status {
            StatusCode::TOO_MANY_REQUESTS => Trouble::Later(later),
            _ => Trouble::Unreachable,
        });
    };
    match envelope {
        Envelope { ok: true, data: Some(data), error: None } if status.is_success() => Ok(data),
        Envelope { ok: false, data: None, error: Some(refusal) } => {
            Err(trouble(status, refusal, later))
        }
        _ => Err(Trouble::Unreachable),
    }
}

fn trouble(status: StatusCode, refusal: Refusal, later: Option<Duration>) -> Trouble {
    let Refusal { code, message, retryable } = refusal;
    let failure = Failure { code, message };
    match status {
        StatusCode::UNAUTHORIZED => Trouble::LogIn,
        StatusCode::GONE => Trouble::Expired,
        _ if retryable => Trouble::Later(later),
        _ if failure.code == sync::wire::UNSUPPORTED => Trouble::Stopped(failure),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => Trouble::Rejected(failure),
        _ if status.is_server_error() => Trouble::Later(later),
        _ => Trouble::Stopped(failure),
    }
}

/// Server-sent events (HTML Living Standard, 9.2), of which those named `head` count.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    is_head: bool,
    data: Option<Version>,
}

impl Lines {
    /// Takes some bytes, and returns what was told in them; none where it is no such
    /// stream.
    fn take(&mut self, bytes: &[u8]) -> Option<Vec<Version>> {
        let mut told = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => told.extend(self.end_line()),
                b'\r' => {}
                _ if self.line.len() >= LINE_MAX => return None,
                byte => self.line.push(*byte),
            }
        }
        Some(told)
    }

    fn end_line(&mut self) -> Option<Version> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let (told, is_head) = (self.data.take(), std::mem::take(&mut self.is_head));
            return told.filter(|_| is_head);
        }
        let line = String::from_utf8(line).ok()?;
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.is_head = value == "head",
            "data" => self.data = value.parse().ok().map(Version),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &[u8] =
        b": hello\n\nevent: head\n\ndata: 6\n\nevent: head\ndata: 7\n\nevent: other\ndata: 8\n\n\
        data: 9\n\nevent:head\r\ndata:12\r\n\r\nevent: head\ndata: x\n\n";

    proptest! {
        #[test]
        fn events_are_read_wherever_they_are_cut(cuts in prop::collection::vec(1usize..20, 0..40)) {
            let (mut lines, mut told, mut rest) = (Lines::default(), Vec::new(), STREAM);
            for cut in cuts {
                let (some, others) = rest.split_at(cut.min(rest.len()));
                told.extend(lines.take(some).unwrap());
                rest = others;
            }
            told.extend(lines.take(rest).unwrap());
            prop_assert_eq!(told, [Version(7), Version(12)]);
        }
    }

    #[test]
    fn a_line_without_an_end_is_no_stream() {
        assert_eq!(Lines::default().take(&[b'x'; LINE_MAX + 1]), None);
    }

    #[test]
    fn what_a_refusal_means() {
        let of = |status: u16, code: &str, retryable| {
            let (code, message) = (code.to_owned(), "m".to_owned());
            let status = StatusCode::from_u16(status).unwrap();
            trouble(status, Refusal { code, message, retryable }, Some(Duration::from_secs(9)))
        };
        let failure = |code: &str| Failure { code: code.to_owned(), message: "m".to_owned() };
        let later = Trouble::Later(Some(Duration::from_secs(9)));
        assert_eq!(of(401, "TOKEN_EXPIRED", false), Trouble::LogIn);
        assert_eq!(of(410, "SYNC_CURSOR_EXPIRED", false), Trouble::Expired);
        assert_eq!(of(429, "RATE_LIMITED", true), later);
        assert_eq!(of(503, "X", true), later);
        assert_eq!(of(500, "INTERNAL", false), later);
        assert_eq!(of(413, "BODY_TOO_LARGE", false), Trouble::Rejected(failure("BODY_TOO_LARGE")));
        let wrong = "VALIDATION_FAILED";
        assert_eq!(of(400, wrong, false), Trouble::Rejected(failure(wrong)));
        for (status, code) in
            [(400, "SYNC_PROTOCOL_UNSUPPORTED"), (403, "SYNC_WRONG_ACCOUNT"), (404, "NOT_FOUND")]
        {
            assert_eq!(of(status, code, false), Trouble::Stopped(failure(code)));
        }
    }
}
