//! `cargo xtask lab`: a campaign of faults, in release.

use crate::setup;
use crate::shell::{Result, cargo, run};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which one
    name: Name,
    /// How long
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// The same seed puts the same faults in the same order
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Name {
    /// Two databases and the process that writes to them: killed, frozen, cut
    /// off, slowed, deleted
    Masters,
}

impl Name {
    fn campaign(self) -> &'static str {
        match self {
            Self::Masters => "masters",
        }
    }
}

pub(crate) fn run_task(arguments: &Arguments) -> Result {
    setup::install()?;
    let mut command = cargo(["run", "--release", "--quiet", "--package", "campaign", "--"]);
    command.args([arguments.name.campaign(), "--minutes", &arguments.minutes.to_string()]);
    if let Some(seed) = arguments.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    run(command)
}
