//! How fast a master is brought up to date: one that was stopped while rows were
//! written, and one that is empty.

use std::time::{Duration, Instant};

use bench::{Aim, Report, cpu_spent};
use lab::Software;
use multi_master::{Config, MasterState, MultiMaster, Policy};

use super::sets::Pair;
use super::{Work, ours, runtime};
use crate::rows::Rows;

/// Callers that write while a master is away.
const CALLERS: usize = 32;
const DATABASE: &str = "came_back";

/// What is said of a master that was away.
struct Away {
    work: Work,
    /// Transactions that it missed, of one row each.
    missed: usize,
}

/// `rows` rows are written while a master is away, then updated while it is away
/// again; then it is replaced by an empty one.
pub(crate) fn measure(report: &mut Report, software: &Software, rows: usize) {
    let mut pair = Pair::start(software);
    pair.create_database(DATABASE);
    let runtime = runtime();
    let config = |pair: &Pair| -> Config {
        let servers = &pair.servers;
        let path = pair.scratch.path();
        let mut config = ours::config(servers, DATABASE, Policy::Available, path);
        // So that little of what is measured is waiting for the next try.
        config.limits.probe = Duration::from_millis(50);
        config
    };
    let store = runtime.block_on(ours::open(config(&pair)));
    let mut ids = Vec::new();
    for work in [Work::Insert, Work::Update] {
        let away = Away { work, missed: rows };
        pair.servers[1].stop().expect("the server stops");
        let written = runtime.block_on(write(&store, &away, ids));
        ids = written;
        pair.servers[1].restart().expect("the server starts");
        let spent = cpu_spent(&pair.pids());
        let caught_up = runtime.block_on(caught_up(&store));
        let cost = cpu_spent(&pair.pids()).saturating_sub(spent);
        tell(report, &format!("catch_up_{}", work.short()), rows, caught_up, cost);
    }
    runtime.block_on(store.close());
    drop(store);

    let again = format!("drop database {DATABASE}; create database {DATABASE}");
    pair.servers[1].sql(DATABASE, &again).expect("the database is made anew");
    let (started, spent) = (Instant::now(), cpu_spent(&pair.pids()));
    let store = runtime.block_on(ours::open(config(&pair)));
    let cost = cpu_spent(&pair.pids()).saturating_sub(spent);
    tell(report, "first_copy", rows, started.elapsed(), cost);
    runtime.block_on(store.close());
    let count = |at: usize| pair.servers[at].sql(DATABASE, "select count(*) from memos");
    let counts = [0, 1].map(|at| count(at).expect("the server answers"));
    assert_eq!(counts, [(); 2].map(|()| format!("{rows}\n")), "rows on the two servers");
}

/// `cost` is what all processors together spent on it.
fn tell(report: &mut Report, what: &str, rows: usize, took: Duration, cost: Duration) {
    let rows = f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
    report.fact(&format!("{what}_cpu_us_a_row"), (cost.as_secs_f64() * 1e6 / rows).round());
    let rate = (rows / took.as_secs_f64()).round();
    report.fact(&format!("{what}_ms"), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    report.aim(&format!("{what}_rows_a_second"), rate, Aim::AtLeast(20_000.0));
}

/// Writes rows, each in a transaction of its own. Returns the rows.
async fn write(
    store: &MultiMaster,
    away: &Away,
    old: Vec<crate::rows::MemoRow>,
) -> Vec<crate::rows::MemoRow> {
    let mut rest = old;
    let mut tasks = Vec::new();
    for caller in 0..CALLERS {
        let count = away.missed / CALLERS + usize::from(caller < away.missed % CALLERS);
        let mine = match away.work {
            Work::Insert => {
                let mut rows = Rows::of_caller(caller);
                (0..count).map(|_| rows.next()).collect()
            }
            Work::Update => rest.split_off(rest.len() - count),
        };
        let (store, work) = (store.clone(), away.work);
        tasks.push(tokio::spawn(async move {
            let mut written = Vec::with_capacity(mine.len());
            for mut row in mine {
                row.page += 1;
                ours::write(&store, work, row.clone()).await;
                written.push(row);
            }
            written
        }));
    }
    let mut written = Vec::new();
    for task in tasks {
        written.extend(task.await.expect("no caller fails"));
    }
    written
}

/// Waits until both serve; how long that took from the moment in which the store
/// had noticed that the other answers.
async fn caught_up(store: &MultiMaster) -> Duration {
    store.wait_until(|masters| masters[1].state != MasterState::Down).await;
    let started = Instant::now();
    store.wait_until_whole().await;
    started.elapsed()
}
