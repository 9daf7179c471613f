//! What a reader typed, turned into what the store looks for.

use super::fold::{fold, squeeze};
use super::hangul::{initial, is_lone_consonant};

/// The most characters of a query, counted after folding.
pub const QUERY_CHARS_MAX: usize = 100;

/// Why a text is no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoQuery {
    /// Nothing is left of it: it was empty, or white space.
    #[error("there is nothing to look for")]
    Empty,
    /// It is longer than [`QUERY_CHARS_MAX`].
    #[error("a search takes at most {QUERY_CHARS_MAX} characters")]
    TooLong,
}

/// What to look for, and in which column: a row is wanted when the column of
/// [`SearchKeys`](super::SearchKeys) contains all of it (`instr(column, ?) > 0`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// Each of these in [`SearchKeys::text`](super::SearchKeys::text).
    Words(&'a [String]),
    /// In [`SearchKeys::initials`](super::SearchKeys::initials).
    Initials(&'a str),
}

/// A search for a part of a text. See the [module's page](super) for what
/// finds what.
///
/// Ask the store for [`SearchQuery::lookup`]. Where
/// [`SearchQuery::needs_check`] says so, the store finds too much, and
/// [`SearchQuery::matches`] tells which rows are meant.
///
/// ```
/// use endpaper_reading::text::{Lookup, SearchKeys, SearchQuery};
///
/// let keys = SearchKeys::of("해리 포터");
/// let by_initials = SearchQuery::parse("ㅎㄹㅍㅌ")?;
/// assert_eq!(by_initials.lookup(), Lookup::Initials("ㅎㄹㅍㅌ"));
/// assert!(by_initials.matches(&keys.text));
///
/// let mixed = SearchQuery::parse("해ㄹ포")?;
/// assert_eq!(mixed.lookup(), Lookup::Initials("ㅎㄹㅍ"));
/// assert!(mixed.needs_check() && mixed.matches(&keys.text));
/// assert!(!mixed.matches(&SearchKeys::of("하루 편지").text), "the same initials, other syllables");
/// # Ok::<(), endpaper_reading::text::NoQuery>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// At least one.
    Spelling(Vec<String>),
    Initials {
        pattern: Vec<char>,
        initials: String,
    },
}

impl SearchQuery {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Result<Self, NoQuery> {
        // A text that is far too long is not folded first.
        if text.len() > QUERY_BYTES_MAX {
            return Err(NoQuery::TooLong);
        }
        let folded = fold(text);
        match folded.chars().count() {
            0 => return Err(NoQuery::Empty),
            1..=QUERY_CHARS_MAX => {}
            _ => return Err(NoQuery::TooLong),
        }
        if !folded.contains(is_lone_consonant) {
            // Every word is wanted, in any order. Spaces between Korean words
            // are gone by now: those are one word.
            return Ok(Self(Kind::Spelling(folded.split(' ').map(str::to_owned).collect())));
        }
        let pattern: Vec<char> = squeeze(&folded).collect();
        let initials = pattern.iter().map(|&wanted| initial(wanted).unwrap_or(wanted)).collect();
        Ok(Self(Kind::Initials { pattern, initials }))
    }

    /// What the store is to look for. It finds every row that
    /// [`SearchQuery::matches`].
    #[must_use]
    pub fn lookup(&self) -> Lookup<'_> {
        match &self.0 {
            Kind::Spelling(words) => Lookup::Words(words),
            Kind::Initials { initials, .. } => Lookup::Initials(initials),
        }
    }

    /// Whether the lookup can find rows that are not meant, so that each has to
    /// be asked for by [`SearchQuery::matches`]: where whole syllables and lone
    /// consonants are mixed.
    #[must_use]
    pub fn needs_check(&self) -> bool {
        match &self.0 {
            Kind::Spelling(_) => false,
            Kind::Initials { pattern, .. } => {
                pattern.iter().any(|&wanted| initial(wanted).is_some())
            }
        }
    }

    /// Whether a row is meant. Takes its [`SearchKeys::text`], not the text
    /// itself.
    ///
    /// [`SearchKeys::text`]: super::SearchKeys::text
    #[must_use]
    pub fn matches(&self, search_text: &str) -> bool {
        match &self.0 {
            Kind::Spelling(words) => words.iter().all(|word| search_text.contains(word.as_str())),
            Kind::Initials { pattern, .. } => {
                let characters: Vec<char> = squeeze(search_text).collect();
                characters.windows(pattern.len()).any(|part| {
                    part.iter().zip(pattern).all(|(&character, &wanted)| {
                        character == wanted || initial(character) == Some(wanted)
                    })
                })
            }
        }
    }
}

/// The longest character has 4 bytes, and the widest spelling of a syllable, in
/// NFD, three characters of 3 bytes: nothing longer than this can fold into a
/// query that is short enough, but for texts of marks that are dropped.
const QUERY_BYTES_MAX: usize = QUERY_CHARS_MAX * 3 * 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;
    use crate::text::SearchKeys;

    /// Searches as the store and the service do together.
    fn finds(query: &str, title: &str) -> bool {
        let keys = SearchKeys::of(title);
        let query = SearchQuery::parse(query).unwrap();
        let looked_up = match query.lookup() {
            Lookup::Words(words) => words.iter().all(|word| keys.text.contains(word.as_str())),
            Lookup::Initials(part) => keys.initials.contains(part),
        };
        let matches = query.matches(&keys.text);
        assert!(looked_up || !matches, "the lookup must find all that match");
        assert!(query.needs_check() || looked_up == matches, "an exact lookup must be exact");
        matches
    }

    #[test]
    fn what_finds_what() {
        for (query, title) in [
            ("ㅎㄹㅍㅌ", "해리포터"),
            ("ㅎㄹㅍㅌ", "해리 포터와 마법사의 돌"),
            ("ㅎㄿㅌ", "해리 포터"),
            ("ㅎㄹ ㅍㅌ", "해리포터"),
            ("해ㄹ포", "해리 포터"),
            ("해리ㅍ", "해리 포터"),
            ("해리포터", "해리 포터"),
            ("해리 포터", "해리포터"),
            ("ㅎㄹㅍㅌㅂㅇㅈ", "해리 포터: 불의 잔"),
            ("ㅌㅈ 2", "토지 2권"),
            ("ㅌㅈ2ㄱ", "토지 2권"),
            ("ㅋㅋ", "ㅋㅋ 하고 웃는 날"),
            ("\u{1112}\u{1105}", "해리 포터"),
            ("\u{1112}\u{1162}\u{1105}\u{1175}", "해리 포터"),
            ("ﾾﾩﾽﾼ", "해리 포터"),
            ("les mis", "Les Misérables"),
            ("MISÉRABLES", "les miserables"),
            ("don't", "Don’t Look Back"),
            ("harry potter", "Harry\u{A0} Potter"),
            ("potter harry", "Harry Potter"),
            ("harry potter stone", "Harry Potter and the Sorcerer's Stone"),
            ("100", "1,100 and １００"),
        ] {
            assert!(finds(query, title), "{query:?} must find {title:?}");
        }
        for (query, title) in [
            ("ㅎㄹㅍㅌ", "하루 편"),
            ("해ㄹ포", "하루 포도"),
            ("ㄱㅊ", "까치"),
            ("therapist", "the rapist"),
            ("ㅋ", "가나다"),
            ("harry potter ring", "Harry Potter and the Sorcerer's Stone"),
            ("か", "が"),
        ] {
            assert!(!finds(query, title), "{query:?} must not find {title:?}");
        }
    }

    #[test]
    fn what_is_no_query() {
        for text in ["", "  ", "\u{200B}", "\n"] {
            assert_eq!(SearchQuery::parse(text), Err(NoQuery::Empty));
        }
        assert!(SearchQuery::parse(&"가".repeat(100)).is_ok());
        assert!(SearchQuery::parse(&"각".repeat(100).nfd().collect::<String>()).is_ok());
        assert_eq!(SearchQuery::parse(&"가".repeat(101)), Err(NoQuery::TooLong));
        assert_eq!(SearchQuery::parse(&"x".repeat(1 << 20)), Err(NoQuery::TooLong));
        assert_eq!(SearchQuery::parse(&"\u{FDFA}".repeat(10)), Err(NoQuery::TooLong));
    }

    /// Titles as there are, with spaces, punctuation, digits and jamo between.
    fn title() -> impl Strategy<Value = String> {
        "([가-힣]{1,4}|[A-Za-zÀ-ÿ]{1,6}|[0-9]{1,3}|[ㄱ-ㅎㅏ-ㅣ]{1,2}|[漢江か-ご]{1,2}|[ :,.!?'’“”(){}·ㆍ-]){1,12}"
            .prop_map(|title| title.nfc().collect())
    }

    fn part_of(title: &str, from: usize, length: usize) -> String {
        title.chars().skip(from).take(length.max(1)).collect()
    }

    proptest! {
        #[test]
        fn any_part_of_a_title_finds_it(title in title(), from in 0usize..40, length in 1usize..40) {
            let part = part_of(&title, from % title.chars().count(), length);
            let nfd: String = part.nfd().collect();
            if let Err(problem) = SearchQuery::parse(&part) {
                prop_assert_eq!(problem, NoQuery::Empty);
            } else {
                prop_assert!(finds(&part, &title), "{:?} in {:?}", part, title);
                prop_assert!(finds(&nfd, &title));
                prop_assert!(finds(&part, &title.nfd().collect::<String>()));
                prop_assert!(finds(&part.to_uppercase(), &title));
            }
        }

        #[test]
        fn the_initials_of_any_part_find_the_title(
            title in title(), from in 0usize..40, length in 1usize..40, whole in any::<u64>(),
        ) {
            let part = part_of(&title, from % title.chars().count(), length);
            // All initials, and then a mix: the bits of `whole` say which
            // syllables stay whole.
            for whole in [0, whole] {
                let typed: String = part
                    .chars()
                    .enumerate()
                    .map(|(place, character)| match initial(character) {
                        Some(initial) if whole >> (place % 64) & 1 == 0 => initial,
                        _ => character,
                    })
                    .collect();
                if SearchQuery::parse(&typed).is_ok() {
                    prop_assert!(finds(&typed, &title), "{:?} in {:?}", typed, title);
                }
            }
        }

        #[test]
        fn spaces_in_korean_make_no_difference(words in prop::collection::vec("[가-힣]{1,5}", 1..5)) {
            prop_assert!(finds(&words.join(" "), &words.concat()));
            prop_assert!(finds(&words.concat(), &words.join("  ")));
        }

        #[test]
        fn nothing_typed_breaks_it(typed in any::<String>(), title in any::<String>()) {
            if SearchQuery::parse(&typed).is_ok() {
                finds(&typed, &title);
            }
        }
    }
}
