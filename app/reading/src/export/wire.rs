//! The export as JSON.

use std::fmt;
use std::io::Write;

use endpaper_api::reading::{Category, PurchaseType, TagCategory};
use endpaper_api::{Day, Instant, Language};
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::isbn::BookKey;

/// All of a reader's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// When it was exported.
    pub exported_at: Instant,
    /// The shelf.
    pub books: Vec<ExportBook>,
    /// The memos.
    pub memos: Vec<ExportMemo>,
    /// What the codes of tags mean that the memos use.
    pub tags: Vec<ExportTag>,
}

/// A book on the shelf, with everything that the reader said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportBook {
    /// Its id on the shelf.
    pub user_book_id: Uuid,
    /// Its ISBN, or the id of a book without one.
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub isbn: BookKey,
    /// The title.
    #[serde(deserialize_with = "text")]
    pub title: String,
    /// The authors.
    #[serde(deserialize_with = "optional_text")]
    pub author: Option<String>,
    /// The publisher.
    #[serde(deserialize_with = "optional_text")]
    pub publisher: Option<String>,
    /// When it was published.
    #[serde(deserialize_with = "optional_text")]
    pub pub_date: Option<String>,
    /// Where a picture of the cover is.
    #[serde(deserialize_with = "optional_text")]
    pub cover_url: Option<String>,
    /// What it is about.
    #[serde(deserialize_with = "optional_text")]
    pub description: Option<String>,
    /// How many pages it has.
    pub total_pages: Option<u32>,
    /// Its genre.
    #[serde(deserialize_with = "optional_text")]
    pub main_genre: Option<String>,
    /// Where it stands.
    pub category: Category,
    /// Whether the reader chose that.
    pub category_by_hand: bool,
    /// What the reader expects of it.
    #[serde(deserialize_with = "optional_text")]
    pub expectation: Option<String>,
    /// When reading began.
    pub reading_start_date: Option<Day>,
    /// The last page read; 0 where none is.
    pub reading_progress: u32,
    /// How the reader came by it.
    pub purchase_type: Option<PurchaseType>,
    /// When it was read to the end.
    pub reading_finished_date: Option<Day>,
    /// The reader's stars.
    pub rating: Option<u8>,
    /// What the reader says of it.
    #[serde(deserialize_with = "optional_text")]
    pub review: Option<String>,
    /// When it was put on the shelf.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
}

/// A memo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportMemo {
    /// Its id.
    pub memo_id: Uuid,
    /// The book's id on the shelf.
    pub user_book_id: Uuid,
    /// The book's ISBN, or the id of a book without one: what finds the book
    /// where its id is another.
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub isbn: BookKey,
    /// The book's title, for those who read the file.
    #[serde(deserialize_with = "text")]
    pub book_title: String,
    /// The page.
    pub page_number: u32,
    /// What it says.
    #[serde(deserialize_with = "text")]
    pub content: String,
    /// The codes of its tags: letters, digits, `_` and `-`.
    pub tags: Vec<String>,
    /// The kind of tags that the reader chose.
    pub tag_category: Option<TagCategory>,
    /// When the reader began to write it.
    pub memo_start_time: Instant,
    /// When it was stored.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
}

/// What a tag's code means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportTag {
    /// What names it in memos.
    #[serde(deserialize_with = "text")]
    pub code: String,
    /// Its kind.
    pub category: TagCategory,
    /// What people read in Korean.
    #[serde(deserialize_with = "text")]
    pub label_ko: String,
    /// What people read in English.
    #[serde(deserialize_with = "text")]
    pub label_en: String,
}

/// What an export's file says it is.
const FORMAT: &str = "endpaper-export";

/// Grows with every change of what is written.
const VERSION: u64 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    format: &'static str,
    version: u64,
    exported_at: Instant,
    books: &'a [ExportBook],
    memos: &'a [ExportMemo],
    tags: &'a [ExportTag],
}

/// Writes an export as one JSON document.
pub fn write_json(export: &Export, to: impl Write) -> std::io::Result<()> {
    let document = Document {
        format: FORMAT,
        version: VERSION,
        exported_at: export.exported_at,
        books: &export.books,
        memos: &export.memos,
        tags: &export.tags,
    };
    serde_json::to_writer(to, &document).map_err(std::io::Error::from)
}

/// Why a document is not read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportUnreadable {
    /// It is no JSON, or was cut.
    #[error("it is no whole JSON document: {0}")]
    Json(String),
    /// It is JSON, and no export.
    #[error("it is no export: `format` is not {FORMAT:?}")]
    Format,
    /// A later version of the program wrote it.
    #[error("it is an export of version {found}, and this program reads up to version {VERSION}")]
    Version {
        /// The version that the document says.
        found: String,
    },
    /// It has more entries than are read.
    #[error("it has more than {ENTRIES_MAX} entries")]
    TooMany,
    /// It is an export that lacks something.
    #[error("`{member}` is missing, or is not what it should be")]
    Member {
        /// What it lacks.
        member: &'static str,
    },
}

/// An export as it was read: what could be read, and what could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadExport {
    /// What could be read.
    pub export: Export,
    /// What could not.
    pub bad: Vec<BadItem>,
}

/// A book, a memo or a tag that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{list}[{index}]: {reason}")]
pub struct BadItem {
    /// Of which list: `books`, `memos` or `tags`.
    pub list: &'static str,
    /// Its place in the list; the first is 0.
    pub index: usize,
    /// Why.
    pub reason: String,
}

/// The most entries of a file, of all its lists together. What one request
/// may send has less than half of that, if they are whole.
pub const ENTRIES_MAX: usize = 100_000;

/// The most characters of [`BadItem::reason`].
const REASON_CHARS_MAX: usize = 300;

/// The members of a document, as they stand in it: nothing is built of them
/// before the format is known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    exported_at: Option<&'a RawValue>,
    #[serde(borrow)]
    books: Option<&'a RawValue>,
    #[serde(borrow)]
    memos: Option<&'a RawValue>,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    fn of(document: &'a [u8]) -> Result<Self, ExportUnreadable> {
        serde_json::from_slice(document).map_err(|error| ExportUnreadable::Json(error.to_string()))
    }
}

/// Reads an export. One bad memo is reported, and does not spoil the others.
///
/// The memory that it takes is that of the entries which it gives: whatever
/// else the document has is passed over as it stands.
pub fn read_json(bytes: &[u8]) -> Result<ReadExport, ExportUnreadable> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut document = Members::of(object(bytes).ok_or(ExportUnreadable::Format)?)?;
    // As the API answers with it: in the envelope of all answers.
    if document.format.is_none()
        && let Some(data) = document.data.and_then(|data| object(data.get().as_bytes()))
    {
        document = Members::of(data)?;
    }
    if document.format.and_then(value::<String>).as_deref() != Some(FORMAT) {
        return Err(ExportUnreadable::Format);
    }
    match document.version {
        Some(version) if value(version) == Some(VERSION) => {}
        Some(version) => {
            let found = version.get().chars().take(40).collect();
            return Err(ExportUnreadable::Version { found });
        }
        None => return Err(ExportUnreadable::Member { member: "version" }),
    }
    let exported_at = document
        .exported_at
        .and_then(value)
        .ok_or(ExportUnreadable::Member { member: "exportedAt" })?;
    let mut bad = Vec::new();
    let mut room = ENTRIES_MAX;
    let export = Export {
        exported_at,
        books: items(document.books, "books", &mut room, &mut bad)?,
        memos: items(document.memos, "memos", &mut room, &mut bad)?,
        tags: items(document.tags, "tags", &mut room, &mut bad)?,
    };
    Ok(ReadExport { export, bad })
}

/// Serde would read a struct from an array too, by position.
fn object(json: &[u8]) -> Option<&[u8]> {
    json.trim_ascii_start().starts_with(b"{").then_some(json)
}

fn value<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

fn items<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    list: &'static str,
    room: &mut usize,
    bad: &mut Vec<BadItem>,
) -> Result<Vec<T>, ExportUnreadable> {
    let raw = raw.ok_or(ExportUnreadable::Member { member: list })?;
    let mut items = Items { list, room, bad, is_over: false, read: Vec::new() };
    let is_list = serde_json::Deserializer::from_str(raw.get()).deserialize_seq(&mut items).is_ok();
    if items.is_over {
        return Err(ExportUnreadable::TooMany);
    }
    if is_list { Ok(items.read) } else { Err(ExportUnreadable::Member { member: list }) }
}

/// Reads a list entry by entry.
struct Items<'m, T> {
    list: &'static str,
    /// How many entries more there may be.
    room: &'m mut usize,
    bad: &'m mut Vec<BadItem>,
    is_over: bool,
    read: Vec<T>,
}

impl<'de, T: DeserializeOwned> Visitor<'de> for &mut Items<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(entry) = entries.next_element::<&'de RawValue>()? {
            let Some(room) = self.room.checked_sub(1) else {
                self.is_over = true;
                return Err(A::Error::custom("too many entries"));
            };
            *self.room = room;
            match serde_json::from_str(entry.get()) {
                Ok(item) => self.read.push(item),
                Err(error) => {
                    self.bad.push(BadItem { list: self.list, index, reason: reason(&error) });
                }
            }
            index += 1;
        }
        Ok(())
    }
}

/// What is wrong with an entry. Its place is left out: it would count from the
/// beginning of the entry and not of the file.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).chars().take(REASON_CHARS_MAX).collect()
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    endpaper_api::text::nfc(&text)
        .map_err(|problem| D::Error::custom(problem.message(Language::En)))
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let normal = text.as_deref().map(endpaper_api::text::nfc).transpose();
    normal.map_err(|problem| D::Error::custom(problem.message(Language::En)))
}

fn write_key<S: Serializer>(key: &BookKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.as_str())
}

fn read_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BookKey, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
