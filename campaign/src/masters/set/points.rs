//! Crash points: armed, brought about, and what comes after.

use std::time::{Duration, Instant};

use lab::LabError;
use multi_master::sabotage::Point;
use stdx::Random;

use super::{ALONE_WITHIN, Hold, LOOK_AGAIN, Masters, Set};
use crate::masters::load::Call;
use crate::masters::wire::{Act, Arm, Reply, Request};

/// How long a point is waited for that load or a master that comes back leads to.
const COME_TO_WITHIN: Duration = Duration::from_secs(20);
/// How long a worker has to answer that may have come to the point as well.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);
/// How long a commit takes at most that a master was told to do, in milliseconds.
const COMMITS_WITHIN: u64 = 300;
/// How long a master is away that comes back only so that a point is come to.
const AWAY: Duration = Duration::from_millis(400);
/// How often it goes, where nobody comes to the point for that, each time for longer.
const RETURNS_MAX: u32 = 3;
/// The most passes before what was armed happens.
const PASSES_MAX: u64 = 20;

/// What leads to a point.
enum Way {
    /// Any write.
    Write,
    /// A master that was away for a moment.
    Return,
    /// A master that has to be filled.
    Copy,
    /// A crash between two commits after which others go on: what only one master
    /// has loses against them.
    Undo,
}

const fn way(point: Point) -> Way {
    match point {
        Point::BeforeStatements
        | Point::AfterStatements
        | Point::MarkerSent
        | Point::BeforeCommits
        | Point::BetweenCommits
        | Point::AfterOneCommit
        | Point::BeforeAnswer => Way::Write,
        Point::Settled
        | Point::HoldingWriters
        | Point::WitnessTold
        | Point::WitnessWritten
        | Point::OneFenced
        | Point::BaseFenced
        | Point::BeforeJoin => Way::Return,
        Point::CopyingPage | Point::BeforeCopied | Point::Migrating => Way::Copy,
        Point::Undoing => Way::Undo,
    }
}

impl<M: Masters> Set<M> {
    /// Brings a worker to a crash point, and lets it go on or starts it again.
    /// Which one of several brings a master back is theirs to find out: then all
    /// are armed.
    pub(super) fn come_to(
        &mut self,
        worker: usize,
        point: Point,
        act: Act,
        random: &Random,
        hold: Hold<'_>,
    ) -> Result<(), String> {
        let lab = |why: LabError| why.to_string();
        let master = usize::from(random.one_in(2));
        let everyone: Vec<usize> = (0..self.workers.len()).collect();
        let armed = match way(point) {
            Way::Write => vec![worker],
            _ => everyone,
        };
        match way(point) {
            Way::Write => {
                let passes = random.below(PASSES_MAX);
                self.arm_after(worker, point, act, passes)?;
            }
            Way::Return => {
                self.arm_all(point, act)?;
                // On a slow machine a short absence may pass unseen.
                for tries in 1..RETURNS_MAX {
                    self.be_away(master, AWAY * tries)?;
                    if let Some(come_to) = self.wait_until_come_to(&armed, point)? {
                        return self.go_on_from(act, Some(come_to), &armed, hold);
                    }
                }
                self.be_away(master, AWAY * RETURNS_MAX)?;
            }
            Way::Copy => {
                self.wait_until_settled()?;
                self.arm_all(point, act)?;
                self.masters.lose_data(master).map_err(lab)?;
            }
            Way::Undo => return self.undo(worker, act, hold),
        }
        let come_to = self.wait_until_come_to(&armed, point)?;
        self.go_on_from(act, come_to, &armed, hold)
    }

    fn be_away(&mut self, master: usize, time: Duration) -> Result<(), String> {
        self.masters.cut_off(master).map_err(|why| why.to_string())?;
        std::thread::sleep(time);
        self.masters.reconnect(master).map_err(|why| why.to_string())
    }

    /// What comes after what was armed has happened, or has not.
    fn go_on_from(
        &mut self,
        act: Act,
        come_to: Option<usize>,
        armed: &[usize],
        hold: Hold<'_>,
    ) -> Result<(), String> {
        let lab = |why: LabError| why.to_string();
        for &other in armed.iter().filter(|at| Some(**at) != come_to) {
            // It may have come to it, too.
            drop(self.try_tell(other, &Request::Disarm));
        }
        match (act, come_to) {
            (_, None) => {}
            (Act::Kill, Some(worker)) => {
                self.kill_worker(worker).map_err(lab)?;
                self.start_workers().map_err(lab)?;
                hold();
            }
            (Act::Stop, Some(_)) => {
                hold();
                for worker in self.workers.iter_mut().flatten() {
                    worker.process().go_on().map_err(lab)?;
                }
            }
            (Act::Hang(ms), Some(_)) => std::thread::sleep(Duration::from_millis(ms)),
        }
        Ok(())
    }

    /// A crash after which only one master has a transaction, the other is written
    /// to alone, and another crash while the first is undone.
    fn undo(&mut self, worker: usize, act: Act, hold: Hold<'_>) -> Result<(), String> {
        let lab = |why: LabError| why.to_string();
        self.wait_until_settled()?;
        // What only one master has, and no process any more, can be undone: who read it
        // meanwhile would have read what never was.
        for (_, other) in self.workers.iter_mut().enumerate().filter(|(at, _)| *at != worker) {
            if let Some(other) = other {
                other.process().freeze().map_err(lab)?;
            }
        }
        // Who was told to commit does so meanwhile.
        self.arm(worker, Point::BetweenCommits, Act::Hang(COMMITS_WITHIN * 4))?;
        if self.wait_until_come_to(&[worker], Point::BetweenCommits)?.is_none() {
            return self
                .workers
                .iter_mut()
                .flatten()
                .try_for_each(|worker| worker.process().go_on().map_err(lab));
        }
        std::thread::sleep(Duration::from_millis(COMMITS_WITHIN));
        self.kill_workers().map_err(lab)?;
        self.masters.leave(M::COMMITS_FIRST).map_err(lab)?;
        // Where the other one was just out, nobody serves yet.
        let alone = self.start_within(ALONE_WITHIN).is_ok();
        let armed = if alone {
            // Several processes first wait until those that were killed are taken for
            // dead.
            let nothing = Request::Transfer { from: 0, to: 1, amount: 0 };
            drop(self.call(worker)?.ask_until_served(&nothing));
            hold();
            self.arm_all(Point::Undoing, act)
        } else {
            Ok(())
        };
        self.masters.come_back(M::COMMITS_FIRST).map_err(lab)?;
        armed?;
        if !alone {
            return self.start_workers().map_err(lab);
        }
        let everyone: Vec<usize> = (0..self.workers.len()).collect();
        let come_to = self.wait_until_come_to(&everyone, Point::Undoing)?;
        self.go_on_from(act, come_to, &everyone, hold)
    }

    pub(super) fn arm(&mut self, worker: usize, point: Point, act: Act) -> Result<(), String> {
        self.arm_after(worker, point, act, 0)
    }

    fn arm_after(
        &mut self,
        worker: usize,
        point: Point,
        act: Act,
        passes: u64,
    ) -> Result<(), String> {
        let arm = Arm { point: point.name().to_owned(), act, passes };
        self.tell(worker, &Request::Arm(arm))
    }

    fn arm_all(&mut self, point: Point, act: Act) -> Result<(), String> {
        (0..self.workers.len()).try_for_each(|worker| self.arm(worker, point, act))
    }

    /// As [`Self::tell`], of a worker that may have ended, or stopped.
    fn try_tell(&mut self, worker: usize, request: &Request) -> Option<Reply> {
        let address = self.workers[worker].as_ref()?.address();
        Call::within(address, ANSWERED_WITHIN).ok()?.ask(request).ok()
    }

    /// Waits until one of the workers has come to the point that was armed; `None`
    /// where none does within the bound.
    pub(super) fn wait_until_come_to(
        &mut self,
        workers: &[usize],
        point: Point,
    ) -> Result<Option<usize>, String> {
        let until = Instant::now() + COME_TO_WITHIN;
        let told = told(point);
        loop {
            let mut all_ended = true;
            for &worker in workers {
                let Some(program) = &mut self.workers[worker] else { continue };
                all_ended &= !program.process().is_running();
                let log = program.process().stderr_so_far();
                let times = log.matches(&told).count();
                if times > self.seen.get(&(worker, point)).copied().unwrap_or(0) {
                    self.seen.insert((worker, point), times);
                    *self.fired.entry(point).or_default() += 1;
                    return Ok(Some(worker));
                }
            }
            if all_ended || Instant::now() > until {
                return Ok(None);
            }
            std::thread::sleep(LOOK_AGAIN / 4);
        }
    }
}

/// The line by which a worker tells that it came to a point.
fn told(point: Point) -> String {
    format!("crash point {point}: ")
}
