//! The books on readers' shelves.

use std::collections::{HashMap, HashSet};

use endpaper_api::reading::{Category, PurchaseType};
use multi_master::{Db, DbError, Row, Tx, Value, fields, id, params};
use stdx::UnixMicros;

use super::books::{fact_fields, facts};
use super::{book_key, category, day, placeholders, purchase_type};
use crate::isbn::BookKey;
use crate::model::{Rating, ReaderId, Reading, ShelfBook, UserBookId};

const COLUMNS: &str = "b.id as id, b.book_id as book_id, b.book_key as book_key, \
     b.title as title, b.author as author, b.publisher as publisher, b.pub_date as pub_date, \
     b.cover_url as cover_url, b.description as description, b.total_pages as total_pages, \
     b.main_genre as main_genre, b.category as category, b.category_by_hand as category_by_hand, \
     b.expectation as expectation, b.started_on as started_on, b.progress as progress, \
     b.purchase_type as purchase_type, b.finished_on as finished_on, b.rating as rating, \
     b.review as review, b.created_at as created_at, b.updated_at as updated_at";

fn shelf_book(row: &Row) -> Result<ShelfBook, DbError> {
    let rating: Option<i64> = row.get("rating")?;
    let rating = rating
        .map(|stars| Rating::new(stars).map_err(|_| super::strange("rating", &stars.to_string())))
        .transpose()?;
    Ok(ShelfBook {
        id: row.id("id")?,
        book_id: row.id("book_id")?,
        book_key: book_key(row)?,
        facts: facts(row)?,
        reading: Reading {
            category: category(row)?,
            by_hand: row.get("category_by_hand")?,
            expectation: row.get("expectation")?,
            started_on: day(row, "started_on")?,
            progress: row.get("progress")?,
            purchase_type: purchase_type(row)?,
            finished_on: day(row, "finished_on")?,
            rating,
            review: row.get("review")?,
        },
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn own_fields(book: &ShelfBook) -> Vec<(&'static str, Value)> {
    let reading = &book.reading;
    let mut row = fact_fields(&book.facts);
    row.extend(fields! {
        "book_id" => id(book.book_id),
        "book_key" => book.book_key.as_str(),
        "category" => reading.category.name(),
        "category_by_hand" => reading.by_hand,
        "expectation" => reading.expectation.clone(),
        "started_on" => reading.started_on.map(|day| day.to_string()),
        "progress" => reading.progress,
        "purchase_type" => reading.purchase_type.map(PurchaseType::name),
        "finished_on" => reading.finished_on.map(|day| day.to_string()),
        "rating" => reading.rating.map(|rating| i64::from(rating.stars())),
        "review" => reading.review.clone(),
        "updated_at" => book.updated_at,
    });
    row
}

/// One book of a reader's shelf.
pub async fn get(
    db: &mut Db,
    reader: ReaderId,
    book: UserBookId,
) -> Result<Option<ShelfBook>, DbError> {
    let sql = format!("select {COLUMNS} from user_books b where b.id = ? and b.user_id = ?");
    let row = db.query_first(&sql, params![id(book), id(reader)]).await?;
    row.as_ref().map(shelf_book).transpose()
}

/// Books of a reader's shelf by their ids.
pub async fn some(
    db: &mut Db,
    reader: ReaderId,
    ids: &[UserBookId],
) -> Result<Vec<ShelfBook>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = db.query(&some_sql(ids.len()), ids.iter().map(|book| id(*book)).collect()).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        if row.id::<ReaderId>("user_id")? == reader {
            all.push(shelf_book(row)?);
        }
    }
    Ok(all)
}

/// Without the reader among the conditions: SQLite would look through the whole shelf.
pub(super) fn some_sql(count: usize) -> String {
    let marks = placeholders(count);
    format!("select {COLUMNS}, b.user_id as user_id from user_books b where b.id in ({marks})")
}

/// Some books of a reader's shelf that are not in the change log.
pub async fn unlisted(
    db: &mut Db,
    reader: ReaderId,
    limit: u32,
) -> Result<Vec<UserBookId>, DbError> {
    let sql = "select b.id as id from user_books b where b.user_id = ? and not exists \
         (select 1 from sync_records r where r.account_id = b.user_id \
          and r.table_name = 'shelf' and r.record_id = b.id) limit ?";
    let rows = db.query(sql, params![id(reader), limit]).await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// The id of the book with a key on a reader's shelf.
pub async fn find(
    db: &mut Db,
    reader: ReaderId,
    key: &BookKey,
) -> Result<Option<UserBookId>, DbError> {
    let sql = "select id from user_books where user_id = ? and book_key = ?";
    let row = db.query_first(sql, params![id(reader), key.as_str()]).await?;
    row.map(|row| row.id("id")).transpose()
}

/// Those of `keys` that are on a reader's shelf.
pub async fn find_all(
    db: &mut Db,
    reader: ReaderId,
    keys: &[BookKey],
) -> Result<HashMap<BookKey, UserBookId>, DbError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let marks = placeholders(keys.len());
    let sql =
        format!("select id, book_key from user_books where user_id = ? and book_key in ({marks})");
    let mut values = params![id(reader)];
    values.extend(keys.iter().map(|key| Value::from(key.as_str())));
    let rows = db.query(&sql, values).await?;
    rows.iter().map(|row| Ok((book_key(row)?, row.id("id")?))).collect()
}

/// Those of `ids` that are some reader's: only for telling whether an id is
/// free. The id of a book that was taken off a shelf is not free.
pub async fn taken(db: &mut Db, ids: &[UserBookId]) -> Result<HashSet<UserBookId>, DbError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let marks = placeholders(ids.len());
    let mut taken = HashSet::new();
    for sql in [
        format!("select id from user_books where id in ({marks})"),
        format!("select user_book_id as id from removed_books where user_book_id in ({marks})"),
    ] {
        for row in db.query(&sql, ids.iter().map(|book| id(*book)).collect()).await? {
            taken.insert(row.id("id")?);
        }
    }
    Ok(taken)
}

/// Keys and ids of everything on a reader's shelf.
pub async fn keys(db: &mut Db, reader: ReaderId) -> Result<Vec<(BookKey, UserBookId)>, DbError> {
    let sql = "select id, book_key from user_books where user_id = ?";
    let rows = db.query(sql, params![id(reader)]).await?;
    rows.iter().map(|row| Ok((book_key(row)?, row.id("id")?))).collect()
}

/// A reader's shelf, or one category of it, in the order of shelving.
pub async fn list(
    db: &mut Db,
    reader: ReaderId,
    category: Option<Category>,
) -> Result<Vec<ShelfBook>, DbError> {
    let mut sql = format!("select {COLUMNS} from user_books b where b.user_id = ?");
    let mut values = params![id(reader)];
    if let Some(category) = category {
        sql.push_str(" and b.category = ?");
        values.push(category.name().into());
    }
    sql.push_str(" order by b.created_at, b.id");
    db.query(&sql, values).await?.iter().map(shelf_book).collect()
}

/// Puts a book on a reader's shelf.
pub async fn insert(tx: &mut Tx, reader: ReaderId, book: &ShelfBook) -> Result<(), DbError> {
    let mut row = own_fields(book);
    row.extend(fields! {
        "id" => id(book.id),
        "user_id" => id(reader),
        "created_at" => book.created_at,
    });
    tx.insert("user_books", row).await
}

/// Changes a book of which [`get`] said that it is on the reader's shelf: the
/// fields that differ, so that two devices that change different fields do not
/// undo each other's change.
pub async fn update(tx: &mut Tx, old: &ShelfBook, new: &ShelfBook) -> Result<(), DbError> {
    let before = own_fields(old);
    let changed: Vec<_> =
        own_fields(new).into_iter().filter(|field| !before.contains(field)).collect();
    if !changed.is_empty() {
        tx.update("user_books", params![id(old.id)], changed).await?;
    }
    Ok(())
}

/// Takes a book off a reader's shelf; `false` when it was not there. Its id is
/// remembered: see [`trace`].
pub async fn remove(
    tx: &mut Tx,
    reader: ReaderId,
    book: UserBookId,
    now: UnixMicros,
) -> Result<bool, DbError> {
    let sql = "select book_key from user_books where id = ? and user_id = ?";
    let Some(row) = tx.query_first(sql, params![id(book), id(reader)]).await? else {
        return Ok(false);
    };
    let key = book_key(&row)?;
    tx.delete("user_books", params![id(book)]).await?;
    // A book whose key was changed can leave an older trace of the same key.
    tx.delete("removed_books", params![id(reader), key.as_str()]).await?;
    let trace = fields! {
        "user_id" => id(reader),
        "book_key" => key.as_str(),
        "user_book_id" => id(book),
        "removed_at" => now,
    };
    tx.insert("removed_books", trace).await?;
    Ok(true)
}

/// The id that a book had before it was taken off the shelf.
pub async fn trace(
    db: &mut Db,
    reader: ReaderId,
    key: &BookKey,
) -> Result<Option<UserBookId>, DbError> {
    let row = db.get("removed_books", params![id(reader), key.as_str()]).await?;
    row.map(|row| row.id("user_book_id")).transpose()
}

/// Whether a book of this id was taken off the reader's shelf, and can come back.
pub async fn was_there(db: &mut Db, reader: ReaderId, book: UserBookId) -> Result<bool, DbError> {
    let sql = "select user_id from removed_books where user_book_id = ? and user_id = ? limit 1";
    Ok(db.query_first(sql, params![id(book), id(reader)]).await?.is_some())
}

/// Forgets that the book of this id was taken off the shelf, under whatever key: it is
/// there again.
pub async fn drop_traces(tx: &mut Tx, book: UserBookId) -> Result<(), DbError> {
    let sql = "select user_id, book_key from removed_books where user_book_id = ?";
    for row in tx.query(sql, params![id(book)]).await? {
        let (reader, key): (ReaderId, String) = (row.id("user_id")?, row.get("book_key")?);
        tx.delete("removed_books", params![id(reader), key]).await?;
    }
    Ok(())
}

/// A book with memos lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The book.
    pub book: ShelfBook,
    /// When its last memo was written.
    pub last_memo_at: UnixMicros,
    /// How many memos it has since then.
    pub memo_count: u64,
}

/// The books with memos written at or after `since`, latest first.
pub async fn recent(
    db: &mut Db,
    reader: ReaderId,
    since: UnixMicros,
) -> Result<Vec<Recent>, DbError> {
    let sql = format!(
        "select {COLUMNS}, r.last_memo_at as last_memo_at, r.memo_count as memo_count \
         from user_books b join (\
             select user_book_id, max(started_at) as last_memo_at, count(*) as memo_count \
             from memos where user_id = ? and started_at >= ? group by user_book_id\
         ) r on r.user_book_id = b.id \
         where b.user_id = ? order by r.last_memo_at desc, b.id"
    );
    let rows = db.query(&sql, params![id(reader), since, id(reader)]).await?;
    rows.iter()
        .map(|row| {
            Ok(Recent {
                book: shelf_book(row)?,
                last_memo_at: row.get("last_memo_at")?,
                memo_count: row.get::<i64>("memo_count")?.unsigned_abs(),
            })
        })
        .collect()
}
