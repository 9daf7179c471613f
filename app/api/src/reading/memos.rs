//! Wire types of memos, the flow of a day, and tags.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::patch::given;
use crate::{Day, Instant, Patch, Text};

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
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub content: Option<Text>,
    /// See [`WriteMemo::tags`].
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Text>>,
    /// See [`WriteMemo::tag_category`]; `null` takes it away.
    #[serde(default, skip_serializing_if = "Patch::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TagCategory>))]
    pub tag_category: Patch<TagCategory>,
    /// See [`WriteMemo::page_number`].
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
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
    /// What names the book: see [`super::Book::isbn`].
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
