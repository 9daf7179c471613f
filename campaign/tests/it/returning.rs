//! What happens just while writers are held back for a master that comes back.

use std::time::{Duration, Instant};

use lab::proxy::{Proxy, Traffic};
use lab::{MariaDb, Scratch};
use multi_master::sabotage::{Action, Point, arm, passes};
use multi_master::{
    Column, Config, DbError, Kind, MasterConfig, MasterName, MasterState, Migration, MultiMaster,
    Outcome, Policy, Step, Table, Tx, fields,
};

const MIGRATIONS: &[Migration] = &[Migration {
    name: "notes",
    steps: &[Step::CreateTable(Table {
        name: "notes",
        key: &["id"],
        columns: &[Column::new("id", Kind::Int)],
        indexes: &[],
    })],
}];
/// For how long the thread stands there while the test freezes the server.
const STANDS: Duration = Duration::from_millis(300);
/// So long each statement may take.
const LIMIT: Duration = Duration::from_secs(8);

async fn write(store: &MultiMaster, id: i64) -> Duration {
    let began = Instant::now();
    let saved: Outcome<(), DbError> =
        store.write(async move |tx: &mut Tx| tx.insert("notes", fields! {"id" => id}).await).await;
    assert!(matches!(saved, Outcome::Saved { .. } | Outcome::Owed { .. }), "{saved:?}");
    began.elapsed()
}

/// The master that joins is frozen in the moment in which all writers wait for it:
/// they must not wait for as long as it may be silent.
#[tokio::test(flavor = "multi_thread")]
async fn writers_do_not_wait_for_a_master_that_is_frozen_as_it_joins() {
    let Some(software) = lab::require_mariadb("frozen as it joins") else { return };
    let scratch = Scratch::new("frozen-as-it-joins").unwrap();
    let servers = ["a", "b"].map(|name| {
        let server = MariaDb::start(&software, &scratch.path().join(name)).unwrap();
        server.create_database("books").unwrap();
        server
    });
    let proxy = Proxy::to(servers[1].address()).unwrap();
    let urls = [servers[0].url("books"), servers[1].url_at(proxy.address(), "books")];
    let masters = ["a", "b"].into_iter().zip(urls);
    let masters =
        masters.map(|(name, url)| MasterConfig { name: MasterName(name.to_owned()), url });
    let witness = scratch.path().join("witness.json");
    let mut config = Config::new(masters.collect(), Policy::Available, witness);
    config.limits.probe = Duration::from_millis(20);
    config.limits.statement = LIMIT;
    config.limits.commit = LIMIT;
    let store = MultiMaster::open(config, MIGRATIONS).await.unwrap();
    store.wait_until_whole().await;
    proxy.refuse().unwrap();
    let _ = write(&store, 0).await;
    store.wait_until(|masters| masters[1].state == MasterState::Down).await;
    let held = || -> u64 { passes().get(&Point::HoldingWriters).copied().unwrap_or(0) };
    let before = held();
    arm(Point::HoldingWriters, Action::Hang(STANDS), 0);
    proxy.pass().unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            let mut longest = Duration::ZERO;
            // Until some time after it was frozen.
            let (mut id, mut after) = (1, 0);
            while after < 200 {
                longest = longest.max(write(&store, id).await);
                id += 1;
                after += i32::from(held() > before);
            }
            longest
        }
    });
    let froze = tokio::task::spawn_blocking(move || {
        let until = Instant::now() + Duration::from_mins(1);
        while held() == before {
            assert!(Instant::now() < until, "writers are never held back");
            std::thread::yield_now();
        }
        proxy.set_both(Traffic::Held).unwrap();
        proxy
    });
    let proxy = froze.await.unwrap();
    let longest = writer.await.unwrap();
    assert!(longest >= STANDS / 2, "they were held back: {longest:?}");
    assert!(longest < LIMIT / 4, "a write waited for {longest:?}");
    proxy.pass().unwrap();
    store.wait_until_whole().await;
}
