//! Two databases that behave as one: clients read and write without end while
//! servers, networks, disks, files, clocks and the process that writes are
//! killed, frozen, cut, filled, slowed and moved; after each fault everything has
//! to become whole again, the judges read what the clients were told, and the
//! masters are compared row by row.
//!
//! What is held to account:
//!
//! - *bank*: in every read, from whichever master, there is as much money as in
//!   the beginning, while accounts are closed and opened again;
//! - *registers*: reads in a write and writes are linearizable;
//! - *lists*: transactions that read and append are strictly serializable, and
//!   what was acknowledged is there in the end;
//! - *fresh reads*: a read from whichever master shows everything that was
//!   acknowledged before it began;
//! - *rows*: the masters hold the same, and each row is what its digest says.
//!
//! Both kinds of masters run under both policies, side by side. Of the two pairs of
//! servers one is written to by two processes that share a witness, which takes
//! another way through the store than one process does: under `all` where the seed
//! is odd, and under `available` where it is even. Files are written to by one
//! process. Faults come in an order of chance, each once before any comes again.
//! Where every one of them had its turn, a crash point that was never come to is an
//! error of the run.

mod faults;
mod load;
pub(crate) mod planted;
mod report;
mod round;
mod set;
mod store;
mod wire;
pub(crate) mod worker;

use std::time::{Duration, Instant};

use lab::Software;
use stdx::{Random, Seed};

use self::faults::Deck;
use self::report::Report;
use self::set::{Files, Masters, Servers, Set, Setup};
use crate::namespace;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Goes on, for at most twice as long, until each set of masters had every fault
    #[arg(long)]
    every_fault: bool,
    /// The same seed puts the same faults in the same order. Two processes write to
    /// the servers under `available` where it is even, and under `all` where it is
    /// odd
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the campaign; `true` where nothing was lost, doubled or different.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, String> {
    let software = Software::find().map_err(|missing| format!("{missing}; see the README"))?;
    let seed = arguments.seed.unwrap_or_else(|| Random::secret().next_u64() >> 32);
    eprintln!("campaign: masters, seed {seed}");
    if !cfg!(feature = "faults") {
        eprintln!("campaign: left out: crash points: built without the feature `faults`");
    }
    if !namespace::is_own() {
        eprintln!("campaign: left out: full disks: needs a mount namespace (`unshare --mount`)");
    }
    let time = Duration::from_mins(arguments.minutes);
    let time_max = if arguments.every_fault { time.saturating_mul(2) } else { time };
    // Most of a round is waiting: all four run at the same time.
    let reports = std::thread::scope(|scope| {
        let lanes = [(false, false), (false, true), (true, false), (true, true)];
        let lanes: Vec<_> = (0..)
            .zip(lanes)
            .map(|(lane, (files, all))| {
                let random = Random::new(Seed(seed.wrapping_mul(4).wrapping_add(lane)));
                let setup = Setup {
                    all,
                    workers: if all == (seed % 2 == 1) { 2 } else { 1 },
                    bug: None,
                    small_disk: namespace::is_own().then(|| usize::from(random.one_in(2))),
                };
                let software = &software;
                scope.spawn(move || {
                    if files {
                        rounds::<Files>(software, setup, &random, time, time_max)
                    } else {
                        rounds::<Servers>(software, setup, &random, time, time_max)
                    }
                })
            })
            .collect();
        let ended = lanes.into_iter().map(|lane| {
            lane.join().unwrap_or_else(|_| Err("a part of the campaign panicked".to_owned()))
        });
        ended.collect::<Vec<Result<Report, String>>>()
    });
    let mut all = Report::default();
    for report in reports {
        all.add(report?);
    }
    Ok(all.told(seed))
}

/// Round after round on one set, until the time is over or something is wrong; or until
/// every fault came to it, but no longer than `time_max`.
fn rounds<M: Masters>(
    software: &Software,
    setup: Setup,
    random: &Random,
    time: Duration,
    time_max: Duration,
) -> Result<Report, String> {
    let mut report = Report::default();
    let mut set = Set::<M>::start(software, setup).map_err(|error| error.to_string())?;
    let mut deck = Deck::full(set.conditions());
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < if deck.rounds == 0 { time_max } else { time } {
        let fault = deck.deal(random);
        if !round::round(&mut set, number, fault, random, &mut report)? {
            break;
        }
        number += 1;
    }
    report.points(&set.kind(), &set.fired, set.conditions(), deck.rounds);
    Ok(report)
}
