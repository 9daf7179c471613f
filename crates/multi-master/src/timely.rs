//! Time limits on others, by a process that may have been stopped itself.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

/// Beside any limit little, and much for what has come already.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Waits for an answer, for at most about `limit`; `None` where none came.
///
/// When a process that was stopped goes on (SIGCONT, a machine that slept), its
/// first look at the network is broken off (`epoll_wait` in signal(7)), and its
/// timers fire: the time is up before anybody has looked whether the answer is
/// there. So it is looked once more; else each stop would seem to be the failure of
/// every master at once.
pub(crate) async fn timely<T>(limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout(limit, &mut answer).await {
        return Some(answer);
    }
    timeout(LOOK_AGAIN, answer).await.ok()
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_just_after_the_limit_is_heard_and_nothing_later() {
        let limit = Duration::from_secs(2);
        let after = async |more| timely(limit, sleep(limit + more)).await.is_some();
        assert!(after(Duration::from_millis(1)).await);
        let began = Instant::now();
        assert!(!after(Duration::from_secs(1)).await);
        assert_eq!(began.elapsed(), limit + LOOK_AGAIN);
    }
}
