//! A connection to a SQLite file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};

use crate::error::DbError;
use crate::fault::Fault;
use crate::numbers::Meter;
use crate::render::Statement;
use crate::schema::Schema;
use crate::value::{Row, Value};

/// Prepared statements kept for each connection: more than a program has.
const STATEMENTS_KEPT: usize = 256;

#[derive(Debug)]
pub(crate) struct SqliteLink {
    connection: Connection,
    path: PathBuf,
    schema: Option<Arc<Schema>>,
    meter: Option<Arc<Meter>>,
}

/// Whether a file that is not there may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfAbsent {
    Create,
    Refuse,
}

impl SqliteLink {
    /// Opens the file, durable at each commit (`synchronous=FULL`, WAL).
    /// For at most `busy` it waits for another connection's transaction before it
    /// says [`Fault::Busy`].
    pub(crate) fn open(path: &Path, if_absent: IfAbsent, busy: Duration) -> Result<Self, Fault> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if if_absent == IfAbsent::Create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
            forget_deleted(path)
                .map_err(|error| Fault::Lost(format!("{}: {error}", path.display())))?;
        }
        let lost = |error: rusqlite::Error| Fault::Lost(format!("{}: {error}", path.display()));
        let connection = Connection::open_with_flags(path, flags).map_err(lost)?;
        connection.busy_timeout(busy).map_err(lost)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        let mode: String = connection
            .query_row("pragma journal_mode = wal", [], |row| row.get(0))
            .map_err(lost)?;
        if mode != "wal" {
            return Err(Fault::Lost(format!(
                "{}: no write-ahead log can be kept here (the journal is `{mode}`): use a local \
                 disk",
                path.display()
            )));
        }
        connection
            .execute_batch(
                "pragma synchronous = full; pragma foreign_keys = off; \
                 pragma trusted_schema = off; pragma wal_autocheckpoint = 4000;",
            )
            .map_err(lost)?;
        Ok(Self { connection, path: path.to_owned(), schema: None, meter: None })
    }

    /// Opens a file that is only read, and that nobody writes to.
    pub(crate) fn open_read_only(path: &Path) -> Result<Self, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let lost = |error: rusqlite::Error| Fault::Lost(error.to_string());
        let connection = Connection::open_with_flags(path, flags).map_err(lost)?;
        connection.execute_batch("pragma trusted_schema = off").map_err(lost)?;
        Ok(Self { connection, path: path.to_owned(), schema: None, meter: None })
    }

    /// With the tables known, a refused row can name its index.
    pub(crate) fn with_schema(mut self, schema: Arc<Schema>) -> Self {
        self.schema = Some(schema);
        self
    }

    pub(crate) fn count_on(&mut self, meter: &Arc<Meter>) {
        self.meter = Some(Arc::clone(meter));
    }

    fn counted<T>(&self, count: fn(&Meter, Duration), run: impl FnOnce() -> T) -> T {
        let Some(meter) = &self.meter else { return run() };
        let began = Instant::now();
        let ran = run();
        count(meter, began.elapsed());
        ran
    }

    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Fault> {
        let rows = self.counted(Meter::statement, || self.try_query(sql, params));
        rows.map_err(|error| self.fault(&error))
    }

    fn try_query(&self, sql: &str, params: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..columns.len())
                .map(|at| row.get_ref(at).and_then(|value| owned(value, at)))
                .collect::<rusqlite::Result<Vec<Value>>>()?;
            all.push(Row::new(Arc::clone(&columns), values));
        }
        Ok(all)
    }

    pub(crate) fn execute(&mut self, statement: &Statement) -> Result<(), Fault> {
        let execute = || {
            let mut prepared = self.connection.prepare_cached(&statement.sql)?;
            prepared.execute(rusqlite::params_from_iter(&statement.params))
        };
        let met = self.counted(Meter::statement, execute).map_err(|error| self.fault(&error))?;
        let met = met as u64;
        match statement.rows.must() {
            Some(must) if met != must => Err(Fault::Mismatch { table: statement.table, met, must }),
            _ => Ok(()),
        }
    }

    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        #[cfg(test)]
        if sql == "commit"
            && let Some(how) = super::broken::take(&self.path)
        {
            let end = if how == super::broken::Broken::Done { "commit" } else { "rollback" };
            self.connection.execute_batch(end).map_err(|error| self.fault(&error))?;
            return Err(Fault::Lost(format!("{how:?}: broken by a test")));
        }
        // The few statements that frame transactions are worth keeping prepared.
        let run = match sql {
            "commit" => self.counted(Meter::commit, || self.prepared(sql)),
            "begin" | "begin immediate" | "savepoint one" | "release one" => self.prepared(sql),
            "rollback" if self.connection.is_autocommit() => Ok(()),
            _ => self.connection.execute_batch(sql),
        };
        run.map_err(|error| self.fault(&error))
    }

    fn prepared(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn fault(&self, error: &rusqlite::Error) -> Fault {
        let rusqlite::Error::SqliteFailure(failure, message) = error else {
            return Fault::Refused(DbError::Statement(error.to_string()));
        };
        match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Fault::Busy,
            ErrorCode::ConstraintViolation => self.constraint(message.as_deref().unwrap_or("")),
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::OutOfMemory => Fault::Lost(format!("{}: {error}", self.path.display())),
            _ => Fault::Refused(DbError::Statement(error.to_string())),
        }
    }

    /// `UNIQUE constraint failed: memos.user_id, memos.tag`
    fn constraint(&self, message: &str) -> Fault {
        let Some(columns) = message.strip_prefix("UNIQUE constraint failed: ") else {
            return Fault::Refused(DbError::Statement(message.to_owned()));
        };
        let names: Vec<(&str, &str)> =
            columns.split(", ").filter_map(|column| column.split_once('.')).collect();
        let table = names.first().map_or("", |(table, _)| table);
        let columns: Vec<&str> = names.iter().map(|(_, column)| *column).collect();
        let index = self
            .schema
            .as_ref()
            .and_then(|schema| schema.table(table).ok()?.unique_over(&columns))
            .unwrap_or("primary key");
        Fault::Duplicate { table: table.to_owned(), index: index.to_owned() }
    }
}

/// Removes what the connections to a file shared that was deleted. They may still
/// be open in this process: SQLite would find that memory by its name, think that
/// it is nobody's, and cut it under them. (What is in it is made anew by whoever
/// opens the file.)
fn forget_deleted(path: &Path) -> std::io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let mut shared = path.as_os_str().to_owned();
    shared.push("-shm");
    match std::fs::remove_file(shared) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(int) => ValueRef::Integer(*int),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn owned(value: ValueRef<'_>, at: usize) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes)
                .map_err(|error| rusqlite::Error::Utf8Error(at, error))?;
            Value::Text(text.to_owned())
        }
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => {
            return Err(rusqlite::Error::InvalidColumnType(
                at,
                "floating point numbers are not used: two engines round them differently"
                    .to_owned(),
                rusqlite::types::Type::Real,
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the connections to a deleted file share must not be taken over by
    /// the connections to the file that is made in its place: SQLite would cut
    /// it under them, which ends the process.
    #[test]
    fn a_file_made_in_the_place_of_a_deleted_one_harms_nobody_who_has_that_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let open = |if_absent| SqliteLink::open(&path, if_absent, Duration::ZERO).unwrap();
        let mut old = open(IfAbsent::Create);
        old.batch("create table t (a int)").unwrap();
        for _ in 0..300 {
            old.batch("insert into t values (zeroblob(9000))").unwrap();
        }
        std::fs::remove_file(&path).unwrap();
        let mut new = open(IfAbsent::Create);
        new.batch("create table t (a int)").unwrap();
        for link in [&mut old, &mut new] {
            link.batch("insert into t values (1)").unwrap();
        }
        for (link, rows) in [(&mut old, 301), (&mut new, 1)] {
            let counted = link.query("select count(*) as n from t", &[]).unwrap();
            assert_eq!(counted[0].get::<i64>("n").unwrap(), rows);
        }
        drop(old);
        new.batch("insert into t values (2)").unwrap();
        drop(new);
        let kept = open(IfAbsent::Refuse).query("select a from t", &[]).unwrap();
        assert_eq!(kept.len(), 2);
    }
}
