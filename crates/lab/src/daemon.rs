//! Servers of a test's own that are one program each: Redis, and NATS with JetStream.
//!
//! Each has its own data directory and port on loopback, and no configuration file. Redis
//! writes every change to its disk before it answers (`appendfsync always`).

use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::LabError;
use crate::port::Port;
use crate::process::{Process, find_program};
use crate::suite::{Suite, left_out};

const READY_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_mins(1);
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];

/// Which program it is.
pub trait Kind {
    /// As people call it.
    const NAME: &'static str;
    /// What to install, which is the program's name too.
    const PACKAGE: &'static str;

    /// Has it listen there, and keep its data there.
    fn configure(command: &mut Command, port: u16, directory: &Path);

    /// Waits until it takes connections.
    ///
    /// # Errors
    /// It ended, or says nothing of the kind.
    fn wait(process: &mut Process, limit: Duration) -> Result<(), LabError>;
}

/// [`Redis`].
#[derive(Debug)]
pub enum RedisServer {}

impl Kind for RedisServer {
    const NAME: &'static str = "Redis";
    const PACKAGE: &'static str = "redis-server";

    fn configure(command: &mut Command, port: u16, directory: &Path) {
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]);
        command.arg(directory);
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    }

    fn wait(process: &mut Process, limit: Duration) -> Result<(), LabError> {
        let is_ready = |line: &str| line.contains("Ready to accept connections").then_some(());
        process.wait_for_line(limit, is_ready)
    }
}

/// [`Nats`].
#[derive(Debug)]
pub enum NatsServer {}

impl Kind for NatsServer {
    const NAME: &'static str = "NATS";
    const PACKAGE: &'static str = "nats-server";

    fn configure(command: &mut Command, port: u16, directory: &Path) {
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--jetstream", "--store_dir"]).arg(directory);
    }

    fn wait(process: &mut Process, limit: Duration) -> Result<(), LabError> {
        process.wait_for_log_line(limit, |line| line.contains("Server is ready").then_some(()))
    }
}

/// A Redis server.
pub type Redis = Daemon<RedisServer>;
/// A NATS server with JetStream.
pub type Nats = Daemon<NatsServer>;

/// A server that this value started. Dropping it kills the server.
#[derive(Debug)]
pub struct Daemon<K> {
    directory: PathBuf,
    port: Port,
    process: Option<Process>,
    kind: PhantomData<K>,
}

impl<K: Kind> Daemon<K> {
    /// What to install, as `cargo xtask test` does it and as messages name it.
    pub const PACKAGE: &'static str = K::PACKAGE;

    /// What is missing and what to do about it; `None` when everything is there.
    #[must_use]
    pub fn missing() -> Option<String> {
        let (name, package) = (K::NAME, K::PACKAGE);
        find_program(package, &FOLDERS).is_none().then(|| {
            format!(
                "`{package}` is not installed: install {name} \
                 (Debian, Ubuntu: `apt-get install --no-install-recommends {package}`)"
            )
        })
    }

    /// Whether `test` may start a server: where the full suite runs. In the quick
    /// suite it says on standard error that `test` is left out.
    ///
    /// # Panics
    /// When the full suite runs and the program is missing.
    #[must_use]
    pub fn require(test: &str) -> bool {
        match (Suite::current(), Self::missing()) {
            (Suite::Quick, _) => {
                left_out(test, K::PACKAGE);
                false
            }
            (Suite::Full, None) => true,
            (Suite::Full, Some(missing)) => panic!("{missing}"),
        }
    }

    /// Starts a server that keeps its data in `directory`, and waits until it
    /// takes connections.
    pub fn start(directory: &Path) -> Result<Self, LabError> {
        std::fs::create_dir_all(directory).map_err(LabError::disk(directory))?;
        let (directory, port) = (directory.to_owned(), Port::reserve()?);
        let mut server = Self { directory, port, process: None, kind: PhantomData };
        server.restart()?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()))
    }

    /// Ends the server this instant (SIGKILL), as a power cut would. Nothing happens where it
    /// does not run.
    pub fn kill(&mut self) -> Result<(), LabError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill()?;
        process.wait(STOPPED_WITHIN).map(drop)
    }

    /// Freezes the server: connections stay open and nothing answers. Nothing happens where
    /// it does not run.
    pub fn freeze(&mut self) -> Result<(), LabError> {
        self.process.as_mut().map_or(Ok(()), Process::freeze)
    }

    /// Lets a frozen server go on.
    pub fn thaw(&mut self) -> Result<(), LabError> {
        self.process.as_mut().map_or(Ok(()), Process::thaw)
    }

    /// Starts the server on the same port with the same data, and waits until it
    /// takes connections. One that runs is killed first.
    pub fn restart(&mut self) -> Result<(), LabError> {
        self.kill()?;
        let program = find_program(K::PACKAGE, &FOLDERS);
        let mut command = Command::new(program.unwrap_or_else(|| K::PACKAGE.into()));
        K::configure(&mut command, self.port.number(), &self.directory);
        let mut process = Process::start(command)?;
        K::wait(&mut process, READY_WITHIN)?;
        self.process = Some(process);
        Ok(())
    }
}
