//! A SQLite file that is away while a program has it open.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::LabError;

/// What SQLite keeps beside its file: the log, and the memory that the
/// connections to the file share.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// A SQLite file that is away: a directory stands in its place, which nobody
/// can open. It is the same file when it is back.
///
/// Taking away and putting back are one exchange of two names each, so that
/// there is never a moment at which a program could make a new file there, or
/// find the file without its log. (SQLite knows a file by its inode and what is
/// beside it by its name: two files under one name in one process are a
/// corrupt store or an end by `SIGBUS`.)
#[derive(Debug)]
pub struct TakenAway {
    place: PathBuf,
    aside: PathBuf,
}

impl TakenAway {
    /// Takes the file away. Connections that are open keep it.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is away already.
    pub fn take(place: &Path) -> Result<Self, LabError> {
        let aside = with_ending(place, "-away");
        fs::create_dir(&aside).map_err(LabError::disk(&aside))?;
        let taken = Self { place: place.to_owned(), aside };
        taken.exchange()?;
        rename_beside(&taken.place, &taken.aside)?;
        Ok(taken)
    }

    /// Where the file is meanwhile.
    #[must_use]
    pub fn aside(&self) -> &Path {
        &self.aside
    }

    /// Puts it back, with what was changed in it meanwhile.
    ///
    /// # Errors
    ///
    /// When the file is not where it was put.
    pub fn put_back(self) -> Result<(), LabError> {
        rename_beside(&self.aside, &self.place)?;
        self.exchange()?;
        fs::remove_dir(&self.aside).map_err(LabError::disk(&self.aside))
    }

    /// It never comes back: its place is free for a new one.
    ///
    /// # Errors
    ///
    /// When the directory in its place can't be removed.
    pub fn lose(self) -> Result<(), LabError> {
        fs::remove_dir(&self.place).map_err(LabError::disk(&self.place))
    }

    fn exchange(&self) -> Result<(), LabError> {
        let exchanged = renameat_with(CWD, &self.place, CWD, &self.aside, RenameFlags::EXCHANGE);
        exchanged.map_err(|error| LabError::disk(&self.place)(error.into()))
    }
}

fn rename_beside(from: &Path, to: &Path) -> Result<(), LabError> {
    for ending in BESIDE {
        let (from, to) = (with_ending(from, ending), with_ending(to, ending));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(LabError::disk(&from)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_be_opened_in_its_place_and_it_comes_back_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        fs::write(&file, "the rows").unwrap();
        fs::write(folder.path().join("a.db-wal"), "the log").unwrap();
        let taken = TakenAway::take(&file).unwrap();
        assert!(fs::File::create(&file).is_err());
        assert!(!folder.path().join("a.db-wal").exists());
        fs::write(taken.aside(), "other rows").unwrap();
        taken.put_back().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "other rows");
        assert_eq!(fs::read_to_string(folder.path().join("a.db-wal")).unwrap(), "the log");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");

        TakenAway::take(&file).unwrap().lose().unwrap();
        assert!(!file.exists());
        assert!(TakenAway::take(&file).is_err(), "it is away");
    }
}
