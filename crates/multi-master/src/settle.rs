//! Bringing a master that was away to what the others hold.
//!
//! Markers are exchanged both ways. What a marker changed is applied by
//! version: a row takes a change only when the change is newer, so that order
//! and repetition do not matter. A marker anywhere means that its transaction
//! counts: a master that lacks it may have forgotten it. Only where something
//! else took its place meanwhile, on the master that serves, it is marked as
//! aborted there; what that one says counts, and the other is made the same.

mod at_once;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use stdx::HybridTime;
use uuid::Uuid;

use crate::db;
use crate::error::txid_of;
use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Rows, Statement};
use crate::sabotage::{Bug, Point, is, reached};
use crate::schema::{Schema, TableInfo};
use crate::tables::{self, read};
use crate::value::{Row, Value};
use crate::write_set::{self, Change, Image, RowOp};

/// Markers read at a time. Each may hold some hundred writes, or a large one.
const PAGE: usize = 200;
/// Of which only is read which they are.
const NAMED_PAGE: usize = 500;

/// Which of the two masters failed.
#[derive(Debug)]
pub(crate) enum At {
    /// The one that the call names first.
    From(Fault),
    /// The other.
    To(Fault),
    /// The other holds rows that no transaction of this set put there.
    Unfit(String),
}

impl At {
    /// The same for a caller that names the masters the other way round.
    pub(crate) fn swapped(self) -> Self {
        match self {
            Self::From(fault) => Self::To(fault),
            Self::To(fault) => Self::From(fault),
            Self::Unfit(why) => Self::Unfit(why),
        }
    }
}

struct Marker {
    /// Its place in the order in which markers came to the master.
    seq: i64,
    txid: Uuid,
    epoch: i64,
    aborted: bool,
    ops: Vec<u8>,
}

impl Marker {
    fn of(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            seq: read(row, "seq")?,
            txid: read(row, "txid")?,
            epoch: read(row, "epoch")?,
            aborted: read(row, "aborted")?,
            ops: read(row, "ops")?,
        })
    }

    fn statement(&self) -> Statement {
        let epoch = u64::try_from(self.epoch).unwrap_or(0);
        let mut marker = db::marker(txid_of(self.txid), epoch, self.ops.clone());
        if self.aborted {
            marker.sql =
                "insert into mm_log (txid, epoch, aborted, ops) values (?, ?, 1, ?)".into();
        }
        marker
    }

    fn ops<'a>(&self, schema: &'a Schema) -> Result<Vec<RowOp<'a>>, Fault> {
        decode(&self.ops, self.txid, schema)
    }

    fn copied_before_it_lost(&self) -> Loser {
        Loser { txid: self.txid, epoch: self.epoch, ops: self.ops.clone(), why: None }
    }

    fn loses(self, why: Option<String>) -> Loser {
        Loser { txid: self.txid, epoch: self.epoch, ops: self.ops, why }
    }
}

/// What is done with a marker that only `from` has. What the master that serves
/// says was aborted is aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// `from` serves: `to` gets what the transaction changed.
    Follow,
    /// `from` serves, and `to` was filled from it row by row while writes went
    /// on: it holds rows of many moments. What is in the way of a change is of a
    /// later moment, and goes: the marker that put it there comes.
    Fill,
    /// `to` serves, under this epoch. `from` was away, and nobody was told that the
    /// transaction failed: `to` gets it, unless something else took its place
    /// meanwhile.
    RollForward(u64),
}

/// A transaction that the master that serves says never happened, and that the
/// other one holds.
#[derive(Debug)]
pub(crate) struct Loser {
    txid: Uuid,
    epoch: i64,
    ops: Vec<u8>,
    /// What took its place, where something did.
    why: Option<String>,
}

/// A pass over the markers of one master.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// How many markers the other lacked or saw otherwise.
    pub(crate) settled: usize,
    /// How much they hold.
    pub(crate) bytes: usize,
    /// What has to be undone on the master that was away.
    pub(crate) losers: Vec<Loser>,
}

/// Settles every marker that came to `from`, which serves, after the one at `after` and,
/// where given, up to `until`, and that `to` lacks or sees otherwise. Pages are committed one by one on
/// `to`.
pub(crate) async fn pass(
    from: &mut Link,
    to: &mut Link,
    schema: &Schema,
    rule: Rule,
    mut after: i64,
    until: Option<i64>,
) -> Result<Pass, At> {
    let mut pass = Pass::default();
    loop {
        // Between two pages whoever waits for this may give it up.
        tokio::task::yield_now().await;
        let page = markers(from, after, until).await.map_err(At::From)?;
        let Some(last) = page.last().map(|marker| marker.seq) else { return Ok(pass) };
        let txids: Vec<Uuid> = page.iter().map(|marker| marker.txid).collect();
        let has = known(to, &txids).await.map_err(At::To)?;
        after = last;
        let (mut open, mut overruled) = (Vec::new(), Vec::new());
        for marker in page {
            match (has.get(&marker.txid), rule) {
                // It was undone after rows of it may have been copied. Its marker may have
                // come in an earlier try, which ended before they were put right.
                (known, Rule::Fill) if marker.aborted && !marker.ops.is_empty() => {
                    pass.losers.push(marker.copied_before_it_lost());
                    if known.is_some() {
                        continue;
                    }
                    open.push(marker);
                }
                (Some(aborted), _) if *aborted == marker.aborted => continue,
                (None, _) => open.push(marker),
                // It was aborted, and `to` holds it.
                (Some(false), _) => {
                    pass.losers.push(loser(to, marker.txid).await.map_err(At::To)?);
                }
                // It counts, and `to` says that it was aborted.
                (Some(true), _) => {
                    overruled.push(marker.txid);
                    open.push(marker);
                }
            }
            pass.settled += 1;
        }
        pass.bytes += open.iter().map(|marker| marker.ops.len()).sum::<usize>();
        if open.is_empty() {
            continue;
        }
        if overruled.is_empty() {
            match at_once::forward(to, schema, &open, rule).await {
                Ok(()) => {}
                // Unique values moved between rows, or a row is in the way: one
                // by one it shows which.
                Err(Fault::Duplicate { .. }) => {
                    to.rollback().await.map_err(At::To)?;
                    forward(to, schema, open, &overruled, rule).await?;
                }
                Err(fault) => return Err(At::To(fault)),
            }
        } else {
            pass.losers.extend(forward(to, schema, open, &overruled, rule).await?);
        }
    }
}

/// What a master that was away has, and the one that serves has not or sees otherwise.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    /// Only the one that was away has them, in the order in which they came to it.
    pub(crate) alone: Vec<Uuid>,
    /// The one that serves says that they were aborted.
    pub(crate) losers: Vec<Loser>,
}

/// Looks what `from`, which was away, has otherwise than `to`, which serves.
pub(crate) async fn apart(from: &mut Link, to: &mut Link) -> Result<Apart, At> {
    // What is older than the markers of the one that serves was decided before.
    let decided = tables::trimmed(to).await.map_err(At::To)?;
    let sql = format!(
        "select seq, txid, aborted from mm_log where seq > ? order by seq limit {NAMED_PAGE}"
    );
    let (mut apart, mut after) = (Apart::default(), 0i64);
    loop {
        tokio::task::yield_now().await;
        let page = from.query(&sql, &[after.into()]).await.map_err(At::From)?;
        let named = |row: &Row| Ok((read(row, "seq")?, read(row, "txid")?, read(row, "aborted")?));
        let page: Result<Vec<(i64, Uuid, bool)>, Fault> = page.iter().map(named).collect();
        let page = page.map_err(At::From)?;
        let Some(&(last, ..)) = page.last() else { return Ok(apart) };
        after = last;
        let txids: Vec<Uuid> = page.iter().map(|(_, txid, _)| *txid).collect();
        let has = known(to, &txids).await.map_err(At::To)?;
        for (_, txid, aborted) in page {
            match has.get(&txid) {
                None if Some(txid) > decided => apart.alone.push(txid),
                Some(true) if !aborted => {
                    apart.losers.push(loser(from, txid).await.map_err(At::From)?);
                }
                // Where only `from` says that it was aborted, the pass sees to it.
                None | Some(_) => {}
            }
        }
    }
}

/// Gives `to`, which serves under this epoch, what `from` alone has. Pages are committed
/// one by one. Returns those in whose place `to` has something else.
pub(crate) async fn roll_forward(
    from: &mut Link,
    to: &mut Link,
    schema: &Schema,
    epoch: u64,
    alone: &[Uuid],
) -> Result<Vec<Loser>, At> {
    let mut lost = Vec::new();
    for page in alone.chunks(PAGE) {
        tokio::task::yield_now().await;
        let markers = these(from, page).await.map_err(At::From)?;
        lost.extend(forward(to, schema, markers, &[], Rule::RollForward(epoch)).await?);
    }
    Ok(lost)
}

/// What a master holds of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    version: Option<HybridTime>,
    tombstone: Option<HybridTime>,
}

/// The statements that make a row what an operation left, where that is newer
/// than what is there.
fn change(op: RowOp<'_>, now: Present, rule: Rule) -> Vec<Statement> {
    let RowOp { info, key, change } = op;
    if is(Bug::ForgottenDeletes) && change.after().is_none() {
        return Vec::new();
    }
    if now.version.max(now.tombstone) >= Some(change.version()) && !is(Bug::IgnoredVersions) {
        return Vec::new();
    }
    match (change, now.version) {
        (Change::Insert { after } | Change::Update { after, .. }, _) if rule == Rule::Fill => {
            vec![write_set::replace(info, after)]
        }
        (Change::Insert { after } | Change::Update { after, .. }, None) => {
            vec![write_set::insert(info, after)]
        }
        (Change::Insert { after } | Change::Update { after, .. }, Some(old)) => {
            let all: Vec<usize> = (0..info.columns.len()).collect();
            vec![write_set::update(info, &key, &all, &after, old)]
        }
        // An earlier change of the same page may have taken it away already.
        (Change::Delete { version, .. }, _) if rule == Rule::Fill => {
            vec![write_set::take_away(info, &key), write_set::tombstone(info.name, &key, version)]
        }
        (Change::Delete { version, .. }, old) => old
            .map(|old| write_set::delete(info, &key, old))
            .into_iter()
            .chain([write_set::tombstone(info.name, &key, version)])
            .collect(),
    }
}

async fn markers(from: &mut Link, after: i64, until: Option<i64>) -> Result<Vec<Marker>, Fault> {
    let sql = format!(
        "select seq, txid, epoch, aborted, ops from mm_log where seq > ? and seq <= ? \
         order by seq limit {PAGE}"
    );
    let until = until.unwrap_or(i64::MAX);
    let rows = from.query(&sql, &[after.into(), until.into()]).await?;
    rows.iter().map(Marker::of).collect()
}

/// The markers of these transactions, in the order in which they came.
async fn these(link: &mut Link, txids: &[Uuid]) -> Result<Vec<Marker>, Fault> {
    let sql = format!(
        "select seq, txid, epoch, aborted, ops from mm_log where txid in ({}) order by seq",
        marks(txids)
    );
    link.query(&sql, &values(txids)).await?.iter().map(Marker::of).collect()
}

async fn loser(link: &mut Link, txid: Uuid) -> Result<Loser, Fault> {
    let marker = these(link, &[txid]).await?.pop().ok_or(Fault::Busy)?;
    Ok(marker.loses(None))
}

fn marks(txids: &[Uuid]) -> String {
    vec!["?"; txids.len()].join(", ")
}

fn values(txids: &[Uuid]) -> Vec<Value> {
    txids.iter().map(|&txid| txid.into()).collect()
}

/// Which of these markers a master has, and whether they are aborted there.
async fn known(link: &mut Link, txids: &[Uuid]) -> Result<BTreeMap<Uuid, bool>, Fault> {
    let sql = format!("select txid, aborted from mm_log where txid in ({})", marks(txids));
    let rows = link.query(&sql, &values(txids)).await?;
    rows.iter().map(|row| Ok((read(row, "txid")?, read(row, "aborted")?))).collect()
}

/// Applies markers, each whole or not at all. Returns those in whose place `to`
/// has something else.
async fn forward(
    to: &mut Link,
    schema: &Schema,
    markers: Vec<Marker>,
    overruled: &[Uuid],
    rule: Rule,
) -> Result<Vec<Loser>, At> {
    let mut lost = Vec::new();
    let begun = match rule {
        // It serves: whoever comes in later hears of what is done here.
        Rule::RollForward(epoch) => to.begin_under(epoch).await,
        Rule::Follow | Rule::Fill => to.begin().await,
    };
    begun.map_err(At::To)?;
    for txid in overruled {
        to.push(&any("delete from mm_log where txid = ?", vec![(*txid).into()]))
            .await
            .map_err(At::To)?;
    }
    for marker in markers {
        to.batch("savepoint one").await.map_err(At::To)?;
        let stopped = match apply_marker(to, schema, &marker, rule).await {
            Ok(()) => {
                to.batch("release savepoint one").await.map_err(At::To)?;
                continue;
            }
            Err(stopped) => stopped,
        };
        let why = match stopped {
            // Its commit was under way here, and came through meanwhile.
            Stopped::Fault(Fault::Duplicate { table, .. }) if table == "mm_log" => None,
            Stopped::Fault(Fault::Duplicate { table, index }) => {
                Some(format!("`{index}` of `{table}` has another row with the same values"))
            }
            Stopped::Conflict(why) => Some(why),
            Stopped::Fault(fault) => return Err(At::To(fault)),
        };
        if let (Some(why), Rule::Follow | Rule::Fill) = (&why, rule) {
            return Err(At::Unfit(format!(
                "it can't take transaction {}: {why}, which no transaction of this set put there. \
                 Take that row away by hand, or empty this master: it is then filled anew",
                marker.txid
            )));
        }
        undo_savepoint(to).await.map_err(At::To)?;
        if let Some(why) = why {
            let marker = marker.loses(Some(why));
            keep(to, &marker).await.map_err(At::To)?;
            to.push(&aborted(marker.txid, marker.epoch)).await.map_err(At::To)?;
            to.flush().await.map_err(At::To)?;
            lost.push(marker);
        }
    }
    to.commit().await.map_err(At::To)?;
    Ok(lost)
}

async fn undo_savepoint(link: &mut Link) -> Result<(), Fault> {
    link.batch("rollback to savepoint one").await?;
    link.batch("release savepoint one").await
}

/// Why a marker could not be applied.
enum Stopped {
    Fault(Fault),
    /// A row is not what the transaction had found.
    Conflict(String),
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

async fn apply_marker(
    to: &mut Link,
    schema: &Schema,
    marker: &Marker,
    rule: Rule,
) -> Result<(), Stopped> {
    if !marker.aborted {
        for op in marker.ops(schema)? {
            if let Rule::RollForward(_) = rule {
                check_before(to, &op).await?;
            }
            apply(to, op, rule).await?;
        }
    }
    to.push(&marker.statement()).await?;
    to.flush().await?;
    Ok(())
}

/// Nobody was told that this transaction is saved, and others may have gone on
/// without it: half of it must not be put between their changes.
async fn check_before(to: &mut Link, op: &RowOp<'_>) -> Result<(), Stopped> {
    let now = version(to, op.info, &op.key).await?;
    if now != op.change.before().map(|before| before.version) && !is(Bug::IgnoredVersions) {
        return Err(Stopped::Conflict(format!(
            "the row {:?} of `{}` was changed by another transaction",
            op.key, op.info.name
        )));
    }
    Ok(())
}

/// Applies one operation where it is newer than what is there.
async fn apply(to: &mut Link, op: RowOp<'_>, rule: Rule) -> Result<(), Fault> {
    let now = Present {
        version: version(to, op.info, &op.key).await?,
        tombstone: tables::buried(to, op.info.name, &op.key).await?,
    };
    for statement in change(op, now, rule) {
        to.push(&statement).await?;
    }
    to.flush().await
}

async fn version(
    link: &mut Link,
    info: &TableInfo,
    key: &[Value],
) -> Result<Option<HybridTime>, Fault> {
    let sql = format!("select _v from {} where {}", info.name, info.sql.where_key);
    let rows = link.query_locked(&sql, key).await?;
    rows.first().map(|row| read(row, "_v")).transpose()
}

/// The marker of a transaction that never happens.
fn aborted(txid: Uuid, epoch: i64) -> Statement {
    Marker { seq: 0, txid, epoch, aborted: true, ops: Vec::new() }.statement()
}

/// Keeps what lost where a person can find it.
async fn keep(link: &mut Link, loser: &Loser) -> Result<(), Fault> {
    let Some(why) = &loser.why else { return Ok(()) };
    tracing::error!(
        severity = "CRITICAL", txid = %loser.txid, why,
        "a transaction of which nobody knew whether it was saved lost against a newer one; it is \
         kept in mm_conflicts"
    );
    let found_at = write_set::version_of(loser.txid).unwrap_or_default().wall();
    link.push(&any(
        "replace into mm_conflicts (txid, reason, ops, found_at) values (?, ?, ?, ?)",
        vec![loser.txid.into(), why.into(), loser.ops.clone().into(), found_at.into()],
    ))
    .await?;
    link.flush().await
}

fn any(sql: &'static str, params: Vec<Value>) -> Statement {
    Statement { sql: sql.into(), params, rows: Rows::Any, table: "mm_log" }
}

/// Undoes `losers` on `to`: every row that they touched is made what it is on
/// `from`, whatever the versions, and their markers are marked, all in one
/// transaction.
pub(crate) async fn undo(
    from: &mut Link,
    to: &mut Link,
    schema: &Schema,
    losers: &[Loser],
) -> Result<(), At> {
    if losers.is_empty() {
        return Ok(());
    }
    to.begin().await.map_err(At::To)?;
    let mut touched = BTreeMap::new();
    for loser in losers {
        let mut ops = decode(&loser.ops, loser.txid, schema).map_err(At::To)?;
        ops.retain(|op| op.change.after().is_some() || !is(Bug::ForgottenDeletes));
        touched.extend(ops.into_iter().map(|op| ((op.info.name, op.key), op.info)));
        keep(to, loser).await.map_err(At::To)?;
        let sql = "update mm_log set aborted = 1 where txid = ?";
        to.push(&any(sql, vec![loser.txid.into()])).await.map_err(At::To)?;
    }
    // All are taken away before any is put in its place: a unique value may
    // have moved from one row to another.
    for ((_, key), info) in &touched {
        take_away(to, info, key).await.map_err(At::To)?;
    }
    reached(Point::Undoing);
    for ((_, key), info) in &touched {
        let right = from.query(&info.sql.select, key).await.map_err(At::From)?;
        let right = right.into_iter().next().map(|row| Image::of(info, row)).transpose();
        let right = right.map_err(|error| At::From(Fault::Refused(error)))?;
        let tomb = tables::buried(from, info.name, key).await.map_err(At::From)?;
        put(to, info, key, right, tomb).await.map_err(At::To)?;
    }
    to.commit().await.map_err(At::To)
}

async fn take_away(to: &mut Link, info: &TableInfo, key: &[Value]) -> Result<(), Fault> {
    if let Some(old) = version(to, info, key).await? {
        to.push(&write_set::delete(info, key, old)).await?;
    }
    to.push(&any(
        "delete from mm_tombstones where tbl = ? and k = ?",
        vec![info.name.into(), Value::Bytes(write_set::key_bytes(key))],
    ))
    .await?;
    to.flush().await
}

async fn put(
    to: &mut Link,
    info: &TableInfo,
    key: &[Value],
    right: Option<Image>,
    tomb: Option<HybridTime>,
) -> Result<(), Fault> {
    if let Some(image) = right {
        to.push(&write_set::insert(info, image)).await?;
    }
    if let Some(at) = tomb {
        to.push(&write_set::tombstone(info.name, key, at)).await?;
    }
    to.flush().await
}

fn decode<'a>(ops: &[u8], txid: Uuid, schema: &'a Schema) -> Result<Vec<RowOp<'a>>, Fault> {
    if ops.is_empty() {
        // An abort marker of a master that never saw the transaction.
        return Ok(Vec::new());
    }
    write_set::decode(ops, schema).map_err(|why| Fault::Lost(format!("{txid}: {why}")))
}
