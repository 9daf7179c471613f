//! Comparing the masters row by row, and making them the same again where
//! somebody changed one of them behind our back.
//!
//! Every row is read from every master that serves, and its digest is computed
//! from what it holds: a digest that is only compared would not show a value
//! that was changed by hand. Writes go on meanwhile, so what differs at first is
//! looked at again in a moment in which nobody writes.

mod structure;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stdx::HybridTime;
use tokio::sync::oneshot;

use crate::conflicts;
use crate::copy;
use crate::db;
use crate::error::{DbError, MasterName};
use crate::fault::Fault;
use crate::link::Link;
use crate::membership::View;
use crate::render::{Rows, Statement};
use crate::schema::TableInfo;
use crate::shared::Shared;
use crate::sqlite::IfAbsent;
use crate::tables;
use crate::value::{Row, Value};
use crate::write_set::{self, Change, Image, Journal};

/// Rows compared at a time.
const CHUNK: usize = 200;
/// Rows looked at again while writers wait.
const AGAIN: usize = 50;
/// Differences that are told one by one; more are counted.
const TOLD_MAX: usize = 1_000;
/// Tries to hold the writers back, each as long as a statement may take.
const BARRIER_TRIES: u32 = 3;

/// How masters are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verify {
    /// Make rows that differ the same again.
    pub repair: bool,
    /// Rest as long as each part took, so that readers and writers hardly
    /// notice.
    pub unhurried: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The masters that were compared.
    pub masters: Vec<MasterName>,
    /// Tables compared.
    pub tables: u64,
    /// Rows compared: those of the master that has most.
    pub rows: u64,
    /// Tables, columns and indexes that are not what the program made, one
    /// sentence each.
    pub structure: Vec<String>,
    /// Tables whose rows were not compared: on one of the masters a column that the
    /// program made is missing or another, or the key is.
    pub not_compared: Vec<String>,
    /// Rows that were looked at again while writers waited: those that differ,
    /// and those that were just being written.
    pub looked_again: u64,
    /// How many rows are not the same on all masters, or not what their digest
    /// says.
    pub different: u64,
    /// How many of them were made the same.
    pub repaired: u64,
    /// The first thousand of them.
    pub rows_told: Vec<Difference>,
}

impl Findings {
    /// Whether everything is as it should be, or was made so.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.structure.is_empty() && self.different == self.repaired
    }
}

/// A row that is not the same on all masters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// Its primary key, as text.
    pub key: String,
    /// What each master holds.
    pub masters: Vec<(MasterName, Held)>,
    /// What was done, or why nothing was.
    pub outcome: Repair,
}

/// What a master holds of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Nothing.
    Absent,
    /// Nothing: it was deleted at this version.
    Deleted(HybridTime),
    /// A row at this version that is what its digest says.
    Sound(HybridTime),
    /// A row at this version that is not what its digest says: it was changed
    /// by something else than this program.
    Altered(HybridTime),
}

/// What was done about a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Nothing was to be done.
    NotAsked,
    /// All masters hold what this one held.
    As(MasterName),
    /// The row is deleted on all masters, as it was on this one.
    DeletedAs(MasterName),
    /// It could not be repaired: why.
    Failed(String),
}

/// How far a comparison has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The table that is being compared.
    pub table: &'static str,
    /// Rows compared so far, in all tables.
    pub rows: u64,
}

type Tell = Box<dyn FnMut(Progress) + Send>;

/// Compares the masters on a thread of its own.
pub(crate) fn start(
    shared: Arc<Shared>,
    how: Verify,
    progress: Tell,
) -> std::io::Result<oneshot::Receiver<Result<Findings, DbError>>> {
    let (mut reply, answer) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("mm-verify".to_owned()).spawn(move || {
        let result = runtime.block_on(async {
            tokio::select! {
                biased;
                () = reply.closed() => None,
                () = shared.supervisor.closed() => Some(Err(DbError::Closed)),
                result = run(&shared, how, progress) => Some(result),
            }
        });
        if let Some(result) = result {
            drop(reply.send(result));
        }
    })?;
    Ok(answer)
}

async fn run(shared: &Shared, how: Verify, progress: Tell) -> Result<Findings, DbError> {
    let view = shared.view();
    let mut masters = Vec::new();
    for at in view.serving() {
        let name = view.masters[at].name.clone();
        let link = shared.connect(at, IfAbsent::Refuse).await.map_err(|fault| of(&name, fault))?;
        masters.push(Master { name, link });
    }
    if masters.is_empty() {
        return Err(DbError::NoMaster(view.why_none()));
    }
    let findings = Findings {
        masters: masters.iter().map(|master| master.name.clone()).collect(),
        ..Findings::default()
    };
    let mut comparison = Comparison { shared, view, how, progress, masters, findings };
    let mut unfit = BTreeSet::new();
    for at in 0..comparison.masters.len() {
        let Master { name, link } = &mut comparison.masters[at];
        let wrong = structure::compare(link, &shared.schema).await;
        let wrong = wrong.map_err(|fault| of(name, fault))?;
        let told = wrong.told.iter().map(|what| format!("{name}: {what}"));
        comparison.findings.structure.extend(told);
        unfit.extend(wrong.unfit);
    }
    for info in shared.schema.infos() {
        if unfit.contains(info.name) {
            comparison.findings.not_compared.push(info.name.to_owned());
        } else {
            comparison.table(info).await?;
            comparison.findings.tables += 1;
        }
    }
    let (counters, findings) = (&shared.counters, comparison.findings);
    counters.verifications.add(1);
    counters.differences.add(findings.different);
    counters.repaired.add(findings.repaired);
    if findings.repaired > 0 {
        conflicts::count(shared).await;
    }
    Ok(findings)
}

struct Master {
    name: MasterName,
    link: Link,
}

struct Comparison<'a> {
    shared: &'a Shared,
    /// The masters as they stood when this began. When that changes, what is
    /// compared may be no master any more.
    view: Arc<View>,
    how: Verify,
    progress: Tell,
    masters: Vec<Master>,
    findings: Findings,
}

/// What a master holds of a row, and the row.
#[derive(Clone, Debug)]
struct Seen {
    held: Held,
    row: Vec<Value>,
}

impl Comparison<'_> {
    async fn table(&mut self, info: &TableInfo) -> Result<(), DbError> {
        let mut after: Option<Vec<Value>> = None;
        loop {
            // Whoever waits for this may give it up, and the store may close.
            tokio::task::yield_now().await;
            let began = Instant::now();
            let (rows, last, suspects) = self.chunk(info, after.as_deref()).await?;
            self.findings.rows += rows;
            for keys in suspects.chunks(AGAIN) {
                self.look_again(info, keys).await?;
            }
            (self.progress)(Progress { table: info.name, rows: self.findings.rows });
            let Some(last) = last else { return Ok(()) };
            after = Some(last);
            if self.how.unhurried {
                tokio::time::sleep(began.elapsed().max(Duration::from_millis(1))).await;
            }
        }
    }

    /// Compares the next rows: how many they are, the last key where there may
    /// be more, and the keys of those that are not the same everywhere.
    async fn chunk(
        &mut self,
        info: &TableInfo,
        after: Option<&[Value]>,
    ) -> Result<(u64, Option<Vec<Value>>, Vec<Vec<Value>>), DbError> {
        let mut pages = Vec::new();
        for Master { name, link } in &mut self.masters {
            let rows = copy::page(link, info, after, CHUNK).await.map_err(|f| of(name, f))?;
            pages.push(rows);
        }
        let key = |row: &Row| info.key_of(row.values());
        // Up to where every master was asked.
        let last = pages.iter().filter(|page| page.len() == CHUNK).filter_map(|page| page.last());
        let last = last.map(key).min();
        let mut rows: BTreeMap<Vec<Value>, Vec<(HybridTime, i64, bool)>> = BTreeMap::new();
        let mut most = 0;
        for page in pages {
            let mut count = 0;
            for row in page {
                let key = key(&row);
                if last.as_ref().is_none_or(|last| key <= *last) {
                    let seen = Seen::of(info, row);
                    let digest = write_set::digest(info, &seen.row);
                    let sound = matches!(seen.held, Held::Sound(_));
                    rows.entry(key).or_default().push((seen.held.version(), digest, sound));
                    count += 1;
                }
            }
            most = count.max(most);
        }
        let masters = self.masters.len();
        let same = |seen: &[(HybridTime, i64, bool)]| {
            seen.len() == masters && seen.iter().all(|one| one.2 && *one == seen[0])
        };
        let suspects = rows.into_iter().filter(|(_, seen)| !same(seen)).map(|(key, _)| key);
        Ok((most, last, suspects.collect()))
    }

    /// Looks at rows again while nobody writes, and repairs them where that is
    /// asked for.
    async fn look_again(&mut self, info: &TableInfo, keys: &[Vec<Value>]) -> Result<(), DbError> {
        self.hold_writers_back().await?;
        self.findings.looked_again += keys.len() as u64;
        let mut repairs = Vec::new();
        for key in keys {
            let mut seen = Vec::new();
            for Master { name, link } in &mut self.masters {
                seen.push(look(link, info, key).await.map_err(|fault| of(name, fault))?);
            }
            let same = |one: &Seen| one.held == seen[0].held && one.row == seen[0].row;
            let gone = seen.iter().all(|one| one.row.is_empty());
            if gone || (matches!(seen[0].held, Held::Sound(_)) && seen.iter().all(same)) {
                continue;
            }
            let outcome = if self.how.repair {
                let outcome = self.repair(info, key, &seen).await?;
                repairs.push(outcome.clone());
                outcome
            } else {
                Repair::NotAsked
            };
            let masters = self.masters.iter().zip(&seen);
            let masters = masters.map(|(master, seen)| (master.name.clone(), seen.held)).collect();
            self.findings.different += 1;
            if self.findings.rows_told.len() < TOLD_MAX {
                let (table, key) = (info.name.to_owned(), format!("{key:?}"));
                self.findings.rows_told.push(Difference { table, key, masters, outcome });
            }
        }
        for Master { name, link } in &mut self.masters {
            let end = if repairs.is_empty() { link.rollback().await } else { link.commit().await };
            end.map_err(|fault| of(name, fault))?;
        }
        let done = repairs.iter().filter(|repair| !matches!(repair, Repair::Failed(_))).count();
        self.findings.repaired += done as u64;
        Ok(())
    }

    /// Begins a transaction on each master that keeps writers waiting, in the
    /// order in which writers take masters.
    async fn hold_writers_back(&mut self) -> Result<(), DbError> {
        let epoch = self.view.epoch;
        let mut tries = 0;
        let mut at = 0;
        while at < self.masters.len() {
            let Master { name, link } = &mut self.masters[at];
            match link.begin_barrier().await {
                Ok(()) => {}
                Err(Fault::Busy) if tries < BARRIER_TRIES => {
                    tries += 1;
                    link.rollback().await.map_err(|fault| of(name, fault))?;
                    continue;
                }
                Err(fault) => return Err(of(name, fault)),
            }
            if tables::epoch(link).await.map_err(|fault| of(name, fault))? != Some(epoch) {
                return Err(DbError::NoMaster(format!(
                    "the masters changed while they were compared ({name} is at another epoch): \
                     compare them again"
                )));
            }
            at += 1;
        }
        Ok(())
    }

    async fn repair(
        &mut self,
        info: &TableInfo,
        key: &[Value],
        seen: &[Seen],
    ) -> Result<Repair, DbError> {
        let away = self.view.away();
        if matches!(seen[best(seen)].held, Held::Altered(_)) && !away.is_empty() {
            let away = away.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Ok(Repair::Failed(format!(
                "it was changed by hand, and {away} may hold it as it was: compare again when \
                 every master serves"
            )));
        }
        for Master { name, link } in &mut self.masters {
            link.batch("savepoint one").await.map_err(|fault| of(name, fault))?;
        }
        let done = self.make_same(info, key, seen).await;
        let end = if done.is_ok() { &["release savepoint one"][..] } else { &UNDO[..] };
        for Master { name, link } in &mut self.masters {
            for sql in end {
                link.batch(sql).await.map_err(|fault| of(name, fault))?;
            }
        }
        match done {
            Ok(repair) => Ok(repair),
            Err((at, fault @ Fault::Lost(_))) => Err(of(&self.masters[at].name, fault)),
            Err((at, fault)) => Ok(Repair::Failed(of(&self.masters[at].name, fault).to_string())),
        }
    }

    /// Gives every master the newest of what they hold; a row that is what its
    /// digest says before one that is not. What loses is kept in
    /// `mm_conflicts`.
    async fn make_same(
        &mut self,
        info: &TableInfo,
        key: &[Value],
        seen: &[Seen],
    ) -> Result<Repair, (usize, Fault)> {
        let best = best(seen);
        let winner = &seen[best];
        let kept: BTreeSet<&[Value]> = seen
            .iter()
            .filter(|one| !one.row.is_empty() && one.row != winner.row)
            .map(|one| one.row.as_slice())
            .collect();
        let (after, marker) = match winner.held {
            Held::Absent | Held::Deleted(_) => (None, None),
            Held::Sound(version) => (Some(Image { row: winner.row.clone(), version }), None),
            // It becomes a change of this program's, with a version and a digest
            // of its own, and a marker for masters that are away.
            Held::Altered(old) => {
                let version = self.shared.clock.tick_after(old);
                let after = Image { row: winner.row.clone(), version };
                let mut journal = Journal::default();
                journal.add(info, &Change::Insert { after: &after });
                let (txid, epoch) = (self.shared.new_txid(), self.view.epoch);
                (Some(after), Some(db::marker(txid, epoch, journal.into_marker())))
            }
        };
        let found_at = self.shared.clock.last().wall();
        let conflicts: Vec<Statement> = kept
            .into_iter()
            .map(|row| {
                let image = Image { row: row.to_vec(), version: HybridTime::default() };
                let mut journal = Journal::default();
                journal.add(info, &Change::Insert { after: &image });
                let reason = format!("`{}` {key:?} was not the same on all masters", info.name);
                let params = vec![
                    crate::value::id(self.shared.new_txid()),
                    reason.into(),
                    journal.into_marker().into(),
                    found_at.into(),
                ];
                Statement {
                    sql: "insert into mm_conflicts (txid, reason, ops, found_at) \
                          values (?, ?, ?, ?)"
                        .into(),
                    params,
                    rows: Rows::One,
                    table: "mm_conflicts",
                }
            })
            .collect();
        for (at, Master { link, .. }) in self.masters.iter_mut().enumerate() {
            let all = async {
                link.push(&write_set::take_away(info, key)).await?;
                if let Some(after) = &after {
                    link.push(&write_set::insert(info, after.clone())).await?;
                }
                if let Held::Deleted(version) = winner.held {
                    link.push(&write_set::tombstone(info.name, key, version)).await?;
                }
                for statement in conflicts.iter().chain(&marker) {
                    link.push(statement).await?;
                }
                link.flush().await
            };
            all.await.map_err(|fault| (at, fault))?;
        }
        let name = self.masters[best].name.clone();
        tracing::error!(
            severity = "CRITICAL", table = info.name, ?key, master = %name,
            "a row that was not the same on all masters is now as on this one; what the others \
             had is in mm_conflicts"
        );
        Ok(if after.is_some() { Repair::As(name) } else { Repair::DeletedAs(name) })
    }
}

/// Undoes a savepoint and what was done since.
const UNDO: [&str; 2] = ["rollback to savepoint one", "release savepoint one"];

impl Seen {
    /// Of an answer with all columns, `_v` and `_d`.
    fn of(info: &TableInfo, row: Row) -> Self {
        let (version, digest) = (row.get::<HybridTime>("_v"), row.get::<i64>("_d"));
        let mut row = row.into_values();
        row.truncate(info.columns.len());
        let sound = digest == Ok(write_set::digest(info, &row));
        let held = match version {
            Ok(version) if sound => Held::Sound(version),
            version => Held::Altered(version.unwrap_or_default()),
        };
        Self { held, row }
    }
}

impl Held {
    fn version(self) -> HybridTime {
        match self {
            Self::Absent => HybridTime::default(),
            Self::Deleted(version) | Self::Sound(version) | Self::Altered(version) => version,
        }
    }

    /// What counts more is greater: a sound row and a deletion by version, then a
    /// row that was altered by hand, then nothing at all.
    fn weight(self) -> (u8, HybridTime) {
        match self {
            Self::Absent => (0, HybridTime::default()),
            Self::Altered(version) => (1, version),
            Self::Deleted(version) | Self::Sound(version) => (2, version),
        }
    }
}

/// Who holds what all should have; of several the first, which is the primary
/// where it serves.
fn best(seen: &[Seen]) -> usize {
    let mut best = 0;
    for at in 1..seen.len() {
        if seen[at].held.weight() > seen[best].held.weight() {
            best = at;
        }
    }
    best
}

/// What a master holds of one row, in a transaction that is open.
async fn look(link: &mut Link, info: &TableInfo, key: &[Value]) -> Result<Seen, Fault> {
    if let Some(row) = link.query(&info.sql.select, key).await?.into_iter().next() {
        return Ok(Seen::of(info, row));
    }
    let deleted = tables::buried(link, info.name, key).await?;
    Ok(Seen { held: deleted.map_or(Held::Absent, Held::Deleted), row: Vec::new() })
}

fn of(name: &MasterName, fault: Fault) -> DbError {
    match DbError::from(fault) {
        DbError::NoMaster(why) => DbError::NoMaster(format!("{name}: {why}")),
        other => other,
    }
}
