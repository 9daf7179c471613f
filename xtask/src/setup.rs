//! What the full suite needs on the machine.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::shell::{Failure, Result, run, succeeds};

/// Installs MariaDB where that is possible without asking: as root on Debian
/// and its like. Otherwise says exactly what to install.
pub(crate) fn install() -> Result {
    let Some(missing) = lab::mariadb_missing() else { return Ok(()) };
    if !(is_root() && Path::new("/etc/debian_version").exists()) {
        return Err(Failure(format!(
            "{missing}. It is not installed for you: that takes root on Debian or Ubuntu. \
             `cargo test` runs the part of the tests that needs nothing installed"
        )));
    }
    eprintln!("{missing}; doing that now");
    // Package lists that are there may be good enough; on a fresh machine
    // there are none.
    if run(apt(&["install", "--yes", "--no-install-recommends", lab::mariadb::PACKAGE])).is_err() {
        run(apt(&["update"]))?;
        run(apt(&["install", "--yes", "--no-install-recommends", lab::mariadb::PACKAGE]))?;
    }
    lab::mariadb_missing().map_or(Ok(()), |missing| Err(Failure(missing)))
}

/// Whether `cargo NAME` is there; where it is a component of rustup's that is
/// not installed (the minimal profile leaves them out), rustup is asked for it.
pub(crate) fn has_component(cargo_command: &str, component: &str) -> bool {
    let there = || {
        let mut command = crate::shell::cargo([cargo_command, "--version"]);
        command.stderr(Stdio::null());
        succeeds(command)
    };
    if there() {
        return true;
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", component]);
    succeeds(rustup) && there()
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}
