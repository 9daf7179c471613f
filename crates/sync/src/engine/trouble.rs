//! Requests that have no answer that counts, and pauses after them.

use std::time::Duration;

use stdx::UnixMicros;

use super::{
    ALONE_MAX, Effect, End, Engine, LATER_MAX, Notice, RETRY_BASE, RETRY_MAX, Retry, Step, Trouble,
};
use crate::model::{OperationId, Version};
use crate::queue::{Chain, Failure, Landed};
use crate::sabotage::Bug;

impl Engine {
    pub(super) fn failed_to(
        &mut self,
        push: bool,
        trouble: Trouble,
        now: UnixMicros,
        step: &mut Step,
    ) {
        let flight = self.session.flight.clone();
        if push {
            let landed = match trouble {
                Trouble::Rejected(_) => Landed::NotTaken,
                // Before that it may have been taken, and the answer lost.
                Trouble::Unreachable
                | Trouble::Later(_)
                | Trouble::LogIn
                | Trouble::Expired
                | Trouble::Stopped(_) => Landed::Unknown,
            };
            self.land(landed, step);
            // What the server has to tell waits for nothing of this.
            self.pull_first = true;
        }
        match trouble {
            Trouble::Unreachable => {
                // A slow network may have time for less.
                if push {
                    self.not_taken(&flight, step);
                } else {
                    self.pull_count = (self.pull_count / 2).max(1);
                }
                self.watch.found_nobody(now);
                self.wait(None, push, now, step);
            }
            Trouble::Later(asked_for) => {
                if push && asked_for.is_none() {
                    self.not_taken(&flight, step);
                }
                self.wait(asked_for, push, now, step);
            }
            Trouble::LogIn => {
                self.session.logged_out = true;
                if self.config.has(Bug::DeletedOnLogIn) {
                    self.lose(&flight, step);
                }
                self.save_session(step);
                step.effects.push(Effect::Tell(Notice::LogIn));
                step.effects.push(Effect::Tell(Notice::Status));
            }
            Trouble::Expired if !push && self.session.anew != Some(Version::NONE) => {
                self.begin_anew();
                self.save_session(step);
            }
            // One of them may be what spoils it: that is seen where they are fewer.
            Trouble::Rejected(_) if push && flight.len() > 1 => {
                self.not_taken(&flight, step);
                self.save_session(step);
            }
            Trouble::Rejected(failure) if push && self.session.rejected < ALONE_MAX => {
                self.session.rejected += 1;
                for id in flight {
                    self.rejected(id, &failure, now, step);
                }
                self.save_session(step);
            }
            // It is hardly the edits where the server takes none of them.
            Trouble::Rejected(failure) if push => {
                self.not_taken(&flight, step);
                self.stop(failure, push, now, step);
            }
            Trouble::Stopped(failure) => self.stop(failure, push, now, step),
            Trouble::Rejected(_) | Trouble::Expired => self.wait(None, push, now, step),
        }
    }

    fn stop(&mut self, failure: Failure, push: bool, now: UnixMicros, step: &mut Step) {
        self.session.stopped = Some(failure.clone());
        self.wait(None, push, now, step);
        step.effects.push(Effect::Tell(Notice::Stopped(failure)));
    }

    /// Nothing of a push was taken. The next one is smaller; where it was of one
    /// operation, that goes behind the others after some times.
    pub(super) fn not_taken(&mut self, flight: &[OperationId], step: &mut Step) {
        self.session.push_max = Some((flight.len() / 2).max(1));
        if let [alone] = flight {
            self.session.not_taken = self.session.not_taken.saturating_add(1);
            if self.session.not_taken >= ALONE_MAX {
                self.pass_over(*alone, step);
            }
        }
    }

    /// An operation goes behind the others.
    pub(super) fn pass_over(&mut self, id: OperationId, step: &mut Step) {
        if self.config.has(Bug::NeverPassedOver) {
            return;
        }
        let Some(key) = self.queue.first_with(id) else { return };
        let Some(before) = self.queue.chain(&key).cloned() else { return };
        let mut after = before.clone();
        after.pass_over();
        self.put(&key, &before, after, step);
    }

    /// Nothing is sent for a while: at least for as long as the server has asked for.
    pub(super) fn wait(
        &mut self,
        asked_for: Option<Duration>,
        push: bool,
        now: UnixMicros,
        step: &mut Step,
    ) {
        let before = self.session.retry;
        let attempts = before.map_or(0, |retry| retry.attempts);
        let pause = self.pause(attempts).max(asked_for.unwrap_or_default().min(LATER_MAX));
        self.session.retry = Some(Retry {
            attempts: attempts.saturating_add(1),
            of_push: push || before.is_some_and(|retry| retry.of_push),
            until: now.after(pause),
            asked_for: asked_for.is_some(),
        });
        self.save_session(step);
        step.effects.push(Effect::Tell(Notice::Status));
    }

    /// Marc Brooker: *Exponential Backoff and Jitter*, 2015 ("full jitter").
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        let factor = 2u32.checked_pow(attempts).unwrap_or(u32::MAX);
        let ceiling = RETRY_BASE.saturating_mul(factor).min(RETRY_MAX);
        let micros = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.random.below(micros.saturating_add(1)))
    }

    /// The server takes no request that has this operation.
    fn rejected(&mut self, id: OperationId, failure: &Failure, now: UnixMicros, step: &mut Step) {
        let Some(key) = self.queue.first_with(id) else { return };
        let Some(before) = self.queue.chain(&key).cloned() else { return };
        let mut after = before.clone();
        after.reject(failure.clone());
        let rejected = before.operations[0].clone();
        self.put(&key, &before, after, step);
        self.log(&rejected, End::Refused, now, step);
        // Where later edits have become one with it, it is sent again.
        if self.queue.chain(&key).is_some_and(Chain::needs_attention) {
            let failure = failure.clone();
            step.effects.push(Effect::Tell(Notice::Refused { key, failure }));
        }
    }

    /// What a planted bug does to operations: they are gone.
    pub(super) fn lose(&mut self, operations: &[OperationId], step: &mut Step) {
        for id in operations {
            let Some(key) = self.queue.first_with(*id) else { continue };
            let Some(before) = self.queue.chain(&key).cloned() else { continue };
            let mut after = before.clone();
            after.operations.pop_front();
            self.put(&key, &before, after, step);
        }
    }
}
