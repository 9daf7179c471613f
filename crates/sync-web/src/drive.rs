//! What the engine wants of the network and of time is done, by one tab or worker of all.
//!
//! ```text
//!  every tab: WAIT ── the lock is free ──────────────▶ LEAD ── closed, killed, frozen ─▶ (free again)
//!               ▲  └─ the leader says nothing for 6 s, ─▲ │
//!               │     and this tab is seen: taken away    │ taken away, or the database says
//!               └──────────────────────────────────────────┘ that somebody else leads
//! ```
//!
//! A tab that the browser freezes gives its lock back. One that hangs, or that is frozen without
//! being told, keeps it, which is why it can be taken away; and it does not know that it was. What keeps it from going on is in the database: each step of a
//! leader looks in its own transaction whether it still is the one.

use std::time::Duration;

use futures_util::future::{Either, LocalBoxFuture, pending};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use stdx::IdSource;
use sync::engine::{Effect, Input, Status, Synced};
use sync::http::Tokens;
use sync::watch::ASKING_MAX;
use tokio::sync::mpsc;

use crate::device::Device;
use crate::http::Fetch;
use crate::js::sleep;
use crate::store::StoreError;
use crate::tabs::{Asks, Lock};

/// How often a leader says that it is there.
const SAYS: Duration = Duration::from_secs(2);
/// A leader that could have said so often that it is there, and did not, hangs, or its timers are
/// held back.
const SILENT_MAX: u32 = 3;
/// Where the database fails, or the lock was lost, it is tried again after so long; and where it
/// fails again and again, later each time.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// After so many times that a leader says that it is there, the engine is woken in any
/// case: the clock may have been set.
const WAKES: u32 = 15;
/// Heads that were heard of and not told yet: the next says as much.
const HEADS_WAITING_MAX: usize = 4;

/// One request after the other may go on while others wait.
type Requests<'a> = FuturesUnordered<LocalBoxFuture<'a, Input>>;

impl Device {
    /// Speaks with the server whenever no other tab does, until the database is taken over
    /// by a newer program. `is_seen` says whether a person looks at this tab: then it does not
    /// wait for one that is frozen.
    pub async fn lead<T: Tokens>(&self, server: &Fetch<T>, is_seen: impl Fn() -> bool) {
        let mut pause = PAUSE;
        while !self.0.is_replaced.get() {
            self.until_frozen(false).await;
            let began = self.now();
            let led = async {
                let place = self.0.options.place();
                let mut lock = tokio::select! {
                    lock = Lock::get(&place, Asks::Waits) => lock?,
                    () = self.is_silent(&is_seen) => Lock::get(&place, Asks::Steals).await?,
                    // It could not give back what it would be given.
                    () = self.until_frozen(true) => None,
                };
                let Some(lock) = &mut lock else { return Err(StoreError::Deposed) };
                self.drive(lock, server, None, |_| false).await
            };
            let Err(error) = led.await else { continue };
            if error == StoreError::Deposed {
                pause = PAUSE;
                if self.is_frozen() {
                    continue;
                }
            } else {
                let went_well = self.now().since(began) > pause * 2;
                pause = if went_well { PAUSE } else { (pause * 2).min(PAUSE_MAX) };
                self.is_in_trouble(error);
            }
            sleep(pause).await;
        }
    }

    /// Sends and receives everything, now, where no other tab is at it: what a service worker
    /// does when the browser wakes it. None where another one is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sync<T: Tokens>(&self, server: &Fetch<T>) -> Result<Option<Synced>, StoreError> {
        let lock = Lock::get(&self.0.options.place(), Asks::IfFree).await?;
        let Some(mut lock) = lock else { return Ok(None) };
        let ends = |status: &Status| status.came_to(self.now()).is_some();
        let status = self.drive(&mut lock, server, Some(Input::SyncNow), ends).await?;
        Ok(status.came_to(self.now()))
    }

    /// Ends when nobody has been heard to lead for long, and somebody looks at this tab. Not by
    /// the clock, which may be set.
    async fn is_silent(&self, is_seen: impl Fn() -> bool) {
        let (mut heard, mut silent) = (self.heard(), 0);
        while silent < SILENT_MAX || !is_seen() {
            sleep(SAYS).await;
            silent = if heard == self.heard() { silent + 1 } else { 0 };
            heard = self.heard();
        }
    }

    async fn drive<T: Tokens>(
        &self,
        lock: &mut Lock,
        server: &Fetch<T>,
        first: Option<Input>,
        mut ends: impl FnMut(&Status) -> bool,
    ) -> Result<Status, StoreError> {
        let driven = Driven(self);
        let mut run = self.begin_driving(IdSource::system().next_uuid().to_string()).await?;
        let (tell, mut heads) = mpsc::channel(HEADS_WAITING_MAX);
        let mut requests: Requests<'_> = FuturesUnordered::new();
        let mut live: Option<LocalBoxFuture<'_, ()>> = None;
        let mut input = first;
        let mut said = 0_u32;
        let mut seen = None;
        loop {
            if let Some(heard) = input.take() {
                self.hear(run, heard).await?;
            }
            let todo = self.todo();
            if !todo.is_driven {
                return Err(StoreError::Deposed);
            }
            if todo.run != run {
                // What the engine before asked for is not heard any more.
                run = todo.run;
                requests.clear();
                live = None;
                while heads.try_recv().is_ok() {}
            }
            let mut goes_on = false;
            for effect in todo.effects {
                match effect {
                    Effect::Recall(after) => {
                        self.recall(run, after).await?;
                        goes_on = true;
                    }
                    Effect::AskHealth(id) => requests.push(Box::pin(async move {
                        Input::Health(id, within(ASKING_MAX, server.is_well()).await)
                    })),
                    Effect::AskSource(id) => requests.push(Box::pin(async move {
                        Input::Source(id, within(ASKING_MAX, server.is_source_well()).await)
                    })),
                    Effect::Push(id, push) => requests
                        .push(Box::pin(async move { Input::Pushed(id, server.push(&push).await) })),
                    Effect::Pull(id, pull) => requests
                        .push(Box::pin(async move { Input::Pulled(id, server.pull(&pull).await) })),
                    Effect::Listen => live = Some(Box::pin(server.live(tell.clone()))),
                    Effect::Tell(_) => {}
                }
            }
            for heard in todo.inputs {
                self.hear(run, heard).await?;
                goes_on = true;
            }
            if goes_on {
                continue;
            }
            if todo.status.is_some() && todo.status != seen {
                seen.clone_from(&todo.status);
                self.tell_status(todo.status.clone());
            }
            if let Some(status) = todo.status.filter(&mut ends) {
                drop(driven);
                return Ok(status);
            }
            let until_wake = todo.wake.map(|wake| wake.since(self.now()));
            let pause = until_wake.map_or(SAYS, |pause| pause.min(SAYS));
            let listening = match &mut live {
                Some(live) => Either::Left(live),
                None => Either::Right(pending()),
            };
            tokio::select! {
                Some(heard) = requests.next() => input = Some(heard),
                Some(head) = heads.recv() => input = Some(Input::Live(head)),
                () = listening => {
                    live = None;
                    input = Some(Input::LiveEnded);
                }
                () = lock.lost() => return Err(StoreError::Deposed),
                () = self.until_frozen(true) => return Err(StoreError::Deposed),
                () = self.0.work.notified() => {
                    if self.is_behind_others().await? {
                        input = Some(Input::Wake);
                    }
                }
                () = sleep(pause) => {
                    said += 1;
                    let is_time = todo.wake.is_some_and(|wake| self.now() >= wake);
                    if is_time || said.is_multiple_of(WAKES) || self.is_behind_others().await? {
                        input = Some(Input::Wake);
                    }
                    self.says(seen.clone());
                }
            }
        }
    }
}

async fn within(most: Duration, asked: impl Future<Output = bool>) -> bool {
    tokio::select! {
        yes = asked => yes,
        () = sleep(most) => false,
    }
}

/// While it lives, this tab is the one that speaks with the server.
struct Driven<'a>(&'a Device);

impl Drop for Driven<'_> {
    fn drop(&mut self) {
        self.0.end_driving();
    }
}
