//! Stops a saga at every point, alone and in pairs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use multi_master::MultiMaster;
use stdx::{Clock, IdSource, Random, Seed, UnixMicros};
use tokio::sync::watch;

use crate::model::SagaId;
use crate::sagas::{Config, Definitions, SagaView, Sagas, StartError};

/// The crash points of one orchestrator. Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub struct Crash(Arc<State>);

#[derive(Debug)]
struct State {
    /// It dies where it has passed so many.
    at: Option<usize>,
    passed: Mutex<Vec<String>>,
    dead: watch::Sender<bool>,
}

impl Crash {
    pub(crate) fn none() -> Self {
        Self::after(None)
    }

    fn after(at: Option<usize>) -> Self {
        Self(Arc::new(State { at, passed: Mutex::default(), dead: watch::Sender::new(false) }))
    }

    pub(crate) async fn reached(&self, point: impl FnOnce() -> String) {
        if !self.is_dead() {
            let mut passed = self.0.passed.lock().unwrap_or_else(PoisonError::into_inner);
            let is_here = self.0.at == Some(passed.len());
            passed.push(point());
            if !is_here {
                return;
            }
            self.0.dead.send_replace(true);
        }
        std::future::pending::<()>().await;
    }

    fn is_dead(&self) -> bool {
        *self.0.dead.borrow()
    }

    /// When it has died.
    async fn died(&self) {
        // The sender lives as long as this does.
        let _ = self.0.dead.subscribe().wait_for(|dead| *dead).await;
    }

    fn passed(&self) -> Vec<String> {
        self.0.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a saga works on, and who judges it.
pub trait World: Sized + Send + Sync + 'static {
    /// In how many ways a saga of it can go: all is well, the second step says no, …
    const SCENARIOS: usize;
    /// What [`World::define`] gives: the [`crate::Kind`] to start.
    type Kind: Send + Sync + 'static;

    /// An empty one. Its store has to have this clock, which is moved when leases have to
    /// end.
    fn begin(clock: Clock) -> impl Future<Output = Self> + Send;

    /// Where its sagas are journaled.
    fn store(&self) -> &MultiMaster;

    /// Makes its saga known. It is called for every process.
    fn define(&self, definitions: &mut Definitions) -> Self::Kind;

    /// Starts one. Whoever asks for it does not know whether it was started, and asks again:
    /// it is called after every crash, with the same id.
    fn start(
        &self,
        sagas: &Sagas,
        kind: &Self::Kind,
        scenario: usize,
        id: SagaId,
    ) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Panics where something was lost, doubled, or left.
    fn check(&self, scenario: usize, saga: &SagaView) -> impl Future<Output = ()> + Send;
}

/// What was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crashes {
    /// Runs in which a process was stopped, once or more.
    pub runs: usize,
    /// The points where one was.
    pub points: BTreeSet<String>,
}

/// Longer than a lease.
const AWAY: Duration = Duration::from_mins(1);
/// A run that takes longer has come to a stop.
const RUN_MAX: Duration = Duration::from_mins(1);

/// Runs every scenario with a process stopped at each point, and, `at_most` 2, the one that
/// takes over stopped at each of its points too.
///
/// # Panics
/// Where [`World::check`] does, or a run comes to no end: with the points where it was
/// stopped.
#[must_use]
pub fn everywhere<W: World>(at_most: usize) -> Crashes {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_800_000_000));
        let ids = IdSource::new(clock.clone(), Random::new(Seed(1)));
        let world = W::begin(clock.clone()).await;
        let mut crashes = Crashes::default();
        for scenario in 0..W::SCENARIOS {
            let mut plan = vec![0];
            loop {
                let id = ids.next();
                let run = Run { world: &world, clock: &clock, scenario, id };
                let stopped = run.through(&plan).await;
                let crashed = stopped.len();
                crashes.runs += usize::from(crashed > 0);
                crashes.points.extend(stopped);
                if crashed == plan.len() {
                    // As planned: then one crash more, or the last one later.
                    if crashed < at_most {
                        plan.push(0);
                    } else {
                        *plan.last_mut().expect("a plan has a crash") += 1;
                    }
                } else {
                    // The last one was planned for after the end.
                    plan.pop();
                    match plan.last_mut() {
                        Some(last) => *last += 1,
                        None => break,
                    }
                }
            }
        }
        world.store().close().await;
        crashes
    })
}

struct Run<'a, W> {
    world: &'a W,
    clock: &'a Clock,
    scenario: usize,
    id: SagaId,
}

impl<W: World> Run<'_, W> {
    /// Gives back where processes were stopped.
    async fn through(&self, plan: &[usize]) -> Vec<String> {
        let mut stopped = Vec::new();
        for at in plan.iter().copied().map(Some).chain([None]) {
            let crash = Crash::after(at);
            let ended = tokio::select! {
                saga = self.process(crash.clone()) => Some(saga),
                () = crash.died() => None,
                () = tokio::time::sleep(RUN_MAX) => {
                    panic!("no end after {stopped:?}; passed {:?}", crash.passed())
                }
            };
            if let Some(saga) = ended {
                assert!(
                    saga.state.is_over(),
                    "it is {} after {stopped:?}: {saga:?}",
                    saga.state.name()
                );
                self.world.check(self.scenario, &saga).await;
                return stopped;
            }
            stopped.extend(crash.passed().pop());
            self.clock.advance(AWAY);
        }
        unreachable!("the last process is stopped by nobody")
    }

    /// One process: takes over what another one left, and is asked for the saga.
    async fn process(&self, crash: Crash) -> SagaView {
        let mut definitions = Definitions::default();
        let kind = self.world.define(&mut definitions);
        let config =
            Config { clock: self.clock.clone(), random: Random::new(Seed(1)), ..Config::default() };
        let store = self.world.store().clone();
        // Nothing goes on beside it: the same points are passed in each run.
        let sagas = Sagas::open_alone(store, definitions, config, crash)
            .await
            .expect("the orchestrator can be opened");
        sagas.recover_now().await.expect("the store can be read");
        while let Err(why) = self.world.start(&sagas, &kind, self.scenario, self.id).await {
            // It is being taken over by this very process.
            assert!(
                matches!(&why, StartError::Db(error) if error.is_retryable()),
                "it can't be started: {why}"
            );
            tokio::task::yield_now().await;
        }
        sagas.wait(self.id).await.expect("the store can be read");
        let saga = sagas.view(self.id).await.expect("the store can be read");
        saga.expect("it was started")
    }
}
