//! Who is calling.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use endpaper_api::accounts::Role;
use endpaper_api::{ErrorCode, Language};
use http::header;
use http::request::Parts;
use jiff::tz::TimeZone;

use crate::Problem;
use crate::headers::{self, Preferred};
use crate::layer::ProfileLanguage;

stdx::id_type! {
    /// Identifies a user.
    pub struct UserId;
}

stdx::id_type! {
    /// Identifies one session: a user, logged in on a device.
    pub struct SessionId;
}

/// Whom an access token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: UserId,
    /// The session that the token belongs to.
    pub session: SessionId,
    /// What the user may do.
    pub role: Role,
    /// The profile's language.
    pub language: Language,
    /// The profile's time zone, an IANA name.
    pub time_zone: String,
}

/// What [`Authenticate`] returns.
pub type Authenticating<'a> = Pin<Box<dyn Future<Output = Result<Principal, Problem>> + Send + 'a>>;

/// Checks access tokens.
pub trait Authenticate: Send + Sync + 'static {
    /// Whom the token stands for.
    ///
    /// # Errors
    /// `UNAUTHORIZED` where it is none of ours or its session has ended,
    /// `TOKEN_EXPIRED` where a refresh helps, `STORE_UNAVAILABLE` where that
    /// can't be said now.
    fn authenticate<'a>(&'a self, token: &'a str) -> Authenticating<'a>;
}

/// The extension by which the server hands [`Authenticate`] to the routes:
/// `router.layer(axum::Extension(Authenticator(accounts)))`.
#[derive(Clone)]
pub struct Authenticator(pub Arc<dyn Authenticate>);

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

/// Who is calling; the extractor of routes marked 🔒. Without a valid access
/// token in `Authorization: Bearer …` they answer 401.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user. Every query of a domain names it.
    pub user: UserId,
    /// The session of the token.
    pub session: SessionId,
    /// What the user may do.
    pub role: Role,
    /// What `Accept-Language` prefers, else the profile's.
    pub language: Language,
    /// `X-Time-Zone`, else the profile's, else UTC. The user's days are in it.
    pub time_zone: TimeZone,
}

impl Caller {
    /// Refuses users with `FORBIDDEN`.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        match self.role {
            Role::Admin => Ok(()),
            Role::User => Err(Problem::new(ErrorCode::Forbidden)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(Authenticator(authenticator)) = parts.extensions.get::<Authenticator>().cloned()
        else {
            return Err(Problem::internal(&"a route asks for a caller and has no Authenticator"));
        };
        let token = bearer(parts).ok_or(ErrorCode::Unauthorized)?;
        let principal = authenticator.authenticate(token).await?;
        if let Some(profile) = parts.extensions.get::<ProfileLanguage>() {
            profile.set(principal.language);
        }
        let requested = headers::requested_time_zone(&parts.headers)?;
        let profiles = || headers::time_zone(&principal.time_zone);
        Ok(Self {
            user: principal.user,
            session: principal.session,
            role: principal.role,
            language: Preferred::of(&parts.headers).unwrap_or(principal.language),
            time_zone: requested.or_else(profiles).unwrap_or(TimeZone::UTC),
        })
    }
}

/// Longer tokens than this are none of ours.
const TOKEN_BYTES_MAX: usize = 4_096;

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
#[must_use]
pub fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let right = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    (right && token.len() <= TOKEN_BYTES_MAX).then_some(token)
}
