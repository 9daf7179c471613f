//! A connection to one master, of either kind.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::Fault;
use crate::mysql::MySqlLink;
use crate::named_lock::NamedLock;
use crate::numbers::Meter;
use crate::render::{Dialect, Statement};
use crate::sabotage::{Bug, is};
use crate::schema::TableInfo;
use crate::shared::Shared;
use crate::sqlite::SqliteLink;
use crate::value::{Row, Value};

/// For how long a barrier keeps others waiting, at first, for those that are under
/// way, and in the end.
const BARRIER_WAIT: Duration = Duration::from_millis(50);
const BARRIER_WAIT_MAX: Duration = Duration::from_millis(1_600);

/// A connection. The futures of a SQLite link are ready at once: its work is
/// done in the call.
#[derive(Debug)]
pub(crate) enum Link {
    Sqlite(SqliteLink),
    MySql(Box<MySqlLink>),
}

impl Link {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(link) => link.dialect(),
        }
    }

    /// Statements and commits are counted on this meter from now on.
    pub(crate) fn count_on(&mut self, meter: &Arc<Meter>) {
        match self {
            Self::Sqlite(link) => link.count_on(meter),
            Self::MySql(link) => link.count_on(meter),
        }
    }

    /// Runs a `select`. On MariaDB everything that was put off is sent first.
    pub(crate) async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Fault> {
        match self {
            Self::Sqlite(link) => link.query(sql, params),
            Self::MySql(link) => link.query(sql, params).await,
        }
    }

    /// Runs a `select` and holds the rows until the transaction ends.
    pub(crate) async fn query_locked(
        &mut self,
        sql: &str,
        params: &[Value],
    ) -> Result<Vec<Row>, Fault> {
        match self {
            // A SQLite transaction that writes holds all of the file.
            Self::Sqlite(link) => link.query(sql, params),
            Self::MySql(link) => link.query(&format!("{sql} for update"), params).await,
        }
    }

    /// The row with this key, which is held until the transaction ends.
    pub(crate) async fn get_locked(
        &mut self,
        info: &TableInfo,
        key: &[Value],
    ) -> Result<Option<Row>, Fault> {
        match self {
            Self::Sqlite(link) => Ok(link.query(&info.sql.select, key)?.into_iter().next()),
            Self::MySql(link) => link.get_locked(info, key).await,
        }
    }

    /// What the transaction made of a row: `None` where it took it away.
    pub(crate) fn changed(&mut self, info: &TableInfo, key: &[Value], row: Option<&Row>) {
        match self {
            // Asking for it again costs nothing.
            Self::Sqlite(_) => {}
            Self::MySql(link) => link.changed(info, key.to_vec(), row.cloned()),
        }
    }

    /// Runs a statement, or puts it off until an answer is needed.
    pub(crate) async fn push(&mut self, statement: &Statement) -> Result<(), Fault> {
        match self {
            Self::Sqlite(link) => link.execute(statement),
            Self::MySql(link) => link.push(statement).await,
        }
    }

    /// Sends what was put off and checks every answer.
    pub(crate) async fn flush(&mut self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::MySql(link) => link.flush().await,
        }
    }

    /// Runs SQL that has no parameters and no rows to count.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        match self {
            Self::Sqlite(link) => link.batch(sql),
            Self::MySql(link) => link.batch(sql).await,
        }
    }

    /// Changes tables, which may take as long as there are rows.
    pub(crate) async fn alter(&mut self, sql: &str) -> Result<(), Fault> {
        match self {
            Self::Sqlite(link) => link.batch(sql),
            Self::MySql(link) => link.alter(sql).await,
        }
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&mut self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(link) => link.batch("begin immediate"),
            Self::MySql(link) => link.batch("start transaction").await,
        }
    }

    /// Begins a transaction that writes, under this epoch, which stays in force until
    /// the transaction ends; [`Fault::Moved`] where another one is.
    pub(crate) async fn begin_under(&mut self, epoch: u64) -> Result<(), Fault> {
        self.begin().await?;
        let now = crate::tables::epoch_shared(self).await?;
        if now == Some(epoch) || is(Bug::NoEpochCheck) { Ok(()) } else { Err(Fault::Moved) }
    }

    /// Whether no other process brings this master back, as this one is about to do,
    /// until the connection is closed.
    pub(crate) async fn brings_alone(&mut self, shared: &Shared) -> Result<bool, Fault> {
        match self {
            // One process at a time has SQLite files open.
            Self::Sqlite(_) => Ok(true),
            Self::MySql(_) => NamedLock::Bring.take(shared, self).await,
        }
    }

    /// Begins a transaction that keeps all writers of the set waiting: it holds
    /// the epoch row, which each of them shares.
    ///
    /// On a server, whoever comes while it waits for those under way waits behind it.
    /// So it waits for a short time, lets them by, and waits again, each time for longer.
    pub(crate) async fn begin_barrier(&mut self) -> Result<(), Fault> {
        if let Self::Sqlite(_) = self {
            return self.begin().await;
        }
        let mut wait = BARRIER_WAIT;
        loop {
            match self.begin_barrier_within(wait).await {
                Err(Fault::Busy) if wait < BARRIER_WAIT_MAX => {
                    self.rollback().await?;
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                done => return done,
            }
        }
    }

    /// As [`Self::begin_barrier`], and waits for those under way only once, for this
    /// time: a server that counts such waits in seconds takes the next whole one.
    pub(crate) async fn begin_barrier_within(&mut self, wait: Duration) -> Result<(), Fault> {
        match self {
            Self::Sqlite(link) => link.batch("begin immediate"),
            Self::MySql(link) => link.begin_barrier(wait).await,
        }
    }

    pub(crate) async fn commit(&mut self) -> Result<(), Fault> {
        self.flush().await?;
        self.batch("commit").await
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), Fault> {
        if let Self::MySql(link) = self {
            link.end();
            #[cfg(feature = "faults")]
            if link.seems_rolled_back() {
                return Ok(());
            }
        }
        self.batch("rollback").await
    }
}
