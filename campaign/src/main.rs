//! Campaigns: programs run against each other for minutes or hours while faults
//! are put in their way, and judges hold what clients saw to what was promised.
//!
//! | campaign | what it puts under fire |
//! |---|---|
//! | `masters` | `multi-master`: two databases, and the process that writes to them |
//! | `planted` | the judges of `masters`: they have to find bugs that are planted |
//!
//! `cargo xtask lab NAME` builds and runs one. The last line of its output is a
//! JSON object; the exit code is 0 only when nothing was lost, doubled or
//! different.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod masters;
mod namespace;

#[derive(Parser)]
#[command(name = "campaign", about = "Faults, load and judges")]
struct Arguments {
    #[command(subcommand)]
    campaign: Campaign,
}

#[derive(Subcommand)]
enum Campaign {
    /// Two databases and the process that writes to them
    Masters(masters::Arguments),
    /// Bugs that are planted in the process that writes, until judges find them
    Planted(masters::planted::Arguments),
    /// The process that the campaign `masters` kills
    #[command(hide = true)]
    MastersWorker(masters::worker::Arguments),
}

fn main() -> ExitCode {
    let campaign = Arguments::parse().campaign;
    if !matches!(campaign, Campaign::MastersWorker(_)) {
        namespace::enter();
    }
    let ended = match campaign {
        Campaign::Masters(arguments) => masters::run(&arguments),
        Campaign::Planted(arguments) => masters::planted::run(&arguments),
        Campaign::MastersWorker(arguments) => masters::worker::run(&arguments).map(|()| true),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("campaign: {why}");
            ExitCode::FAILURE
        }
    }
}
