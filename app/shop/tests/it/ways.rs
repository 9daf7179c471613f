//! The way in which orders are made is changed while some are under way.

use std::collections::HashMap;
use std::sync::Arc;

use endpaper_api::shop::OrderState;
use endpaper_shop::apart::Role;
use endpaper_shop::choreography::{Baton, NotTaken, Takes, Taking};
use endpaper_shop::model::Order;
use endpaper_shop::parts::{Ask, Asked, Gave, Part};
use endpaper_shop::{Config, Making, OrderService, Shop, Way};
use lock::Locks;
use multi_master::Policy;
use outbox::EventId;
use saga::{Fence, Listing, SagaState, StepError, StepKey};
use stdx::Clock;
use tokio::sync::Semaphore;

use crate::world::{How, Readers, World, open, reader, until, wanted};

/// A wallet that does not answer, and counts who asks.
struct Away(Semaphore);

impl Part for Away {
    fn run<'a>(&'a self, _: &'a StepKey, _: Fence, _: Ask) -> Asked<'a, Gave> {
        self.0.add_permits(1);
        Box::pin(async { Err(StepError::Failed("it is away".to_owned())) })
    }

    fn undo<'a>(&'a self, _: &'a StepKey, _: Fence, _: Ask) -> Asked<'a, ()> {
        Box::pin(async { Err(StepError::Failed("it is away".to_owned())) })
    }
}

impl Takes for Away {
    fn take<'a>(&'a self, _: Role, _: EventId, _: &'a Baton) -> Taking<'a> {
        self.0.add_permits(1);
        Box::pin(async { Err(NotTaken::Again("it is away".to_owned())) })
    }
}

async fn what_was_begun_ends(from: Way, to: How) {
    let (clock, directory) = (Clock::real(), tempfile::tempdir().unwrap());
    let config = multi_master::Config::embedded(directory.path(), Policy::Available);
    let stores = [open(config, &clock).await];
    let over = async |how, directories| {
        Box::pin(World::over(how, &stores, clock.clone(), directories)).await
    };
    let made = {
        let world = over(How::AtOnce, Vec::new()).await;
        world.sells(1, 1_000, 5).await;
        world.charge(1, 5_000).await;
        let made = world.place(1, "made", &wanted(&[(1, 1)], None)).await.unwrap();
        world.shop.close().await;
        made.id
    };

    let away = Arc::new(Away(Semaphore::new(0)));
    let mut making = Making::here(from, &stores[0], &clock);
    making.parts.wallet = Arc::clone(&away) as Arc<dyn Part>;
    making.elsewhere = HashMap::from([(Role::Wallet, Arc::clone(&away) as Arc<dyn Takes>)]);
    let locks = Locks::local(lock::Config::default()).unwrap();
    let config = Config { clock: clock.clone(), ..Config::default() };
    let begins = OrderService::open(stores[0].clone(), making, locks, Arc::new(Readers), config);
    let begins = begins.await.unwrap();
    let asked = async || away.0.acquire().await.unwrap().forget();
    tokio::select! {
        ended = begins.cancel(reader(1), made) => panic!("nobody gave money back: {ended:?}"),
        () = asked() => {}
    }
    let order = wanted(&[(1, 2)], None);
    let begun = async {
        let placed = begins.place(reader(1), Some("begun"), &order).await;
        panic!("nobody was paid: {placed:?}")
    };
    let state = async |of: &OrderService| {
        let listed = of.orders(reader(1), None, 1).await.unwrap();
        listed.first().map(|order| order.state)
    };
    let is_placed = async {
        until(async || state(&begins).await == Some(OrderState::Placed)).await;
        asked().await;
    };
    tokio::select! { () = begun => {} () = is_placed => {} }
    Shop { orders: Some(begins), ..Shop::default() }.close().await;

    let world = over(to, vec![directory]).await;
    until(async || state(&world.orders).await == Some(OrderState::Completed)).await;
    until(async || world.balance(1).await == 3_000).await;
    let again = world.place(1, "begun", &order).await.unwrap();
    assert_eq!(again.state, OrderState::Completed, "{from:?} {to:?}");
    let cancelled = world.orders.cancel(reader(1), made).await.unwrap();
    assert_eq!(cancelled.state, OrderState::Cancelled);
    world.orders.cancel(reader(1), again.id).await.unwrap();
    until(async || (world.balance(1).await, world.on_hand(1).await) == (5_000, 5)).await;
    world.check_sums().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_end_where_orders_are_made_otherwise() {
    for to in [How::AtOnce, How::ByEvents] {
        Box::pin(what_was_begun_ends(Way::Saga, to)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batons_arrive_where_orders_are_made_otherwise() {
    for to in [How::AtOnce, How::AsSaga] {
        Box::pin(what_was_begun_ends(Way::Choreography, to)).await;
    }
}

/// Two processes over one store that make orders in different ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_cancelled_in_two_ways_at_once_is_given_back_once() {
    let ways = [How::AtOnce, How::AsSaga, How::ByEvents];
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        let (clock, directory) = (Clock::real(), tempfile::tempdir().unwrap());
        let config = multi_master::Config::embedded(directory.path(), Policy::Available);
        let stores = [open(config, &clock).await];
        let over = async |how| Box::pin(World::over(how, &stores, clock.clone(), Vec::new())).await;
        let (one, other) = (over(ways[one]).await, over(ways[other]).await);
        one.sells(1, 1_000, 100).await;
        one.charge(1, 100_000).await;
        for number in 0..20 {
            let key = number.to_string();
            let order = wanted(&[(1, 1)], None);
            let placed = one.place(1, &key, &order).await.unwrap();
            assert_eq!(other.place(1, &key, &order).await.unwrap().id, placed.id);
            let (here, there) = tokio::join!(
                one.orders.cancel(reader(1), placed.id),
                other.orders.cancel(reader(1), placed.id)
            );
            let state = |cancelled: Result<_, _>| cancelled.map(|order: Order| order.state);
            assert_eq!(state(here), Ok(OrderState::Cancelled));
            assert_eq!(state(there), Ok(OrderState::Cancelled));
        }
        until(async || (one.balance(1).await, one.on_hand(1).await) == (100_000, 100)).await;
        one.check_sums().await;
        // Who came second was told so, and tried no more.
        for saga in one.orders.sagas().list(Listing::default()).await.unwrap() {
            let why = saga.cause.and_then(|cause| cause.code);
            let was_second = matches!(why.as_deref(), Some("CANCELLED" | "ID_TAKEN"));
            assert!(saga.state == SagaState::Completed || was_second, "{:?} {why:?}", saga.state);
        }
        other.shop.close().await;
        one.close().await;
    }
}
