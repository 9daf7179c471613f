//! Memos that were written offline are brought to a server, beside what else does that,
//! in one run.
//!
//! | subject | device | server | local writes on the disk |
//! |---|---|---|---|
//! | endpaper | `sync-sqlite`: SQLite, `synchronous=FULL` | `endpaper serve`: two SQLite files, `synchronous=FULL` | each, when it is said to be saved |
//! | rouchdb | redb | express-pouchdb, LevelDB | each |
//! | PouchDB | LevelDB | express-pouchdb, LevelDB | some time later |
//!
//! A memo has about 300 bytes. Each is written by itself, as a person does; then
//! everything is sent. What is told of one row: memos a second from the first local
//! write to the last acknowledgement, the latencies of local writes, and what one memo
//! cost all processors, on the device and on the server.

use std::path::PathBuf;
use std::time::Duration;

use bench::{Aim, Latencies, Report, Row, Sample, median};
use clap::Parser;
use clap::builder::PossibleValuesParser;

mod ours;

mod peers;

/// As many memos; the second time ten times as many.
const COUNTS: [usize; 2] = [1_000, 10_000];
const WORK: [&str; 2] = ["1,000 memos, written and sent", "10,000 memos, written and sent"];
const LOCAL: [&str; 2] = ["1,000 memos, written", "10,000 memos, written"];
const SEND: [&str; 2] = ["1,000 memos, sent", "10,000 memos, sent"];
/// So often the first count is sent while a master is away: the longest is told.
const AWAY: usize = 20;
/// Operations whose memory is measured.
const QUEUED: usize = 100_000;

#[derive(Debug, Parser)]
#[command(name = "sync", about = "Memos that were written offline are sent, beside its rivals")]
struct Arguments {
    /// 1,000 memos, one round
    #[arg(long)]
    quick: bool,
    /// The server's binary
    #[arg(long, value_name = "FILE", env = "BENCH_SERVER")]
    server: Option<PathBuf>,
    /// Rounds, of whose results the median is told
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Other counts of memos, for a first look: a tenth of them first
    #[arg(long, value_name = "N")]
    memos: Option<usize>,
    /// Only this subject; may be said several times
    #[arg(long, value_name = "SUBJECT", value_parser = PossibleValuesParser::new(["endpaper", "rouchdb", "pouchdb"]))]
    only: Vec<String>,
    /// Queues so many operations, and says how much memory that takes
    #[arg(long, hide = true)]
    queue: Option<usize>,
}

/// One round of one subject.
struct Round {
    /// Of each local write.
    latencies: Latencies,
    local: Duration,
    send: Duration,
    /// What it cost all processors.
    cost: Duration,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(count) = arguments.queue {
        println!("{}", ours::queued_resident_bytes(count));
        return;
    }
    let Some(server) = &arguments.server else {
        eprintln!(
            "the server's binary is needed: --server FILE (`cargo xtask bench sync` gives it)"
        );
        std::process::exit(2);
    };
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 3 }).max(1);
    let counts = arguments.memos.map_or(COUNTS, |memos| [(memos / 10).max(1), memos.max(1)]);
    let counts = if arguments.quick { &counts[..1] } else { &counts[..] };
    let wanted = |subject: &str| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| only == subject)
    };
    let peers = if wanted("rouchdb") || wanted("pouchdb") { peers::install() } else { None };
    let mut report = Report::new("sync");
    for (at, count) in counts.iter().enumerate() {
        if wanted("endpaper") {
            let all = (0..rounds).map(|_| ours::run(server, *count)).collect();
            note(&mut report, at, "endpaper", *count, all);
        }
        if let Some(peers) = &peers {
            if wanted("rouchdb") {
                let all = (0..rounds).map(|_| peers::rouchdb(peers, *count)).collect();
                note(&mut report, at, "rouchdb", *count, all);
            }
            if wanted("pouchdb") {
                let all = (0..rounds).map(|_| peers::pouchdb(peers, *count)).collect();
                note(&mut report, at, "PouchDB", *count, all);
            }
        }
        if wanted("endpaper") && peers.is_some() {
            compare(&mut report, at, *count, &wanted);
        }
    }
    if wanted("endpaper") {
        if counts[0] == COUNTS[0] {
            let sent = report.sample(SEND[0], 1, "endpaper");
            report.aim("seconds_to_send_1000", 1_000.0 / sent.rate, Aim::AtMost(1.0));
            let times = if arguments.quick { rounds } else { AWAY };
            let all = (0..times).map(|_| ours::send_with_a_master_away(server, COUNTS[0]));
            let longest = all.max().unwrap_or_default().as_secs_f64();
            report.fact("sent_with_a_master_away", times);
            let aim = Aim::AtMost(5.0);
            report.aim("seconds_to_send_1000_with_a_master_away_at_most", longest, aim);
        }
        let queued = arguments.memos.unwrap_or(QUEUED);
        let bytes = ours::queued_of_another_process(queued);
        report.fact("queued_operations", queued);
        report.fact("queued_resident_bytes", bytes);
        if queued == QUEUED {
            #[expect(clippy::cast_precision_loss, reason = "megabytes")]
            report.aim("megabytes_of_100000_queued", bytes as f64 / 1e6, Aim::AtMost(200.0));
        }
    }
    report.print();
}

fn note(report: &mut Report, at: usize, subject: &'static str, count: usize, rounds: Vec<Round>) {
    let mut samples: [Vec<Sample>; 3] = Default::default();
    for round in rounds {
        let Round { latencies, local, send, cost } = round;
        let whole = local + send;
        let many = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let rate = |took: Duration| many / took.as_secs_f64();
        let of = Sample::of([latencies], local);
        samples[0].push(of);
        samples[1].push(Sample { rate: rate(send), ..of });
        samples[2].push(Sample { rate: rate(whole), ..of }.with_cpu(cost, whole));
    }
    for (work, samples) in [LOCAL[at], SEND[at], WORK[at]].into_iter().zip(samples) {
        report.row(Row { work, subject, callers: 1, sample: median(&samples) });
    }
}

fn compare(report: &mut Report, at: usize, count: usize, wanted: &impl Fn(&str) -> bool) {
    for (peer, name) in [("rouchdb", "rouchdb"), ("PouchDB", "pouchdb")] {
        if !wanted(name) {
            continue;
        }
        let ratio =
            report.ratio(&format!("endpaper_to_{name}_{count}"), WORK[at], 1, "endpaper", peer);
        let cost = |subject| report.sample(WORK[at], 1, subject).cpu_us.unwrap_or_default();
        let cpu = f64::from(cost("endpaper")) / f64::from(cost(peer).max(1));
        if name == "rouchdb" && at == 1 {
            report.aim("rate_to_rouchdb", ratio, Aim::AtLeast(5.0));
            report.aim("cpu_to_rouchdb", cpu, Aim::AtMost(0.25));
        }
    }
}
