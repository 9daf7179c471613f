//! Bringing a master that was away to what the others hold.
//!
//! Markers are exchanged both ways. What a marker changed is applied by
//! version: a row takes a change only when the change is newer, so that order
//! and repetition do not matter. Under [`Policy::All`] a marker that the
//! primary lacks is decided against, by an abort marker there.

use std::collections::{BTreeMap, BTreeSet};

use stdx::HybridTime;
use uuid::Uuid;

use crate::config::Policy;
use crate::db;
use crate::error::txid_of;
use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Rows, Statement};
use crate::schema::{Schema, TableInfo};
use crate::tables::read;
use crate::value::{Row, Value};
use crate::write_set::{self, Image, StoredOp};

/// Markers read at a time. Each may hold a write of some hundred rows.
const PAGE: usize = 200;
/// Rows copied at a time.
const COPY_PAGE: usize = 500;

/// Which of the two masters failed.
#[derive(Debug)]
pub(crate) enum At {
    /// The one that the call names first.
    From(Fault),
    /// The other.
    To(Fault),
}

/// Rows that have to be made the same by hand of ours, because a transaction
/// that touched them lost.
pub(crate) type Touched = BTreeSet<(String, Vec<Value>)>;

struct Marker {
    txid: Uuid,
    epoch: i64,
    aborted: bool,
    ops: Vec<u8>,
}

impl Marker {
    fn of(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
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

    fn ops(&self) -> Result<Vec<StoredOp>, Fault> {
        if self.ops.is_empty() {
            // An abort marker for a transaction that the primary never saw.
            return Ok(Vec::new());
        }
        write_set::decode(&self.ops).map_err(|why| Fault::Lost(format!("{}: {why}", self.txid)))
    }
}

impl At {
    /// The same for a caller that names the masters the other way round.
    pub(crate) fn swapped(self) -> Self {
        match self {
            Self::From(fault) => Self::To(fault),
            Self::To(fault) => Self::From(fault),
        }
    }
}

/// What is done with a marker that only `from` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// `from` serves: `to` gets what the transaction changed.
    Follow,
    /// `from` was away, and nobody was told that the transaction failed: `to`
    /// gets it, unless another took its place there meanwhile.
    RollForward,
    /// `to` is the primary and decides: the transaction does not count.
    Abort,
}

impl Rule {
    /// The rules for what only the master that was away has, and for what only
    /// the one that serves has.
    pub(crate) fn both(
        policy: Policy,
        away_is_primary: bool,
        base_is_primary: bool,
    ) -> (Self, Self) {
        match policy {
            Policy::All if away_is_primary => (Self::Follow, Self::Abort),
            Policy::All if base_is_primary => (Self::Abort, Self::Follow),
            // Under `all`: two others, and the primary decides when it is back.
            Policy::All | Policy::Available => (Self::RollForward, Self::Follow),
        }
    }
}

/// A pass over the markers of one master.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// How many markers the other lacked.
    pub(crate) settled: usize,
    /// Rows of transactions that lost.
    pub(crate) touched: Touched,
}

/// Settles every marker of `from` with an id after `after` and, where given,
/// up to `until`, that `to` lacks. Pages are committed one by one on `to`.
pub(crate) async fn pass(
    from: &mut Link,
    to: &mut Link,
    schema: &Schema,
    rule: Rule,
    mut after: Uuid,
    until: Option<Uuid>,
) -> Result<Pass, At> {
    let mut pass = Pass::default();
    loop {
        let rows = from
            .query(
                &format!(
                    "select txid, epoch, aborted, ops from mm_log where txid > ? \
                     order by txid limit {PAGE}"
                ),
                &[after.into()],
            )
            .await
            .map_err(At::From)?;
        let page: Vec<Marker> =
            rows.iter().map(Marker::of).collect::<Result<_, _>>().map_err(At::From)?;
        let page: Vec<Marker> = page
            .into_iter()
            .filter(|marker| until.is_none_or(|until| marker.txid <= until))
            .collect();
        let Some(last) = page.last().map(|marker| marker.txid) else { return Ok(pass) };
        let has = known(to, after, last).await.map_err(At::To)?;
        after = last;
        let lacking: Vec<&Marker> =
            page.iter().filter(|marker| has.get(&marker.txid) != Some(&marker.aborted)).collect();
        if lacking.is_empty() {
            continue;
        }
        pass.settled += lacking.len();
        // One side says that it was aborted: that was decided, and stays so.
        let (decided, open): (Vec<&Marker>, Vec<&Marker>) =
            lacking.into_iter().partition(|marker| has.contains_key(&marker.txid));
        for marker in decided {
            let (ops, done) = if marker.aborted {
                (ops_of(to, marker.txid).await.map_err(At::To)?, mark_aborted(to, marker).await)
            } else {
                (marker.ops().map_err(At::From)?, mark_aborted(from, marker).await)
            };
            done.map_err(if marker.aborted { At::To } else { At::From })?;
            pass.touched.extend(ops.into_iter().map(|op| (op.table, op.key)));
        }
        match rule {
            Rule::Follow => {
                if let Some((marker, why)) = forward(to, schema, &open).await.map_err(At::To)?.pop()
                {
                    return Err(At::To(Fault::Lost(format!(
                        "it can't take transaction {}: {why}, which no transaction of this set \
                         put there",
                        marker.txid
                    ))));
                }
            }
            Rule::RollForward => {
                for (marker, why) in forward(to, schema, &open).await.map_err(At::To)? {
                    lose(from, marker, &why).await.map_err(At::From)?;
                    touch(&mut pass.touched, marker).map_err(At::From)?;
                }
            }
            Rule::Abort => {
                abort_on_primary(to, &open).await.map_err(At::To)?;
                for marker in open {
                    mark_aborted(from, marker).await.map_err(At::From)?;
                    touch(&mut pass.touched, marker).map_err(At::From)?;
                }
            }
        }
    }
}

async fn ops_of(link: &mut Link, txid: Uuid) -> Result<Vec<StoredOp>, Fault> {
    let sql = "select txid, epoch, aborted, ops from mm_log where txid = ?";
    match link.query(sql, &[txid.into()]).await?.first() {
        Some(row) => Marker::of(row)?.ops(),
        None => Ok(Vec::new()),
    }
}

async fn known(link: &mut Link, after: Uuid, last: Uuid) -> Result<BTreeMap<Uuid, bool>, Fault> {
    let rows = link
        .query(
            "select txid, aborted from mm_log where txid > ? and txid <= ?",
            &[after.into(), last.into()],
        )
        .await?;
    rows.iter().map(|row| Ok((read(row, "txid")?, read(row, "aborted")?))).collect()
}

/// Applies markers, each whole or not at all. Returns those that a unique index
/// of `to` refuses: another transaction took their place meanwhile.
async fn forward<'a>(
    to: &mut Link,
    schema: &Schema,
    markers: &[&'a Marker],
) -> Result<Vec<(&'a Marker, String)>, Fault> {
    let mut lost = Vec::new();
    to.begin().await?;
    for marker in markers {
        to.batch("savepoint one").await?;
        match apply_marker(to, schema, marker).await {
            Ok(()) => to.batch("release savepoint one").await?,
            Err(Fault::Duplicate { table, index }) => {
                to.batch("rollback to savepoint one").await?;
                to.batch("release savepoint one").await?;
                let why = format!("`{index}` of `{table}` has another row with the same values");
                conflict(to, marker, &why).await?;
                lost.push((*marker, why));
            }
            Err(fault) => return Err(fault),
        }
    }
    to.commit().await?;
    Ok(lost)
}

async fn apply_marker(to: &mut Link, schema: &Schema, marker: &Marker) -> Result<(), Fault> {
    if !marker.aborted {
        for op in marker.ops()? {
            apply(to, schema, &op).await?;
        }
    }
    to.push(&marker.statement()).await?;
    to.flush().await
}

/// Applies one operation where it is newer than what is there.
async fn apply(to: &mut Link, schema: &Schema, op: &StoredOp) -> Result<(), Fault> {
    let info = table(schema, &op.table)?;
    match &op.after {
        Some(after) => {
            let image = after.image(info).map_err(Fault::Lost)?;
            apply_image(to, info, &op.key, &image).await
        }
        None => apply_delete(to, info, &op.key, op.version).await,
    }
}

async fn apply_image(
    to: &mut Link,
    info: &TableInfo,
    key: &[Value],
    image: &Image,
) -> Result<(), Fault> {
    match version(to, info, key).await? {
        Some(old) if old >= image.version => return Ok(()),
        Some(old) => {
            let all: Vec<usize> = (0..info.columns.len()).collect();
            to.push(&write_set::update(info, key, &all, image, old)).await?;
        }
        None => {
            if buried(to, info, key).await?.is_some_and(|at| at >= image.version) {
                return Ok(());
            }
            to.push(&write_set::insert(info, image)).await?;
        }
    }
    to.flush().await
}

async fn apply_delete(
    to: &mut Link,
    info: &TableInfo,
    key: &[Value],
    at: HybridTime,
) -> Result<(), Fault> {
    match version(to, info, key).await? {
        Some(old) if old >= at => return Ok(()),
        Some(old) => to.push(&write_set::delete(info, key, old)).await?,
        None => {}
    }
    if buried(to, info, key).await?.is_none_or(|before| before < at) {
        to.push(&write_set::tombstone(info.name, key, at)).await?;
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

async fn buried(
    link: &mut Link,
    info: &TableInfo,
    key: &[Value],
) -> Result<Option<HybridTime>, Fault> {
    let rows = link
        .query(
            "select v from mm_tombstones where tbl = ? and k = ?",
            &[info.name.into(), Value::Bytes(write_set::key_bytes(key))],
        )
        .await?;
    rows.first().map(|row| read(row, "v")).transpose()
}

/// The primary decides: these transactions never happen. The marker's id being
/// the primary key, a commit that is still under way there can't succeed after.
async fn abort_on_primary(primary: &mut Link, markers: &[&Marker]) -> Result<(), Fault> {
    primary.begin().await?;
    for marker in markers {
        let aborted =
            Marker { txid: marker.txid, epoch: marker.epoch, aborted: true, ops: Vec::new() };
        primary.push(&aborted.statement()).await?;
    }
    primary.commit().await
}

async fn mark_aborted(link: &mut Link, marker: &Marker) -> Result<(), Fault> {
    let sql = "update mm_log set aborted = 1 where txid = ?";
    link.push(&any(sql, vec![marker.txid.into()])).await?;
    link.flush().await
}

/// Keeps what lost, on both masters, where a person can find it.
async fn lose(from: &mut Link, marker: &Marker, why: &str) -> Result<(), Fault> {
    tracing::error!(
        severity = "CRITICAL", txid = %marker.txid, why,
        "a transaction of which nobody knew whether it was saved lost against a newer one; it is \
         kept in mm_conflicts"
    );
    from.begin().await?;
    conflict(from, marker, why).await?;
    from.commit().await
}

async fn conflict(link: &mut Link, marker: &Marker, why: &str) -> Result<(), Fault> {
    let found_at = write_set::version_of(marker.txid).unwrap_or_default().wall();
    link.push(&any(
        "replace into mm_conflicts (txid, reason, ops, found_at) values (?, ?, ?, ?)",
        vec![marker.txid.into(), why.into(), marker.ops.clone().into(), found_at.into()],
    ))
    .await?;
    link.push(&any("delete from mm_log where txid = ?", vec![marker.txid.into()])).await?;
    let aborted = Marker { txid: marker.txid, epoch: marker.epoch, aborted: true, ops: Vec::new() };
    link.push(&aborted.statement()).await?;
    link.flush().await
}

fn any(sql: &'static str, params: Vec<Value>) -> Statement {
    Statement { sql: sql.into(), params, rows: Rows::Any, table: "mm_log" }
}

fn touch(touched: &mut Touched, marker: &Marker) -> Result<(), Fault> {
    touched.extend(marker.ops()?.into_iter().map(|op| (op.table, op.key)));
    Ok(())
}

/// Makes rows of `to` exactly what they are on `from`, whatever the versions.
pub(crate) async fn force(
    from: &mut Link,
    to: &mut Link,
    schema: &Schema,
    rows: &Touched,
) -> Result<(), At> {
    if rows.is_empty() {
        return Ok(());
    }
    to.begin().await.map_err(At::To)?;
    force_within(from, to, schema, rows).await?;
    to.commit().await.map_err(At::To)
}

/// As [`force`], in the transaction that is open on `to`.
pub(crate) async fn force_within(
    from: &mut Link,
    to: &mut Link,
    schema: &Schema,
    rows: &Touched,
) -> Result<(), At> {
    for (name, key) in rows {
        let info = table(schema, name).map_err(At::From)?;
        let right = from.query(&info.sql.select, key).await.map_err(At::From)?;
        let right = right.into_iter().next().map(|row| Image::of(info, row)).transpose();
        let right = right.map_err(|error| At::From(Fault::Refused(error)))?;
        let tomb = buried(from, info, key).await.map_err(At::From)?;
        replace(to, info, key, right, tomb).await.map_err(At::To)?;
    }
    Ok(())
}

async fn replace(
    to: &mut Link,
    info: &TableInfo,
    key: &[Value],
    right: Option<Image>,
    tomb: Option<HybridTime>,
) -> Result<(), Fault> {
    if let Some(old) = version(to, info, key).await? {
        to.push(&write_set::delete(info, key, old)).await?;
    }
    if let Some(image) = right {
        to.push(&write_set::insert(info, &image)).await?;
    }
    to.push(&any(
        "delete from mm_tombstones where tbl = ? and k = ?",
        vec![info.name.into(), Value::Bytes(write_set::key_bytes(key))],
    ))
    .await?;
    if let Some(at) = tomb {
        to.push(&write_set::tombstone(info.name, key, at)).await?;
    }
    to.flush().await
}

/// Fills an empty master: tombstones, then every table, by key, page by page.
/// Writes may go on meanwhile: what they change is settled afterwards. Begun
/// anew after a crash, it passes over what is there.
pub(crate) async fn copy(from: &mut Link, to: &mut Link, schema: &Schema) -> Result<u64, At> {
    copy_tombstones(from, to).await?;
    let mut copied = 0;
    for info in schema.infos() {
        let mut after: Option<Vec<Value>> = None;
        loop {
            let rows = page(from, info, after.as_deref()).await.map_err(At::From)?;
            let Some(last) = rows.last() else { break };
            after = Some(info.key_of(&last.row));
            to.begin().await.map_err(At::To)?;
            for image in &rows {
                let key = info.key_of(&image.row);
                apply_image(to, info, &key, image).await.map_err(At::To)?;
                copied += 1;
            }
            to.commit().await.map_err(At::To)?;
        }
        tracing::info!(table = info.name, rows = copied, "copied so far");
    }
    Ok(copied)
}

async fn page(
    from: &mut Link,
    info: &TableInfo,
    after: Option<&[Value]>,
) -> Result<Vec<Image>, Fault> {
    let keys: Vec<&str> = info.key.iter().map(|&at| info.columns[at].name).collect();
    let keys = keys.join(", ");
    let (columns, name) = (&info.sql.columns, info.name);
    let rows = match after {
        None => {
            let sql = format!("select {columns} from {name} order by {keys} limit {COPY_PAGE}");
            from.query(&sql, &[]).await?
        }
        Some(after) => {
            let marks = vec!["?"; after.len()].join(", ");
            let sql = format!(
                "select {columns} from {name} where ({keys}) > ({marks}) order by {keys} \
                 limit {COPY_PAGE}"
            );
            from.query(&sql, after).await?
        }
    };
    rows.into_iter().map(|row| Image::of(info, row).map_err(Fault::Refused)).collect()
}

async fn copy_tombstones(from: &mut Link, to: &mut Link) -> Result<(), At> {
    let (mut table, mut key) = (String::new(), Vec::new());
    loop {
        let rows = from
            .query(
                &format!(
                    "select tbl, k, v from mm_tombstones where (tbl, k) > (?, ?) \
                     order by tbl, k limit {COPY_PAGE}"
                ),
                &[table.as_str().into(), Value::Bytes(key.clone())],
            )
            .await
            .map_err(At::From)?;
        let Some(last) = rows.last() else { return Ok(()) };
        table = read(last, "tbl").map_err(At::From)?;
        key = read(last, "k").map_err(At::From)?;
        to.begin().await.map_err(At::To)?;
        for row in rows {
            to.push(&any(
                "replace into mm_tombstones (tbl, k, v) values (?, ?, ?)",
                row.into_values(),
            ))
            .await
            .map_err(At::To)?;
        }
        to.commit().await.map_err(At::To)?;
    }
}

fn table<'a>(schema: &'a Schema, name: &str) -> Result<&'a TableInfo, Fault> {
    schema.table(name).map_err(|_| {
        Fault::Lost(format!("a marker is about the table `{name}`, which this program has not"))
    })
}
