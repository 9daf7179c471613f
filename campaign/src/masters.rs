//! Two databases that behave as one: clients read and write without end while
//! servers, networks, files and the process that writes are killed, frozen, cut
//! and slowed; after each fault everything has to become whole again, the judges
//! read what the clients were told, and the masters are compared row by row.
//!
//! What is held to account:
//!
//! - *bank*: in every read, from whichever master, there is as much money as in
//!   the beginning;
//! - *register*: reads in a write and writes are linearizable;
//! - *lists*: transactions that read and append are strictly serializable, and
//!   what was acknowledged is there in the end;
//! - the masters hold the same rows, and each row is what its digest says.

mod faults;
mod load;
mod set;
mod store;
mod wire;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lab::Software;
use stdx::{Random, Seed};

use self::faults::Fault;
use self::load::Load;
use self::set::Set;
use self::wire::{Reply, Request};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// The same seed puts the same faults in the same order
    #[arg(long)]
    seed: Option<u64>,
}

/// Acknowledged operations before, during and after a fault.
const BEFORE: u64 = 60;
const AFTER: u64 = 60;
const AFTER_MAX: Duration = Duration::from_mins(1);
/// How long a fault lasts.
const HOLD_MAX_MS: u64 = 4_000;

/// What is told of one kind of fault.
#[derive(Default)]
struct Line {
    rounds: u64,
    acknowledged: u64,
    refused: u64,
    unknown: u64,
    lost: u64,
    different: u64,
    reads_stood: Duration,
    writes_stood: Duration,
    caught_up: Duration,
}

#[derive(Default)]
struct Report {
    lines: BTreeMap<(&'static str, &'static str), Line>,
    /// What can't be, in words.
    refusals: Vec<String>,
}

/// Runs the campaign; `true` where nothing was lost, doubled or different.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, String> {
    let software = Software::find().map_err(|missing| format!("{missing}; see the README"))?;
    let seed = arguments.seed.unwrap_or_else(|| Random::secret().next_u64() >> 32);
    eprintln!("campaign: masters, seed {seed}");
    let random = Random::new(Seed(seed));
    let mut report = Report::default();
    // Each combination gets its share.
    let share = Duration::from_mins(arguments.minutes) / 4;
    for (sqlite, all) in [(false, false), (false, true), (true, false), (true, true)] {
        let software = (!sqlite).then_some(&software);
        let mut set = Set::start(software, all).map_err(|error| error.to_string())?;
        let began = Instant::now();
        let mut number = 0;
        while began.elapsed() < share {
            let fault = Fault::next(&random, sqlite, all);
            if !round(&mut set, number, fault, &random, &mut report)? {
                break;
            }
            number += 1;
        }
    }
    Ok(told(&report, seed))
}

/// Makes what a round needs. A fault may show late: a connection that it broke
/// is found out when it is used.
fn open(set: &mut Set, number: u64) -> Result<(), String> {
    let until = Instant::now() + AFTER_MAX;
    loop {
        set.wait_until_whole()?;
        match set.call()?.ask(&Request::Open(load::keys(number).collect())) {
            Ok(Reply::Done) => return Ok(()),
            other if Instant::now() > until => {
                return Err(format!("round {number} can't be opened: {other:?}"));
            }
            _ => {}
        }
    }
}

/// One fault under load; `false` where what follows would mean nothing.
fn round(
    set: &mut Set,
    number: u64,
    fault: Fault,
    random: &Random,
    report: &mut Report,
) -> Result<bool, String> {
    open(set, number)?;
    let mut load = Load::start(&set.address, number, random.next_u64());
    load.wait_for(BEFORE, AFTER_MAX);
    let held = Duration::from_millis(50 + random.below(HOLD_MAX_MS));
    let suffered = set.suffer(fault, random, || std::thread::sleep(held));
    let whole = suffered.map_err(|error| error.to_string()).and_then(|()| set.wait_until_whole());
    let went_on = load.wait_for(AFTER, AFTER_MAX);
    load.stop();
    let mut refusals = Vec::new();
    if !went_on {
        refusals.push("nothing was acknowledged after the fault".to_owned());
    }
    let line = report.lines.entry((set.kind(), fault.kind())).or_default();
    line.rounds += 1;
    line.acknowledged += load.seen.acknowledged.load(Ordering::SeqCst);
    line.refused += load.seen.refused.load(Ordering::SeqCst);
    line.unknown += load.seen.unknown.load(Ordering::SeqCst);
    line.reads_stood = line.reads_stood.max(load.seen.reads.longest());
    line.writes_stood = line.writes_stood.max(load.seen.writes.longest());
    match whole {
        Ok(took) => line.caught_up = line.caught_up.max(took),
        Err(why) => refusals.push(why),
    }
    let mut call = set.call()?;
    match load.judge(&mut call) {
        Ok(verdict) => {
            line.lost += verdict.lost;
            refusals.extend(verdict.refusals);
        }
        Err(why) => refusals.push(why),
    }
    match call.ask(&Request::Verify) {
        Ok(Reply::Findings(found)) => {
            line.different += found.different;
            refusals.extend(found.structure);
            for one in found.rows_told.iter().take(5) {
                refusals.push(format!("{} {}: {:?}", one.table, one.key, one.masters));
            }
        }
        other => refusals.push(format!("the masters can't be compared: {other:?}")),
    }
    let lost = line.lost;
    let place = format!("{}, round {number}, {fault:?}, {} ms", set.kind(), held.as_millis());
    eprintln!("campaign: {place}: {}", if refusals.is_empty() { "well" } else { "NOT WELL" });
    let well = refusals.is_empty() && lost == 0;
    if !well {
        let log = set.log();
        let from = log.len().saturating_sub(6_000);
        let from = (from..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
        eprintln!("{}", &log[from..]);
    }
    report.refusals.extend(refusals.into_iter().map(|why| format!("{place}: {why}")));
    Ok(well)
}

fn told(report: &Report, seed: u64) -> bool {
    println!(
        "{:18}  {:38}  {:>6}  {:>6}  {:>7}  {:>7}  {:>4}  {:>9}  {:>9}  {:>10}  {:>9}",
        "masters",
        "fault",
        "rounds",
        "acked",
        "refused",
        "unknown",
        "lost",
        "different",
        "no reads",
        "no writes",
        "caught up"
    );
    let mut sums = [0; 6];
    let mut kinds = std::collections::BTreeSet::new();
    for ((masters, fault), line) in &report.lines {
        kinds.insert(*fault);
        let counts =
            [line.rounds, line.acknowledged, line.refused, line.unknown, line.lost, line.different];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let ms = |duration: Duration| format!("{} ms", duration.as_millis());
        println!(
            "{masters:18}  {fault:38}  {:>6}  {:>6}  {:>7}  {:>7}  {:>4}  {:>9}  {:>9}  {:>10}  {:>9}",
            line.rounds,
            line.acknowledged,
            line.refused,
            line.unknown,
            line.lost,
            line.different,
            ms(line.reads_stood),
            ms(line.writes_stood),
            ms(line.caught_up)
        );
    }
    for refusal in &report.refusals {
        println!("REFUSED  {refusal}");
    }
    let [faults, acknowledged, refused, unknown, lost, diverged] = sums;
    let refusals = report.refusals.len();
    println!(
        "{}",
        serde_json::json!({
            "lab": "masters", "faults": faults, "kinds": kinds.len(),
            "acknowledged": acknowledged, "refused": refused, "unknown": unknown,
            "lost": lost, "diverged": diverged, "spoiled": refusals, "seed": seed,
        })
    );
    lost == 0 && diverged == 0 && refusals == 0
}
