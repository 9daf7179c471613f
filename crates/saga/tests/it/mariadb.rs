//! On two real MariaDB servers.

use lab::{MariaDb, Scratch};
use multi_master::{Config, MasterConfig, MasterName, Policy};
use saga::{Definitions, SagaId, SagaState, Sagas, Started};
use stdx::{Clock, IdSource};

use crate::shop::{Order, Shop, ended};

/// Orders come from many at the same time, and in the middle of them a master is killed and
/// started again, and the orchestrator too: each order is complete or undone, and both
/// masters have the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_while_a_master_dies_and_their_process_is_followed_by_another() {
    const CALLERS: usize = 16;
    const EACH: usize = 12;
    let Some(software) = lab::require_mariadb("orders and a master that dies") else { return };
    let scratch = Scratch::new("saga-mariadb").unwrap();
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
    let shop = Shop::open_on(config, Clock::real()).await;
    let open = async || {
        let mut definitions = Definitions::default();
        let orders = definitions.add(shop.order()).unwrap();
        let sagas = Sagas::open(shop.store.clone(), definitions, saga::Config::default());
        (sagas.await.unwrap(), orders)
    };
    let ids = IdSource::system();
    let answers = ["yes", "no", "lost", "away"];
    let wanted: Vec<(SagaId, &str)> =
        (0..CALLERS * EACH).map(|at| (ids.next(), answers[at % answers.len()])).collect();

    let (first, orders) = open().await;
    let half = wanted.len() / 2;
    let ask = async |sagas: &Sagas, some: &[(SagaId, &'static str)]| {
        let calls = some.chunks(EACH).map(async |mine| {
            for (id, answer) in mine {
                let order = Order::new(1, "yes", answer);
                // Who gets no answer asks again.
                while let Err(why) = sagas.start(&orders, *id, &order).await {
                    tracing::debug!(%why, "asked again");
                }
            }
        });
        futures_util::future::join_all(calls).await;
    };
    tokio::join!(ask(&first, &wanted[..half]), async { b.kill().unwrap() });
    // What it has not ended another one does.
    first.close().await;
    let (second, _) = open().await;
    b.restart().unwrap();
    ask(&second, &wanted[half..]).await;
    for (id, answer) in &wanted {
        let saga = ended(&second, *id).await;
        let taken = shop.taken(*id).await;
        if *answer == "yes" {
            assert_eq!(saga.state, SagaState::Completed, "{saga:?}");
            assert_eq!(taken, ["confirmed", "money", "stock", "coupon", "courier"]);
        } else {
            assert_eq!(saga.state, SagaState::Compensated, "{saga:?}");
            assert_eq!(taken, [""; 0]);
        }
        let order = Order::new(1, "yes", answer);
        assert_eq!(second.start(&orders, *id, &order).await, Ok(Started::Before));
    }
    shop.check_sums().await;
    second.close().await;
    shop.store.wait_until_whole().await;
    let found = shop.store.verify(multi_master::Verify::default(), |_| ()).await.unwrap();
    assert!(found.is_well(), "{found:?}");
    shop.store.close().await;
}
