//! The masters and the worker, and what is done to them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use lab::proxy::{Fall, Traffic, Way};
use lab::{LabError, MariaDb, Program, Proxy, Scratch, Software};
use stdx::Random;

use super::faults::Fault;
use super::load::{Address, Call};
use super::wire::{Reply, Request};

/// The most time for everything to be whole again after a fault.
const WHOLE_MAX: Duration = Duration::from_mins(2);
/// How long a worker is started again and again.
const START_MAX: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Both directions.
const BOTH: [Way; 2] = [Way::ToServer, Way::ToClient];

/// Two masters of one kind, a worker, and what is between them.
pub(crate) struct Set {
    masters: Masters,
    pub(crate) all: bool,
    scratch: Scratch,
    worker: Option<Program>,
    pub(crate) address: Address,
}

enum Masters {
    MariaDb(Box<[(MariaDb, Proxy); 2]>),
    Sqlite,
}

impl Set {
    /// MariaDB servers where there is `software`, else SQLite files.
    pub(crate) fn start(software: Option<&Software>, all: bool) -> Result<Self, LabError> {
        let scratch = Scratch::new("campaign-masters")?;
        let masters = match software {
            None => Masters::Sqlite,
            Some(software) => {
                let server = |name: &str| -> Result<(MariaDb, Proxy), LabError> {
                    let server = MariaDb::start(software, &scratch.path().join(name))?;
                    server.create_database("campaign")?;
                    let proxy = Proxy::to(server.address())?;
                    Ok((server, proxy))
                };
                Masters::MariaDb(Box::new([server("a")?, server("b")?]))
            }
        };
        let mut set = Self { masters, all, scratch, worker: None, address: Address::default() };
        set.start_worker()?;
        Ok(set)
    }

    pub(crate) fn kind(&self) -> &'static str {
        match (&self.masters, self.all) {
            (Masters::MariaDb(_), false) => "MariaDB, available",
            (Masters::MariaDb(_), true) => "MariaDB, all",
            (Masters::Sqlite, false) => "SQLite, available",
            (Masters::Sqlite, true) => "SQLite, all",
        }
    }

    fn file(&self, master: usize) -> PathBuf {
        self.scratch.path().join(["a.db", "b.db"][master])
    }

    /// Starts the worker; while a master is away that may take several tries.
    fn start_worker(&mut self) -> Result<(), LabError> {
        let mut arguments = vec!["masters-worker".to_owned()];
        if self.all {
            arguments.push("--all".to_owned());
        }
        arguments.extend([
            "--witness".to_owned(),
            self.scratch.path().join("witness.json").display().to_string(),
        ]);
        for master in 0..2 {
            let url = match &self.masters {
                Masters::Sqlite => format!("sqlite:{}", self.file(master).display()),
                Masters::MariaDb(both) => {
                    both[master].0.url_at(both[master].1.address(), "campaign")
                }
            };
            arguments.extend(["--master".to_owned(), url]);
        }
        let binary = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("campaign"));
        let until = Instant::now() + START_MAX;
        loop {
            match Program::start(&binary, &arguments) {
                Ok(worker) => {
                    self.move_to(Some(worker.address()));
                    self.worker = Some(worker);
                    return Ok(());
                }
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => std::thread::sleep(LOOK_AGAIN),
            }
        }
    }

    fn move_to(&self, address: Option<SocketAddr>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn kill_worker(&mut self) -> Result<(), LabError> {
        self.move_to(None);
        self.worker.take().map_or(Ok(()), |worker| worker.kill().map(drop))
    }

    fn server(&mut self, master: usize) -> &mut MariaDb {
        match &mut self.masters {
            Masters::MariaDb(both) => &mut both[master].0,
            Masters::Sqlite => unreachable!("the fault is one of servers"),
        }
    }

    fn proxy(&self, master: usize) -> &Proxy {
        match &self.masters {
            Masters::MariaDb(both) => &both[master].1,
            Masters::Sqlite => unreachable!("the fault is one of networks"),
        }
    }

    /// Puts a fault in the way, for as long as `hold` waits.
    pub(crate) fn suffer(
        &mut self,
        fault: Fault,
        random: &Random,
        hold: impl Fn(),
    ) -> Result<(), LabError> {
        match fault {
            Fault::Kill(master) => {
                self.server(master).kill()?;
                hold();
                self.server(master).restart()?;
            }
            Fault::KillBoth => {
                self.server(0).kill()?;
                self.server(1).kill()?;
                hold();
                self.server(0).restart()?;
                self.server(1).restart()?;
            }
            Fault::Freeze(master) => {
                self.server(master).freeze()?;
                hold();
                self.server(master).thaw()?;
            }
            Fault::Reset(master) => {
                self.proxy(master).reset()?;
                hold();
            }
            Fault::Refuse(master) => {
                self.proxy(master).refuse()?;
                hold();
                self.proxy(master).pass()?;
            }
            Fault::Cut(master) => self.traffic(master, &BOTH, Traffic::Held, hold)?,
            Fault::LoseRequests(master) => {
                self.traffic(master, &[Way::ToServer], Traffic::Lost, hold)?;
            }
            Fault::LoseAnswers(master) => {
                self.traffic(master, &[Way::ToClient], Traffic::Lost, hold)?;
            }
            Fault::Delay(master) => {
                let later = Traffic::Delayed(Duration::from_millis(40));
                self.traffic(master, &BOTH, later, hold)?;
            }
            Fault::Drip(master) => {
                let bytes_per_s = std::num::NonZeroU32::new(20_000).expect("it is not 0");
                let slowly = Traffic::Dripping { bytes_per_s };
                self.traffic(master, &[Way::ToServer], slowly, hold)?;
            }
            Fault::LoseCommit(master, silently) => {
                let fall = if silently { Fall::Silence } else { Fall::Reset };
                self.proxy(master).drop_next_answer("commit", fall)?;
                hold();
                self.proxy(master).pass()?;
            }
            Fault::LoseBothCommits => {
                for master in 0..2 {
                    self.proxy(master).drop_next_answer("commit", Fall::Reset)?;
                }
                hold();
                for master in 0..2 {
                    self.proxy(master).pass()?;
                }
            }
            Fault::KillWorker => {
                self.kill_worker()?;
                self.start_worker()?;
                hold();
            }
            Fault::FreezeWorker => {
                if let Some(worker) = &mut self.worker {
                    worker.process().freeze()?;
                    hold();
                    worker.process().thaw()?;
                }
            }
            Fault::KillWorkerAndMaster(master) => {
                self.kill_worker()?;
                self.server(master).kill()?;
                // The other may not be able to go on alone; then this waits.
                if self.all {
                    self.server(master).restart()?;
                    self.start_worker()?;
                } else {
                    self.start_worker()?;
                    hold();
                    self.server(master).restart()?;
                }
            }
            Fault::DeleteFile(master) => {
                remove(&self.file(master));
                hold();
            }
            Fault::LockFile(master) => {
                let connection = rusqlite::Connection::open(self.file(master)).map_err(sql)?;
                connection.busy_timeout(Duration::from_secs(20)).map_err(sql)?;
                connection.execute_batch("begin immediate").map_err(sql)?;
                hold();
                connection.execute_batch("rollback").map_err(sql)?;
            }
            Fault::TearLog(master) => {
                self.kill_worker()?;
                let log = with_ending(&self.file(master), "-wal");
                if let Ok(file) = fs::OpenOptions::new().write(true).open(&log)
                    && let Ok(about) = file.metadata()
                {
                    let kept = random.below(about.len() + 1);
                    file.set_len(kept).map_err(|source| disk(&log, source))?;
                }
                self.start_worker()?;
                hold();
            }
            Fault::LoseFileAndWorker(master) => {
                self.kill_worker()?;
                remove(&self.file(master));
                self.start_worker()?;
                hold();
            }
        }
        Ok(())
    }

    fn traffic(
        &self,
        master: usize,
        ways: &[Way],
        traffic: Traffic,
        hold: impl Fn(),
    ) -> Result<(), LabError> {
        for way in ways {
            self.proxy(master).set(*way, traffic)?;
        }
        hold();
        self.proxy(master).pass()
    }

    /// A connection to the worker; it was started again where it had ended.
    pub(crate) fn call(&mut self) -> Result<Call, String> {
        if !self.worker.as_mut().is_some_and(|worker| worker.process().is_running()) {
            self.move_to(None);
            self.worker = None;
            self.start_worker().map_err(|error| format!("the worker can't be started: {error}"))?;
        }
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        let address = address.ok_or("the worker is not there")?;
        Call::to(address).map_err(|error| format!("the worker can't be called: {error}"))
    }

    /// Waits until every master is live.
    pub(crate) fn wait_until_whole(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        let mut call = self.call()?;
        loop {
            let told = match call.ask(&Request::Whole) {
                Ok(Reply::Whole(true, _)) => return Ok(began.elapsed()),
                Ok(Reply::Whole(false, told)) => told,
                other => {
                    call = self.call()?;
                    format!("{other:?}")
                }
            };
            if began.elapsed() > WHOLE_MAX {
                return Err(format!("not whole after {} s: {told}", WHOLE_MAX.as_secs()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// What the worker wrote to its log, for a person who looks for the reason.
    pub(crate) fn log(&mut self) -> String {
        self.worker.as_mut().map(|worker| worker.process().stderr_so_far()).unwrap_or_default()
    }
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A file that is not there need not be removed.
fn remove(file: &Path) {
    for ending in ["", "-wal", "-shm"] {
        drop(fs::remove_file(with_ending(file, ending)));
    }
}

fn sql(error: rusqlite::Error) -> LabError {
    LabError::Network {
        what: "a file can't be locked".to_owned(),
        source: std::io::Error::other(error),
    }
}

fn disk(file: &Path, source: std::io::Error) -> LabError {
    LabError::Disk { path: file.to_owned(), source }
}
