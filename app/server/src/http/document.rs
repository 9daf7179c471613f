//! The API's document: `/api/v1/openapi.json` (OpenAPI 3.1), and `/api/docs`, a
//! page to read it that loads nothing from elsewhere.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use super::{document_page, health};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Endpaper",
        description = "The REST API of Endpaper, a reading platform that keeps working when the network or a database does not. \
Every answer is an envelope: `{\"ok\": true, \"data\": …}`, or `{\"ok\": false, \"error\": {\"code\", \"message\", \"fields\", \"retryable\"}}` with the fitting status. \
Ids are UUIDv7. Times are RFC 3339 with an offset; days are YYYY-MM-DD in the reader's time zone (the header X-Time-Zone, else the profile's). \
Messages follow Accept-Language: ko or en.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(openapi_json, docs),
    tags((name = "server", description = "This server, its store and its document")),
)]
struct Base;

/// The whole document: ours and every domain's.
pub(crate) fn whole() -> utoipa::openapi::OpenApi {
    let parts = [health::openapi()];
    let mut document = Base::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    for part in parts {
        document.merge(part);
    }
    let components = document.components.get_or_insert_with(Default::default);
    components
        .add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document
}

pub(crate) fn router(document: &utoipa::openapi::OpenApi) -> Router {
    let value = serde_json::to_value(document).expect("a document is JSON");
    let json = axum::body::Bytes::from(value.to_string());
    let page = axum::body::Bytes::from(document_page::render(&value));
    Router::new()
        .route("/api/v1/openapi.json", get(async move || openapi_json(json)))
        .route("/api/docs", get(async move || docs(page)))
}

/// This document
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "server",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")),
)]
fn openapi_json(json: axum::body::Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json)
}

/// This document as a page
#[utoipa::path(
    get,
    path = "/api/docs",
    tag = "server",
    responses((status = 200, description = "A page without scripts", content_type = "text/html")),
)]
fn docs(page: axum::body::Bytes) -> impl IntoResponse {
    // The page is text and styles; whatever gets into it can't run.
    const POLICY: (HeaderName, &str) =
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'");
    ([POLICY], Html(page))
}
