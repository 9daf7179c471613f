//! Masters that are SQLite files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::{LabError, Software, TakenAway};
use rusqlite::types::ValueRef;
use stdx::Random;

use super::{Hold, Masters, Set, with_ending};
use crate::masters::faults::OfFiles;

/// How long somebody with a client waits for a file that others hold.
const BY_HAND: Duration = Duration::from_secs(20);
/// A file and what SQLite keeps beside it.
const ENDINGS: [&str; 3] = ["", "-wal", "-shm"];

pub(crate) struct Files {
    files: [PathBuf; 2],
    /// Those that can't be used.
    away: [Option<TakenAway>; 2],
}

impl Masters for Files {
    type Own = OfFiles;
    const KIND: &'static str = "SQLite";
    const SHARED: bool = false;
    const COMMITS_FIRST: usize = 1;
    const INTO_THE_FILE: Option<&'static str> = Some("pragma wal_checkpoint(truncate)");

    fn start(_: &Software, directories: &[PathBuf; 2]) -> Result<Self, LabError> {
        let files = directories.clone().map(|directory| directory.join("master.db"));
        Ok(Self { files, away: [None, None] })
    }

    fn url(&self, master: usize) -> String {
        format!("sqlite:{}", self.files[master].display())
    }

    fn leave(&mut self, master: usize) -> Result<(), LabError> {
        self.away[master] = Some(TakenAway::take(&self.files[master])?);
        Ok(())
    }

    fn come_back(&mut self, master: usize) -> Result<(), LabError> {
        self.away[master].take().map_or(Ok(()), TakenAway::put_back)
    }

    fn cut_off(&mut self, master: usize) -> Result<(), LabError> {
        self.leave(master)
    }

    fn reconnect(&mut self, master: usize) -> Result<(), LabError> {
        self.come_back(master)
    }

    fn revive(&mut self) -> Result<(), LabError> {
        Ok(())
    }

    fn lose_data(&mut self, master: usize) -> Result<(), LabError> {
        remove(&self.files[master]);
        Ok(())
    }

    fn by_hand(&self, master: usize, sql: &str) -> Result<String, LabError> {
        let refused = |error: rusqlite::Error| LabError::Sql {
            sql: sql.to_owned(),
            message: error.to_string(),
        };
        let connection = rusqlite::Connection::open(&self.files[master]).map_err(refused)?;
        connection.busy_timeout(BY_HAND).map_err(refused)?;
        let mut statement = connection.prepare(sql).map_err(refused)?;
        let columns = statement.column_count();
        let mut rows = statement.query([]).map_err(refused)?;
        let mut told = String::new();
        while let Some(row) = rows.next().map_err(refused)? {
            let values: Result<Vec<String>, _> =
                (0..columns).map(|at| row.get_ref(at).map(text)).collect();
            told.push_str(&values.map_err(refused)?.join("\t"));
            told.push('\n');
        }
        Ok(told)
    }

    fn suffer(
        set: &mut Set<Self>,
        fault: OfFiles,
        random: &Random,
        hold: Hold<'_>,
    ) -> Result<(), LabError> {
        let file = |set: &Set<Self>, master: usize| set.masters.files[master].clone();
        match fault {
            OfFiles::Delete(master) => {
                remove(&file(set, master));
                hold();
            }
            OfFiles::Lock(master) => {
                let connection = rusqlite::Connection::open(file(set, master)).map_err(sql)?;
                connection.busy_timeout(BY_HAND).map_err(sql)?;
                connection.execute_batch("begin immediate").map_err(sql)?;
                hold();
                connection.execute_batch("rollback").map_err(sql)?;
            }
            OfFiles::TearLog(master) => {
                set.kill_workers()?;
                let file = file(set, master);
                let log = with_ending(&file, "-wal");
                if let Ok(bytes) = fs::read(&log) {
                    let shared = fs::read(with_ending(&file, "-shm")).unwrap_or_default();
                    let least = in_the_file(&bytes, &shared).min(bytes.len());
                    let lost = random.below((bytes.len() - least) as u64 + 1);
                    let kept = bytes.len() as u64 - lost;
                    let log_file = fs::OpenOptions::new().write(true).open(&log);
                    let cut = log_file.and_then(|log| log.set_len(kept));
                    cut.map_err(|source| disk(&log, source))?;
                }
                set.start_workers()?;
                hold();
            }
            OfFiles::LoseWithWorker(master) => {
                set.kill_workers()?;
                remove(&file(set, master));
                set.start_workers()?;
                hold();
            }
            OfFiles::OlderCopy(master) => {
                let (file, copy) = (file(set, master), set.scratch.path().join("older.db"));
                remove(&copy);
                set.masters.by_hand(master, &format!("vacuum into '{}'", copy.display()))?;
                hold();
                set.kill_workers()?;
                remove(&file);
                fs::copy(&copy, &file).map_err(|source| disk(&file, source))?;
                set.start_workers()?;
            }
        }
        Ok(())
    }
}

/// How much of a log may be in the file already: what SQLite copies there it has
/// flushed in the log before. Without it the file would be of two moments, which
/// no crash leaves. Both formats: <https://www.sqlite.org/walformat.html>.
fn in_the_file(log: &[u8], shared: &[u8]) -> usize {
    let word =
        |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    // `nBackfill` and `nBackfillAttempted`, in the byte order of the machine.
    let frames = [96, 128].into_iter().filter_map(|at| word(shared, at)).map(u32::from_ne_bytes);
    let page = word(log, 8).map_or(0, u32::from_be_bytes);
    let (header, frame_header) = (32, 24);
    header + frames.max().unwrap_or(0) as usize * (page as usize + frame_header)
}

/// A file that is not there need not be removed.
fn remove(file: &Path) {
    for ending in ENDINGS {
        drop(fs::remove_file(with_ending(file, ending)));
    }
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(int) => int.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
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
