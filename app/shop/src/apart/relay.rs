//! Requests of readers that another process answers.

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use endpaper_api::ErrorCode;
use endpaper_http::body::{JSON_BODY_BYTES_MAX, read};
use endpaper_http::caller::bearer;
use endpaper_http::{Authenticator, Principal, Problem};
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{CallError, Peer, Role};

/// What of a request goes on. Who calls goes as what was found out about it.
const ASKED: [HeaderName; 5] = [
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-time-zone"),
];

/// What of an answer goes back.
const ANSWERED: [HeaderName; 7] = [
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    header::VARY,
    header::WWW_AUTHENTICATE,
];

/// The routes of a part that another process has: each request goes there, with who calls in
/// place of the access token. They need the extension [`Authenticator`] around them.
pub fn relay(peer: &Peer) -> Router {
    // With all that is below them: which there are, and for what methods, the part knows.
    let paths: &[&str] = match peer.role() {
        Role::Order => &[],
        Role::Stock => &["/api/v1/shop/products"],
        Role::Wallet => &["/api/v1/shop/wallet", "/api/v1/shop/charges"],
        Role::Coupon => &["/api/v1/shop/coupons"],
    };
    let routes = paths.iter().fold(Router::new(), |routes, path| {
        routes.route(path, any(pass)).route(&format!("{path}/{{*below}}"), any(pass))
    });
    routes.with_state(peer.beside())
}

async fn pass(
    State(peer): State<Peer>,
    Extension(Authenticator(authenticator)): Extension<Authenticator>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let caller = match bearer(&parts) {
        Some(token) => Some(authenticator.authenticate(token).await),
        None => None,
    };
    let principal = caller.as_ref().and_then(|caller| caller.as_ref().ok());
    match passed(&peer, &parts, principal, body).await {
        // What is for everybody is answered without a caller; else the reason is known here.
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => match caller {
            Some(Err(problem)) => problem.into_response(),
            Some(Ok(_)) => {
                let role = peer.role();
                tracing::error!(
                    "the {role} service does not know us: look at `shop.service_token`"
                );
                Problem::new(ErrorCode::StoreUnavailable).into_response()
            }
            None => answer,
        },
        Ok(answer) => answer,
        Err(problem) => problem.into_response(),
    }
}

async fn passed(
    peer: &Peer,
    parts: &http::request::Parts,
    caller: Option<&Principal>,
    body: Body,
) -> Result<Response, Problem> {
    let body = read(body, JSON_BODY_BYTES_MAX).await?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let headers = only(&parts.headers, &ASKED);
    let answered = peer.relay(parts.method.clone(), path, headers, caller, body).await;
    let answered = answered.map_err(|error| {
        tracing::warn!(%error, "a request can't be passed on");
        match error {
            CallError::Path => Problem::new(ErrorCode::NotFound),
            CallError::Unknown(_) if !parts.method.is_safe() => {
                Problem::new(ErrorCode::OutcomeUnknown)
            }
            CallError::Away(_) | CallError::Unknown(_) => Problem::new(ErrorCode::StoreUnavailable),
        }
    })?;
    let mut response = Response::new(Body::from(answered.body));
    *response.status_mut() = answered.status;
    *response.headers_mut() = only(&answered.headers, &ANSWERED);
    Ok(response)
}

fn only(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let chosen = names.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    chosen.collect()
}
