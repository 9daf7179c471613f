//! The tables.

use multi_master::{Column, Index, Kind, Migration, Step, Table};

use crate::isbn::BookKey;
use crate::model::{
    AUTHOR_CHARS_MAX, CONTENT_CHARS_MAX, COVER_URL_CHARS_MAX, DESCRIPTION_CHARS_MAX,
    EXPECTATION_CHARS_MAX, GENRE_CHARS_MAX, PUB_DATE_CHARS_MAX, PUBLISHER_CHARS_MAX,
    REVIEW_CHARS_MAX, TITLE_CHARS_MAX,
};

/// The most characters of what a search looks in. A folded text can be longer
/// than the text itself, by ligatures and the like; what is beyond is not found.
pub const SEARCH_CHARS_MAX: u32 = 1_000;

/// The most characters of a stored answer: a memo's content with every
/// character escaped to six, and the rest of the memo.
pub const ANSWER_CHARS_MAX: u32 = 6 * CONTENT_CHARS_MAX + 20_000;

/// The most characters of an idempotency key.
pub const REQUEST_KEY_CHARS_MAX: u32 = 128;

#[expect(clippy::cast_possible_truncation, reason = "32; a constant can't use try_from")]
const BOOK_KEY: Column = Column::new("book_key", text(BookKey::CHARS_MAX as u32));

const fn text(chars_max: u32) -> Kind {
    Kind::Text { chars_max }
}

/// All migrations of this crate, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "reading-1",
        steps: &[
            Step::CreateTable(BOOKS),
            Step::CreateTable(USER_BOOKS),
            Step::CreateTable(REMOVED_BOOKS),
            Step::CreateTable(MEMOS),
            Step::CreateTable(MEMO_REQUESTS),
        ],
    },
    // The change log of memos and of the shelf.
    sync_server::MIGRATIONS[0],
    sync_server::MIGRATIONS[1],
];

const _: () = assert!(sync_server::MIGRATIONS.len() == 2, "take the others over at the end");

/// The catalogue.
const BOOKS: Table = Table {
    name: "books",
    key: &["id"],
    columns: &[
        Column::new("id", Kind::Id),
        BOOK_KEY,
        Column::new("origin", text(10)),
        Column::new("title", text(TITLE_CHARS_MAX)),
        Column::nullable("author", text(AUTHOR_CHARS_MAX)),
        Column::nullable("publisher", text(PUBLISHER_CHARS_MAX)),
        Column::nullable("pub_date", text(PUB_DATE_CHARS_MAX)),
        Column::nullable("cover_url", text(COVER_URL_CHARS_MAX)),
        Column::nullable("description", text(DESCRIPTION_CHARS_MAX)),
        Column::nullable("total_pages", Kind::Int),
        Column::nullable("main_genre", text(GENRE_CHARS_MAX)),
        // What searches look in: see `crate::text::SearchKeys`.
        Column::new("title_text", text(SEARCH_CHARS_MAX)),
        Column::new("title_initials", text(SEARCH_CHARS_MAX)),
        Column::new("author_text", text(SEARCH_CHARS_MAX)),
        Column::new("author_initials", text(SEARCH_CHARS_MAX)),
        Column::new("publisher_text", text(SEARCH_CHARS_MAX)),
        Column::new("publisher_initials", text(SEARCH_CHARS_MAX)),
        Column::new("created_at", Kind::Time),
        Column::new("updated_at", Kind::Time),
    ],
    indexes: &[Index { name: BOOKS_KEY_INDEX, columns: &["book_key"], unique: true }],
};

/// There is one book of a key.
pub const BOOKS_KEY_INDEX: &str = "books_book_key";

/// The shelves.
const USER_BOOKS: Table = Table {
    name: "user_books",
    key: &["id"],
    columns: &[
        Column::new("id", Kind::Id),
        Column::new("user_id", Kind::Id),
        Column::new("book_id", Kind::Id),
        BOOK_KEY,
        Column::new("title", text(TITLE_CHARS_MAX)),
        Column::nullable("author", text(AUTHOR_CHARS_MAX)),
        Column::nullable("publisher", text(PUBLISHER_CHARS_MAX)),
        Column::nullable("pub_date", text(PUB_DATE_CHARS_MAX)),
        Column::nullable("cover_url", text(COVER_URL_CHARS_MAX)),
        Column::nullable("description", text(DESCRIPTION_CHARS_MAX)),
        Column::nullable("total_pages", Kind::Int),
        Column::nullable("main_genre", text(GENRE_CHARS_MAX)),
        Column::new("category", text(20)),
        Column::new("category_by_hand", Kind::Bool),
        Column::nullable("expectation", text(EXPECTATION_CHARS_MAX)),
        Column::nullable("started_on", text(10)),
        Column::new("progress", Kind::Int),
        Column::nullable("purchase_type", text(20)),
        Column::nullable("finished_on", text(10)),
        Column::nullable("rating", Kind::Int),
        Column::nullable("review", text(REVIEW_CHARS_MAX)),
        Column::new("created_at", Kind::Time),
        Column::new("updated_at", Kind::Time),
    ],
    indexes: &[Index {
        name: USER_BOOKS_KEY_INDEX,
        columns: &["user_id", "book_key"],
        unique: true,
    }],
};

/// There is one book of a key on one shelf.
pub const USER_BOOKS_KEY_INDEX: &str = "user_books_book_key";

/// Ids of books that were taken off a shelf: a book that comes back gets its
/// old id, and with it the memos that were written on it.
const REMOVED_BOOKS: Table = Table {
    name: "removed_books",
    key: &["user_id", "book_key"],
    columns: &[
        Column::new("user_id", Kind::Id),
        BOOK_KEY,
        Column::new("user_book_id", Kind::Id),
        Column::new("removed_at", Kind::Time),
    ],
    indexes: &[Index {
        name: "removed_books_user_book",
        columns: &["user_book_id"],
        unique: false,
    }],
};

/// Memos. Those of a book that was taken off the shelf stay, and no query finds
/// them: all of them join the shelf.
const MEMOS: Table = Table {
    name: "memos",
    key: &["id"],
    columns: &[
        Column::new("id", Kind::Id),
        Column::new("user_id", Kind::Id),
        Column::new("user_book_id", Kind::Id),
        Column::new("page_number", Kind::Int),
        Column::new("content", text(CONTENT_CHARS_MAX)),
        // Codes, separated by commas: at most 10 of at most 20 characters.
        Column::new("tags", text(210)),
        Column::nullable("tag_category", text(10)),
        Column::new("started_at", Kind::Time),
        // SHA-256 of what it was made of: tells a repeated request for it from
        // another memo under the same id.
        Column::new("made_of", Kind::Bytes { bytes_max: 32 }),
        Column::new("created_at", Kind::Time),
        Column::new("updated_at", Kind::Time),
    ],
    indexes: &[
        Index { name: "memos_started_at", columns: &["user_id", "started_at"], unique: false },
        Index { name: "memos_user_book", columns: &["user_book_id", "started_at"], unique: false },
    ],
};

/// Answers to `POST /memos` that carried an idempotency key.
const MEMO_REQUESTS: Table = Table {
    name: "memo_requests",
    key: &["user_id", "request_key"],
    columns: &[
        Column::new("user_id", Kind::Id),
        Column::new("request_key", text(REQUEST_KEY_CHARS_MAX)),
        // SHA-256 of the request's body.
        Column::new("body_digest", Kind::Bytes { bytes_max: 32 }),
        Column::new("answer", text(ANSWER_CHARS_MAX)),
        Column::new("answered_at", Kind::Time),
    ],
    indexes: &[Index {
        name: "memo_requests_age",
        columns: &["user_id", "answered_at"],
        unique: false,
    }],
};
