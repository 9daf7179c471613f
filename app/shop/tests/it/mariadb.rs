//! On two real MariaDB servers.

use std::sync::Arc;

use endpaper_shop::ShopError;
use endpaper_shop::model::{Order, Refusal};
use futures_util::future::join_all;
use lab::{MariaDb, Scratch};
use multi_master::{Config, MasterConfig, MasterName, Policy, Verify};

use stdx::Clock;

use crate::world::{How, World, open, reader, wanted};

/// Readers order, cancel and are refused, and in the middle of it a master is killed and comes
/// back: orders go on, each is made once, and every sum is right on both.
async fn orders_go_on_while_a_master_dies(how: How) {
    const READERS: u128 = 12;
    const EACH: u128 = 12;
    let Some(software) = lab::require_mariadb("orders and a master that dies") else { return };
    let scratch = Scratch::new("shop-mariadb").unwrap();
    let [a, mut b] = ["a", "b"].map(|name| {
        let server = MariaDb::start(&software, &scratch.path().join(name)).unwrap();
        server.create_database("shop").unwrap();
        server
    });
    let masters = [("a", &a), ("b", &b)].map(|(name, server)| MasterConfig {
        name: MasterName(name.to_owned()),
        url: server.url("shop"),
    });
    let witness = scratch.path().join("witness.json");
    let config = Config::new(masters.to_vec(), Policy::Available, witness);
    // What failed is tried again when the clock of the store says so.
    let clock = Clock::real();
    let store = open(config, &clock).await;
    let world = Arc::new(World::over(how, &[store], clock, Vec::new()).await);
    world.sells(1, 1_000, 90).await;
    world.sells(2, 500, 1_000).await;
    for number in 0..READERS {
        world.charge(number, 100_000).await;
    }
    let readers = (0..READERS).map(|who| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut made = Vec::new();
            for number in 0..EACH {
                let request = wanted(&[(1, 1), (2, 2)], None);
                let order: Option<Order> = loop {
                    // Who gets no answer asks again, under the same key.
                    match world.place(who, &format!("k{number}"), &request).await {
                        Ok(order) => break Some(order),
                        Err(ShopError::Refused(Refusal::OutOfStock { .. })) => break None,
                        Err(ShopError::Db(error)) if error.is_retryable() => {}
                        Err(ShopError::InDoubt(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                };
                let Some(order) = order else { continue };
                if number % 4 == 0 {
                    while let Err(error) = world.orders.cancel(reader(who), order.id).await {
                        assert!(
                            matches!(error, ShopError::InDoubt(_))
                                || matches!(&error, ShopError::Db(why) if why.is_retryable()),
                            "{error}"
                        );
                    }
                } else {
                    made.push(order);
                }
            }
            made
        })
    });
    let (made, ()) = tokio::join!(join_all(readers), async { b.kill().unwrap() });
    let made: Vec<Order> = made.into_iter().flat_map(Result::unwrap).collect();
    let sold = i64::try_from(made.len()).unwrap();
    world.told().await;
    assert_eq!(world.on_hand(1).await, 90 - sold);
    assert_eq!(world.on_hand(2).await, 1_000 - 2 * sold);
    let audit = world.shop.audit().await.unwrap();
    assert!(audit.is_well(), "{audit:?}");
    assert_eq!(audit.in_wallets, 100_000 * 12 - 2_000 * sold);
    let (_, _, ranking) =
        world.orders.ranking(endpaper_api::shop::RankingSpan::Day, None).await.unwrap();
    let copies: Vec<i64> = ranking.into_iter().map(|(_, _, copies)| copies).collect();
    assert_eq!(copies, [2 * sold, sold]);
    b.restart().unwrap();
    world.stores.orders.wait_until_whole().await;
    let found = world.stores.orders.verify(Verify::default(), |_| ()).await.unwrap();
    assert!(found.is_well(), "{found:?}");
    Arc::into_inner(world).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_at_once_go_on_while_a_master_dies() {
    Box::pin(orders_go_on_while_a_master_dies(How::AtOnce)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_as_sagas_go_on_while_a_master_dies() {
    Box::pin(orders_go_on_while_a_master_dies(How::AsSaga)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_by_events_go_on_while_a_master_dies() {
    Box::pin(orders_go_on_while_a_master_dies(How::ByEvents)).await;
}
