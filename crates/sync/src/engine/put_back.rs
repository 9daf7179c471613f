//! A server that was put back: what it had said, and may have lost, is brought back.

use std::collections::{BTreeMap, BTreeSet};

use stdx::{HybridTime, UnixMicros};

use super::{Effect, Engine, Notice, Step};
use crate::model::{LogId, RecordKey, Rule, Version};
use crate::operation::{Action, Operation};
use crate::queue::{Chain, Known, Priority, Queued};
use crate::sabotage::Bug;

impl Engine {
    /// The server was put back: what it had said since may be lost there.
    pub(super) fn recall(&mut self, log: LogId, common: Version, now: UnixMicros, step: &mut Step) {
        self.recalls = self.recalls.saturating_add(1);
        if self.recalls > 1 {
            // Two servers answer in turn, or one that does not know itself.
            self.wait(None, false, now, step);
        }
        self.recalling = Some((log, common));
        step.effects.push(Effect::Recall(common));
    }

    /// What the server had said and may have lost waits, as operations, until everything
    /// was pulled anew.
    pub(super) fn recalled(
        &mut self,
        log: LogId,
        common: Version,
        told: Vec<(RecordKey, Known)>,
        now: UnixMicros,
        step: &mut Step,
    ) {
        let generation = self.session.generation;
        self.begin_anew();
        self.session.log = Some(log);
        self.head = Version::NONE;
        self.pull_first = true;
        step.effects.push(Effect::Tell(Notice::PutBack(told.len())));
        let mut told: BTreeMap<RecordKey, Known> = told.into_iter().collect();
        if self.config.has(Bug::NotBroughtBack) {
            told.clear();
        }
        let queued = self.queue.chains().map(|(key, _)| key.clone());
        let keys: BTreeSet<RecordKey> = queued.chain(told.keys().cloned()).collect();
        for key in keys {
            let known = told.get(&key).filter(|known| known.version > common);
            let before = self.queue.chain(&key).cloned();
            let before =
                before.unwrap_or_else(|| Chain { known: known.cloned(), ..Chain::default() });
            // What was said in a log before waits already since that one ended.
            let waits = |known: &&Known| known.generation < generation && before.is_again();
            let known = known.filter(|known| !waits(known));
            let again = known.and_then(|known| self.again(&key, known, common, now));
            let mut after = before.clone();
            let (ids, sequence) = (&self.ids, &mut self.session.sequence);
            after.put_back(again, common, || {
                *sequence = u64::saturating_add(*sequence, 1);
                (ids.next(), *sequence)
            });
            if after != before {
                self.put(&key, &before, after, step);
            }
        }
        self.save_session(step);
        step.effects.push(Effect::Tell(Notice::Status));
    }

    /// What was said of a record, as an operation. It is of long ago for whoever has edited
    /// since, and in the order of its versions.
    fn again(
        &self,
        key: &RecordKey,
        known: &Known,
        common: Version,
        now: UnixMicros,
    ) -> Option<Queued> {
        let table = self.table_of(key)?;
        let is_of_server = |(_, rule): &(&str, Rule)| *rule == Rule::Server;
        if table.fields.iter().all(is_of_server) {
            return None;
        }
        let version = i64::try_from(known.version.0).unwrap_or(i64::MAX);
        let operation = Operation {
            id: self.ids.next(),
            sequence: 0,
            key: key.clone(),
            action: match known.fields.clone() {
                Some(fields) => Action::Create { fields },
                None => Action::Delete,
            },
            base: common,
            written: UnixMicros(version),
            at: UnixMicros(i64::MIN),
            after: HybridTime::from_wall(UnixMicros::from_millis(version)),
            schema: self.config.schema,
            restores: true,
        };
        Some(Queued { again: true, ..Queued::new(operation, Priority::NORMAL, now) })
    }
}
