//! A lock that is held.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fence::Fence;
use crate::locks::{Inner, Turn};

/// What is left of the time of a lock when it is renewed, in hundredths.
const RENEW_LEFT: u32 = 30;
/// And when its holder is told that it is lost.
const MARGIN: u32 = 10;
/// Tries to renew it while that does not work: one each so many hundredths of its time.
const AGAIN: u32 = 1;

/// Whether a lock was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It was held until now, and is free.
    Yes,
    /// It was not held any more: its time was up, and somebody else may have it. What was done
    /// under it was done alone as far as the store has checked.
    NotHeld,
    /// Nobody could be asked: it is free when its time is up.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Held,
    Lost,
    Released,
}

/// A lock that is held, and renewed for as long as this is there. Dropped, it is released.
pub struct Guard {
    held: Arc<Held>,
    turn: Option<Turn>,
}

/// What the guard, its renewal and [`crate::Locks::close`] share.
pub(crate) struct Held {
    inner: Arc<Inner>,
    name: String,
    owner: Uuid,
    fence: Fence,
    state: watch::Sender<State>,
    /// The end of its time, from before the last request that renewed it was sent.
    until: Mutex<Instant>,
    /// What renews it, from when it is held for longer than most are.
    renewal: Mutex<Option<AbortHandle>>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("name", &self.held.name)
            .field("fence", &self.held.fence)
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// None where the locks were closed meanwhile.
    pub(crate) fn new(
        inner: &Arc<Inner>,
        turn: Turn,
        name: &str,
        owner: Uuid,
        fence: Fence,
        sent: Instant,
    ) -> Option<Self> {
        let (state, until) = (watch::Sender::new(State::Held), sent + inner.config.ttl);
        let (inner, name, until) = (Arc::clone(inner), name.to_owned(), Mutex::new(until));
        let renewal = Mutex::default();
        let held = Arc::new(Held { inner, name, owner, fence, state, until, renewal });
        let is_open = match &mut *held.inner.held() {
            Some(all) => {
                all.insert(owner, Arc::downgrade(&held));
                true
            }
            None => false,
        };
        held.inner.keep();
        let guard = Self { held, turn: Some(turn) };
        // Dropped, it is released.
        is_open.then_some(guard)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.held.name
    }

    /// The number of this holder: what is written under the lock carries it.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.held.fence
    }

    /// Whether it is certainly held at this moment. (Not at the next one: see the crate.)
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self.held.state.borrow() == State::Held && Instant::now() < self.held.told_at()
    }

    /// For how long it is held if it is not renewed any more, less a margin of a tenth of its
    /// time; zero where it is lost.
    #[must_use]
    pub fn left(&self) -> Duration {
        if *self.held.state.borrow() != State::Held {
            return Duration::ZERO;
        }
        self.held.told_at().saturating_duration_since(Instant::now())
    }

    /// Ends when the lock is lost, which is before its time is up: because it could not be
    /// renewed, because somebody took it away, or because the process stops.
    pub async fn lost(&self) {
        // The sender is in the guard.
        let _ = self.held.state.subscribe().wait_for(|state| *state != State::Held).await;
    }

    /// Lets it go, and says whether it was held until now.
    pub async fn release(mut self) -> Released {
        let released = self.held.release().await;
        // Who stops waiting for the answer drops the guard, which lets it go once more.
        self.turn = None;
        released
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        let held = Arc::clone(&self.held);
        held.ends_as(State::Released);
        if held.inner.backend.release_at_once(&held.name, held.owner) {
            return;
        }
        // Where there is no runtime any more, its time is up some time.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                held.release().await;
                drop(turn);
            });
        }
    }
}

impl Held {
    fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, hundredths: u32) -> Duration {
        self.inner.config.ttl * hundredths / 100
    }

    /// When its holder is told that it is lost.
    fn told_at(&self) -> Instant {
        self.until() - self.share(MARGIN)
    }

    /// From now on something renews it, where nothing did.
    pub(crate) fn care(self: Arc<Self>) {
        let mut renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        if renewal.is_none() && *self.state.borrow() == State::Held {
            *renewal = Some(tokio::spawn(Arc::clone(&self).renew()).abort_handle());
        }
    }

    /// Renews it in time, and looks at once and in between whether it is still there.
    async fn renew(self: Arc<Self>) {
        self.look().await;
        while *self.state.borrow() == State::Held {
            let now = Instant::now();
            if now >= self.told_at() {
                self.is_lost("it could not be renewed");
                return;
            }
            let renews = self.until() - self.share(RENEW_LEFT);
            if now < renews {
                tokio::time::sleep_until(renews.min(now + self.inner.config.look_every)).await;
                if Instant::now() < renews {
                    self.look().await;
                }
            } else if !self.renew_once().await {
                tokio::time::sleep_until((now + self.share(AGAIN)).min(self.told_at())).await;
            }
        }
    }

    /// Its place may have lost it, or somebody may have taken it away.
    async fn look(&self) {
        let asking = self.inner.backend.holds(&self.name, self.owner);
        let asked = tokio::time::timeout(self.inner.config.request_max, asking).await;
        // Who can't be asked says nothing.
        if asked == Ok(Ok(false)) {
            self.is_lost("its place has lost it, or somebody else has it");
        }
    }

    /// False where it was not renewed.
    async fn renew_once(&self) -> bool {
        let (config, sent) = (&self.inner.config, Instant::now());
        // The holder is told in time, also where nobody answers.
        let answer_by = (sent + config.request_max).min(self.told_at());
        let asking = self.inner.backend.extend(&self.name, self.owner, config.ttl);
        match tokio::time::timeout_at(answer_by, asking).await {
            Ok(Ok(true)) => {
                *self.until.lock().unwrap_or_else(PoisonError::into_inner) = sent + config.ttl;
                true
            }
            Ok(Ok(false)) => {
                self.is_lost("somebody else has it, or its place has lost it");
                false
            }
            Ok(Err(why)) => {
                tracing::warn!(lock = self.name, %why, "a lock can't be renewed");
                false
            }
            Err(_) => false,
        }
    }

    fn is_lost(&self, why: &str) {
        tracing::warn!(lock = self.name, fence = self.fence.0, why, "a lock is lost");
        self.ends_as(State::Lost);
    }

    fn ends_as(&self, end: State) {
        self.state.send_if_modified(|state| {
            let is_held = *state == State::Held;
            if is_held {
                *state = end;
            }
            is_held
        });
        if let Some(all) = &mut *self.inner.held() {
            all.remove(&self.owner);
        }
        // What renews it finds out by itself where it is that which ends it.
        let renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(renewal) = renewal.filter(|_| end == State::Released) {
            renewal.abort();
        }
    }

    async fn release(&self) -> Released {
        self.ends_as(State::Released);
        let asking = self.inner.backend.release(&self.name, self.owner);
        match tokio::time::timeout(self.inner.config.request_max, asking).await {
            Ok(Ok(true)) => Released::Yes,
            Ok(Ok(false)) => Released::NotHeld,
            Ok(Err(_)) | Err(_) => Released::Unknown,
        }
    }

    /// The process stops: its holder is told, and it is free.
    pub(crate) async fn give_up(&self) {
        self.ends_as(State::Lost);
        let asking = self.inner.backend.release(&self.name, self.owner);
        let _ = tokio::time::timeout(self.inner.config.request_max, asking).await;
    }
}
