//! A strict JSON body.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use endpaper_api::{ErrorCode, FieldProblem, JsonKind};
use http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::{FieldError, Problem, serde_errors};

/// The most bytes of a JSON body. The largest request of the API is a book with
/// its review: some 10,000 characters, each at most 12 bytes when a client
/// escapes it.
pub const JSON_BODY_BYTES_MAX: usize = 256 * 1024;

/// A JSON body, read strictly.
///
/// | what comes | answer |
/// |---|---|
/// | another content type, or none | 415 `UNSUPPORTED_MEDIA_TYPE` |
/// | more than [`JSON_BODY_BYTES_MAX`] | 413 `BODY_TOO_LARGE`, without reading the rest |
/// | broken UTF-8, broken JSON, text after the JSON | 400 `MALFORMED_JSON` |
/// | no object | 400 `VALIDATION_FAILED`, field `body` |
/// | a field that there is not | 400 `UNKNOWN_FIELD`, the field named |
/// | a missing field, a wrong type, a value out of range | 400 `VALIDATION_FAILED`, the field named |
///
/// That unknown fields are refused is up to `T`: `#[serde(deny_unknown_fields)]`.
#[derive(Clone, Copy, Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(Problem::new(ErrorCode::UnsupportedMediaType));
        }
        let bytes = read(request.into_body(), JSON_BODY_BYTES_MAX).await?;
        parse(&bytes).map(Self)
    }
}

fn is_json(request: &Request) -> bool {
    let content_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|content_type| {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    })
}

/// Reads a body of at most `bytes_max`; for routes that take something other
/// than JSON, such as a CSV file.
pub async fn read(body: Body, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    use http_body::Body as _;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(Problem::new(ErrorCode::BodyTooLarge));
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if is_over_a_limit(&*error) => Err(Problem::new(ErrorCode::BodyTooLarge)),
        // The sender broke off; it will hardly hear the answer.
        Err(error) => {
            tracing::debug!(%error, "a request body broke off");
            Err(Problem::new(ErrorCode::RequestTimeout))
        }
    }
}

/// Whether a limit cut the body: the one here, or one that the server put
/// around all bodies, whose error comes wrapped.
fn is_over_a_limit(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(error), |error| error.source())
        .any(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// Reads JSON as [`JsonBody`] does.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Problem::new(ErrorCode::MalformedJson)
            .with(FieldError::new("body", FieldProblem::NotUtf8)));
    };
    // serde would also read a struct from an array, by position.
    let no_object = !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    if no_object {
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => {
                Problem::field("body", FieldProblem::WrongType { expected: Some(JsonKind::Object) })
            }
            Err(_) => Problem::new(ErrorCode::MalformedJson),
        });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let field = || Problem::from(serde_errors::field_error(&path, &inner.to_string()));
        match inner.classify() {
            serde_json::error::Category::Data => field(),
            // A number where a choice is expected is a syntax error to
            // serde_json, and a wrong type to us.
            _ if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => field(),
            _ => Problem::new(ErrorCode::MalformedJson),
        }
    })?;
    json.end().map_err(|_| Problem::new(ErrorCode::MalformedJson))?;
    Ok(value)
}
