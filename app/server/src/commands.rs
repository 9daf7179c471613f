//! The commands.

pub(crate) mod serve;

pub(crate) mod config;
mod conflicts;

pub(crate) mod import;

pub(crate) mod accounts;

pub(crate) mod masters;

pub(crate) mod copy;

pub(crate) mod backup;

pub(crate) mod restore;

mod asking;

mod queue;

pub(crate) use queue::item_of;

pub(crate) mod saga;

pub(crate) mod shop;

pub(crate) mod witness;

use std::future::Future;

use stdx::Clock;

use crate::config::{Flags, Resolved, Settings};
use crate::failure::{Failure, Result};
use crate::faults::Faults;
use crate::logging;

/// How much a command logs where nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    /// What the configuration's default says.
    Server,
    /// Warnings: what a person asked for on the command line is the news.
    Command,
}

/// Reads the configuration, starts the log and runs `command` to its end.
fn with_settings<F: Future<Output = Result>>(
    flags: &Flags,
    talk: Talk,
    command: impl FnOnce(Settings) -> F,
) -> Result {
    with_faults(flags, talk, |settings, _| command(settings))
}

/// As [`with_settings`], with what keeps the faults that the log tells.
fn with_faults<F: Future<Output = Result>>(
    flags: &Flags,
    talk: Talk,
    command: impl FnOnce(Settings, Faults) -> F,
) -> Result {
    let resolved = Resolved::load(flags)?;
    let mut settings = Settings::of(&resolved);
    if talk == Talk::Command && resolved.is_default("log.level") {
        settings.log.level = tracing::Level::WARN;
    }
    let faults = Faults::new(Clock::real());
    logging::start(settings.log, faults.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("can't start threads: {error}")))?;
    let result = runtime.block_on(command(settings, faults));
    // What is left is not worth waiting for: everything that was accepted was
    // finished before.
    runtime.shutdown_background();
    result
}

/// Prints one line of JSON or a text on standard output. A reader that has
/// gone away is no failure.
fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
}
