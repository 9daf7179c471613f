//! The record that a person means.

use sync::model::{RecordId, Value};
use sync_sqlite::device::Shown;

use crate::{Failure, Result};

/// The end of an id, as it is shown: what tells records apart that were made in one
/// moment.
const SHORT: usize = 8;

pub(crate) fn short(id: RecordId) -> String {
    let whole = id.to_string();
    whole[whole.len() - SHORT..].to_owned()
}

/// The one whose id is or ends so.
pub(crate) fn by_id<'a>(all: &'a [Shown], meant: &str, what: &str) -> Result<&'a Shown> {
    let meant = meant.trim().to_ascii_lowercase();
    let found: Vec<&Shown> = all
        .iter()
        .filter(|one| !meant.is_empty() && one.id.to_string().ends_with(&meant))
        .collect();
    one(&found, &meant, what, "an id that ends in")
}

/// The book whose id ends so, whose ISBN it is, or whose title has it.
pub(crate) fn book<'a>(shelf: &'a [Shown], meant: &str) -> Result<&'a Shown> {
    let meant = meant.trim();
    let digits = |text: &str| text.replace(['-', ' '], "").to_uppercase();
    let by = |is: &dyn Fn(&Shown) -> bool| -> Vec<&'a Shown> {
        shelf.iter().filter(|book| !meant.is_empty() && is(book)).collect()
    };
    let text = |book: &Shown, name| match book.fields.get(name) {
        Some(Value::Text(text)) => text.to_string(),
        _ => String::new(),
    };
    let isbn = digits(meant);
    let same = by(&|book| {
        !isbn.is_empty() && digits(&text(book, "isbn")) == isbn || text(book, "title") == meant
    });
    if let [one] = same[..] {
        return Ok(one);
    }
    let lower = meant.to_lowercase();
    let ends = by(&|book| book.id.to_string().ends_with(&lower));
    if let [one] = ends[..] {
        return Ok(one);
    }
    let part = by(&|book| text(book, "title").to_lowercase().contains(&lower));
    one(&part, meant, "book on the shelf", "a title with")
}

fn one<'a>(found: &[&'a Shown], meant: &str, what: &str, how: &str) -> Result<&'a Shown> {
    match found {
        [one] => Ok(one),
        [] => Err(Failure::new(format!("there is no {what} with {how} `{meant}`"))),
        several => {
            let ids: Vec<String> = several.iter().take(5).map(|one| one.id.to_string()).collect();
            Err(Failure::new(format!(
                "{} have {how} `{meant}`: say which: {}",
                several.len(),
                ids.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use sync::model::Fields;
    use sync::queue::RecordState;

    use super::*;

    fn book_of(id: &str, isbn: &str, title: &str) -> Shown {
        let fields = Fields::from([("isbn", Value::from(isbn)), ("title", title.into())]);
        Shown { id: id.parse().unwrap(), fields, state: RecordState::Saved }
    }

    #[test]
    fn a_book_is_found_by_what_a_person_has_at_hand() {
        let shelf = [
            book_of("0190163d-8694-739b-aea5-966c26f8ad91", "9788936434120", "소년이 온다"),
            book_of("0190163d-8694-739b-aea5-966c26f8ad92", "9788954651135", "흰"),
            book_of("0190163d-8694-739b-aea5-966c26f8ad93", "9788936433598", "흰 그늘"),
        ];
        let found = |meant: &str| book(&shelf, meant).map(|book| short(book.id));
        assert_eq!(found("978-89-364-3412-0").unwrap(), "26f8ad91");
        assert_eq!(found("소년").unwrap(), "26f8ad91");
        assert_eq!(found("흰").unwrap(), "26f8ad92", "the whole title counts more than a part");
        assert_eq!(found("26F8AD93").unwrap(), "26f8ad93");
        for (meant, why) in [("그런 책", "there is no book"), ("", "there is no book")] {
            let Err(Failure::Failed(said)) = found(meant) else { panic!("{meant} is a book") };
            assert!(said.contains(why), "{said}");
        }
        assert!(by_id(&shelf, "d9", "book").is_err());
        assert_eq!(by_id(&shelf, "92", "book").unwrap().id, shelf[1].id);
    }
}
