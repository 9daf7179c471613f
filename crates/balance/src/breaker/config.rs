//! When a breaker opens, for how long, and how many may try.

use std::time::Duration;

/// When a breaker opens, for how long, and how many may try.
///
/// Values out of their bounds are brought to the nearest bound when a breaker
/// is made with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// This many failures in a row open it. Default 5, at least 1.
    pub consecutive_failures_max: u32,
    /// The failure rate is taken over this many last calls. Default 20, from 1
    /// to [`BreakerConfig::WINDOW_CALLS_MAX`].
    pub window_calls: u32,
    /// With fewer calls than this in the window, the rate opens nothing: two
    /// calls of which one failed say little. Default 10, at least 1; above
    /// `window_calls` the rate never opens it.
    pub window_calls_min: u32,
    /// A failure rate at or above this many percent opens it. Default 50, from
    /// 1 to 100.
    pub failure_percent: u32,
    /// The longest that it stays open the first time. It doubles with each
    /// opening that no closing came between; what is drawn is between half of
    /// it and the whole. Default 1 s, at least 1 ms.
    pub open_first: Duration,
    /// What the doubling stops at. Default 60 s, at least `open_first`.
    pub open_max: Duration,
    /// How many calls may try at a time when half-open. Default 1, from 1 to
    /// [`BreakerConfig::TRIALS_MAX`].
    pub trials_max: u32,
    /// This many successful trials close it. Default 1, at least 1.
    pub trials_to_close: u32,
    /// A trial that has given no sign for this long is taken for lost, and its
    /// place is given to another. It should be longer than the time limit of a
    /// call. Default 60 s, at least 1 ms.
    pub trial_lost_after: Duration,
}

impl BreakerConfig {
    /// The most calls of the window.
    pub const WINDOW_CALLS_MAX: u32 = u128::BITS;
    /// The most calls that may try at a time.
    pub const TRIALS_MAX: u32 = 64;
    /// The least that a time can be.
    pub const TIME_MIN: Duration = Duration::from_millis(1);

    /// The same with every value within its bounds.
    #[must_use]
    pub fn within_bounds(self) -> Self {
        let open_first = self.open_first.max(Self::TIME_MIN);
        Self {
            consecutive_failures_max: self.consecutive_failures_max.max(1),
            window_calls: self.window_calls.clamp(1, Self::WINDOW_CALLS_MAX),
            window_calls_min: self.window_calls_min.max(1),
            failure_percent: self.failure_percent.clamp(1, 100),
            open_first,
            open_max: self.open_max.max(open_first),
            trials_max: self.trials_max.clamp(1, Self::TRIALS_MAX),
            trials_to_close: self.trials_to_close.max(1),
            trial_lost_after: self.trial_lost_after.max(Self::TIME_MIN),
        }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            consecutive_failures_max: 5,
            window_calls: 20,
            window_calls_min: 10,
            failure_percent: 50,
            open_first: Duration::from_secs(1),
            open_max: Duration::from_mins(1),
            trials_max: 1,
            trials_to_close: 1,
            trial_lost_after: Duration::from_mins(1),
        }
    }
}
