//! What processes know each other by.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use endpaper_api::accounts::Role;
use endpaper_api::{ErrorCode, Language};
use endpaper_http::caller::Authenticating;
use endpaper_http::{Authenticate, Authenticator, Principal, Problem, SessionId, UserId};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The shortest token that processes know each other by, in bytes.
pub const TOKEN_BYTES_MIN: usize = 16;

/// A request of a reader that is passed on says so: it is let to the routes for readers alone,
/// whatever its path is made to look like.
const RELAYED: HeaderName = HeaderName::from_static("endpaper-relayed");

/// For whom a process asks that is trusted.
const CALLER: HeaderName = HeaderName::from_static("endpaper-caller");

/// What processes of one shop know each other by: the same for all of them.
#[derive(Clone)]
pub struct ServiceToken(Arc<str>);

/// Everybody could guess it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {TOKEN_BYTES_MIN} to 1,024 characters of visible ASCII")]
pub struct TokenTooShort;

impl ServiceToken {
    /// One that is long enough to be no guess: `openssl rand -hex 16` makes one.
    ///
    /// # Errors
    /// [`TokenTooShort`], also where a header could not carry it.
    pub fn new(token: &str) -> Result<Self, TokenTooShort> {
        let fits = (TOKEN_BYTES_MIN..=1_024).contains(&token.len());
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && visible { Ok(Self(token.into())) } else { Err(TokenTooShort) }
    }

    /// Says who asks: this shop.
    pub(super) fn sign(&self, headers: &mut HeaderMap) {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.0));
        let mut bearer = bearer.expect("visible ASCII");
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
    }

    /// Says who asks, and that it is for a reader, or somebody who is none.
    pub(super) fn sign_relayed(&self, headers: &mut HeaderMap, caller: Option<&Principal>) {
        self.sign(headers);
        headers.insert(RELAYED, HeaderValue::from_static("1"));
        if let Some(caller) = caller {
            let json = serde_json::to_string(&For::of(caller)).expect("it is JSON");
            // A time zone is an IANA name, which is ASCII; without a caller it is refused.
            if let Ok(caller) = HeaderValue::from_str(&json) {
                headers.insert(CALLER, caller);
            }
        }
    }

    /// Whether a request comes from a process that has this token. It takes as long whatever
    /// came.
    pub(super) fn has_signed(&self, headers: &HeaderMap) -> bool {
        let came = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(came) = came.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
        Sha256::digest(came) == Sha256::digest(self.0.as_bytes())
    }
}

impl fmt::Debug for ServiceToken {
    /// Never prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceToken")
    }
}

/// Whom another process has found to be calling.
#[derive(Serialize, Deserialize)]
struct For {
    user: UserId,
    session: SessionId,
    role: Role,
    language: Language,
    time_zone: String,
}

impl For {
    fn of(caller: &Principal) -> Self {
        let Principal { user, session, role, language, time_zone } = caller.clone();
        Self { user, session, role, language, time_zone }
    }
}

/// Routes that only processes with the token are listened to by: `internal` ones for
/// themselves, and those of `readers`, whom they are believed to ask for.
pub fn trusting(internal: Router, readers: Router, token: &ServiceToken) -> Router {
    let admitting = |is_relayed| Admitting { token: token.clone(), is_relayed };
    let internal = internal.layer(middleware::from_fn_with_state(admitting(false), admit));
    let readers = readers
        .layer(Extension(Authenticator(Arc::new(Believing))))
        .layer(middleware::from_fn_with_state(admitting(true), admit));
    internal.merge(readers)
}

#[derive(Clone)]
struct Admitting {
    token: ServiceToken,
    is_relayed: bool,
}

async fn admit(State(of): State<Admitting>, mut request: Request, next: Next) -> Response {
    let headers = request.headers_mut();
    if !of.token.has_signed(headers) || headers.remove(RELAYED).is_some() != of.is_relayed {
        return Problem::new(ErrorCode::Unauthorized).into_response();
    }
    headers.remove(header::AUTHORIZATION);
    if let Some(caller) = headers.remove(CALLER) {
        let bearer = [b"Bearer ", caller.as_bytes()].concat();
        if let Ok(bearer) = HeaderValue::from_bytes(&bearer) {
            headers.insert(header::AUTHORIZATION, bearer);
        }
    }
    next.run(request).await
}

/// Only [`admit`] stands before it.
struct Believing;

impl Authenticate for Believing {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authenticating<'a> {
        Box::pin(async move {
            let caller: Result<For, _> = serde_json::from_str(token);
            let caller = caller.map_err(|_| Problem::new(ErrorCode::Unauthorized))?;
            let For { user, session, role, language, time_zone } = caller;
            Ok(Principal { user, session, role, language, time_zone })
        })
    }
}
