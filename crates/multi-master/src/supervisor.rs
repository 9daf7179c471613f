//! The one that decides who serves: opens the masters, hears who failed, tries
//! those that are away, and has them brought back.
//!
//! Whoever reports that a master failed waits for it, so what is done all the time is done
//! beside it: tasks ask those that serve how they are ([`check`]) and keep their logs small
//! ([`trim`]), and a thread brings one back ([`recovery`]). It waits for masters itself
//! where it puts in force who serves, notes that one has to be filled, or looks a
//! transaction up.

mod age;
mod check;
mod fill;
mod opening;
mod ownership;
mod processes;
mod queue;
mod recovery;
mod trim;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stdx::Backoff;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use self::check::Checked;
pub use self::fill::{FillAnew, FillError};
pub(crate) use self::recovery::{Ask, Brought};

use self::ownership::{NotOurs, Ownership};
use self::processes::Processes;
use self::recovery::Recovery;
use self::trim::Trimmer;
use crate::conflicts;
use crate::copy;
use crate::error::{MasterName, TxId};
use crate::fault::Fault;
use crate::lease::LEASE;
use crate::link::Link;
use crate::membership::{MasterState, Membership, View};
use crate::sabotage::{Bug, Point, is, reached};
use crate::shared::{Command, Failed, Shared};
use crate::sqlite::IfAbsent;
use crate::tables::{self, Identity};
use crate::timely::timely;
use crate::witness::{Unsaid, Witness};
use crate::write_set;

/// The longest pause between two tries of a master that is away.
const PROBE_MAX: Duration = Duration::from_secs(30);
/// How long a suspect has to answer: writers wait meanwhile, and go on within a
/// second of the limit on the statement that it did not answer.
const SUSPECT_MAX: Duration = Duration::from_millis(600);
/// A master that is suspect again within this time is not asked again.
const SUSPICION_KEPT: Duration = Duration::from_secs(10);
/// How often writes under way are waited for before a master is given up on
/// which the epoch can't be written.
const FENCE_WAITS_MAX: u32 = 10;
/// How often who serves may change while it is being put in force.
const CHANGES_MAX: u32 = 20;
/// How often it is counted what lost and is kept.
const CONFLICTS_COUNTED: Duration = Duration::from_secs(10);

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    recovery: Recovery,
    membership: Membership,
    witness: Witness,
    tries: Vec<Try>,
    /// Masters that have nearly everything while another one joins.
    may_join_next: Vec<(usize, oneshot::Sender<()>)>,
    /// The generation of the view that was put in force.
    in_force: Option<u64>,
    /// The last epoch that was: masters that serve are at it or beyond.
    epoch_in_force: u64,
    /// Those that others may still read from: who served at any time since it was last
    /// waited for them.
    readable: BTreeSet<MasterName>,
    /// The other processes, where several may have the set open.
    processes: Processes,
    /// Masters on which a commit failed that another one may have. Whoever says that they
    /// serve, they are left out again, until it was in force once that they do not.
    lacking: BTreeSet<usize>,
    /// The locks that keep out processes with another witness.
    ownership: Ownership,
}

/// What is known of one master beside its state.
struct Try {
    backoff: Backoff,
    /// When it is tried next while it is away.
    at: Instant,
    /// When it was last suspect.
    suspected: Option<Instant>,
    /// From which master it is to be brought up, where that was said.
    from: Option<usize>,
    /// How often writers would have been held back for too long for it.
    too_long: u32,
    /// It serves, and is asked whether it can.
    check: Option<JoinHandle<()>>,
    bringing: Option<Bringing>,
}

/// A thread that brings a master back.
struct Bringing {
    /// From which master.
    base: Option<usize>,
    /// The base gets what only it has, and nobody else comes in meanwhile.
    alone: bool,
    /// Writing was paused for it.
    paused: bool,
    /// Where this is gone, the thread was told to give it up, and ends soon.
    cancel: Option<oneshot::Sender<()>>,
}

impl Supervisor {
    /// Hears commands and tries masters that are away, until the store closes.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut trimming = tokio::task::spawn_local(async {});
        let mut check_at = Instant::now() + self.shared.limits.probe;
        let mut count_at = Instant::now();
        let mut counting = tokio::task::spawn_local(async {});
        loop {
            let next_try = (0..self.tries.len())
                .filter(|&at| self.may_be_tried(at))
                .map(|at| self.tries[at].at)
                .min();
            let wake = next_try.map_or(check_at, |at| at.min(check_at));
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Close { done }) => {
                        self.end(&mut commands).await;
                        let _ = done.send(());
                        return;
                    }
                    Some(Command::Failed { master, generation, fault, done }) => {
                        self.failed(master, generation, fault).await;
                        let _ = done.send(());
                    }
                    Some(Command::Lookup { txid, reply }) => {
                        let _ = reply.send(self.lookup(txid).await);
                    }
                    Some(Command::Fill { ask, reply }) => {
                        let _ = reply.send(self.fill(ask).await);
                    }
                    Some(Command::Checked(checked)) => self.checked(checked).await,
                    Some(Command::Outgrown { masters, generation, why, done }) => {
                        let _ = done.send(self.outgrown(masters, generation, &why).await);
                    }
                    Some(Command::Hurry { at }) => self.hurry(at),
                    Some(Command::Recovery { at, ask }) => self.asked(at, ask).await,
                    Some(Command::Brought { at, result }) => self.brought(at, result).await,
                    Some(Command::Heard) => self.heard().await,
                },
                () = tokio::time::sleep_until(wake) => {
                    self.try_those_away().await;
                    if Instant::now() >= check_at {
                        if self.membership.view().refuses.is_some() {
                            self.put_in_force().await;
                        }
                        self.check_those_serving();
                        if trimming.is_finished() {
                            let trimmer = Trimmer::new(&self.shared);
                            trimming = tokio::task::spawn_local(trimmer.run());
                        }
                        check_at = Instant::now() + self.shared.limits.probe;
                    }
                    if Instant::now() >= count_at && counting.is_finished() {
                        let shared = Arc::clone(&self.shared);
                        counting =
                            tokio::task::spawn_local(async move { conflicts::count(&shared).await });
                        count_at = Instant::now() + CONFLICTS_COUNTED;
                    }
                }
            }
        }
    }

    /// Waits for the threads that bring masters back to give it up.
    async fn end(&mut self, commands: &mut mpsc::UnboundedReceiver<Command>) {
        for tried in &mut self.tries {
            tried.give_up();
        }
        while self.tries.iter().any(|tried| tried.bringing.is_some()) {
            match commands.recv().await {
                Some(Command::Brought { at, .. }) => self.tries[at].bringing = None,
                // Whoever asks finds the store closed.
                Some(_) => {}
                None => break,
            }
        }
        self.leave().await;
    }

    async fn failed(&mut self, master: usize, generation: u64, fault: Failed) {
        match fault {
            Failed::Connection(why) => {
                if !self.membership.is_news(master, generation) {
                    return;
                }
                let Some(why) = self.suspect(master, why).await else { return };
                self.take_out(master, why);
            }
            Failed::Master(why) => {
                let serves = self.membership.view().serves(master);
                let is_in_force = self.in_force == Some(self.membership.view().generation);
                if is_in_force && !serves && !self.membership.is_in(master) {
                    // It comes back with everything, whoever brings it back.
                    return;
                }
                // It may be about to be out, and another process may say before that
                // it serves.
                self.lacking.insert(master);
                if serves {
                    self.take_out(master, why);
                }
            }
        }
        self.put_in_force().await;
    }

    /// Asks a master with which something went wrong; `None` where it answers as
    /// it should.
    async fn suspect(&mut self, master: usize, why: String) -> Option<String> {
        let lately = |then: Instant| then.elapsed() < SUSPICION_KEPT;
        if self.tries[master].suspected.replace(Instant::now()).is_some_and(lately) {
            return Some(why);
        }
        self.membership.suspect(master, why.clone());
        self.publish();
        if self.wrong_with(master).await.is_some() {
            return Some(why);
        }
        self.membership.clear(master);
        self.publish();
        None
    }

    /// Asks a master that serves why it can't; `None` where it can.
    async fn wrong_with(&self, master: usize) -> Option<String> {
        match timely(SUSPECT_MAX, check::epoch_of(&self.shared, master)).await {
            Some(said) => self.wrong(said, self.epoch_in_force),
            None => Some(format!("it did not answer within {} ms", SUSPECT_MAX.as_millis())),
        }
    }

    /// Takes a master out. What was based on it, or was about to change who
    /// serves, begins anew.
    fn take_out(&mut self, master: usize, why: String) {
        tracing::warn!(
            severity = "WARNING", master = %self.membership.view().masters[master].name, why,
            "a master failed"
        );
        self.leave_out(master, why);
    }

    fn leave_out(&mut self, master: usize, why: String) {
        self.membership.fail(master, why);
        if self.membership.view().serving().is_empty()
            && let Some(known) = self.witness.known()
        {
            self.membership.revert(known);
        }
        self.retry_later(master);
        for at in 0..self.tries.len() {
            let joining = self.membership.view().masters[at].state == MasterState::Joining;
            let based = self.tries[at].bringing.as_ref().is_some_and(|b| b.base == Some(master));
            if joining || based {
                self.tries[at].give_up();
                self.membership.behind(at, "another master failed meanwhile".to_owned());
            }
        }
    }

    /// Makes the membership durable where that is needed, and public. Nothing is
    /// written under a membership that the witness does not know.
    async fn put_in_force(&mut self) {
        self.drop_those_taken().await;
        let mut in_force = false;
        for _ in 0..CHANGES_MAX {
            self.leave_out_lacking();
            self.tell_who_left();
            let generation = self.membership.view().generation;
            if !self.claim().await {
                break;
            }
            // Others may have said so meanwhile.
            self.tell_who_left();
            if self.lacking.iter().any(|&at| self.membership.is_in(at)) {
                continue;
            }
            if self.membership.is_paused() {
                break;
            }
            if self.in_force == Some(generation) {
                in_force = true;
                break;
            }
            let Some((at, fault)) = self.first_unfenced().await else {
                in_force = true;
                self.in_force = Some(generation);
                // Where nobody serves, nobody was told.
                if !self.membership.view().serving().is_empty() {
                    self.epoch_in_force = self.membership.epochs()[0];
                }
                break;
            };
            // Another process has gone on; where it has not, somebody wrote the
            // epoch by hand.
            if !(matches!(fault, Fault::Moved) && self.hear_now().await) {
                self.take_out(at, why(fault));
            }
        }
        if in_force {
            self.lacking.clear();
            self.wait_for_readers_elsewhere().await;
        } else {
            // Nothing is acknowledged: it is waited for them when something may be.
            self.may_be_read(&names_serving(&self.shared.view()));
            self.may_be_read(&self.membership.hold_all());
        }
        self.publish();
        let cut_off = self.membership.is_cut_off();
        if let Some(client) = self.witness.shared() {
            client.reaches_all(!cut_off);
        }
    }

    /// Those end who hold the epoch on one master while they wait for another that is out:
    /// the next one waits for them.
    fn tell_who_left(&self) {
        self.shared.left.send_if_modified(|left| {
            let is_news = **left != *self.membership.left();
            if is_news {
                self.membership.left().clone_into(left);
            }
            is_news
        });
    }

    /// What was committed elsewhere and not there has to come there, also where another
    /// process, which knows nothing of it, has said meanwhile that it serves.
    fn leave_out_lacking(&mut self) {
        for at in self.lacking.clone() {
            if self.membership.view().serves(at) {
                self.take_out(at, "a commit failed there".to_owned());
            } else if self.membership.is_in(at) {
                self.membership.drop_cut_off();
            }
        }
        if self.membership.view().serving().is_empty() {
            // Whoever has everything that was acknowledged leads, and gets the rest.
            self.lacking.clear();
        }
    }

    /// This process may have been stopped for so long that another one took its place:
    /// an epoch on a master says nothing then.
    async fn drop_those_taken(&mut self) {
        let serving = self.membership.view().serving();
        for at in self.ownership.taken(&self.shared, &serving).await {
            self.take_out(at, NotOurs::Taken.why());
        }
    }

    /// Tells the witness what it does not know yet. False where it can't be told.
    async fn claim(&mut self) -> bool {
        for _ in 0..CHANGES_MAX {
            let testimony = self.membership.testimony(self.recovery.set);
            if self.witness.known() == Some(&testimony) || is(Bug::NoWitness) {
                self.membership.witnessed(self.processes.distrust.clone());
                return self.processes.distrust.is_none();
            }
            match self.witness.say(testimony).await {
                Ok(()) => {
                    self.may_be_read(&self.membership.hold_all());
                    reached(Point::WitnessTold);
                }
                Err(Unsaid::Moved(testimony)) => self.adopt(&testimony).await,
                Err(Unsaid::Silent(error)) => {
                    let place = self.witness.place();
                    let why =
                        format!("nothing can be written while the witness {place} can't: {error}");
                    if self.membership.view().refuses.is_none() {
                        tracing::error!(severity = "CRITICAL", why, "writes are refused");
                    }
                    self.membership.witnessed(Some(why));
                    return false;
                }
            }
        }
        self.membership
            .witnessed(Some("other processes change who serves all the time".to_owned()));
        false
    }

    /// Writes the epoch on each master that serves, so that whoever still works
    /// under an older view is stopped; the first on which that fails.
    async fn first_unfenced(&self) -> Option<(usize, Fault)> {
        let [epoch, _] = self.membership.epochs();
        let serving = self.membership.view().serving();
        let fenced = join_all(serving.iter().map(|&at| self.fence_patiently(at, epoch))).await;
        let unfenced = serving.into_iter().zip(fenced);
        unfenced.into_iter().find_map(|(at, fenced)| Some((at, fenced.err()?)))
    }

    async fn fence_patiently(&self, at: usize, epoch: u64) -> Result<(), Fault> {
        let mut waits = 0;
        loop {
            match self.fence_one(at, epoch).await {
                // Writes under way hold the epoch row; they end.
                Err(Fault::Busy) if waits < FENCE_WAITS_MAX => waits += 1,
                fenced => return fenced,
            }
        }
    }

    /// Other processes may read for a lease from a master that is out, whoever took it
    /// out, and also where this one could not reach it.
    async fn wait_for_readers_elsewhere(&mut self) {
        let before = self.shared.view();
        let out = before.serving().iter().any(|&at| !self.membership.view().serves(at));
        let hold_all = BTreeSet::from_iter(self.membership.hold_all());
        let out = out || !self.readable.is_subset(&hold_all);
        if out && self.shared.among_others {
            tokio::time::sleep(LEASE).await;
        }
        self.readable = hold_all;
    }

    /// The witness says that these serve: whoever hears that may read from them.
    fn may_be_read(&mut self, serving: &[MasterName]) {
        self.readable.extend(serving.iter().cloned());
    }

    async fn fence_one(&self, at: usize, epoch: u64) -> Result<(), Fault> {
        let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
        let serving = names_serving(self.membership.view());
        if tables::epoch(&mut link).await? == Some(epoch)
            && !copy::away(&mut link).await?.names(&serving)
        {
            return Ok(());
        }
        link.begin_barrier().await?;
        if tables::epoch(&mut link).await? > Some(epoch) {
            return Err(Fault::Moved);
        }
        tables::set_epoch(&mut link, epoch).await?;
        copy::are_filled(&mut link, &serving).await?;
        link.commit().await?;
        reached(Point::OneFenced);
        Ok(())
    }

    fn publish(&self) {
        let view = self.membership.view().clone();
        let before = self.shared.view();
        for (at, master) in view.masters.iter().enumerate() {
            if before.masters.get(at) != Some(master) {
                tracing::info!(
                    master = %master.name, state = ?master.state,
                    reason = master.reason.as_deref(), epoch = view.epoch, "masters"
                );
            }
        }
        self.tell_queue();
        // What was heard of the view before says nothing of a master that comes in.
        let read_before = before.reading();
        if view.reading().iter().any(|at| !read_before.contains(at)) {
            self.shared.lease.end();
        }
        for at in view.serving() {
            self.shared.copies.unmark(at);
        }
        self.shared.view.send_replace(Arc::new(view));
    }

    fn may_be_tried(&self, at: usize) -> bool {
        !self.membership.view().serves(at)
            && self.tries[at].bringing.is_none()
            && !self.one_comes_alone()
    }

    /// Whoever else joined would lack what the base gets from it.
    fn one_comes_alone(&self) -> bool {
        self.tries.iter().any(|tried| tried.bringing.as_ref().is_some_and(|b| b.alone))
    }

    async fn try_those_away(&mut self) {
        for at in 0..self.tries.len() {
            if !self.may_be_tried(at) || Instant::now() < self.tries[at].at {
                continue;
            }
            let (cancel, cancelled) = oneshot::channel();
            let hold = recovery::hold_after(self.tries[at].too_long);
            let started = self.recovery.start(at, hold, cancelled);
            self.tries[at].bringing =
                Some(Bringing { base: None, alone: false, paused: false, cancel: Some(cancel) });
            self.shared.queue.pending().trying(at);
            if let Err(error) = started {
                let why = format!("no thread could be started: {error}");
                self.brought(at, Err(Brought::Failed(why))).await;
            }
        }
    }

    /// Answers the thread that brings `at` back, or does not, and it gives up.
    async fn asked(&mut self, at: usize, ask: Ask) {
        let wanted = self.tries[at].from;
        let Some(bringing) = &mut self.tries[at].bringing else { return };
        if bringing.cancel.is_none() {
            return;
        }
        match ask {
            Ask::Greeted { identity, answer } => {
                if let Err(not_ours) = self.ownership.take(&self.shared, at).await {
                    self.tries[at].give_up();
                    self.membership.fail(at, not_ours.why());
                    self.retry_later(at);
                    return self.publish();
                }
                let Some(bringing) = &mut self.tries[at].bringing else { return };
                let view = self.membership.view();
                let wanted = wanted.filter(|&from| view.serves(from));
                let first = wanted.or_else(|| view.serving().first().copied());
                if self.membership.is_in(at) && self.processes.others_serve() {
                    // It serves, as others say, and answers this process again.
                    self.tries[at].give_up();
                    if let Some(why) = self.wrong_with(at).await {
                        self.membership.cut_off(at, why);
                        self.retry_later(at);
                    } else {
                        self.membership.rejoin(at);
                        self.is_back(at);
                    }
                    self.put_in_force().await;
                } else if let Some(first) = first {
                    bringing.base = Some(first);
                    if self.membership.view().masters[at].state == MasterState::Down {
                        self.membership.behind(at, "it is catching up".to_owned());
                        self.publish();
                    }
                    let _ = answer.send((first, self.membership.view().epoch));
                } else {
                    self.tries[at].give_up();
                    self.lead(at, &identity).await;
                }
            }
            Ask::Alone { answer } => {
                let Some(base) = bringing.base else { return };
                bringing.alone = true;
                if self.leave_alone(base).await {
                    let _ = answer.send(self.membership.view().epoch);
                }
            }
            Ask::CaughtUp { answer } => {
                bringing.alone = false;
                self.may_join_next.push((at, answer));
                self.let_one_join();
            }
            Ask::Holding { answer } => {
                let Some(bringing) = &mut self.tries[at].bringing else { return };
                bringing.paused = true;
                self.membership.pause();
                let [_, epoch] = self.membership.epochs();
                if self.claim().await && self.membership.epochs()[1] == epoch {
                    let _ = answer.send(epoch);
                }
            }
        }
    }

    /// Nobody serves: `at` does, where it holds every acknowledged write.
    async fn lead(&mut self, at: usize, identity: &Identity) {
        let whole = identity.set == Some(self.recovery.set) && !identity.copying;
        // Where other processes serve, they bring it back.
        if whole && self.membership.may_lead(at) && !self.processes.others_serve() {
            self.membership.join(&[at]);
            self.is_back(at);
        } else {
            let whole = list(&self.membership.hold_all());
            self.membership.behind(at, format!("it misses writes that others took: start {whole}"));
            self.retry_later(at);
        }
        self.put_in_force().await;
    }

    /// One after the other: each join changes the epoch.
    fn let_one_join(&mut self) {
        let masters = &self.membership.view().masters;
        if masters.iter().any(|master| master.state == MasterState::Joining)
            || self.one_comes_alone()
        {
            return;
        }
        while let Some((at, answer)) = self.may_join_next.pop() {
            if self.tries[at].bringing.as_ref().is_some_and(|b| b.cancel.is_some())
                && answer.send(()).is_ok()
            {
                self.membership.joining(at);
                return self.publish();
            }
        }
    }

    /// The thread that brought `at` back has ended.
    async fn brought(&mut self, at: usize, result: Result<(), Brought>) {
        let Some(bringing) = self.tries[at].bringing.take() else { return };
        let wanted = bringing.cancel.is_some();
        self.shared.copies.end(at, result.is_ok());
        let base = bringing.base.filter(|&base| self.membership.view().serves(base));
        match (result, base) {
            // The supervisor knows better meanwhile, and has said so.
            _ if !wanted => {}
            (Ok(()), Some(_)) => {
                reached(Point::BeforeJoin);
                self.membership.join(&[at]);
                self.is_back(at);
            }
            (Err(Brought::Failed(why)), _) => {
                self.membership.fail(at, self.with_mark(at, why));
                self.retry_later(at);
            }
            (Err(Brought::TooLong(hold)), _) => {
                self.tries[at].too_long += 1;
                let hold = hold.as_millis();
                let why = format!("writers would have waited for it for more than {hold} ms");
                self.membership.behind(at, why);
                if self.tries[at].too_long < recovery::SHORT_HOLDS {
                    // Nothing failed, and writers hardly noticed.
                    self.tries[at].at = Instant::now() + self.shared.limits.probe;
                } else {
                    self.retry_later(at);
                }
            }
            (Err(Brought::Elsewhere), _) => {
                let why = "another process brings it back".to_owned();
                self.membership.behind(at, why);
                self.tries[at].at = Instant::now() + self.shared.limits.probe;
            }
            (Err(Brought::Unfit(why) | Brought::Conflict(why)), _) => {
                self.membership.behind(at, why);
                self.retry_later(at);
            }
            (Err(Brought::BaseFailed(base, fault)), _) => {
                let why = why(fault);
                self.membership.behind(at, format!("what it was brought up from failed: {why}"));
                self.retry_later(at);
                if self.membership.view().serves(base) {
                    self.take_out(base, why);
                }
            }
            (Ok(()), None) | (Err(Brought::Cancelled), _) => {
                let why = self.membership.view().refuses.clone();
                let why = why.unwrap_or_else(|| "another master failed meanwhile".to_owned());
                self.membership.behind(at, why);
                self.retry_later(at);
            }
        }
        if bringing.paused {
            // It did not join: writing goes on without it.
            self.membership.go_on();
        }
        self.put_in_force().await;
        self.let_one_join();
    }

    /// Takes out who serves beside `base`: what only a master that is back has goes to
    /// `base`, and to them when they are brought up from there. True where `base` serves
    /// alone, also for other processes.
    async fn leave_alone(&mut self, base: usize) -> bool {
        if !self.membership.view().serves(base) {
            return false;
        }
        for other in self.membership.view().serving().into_iter().filter(|&at| at != base) {
            self.leave_out(other, "it gets what only a master that is back had".to_owned());
        }
        self.put_in_force().await;
        let view = self.membership.view();
        self.in_force == Some(view.generation)
            && view.refuses.is_none()
            && !self.membership.is_cut_off()
            && view.serving() == [base]
    }

    fn is_back(&mut self, at: usize) {
        self.tries[at].backoff.reset();
        self.tries[at].too_long = 0;
        self.tries[at].from = None;
        let name = &self.membership.view().masters[at].name;
        tracing::warn!(severity = "INFO", master = %name, "a master is back");
    }

    /// Whether a transaction was saved; `None` while a master that may know it
    /// is away, and while the witness can't be told who serves: one that misses it may
    /// still be read from elsewhere, and may have to go on alone.
    async fn lookup(&self, txid: TxId) -> Option<bool> {
        use stdx::ids::Id as _;
        let view = self.membership.view();
        if view.refuses.is_some() {
            return None;
        }
        for at in view.serving() {
            if let Some(saved) = self.lookup_at(at, txid).await.ok()? {
                return Some(saved);
            }
        }
        if !view.all_serve() {
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

    fn retry_later(&mut self, at: usize) {
        self.tries[at].at = Instant::now() + self.tries[at].backoff.pause(&self.shared.random);
        self.shared.queue.pending().failed(at);
    }
}

impl Try {
    /// Tells the thread that brings it back, where there is one, to give it up.
    fn give_up(&mut self) {
        if let Some(bringing) = &mut self.bringing {
            bringing.cancel = None;
            self.at = Instant::now();
        }
    }
}

/// Connects to a master and asks who it is. The clock goes on from its last
/// transaction.
async fn greet(shared: &Shared, at: usize) -> Result<(Link, Identity), Fault> {
    let mut link = shared.connect(at, IfAbsent::Create).await?;
    let identity = tables::identify(&mut link).await?;
    if let Some(last) = identity.last.and_then(write_set::version_of) {
        shared.clock.resume(last);
    }
    Ok((link, identity))
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

fn names_serving(view: &View) -> Vec<MasterName> {
    view.serving().into_iter().map(|at| view.masters[at].name.clone()).collect()
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
