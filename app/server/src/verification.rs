//! Comparing the masters: when the operator asks, and on a schedule. Never two
//! comparisons at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor::{Alert, AlertKey, Monitor, Severity};
use multi_master::{Findings, MasterStatus, MultiMaster, Progress, Verify};
use serde::{Deserialize, Serialize};
use stdx::{Clock, Random, UnixMicros};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Compares the masters of one store. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Verification(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: MultiMaster,
    monitor: Monitor,
    clock: Clock,
    state: Mutex<State>,
    /// A write was refused.
    refused: Notify,
}

#[derive(Clone, Debug, Default)]
struct State {
    running: Option<Running>,
    last: Option<LastRun>,
    /// When the schedule compares next.
    next: Option<UnixMicros>,
}

/// A comparison that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) since: UnixMicros,
    pub(crate) by: By,
    pub(crate) rows: u64,
}

/// Who asked for a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    Operator,
    Schedule,
    /// A write met rows that differ, and was refused.
    Refusal,
}

/// The last comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastRun {
    /// When it ended.
    pub(crate) at: UnixMicros,
    pub(crate) took_ms: u64,
    pub(crate) by: By,
    pub(crate) result: RunResult,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunResult {
    /// It came to its end.
    Done {
        masters: Vec<String>,
        rows: u64,
        different: u64,
        repaired: u64,
        /// What is not as the program made it.
        structure: u64,
    },
    /// It did not: why.
    Failed(String),
}

/// What there is to say about comparisons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    /// One that runs now.
    pub(crate) running: Option<Running>,
    /// The last one since the server was started.
    pub(crate) last: Option<LastRun>,
    /// When the schedule makes the next.
    pub(crate) next: Option<UnixMicros>,
}

/// Another comparison runs.
pub(crate) const BUSY: &str = "the masters are being compared already: wait for that, or see /ops";

/// Ends what [`Inner::begin`] began.
struct Turn<'a>(&'a Inner);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().running = None;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, by: By) -> Option<Turn<'_>> {
        let mut state = self.state();
        if state.running.is_some() {
            return None;
        }
        state.running = Some(Running { since: self.clock.now(), by, rows: 0 });
        Some(Turn(self))
    }
}

impl Verification {
    pub(crate) fn new(store: MultiMaster, monitor: Monitor, clock: Clock) -> Self {
        let (state, refused) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { store, monitor, clock, state, refused }))
    }

    pub(crate) fn verified(&self) -> Verified {
        let State { running, last, next } = self.0.state().clone();
        Verified { running, last, next }
    }

    /// Compares the masters. What is found becomes alerts, or ends them.
    ///
    /// # Errors
    /// Why it could not be done, for people.
    pub(crate) async fn run(
        &self,
        how: Verify,
        by: By,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Findings, String> {
        let inner = &self.0;
        let Some(turn) = inner.begin(by) else { return Err(BUSY.to_owned()) };
        let began = inner.clock.now();
        let shown = Arc::clone(inner);
        let found = inner.store.verify(how, move |progressed| {
            if let Some(running) = &mut shown.state().running {
                running.rows = progressed.rows;
            }
            progress(progressed);
        });
        let found = found.await.map_err(|error| error.to_string());
        let at = inner.clock.now();
        let took_ms = u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX);
        let result = match &found {
            Ok(findings) => RunResult::Done {
                masters: findings.masters.iter().map(|name| name.0.clone()).collect(),
                rows: findings.rows,
                different: findings.different,
                repaired: findings.repaired,
                structure: findings.structure.len() as u64,
            },
            Err(why) => RunResult::Failed(why.clone()),
        };
        inner.state().last = Some(LastRun { at, took_ms, by, result });
        if let Ok(findings) = &found {
            inner.monitor.resolve(&AlertKey::new(FAILED));
            for order in orders(findings, inner.store.status().len()) {
                match order {
                    Ok(alert) => inner.monitor.raise(alert),
                    Err(key) => inner.monitor.resolve(&key),
                }
            }
        }
        drop(turn);
        found
    }

    /// A write met rows that differ: they are looked for now, or some minutes after that
    /// was done last for the same reason, and where a master is away, again when all serve.
    pub(crate) fn write_refused(&self) {
        self.0.refused.notify_one();
    }

    /// Compares the masters `every` so often, and when a write was refused because
    /// they differ, for as long as it is polled.
    pub(crate) async fn keep(&self, every: Option<Duration>, random: &Random) {
        let after = |pause: Duration| Instant::now() + pause;
        let mut scheduled = every.map(|every| after(first_pause(every, random)));
        // A write was refused: so many have to serve for it to be found out why.
        let all = self.0.store.status().len();
        let mut asked: Option<usize> = None;
        let mut may_again = Instant::now();
        let mut failed: u32 = 0;
        loop {
            let pause = scheduled.map(|next| next.saturating_duration_since(Instant::now()));
            self.0.state().next = pause.map(|pause| self.0.clock.now().after(pause));
            let is_time = async {
                match scheduled {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let may_find_it = async {
                tokio::time::sleep_until(may_again).await;
                let serve = |masters: &[MasterStatus]| {
                    masters.iter().filter(|master| master.state.serves()).count()
                };
                self.0.store.wait_until(|masters| Some(serve(masters)) >= asked).await;
            };
            let by = tokio::select! {
                () = may_find_it, if asked.is_some() => By::Refusal,
                () = is_time => By::Schedule,
                () = self.0.refused.notified() => {
                    asked = asked.or(Some(all.min(2)));
                    continue;
                }
            };
            let how = Verify { repair: false, unhurried: true };
            let found = self.run(how, by, |_| {}).await;
            if by == By::Refusal {
                may_again = after(AGAIN);
            }
            let next = every.map(|every| next_pause(every, random));
            scheduled = next.map(after);
            match found {
                Ok(findings) => {
                    failed = 0;
                    // What is away may be what differs.
                    asked = asked.filter(|_| findings.masters.len() < all).map(|_| all);
                    // What is not well is an alert.
                    if findings.is_well() {
                        tracing::info!(rows = findings.rows, "the masters were compared: the same");
                    }
                }
                Err(why) => {
                    tracing::warn!(why, "the masters could not be compared; that is tried again");
                    failed = failed.saturating_add(u32::from(why != BUSY));
                    if failed >= FAILED_TOO_OFTEN {
                        let summary = "the masters could not be compared";
                        let alert = Alert::new(Severity::Warning, AlertKey::new(FAILED), summary)
                            .detail("why", &why)
                            .detail("in_a_row", &failed.to_string());
                        self.0.monitor.raise(alert);
                    }
                    let again = after(every.map_or(AGAIN, |every| AGAIN.max(every / 24)));
                    scheduled = scheduled.map(|next| next.min(again));
                }
            }
        }
    }
}

/// After this a comparison that failed is made again, or sooner, where they are
/// made more often.
const AGAIN: Duration = Duration::from_mins(10);

/// Not at the start, when there is enough to do, and not so late that a server
/// that is restarted each day never compares: between a 24th and a quarter.
fn first_pause(every: Duration, random: &Random) -> Duration {
    every / 24 + part(every, random) * 5 / 24
}

/// Give or take a tenth, so that servers that were started together do not
/// compare together.
fn next_pause(every: Duration, random: &Random) -> Duration {
    every * 9 / 10 + part(every, random) / 5
}

/// Between nothing and all of it.
fn part(every: Duration, random: &Random) -> Duration {
    let us = u64::try_from(every.as_micros()).unwrap_or(u64::MAX - 1);
    Duration::from_micros(random.below(us + 1))
}

/// Comparisons failed, one after the other.
const FAILED: &str = "verify/failed";
/// So many, until that is told.
const FAILED_TOO_OFTEN: u32 = 3;

/// What a write is told as that was refused because the masters differ.
pub(crate) const DIVERGED: &str = "store/diverged";

/// What the findings are worth: an alert, or the key of one that is over. Only a
/// comparison of all masters ends one.
fn orders(found: &Findings, masters: usize) -> Vec<Result<Alert, AlertKey>> {
    let whole = found.masters.len() == masters && found.not_compared.is_empty();
    let mut orders = Vec::new();
    let key = AlertKey::new("verify/structure");
    if let Some(first) = found.structure.first() {
        let summary = "the tables of a master are not as the program made them";
        let alert = Alert::new(Severity::Critical, key, summary)
            .detail("first", first)
            .detail("count", &found.structure.len().to_string());
        let left_out = found.not_compared.join(", ");
        let alert =
            if left_out.is_empty() { alert } else { alert.detail("not_compared", &left_out) };
        orders.push(Ok(alert));
    } else if whole {
        orders.push(Err(key));
    }
    let key = AlertKey::new("verify/rows");
    let left = found.different - found.repaired;
    if left > 0 {
        let summary = "the masters do not hold the same rows";
        let alert = Alert::new(Severity::Warning, key, summary).detail("rows", &left.to_string());
        let alert =
            found.rows_told.iter().take(1).fold(alert, |alert, one| {
                alert.detail("first", &format!("{} {}", one.table, one.key))
            });
        let command = "endpaper masters verify --repair";
        orders.push(Ok(alert.detail("command", command)));
    } else if whole {
        orders.extend([Err(key), Err(AlertKey::new(DIVERGED))]);
    }
    let key = AlertKey::new("verify/repaired");
    if found.repaired > 0 {
        let summary = "rows that differed between the masters are the same again";
        let alert = Alert::new(Severity::Info, key, summary)
            .detail("rows", &found.repaired.to_string())
            .detail("command", "endpaper masters conflicts ls");
        orders.push(Ok(alert));
    } else if whole && left == 0 {
        orders.push(Err(key));
    }
    orders
}

#[cfg(test)]
mod tests {
    use monitor::{Environment, MonitorConfig};
    use multi_master::{MasterName, Policy};
    use stdx::{IdSource, Seed};

    use super::*;

    fn told(found: &Findings) -> Vec<String> {
        let orders = orders(found, 2).into_iter();
        let told = orders.map(|order| match order {
            Ok(alert) => format!("{} {}", alert.severity(), alert.key()),
            Err(key) => format!("resolved {key}"),
        });
        told.collect()
    }

    #[test]
    fn only_a_comparison_of_all_masters_ends_an_alert() {
        let names: Vec<MasterName> = ["a", "b"].map(|name| MasterName(name.to_owned())).into();
        let both = Findings { masters: names.clone(), ..Findings::default() };
        let alone = Findings { masters: names[..1].into(), ..Findings::default() };
        let well = ["resolved verify/structure", "resolved verify/rows", "resolved store/diverged"];
        let over = ["resolved verify/repaired"];
        assert_eq!(told(&both), [&well[..], &over].concat());
        assert_eq!(told(&alone), Vec::<String>::new());
        let different = Findings { different: 3, repaired: 1, ..both.clone() };
        let still = ["resolved verify/structure", "WARNING verify/rows", "INFO verify/repaired"];
        assert_eq!(told(&different), still);
        let repaired = Findings { different: 3, repaired: 3, ..both.clone() };
        assert_eq!(told(&repaired), [&well[..], &["INFO verify/repaired"]].concat());
        let altered = Findings { structure: vec!["b: no table".to_owned()], ..both };
        assert_eq!(told(&altered), [&["CRITICAL verify/structure"], &well[1..], &over].concat());
        let unfit = Findings { not_compared: vec!["memos".to_owned()], ..altered };
        assert_eq!(told(&unfit), ["CRITICAL verify/structure"], "nothing is known of memos");
    }

    #[tokio::test]
    async fn there_is_one_comparison_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let (store, verification) = started(directory.path()).await;
        let turn = verification.0.begin(By::Schedule).unwrap();
        let refused = verification.run(Verify::default(), By::Operator, |_| {}).await;
        assert_eq!(refused, Err(BUSY.to_owned()));
        assert!(verification.verified().running.is_some_and(|one| one.by == By::Schedule));
        drop(turn);
        verification.run(Verify::default(), By::Operator, |_| {}).await.unwrap();
        let verified = verification.verified();
        assert!(verified.running.is_none() && verified.last.unwrap().by == By::Operator);
        store.close().await;
    }

    async fn started(directory: &std::path::Path) -> (MultiMaster, Verification) {
        let config = multi_master::Config::embedded(directory, Policy::Available);
        let store = MultiMaster::open(config, &[]).await.unwrap();
        let (clock, random) = (Clock::real(), Random::new(Seed(7)));
        let environment = Environment { clock: clock.clone(), ids: IdSource::system(), random };
        let monitor = Monitor::start(MonitorConfig::default(), environment).unwrap();
        (store.clone(), Verification::new(store, monitor, clock))
    }

    #[tokio::test]
    async fn that_comparisons_fail_one_after_the_other_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (store, verification) = started(directory.path()).await;
        store.close().await;
        tokio::time::pause();
        let random = Random::new(Seed(7));
        let keeping = verification.keep(Some(Duration::from_hours(1)), &random);
        let told = async {
            loop {
                if let Some(alert) = verification.0.monitor.open().into_iter().next() {
                    break alert;
                }
                tokio::task::yield_now().await;
                tokio::time::advance(Duration::from_secs(10)).await;
            }
        };
        let told = tokio::select! {
            () = keeping => unreachable!("it is kept for ever"),
            told = told => told,
        };
        let shown = format!("{:?}", told.alert);
        assert!(shown.contains(FAILED), "{shown}");
        let in_a_row = ("in_a_row".to_owned(), "3".to_owned());
        assert!(told.alert.details().contains(&in_a_row), "{shown}");
    }

    /// What is away may be what differs, and to compare the others again and again finds
    /// nothing.
    #[tokio::test]
    async fn where_a_write_was_refused_the_masters_are_compared_when_all_serve() {
        let directory = tempfile::tempdir().unwrap();
        let (store, verification) = started(directory.path()).await;
        let random = Random::new(Seed(7));
        let keeping = verification.keep(None, &random);
        let test = async {
            let b = lab::TakenAway::take(&directory.path().join("b.db")).unwrap();
            store.wait_until(|masters| !masters[1].state.serves()).await;
            verification.write_refused();
            for _ in 0..100 {
                tokio::task::yield_now().await;
                assert!(verification.verified().running.is_none(), "one alone is not compared");
            }
            b.put_back().unwrap();
            loop {
                if let Some(last) = verification.verified().last {
                    break last;
                }
                tokio::task::yield_now().await;
            }
        };
        let last = tokio::select! {
            () = keeping => unreachable!("it is kept for ever"),
            last = test => last,
        };
        assert_eq!(last.by, By::Refusal);
        let RunResult::Done { masters, .. } = last.result else { panic!("{last:?}") };
        assert_eq!(masters, ["a", "b"]);
        store.close().await;
    }

    #[test]
    fn pauses_are_spread_and_bounded() {
        let (every, random) = (Duration::from_hours(24), Random::new(Seed(7)));
        for _ in 0..1_000 {
            let first = first_pause(every, &random);
            assert!((Duration::from_hours(1)..=Duration::from_hours(6)).contains(&first));
            let next = next_pause(every, &random);
            assert!(next >= every * 9 / 10 && next <= every * 11 / 10, "{next:?}");
        }
    }
}
