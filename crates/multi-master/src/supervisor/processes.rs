//! The other processes that have the set open: hearing of them from the witness
//! that they share, and settling what one leaves that dies.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Supervisor, why};
use crate::fault::Fault;
use crate::link::Link;
use crate::membership::MasterState;
use crate::shared::{Command, Shared};
use crate::sqlite::IfAbsent;
use crate::tables;
use crate::witness::{Answer, Ask, Client, Other, Stage, Testimony, went_back};

/// How often the witness is asked: several times in a lease.
pub(super) const HEAR_EVERY: Duration = Duration::from_millis(150);
/// A process that has paused all writing goes on within this time; else
/// another one does.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What is known of the other processes.
#[derive(Debug, Default)]
pub(super) struct Processes {
    others: Vec<Other>,
    /// The epoch of a pause, and when it was first seen.
    paused: Option<(u64, Instant)>,
    /// Why the witness can't be believed.
    pub(super) distrust: Option<String>,
    /// The task that asks.
    hearing: Option<tokio::task::JoinHandle<()>>,
}

impl Processes {
    /// Begins to hear of the others.
    pub(super) fn hear(shared: &Arc<Shared>, client: &Client, others: Vec<Other>) -> Self {
        let hearing = keep_hearing(Arc::clone(shared), client.another());
        let hearing = Some(tokio::task::spawn_local(hearing));
        Self { others, paused: None, distrust: None, hearing }
    }

    /// Whether another process has the set open now.
    pub(super) fn others_serve(&self) -> bool {
        let open = |stage| matches!(stage, Stage::Serving | Stage::CutOff);
        self.others.iter().any(|other| open(other.stage) && !other.silent)
    }

    /// Whether another process reaches every master that serves. Where none does,
    /// nobody is there to say that a master is well that this one can't reach.
    fn others_reach_all(&self) -> bool {
        self.others.iter().any(|other| other.stage == Stage::Serving && !other.silent)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if let Some(hearing) = &self.hearing {
            hearing.abort();
        }
    }
}

impl Supervisor {
    /// What the witness said by itself.
    pub(super) async fn heard(&mut self) {
        let heard = self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(answer) = heard else { return };
        let Answer { testimony, others, .. } = answer;
        self.processes.others = others;
        let knew = self.witness.known().map(|known| known.epoch);
        let said = testimony.as_ref().map(|said| said.epoch);
        // An answer from before the last change may come late: what counts is
        // asked for again.
        if said < knew && !self.is_still(knew).await {
            let why = went_back(knew, testimony.as_ref());
            if self.processes.distrust.is_none() {
                tracing::error!(severity = "CRITICAL", why, "writes are refused");
            }
            self.processes.distrust = Some(why);
            return self.put_in_force().await;
        }
        let trusts_again = self.processes.distrust.take().is_some();
        if let Some(testimony) = testimony.filter(|_| said > knew) {
            self.adopt(&testimony).await;
            self.put_in_force().await;
        } else if trusts_again {
            self.put_in_force().await;
        }
        self.end_a_pause().await;
        if !self.processes.others_reach_all() && self.membership.drop_cut_off() {
            self.put_in_force().await;
        }
        self.settle_after_the_dead().await;
    }

    /// Whether the witness still says what this process knows, or more.
    async fn is_still(&mut self, knew: Option<u64>) -> bool {
        let Some(client) = self.witness.shared() else { return true };
        match client.ask(Ask::Hear).await {
            Ok(answer) => answer.testimony.map(|said| said.epoch) >= knew,
            // Then nothing more is known than before.
            Err(_) => true,
        }
    }

    /// Asks the witness at once; whether it had news.
    pub(super) async fn hear_now(&mut self) -> bool {
        let Some(client) = self.witness.shared() else { return false };
        let Ok(Answer { testimony: Some(testimony), others, .. }) = client.ask(Ask::Hear).await
        else {
            return false;
        };
        self.processes.others = others;
        let news = self.witness.known().is_none_or(|known| known.epoch < testimony.epoch);
        if news {
            self.adopt(&testimony).await;
        }
        news
    }

    /// Another process has changed who serves. What this one was about to change
    /// begins anew.
    pub(super) async fn adopt(&mut self, testimony: &Testimony) {
        let knew = self.witness.known().map(|known| known.epoch);
        if !self.witness.heard(testimony) {
            return;
        }
        // Who served in between, and others read from, was not heard.
        let heard_all = knew.is_some_and(|knew| testimony.epoch <= knew + 1);
        let names = Arc::clone(&self.recovery.names);
        self.may_be_read(if heard_all { &testimony.serving } else { &names });
        tracing::info!(epoch = testimony.epoch, "another process changed who serves");
        let masters = 0..self.tries.len();
        let down: Vec<usize> = masters
            .clone()
            .filter(|&at| self.membership.view().masters[at].state == MasterState::Down)
            .collect();
        self.membership.adopt(testimony);
        for at in masters {
            self.tries[at].give_up();
            if !self.membership.is_in(at) {
                self.tries[at].at = Instant::now() + self.shared.limits.probe;
            } else if down.contains(&at)
                && let Some(why) = self.wrong_with(at).await
            {
                self.membership.cut_off(at, why);
                self.retry_later(at);
            }
        }
    }

    /// A process that stopped all writing may have died.
    async fn end_a_pause(&mut self) {
        let Some(known) = self.witness.known().filter(|known| known.paused) else {
            self.processes.paused = None;
            return;
        };
        let mine = self.membership.view().masters.iter().any(|m| m.state == MasterState::Joining);
        let others = &self.processes.others;
        let opening = others.iter().any(|other| other.stage == Stage::Opening && !other.silent);
        let since = match self.processes.paused {
            Some((epoch, since)) if epoch == known.epoch => since,
            _ => Instant::now(),
        };
        self.processes.paused = Some((known.epoch, since));
        if !mine && !opening && since.elapsed() > PAUSE_MAX {
            tracing::warn!("who paused all writing does not go on: this process does");
            self.membership.go_on();
            self.put_in_force().await;
        }
    }

    /// A process that ended without a word may have committed on one master and
    /// not on another. The others come in again, and what is one-sided is
    /// settled on the way. One process sees to it.
    async fn settle_after_the_dead(&mut self) {
        let others = &self.processes.others;
        let dead = self.dead();
        let Some(process) = self.witness.shared().map(|client| client.process()) else { return };
        let mut alive = others.iter().filter(|o| !o.silent && o.stage == Stage::Serving);
        let mine = alive.all(|other| process < other.process);
        // Writing has stopped, or can't be stopped: later.
        let busy = self.membership.is_paused() || self.membership.view().refuses.is_some();
        let serving = self.membership.view().serving();
        if dead.is_empty() || !mine || busy || serving.is_empty() {
            return;
        }
        tracing::warn!(
            severity = "WARNING", processes = ?dead,
            "a process ended without a word: what it left is settled"
        );
        for &at in &serving[1..] {
            let why = "what a process left that ended without a word is settled";
            self.take_out(at, why.to_owned());
            self.tries[at].at = Instant::now();
        }
        self.put_in_force().await;
        let out = serving[1..].iter().all(|&at| !self.membership.view().serves(at));
        if out && let Some(client) = self.witness.shared() {
            // Where that fails, it is done once more.
            drop(client.ask(Ask::Forget { processes: dead }).await);
        }
    }

    /// The set is open. Nobody else had it open, where what the dead left was
    /// settled with it.
    pub(super) async fn serve(&mut self) {
        let processes = self.dead();
        let settled = !self.processes.others_serve();
        let Some(client) = self.witness.shared() else { return };
        // Where one of these fails, the next answer shows it, and it is done again.
        let cut_off = self.membership.is_cut_off();
        drop(client.ask(if cut_off { Ask::CutOff } else { Ask::Serve }).await);
        if settled {
            drop(client.ask(Ask::Forget { processes }).await);
        }
    }

    fn dead(&self) -> Vec<Uuid> {
        let silent = self.processes.others.iter().filter(|other| other.silent);
        silent.map(|other| other.process).collect()
    }

    /// Says goodbye: nothing is left to settle.
    pub(super) async fn leave(&mut self) {
        if let Some(hearing) = self.processes.hearing.take() {
            hearing.abort();
            drop(hearing.await);
        }
        if let Some(client) = self.witness.shared() {
            drop(client.ask(Ask::Leave).await);
        }
    }
}

/// Asks the witness all the time, and renews the lease.
async fn keep_hearing(shared: Arc<Shared>, mut client: Client) {
    let mut links: Vec<Option<Link>> = shared.targets.iter().map(|_| None).collect();
    loop {
        let asked = Instant::now();
        match client.ask(Ask::Hear).await {
            Ok(answer) => {
                let view = shared.view();
                let covers = |testimony: &Testimony| {
                    // One that is suspect may be read from in a moment.
                    let mut serving = view.serving().into_iter().map(|at| &view.masters[at].name);
                    serving.all(|name| testimony.serving.contains(name))
                };
                if answer.testimony.as_ref().is_some_and(covers) {
                    shared.lease.renew(asked);
                }
                let before =
                    shared.heard.lock().unwrap_or_else(PoisonError::into_inner).replace(answer);
                if before.is_none() && shared.supervisor.send(Command::Heard).is_err() {
                    return;
                }
            }
            Err(why) => {
                tracing::debug!(why, "the witness does not answer");
                // Whoever takes a master out says so to those that are left
                // before it goes on.
                let asked = Instant::now();
                if all_are_at(&shared, &mut links).await {
                    shared.lease.renew(asked);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(HEAR_EVERY) => {}
            () = shared.lease.ended() => {}
        }
    }
}

/// Whether every master that serves is at the epoch in force.
async fn all_are_at(shared: &Shared, links: &mut [Option<Link>]) -> bool {
    let view = shared.view();
    for at in view.serving() {
        let epoch = async {
            let mut link = match links[at].take() {
                Some(link) => link,
                None => shared.connect(at, IfAbsent::Refuse).await?,
            };
            let epoch = tables::epoch(&mut link).await?;
            links[at] = Some(link);
            Ok::<_, Fault>(epoch)
        };
        match epoch.await {
            Ok(epoch) if epoch == Some(view.epoch) => {}
            Ok(_) => return false,
            Err(fault) => {
                tracing::debug!(why = why(fault), "a master does not answer");
                return false;
            }
        }
    }
    // It may have changed while they were asked.
    shared.view().generation == view.generation && !view.serving().is_empty()
}
