//! Unicode's normalisation forms (UAX #15). In a browser they are the browser's, which has the
//! tables: they would be a tenth of what a reader loads.

use std::borrow::Cow;

/// The text in the form NFC. Borrows where it already is, as far as a quick look tells.
#[must_use]
pub fn nfc(text: &str) -> Cow<'_, str> {
    // Characters before the combining ones, and syllables of Hangul, are composed.
    let is_plain =
        |character: char| character < '\u{300}' || ('\u{AC00}'..='\u{D7A3}').contains(&character);
    if text.chars().all(is_plain) { Cow::Borrowed(text) } else { composed(text) }
}

/// A character in the form NFKD: what it is made of, as far as it looks alike.
#[must_use]
pub fn nfkd(character: char) -> String {
    decomposed(character)
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn composed(text: &str) -> Cow<'_, str> {
    use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(text.nfc().collect()),
    }
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn decomposed(character: char) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    std::iter::once(character).nfkd().collect()
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
fn composed(text: &str) -> Cow<'_, str> {
    Cow::Owned(js_sys::JsString::from(text).normalize("NFC").into())
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
fn decomposed(character: char) -> String {
    let mut bytes = [0; 4];
    let text: &str = character.encode_utf8(&mut bytes);
    js_sys::JsString::from(text).normalize("NFKD").into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;

    proptest! {
        #[test]
        fn what_is_not_looked_at_is_composed(text in r"[\u{0}-\u{36f}\u{1100}-\u{11ff}\u{ac00}-\u{d7ff}]{0,8}") {
            prop_assert_eq!(nfc(&text).into_owned(), text.nfc().collect::<String>());
        }
    }
}
