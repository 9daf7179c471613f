//! One edit, as it is queued, sent and settled.

use serde::{Deserialize, Serialize};
use stdx::{HybridTime, UnixMicros};

use crate::model::{Fields, OperationId, RecordKey, Version};

/// No device comes to more operations than every client can count exactly (those in
/// JavaScript: RFC 8259, section 6).
pub const SEQUENCE_MAX: u64 = (1 << 53) - 1;

/// One edit of one record. Once it may have been sent it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Its own id: the server settles each id once.
    pub id: OperationId,
    /// Counted by the device, from 1 to [`SEQUENCE_MAX`].
    pub sequence: u64,
    /// Of which record.
    pub key: RecordKey,
    /// What was done.
    pub action: Action,
    /// The version of the record that the person saw; [`Version::NONE`] where there
    /// was none.
    pub base: Version,
    /// When what it says was written: the order in which operations are sent.
    pub written: UnixMicros,
    /// When the edit was made, by the device's clock.
    pub at: UnixMicros,
    /// The server's time when the device last heard of it before the edit: the edit
    /// is later, whatever the device's clock says.
    pub after: HybridTime,
    /// The version of the application's tables that it was made for: the newest, where an
    /// older program wrote some of it.
    pub schema: u32,
    /// It brings back what the server had said before it was put back: it is no edit of
    /// this device, which has not seen it more than any other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restores: bool,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
pub enum Action {
    /// Makes a record, or one that was deleted anew.
    Create {
        /// All that it holds.
        fields: Fields,
    },
    /// Sets some fields.
    Update {
        /// What they hold now.
        fields: Fields,
        /// What those that are merged as texts held before, as far as the server had
        /// said.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        bases: Fields,
    },
    /// Deletes it.
    Delete,
}

impl Action {
    /// What it sets.
    #[must_use]
    pub const fn fields(&self) -> Option<&Fields> {
        match self {
            Self::Create { fields } | Self::Update { fields, .. } => Some(fields),
            Self::Delete => None,
        }
    }
}

impl Operation {
    /// How many bytes it takes on the wire, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const REST: usize = 320;
        let bytes = match &self.action {
            Action::Create { fields } => fields.bytes(),
            Action::Update { fields, bases } => fields.bytes() + bases.bytes(),
            Action::Delete => 0,
        };
        REST + self.key.table.len() + bytes
    }
}
