//! Children of a test: started, signalled, waited for, never left behind.

use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::LabError;

/// How often a wait looks again where the operating system can't tell us.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The most of a child's output that is kept; of more, the end is kept.
const OUTPUT_BYTES_MAX: usize = 32 << 20;
/// For how long more is waited for from a child that has ended.
const SILENT_MAX: Duration = Duration::from_secs(2);
/// And where it comes for ever.
const ALL_WITHIN: Duration = Duration::from_secs(30);

/// The most of a log that an error shows.
const LOG_SHOWN_BYTES_MAX: usize = 8 << 10;

/// A child process with its output collected. Dropping it kills it; so does
/// the end of the test's process, however it ends.
#[derive(Debug)]
pub struct Process {
    program: String,
    child: Child,
    status: Option<ExitStatus>,
    frozen: bool,
    stdout: Output,
    stderr: Output,
}

/// How a process ended, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output. Bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error. Bytes that are no UTF-8 are replaced.
    pub stderr: String,
}

impl Process {
    /// Starts `command` with an empty standard input.
    pub fn start(mut command: Command) -> Result<Self, LabError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let program = program.rsplit('/').next().unwrap_or(&program).to_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command)
            .map_err(|source| LabError::Spawn { program: program.clone(), source })?;
        let stdout = Output::collect(child.stdout.take().expect("stdout is piped"));
        let stderr = Output::collect(child.stderr.take().expect("stderr is piped"));
        Ok(Self { program, child, status: None, frozen: false, stdout, stderr })
    }

    /// The name of its program.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, where it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Whether it still runs (or stands frozen).
    pub fn is_running(&mut self) -> bool {
        self.try_wait().is_none()
    }

    /// Asks it to end (SIGTERM) and returns at once.
    pub fn terminate(&mut self) -> Result<(), LabError> {
        self.thaw()?;
        self.signal(Signal::TERM, "SIGTERM")
    }

    /// Ends it this instant (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) -> Result<(), LabError> {
        self.signal(Signal::KILL, "SIGKILL")?;
        self.frozen = false;
        self.wait(Duration::from_secs(10)).map(drop)
    }

    /// Freezes it (SIGSTOP): its connections stay open and nothing answers.
    /// Returns when it stands.
    pub fn freeze(&mut self) -> Result<(), LabError> {
        self.signal(Signal::STOP, "SIGSTOP")?;
        let pid = self.rustix_pid();
        let stopped = move || {
            // Other than `try_wait` this tells "stopped" and leaves the child
            // to be waited for.
            let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            matches!(waitid(WaitId::Pid(pid), options), Ok(Some(status)) if status.stopped())
        };
        self.until("frozen", Duration::from_secs(10), stopped)?;
        self.frozen = true;
        Ok(())
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&mut self) -> Result<(), LabError> {
        if self.frozen {
            self.signal(Signal::CONT, "SIGCONT")?;
            self.frozen = false;
        }
        Ok(())
    }

    /// Lets it go on (SIGCONT), also where it stopped by itself. Nothing happens
    /// to one that runs or has ended.
    pub fn go_on(&mut self) -> Result<(), LabError> {
        self.frozen = self.is_running();
        self.thaw()
    }

    /// Waits until it has ended, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<Finished, LabError> {
        let until = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.try_wait() {
                break status;
            }
            if Instant::now() >= until {
                return Err(self.late("at its end", limit));
            }
            thread::sleep(LOOK_AGAIN);
        };
        Ok(Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
        })
    }

    /// Waits until a line of standard output makes `found` return something,
    /// at most `limit`. Lines that came before the call count too.
    pub fn wait_for_line<T>(
        &mut self,
        limit: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> Result<T, LabError> {
        let stdout = self.stdout.clone();
        self.wait_for_line_of(&stdout, "ready", limit, found)
    }

    /// As [`Process::wait_for_line`], of standard error, where servers log what
    /// they do.
    pub fn wait_for_log_line<T>(
        &mut self,
        limit: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> Result<T, LabError> {
        let stderr = self.stderr.clone();
        self.wait_for_line_of(&stderr, "where its log says so", limit, found)
    }

    fn wait_for_line_of<T>(
        &mut self,
        output: &Output,
        what: &'static str,
        limit: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> Result<T, LabError> {
        let until = Instant::now() + limit;
        loop {
            let ended = self.try_wait();
            if let Some(found) = output.find(&found, LOOK_AGAIN) {
                return Ok(found);
            }
            if let Some(status) = ended {
                return Err(LabError::Ended {
                    program: self.program.clone(),
                    status: status.to_string(),
                    log: end_of(&self.stderr.all()),
                });
            }
            if Instant::now() >= until {
                return Err(self.late(what, limit));
            }
        }
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    fn until(
        &mut self,
        what: &'static str,
        limit: Duration,
        reached: impl Fn() -> bool,
    ) -> Result<(), LabError> {
        let until = Instant::now() + limit;
        while !reached() {
            if Instant::now() >= until {
                return Err(self.late(what, limit));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal, name: &'static str) -> Result<(), LabError> {
        // A process that was waited for is gone and its id may be another's.
        if !self.is_running() {
            return Err(LabError::State { program: self.program.clone(), state: "not running" });
        }
        kill_process(self.rustix_pid(), signal).map_err(|errno| LabError::Signal {
            signal: name,
            program: self.program.clone(),
            source: errno.into(),
        })
    }

    fn rustix_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn late(&self, what: &'static str, limit: Duration) -> LabError {
        LabError::Late {
            program: self.program.clone(),
            what,
            limit,
            log: end_of(&self.stderr.so_far()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            // Nothing can be done about a child that can't be killed.
            let _ = self.kill();
        }
    }
}

/// Runs `command` to its end, at most `limit`.
pub fn run(command: Command, limit: Duration) -> Result<Finished, LabError> {
    let mut process = Process::start(command)?;
    process.wait(limit)
}

/// The end of a log, for an error message.
pub(crate) fn end_of(log: &str) -> String {
    let log = log.trim_end();
    let from = log.len().saturating_sub(LOG_SHOWN_BYTES_MAX);
    let from = (from..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(from);
    log[from..].to_owned()
}

/// One stream of a child, read by a thread so that the child never waits for
/// us to read.
#[derive(Clone, Debug, Default)]
struct Output(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    /// Those that were dropped included.
    lines: u64,
    ended: bool,
}

impl Output {
    fn collect(stream: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let collected = output.clone();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            // An error means the same as the end: there is no more.
            while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
                let mut to = collected.lock();
                to.bytes.append(&mut line);
                to.lines += 1;
                // Not with each line: what is left is moved.
                if to.bytes.len() > 2 * OUTPUT_BYTES_MAX {
                    let over = to.bytes.len() - OUTPUT_BYTES_MAX;
                    to.bytes.drain(..over);
                }
                collected.0.1.notify_all();
            }
            collected.lock().ended = true;
            collected.0.1.notify_all();
        });
        output
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Everything, once the stream has ended. A grandchild may hold the stream
    /// open, so it is waited only for as long as something comes, and not for ever.
    fn all(&self) -> String {
        let began = Instant::now();
        let mut collected = self.lock();
        loop {
            let lines = collected.lines;
            let waited = self.0.1.wait_timeout_while(collected, SILENT_MAX, |collected| {
                !collected.ended && collected.lines == lines
            });
            let (now, silence) = waited.unwrap_or_else(PoisonError::into_inner);
            if now.ended || silence.timed_out() || began.elapsed() > ALL_WITHIN {
                return String::from_utf8_lossy(&now.bytes).into_owned();
            }
            collected = now;
        }
    }

    /// The first whole line that `found` knows; when there is none, waits up
    /// to `pause` for more.
    fn find<T>(&self, found: &impl Fn(&str) -> Option<T>, pause: Duration) -> Option<T> {
        let look = |collected: &Collected| {
            let whole = String::from_utf8_lossy(&collected.bytes).into_owned();
            whole
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
                .find_map(|line| found(line.trim_end()))
        };
        let collected = self.lock();
        if let Some(found) = look(&collected) {
            return Some(found);
        }
        if collected.ended {
            drop(collected);
            thread::sleep(pause);
            return None;
        }
        let (collected, _) =
            self.0.1.wait_timeout(collected, pause).unwrap_or_else(PoisonError::into_inner);
        look(&collected)
    }
}

type Spawned = io::Result<Child>;

/// Starts a child that the kernel kills when this process ends, however it
/// ends: `setpriv --pdeathsig` arranges that on Linux.
///
/// The kernel means the *thread* that started the child, and test harnesses
/// and async runtimes end threads as they like; so one thread that lives as
/// long as the process starts every child.
fn spawn(command: Command) -> Spawned {
    static SPAWNER: OnceLock<Sender<(Command, Sender<Spawned>)>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, commands): (_, Receiver<(Command, Sender<Spawned>)>) = mpsc::channel();
        thread::Builder::new()
            .name("lab-spawner".to_owned())
            .spawn(move || {
                for (mut command, answer) in commands {
                    // The asker may have gone; then the child is dropped, and
                    // it ends with this process.
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread can be started");
        sender
    });
    let (answer, spawned) = mpsc::channel();
    spawner.send((bound_to_us(command), answer)).expect("the spawner never ends");
    spawned.recv().expect("the spawner always answers")
}

/// `command`, wrapped so that it dies with us where the machine can do that.
fn bound_to_us(command: Command) -> Command {
    let Some(setpriv) = find_program("setpriv", &["/usr/bin"]) else {
        return command;
    };
    let mut wrapped = Command::new(setpriv);
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    wrapped.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    wrapped
}

/// The first executable of this name on `PATH` or in `also`.
pub(crate) fn find_program(name: &str, also: &[&str]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(also.iter().map(std::path::PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}
