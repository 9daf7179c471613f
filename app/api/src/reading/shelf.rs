//! Wire types of the shelf.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::books::Book;
use crate::patch::given;
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
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub isbn: Option<Text>,
    /// Can't be taken away.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
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
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
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
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
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
