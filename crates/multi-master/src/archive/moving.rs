//! A store made of a backup, and a store moved to other masters.

use std::path::{Path, PathBuf};

use stdx::{Clock, IdSource, Random};

use super::error::{ArchiveError, Result, on_disk};
use super::snapshot::Snapshot;
use super::target::Targets;
use super::{ArchiveProgress, Archived};
use crate::config::{Config, WitnessConfig};
use crate::error::OpenError;
use crate::membership::MasterState;
use crate::schema::Migration;
use crate::store::{MultiMaster, place_of};
use crate::witness::{Testimony, Unsaid, Witness};

/// Makes a store of a backup, or of what a master holds. Every master has to be
/// there and empty, and there must be no witness yet. The store is a set of its
/// own, an epoch later.
///
/// # Errors
/// [`ArchiveError`]; what was being filled serves nothing, and the next attempt
/// takes it away.
pub async fn restore(
    mut snapshot: Snapshot,
    into: &Config,
    mut progress: impl FnMut(ArchiveProgress),
) -> Result<Archived> {
    let witness = hold_new(&into.witness)?;
    let mut targets = Targets::open(into).await?;
    let archived = targets.fill(&mut snapshot, &mut progress).await?;
    let testimony = targets.finish(snapshot.epoch + 1).await?;
    say(witness, testimony).await?;
    Ok(archived)
}

/// Puts everything of the store `from` into the masters of `into`, of whichever
/// kind, which have to be there and empty. No process may have the store open.
/// Its masters stay as they are; where both configurations name one witness, the
/// old one is put aside, as `….before-move`.
///
/// # Errors
/// As of [`restore`]; the store `from` is as it was.
pub async fn move_store(
    from: &Config,
    into: &Config,
    migrations: &[Migration],
    mut progress: impl FnMut(ArchiveProgress),
) -> Result<Archived> {
    let WitnessConfig::File(old) = &from.witness else {
        let why = "several processes may have this store open, so it can't be moved as it is: stop \
                   all of them, make a backup, and restore that into the new masters";
        return Err(ArchiveError::Open(OpenError::Config(why.to_owned())));
    };
    let same_witness = match &into.witness {
        WitnessConfig::File(new) => place_of(old) == place_of(new),
        WitnessConfig::Server { .. } | WitnessConfig::Redis { .. } => false,
    };
    // Held to the end: nobody writes to what is being copied.
    let store = MultiMaster::open(from.clone(), migrations).await?;
    let moved = async {
        let witness = if same_witness { None } else { hold_new(&into.witness)? };
        let mut targets = Targets::open(into).await?;
        let live = store.status().into_iter().find(|master| master.state == MasterState::Live);
        let Some(live) = live else {
            let none = OpenError::NoMaster("no master serves".to_owned());
            return Err(ArchiveError::Open(none));
        };
        let mut snapshot = Snapshot::of_master(from, &live.name, migrations).await?;
        let archived = targets.fill(&mut snapshot, &mut progress).await?;
        Ok((witness, targets, snapshot.epoch + 1, archived))
    };
    let moved = moved.await;
    store.close().await;
    drop(store);
    let (witness, targets, epoch, archived) = moved?;
    let witness = if same_witness {
        // Between here and the end a start finds no witness: of the old masters,
        // or of the new ones as far as they are finished, all have to answer, and
        // it is made anew from them.
        put_aside(old)?;
        hold_new(&into.witness)?
    } else {
        witness
    };
    let testimony = targets.finish(epoch).await?;
    say(witness, testimony).await?;
    Ok(archived)
}

/// `None` of one that several processes share: who opens the store first, while
/// every master can be reached, makes it of them.
fn hold_new(witness: &WitnessConfig) -> Result<Option<Witness>> {
    let WitnessConfig::File(path) = witness else { return Ok(None) };
    let process = IdSource::new(Clock::real(), Random::secret()).next_uuid();
    let witness = Witness::hold(witness, process)?;
    if witness.known().is_some() {
        return Err(ArchiveError::StoreExists(path.clone()));
    }
    Ok(Some(witness))
}

fn put_aside(path: &Path) -> Result<()> {
    let aside = PathBuf::from(format!("{}.before-move", path.display()));
    std::fs::rename(path, aside).map_err(on_disk(path))
}

async fn say(witness: Option<Witness>, testimony: Testimony) -> Result<()> {
    let Some(mut witness) = witness else { return Ok(()) };
    let place = PathBuf::from(witness.place());
    witness.say(testimony).await.map_err(|unsaid| match unsaid {
        Unsaid::Silent(reason) => ArchiveError::Disk { path: place, reason },
        Unsaid::Moved(_) => ArchiveError::StoreExists(place),
    })
}
