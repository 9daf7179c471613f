//! The one store under all domains.

use std::time::Duration;

use multi_master::{Db, DbError, Migration, MultiMaster, OpenError};

use crate::config::Settings;
use crate::failure::{Failure, Result};

/// Opens the store of the settings, with the tables of every domain; makes the
/// data directory where it is missing.
pub(crate) async fn open(settings: &Settings) -> Result<MultiMaster> {
    let data = &settings.data;
    std::fs::create_dir_all(data).map_err(|error| {
        Failure::new(format!("can't make the data directory {}: {error}", data.display()))
    })?;
    Ok(open_existing(settings).await?)
}

/// As [`open`], where the data directory is there already.
pub(crate) async fn open_existing(
    settings: &Settings,
) -> std::result::Result<MultiMaster, OpenError> {
    MultiMaster::open(settings.store.clone(), &migrations()).await
}

/// Every domain's migrations. Their names begin with the domain's, so one list
/// never collides with another.
fn migrations() -> Vec<Migration> {
    [endpaper_accounts::MIGRATIONS, endpaper_reading::MIGRATIONS].concat()
}

/// How long a read may take before the store counts as not serving. Below the
/// 3 s that clients wait for an answer about health.
const SERVES_WITHIN: Duration = Duration::from_secs(2);

/// Whether a read is served now.
pub(crate) async fn serves_reads(store: &MultiMaster) -> bool {
    let read = store.read(async |db: &mut Db| db.query("select 1", Vec::new()).await);
    matches!(tokio::time::timeout(SERVES_WITHIN, read).await, Ok(Ok::<_, DbError>(_)))
}
