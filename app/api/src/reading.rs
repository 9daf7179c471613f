//! Wire types of reading: books, the shelf, memos, the flow of a day, tags,
//! import and export.
//!
//! Requests take numbers of 64 bits and ids as text, so that a value that can't
//! be is answered by an error that names its field, and not by one about JSON.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Day, Instant, Patch, Text};

/// Where a book stands with its reader. The order is the way of a book:
/// `ToRead < Reading < AlmostFinished < Finished`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Category {
    /// Not begun.
    ToRead,
    /// Begun.
    Reading,
    /// From 70 % on.
    AlmostFinished,
    /// Read to the end, or as far as the reader wanted.
    Finished,
}

impl Category {
    /// Every category, in the order of a book's way.
    pub const ALL: [Self; 4] = [Self::ToRead, Self::Reading, Self::AlmostFinished, Self::Finished];

    /// As it is written everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToRead => "ToRead",
            Self::Reading => "Reading",
            Self::AlmostFinished => "AlmostFinished",
            Self::Finished => "Finished",
        }
    }
}

/// How the reader came by the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PurchaseType {
    /// Bought.
    Bought,
    /// Borrowed, from a library or a friend.
    Borrowed,
    /// Read in a subscription.
    Subscription,
    /// Got as a gift.
    Gift,
}

impl PurchaseType {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Bought, Self::Borrowed, Self::Subscription, Self::Gift];

    /// As it is written everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bought => "Bought",
            Self::Borrowed => "Borrowed",
            Self::Subscription => "Subscription",
            Self::Gift => "Gift",
        }
    }
}

/// The two kinds of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum TagCategory {
    /// What a memo is: a quote, a question, a feeling.
    Type,
    /// What a memo is about: love, society, science.
    Topic,
}

impl TagCategory {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Type, Self::Topic];

    /// As it is written everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "TYPE",
            Self::Topic => "TOPIC",
        }
    }
}

/// What a search looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum QueryType {
    /// Titles.
    #[default]
    Title,
    /// Authors and translators.
    Author,
    /// Publishers.
    Publisher,
}

/// What the shelf is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum ShelfSort {
    /// By title.
    #[default]
    Title,
    /// By author, then title.
    Author,
    /// By publisher, then title.
    Publisher,
    /// By genre, then title.
    Genre,
}

/// How the memos of a day are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum FlowSort {
    /// By sitting: memos with less than half an hour between them.
    #[default]
    Session,
    /// By book.
    Book,
    /// By tag.
    Tag,
}

/// One book of the catalogue or of an external source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Book {
    /// What names the book in requests: its ISBN-13, or, where it has none,
    /// the id that its source gave it (`K642734155`).
    pub isbn: String,
    /// The ISBN-13, where the book has one.
    pub isbn13: Option<String>,
    /// The title.
    pub title: String,
    /// Authors and translators, as the source writes them.
    pub author: Option<String>,
    /// The publisher.
    pub publisher: Option<String>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub pub_date: Option<String>,
    /// Where a picture of the cover is. It is never fetched by the server.
    pub cover_url: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// How many pages it has.
    pub total_pages: Option<u32>,
    /// Its genre.
    pub main_genre: Option<String>,
}

/// One page of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct BookPage {
    /// How many books match: the catalogue's, and what the source that answered
    /// says it has. A book that both have counts twice.
    pub total_results: u64,
    /// The number of the first result, from 1.
    pub start_index: u32,
    /// The most books on a page.
    pub items_per_page: u32,
    /// The books: the catalogue's first. A page may be shorter than
    /// `itemsPerPage`: what the source has of the catalogue's books is left out.
    pub books: Vec<Book>,
    /// What was asked besides the catalogue, and whether it answered.
    pub sources: Vec<SourceReport>,
}

/// Whether an external source answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceReport {
    /// Its name: `aladin`, `open_library`.
    pub name: String,
    /// How it stands.
    pub state: SourceState,
}

/// How an external source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum SourceState {
    /// It answered.
    Up,
    /// It did not answer, or not with books.
    Away,
    /// It takes no more questions today.
    Quota,
}

/// How the external sources stand together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BooksHealth {
    /// `UP` when a source answers, `NONE` when none is configured; when none
    /// answers, the answer is 503.
    pub status: BooksStatus,
    /// The names of the sources, the one that is asked first first.
    pub source: String,
    /// Each of them.
    pub sources: Vec<SourceReport>,
}

/// See [`BooksHealth::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum BooksStatus {
    /// A source answers.
    Up,
    /// None is configured: the catalogue is all there is.
    None,
}

/// Puts a book on the shelf.
///
/// What is not given is taken from the catalogue, where it has the book. A
/// category takes the fields of those before it too, and none of later ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShelveBook {
    /// ISBN-13 or ISBN-10, with or without hyphens, or the `isbn` of a
    /// search result (`K642734155`). A book without any is known by its title
    /// and author.
    pub isbn: Option<Text>,
    /// 1 to 500 characters; may be left out where the catalogue has the book.
    pub title: Option<Text>,
    /// At most 500 characters.
    pub author: Option<Text>,
    /// At most 300 characters.
    pub publisher: Option<Text>,
    /// At most 20,000 characters.
    pub description: Option<Text>,
    /// An `http://` or `https://` address of at most 1,000 characters.
    pub cover_url: Option<Text>,
    /// 1 to 100,000.
    pub total_pages: Option<i64>,
    /// At most 200 characters.
    pub main_genre: Option<Text>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub pub_date: Option<Text>,
    /// `ToRead` unless said otherwise.
    pub category: Option<Category>,
    /// What the reader expects of it, at most 500 characters.
    pub expectation: Option<Text>,
    /// When reading began. From `Reading` on.
    pub reading_start_date: Option<Day>,
    /// The last page read, 0 up to `totalPages`. From `Reading` on.
    pub reading_progress: Option<i64>,
    /// How the reader came by it. From `Reading` on.
    pub purchase_type: Option<PurchaseType>,
    /// When it was read to the end. `Finished` only.
    pub reading_finished_date: Option<Day>,
    /// 1 to 5. `Finished` only.
    pub rating: Option<i64>,
    /// At most 20,000 characters. `Finished` only.
    pub review: Option<Text>,
}

/// Changes a book on the shelf: what is given is set, `null` takes a value
/// away, what is not mentioned stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeShelfBook {
    /// See [`ShelveBook::isbn`]; can't be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isbn: Option<Text>,
    /// Can't be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// See [`ShelveBook::author`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Text>))]
    pub author: Patch<Text>,
    /// See [`ShelveBook::publisher`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Text>))]
    pub publisher: Patch<Text>,
    /// See [`ShelveBook::description`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Text>))]
    pub description: Patch<Text>,
    /// See [`ShelveBook::cover_url`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Text>))]
    pub cover_url: Patch<Text>,
    /// See [`ShelveBook::total_pages`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub total_pages: Patch<i64>,
    /// See [`ShelveBook::main_genre`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Text>))]
    pub main_genre: Patch<Text>,
    /// See [`ShelveBook::pub_date`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Text>))]
    pub pub_date: Patch<Text>,
    /// Sets the category by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// See [`ShelveBook::expectation`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Text>))]
    pub expectation: Patch<Text>,
    /// See [`ShelveBook::reading_start_date`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Day>))]
    pub reading_start_date: Patch<Day>,
    /// See [`ShelveBook::reading_progress`]; the category follows it unless it
    /// was set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading_progress: Option<i64>,
    /// See [`ShelveBook::purchase_type`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PurchaseType>))]
    pub purchase_type: Patch<PurchaseType>,
    /// See [`ShelveBook::reading_finished_date`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Day>))]
    pub reading_finished_date: Patch<Day>,
    /// See [`ShelveBook::rating`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub rating: Patch<i64>,
    /// See [`ShelveBook::review`].
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Text>))]
    pub review: Patch<Text>,
}

/// What shelving a book answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shelved {
    /// Names this book on this shelf.
    pub user_book_id: Uuid,
    /// Names the book in the catalogue.
    pub book_id: Uuid,
    /// Its title.
    pub title: String,
    /// Where it stands.
    pub category: Category,
}

/// One book on the shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShelfBook {
    /// Names this book on this shelf.
    pub user_book_id: Uuid,
    /// Names the book in the catalogue.
    pub book_id: Uuid,
    /// What the book is.
    #[serde(flatten)]
    pub book: Book,
    /// Where it stands.
    pub category: Category,
    /// Whether the reader set the category by hand, so that progress does not
    /// change it.
    pub category_by_hand: bool,
    /// What the reader expects of it.
    pub expectation: Option<String>,
    /// When reading began.
    pub reading_start_date: Option<Day>,
    /// The last page read.
    pub reading_progress: u32,
    /// The same in whole percent, where `totalPages` is known.
    pub reading_percent: Option<u32>,
    /// How the reader came by it.
    pub purchase_type: Option<PurchaseType>,
    /// When it was read to the end.
    pub reading_finished_date: Option<Day>,
    /// 1 to 5.
    pub rating: Option<u32>,
    /// What the reader says of it.
    pub review: Option<String>,
    /// When it was put on the shelf.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
}

/// The shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shelf {
    /// The books, sorted.
    pub books: Vec<ShelfBook>,
    /// How many they are.
    pub total_count: u64,
}

/// Begins a book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartReading {
    /// The day.
    pub reading_start_date: Day,
    /// The last page read, 0 where none is.
    pub reading_progress: i64,
    /// How the reader came by it.
    pub purchase_type: Option<PurchaseType>,
}

/// Finishes a book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FinishReading {
    /// The day.
    pub reading_finished_date: Day,
    /// 1 to 5.
    pub rating: i64,
    /// What the reader says of it.
    pub review: Option<Text>,
}

/// Closes a book after a sitting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloseBook {
    /// The last page read, 0 up to `totalPages`.
    pub last_read_page: i64,
    /// The day it was finished; asked for on the last page.
    pub reading_finished_date: Option<Day>,
    /// 1 to 5; asked for on the last page.
    pub rating: Option<i64>,
    /// What the reader says of it.
    pub review: Option<Text>,
}

/// Writes a memo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteMemo {
    /// The memo's id, a UUIDv7, where the client makes it. The same memo sent
    /// twice under one id is one memo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// The book on the shelf.
    pub user_book_id: Text,
    /// 1 to 100,000. It is not held against the book's number of pages, which
    /// may be another edition's.
    pub page_number: i64,
    /// 1 to 5,000 characters.
    pub content: Text,
    /// Codes of the tag catalogue, at most 10.
    #[serde(default)]
    pub tags: Vec<Text>,
    /// Where given, every tag is of this category.
    pub tag_category: Option<TagCategory>,
    /// When it was written, RFC 3339 with an offset.
    pub memo_start_time: Instant,
}

/// Changes a memo: what is given is set, what is not stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeMemo {
    /// See [`WriteMemo::content`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Text>,
    /// See [`WriteMemo::tags`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Text>>,
    /// See [`WriteMemo::tag_category`]; `null` takes it away.
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TagCategory>))]
    pub tag_category: Patch<TagCategory>,
    /// See [`WriteMemo::page_number`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_number: Option<i64>,
}

/// A memo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Memo {
    /// Its id.
    pub id: Uuid,
    /// The book on the shelf.
    pub user_book_id: Uuid,
    /// The book's title.
    pub book_title: String,
    /// What names the book: see [`Book::isbn`].
    pub book_isbn: String,
    /// The page.
    pub page_number: u32,
    /// What the reader wrote.
    pub content: String,
    /// Codes of the tag catalogue.
    pub tags: Vec<String>,
    /// Where the reader chose one.
    pub tag_category: Option<TagCategory>,
    /// When it was written.
    pub memo_start_time: Instant,
    /// When the server first had it.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// Its version, a 64-bit number as text; the `ETag` is the same in quotes.
    pub version: String,
}

/// A book with memos lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RecentBook {
    /// The book.
    #[serde(flatten)]
    pub book: ShelfBook,
    /// When its last memo was written.
    pub last_memo_time: Instant,
    /// How many memos it got in the time asked for.
    pub memo_count: u64,
}

/// The memos of a day. Of the three groupings the one that `sortBy` names is
/// there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TodayFlow {
    /// The day.
    pub date: Day,
    /// How the memos are grouped.
    pub sort_by: FlowSort,
    /// By sitting, in the order of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memos_by_session: Option<Vec<SessionMemos>>,
    /// By book, in the order of each book's first memo of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memos_by_book: Option<Vec<BookMemos>>,
    /// By tag, in the order of the catalogue; memos without a tag come last. A
    /// memo with two tags is in two groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memos_by_tag: Option<Vec<TagMemos>>,
    /// How many memos the day has, each counted once.
    pub total_memo_count: u64,
}

/// The memos of one sitting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionMemos {
    /// When its first memo was written.
    pub started_at: Instant,
    /// When its last memo was written.
    pub ended_at: Instant,
    /// Its memos.
    pub memos: Vec<Memo>,
}

/// The memos of one book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct BookMemos {
    /// The book on the shelf.
    pub user_book_id: Uuid,
    /// Its title.
    pub book_title: String,
    /// What names it.
    pub book_isbn: String,
    /// Its memos.
    pub memos: Vec<Memo>,
}

/// The memos with one tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TagMemos {
    /// The tag; `null` for memos that have none.
    pub tag: Option<Tag>,
    /// Its memos.
    pub memos: Vec<Memo>,
}

/// One tag of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tag {
    /// What names it in memos.
    pub code: String,
    /// Its kind.
    pub category: TagCategory,
    /// What people read.
    pub labels: TagLabels,
}

/// A tag in the languages of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TagLabels {
    /// In Korean.
    pub ko: String,
    /// In English.
    pub en: String,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImportSummary {
    /// What the file was taken for: `goodreads`, `endpaper-csv`,
    /// `endpaper-json`.
    pub format: String,
    /// Books put on the shelf.
    pub books_added: u64,
    /// Books that were on the shelf already; they stay as they are.
    pub books_there: u64,
    /// Memos written.
    pub memos_added: u64,
    /// Memos that were there already; they stay as they are.
    pub memos_there: u64,
    /// How many lines or entries could not be taken, or not whole.
    pub problem_count: u64,
    /// The first thousand of them.
    pub problems: Vec<ImportProblem>,
}

/// One line or entry that could not be taken, or not whole; `message` says
/// which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportProblem {
    /// The line of the file on which the entry begins, from 1; in a JSON file
    /// its number in its list, from 1.
    pub line: u64,
    /// Which column or field, where it is one.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One JSON document.
    #[default]
    Json,
    /// Two tables: the books, a blank line, the memos.
    Csv,
}

/// One of the two tables of a CSV export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum ExportPart {
    /// The books.
    Books,
    /// The memos.
    Memos,
}
