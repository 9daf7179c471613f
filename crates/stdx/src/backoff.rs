//! Pauses between attempts.

use std::time::Duration;

use crate::Random;

/// Growing pauses with full jitter: before attempt *n* a pause drawn evenly
/// between zero and `base · 2ⁿ`, capped.
///
/// Brooker, *Exponential Backoff And Jitter*, 2015: of the ways to spread
/// attempts that were measured there, full jitter costs the fewest calls.
///
/// ```
/// use std::time::Duration;
/// use stdx::{Backoff, Random, Seed};
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// let random = Random::new(Seed(1));
/// assert!(backoff.pause(&random) <= Duration::from_millis(100));
/// assert!(backoff.pause(&random) <= Duration::from_millis(200));
/// backoff.reset();
/// assert_eq!(backoff.attempts(), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempts: u32,
}

impl Backoff {
    /// Pauses that start below `base` and stay below `cap`.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempts: 0 }
    }

    /// One that goes on after so many pauses were drawn: they were counted elsewhere.
    #[must_use]
    pub const fn after(base: Duration, cap: Duration, attempts: u32) -> Self {
        Self { base, cap, attempts }
    }

    /// How many pauses were drawn since the start or the last reset.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The most that the next pause can be.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        let factor = 2u32.checked_pow(self.attempts).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// Draws the next pause and counts the attempt.
    #[must_use]
    pub fn pause(&mut self, random: &Random) -> Duration {
        let ceiling = u64::try_from(self.ceiling().as_micros()).unwrap_or(u64::MAX);
        self.attempts = self.attempts.saturating_add(1);
        Duration::from_micros(random.below(ceiling.saturating_add(1)))
    }

    /// Starts anew, after a success.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn the_ceiling_doubles_to_the_cap_and_never_overflows() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let random = Random::new(Seed(5));
        let mut ceilings = Vec::new();
        for _ in 0..6 {
            ceilings.push(backoff.ceiling().as_millis());
            let ceiling = backoff.ceiling();
            assert!(backoff.pause(&random) <= ceiling);
        }
        assert_eq!(ceilings, [100, 200, 400, 800, 1_000, 1_000]);
        backoff.attempts = u32::MAX;
        assert!(backoff.pause(&random) <= Duration::from_secs(1));
        assert_eq!(backoff.attempts(), u32::MAX);
    }

    #[test]
    fn jitter_is_full() {
        let random = Random::new(Seed(5));
        let drawn: Vec<Duration> = (0..1_000)
            .map(|_| Backoff::new(Duration::from_secs(1), Duration::MAX).pause(&random))
            .collect();
        assert!(drawn.iter().any(|pause| *pause < Duration::from_millis(50)));
        assert!(drawn.iter().any(|pause| *pause > Duration::from_millis(950)));
    }
}
