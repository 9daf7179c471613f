//! What one subscriber gets: taken from the table, delivered, and put back what came of it.
//!
//! ```text
//!  table ──take──▶ queue ──▶ workers ──▶ what came of it ──one write for many──▶ table
//!    ▲                                                                             │
//!    └──────────── the next of the key, taken in the same write ◀──────────────────┘
//! ```

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use multi_master::{DbError, MultiMaster, Tx};
use stdx::{Backoff, Random};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::model::{Delivery, HandleError};
use crate::store;
use crate::topics::Subscriber;

/// How often it is looked, where nobody has said that something is there: what other processes
/// left, and pauses that are over.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After something was emitted in this process it is looked again and again, at first after
/// so long, until it is there: it is when its transaction has committed.
const SOON: Duration = Duration::from_millis(1);
/// What is put back in one write at most.
const TOLD_MAX: usize = 100;
/// Pauses while the store can't be written.
const STORE_PAUSE_BASE: Duration = Duration::from_millis(20);
const STORE_PAUSE_MAX: Duration = Duration::from_secs(2);

pub(crate) struct Lane {
    pub(crate) store: MultiMaster,
    pub(crate) owner: Uuid,
    pub(crate) lease: Duration,
    pub(crate) random: Random,
    pub(crate) subscriber: Subscriber,
    pub(crate) emitted: Arc<Notify>,
    pub(crate) closing: watch::Receiver<bool>,
}

/// What this process may deliver, until its lease ends.
struct Taken {
    delivery: Delivery,
    until: Instant,
}

/// What came of a delivery.
#[derive(Clone)]
struct Told {
    delivery: Delivery,
    end: End,
}

#[derive(Clone)]
enum End {
    Delivered,
    Again(String, Duration),
    Parked(String),
    /// It was not begun.
    GivenBack,
}

impl Lane {
    /// Until the process stops.
    pub(crate) async fn run(mut self) {
        let bounds = self.subscriber.bounds;
        let mut queue: VecDeque<Taken> = VecDeque::new();
        let mut workers: JoinSet<Told> = JoinSet::new();
        let mut workers_now = bounds.workers_min;
        let mut told: Vec<Told> = Vec::new();
        let (mut look_at, mut soon) = (Instant::now(), None::<Duration>);
        while !*self.closing.borrow() {
            workers_now = match queue.len() + workers.len() {
                0 => bounds.workers_min,
                all if all >= bounds.queue => bounds.workers_max,
                _ => workers_now,
            };
            while workers.len() < workers_now
                && let Some(Taken { delivery, until }) = queue.pop_front()
            {
                if Instant::now() + bounds.deadline > until {
                    // It waited for so long that somebody else may have it before it is done.
                    told.push(Told { delivery, end: End::GivenBack });
                    continue;
                }
                workers.spawn(deliver(self.subscriber.clone(), self.random.clone(), delivery));
            }
            while let Some(ended) = workers.try_join_next() {
                told.extend(ended.ok());
            }
            if !told.is_empty() {
                let some = told.drain(..told.len().min(TOLD_MAX)).collect();
                queue.extend(self.tell(some).await);
                continue;
            }
            let room = bounds.queue.saturating_sub(queue.len() + workers.len());
            if room > 0 && Instant::now() >= look_at {
                let taken = self.take(room).await;
                soon = if taken.is_empty() { soon.map(|soon| soon * 2) } else { None };
                soon = soon.filter(|soon| *soon < LOOK_EVERY);
                // A full take leaves more behind it.
                let wait = if taken.len() == room { SOON } else { soon.unwrap_or(LOOK_EVERY) };
                look_at = Instant::now() + wait;
                queue.extend(taken);
                continue;
            }
            tokio::select! {
                ended = workers.join_next(), if !workers.is_empty() => {
                    told.extend(ended.and_then(Result::ok));
                }
                () = self.emitted.notified() => {
                    (look_at, soon) = (Instant::now(), Some(SOON));
                }
                () = tokio::time::sleep_until(look_at), if room > 0 => {}
                _ = self.closing.changed() => {}
            }
        }
        // What is being delivered is waited for, within its deadline; the rest is given back.
        while let Some(ended) = workers.join_next().await {
            told.extend(ended.ok());
        }
        let rest = queue.into_iter().map(|taken| taken.delivery);
        told.extend(rest.map(|delivery| Told { delivery, end: End::GivenBack }));
        while !told.is_empty() {
            let some = told.drain(..told.len().min(TOLD_MAX)).collect();
            let taken = self.tell_once(some).await.unwrap_or_else(|why| {
                // They come again, when the lease ends.
                tracing::warn!(subscriber = self.subscriber.name, why, "events may come twice");
                Vec::new()
            });
            let rest = taken.into_iter().map(|taken| taken.delivery);
            told.extend(rest.map(|delivery| Told { delivery, end: End::GivenBack }));
        }
    }

    fn taken(&self, since: Instant, all: Vec<Delivery>) -> Vec<Taken> {
        let until = since + self.lease;
        all.into_iter().map(|delivery| Taken { delivery, until }).collect()
    }

    async fn take(&self, room: usize) -> Vec<Taken> {
        let since = Instant::now();
        let (name, owner, lease) = (self.subscriber.name, self.owner, self.lease);
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let taken = self
            .store
            .write(async move |tx: &mut Tx| store::take(tx, name, owner, lease, limit).await);
        // Where nobody knows, they are due again when the lease ends.
        let taken = taken.await.into_result().unwrap_or_else(|why| {
            tracing::warn!(subscriber = name, %why, "events can't be taken");
            Vec::new()
        });
        self.taken(since, taken)
    }

    /// Puts back what came of some, and gives back what was taken instead. While the store can't
    /// be written it waits: what was delivered would be delivered again.
    async fn tell(&mut self, told: Vec<Told>) -> Vec<Taken> {
        let mut backoff = Backoff::new(STORE_PAUSE_BASE, STORE_PAUSE_MAX);
        loop {
            match self.tell_once(told.clone()).await {
                Ok(taken) => return taken,
                Err(why) => {
                    tracing::warn!(
                        subscriber = self.subscriber.name,
                        why,
                        "what came of events can't be written"
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.pause(&self.random)) => {}
                _ = self.closing.changed() => return Vec::new(),
            }
        }
    }

    async fn tell_once(&self, told: Vec<Told>) -> Result<Vec<Taken>, String> {
        let since = Instant::now();
        let (owner, lease) = (self.owner, self.lease);
        let done = self.store.write(async move |tx: &mut Tx| {
            let mut next = Vec::new();
            for Told { delivery, end } in &told {
                match end {
                    End::Delivered => {
                        next.extend(store::delivered(tx, delivery, owner, lease).await?);
                    }
                    End::Again(why, pause) => {
                        store::failed(tx, delivery, owner, why, *pause).await?;
                    }
                    End::Parked(why) => {
                        next.extend(store::parked(tx, delivery, owner, why, lease).await?);
                    }
                    End::GivenBack => store::give_back(tx, delivery, owner).await?,
                }
            }
            Ok::<_, DbError>(next)
        });
        let next = done.await.into_result().map_err(|error| error.to_string())?;
        Ok(self.taken(since, next))
    }
}

async fn deliver(subscriber: Subscriber, random: Random, delivery: Delivery) -> Told {
    let bounds = subscriber.bounds;
    let handled = AssertUnwindSafe(subscriber.handler.handle(&delivery)).catch_unwind();
    let why = match tokio::time::timeout(bounds.deadline, handled).await {
        Ok(Ok(Ok(()))) => return Told { delivery, end: End::Delivered },
        Ok(Ok(Err(HandleError::Poison(why)))) => {
            tracing::error!(subscriber = subscriber.name, event = %delivery.event_id, why, "an event is put aside");
            return Told { delivery, end: End::Parked(why) };
        }
        Ok(Ok(Err(HandleError::Again(why)))) => why,
        Ok(Err(_)) => "its handler panicked".to_owned(),
        Err(_) => format!("it took longer than {:?}", bounds.deadline),
    };
    if delivery.attempt >= bounds.attempts_max {
        tracing::error!(
            subscriber = subscriber.name, event = %delivery.event_id, why,
            "an event is put aside"
        );
        return Told { delivery, end: End::Parked(why) };
    }
    let before = delivery.attempt.saturating_sub(1);
    let pause = Backoff::after(bounds.pause_base, bounds.pause_max, before).pause(&random);
    Told { delivery, end: End::Again(why, pause) }
}
