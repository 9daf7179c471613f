//! `cargo xtask test`: every check and every test, with the full suite on.

use std::ffi::OsStr;
use std::process::Command;

use lab::suite;

use crate::serve::{Profile, build};
use crate::shell::{Result, cargo, run, target_dir};
use crate::{setup, tidy, wasm, web};

/// The only packages with crash points and planted bugs, and the crates that have
/// them.
const SABOTAGED: [(&str, &str); 2] = [("simulation", "sync"), ("campaign", "multi-master")];

#[derive(Default, clap::Args)]
pub(crate) struct Arguments {
    /// Leave out formatting, lints, tidy and crate docs
    #[arg(long)]
    tests_only: bool,
}

/// The quick checks come first, and the tests last, so that a run ends with
/// cargo's own result lines.
pub(crate) fn run_task(arguments: &Arguments) -> Result {
    setup::install()?;
    if !arguments.tests_only {
        checks()?;
    }
    setup::install_axe()?;
    web::build()?;
    web::build_check()?;
    let server = build(Profile::Dev)?;
    let mut smoke = beside("bench", "test", ["--quiet"]);
    smoke.env("BENCH_SERVER", server);
    run(smoke)?;
    let mut tests = cargo(["test", "--workspace"]);
    for (package, _) in SABOTAGED {
        tests.args(["--exclude", package]);
    }
    run(full(tests))?;
    // Built by themselves: what is built in one go has the same features, and no
    // server is to have crash points.
    for (package, _) in SABOTAGED {
        run(full(cargo(["test", "--package", package, "--features", "faults"])))?;
    }
    Ok(())
}

fn checks() -> Result {
    let mut left_out = Vec::new();
    if setup::has_component("fmt", "rustfmt") {
        run(cargo(["fmt", "--all", "--check"]))?;
        for workspace in BESIDE {
            run(beside(workspace, "fmt", ["--all", "--check"]))?;
        }
    } else {
        left_out.push("formatting: needs rustfmt");
    }
    tidy::run()?;
    if setup::has_component("clippy", "clippy") {
        let lints = ["--all-targets", "--quiet", "--", "--deny", "warnings"];
        let mut clippy = cargo(["clippy", "--workspace"]);
        clippy.args(lints);
        run(clippy)?;
        for (package, library) in SABOTAGED {
            let mut clippy = cargo(["clippy", "--package", package, "--package", library]);
            clippy.args(["--features", &format!("{package}/faults")]).args(lints);
            run(clippy)?;
        }
        for workspace in BESIDE {
            run(beside(workspace, "clippy", lints))?;
        }
    } else {
        left_out.push("lints: needs clippy");
    }
    // Links in crate docs that lead nowhere.
    let mut docs = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "--deny warnings");
    run(docs)?;
    wasm::check()?;
    for check in left_out {
        eprintln!("left out: {check}; `rustup component add rustfmt clippy` installs it");
    }
    Ok(())
}

/// Workspaces of their own.
const BESIDE: [&str; 2] = ["bench", "fuzz"];

/// A cargo command in a workspace of its own, in the shared target directory.
fn beside<A: AsRef<OsStr>>(
    workspace: &str,
    subcommand: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = cargo([subcommand, "--manifest-path", &format!("{workspace}/Cargo.toml")]);
    command.args(arguments).env("CARGO_TARGET_DIR", target_dir());
    full(command)
}

fn full(mut command: Command) -> Command {
    command.env(suite::VARIABLE, "full");
    command
}
