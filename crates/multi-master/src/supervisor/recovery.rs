//! Bringing one master back: on a thread of its own, while the supervisor goes
//! on hearing who failed and what was asked.
//!
//! The supervisor decides; the thread works and asks:
//!
//! ```text
//! thread                                supervisor
//! who it is ──────── Greeted ─────────▶ from which master it is brought up
//! it alone has some ─ Alone ──────────▶ the others are out: the base may get it
//! settled, nearly ── CaughtUp ────────▶ it is JOINING: writers may be held back
//! everything ─────── Holding ─────────▶ the next epoch, known to the witness
//! the base is at that epoch ── ended ─▶ it serves
//! ```
//!
//! An answer that does not come means that something changed meanwhile: the
//! thread gives up what it holds, and the master is tried again later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use super::greet;
use crate::copy;
use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::sabotage::{Point, reached};
use crate::schema::Migration;
use crate::settle::{self, At, Loser, Rule};
use crate::shared::{Command, Shared};
use crate::sqlite::IfAbsent;
use crate::tables::{self, Identity, Migrate};

/// A pass that found less than this is followed by the last one, for which
/// writers wait: some ten milliseconds' work.
const CAUGHT_UP: (usize, usize) = (50, 128 << 10);
/// Passes before the last one, however much is still written.
const PASSES_MAX: usize = 20;
/// For how long writers are held back, at most, for the last pass and until the
/// base is at the next epoch. What takes longer is given up, and tried again.
pub(super) const HOLD_MAX: Duration = Duration::from_millis(80);
/// Tries of that length before each is given twice the time of the one before: a
/// set whose writers never leave a gap has to become whole as well.
pub(super) const SHORT_HOLDS: u32 = 5;
/// And no longer than this.
const LONG_HOLD_MAX: Duration = Duration::from_secs(5);

/// What it takes to bring masters of one set back.
#[derive(Clone)]
pub(super) struct Recovery {
    pub(super) shared: Arc<Shared>,
    pub(super) migrations: Arc<[Migration]>,
    pub(super) set: Uuid,
    pub(super) names: Arc<[MasterName]>,
}

/// What the thread that brings a master back asks.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The master answers, and says this of itself. Which one is it brought up
    /// from, and at which epoch is the set?
    Greeted { identity: Identity, answer: oneshot::Sender<(usize, u64)> },
    /// It has something that its base has not. Under which epoch does nobody else serve
    /// whom that would pass by?
    Alone { answer: oneshot::Sender<u64> },
    /// It misses little. May writers be held back?
    CaughtUp { answer: oneshot::Sender<()> },
    /// It has everything, and writers are held back. Under which epoch do they go on?
    Holding { answer: oneshot::Sender<u64> },
}

/// Why a master could not be brought back.
#[derive(Debug)]
pub(crate) enum Brought {
    /// It failed: it is tried again.
    Failed(String),
    /// It is not the master that it should be, or was made by another program.
    Unfit(String),
    /// It holds rows that can't stay, and only a person can say so.
    Conflict(String),
    /// The master that it was to be brought up from failed.
    BaseFailed(usize, Fault),
    /// Writers would have been held back for longer than this.
    TooLong(Duration),
    /// Another process brings it back.
    Elsewhere,
    /// The supervisor wants it no more.
    Cancelled,
}

/// A master that has nearly everything.
struct Progress {
    forth: Rule,
    losers: Vec<Loser>,
    /// Up to where it has the markers of the base.
    after: i64,
    settled: usize,
    /// Up to which marker, as they came, the base's were taken away before that.
    trimmed: i64,
}

impl Recovery {
    /// Brings `at` back on a thread of its own, for which writers are held back for
    /// at most `hold`. It ends when it is done, when an answer does not come, and
    /// when `cancel` is dropped.
    pub(super) fn start(
        &self,
        at: usize,
        hold: Duration,
        cancel: oneshot::Receiver<()>,
    ) -> std::io::Result<()> {
        let recovery = self.clone();
        let mut ended = Ended {
            shared: Arc::clone(&self.shared),
            at,
            result: Some(Err(Brought::Failed("the thread that brings it back ended".to_owned()))),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name(format!("mm-bring-{at}")).spawn(move || {
            let result = runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = cancel => Err(Brought::Cancelled),
                    result = recovery.run(at, hold) => result,
                }
            });
            ended.result = Some(result);
            // Its connections are closed before anybody hears that it ended.
            drop(runtime);
            drop(ended);
        })?;
        Ok(())
    }

    async fn run(&self, at: usize, hold: Duration) -> Result<(), Brought> {
        let (mut link, identity) =
            greet(&self.shared, at).await.map_err(|fault| Brought::Failed(super::why(fault)))?;
        let ask = |answer| Ask::Greeted { identity: identity.clone(), answer };
        let (first, epoch) = self.ask(at, ask).await?;
        let alone = link.brings_alone(&self.shared).await;
        if !alone.map_err(|fault| Brought::Failed(super::why(fault)))? {
            return Err(Brought::Elsewhere);
        }
        let base = self.shared.connect(first, IfAbsent::Refuse).await;
        let mut base = base.map_err(|fault| base_fault(first, fault))?;
        let alone = async || self.ask(at, |answer| Ask::Alone { answer }).await;
        let progress = self.catch_up((first, &mut base), (at, &mut link), epoch, alone).await?;
        reached(Point::Settled);
        self.ask(at, |answer| Ask::CaughtUp { answer }).await?;
        let on_base = |fault| base_fault(first, fault);
        let holding = async {
            match base.begin_barrier_within(hold).await {
                Err(Fault::Busy) => return Err(Brought::TooLong(hold)),
                begun => begun.map_err(on_base)?,
            }
            reached(Point::HoldingWriters);
            self.finish(first, &mut base, at, &mut link, progress).await?;
            // Before writers go on, the base is at another epoch, under which nobody
            // writes until the new view is in force: whatever fails from here on, no
            // write can pass this master by.
            let epoch = self.ask(at, |answer| Ask::Holding { answer }).await?;
            tables::set_epoch(&mut base, epoch).await.map_err(on_base)?;
            let name = std::slice::from_ref(&self.names[at]);
            copy::are_filled(&mut base, name).await.map_err(on_base)?;
            base.commit().await.map_err(on_base)
        };
        // Given up, it leaves both connections with questions open, and both are
        // closed: that lets writers go on, also where one of the two is frozen.
        timeout(hold, holding).await.unwrap_or(Err(Brought::TooLong(hold)))?;
        reached(Point::BaseFenced);
        Ok(())
    }

    async fn ask<T>(
        &self,
        at: usize,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, Brought> {
        let (answer, answered) = oneshot::channel();
        drop(self.shared.supervisor.send(Command::Recovery { at, ask: ask(answer) }));
        answered.await.map_err(|_| Brought::Cancelled)
    }

    /// Brings `at` to what the base has. When it returns, writers are held back by a
    /// transaction that is open on the base. For `alone` see [`Ask::Alone`].
    pub(super) async fn bring(
        &self,
        base_at: usize,
        base: &mut Link,
        at: usize,
        link: &mut Link,
        epoch: u64,
        alone: impl AsyncFnOnce() -> Result<u64, Brought>,
    ) -> Result<(), Brought> {
        let progress = self.catch_up((base_at, base), (at, link), epoch, alone).await?;
        base.begin_barrier().await.map_err(|fault| base_fault(base_at, fault))?;
        self.finish(base_at, base, at, link, progress).await
    }

    /// Brings `at` to nearly what the base has, while writes go on there.
    async fn catch_up(
        &self,
        (base_at, base): (usize, &mut Link),
        (at, link): (usize, &mut Link),
        epoch: u64,
        alone: impl AsyncFnOnce() -> Result<u64, Brought>,
    ) -> Result<Progress, Brought> {
        let failed = |fault| Brought::Failed(super::why(fault));
        let name = &self.names[at];
        let identity = tables::identify(link).await.map_err(failed)?;
        if let Some(reason) = super::stranger(self.set, name, &identity) {
            return Err(Brought::Unfit(reason));
        }
        // Connections that it has not heard of for a while may hold locks there
        // still. They are waited for before anybody else has to wait.
        link.begin_barrier().await.map_err(failed)?;
        link.rollback().await.map_err(failed)?;
        let on_base = |fault| base_fault(base_at, fault);
        let trimmed_seq = tables::trimmed_seq(base).await.map_err(on_base)?;
        let trimmed = tables::trimmed(base).await.map_err(on_base)?;
        let away = copy::away(base).await.map_err(on_base)?;
        let mark = away.marks.get(&name.0).map(|mark| mark.id);
        let lacks = needs_copy(&identity, trimmed, mark);
        if lacks && !identity.copying {
            tracing::warn!(master = %name, "a master is filled from another");
            let kept = copy::keep_what_it_alone_held(base, link, name, trimmed).await;
            kept.map_err(|at| from_base(base_at, at))?;
            tables::adopt(link, self.set, name, epoch, true).await.map_err(failed)?;
        }
        tables::migrate(link, name, &self.migrations).await.map_err(|error| match error {
            Migrate::Fault(fault) => failed(fault),
            Migrate::Refused(why) => Brought::Unfit(why),
        })?;
        if lacks {
            let filling = copy::Filling {
                shared: &self.shared,
                at,
                from: &self.names[base_at],
                to: name,
                mark,
                filled_for: identity.filled_for,
                rows_max: copy::PAGE_ROWS_MAX,
            };
            let copied = filling.run(base, link).await.map_err(|at| from_base(base_at, at))?;
            tracing::warn!(master = %name, rows = copied, "filled");
        }
        copy::tell_marks(base, link).await.map_err(failed)?;
        let mut progress = self.settle(base_at, base, link, lacks, alone).await?;
        progress.trimmed = trimmed_seq;
        Ok(progress)
    }

    async fn settle(
        &self,
        base_at: usize,
        base: &mut Link,
        link: &mut Link,
        filled: bool,
        alone: impl AsyncFnOnce() -> Result<u64, Brought>,
    ) -> Result<Progress, Brought> {
        let schema = &self.shared.schema;
        let tag = |at| from_base(base_at, at);
        let on_base = |fault| base_fault(base_at, fault);
        let forth = if filled { Rule::Fill } else { Rule::Follow };
        // What only the master that was away has, is decided first. Also one that was
        // filled may have what its base has forgotten since.
        let apart = settle::apart(link, base).await.map_err(|at| tag(at.swapped()))?;
        let settled = apart.alone.len() + apart.losers.len();
        let mut progress = Progress { forth, losers: apart.losers, after: 0, settled, trimmed: 0 };
        if !apart.alone.is_empty() {
            let epoch = alone().await?;
            let lost = settle::roll_forward(link, base, schema, epoch, &apart.alone).await;
            progress.losers.extend(lost.map_err(|at| tag(at.swapped()))?);
        }
        for _ in 0..PASSES_MAX {
            // Who holds the epoch row has ended when this has it, and who takes it
            // later puts its marker after the last one now.
            base.begin_barrier().await.map_err(on_base)?;
            let until = tables::last_seq(base).await.map_err(on_base)?;
            base.rollback().await.map_err(on_base)?;
            let pass = settle::pass(base, link, schema, forth, progress.after, Some(until)).await;
            let pass = pass.map_err(tag)?;
            progress.settled += pass.settled;
            let caught_up = pass.settled < CAUGHT_UP.0 && pass.bytes < CAUGHT_UP.1;
            progress.losers.extend(pass.losers);
            progress.after = until;
            if caught_up {
                break;
            }
        }
        Ok(progress)
    }

    /// The rest, while writers wait for the transaction that is open on the base.
    /// It stays open.
    async fn finish(
        &self,
        base_at: usize,
        base: &mut Link,
        at: usize,
        link: &mut Link,
        mut progress: Progress,
    ) -> Result<(), Brought> {
        let schema = &self.shared.schema;
        let tag = |at| from_base(base_at, at);
        let Progress { forth, after, .. } = progress;
        let last = settle::pass(base, link, schema, forth, after, None).await.map_err(tag)?;
        progress.settled += last.settled;
        progress.losers.extend(last.losers);
        settle::undo(base, link, schema, &progress.losers).await.map_err(tag)?;
        // Another process may have cut the log, or decided that it has to be filled.
        let trimmed = (forth == Rule::Follow).then_some(progress.trimmed);
        let held = copy::still_holds(base, link, &self.names[at], trimmed).await;
        if !held.map_err(|fault| Brought::Failed(super::why(fault)))? {
            let why = "the log was cut meanwhile: it is brought up anew";
            return Err(Brought::Failed(why.to_owned()));
        }
        if forth == Rule::Fill {
            reached(Point::BeforeCopied);
            // Until now it held rows of many moments.
            let over = copy::end(base, link).await;
            over.map_err(|fault| Brought::Failed(super::why(fault)))?;
        }
        self.shared.counters.settled.add(progress.settled as u64);
        self.shared.counters.undone.add(progress.losers.len() as u64);
        if progress.settled > 0 {
            let (name, settled) = (&self.names[at], progress.settled);
            tracing::warn!(severity = "INFO", master = %name, settled, "caught up");
        }
        Ok(())
    }
}

/// For how long writers may be held back, where that many tries took too long.
pub(super) fn hold_after(too_long: u32) -> Duration {
    let longer = too_long.saturating_add(1).saturating_sub(SHORT_HOLDS);
    HOLD_MAX.saturating_mul(2u32.saturating_pow(longer)).min(LONG_HOLD_MAX)
}

/// Whether a master can't be brought up by markers: it is new, is being filled,
/// misses some that were taken away, or somebody decided that it has to be.
pub(super) fn needs_copy(identity: &Identity, trimmed: Option<Uuid>, mark: Option<Uuid>) -> bool {
    identity.set.is_none()
        || identity.copying
        || identity.last < trimmed
        || identity.filled_for < mark
}

/// Tells the supervisor how it ended, also where the thread panics.
struct Ended {
    shared: Arc<Shared>,
    at: usize,
    result: Option<Result<(), Brought>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            drop(self.shared.supervisor.send(Command::Brought { at: self.at, result }));
        }
    }
}

fn from_base(base_at: usize, at: At) -> Brought {
    match at {
        At::From(fault) => base_fault(base_at, fault),
        At::To(fault) => Brought::Failed(super::why(fault)),
        At::Unfit(reason) => Brought::Conflict(reason),
    }
}

/// Only a base that can't be used has failed; one that is busy is asked again
/// later.
pub(super) fn base_fault(base_at: usize, fault: Fault) -> Brought {
    match fault {
        Fault::Lost(_) => Brought::BaseFailed(base_at, fault),
        other => Brought::Failed(super::why(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_are_short_and_none_is_longer_than_writers_wait_for() {
        let ms: Vec<u128> =
            [0, 4, 5, 6, 10, 11, u32::MAX].map(|n| hold_after(n).as_millis()).into();
        assert_eq!(ms, [80, 80, 160, 320, 5_000, 5_000, 5_000]);
    }
}
