//! What a witness for several processes knows, without I/O: the testimony,
//! which changes only for who knows the last one, and the processes that were
//! heard of.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Testimony;

/// A process that says nothing for longer is believed to have ended. What it
/// left between two commits is then settled by the others.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// What a witness knows of one set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Register {
    pub(super) testimony: Option<Testimony>,
    processes: BTreeMap<Uuid, Heard>,
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    /// When, in milliseconds of the witness's clock.
    at: u64,
    stage: Stage,
}

/// How far a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It waits for its turn to open the set.
    Waiting,
    /// It opens the set: one at a time.
    Opening,
    /// It has the set open.
    Serving,
    /// It has the set open, and can't reach a master that serves: it writes nothing.
    CutOff,
}

/// What a process asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// "I am here": it is told what is known. Who is not known waits.
    Hear,
    /// "May I open the set?" Granted to one at a time.
    Open,
    /// "I have it open."
    Serve,
    /// "I have it open, and can't reach a master that serves."
    CutOff,
    /// The testimony, to whoever knows the epoch of the last one.
    Say {
        /// That epoch; nothing where nothing was said yet.
        after: Option<u64>,
        /// The new one.
        testimony: Testimony,
    },
    /// What these left is settled.
    Forget {
        /// Processes that ended without a word.
        processes: Vec<Uuid>,
    },
    /// "I am gone, and left nothing."
    Leave,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// What is said now.
    pub(crate) testimony: Option<Testimony>,
    /// How far the asking process is.
    pub(crate) stage: Stage,
    /// The other processes.
    pub(crate) others: Vec<Other>,
}

/// Another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Other {
    pub(crate) process: Uuid,
    pub(crate) stage: Stage,
    /// It has said nothing for too long.
    pub(crate) silent: bool,
}

impl Register {
    /// Answers a process at `now`, in milliseconds of the witness's clock.
    pub(super) fn answer(&mut self, process: Uuid, ask: Ask, now: u64) -> Answer {
        let stage = self.processes.get(&process).map_or(Stage::Waiting, |heard| heard.stage);
        let free = !self.others(process, now).any(|o| o.stage == Stage::Opening && !o.silent);
        let stage = match ask {
            Ask::Open if stage == Stage::Waiting && free => {
                // Who died while it opened the set is followed by this one.
                self.processes.retain(|_, heard| heard.stage != Stage::Opening);
                Stage::Opening
            }
            Ask::Serve => Stage::Serving,
            Ask::CutOff => Stage::CutOff,
            _ => stage,
        };
        self.processes.insert(process, Heard { at: now, stage });
        // Who only waited leaves nothing.
        self.processes.retain(|_, heard| heard.stage != Stage::Waiting || !silent(*heard, now));
        match ask {
            Ask::Say { after, testimony } => {
                let known = self.testimony.as_ref();
                let grows = known.is_none_or(|k| k.set == testimony.set)
                    && known.map(|k| k.epoch) < Some(testimony.epoch);
                if grows && known.map(|known| known.epoch) == after {
                    self.testimony = Some(testimony);
                }
            }
            Ask::Forget { processes } => {
                // Who was heard of again meanwhile is no dead process.
                self.processes.retain(|id, heard| !processes.contains(id) || !silent(*heard, now));
            }
            Ask::Leave => {
                self.processes.remove(&process);
            }
            Ask::Hear | Ask::Open | Ask::Serve | Ask::CutOff => {}
        }
        let others = self.others(process, now).collect();
        Answer { testimony: self.testimony.clone(), stage, others }
    }

    fn others(&self, process: Uuid, now: u64) -> impl Iterator<Item = Other> {
        self.processes.iter().filter(move |(id, _)| **id != process).map(move |(id, heard)| Other {
            process: *id,
            stage: heard.stage,
            silent: silent(*heard, now),
        })
    }

    /// What has to outlive the witness: not when each process was heard of last.
    pub(super) fn lasting(&self) -> Self {
        let mut lasting = self.clone();
        lasting.processes.values_mut().for_each(|heard| heard.at = 0);
        lasting
    }

    /// The witness starts at `now`: who is known is taken to have just spoken.
    pub(super) fn woken(mut self, now: u64) -> Self {
        self.processes.values_mut().for_each(|heard| heard.at = now);
        self
    }
}

fn silent(heard: Heard, now: u64) -> bool {
    u128::from(now.saturating_sub(heard.at)) > SILENCE_MAX.as_millis()
}
