//! The file: records, operations, the session, the log; and everything that is SQL.
//!
//! | table | a row is |
//! |---|---|
//! | `session` | the one [`Session`] |
//! | `records` | a record: what the server said last, and what the person sees |
//! | `operations` | an edit that is not settled |
//! | `log` | what became of an operation; the last 1,000 |
//!
//! Fields, operations and the session are stored as JSON: a person with `sqlite3` can
//! read their memos whatever becomes of this program.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{
    Connection, OpenFlags, OptionalExtension as _, Row, Transaction, TransactionBehavior, params,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stdx::ids::Id as _;
use sync::engine::{LOG_MAX, Logged, Persist, Saved, Session};
use sync::model::{AccountId, Fields, RecordId, RecordKey, Version};
use sync::queue::{Known, Queued};
use uuid::Uuid;

/// "Epap": what marks the file as ours.
const APPLICATION: i64 = 0x4570_6170;
/// The form of the tables.
const FORM: i64 = 1;
/// How long one process waits for another one's write.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// Statements that stay prepared.
const STATEMENTS: usize = 32;

const SCHEMA: &str = "
    create table session (one integer primary key check (one = 1), body text not null) strict;
    create table records (
        table_name text not null,
        id blob not null,
        -- What the server said last; version and generation are null where it said nothing.
        version integer,
        generation integer,
        known text,
        -- What the person sees, where that is something else; null where it is deleted.
        is_other integer not null,
        shown text,
        primary key (table_name, id)
    ) strict, without rowid;
    create table operations (
        id blob primary key,
        table_name text not null,
        record_id blob not null,
        body text not null
    ) strict, without rowid;
    create index operations_record on operations (table_name, record_id);
    create table log (number integer primary key, body text not null) strict;
";

/// Why the file could not be used. Nothing of the call was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("{path}: the disk is full: make room; nothing that was saved is lost")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process has been writing for too long.
    #[error("{path}: another process has been writing for {BUSY_MAX:?}: try again")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It is another program's file.
    #[error("{path} is no store of a device: choose another file")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a newer program.
    #[error("{path} was written by a newer program (form {form}): update this one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its form.
        form: i64,
    },
    /// It is of another account.
    #[error("{path} belongs to the account {theirs}, and not to {ours}")]
    OtherAccount {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        theirs: AccountId,
        /// For whom it was opened.
        ours: AccountId,
    },
    /// Something in it can't be read. It is left as it is.
    #[error("{path}: {what} can't be read: {why}; keep a copy of the file and ask for help")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Which row.
        what: String,
        /// Why.
        why: String,
    },
    /// The file can't be opened or written.
    #[error("{path}: {why}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
}

/// The file, opened.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    connection: Connection,
    /// There was no room for the file that processes share: while this has the file open,
    /// no other process does.
    is_alone: bool,
}

impl Store {
    /// Opens it, and makes it where it is not there; `made` is the session that it then
    /// begins with.
    pub(crate) fn open(path: &Path, made: &Session) -> Result<Self, StoreError> {
        let io = |error: std::io::Error| StoreError::Io {
            path: path.to_owned(),
            why: error.to_string(),
        };
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(io)?;
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // What a person writes is nobody else's.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let is_new = !path.exists();
        drop(options.open(path).map_err(io)?);
        if is_new && cfg!(unix) {
            // The file is there after a power cut, too.
            std::fs::File::open(directory).and_then(|file| file.sync_all()).map_err(io)?;
        }
        let flags = OpenFlags::default();
        match Self::of(Connection::open_with_flags(path, flags), path, false, made) {
            // What is there can be read all the same.
            Err(StoreError::Full { .. }) if cfg!(unix) => {
                let alone = Connection::open_with_flags_and_vfs(path, flags, c"unix-excl");
                Self::of(alone, path, true, made)
            }
            opened => opened,
        }
    }

    fn of(
        opened: rusqlite::Result<Connection>,
        path: &Path,
        is_alone: bool,
        made: &Session,
    ) -> Result<Self, StoreError> {
        let failed = |error: rusqlite::Error| failed(path, error);
        let connection = opened.map_err(failed)?;
        connection.busy_timeout(BUSY_MAX).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let mut store = Self { path: path.to_owned(), connection, is_alone };
        store.make(made)?;
        Ok(store)
    }

    /// Whoever has it open for long does not keep others away.
    pub(crate) fn may_stay_open(&self) -> Result<(), StoreError> {
        if self.is_alone { Err(StoreError::Full { path: self.path.clone() }) } else { Ok(()) }
    }

    fn make(&mut self, made: &Session) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| failed(&path, error);
        self.refuse_what_is_not_ours()?;
        self.connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        self.connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
        let writing = self.begin()?;
        if writing.number("application_id").map_err(failed)? == 0 {
            writing.tx.execute_batch(SCHEMA).map_err(failed)?;
            writing.tx.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
            writing.tx.pragma_update(None, "user_version", FORM).map_err(failed)?;
            writing.write(&Persist::Session(Box::new(made.clone())))?;
            return writing.commit();
        }
        let theirs = writing.session()?.account;
        let ours = made.account;
        if theirs == ours { Ok(()) } else { Err(StoreError::OtherAccount { path, theirs, ours }) }
    }

    /// Before anything is written: a file of somebody else stays as it is.
    fn refuse_what_is_not_ours(&self) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| failed(&self.path, error);
        let read = || -> rusqlite::Result<(i64, i64, i64)> {
            let number = |name| self.connection.pragma_query_value(None, name, |row| row.get(0));
            let tables = "select count(*) from sqlite_schema";
            let tables = self.connection.query_row(tables, [], |row| row.get(0))?;
            Ok((number("application_id")?, number("user_version")?, tables))
        };
        match read().map_err(failed)? {
            (0, 0, 0) | (APPLICATION, FORM, _) => Ok(()),
            (APPLICATION, form, _) => Err(StoreError::Newer { path: self.path.clone(), form }),
            _ => Err(StoreError::NotOurs { path: self.path.clone() }),
        }
    }

    /// Begins to write: until this is committed or dropped, nobody else does.
    pub(crate) fn begin(&mut self) -> Result<Writing<'_>, StoreError> {
        let path = &self.path;
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        Ok(Writing { path, tx: begun.map_err(|error| failed(path, error))? })
    }

    /// Reads, as it is at one moment.
    pub(crate) fn read<T>(
        &mut self,
        work: impl FnOnce(&Writing<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = &self.path;
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Deferred);
        work(&Writing { path, tx: begun.map_err(|error| failed(path, error))? })
    }
}

/// A transaction.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    path: &'a Path,
    tx: Transaction<'a>,
}

impl Writing<'_> {
    fn failed(&self, error: rusqlite::Error) -> StoreError {
        failed(self.path, error)
    }

    fn number(&self, pragma: &str) -> rusqlite::Result<i64> {
        self.tx.pragma_query_value(None, pragma, |row| row.get(0))
    }

    /// Another number than before means that somebody else has written meanwhile.
    pub(crate) fn others(&self) -> Result<i64, StoreError> {
        self.number("data_version").map_err(|error| self.failed(error))
    }

    pub(crate) fn commit(self) -> Result<(), StoreError> {
        let path = self.path;
        self.tx.commit().map_err(|error| failed(path, error))
    }

    fn unreadable(&self, what: impl Into<String>, why: &dyn std::fmt::Display) -> StoreError {
        let (path, what) = (self.path.to_owned(), what.into());
        StoreError::Unreadable { path, what, why: why.to_string() }
    }

    fn parse<T: DeserializeOwned>(&self, what: &str, json: &str) -> Result<T, StoreError> {
        serde_json::from_str(json).map_err(|why| self.unreadable(what, &why))
    }

    pub(crate) fn session(&self) -> Result<Session, StoreError> {
        let sql = "select body from session where one = 1";
        let body: Option<String> = self
            .tx
            .query_row(sql, [], |row| row.get(0))
            .optional()
            .map_err(|error| self.failed(error))?;
        let body = body.ok_or_else(|| self.unreadable("the session", &"it is missing"))?;
        self.parse("the session", &body)
    }

    /// The operations, and what the server said of their records.
    pub(crate) fn queue(&self) -> Result<(Vec<Queued>, BTreeMap<RecordKey, Known>), StoreError> {
        let sql = "select o.body, r.version, r.generation, r.known from operations o \
             left join records r on r.table_name = o.table_name and r.id = o.record_id";
        let mut statement = self.tx.prepare(sql).map_err(|error| self.failed(error))?;
        let mut rows = statement.query([]).map_err(|error| self.failed(error))?;
        let (mut operations, mut all) = (Vec::new(), BTreeMap::new());
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let body: String = row.get(0).map_err(|error| self.failed(error))?;
            let queued: Queued = self.parse("an operation", &body)?;
            let key = &queued.operation.key;
            if !all.contains_key(key)
                && let Some(known) = self.known(key, row, 1)?
            {
                all.insert(key.clone(), known);
            }
            operations.push(queued);
        }
        Ok((operations, all))
    }

    /// What the server said of a record, in three columns.
    fn known(
        &self,
        key: &RecordKey,
        row: &Row<'_>,
        at: usize,
    ) -> Result<Option<Known>, StoreError> {
        let read = || -> rusqlite::Result<(Option<i64>, Option<u32>, Option<String>)> {
            Ok((row.get(at)?, row.get(at + 1)?, row.get(at + 2)?))
        };
        let (version, generation, fields) = read().map_err(|error| self.failed(error))?;
        let Some((version, generation)) = version.zip(generation) else { return Ok(None) };
        let fields = fields.map(|json| self.parse(&key.to_string(), &json)).transpose()?;
        Ok(Some(Known { version: Version(version.cast_unsigned()), generation, fields }))
    }

    pub(crate) fn record(&self, key: &RecordKey) -> Result<Option<Saved>, StoreError> {
        let sql = "select version, generation, known, is_other, shown from records \
             where table_name = ? and id = ?";
        let failed = |error| self.failed(error);
        let mut statement = self.tx.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params![&*key.table, bytes(key.id)]).map_err(failed)?;
        let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
        self.saved(key, row, 0).map(Some)
    }

    fn saved(&self, key: &RecordKey, row: &Row<'_>, at: usize) -> Result<Saved, StoreError> {
        let known = self.known(key, row, at)?;
        let read = || -> rusqlite::Result<(bool, Option<String>)> {
            Ok((row.get(at + 3)?, row.get(at + 4)?))
        };
        let shown = match read().map_err(|error| self.failed(error))? {
            (false, _) => known.as_ref().and_then(|known| known.fields.clone()),
            (true, None) => None,
            (true, Some(json)) => Some(self.parse(&key.to_string(), &json)?),
        };
        Ok(Saved { known, shown })
    }

    /// What the person sees of a table, in the order of the ids.
    pub(crate) fn shown(&self, table: &str) -> Result<Vec<(RecordId, Fields)>, StoreError> {
        let sql = "select id, version, generation, known, is_other, shown from records \
             where table_name = ? \
             and case is_other when 1 then shown else known end is not null order by id";
        let failed = |error| self.failed(error);
        let mut statement = self.tx.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query([table]).map_err(failed)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let id: [u8; 16] = row.get(0).map_err(failed)?;
            let key =
                RecordKey { table: table.into(), id: RecordId::from_uuid(Uuid::from_bytes(id)) };
            if let Some(shown) = self.saved(&key, row, 1)?.shown {
                all.push((key.id, shown));
            }
        }
        Ok(all)
    }

    /// What the server said of records in versions after this one, deletions included.
    pub(crate) fn told_after(
        &self,
        version: Version,
    ) -> Result<Vec<(RecordKey, Known)>, StoreError> {
        let sql = "select table_name, id, version, generation, known from records \
             where version > ? or version < 0";
        let failed = |error| self.failed(error);
        let mut statement = self.tx.prepare(sql).map_err(failed)?;
        let after = i64::try_from(version.0).unwrap_or(i64::MAX);
        let mut rows = statement.query([after]).map_err(failed)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let (table, id): (String, [u8; 16]) =
                (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            let id = RecordId::from_uuid(Uuid::from_bytes(id));
            let key = RecordKey { table: table.into(), id };
            // What is greater than an integer of SQLite is stored as a negative one.
            let known = self.known(&key, row, 2)?;
            all.extend(known.filter(|known| known.version > version).map(|known| (key, known)));
        }
        Ok(all)
    }

    /// What became of operations, the last one first.
    pub(crate) fn log(&self) -> Result<Vec<Logged>, StoreError> {
        let failed = |error| self.failed(error);
        let sql = "select body from log order by number desc";
        let mut statement = self.tx.prepare(sql).map_err(failed)?;
        let bodies = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        bodies.map(|body| self.parse("an entry of the log", &body.map_err(failed)?)).collect()
    }

    /// Writes down what a step wants.
    pub(crate) fn write(&self, persist: &Persist) -> Result<(), StoreError> {
        self.put(persist).map_err(|error| self.failed(error))
    }

    fn put(&self, persist: &Persist) -> rusqlite::Result<()> {
        match persist {
            Persist::Session(session) => {
                let sql = "insert into session (one, body) values (1, ?) \
                     on conflict (one) do update set body = excluded.body";
                self.tx.prepare_cached(sql)?.execute([json(session)])?;
            }
            Persist::Record(key, saved) => self.put_record(key, saved)?,
            Persist::RecordGone(key) => {
                let sql = "delete from records where table_name = ? and id = ?";
                self.tx.prepare_cached(sql)?.execute(params![&*key.table, bytes(key.id)])?;
            }
            Persist::Operation(queued) => {
                let sql = "insert into operations (id, table_name, record_id, body) \
                     values (?, ?, ?, ?) on conflict (id) do update set \
                     table_name = excluded.table_name, record_id = excluded.record_id, \
                     body = excluded.body";
                let operation = &queued.operation;
                let (id, key) = (operation.id.uuid().into_bytes(), &operation.key);
                let row = params![id, &*key.table, bytes(key.id), json(queued)];
                self.tx.prepare_cached(sql)?.execute(row)?;
            }
            Persist::OperationGone(id) => {
                let sql = "delete from operations where id = ?";
                self.tx.prepare_cached(sql)?.execute([id.uuid().into_bytes()])?;
            }
            Persist::Log(number, logged) => {
                let sql = "insert or replace into log (number, body) values (?, ?)";
                let row = params![number.cast_signed(), json(logged)];
                self.tx.prepare_cached(sql)?.execute(row)?;
                let sql = "delete from log where number <= ?";
                let last = number.saturating_sub(LOG_MAX).cast_signed();
                self.tx.prepare_cached(sql)?.execute([last])?;
            }
            Persist::Forget { older_than } => {
                let sql = "delete from records where (generation is null or generation < ?) \
                     and not exists (select 1 from operations o where \
                     o.table_name = records.table_name and o.record_id = records.id)";
                self.tx.execute(sql, [older_than])?;
            }
        }
        Ok(())
    }

    fn put_record(&self, key: &RecordKey, saved: &Saved) -> rusqlite::Result<()> {
        let sql = "insert into records \
             (table_name, id, version, generation, known, is_other, shown) \
             values (?, ?, ?, ?, ?, ?, ?) on conflict (table_name, id) do update set \
             version = excluded.version, generation = excluded.generation, \
             known = excluded.known, is_other = excluded.is_other, shown = excluded.shown";
        let Saved { known, shown } = saved;
        let fields = known.as_ref().and_then(|known| known.fields.as_ref());
        let is_other = shown.as_ref() != fields;
        let row = params![
            &*key.table,
            bytes(key.id),
            known.as_ref().map(|known| known.version.0.cast_signed()),
            known.as_ref().map(|known| known.generation),
            fields.map(json),
            is_other,
            shown.as_ref().filter(|_| is_other).map(json),
        ];
        self.tx.prepare_cached(sql)?.execute(row).map(drop)
    }
}

fn bytes(id: RecordId) -> [u8; 16] {
    id.uuid().into_bytes()
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored has names for keys")
}

fn failed(path: &Path, error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    let path = path.to_owned();
    let unreadable = |what: &str, why: String| StoreError::Unreadable {
        path: path.clone(),
        what: what.to_owned(),
        why,
    };
    match error {
        rusqlite::Error::SqliteFailure(code, why) => match code.code {
            ErrorCode::DiskFull => StoreError::Full { path },
            // There was no room for the file that processes share.
            _ if code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                StoreError::Full { path }
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy { path },
            ErrorCode::NotADatabase => StoreError::NotOurs { path },
            ErrorCode::DatabaseCorrupt => unreadable("a page", code.to_string()),
            _ => {
                let why = why.unwrap_or_else(|| code.to_string());
                StoreError::Io { path, why: format!("{why} (SQLite {})", code.extended_code) }
            }
        },
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob | Type::Text, why) => {
            unreadable(&format!("column {column}"), why.to_string())
        }
        error => StoreError::Io { path, why: error.to_string() },
    }
}
