//! Limits on how often something may be tried. Performs no I/O.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use stdx::UnixMicros;

/// How often: a bucket of `burst` tokens that gains one each `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How many at once; at least 1.
    pub burst: u32,
    /// How long until one more.
    pub every: Duration,
}

impl Rule {
    /// A bucket of `burst` tokens that gains one each `every`.
    #[must_use]
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every }
    }

    /// How long an empty bucket takes to be full.
    fn filling(self) -> Duration {
        self.every.saturating_mul(self.burst.max(1))
    }
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryAfter(pub Duration);

/// Token buckets, one a key, for at most `keys_max` keys.
///
/// A bucket is one instant: when it will be full again (the "generic cell rate
/// algorithm" of ATM, ITU-T I.371). A full bucket is the same as none, so what
/// has filled up is forgotten. When all `keys_max` are partly empty, the one
/// that is full soonest is forgotten: whoever floods with made-up keys gains
/// back fewest tokens for others.
#[derive(Clone, Debug)]
pub struct Limiter<K> {
    rule: Rule,
    keys_max: usize,
    full_at: HashMap<K, UnixMicros>,
    by_instant: BTreeSet<(UnixMicros, K)>,
}

impl<K: Clone + Eq + Hash + Ord> Limiter<K> {
    /// No bucket yet.
    #[must_use]
    pub fn new(rule: Rule, keys_max: usize) -> Self {
        Self {
            rule,
            keys_max: keys_max.max(1),
            full_at: HashMap::new(),
            by_instant: BTreeSet::new(),
        }
    }

    /// Takes a token from the bucket of `key`.
    ///
    /// # Errors
    /// There is none left; nothing is taken.
    pub fn take(&mut self, key: &K, now: UnixMicros) -> Result<(), TryAfter> {
        let filling = self.rule.filling();
        let latest = now.after(filling);
        let mut full_at = self.full_at.get(key).copied().unwrap_or(now).max(now);
        if full_at > latest {
            // The clock jumped back. From here on the bucket is an empty one:
            // nobody is locked out until the clock is where it was.
            full_at = latest;
            self.set(key, full_at, now);
        }
        let next = full_at.after(self.rule.every);
        if next > latest {
            return Err(TryAfter(next.since(latest)));
        }
        self.set(key, next, now);
        Ok(())
    }

    /// Puts a token back: what it was taken for turned out to be harmless.
    pub fn give_back(&mut self, key: &K, now: UnixMicros) {
        if let Some(full_at) = self.full_at.get(key).copied() {
            self.set(key, full_at.before(self.rule.every), now);
        }
    }

    /// How many buckets are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    fn set(&mut self, key: &K, full_at: UnixMicros, now: UnixMicros) {
        self.forget(key);
        if full_at <= now {
            return;
        }
        while let Some((soonest, _)) = self.by_instant.first() {
            if *soonest > now && self.full_at.len() < self.keys_max {
                break;
            }
            if let Some((_, forgotten)) = self.by_instant.pop_first() {
                self.full_at.remove(&forgotten);
            }
        }
        self.full_at.insert(key.clone(), full_at);
        self.by_instant.insert((full_at, key.clone()));
        debug_assert_eq!(self.full_at.len(), self.by_instant.len());
        debug_assert!(self.full_at.len() <= self.keys_max);
    }

    fn forget(&mut self, key: &K) {
        if let Some((key, full_at)) = self.full_at.remove_entry(key) {
            self.by_instant.remove(&(full_at, key));
        }
    }
}

/// What an address counts as: an IPv4 address for itself, an IPv6 address for
/// its /64, which is what one subscriber has.
#[must_use]
pub fn subscriber(address: Option<IpAddr>) -> Option<IpAddr> {
    address.map(|address| match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stdx::Clock;

    use super::*;

    const RULE: Rule = Rule::new(3, Duration::from_secs(10));

    #[test]
    fn a_burst_then_one_each_interval() {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_000));
        let mut limiter = Limiter::new(RULE, 10);
        for _ in 0..3 {
            assert_eq!(limiter.take(&"a", clock.now()), Ok(()));
        }
        assert_eq!(limiter.take(&"a", clock.now()), Err(TryAfter(Duration::from_secs(10))));
        assert_eq!(limiter.take(&"b", clock.now()), Ok(()), "others have their own");
        clock.advance(Duration::from_secs(4));
        assert_eq!(limiter.take(&"a", clock.now()), Err(TryAfter(Duration::from_secs(6))));
        clock.advance(Duration::from_secs(6));
        assert_eq!(limiter.take(&"a", clock.now()), Ok(()));
        assert!(limiter.take(&"a", clock.now()).is_err());
        clock.advance(Duration::from_hours(1));
        for _ in 0..3 {
            assert_eq!(limiter.take(&"a", clock.now()), Ok(()), "never more than the burst");
        }
        assert!(limiter.take(&"a", clock.now()).is_err());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let now = UnixMicros::from_secs(1_000);
        let mut limiter = Limiter::new(RULE, 10);
        for _ in 0..100 {
            limiter.take(&"a", now).unwrap();
            limiter.give_back(&"a", now);
        }
        assert!(limiter.is_empty());
        limiter.give_back(&"never taken", now);
        assert!(limiter.is_empty());
    }

    #[test]
    fn a_clock_that_jumps_back_locks_nobody_out_for_long() {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_000_000));
        let mut limiter = Limiter::new(RULE, 10);
        while limiter.take(&"a", clock.now()).is_ok() {}
        clock.set(UnixMicros::from_secs(1_000));
        let Err(TryAfter(wait)) = limiter.take(&"a", clock.now()) else { panic!("a full bucket") };
        assert!(wait <= RULE.every, "{wait:?}");
        clock.advance(wait);
        assert_eq!(limiter.take(&"a", clock.now()), Ok(()));
    }

    #[test]
    fn addresses_count_by_subscriber() {
        let of = |text: &str| subscriber(Some(text.parse().unwrap())).unwrap().to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(subscriber(None), None);
    }

    proptest! {
        /// Over any time, at most the burst plus what came in that time.
        #[test]
        fn never_more_than_the_rule_says(
            steps in proptest::collection::vec((0u64..8_000, 0u8..3), 1..200),
            burst in 1u32..6,
        ) {
            let rule = Rule::new(burst, Duration::from_secs(5));
            let clock = Clock::starting_at(UnixMicros::from_secs(1_000));
            let mut limiter = Limiter::new(rule, 100);
            let mut granted: Vec<(u8, UnixMicros)> = Vec::new();
            for (pause_ms, key) in steps {
                clock.advance(Duration::from_millis(pause_ms));
                if limiter.take(&key, clock.now()).is_ok() {
                    granted.push((key, clock.now()));
                }
                for (at, (first_key, first)) in granted.iter().enumerate() {
                    let of_key = granted[at..].iter().filter(|(other, _)| other == first_key);
                    let count = u128::try_from(of_key.count()).unwrap();
                    let came = clock.now().since(*first).as_micros() / rule.every.as_micros();
                    prop_assert!(count <= u128::from(burst) + came);
                }
            }
        }

        /// However many keys come, only so many are kept.
        #[test]
        fn keys_are_bounded(keys in proptest::collection::vec(any::<u16>(), 0..500)) {
            let mut limiter = Limiter::new(RULE, 20);
            for key in keys {
                let _ = limiter.take(&key, UnixMicros::from_secs(1));
                prop_assert!(limiter.len() <= 20);
            }
        }

        /// The wait that is named is the wait that is needed.
        #[test]
        fn the_wait_is_exact(takes in 0usize..10, pause_ms in 0u64..60_000) {
            let clock = Clock::starting_at(UnixMicros::from_secs(1_000));
            let mut limiter = Limiter::new(RULE, 10);
            for _ in 0..takes {
                let _ = limiter.take(&(), clock.now());
            }
            clock.advance(Duration::from_millis(pause_ms));
            while limiter.take(&(), clock.now()).is_ok() {}
            let TryAfter(wait) = limiter.take(&(), clock.now()).expect_err("all was taken");
            clock.advance(wait.saturating_sub(Duration::from_micros(1)));
            prop_assert!(limiter.take(&(), clock.now()).is_err());
            clock.advance(Duration::from_micros(1));
            prop_assert!(limiter.take(&(), clock.now()).is_ok());
        }
    }
}
