//! Events on a real store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::{MariaDb, Scratch};
use multi_master::{
    Column, DbError, Kind, MasterConfig, MasterName, Migration, MultiMaster, Policy, Step, Table,
    Tx, WriteError, fields, params,
};
use outbox::{
    Bounds, Config, Delivery, EmitError, EventId, HandleError, Handler, Outbox, ReplayError,
    Topics, inbox,
};
use stdx::{Clock, UnixMicros};
use tokio::sync::{Semaphore, watch};

const SUMS: Table = Table {
    name: "sums",
    key: &["name"],
    columns: &[Column::new("name", Kind::Text { chars_max: 20 }), Column::new("amount", Kind::Int)],
    indexes: &[],
};

async fn open(folder: &tempfile::TempDir, clock: Clock) -> MultiMaster {
    let mut config = multi_master::Config::embedded(folder.path(), Policy::All);
    config.clock = clock;
    open_on(config).await
}

async fn open_on(config: multi_master::Config) -> MultiMaster {
    let sums = Migration { name: "sums", steps: &[Step::CreateTable(SUMS)] };
    let migrations: Vec<_> = outbox::MIGRATIONS.iter().copied().chain([sums]).collect();
    MultiMaster::open(config, &migrations).await.unwrap()
}

async fn emit(store: &MultiMaster, outbox: &Outbox, key: &str, event: i64) -> EventId {
    let (outbox, key) = (outbox.clone(), key.to_owned());
    let emitted = store.write(async move |tx: &mut Tx| outbox.emit(tx, "t", &key, &event).await);
    emitted.await.into_result().unwrap()
}

/// What came, in order, and when somebody may look.
#[derive(Clone)]
struct Heard(watch::Sender<Vec<(String, i64, u32)>>);

impl Heard {
    fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    async fn until(&self, many: usize) -> Vec<(String, i64, u32)> {
        let mut heard = self.0.subscribe();
        heard.wait_for(|heard| heard.len() >= many).await.unwrap().clone()
    }
}

impl Handler for Heard {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        let event = delivery.read()?;
        self.0.send_modify(|heard| heard.push((delivery.key.clone(), event, delivery.attempt)));
        Ok(())
    }
}

fn subscribed(name: &'static str, bounds: Bounds, handler: impl Handler) -> Topics {
    let mut topics = Topics::default();
    topics.subscribe("t", name, bounds, handler).unwrap();
    topics
}

/// Nothing of what is rolled back, all of what is committed, each key in its order, although
/// many write at the same time, with two processes that deliver.
async fn comes_once_for_each_key_in_order(store: MultiMaster) {
    const WRITERS: i64 = 8;
    const EACH: i64 = 40;
    let made = store.write(async |tx: &mut Tx| {
        for key in ["key-0", "key-1", "key-2"] {
            tx.insert("sums", fields! {"name" => key, "amount" => 0}).await?;
        }
        Ok::<_, DbError>(())
    });
    made.await.into_result().unwrap();
    let heard = Heard::new();
    let outbox = async || {
        let topics = subscribed("one", Bounds::default(), heard.clone());
        Outbox::open(store.clone(), topics, Config::default()).await.unwrap()
    };
    let (first, second) = (outbox().await, outbox().await);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let outbox = if writer % 2 == 0 { first.clone() } else { second.clone() };
        let store = store.clone();
        writers.push(tokio::spawn(async move {
            for at in 0..EACH {
                let emits = outbox.clone();
                let is_wrong = at % 5 == 4;
                let done = store.write(async move |tx: &mut Tx| {
                    // The order of a key is the order of its commits: here of a counter.
                    let key = format!("key-{}", writer % 3);
                    let row = tx.get("sums", params![key.as_str()]).await?.expect("it was made");
                    let amount: i64 = row.get("amount")?;
                    let more = fields! {"amount" => amount + 1};
                    tx.update("sums", params![key.as_str()], more).await?;
                    emits.emit(tx, "t", &key, &amount).await?;
                    if is_wrong {
                        return Err(EmitError::Key(0));
                    }
                    Ok(())
                });
                assert_eq!(done.await.into_result().is_err(), is_wrong);
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let committed = usize::try_from(WRITERS * EACH * 4 / 5).unwrap();
    let all = heard.until(committed).await;
    first.close().await;
    second.close().await;
    assert_eq!(all.len(), committed, "nothing came twice, and nothing that was rolled back");
    let mut by_key: BTreeMap<String, i64> = BTreeMap::new();
    for (key, event, _) in all {
        let next = by_key.entry(key.clone()).or_default();
        assert_eq!(event, *next, "{key} out of order");
        *next += 1;
    }
    assert_eq!(first.backlog().await.unwrap()[0].waiting, 0);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_comes_once_for_each_key_in_order() {
    let folder = tempfile::tempdir().unwrap();
    comes_once_for_each_key_in_order(open(&folder, Clock::real()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_on_two_servers_comes_once_for_each_key_in_order() {
    let Some(software) = lab::require_mariadb("events of two servers") else { return };
    let scratch = Scratch::new("outbox-mariadb").unwrap();
    let servers = ["a", "b"].map(|name| {
        let server = MariaDb::start(&software, &scratch.path().join(name)).unwrap();
        server.create_database("events").unwrap();
        server
    });
    let masters = ["a", "b"].into_iter().zip(&servers).map(|(name, server)| MasterConfig {
        name: MasterName(name.to_owned()),
        url: server.url("events"),
    });
    let witness = scratch.path().join("witness.json");
    let config = multi_master::Config::new(masters.collect(), Policy::Available, witness);
    comes_once_for_each_key_in_order(open_on(config).await).await;
}

/// A service starts while its new store can't be written: it can emit as soon as that can be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_opened_while_the_store_can_not_be_written() {
    let Some(software) = lab::require_mariadb("events while a server is away") else { return };
    let scratch = Scratch::new("outbox-away").unwrap();
    let [a, mut b] = ["a", "b"].map(|name| {
        let server = MariaDb::start(&software, &scratch.path().join(name)).unwrap();
        server.create_database("events").unwrap();
        server
    });
    let masters = [("a", &a), ("b", &b)].map(|(name, server)| MasterConfig {
        name: MasterName(name.to_owned()),
        url: server.url("events"),
    });
    let witness = scratch.path().join("witness.json");
    let config = multi_master::Config::new(masters.to_vec(), Policy::All, witness);
    let store = open_on(config).await;
    b.kill().unwrap();
    let heard = Heard::new();
    let topics = subscribed("hears", Bounds::DEFAULT, heard.clone());
    let outbox = Outbox::open(store.clone(), topics, Config::default()).await.unwrap();
    let emit = async || {
        let emits = outbox.clone();
        let emitted = store.write(async move |tx: &mut Tx| emits.emit(tx, "t", "k", &1).await);
        emitted.await.into_result()
    };
    assert!(emit().await.is_err());
    b.restart().unwrap();
    while let Err(WriteError::NotSaved(error)) = emit().await {
        assert!(matches!(&error, EmitError::Db(why) if why.is_retryable()), "{error}");
        tokio::task::yield_now().await;
    }
    assert_eq!(heard.until(1).await.len(), 1);
    outbox.close().await;
    store.close().await;
}

/// Fails as often as it is told, then hears.
struct Fails {
    times: AtomicU32,
    heard: Heard,
}

impl Handler for Fails {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        let left =
            self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match (left, &*delivery.event) {
            (_, "13") => Err(HandleError::Poison("unlucky".into())),
            (_, "14") => panic!("it can't stand it"),
            (Ok(_), _) => Err(HandleError::Again("not now".into())),
            (Err(_), _) => self.heard.handle(delivery).await,
        }
    }
}

const QUICK: Bounds = Bounds {
    pause_base: Duration::from_millis(1),
    pause_max: Duration::from_millis(1),
    attempts_max: 4,
    ..Bounds::DEFAULT
};

/// It is tried again, and those of its key wait for it. What never will is put aside, and the
/// next ones go on; a person has it tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_tried_again_and_poison_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Clock::real()).await;
    let heard = Heard::new();
    let fails = Fails { times: AtomicU32::new(2), heard: heard.clone() };
    let outbox = Outbox::open(store.clone(), subscribed("one", QUICK, fails), Config::default())
        .await
        .unwrap();
    for event in [1, 2, 13, 14, 3] {
        emit(&store, &outbox, "a", event).await;
    }
    let all = heard.until(3).await;
    let events: Vec<_> = all.iter().map(|(_, event, attempt)| (*event, *attempt)).collect();
    assert_eq!(events, [(1, 3), (2, 1), (3, 1)]);
    let parked = outbox.parked(10).await.unwrap();
    let why: Vec<_> = parked
        .iter()
        .map(|one| (&*one.delivery.event, one.delivery.attempt, one.error.as_str()))
        .collect();
    assert_eq!(why, [("13", 1, "unlucky"), ("14", 4, "its handler panicked")]);
    let unlucky = parked[0].delivery.id;
    outbox.close().await;

    // Somebody has mended the handler.
    let outbox =
        Outbox::open(store.clone(), subscribed("one", QUICK, heard.clone()), Config::default())
            .await
            .unwrap();
    outbox.replay(unlucky).await.unwrap();
    assert_eq!(heard.until(4).await[3], ("a".to_owned(), 13, 1));
    assert_eq!(outbox.replay(unlucky).await, Err(ReplayError::NotParked(unlucky)));
    assert_eq!(outbox.parked(10).await.unwrap().len(), 1);
    outbox.close().await;
    store.close().await;
}

/// Waits until it is let through, and counts those that are inside.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    inside: watch::Sender<usize>,
}

impl Handler for Gate {
    async fn handle(&self, _: &Delivery) -> Result<(), HandleError> {
        self.inside.send_modify(|inside| *inside += 1);
        self.open.acquire().await.unwrap().forget();
        Ok(())
    }
}

/// One that hangs fills its own queue: its workers are as many as they may be, the rest stays in
/// the table, and another subscriber of the same topic hears all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Clock::real()).await;
    let gate = Gate { open: Arc::new(Semaphore::new(0)), inside: watch::Sender::new(0) };
    let heard = Heard::new();
    let bounds = Bounds { workers_min: 1, workers_max: 3, queue: 5, ..Bounds::DEFAULT };
    let mut topics = subscribed("hangs", bounds, gate.clone());
    topics.subscribe("t", "hears", Bounds::DEFAULT, heard.clone()).unwrap();
    let outbox = Outbox::open(store.clone(), topics, Config::default()).await.unwrap();
    for event in 0..20 {
        emit(&store, &outbox, &format!("key-{event}"), event).await;
    }
    assert_eq!(heard.until(20).await.len(), 20);
    gate.inside.subscribe().wait_for(|inside| *inside == 3).await.unwrap();
    let waiting = |name: &str, all: &[outbox::Backlog]| {
        all.iter().find(|one| one.subscriber == name).unwrap().waiting
    };
    assert_eq!(waiting("hangs", &outbox.backlog().await.unwrap()), 20, "none is done");
    assert_eq!(*gate.inside.borrow(), 3);
    gate.open.add_permits(100);
    gate.inside.subscribe().wait_for(|inside| *inside == 20).await.unwrap();
    outbox.close().await;
    assert_eq!(waiting("hangs", &outbox.backlog().await.unwrap()), 0);
    store.close().await;
}

/// What a process had taken that is gone is taken by another one, when its lease is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_left_comes_from_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(UnixMicros::from_secs(1_800_000_000));
    let store = open(&folder, clock.clone()).await;
    let gate = Gate { open: Arc::new(Semaphore::new(0)), inside: watch::Sender::new(0) };
    // It has room for one: the other event is not its.
    let one = Bounds { workers_min: 1, workers_max: 1, queue: 1, ..Bounds::DEFAULT };
    let dies = Outbox::open(store.clone(), subscribed("one", one, gate.clone()), Config::default())
        .await
        .unwrap();
    emit(&store, &dies, "a", 1).await;
    gate.inside.subscribe().wait_for(|inside| *inside == 1).await.unwrap();
    let heard = Heard::new();
    let next = Outbox::open(
        store.clone(),
        subscribed("one", Bounds::DEFAULT, heard.clone()),
        Config::default(),
    )
    .await
    .unwrap();
    emit(&store, &next, "b", 2).await;
    assert_eq!(heard.until(1).await, [("b".to_owned(), 2, 1)], "the other one is taken");
    while next.backlog().await.unwrap()[0].waiting > 1 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(61));
    assert_eq!(heard.until(2).await[1], ("a".to_owned(), 1, 1));
    // The first one wakes: what it tells changes nothing.
    gate.open.add_permits(1);
    dies.close().await;
    next.close().await;
    assert_eq!(heard.0.borrow().len(), 2);
    assert_eq!(next.backlog().await.unwrap()[0].waiting, 0);
    store.close().await;
}

/// Does what the event asks for in the same store, and says that it failed, once.
struct Adds {
    store: MultiMaster,
    lies: AtomicBool,
    heard: Heard,
}

impl Handler for Adds {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandleError> {
        let (amount, of): (i64, _) = (delivery.read()?, delivery.clone());
        let added = self.store.write(async move |tx: &mut Tx| {
            if inbox::first_time(tx, &of).await? {
                let row = tx.get("sums", params!["all"]).await?;
                let sum = row.map(|row| row.get::<i64>("amount")).transpose()?;
                let fields = fields! {"amount" => sum.unwrap_or(0) + amount};
                if sum.is_some() {
                    tx.update("sums", params!["all"], fields).await?;
                } else {
                    tx.insert("sums", [fields, fields! {"name" => "all"}].concat()).await?;
                }
            }
            Ok::<_, DbError>(())
        });
        added.await.into_result().map_err(|why| HandleError::Again(why.to_string()))?;
        if self.lies.swap(false, Ordering::SeqCst) {
            return Err(HandleError::Again("the answer was lost".into()));
        }
        self.heard.handle(delivery).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_inbox_it_is_once_in_effect() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Clock::real()).await;
    let heard = Heard::new();
    let (lies, to) = (AtomicBool::new(true), heard.clone());
    let adds = Adds { store: store.clone(), lies, heard: to };
    let outbox = Outbox::open(store.clone(), subscribed("one", QUICK, adds), Config::default())
        .await
        .unwrap();
    for amount in [5, 7] {
        emit(&store, &outbox, "a", amount).await;
    }
    assert_eq!(heard.until(2).await[0], ("a".to_owned(), 5, 2), "the second time");
    let sum = store.read(async |db| {
        db.get("sums", params!["all"]).await?.expect("it was added").get::<i64>("amount")
    });
    assert_eq!(sum.await, Ok::<_, DbError>(12));
    outbox.close().await;
    let later = Clock::real().now().after(Duration::from_mins(1));
    assert_eq!(inbox::forget(&store, later).await, Ok(2));
    store.close().await;
}

#[tokio::test]
async fn what_can_not_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Clock::real()).await;
    let heard = Arc::new(Mutex::new(Heard::new()));
    let handler = || heard.lock().unwrap().clone();
    let mut topics = subscribed("one", Bounds::DEFAULT, handler());
    let twice = topics.subscribe("u", "one", Bounds::DEFAULT, handler()).unwrap_err();
    assert_eq!(twice.why, "there are two subscribers of this name");
    assert!(topics.topic("No Name").is_err());
    let none = Bounds { workers_min: 0, ..Bounds::DEFAULT };
    assert!(topics.subscribe("t", "two", none, handler()).is_err());
    let small = Bounds { queue: 1, ..Bounds::DEFAULT };
    assert!(topics.subscribe("t", "two", small, handler()).is_err());
    let outbox = Outbox::open(store.clone(), topics, Config::default()).await.unwrap();
    let try_emit = async |topic: &'static str, key: String, event: String| {
        let outbox = outbox.clone();
        let done = store.write(async move |tx: &mut Tx| outbox.emit(tx, topic, &key, &event).await);
        done.await.into_result().unwrap_err().to_string()
    };
    assert_eq!(try_emit("v", "a".into(), String::new()).await, "there is no topic `v`");
    assert!(try_emit("t", String::new(), String::new()).await.contains("1 to 200 characters"));
    assert!(try_emit("t", "a".into(), "x".repeat(70_000)).await.contains("at most 65536"));
    outbox.close().await;
    store.close().await;
}

mod nats;
mod webhook;
