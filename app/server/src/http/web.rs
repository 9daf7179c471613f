//! The reader's app: what `cargo xtask web` built, in this binary.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use endpaper_http::{ErrorCode, Problem};
use rust_embed::RustEmbed;

/// In a release build its files; in others they are read where they were built.
#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Built;

/// Which app it is, as `cargo xtask serve` says: of another one the files are taken anew, also
/// where there were none before.
const _: Option<&str> = option_env!("ENDPAPER_WEB");

const PAGE: &str = "index.html";
/// Addresses of screens: each is the one page, which looks at its address.
const SCREENS: [&str; 7] =
    ["/", "/find", "/book/{id}", "/today", "/sync", "/me", "/reset-password"];
/// Files that keep their name from version to version.
const NAMED: [&str; 2] = ["worker.js", "manifest.webmanifest"];
/// Files whose name changes when they do.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Asked for each time: they are small, and name the others.
const ASKED: HeaderValue = HeaderValue::from_static("no-cache");
/// Nothing from elsewhere runs here, and nothing from here is shown elsewhere. Covers are
/// pictures from anywhere.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' https: data:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

pub(crate) fn router() -> Router {
    let mut router = Router::new().route("/app/{file}", get(file));
    for screen in SCREENS {
        router = router.route(screen, get(page));
    }
    for name in NAMED {
        router = router
            .route(&format!("/{name}"), get(async move |headers: HeaderMap| named(name, &headers)));
    }
    router
}

async fn page(headers: HeaderMap) -> Response {
    if Built::get(PAGE).is_none() {
        return Html(NOT_BUILT).into_response();
    }
    named(PAGE, &headers)
}

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Endpaper</title>\
    <p>The reader's app is not in this build of the server: <code>cargo xtask serve</code> builds \
    both. The API is at <a href=/api/docs>/api/docs</a>.";

async fn file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    serve(&format!("app/{file}"), &headers, FOR_EVER)
}

fn named(name: &str, headers: &HeaderMap) -> Response {
    serve(name, headers, ASKED)
}

fn serve(path: &str, headers: &HeaderMap, cache: HeaderValue) -> Response {
    let mut accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut accepts_brotli = || {
        let takes = |value: &HeaderValue| {
            value.to_str().is_ok_and(|value| value.split(',').any(|one| one.trim() == "br"))
        };
        accepted.any(takes)
    };
    // What is already compressed is no file of its own.
    let plain = Built::get(path).filter(|_| !has_ending(path, "br"));
    let Some(plain) = plain else { return Problem::new(ErrorCode::NotFound).into_response() };
    let small = Built::get(&format!("{path}.br")).filter(|_| accepts_brotli());
    let encoding = small.is_some().then_some([(header::CONTENT_ENCODING, "br")]);
    let common = [
        (header::CACHE_CONTROL, cache),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (header::CONTENT_TYPE, HeaderValue::from_static(type_of(path))),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let body = small.unwrap_or(plain).data.into_owned();
    match encoding {
        Some(encoding) => (common, encoding, body).into_response(),
        None => (common, body).into_response(),
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, its)| its == ending)
}

fn type_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
