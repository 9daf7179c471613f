//! The commands.

pub(crate) mod serve;

pub(crate) mod config;

pub(crate) mod import;

pub(crate) mod masters;

use std::future::Future;

use crate::config::{Flags, Resolved, Settings};
use crate::failure::{Failure, Result};
use crate::logging;

/// Reads the configuration, starts the log and runs `command` to its end.
fn with_settings<F: Future<Output = Result>>(
    flags: &Flags,
    command: impl FnOnce(Settings) -> F,
) -> Result {
    let settings = Settings::of(&Resolved::load(flags)?);
    logging::start(settings.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("can't start threads: {error}")))?;
    let result = runtime.block_on(command(settings));
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
