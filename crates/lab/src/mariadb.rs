//! MariaDB servers of a test's own.
//!
//! Each has its own data directory, socket, process id file and port on
//! loopback, and is started with `--no-defaults`, so neither the machine's own
//! instance nor its configuration is ever read or touched. Durability is
//! MariaDB's default (every commit is flushed); memory is kept small.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::LabError;
use crate::port::Port;
use crate::process::{Process, end_of, find_program, run};
use crate::suite::{Suite, left_out, target_dir};

/// What to install, as `cargo xtask test` does it and as messages name it.
pub const PACKAGE: &str = "mariadb-server";

/// The account that a test's server has, with all rights, from loopback only.
pub(crate) const USER: &str = "endpaper";
/// No secret: it guards a throw-away server on loopback. It has the characters
/// that a URL must not mangle.
pub(crate) const PASSWORD: &str = "lab-only";

const INSTALLED_WITHIN: Duration = Duration::from_mins(2);
const READY_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_mins(1);
const STATEMENT_WITHIN: Duration = Duration::from_mins(1);

/// Where MariaDB's programs are on this machine. Having one is the proof that
/// they are there.
#[derive(Clone, Debug)]
pub struct Software {
    server: PathBuf,
    installer: PathBuf,
    client: PathBuf,
}

impl Software {
    /// Looks for the programs; the error is the name of one that is missing.
    pub fn find() -> Result<Self, &'static str> {
        let find = |name: &'static str| {
            find_program(name, &["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"])
                .ok_or(name)
        };
        Ok(Self {
            server: find("mariadbd")?,
            installer: find("mariadb-install-db")?,
            client: find("mariadb")?,
        })
    }
}

/// What is missing and what to do about it; `None` when everything is there.
#[must_use]
pub fn mariadb_missing() -> Option<String> {
    Software::find().err().map(|program| {
        format!(
            "`{program}` is not installed: install MariaDB \
             (Debian, Ubuntu: `apt-get install --no-install-recommends {PACKAGE}`)"
        )
    })
}

/// The software, where the full suite runs. In the quick suite it says on
/// standard error that `test` is left out, and the test returns.
///
/// # Panics
/// When the full suite runs and the software is missing.
#[must_use]
pub fn require_mariadb(test: &str) -> Option<Software> {
    match (Suite::current(), Software::find()) {
        (Suite::Quick, _) => {
            left_out(test, PACKAGE);
            None
        }
        (Suite::Full, Ok(software)) => Some(software),
        (Suite::Full, Err(_)) => panic!("{}", mariadb_missing().unwrap_or_default()),
    }
}

/// A MariaDB server that this value started. Dropping it kills the server;
/// its data directory goes with the directory that it was given.
#[derive(Debug)]
pub struct MariaDb {
    software: Software,
    directory: PathBuf,
    /// Socket and process id file; a path of its own because a socket's path
    /// can have at most 107 bytes, and target directories are often deep.
    runtime: tempfile::TempDir,
    port: Port,
    /// Its configuration, instead of the lab's.
    file: Option<PathBuf>,
    options: Vec<String>,
    process: Option<Process>,
}

impl MariaDb {
    /// Starts a server with a new data directory in `directory`, and waits
    /// until it takes connections.
    pub fn start(software: &Software, directory: &Path) -> Result<Self, LabError> {
        Self::start_with(software, directory, &[])
    }

    /// As [`MariaDb::start`], with further options of `mariadbd`, such as
    /// `--innodb-lock-wait-timeout=1`. A [`MariaDb::restart`] has them too.
    pub fn start_with(
        software: &Software,
        directory: &Path,
        options: &[&str],
    ) -> Result<Self, LabError> {
        let mut server = Self::prepare(software, directory, &template(software)?, options)?;
        server.launch(&[])?;
        Ok(server)
    }

    /// As [`MariaDb::start_with`], with the configuration that is in `file`, and
    /// then `options`, instead of what the lab takes to keep servers small. Where
    /// the server is and listens is the lab's to say all the same.
    pub fn start_from_file(
        software: &Software,
        directory: &Path,
        file: &Path,
        options: &[&str],
    ) -> Result<Self, LabError> {
        let mut server = Self::prepare(software, directory, &template(software)?, options)?;
        server.file = Some(file.to_owned());
        server.launch(&[])?;
        Ok(server)
    }

    /// A server that is not started yet, with a copy of the data in `data`.
    pub(crate) fn prepare(
        software: &Software,
        directory: &Path,
        data: &Path,
        options: &[&str],
    ) -> Result<Self, LabError> {
        let port = Port::reserve()?;
        let directory = directory.join(format!("mariadb-{}", port.number()));
        copy_tree(data, &directory.join("data"))?;
        let runtime = tempfile::Builder::new()
            .prefix("endpaper-lab-")
            .tempdir()
            .map_err(LabError::disk(&std::env::temp_dir()))?;
        Ok(Self {
            software: software.clone(),
            directory,
            runtime,
            port,
            file: None,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            process: None,
        })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The URL of a database: `mysql://user:password@127.0.0.1:port/database`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_at(self.address(), database)
    }

    /// As [`MariaDb::url`], by another way to this server, such as a
    /// [`Proxy`](crate::Proxy) in front of it.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr, database: &str) -> String {
        format!("mysql://{USER}:{PASSWORD}@{address}/{database}")
    }

    /// Where it listens, also while it is stopped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port()))
    }

    /// The port it listens on, also while it is stopped.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Makes a database where there is none of that name.
    ///
    /// Its character set is the server's default, which without a
    /// configuration is latin1: programs have to say what they want.
    pub fn create_database(&self, name: &str) -> Result<(), LabError> {
        self.sql("mysql", &format!("create database if not exists `{name}`")).map(drop)
    }

    /// Runs statements with MariaDB's own client and returns what it prints:
    /// one line a row, columns separated by tabs, no heading.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, LabError> {
        self.sql_at(self.address(), database, sql)
    }

    /// As [`MariaDb::sql`], by another way to this server, such as a
    /// [`Proxy`](crate::Proxy) in front of it.
    pub fn sql_at(
        &self,
        address: SocketAddr,
        database: &str,
        sql: &str,
    ) -> Result<String, LabError> {
        let mut client = Command::new(&self.software.client);
        client
            .args(["--no-defaults", "--batch", "--skip-column-names", "--protocol=tcp"])
            .arg(format!("--host={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .arg(format!("--user={USER}"))
            .arg(format!("--password={PASSWORD}"))
            .args(["--default-character-set=utf8mb4", "--execute", sql, database]);
        let finished = run(client, STATEMENT_WITHIN)?;
        if finished.code == Some(0) {
            Ok(finished.stdout)
        } else {
            Err(LabError::Sql { sql: sql.to_owned(), message: finished.stderr.trim().to_owned() })
        }
    }

    /// The id of the server's process, while there is one.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether the server's process is there (it may stand frozen).
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Stops the server gracefully and waits until it has ended. Nothing
    /// happens when it is stopped already.
    pub fn stop(&mut self) -> Result<(), LabError> {
        if let Some(mut process) = self.process.take()
            && process.is_running()
        {
            process.terminate()?;
            process.wait(STOPPED_WITHIN)?;
        }
        Ok(())
    }

    /// Ends the server this instant (SIGKILL), as a power cut would.
    pub fn kill(&mut self) -> Result<(), LabError> {
        let killed = self.running()?.kill();
        self.process = None;
        killed
    }

    /// Freezes the server: connections stay open and nothing answers.
    pub fn freeze(&mut self) -> Result<(), LabError> {
        self.running()?.freeze()
    }

    /// Lets a frozen server go on.
    pub fn thaw(&mut self) -> Result<(), LabError> {
        self.running()?.thaw()
    }

    /// Starts the server again on the same port with the same data, and waits
    /// until it takes connections. One that runs is stopped gracefully first.
    pub fn restart(&mut self) -> Result<(), LabError> {
        self.stop()?;
        self.launch(&[])
    }

    /// Starts a server without any database on the same port: what was there is
    /// lost, as where a machine is replaced.
    pub fn restart_empty(&mut self) -> Result<(), LabError> {
        self.stop()?;
        let data = self.directory.join("data");
        fs::remove_dir_all(&data).map_err(LabError::disk(&data))?;
        copy_tree(&template(&self.software)?, &data)?;
        self.launch(&[])
    }

    /// Copies its data to `place`, which must not exist. The server is stopped
    /// for that, and started again.
    pub fn copy_data(&mut self, place: &Path) -> Result<(), LabError> {
        self.stop()?;
        copy_tree(&self.directory.join("data"), place)?;
        self.launch(&[])
    }

    /// Puts a copy of its data in the place of what it has, as an operator does
    /// who restores a directory, and starts it. One that runs is killed first.
    pub fn replace_data(&mut self, copy: &Path) -> Result<(), LabError> {
        if self.is_running() {
            self.kill()?;
        }
        let data = self.directory.join("data");
        fs::remove_dir_all(&data).map_err(LabError::disk(&data))?;
        copy_tree(copy, &data)?;
        self.launch(&[])
    }

    /// The end of the server's own log.
    #[must_use]
    pub fn log(&self) -> String {
        end_of(&fs::read_to_string(self.log_path()).unwrap_or_default())
    }

    fn running(&mut self) -> Result<&mut Process, LabError> {
        let running = self.is_running();
        let process = self.process.as_mut().filter(|_| running);
        process
            .ok_or_else(|| LabError::State { program: "mariadbd".to_owned(), state: "not running" })
    }

    /// Starts it, with further options for this time alone.
    pub(crate) fn launch(&mut self, once: &[&str]) -> Result<(), LabError> {
        let mut command = Command::new(&self.software.server);
        match &self.file {
            None => command.arg("--no-defaults").args(common_options()).args(SMALL),
            Some(file) => {
                command.arg(format!("--defaults-file={}", file.display())).args(as_root())
            }
        };
        command
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--socket={}", self.runtime.path().join("socket").display()))
            .arg(format!("--pid-file={}", self.runtime.path().join("pid").display()))
            .arg(format!("--tmpdir={}", self.runtime.path().display()))
            .arg(format!("--log-error={}", self.log_path().display()))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--port={}", self.port.number()))
            .arg("--skip-name-resolve")
            .args(&self.options)
            .args(once);
        let mut process = Process::start(command)?;
        self.wait_until_ready(&mut process)?;
        self.process = Some(process);
        Ok(())
    }

    /// Ready means: it greets a new connection. That comes after recovery, and
    /// no line of a log is as sure.
    fn wait_until_ready(&self, process: &mut Process) -> Result<(), LabError> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = process.try_wait() {
                return Err(LabError::Ended {
                    program: "mariadbd".to_owned(),
                    status: status.to_string(),
                    log: self.log(),
                });
            }
            if greets(self.address()) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(LabError::Late {
                    program: "mariadbd".to_owned(),
                    what: "ready",
                    limit: READY_WITHIN,
                    log: self.log(),
                });
            }
            std::thread::sleep(crate::process::LOOK_AGAIN);
        }
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }
}

/// Whether a MySQL server answers a connection with its greeting: a packet of
/// a 4-byte header and then the protocol's version, which is 10.
fn greets(address: SocketAddr) -> bool {
    let greeting = || -> io::Result<[u8; 5]> {
        let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut start = [0; 5];
        connection.read_exact(&mut start)?;
        Ok(start)
    };
    matches!(greeting(), Ok([_, _, _, 0, 10]))
}

/// What keeps a server of a test small.
const SMALL: [&str; 11] = [
    "--skip-log-bin",
    "--innodb-buffer-pool-size=64M",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-flush-log-at-trx-commit=1",
    "--aria-pagecache-buffer-size=8M",
    "--key-buffer-size=1M",
    "--performance-schema=OFF",
    "--table-open-cache=200",
    "--max-connections=200",
    "--thread-cache-size=16",
];

/// Options that the template's maker and the servers of tests share.
fn common_options() -> Vec<&'static str> {
    let mut options = vec!["--innodb-log-file-size=16M"];
    options.extend(as_root());
    options
}

/// The server refuses to run as root unless it is told to.
fn as_root() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}

/// A data directory to copy, made once per target directory and version:
/// making one takes seconds, copying one does not.
pub(crate) fn template(software: &Software) -> Result<PathBuf, LabError> {
    let mut version = Command::new(&software.server);
    version.args(["--no-defaults", "--version"]);
    let version = run(version, STATEMENT_WITHIN)?.stdout;
    let version: String = version
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or("unknown")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();

    let lab = target_dir().join("lab");
    fs::create_dir_all(&lab).map_err(LabError::disk(&lab))?;
    let path = lab.join(format!("mariadb-template-{version}"));
    let lock_path = lab.join("mariadb-template.lock");
    let lock = File::create(&lock_path).map_err(LabError::disk(&lock_path))?;
    lock.lock().map_err(LabError::disk(&lock_path))?;
    if path.is_dir() {
        return Ok(path);
    }

    let making = tempfile::tempdir_in(&lab).map_err(LabError::disk(&lab))?;
    let accounts = making.path().join("accounts.sql");
    // Accounts can be made only once their tables are loaded.
    let sql = format!(
        "flush privileges;\n\
         create user '{USER}'@'127.0.0.1' identified by '{PASSWORD}';\n\
         grant all privileges on *.* to '{USER}'@'127.0.0.1' with grant option;\n"
    );
    fs::write(&accounts, sql).map_err(LabError::disk(&accounts))?;
    let data = making.path().join("data");
    let mut install = Command::new(&software.installer);
    install
        .arg("--no-defaults")
        .args(common_options())
        .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
        .arg(format!("--extra-file={}", accounts.display()))
        .arg(format!("--datadir={}", data.display()));
    let finished = run(install, INSTALLED_WITHIN)?;
    if finished.code != Some(0) {
        return Err(LabError::Ended {
            program: "mariadb-install-db".to_owned(),
            status: format!("exit code {:?}", finished.code),
            log: end_of(&format!("{}\n{}", finished.stdout, finished.stderr)),
        });
    }
    // Only a whole template ever has its name.
    fs::rename(&data, &path).map_err(LabError::disk(&path))?;
    Ok(path)
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), LabError> {
    fs::create_dir_all(to).map_err(LabError::disk(to))?;
    for entry in fs::read_dir(from).map_err(LabError::disk(from))? {
        let entry = entry.map_err(LabError::disk(from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(LabError::disk(&from))?.is_dir() {
            copy_tree(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(LabError::disk(&to))?;
        }
    }
    Ok(())
}
