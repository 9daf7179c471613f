//! What is between a browser and the server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use endpaper_http::{ErrorCode, Problem};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lab::Port;

/// Serves the files of one version of the app, and has the server answer everything else, but for
/// what it refuses in its place.
#[derive(Clone)]
pub(super) struct Front {
    server: SocketAddr,
    client: Client<HttpConnector, Body>,
    /// Where the files of the version are.
    app: Arc<Mutex<PathBuf>>,
    /// So many pushes are refused.
    to_refuse: Arc<AtomicUsize>,
}

impl Front {
    pub(super) async fn begin(server: SocketAddr, app: PathBuf) -> (Self, Port) {
        let port = Port::reserve().unwrap();
        let listener = tokio::net::TcpListener::bind(port.address()).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let front =
            Self { server, client, app: Arc::new(Mutex::new(app)), to_refuse: Arc::default() };
        let router = Router::new().fallback(answer).with_state(front.clone());
        // It ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, router).await });
        (front, port)
    }

    pub(super) fn serves(&self, app: PathBuf) {
        *self.app.lock().unwrap() = app;
    }

    /// The next pushes are refused, as a server does whose databases are away.
    pub(super) fn refuses(&self, pushes: usize) {
        self.to_refuse.store(pushes, Ordering::SeqCst);
    }
}

async fn answer(State(front): State<Front>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    if request.method() == Method::GET && !path.starts_with("api/") {
        let is_file = path.starts_with("app/") || path.contains('.');
        let file = if is_file { &path } else { "index.html" };
        let Ok(content) = fs::read(front.app.lock().unwrap().join(file)) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let kind = match ending(file) {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("wasm") => "application/wasm",
            Some("svg") => "image/svg+xml",
            Some("webmanifest") => "application/manifest+json",
            _ => "application/octet-stream",
        };
        return ([(header::CONTENT_TYPE, kind)], content).into_response();
    }
    let one_less = |left: usize| left.checked_sub(1);
    if path == "api/v1/sync/push"
        && front.to_refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    {
        return Problem::new(ErrorCode::StoreUnavailable).into_response();
    }
    let (mut parts, body) = request.into_parts();
    let to = parts.uri.path_and_query().map_or("/", |to| to.as_str());
    parts.uri = format!("http://{}{to}", front.server).parse().unwrap();
    match front.client.request(Request::from_parts(parts, body)).await {
        Ok(answer) => answer.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

pub(super) fn ending(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending)
}

/// What `cargo xtask web` built.
pub(super) fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/dist")
}
