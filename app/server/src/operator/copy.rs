//! `/copy`: having a master filled from another, and telling how far that is.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use multi_master::{CopyPhase, CopyProgress, FillAnew, FillError, MasterName, MasterState};
use multi_master::{MasterStatus, MultiMaster};
use serde::{Deserialize, Serialize};

use super::{LINES_WAITING_MAX, Operator, ndjson};

/// What `/copy` is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskCopy {
    pub(crate) to: String,
    pub(crate) from: Option<String>,
    /// Also where it serves.
    pub(crate) yes: bool,
}

/// One line of the answer of `/copy`; the last is one of the last two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CopyLine {
    /// It is not there yet, or something else is done before it is filled.
    Waiting {
        state: String,
        reason: Option<String>,
    },
    Progress(CopyProgress),
    /// It serves. The rows that were copied.
    Live {
        rows: u64,
        from: Option<MasterName>,
    },
    Refused(String),
}

/// How often it is told how far it is.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// Has the master filled; whoever hangs up does not end it.
pub(super) async fn copy(
    State(operator): State<Operator>,
    Json(ask): Json<AskCopy>,
) -> impl IntoResponse {
    let (sender, lines) = tokio::sync::mpsc::channel(LINES_WAITING_MAX);
    tokio::spawn(async move {
        let tell = sender.clone();
        let last = tokio::select! {
            last = fill(&operator.store, ask, |line| drop(tell.try_send(line))) => last,
            () = sender.closed() => return,
        };
        drop(sender.send(last).await);
    });
    ndjson(lines)
}

/// Has a master filled, tells how far it is, and returns the last line.
pub(crate) async fn fill(
    store: &MultiMaster,
    ask: AskCopy,
    mut tell: impl FnMut(CopyLine),
) -> CopyLine {
    let to = MasterName(ask.to);
    let filled = store.fill_anew(FillAnew {
        to: to.clone(),
        from: ask.from.map(MasterName),
        although_it_serves: ask.yes,
        why: "somebody asked for it".to_owned(),
    });
    match filled.await {
        Ok(()) => {}
        Err(error @ FillError::Serves(_)) => {
            return CopyLine::Refused(format!("{error}. `--yes` says that this is wanted"));
        }
        Err(error) => return CopyLine::Refused(error.to_string()),
    }
    let is_live = |masters: &[MasterStatus]| {
        masters.iter().any(|master| master.name == to && master.state == MasterState::Live)
    };
    let filling = || store.copies().into_iter().find(|copy| copy.to == to);
    loop {
        let live = tokio::time::timeout(TOLD_EVERY, store.wait_until(is_live)).await.is_ok();
        if live {
            let done = filling().filter(|copy| copy.phase == CopyPhase::Done);
            let (rows, from) = done.map_or((0, None), |copy| (copy.rows, Some(copy.from)));
            return CopyLine::Live { rows, from };
        }
        if let Some(copy) = filling().filter(|copy| copy.phase.is_running()) {
            tell(CopyLine::Progress(copy));
            continue;
        }
        let Some(master) = store.status().into_iter().find(|master| master.name == to) else {
            return CopyLine::Refused(format!("there is no master `{to}` any more"));
        };
        let state = format!("{:?}", master.state).to_uppercase();
        tell(CopyLine::Waiting { state, reason: master.reason });
    }
}
