//! The operator's page, `/ops`: rendered by the server, refreshed each second
//! where scripts run and each five seconds where they do not.
//!
//! Whoever has the token logs in; the session is a cookie that no script reads
//! and no other site sends. What changes something is a POST with the session's
//! own secret in it, from this page. Everything that is shown is escaped by the
//! templates (`maud`), and nothing is loaded from elsewhere.

mod page;

mod sagas;

mod sessions;

mod words;

pub(crate) use sessions::{Sessions, Tried};

use axum::Router;
use axum::extract::{Form, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use endpaper_api::Language;
use endpaper_http::{ErrorCode, Preferred, Problem};
use maud::Markup;
use multi_master::{Retried, Verify};
use serde::Deserialize;

use crate::commands::item_of;
use crate::operator::{Came, Operator, drop_for, retry_all};
use crate::verification::By;
use sessions::Session;
use words::Words;

/// What a browser may do with the page: load its style and its script from here,
/// and send its forms here. Nothing else, from nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const SESSION: &str = "endpaper_ops";
const LANGUAGE: &str = "endpaper_ops_language";
/// A year: a choice of language is no secret.
const LANGUAGE_SECS: u64 = 365 * 24 * 60 * 60;

pub(crate) fn router() -> Router<Operator> {
    Router::new()
        .route("/ops", get(show))
        .route("/ops/now", get(now))
        .route("/ops/login", post(log_in))
        .route("/ops/logout", post(log_out))
        .route("/ops/retry", post(retry))
        .route("/ops/drop", get(ask_drop).post(drop_item))
        .route("/ops/verify", post(verify))
        .route("/ops/language", get(language))
        .route("/ops/sagas", get(sagas::list))
        .route("/ops/sagas/{id}", get(sagas::show).post(sagas::decide))
        .route("/ops/style.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/ops/live.js", get(async || asset("text/javascript; charset=utf-8", LIVE)))
        .layer(middleware::from_fn(guard))
}

const STYLE: &str = include_str!("ops/style.css");
const LIVE: &str = include_str!("ops/live.js");

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

/// Refuses what another site sends, and says what a browser may do.
async fn guard(request: Request, next: Next) -> Response {
    let may = request.method().is_safe() || is_from_here(request.headers());
    let mut response = if may {
        next.run(request).await
    } else {
        Problem::new(ErrorCode::Forbidden).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a page of ours sent this, as the browser says. A program that is no
/// browser says nothing, and has no session that it did not open.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text("host")
        }
        (None, None) => true,
    }
}

/// Who asks, and in which language.
struct Asked {
    session: Option<Session>,
    words: Words,
}

impl Asked {
    fn of(operator: &Operator, headers: &HeaderMap) -> Self {
        let language = cookie(headers, LANGUAGE).and_then(|chosen| match chosen {
            "ko" => Some(Language::Ko),
            "en" => Some(Language::En),
            _ => None,
        });
        let language = language.or_else(|| Preferred::of(headers)).unwrap_or_default();
        let session = cookie(headers, SESSION).and_then(|id| operator.sessions.find(id));
        Self { session, words: Words(language) }
    }

    /// The session, where `secret` is its own.
    fn with(self, secret: &str) -> Option<(Session, Words)> {
        self.session
            .filter(|session| session.secret_is(secret))
            .map(|session| (session, self.words))
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|one| {
        let (key, value) = one.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

fn html(markup: Markup) -> Html<String> {
    Html(markup.into_string())
}

/// With the status of an error.
fn refused(code: ErrorCode, markup: Markup) -> Response {
    (Problem::new(code).status(), html(markup)).into_response()
}

fn to_ops() -> Response {
    Redirect::to("/ops").into_response()
}

async fn show(State(operator): State<Operator>, headers: HeaderMap) -> Response {
    let Asked { session, words } = Asked::of(&operator, &headers);
    let Some(session) = session else { return html(page::log_in(words, None)).into_response() };
    let notice = operator.sessions.take_notice(&session);
    html(page::whole(&operator, words, &session, notice.as_deref())).into_response()
}

/// What changes, for the script.
async fn now(State(operator): State<Operator>, headers: HeaderMap) -> Response {
    let Asked { session, words } = Asked::of(&operator, &headers);
    match session {
        Some(session) => html(page::now(&operator, words, &session)).into_response(),
        None => Problem::new(ErrorCode::Unauthorized).into_response(),
    }
}

#[derive(Deserialize)]
struct LogIn {
    token: String,
}

async fn log_in(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Form(LogIn { token }): Form<LogIn>,
) -> Response {
    let words = Asked::of(&operator, &headers).words;
    match operator.sessions.try_token(&operator.token, token.trim()) {
        Tried::Right => {
            let id = operator.sessions.open();
            let secs = Sessions::LIFE.as_secs();
            let cookie =
                format!("{SESSION}={id}; Path=/ops; Max-Age={secs}; HttpOnly; SameSite=Strict");
            ([(header::SET_COOKIE, cookie)], Redirect::to("/ops")).into_response()
        }
        Tried::Wrong => {
            refused(ErrorCode::Unauthorized, page::log_in(words, Some(words.wrong_token())))
        }
        Tried::TooOften => {
            refused(ErrorCode::RateLimited, page::log_in(words, Some(words.too_often())))
        }
    }
}

/// What every form has.
#[derive(Deserialize)]
struct Secret {
    secret: String,
}

async fn log_out(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Form(Secret { secret }): Form<Secret>,
) -> Response {
    if let Some((session, _)) = Asked::of(&operator, &headers).with(&secret) {
        operator.sessions.close(&session);
    }
    to_ops()
}

#[derive(Deserialize)]
struct About {
    secret: String,
    #[serde(default)]
    item: String,
    #[serde(default)]
    reason: String,
}

async fn retry(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Form(About { secret, item, .. }): Form<About>,
) -> Response {
    let Some((session, words)) = Asked::of(&operator, &headers).with(&secret) else {
        return to_ops();
    };
    let item = (!item.is_empty()).then(|| item_of(&item));
    let said = match retry_all(&operator.store, item).await {
        Came::Retried(all) => {
            let told = all.iter().take(3).map(|(item, came)| match came {
                Retried::Trying => words.trying(item),
                Retried::Known(saved) => words.known(item, *saved),
                Retried::StillInDoubt(why) => words.still_in_doubt(item, why),
            });
            told.collect::<Vec<_>>().join(" ")
        }
        Came::Refused(why) => why,
        Came::Dropped => String::new(),
    };
    operator.sessions.put_notice(&session, said);
    to_ops()
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    item: String,
}

async fn ask_drop(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Query(Which { item }): Query<Which>,
) -> Response {
    let Asked { session: Some(session), words } = Asked::of(&operator, &headers) else {
        return to_ops();
    };
    html(page::ask_drop(words, &session, &item_of(&item), None)).into_response()
}

async fn drop_item(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Form(About { secret, item, reason }): Form<About>,
) -> Response {
    let Some((session, words)) = Asked::of(&operator, &headers).with(&secret) else {
        return to_ops();
    };
    let item = item_of(&item);
    if let Came::Refused(why) = drop_for(&operator.store, &item, &reason).await {
        return html(page::ask_drop(words, &session, &item, Some(&why))).into_response();
    }
    operator.sessions.put_notice(&session, words.dropped(&item));
    to_ops()
}

/// Compares the masters, and goes on when nobody waits for it.
async fn verify(
    State(operator): State<Operator>,
    headers: HeaderMap,
    Form(Secret { secret }): Form<Secret>,
) -> Response {
    if let Some((session, words)) = Asked::of(&operator, &headers).with(&secret) {
        let verification = operator.verification.clone();
        tokio::spawn(async move {
            let how = Verify { repair: false, unhurried: true };
            // What comes of it the page shows.
            drop(verification.run(how, By::Operator, |_| {}).await);
        });
        operator.sessions.put_notice(&session, words.comparing().to_owned());
    }
    to_ops()
}

#[derive(Deserialize)]
struct To {
    #[serde(default)]
    to: String,
}

async fn language(Query(To { to }): Query<To>) -> Response {
    let to = if to == "ko" { "ko" } else { "en" };
    let cookie =
        format!("{LANGUAGE}={to}; Path=/ops; Max-Age={LANGUAGE_SECS}; HttpOnly; SameSite=Strict");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/ops")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_site_sends_is_refused() {
        let from = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("127.0.0.1:9090"));
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_from_here(&headers)
        };
        assert!(from(&[]), "no browser");
        assert!(from(&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:9090")]));
        assert!(from(&[("origin", "http://127.0.0.1:9090")]));
        for bad in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:3000")],
            &[("origin", "http://127.0.0.1:3000")],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
        ] {
            assert!(!from(bad), "{bad:?}");
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        let value = "a=1; endpaper_ops=abc; endpaper_ops_language=ko";
        headers.insert(header::COOKIE, HeaderValue::from_static(value));
        assert_eq!(cookie(&headers, SESSION), Some("abc"));
        assert_eq!(cookie(&headers, LANGUAGE), Some("ko"));
        assert_eq!(cookie(&headers, "endpaper"), None);
    }
}
