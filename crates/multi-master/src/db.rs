//! The handles that closures of reads and writes get.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use stdx::{Clock, HybridClock, HybridTime, UnixMicros};
use uuid::Uuid;

use crate::error::{DbError, TxId};
use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Dialect, Rows, Statement};
use crate::schema::{Schema, TableInfo};
use crate::shared::Shared;
use crate::value::{Row, Value};
use crate::write_set::{self, Change, Image, Journal};

/// What one write may change, rows before and after counted, as the marker holds
/// it: written as hexadecimal it fits the 16 MiB that MariaDB takes by default.
const MARKER_BYTES_MAX: usize = 6 << 20;

/// Writes of one group share a marker, and with it a transaction id, until it has
/// as many bytes. A master that catches up holds some hundred markers in memory.
pub(crate) const SHARED_MARKER_BYTES: usize = 64 << 10;

/// Microseconds since 1970, whatever the time zone of the session.
const NOW: &str = "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) as now_us";

/// Reads from one master, all from one moment.
pub struct Db {
    pub(crate) link: Link,
    schema: Arc<Schema>,
    store_id: Uuid,
    /// The machine's clock.
    clock: Clock,
    locking: bool,
    /// The master that it reads from, and the epoch when that was chosen.
    from: Option<(Arc<Shared>, usize, u64)>,
    /// Why the first statement that failed did. After it nothing more is done.
    pub(crate) fault: Option<Fault>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Db {
    /// Reads from master `at`, while it serves under this epoch.
    pub(crate) fn reading_from(link: Link, shared: &Arc<Shared>, at: usize, epoch: u64) -> Self {
        Self {
            locking: false,
            from: Some((Arc::clone(shared), at, epoch)),
            ..Self::of(link, shared)
        }
    }

    fn of(link: Link, shared: &Shared) -> Self {
        let (schema, store_id) = (Arc::clone(&shared.schema), shared.set.get().copied());
        let store_id = store_id.unwrap_or_default();
        let clock = shared.clock.machine().clone();
        Self { link, schema, store_id, clock, locking: true, from: None, fault: None }
    }

    /// Which store this is. One that was made of a backup, or moved to other masters, is
    /// another one: what is counted in rows may have been counted before.
    #[must_use]
    pub const fn store_id(&self) -> Uuid {
        self.store_id
    }

    /// What time it is by the clock of the database that is read here: the server's,
    /// and for SQLite files, which one process uses, the machine's
    /// ([`crate::Config::clock`]). Processes that compare times in rows compare them by
    /// one clock then. Servers that follow each other as the primary have clocks of their
    /// own: nothing may be *safe* only because they agree.
    ///
    /// # Errors
    /// Those of [`Self::query`].
    pub async fn now(&mut self) -> Result<UnixMicros, DbError> {
        if self.link.dialect() == Dialect::Sqlite {
            return Ok(self.clock.now());
        }
        self.sound()?;
        let rows = self.select(NOW, &[]).await.map_err(|fault| self.fail(fault))?;
        let row = rows.first().ok_or_else(|| DbError::Shape("no answer to what time it is".into()));
        self.known(row.and_then(|row| row.get("now_us")))
    }

    /// Runs a `select` that both engines understand; `?` stands for a parameter.
    ///
    /// Inside a write it reads from the primary, sees the write's own changes,
    /// and holds the rows that it read until the write ends. (On MariaDB the
    /// absence of a row is not held: unique indexes decide there.)
    ///
    /// # Errors
    /// [`DbError::Statement`] when the engine refuses the SQL;
    /// [`DbError::Misuse`] when it is no `select`.
    pub async fn query(&mut self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, DbError> {
        self.sound()?;
        if !sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select")) {
            return Err(self.fail(Fault::Refused(DbError::Misuse(
                "a read must be a `select`: changes go through insert, update and delete",
            ))));
        }
        let rows = if self.locking {
            self.link.query_locked(sql, &params).await
        } else {
            self.select(sql, &params).await
        };
        rows.map_err(|fault| self.fail(fault))
    }

    /// The first row of a `select`, where there is one.
    pub async fn query_first(
        &mut self,
        sql: &str,
        params: Vec<Value>,
    ) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The row of `table` with this primary key: all columns, `_v` and `_d`.
    pub async fn get(&mut self, table: &str, key: Vec<Value>) -> Result<Option<Row>, DbError> {
        let schema = Arc::clone(&self.schema);
        let info = self.known(schema.table(table))?;
        self.known(info.check_key(&key))?;
        self.row(info, &key).await
    }

    async fn row(&mut self, info: &TableInfo, key: &[Value]) -> Result<Option<Row>, DbError> {
        self.sound()?;
        let row = if self.locking {
            self.link.get_locked(info, key).await
        } else {
            self.select(&info.sql.select, key).await.map(|rows| rows.into_iter().next())
        };
        row.map_err(|fault| self.fail(fault))
    }

    /// This process may have stood, or waited for a connection, for so long that the
    /// master was taken out, and emptied to be filled: that is no part of what a
    /// transaction that reads is kept from.
    async fn select(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Fault> {
        let rows = self.link.query(sql, params).await;
        match &self.from {
            Some((shared, at, epoch))
                if !matches!(rows, Err(Fault::Lost(_))) && !shared.may_read(*at, *epoch) =>
            {
                Err(Fault::Moved)
            }
            _ => rows,
        }
    }

    fn sound(&self) -> Result<(), DbError> {
        if self.fault.is_some() {
            return Err(DbError::Misuse(
                "a statement failed before: what it belongs to is lost, return its error",
            ));
        }
        Ok(())
    }

    fn fail(&mut self, fault: Fault) -> DbError {
        self.fault.get_or_insert(fault).clone().into()
    }

    /// An error of the program's making also ends the transaction.
    fn known<T>(&mut self, result: Result<T, DbError>) -> Result<T, DbError> {
        result.map_err(|error| self.fail(Fault::Refused(error)))
    }
}

/// One write: row operations that become one transaction on every master.
///
/// After the first error the write is lost whatever the closure does: further
/// calls return [`DbError::Misuse`], and nothing is saved.
#[derive(Debug)]
pub struct Tx {
    db: Db,
    clock: HybridClock,
    set: WriteSet,
    /// How many of its statements went through.
    done: usize,
}

impl Deref for Tx {
    type Target = Db;
    fn deref(&self) -> &Db {
        &self.db
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Db {
        &mut self.db
    }
}

/// What a write did, in order, ready for the other masters and for a marker.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    pub(crate) statements: Vec<Statement>,
    pub(crate) journal: Journal,
    /// Rows that were inserted, perhaps where another process deleted one before.
    pub(crate) inserted: Inserted,
}

/// By table and key, as `mm_tombstones` has them: at which version the row was
/// inserted, and nothing where it was deleted after that.
pub(crate) type Inserted = BTreeMap<(&'static str, Vec<u8>), Option<HybridTime>>;

impl WriteSet {
    /// Adds what came after it.
    pub(crate) fn append(&mut self, later: Self) {
        self.statements.extend(later.statements);
        self.journal.append(later.journal);
        self.inserted.extend(later.inserted);
    }
}

impl Tx {
    pub(crate) fn new(link: Link, shared: &Shared) -> Self {
        let (db, clock) = (Db::of(link, shared), shared.clock.clone());
        Self { db, clock, set: WriteSet::default(), done: 0 }
    }

    /// Whether it changed something on the primary.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.done > 0
    }

    /// Gives the connection back.
    pub(crate) fn into_link(self) -> Link {
        self.db.link
    }

    /// Inserts a row. Columns that are not named are null.
    ///
    /// # Errors
    /// [`DbError::Duplicate`], now or when the write ends: engines that save
    /// round trips send it later. [`DbError::Shape`] for a value that doesn't
    /// fit its column.
    pub async fn insert(
        &mut self,
        table: &'static str,
        fields: Vec<(&'static str, Value)>,
    ) -> Result<(), DbError> {
        self.db.sound()?;
        let schema = Arc::clone(&self.db.schema);
        let info = self.db.known(schema.table(table))?;
        let row = self.db.known(info.row(fields))?;
        let after = Image { row, version: self.clock.tick() };
        self.set.journal.add(info, &Change::Insert { after: &after });
        if self.db.link.dialect() == Dialect::Sqlite {
            return self.apply(write_set::insert(info, after)).await;
        }
        let (key, row) = (info.key_of(&after.row), info.as_row(after.clone()));
        let at = (info.name, write_set::key_bytes(&key));
        self.set.inserted.insert(at, Some(after.version));
        self.apply(write_set::insert(info, after)).await?;
        self.db.link.changed(info, &key, Some(&row));
        Ok(())
    }

    /// Sets the named fields of the row with this primary key, and returns the
    /// row as it now is. A row whose fields have these values already is left
    /// as it is, with its version.
    ///
    /// # Errors
    /// [`DbError::Missing`] when there is none; [`DbError::Shape`] for a value
    /// that doesn't fit its column or for a change of the key.
    pub async fn update(
        &mut self,
        table: &'static str,
        key: Vec<Value>,
        fields: Vec<(&'static str, Value)>,
    ) -> Result<Row, DbError> {
        self.db.sound()?;
        let schema = Arc::clone(&self.db.schema);
        let info = self.db.known(schema.table(table))?;
        let Some(before) = self.image(info, &key).await? else {
            return Err(self.db.fail(Fault::Missing { table, key: format!("{key:?}") }));
        };
        let mut row = before.row.clone();
        self.db.known(info.set(&mut row, fields))?;
        if info.key_of(&row) != key {
            return Err(self.db.fail(Fault::Refused(DbError::Shape(format!(
                "the primary key of `{table}` can't be changed: delete the row and insert another"
            )))));
        }
        if row == before.row {
            return Ok(info.as_row(before));
        }
        let after = Image { row, version: self.clock.tick_after(before.version) };
        self.set.journal.add(info, &Change::Update { before: &before, after: &after });
        let changed: Vec<usize> =
            (0..after.row.len()).filter(|&at| before.row[at] != after.row[at]).collect();
        self.apply(write_set::update(info, &key, &changed, &after, before.version)).await?;
        let row = info.as_row(after);
        self.db.link.changed(info, &key, Some(&row));
        Ok(row)
    }

    /// Deletes the row with this primary key; `false` when there is none.
    pub async fn delete(&mut self, table: &'static str, key: Vec<Value>) -> Result<bool, DbError> {
        self.db.sound()?;
        let schema = Arc::clone(&self.db.schema);
        let info = self.db.known(schema.table(table))?;
        let Some(before) = self.image(info, &key).await? else { return Ok(false) };
        let version = self.clock.tick_after(before.version);
        self.set.journal.add(info, &Change::Delete { before: &before, version });
        if self.db.link.dialect() != Dialect::Sqlite {
            self.set.inserted.insert((info.name, write_set::key_bytes(&key)), None);
        }
        self.apply(write_set::delete(info, &key, before.version)).await?;
        self.apply(write_set::tombstone(info.name, &key, version)).await?;
        self.db.link.changed(info, &key, None);
        Ok(true)
    }

    /// The row as this transaction sees and holds it.
    async fn image(&mut self, info: &TableInfo, key: &[Value]) -> Result<Option<Image>, DbError> {
        self.db.known(info.check_key(key))?;
        let row = self.db.row(info, key).await?;
        let image = match row {
            Some(row) => Some(self.db.known(Image::of(info, row))?),
            None => None,
        };
        Ok(image)
    }

    async fn apply(&mut self, statement: Statement) -> Result<(), DbError> {
        if let Err(fault) = self.db.link.push(&statement).await {
            return Err(self.db.fail(fault));
        }
        self.done += 1;
        self.set.statements.push(statement);
        Ok(())
    }

    /// What was done, once the closure has returned. `None` when nothing was
    /// changed.
    pub(crate) fn write_set(&mut self) -> Result<Option<WriteSet>, Fault> {
        let set = std::mem::take(&mut self.set);
        if set.journal.len() > MARKER_BYTES_MAX {
            return Err(Fault::Refused(DbError::Shape(format!(
                "one write changes {} bytes, and at most {MARKER_BYTES_MAX} are taken: make it \
                 several",
                set.journal.len()
            ))));
        }
        Ok((!set.journal.is_empty()).then_some(set))
    }
}

/// The proof of commit on a master, and the journal for one that is away.
pub(crate) fn marker(txid: TxId, epoch: u64, ops: Vec<u8>) -> Statement {
    Statement {
        sql: "insert into mm_log (txid, epoch, aborted, ops) values (?, ?, 0, ?)".into(),
        params: vec![
            crate::value::id(txid),
            Value::Int(i64::try_from(epoch).expect("epochs are counted up from 1")),
            Value::Bytes(ops),
        ],
        rows: Rows::One,
        table: "mm_log",
    }
}

impl Image {
    /// From an answer to the table's `select`: all columns, `_v`, `_d`.
    pub(crate) fn of(info: &TableInfo, row: Row) -> Result<Self, DbError> {
        let version = row.get("_v")?;
        let mut values = row.into_values();
        values.truncate(info.columns.len());
        Ok(Self { row: values, version })
    }
}

impl TableInfo {
    fn as_row(&self, image: Image) -> Row {
        let digest = write_set::digest(self, &image.row);
        let mut values = image.row;
        values.push(image.version.into());
        values.push(Value::Int(digest));
        Row::new(Arc::clone(&self.sql.names), values)
    }
}
