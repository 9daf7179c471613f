//! What is kept of a record beside its values, as bytes.
//!
//! The first byte is the version of the form, 1; the rest is
//! [postcard](https://postcard.jamesmunns.com/wire-format). Fields that were set by one
//! change share its stamp.

use multi_master::DbError;
use serde::{Deserialize, Serialize};
use sync::inbox::Inbox;
use sync::merge::{Held, Stamp};
use sync::model::{Fields, Version};

const FORM: u8 = 1;

/// A record as the server holds it, without its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) version: Version,
    pub(crate) stamps: Vec<(Box<str>, Stamp)>,
    pub(crate) deleted: Option<Stamp>,
    pub(crate) inbox: Inbox,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    stamps: Vec<(Stamp, Vec<Box<str>>)>,
    deleted: Option<Stamp>,
    inbox: Inbox,
}

impl State {
    pub(crate) fn decode(version: Version, bytes: &[u8]) -> Result<Self, DbError> {
        let strange = |why: String| {
            DbError::Shape(format!("column `state` of `sync_records` can't be read: {why}"))
        };
        let (form, rest) = bytes.split_first().ok_or_else(|| strange("it is empty".to_owned()))?;
        if *form != FORM {
            return Err(strange(format!("it has the form {form}, of a newer program")));
        }
        let stored: Stored = postcard::from_bytes(rest).map_err(|why| strange(why.to_string()))?;
        let Stored { stamps, deleted, inbox } = stored;
        let mut stamps: Vec<(Box<str>, Stamp)> = stamps
            .into_iter()
            .flat_map(|(stamp, names)| names.into_iter().map(move |name| (name, stamp)))
            .collect();
        stamps.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self { version, stamps, deleted, inbox })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut stamps: Vec<(Stamp, Vec<Box<str>>)> = Vec::new();
        for (name, stamp) in &self.stamps {
            match stamps.iter_mut().find(|(known, _)| known == stamp) {
                Some((_, names)) => names.push(name.clone()),
                None => stamps.push((*stamp, vec![name.clone()])),
            }
        }
        let stored = Stored { stamps, deleted: self.deleted, inbox: self.inbox.clone() };
        postcard::to_extend(&stored, vec![FORM]).expect("numbers and texts are postcard")
    }

    /// The record, where it is or was there.
    pub(crate) fn held(&self, fields: Option<Fields>) -> Option<Held> {
        let Self { version, stamps, deleted, inbox: _ } = self;
        let (stamps, deleted) = (stamps.clone(), *deleted);
        match fields {
            Some(fields) => Some(Held { version: *version, fields, stamps, deleted: None }),
            None if deleted.is_some() => {
                Some(Held { version: *version, fields: Fields::new(), stamps, deleted })
            }
            None => None,
        }
    }

    /// Takes over what became of the record.
    pub(crate) fn take(&mut self, held: &Held) {
        self.version = held.version;
        self.stamps.clone_from(&held.stamps);
        self.deleted = held.deleted;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stdx::{Clock, HybridTime, IdSource, Random, Seed, UnixMicros};
    use sync::merge::Outcome;
    use sync::model::RecordKey;
    use sync::operation::{Action, Operation};

    use super::*;

    proptest! {
        #[test]
        fn what_is_stored_is_read(
            names in prop::collection::btree_map("[a-z]{1,5}", 0usize..3, 0..6),
            deleted in any::<bool>(), receipts in 0u64..4,
        ) {
            let ids = IdSource::new(Clock::starting_at(UnixMicros(0)), Random::new(Seed(1)));
            let stamps: Vec<Stamp> = (0..3)
                .map(|number| Stamp {
                    version: Version(number),
                    at: HybridTime::from_wall(UnixMicros::from_secs(7)),
                    device: (number > 0).then(|| ids.next()),
                    operation: ids.next(),
                })
                .collect();
            let mut inbox = Inbox::default();
            for sequence in 0..receipts {
                let operation = Operation {
                    id: ids.next(),
                    sequence,
                    key: RecordKey { table: "memos".into(), id: ids.next() },
                    action: Action::Delete,
                    base: Version::NONE,
                    written: UnixMicros(0),
                    at: UnixMicros(0),
                    after: HybridTime::ZERO,
                    schema: 1,
                    restores: false,
                };
                inbox.note(ids.next(), &operation, sequence, &Outcome::Refused {
                    code: "A".to_owned(),
                    message: "b".to_owned(),
                });
            }
            let state = State {
                version: Version(9),
                stamps: names.iter().map(|(name, at)| (name.as_str().into(), stamps[*at])).collect(),
                deleted: deleted.then_some(stamps[0]),
                inbox,
            };
            prop_assert_eq!(State::decode(Version(9), &state.encode()), Ok(state));
        }

        #[test]
        fn any_other_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = State::decode(Version(1), &bytes);
        }
    }
}
