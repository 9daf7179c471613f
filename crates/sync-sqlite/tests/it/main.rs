//! A device is driven, by a server that answers as a test wants it to. Against the real
//! one, over real sockets and with real kills, it is tested with the program that has
//! both.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use stdx::ids::Id as _;
use stdx::{Clock, HybridTime, IdSource, UnixMicros};
use sync::engine::Synced;
use sync::engine::{Config, Edit, Status, Trouble};
use sync::merge::Outcome;
use sync::model::{Fields, LogId, OperationId, RecordKey, Rule, Table, Value, Version};
use sync::queue::{Failure, Priority, RecordState};
use sync::wire::{Answer, Pull, PullAnswer, Push, PushAnswer};
use sync_sqlite::{Device, DriveError, Options, Server};
use tokio::sync::{Notify, mpsc};

/// Longer is nothing waited for.
const WITHIN: Duration = Duration::from_mins(1);

const TABLES: &[Table] = &[Table { name: "memos", fields: &[("content", Rule::Text)] }];

/// Takes everything, but for what the test says of one push after the other.
#[derive(Default)]
struct Scripted {
    pushes: RefCell<VecDeque<Trouble>>,
    head: Cell<u64>,
    /// Operations in the order in which they came, again too.
    came: RefCell<Vec<OperationId>>,
    /// The cursor of each pull.
    pulls: RefCell<Vec<Version>>,
    /// A push waits for this, where there is one.
    gate: Option<Notify>,
    has_come: Notify,
    away: bool,
    source_away: bool,
}

impl Server for Scripted {
    async fn is_well(&self) -> bool {
        !self.away
    }

    async fn is_source_well(&self) -> bool {
        !self.source_away
    }

    async fn push(&self, push: &Push) -> Result<PushAnswer, Trouble> {
        self.came.borrow_mut().extend(push.operations.iter().map(|operation| operation.id));
        self.has_come.notify_one();
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if let Some(trouble) = self.pushes.borrow_mut().pop_front() {
            return Err(trouble);
        }
        let answers = push.operations.iter().map(|operation| {
            self.head.set(self.head.get() + 1);
            let outcome = Outcome::Applied { version: Version(self.head.get()) };
            Answer { operation: operation.id, outcome }
        });
        let (now, answers) = (HybridTime::ZERO, answers.collect());
        let (head, log) = (Version(self.head.get()), LogId::from_uuid(push.account.uuid()));
        Ok(PushAnswer { now, answers, head, sequence: 0, log, common: None })
    }

    async fn pull(&self, pull: &Pull) -> Result<PullAnswer, Trouble> {
        self.pulls.borrow_mut().push(pull.cursor);
        let (now, head) = (HybridTime::ZERO, Version(self.head.get()));
        let (changes, log) = (Vec::new(), LogId::from_uuid(pull.account.uuid()));
        Ok(PullAnswer { now, changes, cursor: head, more: false, head, log, common: None })
    }

    async fn live(&self, _: mpsc::Sender<Version>) {
        std::future::pending::<()>().await;
    }
}

struct Test {
    directory: tempfile::TempDir,
    clock: Clock,
    ids: IdSource,
    options: Options,
}

impl Test {
    fn new() -> Self {
        let (ids, clock) =
            (IdSource::system(), Clock::starting_at(UnixMicros::from_secs(1_700_000_000)));
        let options =
            Options { clock: clock.clone(), ..Options::new(Config::new(TABLES, 1), ids.next()) };
        Self { directory: tempfile::tempdir().unwrap(), clock, ids, options }
    }

    fn device(&self) -> Device {
        Device::open(&self.directory.path().join("device.db"), self.options.clone()).unwrap()
    }

    fn write(&self, device: &Device) -> RecordKey {
        let key = RecordKey { table: "memos".into(), id: self.ids.next() };
        let memo = Fields::from([("content", Value::from("하나"))]);
        device.edit(&key, Edit::Create(memo), self.clock.now(), Priority::NORMAL).unwrap();
        key
    }
}

async fn sync(device: &Device, server: &Scripted) -> Synced {
    device.sync(server, |_| (), |_| ()).await.unwrap()
}

#[tokio::test]
async fn nothing_waits_for_what_the_server_needs_from_outside() {
    let test = Test::new();
    let device = test.device();
    test.write(&device);
    let server = Scripted { source_away: true, ..Scripted::default() };
    assert_eq!(sync(&device, &server).await, Synced::Done);
    assert_eq!(device.status().unwrap().progress, (0, 0));
    let ends = |status: &Status| status.source.is_there().is_some();
    let driven = tokio::time::timeout(WITHIN, device.drive(&server, |_| (), ends));
    let (driven, ()) = tokio::join!(driven, async { test.clock.advance(Duration::from_secs(1)) });
    assert_eq!(driven.unwrap().unwrap().source.is_there(), Some(false));
}

#[tokio::test]
async fn a_server_that_asked_to_come_later_is_asked_again_then() {
    let test = Test::new();
    let device = test.device();
    test.write(&device);
    let server = Scripted::default();
    assert_eq!(
        sync(&device, &Scripted { away: true, ..Scripted::default() }).await,
        Synced::Unreachable
    );
    let an_hour = Duration::from_hours(1);
    server.pushes.borrow_mut().push_back(Trouble::Later(Some(an_hour)));
    let until = test.clock.now().after(an_hour);
    assert_eq!(sync(&device, &server).await, Synced::Later(until));
    // Before that it is left alone, by the next process, too.
    let device = test.device();
    test.clock.advance(Duration::from_mins(59));
    assert_eq!(sync(&device, &server).await, Synced::Later(until));
    assert_eq!(server.came.borrow().len(), 1);
    test.clock.advance(Duration::from_mins(1));
    assert_eq!(sync(&device, &server).await, Synced::Done);
    assert_eq!(server.came.borrow().len(), 2);
    assert_eq!(device.status().unwrap().queued, 0);
}

#[tokio::test]
async fn a_log_in_and_a_server_that_takes_nothing_cost_no_edit() {
    let test = Test::new();
    let device = test.device();
    let memo = test.write(&device);
    let server = Scripted::default();
    server.pushes.borrow_mut().push_back(Trouble::LogIn);
    assert_eq!(sync(&device, &server).await, Synced::LogIn);
    assert_eq!(sync(&device, &server).await, Synced::LogIn, "until somebody has logged in");
    device.logged_in().unwrap();
    let failure = Failure { code: "OLD".to_owned(), message: "update".to_owned() };
    server.pushes.borrow_mut().push_back(Trouble::Stopped(failure.clone()));
    // What others did is pulled all the same.
    server.head.set(7);
    assert_eq!(sync(&device, &server).await, Synced::Stopped(failure.clone()));
    assert_eq!(*server.pulls.borrow(), [Version::NONE]);
    assert_eq!(device.status().unwrap().stopped, Some(failure));
    assert_eq!(device.state(&memo).unwrap(), RecordState::Pending, "nothing needs attention");
    assert_eq!(sync(&device, &server).await, Synced::Done);
    assert_eq!(device.status().unwrap().stopped, None);
    assert_eq!(device.state(&memo).unwrap(), RecordState::Saved);
}

#[tokio::test]
async fn what_other_processes_do_meanwhile_keeps_no_answer_away() {
    let test = Test::new();
    let (device, other) = (test.device(), test.device());
    // Everything was pulled before.
    assert_eq!(sync(&device, &Scripted::default()).await, Synced::Done);
    let first = test.write(&device);
    let server = Scripted { gate: Some(Notify::new()), ..Scripted::default() };
    let gate = server.gate.as_ref().unwrap();
    let beside = async {
        server.has_come.notified().await;
        assert!(matches!(other.sync(&server, |_| (), |_| ()).await, Err(DriveError::Busy)));
        assert_eq!(other.state(&first).unwrap(), RecordState::Syncing);
        let second = test.write(&other);
        let change = Edit::Update(Fields::from([("content", Value::from("하나 둘"))]));
        let state = other.edit(&first, change, test.clock.now(), Priority::NORMAL).unwrap();
        assert_eq!(state, RecordState::Waiting);
        assert_eq!(other.status().unwrap().syncing, 1);
        gate.notify_one();
        // The edit that waited, and the other memo.
        server.has_come.notified().await;
        gate.notify_one();
        second
    };
    let both = futures_util::future::join(sync(&device, &server), beside);
    let both = tokio::time::timeout(WITHIN, both).await;
    let (synced, second) = both.expect("what was waited for comes");
    assert_eq!(synced, Synced::Done);
    let came = server.came.borrow();
    assert_eq!(came.len(), 3, "nothing was sent twice: {came:?}");
    for key in [&first, &second] {
        assert_eq!(other.state(key).unwrap(), RecordState::Saved);
    }
    assert_eq!(device.shown(&first).unwrap().unwrap().get("content"), Some(&"하나 둘".into()));
    let head = Version(server.head.get());
    assert_eq!(*server.pulls.borrow(), [head], "what a device did itself is not pulled");
}

#[tokio::test]
async fn what_was_not_there_to_be_deleted_says_nothing_of_other_records() {
    let test = Test::new();
    let device = test.device();
    assert_eq!(sync(&device, &Scripted::default()).await, Synced::Done);
    let memo = test.write(&device);
    let server = Scripted::default();
    assert_eq!(sync(&device, &server).await, Synced::Done);
    device.edit(&memo, Edit::Delete, test.clock.now(), Priority::NORMAL).unwrap();
    assert_eq!(sync(&device, &server).await, Synced::Done);
    // The version of the answer may be that of another device's change.
    assert_eq!(*server.pulls.borrow(), [Version(1), Version(1)]);
}
