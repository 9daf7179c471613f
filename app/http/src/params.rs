//! What stands in the address.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use endpaper_api::{FieldProblem, Text};
use http::request::Parts;
use serde::de::DeserializeOwned;
use stdx::ids::Id;

use crate::{FieldError, Problem, serde_errors};

/// The query string. Parameters that `T` doesn't have are ignored (links grow
/// parameters on their way); one that is wrong or given twice is 400 with its
/// name.
#[derive(Clone, Copy, Debug)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if !decodes_to_utf8(query) {
            return Err(Problem::field("query", FieldProblem::NotUtf8));
        }
        let pairs = form_urlencoded::parse(query.as_bytes());
        let deserializer = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(deserializer).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let field = serde_errors::field_error(&path, &error.into_inner().to_string());
            if field.field == "body" {
                FieldError::new("query", field.problem).into()
            } else {
                field.into()
            }
        })
    }
}

/// Whether the text is UTF-8 once `%xx` is decoded. The form decoder would put
/// replacement characters where it is not, and search for those.
fn decodes_to_utf8(query: &str) -> bool {
    let bytes = query.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| query.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    std::str::from_utf8(&decoded).is_ok()
}

/// The id in the path: the last parameter of the route.
///
/// A text that is no id is 400 `VALIDATION_FAILED` with the parameter named,
/// not 404: no id that this API gave out looks so, hence it is a mistake in the
/// client's program, which a 404 would hide. An id of somebody else's thing is
/// 404, and that is for the domain to say.
#[derive(Clone, Copy, Debug)]
pub struct PathId<I>(pub I);

impl<I: Id + FromStr, S: Send + Sync> FromRequestParts<S> for PathId<I> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (name, value) = last_param(parts, state).await?;
        match value.parse() {
            Ok(id) => Ok(Self(id)),
            Err(_) => Err(Problem::field(name, FieldProblem::NotAnId)),
        }
    }
}

/// The text in the path: the last parameter of the route, in NFC.
#[derive(Clone, Debug)]
pub struct PathText(pub Text);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (name, value) = last_param(parts, state).await?;
        Text::new(&value).map(Self).map_err(|problem| Problem::field(name, problem))
    }
}

async fn last_param<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<(String, String), Problem> {
    // The route matched: it is the parameter that can't be decoded.
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::field("path", FieldProblem::NotUtf8))?;
    let last = params.iter().last().map(|(name, value)| (name.to_owned(), value.to_owned()));
    last.ok_or_else(|| Problem::internal(&"a route without a parameter asks for one"))
}
