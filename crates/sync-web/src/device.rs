//! A device of one account: edits, what the person sees, and how it stands.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::{Clock, IdSource, Seed, UnixMicros};
use sync::engine::{
    Config, Edit, EditError, Effect, Engine, Input, Logged, Notice, Session, Status, Step,
};
use sync::model::{AccountId, DeviceId, Fields, RecordId, RecordKey, Value, Version};
use sync::operation::Operation;
use sync::queue::{Failure, Priority, RecordState};
use sync::watch::Watch;
use tokio::sync::{Mutex, MutexGuard, Notify, watch};

use crate::idb::Database;
use crate::js::sleep;
use crate::store::{Access, Index, Store, StoreError};
use crate::tabs::{Channel, Heard};

/// How long a frozen tab can hold up the deletion of a database.
const DELETED_WITHIN: Duration = Duration::from_secs(5);

/// What a device is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tables and sizes.
    pub config: Config,
    /// Whose records it has.
    pub account: AccountId,
    /// Begins the names of databases, locks and channels of this origin.
    pub name: &'static str,
    /// Fields by whose value records are looked up, with [`Device::by`].
    pub indexes: &'static [Index],
    /// What tells the time.
    pub clock: Clock,
}

impl Options {
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.name, self.account)
    }
}

/// Why something was not done. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The edit can't be taken.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The database can't be used.
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

/// What observers are told: of this tab, and of all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// By the engine of whichever tab.
    Notice(Notice),
    /// Which tab speaks with the server, or what it sees of it, has changed.
    Leader,
    /// A newer program has taken over: nothing can be read or written here any more.
    Replaced,
    /// What the server says can't be written down: it is tried again later.
    Trouble(StoreError),
}

/// What tabs tell each other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    notices: Vec<Notice>,
    /// How it stands, where it is the one that speaks with the server that says so.
    status: Option<Status>,
}

/// A device of one account, in one tab or worker. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Device(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) options: Options,
    store: Store,
    /// One at a time takes a step.
    turn: Mutex<()>,
    /// The browser lets this page do nothing for now.
    is_frozen: watch::Sender<bool>,
    state: RefCell<State>,
    channel: Channel,
    told: Box<dyn Fn(Told)>,
    /// There is something for whoever drives the device.
    pub(crate) work: Notify,
    /// What the one who leads was last heard to say.
    leader: RefCell<Option<Status>>,
    /// How often anything was heard of somebody who may lead.
    heard: Cell<u64>,
    pub(crate) is_replaced: Rc<Cell<bool>>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// Which engine it is: answers to one that is gone are not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run(u64);

#[derive(Debug, Default)]
struct State {
    /// None before the first use, while a step is taken, and where writing failed.
    engine: Option<Engine>,
    run: Run,
    /// How often anybody had written when the engine was last right.
    writes: u64,
    /// By which name this one does what the engine wants.
    driven: Option<String>,
    /// What has happened beside what was asked for.
    inputs: VecDeque<Input>,
    todo: VecDeque<Effect>,
    wake: Option<UnixMicros>,
}

/// When, and by which engine, something is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    now: UnixMicros,
    run: Run,
}

/// What is to be done for the engine.
#[derive(Debug)]
pub(crate) struct Todo {
    pub(crate) run: Run,
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) wake: Option<UnixMicros>,
    pub(crate) status: Option<Status>,
    pub(crate) is_driven: bool,
}

impl Device {
    /// Opens the database of a device, and makes it where it is not there. `told` hears what
    /// happens, in this tab and in the others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(options: Options, told: impl Fn(Told) + 'static) -> Result<Self, StoreError> {
        let made = Session::new(options.account, IdSource::system().next());
        let is_replaced = Rc::new(Cell::new(false));
        let heard: Rc<RefCell<Option<std::rc::Weak<Inner>>>> = Rc::default();
        let device = move |heard: &RefCell<Option<std::rc::Weak<Inner>>>| {
            heard.borrow().as_ref().and_then(std::rc::Weak::upgrade).map(Self)
        };
        let replaced = {
            let (heard, is_replaced) = (Rc::clone(&heard), Rc::clone(&is_replaced));
            move || {
                is_replaced.set(true);
                if let Some(device) = device(&heard) {
                    (device.0.told)(Told::Replaced);
                    device.0.work.notify_one();
                }
            }
        };
        let store = Store::open(&options.place(), options.indexes, &made, replaced).await?;
        let hears = {
            let heard = Rc::clone(&heard);
            move |message| {
                if let Some(device) = device(&heard) {
                    device.others_say(message);
                }
            }
        };
        let channel = Channel::open(&options.place(), hears)?;
        let inner = Rc::new(Inner {
            options,
            store,
            turn: Mutex::new(()),
            is_frozen: watch::Sender::new(false),
            state: RefCell::default(),
            channel,
            told: Box::new(told),
            work: Notify::new(),
            leader: RefCell::default(),
            heard: Cell::new(0),
            is_replaced,
        });
        *heard.borrow_mut() = Some(Rc::downgrade(&inner));
        Ok(Self(inner))
    }

    /// Deletes what is stored of an account. Other tabs that have it open are told that they
    /// are replaced. Where one of them is frozen, this does not wait for it: [`delete_others`]
    /// does it later.
    ///
    /// [`delete_others`]: Self::delete_others
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete(options: &Options) -> Result<(), StoreError> {
        Self::delete_place(&options.place()).await
    }

    async fn delete_place(place: &str) -> Result<(), StoreError> {
        tokio::select! {
            deleted = Store::delete(place) => deleted,
            () = sleep(DELETED_WITHIN) => Ok(()),
        }
    }

    /// Deletes what is stored under this name of accounts that `is_here` does not know: what
    /// [`delete`](Self::delete) could not, because a tab held it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_others(
        name: &str,
        is_here: impl AsyncFn(AccountId) -> bool,
    ) -> Result<(), StoreError> {
        for place in Database::names().await? {
            let account = place.strip_prefix(name).and_then(|rest| rest.strip_prefix('/'));
            let Some(account) = account.and_then(|account| account.parse().ok()) else { continue };
            // Asked just before: somebody may have logged in meanwhile.
            if !is_here(account).await {
                Self::delete_place(&place).await?;
            }
        }
        Ok(())
    }

    /// Takes an edit: when this returns, it is on the disk, and will be sent. Returns how
    /// the record stands then.
    ///
    /// `written` is when the thing was written, which is the order in which things are
    /// sent.
    ///
    /// # Errors
    /// [`DeviceError`]; then nothing was changed.
    pub async fn edit(
        &self,
        key: &RecordKey,
        edit: Edit,
        written: UnixMicros,
        priority: Priority,
    ) -> Result<RecordState, DeviceError> {
        self.step(async |engine, store, at| {
            let known = store.record(key).await?.and_then(|saved| saved.known);
            let step = engine.edit(key, edit, known, (written, priority), at.now)?;
            Ok((Some(step), engine.state(key)))
        })
        .await
    }

    /// What the person sees of a record; none where it is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shown(&self, key: &RecordKey) -> Result<Option<Shown>, StoreError> {
        self.look(
            async |store| Ok(store.record(key).await?.and_then(|saved| saved.shown)),
            |engine, shown| {
                shown.map(|fields| Shown { id: key.id, fields, state: engine.state(key) })
            },
        )
        .await
    }

    /// All records of a table that are there, in the order of their ids, which is about
    /// that in which they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all(&self, table: &str) -> Result<Vec<Shown>, StoreError> {
        self.look(
            async |store| store.shown(table).await,
            |engine, found| shown(engine, table, found),
        )
        .await
    }

    /// Those of which a field has a value from the first to the last, in that order; it has
    /// to be among [`Options::indexes`]. One that was there before the field was among them is
    /// found when it has changed since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by(
        &self,
        index: Index,
        first: &Value,
        last: &Value,
    ) -> Result<Vec<Shown>, StoreError> {
        self.look(
            async |store| store.shown_by(index, first, last).await,
            |engine, found| shown(engine, index.0, found),
        )
        .await
    }

    /// What needs attention.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn failed(&self) -> Result<Vec<Failed>, StoreError> {
        let see = |engine: &Engine, ()| {
            let failed = engine.failed().map(|(_, failure, operation)| Failed {
                failure: failure.clone(),
                operation: operation.clone(),
            });
            failed.collect()
        };
        self.look(async |_| Ok(()), see).await
    }

    /// Edits that are not on the server, in the order in which they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unsent(&self) -> Result<Vec<Operation>, StoreError> {
        let _turn = self.turn().await;
        let (queued, _) = self.0.store.read()?.queue().await?;
        let mut all: Vec<Operation> = queued.into_iter().map(|queued| queued.operation).collect();
        all.sort_by_key(|operation| operation.sequence);
        Ok(all)
    }

    /// Tries what was refused once more, as it is. False where nothing of the record
    /// was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn try_again(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.act(|engine, now| engine.try_again(key, now)).await
    }

    /// Discards what was refused; what was edited since goes on alone, where it could not
    /// become one with it. False where nothing of the record was refused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn discard(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.act(|engine, now| engine.discard(key, now)).await
    }

    /// The account has logged in: what waited for that goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn logged_in(&self) -> Result<(), StoreError> {
        self.act(|engine, now| ((), engine.hear(Input::LoggedIn, now))).await
    }

    /// How everything stands: as who speaks with the server sees it, where that is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn status(&self) -> Result<Status, StoreError> {
        let own = self.look(async |_| Ok(()), |engine, ()| engine.status()).await?;
        if self.0.state.borrow().driven.is_some() {
            return Ok(own);
        }
        let Some(seen) = self.0.leader.borrow().clone() else {
            // One of them leads in a moment; until then nobody knows.
            return Ok(Status { watch: Watch::Settling { until: self.now() }, ..own });
        };
        // What waits is in the database, and seen from here as soon.
        let Status { queued, to_send, failed, waiting, logged_out, .. } = own;
        Ok(Status { queued, to_send, failed, waiting, logged_out, ..seen })
    }

    /// Whether this tab is the one that speaks with the server.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.0.state.borrow().driven.is_some()
    }

    /// What became of the last 1,000 operations, the last one first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log(&self) -> Result<Vec<Logged>, StoreError> {
        let _turn = self.turn().await;
        self.0.store.read()?.log().await
    }

    /// Which installation it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn id(&self) -> Result<DeviceId, StoreError> {
        let _turn = self.turn().await;
        Ok(self.0.store.read()?.session().await?.device)
    }

    /// Whose records it has.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.0.options.account
    }

    /// The device has a network, or has none: as the browser says.
    pub fn network(&self, is_there: bool) {
        self.heard_of(if is_there { Input::Online } else { Input::Offline });
    }

    /// Time may have passed in which nothing was done: the tab is seen again.
    pub fn awake(&self) {
        self.heard_of(Input::Wake);
    }

    /// The browser freezes this page, or lets it go on (WICG, *Page Lifecycle*: `freeze` and
    /// `resume`). While it is frozen it holds up nobody: another tab leads, and no transaction is
    /// begun that would not end.
    pub fn freeze(&self, is_frozen: bool) {
        self.0.is_frozen.send_replace(is_frozen);
        if !is_frozen {
            self.awake();
        }
    }

    /// Waits until the page is frozen, or until it is not.
    pub(crate) async fn until_frozen(&self, is_frozen: bool) {
        let mut now = self.0.is_frozen.subscribe();
        // Its sender is here.
        let _ = now.wait_for(|now| *now == is_frozen).await;
    }

    pub(crate) fn is_frozen(&self) -> bool {
        *self.0.is_frozen.borrow()
    }

    /// Until this is dropped, nobody else of this page uses the database.
    async fn turn(&self) -> MutexGuard<'_, ()> {
        let turn = self.0.turn.lock().await;
        self.until_frozen(false).await;
        turn
    }

    /// The person wants everything sent now. Where another tab leads, it is asked to.
    pub fn sync_now(&self) {
        if self.leads() {
            self.heard_of(Input::SyncNow);
        } else {
            self.0.channel.ask();
        }
    }

    /// What was heard before of the same counts no more: a tab that waits to lead may hear for
    /// days.
    fn heard_of(&self, input: Input) {
        let is_network = |input: &Input| matches!(input, Input::Online | Input::Offline);
        let inputs = &mut self.0.state.borrow_mut().inputs;
        inputs.retain(|before| *before != input && !(is_network(&input) && is_network(before)));
        inputs.push_back(input);
        self.0.work.notify_one();
    }

    pub(crate) fn now(&self) -> UnixMicros {
        self.0.options.clock.now()
    }

    /// Counted up when somebody is heard who may lead.
    pub(crate) fn heard(&self) -> u64 {
        self.0.heard.get()
    }

    fn others_say(&self, heard: Heard) {
        let Message { notices, status } = match heard {
            Heard::Said(message) => *message,
            Heard::Asked => {
                if self.leads() {
                    self.heard_of(Input::SyncNow);
                }
                return;
            }
            Heard::Unknown => return self.0.heard.set(self.heard() + 1),
        };
        let mut is_news = false;
        if let Some(status) = status {
            self.0.heard.set(self.heard() + 1);
            is_news = self.0.leader.replace(Some(status.clone())) != Some(status);
        }
        if notices.iter().any(|notice| matches!(notice, Notice::Record(_))) {
            // Somebody else has written: it is adopted by who leads.
            self.0.work.notify_one();
        }
        for notice in notices {
            (self.0.told)(Told::Notice(notice));
        }
        if is_news {
            (self.0.told)(Told::Leader);
        }
    }

    /// Says to the other tabs that this one leads, and how it stands.
    pub(crate) fn says(&self, status: Option<Status>) {
        self.0.channel.post(&Message { notices: Vec::new(), status });
    }

    /// What the server says can't be written down.
    pub(crate) fn is_in_trouble(&self, error: StoreError) {
        (self.0.told)(Told::Trouble(error));
    }

    /// Tells this tab, and the others.
    fn tell(&self, notices: Vec<Notice>) {
        let message = Message { notices, status: None };
        self.0.channel.post(&message);
        for notice in message.notices {
            (self.0.told)(Told::Notice(notice));
        }
    }

    /// How it stands has changed, as this one that leads sees it.
    pub(crate) fn tell_status(&self, status: Option<Status>) {
        self.says(status);
        (self.0.told)(Told::Leader);
    }

    /// What the engine does is written down, all of it or nothing, and only then to be
    /// done. Nobody else writes meanwhile; where somebody has, since the engine was last
    /// right, it goes on with what is there now.
    async fn step<T>(
        &self,
        work: impl AsyncFnOnce(&mut Engine, &Access, At) -> Result<(Option<Step>, T), DeviceError>,
    ) -> Result<T, DeviceError> {
        let _turn = self.turn().await;
        let options = &self.0.options;
        let store = self.0.store.begin()?;
        let writes = store.writes().await?;
        let leader = store.leader().await?;
        let now = self.now();
        let (engine, mut run, written, driven) = {
            let state = &mut *self.0.state.borrow_mut();
            if state.driven.is_some() && state.driven != leader {
                // Somebody took its place while it slept: what it was asked to do is theirs.
                state.driven = None;
                state.engine = None;
                state.todo.clear();
                self.0.work.notify_one();
            }
            (state.engine.take(), state.run, state.writes, state.driven.clone())
        };
        let is_driven = driven.is_some();
        let mut steps = Vec::new();
        let mut engine = match engine {
            Some(engine) if writes == written => engine,
            Some(mut engine) if is_driven => {
                let (session, (operations, known)) = (store.session().await?, store.queue().await?);
                steps.push(engine.adopt(session, operations, known, now));
                engine
            }
            _ if is_driven => {
                let (session, (operations, known)) = (store.session().await?, store.queue().await?);
                let (config, seed) = (options.config.clone(), Seed::from_system());
                let (engine, step) = Engine::start(config, session, operations, known, seed, now);
                run.0 += 1;
                steps.push(step);
                engine
            }
            _ => beside(&store, options, now).await?,
        };
        let done = match work(&mut engine, &store, At { now, run }).await {
            Ok((step, done)) => {
                steps.extend(step);
                Ok(done)
            }
            // Nothing was changed.
            Err(DeviceError::Edit(why)) => Err(DeviceError::Edit(why)),
            Err(DeviceError::Store(error)) => return Err(error.into()),
        };
        let mut written = writes;
        for one in steps.iter().flat_map(|step| &step.persist) {
            store.write(one).await?;
            written = writes + 1;
        }
        if written != writes {
            store.set_writes(written)?;
            store.commit().await?;
        }
        let mut notices = Vec::new();
        {
            let state = &mut *self.0.state.borrow_mut();
            if run != state.run {
                state.todo.clear();
            }
            (state.run, state.writes) = (run, written);
            // It may have begun or ceased to be driven meanwhile: then what this engine asks for
            // is asked by nobody, and who drives begins with another one.
            let is_same = state.driven == driven;
            state.engine = is_same.then_some(engine);
            for step in steps {
                state.wake = step.wake;
                for effect in step.effects {
                    match effect {
                        Effect::Tell(notice) => notices.push(notice),
                        effect if is_driven && is_same => state.todo.push_back(effect),
                        _ => {}
                    }
                }
            }
        }
        if !notices.is_empty() {
            self.tell(notices);
        }
        self.0.work.notify_one();
        done
    }

    async fn act<T>(
        &self,
        work: impl FnOnce(&mut Engine, UnixMicros) -> (T, Step),
    ) -> Result<T, StoreError> {
        let done = self.step(async |engine, _, at| {
            let (done, step) = work(engine, at.now);
            Ok((Some(step), done))
        });
        done.await.map_err(of_store)
    }

    /// Looks at what is there, as it is at one moment. Nothing is written.
    async fn look<R, T>(
        &self,
        read: impl AsyncFnOnce(&Access) -> Result<R, StoreError>,
        see: impl FnOnce(&Engine, R) -> T,
    ) -> Result<T, StoreError> {
        let _turn = self.turn().await;
        let store = self.0.store.read()?;
        let writes = store.writes().await?;
        let found = read(&store).await?;
        if let State { engine: Some(engine), writes: written, .. } = &*self.0.state.borrow()
            && *written == writes
        {
            return Ok(see(engine, found));
        }
        let engine = beside(&store, &self.0.options, self.now()).await?;
        let seen = see(&engine, found);
        let state = &mut *self.0.state.borrow_mut();
        // One that is driven adopts what is there at its next step.
        if state.driven.is_none() {
            (state.engine, state.writes) = (Some(engine), writes);
        }
        Ok(seen)
    }

    /// Somebody begins to do what the engine wants: of one that has asked for nothing.
    pub(crate) async fn begin_driving(&self, name: String) -> Result<Run, StoreError> {
        {
            let _turn = self.turn().await;
            let store = self.0.store.begin()?;
            store.set_leader(&name)?;
            store.commit().await?;
            let state = &mut *self.0.state.borrow_mut();
            state.engine = None;
            state.driven = Some(name);
        }
        self.step(async |_, _, at| Ok((None, at.run))).await.map_err(of_store)
    }

    pub(crate) fn end_driving(&self) {
        let state = &mut *self.0.state.borrow_mut();
        state.engine = None;
        state.driven = None;
        state.todo.clear();
    }

    /// Takes what this engine waits for. Where it is another one by now, which has asked
    /// for nothing, it is not heard.
    pub(crate) async fn hear(&self, of: Run, input: Input) -> Result<(), StoreError> {
        let heard = self.step(async |engine, _, at| {
            let step = (at.run == of).then(|| engine.hear(input, at.now));
            Ok((step, ()))
        });
        heard.await.map_err(of_store)
    }

    /// Reads what the server had said after a version, for the engine that asks for it.
    pub(crate) async fn recall(&self, of: Run, after: Version) -> Result<(), StoreError> {
        let heard = self.step(async |engine, store, at| {
            if at.run != of {
                return Ok((None, ()));
            }
            let told = store.told_after(after).await?;
            Ok((Some(engine.hear(Input::Recalled(told), at.now)), ()))
        });
        heard.await.map_err(of_store)
    }

    /// Whether another tab has written since the engine was last right.
    pub(crate) async fn is_behind_others(&self) -> Result<bool, StoreError> {
        let _turn = self.turn().await;
        let writes = self.0.store.read()?.writes().await?;
        let state = self.0.state.borrow();
        Ok(state.engine.is_none() || writes != state.writes)
    }

    /// What is to be done, once.
    pub(crate) fn todo(&self) -> Todo {
        let state = &mut *self.0.state.borrow_mut();
        Todo {
            run: state.run,
            inputs: std::mem::take(&mut state.inputs),
            effects: std::mem::take(&mut state.todo),
            wake: state.wake,
            status: state.engine.as_ref().map(Engine::status),
            is_driven: state.driven.is_some(),
        }
    }
}

fn shown(engine: &Engine, table: &str, found: Vec<(RecordId, Fields)>) -> Vec<Shown> {
    let shown = |(id, fields)| {
        let state = engine.state(&RecordKey { table: table.into(), id });
        Shown { id, fields, state }
    };
    found.into_iter().map(shown).collect()
}

/// An engine that sends nothing, of what is there now.
async fn beside(store: &Access, options: &Options, now: UnixMicros) -> Result<Engine, StoreError> {
    let (session, (operations, known)) = (store.session().await?, store.queue().await?);
    let config = options.config.clone();
    Ok(Engine::beside(config, session, operations, known, Seed::from_system(), now))
}

fn of_store(error: DeviceError) -> StoreError {
    match error {
        DeviceError::Store(error) => error,
        DeviceError::Edit(why) => unreachable!("nothing was edited: {why}"),
    }
}
