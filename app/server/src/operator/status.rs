//! How the masters of one store stand, as `/status` and `endpaper masters
//! status` say it.

use multi_master::{
    CopyProgress, Counts, Failover, Latency, MasterNumbers, MasterState, MultiMaster, Queue,
};
use serde::{Deserialize, Serialize};
use stdx::UnixMicros;

use crate::verification::Verified;

/// How the masters of one store stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Where the witness is, which says which store this is.
    pub(crate) witness: String,
    #[serde(default)]
    pub(crate) epoch: u64,
    /// Why every write is refused although masters serve.
    #[serde(default)]
    pub(crate) refuses: Option<String>,
    pub(crate) masters: Vec<MasterLine>,
    /// Transactions whose outcome nobody can tell yet.
    #[serde(default)]
    pub(crate) in_doubt: usize,
    /// What lost against something else and is kept.
    #[serde(default)]
    pub(crate) conflicts_kept: u64,
    #[serde(default)]
    pub(crate) failovers: Vec<Failover>,
    #[serde(default)]
    pub(crate) counts: Counts,
    #[serde(default)]
    pub(crate) verified: Verified,
}

/// One master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MasterLine {
    pub(crate) name: String,
    pub(crate) state: MasterState,
    pub(crate) reason: Option<String>,
    /// Where it is away.
    #[serde(default)]
    pub(crate) away: Option<AwayLine>,
    /// How far it is, where it is being filled.
    #[serde(default)]
    pub(crate) copy: Option<CopyProgress>,
    /// In the last minute.
    #[serde(default)]
    pub(crate) statements: LatencyLine,
    #[serde(default)]
    pub(crate) commits: LatencyLine,
    #[serde(default)]
    pub(crate) pool_waits: u64,
    #[serde(default)]
    pub(crate) pool_waited_us: u64,
}

/// What is owed to a master that is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AwayLine {
    pub(crate) since: UnixMicros,
    /// Markers that it misses; `None`: not known.
    pub(crate) write_sets: Option<u64>,
    pub(crate) or_more: bool,
    /// The age of the oldest of them.
    pub(crate) lag_ms: Option<u64>,
    pub(crate) attempts: u32,
    pub(crate) next_try: Option<UnixMicros>,
    pub(crate) to_be_filled: bool,
}

/// How long something took; 99 % and half of it took at most so long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LatencyLine {
    pub(crate) count: u64,
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
}

impl LatencyLine {
    fn of(latency: &Latency) -> Self {
        Self { count: latency.count(), p50_us: latency.below_us(50), p99_us: latency.below_us(99) }
    }
}

impl Status {
    pub(crate) fn of(witness: String, store: &MultiMaster, now: UnixMicros) -> Self {
        let (queue, copies) = (store.queue(), store.copies());
        let line = |master: multi_master::MasterStatus| MasterLine {
            away: away(&queue, &master.name.0, now),
            copy: copies
                .iter()
                .find(|copy| copy.to == master.name && copy.phase.is_running())
                .cloned(),
            name: master.name.0,
            state: master.state,
            reason: master.reason,
            statements: LatencyLine::default(),
            commits: LatencyLine::default(),
            pool_waits: 0,
            pool_waited_us: 0,
        };
        Self {
            witness,
            epoch: store.epoch(),
            refuses: store.refuses(),
            masters: store.status().into_iter().map(line).collect(),
            in_doubt: queue.in_doubt.len(),
            conflicts_kept: store.conflicts_kept(),
            failovers: store.failovers(),
            counts: store.counts(),
            verified: Verified::default(),
        }
    }

    /// Puts in what was counted on each master.
    pub(crate) fn put_numbers(&mut self, numbers: &[MasterNumbers]) {
        for (line, numbers) in self.masters.iter_mut().zip(numbers) {
            line.statements = LatencyLine::of(&numbers.statements);
            line.commits = LatencyLine::of(&numbers.commits);
            (line.pool_waits, line.pool_waited_us) = (numbers.pool_waits, numbers.pool_waited_us);
        }
    }
}

fn away(queue: &Queue, name: &str, now: UnixMicros) -> Option<AwayLine> {
    let owed = queue.masters.iter().find(|owed| owed.master.0 == name)?;
    let lag = owed.oldest.map(|oldest| now.since(oldest).as_millis());
    Some(AwayLine {
        since: owed.since,
        write_sets: owed.write_sets,
        or_more: owed.or_more,
        lag_ms: lag.map(|lag| u64::try_from(lag).unwrap_or(u64::MAX)),
        attempts: owed.attempts,
        next_try: owed.next_try,
        to_be_filled: owed.to_be_filled,
    })
}
