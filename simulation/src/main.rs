//! Programs of chance, as many as wanted: `cargo xtask sim`.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::sync::{Against, Summary};

#[derive(clap::Parser)]
#[command(about = "Programs of chance under virtual time: the same seed, the same bytes")]
enum Command {
    /// Devices that edit offline, a server, and everything that goes wrong between
    /// them
    Sync {
        /// How many programs
        #[arg(long, default_value_t = 20_000)]
        seeds: u64,
        /// The seed of the first
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// With the real server on real SQLite files, and not with a model of it
        #[arg(long)]
        real: bool,
    },
    /// Bugs that are planted, and that the programs of `sync` have to find
    #[cfg(feature = "faults")]
    Planted {
        /// The most programs for one bug
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
    },
}

fn main() -> ExitCode {
    match clap::Parser::parse() {
        Command::Sync { seeds, first, real } => {
            sync(seeds, first, if real { Against::Real } else { Against::Model })
        }
        #[cfg(feature = "faults")]
        Command::Planted { seeds } => planted(seeds),
    }
}

/// Looks for each bug; fails where one is not found.
#[cfg(feature = "faults")]
fn planted(seeds: u64) -> ExitCode {
    let mut all = true;
    for (bug, name) in simulation::sync::Bug::ALL {
        if let Some(found) = simulation::sync::find(bug, seeds) {
            println!("{name}: found by seed {}: {}", found.seed, found.wrong);
        } else {
            println!("{name}: NOT FOUND by {seeds} programs");
            all = false;
        }
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sync(seeds: u64, first: u64, against: Against) -> ExitCode {
    match run(first, first.saturating_add(seeds), against) {
        Ok(all) => {
            println!(
                "{seeds} programs from seed {first}: {} edits saved, {} operations settled, {} \
                 crashes, {} requests and answers lost, {} revisions; nothing is wrong",
                all.saved, all.settled, all.crashes, all.lost, all.revisions
            );
            ExitCode::SUCCESS
        }
        Err((seed, wrong)) => {
            println!("seed {seed}: {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the programs of these seeds on all cores; of those that end badly, the first.
fn run(first: u64, end: u64, against: Against) -> Result<Summary, (u64, String)> {
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut all = Summary::default();
    let mut wrong: Option<(u64, String)> = None;
    std::thread::scope(|scope| {
        let some = || {
            let mut some = Summary::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return Ok(some);
                }
                match simulation::sync::run(seed, against) {
                    Ok(summary) => some.add(&summary),
                    Err(wrong) => {
                        // The others end with what they have begun.
                        next.store(end, Ordering::Relaxed);
                        return Err((seed, wrong));
                    }
                }
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        for thread in threads {
            match thread.join().expect("a panic is a bug of the simulation") {
                Ok(some) => all.add(&some),
                Err(one) if wrong.as_ref().is_none_or(|before| one.0 < before.0) => {
                    wrong = Some(one);
                }
                Err(_) => {}
            }
        }
    });
    wrong.map_or(Ok(all), Err)
}
