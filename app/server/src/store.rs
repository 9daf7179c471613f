//! The one store under all domains.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use multi_master::{Migration, MultiMaster, OpenError, WitnessConfig};

use crate::config::Settings;
use crate::failure::{Failure, Result};

/// Opens the store of the settings, with the tables of every domain; makes the
/// data directory where it is missing.
pub(crate) async fn open(settings: &Settings) -> Result<MultiMaster> {
    make_directory(&settings.data)?;
    Ok(open_existing(settings).await?)
}

/// As [`open`], for commands that have nothing to do in a new store.
pub(crate) async fn open_to_change(settings: &Settings) -> Result<MultiMaster> {
    must_exist(settings)?;
    open(settings).await
}

/// Fails where there is no store yet: what is asked of one must not make it.
pub(crate) fn must_exist(settings: &Settings) -> Result {
    let WitnessConfig::File(witness) = &settings.store.witness else { return Ok(()) };
    if witness.exists() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "there is no store: {} is missing; `endpaper serve` makes it",
        witness.display()
    )))
}

/// Where the witness is, in one way of writing: it says which store this is.
pub(crate) fn witness(settings: &Settings) -> String {
    match &settings.store.witness {
        WitnessConfig::File(path) => {
            let path = path.canonicalize().or_else(|_| std::path::absolute(path));
            path.map_or_else(|_| settings.store.witness.to_string(), |p| p.display().to_string())
        }
        shared => shared.to_string(),
    }
}

/// The databases hold the seeds of signing keys and the hashes of passwords, so
/// a new directory is for its user alone.
const OWNER_ONLY: u32 = 0o700;
/// What everybody else may do in a directory.
const OTHERS: u32 = 0o077;

pub(crate) fn make_directory(data: &Path) -> Result {
    let shown = data.display();
    match std::fs::metadata(data) {
        Ok(found) if !found.is_dir() => {
            return Err(Failure::new(format!(
                "the data directory {shown} is a file, not a directory"
            )));
        }
        Ok(found) => {
            let mode = found.permissions().mode() & 0o777;
            if mode & OTHERS != 0 {
                tracing::warn!(
                    "the data directory {shown} is open to others (mode {mode:o}), and it has the keys that sign access tokens; close it with: chmod 700 {shown}"
                );
            }
            return Ok(());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Failure::new(format!("can't use the data directory {shown}: {error}")));
        }
    }
    let made = DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(data);
    made.map_err(|error| Failure::new(format!("can't make the data directory {shown}: {error}")))
}

/// As [`open`], where the data directory is there already.
pub(crate) async fn open_existing(
    settings: &Settings,
) -> std::result::Result<MultiMaster, OpenError> {
    MultiMaster::open(settings.store.clone(), &migrations()).await
}

/// Every domain's migrations, and those of locks. Their names begin with the domain's, so one list
/// never collides with another.
pub(crate) fn migrations() -> Vec<Migration> {
    [
        endpaper_accounts::MIGRATIONS,
        endpaper_reading::MIGRATIONS,
        endpaper_shop::MIGRATIONS,
        lock::MIGRATIONS,
    ]
    .concat()
}
