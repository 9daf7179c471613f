//! `endpaper masters status`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use multi_master::OpenError;

use super::{Talk, print, with_settings};
use crate::cli::MastersCommand;
use crate::config::Settings;
use crate::failure::{Failure, Result};
use crate::operator::Status;
use crate::store;

pub(crate) fn run(command: &MastersCommand) -> Result {
    let MastersCommand::Status { store, json } = command;
    let json = *json;
    with_settings(&store.flags(), Talk::Command, async move |settings| {
        let status = status(&settings).await?;
        print(&if json { to_json(&status) } else { to_table(&status) });
        Ok(())
    })
}

/// A server that runs holds the store, so it is asked first; where none runs,
/// the store is opened for a moment.
async fn status(settings: &Settings) -> Result<Status> {
    let witness = &settings.store.witness;
    if let Some(operator) = settings.operator.listen
        && let Some(status) = ask(operator).await
        && is_same(&status.witness, witness)
    {
        return Ok(status);
    }
    // Asking how a store stands must not make one.
    store::must_exist(settings)?;
    match store::open_existing(settings).await {
        Ok(store) => {
            let status = Status::of(witness.clone(), &store.status());
            store.close().await;
            Ok(status)
        }
        Err(OpenError::InUse(_)) => Err(Failure::new(format!(
            "a server uses {}, and it can't be asked: give the `operator.listen` that it has",
            witness.display()
        ))),
        Err(error) => Err(error.into()),
    }
}

/// A server on this machine answers at once or not at all.
const ASKED_WITHIN: Duration = Duration::from_secs(2);

async fn ask(operator: SocketAddr) -> Option<Status> {
    let client = reqwest::Client::builder().timeout(ASKED_WITHIN).no_proxy().build().ok()?;
    let answer = client.get(format!("http://{operator}/status")).send().await.ok()?;
    serde_json::from_slice(&answer.bytes().await.ok()?).ok()
}

/// Whether two paths, perhaps of two working directories, are one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let canonical = |path: &Path| path.canonicalize().ok();
    canonical(one).is_some_and(|one| Some(one) == canonical(other))
}

fn to_json(status: &Status) -> String {
    serde_json::to_string(status).expect("names and states are JSON")
}

fn to_table(status: &Status) -> String {
    let width = status.masters.iter().map(|master| master.name.chars().count()).max().unwrap_or(0);
    let lines = status.masters.iter().map(|master| {
        let reason = master.reason.as_deref().unwrap_or_default();
        format!("{:width$}  {:6}  {reason}", master.name, master.state).trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}
