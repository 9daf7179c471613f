//! One moment of one master, or of a backup.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::error::{ArchiveError, Result, of_master, why};
use super::file;
use super::pour::Sums;
use crate::config::{Config, MasterConfig};
use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::mysql::MySqlLink;
use crate::schema::{Migration, Schema};
use crate::shared::Target;
use crate::sqlite::{IfAbsent, SqliteLink};
use crate::store;
use crate::tables::{self, Migrated};

/// One moment of one master, or of a backup, opened to be read.
///
/// While it is open, a SQLite master keeps its write-ahead log, and a MariaDB
/// server keeps old versions of rows: it is for minutes, not for days.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) link: Link,
    /// Where it is from, for messages.
    pub(super) what: String,
    pub(super) set: Uuid,
    pub(super) epoch: u64,
    /// The migrations that it has: the first ones of the program's.
    pub(super) migrations: Vec<Migration>,
    pub(super) schema: Arc<Schema>,
    /// What a backup says that it holds.
    pub(super) sums: Option<Sums>,
    name: MasterName,
}

impl Snapshot {
    /// What a master holds now. Whether it holds every acknowledged write, the
    /// caller has to know: it has to serve, at [`Self::epoch`], when this
    /// returns.
    ///
    /// # Errors
    /// The master can't be read, was never used, or has tables of another
    /// program.
    pub async fn of_master(
        config: &Config,
        name: &MasterName,
        migrations: &[Migration],
    ) -> Result<Self> {
        let master = config.masters.iter().find(|master| master.name == *name);
        let Some(master) = master else {
            return Err(ArchiveError::Master {
                master: name.clone(),
                reason: "the configuration has no such master".to_owned(),
            });
        };
        let mut link = connect(config, master, IfAbsent::Refuse).await?;
        begin_read(&mut link).await.map_err(of_master(name))?;
        Self::of(link, format!("master `{name}`"), name.clone(), migrations).await
    }

    /// What a backup holds.
    ///
    /// # Errors
    /// The file is no whole backup, or a newer program made it.
    pub async fn of_backup(file: &Path, migrations: &[Migration]) -> Result<Self> {
        let (link, epoch, sums) = file::open(file).await?;
        let name = MasterName(file.display().to_string());
        let mut snapshot = Self::of(link, name.0.clone(), name, migrations).await.map_err(
            |error| match error {
                ArchiveError::Master { reason, .. } => file::not_whole(file, &reason),
                other => other,
            },
        )?;
        snapshot.sums = Some(sums);
        snapshot.epoch = epoch;
        Ok(snapshot)
    }

    async fn of(
        mut link: Link,
        what: String,
        name: MasterName,
        migrations: &[Migration],
    ) -> Result<Self> {
        let failed = of_master(&name);
        let identity = tables::who(&mut link).await.map_err(&failed)?;
        let Some(set) = identity.set else {
            return Err(failed(Fault::Lost("it was never used: it holds no store".to_owned())));
        };
        let migrations = match tables::migrated(&mut link, migrations).await.map_err(&failed)? {
            Migrated::All(count) => migrations[..count].to_vec(),
            Migrated::Otherwise(reason) => {
                return Err(ArchiveError::OtherProgram { what, reason });
            }
        };
        let schema = Schema::of(&migrations).map_err(|why| failed(Fault::Lost(why)))?;
        let (epoch, schema) = (identity.epoch, Arc::new(schema));
        Ok(Self { link, what, set, epoch, migrations, schema, sums: None, name })
    }

    /// The epoch at which its master was.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn failed(&self, fault: Fault) -> ArchiveError {
        if self.sums.is_some() {
            return file::not_whole(Path::new(&self.name.0), &why(fault));
        }
        of_master(&self.name)(fault)
    }
}

/// A connection to a master of a configuration.
pub(super) async fn connect(
    config: &Config,
    master: &MasterConfig,
    if_absent: IfAbsent,
) -> Result<Link> {
    let targets = store::targets(std::slice::from_ref(master))?;
    let link = match &targets[0] {
        Target::Sqlite(path) => {
            SqliteLink::open(path, if_absent, config.limits.statement).map(Link::Sqlite)
        }
        Target::MySql(opts) => {
            MySqlLink::connect(opts, &config.limits).await.map(|link| Link::MySql(Box::new(link)))
        }
    };
    link.map_err(of_master(&master.name))
}

/// From here on everything is of one moment.
async fn begin_read(link: &mut Link) -> std::result::Result<(), Fault> {
    match link {
        Link::Sqlite(link) => link.batch("begin")?,
        Link::MySql(link) => {
            link.be_patient().await?;
            link.begin_read();
        }
    }
    // The moment is that of the first read.
    tables::epoch(link).await.map(drop)
}
