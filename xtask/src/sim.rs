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
    },
}

pub(crate) fn run_task(arguments: &Arguments) -> Result {
    let Simulation::Sync { seeds, first } = arguments.simulation;
    let mut command = cargo(["run", "--release", "--quiet", "--package", "simulation", "--"]);
    command.arg("sync").arg(format!("--seeds={seeds}")).arg(format!("--first={first}"));
    run(command)
}
