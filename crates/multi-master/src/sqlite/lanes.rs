//! The connections of the writer's thread: one group of writes on every file,
//! from its begin to its commit.

use std::sync::Arc;

use crate::db::{self, SHARED_MARKER_BYTES, Tx, WriteSet};
use crate::error::{DbError, MasterName, TxId};
use crate::fault::Fault;
use crate::job::{self, Ran, Verdict};
use crate::link::Link;
use crate::membership::View;
use crate::render::Statement;
use crate::sabotage::{Point, reached};
use crate::shared::{Failed, Shared};
use crate::sqlite::lane::{Answers, Lane, Vote, answered, ready};
use crate::sqlite::writer::{Guard, Next, Waiting, refuse, tell};
use crate::write_set::Journal;

/// The fewest writes whose statements are handed to the other files' threads
/// before the end of a group: each handing over may have to wake a thread.
const HANDED_MIN: usize = 4;
/// The most, so that they begin early.
const HANDED_MAX: usize = 16;

/// Connections for one view of the masters.
pub(super) struct Lanes {
    pub(super) view: Arc<View>,
    pub(super) primary_at: usize,
    /// Taken out while a transaction uses it.
    primary: Option<Link>,
    others: Vec<Lane>,
    /// Statements that the others have not been given yet, and of how many
    /// writes.
    kept: (Vec<Statement>, usize),
    /// What the writes did that have no marker yet.
    journal: Journal,
    /// The markers of this group.
    txids: Vec<TxId>,
    /// What the others were given of this group. It is freed by the thread that
    /// made it: to free another's memory takes a lock of the allocator's.
    handed: Vec<Arc<Vec<Statement>>>,
}

/// What became of one write of a group.
pub(super) enum One {
    Ran(Held),
    /// It has to be undone, and there is no savepoint; and what its caller is
    /// told where it was alone.
    Spoilt(Verdict),
    /// The primary can't be used.
    Lost(Fault),
}

/// What a write's caller is told once the group has committed. Also a refusal
/// waits for that: it may rest on what another write of the group did.
pub(super) enum Held {
    /// What it did is in this marker of the group.
    Changed {
        marker: usize,
    },
    /// It changed nothing.
    Unchanged,
    Refused(Verdict),
}

type Group = Vec<(Waiting, Held)>;

impl Lanes {
    pub(super) fn open(shared: &Arc<Shared>, view: &Arc<View>) -> Result<Self, (usize, Fault)> {
        let serving = view.serving();
        let primary_at = serving[0];
        let connect = |at: usize| match job::run_ready(shared.connect_counted(at)) {
            Ran::Returned(Ok(link)) => Ok(link),
            Ran::Returned(Err(fault)) => Err((at, fault)),
            Ran::Waited | Ran::Panicked => Err((at, Fault::Lost("not opened".to_owned()))),
        };
        let primary = Some(connect(primary_at)?);
        let mut others = Vec::new();
        for &at in &serving[1..] {
            let lane = Lane::start(at, connect(at)?, view.epoch)
                .map_err(|error| (at, Fault::Lost(error.to_string())))?;
            others.push(lane);
        }
        let view = Arc::clone(view);
        Ok(Self {
            view,
            primary_at,
            primary,
            others,
            kept: Default::default(),
            handed: Vec::new(),
            journal: Journal::default(),
            txids: Vec::new(),
        })
    }

    fn primary(&mut self) -> &mut Link {
        self.primary.as_mut().expect("put back after each transaction")
    }

    /// Begins on the primary. The others begin after it, when there is something
    /// for them: two sets of connections always meet in one order.
    pub(super) fn begin(&mut self) -> Result<(), (usize, Fault)> {
        self.handed.clear();
        self.txids.clear();
        let (at, epoch) = (self.primary_at, self.view.epoch);
        ready(self.primary().begin_under(epoch)).map_err(|fault| (at, fault))
    }

    pub(super) fn rollback(&mut self) {
        self.kept = Default::default();
        self.journal = Journal::default();
        if let Some(primary) = &mut self.primary {
            drop(ready(primary.rollback()));
        }
        for lane in &self.others {
            lane.rollback();
        }
    }

    /// Runs one write on the primary. `to_come` is how many follow in its group.
    pub(super) fn run_one(
        &mut self,
        shared: &Shared,
        waiting: &mut Waiting,
        to_come: usize,
        guard: Guard,
    ) -> One {
        let mut link = self.primary.take().expect("put back after each transaction");
        if guard == Guard::Savepoints
            && let Err(fault) = ready(link.batch("savepoint one"))
        {
            self.primary = Some(link);
            return One::Lost(fault);
        }
        reached(Point::BeforeStatements);
        let mut tx = Tx::new(link, shared);
        let ran = job::run_ready(waiting.job.run(&mut tx));
        let went_well = ran == Ran::Returned(true);
        let mut end = match (tx.fault.take(), job::misuse(&ran)) {
            (Some(fault @ (Fault::Lost(_) | Fault::Busy)), _) => End::Lost(fault),
            (_, Some(misuse)) => End::Undo(Verdict::NotSaved(misuse)),
            // The closure's own error says more than the statement's.
            (_, None) if !went_well => End::Undo(Verdict::Refused),
            (Some(fault), None) => End::Undo(Verdict::NotSaved(fault.into())),
            (None, None) => End::Keep(None),
        };
        let dirty = tx.is_dirty();
        if let End::Keep(set) = &mut end {
            match tx.write_set() {
                Ok(done) => *set = done,
                Err(fault) => end = End::Undo(Verdict::NotSaved(fault.into())),
            }
        }
        self.primary = Some(tx.into_link());
        match (end, guard) {
            (End::Lost(fault), _) => One::Lost(fault),
            (End::Undo(verdict), _) if !dirty => {
                self.release(guard, One::Ran(Held::Refused(verdict)))
            }
            (End::Undo(verdict), Guard::None) => One::Spoilt(verdict),
            (End::Undo(verdict), Guard::Savepoints) => {
                match ready(self.primary().batch("rollback to one")) {
                    Ok(()) => self.release(guard, One::Ran(Held::Refused(verdict))),
                    Err(fault) => One::Lost(fault),
                }
            }
            (End::Keep(None), _) => self.release(guard, One::Ran(Held::Unchanged)),
            (End::Keep(Some(done)), _) => {
                let held = One::Ran(Held::Changed { marker: self.txids.len() });
                match self.keep(shared, done, to_come) {
                    Ok(()) => self.release(guard, held),
                    Err(fault) => One::Lost(fault),
                }
            }
        }
    }

    fn release(&mut self, guard: Guard, one: One) -> One {
        if guard == Guard::None {
            return one;
        }
        match ready(self.primary().batch("release one")) {
            Ok(()) => one,
            Err(fault) => One::Lost(fault),
        }
    }

    /// Keeps what a write did for the marker and for the other files, and hands
    /// over what was kept in parts: not so many that waking the threads costs more
    /// than it gains, and so that little is left to run there when the primary has
    /// run everything.
    fn keep(&mut self, shared: &Shared, done: WriteSet, to_come: usize) -> Result<(), Fault> {
        self.journal.append(done.journal);
        let (kept, writes) = &mut self.kept;
        kept.extend(done.statements);
        *writes += 1;
        let writes = *writes;
        if self.journal.len() >= SHARED_MARKER_BYTES {
            return self.seal(shared);
        }
        if writes >= to_come.clamp(HANDED_MIN, HANDED_MAX) {
            self.hand_over();
        }
        Ok(())
    }

    /// Writes the marker of what was done since the last one, here and, with what
    /// was kept for them, on the others at the same time.
    fn seal(&mut self, shared: &Shared) -> Result<(), Fault> {
        if self.journal.is_empty() {
            return Ok(());
        }
        let (txid, journal) = (shared.new_txid(), std::mem::take(&mut self.journal));
        let marker = db::marker(txid, self.view.epoch, journal.into_marker());
        self.txids.push(txid);
        self.kept.0.push(marker);
        let handed = self.hand_over();
        let marker = handed.last().expect("it was put there just now");
        ready(self.primary().push(marker))
    }

    fn hand_over(&mut self) -> Arc<Vec<Statement>> {
        let (statements, _) = std::mem::take(&mut self.kept);
        let statements = Arc::new(statements);
        for lane in &self.others {
            lane.apply(&statements);
        }
        self.handed.push(Arc::clone(&statements));
        statements
    }

    /// Commits the group and tells each caller.
    pub(super) fn commit(&mut self, shared: &Shared, group: Group) -> Next {
        if !group.iter().any(|(_, held)| matches!(held, Held::Changed { .. })) {
            self.rollback();
            self.saved(shared, group, &self.view.away());
            return Next::Done;
        }
        reached(Point::AfterStatements);
        if let Err(fault) = self.seal(shared) {
            self.rollback();
            return Next::failed(waiting(group), self.primary_at, fault);
        }
        reached(Point::MarkerSent);
        // Every file has run everything before any of them commits.
        let answers: Vec<(usize, Answers)> = self
            .others
            .iter()
            .zip(Vote::among(self.others.len()))
            .map(|(lane, vote)| (lane.at, lane.commit(vote)))
            .collect();
        let failed = answers.iter().map(|(at, answers)| (*at, answered(answers)));
        let failed: Vec<_> = failed.filter(|(_, ran)| ran.is_err()).collect();
        if let Some((at, Err(fault))) = failed.into_iter().next() {
            self.rollback();
            let left = waiting(group);
            return match fault {
                Fault::Mismatch { .. } | Fault::Duplicate { .. } | Fault::Refused(_) => {
                    self.differ(shared, left, at, fault)
                }
                // Something else holds that file: it is as good as away.
                Fault::Busy => {
                    let why = "its file is locked by another program".to_owned();
                    Next::NewView { left, failed: Some((at, Failed::Master(why))) }
                }
                fault => Next::failed(left, at, fault),
            };
        }
        self.commit_all(shared, group, &answers)
    }

    /// The other file holds something else than the primary. One write that
    /// meets it is refused; in a group it is found by running each by itself.
    fn differ(&self, shared: &Shared, mut left: Vec<Waiting>, at: usize, fault: Fault) -> Next {
        if left.len() > 1 {
            return Next::OneByOne(left);
        }
        let what = format!("{}: {}", self.view.masters[at].name, DbError::from(fault));
        tracing::error!(severity = "CRITICAL", what, "the masters hold different rows");
        shared.counters.diverged.add(1);
        if let Some(one) = left.pop() {
            refuse(shared, vec![one], &DbError::Diverged(what));
        }
        Next::Done
    }

    /// The other files commit meanwhile.
    fn commit_all(&mut self, shared: &Shared, group: Group, answers: &[(usize, Answers)]) -> Next {
        let mut failed = Vec::new();
        reached(Point::BetweenCommits);
        if let Err(fault) = ready(self.primary().commit()) {
            failed.push((self.primary_at, fault));
        }
        for (at, answers) in answers {
            if let Err(fault) = answered(answers) {
                failed.push((*at, fault));
            }
        }
        if failed.is_empty() {
            self.saved(shared, group, &self.view.away());
            return Next::Done;
        }
        let owed: Vec<usize> = failed.iter().map(|(at, _)| *at).collect();
        // Those that failed stop serving before anybody hears that it is saved.
        let out = report_all(shared, &self.view, failed);
        if out && shared.view().keeps(&self.view.serving(), &owed) {
            self.saved(shared, group, &self.view.owed(&owed));
        } else {
            self.in_doubt(shared, group);
        }
        Next::NewView { left: Vec::new(), failed: None }
    }

    fn saved(&self, shared: &Shared, group: Group, owed: &[MasterName]) {
        reached(Point::BeforeAnswer);
        for (waiting, held) in group {
            let saved = |txid| Verdict::Saved { txid, owed: owed.to_vec() };
            let verdict = match held {
                Held::Changed { marker } => saved(self.txids[marker]),
                Held::Unchanged => saved(shared.new_txid()),
                Held::Refused(verdict) => verdict,
            };
            tell(shared, waiting, verdict);
        }
    }

    fn in_doubt(&self, shared: &Shared, group: Group) {
        for (waiting, held) in group {
            let verdict = match held {
                Held::Changed { marker } => Verdict::InDoubt(self.txids[marker]),
                // It may rest on what is in doubt.
                Held::Unchanged | Held::Refused(_) => Verdict::NotSaved(DbError::Busy),
            };
            tell(shared, waiting, verdict);
        }
    }
}

/// How a savepoint ends.
enum End {
    Keep(Option<WriteSet>),
    Undo(Verdict),
    Lost(Fault),
}

/// Reports masters that failed; false when the store is closing.
fn report_all(shared: &Shared, view: &View, failed: Vec<(usize, Fault)>) -> bool {
    failed.into_iter().all(|(at, fault)| {
        let failed = Failed::Master(DbError::from(fault).to_string());
        shared.report(view, at, failed).blocking_recv().is_ok()
    })
}

fn waiting(group: Group) -> Vec<Waiting> {
    group.into_iter().map(|(waiting, _)| waiting).collect()
}
