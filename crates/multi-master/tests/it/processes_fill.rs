//! A master that one process has marked, and another one fills.

use lab::proxy::Traffic;
use multi_master::{DbError, MasterState, MultiMaster, Outcome, Policy, Tx, Verify, fields};
use stdx::{Clock, UnixMicros};

use crate::common::{MIGRATIONS, pay};
use crate::copying::{fill, while_time_passes};
use crate::copying_mariadb::until_copied;
use crate::mariadb::whole;
use crate::processes::{A, B, Set, until_state, until_state_is, within};

const START: i64 = 1_800_000_000_000_000;
/// Several pages.
const ROWS: i64 = 3_000;

async fn add_many(store: &MultiMaster) {
    let done: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            for id in 0..ROWS {
                let row = fields! {"id" => id, "login" => format!("account {id}"), "balance" => 0};
                tx.insert("accounts", row).await?;
            }
            Ok(())
        })
        .await;
    assert!(matches!(done, Outcome::Saved { .. }), "{done:?}");
}

/// What a filling needs of the log stays, whoever takes away what is old; and who has
/// marked a master hears that it is filled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_has_marked_another_one_fills_in_its_own_time() {
    let Some(set) = Set::start("marked and filled").await else { return };
    let clocks = [0, 1].map(|_| Clock::starting_at(UnixMicros(START)));
    let open = async |clock: &Clock| {
        let (mut config, network) = set.config(Policy::Available);
        config.clock = clock.clone();
        config.limits.statement = std::time::Duration::from_secs(40);
        (MultiMaster::open(config, MIGRATIONS).await.unwrap(), network)
    };
    let (marks, marking) = open(&clocks[0]).await;
    add_many(&marks).await;
    let (fills, filling) = open(&clocks[1]).await;
    for network in [&marking, &filling] {
        network.0[B].refuse().unwrap();
    }
    for store in [&marks, &fills] {
        until_state_is(store, B, false).await;
    }
    within("writes", &marks, marks.wait_until_refused(false)).await;
    let old = set.pair.servers[A].sql("books", "select max(seq) from mm_log").unwrap();
    let old: i64 = old.trim().parse().unwrap();
    assert!(matches!(pay(&marks, 1, 1).await, Outcome::Owed { .. }));
    marks.fill_anew(fill("b", false)).await.unwrap();
    assert_eq!(marks.marked().len(), 1);
    filling.0[B].pass().unwrap();
    until_copied(&fills, 200).await;
    filling.0[B].set_both(Traffic::Held).unwrap();
    let log = "select val from mm_meta where k = 'log'";
    let log_of_b = || set.pair.servers[B].sql("books", log).unwrap();
    let before = log_of_b();
    for id in 0..20 {
        assert!(matches!(pay(&marks, id, 1).await, Outcome::Owed { .. }));
    }
    let cut = while_time_passes(&clocks[0], async {
        let left = format!("select count(*) from mm_log where seq <= {old}");
        while set.pair.servers[A].sql("books", &left).unwrap().trim() != "0" {
            tokio::task::yield_now().await;
        }
    });
    within("that the log is cut", &marks, cut).await;
    clocks[1].set(clocks[0].now());
    marking.0[B].pass().unwrap();
    until_state(&marks, B, MasterState::Behind).await;
    filling.0[B].pass().unwrap();
    whole(&fills).await;
    whole(&marks).await;
    assert_eq!(log_of_b(), before, "it was not begun anew");
    assert_eq!(marks.marked(), []);
    assert_eq!(fills.marked(), []);
    assert!(fills.verify(Verify::default(), |_| {}).await.unwrap().is_well());
    marks.close().await;
    fills.close().await;
}
