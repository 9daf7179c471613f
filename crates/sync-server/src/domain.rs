//! What the program around the sync server gives it.

use std::collections::BTreeMap;

use multi_master::{Db, DbError, Tx};
use stdx::UnixMicros;
use sync::model::{AccountId, Fields, RecordId, RecordKey, Table};
use sync::operation::Operation;

/// Why an operation is refused; repeating it would not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A code that programs know.
    pub code: String,
    /// What a person can do.
    pub message: String,
}

impl Refusal {
    /// With this code and message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// A change of one record that is to be saved.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Whose record it is.
    pub account: AccountId,
    /// Which.
    pub key: &'a RecordKey,
    /// What it holds; none where it is not there.
    pub before: Option<&'a Fields>,
    /// What it shall hold; none where it is deleted.
    pub after: Option<&'a Fields>,
    /// The server's time.
    pub now: UnixMicros,
}

/// The program's tables, its rules and its rows.
///
/// Its functions await nothing but the handle that they are given.
#[expect(async_fn_in_trait, reason = "they run on the thread of their write or read")]
pub trait Domain: Send + Sync + 'static {
    /// The tables, without [`sync::merge::REVISIONS`]. A name has at most 40
    /// characters.
    fn tables(&self) -> &'static [Table];

    /// The version of the tables: devices say with each operation for which one it was
    /// made.
    fn schema(&self) -> u32;

    /// Makes an operation one of this schema, from an older one too, and its texts what
    /// they are stored as. The device is told what became of it.
    ///
    /// The names of its fields say of which schema they are, and not the operation's: a
    /// newer program may have mended what an older one wrote and was refused, or bring back
    /// what it was told long ago. So a field whose meaning changes gets another name, among
    /// the bases of an update too. Where records that are stored are upgraded,
    /// [`end_logs`](crate::end_logs) has every device ask for them. When and by whom a field
    /// was set is known by its name: under a new one it counts as set long ago, so that what
    /// a device set before, and sends only now, takes its place (a text is merged with it).
    ///
    /// # Errors
    /// [`Refusal`] where it can't be.
    fn upgrade(&self, operation: &mut Operation) -> Result<(), Refusal>;

    /// What records of one table hold, of those that the account has.
    ///
    /// # Errors
    /// Those of the store.
    async fn load(
        &self,
        db: &mut Db,
        account: AccountId,
        table: &'static str,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, Fields>, DbError>;

    /// Writes a change down, or refuses it before anything is written. Returns what
    /// the record holds then, where that is more or other than was to be saved: what
    /// follows from it by rules of the program. None where it is deleted.
    ///
    /// # Errors
    /// Those of the store. One that the change itself is to blame for, such as
    /// [`DbError::Duplicate`], becomes a refusal of this operation, without harm to
    /// others.
    async fn save(
        &self,
        tx: &mut Tx,
        change: &Change<'_>,
    ) -> Result<Result<Option<Fields>, Refusal>, DbError>;

    /// Some records of the account, at most `limit`, that have no row in
    /// [`crate::schema::RECORDS`]: those from before there was a sync server.
    ///
    /// # Errors
    /// Those of the store.
    async fn unlisted(
        &self,
        tx: &mut Tx,
        account: AccountId,
        table: &'static str,
        limit: u32,
    ) -> Result<Vec<RecordId>, DbError>;
}
