//! Keeping what this process drives, and taking over what others left.

use std::sync::Arc;
use std::time::Duration;

use multi_master::{DbError, Tx, WriteError};
use tokio::sync::OwnedSemaphorePermit;

use super::{BATCH, Core};
use crate::drive::Drive;
use crate::model::{Fence, SagaId};
use crate::store;

/// Nobody is looked for less often than this, whatever the lease is.
const RECOVER_EVERY_MAX: Duration = Duration::from_mins(1);

impl Core {
    /// Leases that no commit makes longer.
    pub(super) async fn renew_leases(self: Arc<Self>) {
        let every = self.config.lease / 3;
        while self.sleep(every).await {
            if let Err(why) = self.ask_time().await {
                tracing::warn!(%why, "the database's clock can't be read");
            }
            let passed = self.config.clock.passed();
            let due: Vec<(SagaId, Fence)> = self
                .live()
                .iter()
                .filter(|(_, live)| passed.saturating_sub(live.saved) >= every)
                .map(|(saga, live)| (*saga, live.fence))
                .collect();
            for some in due.chunks(BATCH as usize) {
                self.renew(some.to_vec()).await;
            }
        }
    }

    async fn renew(&self, some: Vec<(SagaId, Fence)>) {
        let (owner, lease, renewed) = (self.owner, self.config.lease, some.clone());
        let lost = self
            .store
            .write(async move |tx: &mut Tx| store::renew(tx, owner, &renewed, lease).await);
        match lost.await.into_result() {
            Ok(lost) => {
                let passed = self.config.clock.passed();
                let mut live = self.live();
                for (saga, _) in some.iter().filter(|(saga, _)| !lost.contains(saga)) {
                    if let Some(live) = live.get_mut(saga) {
                        live.saved = passed;
                    }
                }
            }
            Err(WriteError::InDoubt(_)) => {}
            Err(WriteError::NotSaved(why)) => {
                tracing::warn!(%why, "leases of sagas could not be renewed");
            }
        }
    }

    /// Takes over what others leave.
    pub(super) async fn recover(self: Arc<Self>) {
        let every = (self.config.lease / 3).min(RECOVER_EVERY_MAX);
        loop {
            match self.take_over_some().await {
                Ok(0) => {}
                Ok(taken) => tracing::info!(taken, "took over sagas that nobody drove"),
                Err(why) => tracing::warn!(%why, "sagas that nobody drives can't be looked for"),
            }
            let goes_on = tokio::select! {
                goes_on = self.sleep(every) => goes_on,
                () = self.look.notified() => !self.is_closing(),
            };
            if !goes_on {
                return;
            }
        }
    }

    pub(super) async fn take_over_some(self: &Arc<Self>) -> Result<usize, DbError> {
        let mut taken = 0;
        loop {
            if self.is_closing() {
                return Ok(taken);
            }
            let known = self.known.clone();
            let some =
                self.store.read(async move |db| store::abandoned(db, &known, BATCH).await).await?;
            let mut now_taken = 0;
            for saga in some {
                let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
                    return Ok(taken);
                };
                match self.take_over(saga, room).await {
                    Ok(is_taken) => now_taken += usize::from(is_taken),
                    // One bad saga keeps no other waiting.
                    Err(why) => tracing::warn!(%saga, %why, "a saga could not be taken over"),
                }
            }
            taken += now_taken;
            if now_taken == 0 {
                return Ok(taken);
            }
        }
    }

    async fn take_over(
        self: &Arc<Self>,
        saga: SagaId,
        room: OwnedSemaphorePermit,
    ) -> Result<bool, DbError> {
        let (owner, lease) = (self.owner, self.config.lease);
        let taken = self.store.write(async move |tx: &mut Tx| {
            let Some(row) = store::take_over(tx, saga, owner, lease).await? else {
                return Ok(None);
            };
            Ok(Some((row, store::steps(tx, saga).await?)))
        });
        let (row, steps) = match taken.await.into_result() {
            Ok(Some(taken)) => taken,
            // Where a take-over in doubt was saved, that is over when its lease is.
            Ok(None) | Err(WriteError::InDoubt(_)) => return Ok(false),
            Err(WriteError::NotSaved(error)) => return Err(error),
        };
        let key = (row.kind.as_str(), row.version);
        let program = self.programs.iter().find(|((name, version), _)| (*name, *version) == key);
        let Some((_, program)) = program else { return Ok(false) };
        if row.taken_over > self.config.taken_over_max {
            self.give_up(program, &row, steps).await;
            return Ok(true);
        }
        let drive = match Drive::resume(Arc::clone(self), Arc::clone(program), &row, steps) {
            Ok(drive) => drive,
            Err(why) => {
                tracing::error!(%saga, ?why, "a saga can't be read: an operator has to look");
                return Ok(false);
            }
        };
        // What was under way here under an older number finds that out by itself.
        self.live().insert(saga, self.now_live(row.fence));
        let driver = Arc::clone(self);
        tokio::spawn(async move { driver.drive(saga, drive, room).await });
        Ok(true)
    }
}
