//! Durable single-row writes through the embedded pair of masters, beside what
//! plain `rusqlite` does with the same rows; then the whole path of
//! `POST /api/v1/memos` against the real server.
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

use bench::{Report, Row, Sample, median};
use clap::Parser;
use lab::Scratch;

mod pair;

mod plain;

mod rows;

mod server;

/// Callers at one time.
const CALLERS: [usize; 3] = [1, 8, 64];

const WORK: &str = "insert one row, durable";

#[derive(Debug, Parser)]
#[command(name = "masters", about = "Durable writes through two masters, beside plain rusqlite")]
struct Arguments {
    /// Under a minute, for a first look
    #[arg(long)]
    quick: bool,
    /// The server's binary; without it the server's part is left out
    #[arg(long, value_name = "FILE", env = "BENCH_SERVER")]
    server: Option<PathBuf>,
    /// Rounds, of whose results the median is told
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long one turn of one subject lasts
    #[arg(long, value_name = "MS")]
    turn_ms: Option<u64>,
}

fn main() {
    let arguments = Arguments::parse();
    let (rounds, turn_ms) = if arguments.quick { (3, 500) } else { (7, 2_000) };
    let rounds = arguments.rounds.unwrap_or(rounds).max(1);
    let turn = Duration::from_millis(arguments.turn_ms.unwrap_or(turn_ms));
    let mut report = Report::new("masters");
    writes(&mut report, rounds, turn);
    if let Some(server) = &arguments.server {
        server::measure(&mut report, server, rounds, turn);
    } else {
        eprintln!("left out: the server's whole path: needs --server FILE");
    }
    report.print();
}

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
