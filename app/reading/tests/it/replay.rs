//! A server on a free port of this machine that answers what it is told to, and
//! remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;

/// What the server answers to a question.
pub(crate) enum Reply {
    /// Status 200 and this body.
    Ok(Vec<u8>),
    /// This status.
    Status(u16),
    /// This status, and to come back after so many seconds.
    ComeBack(u16, u32),
    /// Go there.
    Redirect(String),
    /// Nothing, for ever.
    Never,
    /// A body without an end.
    Endless,
    /// A part of a body, then a broken connection.
    BreakOff,
}

/// The recorded-shape answer in a file.
pub(crate) fn fixture(name: &str) -> Reply {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/").to_owned() + name;
    Reply::Ok(std::fs::read(&path).expect("the fixture is in the repository"))
}

/// What is asked.
pub(crate) struct Question {
    pub(crate) path: String,
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Question {
    /// A parameter that is a number.
    pub(crate) fn number(&self, name: &str) -> u32 {
        self.parameters[name].parse().expect("a number")
    }
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// The path and the parameters: decoded, sorted, without the key.
    pub(crate) path: String,
    pub(crate) user_agent: String,
    pub(crate) raw: String,
}

pub(crate) struct Replay {
    pub(crate) base_url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Replay {
    /// A server that answers as `answer` says, which gets the question and how
    /// many came before.
    pub(crate) async fn start(
        answer: impl Fn(&Question, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("its address"));
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let answer = Arc::new(answer);
        let notes = Arc::clone(&asked);
        let app = axum::Router::new().fallback(move |request: Request<Body>| {
            let (notes, answer) = (Arc::clone(&notes), Arc::clone(&answer));
            async move {
                let question = Question::of(&request);
                let number = {
                    let mut notes = notes.lock().expect("no panic in the server");
                    notes.push(Asked::of(&request, &question));
                    notes.len() - 1
                };
                respond(answer(&question, number)).await
            }
        });
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves until the test ends");
        });
        Self { base_url, asked, server }
    }

    /// A server that answers everything the same way.
    pub(crate) async fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |_, _| reply()).await
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic in the server").clone()
    }

    pub(crate) fn asked_count(&self) -> usize {
        self.asked().len()
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Question {
    fn of(request: &Request<Body>) -> Self {
        let url = reqwest::Url::parse("http://server")
            .and_then(|base| base.join(&request.uri().to_string()))
            .expect("a request has an address");
        let parameters =
            url.query_pairs().map(|(name, value)| (name.into(), value.into())).collect();
        Self { path: url.path().to_owned(), parameters }
    }
}

impl Asked {
    fn of(request: &Request<Body>, question: &Question) -> Self {
        let parameters: Vec<String> = question
            .parameters
            .iter()
            .filter(|(name, _)| *name != "ttbkey")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let header = |name| {
            let value = request.headers().get(name);
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        assert_eq!(header(header::REFERER), "", "no address is told to another page");
        Self {
            method: request.method().to_string(),
            path: format!("{} {}", question.path, parameters.join(" ")),
            user_agent: header(header::USER_AGENT),
            raw: request.uri().to_string(),
        }
    }
}

async fn respond(reply: Reply) -> Response {
    let some =
        |bytes: &'static [u8]| Ok::<_, std::io::Error>(axum::body::Bytes::from_static(bytes));
    match reply {
        Reply::Ok(body) => body.into_response(),
        Reply::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Reply::ComeBack(status, seconds) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Reply::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Reply::Never => std::future::pending().await,
        Reply::Endless => {
            let chunks = futures_util::stream::repeat_with(move || some(&[b' '; 4096]));
            Body::from_stream(chunks).into_response()
        }
        Reply::BreakOff => {
            let part = futures_util::stream::once(async move { some(b"{\"item\":[") });
            let end = futures_util::stream::once(async { Err(std::io::Error::other("cut")) });
            Body::from_stream(part.chain(end)).into_response()
        }
    }
}
