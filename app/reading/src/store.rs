//! Rows: everything of this crate that is SQL.
//!
//! | module | what it has |
//! |---|---|
//! | [`schema`] | the tables, as migrations |
//! | [`books`] | the catalogue, which all readers share |
//! | [`shelf`] | the books on readers' shelves |
//! | [`memos`] | memos |
//! | [`requests`] | answers to requests that carried an idempotency key |
//!
//! All functions take a [`Db`](multi_master::Db) or a [`Tx`](multi_master::Tx)
//! and run inside the read or write that the caller opened. Every one on a
//! reader's rows takes the reader: an id of somebody else's row finds nothing.

pub mod schema;

pub mod books;

pub mod shelf;

pub mod memos;

pub mod requests;

use endpaper_api::reading::{Category, PurchaseType, TagCategory};
use jiff::civil::Date;
use multi_master::{DbError, Row};

use crate::isbn::BookKey;

/// A value of a column that the program could not have written.
fn strange(column: &str, value: &str) -> DbError {
    DbError::Shape(format!("column `{column}` holds {value:?}, which is none of its values"))
}

fn book_key(row: &Row) -> Result<BookKey, DbError> {
    let text: String = row.get("book_key")?;
    text.parse().map_err(|_| strange("book_key", &text))
}

fn day(row: &Row, column: &str) -> Result<Option<Date>, DbError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|_| strange(column, &text))).transpose()
}

fn category(row: &Row) -> Result<Category, DbError> {
    let text: String = row.get("category")?;
    let found = Category::ALL.into_iter().find(|category| category.name() == text);
    found.ok_or_else(|| strange("category", &text))
}

fn purchase_type(row: &Row) -> Result<Option<PurchaseType>, DbError> {
    let Some(text) = row.get::<Option<String>>("purchase_type")? else { return Ok(None) };
    let found = PurchaseType::ALL.into_iter().find(|way| way.name() == text);
    found.map(Some).ok_or_else(|| strange("purchase_type", &text))
}

fn tag_category(row: &Row) -> Result<Option<TagCategory>, DbError> {
    let Some(text) = row.get::<Option<String>>("tag_category")? else { return Ok(None) };
    let found = TagCategory::ALL.into_iter().find(|category| category.name() == text);
    found.map(Some).ok_or_else(|| strange("tag_category", &text))
}

/// `?, ?, ?` for a list of parameters.
fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

#[cfg(test)]
mod tests {
    use multi_master::{Config, MultiMaster, Policy};

    use super::*;
    use crate::MIGRATIONS;

    #[tokio::test]
    async fn a_few_rows_by_their_ids_are_found_without_looking_through_all_of_a_reader() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config::embedded(directory.path(), Policy::Available);
        MultiMaster::open(config, MIGRATIONS).await.unwrap().close().await;
        let file = rusqlite::Connection::open(directory.path().join("a.db")).unwrap();
        for (sql, wanted) in [
            (memos::drafts_sql(2), "SEARCH memos USING PRIMARY KEY (id=?)"),
            (shelf::some_sql(2), "SEARCH b USING PRIMARY KEY (id=?)"),
        ] {
            let mut plan = file.prepare(&format!("explain query plan {sql}")).unwrap();
            let steps = plan.query_map([[1_u8; 16], [2; 16]], |row| row.get("detail")).unwrap();
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            assert_eq!(steps, [wanted], "{sql}");
        }
    }
}
