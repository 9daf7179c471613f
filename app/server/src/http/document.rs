//! The API's document: `/api/v1/openapi.json` (OpenAPI 3.1), and `/api/docs`, a
//! page to read it that loads nothing from elsewhere.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, header};
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
    let parts = [
        health::openapi(),
        endpaper_accounts::openapi(),
        endpaper_reading::openapi(),
        endpaper_shop::openapi(),
    ];
    let mut document = Base::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    for part in parts {
        document.merge(part);
    }
    let components = document.components.get_or_insert_with(Default::default);
    components
        .add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document
}

/// The document, rendered once.
#[derive(Clone)]
struct Rendered {
    json: Bytes,
    page: Bytes,
}

pub(crate) fn router(document: &utoipa::openapi::OpenApi) -> Router {
    let value = serde_json::to_value(document).expect("a document is JSON");
    let rendered =
        Rendered { json: value.to_string().into(), page: document_page::render(&value).into() };
    Router::new()
        .route("/api/v1/openapi.json", get(openapi_json))
        .route("/api/docs", get(docs))
        .with_state(rendered)
}

/// This document
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "server",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")),
)]
async fn openapi_json(State(rendered): State<Rendered>) -> impl IntoResponse {
    const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
    ([JSON], rendered.json)
}

/// This document as a page
#[utoipa::path(
    get,
    path = "/api/docs",
    tag = "server",
    responses((status = 200, description = "A page without scripts", content_type = "text/html")),
)]
async fn docs(State(rendered): State<Rendered>) -> impl IntoResponse {
    // The page is text and styles; whatever gets into it can't run.
    const POLICY: (HeaderName, &str) =
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'");
    ([POLICY], Html(rendered.page))
}
