//! `endpaper backup`.

use std::path::Path;

use indicatif::ProgressBar;
use multi_master::archive::{self, ArchiveProgress, Archived, Backup, Snapshot};
use multi_master::{MasterName, MasterState};

use super::masters::{open, running};
use super::{Talk, print, with_settings};
use crate::cli::MakeBackup;
use crate::config::Settings;
use crate::failure::{Failure, Result};
use crate::operator::status::Status;
use crate::store;

pub(crate) fn run(command: &MakeBackup) -> Result {
    let MakeBackup { store: flags, file, verify, json } = command;
    with_settings(&flags.flags(), Talk::Command, async |settings| {
        let bar = ProgressBar::new_spinner();
        if *verify {
            let found =
                archive::verify_backup(file, &store::migrations(), |p| show(&bar, &p)).await;
            bar.finish_and_clear();
            let found = found.map_err(Failure::new)?;
            print(&if *json { to_json(&found) } else { backup_text(&found) });
            return Ok(());
        }
        let made = back_up(&settings, file, &bar).await;
        bar.finish_and_clear();
        let (from, archived) = made?;
        print(&if *json {
            to_json(&archived)
        } else {
            format!("{} holds what {from} held: {}", file.display(), archived_text(&archived))
        });
        Ok(())
    })
}

/// Tries to find a moment in which a master serves before and after it.
const TRIES: u32 = 5;

/// A server that runs goes on: a master that serves is read, in one moment. Where
/// none runs, the store is opened, which settles what a crash left.
async fn back_up(
    settings: &Settings,
    file: &Path,
    bar: &ProgressBar,
) -> Result<(String, Archived)> {
    let Some((_, mut status)) = running(settings).await else {
        let store = open(settings).await?;
        let live = store.status().into_iter().find(|master| master.state == MasterState::Live);
        let made = match live {
            None => Err(Failure::new("no master serves")),
            Some(live) => {
                let snapshot = snapshot(settings, &live.name).await;
                match snapshot {
                    // Where several servers share the masters, others may have it open.
                    Ok(snapshot) if snapshot.epoch() != store.epoch() => {
                        Err(Failure::new("the masters changed meanwhile: run it again"))
                    }
                    Ok(snapshot) => write(snapshot, &live.name, file, bar).await,
                    Err(failure) => Err(failure),
                }
            }
        };
        store.close().await;
        return made;
    };
    for _ in 0..TRIES {
        // The last one: the primary has most to do.
        let Some(name) = live(&status).pop() else {
            return Err(Failure::new("no master is LIVE: `endpaper masters status` says why"));
        };
        let snapshot = snapshot(settings, &name).await?;
        // It held every acknowledged write if it serves, and did so without a
        // break since the snapshot was opened: each return is an epoch.
        status = match running(settings).await {
            Some((_, status)) => status,
            None => return Err(Failure::new("the server stopped meanwhile: run it again")),
        };
        if status.epoch == snapshot.epoch() && live(&status).contains(&name) {
            return write(snapshot, &name, file, bar).await;
        }
    }
    Err(Failure::new("the masters keep changing: `endpaper masters status` says why"))
}

fn live(status: &Status) -> Vec<MasterName> {
    let live =
        status.masters.iter().filter(|master| master.state == multi_master::MasterState::Live);
    live.map(|master| MasterName(master.name.clone())).collect()
}

async fn snapshot(settings: &Settings, name: &MasterName) -> Result<Snapshot> {
    let snapshot = Snapshot::of_master(&settings.store, name, &store::migrations()).await;
    snapshot.map_err(Failure::new)
}

async fn write(
    snapshot: Snapshot,
    name: &MasterName,
    file: &Path,
    bar: &ProgressBar,
) -> Result<(String, Archived)> {
    let archived = snapshot.back_up(file, |progress| show(bar, &progress)).await;
    Ok((name.to_string(), archived.map_err(Failure::new)?))
}

pub(super) fn show(bar: &ProgressBar, progress: &ArchiveProgress) {
    let ArchiveProgress { checking, table, rows, rows_expected } = progress;
    let what = if *checking { "compared" } else { "copied" };
    bar.set_message(format!("{rows} of about {rows_expected} rows {what}, {table}"));
    bar.tick();
}

/// What was put somewhere.
pub(super) fn archived_text(archived: &Archived) -> String {
    let Archived { rows, tables, altered } = archived;
    let text = format!("{tables} tables, {rows} rows, read back and compared");
    match altered {
        0 => text,
        _ => format!(
            "{text}; {altered} rows had been changed by hand: `endpaper masters verify` names them"
        ),
    }
}

fn backup_text(backup: &Backup) -> String {
    let made_at = jiff::Timestamp::from_microsecond(backup.made_at.0);
    let made_at = made_at.map(|at| format!("{at:.0}")).unwrap_or_default();
    let Backup { set, epoch, from, archived, .. } = backup;
    format!(
        "made at {made_at} of {from}, set {set}, epoch {epoch}: whole; {}",
        archived_text(archived)
    )
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("names and numbers are JSON")
}
