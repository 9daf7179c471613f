//! One order of a reader at a time, of several processes.

use lab::{Redis, Scratch};
use lock::Locks;
use multi_master::Policy;
use stdx::Clock;

use endpaper_api::shop::OrderState;
use endpaper_shop::ShopError;
use endpaper_shop::events::Outside;

use crate::world::{How, World, open, reader, wanted};

/// Another process makes an order of the reader: this one says so. Where the lock's place
/// hangs or is away, orders are made all the same, and it is asked no more for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_order_at_a_time_and_none_waits_for_redis() {
    if !lab::Redis::require("one_order_at_a_time_and_none_waits_for_redis") {
        return;
    }
    let scratch = Scratch::new("shop-locks").unwrap();
    let mut redis = Redis::start(&scratch.path().join("redis")).unwrap();
    let url = format!("redis://{}", redis.address());
    let locks = || Locks::redis(&url, lock::Config::default()).unwrap();
    let clock = Clock::real();
    let directory = tempfile::tempdir().unwrap();
    let config = multi_master::Config::embedded(directory.path(), Policy::Available);
    let store = open(config, &clock).await;
    let (stores, outside) = ([store], Outside::default());
    let world = World::locked(How::AtOnce, &stores, clock, vec![directory], outside, locks()).await;
    world.sells(1, 1_000, 1_000).await;
    world.charge(1, 1_000_000).await;
    let order = wanted(&[(1, 1)], None);
    let other = locks();
    let held = other.try_lock(&format!("order:{}", reader(1))).await.unwrap();
    let placed = world.orders.place(reader(1), Some("a"), &order).await;
    assert_eq!(placed, Err(ShopError::InProgress));
    held.release().await;
    world.orders.place(reader(1), Some("a"), &order).await.unwrap();

    let orders_go_on = async |why: &str| {
        for number in 0..50 {
            let key = format!("{why}-{number}");
            let placed = world.orders.place(reader(1), Some(&key), &order).await;
            assert_eq!(placed.unwrap().state, OrderState::Completed);
        }
    };
    redis.freeze().unwrap();
    orders_go_on("hangs").await;
    redis.thaw().unwrap();
    redis.kill().unwrap();
    orders_go_on("away").await;
    redis.restart().unwrap();
    // It is asked again.
    loop {
        let held = other.try_lock(&format!("order:{}", reader(1))).await;
        let Ok(held) = held else { continue };
        let placed = world.orders.place(reader(1), Some("b"), &order).await;
        held.release().await;
        match placed {
            Err(ShopError::InProgress) => break,
            placed => assert_eq!(placed.unwrap().state, OrderState::Completed),
        }
    }
    world.check_sums().await;
    world.close().await;
}
