//! Books and memos, as devices hold them.

use std::cmp::Ordering;

use endpaper_api::reading::Category;
use endpaper_api::sync::{MEMOS, SHELF};
use endpaper_reading::model::Tag;
use endpaper_reading::rules::flow::InFlow;
use endpaper_reading::rules::progress::{category_of, percent};
use endpaper_reading::text::{SearchKeys, SearchQuery};
use stdx::UnixMicros;
use sync::model::{Fields, RecordId, RecordKey, Table, Value};
use sync::queue::RecordState;
use sync_web::device::Shown;

/// The key of a record of a table.
#[must_use]
pub fn key(table: &Table, id: RecordId) -> RecordKey {
    RecordKey { table: table.name.into(), id }
}

/// A memo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memo {
    /// Which.
    pub id: RecordId,
    /// The book on the shelf.
    pub book: String,
    /// Where in it.
    pub page: i64,
    /// The text.
    pub content: String,
    /// From the catalogue of tags.
    pub tags: Vec<Tag>,
    /// When it was begun.
    pub started: UnixMicros,
    /// How it stands.
    pub state: RecordState,
}

impl Memo {
    /// Of a record; what is missing or of another kind is empty.
    #[must_use]
    pub fn of(shown: Shown) -> Self {
        let Shown { id, fields, state } = shown;
        let codes = match fields.get("tags") {
            Some(Value::Texts(codes)) => &codes[..],
            _ => &[],
        };
        Self {
            id,
            book: text(&fields, "userBookId"),
            page: int(&fields, "pageNumber").unwrap_or(1),
            content: text(&fields, "content"),
            tags: codes.iter().filter_map(|code| Tag::of_code(code).ok()).collect(),
            started: UnixMicros(int(&fields, "memoStartTime").unwrap_or(0)),
            state,
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        key(&MEMOS, self.id)
    }

    /// Another one where anything that is shown of it is other.
    #[must_use]
    pub fn fingerprint(self) -> (RecordId, RecordState, i64, String, Vec<Tag>) {
        (self.id, self.state, self.page, self.content, self.tags)
    }

    /// What it holds.
    #[must_use]
    pub fn fields(&self) -> Fields {
        Fields::from([
            ("userBookId", Value::from(&*self.book)),
            ("pageNumber", Value::Int(self.page)),
            ("content", Value::from(&*self.content)),
            ("tags", Value::Texts(self.tags.iter().map(|tag| tag.code().into()).collect())),
            ("tagCategory", Value::Null),
            ("memoStartTime", Value::Int(self.started.0)),
        ])
    }
}

impl InFlow for Memo {
    type Book = String;

    fn started_at(&self) -> UnixMicros {
        self.started
    }

    fn book(&self) -> String {
        self.book.clone()
    }

    fn tags(&self) -> &[Tag] {
        &self.tags
    }
}

/// A book of the shelf.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Book {
    /// Which.
    pub id: RecordId,
    /// Its title.
    pub title: String,
    /// Who wrote it; empty where that is not known.
    pub author: String,
    /// Who published it; empty where that is not known.
    pub publisher: String,
    /// Its genre; empty where that is not known.
    pub genre: String,
    /// What it is about.
    pub description: String,
    /// Where a picture of its cover is; empty where there is none.
    pub cover: String,
    /// What it is known by outside.
    pub isbn: String,
    /// How many pages it has.
    pub pages: Option<u32>,
    /// The last page that was read.
    pub progress: u32,
    /// Where it stands.
    pub category: Category,
    /// 1 to 5.
    pub rating: Option<i64>,
    /// What the reader says of it.
    pub review: String,
    /// The day on which it was begun, as `2026-11-23`; empty where it was not.
    pub started_on: String,
    /// The day on which it was finished; empty where it was not.
    pub finished_on: String,
    /// How the record stands.
    pub state: RecordState,
}

impl Book {
    /// Of a record; what is missing or of another kind is empty.
    #[must_use]
    pub fn of(shown: Shown) -> Self {
        let Shown { id, fields, state } = shown;
        let number = |name: &str| int(&fields, name).and_then(|number| u32::try_from(number).ok());
        let category = text(&fields, "category");
        let category = Category::ALL.into_iter().find(|one| one.name() == category);
        let category = category.unwrap_or(Category::ToRead);
        let (pages, progress) = (number("totalPages"), number("readingProgress").unwrap_or(0));
        let is_by_hand = fields.get("categoryByHand") == Some(&Value::Bool(true));
        let started_on = text(&fields, "readingStartDate");
        Self {
            id,
            title: text(&fields, "title"),
            author: text(&fields, "author"),
            publisher: text(&fields, "publisher"),
            genre: text(&fields, "mainGenre"),
            description: text(&fields, "description"),
            cover: text(&fields, "coverUrl"),
            isbn: text(&fields, "isbn"),
            pages,
            progress,
            // Where it follows the progress, also before the server has said so.
            category: if is_by_hand {
                category
            } else {
                category.max(category_of(progress, pages, !started_on.is_empty()))
            },
            rating: int(&fields, "rating"),
            review: text(&fields, "review"),
            started_on,
            finished_on: text(&fields, "readingFinishedDate"),
            state,
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        key(&SHELF, self.id)
    }

    /// How far the reader is, in percent.
    #[must_use]
    pub fn percent(&self) -> Option<u32> {
        percent(self.progress, self.pages)
    }

    /// Whether it is among what a reader looks for: by title, author or publisher, and by
    /// initial consonants.
    #[must_use]
    pub fn matches(&self, query: &SearchQuery) -> bool {
        [&self.title, &self.author, &self.publisher]
            .into_iter()
            .any(|text| query.matches(&SearchKeys::of(text).text))
    }
}

/// The order of titles and names, Korean and Latin.
pub fn collator() -> impl Fn(&str, &str) -> Ordering {
    let locales = js_sys::Array::of2(&"ko".into(), &"en".into());
    let options = js_sys::Object::new();
    let _ = js_sys::Reflect::set(&options, &"numeric".into(), &true.into());
    let compare = js_sys::Intl::Collator::new(&locales, &options).compare();
    move |one, other| {
        let order = compare.call2(&wasm_bindgen::JsValue::NULL, &one.into(), &other.into());
        let order = order.ok().and_then(|order| order.as_f64()).unwrap_or(0.0);
        order.partial_cmp(&0.0).unwrap_or(Ordering::Equal)
    }
}

fn text(fields: &Fields, name: &str) -> String {
    fields.get(name).and_then(Value::text).unwrap_or_default().to_owned()
}

fn int(fields: &Fields, name: &str) -> Option<i64> {
    match fields.get(name) {
        Some(Value::Int(int)) => Some(*int),
        _ => None,
    }
}
