//! `endpaper masters copy` and `endpaper masters move`.

use std::ops::ControlFlow;
use std::path::Path;

use indicatif::ProgressBar;
use multi_master::archive;

use super::masters::{open, running};
use super::queue::Server;
use super::{Talk, asking, print, with_settings};
use crate::cli::{CopyMaster, MoveStore};
use crate::commands::backup;
use crate::config::{Flags, Resolved, Settings};
use crate::failure::{Failure, Result};
use crate::operator::{AskCopy, CopyLine, fill};
use crate::store;

/// `endpaper masters copy`.
pub(crate) fn run(command: &CopyMaster) -> Result {
    let CopyMaster { store, to, from, yes, json } = command;
    let ask = AskCopy { to: to.clone(), from: from.clone(), yes: *yes };
    with_settings(&store.flags(), Talk::Command, async |settings| {
        let last = copy(&settings, ask).await?;
        match &last {
            CopyLine::Refused(why) => Err(Failure::new(why)),
            _ if *json => {
                print(&serde_json::to_string(&last).expect("names and numbers are JSON"));
                Ok(())
            }
            CopyLine::Live { rows, from: Some(from) } => {
                print(&format!("{to} is LIVE: it was filled from {from}, {rows} rows"));
                Ok(())
            }
            _ => {
                print(&format!("{to} is LIVE"));
                Ok(())
            }
        }
    })
}

async fn copy(settings: &Settings, ask: AskCopy) -> Result<CopyLine> {
    let mut shown = Shown { bar: ProgressBar::new_spinner(), said: String::new() };
    let to = ask.to.clone();
    let last =
        if let Some((operator, _)) = running(settings).await {
            asking::lines(&Server::at(settings, operator)?, "/copy", &ask, |line: CopyLine| {
                match line {
                    CopyLine::Waiting { .. } | CopyLine::Progress(_) => {
                        shown.show(&to, &line);
                        ControlFlow::Continue(())
                    }
                    last => ControlFlow::Break(last),
                }
            })
            .await
        } else {
            let store = open(settings).await?;
            let last = fill(&store, ask, |line| shown.show(&to, &line)).await;
            store.close().await;
            Ok(last)
        };
    shown.bar.finish_and_clear();
    last
}

/// What is on the screen.
struct Shown {
    bar: ProgressBar,
    said: String,
}

impl Shown {
    fn show(&mut self, to: &str, line: &CopyLine) {
        match line {
            CopyLine::Progress(copy) => self.bar.set_message(copy_text(copy)),
            CopyLine::Waiting { state, reason } => {
                let reason = reason.as_deref().unwrap_or("it is being tried");
                let text = format!("{to} is {state}: {reason}");
                // It may take until somebody has started the new server.
                if self.bar.is_hidden() && self.said != text {
                    eprintln!("{text}");
                }
                self.said.clone_from(&text);
                self.bar.set_message(text);
            }
            CopyLine::Live { .. } | CopyLine::Refused(_) => {}
        }
        self.bar.tick();
    }
}

/// `memos, 12000 of about 30000 rows from a, 15000 rows/s`
pub(super) fn copy_text(copy: &multi_master::CopyProgress) -> String {
    use multi_master::CopyPhase::{Copying, Done, Emptying, Interrupted, Settling};
    let phase = match &copy.phase {
        Emptying => return "it is emptied".to_owned(),
        Copying(table) => table,
        Settling => "what was changed meanwhile",
        Done => "done",
        Interrupted => "interrupted, and taken up when it is tried again",
    };
    format!(
        "{phase}, {} of about {} rows from {}, {} rows/s",
        copy.rows,
        copy.rows_expected.max(copy.rows),
        copy.from,
        copy.rows_per_second
    )
}

/// `endpaper masters move`.
pub(crate) fn run_move(command: &MoveStore) -> Result {
    with_settings(&command.store.flags(), Talk::Command, async |settings| {
        move_store(&settings, &command.into).await
    })
}

async fn move_store(from: &Settings, file: &Path) -> Result {
    let flags = Flags { config: Some(file.to_owned()), values: Vec::new() };
    let into = Settings::of(&Resolved::load(&flags)?);
    if from.store.masters == into.store.masters {
        return Err(Failure::new(format!(
            "{} names the same masters as the configuration of now (is ENDPAPER_MASTERS set?)",
            file.display()
        )));
    }
    store::must_exist(from)?;
    store::make_directory(&into.data)?;
    let bar = ProgressBar::new_spinner();
    let moved = archive::move_store(&from.store, &into.store, &store::migrations(), |progress| {
        backup::show(&bar, &progress);
    })
    .await;
    bar.finish_and_clear();
    let moved = moved.map_err(Failure::new)?;
    let names: Vec<&str> = into.store.masters.iter().map(|master| master.name.0.as_str()).collect();
    print(&format!(
        "moved to {}: {}. Serve it with: endpaper serve --config {}. The old masters are as they \
         were; nothing writes to them any more",
        names.join(", "),
        backup::archived_text(&moved),
        file.display()
    ));
    Ok(())
}
