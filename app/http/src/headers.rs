//! What routes read from the headers, and from the connection.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use endpaper_api::{FieldProblem, Language};
use http::request::Parts;
use http::{HeaderMap, header};
use jiff::tz::TimeZone;

use crate::Problem;

/// The language that `Accept-Language` prefers, else English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preferred(pub Language);

impl Preferred {
    /// The language that the header prefers; `None` where there is no header,
    /// or none of our languages in it.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Language> {
        let value = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
        Language::from_accept_language(value)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Preferred {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Self::of(&parts.headers).unwrap_or_default()))
    }
}

/// The time zone that `X-Time-Zone` names. A zone that there is not is 400:
/// guessing another would put memos on wrong days.
#[derive(Clone, Debug)]
pub struct RequestedTimeZone(pub Option<TimeZone>);

impl<S: Send + Sync> FromRequestParts<S> for RequestedTimeZone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        requested_time_zone(&parts.headers).map(Self)
    }
}

const TIME_ZONE: &str = "x-time-zone";

pub(crate) fn requested_time_zone(headers: &HeaderMap) -> Result<Option<TimeZone>, Problem> {
    let Some(value) = headers.get(TIME_ZONE) else { return Ok(None) };
    match value.to_str().ok().and_then(time_zone) {
        Some(zone) => Ok(Some(zone)),
        None => Err(Problem::field("X-Time-Zone", FieldProblem::NotATimeZone)),
    }
}

/// The zone of the IANA database with this name (in any case); `None` where
/// there is none.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    // The longest name of the database has 32 characters.
    const NAME_BYTES_MAX: usize = 64;
    let plausible = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.is_ascii();
    if !plausible {
        return None;
    }
    TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some())
}

/// `Idempotency-Key`: 1 to 128 characters of visible ASCII; with quotes around
/// (as the IETF's draft of the header writes it) or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    /// The most characters.
    pub const CHARS_MAX: usize = 128;
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        const NAME: &str = "Idempotency-Key";
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if values.next().is_some() {
            return Err(Problem::field(NAME, FieldProblem::Repeated));
        }
        let text = value.to_str().unwrap_or_default();
        let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let key = unquoted.unwrap_or(text);
        let right = (1..=Self::CHARS_MAX).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !right {
            return Err(Problem::field(NAME, FieldProblem::NotAnIdempotencyKey));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

/// `If-Match` (RFC 9110, section 13.1.1), for changes that hold only for the
/// version which the client saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Whether the change may be made to `version`, as [`crate::Answer::etag`]
    /// sent it: no header, `*`, or this version among those named. Where not,
    /// the answer is `VERSION_CONFLICT`.
    #[must_use]
    pub fn allows(&self, version: impl std::fmt::Display) -> bool {
        let Some(header) = &self.0 else { return true };
        let strong = format!("\"{version}\"");
        header.split(',').map(str::trim).any(|tag| tag == "*" || tag == strong)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let values: Vec<String> =
            parts.headers.get_all(header::IF_MATCH).iter().map(text).collect();
        Ok(Self((!values.is_empty()).then(|| values.join(","))))
    }
}

/// The client's address, for limits: the extension that the server sets, else
/// the address of the connection. `None` where neither is known; all such
/// clients then share one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        if let Some(address) = parts.extensions.get::<Self>() {
            return Ok(*address);
        }
        let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(connection.map(|ConnectInfo(address)| address.ip())))
    }
}
