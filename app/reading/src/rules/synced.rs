//! Memos and books of the shelf as devices hold them, and back.

use endpaper_api::FieldProblem;
use endpaper_api::reading::{ChangeShelfBook, PurchaseType, ShelveBook, TagCategory};
use serde::de::DeserializeOwned;
use stdx::UnixMicros;
use sync::model::{Fields, Value};

use crate::model::{Content, Flaws, MemoDraft, Page, ShelfBook, Tags};

const WRONG_TYPE: FieldProblem = FieldProblem::WrongType { expected: None };

/// A memo, with the fields of [`endpaper_api::sync::MEMOS`].
#[must_use]
pub fn memo(draft: &MemoDraft) -> Fields {
    let tags = draft.tags.as_slice().iter().map(|tag| tag.code().into()).collect();
    let category = draft.tags.category().map(TagCategory::name);
    [
        ("userBookId", Value::from(draft.user_book_id.to_string())),
        ("pageNumber", Value::Int(draft.page.number().into())),
        ("content", draft.content.as_str().into()),
        ("tags", Value::Texts(tags)),
        ("tagCategory", category.map_or(Value::Null, Value::from)),
        ("memoStartTime", Value::Int(draft.started_at.0)),
    ]
    .into()
}

/// A book of the shelf, with the fields of [`endpaper_api::sync::SHELF`].
#[must_use]
pub fn shelf_book(book: &ShelfBook) -> Fields {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let int = |number: Option<u32>| number.map_or(Value::Null, |number| Value::Int(number.into()));
    let (facts, reading) = (&book.facts, &book.reading);
    [
        ("isbn", Value::from(book.book_key.as_str())),
        ("title", facts.title.as_str().into()),
        ("author", text(&facts.author)),
        ("publisher", text(&facts.publisher)),
        ("description", text(&facts.description)),
        ("coverUrl", text(&facts.cover_url)),
        ("totalPages", int(facts.total_pages)),
        ("mainGenre", text(&facts.main_genre)),
        ("pubDate", text(&facts.pub_date)),
        ("category", reading.category.name().into()),
        ("categoryByHand", reading.by_hand.into()),
        ("expectation", text(&reading.expectation)),
        ("readingStartDate", text(&reading.started_on.map(|day| day.to_string()))),
        ("readingProgress", int(Some(reading.progress))),
        (
            "purchaseType",
            reading.purchase_type.map(PurchaseType::name).map_or(Value::Null, Value::from),
        ),
        ("readingFinishedDate", text(&reading.finished_on.map(|day| day.to_string()))),
        ("rating", int(reading.rating.map(|rating| rating.stars().into()))),
        ("review", text(&reading.review)),
    ]
    .into()
}

/// The names of fields that are other than before.
#[must_use]
pub fn changed<'a>(before: &Fields, after: &'a Fields) -> Vec<&'a str> {
    let other = |(name, value): &(&str, &Value)| before.get(name) != Some(*value);
    after.iter().filter(other).map(|(name, _)| name).collect()
}

/// The memo that a device holds.
pub fn draft(fields: &Fields) -> Result<MemoDraft, Flaws> {
    let mut flaws = Flaws::default();
    let book = text(fields, "userBookId")
        .and_then(|book| book.ok_or(FieldProblem::Required))
        .and_then(|book| book.parse().map_err(|_| FieldProblem::NotAnId));
    let book = flaws.note("userBookId", book);
    let page = int(fields, "pageNumber").and_then(Page::new);
    let page = flaws.note("pageNumber", page);
    let content = text(fields, "content");
    let content = content.and_then(|text| Content::new(text.unwrap_or_default().to_owned()));
    let content = flaws.note("content", content);
    let codes: &[Box<str>] = match fields.get("tags") {
        Some(Value::Texts(codes)) => codes,
        None | Some(Value::Null) => &[],
        Some(_) => {
            flaws.add("tags", WRONG_TYPE);
            &[]
        }
    };
    let category = text(fields, "tagCategory").and_then(|name| {
        let of = |name: &str| TagCategory::ALL.into_iter().find(|one| one.name() == name);
        let allowed = || TagCategory::ALL.map(TagCategory::name).join(", ");
        name.map(|name| of(name).ok_or_else(|| FieldProblem::NotOneOf { allowed: allowed() }))
            .transpose()
    });
    let category = flaws.note("tagCategory", category).flatten();
    let tags = Tags::new(codes.iter().map(|code| &**code), category);
    let tags = flaws.note("tags", tags.map_err(|flaw| flaw.problem));
    let started_at = flaws.note("memoStartTime", int(fields, "memoStartTime"));
    match (book, page, content, tags, started_at, flaws.as_slice()) {
        (Some(user_book_id), Some(page), Some(content), Some(tags), Some(at), []) => {
            Ok(MemoDraft { user_book_id, page, content, tags, started_at: UnixMicros(at) })
        }
        _ => Err(flaws),
    }
}

/// A request to put a book on the shelf, of what a device holds.
pub fn shelve(fields: &Fields) -> Result<ShelveBook, Flaws> {
    request(fields)
}

/// A request to change a book of the shelf: what is other than before.
pub fn change(before: &Fields, after: &Fields) -> Result<ChangeShelfBook, Flaws> {
    let other = |(name, value): &(&str, &Value)| before.get(name) != Some(*value);
    let mut fields: Fields =
        after.iter().filter(other).map(|(name, value)| (name, value.clone())).collect();
    for (name, value) in before.iter() {
        if after.get(name).is_none() && *value != Value::Null {
            fields.set(name, Value::Null);
        }
    }
    request(&fields)
}

/// Of a request each field may be wrong in its form alone here.
fn request<T: DeserializeOwned>(fields: &Fields) -> Result<T, Flaws> {
    let mut fields = fields.clone();
    fields.remove("categoryByHand");
    let json = serde_json::to_value(&fields).expect("fields are JSON");
    serde_json::from_value(json).map_err(|_| {
        let mut flaws = Flaws::default();
        for (name, value) in fields.iter() {
            let one: Fields = [(name, value.clone())].into();
            let json = serde_json::to_value(&one).expect("a field is JSON");
            let known = endpaper_api::sync::SHELF.fields.iter().find(|(known, _)| *known == name);
            if let Some((known, _)) = known.filter(|_| serde_json::from_value::<T>(json).is_err()) {
                flaws.add(known, WRONG_TYPE);
            }
        }
        flaws
    })
}

fn text<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>, FieldProblem> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(WRONG_TYPE),
    }
}

fn int(fields: &Fields, name: &str) -> Result<i64, FieldProblem> {
    match fields.get(name) {
        Some(Value::Int(int)) => Ok(*int),
        None | Some(Value::Null) => Err(FieldProblem::Required),
        Some(_) => Err(WRONG_TYPE),
    }
}
