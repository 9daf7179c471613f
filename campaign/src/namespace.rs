//! A mount namespace of our own: what is mounted in it is gone with the last
//! process of it, however that ends.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Set in the process that is inside.
const INSIDE: &str = "CAMPAIGN_NAMESPACE";

/// As root, and as anybody who may have a user namespace.
const WAYS: [&[&str]; 2] = [
    &["--mount", "--propagation", "private"],
    &["--user", "--map-root-user", "--mount", "--propagation", "private"],
];

/// Becomes the same program in a namespace of its own, where that can be had.
/// Where it can't, it goes on as it is, and mounts nothing.
pub(crate) fn enter() {
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let Some(way) = WAYS.iter().find(works) else { return };
    let mut command = Command::new("unshare");
    command.args(*way).arg("--").arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "yes");
    // It returns only where it did not become the other.
    let why = command.exec();
    eprintln!("campaign: no namespace of its own: {why}");
}

/// Whether what is mounted is gone with this process.
pub(crate) fn is_own() -> bool {
    std::env::var_os(INSIDE).is_some()
}
