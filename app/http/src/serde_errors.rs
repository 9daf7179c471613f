//! What a deserializer's message says about which field.
//!
//! serde hands errors on as English text for programmers. The shapes below are
//! those of `serde_derive`, `serde_json`, `serde_urlencoded` and `uuid`; each
//! is pinned by a test that goes through the real deserializer, so a new
//! version that words them otherwise fails the tests and not the readers. What
//! has no known shape becomes "of the wrong type", which is true of it.

use endpaper_api::{FieldProblem, JsonKind};

use crate::FieldError;

/// Makes a field error of a deserializer's message at `path` (as
/// `serde_path_to_error` writes it: `.` for the top).
#[must_use]
pub fn field_error(path: &str, message: &str) -> FieldError {
    let top = path == "." || path.is_empty();
    let named = |prefix: &str| {
        message.strip_prefix(prefix).and_then(|rest| rest.split('`').next()).map(shortened)
    };
    // The path of a missing field ends above it; that of the others, at it.
    if let Some(name) = named("missing field `") {
        let field = if top { name } else { format!("{}.{name}", shortened(path)) };
        return FieldError::new(field, FieldProblem::Required);
    }
    for (prefix, problem) in
        [("unknown field `", FieldProblem::Unknown), ("duplicate field `", FieldProblem::Repeated)]
    {
        if let Some(name) = named(prefix) {
            return FieldError::new(if top { name } else { shortened(path) }, problem);
        }
    }
    let field = if top { "body".to_owned() } else { shortened(path) };
    FieldError::new(field, value_problem(message))
}

/// A sender's own field names come back to them, but not by the kilobyte.
fn shortened(path: &str) -> String {
    const PATH_CHARS_MAX: usize = 200;
    path.chars().take(PATH_CHARS_MAX).collect()
}

fn value_problem(message: &str) -> FieldProblem {
    if let Some(problem) = FieldProblem::from_serde(message) {
        return problem;
    }
    if message.starts_with("invalid type: null") || message.starts_with("invalid type: unit") {
        return FieldProblem::Required;
    }
    if message.starts_with("UUID parsing failed") {
        return FieldProblem::NotAnId;
    }
    if let Some(rest) = message.strip_prefix("unknown variant `")
        && let Some((_, expected)) = rest.rsplit_once("`, expected ")
    {
        let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return FieldProblem::NotOneOf { allowed: names.join(", ") };
    }
    // serde_urlencoded parses numbers and truth values by `FromStr`.
    if message.starts_with("invalid digit") || message.starts_with("cannot parse integer") {
        return FieldProblem::WrongType { expected: Some(JsonKind::Number) };
    }
    if message.starts_with("number too ") {
        return FieldProblem::WrongType { expected: Some(JsonKind::Number) };
    }
    if message.starts_with("provided string was not `true` or `false`") {
        return FieldProblem::WrongType { expected: Some(JsonKind::Truth) };
    }
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    let expected = expected.map(|text| text.split(" at line ").next().unwrap_or(text));
    if message.starts_with("invalid value: integer")
        && let Some((min, max)) = expected.and_then(bounds)
    {
        return FieldProblem::OutOfRange { min, max };
    }
    FieldProblem::WrongType { expected: expected.and_then(kind) }
}

fn bounds(expected: &str) -> Option<(i64, i64)> {
    Some(match expected {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" | "usize" => (0, i64::MAX),
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        _ => return None,
    })
}

fn kind(expected: &str) -> Option<JsonKind> {
    let words = ["string", "a string", "a borrowed string", "str", "a formatted UUID"];
    if words.iter().any(|word| expected.starts_with(word)) && !expected.starts_with("struct") {
        return Some(JsonKind::Text);
    }
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            Some(JsonKind::Number)
        }
        "a boolean" => Some(JsonKind::Truth),
        "a sequence" => Some(JsonKind::List),
        "a map" => Some(JsonKind::Object),
        _ if expected.starts_with("struct ") => Some(JsonKind::Object),
        _ => None,
    }
}
