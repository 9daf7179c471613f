//! `cargo xtask fuzz`: the workspace under `fuzz/`, with libFuzzer. It needs a C++
//! compiler, and no nightly toolchain: the flags are those of `cargo fuzz`, without its
//! sanitizers, which say nothing of code without `unsafe`.

use std::fs;

use crate::shell::{self, Failure, Result, cargo, root, target_dir};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What reads the bytes
    #[arg(value_enum)]
    target: Target,
    /// For how long
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Target {
    /// What devices and the server say to each other
    Wire,
    /// What a device has stored
    Stored,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Stored => "stored",
        }
    }
}

const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

pub(crate) fn run_task(arguments: &Arguments) -> Result {
    let name = arguments.target.name();
    let corpus = target_dir().join("fuzz-corpus").join(name);
    fs::create_dir_all(&corpus)
        .map_err(|error| Failure(format!("{}: {error}", corpus.display())))?;
    let mut command =
        cargo(["run", "--release", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--bin", name]);
    // With a target named, build scripts and macros are built without the flags.
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    command
        .args(["--target", &host, "--"])
        .arg(&corpus)
        .arg(root().join("fuzz/seeds").join(name))
        .arg(format!("-max_total_time={}", arguments.seconds))
        .arg(format!("-artifact_prefix={}/", target_dir().display()))
        .args(["-max_len=8192", "-timeout=10", "-print_final_stats=1"])
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_TARGET_DIR", target_dir().join("fuzz"));
    shell::run(command)
}
