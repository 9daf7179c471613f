//! Bringing text into one form, and folding it into what searches compare.

use std::borrow::Cow;

pub use endpaper_api::normal::nfc;
use endpaper_api::normal::nfkd;

use super::hangul::{Jamo, initial, lone_jamo};

/// A text of one line from outside, such as a title: NFC, any run of white
/// space and control characters one space, none at the ends, no byte order
/// mark.
#[must_use]
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut gap = false;
    for character in nfc(text).chars().filter(|&character| character != BYTE_ORDER_MARK) {
        if character.is_whitespace() || character.is_control() {
            gap = true;
            continue;
        }
        if gap && !line.is_empty() {
            line.push(' ');
        }
        gap = false;
        line.push(character);
    }
    line
}

/// A text of many lines from outside, such as a review: NFC, lines ended by
/// `\n`, no control characters but that and the tab, no white space at the
/// ends.
#[must_use]
pub fn paragraphs(text: &str) -> String {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String = nfc(&unified)
        .chars()
        .filter(|&character| {
            matches!(character, '\n' | '\t')
                || !(character.is_control() || character == BYTE_ORDER_MARK)
        })
        .collect();
    kept.trim().to_owned()
}

const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// What is stored beside a text so that it can be found: see the [module's
/// page](super) for what finds what.
///
/// ```
/// use endpaper_reading::text::SearchKeys;
///
/// let keys = SearchKeys::of("해리 포터: Harry  Potter’s ÉTÉ");
/// assert_eq!(keys.text, "해리포터: harry potter's ete");
/// assert_eq!(keys.initials, "ㅎㄹㅍㅌharrypottersete");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchKeys {
    /// For the column that searches by spelling look in. Longer than the text
    /// only where it has ligatures and the like: at most
    /// [`SearchKeys::GROWTH_MAX`] times as many characters.
    pub text: String,
    /// For the column that searches by initial consonants look in: as
    /// [`SearchKeys::text`], without spaces and punctuation, and of each
    /// syllable its initial consonant. Never longer than that.
    pub initials: String,
}

impl SearchKeys {
    /// How much longer, in characters, a key can be than its text: one
    /// character (U+FDFA) stands for a sentence of 18.
    pub const GROWTH_MAX: usize = 18;

    /// The keys of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = fold(text);
        let initials =
            squeeze(&text).map(|character| initial(character).unwrap_or(character)).collect();
        Self { text, initials }
    }
}

/// The characters of a folded text that count for searches by initials.
pub(super) fn squeeze(folded: &str) -> impl Iterator<Item = char> {
    folded.chars().filter(|character| character.is_alphanumeric())
}

/// The one spelling that searches compare. Folding twice is folding once.
pub(super) fn fold(text: &str) -> String {
    let mut characters = String::with_capacity(text.len());
    for character in nfc(text).chars() {
        push_folded(character, &mut characters, FOLD_STEPS_MAX);
    }
    let spaced = collapse_spaces(&characters);
    match nfc(&spaced) {
        Cow::Borrowed(_) => spaced,
        Cow::Owned(composed) => composed,
    }
}

/// Decomposition and lower case lead to each other at most this often: script
/// and circled capitals, for example, are decomposed, then made small.
const FOLD_STEPS_MAX: u8 = 4;

fn push_folded(character: char, folded: &mut String, steps: u8) {
    if character.is_ascii() && !character.is_ascii_control() {
        folded.push(character.to_ascii_lowercase());
        return;
    }
    if character.is_whitespace() {
        folded.push(' ');
        return;
    }
    if initial(character).is_some() {
        folded.push(character);
        return;
    }
    match lone_jamo(character) {
        Some(Jamo::One(jamo)) => return folded.push(jamo),
        Some(Jamo::Consonants(consonants)) => return folded.push_str(consonants),
        None => {}
    }
    if is_ignored(character) || is_diacritic(character) {
        return;
    }
    if let Some(plain) = plain_form(character) {
        return folded.push_str(plain);
    }
    for part in nfkd(character).chars() {
        for small in part.to_lowercase() {
            if small == character || steps == 0 {
                folded.push(small);
            } else {
                push_folded(small, folded, steps - 1);
            }
        }
    }
}

/// Characters that show nothing: control characters, joiners, direction marks,
/// variation selectors, Hangul fillers.
fn is_ignored(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00AD}'
                | '\u{061C}'
                | '\u{115F}'
                | '\u{1160}'
                | '\u{200B}'..='\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{E0100}'..='\u{E01EF}'
        )
}

/// The marks of Latin, Greek and Cyrillic: the combining diacritics' blocks.
/// Marks of other scripts have blocks of their own and make other letters.
fn is_diacritic(character: char) -> bool {
    matches!(
        character,
        '\u{0300}'..='\u{036F}'
            | '\u{1AB0}'..='\u{1AFF}'
            | '\u{1DC0}'..='\u{1DFF}'
            | '\u{20D0}'..='\u{20FF}'
            | '\u{FE20}'..='\u{FE2F}'
    )
}

/// Letters with a stroke, ligatures and signs that Unicode does not take apart
/// and that keyboards of others don't have.
fn plain_form(character: char) -> Option<&'static str> {
    Some(match character {
        '‘' | '’' | '‚' | '‛' | '′' | 'ʼ' | '´' | '＇' => "'",
        '“' | '”' | '„' | '‟' | '″' => "\"",
        '‐'..='―' | '−' => "-",
        '〜' => "~",
        // Korean titles use ㆍ, · and ・ alike.
        '·' | 'ㆍ' | '・' | '･' | '•' | '‧' | '∙' | '⋅' => "·",
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'ħ' | 'Ħ' => "h",
        'ı' => "i",
        'ł' | 'Ł' => "l",
        'ŧ' | 'Ŧ' => "t",
        'þ' | 'Þ' => "th",
        'ς' => "σ",
        _ => return None,
    })
}

/// Runs of white space become one space, or none beside a script in which
/// spaces don't count.
fn collapse_spaces(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    let mut last = None;
    let mut gap = false;
    for character in text.chars() {
        if character == ' ' {
            gap = true;
            continue;
        }
        let counts = |neighbour: char| !is_spaced_freely(neighbour);
        if gap && last.is_some_and(counts) && counts(character) {
            collapsed.push(' ');
        }
        gap = false;
        collapsed.push(character);
        last = Some(character);
    }
    collapsed
}

/// Hangul, Hanja and Kana: scripts whose readers put spaces here or there.
fn is_spaced_freely(character: char) -> bool {
    matches!(
        u32::from(character),
        // Hangul: jamo, compatibility jamo, extended jamo, syllables.
        0x1100..=0x11FF | 0x3131..=0x318E | 0xA960..=0xA97F | 0xAC00..=0xD7FF
        // Hanja: radicals, numerals and iteration mark, ideographs.
        | 0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3400..=0x4DBF | 0x4E00..=0x9FFF
        | 0xF900..=0xFAFF | 0x20000..=0x3FFFF
        // Kana.
        | 0x3041..=0x30FF | 0x31F0..=0x31FF
    )
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;

    fn check(text: &str, expected: &Expect) {
        let SearchKeys { text, initials } = SearchKeys::of(text);
        expected.assert_eq(&format!("{text} / {initials}"));
    }

    #[test]
    fn keys() {
        check("해리 포터와 마법사의 돌", &expect!["해리포터와마법사의돌 / ㅎㄹㅍㅌㅇㅁㅂㅅㅇㄷ"]);
        check("까치의 꿈", &expect!["까치의꿈 / ㄲㅊㅇㄲ"]);
        check("Les  Misérables\u{A0}II", &expect!["les miserables ii / lesmiserablesii"]);
        check("Ｈａｌｆ ﾜｲﾄﾞ", &expect!["halfワイド / halfワイド"]);
        check("Straße — ŁÓDŹ, Øre", &expect!["strasse - lodz, ore / strasselodzore"]);
        check("ΟΔΥΣΣΕΥΣ Ὀδύσσεια", &expect!["οδυσσευσ οδυσσεια / οδυσσευσοδυσσεια"]);
        check("İstanbul ılık", &expect!["istanbul ilik / istanbulilik"]);
        check("か\u{3099} は\u{309A}", &expect!["がぱ / がぱ"]);
        check("삼국지 1ㆍ2·3", &expect!["삼국지1·2·3 / ㅅㄱㅈ123"]);
        check("ㅋㅋ ㄳ", &expect!["ㅋㅋㄱㅅ / ㅋㅋㄱㅅ"]);
        check("a\u{200B}b\u{AD}c\0d", &expect!["abcd / abcd"]);
        check("ℌ ① ﬁn…", &expect!["h 1 fin... / h1fin"]);
        check("漢江 한강", &expect!["漢江한강 / 漢江ㅎㄱ"]);
        check("  \t\n ", &expect![" / "]);
    }

    #[test]
    fn lines_and_paragraphs() {
        assert_eq!(line("\u{FEFF}  The\r\n Iliad\t\u{0} I "), "The Iliad I");
        assert_eq!(line("\u{1112}\u{1161}\u{11ab}강"), "한강");
        assert_eq!(paragraphs(" one\r\n\r\ntwo\rthree\u{7} \n"), "one\n\ntwo\nthree");
    }

    #[test]
    fn every_character_folds_to_the_end_at_once_and_grows_within_the_bound() {
        // The planes that have characters; the others are empty.
        let characters = ('\0'..='\u{3FFFF}').chain('\u{E0000}'..='\u{E0FFF}');
        let mut longest = 0;
        for character in characters {
            let once = fold(&character.to_string());
            longest = longest.max(once.chars().count());
            assert_eq!(fold(&once), once, "U+{:04X}", u32::from(character));
        }
        assert_eq!(longest, SearchKeys::GROWTH_MAX);
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn the_spelling_of_characters_makes_no_difference(text in "[가-힣à-ÿ가ㄱ-ㅣ a-zか-ご]{0,20}") {
            let nfd: String = text.nfd().collect();
            prop_assert_eq!(SearchKeys::of(&nfd), SearchKeys::of(&text));
            prop_assert_eq!(SearchKeys::of(&text.to_uppercase()), SearchKeys::of(&text));
        }

        #[test]
        fn a_line_is_stable_and_has_no_control_characters(text in any::<String>()) {
            let once = line(&text);
            prop_assert!(!once.contains(char::is_control));
            prop_assert!(unicode_normalization::is_nfc(&once));
            prop_assert_eq!(line(&once), once);
        }

        #[test]
        fn paragraphs_are_stable(text in any::<String>()) {
            let once = paragraphs(&text);
            prop_assert!(!once.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
            prop_assert_eq!(paragraphs(&once), once);
        }
    }
}
