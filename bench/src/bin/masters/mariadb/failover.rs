//! What readers and writers notice when a master is killed or frozen, and when it
//! comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bench::{Aim, Report};
use lab::{MariaDb, Software};
use multi_master::{Db, DbError, MultiMaster, Outcome, Policy, Tx, params};
use tokio::task::JoinHandle;

use super::sets::Pair;
use super::{ours, runtime};
use crate::rows::Rows;

/// Of each kind at one time.
const CALLERS: usize = 8;
/// Everything runs for so long before it counts.
const BEFORE_COUNTS: Duration = Duration::from_millis(200);
/// And for so long before something happens.
const BEFORE: Duration = Duration::from_millis(500);
/// And for so long after it should be over.
const AFTER: Duration = Duration::from_secs(2);
/// And for so long when it is back.
const AFTER_WHOLE: Duration = Duration::from_millis(500);
/// Writers are stopped for no longer than this for a master that comes back.
const STOPPED_MS: f64 = 100.0;
/// A refusal is quick: who tries again at once does nothing else.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy)]
enum Fault {
    Kill,
    Freeze,
}

/// What callers of one kind saw.
#[derive(Default)]
struct Seen {
    /// When something was done.
    done: Vec<Instant>,
    refused: u64,
    in_doubt: u64,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.refused += other.refused;
        self.in_doubt += other.in_doubt;
    }

    /// The longest time without one that was done, between these moments.
    fn longest_without(&mut self, from: Instant, until: Instant) -> Duration {
        self.done.sort_unstable();
        let between = self.done.iter().filter(|at| (from..until).contains(*at));
        let mut before = from;
        let mut longest = Duration::ZERO;
        for &at in between.chain([&until]) {
            longest = longest.max(at - before);
            before = at;
        }
        longest
    }
}

/// The worst of `rounds` of each fault on each master, under the policy
/// `available` with a time limit of `limit` on statements and commits.
pub(crate) fn measure(report: &mut Report, software: &Software, rounds: usize, limit: Duration) {
    let mut pair = Pair::start(software);
    pair.create_database("failover");
    let runtime = runtime();
    let path = pair.scratch.path();
    let mut config = ours::config(&pair.servers, "failover", Policy::Available, path);
    config.limits.statement = limit;
    config.limits.commit = limit;
    config.limits.probe = Duration::from_millis(100);
    let store = runtime.block_on(ours::open(config));
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    report.fact("failover_limit_ms", limit_ms);
    for (fault, called) in [(Fault::Kill, "kill"), (Fault::Freeze, "freeze")] {
        for (at, which) in [(0, "primary"), (1, "other")] {
            let (mut writes, mut reads) = (Duration::ZERO, Duration::ZERO);
            let (mut failed_reads, mut refused, mut in_doubt) = (0.0, 0, 0);
            let (mut returning, mut before) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..rounds {
                let seen = runtime.block_on(round(&store, &mut pair.servers[at], fault, limit));
                writes = writes.max(seen.longest_without_write);
                reads = reads.max(seen.longest_without_read);
                returning = returning.max(seen.longest_without_write_as_it_returned);
                before = before.max(seen.longest_without_write_before);
                failed_reads += seen.failed_reads;
                refused += seen.refused_writes;
                in_doubt += seen.in_doubt;
            }
            let name = |what: &str| format!("{called}_{which}_{what}");
            let allowed = match fault {
                Fault::Kill => Duration::from_secs(1),
                Fault::Freeze => limit + Duration::from_secs(1),
            };
            let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
            let aim = Aim::AtMost(ms(allowed));
            report.aim(&name("longest_without_write_ms"), ms(writes).round(), aim);
            report.aim(&name("longest_without_read_ms"), ms(reads).round(), aim);
            let stopped = name("returns_longest_without_write_ms");
            report.aim(&stopped, ms(returning).round(), Aim::AtMost(STOPPED_MS));
            report.aim(&name("failed_reads"), failed_reads, Aim::AtMost(0.0));
            // What the machine does by itself is in the others, too.
            report.fact(&name("before_longest_without_write_ms"), ms(before).round());
            report.fact(&name("refused_writes"), refused);
            report.fact(&name("writes_in_doubt"), in_doubt);
        }
    }
    runtime.block_on(store.close());
}

struct Round {
    longest_without_write_before: Duration,
    longest_without_write: Duration,
    longest_without_write_as_it_returned: Duration,
    longest_without_read: Duration,
    failed_reads: f64,
    refused_writes: u64,
    in_doubt: u64,
}

async fn round(store: &MultiMaster, server: &mut MariaDb, fault: Fault, limit: Duration) -> Round {
    store.wait_until_whole().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..CALLERS).map(|caller| write(store, caller, &stop)).collect();
    let readers: Vec<_> = (0..CALLERS).map(|_| read(store, &stop)).collect();
    tokio::time::sleep(BEFORE_COUNTS).await;
    let before = Instant::now();
    tokio::time::sleep(BEFORE).await;
    let from = Instant::now();
    let expected = match fault {
        Fault::Kill => {
            server.kill().expect("it is killed");
            Duration::from_secs(1)
        }
        Fault::Freeze => {
            server.freeze().expect("it is frozen");
            limit
        }
    };
    tokio::time::sleep(expected + AFTER).await;
    let until = Instant::now();
    match fault {
        Fault::Kill => server.restart().expect("it starts again"),
        Fault::Freeze => server.thaw().expect("it goes on"),
    }
    store.wait_until_whole().await;
    tokio::time::sleep(AFTER_WHOLE).await;
    let whole = Instant::now();
    stop.store(true, Ordering::SeqCst);
    let (mut wrote, mut was_read) = (Seen::default(), Seen::default());
    for writer in writers {
        wrote.add(writer.await.expect("no caller fails"));
    }
    for reader in readers {
        was_read.add(reader.await.expect("no caller fails"));
    }
    let failed = u32::try_from(was_read.refused).unwrap_or(u32::MAX);
    Round {
        longest_without_write_before: wrote.longest_without(before, from),
        longest_without_write: wrote.longest_without(from, until),
        longest_without_write_as_it_returned: wrote.longest_without(until, whole),
        longest_without_read: was_read.longest_without(from, until),
        failed_reads: f64::from(failed),
        refused_writes: wrote.refused,
        in_doubt: wrote.in_doubt,
    }
}

fn write(store: &MultiMaster, caller: usize, stop: &Arc<AtomicBool>) -> JoinHandle<Seen> {
    let (store, stop) = (store.clone(), Arc::clone(stop));
    let mut rows = Rows::of_caller(caller);
    tokio::spawn(async move {
        let mut seen = Seen::default();
        while !stop.load(Ordering::SeqCst) {
            let row = rows.next();
            let outcome: Outcome<(), DbError> =
                store.write(async move |tx: &mut Tx| tx.insert("memos", row.fields()).await).await;
            match outcome {
                Outcome::Saved { .. } | Outcome::Owed { .. } => seen.done.push(Instant::now()),
                Outcome::InDoubt(_) => seen.in_doubt += 1,
                Outcome::NotSaved(_) => {
                    seen.refused += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        seen
    })
}

fn read(store: &MultiMaster, stop: &Arc<AtomicBool>) -> JoinHandle<Seen> {
    let (store, stop) = (store.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let mut seen = Seen::default();
        while !stop.load(Ordering::SeqCst) {
            let answer: Result<(), DbError> = store
                .read(async move |db: &mut Db| {
                    let sql = "select id, page from memos order by id desc limit 5";
                    db.query(sql, params![]).await.map(drop)
                })
                .await;
            if answer.is_ok() {
                seen.done.push(Instant::now());
            } else {
                seen.refused += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
        seen
    })
}
