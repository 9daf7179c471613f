//! The queue, where the threads of a store reach it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stdx::{HybridTime, UnixMicros};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::Pending;
use crate::error::TxId;
use crate::job::Verdict;
use crate::shared::Shared;
use crate::write_set;

/// Shared by the supervisor, the worker and whoever asks. Readers and writers
/// come here only with a write that is owed or in doubt.
#[derive(Debug)]
pub(crate) struct Keeper {
    pending: Mutex<Pending>,
    /// The version of the first write that was owed since every master served.
    owed_from: AtomicI64,
    /// There is something for the worker to do.
    pub(super) wake: Notify,
    /// Turns true when the worker is to end.
    pub(super) stop: watch::Sender<bool>,
}

/// No write is owed.
const NONE: i64 = i64::MAX;

impl Default for Keeper {
    fn default() -> Self {
        Self {
            pending: Mutex::default(),
            owed_from: AtomicI64::new(NONE),
            wake: Notify::new(),
            stop: watch::Sender::new(false),
        }
    }
}

impl Keeper {
    pub(crate) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is owed to anybody who stops serving now.
    pub(crate) fn nothing_owed(&self) {
        self.owed_from.store(NONE, Ordering::Relaxed);
    }

    /// The last marker before every one that is owed.
    pub(super) fn owed_from(&self) -> Option<Uuid> {
        let version = HybridTime::from_i64(self.owed_from.load(Ordering::Relaxed))?;
        (version.as_i64() != NONE).then(|| super::before(write_set::txid(version, 0)))
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Shared {
    /// Counts what became of a write, and puts into the queue what is left to be
    /// done about it.
    pub(crate) fn tally(&self, verdict: &Verdict) {
        use stdx::ids::Id as _;
        let counters = &self.counters;
        match verdict {
            Verdict::Saved { owed, .. } if owed.is_empty() => counters.saved.add(1),
            Verdict::Saved { txid, .. } => {
                counters.owed.add(1);
                if let Some(version) = write_set::version_of(txid.uuid()) {
                    self.queue.owed_from.fetch_min(version.as_i64(), Ordering::Relaxed);
                }
            }
            Verdict::Refused | Verdict::NotSaved(_) => counters.not_saved.add(1),
            Verdict::InDoubt(txid) => {
                counters.in_doubt.add(1);
                self.doubt(*txid);
            }
        }
    }

    fn doubt(&self, txid: TxId) {
        let fell_out = self.queue.pending().doubt(self.now(), txid);
        tracing::error!(severity = "WARNING", %txid, "it is not known whether this was saved");
        if let Some(txid) = fell_out {
            tracing::error!(
                severity = "CRITICAL", %txid,
                "a transaction in doubt fell out of the queue, which is full: nobody looks it up \
                 any more"
            );
        }
        self.queue.wake.notify_one();
    }

    /// The time, for people.
    pub(crate) fn now(&self) -> UnixMicros {
        self.clock.tick().wall()
    }
}
