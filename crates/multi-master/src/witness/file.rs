//! The witness as a file, for one process: a lock on a file beside it keeps
//! others out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Testimony;
use crate::error::OpenError;
use crate::sabotage::{Point, reached};

/// A witness file, held by this process.
#[derive(Debug)]
pub(super) struct FileWitness {
    path: PathBuf,
    /// Unlocked when it is closed, also by a crash.
    _lock: File,
}

impl FileWitness {
    /// Takes hold of the witness at `path`, which need not exist yet, and reads
    /// what it says.
    pub(super) fn hold(path: &Path) -> Result<(Self, Option<Testimony>), OpenError> {
        let lock = lock(path)?;
        let known = read(path)?;
        Ok((Self { path: path.to_owned(), _lock: lock }, known))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn say(&self, testimony: &Testimony) -> std::io::Result<()> {
        replace(&self.path, testimony)
    }
}

/// A lock that was let go is held for a moment more where the process that had it was just
/// starting another one: that inherits it until it is another program.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Keeps other processes away from the file at `path`, which need not exist yet.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(|error| {
        disk(folder, &error, "; the directory of the witness must be one that can be made")
    })?;
    let lock_path = path.with_extension("lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
    let lock = lock.map_err(|error| {
        disk(&lock_path, &error, "; the data directory must be writable by this user")
    })?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(disk(&lock_path, &error, "")),
        }
    }
    Err(OpenError::InUse(folder.display().to_string()))
}

/// What a file says; nothing where it is not there.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, OpenError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let said = serde_json::from_slice(&bytes).map_err(|error| OpenError::Disk {
                path: path.display().to_string(),
                reason: format!(
                    "the witness can't be read ({error}); if every master can be reached, move \
                     the file away and it is made anew from them"
                ),
            })?;
            Ok(Some(said))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk(path, &error, "")),
    }
}

/// Replaces a file whole: when this returns, a crash can't bring the old one
/// back.
pub(super) fn replace(path: &Path, content: &impl Serialize) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(content).expect("names and numbers are JSON");
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    reached(Point::WitnessWritten);
    std::fs::rename(&beside, path)?;
    File::open(folder_of(path))?.sync_all()
}

fn disk(path: &Path, error: &std::io::Error, hint: &str) -> OpenError {
    OpenError::Disk { path: path.display().to_string(), reason: format!("{error}{hint}") }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
