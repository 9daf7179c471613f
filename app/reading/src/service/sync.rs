//! Memos and the shelf for devices that edit offline.
//!
//! [`sync_server`] settles what they send and asks [`Synced`] to write it down. What
//! is changed by another way is noted by the functions here, in the same write.

use std::collections::BTreeMap;

use endpaper_api::sync::{HELD, MEMOS, SCHEMA, SHELF};
use endpaper_api::text::nfc;
use endpaper_api::{ErrorCode, FieldProblem, Language};
use multi_master::{Db, DbError, MultiMaster, Tx};
use stdx::ids::Id as _;
use stdx::{IdSource, UnixMicros};
use sync::model::{AccountId, Fields, RecordId, RecordKey, Table, Value};
use sync::operation::{Action, Operation};
use sync_server::domain::{Change, Domain, Refusal};
use sync_server::{Note, SyncError, SyncServer, note};

use super::memos::made_of;
use super::shelf::{New, change_as_asked, key_of, put_as_asked};
use super::{ReadingError, ReadingService};
use crate::model::{
    CONTENT_CHARS_MAX, DESCRIPTION_CHARS_MAX, Flaws, MemoDraft, MemoId, ReaderId, ShelfBook,
    UserBookId,
};
use crate::rules::{keys, synced};
use crate::store::{memos, shelf};

impl ReadingService {
    /// The server's half of sync, for the reader's devices.
    #[must_use]
    pub fn sync(&self) -> &SyncServer<Synced> {
        &self.0.sync
    }
}

/// Devices are told that the store went on without some of its writes, and bring back
/// what is missing of what they were told: see [`sync_server::end_logs`].
///
/// # Errors
/// Those of the store; it can be called again.
pub async fn end_logs(store: &MultiMaster) -> Result<(), SyncError> {
    sync_server::end_logs(store).await
}

/// The account of a reader.
#[must_use]
pub fn account(reader: ReaderId) -> AccountId {
    AccountId::from_uuid(reader.uuid())
}

fn key(table: &Table, id: impl stdx::ids::Id) -> RecordKey {
    RecordKey { table: table.name.into(), id: RecordId::from_uuid(id.uuid()) }
}

/// The code of the refusal of a book that was on the shelf before under another id.
pub const BOOK_WAS_ON_SHELF: &str = "BOOK_WAS_ON_SHELF";

/// Characters that become one when they are composed, about.
const DECOMPOSED_MAX: usize = 4;
/// Of every field but `content`.
const LONGEST_TEXT: u32 = DESCRIPTION_CHARS_MAX;

const MEMO_FIELDS: &[&str] = &names::<{ MEMOS.fields.len() }>(&MEMOS);
const SHELF_FIELDS: &[&str] = &names::<{ SHELF.fields.len() }>(&SHELF);

const fn names<const COUNT: usize>(table: &Table) -> [&'static str; COUNT] {
    let mut all = [""; COUNT];
    let mut at = 0;
    while at < COUNT {
        all[at] = table.fields[at].0;
        at += 1;
    }
    all
}

pub(super) async fn memos_written(
    tx: &mut Tx,
    reader: ReaderId,
    written: &[MemoId],
    now: UnixMicros,
) -> Result<(), DbError> {
    let all: Vec<_> =
        written.iter().map(|memo| (key(&MEMOS, *memo), Note::Set(MEMO_FIELDS))).collect();
    note(tx, account(reader), &all, now).await
}

pub(super) async fn memo_changed(
    tx: &mut Tx,
    reader: ReaderId,
    memo: MemoId,
    (old, new): (&MemoDraft, &MemoDraft),
    now: UnixMicros,
) -> Result<(), DbError> {
    let after = synced::memo(new);
    let changed = synced::changed(&synced::memo(old), &after);
    if changed.is_empty() {
        return Ok(());
    }
    note(tx, account(reader), &[(key(&MEMOS, memo), Note::Set(&changed))], now).await
}

pub(super) async fn memo_deleted(
    tx: &mut Tx,
    reader: ReaderId,
    memo: MemoId,
    now: UnixMicros,
) -> Result<(), DbError> {
    note(tx, account(reader), &[(key(&MEMOS, memo), Note::Deleted)], now).await
}

pub(super) async fn books_put(
    tx: &mut Tx,
    reader: ReaderId,
    books: &[ShelfBook],
    now: UnixMicros,
) -> Result<(), DbError> {
    let given: Vec<Vec<&str>> = books.iter().map(given).collect();
    let all: Vec<_> = books
        .iter()
        .zip(&given)
        .map(|(book, given)| (key(&SHELF, book.id), Note::Set(given)))
        .collect();
    note(tx, account(reader), &all, now).await
}

/// What somebody has said of a book that was put on the shelf.
fn given(book: &ShelfBook) -> Vec<&'static str> {
    let fields = synced::shelf_book(book);
    let said = |name: &&str| match (*name, fields.get(name)) {
        (_, None | Some(Value::Null)) | ("readingProgress", Some(Value::Int(0))) => false,
        ("category", _) => book.reading.by_hand,
        _ => true,
    };
    SHELF_FIELDS.iter().copied().filter(said).collect()
}

pub(super) async fn book_changed(
    tx: &mut Tx,
    reader: ReaderId,
    old: &ShelfBook,
    new: &ShelfBook,
    now: UnixMicros,
) -> Result<(), DbError> {
    let after = synced::shelf_book(new);
    let changed = synced::changed(&synced::shelf_book(old), &after);
    if changed.is_empty() {
        return Ok(());
    }
    note(tx, account(reader), &[(key(&SHELF, old.id), Note::Set(&changed))], now).await
}

pub(super) async fn book_taken_off(
    tx: &mut Tx,
    reader: ReaderId,
    book: UserBookId,
    now: UnixMicros,
) -> Result<(), DbError> {
    note(tx, account(reader), &[(key(&SHELF, book), Note::Deleted)], now).await
}

/// Writes down what devices have edited.
#[derive(Debug)]
pub struct Synced {
    ids: IdSource,
}

impl Synced {
    pub(super) const fn new(ids: IdSource) -> Self {
        Self { ids }
    }

    async fn save_memo(
        &self,
        tx: &mut Tx,
        change: &Change<'_>,
    ) -> Result<Result<Option<Fields>, Refusal>, ReadingError> {
        let reader = ReaderId::from_uuid(change.account.uuid());
        let memo = MemoId::from_uuid(change.key.id.uuid());
        let Some(after) = change.after else {
            memos::delete(tx, reader, memo).await?;
            return Ok(Ok(None));
        };
        let new = synced::draft(after)?;
        let Some(before) = change.before else {
            // A book that another device took off meanwhile keeps its memos: this one comes
            // back with it, as those do.
            let book = new.user_book_id;
            if shelf::get(tx, reader, book).await?.is_none()
                && !shelf::was_there(tx, reader, book).await?
            {
                return Err(ReadingError::UserBookNotFound);
            }
            let times = (change.now, change.now);
            memos::insert(tx, reader, memo, &new, &made_of(&new), times).await?;
            return Ok(Ok(Some(synced::memo(&new))));
        };
        let old = synced::draft(before)?;
        if (new.user_book_id, new.started_at) != (old.user_book_id, old.started_at) {
            let why = "the book and the time of a memo stay what they were: write another memo";
            return Ok(Err(Refusal::new(ErrorCode::ValidationFailed.as_str(), why)));
        }
        memos::update(tx, memo, &old, &new, change.now).await?;
        Ok(Ok(Some(synced::memo(&new))))
    }

    async fn save_book(
        &self,
        tx: &mut Tx,
        change: &Change<'_>,
    ) -> Result<Result<Option<Fields>, Refusal>, ReadingError> {
        let reader = ReaderId::from_uuid(change.account.uuid());
        let id = UserBookId::from_uuid(change.key.id.uuid());
        let Some(after) = change.after else {
            shelf::remove(tx, reader, id, change.now).await?;
            return Ok(Ok(None));
        };
        let book = if let Some(before) = change.before {
            let request = synced::change(before, after)?;
            let old = shelf::get(tx, reader, id).await?.ok_or(ReadingError::UserBookNotFound)?;
            change_as_asked(tx, reader, &old, &request, self.ids.next(), change.now).await?
        } else {
            let request = synced::shelve(after)?;
            let mut flaws = Flaws::default();
            let Some(key) = key_of(&request, &mut flaws) else {
                if flaws.as_slice().is_empty() {
                    flaws.add("title", FieldProblem::Required);
                }
                return Err(flaws.into());
            };
            match shelf::trace(tx, reader, &key).await? {
                Some(trace) if trace == id => {}
                Some(trace) => {
                    let why = format!(
                        "this book was on the shelf before, as {trace}, and its memos are under \
                         that id: put it back under it"
                    );
                    return Ok(Err(Refusal::new(BOOK_WAS_ON_SHELF, why)));
                }
                None if id.uuid().get_version_num() == 8
                    && keys::shelf_id(reader, &key) != Some(id) =>
                {
                    let why = format!("{id} is not the id of this book: make it anew");
                    return Ok(Err(Refusal::new(ErrorCode::ValidationFailed.as_str(), why)));
                }
                None => {}
            }
            let new = New {
                user_book_id: id,
                book_id: self.ids.next(),
                created_at: change.now,
                updated_at: change.now,
            };
            put_as_asked(tx, reader, &key, &request, new, change.now).await?
        };
        Ok(Ok(Some(synced::shelf_book(&book))))
    }
}

impl Domain for Synced {
    fn tables(&self) -> &'static [Table] {
        HELD
    }

    fn schema(&self) -> u32 {
        SCHEMA
    }

    fn upgrade(&self, operation: &mut Operation) -> Result<(), Refusal> {
        let id = operation.key.id;
        let follows_from_its_key = *operation.key.table == *SHELF.name;
        match id.uuid().get_version_num() {
            7 => {}
            8 if follows_from_its_key => {}
            _ => {
                let why = format!("{id} is no id: ids are UUIDs of version 7");
                return Err(Refusal::new(ErrorCode::ValidationFailed.as_str(), why));
            }
        }
        match &mut operation.action {
            Action::Create { fields } => composed(fields),
            Action::Update { fields, bases } => composed(fields).and_then(|()| composed(bases)),
            Action::Delete => Ok(()),
        }
    }

    async fn load(
        &self,
        db: &mut Db,
        account: AccountId,
        table: &'static str,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, Fields>, DbError> {
        let reader = ReaderId::from_uuid(account.uuid());
        if table == MEMOS.name {
            let ids: Vec<MemoId> = ids.iter().map(|id| MemoId::from_uuid(id.uuid())).collect();
            let drafts = memos::drafts(db, reader, &ids).await?.into_iter();
            Ok(drafts.map(|(id, draft)| (record(id), synced::memo(&draft))).collect())
        } else {
            let ids: Vec<_> = ids.iter().map(|id| UserBookId::from_uuid(id.uuid())).collect();
            let books = shelf::some(db, reader, &ids).await?.into_iter();
            Ok(books.map(|book| (record(book.id), synced::shelf_book(&book))).collect())
        }
    }

    async fn save(
        &self,
        tx: &mut Tx,
        change: &Change<'_>,
    ) -> Result<Result<Option<Fields>, Refusal>, DbError> {
        let saved = if *change.key.table == *MEMOS.name {
            self.save_memo(tx, change).await
        } else {
            self.save_book(tx, change).await
        };
        saved.or_else(|error| refusal(&error).map(Err))
    }

    async fn unlisted(
        &self,
        tx: &mut Tx,
        account: AccountId,
        table: &'static str,
        limit: u32,
    ) -> Result<Vec<RecordId>, DbError> {
        let reader = ReaderId::from_uuid(account.uuid());
        Ok(if table == MEMOS.name {
            memos::unlisted(tx, reader, limit).await?.into_iter().map(record).collect()
        } else {
            shelf::unlisted(tx, reader, limit).await?.into_iter().map(record).collect()
        })
    }
}

fn record(id: impl stdx::ids::Id) -> RecordId {
    RecordId::from_uuid(id.uuid())
}

/// Texts in the form NFC, as every text of a request is, and none that is too long to be
/// compared with another one.
fn composed(fields: &mut Fields) -> Result<(), Refusal> {
    let wrong = |name: &str, problem: FieldProblem| {
        let message = format!("{name}: {}", problem.message(Language::En));
        Refusal::new(ErrorCode::ValidationFailed.as_str(), message)
    };
    let mut composed = Fields::new();
    for (name, value) in fields.iter() {
        let max = if name == "content" { CONTENT_CHARS_MAX } else { LONGEST_TEXT };
        let value = match value {
            Value::Text(text) => {
                let too_long = || wrong(name, FieldProblem::TooLong { max });
                // Composed it can only be shorter, by some characters for one.
                if text.chars().nth(DECOMPOSED_MAX * max as usize).is_some() {
                    return Err(too_long());
                }
                let text = nfc(text).map_err(|problem| wrong(name, problem))?;
                if text.chars().nth(max as usize).is_some() {
                    return Err(too_long());
                }
                Value::from(text)
            }
            other => other.clone(),
        };
        composed.set(name, value);
    }
    *fields = composed;
    Ok(())
}

/// What a device is told; an error of the store is none of its doing.
fn refusal(error: &ReadingError) -> Result<Refusal, DbError> {
    let code = match error {
        ReadingError::Db(error) => return Err(error.clone()),
        ReadingError::Invalid(_) => {
            return Ok(Refusal::new(ErrorCode::ValidationFailed.as_str(), error.to_string()));
        }
        ReadingError::AlreadyOnShelf(existing) => {
            let code = ErrorCode::BookAlreadyOnShelf;
            let message = format!("{} ({existing})", code.message(Language::En));
            return Ok(Refusal::new(code.as_str(), message));
        }
        ReadingError::UserBookNotFound => ErrorCode::UserBookNotFound,
        ReadingError::IdTaken => ErrorCode::IdTaken,
        other => return Err(DbError::Shape(other.to_string())),
    };
    Ok(Refusal::new(code.as_str(), code.message(Language::En)))
}
