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
use crate::error::{MasterName, TxId};
use crate::fault::Fault;
use crate::link::Link;
use crate::membership::{Change, Membership};
use crate::schema::Migration;
use crate::settle::{self, At, Rule, Touched};
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
    /// It answers and is no use as it is: somebody has to do something.
    Unfit(String),
    /// The master that it was to be brought up from failed.
    BaseFailed(Fault),
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
        tracing::warn!(
            severity = "WARNING", master = %self.membership.view().masters[master].name, why,
            "a master failed"
        );
        let change = self.membership.fail(master, why);
        self.retry_later(master);
        self.put_in_force(change).await;
    }

    /// Makes the membership durable where that is needed, and public.
    async fn put_in_force(&mut self, change: Change) {
        if change == Change::Claim {
            self.claim();
        }
        self.fence().await;
        self.publish();
    }

    /// Tells the witness; when it can't be told, nobody serves.
    fn claim(&mut self) {
        let testimony = Testimony {
            set: self.set,
            epoch: self.membership.view().epoch,
            entitled: self.membership.entitled_names(),
        };
        if let Err(error) = self.witness.say(testimony) {
            let why =
                format!("the witness {} can't be written: {error}", self.witness.path().display());
            tracing::error!(severity = "CRITICAL", why, "nobody may serve");
            for at in self.membership.view().serving() {
                let _ = self.membership.fail(at, why.clone());
            }
        }
    }

    /// Writes the epoch on each master that serves, so that whoever still works
    /// under an older view is stopped. A master on which that fails is out.
    async fn fence(&mut self) {
        loop {
            let epoch = self.membership.view().epoch;
            let mut failed = None;
            for at in self.membership.view().serving() {
                if let Err(fault) = self.fence_one(at, epoch).await {
                    failed = Some((at, why(fault)));
                    break;
                }
            }
            let Some((at, why)) = failed else { return };
            tracing::warn!(
                severity = "WARNING", master = %self.membership.view().masters[at].name, why,
                "a master failed"
            );
            self.retry_later(at);
            if self.membership.fail(at, why) == Change::Claim {
                self.claim();
            }
        }
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
            let before = self.membership.view().masters[at].clone();
            match self.try_again(at).await {
                Ok(change) => {
                    self.tries[at].backoff.reset();
                    self.put_in_force(change).await;
                    tracing::warn!(
                        severity = "INFO", master = %before.name, "a master is back"
                    );
                }
                Err(Brought::Failed(why)) => {
                    let _ = self.membership.fail(at, why);
                    self.retry_later(at);
                }
                Err(Brought::Unfit(why)) => {
                    self.membership.behind(at, why);
                    self.retry_later(at);
                }
                Err(Brought::BaseFailed(fault)) => {
                    self.retry_later(at);
                    if let Some(&base) = self.membership.view().serving().first() {
                        let generation = self.membership.view().generation;
                        self.failed(base, generation, why(fault)).await;
                    }
                }
            }
            let after = &self.membership.view().masters[at];
            if after.state != before.state || after.reason != before.reason {
                self.publish();
            }
        }
    }

    async fn try_again(&mut self, at: usize) -> Result<Change, Brought> {
        let (mut link, identity) =
            greet(&self.shared, at).await.map_err(|fault| Brought::Failed(why(fault)))?;
        self.resume_clock(identity.last);
        let Some(&first) = self.membership.view().serving().first() else {
            let whole = identity.set == Some(self.set) && !identity.copying;
            if whole && self.membership.may_lead(at) {
                return Ok(self.membership.join(&[at]));
            }
            return Err(Brought::Unfit(format!(
                "it misses writes that others took: start {}",
                list(&self.membership.entitled_names())
            )));
        };
        let mut base =
            self.shared.connect(first, IfAbsent::Refuse).await.map_err(Brought::BaseFailed)?;
        self.bring(first, &mut base, at, &mut link).await?;
        // `bring` holds writers back on the base; the new view is in force
        // before they go on.
        let change = self.membership.join(&[at]);
        if change == Change::Claim {
            self.claim();
        }
        let epoch = self.membership.view().epoch;
        let both = async {
            if self.membership.view().serves(at) {
                tables::set_epoch(&mut link, epoch).await.map_err(At::To)?;
                link.flush().await.map_err(At::To)?;
                tables::set_epoch(&mut base, epoch).await.map_err(At::From)?;
            }
            base.commit().await.map_err(At::From)
        };
        match both.await {
            Ok(()) => Ok(Change::None),
            // The claim is made; the fence finds out who is left.
            Err(At::From(fault) | At::To(fault)) => {
                tracing::warn!(why = why(fault), "a master failed while another joined");
                Ok(Change::None)
            }
        }
    }

    /// Brings `at` to what `base` has. When it returns, writers are held back by
    /// a transaction that is open on `base`.
    async fn bring(
        &self,
        base_at: usize,
        base: &mut Link,
        at: usize,
        link: &mut Link,
    ) -> Result<(), Brought> {
        let failed = |fault| Brought::Failed(why(fault));
        let name = &self.membership.view().masters[at].name;
        let identity = tables::identify(link).await.map_err(failed)?;
        match identity.set {
            None => {
                tracing::warn!(master = %name, "an empty master: it is filled from another");
                let epoch = self.membership.view().epoch;
                tables::adopt(link, self.set, epoch, true).await.map_err(failed)?;
            }
            Some(set) if set != self.set => {
                return Err(Brought::Unfit(format!(
                    "it belongs to another set of masters ({set}, and this is {}): check its URL",
                    self.set
                )));
            }
            Some(_) => {}
        }
        tables::migrate(link, name, &self.migrations).await.map_err(|error| match error {
            Migrate::Fault(fault) => failed(fault),
            Migrate::Refused(why) => Brought::Unfit(why),
        })?;
        if identity.set.is_none() || identity.copying {
            let copied = settle::copy(base, link, &self.shared.schema).await.map_err(from_base)?;
            tables::copied(link).await.map_err(failed)?;
            tracing::warn!(master = %name, rows = copied, "filled");
        }
        self.settle(base_at, base, at, link).await
    }

    async fn settle(
        &self,
        base_at: usize,
        base: &mut Link,
        at: usize,
        link: &mut Link,
    ) -> Result<(), Brought> {
        let schema = &self.shared.schema;
        let (back, forth) = Rule::both(self.shared.policy, at == 0, base_at == 0);
        let mut touched = Touched::new();
        let mut settled = 0;
        // What only the master that was away has, is decided first.
        let pass = settle::pass(link, base, schema, back, Uuid::nil(), None);
        let pass = pass.await.map_err(|at| from_base(at.swapped()))?;
        settled += pass.settled;
        touched.extend(pass.touched);
        let mut after = Uuid::nil();
        for _ in 0..PASSES_MAX {
            // Whoever began before this has ended after it: what is committed
            // later has a later id.
            base.begin_barrier().await.map_err(Brought::BaseFailed)?;
            let until = tables::last_txid(base).await.map_err(Brought::BaseFailed)?;
            base.rollback().await.map_err(Brought::BaseFailed)?;
            let Some(until) = until else { break };
            let pass = settle::pass(base, link, schema, forth, after, Some(until)).await;
            let pass = pass.map_err(from_base)?;
            settled += pass.settled;
            touched.extend(pass.touched);
            after = until;
            if pass.settled < CAUGHT_UP {
                break;
            }
        }
        base.begin_barrier().await.map_err(Brought::BaseFailed)?;
        let last = settle::pass(base, link, schema, forth, after, None).await.map_err(from_base)?;
        settled += last.settled;
        touched.extend(last.touched);
        if self.shared.policy == Policy::All && at == 0 {
            // The base is not the primary, so it holds the transaction that was
            // decided against; its rows are put right before anybody goes on.
            let put_right = settle::force_within(link, base, schema, &touched).await;
            put_right.map_err(|at| from_base(at.swapped()))?;
        } else {
            settle::force(base, link, schema, &touched).await.map_err(from_base)?;
        }
        self.shared.counters.settled.add(settled as u64);
        if settled > 0 {
            let name = &self.membership.view().masters[at].name;
            tracing::warn!(severity = "INFO", master = %name, settled, "caught up");
        }
        Ok(())
    }

    /// Whether a transaction was saved; `None` while a master that may know it
    /// is away.
    async fn lookup(&self, txid: TxId) -> Option<bool> {
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
        (self.shared.policy == Policy::All || view.all_serve()).then_some(false)
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
        tables::run(link, "delete from mm_log where txid <= ?", vec![last.into()]).await?;
    }
    tables::run(link, "delete from mm_tombstones where v < ?", vec![tombstones.into()]).await
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

fn from_base(at: At) -> Brought {
    match at {
        At::From(fault) => Brought::BaseFailed(fault),
        At::To(fault) => Brought::Failed(why(fault)),
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
