//! The parts of Hangul: syllables, conjoining jamo and compatibility jamo.
//!
//! The Unicode Standard, chapter 3.12 (*Conjoining Jamo Behavior*): a syllable
//! is `0xAC00 + (initial · 21 + vowel) · 28 + final`.

const SYLLABLE_FIRST: u32 = 0xAC00;
const SYLLABLE_LAST: u32 = 0xD7A3;
const SYLLABLES_PER_INITIAL: u32 = 21 * 28;

/// The 19 initial consonants as compatibility jamo, in the order of syllables.
const INITIALS: [char; 19] = [
    'ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ',
    'ㅌ', 'ㅍ', 'ㅎ',
];

/// The 27 final consonants, in the order of syllables, as what they are typed
/// with: a cluster such as ㄺ is ㄹ and ㄱ.
const FINALS: [&str; 27] = [
    "ㄱ", "ㄲ", "ㄱㅅ", "ㄴ", "ㄴㅈ", "ㄴㅎ", "ㄷ", "ㄹ", "ㄹㄱ", "ㄹㅁ", "ㄹㅂ", "ㄹㅅ", "ㄹㅌ",
    "ㄹㅍ", "ㄹㅎ", "ㅁ", "ㅂ", "ㅂㅅ", "ㅅ", "ㅆ", "ㅇ", "ㅈ", "ㅊ", "ㅋ", "ㅌ", "ㅍ", "ㅎ",
];

/// The initial consonant (초성) of a Hangul syllable, as a compatibility jamo;
/// `None` for any other character.
///
/// ```
/// use endpaper_reading::text::initial;
///
/// assert_eq!(initial('해'), Some('ㅎ'));
/// assert_eq!(initial('ㅎ'), None);
/// ```
#[must_use]
pub fn initial(character: char) -> Option<char> {
    let code = u32::from(character);
    if !(SYLLABLE_FIRST..=SYLLABLE_LAST).contains(&code) {
        return None;
    }
    let index = (code - SYLLABLE_FIRST) / SYLLABLES_PER_INITIAL;
    INITIALS.get(usize::try_from(index).ok()?).copied()
}

/// Whether this is a consonant as a keyboard types it alone.
pub(super) fn is_lone_consonant(character: char) -> bool {
    matches!(character, 'ㄱ'..='ㅎ')
}

/// A jamo that stands alone, in the one spelling that search keys have:
/// compatibility jamo, clusters of consonants taken apart. `None` for what is
/// no jamo of modern Korean.
///
/// Takes compatibility jamo (U+3131…), lone conjoining jamo (U+1100…, which is
/// what NFD has), and half-width jamo (U+FFA1…).
pub(super) fn lone_jamo(character: char) -> Option<Jamo> {
    let code = u32::from(character);
    let offset = |first: u32| usize::try_from(code - first).expect("a small difference");
    let jamo = match code {
        // Conjoining initials, vowels, finals.
        0x1100..=0x1112 => Jamo::One(INITIALS[offset(0x1100)]),
        0x1161..=0x1175 => Jamo::One(char::from_u32(0x314F + code - 0x1161)?),
        0x11A8..=0x11C2 => Jamo::Consonants(FINALS[offset(0x11A8)]),
        // Compatibility consonants; the clusters are those that are no initial.
        0x3131..=0x314E => compatibility_consonant(character),
        0x314F..=0x3163 => Jamo::One(character),
        // Half width: the same order as the compatibility jamo, with gaps
        // between the vowels.
        0xFFA1..=0xFFBE => compatibility_consonant(char::from_u32(0x3131 + code - 0xFFA1)?),
        0xFFC2..=0xFFC7 => Jamo::One(char::from_u32(0x314F + code - 0xFFC2)?),
        0xFFCA..=0xFFCF => Jamo::One(char::from_u32(0x3155 + code - 0xFFCA)?),
        0xFFD2..=0xFFD7 => Jamo::One(char::from_u32(0x315B + code - 0xFFD2)?),
        0xFFDA..=0xFFDC => Jamo::One(char::from_u32(0x3161 + code - 0xFFDA)?),
        _ => return None,
    };
    Some(jamo)
}

/// One jamo, or the consonants of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jamo {
    One(char),
    Consonants(&'static str),
}

fn compatibility_consonant(character: char) -> Jamo {
    let cluster = match character {
        'ㄳ' => "ㄱㅅ",
        'ㄵ' => "ㄴㅈ",
        'ㄶ' => "ㄴㅎ",
        'ㄺ' => "ㄹㄱ",
        'ㄻ' => "ㄹㅁ",
        'ㄼ' => "ㄹㅂ",
        'ㄽ' => "ㄹㅅ",
        'ㄾ' => "ㄹㅌ",
        'ㄿ' => "ㄹㅍ",
        'ㅀ' => "ㄹㅎ",
        'ㅄ' => "ㅂㅅ",
        other => return Jamo::One(other),
    };
    Jamo::Consonants(cluster)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;

    #[test]
    fn every_syllable_has_the_initial_that_unicode_takes_it_apart_into() {
        for syllable in '가'..='힣' {
            let first = std::iter::once(syllable).nfd().next().unwrap();
            assert_eq!(Some(Jamo::One(initial(syllable).unwrap())), lone_jamo(first));
        }
    }

    #[test]
    fn every_spelling_of_a_jamo_is_one() {
        // Unicode's own compatibility mapping leads from half width to
        // compatibility jamo to conjoining jamo: all three must agree.
        for code in (0x3131..=0x3163).chain(0xFFA1..=0xFFDC) {
            let Some(character) = char::from_u32(code) else { continue };
            let conjoining: Vec<char> = std::iter::once(character).nfkd().collect();
            if conjoining == [character] {
                continue;
            }
            let [conjoining] = conjoining[..] else { panic!("{character:?} is several") };
            if conjoining == '\u{1160}' {
                assert_eq!(lone_jamo(character), None, "the filler is no jamo");
                continue;
            }
            // Unicode maps a cluster to a final, or to an archaic initial.
            match (lone_jamo(character), lone_jamo(conjoining)) {
                (here, Some(there)) => assert_eq!(here, Some(there), "{character:?}"),
                (Some(Jamo::Consonants(_)), None) => {}
                (here, None) => panic!("{character:?} is {here:?}"),
            }
        }
    }

    #[test]
    fn others_have_no_parts() {
        for character in ['a', '漢', 'か', '가', '\u{D7A4}', '\u{ABFF}'] {
            assert_eq!(lone_jamo(character), None);
        }
        for character in ['ㅎ', 'a', '\u{ABFF}', '\u{D7A4}'] {
            assert_eq!(initial(character), None);
        }
    }
}
