//! Virtual time, chance, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stdx::{Clock, IdSource, Random, Seed, UnixMicros};
use sync::engine::{
    Config, Edit, EditError, Effect, Engine, Input, RequestId, Session, Step, Trouble,
};
use sync::inbox;
use sync::merge::{Outcome, REVISIONS};
use sync::model::{AccountId, Fields, RecordKey, Value};
use sync::operation::{Action, Operation};
use sync::queue::{Failure, Priority};
use sync::wire::{Pull, Push};

use super::check::Saved;
use super::device::{Device, Disk};
use super::schema::{self, BOOKS, MEMOS};
use super::server::Server;

/// The code of a memo whose book was never there.
pub(super) const NO_BOOK: &str = "NO_BOOK";
/// The code of an operation with a field that its table has not.
pub(super) const NO_FIELD: &str = "NO_SUCH_FIELD";

const SECOND: i64 = 1_000_000;
/// For how long things go wrong.
const TROUBLED: i64 = 3_600 * SECOND;
/// For how long everything is given to settle after that.
const HEALED: i64 = 2 * 86_400 * SECOND;
/// More events are a loop without end.
const EVENTS_MAX: u64 = 200_000;
const PERSONS_LOOK: i64 = 60 * SECOND;
/// The code of a request that something between device and server did not take.
const NOT_TAKEN: &str = "NOT_TAKEN";

/// What happened in one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Devices.
    pub devices: usize,
    /// Edits that persons were shown as saved.
    pub saved: u64,
    /// Operations that the server settled.
    pub settled: u64,
    /// Crashes of devices.
    pub crashes: u64,
    /// Requests and answers that were lost.
    pub lost: u64,
    /// Revisions in the end.
    pub revisions: usize,
}

impl Summary {
    /// Adds what happened in others.
    pub fn add(&mut self, others: &Self) {
        self.devices += others.devices;
        self.saved += others.saved;
        self.settled += others.settled;
        self.crashes += others.crashes;
        self.lost += others.lost;
        self.revisions += others.revisions;
    }
}

#[derive(Debug)]
enum Event {
    Wake { device: usize, number: u64 },
    Request { device: usize, run: u64, id: RequestId, body: Body },
    Answer { device: usize, run: u64, input: Input },
    Person { device: usize },
    Start { device: usize },
    Fault,
}

/// What a record of which nothing can be settled does to a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoils {
    /// The server leaves its operations out.
    Nothing,
    /// The server fails.
    Fails,
    /// Who is between answers, and not the server.
    Cut,
}

#[derive(Clone, Debug)]
enum Body {
    Health,
    Source,
    Push(Box<Push>),
    Pull(Pull),
    Listen,
}

pub(super) struct World {
    random: Random,
    ids: IdSource,
    clock: Clock,
    now: i64,
    events: BTreeMap<(i64, u64), Event>,
    numbered: u64,
    devices: Vec<Device>,
    wakes: Vec<u64>,
    server: Box<dyn Server>,
    /// What must never happen, and has.
    wrong: Option<String>,
    /// Until when the server is down, or asks to come later.
    down: i64,
    busy: i64,
    /// Until when something between takes no push at all.
    refusing: i64,
    /// Records of which nothing can be settled; where one spoils, no push that has an
    /// operation of it is.
    sick: BTreeMap<RecordKey, Spoils>,
    logged_out: BTreeSet<usize>,
    listening: BTreeSet<(usize, u64)>,
    saved: Saved,
    words: u64,
    /// Every record that somebody made.
    records: Vec<RecordKey>,
    /// Books that somebody deleted or discarded: the server may never hear of them.
    dropped: BTreeSet<RecordKey>,
    summary: Summary,
}

impl World {
    pub(super) fn new(
        seed: Seed,
        config: &Config,
        server: impl FnOnce(AccountId, &Clock) -> Box<dyn Server>,
    ) -> Self {
        let random = Random::new(seed);
        let clock = Clock::starting_at(UnixMicros::from_secs(1_700_000_000));
        let ids = IdSource::new(clock.clone(), random.clone());
        let count = 2 + usize::try_from(random.below(4)).unwrap_or(0);
        let account = ids.next();
        let mut server = server(account, &clock);
        if random.one_in(2) {
            server.upgrade(ids.next());
        }
        let devices = (0..count).map(|_| {
            let ahead = wrong_clock(&random);
            let session = Session::new(account, ids.next());
            let mut config = config.clone();
            if server.schema() == schema::SCHEMA && random.one_in(2) {
                schema::upgrade(&mut config);
            }
            Device::new(config, session, ahead, random.next_u64())
        });
        let devices: Vec<Device> = devices.collect();
        let summary = Summary { devices: count, ..Summary::default() };
        Self {
            now: clock.now().0,
            wakes: vec![0; count],
            random,
            ids,
            clock,
            events: BTreeMap::new(),
            numbered: 0,
            devices,
            server,
            wrong: None,
            down: 0,
            busy: 0,
            refusing: 0,
            sick: BTreeMap::new(),
            logged_out: BTreeSet::new(),
            listening: BTreeSet::new(),
            saved: Saved::default(),
            words: 0,
            records: Vec::new(),
            dropped: BTreeSet::new(),
            summary,
        }
    }

    pub(super) fn run(mut self) -> Result<Summary, String> {
        let begin = self.now;
        for device in 0..self.devices.len() {
            self.devices[device].has_network = self.random.one_in(2);
            self.later(self.below(SECOND), Event::Start { device });
            for _ in 0..3 + self.random.below(12) {
                self.later(self.below(TROUBLED), Event::Person { device });
            }
        }
        for _ in 0..self.random.below(40) {
            self.later(self.below(TROUBLED), Event::Fault);
        }
        self.go_on(begin + TROUBLED, true)?;
        self.heal();
        self.go_on(begin + TROUBLED + HEALED, false)?;
        // What can't be settled keeps nothing else waiting.
        if !self.is_quiet() {
            let stands: Vec<String> = self.devices.iter().map(Device::stands).collect();
            let (head, sick) = (self.server.head(), &self.sick);
            return Err(format!("{} at head {head:?}, beside {sick:?}", stands.join("; ")));
        }
        self.sick.clear();
        self.go_on(begin + TROUBLED + 2 * HEALED, false)?;
        self.check()?;
        self.summary.settled = self.server.settled();
        let held = self.server.shown();
        let revisions = held.keys().filter(|key| *key.table == *REVISIONS.name);
        self.summary.revisions = revisions.count();
        Ok(self.summary)
    }

    fn below(&self, bound: i64) -> i64 {
        i64::try_from(self.random.below(u64::try_from(bound).unwrap_or(1))).unwrap_or(0)
    }

    fn later(&mut self, after: i64, event: Event) {
        self.numbered += 1;
        self.events.insert((self.now.saturating_add(after), self.numbered), event);
    }

    fn is_troubled(&self) -> bool {
        self.now < UnixMicros::from_secs(1_700_000_000).0 + TROUBLED
    }

    fn go_on(&mut self, until: i64, troubled: bool) -> Result<(), String> {
        let mut count = 0;
        while let Some((&(now, number), _)) = self.events.first_key_value()
            && now <= until
        {
            if !troubled && self.is_quiet() {
                return Ok(());
            }
            let Some(event) = self.events.remove(&(now, number)) else { break };
            self.now = now;
            self.clock.set(UnixMicros(now));
            self.happen(event);
            if let Some(wrong) = self.wrong.take().or_else(|| self.server.wrong()) {
                return Err(wrong);
            }
            count += 1;
            if count > EVENTS_MAX {
                return Err("it never comes to rest".to_owned());
            }
        }
        self.now = until;
        self.clock.set(UnixMicros(until));
        Ok(())
    }

    /// Nothing is left to do that can be done, and nobody has a word that others lack.
    fn is_quiet(&self) -> bool {
        self.devices.iter().all(|device| {
            let mut queued = device.stored.operations.values();
            let waits = |key| self.is_sick(device, key);
            device.engine.as_ref().is_some_and(|engine| {
                let session = engine.session();
                self.server.is_all(session.log, session.cursor)
                    && session.anew.is_none()
                    && queued.all(|queued| waits(&queued.operation.key))
            })
        })
    }

    /// It can't be settled, or the book of it that is to be made.
    fn is_sick(&self, device: &Device, key: &RecordKey) -> bool {
        let queued = device.stored.operations.values();
        let mut books = queued
            .filter(|queued| queued.operation.key == *key)
            .filter_map(|queued| book_of(&queued.operation));
        self.sick.contains_key(key)
            || books.any(|book| self.sick.contains_key(&book) && device.is_to_make(&book))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { device, number } => {
                if self.wakes[device] == number {
                    self.hear(device, Input::Wake);
                }
            }
            Event::Answer { device, run, input } => {
                if self.devices[device].run == run {
                    self.expect_an_answer_that_helps(device, &input);
                    self.hear(device, input);
                }
            }
            Event::Request { device, run, id, body } => self.serve(device, run, id, &body),
            Event::Person { device } => {
                self.act(device);
                if !self.is_troubled() {
                    self.later(PERSONS_LOOK, Event::Person { device });
                }
            }
            Event::Start { device } => {
                if self.devices[device].engine.is_none() {
                    let step = self.devices[device].start(UnixMicros(self.now));
                    self.follow(device, &step);
                    // Some devices say that there is no network; that there is one is
                    // found out.
                    if !self.devices[device].has_network && self.random.one_in(2) {
                        self.hear(device, Input::Offline);
                    }
                }
            }
            Event::Fault => self.fault(),
        }
    }

    /// No device counts what was counted before: so none that waits for an answer is
    /// told that. And none sends a memo before its book.
    fn expect_an_answer_that_helps(&mut self, device: usize, input: &Input) {
        let Input::Pushed(_, Ok(answer)) = input else { return };
        for one in &answer.answers {
            let queued = self.devices[device].stored.operations.get(&one.operation);
            if let Outcome::Refused { code, .. } = &one.outcome
                && [inbox::CHANGED, inbox::USED].contains(&code.as_str())
                && queued.is_some_and(|queued| queued.failure.is_none())
            {
                let wrong = format!("{} of device {device} is refused: {code}", one.operation);
                self.wrong.get_or_insert(wrong);
            }
            if let Outcome::Refused { code, .. } = &one.outcome
                && code == NO_FIELD
            {
                let wrong = format!("{queued:?} of device {device} has an old name in it");
                self.wrong.get_or_insert(wrong);
            }
            if let Outcome::Refused { code, .. } = &one.outcome
                && code == NO_BOOK
                && let Some(book) = queued.and_then(|queued| book_of(&queued.operation))
                && !self.dropped.contains(&book)
                && !self.saved.was_put_back()
            {
                self.wrong.get_or_insert(format!("{} went before its book", one.operation));
            }
        }
    }

    /// No device sends a memo while it has yet to make the book.
    fn expect_books_before_memos(&mut self, device: usize, push: &Push) {
        let device = &self.devices[device];
        for operation in &push.operations {
            if let Some(book) = book_of(operation)
                && device.is_to_make(&book)
                && !device.knows(&book)
            {
                let wrong = format!("{} is on its way before {book}", operation.key);
                self.wrong.get_or_insert(wrong);
            }
        }
    }

    fn hear(&mut self, device: usize, input: Input) {
        let now = self.devices[device].clock(UnixMicros(self.now));
        let Some(engine) = &mut self.devices[device].engine else { return };
        let step = engine.hear(input, now);
        self.follow(device, &step);
    }

    /// Does what a step wants; false where it was not written down.
    fn follow(&mut self, device: usize, step: &Step) -> bool {
        if self.crashes(device, 150) {
            return false;
        }
        if !self.devices[device].write(step, UnixMicros(self.now)) {
            self.start_again(device);
            return false;
        }
        for effect in &step.effects {
            if self.crashes(device, 150) {
                return true;
            }
            match effect {
                Effect::AskHealth(id) => self.send(device, *id, &Body::Health),
                Effect::AskSource(id) => self.send(device, *id, &Body::Source),
                Effect::Push(id, push) => {
                    self.expect_books_before_memos(device, push);
                    self.send(device, *id, &Body::Push(push.clone()));
                }
                Effect::Pull(id, pull) => self.send(device, *id, &Body::Pull(*pull)),
                Effect::Listen => self.send(device, RequestId(0), &Body::Listen),
                Effect::Recall(version) => {
                    let told = self.devices[device].stored.told_after(*version);
                    self.later(
                        0,
                        Event::Answer {
                            device,
                            run: self.devices[device].run,
                            input: Input::Recalled(told),
                        },
                    );
                }
                Effect::Tell(_) => {}
            }
        }
        self.wakes[device] += 1;
        if let Some(wake) = step.wake {
            let at = wake.0 - self.devices[device].ahead;
            let number = self.wakes[device];
            self.later((at - self.now).max(0), Event::Wake { device, number });
        }
        true
    }

    fn crashes(&mut self, device: usize, out_of: u64) -> bool {
        if !self.is_troubled() || !self.random.one_in(out_of) {
            return false;
        }
        self.summary.crashes += 1;
        self.devices[device].engine = None;
        self.start_again(device);
        true
    }

    fn start_again(&mut self, device: usize) {
        self.later(self.below(60 * SECOND), Event::Start { device });
    }

    fn send(&mut self, device: usize, id: RequestId, body: &Body) {
        let run = self.devices[device].run;
        if !self.devices[device].has_network {
            return self.answer(device, run, nobody(id, body));
        }
        if self.is_troubled() && self.random.one_in(12) {
            // Nobody ever hears of it.
            self.summary.lost += 1;
            return;
        }
        let is_push = matches!(body, Body::Push(_));
        if is_push && self.is_troubled() && (self.now < self.refusing || self.random.one_in(20)) {
            let message = "something on the way takes no such request".to_owned();
            let failure = Failure { code: NOT_TAKEN.to_owned(), message };
            return self.answer(device, run, Input::Pushed(id, Err(Trouble::Rejected(failure))));
        }
        let times = if self.is_troubled() && self.random.one_in(15) { 2 } else { 1 };
        for _ in 0..times {
            let body = body.clone();
            self.later(self.delay(), Event::Request { device, run, id, body });
        }
    }

    fn answer(&mut self, device: usize, run: u64, input: Input) {
        if self.is_troubled() && self.random.one_in(12) {
            self.summary.lost += 1;
            return;
        }
        self.later(self.delay(), Event::Answer { device, run, input });
    }

    /// How long something is on its way: seldom longer than anybody waits for it.
    fn delay(&self) -> i64 {
        if self.is_troubled() && self.random.one_in(40) {
            self.below(120 * SECOND)
        } else {
            self.below(2 * SECOND)
        }
    }

    /// The server has a request.
    fn serve(&mut self, device: usize, run: u64, id: RequestId, body: &Body) {
        if self.now < self.down {
            return self.answer(device, run, nobody(id, body));
        }
        let trouble = if self.now < self.busy && self.random.one_in(4) {
            let message = "nothing of this device is taken".to_owned();
            Some(Trouble::Stopped(Failure { code: NOT_TAKEN.to_owned(), message }))
        } else if self.now < self.busy {
            Some(Trouble::Later(self.random.one_in(2).then(|| Duration::from_secs(20))))
        } else if self.logged_out.contains(&device) {
            Some(Trouble::LogIn)
        } else {
            None
        };
        let now = UnixMicros(self.now);
        let input = match (body, trouble) {
            (Body::Health, _) => Input::Health(id, true),
            // It may be away for as long as it likes.
            (Body::Source, _) => Input::Source(id, self.random.one_in(2)),
            (Body::Push(_), Some(trouble)) => Input::Pushed(id, Err(trouble)),
            (Body::Pull(_), Some(trouble)) => Input::Pulled(id, Err(trouble)),
            (Body::Listen, Some(_)) => Input::LiveEnded,
            (Body::Push(push), None) if let Some(trouble) = self.spoilt(push) => {
                Input::Pushed(id, Err(trouble))
            }
            (Body::Push(push), None)
                if push.operations.iter().any(|one| one.schema > self.server.schema()) =>
            {
                let message = "the program is newer than the server".to_owned();
                let failure = Failure { code: NOT_TAKEN.to_owned(), message };
                Input::Pushed(id, Err(Trouble::Stopped(failure)))
            }
            (Body::Push(push), None) => {
                let mut push = push.clone();
                push.operations.retain(|operation| !self.sick.contains_key(&operation.key));
                let mut answer = self.server.push(&push, now);
                if self.is_troubled() && self.random.one_in(10) {
                    // The rest of the answer is missing.
                    let left = self.random.below(answer.answers.len() as u64 + 1);
                    answer.answers.truncate(usize::try_from(left).unwrap_or(0));
                }
                self.tell_listeners();
                Input::Pushed(id, Ok(answer))
            }
            (Body::Pull(pull), None) => {
                Input::Pulled(id, self.server.pull(*pull, now).ok_or(Trouble::Expired))
            }
            (Body::Listen, None) => {
                self.listening.insert((device, run));
                Input::Live(self.server.head())
            }
        };
        self.answer(device, run, input);
    }

    /// What a push comes to that has nothing that can be settled, or something that
    /// spoils it.
    fn spoilt(&self, push: &Push) -> Option<Trouble> {
        let sick = || push.operations.iter().filter_map(|one| self.sick.get(&one.key));
        if sick().any(|spoils| *spoils == Spoils::Cut) {
            return Some(Trouble::Unreachable);
        }
        let fails = sick().any(|spoils| *spoils == Spoils::Fails);
        let is_all = sick().count() == push.operations.len();
        (fails || is_all).then_some(Trouble::Later(None))
    }

    fn tell_listeners(&mut self) {
        let head = self.server.head();
        for (device, run) in self.listening.clone() {
            if self.devices[device].has_network {
                self.answer(device, run, Input::Live(head));
            }
        }
    }

    fn fault(&mut self) {
        let device = usize::try_from(self.random.below(self.devices.len() as u64)).unwrap_or(0);
        match self.random.below(16) {
            0 | 1 => self.switch_network(device, !self.devices[device].has_network),
            2 => {
                let clock = wrong_clock(&self.random);
                self.devices[device].ahead = clock;
            }
            3 => {
                let until = UnixMicros(self.now + self.below(300 * SECOND));
                let fails = self.random.one_in(2);
                self.devices[device].disk = if fails { Disk::Fails } else { Disk::Full(until) };
            }
            4 => {
                self.down = self.now + self.below(300 * SECOND);
                self.server.restart();
                for (device, run) in std::mem::take(&mut self.listening) {
                    self.answer(device, run, Input::LiveEnded);
                }
            }
            5 => self.busy = self.now + self.below(120 * SECOND),
            6 => {
                self.logged_out.insert(device);
            }
            7 => self.server.forget(),
            8 => self.refusing = self.now + self.below(300 * SECOND),
            9 => {
                if let Some(key) = self.some_record() {
                    let all = [Spoils::Nothing, Spoils::Fails, Spoils::Cut];
                    let spoils = all[usize::try_from(self.random.below(3)).unwrap_or(0)];
                    self.sick.insert(key, spoils);
                }
            }
            10 => self.server.back_up(),
            11 => {
                let schema = self.server.schema();
                if let Some(lost) = self.server.put_back(self.ids.next()) {
                    self.saved.lost(lost);
                    self.listening.clear();
                    if self.server.schema() < schema {
                        self.server.upgrade(self.ids.next());
                    }
                }
            }
            12 => {
                self.server.lose_a_master();
                for (device, run) in std::mem::take(&mut self.listening) {
                    self.answer(device, run, Input::LiveEnded);
                }
            }
            13 => {
                self.server.upgrade(self.ids.next());
                self.listening.clear();
            }
            number => {
                if number == 14 {
                    schema::upgrade(&mut self.devices[device].config);
                }
                self.summary.crashes += 1;
                self.devices[device].engine = None;
                self.start_again(device);
            }
        }
    }

    fn switch_network(&mut self, device: usize, on: bool) {
        self.devices[device].has_network = on;
        if !on {
            let gone: Vec<(usize, u64)> =
                self.listening.iter().filter(|(one, _)| *one == device).copied().collect();
            for (device, run) in gone {
                self.listening.remove(&(device, run));
                self.answer(device, run, Input::LiveEnded);
            }
        }
        self.hear(device, if on { Input::Online } else { Input::Offline });
    }

    /// Everything works again.
    fn heal(&mut self) {
        (self.down, self.busy, self.refusing) = (0, 0, 0);
        self.logged_out.clear();
        self.server.restart();
        if self.devices.iter().any(|device| device.config.schema > self.server.schema()) {
            self.server.upgrade(self.ids.next());
        }
        for device in 0..self.devices.len() {
            self.devices[device].disk = Disk::Works;
            self.later(self.below(SECOND), Event::Start { device });
            self.later(2 * SECOND, Event::Person { device });
            // Who has a network is told nothing: it tries again by itself.
            if !self.devices[device].has_network {
                self.switch_network(device, true);
            }
        }
    }

    fn some_record(&self) -> Option<RecordKey> {
        self.one_of(&self.records)
    }

    fn one_of(&self, all: &[RecordKey]) -> Option<RecordKey> {
        let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        let at = usize::try_from(self.random.below(count)).unwrap_or(0);
        all.get(at).cloned()
    }

    /// Books that the person sees.
    fn books_of(&self, device: usize) -> Vec<RecordKey> {
        let shown = self.devices[device].shown().into_keys();
        shown.filter(|key| *key.table == *BOOKS).collect()
    }

    /// A new record: a book, or a memo, often of a book that the person sees.
    fn made(&mut self, device: usize) -> (RecordKey, Fields) {
        let mut fields = Fields::from([
            ("content", Value::from(format!("{} {}", self.word(), self.word()))),
            ("page", self.page()),
        ]);
        let is_book = self.random.one_in(4);
        let of_book = !is_book && !self.random.one_in(3);
        let books = if of_book { self.books_of(device) } else { Vec::new() };
        if let Some(book) = self.one_of(&books) {
            fields.set("book", book.id.to_string().into());
        }
        if !is_book && self.random.one_in(2) {
            fields.set(self.mood(device), self.good_page());
        }
        let table = if is_book { BOOKS } else { MEMOS };
        (RecordKey { table: table.into(), id: self.ids.next() }, fields)
    }

    fn mood(&self, device: usize) -> &'static str {
        schema::mood(self.devices[device].config.schema)
    }

    /// A person does something.
    fn act(&mut self, device: usize) {
        if self.devices[device].engine.is_none() {
            return;
        }
        let logged_out =
            self.devices[device].engine.as_ref().is_some_and(|engine| engine.status().logged_out);
        if logged_out && (!self.is_troubled() || self.random.one_in(2)) {
            self.logged_out.remove(&device);
            return self.hear(device, Input::LoggedIn);
        }
        let failed: Vec<RecordKey> = self.devices[device]
            .engine
            .iter()
            .flat_map(|engine| engine.failed().map(|(key, ..)| key.clone()))
            .collect();
        if let Some(key) = failed.first() {
            return self.attend_to(device, key);
        }
        if !self.is_troubled() {
            return;
        }
        match self.random.below(20) {
            0..5 => {
                let (key, fields) = self.made(device);
                self.records.push(key.clone());
                self.edit(device, &key, Edit::Create(fields));
            }
            number => {
                let Some(key) = self.some_record() else { return };
                let shown = self.devices[device].stored.records.get(&key);
                let shown = shown.and_then(|saved| saved.shown.clone());
                let edit = match (number, shown) {
                    (5..12, Some(shown)) => {
                        let content = shown.get("content").and_then(Value::text).unwrap_or("");
                        let content = Value::from(self.changed(content));
                        Edit::Update(Fields::from([("content", content)]))
                    }
                    (12..15, Some(_)) => Edit::Update(Fields::from([("page", self.page())])),
                    (15..17, Some(_)) if *key.table == *MEMOS => {
                        let mood = (self.mood(device), self.good_page());
                        Edit::Update(Fields::from([mood]))
                    }
                    (17..19, Some(_)) => Edit::Delete,
                    (_, Some(shown)) => {
                        let content = shown.get("content").and_then(Value::text).unwrap_or("");
                        let content = Value::from(self.changed(content));
                        Edit::Update(Fields::from([("content", content), ("page", self.page())]))
                    }
                    (_, None) => Edit::Create(Fields::from([
                        ("content", Value::from(self.word())),
                        ("page", self.page()),
                    ])),
                };
                self.edit(device, &key, edit);
            }
        }
    }

    /// Something was refused: its page is made a right one, or it is discarded, or
    /// tried again as it is.
    fn attend_to(&mut self, device: usize, key: &RecordKey) {
        if self.is_troubled() && self.random.one_in(2) {
            return;
        }
        let now = self.devices[device].clock(UnixMicros(self.now));
        let before = self.shown(device, key);
        let not_taken = self.devices[device].engine.as_ref().is_some_and(|engine| {
            engine.failed().any(|(one, failure, _)| one == key && failure.code == NOT_TAKEN)
        });
        let has_no_book = self.devices[device].engine.as_ref().is_some_and(|engine| {
            engine.failed().any(|(one, failure, _)| one == key && failure.code == NO_BOOK)
        });
        let books = if has_no_book { self.books_of(device) } else { Vec::new() };
        if let Some(book) = self.one_of(&books).filter(|_| self.random.one_in(2)) {
            let book = Value::from(book.id.to_string());
            return self.edit(device, key, Edit::Update(Fields::from([("book", book)])));
        }
        let (tries, discards) = (
            self.random.one_in(if not_taken { 2 } else { 5 }) && (not_taken || self.is_troubled()),
            !not_taken && self.is_troubled() && self.random.one_in(10) || has_no_book,
        );
        if tries {
            let _ = self.does(device, |engine| Ok(engine.try_again(key, now).1));
        } else if discards {
            if self.does(device, |engine| Ok(engine.discard(key, now).1)) == Ok(true) {
                let after = self.shown(device, key);
                self.saved.discarded(key, before.as_ref(), after.as_ref());
                self.dropped.insert(key.clone());
            }
        } else if before.is_some() {
            if not_taken {
                self.saved.may_be_made_anew(key);
            }
            let page = self.good_page();
            self.edit(device, key, Edit::Update(Fields::from([("page", page)])));
        }
    }

    fn shown(&self, device: usize, key: &RecordKey) -> Option<Fields> {
        self.devices[device].stored.records.get(key).and_then(|saved| saved.shown.clone())
    }

    fn edit(&mut self, device: usize, key: &RecordKey, edit: Edit) {
        let now = self.devices[device].clock(UnixMicros(self.now));
        let stored = self.devices[device].stored.records.get(key);
        let known = stored.and_then(|saved| saved.known.clone());
        let before = self.shown(device, key);
        let written = now.before(Duration::from_secs(self.random.below(60)));
        let priority = match self.random.below(4) {
            0 => Priority::HIGH,
            1 => Priority::LOW,
            _ => Priority::NORMAL,
        };
        let written = (written, priority);
        match self.does(device, |engine| engine.edit(key, edit, known, written, now)) {
            Ok(true) => {
                self.summary.saved += 1;
                let after = self.shown(device, key);
                if after.is_none() {
                    self.dropped.insert(key.clone());
                }
                self.saved.note(key, before.as_ref(), after.as_ref());
            }
            Ok(false) => {}
            Err(refused) => {
                self.wrong = Some(format!("an edit of {key} was not taken: {refused}"));
            }
        }
    }

    /// What a person does, in the process that speaks with the server, or in another one
    /// beside it; whether it was written down.
    fn does(
        &mut self,
        device: usize,
        act: impl FnOnce(&mut Engine) -> Result<Step, EditError>,
    ) -> Result<bool, EditError> {
        let now = UnixMicros(self.now);
        if self.random.one_in(3) {
            let step = act(&mut self.devices[device].beside(now))?;
            if !self.devices[device].write(&step, now) {
                self.start_again(device);
                return Ok(false);
            }
            let step = self.devices[device].adopt(now);
            self.follow(device, &step);
            return Ok(true);
        }
        let Some(engine) = &mut self.devices[device].engine else { return Ok(false) };
        let step = act(engine)?;
        Ok(self.follow(device, &step))
    }

    fn word(&mut self) -> String {
        self.words += 1;
        format!("w{}", self.words)
    }

    fn page(&mut self) -> Value {
        if self.random.one_in(12) { Value::Int(-1) } else { self.good_page() }
    }

    fn good_page(&mut self) -> Value {
        self.words += 1;
        Value::Int(i64::try_from(self.words).unwrap_or(1))
    }

    /// A word is put in, taken out, or replaced.
    fn changed(&mut self, content: &str) -> String {
        let word = self.word();
        let mut words: Vec<String> = content.split_whitespace().map(str::to_owned).collect();
        let at = usize::try_from(self.random.below(words.len() as u64 + 1)).unwrap_or(0);
        match self.random.below(4) {
            0 if at < words.len() => words[at] = word,
            1 if at < words.len() && words.len() > 1 => drop(words.remove(at)),
            _ => words.insert(at, word),
        }
        words.join(" ")
    }

    fn check(&mut self) -> Result<(), String> {
        let held = self.server.shown();
        for (at, device) in self.devices.iter().enumerate() {
            let Some(engine) = &device.engine else { return Err(format!("device {at} is off")) };
            let status = engine.status();
            if status.queued > 0 || !device.stored.operations.is_empty() {
                return Err(format!("device {at} still waits: {status:?}"));
            }
            let shown = device.shown();
            if shown != held {
                let different: Vec<String> = held
                    .keys()
                    .chain(shown.keys())
                    .filter(|key| held.get(key) != shown.get(key))
                    .map(|key| format!("{key}: {:?}, and here {:?}", held.get(key), shown.get(key)))
                    .collect();
                return Err(format!(
                    "device {at} holds something else: {} (cursor {:?}, head {:?})",
                    different.join("; "),
                    engine.session().cursor,
                    self.server.head()
                ));
            }
        }
        self.saved.check(&held)
    }
}

/// The book of a memo that is to be made.
pub(super) fn book_of(operation: &Operation) -> Option<RecordKey> {
    let Action::Create { fields } = &operation.action else { return None };
    let id = fields.get("book")?.text()?.parse().ok()?;
    Some(RecordKey { table: BOOKS.into(), id })
}

fn nobody(id: RequestId, body: &Body) -> Input {
    match body {
        Body::Health => Input::Health(id, false),
        Body::Source => Input::Source(id, false),
        Body::Push(_) => Input::Pushed(id, Err(Trouble::Unreachable)),
        Body::Pull(_) => Input::Pulled(id, Err(Trouble::Unreachable)),
        Body::Listen => Input::LiveEnded,
    }
}

/// Right, or wrong by minutes, or by years.
fn wrong_clock(random: &Random) -> i64 {
    let years = 365 * 86_400 * SECOND;
    let by = match random.below(4) {
        0 | 1 => 0,
        2 => 30 * 60 * SECOND,
        _ => 10 * years,
    };
    if by == 0 {
        return 0;
    }
    let ahead = i64::try_from(random.below(2 * u64::try_from(by).unwrap_or(1))).unwrap_or(0);
    ahead - by
}
