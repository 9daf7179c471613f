//! What a book is known by: an ISBN, or, where it has none, the id that a
//! source gave it.
//!
//! - [`Isbn13`] is an ISBN whose check digit holds, always in its form of 13
//!   digits without hyphens. An ISBN-10 is read and becomes the ISBN-13 that
//!   names the same book.
//! - [`SourceItemId`] is for a book without an ISBN, such as the Aladin item
//!   `K642734155`.
//! - [`BookKey`] is one or the other. It is what `/books/{isbn}` takes, what
//!   the shelf is unique by, and what the store keeps, in one column of at most
//!   [`BookKey::CHARS_MAX`] characters.
//!
//! The two kinds can't be mixed up: a text of digits and hyphens alone is an
//! ISBN or a mistake, and never a [`SourceItemId`], which has at least one
//! letter where an ISBN has none. So a mistyped ISBN is refused instead of
//! becoming a book of its own.
//!
//! ISO 2108:2017; the International ISBN Agency's *ISBN Users' Manual*, 7th
//! edition, section 4 (structure) and appendix 1 (check digits).

use std::fmt;
use std::str::FromStr;

/// An ISBN in its form of 13 digits, without hyphens, its check digit right.
///
/// ```
/// use endpaper_reading::isbn::Isbn13;
///
/// let isbn: Isbn13 = "0-14-044913-2".parse()?;
/// assert_eq!(isbn.as_str(), "9780140449136");
/// assert_eq!(isbn.to_isbn10().as_deref(), Some("0140449132"));
/// assert!("9780140449137".parse::<Isbn13>().is_err(), "the check digit is wrong");
/// # Ok::<(), endpaper_reading::isbn::NotAnIsbn>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isbn13([u8; 13]);

/// Why a text is no ISBN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnIsbn {
    /// It has another number of digits than 10 or 13.
    #[error("an ISBN has 10 or 13 digits, and this has {digits}")]
    Length {
        /// How many digits there are, an `X` at the end counted.
        digits: usize,
    },
    /// It has something other than digits, hyphens, spaces, and an `X` as the
    /// last digit of an ISBN-10.
    #[error("an ISBN has no {character:?} at this place")]
    Character {
        /// The first character that does not belong.
        character: char,
    },
    /// Thirteen digits that do not begin with 978 or 979, or begin with 979-0:
    /// an article number of something else, such as sheet music.
    #[error("an ISBN begins with 978 or with 979-1 to 979-9")]
    Prefix,
    /// The last digit does not follow from the others: one was mistyped.
    #[error("the check digit is wrong: one of the digits is mistyped")]
    CheckDigit,
}

/// The digits of a text in which an ISBN may be written, values 0 to 9, and 10
/// for an `X`.
struct Digits {
    values: [u8; 13],
    count: usize,
}

fn is_separator(character: char) -> bool {
    // Hyphen-minus, then the hyphens and dashes that word processors put in
    // its place.
    character.is_whitespace()
        || matches!(character, '-' | '\u{00AD}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FF0D}')
}

impl Digits {
    fn read(text: &str) -> Result<Self, NotAnIsbn> {
        let mut digits = Self { values: [0; 13], count: 0 };
        let mut x_seen = false;
        for character in text.chars().filter(|&character| !is_separator(character)) {
            let value = match character {
                // Nothing may follow the X.
                _ if x_seen => return Err(NotAnIsbn::Character { character }),
                '0'..='9' => character as u8 - b'0',
                'X' | 'x' if digits.count <= 9 => {
                    x_seen = true;
                    10
                }
                _ => return Err(NotAnIsbn::Character { character }),
            };
            if let Some(place) = digits.values.get_mut(digits.count) {
                *place = value;
            }
            digits.count += 1;
        }
        Ok(digits)
    }

    fn slice(&self) -> &[u8] {
        &self.values[..self.count.min(13)]
    }
}

/// The sum of ISBN-10: weights 10 to 1; right where it is divisible by 11.
fn isbn10_holds(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .zip((1..=10u32).rev())
        .map(|(&digit, weight)| u32::from(digit) * weight)
        .sum();
    sum.is_multiple_of(11)
}

/// The check digit of the first twelve: weights 1 and 3 in turn, modulo 10.
fn isbn13_check_digit(first_12: &[u8]) -> u8 {
    let sum: u32 = first_12
        .iter()
        .zip([1u32, 3].into_iter().cycle())
        .map(|(&digit, weight)| u32::from(digit) * weight)
        .sum();
    u8::try_from((10 - sum % 10) % 10).expect("below ten")
}

impl Isbn13 {
    /// As the store and the API spell it: 13 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII digits only")
    }

    /// The ISBN-10 of the same book; `None` for an ISBN that begins with 979,
    /// which has none.
    #[must_use]
    pub fn to_isbn10(self) -> Option<String> {
        let body = self.as_str().strip_prefix("978")?.get(..9)?;
        let sum: u32 = body
            .bytes()
            .zip((2..=10u32).rev())
            .map(|(digit, weight)| u32::from(digit - b'0') * weight)
            .sum();
        let check = match (11 - sum % 11) % 11 {
            10 => 'X',
            digit => char::from_digit(digit, 10)?,
        };
        Some(format!("{body}{check}"))
    }

    /// Reads an ISBN-10 whose leading zeros were lost because a spreadsheet
    /// took it for a number: `439023483` is `0439023483`.
    ///
    /// At least [`Isbn13::PADDED_DIGITS_MIN`] digits must be left. A whole
    /// ISBN-10 or ISBN-13 is read as [`str::parse`] reads it.
    pub fn from_padded(text: &str) -> Result<Self, NotAnIsbn> {
        let digits = Digits::read(text)?;
        if !(Self::PADDED_DIGITS_MIN..10).contains(&digits.count) {
            return text.parse();
        }
        let mut padded = [0; 10];
        padded[10 - digits.count..].copy_from_slice(digits.slice());
        Self::from_isbn10_digits(&padded)
    }

    /// The fewest digits that [`Isbn13::from_padded`] takes. With fewer, more
    /// than five zeros would have been lost, and no country's numbers begin
    /// with so many: it is some other number.
    pub const PADDED_DIGITS_MIN: usize = 5;

    /// Reads a spreadsheet cell: empty, or an ISBN, which may be dressed up as
    /// a formula (`="0140449132"`, the way to make a spreadsheet keep zeros)
    /// and may have lost its leading zeros.
    ///
    /// `Ok(None)` where the cell is empty, also as `=""`.
    pub fn from_cell(cell: &str) -> Result<Option<Self>, NotAnIsbn> {
        let bare = bare_cell(cell);
        if bare.is_empty() { Ok(None) } else { Self::from_padded(bare).map(Some) }
    }

    fn from_isbn10_digits(digits: &[u8]) -> Result<Self, NotAnIsbn> {
        if !isbn10_holds(digits) {
            return Err(NotAnIsbn::CheckDigit);
        }
        let mut values = [9, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        values[3..12].copy_from_slice(&digits[..9]);
        values[12] = isbn13_check_digit(&values[..12]);
        Ok(Self(values.map(|value| value + b'0')))
    }
}

/// What a cell holds, without the `="…"` around it.
pub(crate) fn bare_cell(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('=').unwrap_or(cell).trim().trim_matches('"').trim()
}

impl FromStr for Isbn13 {
    type Err = NotAnIsbn;

    /// Reads an ISBN-10 or an ISBN-13, with hyphens and spaces anywhere or
    /// nowhere.
    fn from_str(text: &str) -> Result<Self, NotAnIsbn> {
        let digits = Digits::read(text)?;
        match digits.count {
            10 => Self::from_isbn10_digits(digits.slice()),
            13 => {
                let values = digits.values;
                if values.contains(&10) {
                    return Err(NotAnIsbn::Character { character: 'X' });
                }
                let is_book = matches!(values, [9, 7, 8, ..] | [9, 7, 9, 1..=9, ..]);
                if !is_book {
                    return Err(NotAnIsbn::Prefix);
                }
                if isbn13_check_digit(&values[..12]) != values[12] {
                    return Err(NotAnIsbn::CheckDigit);
                }
                Ok(Self(values.map(|value| value + b'0')))
            }
            digits => Err(NotAnIsbn::Length { digits }),
        }
    }
}

impl fmt::Display for Isbn13 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Isbn13 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Isbn13({self})")
    }
}

/// The id that a source gave to a book without an ISBN, such as `K642734155`
/// (Aladin), `OL7353617M` (Open Library) or `goodreads:2767052`.
///
/// 1 to [`BookKey::CHARS_MAX`] ASCII letters, digits and `: . _ -`, the first
/// and the last a letter or digit, and at least one letter that an ISBN does
/// not have. Upper and lower case differ, as they do for the sources. It can
/// stand in the path of a URL as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceItemId(Box<str>);

/// A text is no id of a book without ISBN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the id of a book without ISBN has 1 to 32 letters, digits and `: . _ -`, at least one of them a letter"
)]
pub struct NotASourceItemId;

impl SourceItemId {
    /// As the source spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceItemId {
    type Err = NotASourceItemId;

    fn from_str(text: &str) -> Result<Self, NotASourceItemId> {
        let bytes = text.as_bytes();
        let ends_well = |end: Option<&u8>| end.is_some_and(u8::is_ascii_alphanumeric);
        let is_id = bytes.len() <= BookKey::CHARS_MAX
            && ends_well(bytes.first())
            && ends_well(bytes.last())
            && bytes.iter().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'_' | b'-')
            })
            && !resembles_isbn(text);
        if is_id { Ok(Self(text.into())) } else { Err(NotASourceItemId) }
    }
}

impl fmt::Display for SourceItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SourceItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceItemId({self})")
    }
}

/// Whether somebody who wrote this meant an ISBN, rightly or not: no letter in
/// it but an `X` at the end.
fn resembles_isbn(text: &str) -> bool {
    let body = text.strip_suffix(['X', 'x']).unwrap_or(text);
    !body.contains(|character: char| character.is_alphabetic())
}

/// What one book is known by everywhere: in `/books/{isbn}`, on the shelf, in
/// the store and in exports.
///
/// ```
/// use endpaper_reading::isbn::BookKey;
///
/// let hyphens: BookKey = "978-0-14-044913-6".parse()?;
/// let isbn10: BookKey = "0140449132".parse()?;
/// assert_eq!(hyphens, isbn10);
/// assert_eq!(hyphens.as_str(), "9780140449136");
///
/// let without_isbn: BookKey = "K642734155".parse()?;
/// assert_eq!(without_isbn.isbn13(), None);
///
/// assert!("9780140449137".parse::<BookKey>().is_err(), "a mistyped ISBN is no other book");
/// # Ok::<(), endpaper_reading::isbn::NotABookKey>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BookKey {
    /// The book has an ISBN.
    Isbn(Isbn13),
    /// The book has none, and this is what its source calls it.
    Foreign(SourceItemId),
}

/// Why a text names no book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotABookKey {
    /// It is written like an ISBN and is none.
    #[error(transparent)]
    Isbn(#[from] NotAnIsbn),
    /// It is not written like an ISBN, and is no id of a source either.
    #[error(transparent)]
    Foreign(#[from] NotASourceItemId),
}

impl BookKey {
    /// The most characters that a key has, all of them ASCII.
    pub const CHARS_MAX: usize = 32;

    /// As the store and the API spell it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Isbn(isbn) => isbn.as_str(),
            Self::Foreign(id) => id.as_str(),
        }
    }

    /// The ISBN, where the book has one.
    #[must_use]
    pub const fn isbn13(&self) -> Option<Isbn13> {
        match self {
            Self::Isbn(isbn) => Some(*isbn),
            Self::Foreign(_) => None,
        }
    }

    /// The key of a book of the Goodreads catalogue that has no ISBN.
    #[must_use]
    pub fn goodreads(book_id: u64) -> Self {
        let id = format!("goodreads:{book_id}");
        Self::Foreign(id.parse().expect("letters, a colon and at most 20 digits"))
    }
}

impl FromStr for BookKey {
    type Err = NotABookKey;

    fn from_str(text: &str) -> Result<Self, NotABookKey> {
        let text = text.trim();
        if resembles_isbn(text) {
            Ok(Self::Isbn(text.parse()?))
        } else {
            Ok(Self::Foreign(text.parse()?))
        }
    }
}

impl From<Isbn13> for BookKey {
    fn from(isbn: Isbn13) -> Self {
        Self::Isbn(isbn)
    }
}

impl fmt::Display for BookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn isbn(text: &str) -> Result<Isbn13, NotAnIsbn> {
        text.parse()
    }

    #[test]
    fn both_lengths_with_hyphens_and_spaces_of_any_kind() {
        for text in [
            "0140449132",
            "0-14-044913-2",
            " 978 0 14 044913 6 ",
            "978–0‑14–044913−6",
            "9780140449136",
        ] {
            assert_eq!(isbn(text).unwrap().as_str(), "9780140449136", "{text:?}");
        }
        assert_eq!(isbn("043942089X").unwrap(), isbn("0-439-42089-x").unwrap());
        assert_eq!(isbn("979-11-6254-140-1").unwrap().to_isbn10(), None, "979 has no ISBN-10");
    }

    #[test]
    fn why_a_text_is_no_isbn() {
        use NotAnIsbn::{Character, CheckDigit, Length, Prefix};
        for (text, why) in [
            ("", Length { digits: 0 }),
            ("978014044913", Length { digits: 12 }),
            ("97801404491366", Length { digits: 14 }),
            (&"1".repeat(300), Length { digits: 300 }),
            ("K642734155", Character { character: 'K' }),
            ("04394X0894", Character { character: '0' }),
            ("978043942089X", Character { character: 'X' }),
            ("０140449132", Character { character: '０' }),
            ("9780140449137", CheckDigit),
            ("0140449133", CheckDigit),
            ("8801234567893", Prefix),
            ("9790260000438", Prefix),
        ] {
            assert_eq!(isbn(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn zeros_that_a_spreadsheet_lost_come_back() {
        assert_eq!(Isbn13::from_padded("439023483").unwrap().as_str(), "9780439023481");
        assert_eq!(Isbn13::from_padded("61120081"), isbn("0061120081"));
        assert_eq!(Isbn13::from_padded("9780140449136"), isbn("9780140449136"));
        assert_eq!(Isbn13::from_padded("0"), Err(NotAnIsbn::Length { digits: 1 }));
        assert_eq!(Isbn13::from_padded("0000"), Err(NotAnIsbn::Length { digits: 4 }));
    }

    #[test]
    fn cells_are_empty_or_dressed_up() {
        for empty in ["", "  ", "=\"\"", "=", "\"\""] {
            assert_eq!(Isbn13::from_cell(empty), Ok(None), "{empty:?}");
        }
        for cell in
            ["=\"0140449132\"", "0140449132", "\"0140449132\"", "=\"9780140449136\"", "140449132"]
        {
            assert_eq!(
                Isbn13::from_cell(cell).unwrap().unwrap().as_str(),
                "9780140449136",
                "{cell:?}"
            );
        }
        assert!(Isbn13::from_cell("=HYPERLINK(1)").is_err());
    }

    #[test]
    fn keys_of_books_with_and_without_isbn() {
        for foreign in
            ["K642734155", "goodreads:2767052", "OL7353617M", "a", "own:0190163d8694739b", "12-b"]
        {
            let key: BookKey = foreign.parse().unwrap();
            assert_eq!((key.as_str(), key.isbn13()), (foreign, None));
        }
        for none in [
            "",
            " ",
            "12345",
            "978014044913X",
            "K 642",
            "a/b",
            "../etc",
            "-a",
            "a.",
            "책",
            "12-34:5",
            "a?b",
            "a%20b",
            "0123456789abcdef0123456789abcdef0",
        ] {
            assert!(none.parse::<BookKey>().is_err(), "{none:?}");
        }
        assert_eq!(BookKey::goodreads(u64::MAX).as_str().len(), 30);
        assert_eq!(
            "9780140449137".parse::<BookKey>(),
            Err(NotABookKey::Isbn(NotAnIsbn::CheckDigit)),
            "a mistyped ISBN says so"
        );
    }

    fn isbn10() -> impl Strategy<Value = String> {
        prop::collection::vec(0u32..10, 9).prop_map(|digits| {
            let sum: u32 = digits.iter().zip(1u32..).map(|(digit, weight)| digit * weight).sum();
            let mut text: String =
                digits.iter().map(|&digit| char::from_digit(digit, 10).unwrap()).collect();
            text.push(if sum % 11 == 10 { 'X' } else { char::from_digit(sum % 11, 10).unwrap() });
            text
        })
    }

    proptest! {
        #[test]
        fn an_isbn10_goes_to_13_and_back(isbn10 in isbn10()) {
            let thirteen = isbn(&isbn10).unwrap();
            prop_assert_eq!(thirteen.to_isbn10(), Some(isbn10.clone()));
            prop_assert_eq!(isbn(thirteen.as_str()).unwrap(), thirteen);
            let number = isbn10.trim_start_matches('0');
            if number.len() >= Isbn13::PADDED_DIGITS_MIN {
                prop_assert_eq!(Isbn13::from_padded(number).unwrap(), thirteen);
            }
        }

        #[test]
        fn one_wrong_digit_is_noticed(isbn10 in isbn10(), place in 0usize..13, other in 1u8..10) {
            let right = isbn(&isbn10).unwrap();
            let mut digits = right.0;
            digits[place] = b'0' + (digits[place] - b'0' + other) % 10;
            let wrong = String::from_utf8(digits.to_vec()).unwrap();
            prop_assert!(isbn(&wrong).is_err(), "{}", wrong);
        }

        #[test]
        fn what_is_printed_is_read(text in "[0-9A-Za-z:._-]{1,32}") {
            if let Ok(key) = text.parse::<BookKey>() {
                prop_assert_eq!(key.to_string().parse::<BookKey>().unwrap(), key.clone());
                prop_assert!(key.as_str().len() <= BookKey::CHARS_MAX);
                prop_assert_eq!(key.isbn13().is_some(), matches!(key, BookKey::Isbn(_)));
            }
        }

        #[test]
        fn any_text_is_a_key_or_a_reason(text in any::<String>()) {
            let _ = text.parse::<BookKey>();
            let _ = Isbn13::from_cell(&text);
        }
    }
}
