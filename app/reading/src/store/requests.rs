//! Answers to requests that carried an idempotency key.

use multi_master::{Db, DbError, Tx, fields, id, params};
use stdx::UnixMicros;

use crate::model::ReaderId;

/// What was answered to the first request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// SHA-256 of the first request's body.
    pub body_digest: Vec<u8>,
    /// The answer, as it went out.
    pub answer: String,
}

/// What was answered to the first request of a reader with a key.
pub async fn find(db: &mut Db, reader: ReaderId, key: &str) -> Result<Option<Answered>, DbError> {
    let Some(row) = db.get("memo_requests", params![id(reader), key]).await? else {
        return Ok(None);
    };
    Ok(Some(Answered { body_digest: row.get("body_digest")?, answer: row.get("answer")? }))
}

/// Keeps the answer to the first request with a key.
pub async fn insert(
    tx: &mut Tx,
    reader: ReaderId,
    key: &str,
    body_digest: &[u8; 32],
    answer: &str,
    now: UnixMicros,
) -> Result<(), DbError> {
    let row = fields! {
        "user_id" => id(reader),
        "request_key" => key,
        "body_digest" => body_digest.as_slice(),
        "answer" => answer,
        "answered_at" => now,
    };
    tx.insert("memo_requests", row).await
}

/// Forgets at most `at_most` of a reader's answers from before `before`.
pub async fn forget(
    tx: &mut Tx,
    reader: ReaderId,
    before: UnixMicros,
    at_most: u32,
) -> Result<(), DbError> {
    let sql = "select request_key from memo_requests \
         where user_id = ? and answered_at < ? order by answered_at limit ?";
    for row in tx.query(sql, params![id(reader), before, at_most]).await? {
        let key: String = row.get("request_key")?;
        tx.delete("memo_requests", params![id(reader), key]).await?;
    }
    Ok(())
}
