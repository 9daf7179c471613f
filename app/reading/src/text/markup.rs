//! Text out of HTML.

use super::fold::paragraphs;

/// The text of a description or a review that has a little HTML in it: the tags
/// that such texts have are taken off, then entities are read, then it is
/// brought into the form of [`paragraphs`].
///
/// In this order, because `<br>` is markup and `&lt;토지&gt;` is a title in
/// angle brackets.
///
/// **It does not make HTML safe:** what is left can have angle brackets, and
/// who shows it has to escape it.
///
/// ```
/// use endpaper_reading::text::plain_text;
///
/// assert_eq!(plain_text("&lt;토지&gt;의 작가<br/>둘째 줄 &amp; 끝"), "<토지>의 작가\n둘째 줄 & 끝");
/// ```
#[must_use]
pub fn plain_text(html: &str) -> String {
    paragraphs(&html_escape::decode_html_entities(&without_tags(html)))
}

/// The tags that descriptions have in fact. Others stay: what looks like a tag
/// may be text.
const TAGS: [&str; 14] =
    ["b", "strong", "i", "em", "u", "font", "span", "a", "img", "br", "p", "div", "li", "ul"];

/// Those that begin a new line.
const LINE_TAGS: [&str; 4] = ["br", "p", "div", "li"];

fn without_tags(text: &str) -> String {
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
