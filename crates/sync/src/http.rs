//! The protocol over HTTP (RFC 9110), without the HTTP: what an answer means to a device.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/health` | `{"ok":true,"data":…}`: it is well |
//! | `GET /api/v1/health/books` | `{"ok":true,"data":…}`: its sources of books answer |
//! | `POST /api/v1/sync/push` with a [`Push`](crate::wire::Push) | a [`PushAnswer`](crate::wire::PushAnswer) |
//! | `GET /api/v1/sync/pull?account=…&device=…&cursor=…&anew=…&limit=…` | a [`PullAnswer`](crate::wire::PullAnswer) |
//! | `GET /api/v1/sync/live` | server-sent events named `head`, whose data is a number: [`Heads`] |
//!
//! Answers come as `{"ok":true,"data":…}`, or as `{"ok":false,"error":{"code":…,
//! "message":…,"retryable":…}}`: an [`Envelope`]. Anything else is no answer of the server,
//! whatever its status says: the page of a captive portal, or of a proxy whose server is
//! away. Of others only 429 counts, which is obeyed whoever says it.
//!
//! ```
//! use sync::engine::Trouble;
//! use sync::http::{Envelope, answer};
//!
//! let parse = |body| serde_json::from_str::<Envelope<u32>>(body).ok();
//! assert_eq!(answer(200, parse(r#"{"ok":true,"data":7}"#), None), Ok(7));
//! assert_eq!(answer(200, parse("<html>Welcome to the airport</html>"), None), Err(Trouble::Unreachable));
//! ```

use std::time::Duration;

use serde::Deserialize;

use crate::engine::Trouble;
use crate::model::Version;
use crate::queue::Failure;
use crate::wire::{Pull, UNSUPPORTED};

/// Whether the server is well.
pub const HEALTH: &str = "/api/v1/health";
/// Whether what it needs from outside is there.
pub const SOURCE: &str = "/api/v1/health/books";
/// Where operations are sent.
pub const PUSH: &str = "/api/v1/sync/push";
/// Where changes are asked for.
pub const PULL: &str = "/api/v1/sync/pull";
/// Where changes are heard of.
pub const LIVE: &str = "/api/v1/sync/live";
/// A request has so long, but for [`LIVE`].
pub const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Who listens hears something at least so often.
pub const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The largest answer, in bytes.
pub const ANSWER_MAX: usize = 64 << 20;
/// The longest line of an event.
const LINE_MAX: usize = 4 << 10;

/// Says who is asking.
#[expect(async_fn_in_trait, reason = "they run on the task that drives the device")]
pub trait Tokens {
    /// A token for `Authorization: Bearer`; where the server did not take `stale`, another
    /// one.
    ///
    /// # Errors
    /// [`Trouble::LogIn`] where there is none, and nobody but the person can get one;
    /// others where none could be asked for.
    async fn token(&self, stale: Option<&str>) -> Result<String, Trouble>;
}

/// The query of a [`PULL`], as names and values.
#[must_use]
pub fn query(pull: &Pull) -> Vec<(&'static str, String)> {
    let mut query = vec![
        ("protocol", pull.protocol.to_string()),
        ("account", pull.account.to_string()),
        ("device", pull.device.to_string()),
        ("cursor", pull.cursor.0.to_string()),
        ("limit", pull.limit.to_string()),
    ];
    query.extend(pull.log.map(|log| ("log", log.to_string())));
    query.extend(pull.anew.map(|anew| ("anew", anew.0.to_string())));
    query
}

/// The outside of every answer; `ok` says which of the two it is.
#[derive(Clone, Debug, Deserialize)]
pub struct Envelope<A> {
    ok: bool,
    data: Option<A>,
    error: Option<Refusal>,
}

#[derive(Clone, Debug, Deserialize)]
struct Refusal {
    code: String,
    message: String,
    retryable: bool,
}

/// What an answer means: its status, its body where that is an [`Envelope`], and the seconds
/// of its `Retry-After`.
///
/// # Errors
/// [`Trouble`], from what it says, and what its status says of that.
pub fn answer<A>(
    status: u16,
    envelope: Option<Envelope<A>>,
    later: Option<Duration>,
) -> Result<A, Trouble> {
    match envelope {
        Some(Envelope { ok: true, data: Some(data), error: None })
            if (200..300).contains(&status) =>
        {
            Ok(data)
        }
        Some(Envelope { ok: false, data: None, error: Some(refusal) }) => {
            Err(trouble(status, refusal, later))
        }
        // Who is between and says so has counted requests: it is asked less often.
        None if status == 429 => Err(Trouble::Later(later)),
        _ => Err(Trouble::Unreachable),
    }
}

fn trouble(status: u16, refusal: Refusal, later: Option<Duration>) -> Trouble {
    let Refusal { code, message, retryable } = refusal;
    let failure = Failure { code, message };
    match status {
        401 => Trouble::LogIn,
        410 => Trouble::Expired,
        _ if retryable => Trouble::Later(later),
        _ if failure.code == UNSUPPORTED => Trouble::Stopped(failure),
        400 | 413 | 422 => Trouble::Rejected(failure),
        500..600 => Trouble::Later(later),
        _ => Trouble::Stopped(failure),
    }
}

/// Server-sent events (HTML Living Standard, 9.2), of which those named `head` count.
#[derive(Debug, Default)]
pub struct Heads {
    line: Vec<u8>,
    is_head: bool,
    data: Option<Version>,
}

impl Heads {
    /// Takes some bytes, and returns what was told in them; none where it is no such
    /// stream.
    #[must_use]
    pub fn take(&mut self, bytes: &[u8]) -> Option<Vec<Version>> {
        let mut told = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => told.extend(self.end_line()),
                b'\r' => {}
                _ if self.line.len() >= LINE_MAX => return None,
                byte => self.line.push(*byte),
            }
        }
        Some(told)
    }

    fn end_line(&mut self) -> Option<Version> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let (told, is_head) = (self.data.take(), std::mem::take(&mut self.is_head));
            return told.filter(|_| is_head);
        }
        let line = String::from_utf8(line).ok()?;
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.is_head = value == "head",
            "data" => self.data = value.parse().ok().map(Version),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &[u8] =
        b": hello\n\nevent: head\n\ndata: 6\n\nevent: head\ndata: 7\n\nevent: other\ndata: 8\n\n\
        data: 9\n\nevent:head\r\ndata:12\r\n\r\nevent: head\ndata: x\n\n";

    proptest! {
        #[test]
        fn events_are_read_wherever_they_are_cut(cuts in prop::collection::vec(1usize..20, 0..40)) {
            let (mut lines, mut told, mut rest) = (Heads::default(), Vec::new(), STREAM);
            for cut in cuts {
                let (some, others) = rest.split_at(cut.min(rest.len()));
                told.extend(lines.take(some).unwrap());
                rest = others;
            }
            told.extend(lines.take(rest).unwrap());
            prop_assert_eq!(told, [Version(7), Version(12)]);
        }
    }

    #[test]
    fn a_line_without_an_end_is_no_stream() {
        assert_eq!(Heads::default().take(&[b'x'; LINE_MAX + 1]), None);
    }

    #[test]
    fn what_a_refusal_means() {
        let of = |status: u16, code: &str, retryable| {
            let (code, message) = (code.to_owned(), "m".to_owned());
            trouble(status, Refusal { code, message, retryable }, Some(Duration::from_secs(9)))
        };
        let failure = |code: &str| Failure { code: code.to_owned(), message: "m".to_owned() };
        let later = Trouble::Later(Some(Duration::from_secs(9)));
        assert_eq!(of(401, "TOKEN_EXPIRED", false), Trouble::LogIn);
        assert_eq!(of(410, "SYNC_CURSOR_EXPIRED", false), Trouble::Expired);
        assert_eq!(of(429, "RATE_LIMITED", true), later);
        assert_eq!(of(503, "X", true), later);
        assert_eq!(of(500, "INTERNAL", false), later);
        assert_eq!(of(413, "BODY_TOO_LARGE", false), Trouble::Rejected(failure("BODY_TOO_LARGE")));
        let wrong = "VALIDATION_FAILED";
        assert_eq!(of(400, wrong, false), Trouble::Rejected(failure(wrong)));
        for (status, code) in
            [(400, "SYNC_PROTOCOL_UNSUPPORTED"), (403, "SYNC_WRONG_ACCOUNT"), (404, "NOT_FOUND")]
        {
            assert_eq!(of(status, code, false), Trouble::Stopped(failure(code)));
        }
    }
}
