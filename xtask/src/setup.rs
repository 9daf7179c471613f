//! What the full suite needs on the machine.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::shell::{Failure, Result, run, succeeds, target_dir};

/// What the full suite needs: Debian's packages, and what is missing of them.
struct Need {
    packages: &'static [&'static str],
    missing: fn() -> Option<String>,
}

const NEEDS: [Need; 7] = [
    Need { packages: &[lab::mariadb::PACKAGE], missing: lab::mariadb_missing },
    Need { packages: &[lab::Redis::PACKAGE], missing: lab::Redis::missing },
    Need { packages: &[lab::Nats::PACKAGE], missing: lab::Nats::missing },
    Need { packages: &[lab::galera::PACKAGE], missing: lab::galera_missing },
    Need { packages: &["curl"], missing: curl_missing },
    Need { packages: &lab::chromium::PACKAGES, missing: lab::chromium::missing },
    Need { packages: &["npm"], missing: npm_missing },
];

fn curl_missing() -> Option<String> {
    let mut curl = Command::new("curl");
    curl.arg("--version");
    (!succeeds(curl))
        .then(|| "`curl` is not installed (Debian, Ubuntu: `apt-get install curl`)".to_owned())
}

fn npm_missing() -> Option<String> {
    let mut npm = Command::new("npm");
    npm.arg("--version");
    (!succeeds(npm))
        .then(|| "`npm` is not installed (Debian, Ubuntu: `apt-get install npm`)".to_owned())
}

/// What looks at the app's pages for what keeps people out (Deque's axe-core), in
/// `target/npm`. Nothing of it is in what is built.
pub(crate) fn install_axe() -> Result {
    let folder = target_dir().join("npm");
    if folder.join("node_modules/axe-core/axe.min.js").exists() {
        return Ok(());
    }
    let mut install = Command::new("npm");
    install.args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    install.arg("axe-core@4").stdin(Stdio::null());
    run(install)
}

/// Installs what is missing where that is possible without asking: as root on
/// Debian and its like. Otherwise says exactly what to install.
pub(crate) fn install() -> Result {
    let missing = || NEEDS.iter().filter_map(|need| Some((need.packages, (need.missing)()?)));
    let (packages, messages): (Vec<&[&str]>, Vec<String>) = missing().unzip();
    let packages = packages.concat();
    if packages.is_empty() {
        return Ok(());
    }
    let messages = messages.join("; ");
    if !(is_root() && Path::new("/etc/debian_version").exists()) {
        return Err(Failure(format!(
            "{messages}. Nothing is installed for you: that takes root on Debian or Ubuntu. \
             `cargo test` runs the part of the tests that needs nothing installed"
        )));
    }
    eprintln!("{messages}; doing that now");
    let install = || run(apt(&["install", "--yes", "--no-install-recommends"], &packages));
    // Package lists that are there may be good enough; on a fresh machine
    // there are none.
    if install().is_err() {
        run(apt(&["update"], &[]))?;
        install()?;
    }
    match missing().next() {
        None => Ok(()),
        Some((_, still)) => Err(Failure(still)),
    }
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

fn apt(arguments: &[&str], packages: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}
