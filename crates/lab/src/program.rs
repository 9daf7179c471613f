//! One of our own servers, started by a test.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::LabError;
use crate::process::{Finished, Process};

/// A program that prints `listening on http://ADDR` on standard output when it
/// is ready, and ends on SIGTERM.
#[derive(Debug)]
pub struct Program {
    process: Process,
    address: SocketAddr,
}

impl Program {
    /// The bound of [`Program::start`].
    pub const READY_WITHIN: Duration = Duration::from_mins(1);

    /// The bound of [`Program::stop`].
    pub const STOPPED_WITHIN: Duration = Duration::from_mins(1);

    /// Starts `binary` with `arguments` and waits until it listens.
    pub fn start<A: AsRef<OsStr>>(
        binary: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, LabError> {
        let mut command = Command::new(binary);
        command.args(arguments);
        Self::start_command(command)
    }

    /// Starts `command` and waits until it listens.
    pub fn start_command(command: Command) -> Result<Self, LabError> {
        let mut process = Process::start(command)?;
        let address = process.wait_for_line(Self::READY_WITHIN, |line| {
            line.strip_prefix("listening on http://")?.trim_end_matches('/').parse().ok()
        })?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of `path`, which begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The process, for everything else that can be done to one.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops it gracefully (SIGTERM) and waits until it has ended.
    pub fn stop(mut self) -> Result<Finished, LabError> {
        self.process.terminate()?;
        self.process.wait(Self::STOPPED_WITHIN)
    }

    /// Ends it this instant (SIGKILL).
    pub fn kill(mut self) -> Result<Finished, LabError> {
        self.process.kill()?;
        self.process.wait(Self::STOPPED_WITHIN)
    }
}
