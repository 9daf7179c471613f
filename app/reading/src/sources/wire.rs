//! Picking values out of JSON that may be otherwise than promised.

use serde_json::Value;

use crate::text::{line, paragraphs};

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

/// The member as paragraphs: known HTML tags taken off, then entities read.
///
/// In this order, because `<br>` is markup and `&lt;토지&gt;` is a title in
/// angle brackets.
pub(super) fn paragraphs_of(object: &Value, member: &str) -> Option<String> {
    let text = without_tags(object.get(member)?.as_str()?);
    let text = paragraphs(&html_escape::decode_html_entities(&text));
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

/// The tags that descriptions have in fact. Others stay: what looks like a tag
/// may be text.
const TAGS: [&str; 14] =
    ["b", "strong", "i", "em", "u", "font", "span", "a", "img", "br", "p", "div", "li", "ul"];

/// Those that begin a new line.
const LINE_TAGS: [&str; 4] = ["br", "p", "div", "li"];

pub(super) fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        plain.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some((name, after)) = known_tag(rest) else {
            plain.push('<');
            rest = &rest[1..];
            continue;
        };
        if LINE_TAGS.contains(&name.as_str()) {
            plain.push('\n');
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// The name of the tag that the text begins with, and what follows the tag.
fn known_tag(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('<')?;
    let inside = inside.strip_prefix('/').unwrap_or(inside);
    let end = inside.find(|character: char| !character.is_ascii_alphabetic())?;
    let name = inside[..end].to_ascii_lowercase();
    let close = inside[end..].find(['>', '<'])?;
    let ends_here = inside[end..].starts_with(['>', '/', ' ', '\t', '\r', '\n'])
        && inside[end + close..].starts_with('>');
    (ends_here && TAGS.contains(&name.as_str())).then(|| (name, &inside[end + close + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_go_and_angle_brackets_stay() {
        for (text, expected) in [
            ("one<br>two<BR/>three<br />four", "one\ntwo\nthree\nfour"),
            ("<p>a</p><b class=\"x\">b</b>", "\na\nb"),
            ("x < y, a<b, <토지>, <pre>, </>", "x < y, a<b, <토지>, <pre>, </>"),
            ("<b", "<b"),
            ("<br<br>", "<br\n"),
            ("<<br>>", "<\n>"),
        ] {
            assert_eq!(without_tags(text), expected, "{text:?}");
        }
    }

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

    proptest! {
        #[test]
        fn text_without_tags_is_left_alone(text in "[a-z가-힣 &;]{0,40}") {
            prop_assert_eq!(without_tags(&text), text);
        }

        #[test]
        fn any_text_can_be_freed_of_tags(text in "([a-z<>/ 가]|<br>|<b>){0,40}") {
            let _ = without_tags(&text);
        }
    }
}
