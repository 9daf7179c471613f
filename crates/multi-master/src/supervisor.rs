//! The one that decides who serves: opens the masters, hears who failed, tries
//! those that are away, and brings them back.

mod opening;

use std::sync::Arc;
use std::time::Duration;

use stdx::{Backoff, HybridTime};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::Policy;
use crate::copy;
use crate::error::{MasterName, TxId};
use crate::fault::Fault;
use crate::link::Link;
use crate::membership::{MasterState, Membership};
use crate::schema::Migration;
use crate::settle::{self, At, Rule};
use crate::shared::{Command, Shared};
use crate::sqlite::IfAbsent;
use crate::tables::{self, Identity, Migrate};
use crate::witness::{Testimony, Witness};
use crate::write_set;

/// The longest pause between two tries of a master that is away.
const PROBE_MAX: Duration = Duration::from_secs(30);
/// Markers are kept at least this long, so that an outcome can be looked up.
const MARKERS_KEPT: Duration = Duration::from_mins(10);
/// Tombstones are kept much longer than any marker that they guard against.
const TOMBSTONES_KEPT: Duration = Duration::from_hours(24);
/// How often old markers are taken away.
const TRIM_EVERY: Duration = Duration::from_mins(1);
/// Rows taken away by one statement.
const TRIM_ROWS: usize = 2_000;
/// A pass that found fewer than this is followed by the last one, for which
/// writers wait.
const CAUGHT_UP: usize = 100;
/// How often writes under way are waited for before a master is given up on
/// which the epoch can't be written.
const FENCE_WAITS_MAX: u32 = 10;
/// Passes before the last one, however much is still written.
const PASSES_MAX: usize = 20;

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    migrations: Vec<Migration>,
    membership: Membership,
    witness: Witness,
    set: Uuid,
    tries: Vec<Try>,
}

/// When a master that is away is tried next.
struct Try {
    backoff: Backoff,
    at: Instant,
}

/// Why a master could not be brought back.
enum Brought {
    /// It failed: it is tried again.
    Failed(String),
    /// It is not the master that it should be, or was made by another program.
    Unfit(String),
    /// It holds rows that can't stay, and only a person can say so.
    Conflict(String),
    /// The master that it was to be brought up from failed.
    BaseFailed(usize, Fault),
}

impl Supervisor {
    /// Hears commands and tries masters that are away, until the store closes.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut trim_at = Instant::now() + TRIM_EVERY;
        let mut check_at = Instant::now() + self.shared.limits.probe;
        loop {
            let next_try = (0..self.tries.len())
                .filter(|&at| !self.membership.view().serves(at))
                .map(|at| self.tries[at].at)
                .min();
            let wake = next_try.map_or(trim_at, |at| at.min(trim_at)).min(check_at);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Close { done }) => {
                        let _ = done.send(());
                        return;
                    }
                    Some(Command::Failed { master, generation, why, done }) => {
                        self.failed(master, generation, why).await;
                        let _ = done.send(());
                    }
                    Some(Command::Lookup { txid, reply }) => {
                        let _ = reply.send(self.lookup(txid).await);
                    }
                },
                () = tokio::time::sleep_until(wake) => {
                    self.try_those_away().await;
                    if Instant::now() >= check_at {
                        if self.membership.view().refuses.is_some() {
                            self.put_in_force().await;
                        }
                        self.check_those_serving().await;
                        check_at = Instant::now() + self.shared.limits.probe;
                    }
                    if Instant::now() >= trim_at {
                        self.trim().await;
                        trim_at = Instant::now() + TRIM_EVERY;
                    }
                }
            }
        }
    }

    async fn failed(&mut self, master: usize, generation: u64, why: String) {
        if !self.membership.is_news(master, generation) {
            return;
        }
        self.take_out(master, why);
        self.put_in_force().await;
    }

    fn take_out(&mut self, master: usize, why: String) {
        tracing::warn!(
            severity = "WARNING", master = %self.membership.view().masters[master].name, why,
            "a master failed"
        );
        self.membership.fail(master, why);
        self.retry_later(master);
    }

    /// Makes the membership durable where that is needed, and public. Nothing is
    /// written under a membership that the witness does not know.
    async fn put_in_force(&mut self) {
        self.claim();
        if self.membership.view().refuses.is_none() {
            self.fence().await;
        }
        self.publish();
    }

    /// Tells the witness what it does not know yet.
    fn claim(&mut self) {
        let testimony = Testimony {
            set: self.set,
            epoch: self.membership.view().epoch,
            entitled: self.membership.entitled_names(),
        };
        if self.witness.said() == Some(&testimony) {
            return self.membership.witnessed(None);
        }
        match self.witness.say(testimony) {
            Ok(()) => self.membership.witnessed(None),
            Err(error) => {
                let why = format!(
                    "nothing can be written while the witness {} can't: {error}",
                    self.witness.path().display()
                );
                tracing::error!(severity = "CRITICAL", why, "writes are refused");
                self.membership.witnessed(Some(why));
            }
        }
    }

    /// Writes the epoch on each master that serves, so that whoever still works
    /// under an older view is stopped. A master on which that fails is out.
    async fn fence(&mut self) {
        let mut waits = 0;
        while let Some((at, fault)) = self.first_unfenced().await {
            match fault {
                // Writes under way hold the epoch row; they end.
                Fault::Busy if waits < FENCE_WAITS_MAX => waits += 1,
                fault => {
                    self.take_out(at, why(fault));
                    self.claim();
                    if self.membership.view().refuses.is_some() {
                        return;
                    }
                }
            }
        }
    }

    async fn first_unfenced(&self) -> Option<(usize, Fault)> {
        let epoch = self.membership.view().epoch;
        for at in self.membership.view().serving() {
            if let Err(fault) = self.fence_one(at, epoch).await {
                return Some((at, fault));
            }
        }
        None
    }

    async fn fence_one(&self, at: usize, epoch: u64) -> Result<(), Fault> {
        let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
        if epoch_of(&mut link).await? == Some(epoch) {
            return Ok(());
        }
        link.begin_barrier().await?;
        tables::set_epoch(&mut link, epoch).await?;
        link.commit().await
    }

    fn publish(&self) {
        let view = self.membership.view().clone();
        for master in &view.masters {
            tracing::info!(
                master = %master.name, state = ?master.state, reason = master.reason.as_deref(),
                epoch = view.epoch, "masters"
            );
        }
        self.shared.view.send_replace(Arc::new(view));
    }

    /// A master that fails while nobody uses it is found out here, and so is a
    /// file that was deleted or replaced.
    async fn check_those_serving(&mut self) {
        for at in self.membership.view().serving() {
            let (generation, epoch) =
                (self.membership.view().generation, self.membership.view().epoch);
            let checked = async {
                let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
                epoch_of(&mut link).await
            };
            let wrong = match checked.await {
                Ok(Some(now)) if now == epoch => continue,
                Ok(now) => format!(
                    "its epoch is {} and should be {epoch}: something else wrote to it",
                    now.unwrap_or(0)
                ),
                // It answers; others only hold what was to be read.
                Err(Fault::Busy) => continue,
                Err(fault) => why(fault),
            };
            self.failed(at, generation, wrong).await;
        }
    }

    async fn try_those_away(&mut self) {
        for at in 0..self.tries.len() {
            if self.membership.view().serves(at) || Instant::now() < self.tries[at].at {
                continue;
            }
            let before = self.membership.view().clone();
            match self.try_again(at).await {
                Ok(()) => {
                    self.tries[at].backoff.reset();
                    tracing::warn!(
                        severity = "INFO", master = %before.masters[at].name, "a master is back"
                    );
                }
                Err(Brought::Failed(why)) => {
                    self.membership.fail(at, why);
                    self.retry_later(at);
                }
                Err(Brought::Unfit(why) | Brought::Conflict(why)) => {
                    self.membership.behind(at, why);
                    self.retry_later(at);
                }
                Err(Brought::BaseFailed(base, fault)) => {
                    self.retry_later(at);
                    self.take_out(base, why(fault));
                }
            }
            let after = self.membership.view();
            let changed = before.epoch != after.epoch
                || after.refuses.is_some()
                || before.masters != after.masters;
            if changed {
                self.put_in_force().await;
            }
        }
    }

    /// Brings a master back. Where it fails, it does not serve.
    async fn try_again(&mut self, at: usize) -> Result<(), Brought> {
        let (mut link, identity) =
            greet(&self.shared, at).await.map_err(|fault| Brought::Failed(why(fault)))?;
        self.resume_clock(identity.last);
        let Some(&first) = self.membership.view().serving().first() else {
            let whole = identity.set == Some(self.set) && !identity.copying;
            if whole && self.membership.may_lead(at) {
                self.membership.join(&[at]);
                return Ok(());
            }
            return Err(Brought::Unfit(format!(
                "it misses writes that others took: start {}",
                list(&self.membership.entitled_names())
            )));
        };
        if self.membership.view().masters[at].state == MasterState::Down {
            self.membership.behind(at, "it is catching up".to_owned());
            self.publish();
        }
        let base = self.shared.connect(first, IfAbsent::Refuse).await;
        let mut base = base.map_err(|fault| base_fault(first, fault))?;
        let news = self.bring(first, &mut base, at, &mut link).await?;
        // `bring` holds writers back on the base. Before they go on, the base is
        // at another epoch, under which nobody writes until the new view is in
        // force: whatever fails from here on, no write can pass this master by.
        self.membership.next_epoch();
        self.claim();
        if let Some(why) = &self.membership.view().refuses {
            return Err(Brought::Failed(why.clone()));
        }
        let epoch = self.membership.view().epoch;
        tables::set_epoch(&mut base, epoch).await.map_err(|fault| base_fault(first, fault))?;
        base.commit().await.map_err(|fault| base_fault(first, fault))?;
        self.membership.join(&[at]);
        if news {
            // It had something that the base did not: the others have to get
            // it as well.
            for other in self.membership.view().serving() {
                if other != at && other != first {
                    self.take_out(other, "it gets what a master that is back had".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Brings `at` to what the base has; true when it had something that the
    /// base did not. When it returns, writers are held back by a transaction
    /// that is open on the base.
    async fn bring(
        &self,
        base_at: usize,
        base: &mut Link,
        at: usize,
        link: &mut Link,
    ) -> Result<bool, Brought> {
        let failed = |fault| Brought::Failed(why(fault));
        let name = &self.membership.view().masters[at].name;
        let identity = tables::identify(link).await.map_err(failed)?;
        if let Some(reason) = stranger(self.set, name, &identity) {
            return Err(Brought::Unfit(reason));
        }
        let epoch = self.membership.view().epoch;
        let trimmed = tables::trimmed(base).await.map_err(|fault| base_fault(base_at, fault))?;
        // The markers that it misses are not all there any more.
        let too_old = identity.set.is_some() && identity.last < trimmed;
        if identity.set.is_none() || too_old {
            tracing::warn!(master = %name, too_old, "a master is filled from another");
            tables::adopt(link, self.set, name, epoch, true).await.map_err(failed)?;
        }
        tables::migrate(link, name, &self.migrations).await.map_err(|error| match error {
            Migrate::Fault(fault) => failed(fault),
            Migrate::Refused(why) => Brought::Unfit(why),
        })?;
        let fill = identity.set.is_none() || identity.copying || too_old;
        if fill {
            let copied = copy::copy(base, link, &self.shared.schema).await;
            let copied = copied.map_err(|at| from_base(base_at, at))?;
            tables::copied(link).await.map_err(failed)?;
            tracing::warn!(master = %name, rows = copied, "filled");
        }
        self.settle(base_at, base, at, link, fill).await
    }

    async fn settle(
        &self,
        base_at: usize,
        base: &mut Link,
        at: usize,
        link: &mut Link,
        filled: bool,
    ) -> Result<bool, Brought> {
        let schema = &self.shared.schema;
        let (back, forth) = if filled {
            // It has nothing of its own to decide about.
            (Rule::Abort, Rule::Follow)
        } else {
            Rule::both(self.shared.policy, at == 0, base_at == 0)
        };
        let tag = |at| from_base(base_at, at);
        let on_base = |fault| base_fault(base_at, fault);
        let mut losers = Vec::new();
        // What only the master that was away has, is decided first.
        let pass = settle::pass(link, base, schema, back, Uuid::nil(), None).await;
        let pass = pass.map_err(|at| tag(at.swapped()))?;
        let news = pass.settled > 0;
        let mut settled = pass.settled;
        losers.extend(pass.losers);
        let mut after = Uuid::nil();
        for _ in 0..PASSES_MAX {
            // Whoever began before this has ended after it: what is committed
            // later has a later id.
            base.begin_barrier().await.map_err(on_base)?;
            let until = tables::last_txid(base).await.map_err(on_base)?;
            base.rollback().await.map_err(on_base)?;
            let Some(until) = until else { break };
            let pass = settle::pass(base, link, schema, forth, after, Some(until)).await;
            let pass = pass.map_err(tag)?;
            settled += pass.settled;
            let caught_up = pass.settled < CAUGHT_UP;
            losers.extend(pass.losers);
            after = until;
            if caught_up {
                break;
            }
        }
        base.begin_barrier().await.map_err(on_base)?;
        let last = settle::pass(base, link, schema, forth, after, None).await.map_err(tag)?;
        settled += last.settled;
        losers.extend(last.losers);
        if forth == Rule::Abort {
            // The master that is back decides: what it never had is undone on
            // the base before anybody goes on.
            let undone = settle::undo_within(link, base, schema, &losers).await;
            undone.map_err(|at| tag(at.swapped()))?;
        } else {
            settle::undo(base, link, schema, &losers).await.map_err(tag)?;
        }
        self.shared.counters.settled.add(settled as u64);
        if settled > 0 {
            let name = &self.membership.view().masters[at].name;
            tracing::warn!(severity = "INFO", master = %name, settled, "caught up");
        }
        Ok(news)
    }

    /// Whether a transaction was saved; `None` while a master that may know it
    /// is away.
    async fn lookup(&self, txid: TxId) -> Option<bool> {
        use stdx::ids::Id as _;
        let view = self.membership.view();
        let decisive = match self.shared.policy {
            Policy::All if !view.serves(0) => return None,
            Policy::All => vec![0],
            Policy::Available => view.serving(),
        };
        for at in decisive {
            if let Some(saved) = self.lookup_at(at, txid).await.ok()? {
                return Some(saved);
            }
        }
        if self.shared.policy == Policy::Available && !view.all_serve() {
            return None;
        }
        // What is older than the oldest marker may have been saved.
        let mut link = self.shared.connect(view.serving()[0], IfAbsent::Refuse).await.ok()?;
        let trimmed = tables::trimmed(&mut link).await.ok()?;
        (Some(txid.uuid()) > trimmed).then_some(false)
    }

    async fn lookup_at(&self, at: usize, txid: TxId) -> Result<Option<bool>, Fault> {
        use stdx::ids::Id as _;
        let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
        // A commit whose answer was lost may be under way still.
        link.begin_barrier().await?;
        let sql = "select aborted from mm_log where txid = ?";
        let rows = link.query(sql, &[txid.uuid().into()]).await?;
        link.rollback().await?;
        rows.first()
            .map(|row| tables::read::<bool>(row, "aborted").map(|aborted| !aborted))
            .transpose()
    }

    /// Takes away markers that every master has had for long.
    async fn trim(&mut self) {
        if !self.membership.view().all_serve() {
            return;
        }
        let now = self.shared.clock.last().wall();
        let markers = HybridTime::from_wall(now.before(MARKERS_KEPT));
        let tombstones = HybridTime::from_wall(now.before(TOMBSTONES_KEPT));
        for at in self.membership.view().serving() {
            let Ok(mut link) = self.shared.connect(at, IfAbsent::Refuse).await else { continue };
            if let Err(fault) = trim_one(&mut link, markers, tombstones).await {
                tracing::warn!(why = why(fault), "old markers were not taken away");
            }
        }
    }

    fn resume_clock(&self, last: Option<Uuid>) {
        if let Some(last) = last.and_then(write_set::version_of) {
            self.shared.clock.resume(last);
        }
    }

    fn retry_later(&mut self, at: usize) {
        self.tries[at].at = Instant::now() + self.tries[at].backoff.pause(&self.shared.random);
    }
}

async fn trim_one(
    link: &mut Link,
    markers: HybridTime,
    tombstones: HybridTime,
) -> Result<(), Fault> {
    use stdx::ids::Id as _;
    let bound = write_set::txid(markers, 0).uuid();
    loop {
        // The newest marker stays: the clock is resumed from it.
        let sql = format!(
            "select txid from mm_log where txid < ? and txid < (select max(txid) from mm_log) \
             order by txid limit {TRIM_ROWS}"
        );
        let rows = link.query(&sql, &[bound.into()]).await?;
        let Some(last) = rows.last() else { break };
        let last: Uuid = tables::read(last, "txid")?;
        tables::note(link, "trimmed", last.to_string()).await?;
        tables::run(link, "delete from mm_log where txid <= ?", vec![last.into()]).await?;
    }
    loop {
        let sql = format!(
            "select tbl, k from mm_tombstones where v < ? order by tbl, k limit {TRIM_ROWS}"
        );
        let rows = link.query(&sql, &[tombstones.into()]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        link.begin().await?;
        for row in rows {
            let sql = "delete from mm_tombstones where tbl = ? and k = ?";
            tables::run(link, sql, row.into_values()).await?;
        }
        link.commit().await?;
    }
}

async fn epoch_of(link: &mut Link) -> Result<Option<u64>, Fault> {
    let rows = link.query("select epoch from mm_epoch where id = 1", &[]).await?;
    let epoch: Option<i64> = rows.first().map(|row| tables::read(row, "epoch")).transpose()?;
    Ok(epoch.and_then(|epoch| u64::try_from(epoch).ok()))
}

/// Connects to a master and asks who it is.
async fn greet(shared: &Shared, at: usize) -> Result<(Link, Identity), Fault> {
    let mut link = shared.connect(at, IfAbsent::Create).await?;
    let identity = tables::identify(&mut link).await?;
    Ok((link, identity))
}

fn from_base(base_at: usize, at: At) -> Brought {
    match at {
        At::From(fault) => base_fault(base_at, fault),
        At::To(fault) => Brought::Failed(why(fault)),
        At::Unfit(reason) => Brought::Conflict(reason),
    }
}

/// Only a base that can't be used has failed; one that is busy is asked again
/// later.
fn base_fault(base_at: usize, fault: Fault) -> Brought {
    match fault {
        Fault::Lost(_) => Brought::BaseFailed(base_at, fault),
        other => Brought::Failed(why(other)),
    }
}

/// Why a master is not the one that the configuration says, where it is not.
fn stranger(set: Uuid, name: &MasterName, identity: &Identity) -> Option<String> {
    match (identity.set, &identity.name) {
        (Some(other), _) if other != set => Some(format!(
            "it belongs to another set of masters ({other}, and this is {set}): check its URL and \
             the data directory"
        )),
        (Some(_), Some(known)) if *known != name.0 => Some(format!(
            "it was called `{known}` so far: give it that name again, or check whether the URLs of \
             two masters were swapped"
        )),
        _ => None,
    }
}

fn why(fault: Fault) -> String {
    match fault {
        Fault::Lost(why) => why,
        other => crate::error::DbError::from(other).to_string(),
    }
}

fn list(names: &[MasterName]) -> String {
    names.iter().map(|name| name.0.as_str()).collect::<Vec<_>>().join(", ")
}
