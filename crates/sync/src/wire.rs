//! The protocol, version 1: what a device and the server say to each other.
//!
//! *Push*: the device sends operations in the order in which it wants them settled;
//! the answer names what became of each. A device that got no answer sends the same
//! again, unchanged: what was settled is not settled twice, and is answered as the
//! first time. *Pull*: the device asks for what changed after its cursor, until there
//! is no more. A device whose cursor is older than what the server keeps starts anew
//! from 0, and drops what it was not told again.
//!
//! *A server that was put back* from a backup has lost what devices were told since. It
//! says so by the id of its change log, and up to which version the device's log was the
//! same. The device sends what it was told after that once more, as far as it is not there
//! when it has pulled everything anew.
//!
//! ```
//! use sync::wire::Push;
//!
//! let push: Push = serde_json::from_str(r#"{
//!     "protocol": 1,
//!     "account": "0190163d-8694-739b-aea5-966c26f8ad90",
//!     "device": "0190163d-8694-739b-aea5-966c26f8ad91",
//!     "now": 1700000000000000,
//!     "settled": 6,
//!     "operations": [{
//!         "id": "0190163d-8694-739b-aea5-966c26f8ad92",
//!         "sequence": 7,
//!         "key": {"table": "memos", "id": "0190163d-8694-739b-aea5-966c26f8ad93"},
//!         "action": {"kind": "create", "fields": {"content": "첫 문장부터 좋다", "page": 12}},
//!         "base": 0,
//!         "written": 1699999990000000,
//!         "at": 1700000000000000,
//!         "after": 0,
//!         "schema": 1
//!     }]
//! }"#).unwrap();
//! assert_eq!(push.operations[0].key.to_string(), "memos/0190163d-8694-739b-aea5-966c26f8ad93");
//! ```
//!
//! `schema` is the version of the tables that the program knows which made the operation. A
//! server that knows only older ones takes nothing of it; one that knows newer ones gives
//! what was renamed since its new name.
//!
//! What became of operations. `applied`: the record is as the operation says. `merged`: it
//! is another, as somebody else changed it too, or as the server has it under newer names or
//! with its texts composed; this is all of it. `kept`: it was deleted, and the edit is a
//! revision. `refused`: nothing was done, and repeating it would not help.
//!
//! ```
//! use sync::wire::PushAnswer;
//!
//! let answer: PushAnswer = serde_json::from_str(r#"{
//!     "now": 111411200000000,
//!     "head": 44,
//!     "sequence": 10,
//!     "log": "0190163d-8694-739b-aea5-966c26f8ad9f",
//!     "answers": [
//!         {"operation": "0190163d-8694-739b-aea5-966c26f8ad92",
//!          "outcome": "applied", "version": 42},
//!         {"operation": "0190163d-8694-739b-aea5-966c26f8ad94",
//!          "outcome": "merged", "version": 43, "fields": {"content": "첫 문장", "page": 12},
//!          "revision": "0190163d-8694-739b-aea5-966c26f8ad94"},
//!         {"operation": "0190163d-8694-739b-aea5-966c26f8ad95",
//!          "outcome": "kept", "version": 40,
//!          "revision": "0190163d-8694-739b-aea5-966c26f8ad95"},
//!         {"operation": "0190163d-8694-739b-aea5-966c26f8ad96",
//!          "outcome": "refused", "code": "PAGE", "message": "a page is 1 or more"}
//!     ]
//! }"#).unwrap();
//! assert_eq!((answer.answers.len(), answer.common), (4, None));
//! ```
//!
//! A pull, and its answer: a record that holds nothing was deleted. Over HTTP the members
//! of the pull are the query of the request.
//!
//! ```
//! use sync::wire::{Pull, PullAnswer};
//!
//! let pull: Pull = serde_json::from_str(r#"{
//!     "protocol": 1,
//!     "account": "0190163d-8694-739b-aea5-966c26f8ad90",
//!     "device": "0190163d-8694-739b-aea5-966c26f8ad91",
//!     "log": "0190163d-8694-739b-aea5-966c26f8ad9f",
//!     "cursor": 41,
//!     "limit": 500
//! }"#).unwrap();
//! let answer: PullAnswer = serde_json::from_str(r#"{
//!     "now": 111411200000000,
//!     "log": "0190163d-8694-739b-aea5-966c26f8ad9f",
//!     "changes": [
//!         {"version": 42, "fields": {"content": "첫 문장부터 좋다", "page": 12},
//!          "key": {"table": "memos", "id": "0190163d-8694-739b-aea5-966c26f8ad93"}},
//!         {"version": 44, "fields": null,
//!          "key": {"table": "memos", "id": "0190163d-8694-739b-aea5-966c26f8ad97"}}
//!     ],
//!     "cursor": 44,
//!     "more": false,
//!     "head": 44
//! }"#).unwrap();
//! assert!(answer.cursor > pull.cursor && answer.changes[1].fields.is_none());
//! ```
//!
//! The server was put back, and had 40 changes in common with the device's log: nothing
//! was told, or settled.
//!
//! ```
//! use sync::{model::Version, wire::PullAnswer};
//!
//! let answer: PullAnswer = serde_json::from_str(r#"{
//!     "now": 111411200000000,
//!     "log": "0190163d-8694-739b-aea5-966c26f8adaf",
//!     "common": 40,
//!     "changes": [],
//!     "cursor": 41,
//!     "more": false,
//!     "head": 57
//! }"#).unwrap();
//! assert_eq!(answer.common, Some(Version(40)));
//! ```
//!
//! Over HTTP an answer stands in `{"ok":true,"data":…}`; what is no answer says why, and
//! [`http`](crate::http) has what a device makes of each status:
//!
//! ```json
//! {"ok": false, "error": {"code": "SYNC_CURSOR_EXPIRED", "message": "…", "retryable": false}}
//! ```
//!
//! *Live* is a stream of server-sent events, each with the last change of the account; a
//! device that has not heard of it pulls. Lines that begin with `:` keep the stream open.
//!
//! ```text
//! : hello
//!
//! event: head
//! data: 44
//! ```

use serde::{Deserialize, Serialize};
use stdx::{HybridTime, UnixMicros};

use crate::merge::Outcome;
use crate::model::{AccountId, DeviceId, Fields, LogId, OperationId, RecordKey, Version};
use crate::operation::Operation;

/// The version of this protocol.
pub const PROTOCOL: u32 = 1;
/// The code by which a server says that it does not speak the device's version.
pub const UNSUPPORTED: &str = "SYNC_PROTOCOL_UNSUPPORTED";

/// Operations of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Whose they are: the server refuses them where it is somebody else who sends
    /// them.
    pub account: AccountId,
    /// Where they were made.
    pub device: DeviceId,
    /// The change log whose versions the operations name; none before the device knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogId>,
    /// What the device's clock shows now.
    pub now: UnixMicros,
    /// The device knows what became of every operation up to this sequence. The
    /// server may forget what became of them, and remembers this number: an operation
    /// up to it is not settled any more (see [`crate::inbox`]).
    pub settled: u64,
    /// In the order in which they are settled.
    pub operations: Vec<Operation>,
}

/// What became of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAnswer {
    /// The server's time.
    pub now: HybridTime,
    /// For each operation that was settled; the others are to be sent again.
    pub answers: Vec<Answer>,
    /// The last change of the account.
    pub head: Version,
    /// The greatest sequence that the server has seen of this device: the device
    /// counts on from there, also where its store was restored from a backup. An answer
    /// that leaves none up to [`SEQUENCE_MAX`](crate::operation::SEQUENCE_MAX) is none.
    pub sequence: u64,
    /// The change log of the versions.
    pub log: LogId,
    /// The device's log has ended, or has changes that the server's has not: up to here
    /// both are the same. Nothing was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<Version>,
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which one.
    pub operation: OperationId,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Asks for changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Whose changes: the server refuses to tell them to somebody else.
    pub account: AccountId,
    /// Who asks.
    pub device: DeviceId,
    /// The change log of the cursor; none before the device knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogId>,
    /// After this change. Where the server has forgotten a deletion that came after
    /// it, the device has to begin anew.
    pub cursor: Version,
    /// Where everything is pulled anew, from 0 on: the head when that began, as the
    /// first answer said, and 0 before that. Deletions that were forgotten before then
    /// are no matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew: Option<Version>,
    /// At most so many.
    pub limit: u32,
}

/// Changes, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullAnswer {
    /// The server's time.
    pub now: HybridTime,
    /// Each record that changed once, as it is now.
    pub changes: Vec<Change>,
    /// Where to go on.
    pub cursor: Version,
    /// Whether there is more.
    pub more: bool,
    /// The last change of the account.
    pub head: Version,
    /// The change log of the versions.
    pub log: LogId,
    /// As of [`PushAnswer::common`]. Nothing is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<Version>,
}

/// A record as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Of its last change.
    pub version: Version,
    /// Which one.
    pub key: RecordKey,
    /// What it holds; nothing where it was deleted.
    pub fields: Option<Fields>,
}
