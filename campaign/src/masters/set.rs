//! The masters and the workers, and what is done to them.

mod common;
mod files;
mod points;
mod servers;
mod witness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use lab::{LabError, Program, Scratch, SmallDisk, Software};
use multi_master::sabotage::Point;
use stdx::Random;

use super::faults::{Conditions, Fault, Own};
use super::load::{Addresses, Call};
use super::wire::{Reply, Request};

pub(crate) use self::files::Files;
pub(crate) use self::servers::Servers;
use self::witness::Witness;

/// The most time for everything to be whole again after a fault.
const WHOLE_MAX: Duration = Duration::from_mins(2);
/// How long a worker is started again and again.
const START_MAX: Duration = Duration::from_mins(1);
/// How long a worker takes to end that was killed.
const ENDED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a worker is tried that may rightly not start.
const TRIED: Duration = Duration::from_secs(2);
/// When the others take a process for dead, and some.
const TAKEN_FOR_DEAD: Duration = Duration::from_millis(5_500);
/// How long it takes on a busy machine until workers go on with one master.
const ALONE_WITHIN: Duration = Duration::from_secs(10);
/// The disk that can be filled: what an hour's load leaves fits, and it takes no
/// more memory than is used.
const DISK_BYTES: u64 = 4 << 30;
/// Of the log of workers that have ended, for a person who looks for the reason.
const LOG_KEPT: usize = 200_000;

/// What a fault waits for.
pub(crate) type Hold<'a> = &'a dyn Fn();

/// Two masters of one kind.
pub(crate) trait Masters: Sized + Send {
    /// What can be done to them alone.
    type Own: Own;
    /// What they are called.
    const KIND: &'static str;
    /// Whether several processes may have them open.
    const SHARED: bool;
    /// Which one commits while the other one is yet to be told to, at
    /// [`Point::BetweenCommits`].
    const COMMITS_FIRST: usize;
    /// What a client asks so that what was written stays, whatever a log loses; a
    /// number other than 0 comes first in the answer where it has to be asked again.
    const INTO_THE_FILE: Option<&'static str>;

    /// Each in its directory.
    fn start(software: &Software, directories: &[PathBuf; 2]) -> Result<Self, LabError>;
    fn url(&self, master: usize) -> String;
    /// One can't be used; what it holds stays.
    fn leave(&mut self, master: usize) -> Result<(), LabError>;
    fn come_back(&mut self, master: usize) -> Result<(), LabError>;
    /// One can't be come to from the workers.
    fn cut_off(&mut self, master: usize) -> Result<(), LabError>;
    fn reconnect(&mut self, master: usize) -> Result<(), LabError>;
    /// Starts those again that have ended because of what was done to them.
    fn revive(&mut self) -> Result<(), LabError>;
    /// One has nothing any more.
    fn lose_data(&mut self, master: usize) -> Result<(), LabError>;
    /// As somebody with a client does, behind everybody's back. Columns of a row
    /// are separated by tabs.
    fn by_hand(&self, master: usize, sql: &str) -> Result<String, LabError>;
    fn suffer(
        set: &mut Set<Self>,
        fault: Self::Own,
        random: &Random,
        hold: Hold<'_>,
    ) -> Result<(), LabError>;
}

/// How a set is made.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) all: bool,
    /// Processes that write to it at the same time.
    pub(crate) workers: usize,
    /// The bug that is planted in them.
    pub(crate) bug: Option<&'static str>,
    /// The master whose disk can be filled.
    pub(crate) small_disk: Option<usize>,
}

/// Two masters of one kind, workers, and what is between them. Values are
/// dropped in this order.
pub(crate) struct Set<M> {
    workers: Vec<Option<Program>>,
    masters: M,
    /// Of one master, and of the witness.
    disks: Option<[SmallDisk; 2]>,
    /// Where several workers share one.
    witness: Option<Witness>,
    setup: Setup,
    pub(crate) addresses: Addresses,
    /// How often each crash point was come to, armed.
    pub(crate) fired: BTreeMap<Point, u64>,
    /// What workers that have ended wrote.
    log: String,
    /// How often a worker has told that it came to a point.
    seen: BTreeMap<(usize, Point), usize>,
    edits: u32,
    scratch: Scratch,
}

impl<M: Masters> Set<M> {
    pub(crate) fn start(software: &Software, mut setup: Setup) -> Result<Self, LabError> {
        if !M::SHARED {
            setup.workers = 1;
        }
        let scratch = Scratch::new("campaign-masters")?;
        let mut directories = ["a", "b"].map(|name| scratch.path().join(name));
        let witness = scratch.path().join("witness");
        let mut disks = None;
        if let Some(small) = setup.small_disk {
            let place = scratch.path().join("small");
            let mounted = SmallDisk::mount(&place, DISK_BYTES)
                .and_then(|disk| Ok([disk, SmallDisk::mount(&witness, DISK_BYTES)?]));
            match mounted {
                Ok(mounted) => {
                    directories[small] = place.join("data");
                    disks = Some(mounted);
                }
                Err(why) => eprintln!("campaign: left out: full disks: {why}"),
            }
        }
        for directory in directories.iter().chain([&witness]) {
            std::fs::create_dir_all(directory)
                .map_err(|source| LabError::Disk { path: directory.clone(), source })?;
        }
        let masters = M::start(software, &directories)?;
        let shared = (setup.workers > 1).then(|| Witness::start(&witness)).transpose()?;
        let addresses = Addresses::default();
        *addresses.lock().unwrap_or_else(PoisonError::into_inner) = vec![None; setup.workers];
        let mut set = Self {
            workers: (0..setup.workers).map(|_| None).collect(),
            masters,
            disks,
            witness: shared,
            setup,
            addresses,
            fired: BTreeMap::new(),
            log: String::new(),
            seen: BTreeMap::new(),
            edits: 0,
            scratch,
        };
        set.start_workers()?;
        Ok(set)
    }

    pub(crate) fn kind(&self) -> String {
        let policy = if self.setup.all { "all" } else { "available" };
        match self.setup.workers {
            1 => format!("{}, {policy}", M::KIND),
            workers => format!("{}, {policy}, {workers} processes", M::KIND),
        }
    }

    pub(crate) const fn conditions(&self) -> Conditions {
        Conditions {
            all: self.setup.all,
            small_disks: self.disks.is_some(),
            shared: self.witness.is_some(),
        }
    }

    /// Puts a fault in the way, for as long as `hold` waits.
    pub(crate) fn suffer(
        &mut self,
        fault: Fault<M::Own>,
        random: &Random,
        hold: Hold<'_>,
    ) -> Result<(), String> {
        match fault {
            Fault::Common(common) => self.suffer_common(common, random, hold),
            Fault::Own(own) => {
                if own.takes_data() {
                    self.wait_until_settled()?;
                }
                M::suffer(self, own, random, hold).map_err(|why| why.to_string())
            }
        }
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["masters-worker".to_owned()];
        if self.setup.all {
            arguments.push("--all".to_owned());
        }
        let witness = match &self.witness {
            Some(shared) => shared.url(),
            None => self.scratch.path().join("witness/witness.json").display().to_string(),
        };
        arguments.extend(["--witness".to_owned(), witness]);
        for master in 0..2 {
            arguments.extend(["--master".to_owned(), self.masters.url(master)]);
        }
        if let Some(bug) = self.setup.bug {
            arguments.extend(["--bug".to_owned(), bug.to_owned()]);
        }
        arguments
    }

    /// Starts the workers that do not run; while a master is away that may take
    /// several tries.
    fn start_workers(&mut self) -> Result<(), LabError> {
        self.start_within(START_MAX)
    }

    fn start_within(&mut self, limit: Duration) -> Result<(), LabError> {
        let until = Instant::now() + limit;
        for worker in 0..self.workers.len() {
            while !self.is_running(worker) {
                match self.start_one(worker) {
                    Ok(()) => {}
                    Err(error) if Instant::now() > until => return Err(error),
                    Err(_) => std::thread::sleep(LOOK_AGAIN),
                }
            }
        }
        Ok(())
    }

    fn start_one(&mut self, worker: usize) -> Result<(), LabError> {
        let binary = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("campaign"));
        let started = Program::start(&binary, self.arguments());
        if let Err(why) = &started {
            self.note(&format!("{why}\n"));
        }
        let started = started?;
        self.seen.retain(|(at, _), _| *at != worker);
        self.move_to(worker, Some(started.address()));
        self.workers[worker] = Some(started);
        Ok(())
    }

    fn is_running(&mut self, worker: usize) -> bool {
        self.workers[worker].as_mut().is_some_and(|worker| worker.process().is_running())
    }

    fn move_to(&self, worker: usize, address: Option<SocketAddr>) {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)[worker] = address;
    }

    fn kill_workers(&mut self) -> Result<(), LabError> {
        for worker in 0..self.workers.len() {
            self.kill_worker(worker)?;
        }
        Ok(())
    }

    fn kill_worker(&mut self, worker: usize) -> Result<(), LabError> {
        self.move_to(worker, None);
        let Some(mut killed) = self.workers[worker].take() else { return Ok(()) };
        // It may be ending by itself: then it can't be signalled.
        drop(killed.process().kill());
        let finished = killed.process().wait(ENDED_WITHIN)?;
        self.note(&finished.stderr);
        Ok(())
    }

    fn note(&mut self, log: &str) {
        self.log.push_str(log);
        let over = self.log.len().saturating_sub(LOG_KEPT);
        let over = (over..=self.log.len()).find(|at| self.log.is_char_boundary(*at));
        self.log.drain(..over.unwrap_or(0));
    }

    /// A connection to a worker; those that had ended were started again.
    pub(crate) fn call(&mut self, worker: usize) -> Result<Call, String> {
        for worker in 0..self.workers.len() {
            if !self.is_running(worker) {
                self.kill_worker(worker).map_err(|error| error.to_string())?;
            }
        }
        self.start_workers().map_err(|error| format!("the worker can't be started: {error}"))?;
        let address = self.addresses.lock().unwrap_or_else(PoisonError::into_inner)[worker];
        let address = address.ok_or("the worker is not there")?;
        Call::to(address).map_err(|error| format!("the worker can't be called: {error}"))
    }

    /// Asks a worker, and takes only `Done`.
    fn tell(&mut self, worker: usize, request: &Request) -> Result<(), String> {
        match self.call(worker)?.ask(request) {
            Ok(Reply::Done) => Ok(()),
            other => Err(format!("{request:?}: {other:?}")),
        }
    }

    /// Waits until what earlier faults left is settled, too: where several processes
    /// write, a master is out for that, and the other has what nobody else has.
    fn wait_until_settled(&mut self) -> Result<(), String> {
        if self.witness.is_some() {
            std::thread::sleep(TAKEN_FOR_DEAD);
            self.wait_until_whole()?;
        }
        Ok(())
    }

    /// Waits until every master is live in the eyes of every worker.
    pub(crate) fn wait_until_whole(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        for worker in 0..self.workers.len() {
            let mut call = self.call(worker)?;
            loop {
                let told = match call.ask(&Request::Whole) {
                    Ok(Reply::Whole(true, _)) => break,
                    Ok(Reply::Whole(false, told)) => told,
                    other => {
                        call = self.call(worker)?;
                        format!("{other:?}")
                    }
                };
                // A server that ends because of what was done to it takes its time.
                self.masters.revive().map_err(|error| error.to_string())?;
                if began.elapsed() > WHOLE_MAX {
                    return Err(format!("not whole after {} s: {told}", WHOLE_MAX.as_secs()));
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        Ok(began.elapsed())
    }

    /// What the workers wrote to their logs, for a person who looks for the
    /// reason.
    pub(crate) fn log(&mut self) -> String {
        let mut log = self.log.clone();
        for worker in self.workers.iter_mut().flatten() {
            log.push_str(&worker.process().stderr_so_far());
        }
        log
    }
}

/// A path with something after its name.
fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
