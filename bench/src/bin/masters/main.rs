//! Durable writes through two masters, beside what else keeps rows, in one run.
//!
//! | part | what is measured |
//! |---|---|
//! | `sqlite` | single-row writes through the embedded pair, beside plain `rusqlite` |
//! | `mariadb` | inserts and updates through two MariaDB servers, beside one alone, one after the other, XA, Galera and semi-synchronous replication |
//! | `reads` | reads with both MariaDB masters live, beside one |
//! | `returning` | how fast a master that was away, or is empty, is brought up to date |
//! | `failover` | what readers and writers notice when a master is killed or frozen |
//! | `server` | the whole path of `POST /api/v1/memos` against the real server |
//!
//! Of `sqlite`:
//!
//! | subject | files | what a commit covers |
//! |---|---|---|
//! | multi-master, two files | 2, each `synchronous=FULL` | the writes that wait |
//! | rusqlite, group commit | 1, `synchronous=FULL` | the writes that wait |
//! | rusqlite, one commit each | 1, `synchronous=FULL` | one write |
//!
//! The pair does more for each row: a version and a digest, its images in the
//! marker of its commit, and everything twice.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bench::{Report, Row, Sample, mariadb_software, median};
use clap::builder::PossibleValuesParser;
use clap::{Parser, value_parser};
use lab::Scratch;

mod mariadb;

mod pair;

mod plain;

mod rows;

mod server;

/// Callers at one time.
const CALLERS: [usize; 3] = [1, 8, 64];

const WORK: &str = "insert one row, durable";

#[derive(Debug, Parser)]
#[command(name = "masters", about = "Durable writes through two masters, beside their rivals")]
struct Arguments {
    /// Some minutes, for a first look
    #[arg(long)]
    quick: bool,
    /// Only this part; may be said several times
    #[arg(long, value_name = "PART", value_parser = PossibleValuesParser::new(PARTS))]
    only: Vec<String>,
    /// The server's binary; without it the server's part is left out
    #[arg(long, value_name = "FILE", env = "BENCH_SERVER")]
    server: Option<PathBuf>,
    /// Rounds, of whose results the median is told
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long one turn of one subject lasts
    #[arg(long, value_name = "MS")]
    turn_ms: Option<u64>,
    /// Rows that are written while a master is away
    #[arg(long, value_name = "N")]
    missed_rows: Option<usize>,
    /// The time limit on statements and commits while a master is killed or
    /// frozen
    #[arg(long, value_name = "MS", value_parser = value_parser!(u64).range(2_000..))]
    limit_ms: Option<u64>,
}

const PARTS: [&str; 6] = ["sqlite", "mariadb", "reads", "returning", "failover", "server"];

fn main() {
    let arguments = Arguments::parse();
    let (rounds, turn_ms) = if arguments.quick { (3, 500) } else { (7, 2_000) };
    let rounds = arguments.rounds.unwrap_or(rounds).max(1);
    let turn = Duration::from_millis(arguments.turn_ms.unwrap_or(turn_ms));
    let missed = if arguments.quick { 20_000 } else { 200_000 };
    let missed = arguments.missed_rows.unwrap_or(missed).max(1);
    let limit_ms = if arguments.quick { 2_000 } else { 5_000 };
    let limit = Duration::from_millis(arguments.limit_ms.unwrap_or(limit_ms));
    let wanted =
        |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    let mut report = Report::new("masters");
    if wanted("sqlite") {
        writes(&mut report, rounds, turn);
    }
    if PARTS[1..5].iter().any(|part| wanted(part))
        && let Some(software) = mariadb_software()
    {
        if wanted("mariadb") {
            mariadb::writes(&mut report, &software, rounds, turn);
        }
        if wanted("reads") {
            mariadb::reads::measure(&mut report, &software, rounds, turn);
        }
        if wanted("returning") {
            mariadb::returning::measure(&mut report, &software, missed);
        }
        if wanted("failover") {
            // Each takes seconds, and what is told is the worst, not a median.
            let rounds = rounds.min(FAILOVER_ROUNDS_MAX);
            mariadb::failover::measure(&mut report, &software, rounds, limit);
        }
    }
    if wanted("server") {
        if let Some(server) = &arguments.server {
            server::measure(&mut report, server, rounds, turn);
        } else {
            eprintln!("left out: the server's whole path: needs --server FILE");
        }
    }
    report.print();
}

const FAILOVER_ROUNDS_MAX: usize = 3;

/// A subject: it opens its files in a directory, and then callers write rows
/// until a moment.
type Subject = (&'static str, fn(&std::path::Path, usize, Duration) -> Sample);

fn writes(report: &mut Report, rounds: usize, turn: Duration) {
    let subjects: [Subject; 3] = [
        ("multi-master, two files", pair::run),
        ("rusqlite, group commit", plain::group_commit),
        ("rusqlite, one commit each", plain::one_commit_each),
    ];
    for callers in CALLERS {
        let mut samples: [Vec<Sample>; 3] = Default::default();
        for _ in 0..rounds {
            for ((_, run), samples) in subjects.iter().zip(&mut samples) {
                let scratch = Scratch::new("bench-masters").expect("a directory under target/");
                samples.push(run(scratch.path(), callers, turn));
            }
        }
        for ((subject, _), samples) in subjects.iter().zip(&samples) {
            report.row(Row { work: WORK, subject, callers, sample: median(samples) });
        }
        let [pair, group, each] = subjects.map(|(subject, _)| subject);
        report.ratio(&format!("pair_to_group_commit_at_{callers}"), WORK, callers, pair, group);
        report.ratio(&format!("pair_to_one_commit_each_at_{callers}"), WORK, callers, pair, each);
    }
}

/// The moment at which a turn that begins now ends.
fn end_of(turn: Duration) -> Instant {
    Instant::now() + turn
}
