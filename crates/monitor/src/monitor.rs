//! The shell around the cores: tasks, a clock, the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stdx::{Clock, IdSource, Random, UnixMicros};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::alert::{Alert, AlertKey, Severity};
use crate::courier::{Attempt, Courier, DeliveryConfig, Step};
use crate::episodes::{Episodes, EpisodesConfig, OpenEpisode};
use crate::message::{Event, Message};
use crate::target::{SetupError, Target, TargetConfig};
use crate::wire;

/// What is told, to whom, and how.
#[derive(Clone, Debug, Default)]
pub struct MonitorConfig {
    /// When anybody is told.
    pub episodes: EpisodesConfig,
    /// Who, besides the log; it can be nobody.
    pub targets: Vec<TargetConfig>,
    /// How.
    pub delivery: DeliveryConfig,
}

/// The clock and the chance that a monitor needs.
#[derive(Clone, Debug)]
pub struct Environment {
    /// For episodes and pauses.
    pub clock: Clock,
    /// For ids of messages.
    pub ids: IdSource,
    /// For pauses.
    pub random: Random,
}

/// Takes alerts and tells them. Cheap to clone.
///
/// [`Monitor::raise`] and [`Monitor::resolve`] write a line of the log where
/// there is news, put it into the queue of each target, and return: they wait
/// for no target.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    environment: Environment,
    state: Mutex<State>,
    targets: Vec<Target>,
    /// For each target: there is something to send.
    news: Vec<Notify>,
    /// The time of the next wake may have changed.
    rewake: Notify,
    /// Turns true when the monitor closes.
    closing: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct State {
    episodes: Episodes,
    /// As the targets are numbered.
    couriers: Vec<Courier>,
}

/// The longest that a task waits without a look at the clock, which may jump.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Monitor {
    /// Starts a monitor on the present Tokio runtime.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start(config: MonitorConfig, environment: Environment) -> Result<Self, SetupError> {
        let MonitorConfig { episodes, targets, delivery } = config;
        let targets: Vec<Target> = targets
            .into_iter()
            .map(|target| Target::new(target, delivery.request))
            .collect::<Result<_, _>>()?;
        let state = State {
            episodes: Episodes::new(episodes, environment.ids.clone()),
            couriers: targets.iter().map(|_| Courier::new(delivery.clone())).collect(),
        };
        let inner = Arc::new(Inner {
            environment,
            state: Mutex::new(state),
            news: targets.iter().map(|_| Notify::new()).collect(),
            targets,
            rewake: Notify::new(),
            closing: watch::Sender::new(false),
            tasks: Mutex::new(JoinSet::new()),
        });
        {
            let mut tasks = lock(&inner.tasks);
            for at in 0..inner.targets.len() {
                tasks.spawn(deliver(Arc::clone(&inner), at));
            }
            tasks.spawn(pass_time(Arc::clone(&inner)));
        }
        Ok(Self(inner))
    }

    /// Something is the matter. Under a key that is open already it is counted,
    /// and told only where it is worse than before.
    pub fn raise(&self, alert: Alert) {
        let now = self.0.environment.clock.now();
        let mut state = self.0.state();
        if let Err(error) = state.episodes.raise(now, alert) {
            let alert = &error.0;
            state.couriers.iter_mut().for_each(Courier::count_dropped);
            tracing::error!(
                target: LOG, severity = %alert.severity(), key = %alert.key(), details = shown(alert),
                "{}: told here alone: {error}", alert.summary()
            );
        }
        self.0.tell(state);
        self.0.rewake.notify_one();
    }

    /// It is well again. What is not open stays as it is.
    pub fn resolve(&self, key: &AlertKey) {
        let now = self.0.environment.clock.now();
        let mut state = self.0.state();
        state.episodes.resolve(now, key);
        self.0.tell(state);
        self.0.rewake.notify_one();
    }

    /// The episodes that are not over, by their keys.
    #[must_use]
    pub fn open(&self) -> Vec<OpenEpisode> {
        self.0.state().episodes.open().collect()
    }

    /// Ends the monitor: what is resolved is told without further waiting, what
    /// waits is delivered, for at most `limit`, and what is left then is logged.
    /// Whatever is raised afterwards is logged alone.
    pub async fn close(&self, limit: Duration) {
        self.0.finish();
        self.0.closing.send_replace(true);
        let mut tasks = std::mem::take(&mut *lock(&self.0.tasks));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            tasks.shutdown().await;
        }
        self.0.log_what_is_left();
    }
}

/// The target of the log's lines.
const LOG: &str = "alerts";

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Logs what there is to say and hands it to the couriers. The lock is held
    /// meanwhile, so that the log and every target have it in one order.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let State { episodes, couriers } = &mut *state;
        let mut told = false;
        while let Some(message) = episodes.poll_message() {
            log(&message);
            for (courier, target) in couriers.iter_mut().zip(&self.targets) {
                if !courier.offer(message.clone()) {
                    tracing::error!(
                        to = target.name(), key = %message.alert.key(), event = message.event.as_str(),
                        "an alert was dropped: too many wait to be delivered"
                    );
                }
            }
            told = true;
        }
        drop(state);
        if told {
            self.news.iter().for_each(Notify::notify_one);
        }
    }

    /// Says what the time brings, and returns when it has something to say again.
    fn advance(&self) -> Option<UnixMicros> {
        let mut state = self.state();
        state.episodes.advance(self.environment.clock.now());
        let wake = state.episodes.next_wake();
        self.tell(state);
        wake
    }

    fn finish(&self) {
        let mut state = self.state();
        state.episodes.finish(self.environment.clock.now());
        self.tell(state);
    }

    fn came_of_it(&self, at: usize, attempt: Attempt) {
        let to = self.targets[at].name();
        let now = self.environment.clock.now();
        let mut state = self.state();
        let courier = &mut state.couriers[at];
        if let Some(message) = courier.came_of_it(attempt, now, &self.environment.random) {
            tracing::error!(
                to, key = %message.alert.key(), event = message.event.as_str(),
                "an alert was dropped: its target refuses it"
            );
        }
        while let Some(change) = courier.poll_change() {
            let (from, into, why) = (change.from, change.to, change.why);
            tracing::info!(to, ?from, ?into, ?why, "the breaker of a target of alerts changed");
        }
    }

    fn log_what_is_left(&self) {
        let mut state = self.state();
        for (courier, target) in state.couriers.iter_mut().zip(&self.targets) {
            let (left, dropped) = courier.give_up();
            let to = target.name();
            for message in left {
                tracing::error!(
                    to, key = %message.alert.key(), event = message.event.as_str(),
                    severity = %message.alert.severity(), id = %message.id,
                    "an alert was not delivered before the end: {}", message.alert.summary()
                );
            }
            if dropped > 0 {
                tracing::error!(to, dropped, "alerts were dropped, and no later message said so");
            }
        }
        for open in state.episodes.open() {
            tracing::warn!(
                target: LOG, severity = %open.alert.severity(), key = %open.alert.key(),
                "open at the end: {}", open.alert.summary()
            );
        }
    }
}

/// Carries messages to one target, one after the other.
async fn deliver(inner: Arc<Inner>, at: usize) {
    let (target, news, environment) = (&inner.targets[at], &inner.news[at], &inner.environment);
    let mut closing = inner.closing.subscribe();
    loop {
        let step = inner.state().couriers[at].poll(environment.clock.now());
        match step {
            Step::Send(delivery) => {
                let attempt = target.post(&delivery).await;
                inner.came_of_it(at, attempt);
            }
            Step::Wait(until) => sleep_until(until, &environment.clock).await,
            Step::Idle if *closing.borrow() => return,
            Step::Idle => {
                tokio::select! {
                    () = news.notified() => {}
                    _ = closing.changed() => {}
                }
            }
        }
    }
}

/// Says what the time brings, until the monitor closes.
async fn pass_time(inner: Arc<Inner>) {
    let mut closing = inner.closing.subscribe();
    while !*closing.borrow() {
        let wake = inner.advance();
        let clock = &inner.environment.clock;
        let wakes = async {
            match wake {
                Some(at) => sleep_until(at, clock).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wakes => {}
            () = inner.rewake.notified() => {}
            _ = closing.changed() => {}
        }
    }
}

/// Sleeps until then, or until it is time to look at the clock again.
async fn sleep_until(at: UnixMicros, clock: &Clock) {
    tokio::time::sleep(at.since(clock.now()).min(LOOK_AGAIN)).await;
}

fn log(message: &Message) {
    let alert = &message.alert;
    let (key, event, episode) = (alert.key(), message.event.as_str(), message.episode);
    let (severity, details, summary) = (alert.severity(), shown(alert), alert.summary());
    match (message.event, severity) {
        (Event::Resolved, _) => {
            let lasted = wire::duration(message.lasted.unwrap_or_default().as_secs());
            tracing::info!(target: LOG, %severity, %key, event, %episode, lasted, "resolved: {summary}");
        }
        (_, Severity::Info) => {
            tracing::info!(target: LOG, %severity, %key, event, %episode, details, "{summary}");
        }
        (_, Severity::Warning) => {
            tracing::warn!(target: LOG, %severity, %key, event, %episode, details, "{summary}");
        }
        (_, Severity::Critical) => {
            tracing::error!(target: LOG, %severity, %key, event, %episode, details, "{summary}");
        }
    }
}

fn shown(alert: &Alert) -> String {
    let details = alert.details().iter().map(|(name, value)| format!("{name}={value}"));
    details.collect::<Vec<_>>().join("; ")
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
