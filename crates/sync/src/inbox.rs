//! What the server remembers of operations that it has settled, so that each is
//! settled once: the idempotent receiver (Hohpe, Woolf: *Enterprise Integration
//! Patterns*, 2003), record by record.
//!
//! A device sends an operation of a record only when it has the answer to the one
//! before. So of each record and device only the last operation has to be
//! remembered, and where that one comes again it gets the same answer.
//!
//! ```text
//! comes: an operation of a device on a record
//!   the last one that was settled, the same content  ▶ the same answer
//!   the last one that was settled, another content   ▶ refused: CHANGED
//!   one that is not later than the last one          ▶ refused: USED
//!   a later one                                      ▶ settled, and remembered
//! ```

use serde::{Deserialize, Serialize};

use crate::merge::{Held, Outcome};
use crate::model::{DeviceId, OperationId, RecordId, Version};
use crate::operation::Operation;

/// The code of the refusal of an operation whose id came with another content
/// before.
pub const CHANGED: &str = "OPERATION_CHANGED";
/// The code of the refusal of an operation of which the server knows that a later
/// one was settled. A device hears it where its store is a copy or was restored:
/// what it counts was counted before.
pub const USED: &str = "SEQUENCE_USED";

/// The operations of one record, by device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inbox(Vec<Receipt>);

/// The last operation that a device had settled of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Receipt {
    device: DeviceId,
    operation: OperationId,
    sequence: u64,
    digest: u64,
    result: Answered,
}

/// What became of it; what the record holds is not kept twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answered {
    Applied { version: Version },
    Merged { version: Version, revision: Option<RecordId> },
    Kept { version: Version, revision: RecordId },
    Refused { code: String, message: String },
}

impl Inbox {
    /// The answer, where it is known or can only be no. None where the operation is
    /// to be settled.
    ///
    /// `settled` is up to which sequence the device has said that it has all answers,
    /// `digest` tells contents apart, and `held` is the record as it is now.
    #[must_use]
    pub fn answer(
        &self,
        device: DeviceId,
        settled: u64,
        operation: &Operation,
        digest: u64,
        held: Option<&Held>,
    ) -> Option<Outcome> {
        let last = self.0.iter().find(|receipt| receipt.device == device);
        match last {
            Some(last) if last.operation == operation.id && last.digest == digest => {
                Some(last.result.outcome(held))
            }
            Some(last) if last.operation == operation.id => Some(Outcome::Refused {
                code: CHANGED.to_owned(),
                message: "this operation came with another content before: make the edit again"
                    .to_owned(),
            }),
            _ if operation.sequence <= settled.max(last.map_or(0, |last| last.sequence)) => {
                Some(Outcome::Refused {
                    code: USED.to_owned(),
                    message: "this device counts what was counted before, as a copy or a restored \
                              backup does: look whether the edit is there, and try it again if not"
                        .to_owned(),
                })
            }
            _ => None,
        }
    }

    /// Remembers what became of an operation.
    pub fn note(
        &mut self,
        device: DeviceId,
        operation: &Operation,
        digest: u64,
        outcome: &Outcome,
    ) {
        let (operation, sequence) = (operation.id, operation.sequence);
        let receipt =
            Receipt { device, operation, sequence, digest, result: Answered::of(outcome) };
        self.0.retain(|before| before.device != device);
        self.0.push(receipt);
    }

    /// Forgets those of which a device has said that it has the answer: `settled` is
    /// up to which sequence, by device.
    pub fn forget(&mut self, settled: impl Fn(DeviceId) -> u64) {
        self.0.retain(|receipt| receipt.sequence > settled(receipt.device));
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Answered {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Applied { version } => Self::Applied { version: *version },
            Outcome::Merged { version, revision, .. } => {
                Self::Merged { version: *version, revision: *revision }
            }
            Outcome::Kept { version, revision } => {
                Self::Kept { version: *version, revision: *revision }
            }
            Outcome::Refused { code, message } => {
                Self::Refused { code: code.clone(), message: message.clone() }
            }
        }
    }

    /// Of a record that was merged with others' changes the device is told what it
    /// holds now, which may be later; where it is deleted since, the device hears that
    /// when it pulls.
    fn outcome(&self, held: Option<&Held>) -> Outcome {
        let there = held.filter(|held| held.deleted.is_none());
        match (self, there) {
            (Self::Merged { revision, .. }, Some(held)) => Outcome::Merged {
                version: held.version,
                fields: held.fields.clone(),
                revision: *revision,
            },
            (Self::Applied { version } | Self::Merged { version, .. }, _) => {
                Outcome::Applied { version: *version }
            }
            (Self::Kept { version, revision }, _) => {
                Outcome::Kept { version: *version, revision: *revision }
            }
            (Self::Refused { code, message }, _) => {
                Outcome::Refused { code: code.clone(), message: message.clone() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use stdx::{Clock, HybridTime, IdSource, Random, Seed, UnixMicros};

    use super::*;
    use crate::model::{Fields, RecordKey};
    use crate::operation::Action;

    struct Made {
        ids: IdSource,
        device: DeviceId,
        key: RecordKey,
    }

    fn made() -> Made {
        let ids = IdSource::new(Clock::starting_at(UnixMicros(0)), Random::new(Seed(4)));
        let key = RecordKey { table: "memos".into(), id: ids.next() };
        Made { device: ids.next(), key, ids }
    }

    impl Made {
        fn operation(&self, sequence: u64) -> Operation {
            Operation {
                id: self.ids.next(),
                sequence,
                key: self.key.clone(),
                action: Action::Delete,
                base: Version::NONE,
                written: UnixMicros(0),
                at: UnixMicros(0),
                after: HybridTime::ZERO,
                schema: 1,
                restores: false,
            }
        }
    }

    fn code(outcome: Option<Outcome>) -> Option<String> {
        match outcome {
            Some(Outcome::Refused { code, .. }) => Some(code),
            _ => None,
        }
    }

    #[test]
    fn the_last_one_is_answered_again_and_older_ones_are_not_settled_again() {
        let made = made();
        let mut inbox = Inbox::default();
        let (first, second, third) = (made.operation(1), made.operation(2), made.operation(3));
        assert_eq!(inbox.answer(made.device, 0, &first, 7, None), None);
        let applied = Outcome::Applied { version: Version(5) };
        inbox.note(made.device, &first, 7, &applied);
        assert_eq!(inbox.answer(made.device, 0, &first, 7, None), Some(applied.clone()));
        assert_eq!(code(inbox.answer(made.device, 0, &first, 8, None)).as_deref(), Some(CHANGED));
        assert_eq!(inbox.answer(made.device, 0, &second, 7, None), None);
        inbox.note(made.device, &second, 7, &applied);
        assert_eq!(code(inbox.answer(made.device, 0, &first, 7, None)).as_deref(), Some(USED));
        // Another device counts for itself.
        let other = made.ids.next();
        assert_eq!(inbox.answer(other, 0, &first, 7, None), None);
        // What a device has the answer of need not be remembered.
        inbox.forget(|_| 1);
        assert_eq!(inbox.answer(made.device, 1, &second, 7, None), Some(applied));
        inbox.forget(|_| 2);
        assert!(inbox.is_empty());
        assert_eq!(code(inbox.answer(made.device, 2, &second, 7, None)).as_deref(), Some(USED));
        assert_eq!(inbox.answer(made.device, 2, &third, 7, None), None);
    }

    #[test]
    fn what_was_merged_is_told_as_it_is_now() {
        let made = made();
        let mut inbox = Inbox::default();
        let (operation, revision) = (made.operation(1), Some(made.ids.next()));
        let merged = |version, page: i64| {
            let fields = Fields::from([("page", page)]);
            Outcome::Merged { version: Version(version), fields, revision }
        };
        inbox.note(made.device, &operation, 7, &merged(5, 1));
        let mut held = Held {
            version: Version(9),
            fields: Fields::from([("page", 2)]),
            stamps: Vec::new(),
            deleted: None,
        };
        let again = inbox.answer(made.device, 0, &operation, 7, Some(&held));
        assert_eq!(again, Some(merged(9, 2)));
        held.deleted = Some(crate::merge::Stamp {
            version: Version(9),
            at: HybridTime::ZERO,
            device: None,
            operation: made.ids.next(),
        });
        let again = inbox.answer(made.device, 0, &operation, 7, Some(&held));
        assert_eq!(again, Some(Outcome::Applied { version: Version(5) }));
    }
}
