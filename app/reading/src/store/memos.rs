//! Memos. All reads join the shelf: memos of a book that was taken off it are
//! there and found by nothing.

use std::collections::HashMap;

use endpaper_api::reading::TagCategory;
use multi_master::{Db, DbError, Row, Tx, Value, fields, id, params};
use stdx::UnixMicros;

use super::{book_key, placeholders, strange, tag_category};
use crate::model::{
    Content, Memo, MemoDraft, MemoId, MemoVersion, Page, ReaderId, Tags, UserBookId,
};
use crate::rules::days::Span;

const SELECT: &str = "select m.id as id, m.user_book_id as user_book_id, \
     m.page_number as page_number, m.content as content, m.tags as tags, \
     m.tag_category as tag_category, m.started_at as started_at, m.made_of as made_of, \
     m.created_at as created_at, m.updated_at as updated_at, m._v as version, \
     b.title as book_title, b.book_key as book_key \
     from memos m join user_books b on b.id = m.user_book_id and b.user_id = m.user_id";

/// What a memo was made of, as SHA-256: tells a repeated request for it from
/// another memo under the same id.
pub type MadeOf = [u8; 32];

fn draft(row: &Row) -> Result<MemoDraft, DbError> {
    let page: i64 = row.get("page_number")?;
    let codes: String = row.get("tags")?;
    let tags = codes.split(',').filter(|code| !code.is_empty());
    Ok(MemoDraft {
        user_book_id: row.id("user_book_id")?,
        page: Page::new(page).map_err(|_| strange("page_number", &page.to_string()))?,
        content: Content::new(row.get("content")?).map_err(|_| strange("content", "…"))?,
        tags: Tags::new(tags, tag_category(row)?).map_err(|_| strange("tags", &codes))?,
        started_at: row.get("started_at")?,
    })
}

fn memo(row: &Row) -> Result<Memo, DbError> {
    Ok(Memo {
        id: row.id("id")?,
        draft: draft(row)?,
        book_title: row.get("book_title")?,
        book_key: book_key(row)?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        version: MemoVersion(row.get("version")?),
    })
}

fn own_fields(draft: &MemoDraft) -> Vec<(&'static str, Value)> {
    let codes: Vec<&str> = draft.tags.as_slice().iter().map(|tag| tag.code()).collect();
    fields! {
        "page_number" => draft.page.number(),
        "content" => draft.content.as_str(),
        "tags" => codes.join(","),
        "tag_category" => draft.tags.category().map(TagCategory::name),
    }
}

/// One memo of a reader.
pub async fn get(db: &mut Db, reader: ReaderId, memo_id: MemoId) -> Result<Option<Memo>, DbError> {
    let sql = format!("{SELECT} where m.id = ? and m.user_id = ?");
    let row = db.query_first(&sql, params![id(memo_id), id(reader)]).await?;
    row.as_ref().map(memo).transpose()
}

/// Memos of a reader by their ids, also those of books that were taken off the shelf.
pub async fn drafts(
    db: &mut Db,
    reader: ReaderId,
    ids: &[MemoId],
) -> Result<HashMap<MemoId, MemoDraft>, DbError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.query(&drafts_sql(ids.len()), ids.iter().map(|memo| id(*memo)).collect()).await?;
    let mut all = HashMap::with_capacity(rows.len());
    for row in &rows {
        if row.id::<ReaderId>("user_id")? == reader {
            all.insert(row.id("id")?, draft(row)?);
        }
    }
    Ok(all)
}

/// Without the reader among the conditions: SQLite would look through all memos of
/// the reader for a few.
pub(super) fn drafts_sql(count: usize) -> String {
    format!(
        "select id, user_id, user_book_id, page_number, content, tags, tag_category, started_at \
         from memos where id in ({})",
        placeholders(count)
    )
}

/// Some memos of a reader that are not in the change log.
pub async fn unlisted(db: &mut Db, reader: ReaderId, limit: u32) -> Result<Vec<MemoId>, DbError> {
    let sql = "select m.id as id from memos m where m.user_id = ? and not exists \
         (select 1 from sync_records r where r.account_id = m.user_id \
          and r.table_name = 'memos' and r.record_id = m.id) limit ?";
    let rows = db.query(sql, params![id(reader), limit]).await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Whose a memo is and what it was made of, whoever asks: only for telling
/// whether an id is taken.
pub async fn holder(db: &mut Db, memo_id: MemoId) -> Result<Option<(ReaderId, Vec<u8>)>, DbError> {
    let Some(row) = db.get("memos", params![id(memo_id)]).await? else { return Ok(None) };
    Ok(Some((row.id("user_id")?, row.get("made_of")?)))
}

/// Whose the memos are among `ids` that there are, whoever asks: only for
/// telling whether an id is taken.
pub async fn holders(db: &mut Db, ids: &[MemoId]) -> Result<HashMap<MemoId, ReaderId>, DbError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!("select id, user_id from memos where id in ({})", placeholders(ids.len()));
    let rows = db.query(&sql, ids.iter().map(|memo| id(*memo)).collect()).await?;
    rows.iter().map(|row| Ok((row.id("id")?, row.id("user_id")?))).collect()
}

/// Writes a memo on a book that is on the reader's shelf. What comes from elsewhere
/// says when it was made and changed there.
pub async fn insert(
    tx: &mut Tx,
    reader: ReaderId,
    memo_id: MemoId,
    draft: &MemoDraft,
    made_of: &MadeOf,
    (created_at, updated_at): (UnixMicros, UnixMicros),
) -> Result<(), DbError> {
    let mut row = own_fields(draft);
    row.extend(fields! {
        "id" => id(memo_id),
        "user_id" => id(reader),
        "user_book_id" => id(draft.user_book_id),
        "started_at" => draft.started_at,
        "made_of" => made_of.as_slice(),
        "created_at" => created_at,
        "updated_at" => updated_at,
    });
    tx.insert("memos", row).await
}

/// Changes a memo that is the reader's: the fields that differ.
pub async fn update(
    tx: &mut Tx,
    memo_id: MemoId,
    old: &MemoDraft,
    draft: &MemoDraft,
    now: UnixMicros,
) -> Result<(), DbError> {
    let before = own_fields(old);
    let mut changed: Vec<_> =
        own_fields(draft).into_iter().filter(|field| !before.contains(field)).collect();
    if !changed.is_empty() {
        changed.push(("updated_at", now.into()));
        tx.update("memos", params![id(memo_id)], changed).await?;
    }
    Ok(())
}

/// Deletes a memo, also one of a book that was taken off the shelf; `false`
/// when the reader has none of this id.
pub async fn delete(tx: &mut Tx, reader: ReaderId, memo_id: MemoId) -> Result<bool, DbError> {
    let sql = "select id from memos where id = ? and user_id = ?";
    if tx.query_first(sql, params![id(memo_id), id(reader)]).await?.is_none() {
        return Ok(false);
    }
    tx.delete("memos", params![id(memo_id)]).await
}

/// A reader's memos of one book, or of a span of it, in the order of their time.
pub async fn of_book(
    db: &mut Db,
    reader: ReaderId,
    book: UserBookId,
    span: Option<Span>,
) -> Result<Vec<Memo>, DbError> {
    let mut sql = format!("{SELECT} where m.user_book_id = ? and m.user_id = ?");
    let mut values = params![id(book), id(reader)];
    if let Some(span) = span {
        sql.push_str(" and m.started_at >= ? and m.started_at < ?");
        values.extend(params![span.from, span.until]);
    }
    sql.push_str(" order by m.started_at, m.created_at, m.id");
    db.query(&sql, values).await?.iter().map(memo).collect()
}

/// A reader's memos of a span of time, or all of them, in the order of their
/// time.
pub async fn of_span(
    db: &mut Db,
    reader: ReaderId,
    span: Option<Span>,
) -> Result<Vec<Memo>, DbError> {
    let mut sql = format!("{SELECT} where m.user_id = ?");
    let mut values = params![id(reader)];
    if let Some(span) = span {
        sql.push_str(" and m.started_at >= ? and m.started_at < ?");
        values.extend(params![span.from, span.until]);
    }
    sql.push_str(" order by m.started_at, m.created_at, m.id");
    db.query(&sql, values).await?.iter().map(memo).collect()
}

/// When a reader's memos of a span were written.
pub async fn times(db: &mut Db, reader: ReaderId, span: Span) -> Result<Vec<UnixMicros>, DbError> {
    let sql = "select m.started_at as started_at \
         from memos m join user_books b on b.id = m.user_book_id and b.user_id = m.user_id \
         where m.user_id = ? and m.started_at >= ? and m.started_at < ? order by m.started_at";
    let rows = db.query(sql, params![id(reader), span.from, span.until]).await?;
    rows.iter().map(|row| row.get("started_at")).collect()
}
