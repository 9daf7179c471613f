//! Orchestrators on one store: starting, taking over, deciding, stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use multi_master::{DbError, MultiMaster, Tx};
use saga::machine::OperatorError;
use saga::sagas::DecideError;
use saga::{
    CallStep, CallUndo, Config, Context, Definition, Definitions, Fence, Kind, Listing, LocalStep,
    Policy, SagaId, SagaState, Sagas, StartError, Started, Step, StepError, StepState,
};
use stdx::{Clock, IdSource, UnixMicros};
use tokio::sync::Semaphore;

use crate::shop::{Confirm, DeductStock, MONEY, Order, Pay, STOCK, Shop, ended};

fn config(clock: &Clock) -> Config {
    Config { clock: clock.clone(), ..Config::default() }
}

fn clock() -> Clock {
    Clock::starting_at(UnixMicros::from_secs(1_800_000_000))
}

fn new_id() -> SagaId {
    IdSource::system().next()
}

async fn open<I: serde::de::DeserializeOwned + Send + Sync + 'static>(
    store: &MultiMaster,
    clock: &Clock,
    definition: Definition<I>,
) -> (Sagas, Kind<I>) {
    let mut definitions = Definitions::default();
    let kind = definitions.add(definition).unwrap();
    (Sagas::open(store.clone(), definitions, config(clock)).await.unwrap(), kind)
}

#[tokio::test]
async fn the_same_id_is_the_same_saga() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let (sagas, orders) = open(&shop.store, &clock, shop.order()).await;
    let (id, order) = (new_id(), Order::new(3, "yes", "yes"));
    let before = shop.store.counts().saved;
    assert_eq!(sagas.start(&orders, id, &order).await, Ok(Started::New));
    let saga = ended(&sagas, id).await;
    assert_eq!(saga.state, SagaState::Completed);
    // Three local steps, and that two calls begin: what came of those is in the next one.
    assert_eq!(shop.store.counts().saved - before, 4, "commits");
    assert_eq!(saga.output::<DeductStock>(), Ok(Some(3)));
    assert_eq!(sagas.start(&orders, id, &order).await, Ok(Started::Before));
    let other = Order::new(4, "yes", "yes");
    assert_eq!(sagas.start(&orders, id, &other).await, Err(StartError::OtherInput(id)));
    assert_eq!(shop.count("stock").await, STOCK - 3, "once");
    assert_eq!(sagas.wait(new_id()).await, Ok(None));
    sagas.close().await;
    assert_eq!(sagas.start(&orders, new_id(), &order).await, Err(StartError::Closing));
}

#[tokio::test]
async fn many_at_the_same_time_leave_sums_that_are_right() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let (sagas, orders) = open(&shop.store, &clock, shop.order()).await;
    let started = (0..60i64).map(|at| {
        let (sagas, orders) = (&sagas, &orders);
        async move {
            let courier = ["yes", "no", "away", "lost"][usize::try_from(at % 4).unwrap()];
            let id = new_id();
            sagas.start(orders, id, &Order::new(1 + at, "yes", courier)).await.unwrap();
            let state = sagas.wait(id).await.unwrap().unwrap();
            assert_eq!(state == SagaState::Completed, courier == "yes");
        }
    });
    futures_util::future::join_all(started).await;
    shop.check_sums().await;
    assert_eq!(sagas.count(SagaState::Completed).await, Ok(15));
    assert_eq!(sagas.count(SagaState::Compensated).await, Ok(45));
    let latest = sagas.list(Listing { limit: Some(10), ..Listing::default() }).await.unwrap();
    assert_eq!(latest.len(), 10);
    sagas.close().await;
}

/// A call that waits until it is let through, and counts.
struct Held {
    gate: Arc<Semaphore>,
    called: Arc<AtomicU32>,
    fences: Arc<std::sync::Mutex<Vec<Fence>>>,
}

impl Step for Held {
    type Output = ();
    const NAME: &'static str = "held";
    const POLICY: Policy = Policy { deadline: Duration::from_mins(10), ..Policy::DEFAULT };
}

impl CallStep<Order> for Held {
    async fn call(&self, context: &Context<'_, Order>) -> Result<(), StepError> {
        self.fences.lock().unwrap().push(context.fence());
        self.called.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        Ok(())
    }
}

impl CallUndo<Order> for Held {
    async fn undo(&self, _: &Context<'_, Order>, _: Option<()>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Takes stock when it is let.
struct Last;

impl Step for Last {
    type Output = ();
    const NAME: &'static str = "last";
}

impl LocalStep<Order> for Last {
    async fn run(&self, tx: &mut Tx, _: &Context<'_, Order>) -> Result<(), StepError> {
        let row = tx.get("counts", multi_master::params!["shop"]).await?.unwrap();
        let amount = row.get::<i64>("amount")? + 1;
        let more = multi_master::fields! {"amount" => amount};
        tx.update("counts", multi_master::params!["shop"], more).await?;
        Ok(())
    }
}

#[tokio::test]
async fn an_owner_that_stood_still_past_its_lease_changes_nothing() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let called = Arc::new(AtomicU32::new(0));
    let fences = Arc::default();
    let held = |gate: &Arc<Semaphore>| {
        Definition::<Order>::new("held", 1)
            .call(Held {
                gate: Arc::clone(gate),
                called: Arc::clone(&called),
                fences: Arc::clone(&fences),
            })
            .local_without_undo(Last)
    };
    let (closed, opened) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(9)));
    let (frozen, kind) = open(&shop.store, &clock, held(&closed)).await;
    let id = new_id();
    frozen.start(&kind, id, &Order::new(1, "", "")).await.unwrap();
    while called.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }

    // Nobody may before the lease ends.
    let (other, _) = open(&shop.store, &clock, held(&opened)).await;
    assert_eq!(other.recover_now().await, Ok(0));
    clock.advance(Duration::from_secs(31));
    // It looks at its start too, and then this one finds nothing.
    other.recover_now().await.unwrap();
    let saga = ended(&other, id).await;
    assert_eq!((saga.state, saga.fence), (SagaState::Completed, Fence(2)));
    assert_eq!(*fences.lock().unwrap(), [Fence(1), Fence(2)], "who is asked can tell them apart");

    // The old owner wakes, and wants to go on.
    closed.add_permits(1);
    // Until it has tried, and given up. (A process that stops would not even try.)
    frozen.wait(id).await.unwrap();
    assert_eq!(shop.count("shop").await, 1, "the last step was done once");
    assert_eq!(other.view(id).await.unwrap().unwrap(), saga, "nothing was changed");
    frozen.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_process_that_stops_lets_its_sagas_go() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let (gate, called) = (Arc::new(Semaphore::new(0)), Arc::default());
    let fences = Arc::default();
    let held = || {
        let (gate, called, fences) = (Arc::clone(&gate), Arc::clone(&called), Arc::clone(&fences));
        Definition::<Order>::new("held", 1)
            .call(Held { gate, called, fences })
            .local_without_undo(Last)
    };
    let (first, kind) = open(&shop.store, &clock, held()).await;
    let id = new_id();
    first.start(&kind, id, &Order::new(1, "", "")).await.unwrap();
    let closed = tokio::spawn({
        let first = first.clone();
        async move { first.close().await }
    });
    // It waits for the call that is under way, and for no other step.
    gate.add_permits(9);
    closed.await.unwrap();
    assert_eq!(shop.count("shop").await, 0);
    // No lease has to end first.
    let (second, _) = open(&shop.store, &clock, held()).await;
    second.recover_now().await.unwrap();
    assert_eq!(second.wait(id).await, Ok(Some(SagaState::Completed)));
    assert_eq!(shop.count("shop").await, 1);
    second.close().await;
}

/// Says what it was told to say.
#[derive(Clone, Default)]
struct Moody(Arc<std::sync::Mutex<Mood>>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Good,
    UndoFails,
    Panics,
}

impl Step for Moody {
    type Output = ();
    const NAME: &'static str = "moody";
    const POLICY: Policy = Policy::ONCE;
    const UNDO_POLICY: Policy =
        Policy { pause_max: Duration::from_millis(1), attempts_max: 3, ..Policy::DEFAULT };
}

impl CallStep<Order> for Moody {
    async fn call(&self, _: &Context<'_, Order>) -> Result<(), StepError> {
        assert!(*self.0.lock().unwrap() != Mood::Panics, "in a bad mood");
        Ok(())
    }
}

impl CallUndo<Order> for Moody {
    async fn undo(&self, _: &Context<'_, Order>, _: Option<()>) -> Result<(), StepError> {
        match *self.0.lock().unwrap() {
            Mood::UndoFails => Err(StepError::Failed("in a bad mood".into())),
            _ => Ok(()),
        }
    }
}

struct SaysNo;

impl Step for SaysNo {
    type Output = ();
    const NAME: &'static str = "says-no";
}

impl LocalStep<Order> for SaysNo {
    async fn run(&self, _: &mut Tx, _: &Context<'_, Order>) -> Result<(), StepError> {
        Err(StepError::refused("NO", "no, whatever it is"))
    }
}

#[tokio::test]
async fn what_can_not_be_undone_waits_for_an_operator() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let mood = Moody::default();
    *mood.0.lock().unwrap() = Mood::UndoFails;
    let definition =
        || Definition::<Order>::new("moody", 1).call(mood.clone()).local_without_undo(SaysNo);
    let (sagas, kind) = open(&shop.store, &clock, definition()).await;
    let stuck = async || {
        let id = new_id();
        sagas.start(&kind, id, &Order::new(1, "", "")).await.unwrap();
        let saga = ended(&sagas, id).await;
        assert_eq!((saga.state, saga.is_forward), (SagaState::Stuck, false));
        assert_eq!(saga.steps[0].record.undo_attempts, 3);
        assert_eq!(saga.steps[0].record.error.as_deref(), Some("in a bad mood"));
        assert_eq!(saga.cause.unwrap().code.as_deref(), Some("NO"));
        id
    };
    let (retried, skipped) = (stuck().await, stuck().await);
    assert_eq!(sagas.count(SagaState::Stuck).await, Ok(2));

    let no = sagas.skip(skipped, "says-no", "by hand").await.unwrap_err();
    assert_eq!(no, DecideError::Operator(OperatorError::OtherStep("moody".into())));
    let no = sagas.skip(skipped, "moody", " ").await.unwrap_err();
    assert_eq!(no, DecideError::Operator(OperatorError::NoReason));
    sagas.skip(skipped, "moody", "called them, it is undone").await.unwrap();
    let saga = ended(&sagas, skipped).await;
    assert_eq!(
        (saga.state, saga.steps[0].record.state),
        (SagaState::Compensated, StepState::Skipped)
    );
    assert_eq!(saga.steps[0].record.error.as_deref(), Some("called them, it is undone"));

    sagas.retry(retried).await.unwrap();
    let saga = ended(&sagas, retried).await;
    assert_eq!(saga.state, SagaState::Stuck, "it still can't be undone");
    *mood.0.lock().unwrap() = Mood::Good;
    sagas.retry(retried).await.unwrap();
    let saga = ended(&sagas, retried).await;
    assert_eq!(
        (saga.state, saga.steps[0].record.state),
        (SagaState::Compensated, StepState::Undone)
    );
    let no = sagas.retry(retried).await.unwrap_err();
    assert_eq!(no, DecideError::Operator(OperatorError::NotStuck(SagaState::Compensated)));
    let nobody = new_id();
    assert_eq!(sagas.retry(nobody).await, Err(DecideError::NoSuchSaga(nobody)));
    sagas.close().await;
}

#[tokio::test]
async fn a_step_that_panics_is_undone_and_spoils_no_other() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let mood = Moody::default();
    *mood.0.lock().unwrap() = Mood::Panics;
    let (sagas, kind) =
        open(&shop.store, &clock, Definition::<Order>::new("moody", 1).call(mood.clone())).await;
    let (id, order) = (new_id(), Order::new(1, "", ""));
    sagas.start(&kind, id, &order).await.unwrap();
    let saga = ended(&sagas, id).await;
    assert_eq!(
        (saga.state, saga.steps[0].record.state),
        (SagaState::Compensated, StepState::Undone)
    );
    assert!(saga.cause.unwrap().message.contains("in a bad mood"));
    *mood.0.lock().unwrap() = Mood::Good;
    let id = new_id();
    sagas.start(&kind, id, &order).await.unwrap();
    assert_eq!(sagas.wait(id).await, Ok(Some(SagaState::Completed)));
    sagas.close().await;
}

#[tokio::test]
async fn old_sagas_end_under_their_old_definition() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let (gate, called) = (Arc::new(Semaphore::new(0)), Arc::<AtomicU32>::default());
    let fences = Arc::default();
    let old = || {
        let (gate, called, fences) = (Arc::clone(&gate), Arc::clone(&called), Arc::clone(&fences));
        Definition::<Order>::new("held", 1)
            .call(Held { gate, called, fences })
            .local_without_undo(Last)
    };
    let new = |version| Definition::<Order>::new("held", version).local_without_undo(Last);
    let (first, kind) = open(&shop.store, &clock, old()).await;
    let id = new_id();
    first.start(&kind, id, &Order::new(1, "", "")).await.unwrap();
    while called.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(31));

    // One that knows the new one alone leaves it, and says so; also where somebody has
    // changed the steps and not the version.
    for version in [1, 2] {
        let (newer, _) = open(&shop.store, &clock, new(version)).await;
        assert_eq!(newer.recover_now().await, Ok(0));
        let others = newer.of_others().await.unwrap();
        assert_eq!(others.len(), 1);
        assert_eq!((others[0].id, others[0].version), (id, 1));
        newer.close().await;
    }

    let mut definitions = Definitions::default();
    definitions.add(old()).unwrap();
    definitions.add(new(2)).unwrap();
    let both = Sagas::open(shop.store.clone(), definitions, config(&clock)).await.unwrap();
    assert_eq!(both.of_others().await, Ok(Vec::new()));
    gate.add_permits(9);
    both.recover_now().await.unwrap();
    let saga = ended(&both, id).await;
    assert_eq!((saga.state, saga.version), (SagaState::Completed, 1));
    assert_eq!(saga.steps.len(), 2, "the steps of the old one");
    first.close().await;
    both.close().await;
}

#[tokio::test]
async fn what_was_over_is_forgotten_and_what_is_not_is_kept() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let mood = Moody::default();
    *mood.0.lock().unwrap() = Mood::UndoFails;
    let mut definitions = Definitions::default();
    let orders = definitions.add(shop.order()).unwrap();
    let moody = Definition::<Order>::new("moody", 1).call(mood.clone()).local_without_undo(SaysNo);
    let moody = definitions.add(moody).unwrap();
    let sagas = Sagas::open(shop.store.clone(), definitions, config(&clock)).await.unwrap();
    let (over, stuck, later) = (new_id(), new_id(), new_id());
    let order = Order::new(1, "yes", "yes");
    sagas.start(&orders, over, &order).await.unwrap();
    sagas.start(&moody, stuck, &order).await.unwrap();
    for id in [over, stuck] {
        sagas.wait(id).await.unwrap();
    }
    clock.advance(Duration::from_secs(10));
    let before = clock.now();
    sagas.start(&orders, later, &order).await.unwrap();
    sagas.wait(later).await.unwrap();
    assert_eq!(sagas.forget(before).await, Ok(1));
    assert_eq!(sagas.view(over).await, Ok(None));
    for id in [stuck, later] {
        assert!(sagas.view(id).await.unwrap().is_some());
    }
    sagas.close().await;
}

#[tokio::test]
async fn a_definition_that_can_not_be_right_is_refused() {
    let no =
        |definition: Definition<Order>| Definitions::default().add(definition).unwrap_err().why;
    assert_eq!(no(Definition::new("none", 1)), "it has 0 steps, and 1 to 100 are possible");
    let twice = Definition::new("twice", 1).local_without_undo(Last).local_without_undo(Last);
    assert_eq!(no(twice), "two of its steps are called `last`");
    assert!(no(Definition::new("No Name", 1).local_without_undo(Last)).contains("is no name"));
    let pivot = Definition::new("pivot", 1)
        .together(|group| {
            let (gate, called) = (Arc::new(Semaphore::new(0)), Arc::default());
            let held = Held { gate, called, fences: Arc::default() };
            group.call(Moody::default()).call(held)
        })
        .pivot();
    assert_eq!(no(pivot), "its pivot is one of several steps at the same time");
    let mut definitions = Definitions::default();
    let one = || Definition::<Order>::new("one", 1).local_without_undo(Last);
    definitions.add(one()).unwrap();
    assert_eq!(definitions.add(one()).unwrap_err().why, "there are two of version 1");
}

#[tokio::test]
async fn a_process_drives_no_more_than_it_may() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let (gate, called) = (Arc::new(Semaphore::new(0)), Arc::default());
    let held = Held { gate: Arc::clone(&gate), called, fences: Arc::default() };
    let mut definitions = Definitions::default();
    let kind = definitions.add(Definition::<Order>::new("held", 1).call(held)).unwrap();
    let few = Config { driven_max: 2, ..config(&clock) };
    let sagas = Sagas::open(shop.store.clone(), definitions, few).await.unwrap();
    let order = Order::new(1, "", "");
    let (first, second) = (new_id(), new_id());
    for id in [first, second] {
        sagas.start(&kind, id, &order).await.unwrap();
    }
    assert_eq!(sagas.start(&kind, new_id(), &order).await, Err(StartError::Overloaded(2)));
    gate.add_permits(9);
    for id in [first, second] {
        sagas.wait(id).await.unwrap();
    }
    sagas.start(&kind, new_id(), &order).await.unwrap();
    sagas.close().await;
}

#[tokio::test]
async fn a_saga_that_ends_every_process_is_left_to_an_operator() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let called = Arc::<AtomicU32>::default();
    let gate = Arc::new(Semaphore::new(0));
    let held = || {
        let (gate, called) = (Arc::clone(&gate), Arc::clone(&called));
        Definition::<Order>::new("held", 1).call(Held { gate, called, fences: Arc::default() })
    };
    let (first, kind) = open(&shop.store, &clock, held()).await;
    let id = new_id();
    first.start(&kind, id, &Order::new(1, "", "")).await.unwrap();
    let mut processes = vec![first];
    // Each writes down that it calls, which is something done: so the row alone is taken.
    for _ in 0..=Config::default().taken_over_max {
        let _ = shop
            .store
            .write(async move |tx: &mut Tx| {
                let taken = multi_master::fields! {"taken_over" => 10, "lease_until" => 1};
                tx.update("sagas", multi_master::params![multi_master::id(id)], taken).await?;
                Ok::<_, DbError>(())
            })
            .await;
        clock.advance(Duration::from_secs(31));
        let (next, _) = open(&shop.store, &clock, held()).await;
        next.recover_now().await.unwrap();
        let state = next.view(id).await.unwrap().unwrap().state;
        processes.push(next);
        if state == SagaState::Stuck {
            break;
        }
    }
    let last = processes.last().unwrap();
    let saga = ended(last, id).await;
    assert_eq!((saga.state, saga.is_forward), (SagaState::Stuck, true));
    assert!(saga.steps[0].record.error.as_deref().unwrap().contains("ended 11 times"), "{saga:?}");
    gate.add_permits(1_000);
    last.retry(id).await.unwrap();
    let saga = ended(last, id).await;
    assert_eq!(saga.state, SagaState::Completed);
    for process in processes {
        process.close().await;
    }
}

/// Its own write, of which it does not know that it was saved.
#[tokio::test]
async fn a_step_that_has_a_row_already_is_not_done_again() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let cash = Definition::new("cash", 1).local(DeductStock).local(Pay).local_without_undo(Confirm);
    let (sagas, orders) = open(&shop.store, &clock, cash).await;
    let id = new_id();
    let paid = shop.store.write(async move |tx: &mut Tx| {
        let row = multi_master::fields! {
            "saga_id" => multi_master::id(id), "step" => 1, "name" => "pay", "state" => "DONE",
            "maybe_ran" => false, "attempts" => 1, "undo_attempts" => 0, "output" => "24000",
            "began_at" => 1, "ended_at" => 2,
        };
        tx.insert("saga_steps", row).await
    });
    paid.await.into_result().unwrap();
    sagas.start(&orders, id, &Order::new(2, "yes", "yes")).await.unwrap();
    let saga = ended(&sagas, id).await;
    assert_eq!(saga.state, SagaState::Completed, "{saga:?}");
    assert_eq!((shop.count("stock").await, shop.count("wallet").await), (STOCK - 2, MONEY));
    sagas.close().await;
}

#[tokio::test]
async fn what_is_paid_for_is_what_was_taken() {
    let clock = clock();
    let shop = Shop::open(clock.clone()).await;
    let (sagas, orders) = open(&shop.store, &clock, shop.order()).await;
    let id = new_id();
    sagas.start(&orders, id, &Order::new(STOCK + 1, "yes", "yes")).await.unwrap();
    let saga = ended(&sagas, id).await;
    assert_eq!(saga.state, SagaState::Compensated);
    assert_eq!(saga.cause.unwrap().code.as_deref(), Some("OUT_OF_STOCK"));
    assert_eq!((shop.count("stock").await, shop.count("wallet").await), (STOCK, MONEY));
    sagas.close().await;
}
