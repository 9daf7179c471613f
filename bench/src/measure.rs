//! Rates and latencies.

use std::time::{Duration, Instant};

/// The latencies that one caller saw.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Takes note of one operation. Over an hour counts as an hour.
    pub fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Runs `operation` until `until`, and takes note of each.
    pub fn run_until(until: Instant, mut operation: impl FnMut()) -> Self {
        let mut latencies = Self::default();
        loop {
            let started = Instant::now();
            if started >= until {
                return latencies;
            }
            operation();
            latencies.add(started.elapsed());
        }
    }
}

/// One turn of one subject.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Operations a second.
    pub rate: f64,
    /// Half of them took at most this long.
    pub p50_us: u32,
    /// 99 of 100 took at most this long.
    pub p99_us: u32,
    /// What one operation cost all processors together, in callers and servers,
    /// where that was measured.
    pub cpu_us: Option<u32>,
}

impl Sample {
    /// What all callers saw in `took`.
    ///
    /// # Panics
    /// When nothing was done at all: such a turn says nothing.
    #[must_use]
    pub fn of(callers: impl IntoIterator<Item = Latencies>, took: Duration) -> Self {
        let mut all: Vec<u32> = callers.into_iter().flat_map(|latencies| latencies.0).collect();
        assert!(!all.is_empty(), "not one operation was finished in {took:?}");
        all.sort_unstable();
        let at = |of_100: usize| all[((all.len() * of_100).div_ceil(100) - 1).min(all.len() - 1)];
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let rate = f64::from(count) / took.as_secs_f64();
        Self { rate, p50_us: at(50), p99_us: at(99), cpu_us: None }
    }

    /// With what all operations of a turn of `took` cost.
    #[must_use]
    pub fn with_cpu(self, cost: Duration, took: Duration) -> Self {
        let each = cost.as_secs_f64() * 1e6 / (self.rate * took.as_secs_f64());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float becomes the nearest integer there is, and costs are not negative"
        )]
        let cpu_us = Some(each.round() as u32);
        Self { cpu_us, ..self }
    }
}

/// How much time processors have spent on these processes and this one so far.
/// The system counts it in hundredths of a second.
///
/// # Panics
/// Where `/proc` does not tell it.
#[must_use]
pub fn cpu_spent(pids: &[u32]) -> Duration {
    let of = |name: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{name}/stat")).expect("it runs");
        // After the name, which may have spaces: utime and stime are 14 and 15.
        let (_, rest) = stat.rsplit_once(')').expect("a name in parentheses");
        let ticks = rest.split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<u64>().expect("a number")).sum::<u64>()
    };
    let ticks = of("self") + pids.iter().map(|pid| of(&pid.to_string())).sum::<u64>();
    // `sysconf(_SC_CLK_TCK)` is 100 on every Linux there is.
    Duration::from_millis(ticks * 10)
}

/// The median of each number; of an even count the lower one.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn median(samples: &[Sample]) -> Sample {
    let middle = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values[(values.len() - 1) / 2]
    };
    let whole = |of: fn(&Sample) -> u32| {
        let mut values: Vec<u32> = samples.iter().map(of).collect();
        values.sort_unstable();
        values[(values.len() - 1) / 2]
    };
    Sample {
        rate: middle(samples.iter().map(|sample| sample.rate).collect()),
        p50_us: whole(|sample| sample.p50_us),
        p99_us: whole(|sample| sample.p99_us),
        cpu_us: samples
            .iter()
            .all(|sample| sample.cpu_us.is_some())
            .then(|| whole(|sample| sample.cpu_us.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_callers_together() {
        let of = |range: std::ops::RangeInclusive<u64>| {
            let mut latencies = Latencies::default();
            range.for_each(|us| latencies.add(Duration::from_micros(us)));
            latencies
        };
        let sample = Sample::of([of(1..=50), of(51..=100)], Duration::from_secs(2));
        assert_eq!(sample, Sample { rate: 50.0, p50_us: 50, p99_us: 99, cpu_us: None });
    }

    #[test]
    fn the_median_is_not_moved_by_one_bad_round() {
        let sample = |rate: f64, us| Sample { rate, p50_us: us, p99_us: us, cpu_us: Some(us) };
        let median = median(&[sample(100.0, 5), sample(1.0, 900), sample(101.0, 6)]);
        assert_eq!(median, sample(100.0, 6));
    }
}
