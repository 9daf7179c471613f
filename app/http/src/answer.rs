//! The envelope of what was done.

use std::fmt;

use axum::response::{IntoResponse, Response};
use endpaper_api::Success;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// `{"ok":true,"data":…}` with its status and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    data: T,
    status: StatusCode,
    etag: Option<HeaderValue>,
    no_store: bool,
}

impl<T> Answer<T> {
    /// 200.
    pub const fn ok(data: T) -> Self {
        Self { data, status: StatusCode::OK, etag: None, no_store: false }
    }

    /// 201: something was made.
    pub const fn created(data: T) -> Self {
        Self { data, status: StatusCode::CREATED, etag: None, no_store: false }
    }

    /// Adds a strong `ETag`, which the client sends back as `If-Match`
    /// ([`crate::IfMatch`]). `version` is of visible ASCII without `"`.
    #[must_use]
    pub fn etag(mut self, version: impl fmt::Display) -> Self {
        self.etag = HeaderValue::try_from(format!("\"{version}\"")).ok();
        self
    }

    /// Forbids to keep the answer anywhere: it carries secrets.
    #[must_use]
    pub const fn no_store(mut self) -> Self {
        self.no_store = true;
        self
    }

    /// The data.
    pub const fn data(&self) -> &T {
        &self.data
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(Success::new(self.data))).into_response();
        if let Some(etag) = self.etag {
            response.headers_mut().insert(header::ETAG, etag);
        }
        if self.no_store {
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    }
}
