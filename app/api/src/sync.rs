//! What devices hold and edit offline: tables, and the rule of each field. The
//! protocol is [`sync::wire`].

use sync::merge::REVISIONS;
use sync::model::{Rule, Table};

/// The version of these tables.
pub const SCHEMA: u32 = 1;

/// Memos, with the fields of `POST /memos`. `memoStartTime` is in microseconds since
/// 1970 UTC. The book and the time of a memo stay what they were.
pub const MEMOS: Table = Table {
    name: "memos",
    fields: &[
        ("userBookId", Rule::Reference(SHELF.name)),
        ("pageNumber", Rule::Latest),
        ("content", Rule::Text),
        ("tags", Rule::Latest),
        ("tagCategory", Rule::Latest),
        ("memoStartTime", Rule::Latest),
    ],
};

/// The books of the shelf, with the fields of `POST /user/books`; a record's id is the
/// `userBookId`: a UUIDv7, or the UUIDv8 of the reader and the ISBN that every device
/// makes. The category follows the progress until somebody sets it.
pub const SHELF: Table = Table {
    name: "shelf",
    fields: &[
        ("isbn", Rule::Latest),
        ("title", Rule::Latest),
        ("author", Rule::Latest),
        ("publisher", Rule::Latest),
        ("description", Rule::Text),
        ("coverUrl", Rule::Latest),
        ("totalPages", Rule::Latest),
        ("mainGenre", Rule::Latest),
        ("pubDate", Rule::Latest),
        ("category", Rule::Latest),
        ("categoryByHand", Rule::Server),
        ("expectation", Rule::Text),
        ("readingStartDate", Rule::Latest),
        ("readingProgress", Rule::Latest),
        ("purchaseType", Rule::Latest),
        ("readingFinishedDate", Rule::Latest),
        ("rating", Rule::Latest),
        ("review", Rule::Text),
    ],
};

/// What the server holds values of.
pub const HELD: &[Table] = &[SHELF, MEMOS];

/// What a device holds.
pub const TABLES: &[Table] = &[SHELF, MEMOS, REVISIONS];
