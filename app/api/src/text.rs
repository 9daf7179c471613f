//! Incoming text, in one form.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

use crate::FieldProblem;

/// A text in Unicode's normalisation form NFC (UAX #15), without control
/// characters.
///
/// A Korean title typed on a Mac arrives in pieces (ㅎ+ㅏ+ㄴ) that look the same
/// as 한 and are not: reading a `Text` puts them together, so that what looks
/// the same is the same. Line ends become `\n`. Nothing else is changed, and
/// nothing is trimmed.
///
/// # Errors
/// Reading one refuses control characters other than newline and tab, as
/// [`FieldProblem::ControlCharacter`].
///
/// ```
/// use endpaper_api::Text;
/// let text: Text = serde_json::from_str(r#""\u1112\u1161\u11ab""#).unwrap();
/// assert_eq!(text.as_str(), "한");
/// assert!(serde_json::from_str::<Text>(r#""a\u0000b""#).is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct Text(String);

impl Text {
    /// Brings a text into the form.
    pub fn new(text: &str) -> Result<Self, FieldProblem> {
        nfc(text).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Its length in Unicode scalar values, which is how all limits are given.
    #[must_use]
    pub fn chars_count(&self) -> usize {
        self.0.chars().count()
    }
}

/// Brings a text into the form that [`Text`] has.
pub fn nfc(text: &str) -> Result<String, FieldProblem> {
    let text = if text.contains('\r') {
        std::borrow::Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        std::borrow::Cow::Borrowed(text)
    };
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(FieldProblem::ControlCharacter);
    }
    Ok(crate::normal::nfc(&text).into_owned())
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(FieldProblem::into_serde)
    }
}

/// A [`Text`] that is never printed: a password or a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = Password))]
pub struct Secret(Text);

impl Secret {
    /// Brings a text into the form.
    pub fn new(text: &str) -> Result<Self, FieldProblem> {
        Text::new(text).map(Self)
    }

    /// The secret itself, for those that must have it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;

    #[test]
    fn the_pieces_of_a_mac_become_syllables() {
        assert_eq!(Text::new("\u{1112}\u{1161}\u{11ab}강").unwrap(), "한강");
        assert_eq!(Text::new("e\u{301}tude").unwrap(), "\u{e9}tude");
    }

    #[test]
    fn line_ends_become_newlines_and_spaces_stay() {
        assert_eq!(Text::new(" a\r\nb\rc\n\td ").unwrap(), " a\nb\nc\n\td ");
    }

    #[test]
    fn control_characters_are_refused() {
        for bad in ["\0", "a\u{7}", "\u{1b}[31m", "\u{85}", "\u{7f}"] {
            assert_eq!(Text::new(bad), Err(FieldProblem::ControlCharacter), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("correct horse").unwrap();
        assert!(!format!("{secret:?}").contains("horse"));
    }

    proptest! {
        #[test]
        fn the_form_is_stable(text in ".{0,100}") {
            if let Ok(once) = nfc(&text) {
                prop_assert_eq!(&nfc(&once).unwrap(), &once);
                prop_assert!(unicode_normalization::is_nfc(&once));
            }
        }

        #[test]
        fn forms_that_look_the_same_become_the_same(text in "[가-힣à-ÿ]{0,30}") {
            let apart: String = text.nfd().collect();
            prop_assert_eq!(nfc(&apart).unwrap(), nfc(&text).unwrap());
        }
    }
}
