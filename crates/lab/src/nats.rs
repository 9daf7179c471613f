//! NATS servers of a test's own, with JetStream.
//!
//! Each has its own data directory and port on loopback, and no configuration file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::LabError;
use crate::port::Port;
use crate::process::{Process, find_program};
use crate::suite::{Suite, left_out};

/// What to install, as `cargo xtask test` does it and as messages name it.
pub const PACKAGE: &str = "nats-server";

const READY_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_mins(1);

/// What is missing and what to do about it; `None` when everything is there.
#[must_use]
pub fn nats_missing() -> Option<String> {
    find_program(PACKAGE, &["/usr/sbin", "/usr/bin", "/usr/local/bin"]).is_none().then(|| {
        format!(
            "`{PACKAGE}` is not installed: install NATS \
             (Debian, Ubuntu: `apt-get install --no-install-recommends {PACKAGE}`)"
        )
    })
}

/// Whether `test` may start a server: where the full suite runs. In the quick
/// suite it says on standard error that `test` is left out.
///
/// # Panics
/// When the full suite runs and NATS is missing.
#[must_use]
pub fn require_nats(test: &str) -> bool {
    match (Suite::current(), nats_missing()) {
        (Suite::Quick, _) => {
            left_out(test, PACKAGE);
            false
        }
        (Suite::Full, None) => true,
        (Suite::Full, Some(missing)) => panic!("{missing}"),
    }
}

/// A NATS server that this value started. Dropping it kills the server.
#[derive(Debug)]
pub struct Nats {
    directory: PathBuf,
    port: Port,
    process: Option<Process>,
}

impl Nats {
    /// Starts a server that keeps its streams in `directory`, and waits until it
    /// takes connections.
    pub fn start(directory: &Path) -> Result<Self, LabError> {
        std::fs::create_dir_all(directory).map_err(LabError::disk(directory))?;
        let port = Port::reserve()?;
        let mut server = Self { directory: directory.to_owned(), port, process: None };
        server.restart()?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()))
    }

    /// Ends the server this instant (SIGKILL), as a power cut would.
    pub fn kill(&mut self) -> Result<(), LabError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill()?;
        process.wait(STOPPED_WITHIN).map(drop)
    }

    /// Starts the server on the same port with the same streams, and waits until it
    /// takes connections. One that runs is killed first.
    pub fn restart(&mut self) -> Result<(), LabError> {
        self.kill()?;
        let program = find_program(PACKAGE, &["/usr/sbin", "/usr/bin", "/usr/local/bin"]);
        let mut command = Command::new(program.unwrap_or_else(|| PACKAGE.into()));
        command
            .args(["--addr", "127.0.0.1", "--port"])
            .arg(self.port.number().to_string())
            .args(["--jetstream", "--store_dir"])
            .arg(&self.directory);
        let mut process = Process::start(command)?;
        process.wait_for_log_line(READY_WITHIN, |line| {
            line.contains("Server is ready").then_some(())
        })?;
        self.process = Some(process);
        Ok(())
    }
}
