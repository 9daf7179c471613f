//! A backup: one SQLite file with the tables of a master, and `mm_backup`.
//!
//! | `mm_backup` | |
//! |---|---|
//! | `format` | 1 |
//! | `made_at` | when, in microseconds since 1970 UTC |
//! | `set_id`, `epoch`, `from` | of which store, when, by which master |
//! | `sums` | of each table the count of rows and a sum of their digests, as JSON |
//!
//! It is written last: a file without it was cut off. As a master it calls itself
//! by a name that no master has, so that no server takes it for one of its own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stdx::{Clock, UnixMicros};
use uuid::Uuid;

use super::error::{ArchiveError, Result, on_disk, why};
use super::pour::{self, Failed, Sums};
use super::snapshot::Snapshot;
use super::{ArchiveProgress, Archived, Tell};
use crate::copy;
use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Rows, Statement};
use crate::schema::Migration;
use crate::sqlite::{IfAbsent, SqliteLink};
use crate::tables::{self, Migrate, read};

const FORMAT: &str = "1";
/// What a backup calls itself. Names of masters in configurations are shorter.
const NAME: &str = "a backup, and no master: endpaper restore makes a store of it";
/// A file that nobody else uses.
const BUSY: Duration = Duration::from_secs(1);
/// It holds hashes of passwords and keys.
const OWNER_ONLY: u32 = 0o600;

/// A backup that is whole.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Backup {
    /// Of which set of masters.
    pub set: Uuid,
    /// The epoch at which they were.
    pub epoch: u64,
    /// From which of them.
    pub from: String,
    /// When it was begun.
    pub made_at: UnixMicros,
    /// What it holds.
    pub archived: Archived,
}

impl Snapshot {
    /// Writes everything into one file, for its owner alone. It gets its name
    /// when it is whole and on the disk: what has the name is a backup.
    ///
    /// # Errors
    /// The file is there already; a disk is full; the master fails. Nothing is
    /// left.
    pub async fn back_up(
        mut self,
        file: &Path,
        mut progress: impl FnMut(ArchiveProgress),
    ) -> Result<Archived> {
        if file.try_exists().map_err(on_disk(file))? {
            return Err(ArchiveError::FileExists(file.to_owned()));
        }
        let beside = Beside::of(file);
        let made = OpenOptions::new().create_new(true).write(true).mode(OWNER_ONLY).open(&beside.0);
        made.map_err(on_disk(&beside.0))?;
        let archived = self.write(&beside.0, &mut progress).await?;
        let on_disk = on_disk(file);
        File::open(&beside.0).and_then(|file| file.sync_all()).map_err(&on_disk)?;
        // A link is refused where there is a file by now, and a rename is not.
        match std::fs::hard_link(&beside.0, file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(ArchiveError::FileExists(file.to_owned()));
            }
            // Not every disk has links.
            Err(_) => std::fs::rename(&beside.0, file).map_err(&on_disk)?,
        }
        drop(beside);
        File::open(folder_of(file)).and_then(|folder| folder.sync_all()).map_err(&on_disk)?;
        Ok(archived)
    }

    async fn write(&mut self, file: &Path, tell: Tell<'_>) -> Result<Archived> {
        let failed = |fault| ArchiveError::Disk { path: file.to_owned(), reason: why(fault) };
        let link = SqliteLink::open(file, IfAbsent::Refuse, BUSY).map_err(failed)?;
        let mut to = [Link::Sqlite(link)];
        // It is brought to the disk at the end, before it gets its name.
        to[0].batch("pragma synchronous = off").await.map_err(failed)?;
        let made_at = Clock::real().now();
        let prepared = prepare(&mut to[0], self.set, &self.migrations).await;
        prepared.map_err(|error| match error {
            Migrate::Fault(fault) => failed(fault),
            Migrate::Refused(why) => failed(Fault::Lost(why)),
        })?;
        let expected = copy::expected(&mut self.link, &self.schema).await;
        let poured = pour::pour(&mut self.link, &mut to, &self.schema, expected, tell).await;
        let (sums, altered) = poured.map_err(|error| match error {
            Failed::Source(fault) => self.failed(fault),
            Failed::Target(_, fault) => failed(fault),
        })?;
        let marker = pour::newest_marker(&mut self.link).await.map_err(|f| self.failed(f))?;
        let [link] = &mut to;
        let entries = [
            ("format", FORMAT.to_owned()),
            ("made_at", made_at.0.to_string()),
            ("set_id", self.set.to_string()),
            ("epoch", self.epoch.to_string()),
            ("from", self.what.clone()),
            ("sums", serde_json::to_string(&sums).expect("names and numbers are JSON")),
        ];
        let finish = async {
            link.begin().await?;
            link.batch("create table mm_backup (k text primary key, val text not null)").await?;
            for (key, val) in entries {
                link.push(&Statement {
                    sql: "insert into mm_backup (k, val) values (?, ?)".into(),
                    params: vec![key.into(), val.into()],
                    rows: Rows::One,
                    table: "mm_backup",
                })
                .await?;
            }
            if let Some(marker) = marker {
                link.push(&Statement {
                    sql: "insert into mm_log (txid, epoch, aborted, ops) values (?, ?, ?, ?)"
                        .into(),
                    params: marker,
                    rows: Rows::One,
                    table: "mm_log",
                })
                .await?;
            }
            link.commit().await?;
            // One file, and no log beside it.
            link.query("pragma wal_checkpoint(truncate)", &[]).await?;
            link.query("pragma journal_mode = delete", &[]).await.map(drop)
        };
        finish.await.map_err(failed)?;
        let (read_back, _) =
            pour::sum_up(link, &self.schema, pour::rows(&sums), tell).await.map_err(failed)?;
        if let Some(table) = pour::difference(&sums, &read_back) {
            return Err(ArchiveError::Differs { what: file.display().to_string(), table });
        }
        Ok(Archived {
            rows: pour::rows(&sums),
            tables: self.schema.tables().count() as u64,
            altered,
        })
    }
}

async fn prepare(
    link: &mut Link,
    set: Uuid,
    migrations: &[Migration],
) -> std::result::Result<(), Migrate> {
    tables::identify(link).await?;
    let name = MasterName(NAME.to_owned());
    tables::adopt(link, set, &name, 0, true).await?;
    tables::migrate(link, &name, migrations).await
}

/// Opens a backup to read it: the epoch of its store, and what it says that it
/// holds. Nothing of it is changed.
pub(super) async fn open(file: &Path) -> Result<(Link, u64, Sums)> {
    let no_backup = |reason: String| not_whole(file, &reason);
    if !file.try_exists().map_err(on_disk(file))? {
        let reason = "there is no such file".to_owned();
        return Err(ArchiveError::Disk { path: file.to_owned(), reason });
    }
    let link = SqliteLink::open_read_only(file).map_err(|fault| no_backup(why(fault)))?;
    let mut link = Link::Sqlite(link);
    let about = about(&mut link).await.map_err(|fault| no_backup(why(fault)))?;
    let Some(about) = about else {
        return Err(no_backup("it was not made by `endpaper backup`, or cut off".to_owned()));
    };
    if about.format != FORMAT {
        return Err(ArchiveError::OtherProgram {
            what: file.display().to_string(),
            reason: format!(
                "has the format {}, and this program knows {FORMAT}: use the newer one that made \
                 it",
                about.format
            ),
        });
    }
    // Also what no row is in may not have been cut off.
    let checked = link.query("pragma integrity_check(1)", &[]).await;
    let checked = checked.map_err(|fault| no_backup(why(fault)))?;
    let verdict: Option<String> = checked.first().and_then(|row| row.get("integrity_check").ok());
    if verdict.as_deref() != Some("ok") {
        return Err(no_backup(verdict.unwrap_or_else(|| "it can't be read".to_owned())));
    }
    Ok((link, about.epoch, about.sums))
}

/// Reasons of SQLite name the file once more.
pub(super) fn not_whole(file: &Path, reason: &str) -> ArchiveError {
    let again = format!("{}: ", file.display());
    let reason = reason.strip_prefix(&again).unwrap_or(reason).to_owned();
    ArchiveError::NoBackup { file: file.to_owned(), reason }
}

/// What a backup says of itself.
struct About {
    format: String,
    set: Uuid,
    epoch: u64,
    from: String,
    made_at: UnixMicros,
    sums: Sums,
}

async fn about(link: &mut Link) -> std::result::Result<Option<About>, Fault> {
    let there = "select name from sqlite_master where type = 'table' and name = 'mm_backup'";
    if link.query(there, &[]).await?.is_empty() {
        return Ok(None);
    }
    let mut entries = std::collections::BTreeMap::new();
    for row in link.query("select k, val from mm_backup", &[]).await? {
        entries.insert(read::<String>(&row, "k")?, read::<String>(&row, "val")?);
    }
    let mut take = |key: &str| entries.remove(key);
    let format = take("format").unwrap_or_default();
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let about = (|| {
        Some(About {
            set: take("set_id").and_then(|set| Uuid::try_parse(&set).ok())?,
            epoch: take("epoch").and_then(|epoch| epoch.parse().ok())?,
            from: take("from")?,
            made_at: UnixMicros(number(take("made_at"))?),
            sums: serde_json::from_str(&take("sums")?).ok()?,
            format: format.clone(),
        })
    })();
    // A later format may say other things of itself.
    Ok(about.or_else(|| {
        (!format.is_empty() && format != FORMAT).then(|| About {
            format,
            set: Uuid::nil(),
            epoch: 0,
            from: String::new(),
            made_at: UnixMicros(0),
            sums: Sums::new(),
        })
    }))
}

/// Reads a backup from its first row to its last.
///
/// # Errors
/// It is no whole backup, or of a newer program.
pub async fn verify_backup(
    file: &Path,
    migrations: &[Migration],
    mut progress: impl FnMut(ArchiveProgress),
) -> Result<Backup> {
    let mut snapshot = Snapshot::of_backup(file, migrations).await?;
    let no_backup = |reason: String| not_whole(file, &reason);
    let archived = snapshot.check_sums(&mut progress).await?;
    let about = about(&mut snapshot.link).await.map_err(|fault| no_backup(why(fault)))?;
    let about = about.ok_or_else(|| no_backup("it was cut off".to_owned()))?;
    let About { set, epoch, from, made_at, .. } = about;
    Ok(Backup { set, epoch, from, made_at, archived })
}

impl Snapshot {
    /// Whether a backup holds what it says.
    async fn check_sums(&mut self, tell: Tell<'_>) -> Result<Archived> {
        let said = self.sums.clone().unwrap_or_default();
        let summed = pour::sum_up(&mut self.link, &self.schema, pour::rows(&said), tell).await;
        let (sums, altered) = summed.map_err(|fault| self.failed(fault))?;
        if let Some(table) = pour::difference(&said, &sums) {
            let reason = format!("`{table}` is not what it was when it was made");
            return Err(self.failed(Fault::Lost(reason)));
        }
        Ok(Archived {
            rows: pour::rows(&sums),
            tables: self.schema.tables().count() as u64,
            altered,
        })
    }
}

/// A file that is being written, beside the one that it will be. What is left of
/// it goes.
struct Beside(PathBuf);

impl Beside {
    fn of(file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Self(folder_of(file).join(format!(".{name}.{}.part", std::process::id())))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            drop(std::fs::remove_file(format!("{}{end}", self.0.display())));
        }
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
