//! `cargo xtask lab`: campaigns of faults, in release.

use crate::setup;
use crate::shell::{Result, cargo, run};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    campaign: Campaign,
}

#[derive(clap::Subcommand)]
enum Campaign {
    /// Two databases and the process that writes to them: killed, frozen, cut
    /// off, slowed, filled, deleted
    Masters {
        /// How long
        #[arg(long, default_value_t = 5)]
        minutes: u64,
        /// Go on, for at most twice as long, until each set of masters had every fault
        #[arg(long)]
        every_fault: bool,
        /// The same seed puts the same faults in the same order
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Bugs that are planted, and that the judges of `masters` have to find
    Planted {
        /// The most time for one bug, with and without it
        #[arg(long, default_value_t = 5)]
        minutes_each: u64,
        /// The same seed puts the same faults in the same order
        #[arg(long)]
        seed: Option<u64>,
        /// Only this one, by its name or a part of it
        #[arg(long)]
        bug: Option<String>,
    },
}

pub(crate) fn run_task(arguments: &Arguments) -> Result {
    setup::install()?;
    // Crash points and planted bugs are in no other build.
    let mut command = cargo(["run", "--release", "--quiet", "--package", "campaign"]);
    command.args(["--features", "faults", "--"]);
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            command.args([name, &value]);
        }
    };
    match &arguments.campaign {
        Campaign::Masters { minutes, every_fault, seed } => {
            option("masters", Some(format!("--minutes={minutes}")));
            option("--seed", seed.map(|seed| seed.to_string()));
            if *every_fault {
                command.arg("--every-fault");
            }
        }
        Campaign::Planted { minutes_each, seed, bug } => {
            option("planted", Some(format!("--minutes-each={minutes_each}")));
            option("--seed", seed.map(|seed| seed.to_string()));
            option("--bug", bug.clone());
        }
    }
    run(command)
}
