//! What a saga does next: a state machine without I/O, clock or chance of its own.
//!
//! The driver asks [`Machine::next`], does that, and tells what came of it. What changed
//! since the last commit is in [`Machine::changed`]: the driver writes it together with
//! the effect of a local step, and in any case before it calls somebody or rests.
//!
//! ```text
//!               every step done
//!      RUNNING ────────────────▶ COMPLETED
//!       │   │ a step after the pivot gave up
//!       │   └──────────▶ STUCK ──retry, skip──▶ RUNNING or COMPENSATING
//!       │ refused,         ▲
//!       ▼ gave up          │ a compensation gave up
//!  COMPENSATING ───────────┘
//!       │ everything undone
//!       └────────────────▶ COMPENSATED
//! ```
//!
//! Garcia-Molina and Salem, *Sagas*, 1987.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stdx::{Backoff, Random, UnixMicros};

use crate::model::{Policy, Refusal, SagaState, StepState};

/// A step, as far as the machine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepShape {
    /// Its name, unique in the saga.
    pub name: &'static str,
    /// Steps of one group are done at the same time; groups in the order of their numbers.
    pub group: usize,
    /// Whether its effect is in the store of the saga, and commits with its record.
    pub is_local: bool,
    /// Whether there is something to undo.
    pub is_undoable: bool,
    /// How it is tried.
    pub policy: Policy,
    /// How its compensation is tried.
    pub undo_policy: Policy,
}

/// The steps of a saga.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// In order.
    pub steps: Vec<StepShape>,
    /// The step with this index is the pivot: once it is done, the saga only goes forward.
    pub pivot: Option<usize>,
}

/// What is known of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepRecord {
    /// How it stands.
    pub state: StepState,
    /// Whether some try may have had an effect that nobody knows of.
    pub maybe_ran: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// How often its compensation was tried.
    pub undo_attempts: u32,
    /// What it gave back, as JSON: also what its compensation needs.
    pub output: Option<String>,
    /// Why the last try of it, or of its compensation, failed; or why it was left out.
    pub error: Option<String>,
    /// When it was first begun.
    pub began: Option<UnixMicros>,
    /// When it was done, refused, or given up.
    pub ended: Option<UnixMicros>,
    /// When it was undone, or left out.
    pub undone: Option<UnixMicros>,
}

/// Why a saga turned back, or is stuck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Which step.
    pub step: usize,
    /// The code of the refusal; nothing where it was tried in vain.
    pub code: Option<String>,
    /// For people.
    pub message: String,
}

/// What came of one try of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Done; what it gave back, as JSON.
    Done(String),
    /// It says no.
    Refused(Refusal),
    /// Certainly not done.
    Failed(String),
    /// Nobody knows.
    Unknown(String),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This local step.
    Local(usize),
    /// These calls, at the same time.
    Calls(Vec<usize>),
    /// The compensation of this step.
    Undo(usize),
    /// Nothing for as long; then [`Machine::rested`].
    Pause(Duration),
    /// Nothing: it is over, or stuck.
    Ended(SagaState),
}

/// An operator asks for what can't be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// Only a saga that is stuck is retried, and its steps left out.
    #[error("it is {}, and not STUCK: there is nothing to decide", .0.name())]
    NotStuck(SagaState),
    /// It is not this step that it is stuck at.
    #[error("it is not stuck at that step, but at {0}")]
    OtherStep(String),
    /// A reason is missing.
    #[error("say why: the reason is kept with the step")]
    NoReason,
}

/// Why a record that was read can't be one of this shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotOfThisShape(pub String);

/// One saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    shape: Arc<Shape>,
    state: SagaState,
    forward: bool,
    steps: Vec<StepRecord>,
    cause: Option<Cause>,
    changed: BTreeSet<usize>,
    pauses: Vec<Option<Duration>>,
}

impl Machine {
    /// One that begins.
    #[must_use]
    pub fn begin(shape: Arc<Shape>) -> Self {
        let steps = vec![StepRecord::default(); shape.steps.len()];
        let pauses = vec![None; steps.len()];
        let mut machine = Self {
            shape,
            state: SagaState::Running,
            forward: true,
            steps,
            cause: None,
            changed: BTreeSet::new(),
            pauses,
        };
        machine.turn();
        machine
    }

    /// One that was read. What was begun, and has no end, counts as having run.
    ///
    /// # Errors
    /// [`NotOfThisShape`] where it can't have come from [`Machine`] with this shape.
    pub fn resume(
        shape: Arc<Shape>,
        state: SagaState,
        forward: bool,
        mut steps: Vec<StepRecord>,
        cause: Option<Cause>,
    ) -> Result<Self, NotOfThisShape> {
        if steps.len() != shape.steps.len() {
            return Err(NotOfThisShape(format!(
                "it has {} steps, and its definition {}",
                steps.len(),
                shape.steps.len()
            )));
        }
        let mut changed = BTreeSet::new();
        for (at, step) in steps.iter_mut().enumerate() {
            if step.state == StepState::Begun && !step.maybe_ran {
                step.maybe_ran = true;
                changed.insert(at);
            }
        }
        let pauses = vec![None; steps.len()];
        let machine = Self { shape, state, forward, steps, cause, changed, pauses };
        machine.check().map_err(NotOfThisShape)?;
        Ok(machine)
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> SagaState {
        self.state
    }

    /// Whether it goes forward, also where it is stuck.
    #[must_use]
    pub const fn is_forward(&self) -> bool {
        self.forward
    }

    /// Why it turned back, or is stuck.
    #[must_use]
    pub const fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// Its steps, as [`Shape::steps`] has them.
    #[must_use]
    pub fn steps(&self) -> &[StepRecord] {
        &self.steps
    }

    /// What it is made of.
    #[must_use]
    pub const fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Steps that are not stored as they are now.
    #[must_use]
    pub const fn changed(&self) -> &BTreeSet<usize> {
        &self.changed
    }

    /// Everything is stored as it is now.
    pub fn stored(&mut self) {
        self.changed.clear();
    }

    /// What is to be done.
    #[must_use]
    pub fn next(&self) -> Next {
        match self.state {
            SagaState::Running => self.next_forward(),
            SagaState::Compensating => match self.to_undo() {
                Some(at) => self.pauses[at].map_or(Next::Undo(at), Next::Pause),
                None => unreachable!("`turn` ends a saga that has nothing to undo"),
            },
            ended => Next::Ended(ended),
        }
    }

    fn next_forward(&self) -> Next {
        let open = self.open_steps();
        let due: Vec<usize> =
            open.iter().copied().filter(|at| self.pauses[*at].is_none()).collect();
        if let Some(at) = due.iter().find(|at| self.shape.steps[**at].is_local) {
            return Next::Local(*at);
        }
        if !due.is_empty() {
            return Next::Calls(due);
        }
        let pause = open.iter().filter_map(|at| self.pauses[*at]).min();
        Next::Pause(pause.expect("`turn` ends a saga that has no open step"))
    }

    /// Steps of the first group that is not through, which are not through.
    fn open_steps(&self) -> Vec<usize> {
        let is_open =
            |at: &usize| !matches!(self.steps[*at].state, StepState::Done | StepState::Skipped);
        let Some(first) = (0..self.steps.len()).find(is_open) else { return Vec::new() };
        let group = self.shape.steps[first].group;
        let in_group = |at: &usize| self.shape.steps[*at].group == group;
        (first..self.steps.len()).filter(in_group).filter(is_open).collect()
    }

    /// The last step of which something may be left.
    fn to_undo(&self) -> Option<usize> {
        (0..self.steps.len()).rev().find(|at| {
            self.shape.steps[*at].is_undoable
                && match self.steps[*at].state {
                    StepState::Done => true,
                    StepState::Begun | StepState::Refused | StepState::GaveUp => {
                        self.steps[*at].maybe_ran
                    }
                    StepState::Waiting | StepState::Undone | StepState::Skipped => false,
                }
        })
    }

    /// For as long nothing was done.
    pub fn rested(&mut self, rest: Duration) {
        for pause in &mut self.pauses {
            *pause = pause.and_then(|pause| pause.checked_sub(rest)).filter(|left| !left.is_zero());
        }
    }

    /// A step is tried. For a call this has to be stored before it is made.
    pub fn begin_step(&mut self, at: usize, now: UnixMicros) {
        let step = &mut self.steps[at];
        debug_assert!(
            matches!(step.state, StepState::Waiting | StepState::Begun),
            "{:?} is begun",
            step.state
        );
        step.state = StepState::Begun;
        step.attempts = step.attempts.saturating_add(1);
        step.began.get_or_insert(now);
        self.changed.insert(at);
    }

    /// What came of steps that were tried at the same time.
    pub fn end_steps(&mut self, tried: Vec<(usize, Tried)>, random: &Random, now: UnixMicros) {
        for (at, tried) in tried {
            self.end_step(at, tried, random, now);
        }
        self.turn();
    }

    fn end_step(&mut self, at: usize, tried: Tried, random: &Random, now: UnixMicros) {
        let policy = self.shape.steps[at].policy;
        let step = &mut self.steps[at];
        debug_assert_eq!(step.state, StepState::Begun, "a step ends that was not begun");
        let mut code = None;
        match tried {
            Tried::Done(output) => {
                (step.state, step.output, step.error) = (StepState::Done, Some(output), None);
            }
            Tried::Refused(refusal) => {
                (step.state, step.error) = (StepState::Refused, Some(refusal.message));
                code = Some(refusal.code);
            }
            Tried::Failed(why) => step.failed(why, policy),
            Tried::Unknown(why) => {
                step.maybe_ran = true;
                step.failed(why, policy);
            }
        }
        match step.state {
            StepState::Waiting | StepState::Begun => {
                self.pauses[at] = Some(pause(policy, step.attempts, random));
            }
            state => {
                step.ended = Some(now);
                if state != StepState::Done {
                    let message = step.error.clone().unwrap_or_default();
                    self.cause.get_or_insert(Cause { step: at, code, message });
                }
            }
        }
        self.changed.insert(at);
    }

    /// A compensation is tried. Where it is a call this has to be stored before it is made.
    pub fn begin_undo(&mut self, at: usize) {
        debug_assert_eq!(self.to_undo(), Some(at), "in the reverse order");
        self.steps[at].undo_attempts = self.steps[at].undo_attempts.saturating_add(1);
        self.changed.insert(at);
    }

    /// What came of it.
    pub fn end_undo(
        &mut self,
        at: usize,
        result: Result<(), String>,
        random: &Random,
        now: UnixMicros,
    ) {
        let policy = self.shape.steps[at].undo_policy;
        let step = &mut self.steps[at];
        match result {
            Ok(()) => (step.state, step.undone) = (StepState::Undone, Some(now)),
            Err(why) => {
                step.error = Some(why);
                if step.undo_attempts >= policy.attempts_max {
                    self.state = SagaState::Stuck;
                } else {
                    self.pauses[at] = Some(pause(policy, step.undo_attempts, random));
                }
            }
        }
        self.changed.insert(at);
        self.turn();
    }

    /// Decides whether it turns back, is over, or stuck.
    fn turn(&mut self) {
        if self.state == SagaState::Running {
            let says_no =
                |step: &StepRecord| matches!(step.state, StepState::Refused | StepState::GaveUp);
            if let Some(at) = self.steps.iter().position(says_no) {
                self.pauses.fill(None);
                if self.may_turn_back(at) {
                    (self.state, self.forward) = (SagaState::Compensating, false);
                } else {
                    self.state = SagaState::Stuck;
                }
            } else if self.open_steps().is_empty() {
                self.state = SagaState::Completed;
            }
        }
        if self.state == SagaState::Compensating && self.to_undo().is_none() {
            self.state = SagaState::Compensated;
        }
    }

    /// Not after the pivot; nor where the pivot itself may be done and can't be undone.
    fn may_turn_back(&self, at: usize) -> bool {
        let Some(pivot) = self.shape.pivot else { return true };
        match at.cmp(&pivot) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => {
                !self.steps[at].maybe_ran || self.shape.steps[at].is_undoable
            }
            std::cmp::Ordering::Greater => false,
        }
    }

    /// The steps that it is stuck at: an operator has to decide about them.
    #[must_use]
    pub fn stuck_at(&self) -> Vec<usize> {
        if self.state != SagaState::Stuck {
            return Vec::new();
        }
        if !self.forward {
            return self.to_undo().into_iter().collect();
        }
        let stands =
            |at: &usize| matches!(self.steps[*at].state, StepState::Refused | StepState::GaveUp);
        (0..self.steps.len()).filter(stands).collect()
    }

    /// An operator has it tried again, from no tries on.
    ///
    /// # Errors
    /// [`OperatorError::NotStuck`].
    pub fn retry(&mut self) -> Result<(), OperatorError> {
        if self.state != SagaState::Stuck {
            return Err(OperatorError::NotStuck(self.state));
        }
        for at in self.stuck_at() {
            let step = &mut self.steps[at];
            if self.forward {
                step.state = step.open_state();
                (step.attempts, step.ended) = (0, None);
            } else {
                step.undo_attempts = 0;
            }
            self.changed.insert(at);
        }
        self.go_on();
        Ok(())
    }

    /// An operator leaves a step out that it is stuck at: it has seen to it by hand.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn skip(&mut self, at: usize, reason: &str, now: UnixMicros) -> Result<(), OperatorError> {
        if self.state != SagaState::Stuck {
            return Err(OperatorError::NotStuck(self.state));
        }
        if reason.trim().is_empty() {
            return Err(OperatorError::NoReason);
        }
        let stuck = self.stuck_at();
        if !stuck.contains(&at) {
            let names: Vec<_> = stuck.iter().map(|at| self.shape.steps[*at].name).collect();
            return Err(OperatorError::OtherStep(names.join(", ")));
        }
        let step = &mut self.steps[at];
        (step.state, step.undone) = (StepState::Skipped, Some(now));
        step.error = Some(reason.trim().to_owned());
        self.changed.insert(at);
        if self.forward && !self.stuck_at().is_empty() {
            return Ok(());
        }
        self.go_on();
        Ok(())
    }

    fn go_on(&mut self) {
        self.pauses.fill(None);
        if self.forward {
            (self.state, self.cause) = (SagaState::Running, None);
        } else {
            self.state = SagaState::Compensating;
        }
        self.turn();
    }

    /// A process gave the saga up that died again and again while it drove it.
    pub fn give_up(&mut self, why: &str) {
        if self.state.is_active() {
            let step = match self.state {
                SagaState::Compensating => self.to_undo(),
                _ => self.open_steps().first().copied(),
            };
            let Some(step) = step else { return };
            if self.forward {
                self.steps[step].state = StepState::GaveUp;
            }
            self.steps[step].error = Some(why.to_owned());
            self.changed.insert(step);
            self.cause.get_or_insert(Cause { step, code: None, message: why.to_owned() });
            self.state = SagaState::Stuck;
        }
    }

    /// What is always so.
    ///
    /// # Errors
    /// A sentence that names what is not.
    pub fn check(&self) -> Result<(), String> {
        let no = |what: &str| Err(format!("{}, and {what}: {:?}", self.state.name(), self.steps));
        let pivot_done = self.shape.pivot.is_some_and(|at| self.steps[at].state == StepState::Done);
        match self.state {
            SagaState::Running if self.open_steps().is_empty() => no("no step is left"),
            SagaState::Running | SagaState::Completed if !self.forward => no("it turned back"),
            SagaState::Compensating | SagaState::Compensated if self.forward => no("goes forward"),
            SagaState::Completed if !self.open_steps().is_empty() => no("a step is open"),
            SagaState::Compensating if self.to_undo().is_none() => no("nothing is to undo"),
            SagaState::Compensated if self.to_undo().is_some() => no("something is left"),
            SagaState::Stuck if self.stuck_at().is_empty() => no("nothing is in its way"),
            SagaState::Compensating | SagaState::Compensated if pivot_done => {
                no("its pivot is done")
            }
            _ => {
                // Nobody is asked before those whose answer it needs.
                let mut open = None;
                for (at, step) in self.steps.iter().enumerate() {
                    let group = self.shape.steps[at].group;
                    let is_new = step.attempts == 0 && step.state == StepState::Waiting;
                    if open.is_some_and(|open| open < group) && !is_new && self.forward {
                        return no("a step was begun before the one ahead of it was done");
                    }
                    if !matches!(step.state, StepState::Done | StepState::Skipped) {
                        open.get_or_insert(group);
                    }
                }
                Ok(())
            }
        }
    }
}

impl StepRecord {
    fn failed(&mut self, why: String, policy: Policy) {
        self.error = Some(why);
        self.state = if self.attempts >= policy.attempts_max {
            StepState::GaveUp
        } else {
            self.open_state()
        };
    }

    const fn open_state(&self) -> StepState {
        if self.maybe_ran { StepState::Begun } else { StepState::Waiting }
    }
}

fn pause(policy: Policy, attempts: u32, random: &Random) -> Duration {
    Backoff::after(policy.pause_base, policy.pause_max, attempts.saturating_sub(1)).pause(random)
}
