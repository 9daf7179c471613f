//! A group of writes: they run one after the other in one transaction on the
//! primary, which orders them against others by its locks; then each other
//! master gets all of it in one packet; then all commit. What a group that is alone
//! changes goes to all masters at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join, join_all};
use stdx::Backoff;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::db::{self, Inserted, SHARED_MARKER_BYTES, Tx, WriteSet};
use crate::error::{DbError, TxId};
use crate::fault::Fault;
use crate::job::{self, Ran, Verdict, WriteJob};
use crate::link::Link;
use crate::membership::View;
use crate::mysql::gather::{TURN_MAX, Turn, may_be_at_once};
use crate::mysql::lock_order::{AtOnce, InOrder};
use crate::mysql::pool::Lease;
use crate::mysql::store::MySqlStore;
use crate::mysql::{LockWait, MySqlLink};
use crate::render::Statement;
use crate::sabotage::{Point, reached};
use crate::shared::{Command, Failed};
use crate::tables;
use crate::timely::timely;
use crate::value::Value;
use crate::witness::SILENCE_MAX;

/// Runs of one group before its writes are given back as busy, where it is not
/// for rows that others hold.
const RUNS_MAX: u32 = 10;
/// How long a write is run again and again while others hold its rows: less than who asks
/// for it by HTTP waits for an answer.
const HELD_MAX: Duration = Duration::from_secs(20);
/// A closure that takes longer does more than one write should.
const CLOSURE_MAX: Duration = Duration::from_secs(30);
/// Rows of which it is asked at once when they were deleted before.
const ASKED_AT_ONCE: usize = 200;
/// Pauses between runs after a deadlock.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(200));
/// How long it takes until what a dead process left is settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(2 * SILENCE_MAX.as_secs());

type Job = Box<dyn WriteJob>;

/// What a write's caller is told once its group has committed. Also a refusal
/// waits for that: it may rest on what another write of the group did.
enum Held {
    Changed,
    Unchanged,
    Refused(Verdict),
}

/// Why a group can't go on.
enum Stop {
    Fault(Fault),
    /// One of its writes, or what one before it had put off, has to be undone,
    /// and can't be alone; and what its caller is told where it was alone.
    Spoilt(Verdict),
}

/// What is to be done with a group.
enum Next {
    Done,
    /// One of them spoils the others: half of them, and the other half.
    Halves(Vec<Job>),
    Again(Vec<Job>, Again),
}

/// Why writes have to be run again.
enum Again {
    /// Others held the rows.
    Busy,
    /// All connections were in use.
    Full,
    /// Another view is coming into force.
    Moved,
    /// Another master holds something else than the primary.
    Differs(String),
    /// This master can't be used.
    Failed(usize, String),
}

impl Again {
    /// What a fault before any commit means: `Err` where it is the end.
    fn of(at: usize, fault: Fault) -> Result<Self, Fault> {
        match fault {
            Fault::Lost(why) => Ok(Self::Failed(at, why)),
            Fault::Busy => Ok(Self::Busy),
            Fault::Full => Ok(Self::Full),
            Fault::Moved => Ok(Self::Moved),
            other => Err(other),
        }
    }
}

impl MySqlStore {
    /// Runs a group until each of its writes has its verdict.
    pub(super) async fn write(self: Rc<Self>, group: Vec<Job>, turn: Turn) {
        let mut finished = pin!(self.finish(group, &turn));
        if tokio::time::timeout(TURN_MAX, &mut finished).await.is_err() {
            turn.end();
            finished.await;
        }
    }

    async fn finish(self: &Rc<Self>, mut group: Vec<Job>, turn: &Turn) {
        let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
        let (mut runs, mut differed, mut held) = (0, false, false);
        let began = Instant::now();
        while runs < RUNS_MAX {
            let in_order = self.lock_order.in_order().await;
            let view = self.shared.view();
            if let Err(error) = self.shared.may_write(&view) {
                return self.refuse(group, &error);
            }
            // Nobody but strangers can hold what a group wants that is alone.
            let quick = !held && may_be_at_once(&self.shared, &view) && in_order.is_alone();
            let (left, again) = match self.run(&view, group, turn, &in_order, quick).await {
                Next::Done => return,
                Next::Halves(mut left) => {
                    self.shared.counters.retried.add(left.len() as u64);
                    let other = left.split_off(left.len() / 2);
                    return self.apart([left, other]);
                }
                Next::Again(left, again) => (left, again),
            };
            drop(in_order);
            self.shared.counters.retried.add(left.len() as u64);
            group = left;
            runs += 1;
            match again {
                // It has not waited for the rows yet, or for who holds writers back.
                Again::Busy if quick => held = true,
                // One that waits for a row is not to keep the others waiting.
                Again::Busy if group.len() > 1 => {
                    self.gather.conflicted();
                    return self.apart(group.into_iter().map(|one| vec![one]));
                }
                Again::Busy if began.elapsed() < HELD_MAX => {
                    runs -= 1;
                    turn.end();
                    tokio::time::sleep(backoff.pause(&self.shared.random)).await;
                }
                Again::Busy => break,
                Again::Full => {}
                // A master may have failed between another write's commits: then
                // that is about to be known, and it does not count.
                Again::Differs(_) if !differed => {
                    differed = true;
                    self.commits.all_so_far().await;
                }
                Again::Differs(_) if group.len() > 1 => {
                    let other = group.split_off(group.len() / 2);
                    return self.apart([group, other]);
                }
                // A process that fell may have left it so: then it is settled when
                // the others take it for dead.
                Again::Differs(_)
                    if self.shared.among_others && began.elapsed() < SETTLED_WITHIN =>
                {
                    self.wait_for_change(&view).await;
                }
                Again::Differs(what) => {
                    tracing::error!(severity = "CRITICAL", what, "the masters hold different rows");
                    self.shared.counters.diverged.add(1);
                    return self.refuse(group, &DbError::Diverged(what));
                }
                Again::Moved => self.wait_for_change(&view).await,
                Again::Failed(at, why) => {
                    let failed = Failed::Connection(why);
                    if self.shared.report(&view, at, failed).await.is_err() {
                        return self.refuse(group, &DbError::Closed);
                    }
                }
            }
        }
        self.refuse(group, &DbError::Busy);
    }

    /// Runs each of these groups by itself, all at the same time, out of turn.
    fn apart(self: &Rc<Self>, groups: impl IntoIterator<Item = Vec<Job>>) {
        for group in groups {
            let store = Rc::clone(self);
            let finished: Pin<Box<dyn Future<Output = ()>>> =
                Box::pin(async move { store.finish(group, &Turn::over()).await });
            tokio::task::spawn_local(finished);
        }
    }

    fn refuse(&self, group: Vec<Job>, error: &DbError) {
        for job in group {
            self.tell(job, Verdict::NotSaved(error.clone()));
        }
    }

    async fn wait_for_change(&self, old: &View) {
        let changed = self.shared.moved_on(old);
        drop(tokio::time::timeout(self.shared.limits.statement, changed).await);
    }

    /// Runs a group once.
    async fn run(
        self: &Rc<Self>,
        view: &Arc<View>,
        group: Vec<Job>,
        turn: &Turn,
        in_order: &InOrder<'_>,
        quick: bool,
    ) -> Next {
        let unsure = self.commits.unsure();
        let first = view.serving()[0];
        let (mut link, lease) = match self.lease(view, first).await {
            Ok((link, lease)) => (Link::MySql(Box::new(link)), lease),
            Err(fault) => return self.stopped(group, first, fault),
        };
        let wait = if quick { LockWait::Not } else { LockWait::Second };
        mysql(&mut link).begin_write(view.epoch, wait);
        let group = match self.read_ahead(mysql(&mut link), group).await {
            Ok(group) => group,
            Err((group, fault)) => {
                undo(link, lease).await;
                return match Again::of(first, fault) {
                    Ok(again) => Next::Again(group, again),
                    // One of them reads what can't be read: alone it is told so.
                    Err(_) => Next::Halves(group),
                };
            }
        };
        let mut set = WriteSet::default();
        let mut ran = Vec::new();
        let mut rest = group.into_iter();
        while set.journal.len() < SHARED_MARKER_BYTES
            && let Some(mut job) = rest.next()
        {
            let (back, held) = self.run_one(link, &mut job, &mut set).await;
            link = back;
            let stop = match held {
                Ok(held) => {
                    ran.push((job, held));
                    continue;
                }
                Err(stop) => stop,
            };
            let left: Vec<Job> =
                ran.into_iter().map(|(job, _)| job).chain([job]).chain(rest).collect();
            undo(link, lease).await;
            return match stop {
                Stop::Fault(fault) => self.stopped(left, first, fault),
                Stop::Spoilt(verdict) => self.spoilt(left, verdict, unsure).await,
            };
        }
        if rest.len() > 0 {
            let (store, rest) = (Rc::clone(self), rest.collect());
            tokio::task::spawn_local(async move {
                let turn = store.gather.turn(&store.shared).await;
                store.write(rest, turn).await;
            });
        }
        let writes = ran.len();
        let done = match self.seal(&mut link, set, view.epoch, &ran).await {
            Ok(Some(sealed)) => {
                let primary = Branch { at: first, link, lease };
                let alone = if quick { in_order.at_once() } else { None };
                let order = alone.map_or(Order::PrimaryFirst(turn), Order::AtOnce);
                self.spread(view, primary, sealed, order).await
            }
            Ok(None) => {
                turn.end();
                undo(link, lease).await;
                self.commits.all_so_far().await;
                Ok(Verdict::Saved { txid: self.shared.new_txid(), owed: view.away() })
            }
            Err(fault) => {
                undo(link, lease).await;
                Err((first, fault))
            }
        };
        let jobs = |ran: Vec<(Job, Held)>| ran.into_iter().map(|(job, _)| job).collect();
        match done.map_err(|(at, fault)| (at, Again::of(at, fault))) {
            Ok(verdict) => {
                self.gather.went_through(writes);
                self.conclude(ran, &verdict, unsure)
            }
            Err((_, Ok(again))) => Next::Again(jobs(ran), again),
            Err((at, Err(fault))) if at == first => {
                self.spoilt(jobs(ran), Verdict::NotSaved(fault.into()), unsure).await
            }
            Err((at, Err(fault))) => {
                let what = format!("{}: {}", view.masters[at].name, DbError::from(fault));
                Next::Again(jobs(ran), Again::Differs(what))
            }
        }
    }

    /// A connection to a master, for as long as that serves: a group holds its locks on
    /// one while it waits for another.
    async fn lease(&self, view: &View, at: usize) -> Result<(MySqlLink, Lease<'_>), Fault> {
        let mut stay = self.shared.stay(view, at);
        tokio::select! {
            biased;
            leased = self.writing[at].lease(&self.shared, view) => {
                let (mut link, lease) = leased?;
                link.while_it_serves(stay);
                Ok((link, lease))
            }
            () = stay.over() => Err(Fault::Moved),
        }
    }

    /// Reads at once what the writes of a group read first, where that is a row by
    /// its key: one answer of the server is waited for, not one for each. What
    /// they read is found out by running each up to there, which may be for
    /// nothing: where it then reads something else, it asks for that.
    async fn read_ahead(
        &self,
        link: &mut MySqlLink,
        mut group: Vec<Job>,
    ) -> Result<Vec<Job>, (Vec<Job>, Fault)> {
        if group.len() == 1 {
            return Ok(group);
        }
        let mut wanted: BTreeMap<&str, BTreeSet<Vec<Value>>> = BTreeMap::new();
        for job in &mut group {
            if let Some((table, key)) = self.reads_first(job) {
                wanted.entry(table).or_default().insert(key);
            }
        }
        for (table, keys) in wanted {
            let info = self.shared.schema.table(table).expect("it was read from");
            if let Err(fault) = link.read_ahead(info, &keys).await {
                return Err((group, fault));
            }
        }
        Ok(group)
    }

    /// Runs a closure up to its first statement.
    fn reads_first(&self, job: &mut Job) -> Option<(&'static str, Vec<Value>)> {
        let link = Link::MySql(Box::new(MySqlLink::scout()));
        let mut tx = Tx::new(link, &self.shared);
        // What it does wrong it does once more.
        let _: job::Ran<bool> = job::run_ready(job.run(&mut tx));
        mysql(&mut tx.into_link()).found()
    }

    /// Runs one write of a group on the primary, and adds what it did to the
    /// group's.
    async fn run_one(
        &self,
        mut link: Link,
        job: &mut Job,
        set: &mut WriteSet,
    ) -> (Link, Result<Held, Stop>) {
        mysql(&mut link).mark();
        let awaits_answer = mysql(&mut link).awaits_answer();
        reached(Point::BeforeStatements);
        let mut tx = Tx::new(link, &self.shared);
        let ran = {
            let mut run = pin!(AssertUnwindSafe(job.run(&mut tx)).catch_unwind());
            let ran = poll_fn(|context| match run.as_mut().poll(context) {
                Poll::Ready(Ok(went_well)) => Poll::Ready(Ran::Returned(went_well)),
                Poll::Ready(Err(_)) => Poll::Ready(Ran::Panicked),
                Poll::Pending if awaits_answer.load(Ordering::Relaxed) => Poll::Pending,
                Poll::Pending => Poll::Ready(Ran::Waited),
            });
            timely(CLOSURE_MAX, ran).await
        };
        let misuse = match &ran {
            Some(ran) => job::misuse(ran),
            None => Some(DbError::Misuse("the closure took longer than 30 s")),
        };
        let done = match (tx.fault.take(), misuse) {
            (Some(fault @ (Fault::Lost(_) | Fault::Busy | Fault::Moved)), _) => {
                return (tx.into_link(), Err(Stop::Fault(fault)));
            }
            (_, Some(misuse)) => Err(Verdict::NotSaved(misuse)),
            // The closure's own error says more than the statement's.
            (_, None) if ran != Some(Ran::Returned(true)) => Err(Verdict::Refused),
            (Some(fault), None) => Err(Verdict::NotSaved(fault.into())),
            (None, None) => tx.write_set().map_err(|fault| Verdict::NotSaved(fault.into())),
        };
        let mut link = tx.into_link();
        let held = match done {
            Ok(_) if !mysql(&mut link).is_open() => {
                let dropped = "a statement's future was dropped before its answer came";
                Err(Stop::Spoilt(Verdict::NotSaved(DbError::Misuse(dropped))))
            }
            Ok(Some(done)) => {
                set.append(done);
                Ok(Held::Changed)
            }
            Ok(None) => Ok(Held::Unchanged),
            Err(verdict) if mysql(&mut link).undo_to_mark() => Ok(Held::Refused(verdict)),
            Err(verdict) => Err(Stop::Spoilt(verdict)),
        };
        (link, held)
    }

    fn stopped(&self, left: Vec<Job>, at: usize, fault: Fault) -> Next {
        match Again::of(at, fault) {
            Ok(again) => Next::Again(left, again),
            Err(fault) => {
                self.refuse(left, &fault.into());
                Next::Done
            }
        }
    }

    async fn spoilt(&self, mut left: Vec<Job>, verdict: Verdict, unsure: u64) -> Next {
        if left.len() > 1 {
            return Next::Halves(left);
        }
        let Some(job) = left.pop() else { return Next::Done };
        self.commits.all_so_far().await;
        self.conclude(vec![(job, Held::Refused(verdict.clone()))], &verdict, unsure)
    }

    /// Tells each caller, when the group has its verdict and the commits are known
    /// that it may have read from. What changed nothing, or was refused, is run
    /// again where one of them may be gone: it may rest on that.
    fn conclude(&self, ran: Vec<(Job, Held)>, verdict: &Verdict, unsure: u64) -> Next {
        let (alone, certain) = (ran.len() == 1, self.commits.unsure() == unsure);
        let mut left = Vec::new();
        for (job, held) in ran {
            match held {
                Held::Changed => self.tell(job, verdict.clone()),
                Held::Unchanged | Held::Refused(_) if !certain => left.push(job),
                Held::Unchanged => {
                    let (txid, owed) = (self.shared.new_txid(), self.shared.view().away());
                    self.tell(job, Verdict::Saved { txid, owed });
                }
                Held::Refused(verdict) => self.tell(job, verdict),
            }
        }
        match left.len() {
            0 => Next::Done,
            _ if alone => Next::Again(left, Again::Busy),
            _ => Next::Halves(left),
        }
    }

    /// Puts the group's marker after its last statement on the primary. `None` where
    /// it changed nothing.
    async fn seal(
        &self,
        link: &mut Link,
        set: WriteSet,
        epoch: u64,
        ran: &[(Job, Held)],
    ) -> Result<Option<Sealed>, Fault> {
        let WriteSet { mut statements, journal, inserted } = set;
        if journal.is_empty() {
            // Nothing to commit; but what was read must have been current.
            if ran.iter().any(|(_, held)| matches!(held, Held::Unchanged)) {
                link.flush().await?;
            }
            return Ok(None);
        }
        reached(Point::AfterStatements);
        let txid = self.shared.new_txid();
        let marker = db::marker(txid, epoch, journal.into_marker());
        link.push(&marker).await?;
        if self.shared.among_others {
            self.after_deletions(link, inserted).await?;
        }
        statements.push(marker);
        Ok(Some(Sealed { txid, statements }))
    }

    /// Rows that are inserted have to be newer than those that were deleted in
    /// their place: masters that come back go by versions. Who reads or changes a
    /// row learns its version; who finds none learns nothing of when another
    /// process deleted it, and that one's clock may be ahead.
    async fn after_deletions(&self, link: &mut Link, inserted: Inserted) -> Result<(), Fault> {
        let there = inserted
            .into_iter()
            .filter_map(|((table, key), version)| version.map(|version| (table, key, version)));
        let there: Vec<_> = there.collect();
        for rows in there.chunks(ASKED_AT_ONCE) {
            // The rows are held: who deleted one before has committed.
            if let Some(deleted) = tables::newer_deletion(link, rows).await? {
                self.shared.clock.resume(deleted);
                return Err(Fault::Busy);
            }
        }
        Ok(())
    }

    /// Runs the group on all masters, and commits; or says which one refused.
    ///
    /// The primary goes first, and the others follow when it holds all its locks: so
    /// writers meet in one order. A group that is alone, until it ends, meets none,
    /// and saves that round trip.
    async fn spread<'a>(
        &'a self,
        view: &Arc<View>,
        mut primary: Branch<'a>,
        sealed: Sealed,
        order: Order<'_>,
    ) -> Result<Verdict, (usize, Fault)> {
        let serving = view.serving();
        let wait = match order {
            Order::PrimaryFirst(_) => LockWait::Second,
            Order::AtOnce(_) => LockWait::Not,
        };
        let others = join_all(serving[1..].iter().map(|&at| self.apply(view, at, &sealed, wait)));
        let hold = async {
            primary.link.flush().await?;
            reached(Point::MarkerSent);
            Ok(())
        };
        let (held, applied) = match &order {
            Order::AtOnce(_) => join(hold, others).await,
            Order::PrimaryFirst(turn) => {
                let held = hold.await;
                // It holds all its locks now. Where groups can be on all masters at the
                // same time, the next one waits for its end.
                if !may_be_at_once(&self.shared, view) {
                    turn.end();
                }
                let applied = if held.is_ok() { others.await } else { Vec::new() };
                (held, applied)
            }
        };
        let mut fault = held.err().map(|why: Fault| (primary.at, why));
        let mut branches = vec![primary];
        for (result, &at) in applied.into_iter().zip(&serving[1..]) {
            match result {
                Ok(branch) => branches.push(branch),
                Err(why) => fault = fault.or(Some((at, why))),
            }
        }
        if let Some(fault) = fault {
            join_all(branches.into_iter().map(|branch| undo(branch.link, branch.lease))).await;
            return Err(fault);
        }
        reached(Point::BeforeCommits);
        let under_way = self.commits.begin();
        let verdict = self.commit_all(view, branches, &sealed).await;
        reached(Point::BeforeAnswer);
        under_way.end(matches!(verdict, Verdict::Saved { .. })).await;
        Ok(verdict)
    }

    async fn apply<'a>(
        &'a self,
        view: &View,
        at: usize,
        sealed: &Sealed,
        wait: LockWait,
    ) -> Result<Branch<'a>, Fault> {
        let (mut link, lease) = self.lease(view, at).await?;
        link.begin_write(view.epoch, wait);
        let mut link = Link::MySql(Box::new(link));
        let all = async {
            for statement in &sealed.statements {
                link.push(statement).await?;
            }
            link.flush().await
        };
        match all.await {
            Ok(()) => Ok(Branch { at, link, lease }),
            Err(fault) => {
                undo(link, lease).await;
                Err(fault)
            }
        }
    }

    /// All at the same time: any one of them makes it saved.
    async fn commit_all(
        &self,
        view: &Arc<View>,
        branches: Vec<Branch<'_>>,
        sealed: &Sealed,
    ) -> Verdict {
        #[cfg(feature = "faults")]
        if super::planted::compensates() {
            return self.commit_and_compensate(view, branches, sealed).await;
        }
        let txid = sealed.txid;
        let masters: Vec<usize> = branches.iter().map(|branch| branch.at).collect();
        let failed: Vec<(usize, Fault)> =
            join_all(branches.into_iter().enumerate().map(commit_nth))
                .await
                .into_iter()
                .filter_map(Result::err)
                .collect();
        if failed.is_empty() {
            return Verdict::Saved { txid, owed: view.away() };
        }
        let owed: Vec<usize> = failed.iter().map(|(at, _)| *at).collect();
        // Those that failed stop serving before anybody hears that it is saved.
        if self.report_all(view, failed).await && self.shared.view().keeps(&masters, &owed) {
            return Verdict::Saved { txid, owed: view.owed(&owed) };
        }
        self.doubt(txid).await
    }

    /// Takes masters out; false when the store is closing.
    pub(super) async fn report_all(&self, view: &View, failed: Vec<(usize, Fault)>) -> bool {
        for (at, fault) in failed {
            let failed = Failed::Master(DbError::from(fault).to_string());
            if self.shared.report(view, at, failed).await.is_err() {
                return false;
            }
        }
        true
    }

    /// The answer to a commit was lost; perhaps it can be looked up.
    async fn doubt(&self, txid: TxId) -> Verdict {
        let (reply, answer) = oneshot::channel();
        drop(self.shared.supervisor.send(Command::Lookup { txid, reply }));
        match answer.await {
            Ok(Some(true)) => {
                let owed = self.shared.view().away();
                Verdict::Saved { txid, owed }
            }
            Ok(Some(false)) => Verdict::NotSaved(DbError::Busy),
            Ok(None) | Err(_) => Verdict::InDoubt(txid),
        }
    }
}

/// In which order a group takes its locks.
enum Order<'a> {
    /// On the primary first, and then on the others.
    PrimaryFirst(&'a Turn),
    /// On all masters at the same time, alone for as long as this is there.
    AtOnce(#[expect(dead_code, reason = "it is held")] AtOnce<'a>),
}

/// What a transaction does, its marker last.
pub(super) struct Sealed {
    pub(super) txid: TxId,
    pub(super) statements: Vec<Statement>,
}

/// One master's part of a write.
pub(super) struct Branch<'a> {
    pub(super) at: usize,
    pub(super) link: Link,
    pub(super) lease: Lease<'a>,
}

/// As [`commit`], of one of several that commit at the same time.
async fn commit_nth((nth, branch): (usize, Branch<'_>)) -> Result<(), (usize, Fault)> {
    if nth > 0 {
        reached(Point::BetweenCommits);
    }
    commit(branch).await
}

pub(super) async fn commit(mut branch: Branch<'_>) -> Result<(), (usize, Fault)> {
    match branch.link.commit().await {
        Ok(()) => {
            reached(Point::AfterOneCommit);
            give_back(branch.link, branch.lease);
            Ok(())
        }
        Err(fault) => Err((branch.at, fault)),
    }
}

/// Rolls back; a connection on which that fails is closed, which does the same.
pub(super) async fn undo(mut link: Link, lease: Lease<'_>) {
    if link.rollback().await.is_ok() {
        give_back(link, lease);
    }
}

fn give_back(link: Link, lease: Lease<'_>) {
    if let Link::MySql(link) = link {
        lease.give_back(*link);
    }
}

fn mysql(link: &mut Link) -> &mut MySqlLink {
    match link {
        Link::MySql(link) => link,
        Link::Sqlite(_) => unreachable!("the masters of a set are of one kind"),
    }
}
