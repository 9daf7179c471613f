//! Picking values out of JSON that may be otherwise than promised.

use serde_json::Value;

use crate::text::{line, plain_text};

/// The member as one line of text, its HTML entities read. Numbers are texts
/// too. `None` where it is absent, of another kind, or empty.
pub(super) fn line_of(object: &Value, member: &str) -> Option<String> {
    let text = match object.get(member)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let text = line(&html_escape::decode_html_entities(&text));
    (!text.is_empty()).then_some(text)
}

/// The member as paragraphs, without its HTML.
pub(super) fn paragraphs_of(object: &Value, member: &str) -> Option<String> {
    let text = plain_text(object.get(member)?.as_str()?);
    (!text.is_empty()).then_some(text)
}

/// The member as a count, also where it is written as a text. `None` for what
/// is none, and for 0.
pub(super) fn count_of(object: &Value, member: &str) -> Option<u32> {
    let count = match object.get(member)? {
        Value::Number(number) => u32::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (count > 0).then_some(count)
}

/// The member as an address of the web.
pub(super) fn url_of(object: &Value, member: &str) -> Option<String> {
    let text = object.get(member)?.as_str()?.trim();
    let text = html_escape::decode_html_entities(text);
    let url = reqwest::Url::parse(&text).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.into())
}

/// The items of a member that is a list; of one that is absent, none.
pub(super) fn list_of<'a>(object: &'a Value, member: &str) -> &'a [Value] {
    object.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_any_kind() {
        let object = json!({
            "title": " Q&amp;A &lt;토지&gt; &#39;x&#x27; &nbsp;\u{1112}\u{1161} ", "number": 12, "text": "12",
            "zero": 0, "null": null, "list": [1], "minus": -1, "much": 1e30,
            "url": "https://example.org/a?b=1&amp;c=2", "script": "javascript:alert(1)",
            "description": "&lt;토지&gt;의 작가<br/>둘째 줄", "blank": "&nbsp;"
        });
        assert_eq!(line_of(&object, "title").unwrap(), "Q&A <토지> 'x' 하");
        assert_eq!(line_of(&object, "number").unwrap(), "12");
        assert_eq!(line_of(&object, "list"), None);
        assert_eq!(line_of(&object, "blank"), None);
        assert_eq!(paragraphs_of(&object, "description").unwrap(), "<토지>의 작가\n둘째 줄");
        for (member, expected) in [
            ("number", Some(12)),
            ("text", Some(12)),
            ("zero", None),
            ("minus", None),
            ("much", None),
            ("none", None),
        ] {
            assert_eq!(count_of(&object, member), expected, "{member}");
        }
        assert_eq!(url_of(&object, "url").unwrap(), "https://example.org/a?b=1&c=2");
        assert_eq!(url_of(&object, "script"), None);
        assert_eq!(list_of(&object, "list").len(), 1);
        assert_eq!(list_of(&object, "null").len(), 0);
        assert_eq!(line_of(&json!([]), "title"), None);
    }
}
