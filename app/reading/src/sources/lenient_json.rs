//! Reading JSON from those who write something like it.

use serde_json::Value;

/// The text is no JSON, and can't be made into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no JSON")]
pub(super) struct NotJson;

/// Reads JSON, also with what JavaScript writers leave in it: a byte order
/// mark, a `;` at the end, escapes that JSON does not have (`\'`, `\x41`),
/// bare control characters in strings, halves of surrogate pairs, broken UTF-8.
///
/// What is proper JSON is read as such first, so that repairs can't harm it.
pub(super) fn read(bytes: &[u8]) -> Result<Value, NotJson> {
    let text = String::from_utf8_lossy(bytes);
    let text =
        text.trim_matches(|character: char| character.is_whitespace() || character == '\u{FEFF}');
    let text =
        text.trim_end_matches(|character: char| character == ';' || character.is_whitespace());
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    serde_json::from_str(&repair(text)).map_err(|_| NotJson)
}

fn repair(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len() + 16);
    let mut in_string = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '"' => {
                in_string = !in_string;
                repaired.push('"');
            }
            '\\' if in_string => rest = repair_escape(rest, &mut repaired),
            control if in_string && control < ' ' => {
                push_escaped(u32::from(control), &mut repaired);
            }
            other => repaired.push(other),
        }
    }
    repaired
}

/// Takes what follows a backslash, and returns what follows that.
fn repair_escape<'a>(rest: &'a str, repaired: &mut String) -> &'a str {
    let Some(character) = rest.chars().next() else { return rest };
    let after = &rest[character.len_utf8()..];
    match character {
        '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => {
            repaired.push('\\');
            repaired.push(character);
            after
        }
        'u' => {
            let Some(unit) = hex(after, 4) else {
                repaired.push('u');
                return after;
            };
            let after = &after[4..];
            if !(0xD800..0xE000).contains(&unit) {
                push_escaped(unit, repaired);
                return after;
            }
            let low = after.strip_prefix("\\u").and_then(|next| hex(next, 4));
            match low {
                Some(low) if unit < 0xDC00 && (0xDC00..0xE000).contains(&low) => {
                    push_escaped(unit, repaired);
                    push_escaped(low, repaired);
                    &after[6..]
                }
                _ => {
                    repaired.push(char::REPLACEMENT_CHARACTER);
                    after
                }
            }
        }
        'x' if hex(after, 2).is_some() => {
            push_escaped(hex(after, 2).unwrap_or_default(), repaired);
            &after[2..]
        }
        // A line that goes on.
        '\n' => after,
        // JavaScript: an escape that means nothing is the character itself.
        other if other < ' ' => {
            push_escaped(u32::from(other), repaired);
            after
        }
        other => {
            repaired.push(other);
            after
        }
    }
}

fn hex(text: &str, digits: usize) -> Option<u32> {
    let digits = text.get(..digits)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { u32::from_str_radix(digits, 16).ok() } else { None }
}

fn push_escaped(unit: u32, repaired: &mut String) {
    use std::fmt::Write as _;
    write!(repaired, "\\u{unit:04x}").expect("writing to a string");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_javascript_writers_leave() {
        for (text, expected) in [
            (r#"{"a":1};"#, json!({"a": 1})),
            ("\u{FEFF} {\"a\":1} ; \r\n", json!({"a": 1})),
            (r#"{"a":"it\'s \x41 \q"}"#, json!({"a": "it's A q"})),
            ("{\"a\":\"tab\there\nline\"}", json!({"a": "tab\there\nline"})),
            ("{\"a\":\"goes\\\non\"}", json!({"a": "goeson"})),
            (
                r#"{"a":"\uD83D \uDE00 \uD83D\uDE00 \u12 \'"}"#,
                json!({"a": "\u{FFFD} \u{FFFD} 😀 u12 '"}),
            ),
            (r#"{"a":"\"\\\/\b\f\n\r\t \'"}"#, json!({"a": "\"\\/\u{8}\u{C}\n\r\t '"})),
            (r#"{"a;":";\';"};;"#, json!({"a;": ";';"})),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(expected), "{text:?}");
        }
        assert_eq!(read(b"{\"a\":\"caf\xE9\"}"), Ok(json!({"a": "caf\u{FFFD}"})));
    }

    #[test]
    fn what_is_no_json() {
        for text in ["", ";", "<html>", "{\"a\":", "callback({})", "{\"a\":\"\\", "{\"a\":\"\\u12"]
        {
            assert_eq!(read(text.as_bytes()), Err(NotJson), "{text:?}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(read(deep.as_bytes()), Err(NotJson), "too deep, and no stack overflow");
    }

    proptest! {
        #[test]
        fn proper_json_is_read_as_it_is(text in any::<String>(), number in any::<i64>()) {
            let value = json!({"text": text, "list": [number, {"text": text}]});
            prop_assert_eq!(read(value.to_string().as_bytes()), Ok(value.clone()));
            // The repair changes nothing of it either.
            let repaired: Value = serde_json::from_str(&repair(&value.to_string())).unwrap();
            prop_assert_eq!(repaired, value);
        }

        #[test]
        fn any_bytes_are_read_or_not(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }

        #[test]
        fn any_string_with_wild_escapes_is_read(
            text in "([a-z가-힣 ]|\\\\[^\"])*",
        ) {
            let json = format!("{{\"a\":\"{text}\"}}");
            prop_assert!(read(json.as_bytes()).is_ok(), "{}", json);
        }
    }
}
