//! Driving one saga: does what the [machine](crate::machine) says, and commits it.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use multi_master::{DbError, Outcome, Tx, TxId};
use stdx::{Backoff, UnixMicros};
use tokio::sync::oneshot;

use crate::definition::{Frame, Program, StepCode};
use crate::machine::{Machine, Next, StepRecord, Tried};
use crate::model::{Fence, SagaId, SagaState, StepError, StepState};
use crate::sagas::Core;
use crate::store::{self, Grip, Refused, SagaRow};

/// Pauses while the store can't be written.
const STORE_PAUSE_BASE: Duration = Duration::from_millis(20);
const STORE_PAUSE_MAX: Duration = Duration::from_secs(2);

/// One saga, driven.
pub(crate) struct Drive {
    core: Arc<Core>,
    id: SagaId,
    program: Arc<Program>,
    input: Arc<str>,
    started: UnixMicros,
    machine: Machine,
    /// Steps that have a row.
    stored: BTreeSet<usize>,
    fence: Fence,
    /// Of its row; 0 while it has none.
    revision: u64,
    /// Told when the first commit is made.
    begun: Option<oneshot::Sender<Begun>>,
}

/// What became of a saga that was to begin.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is stored.
    Yes,
    /// There is one of this id.
    Exists(Box<SagaRow>),
    /// Nothing was saved.
    No(DbError),
    /// Nobody knows yet.
    InDoubt(TxId),
}

/// Why a drive ends before its saga does.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Another process has it.
    Lost,
    /// It never began.
    NotBegun,
    /// The process stops.
    Closing,
    /// What is stored can't be read: an operator has to look.
    Unreadable(String),
}

/// What commits together with the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    Run(usize),
    Undo(usize),
}

/// What was committed.
struct Saved {
    machine: Machine,
    /// The saga's own row was written, and not those of steps alone.
    row_too: bool,
}

/// Why a commit was not made.
enum No {
    Refused(Refused),
    Exists(Box<SagaRow>),
    Step(StepError),
}

impl From<DbError> for No {
    fn from(error: DbError) -> Self {
        Self::Refused(Refused::Db(error))
    }
}

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Drive {
    /// One that begins.
    pub(crate) fn begin(
        core: Arc<Core>,
        id: SagaId,
        program: Arc<Program>,
        input: Arc<str>,
        begun: oneshot::Sender<Begun>,
    ) -> Self {
        let machine = Machine::begin(Arc::clone(&program.shape));
        let (started, fence, begun) = (core.now(), Fence(1), Some(begun));
        let (stored, revision) = (BTreeSet::new(), 0);
        Self { core, id, program, input, started, machine, stored, fence, revision, begun }
    }

    /// One that was taken over.
    pub(crate) fn resume(
        core: Arc<Core>,
        program: Arc<Program>,
        row: &SagaRow,
        steps: Vec<(usize, String, StepRecord)>,
    ) -> Result<Self, Halt> {
        let (machine, stored) = machine_of(&program, row, steps)?;
        let (input, fence, revision) = (Arc::clone(&row.input), row.fence, row.revision);
        let (id, started, begun) = (row.id, row.started, None);
        Ok(Self { core, id, program, input, started, machine, stored, fence, revision, begun })
    }

    pub(crate) const fn fence(&self) -> Fence {
        self.fence
    }

    /// To its end, or as far as this process may.
    pub(crate) async fn run(mut self) -> Result<SagaState, Halt> {
        loop {
            if self.core.is_closing() {
                return self.let_go().await;
            }
            match self.machine.next() {
                Next::Local(at) => {
                    self.commit(Effect::Run(at)).await?;
                }
                Next::Undo(at) if self.program.shape.steps[at].is_local => {
                    self.commit(Effect::Undo(at)).await?;
                }
                Next::Calls(steps) => self.calls(&steps).await?,
                Next::Undo(at) => self.undo_call(at).await?,
                Next::Pause(pause) => {
                    if self.save().await? && self.core.sleep(pause).await {
                        self.machine.rested(pause);
                    }
                }
                Next::Ended(state) => {
                    if self.save().await? {
                        return Ok(state);
                    }
                }
            }
        }
    }

    /// Commits what is not; `false` where the saga is not what it was before.
    async fn save(&mut self) -> Result<bool, Halt> {
        if self.revision > 0 && self.machine.changed().is_empty() {
            return Ok(true);
        }
        self.commit(Effect::None).await
    }

    async fn calls(&mut self, steps: &[usize]) -> Result<(), Halt> {
        let now = self.core.now();
        for at in steps {
            self.machine.begin_step(*at, now);
        }
        if !self.commit(Effect::None).await? {
            return Ok(());
        }
        let calls = steps.iter().map(|at| {
            let (frame, code) = (self.frame(*at), self.program.steps[*at].clone());
            let core = &self.core;
            async move {
                core.reached(|| format!("{} is called", frame.step)).await;
                let tried = call(&code, &frame).await;
                core.reached(|| format!("{} was called", frame.step)).await;
                tried
            }
        });
        let tried = steps.iter().copied().zip(join_all(calls).await).collect();
        self.machine.end_steps(tried, &self.core.random, self.core.now());
        Ok(())
    }

    async fn undo_call(&mut self, at: usize) -> Result<(), Halt> {
        self.machine.begin_undo(at);
        if !self.commit(Effect::None).await? {
            return Ok(());
        }
        let (frame, code) = (self.frame(at), &self.program.steps[at]);
        let output = self.machine.steps()[at].output.as_deref();
        self.core.reached(|| format!("the undoing of {} is called", frame.step)).await;
        let undone = match code {
            StepCode::Call(code) => in_time(&frame, code.undo(&frame, output)).await,
            StepCode::Local(_) => unreachable!("a local step is undone in a commit"),
        };
        self.core.reached(|| format!("the undoing of {} was called", frame.step)).await;
        let undone = undone.map_err(|error| error.to_string());
        self.machine.end_undo(at, undone, &self.core.random, self.core.now());
        Ok(())
    }

    /// What a step is told.
    fn frame(&self, at: usize) -> Frame {
        let (shape, steps) = (&self.program.shape.steps, self.machine.steps());
        let before = (0..steps.len()).filter(|other| shape[*other].group < shape[at].group);
        let outputs = before.filter(|other| steps[*other].state == StepState::Done);
        let forward = self.machine.is_forward();
        let policy = if forward { shape[at].policy } else { shape[at].undo_policy };
        Frame {
            saga: self.id,
            step: shape[at].name,
            fence: self.fence,
            attempt: if forward { steps[at].attempts } else { steps[at].undo_attempts },
            deadline: policy.deadline,
            input: Arc::clone(&self.input),
            outputs: outputs
                .filter_map(|other| Some((shape[other].name, steps[other].output.clone()?)))
                .collect(),
            cause: self.machine.cause().cloned(),
        }
    }

    fn grip(&self) -> Grip {
        Grip { id: self.id, owner: self.core.owner, fence: self.fence, revision: self.revision }
    }

    /// Commits what changed, with an effect. `false` where something else came of it: the
    /// effect failed, or the saga is not what it was before. While the store can't be
    /// written it waits.
    async fn commit(&mut self, effect: Effect) -> Result<bool, Halt> {
        let mut backoff = Backoff::new(STORE_PAUSE_BASE, STORE_PAUSE_MAX);
        loop {
            self.core.reached(|| self.point("before", effect)).await;
            let why = match self.write(effect).await {
                Outcome::Saved { value: saved, .. } | Outcome::Owed { value: saved, .. } => {
                    self.core.reached(|| self.point("after", effect)).await;
                    self.saved(saved);
                    return Ok(true);
                }
                Outcome::NotSaved(No::Exists(row)) => {
                    self.tell(Begun::Exists(row));
                    return Err(Halt::NotBegun);
                }
                Outcome::NotSaved(No::Refused(Refused::Lost)) => return Err(Halt::Lost),
                Outcome::NotSaved(No::Refused(Refused::Stale)) => {
                    self.reload().await?;
                    return Ok(false);
                }
                Outcome::NotSaved(No::Step(error)) => match self.failed(effect, error) {
                    Ok(()) => return Ok(false),
                    Err(error) => error,
                },
                Outcome::NotSaved(No::Refused(Refused::Db(error)))
                    if self.revision > 0 && store::is_stale(&error) =>
                {
                    self.reload().await?;
                    return Ok(false);
                }
                Outcome::NotSaved(No::Refused(Refused::Db(error))) => {
                    match self.failed(effect, StepError::Db(error)) {
                        Ok(()) => return Ok(false),
                        Err(error) => error,
                    }
                }
                Outcome::InDoubt(txid) => {
                    let is_new = self.revision == 0;
                    self.tell(Begun::InDoubt(txid));
                    if self.is_saved(txid).await? {
                        self.reload().await?;
                        return Ok(false);
                    }
                    if is_new {
                        return Err(Halt::NotBegun);
                    }
                    continue;
                }
            };
            if self.revision == 0 {
                self.tell(Begun::No(why));
                return Err(Halt::NotBegun);
            }
            if backoff.attempts().is_power_of_two() {
                tracing::warn!(saga = %self.id, %why, "a saga waits: its store can't be written");
            }
            if !self.core.sleep(backoff.pause(&self.core.random)).await {
                return Err(Halt::Closing);
            }
        }
    }

    fn point(&self, when: &str, effect: Effect) -> String {
        let name = |at: usize| self.program.shape.steps[at].name;
        match effect {
            Effect::Run(at) => format!("{when} the commit of {}", name(at)),
            Effect::Undo(at) => format!("{when} the commit of the undoing of {}", name(at)),
            Effect::None => {
                let changed: Vec<_> = self.machine.changed().iter().map(|at| name(*at)).collect();
                format!("{when} the record of {}", changed.join(" and "))
            }
        }
    }

    async fn write(&self, effect: Effect) -> Outcome<Saved, No> {
        let (grip, machine, stored) = (self.grip(), self.machine.clone(), self.stored.clone());
        let (program, core, now) =
            (Arc::clone(&self.program), Arc::clone(&self.core), self.core.now());
        let frame = match effect {
            Effect::Run(at) => Some(Frame {
                attempt: self.machine.steps()[at].attempts.saturating_add(1),
                ..self.frame(at)
            }),
            Effect::Undo(at) => Some(self.frame(at)),
            Effect::None => None,
        };
        let fresh = self.row();
        let lease = self.core.config.lease;
        self.core
            .store
            .write(async move |tx: &mut Tx| {
                let held = if grip.revision > 0 {
                    Some(store::hold(tx, &grip).await?)
                } else if let Some(row) = store::saga(tx, grip.id).await? {
                    return Err(No::Exists(Box::new(row)));
                } else {
                    None
                };
                let mut machine = machine.clone();
                if let Some(frame) = &frame {
                    perform(&mut machine, &program, effect, tx, frame, &core, now).await?;
                }
                let row_too = if let Some(row) = &held {
                    store::save(tx, row, &machine, &stored, lease, now).await?
                } else {
                    store::insert(tx, &fresh, &machine, lease, now).await?;
                    true
                };
                Ok(Saved { machine, row_too })
            })
            .await
    }

    /// The row that a saga begins with.
    fn row(&self) -> SagaRow {
        SagaRow {
            id: self.id,
            kind: self.program.name.to_owned(),
            version: self.program.version,
            fingerprint: self.program.fingerprint(),
            state: SagaState::Running,
            forward: true,
            input: Arc::clone(&self.input),
            cause: None,
            started: self.started,
            finished: None,
            owner: Some(self.core.owner),
            lease_until: UnixMicros(0),
            fence: self.fence,
            revision: 0,
            taken_over: 0,
        }
    }

    fn saved(&mut self, Saved { machine, row_too }: Saved) {
        self.machine = machine;
        self.stored.extend(self.machine.changed());
        self.machine.stored();
        debug_assert_eq!(self.machine.check(), Ok(()));
        if row_too {
            self.revision += 1;
            self.core.was_saved(self.id);
        }
        self.tell(Begun::Yes);
    }

    fn tell(&mut self, begun: Begun) {
        if let Some(begun_to) = self.begun.take() {
            // Who has stopped waiting asks by the saga's id.
            let _ = begun_to.send(begun);
        }
    }

    /// An effect was not committed, and nothing of it is left. Gives the error back where
    /// that is the store's, and not the step's.
    fn failed(&mut self, effect: Effect, error: StepError) -> Result<(), DbError> {
        let at = match (effect, &error) {
            (_, StepError::Db(error)) if error.is_retryable() => return Err(error.clone()),
            (Effect::None, StepError::Db(error)) => return Err(error.clone()),
            (Effect::Run(at) | Effect::Undo(at), _) => at,
            (Effect::None, _) => unreachable!("no step ran"),
        };
        let (now, random) = (self.core.now(), &self.core.random);
        if effect == Effect::Undo(at) {
            self.machine.begin_undo(at);
            self.machine.end_undo(at, Err(error.to_string()), random, now);
            return Ok(());
        }
        let StepCode::Local(code) = &self.program.steps[at] else {
            unreachable!("a call is no effect of a commit")
        };
        let tried = match error {
            StepError::Refused(refusal) => Tried::Refused(refusal),
            StepError::Failed(why) | StepError::Unknown(why) => Tried::Failed(why),
            StepError::Db(error) => match code.refusal(&error) {
                Some(refusal) => Tried::Refused(refusal),
                None => Tried::Failed(error.to_string()),
            },
        };
        self.machine.begin_step(at, now);
        self.machine.end_steps(vec![(at, tried)], random, now);
        Ok(())
    }

    /// What became of a transaction whose answer was lost.
    async fn is_saved(&self, txid: TxId) -> Result<bool, Halt> {
        let mut backoff = Backoff::new(STORE_PAUSE_BASE, STORE_PAUSE_MAX);
        loop {
            if let Some(is_saved) = self.core.store.lookup(txid).await {
                return Ok(is_saved);
            }
            if !self.core.sleep(backoff.pause(&self.core.random)).await {
                return Err(Halt::Closing);
            }
        }
    }

    /// Takes the saga as it is stored, where it is still this process's.
    async fn reload(&mut self) -> Result<(), Halt> {
        let mut backoff = Backoff::new(STORE_PAUSE_BASE, STORE_PAUSE_MAX);
        let of = self.id;
        let (row, steps) = loop {
            match self.core.store.read(async move |db| store::whole(db, of).await).await {
                Ok(Some(found)) => break found,
                Ok(None) => return Err(Halt::Lost),
                Err(why) if !why.is_retryable() => return Err(Halt::Unreadable(why.to_string())),
                Err(_) => {
                    if !self.core.sleep(backoff.pause(&self.core.random)).await {
                        return Err(Halt::Closing);
                    }
                }
            }
        };
        if row.fence != self.fence {
            return Err(Halt::Lost);
        }
        (self.machine, self.stored) = machine_of(&self.program, &row, steps)?;
        self.revision = row.revision;
        Ok(())
    }

    /// Another process may go on at once.
    async fn let_go(self) -> Result<SagaState, Halt> {
        self.core.reached(|| "it is let go".to_owned()).await;
        if self.revision > 0 {
            let grip = self.grip();
            let let_go = self
                .core
                .store
                .write(async move |tx: &mut Tx| store::let_go(tx, &grip).await.map_err(No::from));
            // Where it can't be told, the lease ends by itself.
            let _ = let_go.await;
        }
        Err(Halt::Closing)
    }
}

/// Runs a local step, or its compensation, and has the machine know of it.
async fn perform(
    machine: &mut Machine,
    program: &Program,
    effect: Effect,
    tx: &mut Tx,
    frame: &Frame,
    core: &Core,
    now: UnixMicros,
) -> Result<(), No> {
    let code = |at: usize| match &program.steps[at] {
        StepCode::Local(code) => code,
        StepCode::Call(_) => unreachable!("a call is no effect of a commit"),
    };
    match effect {
        Effect::None => {}
        Effect::Run(at) => {
            machine.begin_step(at, now);
            let output = unwound(code(at).run(tx, frame)).await.map_err(No::Step)?;
            machine.end_steps(vec![(at, Tried::Done(output))], &core.random, now);
        }
        Effect::Undo(at) => {
            machine.begin_undo(at);
            let output = machine.steps()[at].output.clone().unwrap_or_default();
            unwound(code(at).undo(tx, frame, &output)).await.map_err(No::Step)?;
            machine.end_undo(at, Ok(()), &core.random, now);
        }
    }
    Ok(())
}

async fn call(code: &StepCode, frame: &Frame) -> Tried {
    let StepCode::Call(code) = code else { unreachable!("a local step runs in a commit") };
    match in_time(frame, code.call(frame)).await {
        Ok(output) => Tried::Done(output),
        Err(StepError::Refused(refusal)) => Tried::Refused(refusal),
        Err(StepError::Failed(why)) => Tried::Failed(why),
        Err(StepError::Unknown(why)) => Tried::Unknown(why),
        Err(StepError::Db(error)) => Tried::Unknown(error.to_string()),
    }
}

async fn in_time<T>(
    frame: &Frame,
    call: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let late =
        |_| Err(StepError::Unknown(format!("no answer within {} ms", frame.deadline.as_millis())));
    tokio::time::timeout(frame.deadline, unwound(call)).await.unwrap_or_else(late)
}

/// A step that panics spoils no other.
async fn unwound<T>(step: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
    AssertUnwindSafe(step).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(StepError::Unknown(format!("it panicked: {}", text.unwrap_or_default())))
    })
}

/// The machine of a saga that was read, and which of its steps have a row.
pub(crate) fn machine_of(
    program: &Program,
    row: &SagaRow,
    steps: Vec<(usize, String, StepRecord)>,
) -> Result<(Machine, BTreeSet<usize>), Halt> {
    let mut records = vec![StepRecord::default(); program.shape.steps.len()];
    let mut stored = BTreeSet::new();
    for (at, name, record) in steps {
        let shape = program.shape.steps.get(at);
        if shape.is_none_or(|shape| shape.name != name) {
            return Err(Halt::Unreadable(format!("step {at}, `{name}`, is not in its definition")));
        }
        records[at] = record;
        stored.insert(at);
    }
    let (state, cause) = (row.state, row.cause.clone());
    Machine::resume(Arc::clone(&program.shape), state, row.forward, records, cause)
        .map(|machine| (machine, stored))
        .map_err(|error| Halt::Unreadable(error.to_string()))
}
