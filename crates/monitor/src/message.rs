//! What is sent: one thing that happened to an episode.

use std::time::Duration;

use serde::Serialize;
use stdx::UnixMicros;

use crate::alert::Alert;

stdx::id_type! {
    /// Identifies a message: whoever gets one twice, after an answer that was
    /// lost, knows it by this.
    pub struct MessageId;
}

stdx::id_type! {
    /// Identifies an episode: all its messages have it.
    pub struct EpisodeId;
}

/// What happened to an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Raised,
    /// It became worse: the severity has risen.
    Worsened,
    /// It goes on, and a CRITICAL one is told again from time to time.
    Repeated,
    /// It is over.
    Resolved,
}

impl Event {
    /// As messages have it: `raised`, `worsened`, `repeated`, `resolved`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Worsened => "worsened",
            Self::Repeated => "repeated",
            Self::Resolved => "resolved",
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its own id.
    pub id: MessageId,
    /// The episode that it is about.
    pub episode: EpisodeId,
    /// What happened.
    pub event: Event,
    /// The alert, with the highest severity that the episode has reached and
    /// the last summary and details of that severity.
    pub alert: Alert,
    /// When the episode began.
    pub since: UnixMicros,
    /// When this was said.
    pub at: UnixMicros,
    /// How often it was raised in this episode.
    pub count: u64,
    /// How long it lasted; of one that is over, and of no other.
    pub lasted: Option<Duration>,
}
