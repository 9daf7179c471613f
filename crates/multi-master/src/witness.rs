//! The witness as a file: which masters may serve, at which epoch.
//!
//! The file is the one truth about who may go on alone; the epoch rows on the
//! masters only fence off writers that have not heard. A lock on a file beside
//! it keeps the set to one process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{MasterName, OpenError};

/// What the witness says. Layout: JSON, one object, replaced whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Testimony {
    /// Which set of masters this is about.
    pub(crate) set: Uuid,
    /// Counted up whenever `entitled` changes.
    pub(crate) epoch: u64,
    /// The masters that hold every acknowledged write.
    pub(crate) entitled: Vec<MasterName>,
}

/// The witness, held by this process.
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
    said: Option<Testimony>,
    /// Unlocked when it is closed, also by a crash.
    _lock: File,
}

impl Witness {
    /// Takes hold of the witness at `path`, which need not exist yet.
    pub(crate) fn hold(path: &Path) -> Result<Self, OpenError> {
        let disk = |path: &Path, error: &std::io::Error, hint: &str| OpenError::Disk {
            path: path.display().to_string(),
            reason: format!("{error}{hint}"),
        };
        let folder = folder_of(path);
        std::fs::create_dir_all(folder).map_err(|error| {
            disk(folder, &error, "; the directory of the witness must be one that can be made")
        })?;
        let lock_path = path.with_extension("lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(
                |error| {
                    disk(&lock_path, &error, "; the data directory must be writable by this user")
                },
            )?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse(folder.display().to_string()));
            }
            Err(TryLockError::Error(error)) => return Err(disk(&lock_path, &error, "")),
        }
        let said = match std::fs::read(path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| OpenError::Disk {
                path: path.display().to_string(),
                reason: format!(
                    "the witness can't be read ({error}); if every master can be reached, move \
                     the file away and it is made anew from them"
                ),
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(disk(path, &error, "")),
        };
        Ok(Self { path: path.to_owned(), said, _lock: lock })
    }

    /// What it says; nothing before the set was first made.
    pub(crate) const fn said(&self) -> Option<&Testimony> {
        self.said.as_ref()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says something new, durably: when this returns, a crash can't unsay it.
    pub(crate) fn say(&mut self, testimony: Testimony) -> std::io::Result<()> {
        if let Some(said) = &self.said {
            assert_eq!(said.set, testimony.set, "a witness is about one set");
            assert!(said.epoch < testimony.epoch, "epochs only grow");
        }
        let bytes = serde_json::to_vec(&testimony).expect("names and numbers are JSON");
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        File::open(folder_of(&self.path))?.sync_all()?;
        self.said = Some(testimony);
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn testimony(epoch: u64) -> Testimony {
        Testimony { set: Uuid::from_u128(7), epoch, entitled: vec![MasterName("a".to_owned())] }
    }

    #[test]
    fn what_was_said_is_read_back_and_one_process_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/witness.json");
        let mut witness = Witness::hold(&path).unwrap();
        assert_eq!(witness.said(), None);
        witness.say(testimony(1)).unwrap();
        witness.say(testimony(2)).unwrap();
        assert!(matches!(Witness::hold(&path), Err(OpenError::InUse(_))));
        drop(witness);
        assert_eq!(Witness::hold(&path).unwrap().said(), Some(&testimony(2)));
    }

    #[test]
    fn a_broken_file_is_refused_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness.json");
        std::fs::write(&path, "{\"set\":").unwrap();
        let error = Witness::hold(&path).unwrap_err().to_string();
        assert!(error.contains("made anew"), "{error}");
    }

    #[test]
    #[should_panic(expected = "epochs only grow")]
    fn an_epoch_is_never_said_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut witness = Witness::hold(&folder.path().join("w")).unwrap();
        witness.say(testimony(2)).unwrap();
        let _ = witness.say(testimony(2));
    }
}
