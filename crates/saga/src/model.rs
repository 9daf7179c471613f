//! The words: ids, states, what a step comes to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use multi_master::DbError;

stdx::id_type! {
    /// Identifies one saga. Whoever starts it makes the id: started again under the same
    /// id, it is the same saga.
    pub struct SagaId;
}

/// A number that rises each time that a saga gets another owner. Every write of an owner
/// carries it, and a smaller one changes nothing.
///
/// Kleppmann, *How to do distributed locking*, 2016.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The idempotency key of a step in a saga: `<saga>/<step>`. The same in each try, and in
/// its compensation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    /// Which saga.
    pub saga: SagaId,
    /// The name of the step.
    pub step: String,
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.saga, self.step)
    }
}

/// A text that should be the key of a step is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the key of a step: one is `<saga>/<step>`, a UUID and a name")]
pub struct NotAStepKey;

impl FromStr for StepKey {
    type Err = NotAStepKey;
    fn from_str(text: &str) -> Result<Self, NotAStepKey> {
        let (saga, step) = text.split_once('/').ok_or(NotAStepKey)?;
        let saga = saga.parse().map_err(|_| NotAStepKey)?;
        if !is_name(step) {
            return Err(NotAStepKey);
        }
        Ok(Self { saga, step: step.to_owned() })
    }
}

/// The longest name of a saga or a step.
pub const NAME_CHARS_MAX: u32 = 64;

/// Lower case letters, digits and `-`.
pub(crate) fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= NAME_CHARS_MAX as usize && name.bytes().all(is_part)
}

/// How a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SagaState {
    /// Its steps are being done.
    Running,
    /// Every step is done, or was left out by an operator. It is over.
    Completed,
    /// What was done is being undone.
    Compensating,
    /// Nothing of it is left, but for what an operator left out. It is over.
    Compensated,
    /// It can't go on and waits for an operator: a step after the pivot, or a
    /// compensation, fails again and again.
    Stuck,
}

impl SagaState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Completed, Self::Compensating, Self::Compensated, Self::Stuck];

    /// As it is stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Compensating => "COMPENSATING",
            Self::Compensated => "COMPENSATED",
            Self::Stuck => "STUCK",
        }
    }

    /// Whether nothing more becomes of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated)
    }

    /// Whether some process has to drive it.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Compensating)
    }
}

/// How a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepState {
    /// It was not begun.
    #[default]
    Waiting,
    /// That it begins was written down, and not what came of it. After a crash it counts
    /// as having run.
    Begun,
    /// Done.
    Done,
    /// Whoever was asked said no.
    Refused,
    /// It was tried as often as its policy says.
    GaveUp,
    /// It was undone.
    Undone,
    /// An operator left it out: going on, it is not done, and coming back, not undone.
    Skipped,
}

impl StepState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Begun,
        Self::Done,
        Self::Refused,
        Self::GaveUp,
        Self::Undone,
        Self::Skipped,
    ];

    /// As it is stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Begun => "BEGUN",
            Self::Done => "DONE",
            Self::Refused => "REFUSED",
            Self::GaveUp => "GAVE_UP",
            Self::Undone => "UNDONE",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// A step says no, for a reason of the business: no stock, no money. It is not tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// For programs, as `OUT_OF_STOCK`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// Why a step was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It says no: what was done before it is undone.
    #[error("{0}")]
    Refused(Refusal),
    /// It was certainly not done. It is tried again.
    #[error("{0}")]
    Failed(String),
    /// Nobody knows whether it was done. It is tried again under the same key, and where
    /// the saga turns back it is undone as if it had been.
    #[error("{0}")]
    Unknown(String),
    /// The store said no, to a local step. Where it can't be written at all the step waits
    /// without being counted as tried, else it is as [`StepError::Failed`].
    #[error(transparent)]
    Db(#[from] DbError),
}

impl StepError {
    /// A refusal.
    #[must_use]
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, message))
    }
}

/// How often a step is tried, and how long each time may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Tries at most, the first one counted. 1 to 1,000; default 5.
    pub attempts_max: u32,
    /// The longest pause after the first failure; it doubles with each further one, and
    /// the pause is drawn evenly below it. Default 100 ms.
    pub pause_base: Duration,
    /// No pause is longer. Default 5 s.
    pub pause_max: Duration,
    /// How long one call of another service may take; then it is not known what came of
    /// it. Local steps have the time limit of the store instead. Default 5 s.
    pub deadline: Duration,
}

impl Policy {
    /// The most that [`Policy::attempts_max`] may be.
    pub const ATTEMPTS_MAX: u32 = 1_000;

    /// The defaults.
    pub const DEFAULT: Self = Self {
        attempts_max: 5,
        pause_base: Duration::from_millis(100),
        pause_max: Duration::from_secs(5),
        deadline: Duration::from_secs(5),
    };

    /// How compensations are tried unless a step says otherwise: for longer, because
    /// nobody wants to be woken for what mends itself. 20 times, about ten minutes.
    pub const UNDO_DEFAULT: Self = Self {
        attempts_max: 20,
        pause_base: Duration::from_millis(200),
        pause_max: Duration::from_mins(1),
        deadline: Duration::from_secs(5),
    };

    /// Once.
    pub const ONCE: Self = Self { attempts_max: 1, ..Self::DEFAULT };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
