//! An id for each request, so that a reader's report finds its log lines.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use stdx::IdSource;

/// The header, in requests and in answers.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

const CHARS_MAX: usize = 64;

/// The client's id where it has one of 1 to 64 letters, digits, `.`, `_` and
/// `-`, so that it can't write anything else into our log; else a new one.
pub(super) fn of(headers: &HeaderMap, ids: &IdSource) -> HeaderValue {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let given = headers.get(&HEADER).filter(|value| {
        let bytes = value.as_bytes();
        (1..=CHARS_MAX).contains(&bytes.len()) && bytes.iter().all(plain)
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&ids.next_uuid().to_string()).expect("an id is visible ASCII")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        let ids = IdSource::system();
        let of = |given: &'static str| {
            let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_static(given))]);
            super::of(&headers, &ids).to_str().unwrap().to_owned()
        };
        let long = "x".repeat(64);
        assert_eq!(of("a-B_9.z"), "a-B_9.z");
        assert_eq!(of(Box::leak(long.clone().into_boxed_str())), long);
        for other in ["", "a b", "a\tb", "a=b", Box::leak(format!("{long}x").into_boxed_str())] {
            let id = of(other);
            assert_eq!(id.len(), 36, "a new one for {other:?}: {id}");
        }
        assert_ne!(super::of(&HeaderMap::new(), &ids), super::of(&HeaderMap::new(), &ids));
    }
}
