//! The catalogue, which all readers share.

use std::collections::HashMap;

use endpaper_api::reading::QueryType;
use multi_master::{Db, DbError, Row, Tx, Value, fields, id, params};
use stdx::UnixMicros;

use super::{book_key, placeholders, strange};
use crate::isbn::BookKey;
use crate::model::{BookFacts, BookId, CatalogueBook, Origin};
use crate::store::schema::SEARCH_CHARS_MAX;
use crate::text::{Lookup, SearchKeys, SearchQuery};

const COLUMNS: &str = "id, book_key, origin, title, author, publisher, pub_date, cover_url, \
     description, total_pages, main_genre";

/// Searches that have to look at each candidate look at this many, by title.
pub const CANDIDATES_MAX: usize = 5_000;

pub(super) fn facts(row: &Row) -> Result<BookFacts, DbError> {
    Ok(BookFacts {
        title: row.get("title")?,
        author: row.get("author")?,
        publisher: row.get("publisher")?,
        pub_date: row.get("pub_date")?,
        cover_url: row.get("cover_url")?,
        description: row.get("description")?,
        total_pages: row.get("total_pages")?,
        main_genre: row.get("main_genre")?,
    })
}

pub(super) fn fact_fields(facts: &BookFacts) -> Vec<(&'static str, Value)> {
    fields! {
        "title" => &facts.title,
        "author" => facts.author.clone(),
        "publisher" => facts.publisher.clone(),
        "pub_date" => facts.pub_date.clone(),
        "cover_url" => facts.cover_url.clone(),
        "description" => facts.description.clone(),
        "total_pages" => facts.total_pages,
        "main_genre" => facts.main_genre.clone(),
    }
}

fn search_fields(facts: &BookFacts) -> Vec<(&'static str, Value)> {
    let keys = |text: Option<&str>| SearchKeys::of(text.unwrap_or_default());
    let cut = |text: String| match text.char_indices().nth(SEARCH_CHARS_MAX as usize) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    };
    let title = keys(Some(&facts.title));
    let author = keys(facts.author.as_deref());
    let publisher = keys(facts.publisher.as_deref());
    fields! {
        "title_text" => cut(title.text),
        "title_initials" => cut(title.initials),
        "author_text" => cut(author.text),
        "author_initials" => cut(author.initials),
        "publisher_text" => cut(publisher.text),
        "publisher_initials" => cut(publisher.initials),
    }
}

fn book(row: &Row) -> Result<CatalogueBook, DbError> {
    let origin: String = row.get("origin")?;
    Ok(CatalogueBook {
        id: row.id("id")?,
        book_key: book_key(row)?,
        facts: facts(row)?,
        origin: Origin::ALL
            .into_iter()
            .find(|known| known.name() == origin)
            .ok_or_else(|| strange("origin", &origin))?,
    })
}

/// The book of a key.
pub async fn find(db: &mut Db, key: &BookKey) -> Result<Option<CatalogueBook>, DbError> {
    let sql = format!("select {COLUMNS} from books where book_key = ?");
    db.query_first(&sql, params![key.as_str()]).await?.as_ref().map(book).transpose()
}

/// Those of `keys` that the catalogue has.
pub async fn find_all(
    db: &mut Db,
    keys: &[BookKey],
) -> Result<HashMap<BookKey, CatalogueBook>, DbError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let sql =
        format!("select {COLUMNS} from books where book_key in ({})", placeholders(keys.len()));
    let rows = db.query(&sql, keys.iter().map(|key| key.as_str().into()).collect()).await?;
    rows.iter().map(|row| book(row).map(|book| (book.book_key.clone(), book))).collect()
}

/// Puts a book into the catalogue.
pub async fn insert(tx: &mut Tx, book: &CatalogueBook, now: UnixMicros) -> Result<(), DbError> {
    let mut row = fields! {
        "id" => id(book.id),
        "book_key" => book.book_key.as_str(),
        "origin" => book.origin.name(),
        "created_at" => now,
        "updated_at" => now,
    };
    row.extend(fact_fields(&book.facts));
    row.extend(search_fields(&book.facts));
    tx.insert("books", row).await
}

/// Changes what the catalogue says of a book.
pub async fn update(tx: &mut Tx, book: &CatalogueBook, now: UnixMicros) -> Result<(), DbError> {
    let mut row = fields! { "origin" => book.origin.name(), "updated_at" => now };
    row.extend(fact_fields(&book.facts));
    row.extend(search_fields(&book.facts));
    tx.update("books", params![id(book.id)], row).await?;
    Ok(())
}

/// One page of a search.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many books match; where each candidate has to be looked at, of the
    /// first [`CANDIDATES_MAX`].
    pub total: u64,
    /// Those of the page.
    pub books: Vec<CatalogueBook>,
}

/// The books whose title, author or publisher has what is looked for: those
/// that have its first word further in front come first, then by title.
pub async fn search(
    db: &mut Db,
    query: &SearchQuery,
    query_type: QueryType,
    offset: u64,
    limit: u32,
) -> Result<Found, DbError> {
    let (text_column, initials_column) = match query_type {
        QueryType::Title => ("title_text", "title_initials"),
        QueryType::Author => ("author_text", "author_initials"),
        QueryType::Publisher => ("publisher_text", "publisher_initials"),
    };
    let (column, parts): (_, Vec<&str>) = match query.lookup() {
        Lookup::Words(words) => (text_column, words.iter().map(String::as_str).collect()),
        Lookup::Initials(part) => (initials_column, vec![part]),
    };
    // A query has at most 100 characters, and so at most 50 words.
    let has_all = vec![format!("instr({column}, ?) > 0"); parts.len()].join(" and ");
    let matching = format!("from books where {has_all} and origin <> 'reader'");
    let wanted = || parts.iter().map(|part| Value::from(*part)).collect::<Vec<_>>();
    let ordered_by = |rest: Vec<Value>| {
        let first = wanted().into_iter().take(1);
        wanted().into_iter().chain(first).chain(rest).collect::<Vec<_>>()
    };
    let ordered = format!("{matching} order by instr({column}, ?), title, id");
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    if !query.needs_check() {
        let count = format!("select count(*) as total {matching}");
        let total = db.query_first(&count, wanted()).await?;
        let total: i64 = total.map_or(Ok(0), |row| row.get("total"))?;
        let sql = format!("select {COLUMNS} {ordered} limit ? offset ?");
        let rows = db.query(&sql, ordered_by(params![limit, offset])).await?;
        let books = rows.iter().map(book).collect::<Result<_, _>>()?;
        return Ok(Found { total: total.unsigned_abs(), books });
    }
    let sql = format!("select id, {text_column} as searched {ordered} limit ?");
    let most = i64::try_from(CANDIDATES_MAX).unwrap_or(i64::MAX);
    let candidates = db.query(&sql, ordered_by(params![most])).await?;
    let mut matches = Vec::new();
    for row in &candidates {
        let searched: String = row.get("searched")?;
        if query.matches(&searched) {
            matches.push(row.id::<BookId>("id")?);
        }
    }
    let total = matches.len() as u64;
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(matches.len());
    let until = from.saturating_add(limit as usize).min(matches.len());
    let mut books = Vec::new();
    for book_id in &matches[from..until] {
        let row = db.get("books", params![id(*book_id)]).await?;
        books.extend(row.as_ref().map(book).transpose()?);
    }
    Ok(Found { total, books })
}

/// How many books the catalogue has that searches find.
pub async fn count(db: &mut Db) -> Result<u64, DbError> {
    let sql = "select count(*) as total from books where origin <> 'reader'";
    let row = db.query_first(sql, params![]).await?;
    let total: i64 = row.map_or(Ok(0), |row| row.get("total"))?;
    Ok(total.unsigned_abs())
}
