//! What a saga is made of: steps, and what undoes them.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use multi_master::{DbError, Tx};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::Xxh3;

use crate::machine::{Cause, Shape, StepShape};
use crate::model::{Fence, NAME_CHARS_MAX, Policy, Refusal, SagaId, StepError, StepKey, is_name};
use crate::wire;

/// A step: its name, what it gives back, how it is tried.
pub trait Step: Send + Sync + 'static {
    /// What later steps, and its own compensation, need of it. It is stored as JSON, of
    /// at most [`wire::JSON_BYTES_MAX`].
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// Unique in a saga; lower case letters, digits and `-`, at most 64.
    const NAME: &'static str;
    /// How it is tried.
    const POLICY: Policy = Policy::DEFAULT;
    /// How its compensation is tried.
    const UNDO_POLICY: Policy = Policy::UNDO_DEFAULT;
}

/// A step whose effect is in the store of the saga: its effect, the record that it is done
/// and its events are one commit, so it is done once.
///
/// It may run several times, as every write of [`multi_master`]: it awaits nothing but
/// statements of `tx`.
pub trait LocalStep<I>: Step {
    /// Does it.
    fn run(
        &self,
        tx: &mut Tx,
        context: &Context<'_, I>,
    ) -> impl Future<Output = Result<Self::Output, StepError>>;

    /// Whether an error of the store means that it says no: a row that is there already,
    /// where that is what the step is about. (Where the store is a server, it may say so
    /// only when everything was sent, after [`LocalStep::run`].)
    fn refusal(&self, _error: &DbError) -> Option<Refusal> {
        None
    }
}

/// What undoes a local step. It too is one commit, and so happens once.
pub trait LocalUndo<I>: LocalStep<I> {
    /// Undoes it.
    fn undo(
        &self,
        tx: &mut Tx,
        context: &Context<'_, I>,
        output: Self::Output,
    ) -> impl Future<Output = Result<(), StepError>>;
}

/// A step that asks somebody else, who has to know a repeat by [`Context::key`] and
/// answer it as the first time: see [`crate::ledger`].
pub trait CallStep<I>: Step {
    /// Asks. It is dropped at the deadline of the policy.
    fn call(
        &self,
        context: &Context<'_, I>,
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send;
}

/// What undoes a call. It may come before the call does, or without it: then it has to
/// leave word, so that the call is refused that comes late.
pub trait CallUndo<I>: CallStep<I> {
    /// Undoes it. `output` is what the call gave back, where that is known.
    fn undo(
        &self,
        context: &Context<'_, I>,
        output: Option<Self::Output>,
    ) -> impl Future<Output = Result<(), StepError>> + Send;
}

/// What a step is told.
#[derive(Clone, Debug)]
pub struct Context<'a, I> {
    /// What the saga was started with.
    pub input: I,
    frame: &'a Frame,
}

/// The same without its type.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) saga: SagaId,
    pub(crate) step: &'static str,
    pub(crate) fence: Fence,
    pub(crate) attempt: u32,
    pub(crate) deadline: Duration,
    pub(crate) input: Arc<str>,
    /// What steps before it gave back.
    pub(crate) outputs: Vec<(&'static str, String)>,
    /// Why the saga turned back.
    pub(crate) cause: Option<Cause>,
}

impl<I> Context<'_, I> {
    /// Which saga.
    #[must_use]
    pub const fn saga(&self) -> SagaId {
        self.frame.saga
    }

    /// The idempotency key of this step in this saga: the same in each try, and in its
    /// compensation.
    #[must_use]
    pub fn key(&self) -> StepKey {
        StepKey { saga: self.frame.saga, step: self.frame.step.to_owned() }
    }

    /// Which owner of the saga asks. Whoever is asked refuses a smaller one than it has seen.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.frame.fence
    }

    /// Which try it is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.frame.attempt
    }

    /// How long this try may take, where it is a call.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.frame.deadline
    }

    /// Why the saga turned back: what a compensation can tell those who asked for it.
    #[must_use]
    pub const fn cause(&self) -> Option<&Cause> {
        self.frame.cause.as_ref()
    }

    /// What an earlier step gave back.
    ///
    /// # Errors
    /// [`StepError::Failed`] where that step is not done: it comes later, is in the same
    /// group, or was left out by an operator.
    pub fn output<S: Step>(&self) -> Result<S::Output, StepError> {
        let found = self.frame.outputs.iter().find(|(name, _)| *name == S::NAME);
        let (name, json) = found.ok_or_else(|| {
            StepError::Failed(format!("step `{}` has no output: it is not done", S::NAME))
        })?;
        read(name, json)
    }
}

fn read<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, StepError> {
    wire::read(what, json).map_err(|error| StepError::Failed(error.to_string()))
}

/// A saga: a name, a version, steps. Change the version with every change of the steps, and
/// give both to [`crate::Sagas`] until those of the old one are over.
pub struct Definition<I> {
    pub(crate) program: Program,
    input: PhantomData<fn() -> I>,
}

impl<I> fmt::Debug for Definition<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Definition").field(&self.program).finish()
    }
}

/// A definition without its types.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    pub(crate) shape: Arc<Shape>,
    pub(crate) steps: Vec<StepCode>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// The steps of a group, which are done at the same time.
#[derive(Debug)]
pub struct Group<I> {
    definition: Definition<I>,
    at: usize,
}

/// A definition is wrong: a mistake in the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("saga `{saga}`: {why}")]
pub struct DefinitionError {
    /// Which.
    pub saga: String,
    /// Why.
    pub why: String,
}

/// Steps of one saga at most.
pub const STEPS_MAX: usize = 100;

impl<I: DeserializeOwned + Send + Sync + 'static> Definition<I> {
    /// One without steps.
    #[must_use]
    pub fn new(name: &'static str, version: u32) -> Self {
        let program = Program { name, version, shape: Arc::default(), steps: Vec::new() };
        Self { program, input: PhantomData }
    }

    /// Then this step in the store of the saga.
    #[must_use]
    pub fn local<S: LocalUndo<I>>(self, step: S) -> Self {
        self.then::<S>(true, StepCode::Local(Arc::new(Local(step, PhantomData::<fn() -> I>))))
    }

    /// Then this step in the store of the saga, of which nothing is to be undone.
    #[must_use]
    pub fn local_without_undo<S: LocalStep<I>>(self, step: S) -> Self {
        self.then::<S>(false, StepCode::Local(Arc::new(LocalOnce(step, PhantomData::<fn() -> I>))))
    }

    /// Then this call.
    #[must_use]
    pub fn call<S: CallUndo<I>>(self, step: S) -> Self {
        self.then::<S>(true, StepCode::Call(Arc::new(Call(step, PhantomData::<fn() -> I>))))
    }

    /// Then this call, of which nothing is to be undone.
    #[must_use]
    pub fn call_without_undo<S: CallStep<I>>(self, step: S) -> Self {
        self.then::<S>(false, StepCode::Call(Arc::new(CallOnce(step, PhantomData::<fn() -> I>))))
    }

    /// Then these calls, at the same time. None of them can use what another one gives
    /// back. Where one says no, those that are done are undone with the rest. All of them
    /// are waited for before one is tried again.
    #[must_use]
    pub fn together(self, calls: impl FnOnce(Group<I>) -> Group<I>) -> Self {
        let at = self.next_group();
        calls(Group { definition: self, at }).definition
    }

    /// The step before it is the pivot: once it is done the saga only goes forward, and a
    /// step that fails makes it [`crate::SagaState::Stuck`] and not turn back.
    #[must_use]
    pub fn pivot(mut self) -> Self {
        let last = self.program.shape.steps.len().checked_sub(1);
        Arc::make_mut(&mut self.program.shape).pivot = last;
        self
    }

    fn next_group(&self) -> usize {
        self.program.shape.steps.last().map_or(0, |step| step.group + 1)
    }

    fn then<S: Step>(mut self, is_undoable: bool, code: StepCode) -> Self {
        let group = self.next_group();
        self.program.push::<S>(group, is_undoable, code);
        self
    }
}

impl<I: DeserializeOwned + Send + Sync + 'static> Group<I> {
    /// And this call.
    #[must_use]
    pub fn call<S: CallUndo<I>>(self, step: S) -> Self {
        self.and::<S>(true, StepCode::Call(Arc::new(Call(step, PhantomData::<fn() -> I>))))
    }

    /// And this call, of which nothing is to be undone.
    #[must_use]
    pub fn call_without_undo<S: CallStep<I>>(self, step: S) -> Self {
        self.and::<S>(false, StepCode::Call(Arc::new(CallOnce(step, PhantomData::<fn() -> I>))))
    }

    fn and<S: Step>(mut self, is_undoable: bool, code: StepCode) -> Self {
        self.definition.program.push::<S>(self.at, is_undoable, code);
        self
    }
}

impl Program {
    fn push<S: Step>(&mut self, group: usize, is_undoable: bool, code: StepCode) {
        Arc::make_mut(&mut self.shape).steps.push(StepShape {
            name: S::NAME,
            group,
            is_local: matches!(code, StepCode::Local(_)),
            is_undoable,
            policy: S::POLICY,
            undo_policy: S::UNDO_POLICY,
        });
        self.steps.push(code);
    }

    /// What can be seen to be wrong before it runs.
    pub(crate) fn check(&self) -> Result<(), DefinitionError> {
        let no = |why: String| Err(DefinitionError { saga: self.name.to_owned(), why });
        let steps = &self.shape.steps;
        if steps.is_empty() || steps.len() > STEPS_MAX {
            return no(format!("it has {} steps, and 1 to {STEPS_MAX} are possible", steps.len()));
        }
        let mut names = BTreeSet::new();
        for step in steps {
            if !names.insert(step.name) {
                return no(format!("two of its steps are called `{}`", step.name));
            }
            for policy in [step.policy, step.undo_policy] {
                if !(1..=Policy::ATTEMPTS_MAX).contains(&policy.attempts_max) {
                    return no(format!(
                        "step `{}` is tried {} times, and 1 to {} are possible",
                        step.name,
                        policy.attempts_max,
                        Policy::ATTEMPTS_MAX
                    ));
                }
            }
        }
        if let Some(name) = names.iter().chain([&self.name]).find(|name| !is_name(name)) {
            return no(format!(
                "`{name}` is no name: lower case letters, digits and `-`, at most {NAME_CHARS_MAX}"
            ));
        }
        if let Some(pivot) = self.shape.pivot {
            let group = steps[pivot].group;
            if steps.iter().filter(|step| step.group == group).count() > 1 {
                return no("its pivot is one of several steps at the same time".to_owned());
            }
        }
        Ok(())
    }

    /// Changes with what decides how an old saga goes on. (How often a step is tried does not.)
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = Xxh3::new();
        for step in &self.shape.steps {
            hash.update(step.name.as_bytes());
            hash.update(&[0, u8::from(step.is_local), u8::from(step.is_undoable)]);
            hash.update(&(step.group as u64).to_le_bytes());
        }
        hash.update(&self.shape.pivot.map_or(u64::MAX, |pivot| pivot as u64).to_le_bytes());
        hash.digest()
    }
}

/// A future that stays on its thread: the closure of a write.
pub(crate) type Here<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
/// A future of a call.
pub(crate) type Anywhere<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A step without its types: outputs are JSON.
#[derive(Clone)]
pub(crate) enum StepCode {
    Local(Arc<dyn LocalCode>),
    Call(Arc<dyn CallCode>),
}

pub(crate) trait LocalCode: Send + Sync {
    fn run<'a>(&'a self, tx: &'a mut Tx, frame: &'a Frame) -> Here<'a, Result<String, StepError>>;
    fn undo<'a>(
        &'a self,
        tx: &'a mut Tx,
        frame: &'a Frame,
        output: &'a str,
    ) -> Here<'a, Result<(), StepError>>;
    fn refusal(&self, error: &DbError) -> Option<Refusal>;
}

pub(crate) trait CallCode: Send + Sync {
    fn call<'a>(&'a self, frame: &'a Frame) -> Anywhere<'a, Result<String, StepError>>;
    fn undo<'a>(
        &'a self,
        frame: &'a Frame,
        output: Option<&'a str>,
    ) -> Anywhere<'a, Result<(), StepError>>;
}

struct Local<S, I>(S, PhantomData<fn() -> I>);
struct LocalOnce<S, I>(S, PhantomData<fn() -> I>);
struct Call<S, I>(S, PhantomData<fn() -> I>);
struct CallOnce<S, I>(S, PhantomData<fn() -> I>);

impl Frame {
    fn context<I: DeserializeOwned>(&self) -> Result<Context<'_, I>, StepError> {
        Ok(Context { input: read("the input", &self.input)?, frame: self })
    }

    fn output<T: Serialize>(&self, output: &T) -> Result<String, StepError> {
        let what = format!("the output of step `{}`", self.step);
        wire::write(&what, output).map_err(|error| StepError::Failed(error.to_string()))
    }
}

impl<S: LocalUndo<I>, I: DeserializeOwned + 'static> LocalCode for Local<S, I> {
    fn run<'a>(&'a self, tx: &'a mut Tx, frame: &'a Frame) -> Here<'a, Result<String, StepError>> {
        run_local(&self.0, tx, frame)
    }

    fn undo<'a>(
        &'a self,
        tx: &'a mut Tx,
        frame: &'a Frame,
        output: &'a str,
    ) -> Here<'a, Result<(), StepError>> {
        Box::pin(async move { self.0.undo(tx, &frame.context()?, read(S::NAME, output)?).await })
    }

    fn refusal(&self, error: &DbError) -> Option<Refusal> {
        self.0.refusal(error)
    }
}

impl<S: LocalStep<I>, I: DeserializeOwned + 'static> LocalCode for LocalOnce<S, I> {
    fn run<'a>(&'a self, tx: &'a mut Tx, frame: &'a Frame) -> Here<'a, Result<String, StepError>> {
        run_local(&self.0, tx, frame)
    }

    fn undo<'a>(
        &'a self,
        _: &'a mut Tx,
        _: &'a Frame,
        _: &'a str,
    ) -> Here<'a, Result<(), StepError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn refusal(&self, error: &DbError) -> Option<Refusal> {
        self.0.refusal(error)
    }
}

fn run_local<'a, S: LocalStep<I>, I: DeserializeOwned + 'a>(
    step: &'a S,
    tx: &'a mut Tx,
    frame: &'a Frame,
) -> Here<'a, Result<String, StepError>> {
    Box::pin(async move { frame.output(&step.run(tx, &frame.context()?).await?) })
}

impl<S: CallUndo<I>, I: DeserializeOwned + Send + Sync + 'static> CallCode for Call<S, I> {
    fn call<'a>(&'a self, frame: &'a Frame) -> Anywhere<'a, Result<String, StepError>> {
        call(&self.0, frame)
    }

    fn undo<'a>(
        &'a self,
        frame: &'a Frame,
        output: Option<&'a str>,
    ) -> Anywhere<'a, Result<(), StepError>> {
        Box::pin(async move {
            let output = output.map(|json| read(S::NAME, json)).transpose()?;
            self.0.undo(&frame.context()?, output).await
        })
    }
}

impl<S: CallStep<I>, I: DeserializeOwned + Send + Sync + 'static> CallCode for CallOnce<S, I> {
    fn call<'a>(&'a self, frame: &'a Frame) -> Anywhere<'a, Result<String, StepError>> {
        call(&self.0, frame)
    }

    fn undo<'a>(&'a self, _: &'a Frame, _: Option<&'a str>) -> Anywhere<'a, Result<(), StepError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn call<'a, S: CallStep<I>, I: DeserializeOwned + Send + Sync + 'a>(
    step: &'a S,
    frame: &'a Frame,
) -> Anywhere<'a, Result<String, StepError>> {
    Box::pin(async move {
        let context = frame.context()?;
        let output = step.call(&context).await?;
        // It ran: that what it gave back has no place in the journal does not change that.
        frame.output(&output).map_err(|error| StepError::Unknown(error.to_string()))
    })
}
