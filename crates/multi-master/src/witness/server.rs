//! A witness for several processes, as a server: a register for each set of
//! masters, in a file of its own that a crash can't make forget.
//!
//! It is asked and answers in JSON, a line each way, over TCP. Nothing is
//! encrypted: it belongs into a network that is your own, as the masters do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::register::Register;
use super::wire::{self, Reply, Request};
use super::{Answer, file};
use crate::error::OpenError;

/// Processes that may be connected at a time; more wait.
const CONNECTIONS_MAX: usize = 1_000;
/// Sets that one witness takes.
const SETS_MAX: usize = 1_000;
/// A connection that asks nothing for so long is closed.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// The pause after a connection could not be taken: too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A witness that is ready to be served.
#[derive(Debug)]
pub struct WitnessServer {
    folder: PathBuf,
    token: Option<String>,
    began: Instant,
    registers: Mutex<BTreeMap<String, Register>>,
    _lock: std::fs::File,
}

impl WitnessServer {
    /// Takes hold of the directory in which the witness keeps what it is told,
    /// and makes it where it is missing. With a `token` only those are answered
    /// who know it.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where another witness holds the directory;
    /// [`OpenError::Disk`] where a file can't be read.
    pub fn hold(folder: &Path, token: Option<String>) -> Result<Self, OpenError> {
        let lock = file::lock(&folder.join("witness"))?;
        let mut registers = BTreeMap::new();
        let disk = |error: std::io::Error| OpenError::Disk {
            path: folder.display().to_string(),
            reason: error.to_string(),
        };
        for entry in std::fs::read_dir(folder).map_err(disk)? {
            let path = entry.map_err(disk)?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let name = path.file_stem().and_then(|stem| stem.to_str());
            if let (Some(name), Some(register)) = (name, file::read::<Register>(&path)?) {
                registers.insert(name.to_owned(), register.woken(0));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            token,
            began: Instant::now(),
            registers: Mutex::new(registers),
            _lock: lock,
        })
    }

    /// Answers whoever connects, until this future is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut talks = tokio::task::JoinSet::new();
        loop {
            while talks.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let server = Arc::clone(&self);
                    talks.spawn(async move {
                        if let Err(error) = server.talk(stream).await {
                            tracing::debug!(%error, "a connection to the witness ended");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the witness could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn talk(self: Arc<Self>, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufStream::new(stream);
        loop {
            let line = tokio::time::timeout(IDLE_MAX, wire::next_line(&mut stream)).await;
            let line = line.unwrap_or_else(|_| Ok(Vec::new()))?;
            if line.is_empty() {
                return Ok(());
            }
            let server = Arc::clone(&self);
            // What has to last is written to the disk.
            let reply = tokio::task::spawn_blocking(move || server.reply(&line)).await;
            let reply = reply.map_err(std::io::Error::other)?;
            if let Reply::Refused(why) = &reply {
                tracing::warn!(why, "a process was refused by the witness");
            }
            stream.write_all(&wire::line(&reply)).await?;
            stream.flush().await?;
        }
    }

    fn reply(&self, line: &[u8]) -> Reply {
        let answer = serde_json::from_slice::<Request>(line)
            .map_err(|error| format!("what was asked can't be read: {error}"))
            .and_then(|request| self.answer(request));
        match answer {
            Ok(answer) => Reply::Told(answer),
            Err(why) => Reply::Refused(why),
        }
    }

    fn answer(&self, request: Request) -> Result<Answer, String> {
        let Request { token, set, process, ask } = request;
        if !is_allowed(self.token.as_deref(), token.as_deref()) {
            return Err("the token is wrong or missing: the witness was started with one".into());
        }
        if !is_name(&set) {
            return Err(format!("{set:?} is no name of a set: 1 to 64 of a-z, 0-9, - and _"));
        }
        let mut registers = self.registers.lock().unwrap_or_else(PoisonError::into_inner);
        if !registers.contains_key(&set) && registers.len() >= SETS_MAX {
            return Err(format!("this witness has {SETS_MAX} sets, and takes no more"));
        }
        let old = registers.get(&set).cloned().unwrap_or_default();
        let mut new = old.clone();
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let answer = new.answer(process, ask, now);
        let lasting = new.lasting();
        if lasting != old.lasting() {
            let path = self.folder.join(format!("{set}.json"));
            file::replace(&path, &lasting)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        registers.insert(set, new);
        Ok(answer)
    }
}

/// Takes as long for a wrong token as for the right one.
fn is_allowed(wanted: Option<&str>, given: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    let given = given.unwrap_or_default();
    let differ = wanted.bytes().zip(given.bytes().chain(std::iter::repeat(0)));
    let differ = differ.fold(0, |all, (a, b)| all | (a ^ b));
    differ == 0 && wanted.len() == given.len()
}

/// Names are names of files.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}
