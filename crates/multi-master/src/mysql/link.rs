//! A connection to a MariaDB or MySQL server.
//!
//! Statements whose answers nobody needs yet are put off and sent together, in
//! one packet, when one is needed or at the end. The answers are then checked one
//! by one, or, where there are many, the server does that: see [`super::packet`].

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder};

use crate::config::Limits;
use crate::error::DbError;
use crate::fault::Fault;
use crate::mysql::known::KnownRows;
use crate::mysql::packet::{self, Expect, MET, MOVED, PutOff, Ready, compound};
use crate::numbers::Meter;
use crate::render::{Dialect, Statement, inline};
use crate::sabotage::{Bug, is};
use crate::schema::TableInfo;
use crate::shared::Stay;
use crate::timely::timely;
use crate::value::{Row, Value};

/// A packet is sent when it is longer; servers take at least 16 MiB.
const PACKET_BYTES_MAX: usize = 1 << 20;
/// From how many statements on a compound one is the cheaper, and up to how many:
/// the server keeps each of them in memory, compiled.
const COMPOUND: RangeInclusive<usize> = 3..=500;
/// What a compound statement has beside each of its parts.
const STATEMENT_MARGIN: usize = 200;
/// What a packet holds beside its statements.
const PACKET_MARGIN: usize = 1 << 10;
/// How long the server keeps a connection that says nothing: longer than the
/// pools do.
const WAIT_SECS: u64 = 600;
/// The most for which writers are held back.
const BARRIER_SECS: u64 = 60;
/// Changing the tables of a large store takes long.
const ALTER: Duration = Duration::from_hours(1);
/// "Duplicate column name" and "duplicate key name".
const DUPLICATE_COLUMN: u16 = 1060;
const DUPLICATE_INDEX: u16 = 1061;
/// "Duplicate entry", and what a `signal` without a number of its own is.
const DUPLICATE: u16 = 1062;
const SIGNALLED: u16 = 1644;
/// The character set of bytes that are no text.
const BINARY: u16 = 63;
/// Prepared statements kept for each connection.
const STATEMENTS_KEPT: usize = 256;

#[derive(Debug)]
pub(crate) struct MySqlLink {
    /// Gone after a failure: what a broken connection would answer next is
    /// not known.
    connection: Option<Conn>,
    dialect: Dialect,
    statement: Duration,
    commit: Duration,
    /// What the server takes at once.
    bytes_max: usize,
    /// An answer is waited for.
    awaits_answer: Arc<AtomicBool>,
    /// A statement's future was dropped before its answer came.
    abandoned: bool,
    /// Where the statements begin that can be taken back, while none of them was
    /// sent.
    mark: Option<Mark>,
    /// A lock was waited for too long in the transaction that is open.
    #[cfg(feature = "faults")]
    timed_out: bool,
    put_off: Vec<PutOff>,
    /// How long they are.
    bytes: usize,
    meter: Option<Arc<Meter>>,
    /// For how long answers are waited for, beside the limits.
    stay: Option<Stay>,
    known: KnownRows,
    lock_wait: Setting,
    /// Nobody is asked: it is only found out what is read first.
    scout: Option<Scout>,
}

/// How long a write waits for a row that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockWait {
    /// It does not. (MySQL knows no less than a second.)
    Not,
    Second,
}

impl LockWait {
    const fn secs(self, dialect: Dialect) -> u8 {
        match (self, dialect) {
            (Self::Not, Dialect::MariaDb) => 0,
            _ => 1,
        }
    }
}

/// What the session's limit on waiting for locks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Unknown,
    /// It is set with the next packet.
    PutOff(u8),
    InForce(u8),
}

/// The row that a write reads first, before it changes any: table and key.
#[derive(Debug, Default)]
struct Scout(Option<(&'static str, Vec<Value>)>);

/// For as long as an answer is waited for.
struct Awaited(Arc<AtomicBool>);

impl Awaited {
    fn begin(awaits_answer: &Arc<AtomicBool>) -> Self {
        awaits_answer.store(true, Ordering::Relaxed);
        Self(Arc::clone(awaits_answer))
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A place among the statements that were put off.
#[derive(Debug)]
struct Mark {
    statements: usize,
    bytes: usize,
}

impl MySqlLink {
    pub(crate) async fn connect(opts: &Opts, limits: &Limits) -> Result<Self, Fault> {
        let opts = OptsBuilder::from_opts(opts.clone())
            .client_found_rows(true)
            .prefer_socket(false)
            .tcp_nodelay(true)
            .stmt_cache_size(STATEMENTS_KEPT);
        let opts = Opts::from(opts);
        let place = format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port());
        // A server must give up on a lock before we give up on the server.
        let lock_wait_secs = limits.statement.as_secs().saturating_sub(1).max(1);
        let setup = format!(
            "set session transaction isolation level read committed; \
             set session innodb_lock_wait_timeout = {lock_wait_secs}, \
             sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, \
             wait_timeout = {WAIT_SECS}"
        );
        // A transaction of which the server hears no more holds its locks for no
        // longer: the network may have lost our end of it without a word. (MySQL
        // knows only `wait_timeout`.)
        let idle_secs = (limits.statement + limits.commit).as_secs();
        let idle = format!("set session idle_transaction_timeout = {idle_secs}");
        let open = async {
            let mut connection = Conn::new(opts).await?;
            let about: Option<(String, usize)> =
                connection.query_first("select version(), @@max_allowed_packet").await?;
            connection.query_drop(setup).await?;
            let (version, bytes_max) = about.unwrap_or_default();
            let dialect =
                if version.contains("MariaDB") { Dialect::MariaDb } else { Dialect::MySql };
            if dialect == Dialect::MariaDb {
                connection.query_drop(idle).await?;
            }
            Ok::<_, mysql_async::Error>((connection, dialect, bytes_max))
        };
        let (connection, dialect, bytes_max) = match timely(limits.connect, open).await {
            Some(Ok(open)) => open,
            Some(Err(error)) => return Err(Fault::Lost(not_open(&place, &error))),
            None => {
                return Err(Fault::Lost(format!(
                    "{place}: no database answered within {} ms",
                    limits.connect.as_millis()
                )));
            }
        };
        Ok(Self {
            connection: Some(connection),
            dialect,
            statement: limits.statement,
            commit: limits.commit,
            bytes_max,
            ..Self::without_server()
        })
    }

    /// For a closure that is run only up to its first statement.
    pub(super) fn scout() -> Self {
        Self { scout: Some(Scout::default()), ..Self::without_server() }
    }

    fn without_server() -> Self {
        Self {
            connection: None,
            dialect: Dialect::MariaDb,
            statement: Duration::ZERO,
            commit: Duration::ZERO,
            bytes_max: usize::MAX,
            awaits_answer: Arc::default(),
            abandoned: false,
            mark: None,
            #[cfg(feature = "faults")]
            timed_out: false,
            put_off: Vec::new(),
            bytes: 0,
            meter: None,
            stay: None,
            known: KnownRows::default(),
            lock_wait: Setting::Unknown,
            scout: None,
        }
    }

    /// What the closure reads first, where that is a row by its primary key.
    pub(super) fn found(&mut self) -> Option<(&'static str, Vec<Value>)> {
        self.scout.as_mut()?.0.take()
    }

    pub(crate) fn count_on(&mut self, meter: &Arc<Meter>) {
        self.meter = Some(Arc::clone(meter));
    }

    /// No answer is waited for any more when the master has been taken out: that is
    /// [`Fault::Moved`], and the connection is closed.
    pub(super) fn while_it_serves(&mut self, stay: Stay) {
        self.stay = Some(stay);
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Begins a transaction that writes, under this epoch, and waits so long for
    /// each lock.
    pub(crate) fn begin_write(&mut self, epoch: u64, wait: LockWait) {
        let secs = wait.secs(self.dialect);
        if self.lock_wait != Setting::InForce(secs) {
            let sql = format!("set session innodb_lock_wait_timeout = {secs}");
            self.put_off(sql, Expect::Anything);
            self.lock_wait = Setting::PutOff(secs);
        }
        self.put_off("start transaction", Expect::Anything);
        self.put_off(
            "select epoch from mm_epoch where id = 1 lock in share mode",
            Expect::Epoch(epoch),
        );
    }

    /// The transaction that comes may be idle for long, while something is done
    /// elsewhere.
    pub(crate) async fn be_patient(&mut self) -> Result<(), Fault> {
        if self.dialect == Dialect::MariaDb {
            let sql = format!("set session idle_transaction_timeout = {BARRIER_SECS}");
            self.batch(&sql).await?;
        }
        Ok(())
    }

    /// Begins a transaction that holds the epoch row, and waits so long for those who
    /// share it.
    pub(crate) async fn begin_barrier(&mut self, wait: Duration) -> Result<(), Fault> {
        const EPOCH: &str = "select epoch from mm_epoch where id = 1 for update";
        let wait = wait.min(self.statement / 2);
        self.be_patient().await?;
        if self.dialect == Dialect::MariaDb {
            self.batch("start transaction").await?;
            let secs = wait.as_secs_f64();
            self.batch(&format!("set statement max_statement_time = {secs:.3} for {EPOCH}")).await
        } else {
            // MySQL has no such limit for a statement that locks.
            let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            self.batch(&format!("set session innodb_lock_wait_timeout = {}", secs.max(1))).await?;
            self.lock_wait = Setting::Unknown;
            self.batch("start transaction").await?;
            self.batch(EPOCH).await
        }
    }

    /// Begins a transaction that reads, all from one moment.
    pub(crate) fn begin_read(&mut self) {
        self.put_off("set transaction isolation level repeatable read", Expect::Anything);
        self.put_off("start transaction read only", Expect::Anything);
    }

    fn put_off(&mut self, sql: impl Into<String>, expect: Expect) {
        self.add(PutOff::Text(sql.into(), expect));
    }

    fn add(&mut self, statement: PutOff) {
        self.bytes += statement.bytes() + STATEMENT_MARGIN;
        self.put_off.push(statement);
    }

    pub(crate) async fn push(&mut self, statement: &Statement) -> Result<(), Fault> {
        if self.scout.is_some() {
            return std::future::pending().await;
        }
        let statement = PutOff::Rows(statement.clone());
        let bytes = statement.bytes();
        if bytes + PACKET_MARGIN > self.bytes_max {
            return Err(Fault::Refused(DbError::Shape(format!(
                "a row of {bytes} bytes is larger than the server takes (max_allowed_packet is {})",
                self.bytes_max
            ))));
        }
        if self.bytes + bytes + PACKET_MARGIN > self.bytes_max {
            self.flush().await?;
        }
        self.add(statement);
        if self.bytes > PACKET_BYTES_MAX { self.flush().await } else { Ok(()) }
    }

    /// What comes from here on can be taken back until it is sent.
    pub(super) fn mark(&mut self) {
        self.known.mark();
        self.mark = Some(Mark { statements: self.put_off.len(), bytes: self.bytes });
    }

    /// Takes back what came after the mark; false where some of it was sent, or
    /// where what was sent before failed.
    pub(super) fn undo_to_mark(&mut self) -> bool {
        self.is_open() && self.take_back()
    }

    fn take_back(&mut self) -> bool {
        let Some(mark) = self.mark.take() else { return false };
        self.put_off.truncate(mark.statements);
        self.bytes = mark.bytes;
        self.known.undo_to_mark();
        true
    }

    /// Whether somebody waits for an answer of the server just now.
    pub(super) fn awaits_answer(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.awaits_answer)
    }

    /// The transaction ends, and what was put off is dropped.
    pub(crate) fn end(&mut self) {
        self.known.clear();
        self.forget();
        if let Setting::PutOff(_) = self.lock_wait {
            self.lock_wait = Setting::Unknown;
        }
    }

    fn forget(&mut self) {
        self.put_off.clear();
        self.bytes = 0;
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Fault> {
        if self.put_off.is_empty() {
            return Ok(());
        }
        self.send_packet(None).await.map(drop)
    }

    /// Sends what was put off, and a `select` after it.
    async fn send_packet(&mut self, select: Option<String>) -> Result<Vec<Row>, Fault> {
        // Where all of it came before the mark, that is now at the end of nothing.
        let mark = self.mark.take().is_some_and(|mark| mark.bytes == self.bytes);
        let statements = packet::join(&self.put_off, self.dialect);
        self.forget();
        let compound = self.dialect == Dialect::MariaDb && COMPOUND.contains(&statements.len());
        let limit = self.statement;
        let began = Instant::now();
        let sent = self
            .within(limit, async |connection: &mut Conn| {
                if compound {
                    send_compound(connection, &statements, select).await
                } else {
                    send_each(connection, &statements, select).await
                }
            })
            .await;
        self.count(Meter::statement, began);
        if mark && sent.is_ok() {
            self.mark();
        }
        if let Setting::PutOff(secs) = self.lock_wait {
            self.lock_wait = if sent.is_ok() { Setting::InForce(secs) } else { Setting::Unknown };
        }
        own(sent?)
    }

    fn count(&self, count: fn(&Meter, Duration), began: Instant) {
        if let Some(meter) = &self.meter {
            count(meter, began.elapsed());
        }
    }

    /// Runs one statement without parameters, after what was put off.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), Fault> {
        if sql != "commit" {
            return self.run(sql, self.statement, &[]).await;
        }
        // What was put off is counted by itself.
        self.flush().await?;
        let began = Instant::now();
        let done = self.run(sql, self.commit, &[]).await;
        self.known.clear();
        self.count(Meter::commit, began);
        done
    }

    /// Changes tables. A column or an index that is there already is no failure:
    /// a crash came between the change and the note that it is done.
    pub(crate) async fn alter(&mut self, sql: &str) -> Result<(), Fault> {
        self.run(sql, ALTER, &[DUPLICATE_COLUMN, DUPLICATE_INDEX]).await
    }

    async fn run(&mut self, sql: &str, limit: Duration, passed_over: &[u16]) -> Result<(), Fault> {
        self.flush().await?;
        self.within(limit, async |connection: &mut Conn| match connection.query_drop(sql).await {
            Err(mysql_async::Error::Server(error)) if passed_over.contains(&error.code) => Ok(()),
            done => done.map_err(|error| fault(error, "")),
        })
        .await
    }

    /// The row with this key, which is held until the transaction ends.
    pub(crate) async fn get_locked(
        &mut self,
        info: &TableInfo,
        key: &[Value],
    ) -> Result<Option<Row>, Fault> {
        if let Some(Scout(found)) = &mut self.scout {
            *found = Some((info.name, key.to_vec()));
            return std::future::pending().await;
        }
        if let Some(known) = self.known.get(info.name, key) {
            return Ok(known.row().cloned());
        }
        let rows = self.query(&format!("{} for update", info.sql.select), key).await?;
        let row = rows.into_iter().next();
        self.known.read(info.name, key.to_vec(), row.clone());
        Ok(row)
    }

    /// Reads rows of one table in one packet; they are known from here on, and held.
    pub(super) async fn read_ahead(
        &mut self,
        info: &TableInfo,
        keys: &BTreeSet<Vec<Value>>,
    ) -> Result<(), Fault> {
        // Of a small table all rows would be read, and waited for.
        let sql = format!(
            "select {} from {} force index (primary) where {} for update",
            info.sql.columns,
            info.name,
            info.one_of(keys.len(), self.dialect)
        );
        let params: Vec<Value> = keys.iter().flatten().cloned().collect();
        let mut select = String::new();
        inline(&mut select, &sql, &params);
        let rows = self.send_packet(Some(select)).await?;
        let there = rows.into_iter().map(|row| (info.key_of(row.values()), row));
        let mut there: BTreeMap<Vec<Value>, Row> = there.collect();
        for key in keys {
            self.known.read(info.name, key.clone(), there.remove(key));
        }
        Ok(())
    }

    /// What the transaction made of a row, when its statement is on its way.
    pub(crate) fn changed(&mut self, info: &TableInfo, key: Vec<Value>, row: Option<Row>) {
        self.known.changed(info.name, key, row);
    }

    pub(crate) async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Fault> {
        if self.scout.is_some() {
            return std::future::pending().await;
        }
        self.known.forget_absences();
        if !self.put_off.is_empty() && can_be_inlined(sql, params) {
            let mut select = String::new();
            inline(&mut select, sql, params);
            if self.bytes + select.len() + PACKET_MARGIN <= self.bytes_max {
                return self.send_packet(Some(select)).await;
            }
        }
        self.flush().await?;
        let params: Vec<mysql_async::Value> = params.iter().map(to_mysql).collect();
        let limit = self.statement;
        let began = Instant::now();
        let read = self.within(limit, async |connection: &mut Conn| {
            let params = if params.is_empty() {
                mysql_async::Params::Empty
            } else {
                mysql_async::Params::Positional(params.clone())
            };
            let rows: Vec<mysql_async::Row> =
                connection.exec(sql, params).await.map_err(|error| fault(error, ""))?;
            own(rows)
        });
        let read = read.await;
        self.count(Meter::statement, began);
        read
    }

    /// Gives the connection up where an answer doesn't come in time or can't be
    /// trusted, and where nobody waits for it any more.
    async fn within<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.abandoned {
            return Err(Fault::Refused(DbError::Misuse(
                "a statement's future was dropped before its answer came",
            )));
        }
        let Some(mut connection) = self.connection.take() else {
            return Err(Fault::Lost("the connection is closed".to_owned()));
        };
        self.abandoned = true;
        let awaited = Awaited::begin(&self.awaits_answer);
        let answered = tokio::select! {
            biased;
            answer = timely(limit, work(&mut connection)) => Some(answer.unwrap_or_else(|| {
                Err(Fault::Lost(format!("no answer within {} ms", limit.as_millis())))
            })),
            () = over(&mut self.stay) => None,
        };
        drop(awaited);
        self.abandoned = false;
        let open = !matches!(answered, None | Some(Err(Fault::Lost(_))));
        let result = answered.unwrap_or(Err(Fault::Moved));
        if result.is_err() {
            // Some errors end the transaction, and it is not told which.
            self.mark = None;
        }
        #[cfg(feature = "faults")]
        {
            self.timed_out = matches!(result, Err(Fault::Busy));
        }
        if open {
            self.connection = Some(connection);
        }
        result
    }

    /// Whether the server still answers, for a connection that was not used for
    /// a while.
    pub(crate) async fn answers(&mut self) -> bool {
        let limit = self.statement;
        let ping = self.within(limit, async |connection: &mut Conn| {
            connection.ping().await.map_err(|error| fault(error, ""))
        });
        ping.await.is_ok()
    }

    /// Whether somebody believes that the server has rolled back already.
    #[cfg(feature = "faults")]
    pub(crate) fn seems_rolled_back(&mut self) -> bool {
        std::mem::take(&mut self.timed_out) && is(Bug::StatementRolledBack)
    }

    /// Whether it can be used again.
    pub(crate) const fn is_open(&self) -> bool {
        self.connection.is_some()
    }
}

/// Sends statements as one, and perhaps a `select` after them.
async fn send_compound(
    connection: &mut Conn,
    statements: &[Ready],
    select: Option<String>,
) -> Result<Vec<mysql_async::Row>, Fault> {
    let packet = compound(statements, select);
    let error = match connection.query_iter(packet).await {
        Ok(mut answers) => match answers.collect::<mysql_async::Row>().await {
            Ok(_) => return answers.collect().await.map_err(|error| fault(error, "")),
            Err(error) => error,
        },
        Err(error) => error,
    };
    let mysql_async::Error::Server(server) = &error else { return Err(fault(error, "")) };
    if server.code == SIGNALLED {
        if server.message == MOVED {
            return Err(Fault::Moved);
        }
        let mut words = server.message.strip_prefix(MET).unwrap_or("").split_whitespace();
        let at = words.next().and_then(|at| at.parse().ok());
        let met = words.next().and_then(|rows| rows.parse().ok());
        if let (Some(met), Some(Expect::Rows(table, must))) =
            (met, at.and_then(|at: usize| statements.get(at)).map(|one| one.expect))
        {
            return Err(Fault::Mismatch { table, met, must });
        }
    }
    let mut at = None;
    if server.code == DUPLICATE {
        let told: Result<Option<Option<usize>>, _> = connection.query_first("select @mm_at").await;
        at = told.map_err(|error| fault(error, ""))?.flatten();
    }
    Err(fault(error, table(statements, at)))
}

/// Sends statements that answer one by one, and perhaps a `select` after them.
async fn send_each(
    connection: &mut Conn,
    statements: &[Ready],
    select: Option<String>,
) -> Result<Vec<mysql_async::Row>, Fault> {
    let all = statements.iter().map(|one| one.sql.as_str()).chain(select.as_deref());
    let packet = all.collect::<Vec<&str>>().join("; ");
    let mut answers = connection
        .query_iter(packet)
        .await
        .map_err(|error| fault(error, table(statements, Some(0))))?;
    let mut wrong = None;
    for (at, one) in statements.iter().enumerate() {
        let met = answers.affected_rows();
        // The error of a later statement comes with that statement's own answer.
        let rows: Vec<mysql_async::Row> =
            answers.collect().await.map_err(|error| fault(error, table(statements, Some(at))))?;
        if wrong.is_none() {
            wrong = check(one.expect, met, rows)?;
        }
    }
    let rows = answers.collect().await.map_err(|error| fault(error, ""))?;
    wrong.map_or(Ok(rows), Err)
}

async fn over(stay: &mut Option<Stay>) {
    match stay {
        Some(stay) => stay.over().await,
        None => std::future::pending().await,
    }
}

fn table(statements: &[Ready], at: Option<usize>) -> &'static str {
    match at.and_then(|at| statements.get(at)) {
        Some(Ready { expect: Expect::Rows(table, _), .. }) => table,
        _ => "",
    }
}

/// Whether a value means the same in the place of each `?` as a parameter does:
/// none is in a quoted text, a name or a comment, and each is compared with
/// something, or in a list in parentheses.
fn can_be_inlined(sql: &str, params: &[Value]) -> bool {
    let quotes = ['\'', '"', '`', '#', ';', '\\'];
    let plain = !sql.contains(quotes) && !sql.contains("--") && !sql.contains("/*");
    plain
        && sql.matches('?').count() == params.len()
        && sql.match_indices('?').all(|(at, _)| {
            let (before, after) = (sql[..at].trim_end(), &sql[at + 1..]);
            let in_list = before.rfind('(') > before.rfind(')');
            let compared =
                before.ends_with(['=', '<', '>', '(']) || before.ends_with(',') && in_list;
            compared && !after.starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
}

fn check(expect: Expect, met: u64, rows: Vec<mysql_async::Row>) -> Result<Option<Fault>, Fault> {
    Ok(match expect {
        Expect::Rows(table, must) if met != must => Some(Fault::Mismatch { table, met, must }),
        Expect::Epoch(epoch) => {
            let now: Option<i64> =
                own(rows)?.first().map(|row| crate::tables::read(row, "epoch")).transpose()?;
            let moved = now != i64::try_from(epoch).ok() && !is(Bug::NoEpochCheck);
            moved.then_some(Fault::Moved)
        }
        Expect::Anything | Expect::Rows(..) => None,
    })
}

fn to_mysql(value: &Value) -> mysql_async::Value {
    match value {
        Value::Null => mysql_async::Value::NULL,
        Value::Int(int) => mysql_async::Value::Int(*int),
        Value::Text(text) => mysql_async::Value::Bytes(text.clone().into_bytes()),
        Value::Bytes(bytes) => mysql_async::Value::Bytes(bytes.clone()),
    }
}

fn own(rows: Vec<mysql_async::Row>) -> Result<Vec<Row>, Fault> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let columns = first.columns();
    let names: Arc<[String]> =
        columns.iter().map(|column| column.name_str().into_owned()).collect();
    rows.into_iter()
        .map(|row| {
            let values = row
                .unwrap()
                .into_iter()
                .zip(columns.iter())
                .map(|(value, column)| from_mysql(value, column))
                .collect::<Result<Vec<Value>, Fault>>()?;
            Ok(Row::new(Arc::clone(&names), values))
        })
        .collect()
}

fn from_mysql(value: mysql_async::Value, column: &mysql_async::Column) -> Result<Value, Fault> {
    use ColumnType::{
        MYSQL_TYPE_DATE, MYSQL_TYPE_DATETIME, MYSQL_TYPE_DECIMAL, MYSQL_TYPE_DOUBLE,
        MYSQL_TYPE_FLOAT, MYSQL_TYPE_INT24, MYSQL_TYPE_LONG, MYSQL_TYPE_LONGLONG,
        MYSQL_TYPE_NEWDATE, MYSQL_TYPE_NEWDECIMAL, MYSQL_TYPE_SHORT, MYSQL_TYPE_TIME,
        MYSQL_TYPE_TIMESTAMP, MYSQL_TYPE_TINY, MYSQL_TYPE_YEAR,
    };
    let unfit = |what: &str| {
        Fault::Refused(DbError::Shape(format!("column `{}` {what}", column.name_str())))
    };
    Ok(match value {
        mysql_async::Value::NULL => Value::Null,
        mysql_async::Value::Int(int) => Value::Int(int),
        mysql_async::Value::UInt(int) => {
            Value::Int(i64::try_from(int).map_err(|_| unfit("is above the largest number"))?)
        }
        mysql_async::Value::Bytes(bytes) => match column.column_type() {
            // In the text protocol, and sums, numbers come as digits.
            MYSQL_TYPE_TINY
            | MYSQL_TYPE_SHORT
            | MYSQL_TYPE_INT24
            | MYSQL_TYPE_LONG
            | MYSQL_TYPE_LONGLONG
            | MYSQL_TYPE_YEAR
            | MYSQL_TYPE_NEWDECIMAL
            | MYSQL_TYPE_DECIMAL => {
                let digits = String::from_utf8_lossy(&bytes);
                Value::Int(digits.parse().map_err(|_| unfit("is no whole number of 64 bits"))?)
            }
            MYSQL_TYPE_FLOAT | MYSQL_TYPE_DOUBLE | MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE
            | MYSQL_TYPE_DATETIME | MYSQL_TYPE_TIMESTAMP | MYSQL_TYPE_TIME => {
                return Err(unfit("has a type that is not used here"));
            }
            _ if column.character_set() == BINARY => Value::Bytes(bytes),
            _ => Value::Text(String::from_utf8(bytes).map_err(|_| unfit("is not UTF-8"))?),
        },
        _ => return Err(unfit("has a type that is not used here")),
    })
}

/// Error numbers: MariaDB's documentation, "MariaDB Error Codes".
fn fault(error: mysql_async::Error, table: &'static str) -> Fault {
    let mysql_async::Error::Server(server) = error else {
        return match error {
            mysql_async::Error::Driver(mysql_async::DriverError::PacketTooLarge) => {
                Fault::Refused(DbError::Shape(
                    "the row is larger than the server takes: max_allowed_packet".into(),
                ))
            }
            other => Fault::Lost(other.to_string()),
        };
    };
    match server.code {
        DUPLICATE => Fault::Duplicate { table: table.to_owned(), index: index_of(&server.message) },
        // A lock, a deadlock, no memory for more locks, a row that changed meanwhile, the
        // time that a statement was given.
        1205 | 1213 | 1206 | 1020 | 1969 => Fault::Busy,
        1153 => Fault::Refused(DbError::Shape(server.message)),
        // Out of connections, out of disk, shutting down, read only, killed.
        1021 | 1030 | 1040 | 1053 | 1077 | 1079 | 1114 | 1129 | 1152 | 1159 | 1161 | 1184
        | 1203 | 1290 | 1792 | 1836 | 1927 | 3168 | 1047 => Fault::Lost(server.to_string()),
        _ => Fault::Refused(DbError::Statement(server.to_string())),
    }
}

/// `Duplicate entry 'x' for key 'users_login'`, or `'users.users_login'`.
fn index_of(message: &str) -> String {
    let key = message.trim_end_matches('\'').rsplit('\'').next().unwrap_or("");
    match key.rsplit('.').next().unwrap_or(key) {
        "PRIMARY" => "primary key".to_owned(),
        index => index.to_owned(),
    }
}

fn not_open(place: &str, error: &mysql_async::Error) -> String {
    match error {
        mysql_async::Error::Server(server) => match server.code {
            1045 => format!("{place}: the user or the password is wrong"),
            1049 => format!("{place}: there is no such database: create it first"),
            _ => format!("{place}: {}", server.message),
        },
        mysql_async::Error::Io(mysql_async::IoError::Io(io)) if nobody_there(io.kind()) => {
            format!("{place}: {io}")
        }
        mysql_async::Error::Io(_) | mysql_async::Error::Driver(_) => {
            format!("{place}: what answers there is no MariaDB or MySQL server ({error})")
        }
        other => format!("{place}: {other}"),
    }
}

fn nobody_there(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{
        AddrNotAvailable, BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset,
        HostUnreachable, NetworkDown, NetworkUnreachable, NotFound, TimedOut, UnexpectedEof,
    };
    matches!(
        kind,
        AddrNotAvailable
            | BrokenPipe
            | ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotFound
            | TimedOut
            | UnexpectedEof
    )
}
