//! What an input leads to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stdx::UnixMicros;

use super::Session;
use crate::merge::Why;
use crate::model::{Fields, OperationId, RecordId, RecordKey, Version};
use crate::queue::{Failure, Known, Queued};
use crate::wire::{Pull, Push};

/// What an input leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Written down first, all of it or nothing.
    pub persist: Vec<Persist>,
    /// Then done, in this order.
    pub effects: Vec<Effect>,
    /// When the engine wants [`Input::Wake`](super::Input::Wake); nothing where it waits for something
    /// else. It takes the place of what was asked for before.
    pub wake: Option<UnixMicros>,
}

/// What is stored of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// What the server said last.
    pub known: Option<Known>,
    /// What the person sees; nothing where it is deleted.
    pub shown: Option<Fields>,
}

/// What became of an operation, for the log of the last 1,000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// Which one.
    pub operation: OperationId,
    /// Of which record.
    pub key: RecordKey,
    /// `create`, `update` or `delete`.
    pub kind: Kind,
    /// What became of it.
    pub end: End,
    /// When it was queued.
    pub queued: UnixMicros,
    /// When it was settled.
    pub settled: UnixMicros,
}

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It made a record.
    Create,
    /// It set fields.
    Update,
    /// It deleted a record.
    Delete,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It is on the server as it was made.
    Applied,
    /// It is on the server, merged with what others did.
    Merged,
    /// It is kept as a revision of a record that is deleted.
    Kept,
    /// It was refused, and needs attention.
    Refused,
    /// The person discarded it.
    Discarded,
}

/// One thing that is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persist {
    /// The session, in the place of the one before.
    Session(Box<Session>),
    /// A record, in the place of what was stored of it.
    Record(RecordKey, Saved),
    /// Nothing is left of a record.
    RecordGone(RecordKey),
    /// An operation, in the place of what was stored of it.
    Operation(Arc<Queued>),
    /// It is settled, or was discarded.
    OperationGone(OperationId),
    /// An entry of the log, under its number; the one with the number [`LOG_MAX`](super::LOG_MAX)
    /// before it is no longer kept.
    Log(u64, Box<Logged>),
    /// Records of which the server said something in an older generation only, and
    /// that have no operation, are gone.
    Forget {
        /// The generation that counts.
        older_than: u32,
    },
}

/// Which request an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the server whether it is well: [`Input::Health`](super::Input::Health).
    AskHealth(RequestId),
    /// Ask the server for what it needs from outside: [`Input::Source`](super::Input::Source).
    AskSource(RequestId),
    /// Send operations: [`Input::Pushed`](super::Input::Pushed).
    Push(RequestId, Box<Push>),
    /// Ask for changes: [`Input::Pulled`](super::Input::Pulled).
    Pull(RequestId, Pull),
    /// Listen for changes: [`Input::Live`](super::Input::Live), [`Input::LiveEnded`](super::Input::LiveEnded).
    Listen,
    /// The server was put back: read what it said of records in versions after this one,
    /// deletions included, and say it at once: [`Input::Recalled`](super::Input::Recalled).
    Recall(Version),
    /// Tell whoever shows it.
    Tell(Notice),
}

/// What observers are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// What is shown of a record, or how it stands, has changed.
    Record(RecordKey),
    /// An edit was kept as a revision.
    Kept {
        /// Of which record.
        key: RecordKey,
        /// The revision.
        revision: RecordId,
        /// Why.
        why: Why,
    },
    /// The server refused an edit: it needs attention.
    Refused {
        /// Of which record.
        key: RecordKey,
        /// Why.
        failure: Failure,
    },
    /// The account has to log in again; nothing is lost.
    LogIn,
    /// The server takes nothing of this device, and why; nothing is lost.
    Stopped(Failure),
    /// The server was put back from a backup: so many records may not be there any more.
    /// They are compared, and sent again where they are not.
    PutBack(usize),
    /// How everything stands has changed: [`Engine::status`](super::Engine::status).
    Status,
}
