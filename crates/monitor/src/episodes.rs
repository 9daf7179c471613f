//! Which alerts are one matter, and when anybody is told.
//!
//! ```text
//!               raise                      resolve
//!   (nothing) ─────────▶ OPEN ─────────────────────────▶ QUIET
//!       ▲      raised     │ ▲                            │   │
//!       │                 └─┘ worsened, repeated         │   │
//!       │                  ▲                             │   │
//!       │                  └────────── raise, joined ────┘   │
//!       └───────────────── resolved: quiet for long enough ──┘
//! ```
//!
//! An episode that is resolved is kept for a quiet time before anybody hears of
//! it. Raised again within that time it goes on, and what flaps is one episode
//! with two messages.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stdx::{IdSource, UnixMicros};

use crate::alert::{Alert, AlertKey, Severity};
use crate::message::{EpisodeId, Event, Message};

/// When episodes are told again, and when they are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpisodesConfig {
    /// How long an episode has to be resolved until it is over. Default 1 min.
    pub quiet: Duration,
    /// A CRITICAL one that goes on is told again this long after it was told
    /// last; `None`: never. Default 4 h, at least
    /// [`EpisodesConfig::REPEAT_MIN`].
    pub repeat_critical: Option<Duration>,
    /// The most episodes at a time. Default 1,000, at least 1.
    pub episodes_max: usize,
}

impl EpisodesConfig {
    /// The least time between two messages that say the same.
    pub const REPEAT_MIN: Duration = Duration::from_secs(1);

    fn within_bounds(self) -> Self {
        Self {
            quiet: self.quiet,
            repeat_critical: self.repeat_critical.map(|repeat| repeat.max(Self::REPEAT_MIN)),
            episodes_max: self.episodes_max.max(1),
        }
    }
}

impl Default for EpisodesConfig {
    fn default() -> Self {
        Self {
            quiet: Duration::from_mins(1),
            repeat_critical: Some(Duration::from_hours(4)),
            episodes_max: 1_000,
        }
    }
}

/// There are as many episodes as there may be. Here is the alert back: no
/// message says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more alerts are open than are kept")]
pub struct TooMany(pub Box<Alert>);

/// An episode that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEpisode {
    /// Which one.
    pub episode: EpisodeId,
    /// The alert, with the highest severity that it has reached.
    pub alert: Alert,
    /// When it began.
    pub since: UnixMicros,
    /// How often it was raised.
    pub count: u64,
    /// When it was resolved, where it was: it is waited whether it stays so.
    pub resolved_at: Option<UnixMicros>,
}

/// The episodes of one service. This type performs no I/O: its ids come from
/// the [`IdSource`] and its time is an argument.
///
/// After each call, take what there is to say by [`Episodes::poll_message`]
/// until there is none; call [`Episodes::advance`] when the time of
/// [`Episodes::next_wake`] has come. A call makes at most one message for each
/// episode, but for a raise, which can make two.
///
/// Its time may jump: when `now` goes back, what was counted from a later
/// moment is counted anew from there.
///
/// ```
/// use std::time::Duration;
/// use monitor::{Alert, AlertKey, Episodes, EpisodesConfig, Event, Severity};
/// use stdx::{Clock, IdSource, Random, Seed, UnixMicros};
///
/// let mut now = UnixMicros::from_secs(1_700_000_000);
/// let ids = IdSource::new(Clock::starting_at(now), Random::new(Seed(1)));
/// let mut episodes = Episodes::new(EpisodesConfig::default(), ids);
/// let key = AlertKey::new("master/b");
/// let alert = Alert::new(Severity::Warning, key.clone(), "master b is away");
///
/// episodes.raise(now, alert.clone())?;
/// assert_eq!(episodes.poll_message().unwrap().event, Event::Raised);
/// // It flaps: nobody hears of that.
/// episodes.resolve(now, &key);
/// episodes.raise(now, alert)?;
/// assert_eq!(episodes.poll_message(), None);
/// // It is over, and stays so.
/// now = now.after(Duration::from_secs(30));
/// episodes.resolve(now, &key);
/// episodes.advance(episodes.next_wake().unwrap());
/// let message = episodes.poll_message().unwrap();
/// assert_eq!((message.event, message.count), (Event::Resolved, 2));
/// assert_eq!(message.lasted, Some(Duration::from_secs(30)));
/// # Ok::<(), monitor::TooMany>(())
/// ```
#[derive(Clone, Debug)]
pub struct Episodes {
    config: EpisodesConfig,
    ids: IdSource,
    by_key: BTreeMap<AlertKey, Episode>,
    messages: VecDeque<Message>,
}

#[derive(Clone, Debug)]
struct Episode {
    id: EpisodeId,
    /// Of the highest severity that was reached.
    alert: Alert,
    since: UnixMicros,
    told_at: UnixMicros,
    count: u64,
    resolved_at: Option<UnixMicros>,
}

impl Episodes {
    /// No episode yet.
    #[must_use]
    pub fn new(config: EpisodesConfig, ids: IdSource) -> Self {
        let config = config.within_bounds();
        Self { config, ids, by_key: BTreeMap::new(), messages: VecDeque::new() }
    }

    /// Something is the matter. Under a key that is open it is counted, and told
    /// only where it is worse than before.
    pub fn raise(&mut self, now: UnixMicros, alert: Alert) -> Result<(), TooMany> {
        self.advance(now);
        if let Some(episode) = self.by_key.get_mut(alert.key()) {
            episode.resolved_at = None;
            episode.count += 1;
            let before = episode.alert.severity();
            if alert.severity() >= before {
                episode.alert = alert;
            }
            if episode.alert.severity() > before {
                episode.told_at = now;
                self.messages.push_back(episode.message(&self.ids, Event::Worsened, now));
            }
            // It was quiet for a while, and is to be told again by now.
            self.advance(now);
            return Ok(());
        }
        if self.by_key.len() >= self.config.episodes_max {
            return Err(TooMany(Box::new(alert)));
        }
        let key = alert.key().clone();
        let id = self.ids.next();
        let episode = Episode { id, alert, since: now, told_at: now, count: 1, resolved_at: None };
        self.messages.push_back(episode.message(&self.ids, Event::Raised, now));
        self.by_key.insert(key, episode);
        Ok(())
    }

    /// It is well again. What is not open, or resolved already, stays as it is.
    pub fn resolve(&mut self, now: UnixMicros, key: &AlertKey) {
        self.advance(now);
        if let Some(episode) = self.by_key.get_mut(key) {
            episode.resolved_at.get_or_insert(now);
        }
        // With no quiet time it is over at once.
        self.advance(now);
    }

    /// Says what the time brings: what was quiet for long enough is over, what
    /// goes on for long is told again.
    pub fn advance(&mut self, now: UnixMicros) {
        let mut over = Vec::new();
        for (key, episode) in &mut self.by_key {
            episode.turn_back_to(now);
            match episode.due(&self.config) {
                Some((at, Event::Resolved)) if at <= now => over.push(key.clone()),
                Some((at, _)) if at <= now => {
                    episode.told_at = now;
                    self.messages.push_back(episode.message(&self.ids, Event::Repeated, now));
                }
                _ => {}
            }
        }
        for key in over {
            self.end(now, &key);
        }
    }

    /// When [`Episodes::advance`] has something to say; `None` where it has not
    /// before something is raised or resolved.
    #[must_use]
    pub fn next_wake(&self) -> Option<UnixMicros> {
        let due = self.by_key.values().filter_map(|episode| episode.due(&self.config));
        due.map(|(at, _)| at).min()
    }

    /// Ends what is resolved without waiting whether it stays so, because
    /// nobody will wait any more.
    pub fn finish(&mut self, now: UnixMicros) {
        let resolved = self.by_key.iter().filter(|(_, episode)| episode.resolved_at.is_some());
        let keys: Vec<AlertKey> = resolved.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.end(now, &key);
        }
    }

    /// The next message that nobody has taken yet, oldest first.
    #[must_use]
    pub fn poll_message(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    /// The episodes that are not over, by their keys.
    pub fn open(&self) -> impl Iterator<Item = OpenEpisode> {
        self.by_key.values().map(|episode| OpenEpisode {
            episode: episode.id,
            alert: episode.alert.clone(),
            since: episode.since,
            count: episode.count,
            resolved_at: episode.resolved_at,
        })
    }

    fn end(&mut self, now: UnixMicros, key: &AlertKey) {
        if let Some(episode) = self.by_key.remove(key) {
            self.messages.push_back(episode.message(&self.ids, Event::Resolved, now));
        }
    }
}

impl Episode {
    /// What happens to it next without anybody doing anything.
    fn due(&self, config: &EpisodesConfig) -> Option<(UnixMicros, Event)> {
        match self.resolved_at {
            Some(at) => Some((at.after(config.quiet), Event::Resolved)),
            None if self.alert.severity() == Severity::Critical => {
                config.repeat_critical.map(|repeat| (self.told_at.after(repeat), Event::Repeated))
            }
            None => None,
        }
    }

    fn turn_back_to(&mut self, now: UnixMicros) {
        self.since = self.since.min(now);
        self.told_at = self.told_at.min(now);
        self.resolved_at = self.resolved_at.map(|at| at.min(now));
    }

    fn message(&self, ids: &IdSource, event: Event, now: UnixMicros) -> Message {
        let ended = self.resolved_at.filter(|_| event == Event::Resolved);
        Message {
            id: ids.next(),
            episode: self.id,
            event,
            alert: self.alert.clone(),
            since: self.since,
            at: now,
            count: self.count,
            lasted: ended.map(|ended| ended.since(self.since)),
        }
    }
}
