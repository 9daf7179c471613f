//! A device of one account: edits, what the person sees, and how it stands.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of `Writing` by its name is one of a single lifetime"
)]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stdx::{Clock, IdSource, Seed, UnixMicros};
use sync::engine::{Config, Edit, EditError, Effect, Engine, Input, Logged, Session, Status, Step};
use sync::model::{AccountId, DeviceId, Fields, RecordId, RecordKey, Version};
use sync::operation::Operation;
use sync::queue::{Failure, Priority, RecordState};
use tokio::sync::Notify;

use crate::store::{Store, StoreError, Writing};

/// What a device is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tables and sizes.
    pub config: Config,
    /// Whose records it has.
    pub account: AccountId,
    /// What tells the time.
    pub clock: Clock,
}

impl Options {
    /// With the machine's clock.
    #[must_use]
    pub const fn new(config: Config, account: AccountId) -> Self {
        Self { config, account, clock: Clock::real() }
    }
}

/// Why something was not done. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The edit can't be taken.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A record as the person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which.
    pub id: RecordId,
    /// What it holds.
    pub fields: Fields,
    /// How it stands.
    pub state: RecordState,
}

/// An edit that needs a person's attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub failure: Failure,
    /// What was to be done.
    pub operation: Operation,
}

/// A device of one account. Cheap to clone; clones are one. Its calls block for a write
/// to the disk at most, and for another process that writes to the same file.
#[derive(Clone, Debug)]
pub struct Device(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    path: PathBuf,
    options: Options,
    state: Mutex<State>,
    /// There is something for whoever drives the device.
    pub(crate) work: Notify,
}

/// Which engine it is: answers to one that is gone are not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run(u64);

#[derive(Debug)]
struct State {
    store: Store,
    /// None before the first use, and where writing failed.
    engine: Option<Engine>,
    run: Run,
    /// See [`Writing::others`], when the engine was last right.
    others: i64,
    /// Somebody does what the engine wants.
    driven: bool,
    todo: VecDeque<Effect>,
    wake: Option<UnixMicros>,
}

/// When, and by which engine, something is done.
#[derive(Clone, Copy, Debug)]
struct At {
    now: UnixMicros,
    run: Run,
}

/// What is to be done for the engine.
#[derive(Debug)]
pub(crate) struct Todo {
    pub(crate) run: Run,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) wake: Option<UnixMicros>,
    pub(crate) status: Option<Status>,
}

impl Device {
    /// Opens the file of a device, and makes it where it is not there.
    ///
    /// Where the disk has no room for the file that processes share, this one has the file
    /// for itself while it is open: what is there can be read, and others are told that it
    /// is busy. Such a device can't be driven; opened again it can, when there is room.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let made = Session::new(options.account, IdSource::system().next());
        let state = State {
            store: Store::open(path, &made)?,
            engine: None,
            run: Run::default(),
            others: 0,
            driven: false,
            todo: VecDeque::new(),
            wake: None,
        };
        let inner =
            Inner { path: path.to_owned(), options, state: Mutex::new(state), work: Notify::new() };
        Ok(Self(Arc::new(inner)))
    }

    /// Takes an edit: when this returns, it is on the disk, and will be sent. Returns how
    /// the record stands then.
    ///
    /// `written` is when the thing was written, which is the order in which things are
    /// sent.
    ///
    /// # Errors
    /// [`DeviceError`]; then nothing was changed.
    pub fn edit(
        &self,
        key: &RecordKey,
        edit: Edit,
        written: UnixMicros,
        priority: Priority,
    ) -> Result<RecordState, DeviceError> {
        self.step(|engine, store, at| {
            let known = store.record(key)?.and_then(|saved| saved.known);
            let step = engine.edit(key, edit, known, (written, priority), at.now)?;
            Ok((Some(step), engine.state(key)))
        })
    }

    /// What the person sees of a record; none where it is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn shown(&self, key: &RecordKey) -> Result<Option<Fields>, StoreError> {
        let read = |store: &Writing<'_>| Ok(store.record(key)?.and_then(|saved| saved.shown));
        self.lock().store.read(read)
    }

    /// How a record stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn state(&self, key: &RecordKey) -> Result<RecordState, StoreError> {
        self.look(|engine, _| Ok(engine.state(key)))
    }

    /// All records of a table that are there, in the order of their ids, which is about
    /// that in which they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn all(&self, table: &str) -> Result<Vec<Shown>, StoreError> {
        self.look(|engine, store| {
            let shown = |(id, fields)| {
                let state = engine.state(&RecordKey { table: table.into(), id });
                Shown { id, fields, state }
            };
            Ok(store.shown(table)?.into_iter().map(shown).collect())
        })
    }

    /// What needs attention.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn failed(&self) -> Result<Vec<Failed>, StoreError> {
        self.look(|engine, _| {
            let failed = engine.failed().map(|(_, failure, operation)| Failed {
                failure: failure.clone(),
                operation: operation.clone(),
            });
            Ok(failed.collect())
        })
    }

    /// Edits that are not on the server, in the order in which they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unsent(&self) -> Result<Vec<Operation>, StoreError> {
        let (queued, _) = self.lock().store.read(|store| store.queue())?;
        let mut all: Vec<Operation> = queued.into_iter().map(|queued| queued.operation).collect();
        all.sort_by_key(|operation| operation.sequence);
        Ok(all)
    }

    /// Tries what was refused once more, as it is. False where nothing of the record
    /// was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn try_again(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.act(|engine, now| engine.try_again(key, now))
    }

    /// Discards what was refused; what was edited since goes on alone, where it could not
    /// become one with it. False where nothing of the record was refused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn discard(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.act(|engine, now| engine.discard(key, now))
    }

    /// The account has logged in: what waited for that goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn logged_in(&self) -> Result<(), StoreError> {
        self.act(|engine, now| ((), engine.hear(Input::LoggedIn, now)))
    }

    /// How everything stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn status(&self) -> Result<Status, StoreError> {
        self.look(|engine, _| Ok(engine.status()))
    }

    /// What became of the last 1,000 operations, the last one first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn log(&self) -> Result<Vec<Logged>, StoreError> {
        self.lock().store.read(|store| store.log())
    }

    /// Which installation it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn id(&self) -> Result<DeviceId, StoreError> {
        Ok(self.lock().store.read(|store| store.session())?.device)
    }

    /// Whose records it has.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.0.options.account
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn now(&self) -> UnixMicros {
        self.0.options.clock.now()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has not put its engine back.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the engine does, written down.
    fn step<T>(
        &self,
        work: impl FnOnce(&mut Engine, &Writing<'_>, At) -> Result<(Option<Step>, T), DeviceError>,
    ) -> Result<T, DeviceError> {
        let done = self.lock().step(&self.0.options, work);
        self.0.work.notify_one();
        done
    }

    fn act<T>(
        &self,
        work: impl FnOnce(&mut Engine, UnixMicros) -> (T, Step),
    ) -> Result<T, StoreError> {
        let done = self.step(|engine, _, at| {
            let (done, step) = work(engine, at.now);
            Ok((Some(step), done))
        });
        done.map_err(of_store)
    }

    /// Looks at what is there, as it is at one moment. Nobody else is held up, and nothing
    /// is written.
    fn look<T>(
        &self,
        work: impl FnOnce(&Engine, &Writing<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let now = self.now();
        let options = &self.0.options;
        let State { store, engine, others, .. } = &mut *self.lock();
        store.read(|store| {
            let session = store.session()?;
            if let Some(engine) = engine
                && store.others()? == *others
            {
                return work(engine, store);
            }
            work(&beside(store, session, options, now)?, store)
        })
    }

    /// Somebody begins to do what the engine wants: of one that has asked for nothing.
    pub(crate) fn begin_driving(&self) -> Result<Run, StoreError> {
        let mut state = self.lock();
        state.store.may_stay_open()?;
        state.engine = None;
        state.driven = true;
        let begun = state.step(&self.0.options, |_, _, at| Ok((None, at.run)));
        state.driven = begun.is_ok();
        begun.map_err(of_store)
    }

    pub(crate) fn end_driving(&self) {
        let mut state = self.lock();
        state.engine = None;
        state.driven = false;
        state.todo.clear();
    }

    /// Takes what this engine waits for. Where it is another one by now, which has asked
    /// for nothing, it is not heard.
    pub(crate) fn hear(&self, of: Run, input: Input) -> Result<(), StoreError> {
        let heard = self.lock().step(&self.0.options, |engine, _, at| {
            let step = (at.run == of).then(|| engine.hear(input, at.now));
            Ok((step, ()))
        });
        heard.map_err(of_store)
    }

    /// Reads what the server had said after a version, for the engine that asks for it.
    pub(crate) fn recall(&self, of: Run, after: Version) -> Result<(), StoreError> {
        let heard = self.lock().step(&self.0.options, |engine, store, at| {
            if at.run != of {
                return Ok((None, ()));
            }
            let told = store.told_after(after)?;
            Ok((Some(engine.hear(Input::Recalled(told), at.now)), ()))
        });
        heard.map_err(of_store)
    }

    /// Whether another process has written since the engine was last right.
    pub(crate) fn is_behind_others(&self) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let others = state.store.read(|store| store.others())?;
        Ok(state.engine.is_none() || others != state.others)
    }

    /// What is to be done, once.
    pub(crate) fn todo(&self) -> Todo {
        let mut state = self.lock();
        Todo {
            run: state.run,
            effects: std::mem::take(&mut state.todo),
            wake: state.wake,
            status: state.engine.as_ref().map(Engine::status),
        }
    }
}

impl State {
    /// What the engine does is written down, all of it or nothing, and only then to be
    /// done. Nobody else writes meanwhile; where somebody has, since the engine was last
    /// right, it goes on with what is there now.
    fn step<T>(
        &mut self,
        options: &Options,
        work: impl FnOnce(&mut Engine, &Writing<'_>, At) -> Result<(Option<Step>, T), DeviceError>,
    ) -> Result<T, DeviceError> {
        let now = options.clock.now();
        let writing = self.store.begin()?;
        let others = writing.others()?;
        let mut run = self.run;
        let mut steps = Vec::new();
        let mut engine = match self.engine.take() {
            Some(engine) if others == self.others => engine,
            Some(mut engine) if self.driven => {
                let (operations, known) = writing.queue()?;
                steps.push(engine.adopt(writing.session()?, operations, known, now));
                engine
            }
            _ if self.driven => {
                let (session, (operations, known)) = (writing.session()?, writing.queue()?);
                let (config, seed) = (options.config.clone(), Seed::from_system());
                let (engine, step) = Engine::start(config, session, operations, known, seed, now);
                run.0 += 1;
                steps.push(step);
                engine
            }
            _ => beside(&writing, writing.session()?, options, now)?,
        };
        let done = match work(&mut engine, &writing, At { now, run }) {
            Ok((step, done)) => {
                steps.extend(step);
                Ok(done)
            }
            // Nothing was changed.
            Err(DeviceError::Edit(why)) => Err(DeviceError::Edit(why)),
            Err(DeviceError::Store(error)) => return Err(error.into()),
        };
        let persist = steps.iter().flat_map(|step| &step.persist);
        let mut is_changed = false;
        for one in persist {
            writing.write(one)?;
            is_changed = true;
        }
        if is_changed {
            writing.commit()?;
        }
        if run != self.run {
            self.todo.clear();
        }
        (self.engine, self.run, self.others) = (Some(engine), run, others);
        for step in steps {
            self.wake = step.wake;
            if self.driven {
                self.todo.extend(step.effects);
            }
        }
        done
    }
}

/// An engine that sends nothing, of what is there now.
fn beside(
    store: &Writing<'_>,
    session: Session,
    options: &Options,
    now: UnixMicros,
) -> Result<Engine, StoreError> {
    let (operations, known) = store.queue()?;
    let config = options.config.clone();
    Ok(Engine::beside(config, session, operations, known, Seed::from_system(), now))
}

fn of_store(error: DeviceError) -> StoreError {
    match error {
        DeviceError::Store(error) => error,
        DeviceError::Edit(why) => unreachable!("nothing was edited: {why}"),
    }
}
