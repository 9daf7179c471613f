//! A device: an engine, what it has stored, and what the person was shown.

use std::collections::BTreeMap;

use stdx::{Seed, UnixMicros};
use sync::engine::{Config, Engine, Session, Step, Stored};
use sync::model::{Fields, RecordKey};
use sync::operation::Action;
use sync::queue::Queued;

/// What becomes of what is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// It is written.
    Works,
    /// The next writing fails.
    Fails,
    /// It is full until then: everything fails.
    Full(UnixMicros),
}

#[derive(Debug)]
pub(super) struct Device {
    /// What survives a crash.
    pub(super) stored: Stored,
    /// None while it is off.
    pub(super) engine: Option<Engine>,
    /// What its clock is ahead, in microseconds.
    pub(super) ahead: i64,
    pub(super) has_network: bool,
    /// Counted up with each start: answers to an engine that is gone are not heard.
    pub(super) run: u64,
    pub(super) disk: Disk,
    /// What its program is made of.
    pub(super) config: Config,
    seed: u64,
    /// Counted up with each engine of another process.
    besides: u64,
}

impl Device {
    pub(super) fn new(config: Config, session: Session, ahead: i64, seed: u64) -> Self {
        Self {
            stored: Stored::new(session),
            engine: None,
            ahead,
            has_network: false,
            run: 0,
            disk: Disk::Works,
            config,
            seed,
            besides: 0,
        }
    }

    pub(super) fn clock(&self, now: UnixMicros) -> UnixMicros {
        UnixMicros(now.0 + self.ahead)
    }

    /// The engine of another process on the same store, which edits and sends nothing.
    pub(super) fn beside(&mut self, now: UnixMicros) -> Engine {
        self.besides += 1;
        Engine::beside(
            self.config.clone(),
            self.stored.session.clone(),
            self.stored.operations.values().cloned().collect(),
            self.stored.known(),
            Seed(!self.seed.wrapping_add(self.besides << 32)),
            self.clock(now),
        )
    }

    /// The engine goes on with what another process has written.
    pub(super) fn adopt(&mut self, now: UnixMicros) -> Step {
        let now = self.clock(now);
        let Some(engine) = &mut self.engine else { return Step::default() };
        let operations = self.stored.operations.values().cloned().collect();
        engine.adopt(self.stored.session.clone(), operations, self.stored.known(), now)
    }

    pub(super) fn start(&mut self, now: UnixMicros) -> Step {
        self.run += 1;
        let (engine, step) = Engine::start(
            self.config.clone(),
            self.stored.session.clone(),
            self.stored.operations.values().cloned().collect(),
            self.stored.known(),
            Seed(self.seed.wrapping_add(self.run << 32)),
            self.clock(now),
        );
        self.engine = Some(engine);
        step
    }

    /// Writes down what a step wants; false where that fails, and the engine is
    /// gone.
    pub(super) fn write(&mut self, step: &Step, now: UnixMicros) -> bool {
        if step.persist.is_empty() {
            return true;
        }
        let is_full = matches!(self.disk, Disk::Full(until) if now < until);
        if is_full || self.disk == Disk::Fails {
            if !is_full {
                self.disk = Disk::Works;
            }
            self.engine = None;
            return false;
        }
        for persist in step.persist.clone() {
            self.stored.write(persist);
        }
        true
    }

    /// It has to make this record, perhaps anew.
    pub(super) fn is_to_make(&self, key: &RecordKey) -> bool {
        let makes = |queued: &Queued| {
            *key == queued.operation.key && matches!(queued.operation.action, Action::Create { .. })
        };
        self.stored.operations.values().any(makes)
    }

    /// The server has this record, as far as it knows.
    pub(super) fn knows(&self, key: &RecordKey) -> bool {
        let known = self.stored.records.get(key).and_then(|saved| saved.known.as_ref());
        known.is_some_and(|known| known.fields.is_some())
    }

    /// Why something waits here, for a person.
    pub(super) fn stands(&self) -> String {
        let Stored { session, operations, .. } = &self.stored;
        let queued: Vec<&Queued> = operations.values().collect();
        let (cursor, anew) = (session.cursor, session.anew);
        format!("cursor {cursor:?}, anew {anew:?}, queued {queued:?}, retry {:?}", session.retry)
    }

    /// What the person sees.
    pub(super) fn shown(&self) -> BTreeMap<RecordKey, Fields> {
        let there = self.stored.records.iter();
        there.filter_map(|(key, saved)| Some((key.clone(), saved.shown.clone()?))).collect()
    }
}
