//! The session: what a device does with edits, answers, the network and time.
//!
//! The engine decides, an adapter does. Each input makes a [`Step`]: what is to be
//! written down, **all of it or nothing, and before anything else**, then what is to
//! be done, then when to wake it. Where writing fails the adapter drops the engine
//! and starts another one from what is stored: nothing that was not written down was
//! sent, or shown as saved.
//!
//! # A server that was put back
//!
//! Where the server's store was put back from a backup, it says so by the id of its change
//! log, and up to which version that is the same as the device's:
//!
//! ```text
//! another log ─▶ RECALL: what was said after that version is read from what is stored
//!             ─▶ it waits in the queue, before what the person did since; what names
//!                versions after that one names that one, under a new id
//!             ─▶ everything is pulled anew
//!             ─▶ COMPARE: what is there again is dropped from the queue; what is not is sent
//! ```

mod input;

mod put_back;

mod session;

mod step;

mod stored;

mod trouble;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stdx::{Clock, HybridTime, IdSource, Random, Seed, UnixMicros};

pub use self::input::{Edit, EditError, Input, Status, Synced, Trouble};
pub use self::session::{Config, Limits, Retry, Session};
pub use self::step::{Effect, End, Kind, Logged, Notice, Persist, RequestId, Saved, Step};
pub use self::stored::Stored;

use crate::merge::{Outcome, Why};
use crate::model::{Fields, LogId, OperationId, RecordKey, Rule, Table, Version};
use crate::operation::{Action, Operation, SEQUENCE_MAX};
use crate::queue::{Chain, Failure, Known, Landed, Priority, Queue, Queued, RecordState};
use crate::sabotage::Bug;
use crate::watch::{self, Source, Watch, due};
use crate::wire::{Answer, Change, PROTOCOL, Pull, PullAnswer, Push, PushAnswer};

/// The first ceiling of the pause after a failure; then it doubles.
const RETRY_BASE: Duration = Duration::from_secs(5);
/// The most.
const RETRY_MAX: Duration = Duration::from_mins(5);
/// What a server can ask for at most.
const LATER_MAX: Duration = Duration::from_hours(24);
/// A request that is not answered by then is taken for lost.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// How long edits wait is counted in steps, at most so long.
const STEP_MAX: Duration = Duration::from_hours(24);
/// Changes are asked for at least so often, also where the server says that there are
/// none: what it says may be lost.
const PULL_EVERY: Duration = Duration::from_mins(5);
/// An operation that is alone in so many pushes of which nothing is taken, one after
/// the other, is no longer what keeps the others waiting.
const ALONE_MAX: u32 = 3;
/// Operations of the log that are kept: the adapter drops the one that is so far
/// behind a new one.
pub const LOG_MAX: u64 = 1_000;

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
struct Outstanding {
    id: RequestId,
    until: UnixMicros,
    push: bool,
}

/// The engine of one device and account.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    session: Session,
    queue: Queue,
    watch: Watch,
    source: Source,
    ids: IdSource,
    clock: Clock,
    random: Random,
    requests: u64,
    asking: Option<RequestId>,
    asking_source: Option<RequestId>,
    outstanding: Option<Outstanding>,
    /// There may be changes after the cursor, of which nobody has told.
    behind: bool,
    /// The last change that was told of.
    head: Version,
    /// When they are asked for in any case.
    pull_at: UnixMicros,
    listening: bool,
    listen_at: Option<UnixMicros>,
    /// The server was put back: to which log, and up to where the device's was the same.
    /// What is stored is read, and nothing is sent until that is here.
    recalling: Option<(LogId, Version)>,
    /// How often, since something was settled or told.
    recalls: u32,
    /// How often in a row it listened and heard nothing.
    unheard: u32,
    /// Records of a pull: fewer after one did not come in time.
    pull_count: u32,
    /// A push was not taken: what the server has to tell is asked for before the next.
    pull_first: bool,
    sent: u64,
    received: u64,
}

impl Engine {
    /// Starts with what is stored: the session, the operations in any order, and of
    /// each record that has one, what the server said last. The seed makes ids and
    /// pauses: never the same one twice on a device.
    #[must_use]
    pub fn start(
        config: Config,
        session: Session,
        mut operations: Vec<Queued>,
        known: BTreeMap<RecordKey, Known>,
        seed: Seed,
        now: UnixMicros,
    ) -> (Self, Step) {
        let mut engine = Self::new(config, session, seed, now);
        let mut step = Step::default();
        let flight = std::mem::take(&mut engine.session.flight);
        for queued in operations.iter_mut().filter(|one| flight.contains(&one.operation.id)) {
            queued.sent = true;
            step.persist.push(Persist::Operation(Arc::new(queued.clone())));
        }
        engine.load(operations, known);
        if !flight.is_empty() {
            engine.save_session(&mut step);
        }
        let step = engine.end(step, now);
        (engine, step)
    }

    /// An engine that takes edits, where another process speaks with the server, or
    /// nobody does: what is on its way stays so. It hears of no network, and sends
    /// nothing. When what it wants written down is written, the other one has to
    /// [`adopt`](Self::adopt) it.
    #[must_use]
    pub fn beside(
        config: Config,
        session: Session,
        operations: Vec<Queued>,
        known: BTreeMap<RecordKey, Known>,
        seed: Seed,
        now: UnixMicros,
    ) -> Self {
        let mut engine = Self::new(config, session, seed, now);
        engine.watch = Watch::Offline;
        engine.load(operations, known);
        engine.queue.fly(&engine.session.flight);
        engine
    }

    /// Goes on with what is stored now, as in [`start`](Self::start): another process
    /// has edited meanwhile. What was asked for is still waited for.
    pub fn adopt(
        &mut self,
        session: Session,
        operations: Vec<Queued>,
        known: BTreeMap<RecordKey, Known>,
        now: UnixMicros,
    ) -> Step {
        self.clock.set(now);
        if session.generation != self.session.generation {
            // An answer that is on its way is of what was pulled before.
            self.outstanding.take_if(|one| !one.push);
            self.behind = true;
        }
        self.session = session;
        self.load(operations, known);
        self.queue.fly(&self.session.flight);
        let mut step = Step::default();
        if !self.session.flight.is_empty() && !self.outstanding.is_some_and(|one| one.push) {
            self.land(Landed::Unknown, &mut step);
            self.save_session(&mut step);
        }
        self.end(step, now)
    }

    fn new(config: Config, session: Session, seed: Seed, now: UnixMicros) -> Self {
        let clock = Clock::starting_at(now);
        let random = Random::new(seed);
        let ids = if config.has(Bug::IdsReused) {
            IdSource::new(Clock::starting_at(UnixMicros::default()), Random::new(Seed(1)))
        } else {
            IdSource::new(clock.clone(), random.clone())
        };
        let pull_count = config.limits.pull_count;
        Self {
            queue: queue(&config),
            config,
            session,
            watch: Watch::Settling { until: now.after(watch::SETTLING) },
            source: Source::default(),
            ids,
            clock,
            random,
            requests: 0,
            asking: None,
            asking_source: None,
            outstanding: None,
            behind: true,
            head: Version::NONE,
            pull_at: now,
            listening: false,
            listen_at: None,
            recalling: None,
            recalls: 0,
            unheard: 0,
            pull_count,
            pull_first: false,
            sent: 0,
            received: 0,
        }
    }

    fn load(&mut self, operations: Vec<Queued>, mut known: BTreeMap<RecordKey, Known>) {
        let mut chains: BTreeMap<RecordKey, Vec<Arc<Queued>>> = BTreeMap::new();
        for queued in operations {
            chains.entry(queued.operation.key.clone()).or_default().push(Arc::new(queued));
        }
        self.queue = queue(&self.config);
        for (key, mut operations) in chains {
            operations.sort_by_key(|queued| queued.operation.sequence);
            let chain = Chain { known: known.remove(&key), operations: operations.into() };
            self.queue.put(&key, chain);
        }
        if self.queue.is_done() {
            self.session.progress = 0;
        }
    }

    /// Whose records they are, and which device it is.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// How everything stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let (len, failed) = (self.queue.len(), self.queue.failed());
        let (chains, settled) = (self.queue.chains().len(), self.session.progress);
        Status {
            watch: self.watch,
            source: self.source,
            queued: len,
            syncing: self.queue.in_flight(),
            failed,
            waiting: len - chains + self.queue.held_back(),
            passed_over: self.queue.passed_over(),
            progress: if self.queue.is_done() {
                (0, 0)
            } else {
                (settled, settled.saturating_add((len - failed) as u64))
            },
            last_success: self.session.last_success,
            to_send: self.queue.to_send(),
            behind: self.is_behind() || self.outstanding.is_some_and(|one| !one.push),
            asking: self.outstanding.is_some(),
            logged_out: self.session.logged_out,
            stopped: self.session.stopped.clone(),
            retry: self.paused(self.clock.now()).map(|retry| retry.until),
            sent: self.sent,
            received: self.received,
            pulling: self.session.anew.map(|head| (self.session.cursor, head)),
        }
    }

    /// How one record stands.
    #[must_use]
    pub fn state(&self, key: &RecordKey) -> RecordState {
        self.queue.state(key)
    }

    /// What needs attention: each record, why, and what was to be done.
    pub fn failed(&self) -> impl Iterator<Item = (&RecordKey, &Failure, &Operation)> {
        self.queue.chains().filter_map(|(key, chain)| {
            let first = chain.operations.front()?;
            Some((key, first.failure.as_ref()?, &first.operation))
        })
    }

    /// Takes an edit. When what the step wants written down is written, the person
    /// is told that it is saved on this device.
    ///
    /// `known` is what is stored of the record; where it has operations already, it
    /// is not looked at. `written` is when the thing was written, which is the order
    /// in which things are sent.
    ///
    /// # Errors
    /// [`EditError`]; then nothing was changed.
    pub fn edit(
        &mut self,
        key: &RecordKey,
        edit: Edit,
        known: Option<Known>,
        (written, priority): (UnixMicros, Priority),
        now: UnixMicros,
    ) -> Result<Step, EditError> {
        self.pass(now);
        let table = self.table(key, &edit)?;
        let before = self.queue.chain(key).cloned();
        let chain = before.unwrap_or_else(|| Chain { known, ..Chain::default() });
        let shown = chain.shown(table);
        let action = match edit {
            Edit::Create(_) if shown.is_some() => {
                return Err(EditError::AlreadyThere(key.clone()));
            }
            Edit::Create(fields) => Action::Create { fields },
            Edit::Update(_) | Edit::Delete if shown.is_none() => {
                return Err(EditError::NotThere(key.clone()));
            }
            Edit::Update(fields) => {
                let shown = shown.unwrap_or_default();
                let (mut changed, mut bases) = (Fields::new(), Fields::new());
                for (name, value) in fields.iter() {
                    let old = shown.get(name);
                    if old == Some(value) {
                        continue;
                    }
                    changed.set(name, value.clone());
                    if table.rule(name) == Some(Rule::Text) {
                        bases.set(name, old.cloned().unwrap_or_else(|| "".into()));
                    }
                }
                if changed.is_empty() {
                    return Ok(self.end(Step::default(), now));
                }
                Action::Update { fields: changed, bases }
            }
            Edit::Delete => Action::Delete,
        };
        let operation = Operation {
            id: self.ids.next(),
            sequence: self.session.sequence.saturating_add(1),
            key: key.clone(),
            action,
            base: chain.seen(),
            written,
            at: now,
            after: self.session.heard,
            schema: self.config.schema,
            restores: false,
        };
        let mut after = chain.clone();
        after.add(Queued::new(operation, priority, now));
        self.may_be_queued(&chain, &after)?;
        self.session.sequence = self.session.sequence.saturating_add(1);
        let mut step = Step::default();
        self.put(key, &chain, after, &mut step);
        self.save_session(&mut step);
        Ok(self.end(step, now))
    }

    /// Time goes on. How long edits wait is counted in steps, none of them longer than
    /// a day: a clock that jumps is no reason to refuse an edit.
    fn pass(&mut self, now: UnixMicros) {
        self.clock.set(now);
        let step = now.since(self.session.last).min(STEP_MAX);
        self.session.last = now;
        if self.queue.is_waiting() {
            self.session.waited = self.session.waited.saturating_add(step);
        } else {
            self.session.waited = Duration::ZERO;
        }
    }

    fn table(&self, key: &RecordKey, edit: &Edit) -> Result<&'static Table, EditError> {
        let no = |field: &str| EditError::NoSuchField {
            table: key.table.to_string(),
            field: field.to_owned(),
        };
        let table = self.table_of(key).ok_or_else(|| no(""))?;
        let (Edit::Create(fields) | Edit::Update(fields)) = edit else { return Ok(table) };
        for (field, _) in fields.iter() {
            match table.rule(field) {
                None => return Err(no(field)),
                Some(Rule::Server) => {
                    let (table, field) = (table.name.to_owned(), field.to_owned());
                    return Err(EditError::ServerOwns { table, field });
                }
                Some(Rule::Latest | Rule::Earliest | Rule::Text | Rule::Reference(_)) => {}
            }
        }
        Ok(table)
    }

    fn table_of(&self, key: &RecordKey) -> Option<&'static Table> {
        self.config.tables.iter().find(|table| *table.name == *key.table)
    }

    fn may_be_queued(&self, before: &Chain, after: &Chain) -> Result<(), EditError> {
        let limits = &self.config.limits;
        let largest = after.operations.iter().map(|queued| queued.operation.bytes()).max();
        if let Some(bytes) = largest.filter(|bytes| *bytes > limits.operation_bytes) {
            return Err(EditError::TooLarge { bytes, max: limits.operation_bytes });
        }
        if after.operations.len() <= before.operations.len() {
            return Ok(());
        }
        // What waits to be compared is no edit of the person's.
        let edits = self.queue.len() - self.queue.to_compare();
        if edits >= limits.queue_count {
            return Err(EditError::QueueFull(edits));
        }
        if self.session.waited > limits.queue_age {
            return Err(EditError::QueueTooOld(limits.queue_age.as_secs() / 86_400));
        }
        Ok(())
    }

    /// Tries what was refused once more, as it is. False where nothing was.
    pub fn try_again(&mut self, key: &RecordKey, now: UnixMicros) -> (bool, Step) {
        self.pass(now);
        let mut sequence = self.session.sequence;
        let id = self.ids.next();
        let mut may_be_known = false;
        let renew = |chain: &mut Chain| {
            may_be_known = chain.renew(id, &mut sequence);
            None
        };
        let Some(mut step) = self.of_failed(key, now, renew) else {
            return (false, self.end(Step::default(), now));
        };
        self.session.sequence = sequence;
        self.session.rejected = 0;
        if may_be_known {
            // Its answer may be of before a deletion that was told, or forgotten, since.
            self.begin_anew();
        }
        self.save_session(&mut step);
        (true, self.end(step, now))
    }

    /// Discards what was refused; what was edited since, and could not become one with it,
    /// goes on alone. False where nothing was refused.
    pub fn discard(&mut self, key: &RecordKey, now: UnixMicros) -> (bool, Step) {
        self.pass(now);
        let mut may_be_known = false;
        let drop_first = |chain: &mut Chain| {
            let first = chain.operations.pop_front();
            may_be_known = first.as_ref().is_some_and(|first| first.sent);
            first
        };
        let Some(mut step) = self.of_failed(key, now, drop_first) else {
            return (false, self.end(Step::default(), now));
        };
        if may_be_known {
            // Answers to what comes after it say nothing of what it did.
            self.begin_anew();
            self.save_session(&mut step);
        }
        (true, self.end(step, now))
    }

    /// Changes a chain whose first operation needs attention; what is returned was
    /// discarded.
    fn of_failed(
        &mut self,
        key: &RecordKey,
        now: UnixMicros,
        change: impl FnOnce(&mut Chain) -> Option<Arc<Queued>>,
    ) -> Option<Step> {
        let before = self.queue.chain(key).filter(|chain| chain.needs_attention())?.clone();
        let mut step = Step::default();
        let mut after = before.clone();
        if let Some(discarded) = change(&mut after) {
            self.log(&discarded, End::Discarded, now, &mut step);
        }
        self.put(key, &before, after, &mut step);
        self.save_session(&mut step);
        Some(step)
    }

    /// Takes what has happened.
    pub fn hear(&mut self, input: Input, now: UnixMicros) -> Step {
        self.pass(now);
        let mut step = Step::default();
        match input {
            Input::Online => {
                self.watch.may_be_online(now);
                if self.session.retry.is_some_and(|retry| !retry.asked_for) {
                    self.session.retry = None;
                    self.save_session(&mut step);
                }
            }
            Input::Offline => {
                self.watch.is_offline();
                self.asking = None;
            }
            Input::SyncNow => {
                self.behind = true;
                self.watch.is_asked_for(now);
                self.source = Source::default();
                if self.session.retry.take_if(|retry| !retry.asked_for).is_some() {
                    self.save_session(&mut step);
                }
            }
            Input::Health(id, yes) if self.asking == Some(id) => {
                self.asking = None;
                self.watch.answered(yes, now);
                self.behind = true;
                self.unheard = 0;
                self.listen_at = None;
            }
            Input::Source(id, yes) if self.asking_source == Some(id) => {
                self.source.answered(yes, now);
                step.effects.push(Effect::Tell(Notice::Status));
            }
            Input::Pushed(id, answer) if self.is_answer(id, true) => {
                self.outstanding = None;
                match answer {
                    Ok(answer) if answer.sequence >= SEQUENCE_MAX => {
                        self.failed_to(true, Trouble::Later(None), now, &mut step);
                    }
                    Ok(answer) => self.pushed(&answer, now, &mut step),
                    Err(trouble) => self.failed_to(true, trouble, now, &mut step),
                }
            }
            Input::Pulled(id, answer) if self.is_answer(id, false) => {
                self.outstanding = None;
                match answer {
                    Ok(answer) => self.pulled(answer, now, &mut step),
                    Err(trouble) => self.failed_to(false, trouble, now, &mut step),
                }
            }
            // An answer here is that of a request that was given up.
            Input::Wake
            | Input::Health(..)
            | Input::Source(..)
            | Input::Pushed(..)
            | Input::Pulled(..) => {}
            Input::Live(head) => {
                self.head = self.head.max(head);
                self.unheard = 0;
            }
            Input::LiveEnded => {
                self.listening = false;
                // Whether the server is there at all is found out by asking for changes.
                self.behind |= self.unheard == 1;
                self.listen_at = Some(now.after(self.pause(self.unheard)));
                self.unheard = self.unheard.saturating_add(1);
            }
            Input::Recalled(told) => {
                if let Some((log, common)) = self.recalling.take() {
                    self.recalled(log, common, told, now, &mut step);
                }
            }
            Input::LoggedIn => {
                self.session.logged_out = false;
                self.session.stopped = None;
                self.session.retry = None;
                self.save_session(&mut step);
            }
        }
        self.end(step, now)
    }

    fn is_answer(&self, id: RequestId, push: bool) -> bool {
        self.outstanding.is_some_and(|one| one.id == id && one.push == push)
    }

    fn pushed(&mut self, answer: &PushAnswer, now: UnixMicros, step: &mut Step) {
        if let Some(common) = answer.common {
            self.land(Landed::NotTaken, step);
            return self.recall(answer.log, common, now, step);
        }
        let mut landed = 0;
        let mut own = BTreeSet::new();
        let flight = self.session.flight.clone();
        for one in &answer.answers {
            if self.is_too_early(one, answer.head) {
                landed += 1;
                self.pull_first = true;
                continue;
            }
            let Some(key) = self.queue.lands(one.operation) else { continue };
            let Some(before) = self.queue.chain(&key).cloned() else { continue };
            let settled = before.operations[0].clone();
            let mut after = before.clone();
            after.settle(&one.outcome, self.generation_of_answers(), self.told_up_to());
            if self.config.has(Bug::DeletionLost) {
                after.operations.pop_front_if(|next| next.operation.action == Action::Delete);
            }
            self.put(&key, &before, after, step);
            let tell = |notice| Effect::Tell(notice);
            landed += 1;
            let end = match &one.outcome {
                Outcome::Applied { version } => {
                    // What was not there to be deleted is so at the last change of all,
                    // which may be another record's.
                    own.extend(settled.operation.action.fields().map(|_| *version));
                    End::Applied
                }
                Outcome::Merged { version, revision, .. } => {
                    own.insert(*version);
                    if let Some(revision) = *revision {
                        let (key, why) = (key.clone(), Why::Overlap);
                        step.effects.push(tell(Notice::Kept { key, revision, why }));
                    }
                    End::Merged
                }
                Outcome::Kept { revision, .. } => {
                    let (key, revision, why) = (key.clone(), *revision, Why::Deleted);
                    step.effects.push(tell(Notice::Kept { key, revision, why }));
                    End::Kept
                }
                Outcome::Refused { code, message } => {
                    // Where later edits have become one with it, it is sent again.
                    if self.queue.chain(&key).is_some_and(Chain::needs_attention) {
                        let failure = Failure { code: code.clone(), message: message.clone() };
                        step.effects.push(tell(Notice::Refused { key: key.clone(), failure }));
                    }
                    End::Refused
                }
            };
            self.log(&settled, end, now, step);
            if end != End::Refused {
                self.session.progress = self.session.progress.saturating_add(1);
                self.sent += 1;
            }
        }
        self.land(Landed::Unknown, step);
        self.head = self.head.max(answer.head);
        self.skip_own(own);
        if landed == 0 {
            // A server that settles nothing is asked again, and not at once.
            self.not_taken(&flight, step);
            return self.wait(None, true, now, step);
        }
        let is_settled = |id: &OperationId| answer.answers.iter().any(|one| one.operation == *id);
        let last = flight.iter().rposition(is_settled).unwrap_or_default();
        for left_out in flight[..last].iter().filter(|id| !is_settled(id)) {
            self.pass_over(*left_out, step);
        }
        (self.session.not_taken, self.session.rejected) = (0, 0);
        let whole = self.config.limits.push_count;
        self.session.push_max =
            self.session.push_max.map(|max| max.saturating_mul(2)).filter(|max| *max < whole);
        self.session.log = Some(answer.log);
        self.session.sequence = self.session.sequence.max(answer.sequence);
        self.session.waited = Duration::ZERO;
        self.session.stopped = None;
        self.session.retry = None;
        self.succeeded(answer.now, now, step);
    }

    fn is_behind(&self) -> bool {
        self.behind || self.head > self.session.cursor
    }

    /// What the device has by answers need not be pulled, as far as no change of another
    /// device, and no revision, is between.
    fn skip_own(&mut self, own: BTreeSet<Version>) {
        for version in own {
            let next = self.session.cursor.0.checked_add(1).map(Version);
            if self.session.anew.is_none() && Some(version) == next {
                self.session.cursor = version;
            }
        }
    }

    /// It is of long ago, and the record was not told since, while there is more to be told:
    /// whether it is as the answer says or is gone is known then. It is asked for again.
    fn is_too_early(&self, answer: &Answer, head: Version) -> bool {
        let (told, Some(version)) = (self.told_up_to(), answer.outcome.version()) else {
            return false;
        };
        version <= told
            && told < head
            && self.queue.of_flying(answer.operation).is_some_and(|key| {
                let chain = self.queue.chain(key);
                let known = chain.and_then(|chain| chain.known.as_ref());
                known.is_none_or(|known| known.version < version)
            })
    }

    /// An answer may be of long ago, and what it says deleted since: while everything
    /// is pulled anew, only what is told then is there.
    fn generation_of_answers(&self) -> u32 {
        self.session.generation.saturating_sub(u32::from(self.session.anew.is_some()))
    }

    /// Every change up to here was told, or is one of its own.
    const fn told_up_to(&self) -> Version {
        if self.session.anew.is_some() { Version::NONE } else { self.session.cursor }
    }

    /// The flight is over. What of it may be settled may not be changed any more, also after
    /// a restart.
    fn land(&mut self, landed: Landed, step: &mut Step) {
        self.session.flight.clear();
        for left in self.queue.landed(landed) {
            step.persist.push(Persist::Operation(left));
        }
    }

    fn pulled(&mut self, answer: PullAnswer, now: UnixMicros, step: &mut Step) {
        if let Some(common) = answer.common {
            return self.recall(answer.log, common, now, step);
        }
        self.session.log = Some(answer.log);
        self.received += answer.changes.len() as u64;
        for Change { version, key, fields } in answer.changes {
            let Some(table) = self.table_of(&key) else { continue };
            let known = Known { version, generation: self.session.generation, fields };
            if let Some(before) = self.queue.chain(&key).cloned() {
                let mut after = before.clone();
                after.told(table, known);
                self.put(&key, &before, after, step);
            } else {
                let shown = known.fields.clone();
                let saved = Saved { known: Some(known), shown };
                step.persist.push(Persist::Record(key.clone(), saved));
                step.effects.push(Effect::Tell(Notice::Record(key)));
            }
        }
        if answer.more && answer.cursor <= self.session.cursor {
            return self.wait(None, false, now, step);
        }
        // What was told since this was asked for may not be in it; but a head that nobody
        // can tell anything of is none.
        let is_news = answer.cursor > self.session.cursor;
        let told = if is_news { self.head } else { Version::NONE };
        self.head = told.max(if answer.more { answer.head } else { answer.cursor });
        self.session.cursor = answer.cursor;
        self.behind = answer.more;
        self.pull_count = self.pull_count.saturating_mul(2).min(self.config.limits.pull_count);
        self.pull_at = now.after(PULL_EVERY);
        if let Some(Version::NONE) = self.session.anew {
            self.session.anew = Some(answer.head);
        }
        if !answer.more && self.session.anew.take().is_some() {
            self.forget_the_untold(step);
        }
        if self.queue.to_send() == 0 {
            self.session.stopped = None;
        }
        self.session.retry.take_if(|retry| !retry.of_push);
        self.succeeded(answer.now, now, step);
    }

    /// Everything was pulled anew: what was not told is not there any more.
    fn forget_the_untold(&mut self, step: &mut Step) {
        let generation = self.session.generation;
        let untold =
            |chain: &Chain| chain.known.as_ref().is_some_and(|known| known.generation < generation);
        let keys: Vec<RecordKey> = self
            .queue
            .chains()
            .filter(|(_, chain)| untold(chain))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let Some(before) = self.queue.chain(&key).cloned() else { continue };
            let mut after = before.clone();
            after.known = None;
            self.put(&key, &before, after, step);
        }
        step.persist.push(Persist::Forget { older_than: generation });
        let again: Vec<RecordKey> = self.queue.again().cloned().collect();
        for key in again {
            let Some(before) = self.queue.chain(&key).cloned() else { continue };
            // It is compared there.
            self.put(&key, &before, before.clone(), step);
        }
    }

    fn succeeded(&mut self, server: HybridTime, now: UnixMicros, step: &mut Step) {
        self.session.heard = self.session.heard.max(server);
        self.recalls = 0;
        self.session.last_success = Some(now);
        self.save_session(step);
        step.effects.push(Effect::Tell(Notice::Status));
    }

    /// Everything is to be pulled anew. An answer that is on its way is of what was
    /// pulled before.
    fn begin_anew(&mut self) {
        self.outstanding.take_if(|one| !one.push);
        self.session.generation = self.session.generation.saturating_add(1);
        self.session.anew = Some(Version::NONE);
        self.session.cursor = Version::NONE;
        self.behind = true;
    }

    /// Puts a chain in the place of what it was, and has the difference written down.
    fn put(&mut self, key: &RecordKey, before: &Chain, mut after: Chain, step: &mut Step) {
        let Some(table) = self.table_of(key) else { return };
        if self.session.anew.is_none() {
            after.compare(table);
        }
        let gone = before.operations.iter().map(|queued| queued.operation.id);
        for id in gone {
            if after.operations.iter().all(|queued| queued.operation.id != id) {
                step.persist.push(Persist::OperationGone(id));
            }
        }
        for queued in &after.operations {
            if !before.operations.contains(queued) {
                step.persist.push(Persist::Operation(Arc::clone(queued)));
            }
        }
        let shown = after.shown(table);
        if after.known != before.known || shown != before.shown(table) {
            let known = after.known.clone();
            step.persist.push(match (known, shown) {
                (None, None) => Persist::RecordGone(key.clone()),
                (known, shown) => Persist::Record(key.clone(), Saved { known, shown }),
            });
        }
        step.effects.push(Effect::Tell(Notice::Record(key.clone())));
        self.queue.put(key, after);
    }

    fn log(&mut self, queued: &Queued, end: End, now: UnixMicros, step: &mut Step) {
        self.session.logged = self.session.logged.saturating_add(1);
        let operation = &queued.operation;
        let logged = Logged {
            operation: operation.id,
            key: operation.key.clone(),
            kind: match operation.action {
                Action::Create { .. } => Kind::Create,
                Action::Update { .. } => Kind::Update,
                Action::Delete => Kind::Delete,
            },
            end,
            queued: queued.queued,
            settled: now,
        };
        step.persist.push(Persist::Log(self.session.logged, Box::new(logged)));
    }

    /// The last of what is written down, once.
    fn save_session(&self, step: &mut Step) {
        step.persist.retain(|persist| !matches!(persist, Persist::Session(_)));
        step.persist.push(Persist::Session(Box::new(self.session.clone())));
    }

    /// What follows from how things are now.
    fn end(&mut self, mut step: Step, now: UnixMicros) -> Step {
        if self.outstanding.is_some_and(|one| due(one.until, now, REQUEST_MAX)) {
            let push = self.outstanding.take().is_some_and(|one| one.push);
            self.failed_to(push, Trouble::Unreachable, now, &mut step);
        }
        let asked = self.watch;
        if self.watch.is_to_ask(now) {
            let id = self.request();
            self.asking = Some(id);
            step.effects.push(Effect::AskHealth(id));
        } else if asked != self.watch {
            self.asking = None;
        }
        if self.source.is_to_ask(self.watch, now) {
            let id = self.request();
            self.asking_source = Some(id);
            step.effects.push(Effect::AskSource(id));
        }
        let paused = self.paused(now);
        let is_in = self.watch == Watch::Online && !self.session.logged_out;
        let may_send = is_in && paused.is_none();
        self.behind |= due(self.pull_at, now, PULL_EVERY);
        // A server that takes nothing of a device may tell it what others did.
        let is_told =
            is_in && self.session.stopped.is_some() && self.pull_first && self.is_behind();
        if (may_send || is_told) && self.outstanding.is_none() && self.recalling.is_none() {
            self.send(&mut step, now);
        }
        if may_send && !self.listening && self.listen_at.is_none_or(|at| due(at, now, RETRY_MAX)) {
            self.listening = true;
            self.listen_at = None;
            step.effects.push(Effect::Listen);
        }
        for key in self.queue.restated() {
            let told = Effect::Tell(Notice::Record(key));
            if !step.effects.contains(&told) {
                step.effects.push(told);
            }
        }
        let retry = paused.map(|retry| retry.until);
        let listen = self.listen_at.filter(|_| may_send);
        let lost = self.outstanding.map(|one| one.until);
        let pull = (may_send && lost.is_none()).then_some(self.pull_at);
        let wakes = [self.watch.wake(), self.source.wake(), retry, listen, lost, pull];
        step.wake = wakes.into_iter().flatten().min();
        if self.queue.is_done() {
            self.session.progress = 0;
        }
        step
    }

    /// The pause after a failure, while it lasts.
    fn paused(&self, now: UnixMicros) -> Option<Retry> {
        self.session.retry.filter(|retry| {
            let pause_max = if retry.asked_for { LATER_MAX } else { RETRY_MAX };
            !due(retry.until, now, pause_max)
        })
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn send(&mut self, step: &mut Step, now: UnixMicros) {
        // What the server has lost goes before what may refer to it: until it is known what
        // that is, nothing is pushed.
        let is_to_compare = self.session.anew.is_some() && self.queue.to_compare() > 0;
        let pull_first = std::mem::take(&mut self.pull_first) && self.is_behind();
        let operations = if is_to_compare || pull_first {
            Vec::new()
        } else {
            let Limits { push_count, push_bytes, .. } = self.config.limits;
            let count = self.session.push_max.map_or(push_count, |max| max.min(push_count));
            self.queue.take(count, push_bytes)
        };
        let push = !operations.is_empty();
        if !push && !self.is_behind() {
            return;
        }
        let id = self.request();
        self.outstanding = Some(Outstanding { id, until: now.after(REQUEST_MAX), push });
        if push {
            self.session.flight = operations.iter().map(|operation| operation.id).collect();
            let push = Push {
                protocol: PROTOCOL,
                account: self.session.account,
                device: self.session.device,
                log: self.session.log,
                now,
                settled: self.queue.settled_up_to(self.session.sequence.saturating_add(1)),
                operations,
            };
            if self.config.has(Bug::DequeuedWhenSent) {
                self.lose(&self.session.flight.clone(), step);
            }
            self.save_session(step);
            step.effects.push(Effect::Push(id, Box::new(push)));
        } else {
            let pull = Pull {
                protocol: PROTOCOL,
                account: self.session.account,
                device: self.session.device,
                log: self.session.log,
                cursor: self.session.cursor,
                anew: self.session.anew,
                limit: self.pull_count,
            };
            self.head = self.session.cursor;
            self.behind = true;
            step.effects.push(Effect::Pull(id, pull));
        }
    }
}

fn queue(config: &Config) -> Queue {
    let ignored = config.has(Bug::ReferencesIgnored);
    Queue::new(if ignored { &[] } else { config.tables })
}
