//! Taking away markers and tombstones that nobody needs any more, and bounding
//! the log while a master is away.
//!
//! A marker is needed for ten minutes, so that an outcome can be looked up, and
//! for as long as a master is away that may lack it. Where the log outgrows its
//! limits, such a master is marked: it will be filled from another, and needs no
//! markers. The mark is on every master that serves **before** the first marker
//! is taken away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stdx::HybridTime;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::age::Ages;
use super::why;
use crate::copy;
use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::membership::{MasterState, View};
use crate::shared::{Command, Shared};
use crate::sqlite::IfAbsent;
use crate::tables;
use crate::write_set;

/// Tombstones are kept much longer than any marker that they guard against.
const TOMBSTONES_KEPT: Duration = Duration::from_hours(24);
/// How often old markers are taken away: this often, or every sixty probes.
const EVERY: Duration = Duration::from_mins(1);
const EVERY_PROBES: u32 = 60;
/// After a turn that did not do everything: others want the masters, too.
const SOON: Duration = Duration::from_millis(50);
/// Rows taken away by one statement: markers may be large, and writers wait.
const ROWS: usize = 200;
/// Statements of one turn on one master.
const STATEMENTS_MAX: usize = 20;
/// Markers counted by one statement.
const COUNTED_ROWS: i64 = 10_000;

/// How large the log of one master is, as far as it was counted.
#[derive(Clone, Copy, Debug)]
struct LogSize {
    /// Of which master.
    of: usize,
    /// Everything up to this marker was counted.
    up_to: i64,
    rows: u64,
    bytes: u64,
}

/// Looks after the log, on a task of its own. Who serves may change at any moment; a
/// master is at another epoch then, under which nothing is taken away.
pub(super) struct Trimmer {
    shared: Arc<Shared>,
    /// Counted while a master is away.
    log_size: Option<LogSize>,
    /// How old the markers of each master are.
    ages: Vec<Ages>,
}

impl Trimmer {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let ages = shared.targets.iter().map(|_| Ages::default()).collect();
        Self { shared: Arc::clone(shared), log_size: None, ages }
    }

    pub(super) async fn run(mut self) {
        let mut pause = self.shared.limits.probe;
        loop {
            tokio::time::sleep(pause).await;
            pause = self.trim().await;
        }
    }

    /// Takes away what is old; returns when to do that again.
    async fn trim(&mut self) -> Duration {
        let every = EVERY.min(self.shared.limits.probe * EVERY_PROBES);
        let now = self.shared.clock.last().wall();
        let tombstones = HybridTime::from_wall(now.before(TOMBSTONES_KEPT));
        let view = self.shared.view();
        let olds = self.old_markers(&view).await;
        let bound = if view.all_serve() {
            self.log_size = None;
            Ok(true)
        } else {
            self.may_trim_with_some_away(&view, &olds).await
        };
        match bound {
            Ok(true) => {}
            Ok(false) => return every,
            Err(More) => return SOON,
        }
        let mut more = false;
        let away = view.away();
        for (at, old) in olds {
            let Ok(mut link) = self.shared.connect(at, IfAbsent::Refuse).await else { continue };
            match trim_one(&mut link, view.epoch, &away, old, tombstones).await {
                Ok(rest) => more |= rest,
                // What is away has changed.
                Err(Fault::Moved) => {}
                Err(fault) => tracing::warn!(why = why(fault), "old markers were not taken away"),
            }
        }
        if more { SOON } else { every }
    }

    /// Up to which markers of each master that serves they are old.
    async fn old_markers(&mut self, view: &View) -> BTreeMap<usize, i64> {
        let mut olds = BTreeMap::new();
        for at in 0..self.ages.len() {
            if !view.serves(at) {
                self.ages[at].forget();
                continue;
            }
            let last = async {
                let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
                // Ids that are taken away are of before those that come, also where
                // another process gives them out whose clock is behind.
                let newest = tables::last_txid(&mut link).await?;
                if let Some(newest) = newest.and_then(write_set::version_of) {
                    self.shared.clock.resume(newest);
                }
                Ok((copy::log(&mut link).await?, tables::last_seq(&mut link).await?))
            };
            let last: Result<_, Fault> = last.await;
            match last {
                Ok((log, last)) => {
                    let now = self.shared.clock.machine().passed();
                    let old = self.ages[at].old(now, log, last);
                    // The one that came last stays: the next ones come after it.
                    olds.insert(at, old.min(last.saturating_sub(1)));
                }
                Err(fault) => tracing::warn!(why = why(fault), "the log could not be looked at"),
            }
        }
        olds
    }

    /// Whether old markers may go although a master is away.
    async fn may_trim_with_some_away(
        &mut self,
        view: &View,
        olds: &BTreeMap<usize, i64>,
    ) -> Result<bool, More> {
        let masters = &view.masters;
        // One that joins is there in a moment. One that others reach is not away.
        if view.refuses.is_some()
            || masters.iter().any(|master| master.state == MasterState::Joining)
        {
            return Ok(false);
        }
        let base = view.serving().first().copied();
        let Some((base, &old)) = base.and_then(|base| Some((base, olds.get(&base)?))) else {
            return Ok(false);
        };
        let mut said = BTreeMap::new();
        for &at in olds.keys() {
            let says = async {
                let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
                copy::away(&mut link).await
            };
            match says.await {
                Ok(says) => said.insert(at, says),
                Err(fault) => {
                    tracing::warn!(why = why(fault), "a master does not say who has to be filled");
                    return Ok(false);
                }
            };
        }
        if self.shared.view().generation != view.generation {
            return Ok(false);
        }
        // Who is filled, from whom, and after which of its markers it needs them all.
        let (mut unmarked, mut filling) = (Vec::new(), Vec::new());
        for at in (0..masters.len()).filter(|&at| !view.serves(at)) {
            let name = &masters[at].name;
            let mark = said[&base].marks.get(&name.0);
            match mark {
                Some(mark) => self.shared.copies.mark(at, mark.why.clone()),
                None => self.shared.copies.unmark(at),
            }
            let before = filling.len();
            filling.extend(said.iter().filter_map(|(&from, says)| {
                says.kept_after.get(&name.0).map(|&after| (at, from, after))
            }));
            if mark.is_none() && filling.len() == before {
                unmarked.push(at);
            }
        }
        if unmarked.is_empty() && filling.is_empty() {
            self.log_size = None;
            return Ok(true);
        }
        if !self.is_too_large(base).await? {
            return Ok(unmarked.is_empty());
        }
        // What is of the last minutes is kept anyway.
        if !self.is_any(base, old).await {
            return Ok(false);
        }
        self.log_size = None;
        if !unmarked.is_empty() && !self.give_up(view, unmarked).await {
            return Ok(false);
        }
        let mut stuck = Vec::new();
        for (at, from, after) in filling {
            if !self.is_any(from, olds[&from].min(after)).await {
                stuck.push(at);
            }
        }
        // Only what came after a filling began is left: that begins anew.
        Ok(stuck.is_empty() || self.give_up(view, stuck).await)
    }

    /// Has these masters filled, and keeps the log no more for them; false where it has
    /// to be kept.
    async fn give_up(&self, view: &View, masters: Vec<usize>) -> bool {
        let (done, noted) = oneshot::channel();
        let (generation, why) = (view.generation, self.outgrew());
        let command = Command::Outgrown { masters, generation, why, done };
        drop(self.shared.supervisor.send(command));
        noted.await.unwrap_or(false)
    }

    fn outgrew(&self) -> String {
        let limits = &self.shared.limits;
        format!(
            "the log outgrew its limit of {} markers or {} MiB",
            limits.log_rows_max,
            limits.log_bytes_max >> 20
        )
    }

    /// Whether the log of `base` is larger than it may be. Each marker is
    /// counted once, in as many turns as that takes.
    async fn is_too_large(&mut self, base: usize) -> Result<bool, More> {
        let limits = &self.shared.limits;
        let none = LogSize { of: base, up_to: 0, rows: 0, bytes: 0 };
        let mut size = self.log_size.filter(|size| size.of == base).unwrap_or(none);
        let counted = async {
            let mut link = self.shared.connect(base, IfAbsent::Refuse).await?;
            for _ in 0..STATEMENTS_MAX {
                if !count_more(&mut link, &mut size).await? {
                    return Ok::<_, Fault>(true);
                }
            }
            Ok(false)
        };
        let counted = counted.await;
        self.log_size = Some(size);
        if size.rows > limits.log_rows_max || size.bytes > limits.log_bytes_max {
            return Ok(true);
        }
        match counted {
            Ok(true) => Ok(false),
            Ok(false) => Err(More),
            Err(fault) => {
                tracing::warn!(why = why(fault), "the log could not be counted");
                Ok(false)
            }
        }
    }

    /// Whether there is a marker that came until then, and may be taken away.
    async fn is_any(&self, base: usize, until: i64) -> bool {
        let oldest = async {
            let mut link = self.shared.connect(base, IfAbsent::Refuse).await?;
            let sql = "select seq from mm_log where seq <= ? \
                       and txid <> (select max(txid) from mm_log) order by seq limit 1";
            Ok::<_, Fault>(!link.query(sql, &[until.into()]).await?.is_empty())
        };
        oldest.await.unwrap_or_else(|fault| {
            tracing::warn!(why = why(fault), "the log could not be looked at");
            false
        })
    }
}

/// There is more to do than fits a turn.
#[derive(Debug)]
struct More;

/// Counts the next markers; false where there are no more.
async fn count_more(link: &mut Link, size: &mut LogSize) -> Result<bool, Fault> {
    let sql = "select seq from mm_log where seq > ? order by seq limit 1";
    let next = link.query(sql, &[size.up_to.into()]).await?;
    let Some(next) = next.first() else { return Ok(false) };
    let until = tables::read::<i64>(next, "seq")?.saturating_add(COUNTED_ROWS);
    let until = until.min(tables::last_seq(link).await?);
    let sql = "select count(*) as n, cast(coalesce(sum(length(ops)), 0) as signed) as bytes \
               from mm_log where seq > ? and seq <= ?";
    for row in link.query(sql, &[size.up_to.into(), until.into()]).await? {
        size.rows += tables::read::<u32>(&row, "n").map(u64::from)?;
        size.bytes += u64::try_from(tables::read::<i64>(&row, "bytes")?).unwrap_or(0);
    }
    size.up_to = until;
    Ok(true)
}

/// Takes away what is old on one master, of the markers up to `old` those that no filling
/// of one that is `away` needs; true where there is more. [`Fault::Moved`] under another
/// epoch: somebody may be away then who needs them.
async fn trim_one(
    link: &mut Link,
    epoch: u64,
    away: &[MasterName],
    old: i64,
    tombstones: HybridTime,
) -> Result<bool, Fault> {
    let kept_after = copy::away(link).await?.kept_after;
    let kept_after = away.iter().filter_map(|name| kept_after.get(&name.0).copied());
    let until = kept_after.fold(old, i64::min);
    // The newest stays: a master that has it is not behind what was taken away.
    let Some(newest) = tables::last_txid(link).await? else { return Ok(false) };
    let mut more = true;
    for _ in 0..STATEMENTS_MAX {
        let sql = format!(
            "select txid, seq from mm_log where seq <= ? and txid <> ? order by seq limit {ROWS}"
        );
        let rows = link.query(&sql, &[until.into(), newest.into()]).await?;
        more = rows.len() == ROWS;
        let (mut last, mut seq) = (Uuid::nil(), 0);
        for row in &rows {
            last = last.max(tables::read(row, "txid")?);
            seq = tables::read(row, "seq")?;
        }
        if rows.is_empty() {
            break;
        }
        link.begin_under(epoch).await?;
        if tables::trimmed(link).await? < Some(last) {
            tables::note(link, "trimmed", last.to_string()).await?;
        }
        if tables::trimmed_seq(link).await? < seq {
            tables::note(link, tables::TRIMMED_SEQ, seq.to_string()).await?;
        }
        let sql = "delete from mm_log where seq <= ? and txid <> ?";
        tables::run(link, sql, vec![seq.into(), newest.into()]).await?;
        link.commit().await?;
        if !more {
            break;
        }
    }
    for _ in 0..STATEMENTS_MAX {
        let sql =
            format!("select tbl, k from mm_tombstones where v < ? order by tbl, k limit {ROWS}");
        let rows = link.query(&sql, &[tombstones.into()]).await?;
        if rows.is_empty() {
            return Ok(more);
        }
        link.begin().await?;
        for row in rows {
            let sql = "delete from mm_tombstones where tbl = ? and k = ?";
            tables::run(link, sql, row.into_values()).await?;
        }
        link.commit().await?;
    }
    Ok(true)
}
