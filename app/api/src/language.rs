//! The languages that Endpaper speaks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A language of messages and labels.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Language {
    /// Korean.
    Ko,
    /// English; also where nothing is known of the reader.
    #[default]
    En,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ko, Self::En];

    /// Its tag: `ko` or `en`.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
        }
    }

    /// The one that an `Accept-Language` header prefers (RFC 9110, section
    /// 12.5.4): the highest weight wins, and the earlier one among equals.
    /// A region says nothing more (`ko-KR` is Korean), `*` stands for the
    /// languages that are not named. `None` where the header accepts neither
    /// or can't be read; then any language is better than a refusal.
    #[must_use]
    pub fn from_accept_language(header: &str) -> Option<Self> {
        // A header has room for a few thousand ranges; what a reader means
        // stands among the first.
        const RANGES_MAX: usize = 32;
        let ranges: Vec<(&str, u16)> =
            header.split(',').take(RANGES_MAX).filter_map(range_and_weight).collect();
        let place_and_weight = |language: Self| {
            let named = ranges.iter().position(|(range, _)| range_is(range, language));
            let place = named.or_else(|| ranges.iter().position(|(range, _)| *range == "*"))?;
            Some((place, ranges[place].1))
        };
        Self::ALL
            .into_iter()
            .filter_map(|language| place_and_weight(language).map(|found| (language, found)))
            .filter(|(_, (_, weight))| *weight > 0)
            // Where `*` speaks for both, the default is meant.
            .min_by_key(|(language, (place, weight))| {
                (u16::MAX - weight, *place, *language != Self::default())
            })
            .map(|(language, _)| language)
    }
}

fn range_is(range: &str, language: Language) -> bool {
    let primary = range.split('-').next().unwrap_or(range);
    primary.eq_ignore_ascii_case(language.tag())
}

/// `ko;q=0.8` is `("ko", 800)`: weights have at most three decimals.
fn range_and_weight(item: &str) -> Option<(&str, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let weight = match parts.next() {
        None => 1_000,
        Some(parameter) => {
            let (name, value) = parameter.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("q") {
                return None;
            }
            thousandths(value.trim())?
        }
    };
    Some((range, weight))
}

fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// A text names neither `ko` nor `en`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLanguage;

impl FromStr for Language {
    type Err = UnknownLanguage;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|language| language.tag() == text).ok_or(UnknownLanguage)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn weights_decide_then_the_order() {
        let read = Language::from_accept_language;
        assert_eq!(read("ko"), Some(Language::Ko));
        assert_eq!(read("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7"), Some(Language::Ko));
        assert_eq!(read("en-US,en;q=0.9,ko;q=0.8"), Some(Language::En));
        assert_eq!(read("en;q=0.5, ko;q=0.501"), Some(Language::Ko));
        assert_eq!(read("KO , en"), Some(Language::Ko));
        assert_eq!(read("fr, de;q=0.5, ko;q=0.1"), Some(Language::Ko));
        assert_eq!(read("en;q=0, *"), Some(Language::Ko), "* is not for what is named");
        assert_eq!(read("*"), Some(Language::En));
        assert_eq!(read("fr"), None);
        assert_eq!(read("ko;q=0"), None);
        assert_eq!(read(""), None);
        assert_eq!(read("ko;q=2, en;q=0.1"), Some(Language::En), "a weight over 1 can't be read");
        assert_eq!(read("korean"), None);
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(header in ".{0,200}") {
            let _ = Language::from_accept_language(&header);
        }

        #[test]
        fn the_greater_weight_wins(ko in 0u16..=1000, en in 0u16..=1000) {
            let q = |weight: u16| format!("{}.{:03}", weight / 1000, weight % 1000);
            let header = format!("ko;q={}, en;q={}", q(ko), q(en));
            let expected = match (ko, en) {
                (0, 0) => None,
                _ if ko >= en => Some(Language::Ko),
                _ => Some(Language::En),
            };
            prop_assert_eq!(Language::from_accept_language(&header), expected);
        }
    }
}
