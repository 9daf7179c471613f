//! What a book is known by where a reader says so.

use endpaper_api::FieldProblem;
use sha2::{Digest as _, Sha256};
use stdx::ids::Id as _;

use crate::isbn::BookKey;
use crate::model::{ReaderId, UserBookId};
use crate::text::SearchKeys;

/// Begins the keys of books that have neither an ISBN nor a source.
const OWN_PREFIX: &str = "own:";

/// The key that stands for what a reader entered as ISBN: an ISBN, or the id
/// that a source of ours gave to a book without one. Any other text is a
/// mistake, and not a book of its own.
pub fn of_input(text: &str) -> Result<BookKey, FieldProblem> {
    let key: BookKey = text.parse().map_err(|_| FieldProblem::NotAnIsbn)?;
    match &key {
        BookKey::Isbn(_) => Ok(key),
        BookKey::Foreign(id) if is_of_a_source(id.as_str()) => Ok(key),
        BookKey::Foreign(_) => Err(FieldProblem::NotAnIsbn),
    }
}

fn is_of_a_source(id: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let aladin = |id: &str| {
        id.strip_prefix('K').is_some_and(|rest| rest.len() == 9 && digits(rest))
            || id.strip_prefix("aladin:").is_some_and(digits)
    };
    let open_library = |id: &str| {
        let number = id.strip_prefix("OL").and_then(|rest| rest.strip_suffix(['M', 'W']));
        number.is_some_and(digits)
    };
    let goodreads = |id: &str| id.strip_prefix("goodreads:").is_some_and(digits);
    let own = |id: &str| {
        id.strip_prefix(OWN_PREFIX).is_some_and(|rest| {
            rest.len() == 28 && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    aladin(id) || open_library(id) || goodreads(id) || own(id)
}

/// The key of a book that has neither an ISBN nor a source: the same title by
/// the same author is the same book, however it is spaced or capitalised.
#[must_use]
pub fn own(title: &str, author: Option<&str>) -> BookKey {
    let mut hash = Sha256::new();
    hash.update(SearchKeys::of(title).text);
    hash.update([0]);
    hash.update(SearchKeys::of(author.unwrap_or_default()).text);
    let hash: [u8; 32] = hash.finalize().into();
    // 112 bits, so that the whole key fits.
    let number = hash[..14].iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{OWN_PREFIX}{number:028x}").parse().expect("a prefix and 28 hexadecimal digits")
}

/// The id of a book on a reader's shelf, where it has an ISBN or is of a source: two
/// devices that put it there without a network put one book there. `None` where it is
/// known by its title alone, which may change.
///
/// A UUIDv8 of the SHA-256 of both (RFC 9562, section 5.8 and appendix B.2). It was
/// given to the book when it was put on the shelf; a corrected ISBN leaves it as it is.
#[must_use]
pub fn shelf_id(reader: ReaderId, key: &BookKey) -> Option<UserBookId> {
    if key.as_str().starts_with(OWN_PREFIX) {
        return None;
    }
    let mut hash = Sha256::new();
    hash.update(reader.uuid());
    hash.update(key.as_str());
    let hash: [u8; 32] = hash.finalize().into();
    let first = std::array::from_fn(|at| hash[at]);
    Some(UserBookId::from_uuid(uuid::Builder::from_custom_bytes(first).into_uuid()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_book_with_an_isbn_has_one_id_on_each_shelf() {
        let reader = |number| ReaderId::from_uuid(uuid::Uuid::from_u128(number));
        let id = |number, isbn| shelf_id(reader(number), &of_input(isbn).unwrap());
        let known = "0538d103-e23b-82a3-8d62-f607912b7a8e";
        assert_eq!(id(1, "978-0-14-044913-6").unwrap().to_string(), known, "devices keep it");
        assert_eq!(id(1, "0140449132"), id(1, "9780140449136"));
        assert_ne!(id(1, "9780140449136"), id(2, "9780140449136"));
        assert_ne!(id(1, "9780140449136"), id(1, "K642734155"));
        assert_eq!(shelf_id(reader(1), &own("소년이 온다", None)), None);
    }

    #[test]
    fn what_names_a_book() {
        for (text, key) in [
            ("978-0-14-044913-6", "9780140449136"),
            ("0140449132", "9780140449136"),
            (" 9788936434120 ", "9788936434120"),
            ("K642734155", "K642734155"),
            ("aladin:281256147", "aladin:281256147"),
            ("OL7353617M", "OL7353617M"),
            ("goodreads:2767052", "goodreads:2767052"),
        ] {
            assert_eq!(of_input(text).unwrap().as_str(), key);
        }
        for text in [
            "",
            "9780140449137",
            "978014044913",
            "hello",
            "K64273415",
            "978895460149O",
            "own:xyz",
            "goodreads:",
            "not-an-isbn",
            "한글",
            "OLM",
            "K64273415５",
        ] {
            assert_eq!(of_input(text), Err(FieldProblem::NotAnIsbn), "{text}");
        }
    }

    #[test]
    fn a_book_of_no_source_is_known_by_title_and_author() {
        let key = own("나의 책", Some("김 아무개"));
        assert_eq!(own("나의  책", Some("김아무개")), key);
        assert_ne!(own("나의 책", None), key);
        assert_ne!(own("너의 책", Some("김 아무개")), key);
        assert_eq!(of_input(key.as_str()).unwrap(), key);
    }

    proptest! {
        #[test]
        fn any_title_has_a_key_that_is_read_back(title in ".{0,60}", author in proptest::option::of(".{0,60}")) {
            let key = own(&title, author.as_deref());
            prop_assert_eq!(of_input(key.as_str()).unwrap(), key);
        }
    }
}
