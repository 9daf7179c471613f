//! What stands around all routes, and the routes that belong to no domain.

pub(crate) mod listener;

mod clients;

mod stream;

mod guard;

mod upload;

mod observe;

mod request_id;

pub(crate) mod health;

pub(crate) mod document;

mod document_page;

pub(crate) mod web;

use axum::Router;
use axum::middleware;

pub(crate) use guard::Guard;
pub(crate) use observe::Observer;

/// Puts around `routes`, from the outside in: request id, access log and
/// metrics; problems in the language of the request; the time limit, the size
/// limit, and panics made into answers.
pub(crate) fn around(routes: Router, guard: Guard, observer: Observer) -> Router {
    let guarded = routes.layer(middleware::from_fn_with_state(guard, guard::guard));
    endpaper_http::finish(guarded).layer(middleware::from_fn_with_state(observer, observe::observe))
}
