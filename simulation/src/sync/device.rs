//! A device: an engine, what it has stored, and what the person was shown.

use std::collections::BTreeMap;

use stdx::{Seed, UnixMicros};
use sync::engine::{Config, Engine, Logged, Persist, Saved, Session, Step};
use sync::model::{Fields, OperationId, RecordKey};
use sync::queue::Queued;

/// What survives a crash.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) session: Session,
    pub(super) records: BTreeMap<RecordKey, Saved>,
    pub(super) operations: BTreeMap<OperationId, Queued>,
    log: BTreeMap<u64, Logged>,
}

#[derive(Debug)]
pub(super) struct Device {
    pub(super) stored: Stored,
    /// None while it is off.
    pub(super) engine: Option<Engine>,
    /// What its clock is ahead, in microseconds.
    pub(super) ahead: i64,
    pub(super) has_network: bool,
    /// Counted up with each start: answers to an engine that is gone are not heard.
    pub(super) run: u64,
    /// The next writing fails.
    pub(super) disk_fails: bool,
    config: Config,
    seed: u64,
}

impl Device {
    pub(super) fn new(config: Config, session: Session, ahead: i64, seed: u64) -> Self {
        let stored = Stored {
            session,
            records: BTreeMap::new(),
            operations: BTreeMap::new(),
            log: BTreeMap::new(),
        };
        Self {
            stored,
            engine: None,
            ahead,
            has_network: false,
            run: 0,
            disk_fails: false,
            config,
            seed,
        }
    }

    pub(super) fn clock(&self, now: UnixMicros) -> UnixMicros {
        UnixMicros(now.0 + self.ahead)
    }

    pub(super) fn start(&mut self, now: UnixMicros) -> Step {
        self.run += 1;
        let known = self.stored.operations.values().filter_map(|queued| {
            let key = queued.operation.key.clone();
            let known = self.stored.records.get(&key)?.known.clone()?;
            Some((key, known))
        });
        let (engine, step) = Engine::start(
            self.config.clone(),
            self.stored.session.clone(),
            self.stored.operations.values().cloned().collect(),
            known.collect(),
            Seed(self.seed.wrapping_add(self.run << 32)),
            self.clock(now),
        );
        self.engine = Some(engine);
        step
    }

    /// Writes down what a step wants; false where that fails, and the engine is
    /// gone.
    pub(super) fn write(&mut self, step: &Step) -> bool {
        if step.persist.is_empty() {
            return true;
        }
        if std::mem::take(&mut self.disk_fails) {
            self.engine = None;
            return false;
        }
        for persist in step.persist.clone() {
            match persist {
                Persist::Session(session) => self.stored.session = *session,
                Persist::Record(key, saved) => {
                    self.stored.records.insert(key, saved);
                }
                Persist::RecordGone(key) => {
                    self.stored.records.remove(&key);
                }
                Persist::Operation(queued) => {
                    self.stored.operations.insert(queued.operation.id, *queued);
                }
                Persist::OperationGone(id) => {
                    self.stored.operations.remove(&id);
                }
                Persist::Log(number, logged) => {
                    self.stored.log.insert(number, *logged);
                    if let Some(old) = number.checked_sub(1_000) {
                        self.stored.log.remove(&old);
                    }
                }
                Persist::Forget { older_than } => {
                    let queued: Vec<RecordKey> = self
                        .stored
                        .operations
                        .values()
                        .map(|queued| queued.operation.key.clone())
                        .collect();
                    self.stored.records.retain(|key, saved| {
                        let told = saved
                            .known
                            .as_ref()
                            .is_some_and(|known| known.generation >= older_than);
                        told || queued.contains(key)
                    });
                }
            }
        }
        true
    }

    /// What the person sees.
    pub(super) fn shown(&self) -> BTreeMap<RecordKey, Fields> {
        let there = self.stored.records.iter();
        there.filter_map(|(key, saved)| Some((key.clone(), saved.shown.clone()?))).collect()
    }
}
