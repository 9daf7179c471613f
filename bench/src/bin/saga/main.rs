//! Orders of four durable steps, beside Restate and DBOS, and beside bare statements.
//!
//! | subject | a step | what is on the disk before the next one |
//! |---|---|---|
//! | saga, two files | a row inserted, and the step's record, in one write | both SQLite files, `synchronous=FULL` |
//! | saga, two MariaDB | the same | both servers' logs |
//! | statements, two files | a row inserted, and nothing else | both SQLite files, `synchronous=FULL` |
//! | statements, two MariaDB | a row inserted on both at the same time | both servers' logs |
//! | Restate | a number, and no row | Restate's log, as it is configured by itself |
//! | DBOS, SQLite | a number, and no row | its SQLite file, as it is configured by itself |
//! | DBOS, Postgres | a number, and no row | Postgres' log |
//!
//! The steps of Restate and of DBOS do nothing but be remembered, which favours them. The
//! statements are the floor: the effects alone, each its own commit, by as many connections as
//! callers. (Writes of `multi-master` that wait share a commit, which bare statements don't.)
//! Orders over HTTP are measured while all is well, and while third parties hang, the Redis of
//! the lock is away or hangs, or a master is away.

use std::path::PathBuf;
use std::time::Duration;

use bench::{Aim, Report, Row, Sample, mariadb_software, median};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use tokio::runtime::Runtime;

mod floors;

mod ours;

mod outside;

mod peers;

/// Callers at one time.
const CALLERS: [usize; 2] = [1, 32];
const WORK: &str = "order of four durable steps";

const PAIR: &str = "saga, two files";
const SERVERS: &str = "saga, two MariaDB";
const BARE_PAIR: &str = "statements, two files";
const BARE_SERVERS: &str = "statements, two MariaDB";
const RESTATE: &str = "Restate";
const DBOS_SQLITE: &str = "DBOS, SQLite";
const DBOS_POSTGRES: &str = "DBOS, Postgres";

/// What a four-step saga may cost.
const COMMITS_MAX: f64 = 6.0;

#[derive(Debug, Parser)]
#[command(name = "saga", about = "Durable orders, beside their rivals")]
struct Arguments {
    /// The server's binary; without it the part `outside` is left out
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// A minute or two, for a first look
    #[arg(long)]
    quick: bool,
    /// Only these; may be said several times
    #[arg(long, value_name = "PART", value_parser = PossibleValuesParser::new(PARTS))]
    only: Vec<String>,
    /// Rounds, of whose results the median is told
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long one turn of one subject lasts
    #[arg(long, value_name = "MS")]
    turn_ms: Option<u64>,
}

const PARTS: [&str; 5] = ["sqlite", "mariadb", "restate", "dbos", "outside"];

/// Who makes orders.
enum Subject {
    Ours(ours::Ours),
    BarePair(floors::Pair),
    BareServers(floors::Servers),
    Restate(peers::Restate),
    Dbos(peers::Dbos),
}

impl Subject {
    fn turn(&mut self, runtime: &Runtime, callers: usize, turn: Duration) -> Sample {
        match self {
            Self::Ours(ours) => runtime.block_on(ours.turn(callers, turn)),
            Self::BarePair(pair) => pair.turn(callers, turn),
            Self::BareServers(servers) => runtime.block_on(servers.turn(callers, turn)),
            Self::Restate(restate) => runtime.block_on(restate.turn(callers, turn)),
            Self::Dbos(dbos) => dbos.turn(callers, turn),
        }
    }
}

fn main() {
    let arguments = Arguments::parse();
    let (rounds, turn_ms) = if arguments.quick { (1, 1_000) } else { (5, 2_000) };
    let rounds = arguments.rounds.unwrap_or(rounds).max(1);
    let turn = Duration::from_millis(arguments.turn_ms.unwrap_or(turn_ms));
    let wanted =
        |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be started");
    let mut report = Report::new("saga");
    let mut subjects: Vec<(&'static str, Subject)> = Vec::new();
    let most = CALLERS.into_iter().max().unwrap_or(1);
    if wanted("sqlite") {
        let ours = runtime.block_on(ours::Ours::pair());
        report.aim("commits_of_a_saga", runtime.block_on(ours.commits()), Aim::AtMost(COMMITS_MAX));
        subjects.push((PAIR, Subject::Ours(ours)));
        subjects.push((BARE_PAIR, Subject::BarePair(floors::Pair::new())));
    }
    if wanted("mariadb")
        && let Some(software) = mariadb_software()
    {
        subjects.push((SERVERS, Subject::Ours(runtime.block_on(ours::Ours::servers(&software)))));
        let bare = runtime.block_on(floors::Servers::start(&software, most));
        subjects.push((BARE_SERVERS, Subject::BareServers(bare)));
    }
    if wanted("restate")
        && let Some(restate) = runtime.block_on(peers::Restate::start())
    {
        subjects.push((RESTATE, Subject::Restate(restate)));
    }
    if wanted("dbos") {
        for (name, dbos) in peers::Dbos::all([DBOS_SQLITE, DBOS_POSTGRES]) {
            subjects.push((name, Subject::Dbos(dbos)));
        }
    }
    for callers in CALLERS {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); subjects.len()];
        for round in 0..rounds {
            for step in 0..subjects.len() {
                // Each round another one is first.
                let at = (round + step) % subjects.len();
                samples[at].push(subjects[at].1.turn(&runtime, callers, turn));
            }
        }
        for ((subject, _), samples) in subjects.iter().zip(&samples) {
            report.row(Row { work: WORK, subject, callers, sample: median(samples) });
        }
    }
    let names: Vec<&'static str> = subjects.iter().map(|(name, _)| *name).collect();
    compare(&mut report, &names);
    drop(subjects);
    if wanted("outside") {
        match &arguments.server {
            Some(server) => {
                let software = mariadb_software();
                let software = software.as_ref();
                outside::measure(&mut report, &runtime, server, software, rounds, turn);
            }
            None => eprintln!("left out: orders over HTTP: needs --server FILE"),
        }
    }
    report.print();
}

/// Ours beside each of the others.
fn compare(report: &mut Report, names: &[&'static str]) {
    let is_there = |name: &str| names.contains(&name);
    for (ours, short, floor) in [(PAIR, "pair", BARE_PAIR), (SERVERS, "mariadb", BARE_SERVERS)] {
        if !is_there(ours) {
            continue;
        }
        for callers in CALLERS {
            let name = format!("{short}_to_statements_at_{callers}");
            let ratio = report.ratio(&name, WORK, callers, ours, floor);
            if callers > 1 {
                report.aim(&name, ratio, Aim::AtLeast(0.5));
            }
            for (rival, its_short) in [
                (RESTATE, "restate"),
                (DBOS_SQLITE, "dbos_sqlite"),
                (DBOS_POSTGRES, "dbos_postgres"),
            ] {
                if !is_there(rival) {
                    continue;
                }
                let name = format!("{short}_to_{its_short}_at_{callers}");
                let ratio = report.ratio(&name, WORK, callers, ours, rival);
                report.aim(&name, ratio, Aim::AtLeast(1.0));
                let p99 = |subject| f64::from(report.sample(WORK, callers, subject).p99_us);
                let slower = p99(ours) / p99(rival);
                report.aim(&format!("p99_{name}"), slower, Aim::AtMost(1.0));
            }
        }
    }
}
