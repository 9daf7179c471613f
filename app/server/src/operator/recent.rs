//! What was counted in the last minute: how fast a master is now, and not how
//! fast it was on average since the start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use multi_master::{MasterNumbers, MultiMaster};

/// Copies of the numbers, so far apart.
const EVERY: Duration = Duration::from_secs(10);
/// As many as make a minute.
const KEPT_MAX: usize = 6;

/// The numbers of the last minute. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent(Arc<Mutex<VecDeque<Vec<MasterNumbers>>>>);

impl Recent {
    /// Copies the numbers now and then, for as long as it is polled.
    pub(crate) async fn keep(&self, store: &MultiMaster) {
        loop {
            self.put(store.numbers());
            tokio::time::sleep(EVERY).await;
        }
    }

    fn put(&self, numbers: Vec<MasterNumbers>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(numbers);
    }

    /// What `now` counts, without what is older than a minute.
    pub(crate) fn of(&self, now: &[MasterNumbers]) -> Vec<MasterNumbers> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = kept.front() else { return now.to_vec() };
        let since = now.iter().zip(before).map(|(now, before)| MasterNumbers {
            name: now.name.clone(),
            statements: now.statements.since(&before.statements),
            commits: now.commits.since(&before.commits),
            pool_waits: now.pool_waits.saturating_sub(before.pool_waits),
            pool_waited_us: now.pool_waited_us.saturating_sub(before.pool_waited_us),
        });
        since.collect()
    }
}

#[cfg(test)]
mod tests {
    use multi_master::{Latency, MasterName};

    use super::*;

    fn numbers(waits: u64) -> Vec<MasterNumbers> {
        vec![MasterNumbers {
            name: MasterName("a".to_owned()),
            statements: Latency::default(),
            commits: Latency::default(),
            pool_waits: waits,
            pool_waited_us: 2 * waits,
        }]
    }

    #[test]
    fn what_is_older_than_a_minute_does_not_count() {
        let recent = Recent::default();
        assert_eq!(recent.of(&numbers(5)), numbers(5));
        for waits in 0..20 {
            recent.put(numbers(waits));
        }
        assert_eq!(recent.of(&numbers(20)), numbers(6));
    }
}
