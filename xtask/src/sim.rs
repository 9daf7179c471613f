//! `cargo xtask sim`: simulations, in release.

use crate::shell::{Result, cargo, run};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    simulation: Simulation,
}

#[derive(clap::Subcommand)]
enum Simulation {
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
    Planted {
        /// The most programs for one bug
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
    },
}

pub(crate) fn run_task(arguments: &Arguments) -> Result {
    let mut command = cargo(["run", "--release", "--quiet", "--package", "simulation"]);
    match arguments.simulation {
        Simulation::Sync { seeds, first, real } => {
            command.args(["--", "sync"]);
            command.arg(format!("--seeds={seeds}")).arg(format!("--first={first}"));
            if real {
                command.arg("--real");
            }
        }
        Simulation::Planted { seeds } => {
            // Planted bugs are in no other build.
            command.args(["--features", "faults", "--", "planted"]);
            command.arg(format!("--seeds={seeds}"));
        }
    }
    run(command)
}
