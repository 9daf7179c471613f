//! What stands around all routes.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use endpaper_api::{ErrorCode, Language};
use http::{HeaderValue, header};

use crate::{Preferred, Problem};

/// Finishes a router: problems go out in the language of the request, and
/// addresses and methods that there are not become problems too. Apply it once,
/// around everything.
///
/// The language is what `Accept-Language` prefers; without it the caller's
/// profile decides, where a caller is known; else English.
pub fn finish<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(async || Problem::new(ErrorCode::NotFound))
        .method_not_allowed_fallback(async || Problem::new(ErrorCode::MethodNotAllowed))
        .layer(middleware::from_fn(localise))
}

/// Carries the profile's language from the extractor of the caller, which knows
/// it, to the layer, which needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProfileLanguage(Arc<OnceLock<Language>>);

impl ProfileLanguage {
    pub(crate) fn set(&self, language: Language) {
        // A second caller in one request is the same caller.
        let _ = self.0.set(language);
    }
}

async fn localise(mut request: Request, next: Next) -> Response {
    let requested = Preferred::of(request.headers());
    let profile = ProfileLanguage::default();
    request.extensions_mut().insert(profile.clone());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let language = requested.or_else(|| profile.0.get().copied()).unwrap_or_default();
    let mut localised = problem.response(language);
    // Headers that others set on the way, such as `Allow`, stay.
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && !localised.headers().contains_key(name) {
            localised.headers_mut().append(name.clone(), value.clone());
        }
    }
    localised.headers_mut().append(header::VARY, HeaderValue::from_static("accept-language"));
    *localised.extensions_mut() = std::mem::take(response.extensions_mut());
    localised.extensions_mut().insert(problem.code());
    localised
}
