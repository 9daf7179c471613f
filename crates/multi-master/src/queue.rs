//! The recovery queue: what is owed to a master or in doubt.
//!
//! [`Pending`] is the core: it performs no I/O, and the time is an argument. Who
//! is away it is told by the supervisor; what is owed, and what became of a
//! transaction in doubt, by [`worker`].

mod keeper;
mod operator;
mod worker;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stdx::UnixMicros;
use stdx::ids::Id as _;
use uuid::Uuid;

use crate::error::{MasterName, TxId};
use crate::membership::{MasterState, MasterStatus};

pub(crate) use self::keeper::Keeper;
pub(crate) use self::operator::{drop_item, retry};
pub(crate) use self::worker::start;

/// Transactions in doubt that are kept: when there are more, the oldest falls
/// out, and that is told.
const DOUBTS_MAX: usize = 10_000;
/// Transactions looked up in one round. Writers wait a moment for each.
const LOOKUPS_MAX: usize = 200;
/// How often transactions in doubt are looked up while nothing changes.
const LOOKUP_EVERY: Duration = Duration::from_mins(1);
const _: () = assert!(LOOKUPS_MAX <= DOUBTS_MAX);

/// What is owed to a master or in doubt, at one moment. Empty: every master has
/// every write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// What is owed to masters that are away, one item for each.
    pub masters: Vec<Owed>,
    /// Transactions of which nobody can say yet whether they were saved, the
    /// oldest first. They are kept in memory: where the process ends, opening
    /// the store settles them.
    pub in_doubt: Vec<InDoubt>,
    /// Transactions in doubt that fell out of the queue, because there were more
    /// than 10,000 of them.
    pub fell_out: u64,
}

/// What is owed to a master that is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Which.
    pub master: MasterName,
    /// How it stands.
    pub state: MasterState,
    /// Since when it does not serve.
    pub since: UnixMicros,
    /// How many markers it misses: a marker is a transaction, or some that were
    /// committed together. `None`: not counted yet, or nobody can be asked.
    pub write_sets: Option<u64>,
    /// It misses more than `write_sets`, which is where the counting ends.
    pub or_more: bool,
    /// When the oldest of them was made: that long it lags. Where the process was
    /// started while the master was away, and until it has answered once, this
    /// and `write_sets` count also what was written in the ten minutes before it
    /// left.
    pub oldest: Option<UnixMicros>,
    /// Failures in a row to bring it back.
    pub attempts: u32,
    /// Why the last one failed, or why it is away.
    pub last_error: Option<String>,
    /// When it is tried next; `None`: it is being brought back.
    pub next_try: Option<UnixMicros>,
    /// What was owed to it was dropped: it is filled anew when it is back.
    pub to_be_filled: bool,
}

/// A transaction of which nobody can say yet whether it was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InDoubt {
    /// Which.
    pub txid: TxId,
    /// Since when.
    pub since: UnixMicros,
    /// How often it was looked up since without an answer.
    pub attempts: u32,
    /// Why there was none.
    pub last_error: Option<String>,
    /// When it is looked up next, at the latest: it is done at once when a
    /// master comes back.
    pub next_try: UnixMicros,
}

impl Queue {
    /// So many failures in a row of one item are worth an alert of the highest
    /// severity.
    pub const FAILURES_MAX: u32 = 10;

    /// Whether every master has every write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.masters.is_empty() && self.in_doubt.is_empty()
    }
}

/// An item of the [`Queue`]: a master by its name, a transaction by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueItem {
    /// What is owed to this master.
    Master(MasterName),
    /// This transaction.
    Transaction(TxId),
}

impl std::fmt::Display for QueueItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Master(name) => name.fmt(f),
            Self::Transaction(txid) => txid.fmt(f),
        }
    }
}

/// What came of trying an item again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retried {
    /// The master is tried now: [`crate::MultiMaster::queue`] says what came of
    /// it.
    Trying,
    /// The transaction was looked up and has left the queue: whether it was
    /// saved.
    Known(bool),
    /// It was looked up, and stays: why.
    StillInDoubt(String),
}

/// Why an item could not be tried or dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// It is not in the queue, or no more.
    #[error("`{0}` is not in the queue; `ls` shows what is")]
    NotThere(QueueItem),
    /// It can't be done now: why, and what to do.
    #[error("{0}")]
    Refused(String),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

/// The queue itself.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    away: BTreeMap<usize, Away>,
    doubts: BTreeMap<TxId, Doubt>,
    fell_out: u64,
}

#[derive(Debug)]
struct Away {
    since: UnixMicros,
    /// It has everything up to this one, as far as is known; `None`: it was away
    /// when the store was opened, and nobody knows what it has.
    has: Option<Uuid>,
    /// It said so itself.
    said: bool,
    counted: Option<Counted>,
    attempts: u32,
    last_error: Option<String>,
    next_try: Option<UnixMicros>,
    to_be_filled: bool,
}

/// What a master misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) write_sets: u64,
    pub(crate) or_more: bool,
    pub(crate) oldest: Option<UnixMicros>,
}

#[derive(Debug)]
struct Doubt {
    since: UnixMicros,
    attempts: u32,
    last_error: Option<String>,
    looked_up: UnixMicros,
}

impl Pending {
    /// The masters as they stand now. `has`: what a master has that stops
    /// serving now, where that is known; `next_try`: after which pause one that is
    /// away is tried, where it is not being tried now.
    pub(crate) fn see(
        &mut self,
        now: UnixMicros,
        masters: &[MasterStatus],
        has: Option<Uuid>,
        next_try: impl Fn(usize) -> Option<Duration>,
    ) {
        for (at, master) in masters.iter().enumerate() {
            if master.state.serves() {
                self.away.remove(&at);
                continue;
            }
            let away = self.away.entry(at).or_insert_with(|| Away {
                since: now,
                has,
                said: false,
                counted: None,
                attempts: 0,
                last_error: None,
                next_try: None,
                to_be_filled: false,
            });
            away.since = away.since.min(now);
            away.next_try = next_try(at).map(|pause| now.after(pause));
            // To be caught up is no error.
            if away.next_try.is_some() && master.reason.is_some() {
                away.last_error.clone_from(&master.reason);
            }
        }
    }

    /// Whether any master is away.
    pub(crate) fn lacks_any(&self) -> bool {
        !self.away.is_empty()
    }

    /// Those that are away, and what each has, as far as is known; `owed_from`:
    /// nothing from this one on was ever on all of them.
    pub(crate) fn away(&self, owed_from: Option<Uuid>) -> Vec<(usize, Option<Uuid>)> {
        let has = |away: &Away| match owed_from {
            Some(from) if !away.said => away.has.map(|has| has.min(from)),
            _ => away.has,
        };
        self.away.iter().map(|(at, away)| (*at, has(away))).collect()
    }

    /// A master that is away was tried, and could not be brought back.
    pub(crate) fn failed(&mut self, at: usize) {
        if let Some(away) = self.away.get_mut(&at) {
            away.attempts = away.attempts.saturating_add(1);
        }
    }

    /// A master that is away is being tried.
    pub(crate) fn trying(&mut self, at: usize) {
        if let Some(away) = self.away.get_mut(&at) {
            away.next_try = None;
        }
    }

    /// A master that is away says what it has.
    pub(crate) fn says(&mut self, at: usize, has: Uuid) {
        if let Some(away) = self.away.get_mut(&at) {
            (away.has, away.said) = (Some(has), true);
        }
    }

    /// What a master that is away misses, where somebody could be asked.
    pub(crate) fn counted(&mut self, at: usize, counted: Option<Counted>) {
        if let Some(away) = self.away.get_mut(&at) {
            away.counted = counted;
        }
    }

    /// What was owed to a master was dropped.
    pub(crate) fn dropped(&mut self, at: usize) {
        if let Some(away) = self.away.get_mut(&at) {
            away.to_be_filled = true;
        }
    }

    /// What became of this transaction nobody can say. The one that falls out for
    /// it, where one does.
    pub(crate) fn doubt(&mut self, now: UnixMicros, txid: TxId) -> Option<TxId> {
        // Writes that share a marker share its fate.
        self.doubts.entry(txid).or_insert(Doubt {
            since: now,
            attempts: 0,
            last_error: None,
            looked_up: now,
        });
        if self.doubts.len() <= DOUBTS_MAX {
            return None;
        }
        self.fell_out += 1;
        self.doubts.pop_first().map(|(txid, _)| txid)
    }

    pub(crate) fn is_in_doubt(&self, txid: TxId) -> bool {
        self.doubts.contains_key(&txid)
    }

    /// Those to look up, at most [`LOOKUPS_MAX`]: those that were not looked up
    /// for longest.
    pub(crate) fn to_look_up(&self) -> Vec<TxId> {
        let mut all: Vec<_> =
            self.doubts.iter().map(|(txid, one)| (one.looked_up, *txid)).collect();
        all.sort_unstable();
        all.truncate(LOOKUPS_MAX);
        all.into_iter().map(|(_, txid)| txid).collect()
    }

    /// It was looked up: whether it was saved, or why nobody can say. True where
    /// it was in the queue and has left it.
    pub(crate) fn looked_up(
        &mut self,
        now: UnixMicros,
        txid: TxId,
        found: Result<bool, String>,
    ) -> bool {
        match found {
            Ok(_) => self.doubts.remove(&txid).is_some(),
            Err(why) => {
                if let Some(doubt) = self.doubts.get_mut(&txid) {
                    doubt.attempts = doubt.attempts.saturating_add(1);
                    doubt.last_error = Some(why);
                    // Looked up after the others also where the clock went back.
                    doubt.looked_up = now.max(doubt.looked_up);
                }
                false
            }
        }
    }

    /// It is looked up no more. True where it was in the queue.
    pub(crate) fn drop_doubt(&mut self, txid: TxId) -> bool {
        self.doubts.remove(&txid).is_some()
    }

    /// The queue, for people and programs.
    pub(crate) fn queue(&self, masters: &[MasterStatus]) -> Queue {
        let owed = self.away.iter().filter_map(|(at, away)| {
            let master = masters.get(*at).filter(|master| !master.state.serves())?;
            let counted = away.counted.filter(|_| !away.to_be_filled);
            Some(Owed {
                master: master.name.clone(),
                state: master.state,
                since: away.since,
                write_sets: counted.map(|counted| counted.write_sets),
                or_more: counted.is_some_and(|counted| counted.or_more),
                oldest: counted.and_then(|counted| counted.oldest),
                attempts: away.attempts,
                last_error: away.last_error.clone(),
                next_try: away.next_try,
                to_be_filled: away.to_be_filled,
            })
        });
        let in_doubt = self.doubts.iter().map(|(txid, doubt)| InDoubt {
            txid: *txid,
            since: doubt.since,
            attempts: doubt.attempts,
            last_error: doubt.last_error.clone(),
            next_try: doubt.looked_up.after(LOOKUP_EVERY),
        });
        Queue { masters: owed.collect(), in_doubt: in_doubt.collect(), fell_out: self.fell_out }
    }
}

/// The id before this one.
fn before(txid: TxId) -> Uuid {
    Uuid::from_u128(txid.uuid().as_u128().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stdx::HybridTime;

    use super::*;
    use crate::write_set;

    const START: UnixMicros = UnixMicros::from_secs(1_700_000_000);

    fn at(second: u64) -> UnixMicros {
        START.after(Duration::from_secs(second))
    }

    fn txid(number: u64) -> TxId {
        write_set::txid(HybridTime::from_wall(at(number)), number)
    }

    fn masters(states: [MasterState; 2], reason: &str) -> Vec<MasterStatus> {
        let master = |(name, state): (&str, MasterState)| MasterStatus {
            name: MasterName(name.to_owned()),
            state,
            reason: (!state.serves()).then(|| reason.to_owned()),
        };
        ["a", "b"].into_iter().zip(states).map(master).collect()
    }

    use MasterState::{Behind, Down, Joining, Live};

    #[test]
    fn a_master_is_in_the_queue_from_when_it_stops_serving_until_it_serves() {
        let mut pending = Pending::default();
        let pause = |_| Some(Duration::from_secs(5));
        let all = masters([Live, Live], "");
        pending.see(at(0), &all, None, pause);
        assert!(pending.queue(&all).is_empty());
        let has = before(txid(1));
        let down = masters([Live, Down], "it does not answer");
        pending.see(at(1), &down, Some(has), pause);
        pending.see(at(4), &down, Some(before(txid(4))), pause);
        pending.failed(1);
        assert_eq!(pending.away(None), [(1, Some(has))], "it has no more than when it left");
        let missed = Counted { write_sets: 3, or_more: false, oldest: Some(at(1)) };
        pending.counted(1, Some(missed));
        let queue = pending.queue(&down);
        let [owed] = queue.masters.as_slice() else { panic!("{queue:?}") };
        assert_eq!((owed.since, owed.attempts, owed.next_try), (at(1), 1, Some(at(9))));
        assert_eq!((owed.write_sets, owed.oldest), (Some(3), Some(at(1))));
        assert_eq!(owed.last_error.as_deref(), Some("it does not answer"));
        // It is being brought back: that is no error, and what it says counts.
        let behind = masters([Live, Behind], "it is catching up");
        pending.trying(1);
        pending.see(at(9), &behind, None, |_| None);
        pending.says(1, before(txid(3)));
        assert_eq!(pending.away(Some(before(txid(2)))), [(1, Some(before(txid(3))))]);
        let queue = pending.queue(&behind);
        assert_eq!(queue.masters[0].last_error.as_deref(), Some("it does not answer"));
        assert_eq!((queue.masters[0].state, queue.masters[0].next_try), (Behind, None));
        pending.see(at(10), &masters([Live, Joining], ""), None, |_| None);
        pending.see(at(10), &all, None, pause);
        assert!(pending.queue(&all).is_empty() && !pending.lacks_any());
    }

    #[test]
    fn what_was_owed_before_a_master_was_out_counts() {
        let mut pending = Pending::default();
        pending.see(at(9), &masters([Live, Down], ""), Some(before(txid(9))), |_| None);
        assert_eq!(pending.away(Some(before(txid(8)))), [(1, Some(before(txid(8))))]);
        assert_eq!(pending.away(Some(before(txid(10)))), [(1, Some(before(txid(9))))]);
        // Nobody knows what one has that was away from the start.
        let mut pending = Pending::default();
        pending.see(at(9), &masters([Live, Down], ""), None, |_| None);
        assert_eq!(pending.away(Some(before(txid(8)))), [(1, None)]);
    }

    #[test]
    fn when_too_many_are_in_doubt_the_oldest_falls_out() {
        let mut pending = Pending::default();
        for number in 0..DOUBTS_MAX as u64 {
            assert_eq!(pending.doubt(at(0), txid(number)), None);
        }
        assert_eq!(pending.doubt(at(0), txid(5)), None, "it is in the queue");
        assert_eq!(pending.doubt(at(0), txid(DOUBTS_MAX as u64)), Some(txid(0)));
        let queue = pending.queue(&[]);
        assert_eq!((queue.in_doubt.len(), queue.fell_out), (DOUBTS_MAX, 1));
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Doubt(u64),
        Round(bool),
        Drop(u64),
    }

    proptest! {
        /// Whatever comes, each transaction that is in doubt is looked up again
        /// and again, and leaves the queue when somebody knows, or an operator
        /// says so, and not before.
        #[test]
        fn a_doubt_stays_until_it_is_settled(
            events in prop::collection::vec(
                prop_oneof![
                    (0..600u64).prop_map(Event::Doubt),
                    any::<bool>().prop_map(Event::Round),
                    (0..600u64).prop_map(Event::Drop),
                ],
                0..1_500,
            ),
            backwards in any::<bool>(),
        ) {
            let mut pending = Pending::default();
            let mut open: BTreeMap<TxId, u32> = BTreeMap::new();
            for (event, second) in events.into_iter().zip(0..) {
                // The clock may jump.
                let now = if backwards { at(10_000 - second) } else { at(second) };
                match event {
                    Event::Doubt(number) => {
                        prop_assert_eq!(pending.doubt(now, txid(number)), None);
                        open.entry(txid(number)).or_default();
                    }
                    Event::Drop(number) => {
                        let was = open.remove(&txid(number)).is_some();
                        prop_assert_eq!(pending.drop_doubt(txid(number)), was);
                    }
                    Event::Round(known) => {
                        let round = pending.to_look_up();
                        prop_assert_eq!(round.len(), open.len().min(LOOKUPS_MAX));
                        for txid in round {
                            let found = if known { Ok(true) } else { Err("away".to_owned()) };
                            prop_assert_eq!(pending.looked_up(now, txid, found), known);
                            if known {
                                open.remove(&txid);
                            } else {
                                *open.get_mut(&txid).unwrap() += 1;
                            }
                        }
                    }
                }
                let queue = pending.queue(&[]);
                let told: BTreeMap<TxId, u32> =
                    queue.in_doubt.iter().map(|one| (one.txid, one.attempts)).collect();
                prop_assert_eq!(&told, &open);
            }
        }
    }
}
