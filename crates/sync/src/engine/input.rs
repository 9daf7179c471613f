//! What an engine is told, and what can be asked of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::UnixMicros;

use super::RequestId;
use crate::model::{Fields, RecordKey, Version};
use crate::queue::{Failure, Known};
use crate::watch::{Source, Watch};
use crate::wire::{PullAnswer, PushAnswer};

/// A pause that ends so soon is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The time that was asked for has come.
    Wake,
    /// The device has a network.
    Online,
    /// It has none.
    Offline,
    /// Whether the server is well; an answer that is not its own is no yes.
    Health(RequestId, bool),
    /// Whether what the server needs from outside is there, as far as it says.
    Source(RequestId, bool),
    /// Operations were sent.
    Pushed(RequestId, Result<PushAnswer, Trouble>),
    /// Changes were asked for.
    Pulled(RequestId, Result<PullAnswer, Trouble>),
    /// The server says that there are changes, up to this one.
    Live(Version),
    /// It does not talk any more.
    LiveEnded,
    /// What the server had said, as [`Effect::Recall`](super::Effect::Recall) asks.
    Recalled(Vec<(RecordKey, Known)>),
    /// The account has logged in again.
    LoggedIn,
    /// The person wants everything sent now.
    SyncNow,
}

/// Why a request has no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answered, or not in time, or not our server.
    Unreachable,
    /// The server asks to come later: 429, 503; or it failed, without a time: 500.
    Later(Option<Duration>),
    /// 401.
    LogIn,
    /// The server no longer keeps what came after the cursor: 410.
    Expired,
    /// The request as a whole is not taken, because of what is in it: repeating it
    /// does not help. 400, 413, 422.
    Rejected(Failure),
    /// Nothing of this device is taken, whatever is in it, until somebody does
    /// something: another account is logged in, the program is too old, the account has
    /// too many devices. It is tried again now and then.
    Stopped(Failure),
}

/// An edit by the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Makes a record, or one that was deleted anew.
    Create(Fields),
    /// Sets some of its fields.
    Update(Fields),
    /// Deletes it.
    Delete,
}

/// Why an edit was not taken. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such table, or it has no such field.
    #[error("the table `{table}` has no field `{field}`")]
    NoSuchField {
        /// The table.
        table: String,
        /// The field, or nothing where there is no table.
        field: String,
    },
    /// Only the server sets it.
    #[error("`{field}` of the table `{table}` is set by the server alone")]
    ServerOwns {
        /// The table.
        table: String,
        /// The field.
        field: String,
    },
    /// It is there already.
    #[error("{0} is there already: change it instead")]
    AlreadyThere(RecordKey),
    /// It is not there.
    #[error("{0} is not there: it was deleted, or never made")]
    NotThere(RecordKey),
    /// The edit is too large.
    #[error("an edit of {bytes} bytes is larger than can be sent ({max}): make it shorter")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most.
        max: usize,
    },
    /// Too much waits to be sent.
    #[error("{0} edits wait to be sent, and no more can be taken: connect to the network")]
    QueueFull(usize),
    /// Something waits for too long.
    #[error(
        "edits wait to be sent for more than {0} days, and no more are taken: connect to the network"
    )]
    QueueTooOld(u64),
}

/// How everything stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether the server can be reached.
    pub watch: Watch,
    /// Whether what it needs from outside is there: nothing waits for that.
    pub source: Source,
    /// Operations that are not settled.
    pub queued: usize,
    /// Of them, those that are to be sent, one of each record.
    pub to_send: usize,
    /// Of those, the ones that are being sent.
    pub syncing: usize,
    /// Of them, those that need attention.
    pub failed: usize,
    /// Of them, those that wait for another one of their record, or for what they refer
    /// to.
    pub waiting: usize,
    /// Of them, those that the server has left out so far, though it took others, or was
    /// well: they are tried again, after the others.
    pub passed_over: usize,
    /// Since nothing was to be sent, whichever process did it: how many were settled, and of
    /// how many; without those that need attention.
    pub progress: (u64, u64),
    /// When the server last settled or told something.
    pub last_success: Option<UnixMicros>,
    /// There may be changes on the server that this device has not.
    pub behind: bool,
    /// A push or a pull has no answer yet.
    pub asking: bool,
    /// The account has to log in again.
    pub logged_out: bool,
    /// Why the server takes nothing of this device.
    pub stopped: Option<Failure>,
    /// Until when nothing is sent, after a failure.
    pub retry: Option<UnixMicros>,
    /// Operations that the server has taken since this engine began.
    pub sent: u64,
    /// Changes that were pulled since then.
    pub received: u64,
    /// While everything is pulled anew: how far it is, and up to where;
    /// [`Version::NONE`] before the first answer.
    pub pulling: Option<(Version, Version)>,
}

/// How it stands when a sync has done what it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// The server has every edit that it takes, and the device has every change.
    Done,
    /// The server can't be reached.
    Unreachable,
    /// It asks to come later, or could not be understood.
    Later(UnixMicros),
    /// The account has to log in again.
    LogIn,
    /// The server takes nothing of this device.
    Stopped(Failure),
}

impl Status {
    /// What came of a sync, where it is over.
    #[must_use]
    pub fn came_to(&self, now: UnixMicros) -> Option<Synced> {
        if self.logged_out {
            return Some(Synced::LogIn);
        }
        match self.watch {
            Watch::Offline | Watch::Waiting { .. } => return Some(Synced::Unreachable),
            Watch::Settling { .. } | Watch::Asking { .. } | Watch::Online => {}
        }
        match (&self.stopped, self.retry) {
            (Some(failure), Some(_)) => (!self.asking).then(|| Synced::Stopped(failure.clone())),
            (None, Some(until)) => (until.since(now) > PATIENCE).then_some(Synced::Later(until)),
            (_, None) if self.watch == Watch::Online && self.to_send == 0 && !self.behind => {
                Some(Synced::Done)
            }
            (_, None) => None,
        }
    }
}
