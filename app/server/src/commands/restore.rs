//! `endpaper restore`.

use indicatif::ProgressBar;
use multi_master::archive::{self, Snapshot};

use super::backup::{archived_text, show};
use super::{Talk, print, with_settings};
use crate::cli::Restore;
use crate::failure::{Failure, Result};
use crate::store;

pub(crate) fn run(command: &Restore) -> Result {
    let Restore { store: flags, file, json } = command;
    with_settings(&flags.flags(), Talk::Command, async |settings| {
        // A file that is no backup makes no directory.
        let backup = Snapshot::of_backup(file, &store::migrations()).await.map_err(Failure::new)?;
        store::make_directory(&settings.data)?;
        let bar = ProgressBar::new_spinner();
        let restored =
            archive::restore(backup, &settings.store, |progress| show(&bar, &progress)).await;
        bar.finish_and_clear();
        let restored = restored.map_err(Failure::new)?;
        print(&if *json {
            serde_json::to_string(&restored).expect("numbers are JSON")
        } else {
            let names: Vec<&str> =
                settings.store.masters.iter().map(|master| master.name.0.as_str()).collect();
            format!("restored onto {}: {}", names.join(", "), archived_text(&restored))
        });
        Ok(())
    })
}
