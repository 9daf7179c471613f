//! What is said of a book: whether it can be, and how it is brought into
//! bounds where nobody is there to correct it.

use endpaper_api::reading::{ChangeShelfBook, ShelveBook};
use endpaper_api::{FieldProblem, Patch, Text};

use crate::model::{
    AUTHOR_CHARS_MAX, BookFacts, COVER_URL_CHARS_MAX, DESCRIPTION_CHARS_MAX, Flaws,
    GENRE_CHARS_MAX, PAGES_MAX, PUB_DATE_CHARS_MAX, PUBLISHER_CHARS_MAX, TITLE_CHARS_MAX, bounded,
};

/// The facts of a book that is put on the shelf: what the reader gives, and,
/// for what the reader does not give, what the catalogue knows.
pub fn of_request(request: &ShelveBook, known: Option<&BookFacts>, flaws: &mut Flaws) -> BookFacts {
    let known = known.cloned().unwrap_or_default();
    let given = BookFacts {
        title: note_text("title", request.title.as_ref(), TITLE_CHARS_MAX, flaws)
            .unwrap_or_default(),
        author: note_text("author", request.author.as_ref(), AUTHOR_CHARS_MAX, flaws),
        publisher: note_text("publisher", request.publisher.as_ref(), PUBLISHER_CHARS_MAX, flaws),
        pub_date: request.pub_date.as_ref().and_then(|date| note_pub_date(date, flaws)),
        cover_url: request.cover_url.as_ref().and_then(|url| note_url(url, flaws)),
        description: note_text(
            "description",
            request.description.as_ref(),
            DESCRIPTION_CHARS_MAX,
            flaws,
        ),
        total_pages: request.total_pages.and_then(|pages| note_pages(pages, flaws)),
        main_genre: note_text("mainGenre", request.main_genre.as_ref(), GENRE_CHARS_MAX, flaws),
    };
    if given.title.is_empty() && known.title.is_empty() && !flaws.has("title") {
        flaws.add("title", FieldProblem::Required);
    }
    completed(given, known)
}

/// `facts`, and what they leave open from `known`.
#[must_use]
pub fn completed(facts: BookFacts, known: BookFacts) -> BookFacts {
    BookFacts {
        title: if facts.title.is_empty() { known.title } else { facts.title },
        author: facts.author.or(known.author),
        publisher: facts.publisher.or(known.publisher),
        pub_date: facts.pub_date.or(known.pub_date),
        cover_url: facts.cover_url.or(known.cover_url),
        description: facts.description.or(known.description),
        total_pages: facts.total_pages.or(known.total_pages),
        main_genre: facts.main_genre.or(known.main_genre),
    }
}

/// The facts of a book on the shelf after a change of what is given.
pub fn changed(old: &BookFacts, request: &ChangeShelfBook, flaws: &mut Flaws) -> BookFacts {
    let mut text = |field, patch, old: &Option<String>, max| {
        patched_text(field, patch, old.as_deref(), max, flaws)
    };
    let mut new = BookFacts {
        title: old.title.clone(),
        author: text("author", &request.author, &old.author, AUTHOR_CHARS_MAX),
        publisher: text("publisher", &request.publisher, &old.publisher, PUBLISHER_CHARS_MAX),
        pub_date: old.pub_date.clone(),
        cover_url: old.cover_url.clone(),
        description: text(
            "description",
            &request.description,
            &old.description,
            DESCRIPTION_CHARS_MAX,
        ),
        total_pages: old.total_pages,
        main_genre: text("mainGenre", &request.main_genre, &old.main_genre, GENRE_CHARS_MAX),
    };
    if let Some(title) = &request.title {
        let title = bounded(title, TITLE_CHARS_MAX).and_then(|title| {
            if title.is_empty() { Err(FieldProblem::Required) } else { Ok(one_line(title)) }
        });
        new.title = flaws.note("title", title).unwrap_or_default();
    }
    match &request.pub_date {
        Patch::Absent => {}
        Patch::Null => new.pub_date = None,
        Patch::Value(date) => new.pub_date = note_pub_date(date, flaws),
    }
    match &request.cover_url {
        Patch::Absent => {}
        Patch::Null => new.cover_url = None,
        Patch::Value(url) => new.cover_url = note_url(url, flaws),
    }
    match request.total_pages {
        Patch::Absent => {}
        Patch::Null => new.total_pages = None,
        Patch::Value(pages) => new.total_pages = note_pages(pages, flaws),
    }
    new
}

/// Facts from a source or a file, brought into bounds: texts that are too long
/// are cut, what can't be is left out. `None` where no title is left.
#[must_use]
pub fn fitted(facts: BookFacts) -> Option<BookFacts> {
    let text = |text: Option<String>, max| text.and_then(|text| cut(&text, max));
    Some(BookFacts {
        title: one_line(&cut(&facts.title, TITLE_CHARS_MAX)?),
        author: text(facts.author, AUTHOR_CHARS_MAX).map(|author| one_line(&author)),
        publisher: text(facts.publisher, PUBLISHER_CHARS_MAX).map(|name| one_line(&name)),
        pub_date: facts.pub_date.filter(|date| is_pub_date(date)),
        cover_url: facts.cover_url.filter(|url| is_url(url)),
        description: text(facts.description, DESCRIPTION_CHARS_MAX),
        total_pages: facts.total_pages.filter(|pages| (1..=PAGES_MAX).contains(pages)),
        main_genre: text(facts.main_genre, GENRE_CHARS_MAX).map(|genre| one_line(&genre)),
    })
}

/// Whether a text has at most `max` characters.
pub fn within(text: &str, max: u32) -> Result<(), FieldProblem> {
    if text.chars().count() > max as usize { Err(FieldProblem::TooLong { max }) } else { Ok(()) }
}

/// At most `max` characters of the text without the blanks around it and
/// without control characters; `None` where nothing is left.
fn cut(text: &str, max: u32) -> Option<String> {
    let clean = |c: &char| !c.is_control() || *c == '\n' || *c == '\t';
    let cut: String = text.trim().chars().filter(clean).take(max as usize).collect();
    let cut = cut.trim();
    (!cut.is_empty()).then(|| cut.to_owned())
}

/// Line ends and tabs as spaces, for texts that stand in one line.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

/// A text that may be left out; one of blanks is left out.
pub(super) fn note_text(
    field: &'static str,
    text: Option<&Text>,
    max: u32,
    flaws: &mut Flaws,
) -> Option<String> {
    let text = flaws.note(field, bounded(text?, max))?;
    (!text.is_empty()).then(|| in_lines(field, text))
}

pub(super) fn patched_text(
    field: &'static str,
    patch: &Patch<Text>,
    old: Option<&str>,
    max: u32,
    flaws: &mut Flaws,
) -> Option<String> {
    match patch {
        Patch::Absent => old.map(ToOwned::to_owned),
        Patch::Null => None,
        Patch::Value(text) => note_text(field, Some(text), max, flaws),
    }
}

fn in_lines(field: &str, text: &str) -> String {
    match field {
        "description" | "expectation" | "review" => text.to_owned(),
        _ => one_line(text),
    }
}

fn note_pages(pages: i64, flaws: &mut Flaws) -> Option<u32> {
    let checked = match u32::try_from(pages) {
        Ok(pages @ 1..=PAGES_MAX) => Ok(pages),
        _ => Err(FieldProblem::OutOfRange { min: 1, max: PAGES_MAX.into() }),
    };
    flaws.note("totalPages", checked)
}

fn note_pub_date(date: &Text, flaws: &mut Flaws) -> Option<String> {
    let date = date.trim();
    if date.is_empty() {
        return None;
    }
    let checked = if is_pub_date(date) { Ok(date.to_owned()) } else { Err(FieldProblem::NotADay) };
    flaws.note("pubDate", checked)
}

fn note_url(url: &Text, flaws: &mut Flaws) -> Option<String> {
    let url = url.trim();
    if url.is_empty() {
        return None;
    }
    let checked = match bounded(url, COVER_URL_CHARS_MAX) {
        Ok(url) if is_url(url) => Ok(url.to_owned()),
        Ok(_) => Err(FieldProblem::NotAUrl),
        Err(too_long) => Err(too_long),
    };
    flaws.note("coverUrl", checked)
}

fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let has_host =
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['));
    has_host
        && url.chars().count() <= COVER_URL_CHARS_MAX as usize
        && !url
            .contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>'))
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD` of a day that there is; the Odyssey's year
/// has a `-` in front.
fn is_pub_date(date: &str) -> bool {
    if date.len() > PUB_DATE_CHARS_MAX as usize {
        return false;
    }
    let (sign, date) = date.strip_prefix('-').map_or((1, date), |rest| (-1, rest));
    let parts: Vec<&str> = date.split('-').collect();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let shape = parts.iter().zip([4, 2, 2]).all(|(part, len)| part.len() == len && digits(part));
    if !shape || parts.len() > 3 {
        return false;
    }
    let number = |at: usize| parts.get(at).map_or(Ok(1), |part| part.parse::<i16>());
    let (Ok(year), Ok(month), Ok(day)) = (number(0), number(1), number(2)) else { return false };
    let (Ok(month), Ok(day)) = (month.try_into(), day.try_into()) else { return false };
    jiff::civil::Date::new(sign * year, month, day).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(title: &str) -> BookFacts {
        BookFacts { title: title.to_owned(), ..BookFacts::default() }
    }

    #[test]
    fn dates_of_publication() {
        for good in ["1945", "2003-06", "2003-06-21", "-0750", "-0750-01-01", "2024-02-29", "0001"]
        {
            assert!(is_pub_date(good), "{good}");
        }
        for bad in [
            "",
            "45",
            "20030621",
            "2003-13",
            "2003-02-30",
            "2003-6-1",
            "2003-",
            "2003-06-21-01",
            "June",
            "--750",
            "2023-02-29",
        ] {
            assert!(!is_pub_date(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_of_covers() {
        for good in ["https://image.example/cover/1.jpg", "http://[::1]/a"] {
            assert!(is_url(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "javascript:alert(1)",
            "//image.example/a",
            "https://a b",
            "ftp://a",
            "https://a\"onload=\"b",
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }

    #[test]
    fn every_flaw_is_named_and_the_catalogue_fills_what_is_open() {
        let request = ShelveBook {
            total_pages: Some(0),
            pub_date: Some(Text::new("2023-02-30").unwrap()),
            cover_url: Some(Text::new("nowhere").unwrap()),
            author: Some(Text::new(&"a".repeat(501)).unwrap()),
            ..ShelveBook::default()
        };
        let mut flaws = Flaws::default();
        of_request(&request, None, &mut flaws);
        let fields: Vec<&str> = flaws.into_vec().iter().map(|flaw| flaw.field).collect();
        assert_eq!(fields, ["author", "pubDate", "coverUrl", "totalPages", "title"]);

        let request = ShelveBook {
            author: Some(Text::new("  한강 ").unwrap()),
            publisher: Some(Text::new("  ").unwrap()),
            ..ShelveBook::default()
        };
        let known = BookFacts { publisher: Some("창비".to_owned()), ..facts("채식주의자") };
        let mut flaws = Flaws::default();
        let found = of_request(&request, Some(&known), &mut flaws);
        assert_eq!(flaws.into_vec(), []);
        assert_eq!(found.author.as_deref(), Some("한강"));
        assert_eq!(found.publisher.as_deref(), Some("창비"));
        assert_eq!(found.title, "채식주의자");
    }

    #[test]
    fn a_change_keeps_what_it_does_not_mention() {
        let old = BookFacts {
            author: Some("A".to_owned()),
            publisher: Some("P".to_owned()),
            total_pages: Some(10),
            ..facts("T")
        };
        let request = ChangeShelfBook {
            author: Patch::Null,
            title: Some(Text::new(" U\nV ").unwrap()),
            ..ChangeShelfBook::default()
        };
        let mut flaws = Flaws::default();
        let new = changed(&old, &request, &mut flaws);
        assert_eq!(flaws.into_vec(), []);
        assert_eq!(new, BookFacts { title: "U V".to_owned(), author: None, ..old.clone() });

        let request =
            ChangeShelfBook { title: Some(Text::new(" ").unwrap()), ..ChangeShelfBook::default() };
        let mut flaws = Flaws::default();
        changed(&old, &request, &mut flaws);
        assert_eq!(flaws.into_vec()[0].problem, FieldProblem::Required);
    }

    proptest! {
        #[test]
        fn what_is_fitted_is_within_bounds_and_stays_so(
            title in ".{0,700}", author in proptest::option::of(".{0,700}"),
            pub_date in proptest::option::of("[-0-9]{0,12}"), pages: Option<u32>,
            url in proptest::option::of("(https?://)?.{0,1100}"),
        ) {
            let found = BookFacts { author, pub_date, cover_url: url, total_pages: pages, ..facts(&title) };
            if let Some(fitted_once) = fitted(found) {
                prop_assert!((1..=500).contains(&fitted_once.title.chars().count()));
                prop_assert!(fitted_once.author.as_ref().is_none_or(|author| author.chars().count() <= 500));
                prop_assert!(fitted_once.total_pages.is_none_or(|pages| (1..=PAGES_MAX).contains(&pages)));
                prop_assert_eq!(fitted(fitted_once.clone()), Some(fitted_once));
            }
        }
    }
}
