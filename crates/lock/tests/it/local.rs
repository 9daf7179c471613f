//! In one process: under virtual time, where that is about time.

use std::time::Duration;

use lock::{Config, LockError, Locks, SetupError};

use crate::common;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_at_a_time_and_numbers_rise() {
    common::one_at_a_time(&[Locks::local(Config::default()).unwrap()]).await;
}

/// Held for a hundred times as long as it lasts, and still not free for anybody else.
#[tokio::test(start_paused = true)]
async fn a_lock_is_renewed_for_as_long_as_it_is_held() {
    let locks = Locks::local(Config::default()).unwrap();
    let guard = locks.try_lock("a").await.unwrap();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(guard.is_held());
        assert!(guard.left() > Duration::from_secs(2), "{:?}", guard.left());
    }
    assert!(locks.try_lock("a").await.unwrap_err().is_busy());
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_that_it_is_busy_when_the_wait_is_over() {
    let locks = Locks::local(Config::default()).unwrap();
    let _guard = locks.try_lock("a").await.unwrap();
    let began = tokio::time::Instant::now();
    let busy = locks.lock("a", Duration::from_secs(7)).await.unwrap_err();
    assert_eq!(busy, LockError::Busy("a".into()));
    assert_eq!(began.elapsed(), Duration::from_secs(7));
}

#[tokio::test]
async fn names_and_settings_that_can_not_be_are_refused() {
    let locks = Locks::local(Config::default()).unwrap();
    for name in ["", "a\nb", &"x".repeat(201)] {
        assert!(matches!(locks.try_lock(name).await, Err(LockError::Name(_))), "{name:?}");
    }
    locks.try_lock(&"책".repeat(200)).await.unwrap();
    let ms = Duration::from_millis;
    let no = |config: Config| Locks::local(config).unwrap_err();
    let why = no(Config { ttl: ms(99), ..Config::default() });
    assert_eq!(why, SetupError("a lock is held for 100 ms at least and 10 min at most".into()));
    no(Config { request_max: ms(1), ..Config::default() });
    no(Config { ttl: Duration::from_secs(2), ..Config::default() });
    no(Config { look_every: Duration::ZERO, ..Config::default() });
    no(Config { pause_base: Duration::ZERO, ..Config::default() });
}
