//! What a device has stored, in memory: what each store has to do with a step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{LOG_MAX, Logged, Persist, Saved, Session};
use crate::model::{OperationId, RecordKey, Version};
use crate::queue::{Known, Queued};

/// What a device has stored, in memory. Simulations use it, and stores are compared
/// with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The session.
    pub session: Session,
    /// Records, those that are deleted included.
    pub records: BTreeMap<RecordKey, Saved>,
    /// Operations that are not settled.
    pub operations: BTreeMap<OperationId, Queued>,
    /// What became of the last [`LOG_MAX`] operations.
    pub log: BTreeMap<u64, Logged>,
}

impl Stored {
    /// Of a device that holds nothing yet.
    #[must_use]
    pub const fn new(session: Session) -> Self {
        Self {
            session,
            records: BTreeMap::new(),
            operations: BTreeMap::new(),
            log: BTreeMap::new(),
        }
    }

    /// Does one thing of what a step wants. All of a step is done, or nothing.
    pub fn write(&mut self, persist: Persist) {
        match persist {
            Persist::Session(session) => self.session = *session,
            Persist::Record(key, saved) => {
                self.records.insert(key, saved);
            }
            Persist::RecordGone(key) => {
                self.records.remove(&key);
            }
            Persist::Operation(queued) => {
                self.operations.insert(queued.operation.id, Arc::unwrap_or_clone(queued));
            }
            Persist::OperationGone(id) => {
                self.operations.remove(&id);
            }
            Persist::Log(number, logged) => {
                self.log.insert(number, *logged);
                let last = number.saturating_sub(LOG_MAX);
                self.log.retain(|number, _| *number > last);
            }
            Persist::Forget { older_than } => {
                let queued: BTreeSet<&RecordKey> =
                    self.operations.values().map(|queued| &queued.operation.key).collect();
                self.records.retain(|key, saved| {
                    let is_told = |known: &Known| known.generation >= older_than;
                    saved.known.as_ref().is_some_and(is_told) || queued.contains(key)
                });
            }
        }
    }

    /// What the server said of records in versions after this one: what
    /// [`Effect::Recall`](super::Effect::Recall) asks for.
    #[must_use]
    pub fn told_after(&self, version: Version) -> Vec<(RecordKey, Known)> {
        let told = self.records.iter().filter_map(|(key, saved)| {
            let known = saved.known.clone().filter(|known| known.version > version)?;
            Some((key.clone(), known))
        });
        told.collect()
    }

    /// What the server said last of the records that have operations: what an engine
    /// starts with.
    #[must_use]
    pub fn known(&self) -> BTreeMap<RecordKey, Known> {
        let known = self.operations.values().filter_map(|queued| {
            let key = &queued.operation.key;
            Some((key.clone(), self.records.get(key)?.known.clone()?))
        });
        known.collect()
    }
}
