//! What a device is made of, and what is stored of it beside records and operations.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::{HybridTime, UnixMicros};

use crate::model::{AccountId, DeviceId, LogId, OperationId, Table, Version};
use crate::queue::Failure;
use crate::sabotage::Bug;

/// What a device may hold and send at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations of one push. Default 50.
    pub push_count: usize,
    /// Bytes of one push, about: what has to be escaped takes more on the wire. Default
    /// 128 KiB.
    pub push_bytes: usize,
    /// Bytes of one operation. Default 128 KiB: an edit that is larger is refused.
    pub operation_bytes: usize,
    /// Records of one pull. Default 500.
    pub pull_count: u32,
    /// Operations in the queue. Default 50,000: then further edits are refused.
    pub queue_count: usize,
    /// How long edits may wait while the server settles none. Default 7 days: then
    /// further edits are refused. A time in which the device was off counts as a day
    /// at most.
    pub queue_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            push_count: 50,
            push_bytes: 128 << 10,
            operation_bytes: 128 << 10,
            pull_count: 500,
            queue_count: 50_000,
            queue_age: Duration::from_hours(7 * 24),
        }
    }
}

/// What a device is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// The tables that are synchronized: records refer to those of tables before their
    /// own ([`Rule::Reference`](crate::model::Rule::Reference)); an engine panics that is
    /// made with others.
    pub tables: &'static [Table],
    /// The version of them that operations are made for.
    pub schema: u32,
    /// Sizes.
    pub limits: Limits,
    /// A bug that is planted.
    #[cfg(feature = "faults")]
    pub bug: Option<Bug>,
}

impl Config {
    /// With the default sizes.
    #[must_use]
    pub fn new(tables: &'static [Table], schema: u32) -> Self {
        Self {
            tables,
            schema,
            limits: Limits::default(),
            #[cfg(feature = "faults")]
            bug: None,
        }
    }

    #[cfg(feature = "faults")]
    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "faults"))]
    #[expect(clippy::unused_self, reason = "it has none")]
    pub(super) const fn has(&self, _: Bug) -> bool {
        false
    }
}

/// What is stored of a device beside records and operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose records they are.
    pub account: AccountId,
    /// Which installation it is.
    pub device: DeviceId,
    /// The last sequence that was given to an operation.
    pub sequence: u64,
    /// The change log of the cursor, and of every version; none before the first answer.
    #[serde(default)]
    pub log: Option<LogId>,
    /// The last change that was pulled.
    pub cursor: Version,
    /// Counted up with each time that everything is pulled anew.
    pub generation: u32,
    /// Everything is being pulled anew, since this was the head; [`Version::NONE`]
    /// before the first answer.
    pub anew: Option<Version>,
    /// The server's time when it was last heard of.
    pub heard: HybridTime,
    /// When it is tried again.
    pub retry: Option<Retry>,
    /// What may be on its way.
    pub flight: Vec<OperationId>,
    /// Operations of the next push at most, after one of which nothing was taken; none
    /// where it is as many as the limits say.
    #[serde(default)]
    pub push_max: Option<usize>,
    /// Pushes of one operation alone that was not taken, since the server took one.
    #[serde(default)]
    pub not_taken: u32,
    /// How many of them somebody rejected.
    #[serde(default)]
    pub rejected: u32,
    /// Operations that were settled since nothing was to be sent.
    #[serde(default)]
    pub progress: u64,
    /// The account has to log in again.
    pub logged_out: bool,
    /// Why the server takes nothing of this device.
    pub stopped: Option<Failure>,
    /// When the server last settled or told something.
    pub last_success: Option<UnixMicros>,
    /// Entries of the log so far.
    pub logged: u64,
    /// How long edits have waited since the server last settled one.
    pub waited: Duration,
    /// The device's time when that was counted.
    pub last: UnixMicros,
}

impl Session {
    /// Of a device that holds nothing yet.
    #[must_use]
    pub const fn new(account: AccountId, device: DeviceId) -> Self {
        Self {
            account,
            device,
            sequence: 0,
            log: None,
            cursor: Version::NONE,
            generation: 1,
            anew: Some(Version::NONE),
            heard: HybridTime::ZERO,
            retry: None,
            flight: Vec::new(),
            push_max: None,
            not_taken: 0,
            rejected: 0,
            progress: 0,
            logged_out: false,
            stopped: None,
            last_success: None,
            logged: 0,
            waited: Duration::ZERO,
            last: UnixMicros(i64::MAX),
        }
    }
}

/// A pause after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Failures in a row.
    pub attempts: u32,
    /// It is after a push, and ends when one is taken: what is pulled meanwhile does not
    /// end it.
    #[serde(default)]
    pub of_push: bool,
    /// When it is over.
    pub until: UnixMicros,
    /// The server has asked for it: a network that comes back does not end it.
    pub asked_for: bool,
}
