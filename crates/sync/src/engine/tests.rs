use proptest::prelude::*;

use super::*;
use crate::wire::Answer;

mod references;
mod status;

const TABLES: &[Table] = &[
    Table { name: "books", fields: &[("content", Rule::Text)] },
    Table {
        name: "memos",
        fields: &[
            ("book", Rule::Reference("books")),
            ("content", Rule::Text),
            ("page", Rule::Latest),
        ],
    },
];

/// A device, what it has stored, and what it wants done.
struct Device {
    config: Config,
    engine: Engine,
    stored: Stored,
    wanted: Vec<Effect>,
    wake: Option<UnixMicros>,
    ids: IdSource,
    now: UnixMicros,
    head: u64,
    /// What the server holds, and since which change.
    held: BTreeMap<RecordKey, (Version, Option<Fields>)>,
    log: LogId,
    /// Where it was put back: up to where it is as it was.
    common: Option<Version>,
    /// How each record was last told to stand.
    told: BTreeMap<RecordKey, RecordState>,
}

impl Device {
    fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let mut config = Config::new(TABLES, 1);
        change(&mut config.limits);
        let now = UnixMicros::from_secs(1_700_000_000);
        let ids = IdSource::new(Clock::starting_at(now), Random::new(Seed(7)));
        let session = Session::new(ids.next(), ids.next());
        let stored = Stored::new(session.clone());
        let (engine, step) =
            Engine::start(config.clone(), session, Vec::new(), BTreeMap::new(), Seed(1), now);
        let mut device = Self {
            config,
            engine,
            stored,
            wanted: Vec::new(),
            wake: None,
            log: ids.next(),
            ids,
            now,
            head: 0,
            held: BTreeMap::new(),
            common: None,
            told: BTreeMap::new(),
        };
        device.does(step);
        device
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    fn does(&mut self, step: Step) {
        for persist in step.persist {
            self.stored.write(persist);
        }
        self.is_told(&step.effects);
        self.wanted.extend(step.effects);
        self.wake = step.wake;
        if let Some(Effect::Recall(version)) =
            self.taken(|effect| matches!(effect, Effect::Recall(_)))
        {
            self.hear(Input::Recalled(self.stored.told_after(version)));
        }
    }

    /// Whoever shows a record hears of each change of how it stands.
    fn is_told(&mut self, effects: &[Effect]) {
        let told = |key: &RecordKey| effects.contains(&Effect::Tell(Notice::Record(key.clone())));
        let keys = self.stored.records.keys().chain(self.told.keys());
        let now: BTreeMap<_, _> = keys.map(|key| (key.clone(), self.engine.state(key))).collect();
        for (key, state) in &now {
            let before = self.told.get(key).copied().unwrap_or(RecordState::Saved);
            assert!(before == *state || told(key), "{key} is {state:?} after {before:?}");
        }
        self.told = now;
    }

    /// The server holds again what it held at this change.
    fn put_back(&mut self, held: BTreeMap<RecordKey, (Version, Option<Fields>)>, to: u64) {
        (self.head, self.common, self.log) = (to, Some(Version(to)), self.ids.next());
        self.held = held;
    }

    /// Sends and receives until there is nothing to do; what it sent, in order.
    fn sync(&mut self) -> Vec<Operation> {
        let mut sent = Vec::new();
        while let Some(push) = self.push() {
            if push.1.log.is_none_or(|log| log == self.log) {
                sent.extend(push.1.operations.iter().cloned());
            }
            self.answer(push);
        }
        sent
    }

    fn hear(&mut self, input: Input) {
        let step = self.engine.hear(input, self.now);
        self.does(step);
    }

    fn pass(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.hear(Input::Wake);
    }

    /// As after a crash: from what is stored.
    fn start_again(&mut self) {
        let Stored { session, operations, .. } = self.stored.clone();
        let operations = operations.into_values().collect();
        let (engine, step) = Engine::start(
            self.config.clone(),
            session,
            operations,
            self.stored.known(),
            Seed(self.head + 2),
            self.now,
        );
        self.engine = engine;
        self.wanted.clear();
        // Whoever shows records begins anew, too.
        self.told.clear();
        for key in self.stored.records.keys() {
            self.told.insert(key.clone(), self.engine.state(key));
        }
        self.does(step);
    }

    fn edit(&mut self, key: &RecordKey, edit: Edit) -> Result<(), EditError> {
        let at = self.now;
        self.edit_of(key, edit, (at, Priority::NORMAL))
    }

    fn edit_of(
        &mut self,
        key: &RecordKey,
        edit: Edit,
        of: (UnixMicros, Priority),
    ) -> Result<(), EditError> {
        let known = self.stored.records.get(key).and_then(|saved| saved.known.clone());
        let step = self.engine.edit(key, edit, known, of, self.now)?;
        self.does(step);
        Ok(())
    }

    fn key(&self) -> RecordKey {
        RecordKey { table: "memos".into(), id: self.ids.next() }
    }

    fn create(&mut self) -> RecordKey {
        let key = self.key();
        self.edit(&key, Edit::Create(content("a"))).unwrap();
        key
    }

    fn create_memo(&mut self, book: &RecordKey) -> RecordKey {
        let key = self.key();
        let fields = Fields::from([("book", book.id.to_string()), ("content", "a".to_owned())]);
        self.edit_of(&key, Edit::Create(fields), (self.now, Priority::HIGH)).unwrap();
        key
    }

    fn create_memo_of_book(&mut self) -> (RecordKey, RecordKey) {
        let book = RecordKey { table: "books".into(), id: self.ids.next() };
        self.edit(&book, Edit::Create(content("b"))).unwrap();
        let memo = self.create_memo(&book);
        (book, memo)
    }

    /// How many operations it sends, once it can.
    fn push_all(&mut self) -> usize {
        self.connect();
        self.sync().len()
    }

    fn shown(&self, key: &RecordKey) -> Option<Fields> {
        self.stored.records.get(key)?.shown.clone()
    }

    fn taken(&mut self, wanted: impl Fn(&Effect) -> bool) -> Option<Effect> {
        let at = self.wanted.iter().rposition(wanted)?;
        Some(self.wanted.remove(at))
    }

    /// The server is well, and is told that there is a network.
    fn connect(&mut self) {
        self.hear(Input::SyncNow);
        let asked = self.taken(|effect| matches!(effect, Effect::AskHealth(_)));
        let Some(Effect::AskHealth(id)) = asked else { panic!("it asks nobody: {:?}", self.wake) };
        self.hear(Input::Health(id, true));
    }

    /// What it pushes, where that is what it does; pulls are answered.
    fn push(&mut self) -> Option<(RequestId, Push)> {
        while let Some(effect) =
            self.taken(|effect| matches!(effect, Effect::Push(..) | Effect::Pull(..)))
        {
            match effect {
                Effect::Push(id, push) => return Some((id, *push)),
                Effect::Pull(id, pull) => {
                    let (cursor, head) = (Version(self.head), Version(self.head));
                    let now = HybridTime::ZERO;
                    let mut changes: Vec<Change> = self
                        .held
                        .iter()
                        .filter(|(_, (version, _))| *version > pull.cursor)
                        .map(|(key, (version, fields))| {
                            let (key, fields) = (key.clone(), fields.clone());
                            Change { version: *version, key, fields }
                        })
                        .collect();
                    changes.sort_by_key(|change| change.version);
                    let (more, log) = (false, self.log);
                    let answer = match self.common.filter(|_| pull.log != Some(log)) {
                        Some(common) => {
                            let (changes, common) = (Vec::new(), Some(common));
                            PullAnswer { now, changes, cursor, more, head, log, common }
                        }
                        None => PullAnswer { now, changes, cursor, more, head, log, common: None },
                    };
                    self.hear(Input::Pulled(id, Ok(answer)));
                }
                _ => unreachable!("only these are taken"),
            }
        }
        None
    }

    /// The server applies all of a push.
    fn answer(&mut self, push: (RequestId, Push)) {
        self.answer_but(push, None);
    }

    /// The server applies all of a push but what is of one record, which it leaves out.
    fn answer_but(&mut self, (id, push): (RequestId, Push), left_out: Option<&RecordKey>) {
        let mut answers = Vec::new();
        if push.log.is_some_and(|log| log != self.log) {
            let (head, now) = (Version(self.head), HybridTime::ZERO);
            let (log, common, sequence) = (self.log, self.common, 0);
            let answer = PushAnswer { now, answers, head, sequence, log, common };
            return self.hear(Input::Pushed(id, Ok(answer)));
        }
        for operation in push.operations.iter().filter(|one| Some(&one.key) != left_out) {
            self.head += 1;
            let version = Version(self.head);
            let fields = operation.action.fields().cloned();
            self.held.insert(operation.key.clone(), (version, fields));
            let outcome = Outcome::Applied { version };
            answers.push(Answer { operation: operation.id, outcome });
        }
        let (head, now) = (Version(self.head), HybridTime::ZERO);
        let sequence = push.operations.iter().map(|one| one.sequence).max().unwrap_or(0);
        let (log, common) = (self.log, None);
        let answer = PushAnswer { now, answers, head, sequence, log, common };
        self.hear(Input::Pushed(id, Ok(answer)));
    }

    fn fail(&mut self, (id, _): (RequestId, Push), trouble: Trouble) {
        self.hear(Input::Pushed(id, Err(trouble)));
    }

    /// Waits until it pushes something again, and how long that was.
    fn next_push(&mut self) -> ((RequestId, Push), Duration) {
        let begin = self.now;
        loop {
            if let Some(push) = self.push() {
                return (push, self.now.since(begin));
            }
            if let Some(Effect::AskHealth(id)) =
                self.taken(|effect| matches!(effect, Effect::AskHealth(_)))
            {
                self.hear(Input::Health(id, true));
                continue;
            }
            let wake = self.wake.expect("it waits for something");
            assert!(self.now.since(begin) < Duration::from_hours(48), "it pushes nothing");
            self.now = self.now.max(wake);
            self.hear(Input::Wake);
        }
    }
}

fn content(text: &str) -> Fields {
    Fields::from([("content", text)])
}

fn failure() -> Failure {
    Failure { code: "NO".to_owned(), message: "no".to_owned() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_high_goes_first_and_then_what_was_written_first(
        edits in prop::collection::vec((1u8..=5, 0i64..50), 1..120),
    ) {
        let mut device = Device::new();
        let mut expected = Vec::new();
        for (priority, written) in edits {
            let key = device.key();
            let priority = Priority::try_from(priority).unwrap();
            let written = UnixMicros::from_secs(written);
            device.edit_of(&key, Edit::Create(content("a")), (written, priority)).unwrap();
            expected.push((priority, written, key));
        }
        // Ids are in the order in which they were made.
        expected.sort_by_key(|(priority, written, _)| (*priority, *written));
        device.connect();
        let mut sent = Vec::new();
        while let Some(push) = device.push() {
            prop_assert!(push.1.operations.len() <= 50);
            sent.extend(push.1.operations.iter().map(|operation| operation.key.clone()));
            device.answer(push);
        }
        let expected: Vec<RecordKey> = expected.into_iter().map(|(.., key)| key).collect();
        prop_assert_eq!(sent, expected);
        prop_assert_eq!(device.engine.status().queued, 0);
    }

    /// Whatever is done to a record offline is at most one operation for the server, and
    /// what the person sees is what the server has then.
    #[test]
    fn edits_that_nobody_has_heard_of_become_one(
        is_there: bool, edits in prop::collection::vec(0u8..3, 1..12),
    ) {
        let mut device = Device::new();
        let key = device.key();
        if is_there {
            device.edit(&key, Edit::Create(content("before"))).unwrap();
            device.connect();
            let push = device.push().unwrap();
            device.answer(push);
            device.hear(Input::Offline);
        }
        for (number, edit) in edits.into_iter().enumerate() {
            let text = content(&format!("text {number}"));
            let edit = match (edit, device.shown(&key).is_some()) {
                (_, false) => Edit::Create(text),
                (0, true) => Edit::Delete,
                (_, true) => Edit::Update(text),
            };
            device.edit(&key, edit).unwrap();
        }
        let shown = device.shown(&key);
        let most = if is_there { 2 } else { 1 };
        prop_assert!(device.engine.status().queued <= most, "a deletion, and what is made anew");
        device.connect();
        let (mut held, mut sent) = (is_there.then(|| content("before")), 0);
        while let Some(push) = device.push() {
            for operation in &push.1.operations {
                sent += 1;
                held = operation.action.fields().cloned();
            }
            device.answer(push);
        }
        prop_assert!(is_there || sent == usize::from(shown.is_some()), "made and deleted: nothing");
        prop_assert_eq!(&held, &shown);
        prop_assert_eq!(device.shown(&key), shown);
        prop_assert_eq!(device.engine.state(&key), RecordState::Saved);
    }

    #[test]
    fn pauses_grow_up_to_a_limit_and_have_full_jitter(seed: u64) {
        let mut device = Device::new();
        device.engine.random = Random::new(Seed(seed));
        for attempts in 0..40 {
            let ceiling = Duration::from_secs(5 << attempts.min(6)).min(Duration::from_mins(5));
            prop_assert!(device.engine.pause(attempts) <= ceiling);
        }
        let longest = (0..200).map(|_| device.engine.pause(9)).max().unwrap();
        prop_assert!(longest > Duration::from_mins(4), "{longest:?}");
        let shortest = (0..200).map(|_| device.engine.pause(9)).min().unwrap();
        prop_assert!(shortest < Duration::from_mins(1), "{shortest:?}");
    }
}

#[test]
fn at_the_bound_new_edits_are_refused_and_old_ones_stay() {
    let mut device = Device::with(|limits| limits.queue_count = 3);
    let keys: Vec<RecordKey> = (0..3).map(|_| device.create()).collect();
    let before = device.stored.clone();
    let key = device.key();
    let one_more = device.edit(&key, Edit::Create(content("a")));
    assert_eq!(one_more, Err(EditError::QueueFull(3)));
    assert_eq!(device.stored, before);
    // What needs no place is taken.
    device.edit(&keys[0], Edit::Update(content("b"))).unwrap();
    device.edit(&keys[1], Edit::Delete).unwrap();
    device.edit(&key, Edit::Create(content("a"))).unwrap();
    device.connect();
    let push = device.push().unwrap();
    assert_eq!(push.1.operations.len(), 3);
    device.answer(push);
    device.create();
}

#[test]
fn after_seven_days_without_the_server_new_edits_are_refused_until_it_settles_one() {
    let mut device = Device::new();
    let key = device.create();
    // The clock jumps by a year: that is a day at most.
    device.pass(Duration::from_hours(365 * 24));
    for _ in 0..6 {
        device.create();
        device.pass(Duration::from_hours(24));
    }
    device.create();
    device.pass(Duration::from_hours(1));
    let other = device.key();
    let refused = device.edit(&other, Edit::Create(content("a")));
    assert_eq!(refused, Err(EditError::QueueTooOld(7)));
    device.edit(&key, Edit::Update(content("still one operation"))).unwrap();
    // Also after a restart.
    device.start_again();
    let refused = device.edit(&other, Edit::Create(content("a")));
    assert_eq!(refused, Err(EditError::QueueTooOld(7)));
    device.connect();
    let push = device.push().unwrap();
    assert_eq!(push.1.operations.len(), 8);
    device.answer(push);
    device.edit(&other, Edit::Create(content("a"))).unwrap();
}

#[test]
fn what_is_too_large_is_refused_and_a_push_is_bounded_in_bytes() {
    let mut device = Device::with(|limits| {
        (limits.push_bytes, limits.operation_bytes) = (3_000, 2_000);
    });
    let key = device.key();
    let refused = device.edit(&key, Edit::Create(content(&"x".repeat(2_000))));
    assert!(matches!(refused, Err(EditError::TooLarge { bytes: 2_001.., max: 2_000 })));
    let sizes = [1_500, 1_000, 100, 100, 1_600, 10];
    for size in sizes {
        let key = device.key();
        device.edit(&key, Edit::Create(content(&"x".repeat(size)))).unwrap();
    }
    device.connect();
    let mut counts = Vec::new();
    while let Some(push) = device.push() {
        assert!(push.1.operations.iter().map(Operation::bytes).sum::<usize>() <= 3_000);
        counts.push(push.1.operations.len());
        device.answer(push);
    }
    assert_eq!(counts, [1, 3, 2]);
    // One alone is sent, however large: it was taken.
    let mut device = Device::with(|limits| limits.push_bytes = 10);
    device.create();
    device.create();
    device.connect();
    assert_eq!(device.push().unwrap().1.operations.len(), 1);
}

#[test]
fn a_record_has_one_operation_on_its_way_and_the_next_one_waits() {
    let mut device = Device::new();
    let key = device.create();
    assert_eq!(device.engine.state(&key), RecordState::Pending);
    device.connect();
    let push = device.push().unwrap();
    assert_eq!(device.engine.state(&key), RecordState::Syncing);
    device.edit(&key, Edit::Update(content("b"))).unwrap();
    device.edit(&key, Edit::Delete).unwrap();
    assert_eq!(device.engine.state(&key), RecordState::Waiting);
    assert_eq!((device.engine.status().waiting, device.push().map(drop)), (1, None));
    device.answer(push);
    let next = device.push().unwrap();
    assert_eq!(next.1.operations.len(), 1);
    assert_eq!(next.1.operations[0].action, Action::Delete);
    device.answer(next);
    assert_eq!(device.engine.state(&key), RecordState::Saved);
    assert_eq!(device.stored.log.len(), 2);
}

#[test]
fn the_pause_is_kept_over_a_restart_and_ends_without_any_event() {
    let mut device = Device::new();
    let key = device.create();
    device.connect();
    let push = device.push().unwrap();
    device.fail(push, Trouble::Later(Some(Duration::from_mins(20))));
    // What the server has asked for ends neither by a network nor by a person.
    for input in [Input::Offline, Input::Online, Input::SyncNow] {
        device.hear(input);
    }
    device.start_again();
    let (push, after) = device.next_push();
    assert!(after >= Duration::from_mins(20) && after < Duration::from_mins(26), "{after:?}");
    assert_eq!(push.1.operations[0].key, key);
    device.answer(push);
    assert_eq!(device.engine.status().queued, 0);
}

#[test]
fn what_is_pulled_between_does_not_end_the_pause_of_a_push() {
    let mut device = Device::new();
    device.create();
    device.connect();
    let mut push = device.push().unwrap();
    let mut all = Duration::ZERO;
    for _ in 0..12 {
        device.fail(push, Trouble::Later(None));
        // There is always something to pull.
        device.hear(Input::Live(Version(device.head + 1)));
        let (next, after) = device.next_push();
        (push, all) = (next, all + after);
    }
    assert!(all > Duration::from_mins(5), "it was tried twelve times in {all:?}");
    device.answer(push);
    assert_eq!(device.stored.session.retry, None);
}

/// The server settles the others: nothing waits for the one that it leaves out.
#[test]
fn what_the_server_leaves_out_goes_behind_the_others() {
    let mut device = Device::with(|limits| limits.push_count = 2);
    let keys: Vec<RecordKey> = (0..6).map(|_| device.create()).collect();
    device.connect();
    let mut sent = Vec::new();
    for _ in 0..3 {
        let push = device.push().unwrap();
        sent.extend(push.1.operations.iter().map(|operation| operation.key.clone()));
        device.answer_but(push, Some(&keys[0]));
    }
    let expected = [0, 1, 2, 3, 4, 5].map(|at| keys[at].clone());
    assert_eq!(sent, expected);
    assert_eq!(device.engine.status().passed_over, 1);
    // It is not forgotten, also after a restart.
    device.start_again();
    let last = device.create();
    device.connect();
    let push = device.push().unwrap();
    assert_eq!([&push.1.operations[0].key, &push.1.operations[1].key], [&last, &keys[0]]);
    device.answer(push);
    assert_eq!((device.engine.status().queued, device.engine.status().passed_over), (0, 0));
}

/// Whatever answers in the server's place, or however it fails: it is one edit that
/// does it, and the others are not kept waiting for ever.
#[test]
fn one_edit_that_spoils_every_request_keeps_no_other_waiting() {
    for trouble in [Trouble::Unreachable, Trouble::Later(None)] {
        let mut device = Device::new();
        let keys: Vec<RecordKey> = (0..60).map(|_| device.create()).collect();
        let spoils = |push: &Push| push.operations.iter().any(|one| one.key == keys[0]);
        device.connect();
        let mut failed = 0;
        while device.engine.status().queued > 1 {
            let (push, _) = device.next_push();
            if spoils(&push.1) {
                failed += 1;
                assert!(failed < 20, "{:?} waits for {trouble:?}", device.engine.status());
                device.fail(push, trouble.clone());
            } else {
                device.answer(push);
            }
        }
        assert_eq!(device.engine.status().failed, 0, "nobody has refused it");
        let (push, _) = device.next_push();
        device.answer(push);
        assert_eq!(device.engine.status().queued, 0);
    }
}

/// After it no sequence would be left, and no edit could be told from another one.
#[test]
fn a_sequence_that_nobody_can_have_reached_is_no_answer() {
    let mut device = Device::new();
    let key = device.create();
    device.connect();
    let ((id, push), _) = device.next_push();
    let outcome = Outcome::Applied { version: Version(1) };
    let wrong = PushAnswer {
        now: HybridTime::ZERO,
        answers: vec![Answer { operation: push.operations[0].id, outcome }],
        head: Version(1),
        sequence: SEQUENCE_MAX,
        log: device.log,
        common: None,
    };
    device.hear(Input::Pushed(id, Ok(wrong)));
    assert_eq!(device.stored.session.sequence, push.operations[0].sequence);
    let (again, pause) = device.next_push();
    assert_eq!(again.1.operations, push.operations);
    assert!(!pause.is_zero());
    device.answer(again);
    assert_eq!(device.engine.state(&key), RecordState::Saved);
}

#[test]
fn a_server_that_rejects_everything_does_not_turn_the_whole_queue_into_failures() {
    let mut device = Device::new();
    let keys: Vec<RecordKey> = (0..60).map(|_| device.create()).collect();
    device.connect();
    for _ in 0..40 {
        let (push, _) = device.next_push();
        device.fail(push, Trouble::Rejected(failure()));
    }
    let status = device.engine.status();
    assert_eq!((status.failed, status.queued), (3, 60));
    assert_eq!(status.stopped, Some(failure()));
    // It takes them again.
    while device.engine.status().to_send > 0 {
        let (push, _) = device.next_push();
        device.answer(push);
    }
    assert_eq!(device.engine.status().stopped, None);
    for key in keys {
        let (is_refused, step) = device.engine.try_again(&key, device.now);
        device.does(step);
        assert_eq!(is_refused, device.engine.state(&key) != RecordState::Saved);
    }
    while device.engine.status().to_send > 0 {
        let (push, _) = device.next_push();
        device.answer(push);
    }
    assert_eq!(device.engine.status().queued, 0);
}

/// Rejects what is alone, whatever comes with it.
fn rejected(device: &mut Device) {
    let (push, _) = device.next_push();
    assert_eq!(push.1.operations.len(), 1);
    device.fail(push, Trouble::Rejected(failure()));
}

#[test]
fn an_edit_after_a_rejection_is_one_operation_with_what_was_rejected() {
    let mut device = Device::new();
    let key = device.create();
    device.connect();
    rejected(&mut device);
    assert_eq!(device.engine.state(&key), RecordState::Failed);
    let before = device.engine.failed().next().unwrap().2.clone();
    device.edit(&key, Edit::Update(content("cured"))).unwrap();
    assert_eq!(device.engine.state(&key), RecordState::Pending);
    let push = device.push().unwrap();
    let [operation] = &push.1.operations[..] else { panic!("{push:?}") };
    assert_ne!(operation.id, before.id);
    assert!(operation.sequence > before.sequence);
    assert_eq!((operation.base, operation.written), (before.base, before.written));
    assert_eq!(operation.action, Action::Create { fields: content("cured") });
    device.answer(push);
    assert_eq!(device.shown(&key), Some(content("cured")));
    assert_eq!(device.engine.status().queued, 0);
}

#[test]
fn an_edit_that_was_made_while_another_one_was_rejected_goes_with_it() {
    let mut device = Device::new();
    let key = device.create();
    device.connect();
    let push = device.push().unwrap();
    device.edit(&key, Edit::Update(content("b"))).unwrap();
    device.fail(push, Trouble::Rejected(failure()));
    let push = device.push().unwrap();
    assert_eq!(push.1.operations[0].action, Action::Create { fields: content("b") });
}

/// The server may have it, from a time when the answer was lost: one with the edit it
/// would be there twice.
#[test]
fn what_may_be_settled_stays_as_it_is_and_edits_after_its_rejection_wait_for_the_person() {
    for discards in [true, false] {
        let mut device = Device::new();
        let key = device.create();
        device.connect();
        let push = device.push().unwrap();
        let created = push.1.operations[0].clone();
        device.fail(push, Trouble::Unreachable);
        rejected(&mut device);
        device.edit(&key, Edit::Update(content("b"))).unwrap();
        assert_eq!((device.engine.status().failed, device.engine.status().waiting), (1, 1));
        let step = if discards {
            device.engine.discard(&key, device.now).1
        } else {
            device.engine.try_again(&key, device.now).1
        };
        device.does(step);
        if !discards {
            let (push, _) = device.next_push();
            assert_eq!(push.1.operations, [created]);
            device.answer(push);
        }
        let (push, _) = device.next_push();
        let (fields, bases) = (content("b"), content("a"));
        assert_eq!(push.1.operations[0].action, Action::Update { fields, bases });
        assert_eq!(device.shown(&key), Some(content("b")));
    }
}

#[test]
fn who_makes_anew_what_could_not_be_deleted_has_it() {
    let mut device = Device::new();
    let key = device.create();
    device.connect();
    let push = device.push().unwrap();
    device.answer(push);
    device.edit(&key, Edit::Delete).unwrap();
    rejected(&mut device);
    device.edit(&key, Edit::Create(content("again"))).unwrap();
    let push = device.push().unwrap();
    let [operation] = &push.1.operations[..] else { panic!("{push:?}") };
    assert_eq!(operation.action, Action::Create { fields: content("again") });
    assert_eq!(operation.base, Version(1));
}

#[test]
fn a_401_spends_nothing_and_the_queue_goes_on_after_the_log_in() {
    let mut device = Device::new();
    let key = device.create();
    device.connect();
    let (id, push) = device.push().unwrap();
    let stored = device.stored.operations.len();
    device.fail((id, push.clone()), Trouble::LogIn);
    assert_eq!(device.stored.operations.len(), stored);
    assert!(device.engine.status().logged_out);
    device.start_again();
    device.connect();
    device.pass(Duration::from_hours(1));
    assert!(device.push().is_none(), "nothing is sent before the log-in");
    device.hear(Input::LoggedIn);
    let (again, _) = device.next_push();
    assert_eq!(again.1.operations, push.operations, "as it was");
    device.answer(again);
    assert_eq!(device.engine.state(&key), RecordState::Saved);
}

#[test]
fn what_a_server_has_lost_that_was_put_back_is_brought_back() {
    let mut device = Device::new();
    let [changed, deleted, same] = [0; 3].map(|_| device.create());
    device.connect();
    device.sync();
    let (backup, at) = (device.held.clone(), device.head);
    // All this is on the server, and was told to be: then it is put back.
    let made = device.create();
    device.edit(&changed, Edit::Update(content("a, and more"))).unwrap();
    device.edit(&deleted, Edit::Delete).unwrap();
    device.sync();
    assert_eq!((device.head, device.engine.status().queued), (at + 3, 0));
    device.put_back(backup, at);
    // Another device has written since, and the numbers are taken.
    for text in ["b", "c", "d", "e", "f"] {
        device.head += 1;
        let (key, version) = (device.key(), Version(device.head));
        device.held.insert(key, (version, Some(content(text))));
    }
    // What was not sent yet is made of what is lost.
    device.hear(Input::Offline);
    device.edit(&made, Edit::Update(content("written offline"))).unwrap();
    device.start_again();
    device.connect();
    let sent = device.sync();
    assert_eq!(device.engine.status().queued, 0);
    let done = |key: &RecordKey| {
        let of = sent.iter().filter(|operation| operation.key == *key);
        of.map(|operation| operation.action.clone()).collect::<Vec<_>>()
    };
    let (fields, bases) = (content("a, and more"), content("a"));
    assert_eq!(done(&changed), [Action::Update { fields, bases }]);
    assert_eq!(done(&deleted), [Action::Delete]);
    assert_eq!(done(&same), [], "it was not lost");
    let (fields, bases) = (content("written offline"), content("a"));
    let both = [Action::Create { fields: content("a") }, Action::Update { fields, bases }];
    assert_eq!(done(&made), both);
    assert!(sent.iter().all(|operation| operation.base <= Version(at + 7)));
    let told = sent.iter().filter(|operation| operation.key != made);
    assert!(told.clone().all(|operation| operation.base == Version(at)));
    for (key, (_, held)) in device.held.clone() {
        assert_eq!(device.shown(&key), held, "{key}");
    }
    assert_eq!(device.stored.session.log, Some(device.log));
}

/// What others did to what was brought back counts more than what was before.
#[test]
fn what_was_brought_back_by_others_or_edited_since_is_not_overwritten() {
    let mut device = Device::new();
    let [equal, other, deleted] = [0; 3].map(|_| device.create());
    device.connect();
    device.sync();
    device.put_back(BTreeMap::new(), 0);
    let version = |number: u64| Version(number);
    device.held.insert(equal.clone(), (version(1), Some(content("a"))));
    device.held.insert(other.clone(), (version(2), Some(content("other"))));
    device.held.insert(deleted.clone(), (version(3), None));
    device.head = 3;
    device.start_again();
    device.connect();
    let sent = device.sync();
    let keys: Vec<&RecordKey> = sent.iter().map(|operation| &operation.key).collect();
    assert_eq!(keys, [&other, &deleted], "in the order of the versions that were lost");
    // The server merges it as of long ago, and as one that has seen nothing.
    for operation in &sent {
        assert_eq!((operation.base, operation.at), (Version::NONE, UnixMicros(i64::MIN)));
        assert!(operation.after < HybridTime::from_wall(UnixMicros::from_secs(1)));
        assert!(matches!(operation.action, Action::Update { .. }), "{operation:?}");
    }
}

/// Two servers behind one address: nothing is asked for without a pause.
#[test]
fn a_server_that_is_another_one_each_time_is_not_asked_without_end() {
    let mut device = Device::new();
    device.create();
    device.connect();
    device.sync();
    let begin = device.now;
    let mut asked = 0;
    while asked < 12 {
        let wanted = |effect: &Effect| matches!(effect, Effect::Push(..) | Effect::Pull(..));
        let Some(effect) = device.taken(wanted) else {
            device.now = device.now.max(device.wake.expect("it waits for something"));
            device.hear(Input::Live(Version(device.head + 1)));
            continue;
        };
        asked += 1;
        let (now, head, cursor) = (HybridTime::ZERO, Version(device.head), Version::NONE);
        let (log, common) = (device.ids.next(), Some(Version::NONE));
        device.hear(match effect {
            Effect::Push(id, _) => {
                let (answers, sequence) = (Vec::new(), 0);
                let answer = PushAnswer { now, answers, head, sequence, log, common };
                Input::Pushed(id, Ok(answer))
            }
            Effect::Pull(id, _) => {
                let (changes, more) = (Vec::new(), false);
                let answer = PullAnswer { now, changes, cursor, more, head, log, common };
                Input::Pulled(id, Ok(answer))
            }
            _ => unreachable!("only these are taken"),
        });
    }
    assert!(device.now.since(begin) > Duration::from_mins(2), "{:?}", device.now.since(begin));
    // In the end it is one server again, and has what was there.
    (device.held, device.common) = (BTreeMap::new(), Some(Version::NONE));
    device.log = device.ids.next();
    device.head = 0;
    while device.engine.status().queued > 0 {
        let (push, _) = device.next_push();
        device.answer(push);
    }
    assert_eq!(device.held.len(), 1);
}

/// A memo is refused where its book is not there: what was lost goes before it, however
/// long it takes to know what that is.
#[test]
fn nothing_is_pushed_before_it_is_known_what_was_lost() {
    let mut device = Device::with(|limits| limits.queue_count = 4);
    let lost: Vec<RecordKey> = (0..3).map(|_| device.create()).collect();
    device.connect();
    device.sync();
    device.hear(Input::Offline);
    let memo = device.create();
    device.put_back(BTreeMap::new(), 0);
    device.connect();
    // It is told of by the push, and the first pull is lost.
    let (id, push) = device.push().unwrap();
    assert_eq!(push.operations[0].key, memo);
    device.answer((id, push));
    let pull = device.taken(|effect| matches!(effect, Effect::Pull(..)));
    let Some(Effect::Pull(id, _)) = pull else { panic!("{:?}", device.wanted) };
    device.hear(Input::Pulled(id, Err(Trouble::Unreachable)));
    // What waits to be compared is no reason to take no edit.
    device.create();
    device.start_again();
    device.connect();
    let sent = device.sync();
    let keys: Vec<&RecordKey> = sent.iter().map(|operation| &operation.key).collect();
    assert_eq!(keys[..4], [&lost[0], &lost[1], &lost[2], &memo]);
}

/// The answer was lost, and what was told since is not whole: that the record was not
/// told again does not mean that it is gone.
#[test]
fn what_is_answered_late_is_there_while_the_rest_is_being_told() {
    let mut device = Device::new();
    let other = device.create();
    assert_eq!(device.push_all(), 1);
    let key = device.create();
    let push = device.push().unwrap();
    let operations = push.1.operations.clone();
    device.fail(push, Trouble::Unreachable);
    device.held.insert(key.clone(), (Version(4), Some(content("c"))));
    device.head = 4;
    device.connect();
    let pull = device.taken(|effect| matches!(effect, Effect::Pull(..)));
    let Some(Effect::Pull(id, _)) = pull else { panic!("it asks first what was done") };
    let (now, log, common) = (HybridTime::ZERO, device.log, None);
    let changes = vec![Change { version: Version(3), key: other, fields: Some(content("o")) }];
    let (cursor, head) = (Version(3), Version(4));
    let answer = PullAnswer { now, changes, cursor, more: true, head, log, common };
    device.hear(Input::Pulled(id, Ok(answer)));
    let (id, again) = device.push().unwrap();
    assert_eq!(again.operations, operations);
    let outcome = Outcome::Applied { version: Version(2) };
    let answers = vec![Answer { operation: again.operations[0].id, outcome }];
    let answer = PushAnswer { now, answers, head, sequence: 2, log, common };
    device.hear(Input::Pushed(id, Ok(answer.clone())));
    assert_eq!(device.shown(&key), Some(content("a")));
    let (id, again) = device.push().unwrap();
    assert_eq!((again.operations, device.shown(&key)), (operations, Some(content("a"))));
    device.hear(Input::Pushed(id, Ok(answer)));
    assert_eq!((device.shown(&key), device.engine.status().queued), (Some(content("c")), 0));
}

#[test]
fn what_is_rejected_after_it_was_unreachable_needs_attention() {
    let mut device = Device::new();
    let key = device.create();
    device.connect();
    for _ in 0..4 {
        let (push, _) = device.next_push();
        device.fail(push, Trouble::Unreachable);
    }
    rejected(&mut device);
    assert_eq!(device.engine.state(&key), RecordState::Failed);
}

/// What was made without having seen the record has still not seen it when it becomes one
/// with what brings the record back, and was rejected.
#[test]
fn what_becomes_one_has_seen_no_more_than_either() {
    let device = Device::new();
    let key = device.key();
    let queued = |action: Action, base: u64, restores: bool| {
        let (id, sequence) = (device.ids.next(), base);
        let (written, at, after) = (device.now, device.now, HybridTime::ZERO);
        let base = Version(base);
        let key = key.clone();
        let operation =
            Operation { id, sequence, key, action, base, written, at, after, schema: 1, restores };
        Queued::new(operation, Priority::NORMAL, device.now)
    };
    let (fields, bases) = (Fields::from([("page", 17)]), Fields::new());
    let brings_back = queued(Action::Update { fields, bases }, 2, true);
    let made = queued(Action::Create { fields: content("mine") }, 0, false);
    let operations = [brings_back, made].map(Arc::new).into();
    let mut chain = Chain { known: None, operations };
    chain.reject(failure());
    let [one] = chain.operations.make_contiguous() else { panic!("{chain:?}") };
    assert_eq!((one.operation.base, one.operation.restores), (Version::NONE, false));
}
