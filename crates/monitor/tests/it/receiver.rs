//! A webhook on loopback: a real server that answers as a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How the server answers a request.
pub(crate) enum Answer {
    Status(u16),
    /// When it is let go.
    Later(oneshot::Receiver<u16>),
    Never,
}

/// A request that came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

impl Received {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {}", self.body))
    }
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    received: mpsc::UnboundedReceiver<Received>,
    server: JoinHandle<()>,
}

/// Of what has to come.
const COMES_WITHIN: Duration = Duration::from_secs(30);

impl Receiver {
    /// A server that gives these answers, one a request, and afterwards 200.
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("its address"));
        let (sender, received) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let app = Router::new().fallback(async move |headers: HeaderMap, body: Bytes| {
            let content_type = headers["content-type"].to_str().unwrap().to_owned();
            let body = serde_json::from_slice(&body).expect("JSON");
            // A test that has ended hears of nothing more.
            let _ = sender.send(Received { content_type, body });
            let answer = answers.lock().unwrap().next().unwrap_or(Answer::Status(200));
            let status = match answer {
                Answer::Status(status) => status,
                Answer::Later(status) => status.await.expect("the test lets it go"),
                Answer::Never => std::future::pending().await,
            };
            StatusCode::from_u16(status).unwrap()
        });
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves until the test ends");
        });
        Self { url, received, server }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(COMES_WITHIN, self.received.recv()).await;
        next.expect("a request comes").expect("the server runs")
    }

    /// The requests that came and were not looked at yet.
    pub(crate) fn rest(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}
