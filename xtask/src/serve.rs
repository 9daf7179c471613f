//! `cargo xtask serve`.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::shell::{self, Failure, Result, cargo, root, target_dir};
use crate::web;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Build without optimisation: quicker to build, slower to run
    #[arg(long)]
    dev: bool,
    /// Passed on to `endpaper serve`, such as --demo
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    web::build()?;
    let binary = build(if arguments.dev { Profile::Dev } else { Profile::Release })?;
    // The server takes this process's place, so that a signal to the one is a
    // signal to the other.
    let error = Command::new(&binary).arg("serve").args(&arguments.rest).current_dir(root()).exec();
    Err(Failure(format!("can't run {}: {error}", binary.display())))
}

/// How the server is built.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Builds the `endpaper` binary and says where it is.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    let (flags, directory): (&[&str], _) = match profile {
        Profile::Dev => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    let mut command = cargo(["build", "--package", "endpaper"]);
    command.args(flags);
    if let (Profile::Release, Some(version)) = (profile, web::version()) {
        command.env("ENDPAPER_WEB", version);
    }
    shell::run(command)?;
    Ok(target_dir().join(directory).join("endpaper"))
}
