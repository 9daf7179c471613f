//! Why a request was not done.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use endpaper_api::{ErrorBody, ErrorCode, Failure, FieldMessage, FieldProblem, Language};
use http::{HeaderValue, StatusCode, header};
use multi_master::{DbError, WriteError};

use crate::status;

/// Why a request was not done: a wire code, what is wrong with which fields,
/// when to try again.
///
/// It becomes a response with the fitting status by itself, in English; inside
/// [`crate::finish`] in the language of the request.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a problem that nobody sends is lost"]
pub struct Problem {
    code: ErrorCode,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    details: serde_json::Map<String, serde_json::Value>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Its path on the wire.
    pub field: Cow<'static, str>,
    /// What is wrong.
    pub problem: FieldProblem,
}

impl FieldError {
    /// What is wrong with which field.
    pub fn new(field: impl Into<Cow<'static, str>>, problem: FieldProblem) -> Self {
        Self { field: field.into(), problem }
    }
}

impl Problem {
    /// About no single field.
    pub fn new(code: ErrorCode) -> Self {
        Self {
            code,
            fields: Vec::new(),
            retry_after: status::retry_after(code),
            details: serde_json::Map::new(),
        }
    }

    /// One field is wrong: `VALIDATION_FAILED`, or `UNKNOWN_FIELD` for a field
    /// that there is not.
    pub fn field(field: impl Into<Cow<'static, str>>, problem: FieldProblem) -> Self {
        Self::fields(vec![FieldError::new(field, problem)])
    }

    /// Fields are wrong; all of them in one answer, so that a reader corrects
    /// them in one go.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let unknown = |error: &FieldError| error.problem == FieldProblem::Unknown;
        let code = if fields.iter().any(unknown) {
            ErrorCode::UnknownField
        } else {
            ErrorCode::ValidationFailed
        };
        Self { fields, ..Self::new(code) }
    }

    /// `Ok` where no field is wrong: the last line of a rule that gathers.
    pub fn unless_empty(fields: Vec<FieldError>) -> Result<(), Self> {
        if fields.is_empty() { Ok(()) } else { Err(Self::fields(fields)) }
    }

    /// A mistake of ours: `error` is logged, and the client gets `INTERNAL`
    /// without it.
    pub fn internal(error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "a request failed by our mistake");
        Self::new(ErrorCode::Internal)
    }

    /// Adds what is wrong with one field; the code stays.
    pub fn with(mut self, error: FieldError) -> Self {
        self.fields.push(error);
        self
    }

    /// Says when to try again, rounded up to seconds.
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Gives the client's program what it needs to go on, such as
    /// `existingId`. A value that is no JSON is left out.
    pub fn detail(mut self, name: &str, value: impl serde::Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.details.insert(name.to_owned(), value);
        }
        self
    }

    /// The wire code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// What is wrong with which fields.
    #[must_use]
    pub fn field_errors(&self) -> &[FieldError] {
        &self.fields
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        status::of(self.code)
    }

    /// The body, in a language.
    #[must_use]
    pub fn body(&self, language: Language) -> Failure {
        Failure::new(ErrorBody {
            code: self.code,
            message: self.code.message(language).to_owned(),
            fields: self
                .fields
                .iter()
                .map(|error| FieldMessage {
                    field: error.field.clone().into_owned(),
                    message: error.problem.message(language),
                })
                .collect(),
            retryable: self.code.is_retryable(),
            details: self.details.clone(),
        })
    }

    /// The whole response, in a language.
    #[must_use]
    pub fn response(&self, language: Language) -> Response {
        let mut response = (self.status(), axum::Json(self.body(language))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        // An answer about this moment must not be kept for the next.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            let secs = after.as_millis().div_ceil(1_000).max(1);
            let secs = u64::try_from(secs).unwrap_or(u64::MAX);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        // RFC 9110, section 11.6.1: every 401 names a scheme; RFC 6750,
        // section 3.1: and says whether a token was there.
        let challenge = match self.code {
            ErrorCode::TokenExpired => Some("Bearer error=\"invalid_token\""),
            _ if self.status() == StatusCode::UNAUTHORIZED => Some("Bearer"),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.response(Language::default());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::fields(vec![error])
    }
}

impl From<DbError> for Problem {
    /// Nothing was saved. What passes by itself is `STORE_UNAVAILABLE`; the
    /// rest is a mistake of ours, also a duplicate that the domain did not
    /// expect.
    fn from(error: DbError) -> Self {
        if !error.is_retryable() {
            return Self::internal(&error);
        }
        tracing::warn!(%error, "the store can't serve a request");
        let problem = Self::new(ErrorCode::StoreUnavailable);
        match error.retry_after() {
            Some(after) => problem.retry_after(after),
            None => problem,
        }
    }
}

impl<E: Into<Self>> From<WriteError<E>> for Problem {
    fn from(error: WriteError<E>) -> Self {
        match error {
            WriteError::NotSaved(error) => error.into(),
            WriteError::InDoubt(txid) => {
                tracing::warn!(%txid, "it is not known yet whether a write was saved");
                Self::new(ErrorCode::OutcomeUnknown)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_said_to_be_retryable() {
        let away = DbError::NoMaster("a: refused".to_owned());
        let problem = Problem::from(away);
        assert_eq!((problem.code(), problem.status().as_u16()), (ErrorCode::StoreUnavailable, 503));
        assert_eq!(problem.response(Language::En).headers()[header::RETRY_AFTER], "5");
    }

    #[test]
    fn the_inside_of_the_store_is_never_sent() {
        let shape = DbError::Shape("column `password_hash` should be a text".to_owned());
        let problem = Problem::from(WriteError::NotSaved(shape));
        assert_eq!(problem.code(), ErrorCode::Internal);
        let body = serde_json::to_string(&problem.body(Language::Ko)).unwrap();
        assert!(!body.contains("password_hash"), "{body}");
    }

    #[test]
    fn a_write_in_doubt_is_to_be_repeated_as_it_was() {
        let txid = "0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap();
        let problem = Problem::from(WriteError::<DbError>::InDoubt(txid));
        assert_eq!((problem.code(), problem.status().as_u16()), (ErrorCode::OutcomeUnknown, 504));
        assert!(problem.body(Language::En).error.retryable);
        assert_eq!(problem.response(Language::En).headers()[header::RETRY_AFTER], "1");
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (millis, expected) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (61_000, "61")] {
            let problem =
                Problem::new(ErrorCode::RateLimited).retry_after(Duration::from_millis(millis));
            assert_eq!(problem.response(Language::En).headers()[header::RETRY_AFTER], expected);
        }
    }
}
