//! What the engine wants of the network and of time is done.
//!
//! ```text
//!            ┌──────────── input ────────────┐
//!            ▼                               │
//!  engine ─ step ─▶ written down ─▶ effects ─┴▶ requests, listening, a timer,
//!            ▲                                  edits by others
//!            └ an edit (Device::edit)
//! ```

use std::fs::{File, TryLockError};
use std::time::Duration;

use futures_util::future::{Either, LocalBoxFuture, pending};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sync::engine::{Effect, Input, Notice, Status, Synced};
use sync::watch::ASKING_MAX;
use tokio::sync::mpsc;

use crate::device::{Device, Run};
use crate::server::Server;
use crate::store::StoreError;

/// How often it is looked whether another process has edited something.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks the engine is woken in any case: the clock may have been set.
const WAKES: u32 = 30;
/// Heads that were heard of and not told yet: the next says as much.
const HEADS_WAITING_MAX: usize = 4;

/// Why a device is driven no more.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// Another process does it.
    #[error("another process of this device is at it already")]
    Busy,
    /// The file can't be used. What could not be written down was not done.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Device {
    /// Speaks with the server until `ends` says that it is enough; `told` hears what
    /// observers are told. Dropped at any moment it loses nothing.
    ///
    /// # Errors
    /// [`DriveError`].
    pub async fn drive<S: Server>(
        &self,
        server: &S,
        told: impl FnMut(Notice),
        ends: impl FnMut(&Status) -> bool,
    ) -> Result<Status, DriveError> {
        self.run(server, None, told, ends).await
    }

    /// Sends and receives everything, now: without waiting for a pause to end that the
    /// server did not ask for. `shown` sees how far it is.
    ///
    /// # Errors
    /// [`DriveError`].
    pub async fn sync<S: Server>(
        &self,
        server: &S,
        told: impl FnMut(Notice),
        mut shown: impl FnMut(&Status),
    ) -> Result<Synced, DriveError> {
        let ends = |status: &Status| {
            shown(status);
            status.came_to(self.now()).is_some()
        };
        let status = self.run(server, Some(Input::SyncNow), told, ends).await?;
        Ok(status.came_to(self.now()).unwrap_or(Synced::Done))
    }

    async fn run<S: Server>(
        &self,
        server: &S,
        first: Option<Input>,
        mut told: impl FnMut(Notice),
        mut ends: impl FnMut(&Status) -> bool,
    ) -> Result<Status, DriveError> {
        let (_driven, mut run) = Driven::begin(self)?;
        let (tell, mut heads) = mpsc::channel(HEADS_WAITING_MAX);
        let mut requests: FuturesUnordered<LocalBoxFuture<'_, Input>> = FuturesUnordered::new();
        let mut live: Option<LocalBoxFuture<'_, ()>> = None;
        let mut input = first;
        let mut looks = 0_u32;
        loop {
            if let Some(heard) = input.take() {
                self.hear(run, heard)?;
            }
            let todo = self.todo();
            if todo.run != run {
                // What the engine before asked for is not heard any more.
                run = todo.run;
                requests.clear();
                live = None;
                while heads.try_recv().is_ok() {}
            }
            let mut recalled = false;
            for effect in todo.effects {
                match effect {
                    Effect::Recall(after) => {
                        self.recall(run, after)?;
                        recalled = true;
                    }
                    Effect::AskHealth(id) => requests.push(Box::pin(async move {
                        let asked = tokio::time::timeout(ASKING_MAX, server.is_well()).await;
                        Input::Health(id, asked.unwrap_or(false))
                    })),
                    Effect::AskSource(id) => requests.push(Box::pin(async move {
                        let asked = tokio::time::timeout(ASKING_MAX, server.is_source_well()).await;
                        Input::Source(id, asked.unwrap_or(false))
                    })),
                    Effect::Push(id, push) => requests
                        .push(Box::pin(async move { Input::Pushed(id, server.push(&push).await) })),
                    Effect::Pull(id, pull) => requests
                        .push(Box::pin(async move { Input::Pulled(id, server.pull(&pull).await) })),
                    Effect::Listen => live = Some(Box::pin(server.live(tell.clone()))),
                    Effect::Tell(notice) => told(notice),
                }
            }
            if recalled {
                continue;
            }
            if let Some(status) = todo.status.filter(&mut ends) {
                return Ok(status);
            }
            let until_wake = todo.wake.map(|wake| wake.since(self.now()));
            let pause = until_wake.map_or(LOOK, |pause| pause.min(LOOK));
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
                () = self.0.work.notified() => {}
                () = tokio::time::sleep(pause) => {
                    looks += 1;
                    let is_time = todo.wake.is_some_and(|wake| self.now() >= wake);
                    if is_time || looks.is_multiple_of(WAKES) || self.is_behind_others()? {
                        input = Some(Input::Wake);
                    }
                }
            }
        }
    }
}

/// While it lives, this process is the one that speaks with the server.
struct Driven<'a> {
    device: &'a Device,
    /// The lock is free again when it is closed, also where the process is killed.
    _lock: File,
}

impl<'a> Driven<'a> {
    fn begin(device: &'a Device) -> Result<(Self, Run), DriveError> {
        let path = device.path().with_extension("lock");
        let failed =
            |error: std::io::Error| StoreError::Io { path: path.clone(), why: error.to_string() };
        let mut options = File::options();
        let lock = options.create(true).append(true).open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DriveError::Busy),
            Err(TryLockError::Error(error)) => return Err(failed(error).into()),
        }
        let run = device.begin_driving()?;
        Ok((Self { device, _lock: lock }, run))
    }
}

impl Drop for Driven<'_> {
    fn drop(&mut self) {
        self.device.end_driving();
    }
}
