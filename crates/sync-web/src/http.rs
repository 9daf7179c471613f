//! The server, by `fetch` (WHATWG, *Fetch*): the routes of [`sync::http`].

use std::time::Duration;

use js_sys::{Reflect, Uint8Array};
use serde::de::DeserializeOwned;
use sync::engine::Trouble;
use sync::http::{
    Envelope, HEALTH, Heads, LIVE, PULL, PUSH, REQUEST_MAX, SILENCE_MAX, SOURCE, Tokens, query,
};
use sync::model::Version;
use sync::wire::{Pull, PullAnswer, Push, PushAnswer};
use tokio::sync::mpsc;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, ReadableStreamDefaultReader, Request, RequestCache, RequestCredentials,
    RequestInit, RequestRedirect, Response,
};

use crate::js::{self, sleep};

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Asked {
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Asked {
    /// Of this address: a path of the page's own server.
    #[must_use]
    pub fn new(method: &'static str, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body: None }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As who has this token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With a body, as JSON.
    #[must_use]
    pub fn json(mut self, body: &impl serde::Serialize) -> Self {
        self.body = serde_json::to_string(body).ok();
        self.header("content-type", "application/json")
    }

    /// With a body of this type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: String) -> Self {
        self.body = Some(body);
        self.header("content-type", content_type)
    }

    /// Sends it. It follows no redirect, and takes nothing from a cache. Dropped, it is given
    /// up.
    async fn send(&self) -> Option<Sent> {
        let aborts = Aborts(AbortController::new().ok()?);
        let options = RequestInit::new();
        options.set_method(self.method);
        options.set_redirect(RequestRedirect::Error);
        options.set_cache(RequestCache::NoStore);
        options.set_credentials(RequestCredentials::Omit);
        options.set_signal(Some(&aborts.0.signal()));
        if let Some(body) = &self.body {
            options.set_body(&body.into());
        }
        let request = Request::new_with_str_and_init(&self.url, &options).ok()?;
        for (name, value) in &self.headers {
            request.headers().set(name, value).ok()?;
        }
        let response = JsFuture::from(js::fetch(&request)).await.ok()?.unchecked_into();
        Some(Sent { response, _aborts: aborts })
    }

    /// The status of the answer, its `Retry-After`, and its body.
    ///
    /// # Errors
    /// [`Trouble::Unreachable`] where there is none in time.
    pub async fn text(&self) -> Result<(u16, Option<Duration>, String), Trouble> {
        let answered = async {
            let sent = self.send().await?;
            let later = sent.response.headers().get("retry-after").ok().flatten();
            let later = later.and_then(|secs| secs.trim().parse().ok()).map(Duration::from_secs);
            let text = JsFuture::from(sent.response.text().ok()?).await.ok()?.as_string()?;
            Some((sent.response.status(), later, text))
        };
        tokio::select! {
            answered = answered => answered.ok_or(Trouble::Unreachable),
            () = sleep(REQUEST_MAX) => Err(Trouble::Unreachable),
        }
    }

    /// What the server says to it.
    ///
    /// # Errors
    /// [`Trouble`], as of [`sync::http::answer`].
    pub async fn answer<A: DeserializeOwned>(&self) -> Result<A, Trouble> {
        let (status, later, text) = self.text().await?;
        sync::http::answer(status, serde_json::from_str::<Envelope<A>>(&text).ok(), later)
    }
}

/// A response whose body may still come; dropped, it comes no more.
struct Sent {
    response: Response,
    _aborts: Aborts,
}

struct Aborts(AbortController);

impl Drop for Aborts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The server from which the page came.
#[derive(Debug)]
pub struct Fetch<T> {
    tokens: T,
}

impl<T: Tokens> Fetch<T> {
    /// With what says who is asking.
    #[must_use]
    pub const fn new(tokens: T) -> Self {
        Self { tokens }
    }

    /// Whether the server is there and well: the page of a captive portal is no yes.
    pub async fn is_well(&self) -> bool {
        Asked::new("GET", HEALTH).answer::<serde_json::Value>().await.is_ok()
    }

    /// Whether what the server needs from outside is there, as far as it says.
    pub async fn is_source_well(&self) -> bool {
        Asked::new("GET", SOURCE).answer::<serde_json::Value>().await.is_ok()
    }

    /// Asks as who is logged in; once more where the token had expired.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn ask<A: DeserializeOwned>(&self, asked: &Asked) -> Result<A, Trouble> {
        let token = self.tokens.token(None).await?;
        match asked.clone().bearer(&token).answer().await {
            Err(Trouble::LogIn) => {
                let token = self.tokens.token(Some(&token)).await?;
                asked.clone().bearer(&token).answer().await
            }
            answer => answer,
        }
    }

    pub(crate) async fn push(&self, push: &Push) -> Result<PushAnswer, Trouble> {
        self.ask(&Asked::new("POST", PUSH).json(push)).await
    }

    pub(crate) async fn pull(&self, pull: &Pull) -> Result<PullAnswer, Trouble> {
        // Numbers and ids alone: there is nothing to escape.
        let query: Vec<String> =
            query(pull).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.ask(&Asked::new("GET", format!("{PULL}?{}", query.join("&")))).await
    }

    pub(crate) async fn live(&self, heard: mpsc::Sender<Version>) {
        self.listen(&heard).await;
    }

    async fn listen(&self, heard: &mpsc::Sender<Version>) -> Option<()> {
        let token = self.tokens.token(None).await.ok()?;
        let listen = Asked::new("GET", LIVE).bearer(&token).header("accept", "text/event-stream");
        let sent = within(listen.send()).await??;
        if sent.response.status() == 401 {
            // With another one it is listened the next time.
            self.tokens.token(Some(&token)).await.ok()?;
        }
        if sent.response.status() != 200 {
            return None;
        }
        let reader: ReadableStreamDefaultReader =
            sent.response.body()?.get_reader().unchecked_into();
        let mut lines = Heads::default();
        loop {
            let chunk = within(JsFuture::from(reader.read())).await?.ok()?;
            let value = Reflect::get(&chunk, &JsValue::from_str("value")).ok()?;
            let some: Uint8Array = value.dyn_into().ok()?;
            for head in lines.take(&some.to_vec())? {
                heard.send(head).await.ok()?;
            }
        }
    }
}

async fn within<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        done = future => Some(done),
        () = sleep(SILENCE_MAX) => None,
    }
}
