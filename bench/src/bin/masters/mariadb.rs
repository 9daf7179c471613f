//! Real MariaDB servers: writes beside every rival that keeps two copies, in one
//! run; reads; a master that comes back; a master that dies.

use std::time::{Duration, Instant};

use bench::{Aim, Latencies, Report, Row, Sample, cpu_spent, median};
use lab::Software;
use multi_master::{MultiMaster, Policy, Verify};
use tokio::runtime::Runtime;

use crate::rows::{MemoRow, Rows};
use rivals::{Caller, Way};
use sets::Sets;

mod sets;

mod rivals;

mod ours;

pub(crate) mod reads;

pub(crate) mod returning;

pub(crate) mod failover;

/// Connections that write at one time.
pub(crate) const WIDTHS: [usize; 3] = [1, 8, 32];

/// The pages that updates set, and how far apart two rounds begin: primes, so that
/// a row that was met in both gets another page.
const PAGES: i64 = 10_007;
const PAGES_A_ROUND: usize = 1_009;
/// Rows that each caller has to update.
const OWN_ROWS: usize = 500;

const AVAILABLE: &str = "ours, available";
const ALL: &str = "ours, all";
const ONE: &str = "one master";
const IN_TURN: &str = "one after the other";
const XA: &str = "XA on both";
const GALERA: &str = "Galera, one writer";
const SEMI: &str = "semi-synchronous";

/// How rivals are called in the names of ratios.
const SHORT: [(&str, &str); 5] = [
    (ONE, "one_master"),
    (IN_TURN, "one_after_the_other"),
    (XA, "xa"),
    (GALERA, "galera"),
    (SEMI, "semi_synchronous"),
];

/// What we want to be ahead of. (One master keeps one copy; a semi-synchronous
/// one answers before the other has applied.)
const AHEAD_OF: [&str; 3] = [GALERA, XA, IN_TURN];

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Inserts one row.
    Insert,
    /// Changes two fields of one row.
    Update,
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert one row",
            Self::Update => "update one row",
        }
    }

    const fn short(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
        }
    }
}

/// Who writes.
enum Subject {
    Ours(MultiMaster),
    Rival(Vec<Caller>),
}

/// The threads that callers run on.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be started")
}

/// Inserts and updates through every subject.
pub(crate) fn writes(report: &mut Report, software: &Software, rounds: usize, turn: Duration) {
    let sets = Sets::start(software);
    let runtime = runtime();
    let most = WIDTHS.into_iter().max().unwrap_or(1);
    let rows: Vec<Vec<MemoRow>> = (0..most)
        .map(|caller| {
            let mut rows = Rows::of_caller(caller);
            (0..OWN_ROWS).map(|_| rows.next()).collect()
        })
        .collect();
    let mut subjects = runtime.block_on(subjects(&sets, &rows));
    let mut behind = Duration::ZERO;
    for work in [Work::Insert, Work::Update] {
        for callers in WIDTHS {
            let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); subjects.len()];
            for round in 0..rounds {
                for step in 0..subjects.len() {
                    // Each round another one is first.
                    let at = (round + step) % subjects.len();
                    let (name, subject) = &mut subjects[at];
                    let pids = sets.pids(name);
                    let (started, spent) = (Instant::now(), cpu_spent(&pids));
                    let rows = Shift { rows: &rows, round };
                    let sample = runtime.block_on(subject.turn(work, callers, rows, turn));
                    let cost = cpu_spent(&pids).saturating_sub(spent);
                    let sample = sample.with_cpu(cost, started.elapsed());
                    samples[at].push(sample);
                    match *name {
                        SEMI => behind = behind.max(sets.followed()),
                        GALERA => sets.applied(),
                        _ => {}
                    }
                }
            }
            for ((subject, _), samples) in subjects.iter().zip(&samples) {
                let sample = median(samples);
                report.row(Row { work: work.name(), subject, callers, sample });
            }
        }
    }
    assert!(sets.all_were_semi_synchronous(), "the leader went on without its follower");
    let behind = u64::try_from(behind.as_millis()).unwrap_or(u64::MAX);
    report.fact("semi_synchronous_follower_behind_ms_max", behind);
    let names: Vec<&str> = subjects.iter().map(|(name, _)| *name).collect();
    ratios(report, &names);
    runtime.block_on(async {
        for (name, subject) in subjects {
            if let Subject::Ours(store) = subject {
                let found = store.verify(Verify::default(), |_| {}).await.expect("both are there");
                assert!(found.is_well(), "{name}: the masters differ after the run: {found:?}");
                store.close().await;
            }
        }
    });
}

async fn subjects(sets: &Sets, rows: &[Vec<MemoRow>]) -> Vec<(&'static str, Subject)> {
    let mut subjects = Vec::new();
    let [one, other] = &sets.pair.servers;
    for (name, database, policy) in
        [(AVAILABLE, "available", Policy::Available), (ALL, "with_all", Policy::All)]
    {
        sets.pair.create_database(database);
        let path = sets.pair.scratch.path();
        let store = ours::open(ours::config([one, other], database, policy, path)).await;
        for rows in rows {
            ours::fill(&store, rows.clone()).await;
        }
        subjects.push((name, Subject::Ours(store)));
    }
    let cluster = sets.cluster.as_ref().map(|cluster| vec![&cluster.nodes()[0]]);
    let rivals = [
        (ONE, Way::InTurn, Some(vec![one])),
        (IN_TURN, Way::InTurn, Some(vec![one, other])),
        (XA, Way::Xa, Some(vec![one, other])),
        (GALERA, Way::InTurn, cluster),
        (SEMI, Way::InTurn, Some(vec![&sets.leader])),
    ];
    for ((name, way, servers), (_, database)) in rivals.into_iter().zip(SHORT) {
        let Some(servers) = servers else { continue };
        let mut urls = Vec::new();
        for server in servers {
            server.create_database(database).expect("the database is made");
            server.sql(database, rivals::TABLE).expect("the table is made");
            urls.push(server.url(database));
        }
        let mut callers = Vec::new();
        for (number, rows) in rows.iter().enumerate() {
            let mut caller = Caller::connect(number, way, &urls).await;
            caller.fill(rows).await;
            callers.push(caller);
        }
        subjects.push((name, Subject::Rival(callers)));
    }
    subjects
}

impl Subject {
    async fn turn(
        &mut self,
        work: Work,
        callers: usize,
        shift: Shift<'_>,
        turn: Duration,
    ) -> Sample {
        let to_write = |caller: usize| match work {
            Work::Insert => ToWrite::New(Rows::of_caller(caller)),
            Work::Update => ToWrite::Old {
                rows: shift.rows[caller].clone(),
                next: 0,
                first_page: shift.round * PAGES_A_ROUND,
            },
        };
        let started = Instant::now();
        let until = started + turn;
        let mut latencies = Vec::new();
        match self {
            Self::Ours(store) => {
                let tasks: Vec<_> = (0..callers)
                    .map(|caller| {
                        let (store, mut rows) = (store.clone(), to_write(caller));
                        tokio::spawn(async move {
                            let mut latencies = Latencies::default();
                            while Instant::now() < until {
                                let row = rows.next();
                                let started = Instant::now();
                                ours::write(&store, work, row).await;
                                latencies.add(started.elapsed());
                            }
                            latencies
                        })
                    })
                    .collect();
                for task in tasks {
                    latencies.push(task.await.expect("no caller fails"));
                }
            }
            Self::Rival(all) => {
                let tasks: Vec<_> = all
                    .drain(..callers)
                    .enumerate()
                    .map(|(number, mut caller)| {
                        let mut rows = to_write(number);
                        tokio::spawn(async move {
                            let mut latencies = Latencies::default();
                            while Instant::now() < until {
                                let row = rows.next();
                                let started = Instant::now();
                                caller.write(work, &row).await;
                                latencies.add(started.elapsed());
                            }
                            (caller, latencies)
                        })
                    })
                    .collect();
                for (at, task) in tasks.into_iter().enumerate() {
                    let (caller, seen) = task.await.expect("no caller fails");
                    all.insert(at, caller);
                    latencies.push(seen);
                }
            }
        }
        Sample::of(latencies, started.elapsed())
    }
}

/// The rows of one caller.
enum ToWrite {
    New(Rows),
    /// Its own rows, one after the other and again.
    Old {
        rows: Vec<MemoRow>,
        next: usize,
        first_page: usize,
    },
}

/// What callers update, and in which round: they write other values in each.
#[derive(Clone, Copy)]
struct Shift<'a> {
    rows: &'a [Vec<MemoRow>],
    round: usize,
}

impl ToWrite {
    fn next(&mut self) -> MemoRow {
        match self {
            Self::New(rows) => rows.next(),
            Self::Old { rows, next, first_page } => {
                *next += 1;
                let mut row = rows[*next % rows.len()].clone();
                // Never what is there already: the server would write nothing.
                row.page = i64::try_from(*first_page + *next).unwrap_or(0) % PAGES + 1_000;
                row
            }
        }
    }
}

fn ratios(report: &mut Report, measured: &[&str]) {
    for work in [Work::Insert, Work::Update] {
        let (name, short) = (work.name(), work.short());
        for callers in WIDTHS {
            for (rival, called) in SHORT {
                if !measured.contains(&rival) {
                    continue;
                }
                let all = format!("all_to_{called}_{short}_at_{callers}");
                report.ratio(&all, name, callers, ALL, rival);
                let available = format!("available_to_{called}_{short}_at_{callers}");
                let ratio = report.ratio(&available, name, callers, AVAILABLE, rival);
                if AHEAD_OF.contains(&rival) {
                    report.aim(&available, ratio, Aim::AtLeast(1.0));
                }
            }
            let both = format!("available_to_all_{short}_at_{callers}");
            let ratio = report.ratio(&both, name, callers, AVAILABLE, ALL);
            report.aim(&both, ratio, Aim::AtMost(1.3));
        }
        let p50 = |subject| f64::from(report.sample(name, 1, subject).p50_us);
        let ratio = p50(AVAILABLE) / p50(ONE);
        report.aim(&format!("available_p50_to_one_master_{short}_at_1"), ratio, Aim::AtMost(1.25));
    }
}
