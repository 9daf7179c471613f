//! Crash points: armed, brought about, and what comes after.

use std::time::{Duration, Instant};

use lab::LabError;
use multi_master::sabotage::Point;
use stdx::Random;

use super::{Hold, LOOK_AGAIN, Masters, Set};
use crate::masters::wire::{Act, Arm, Request};

/// How long a point is waited for that load or a master that comes back leads to.
const COME_TO_WITHIN: Duration = Duration::from_secs(20);
/// How long a master is away that comes back only so that a point is come to.
const AWAY: Duration = Duration::from_millis(400);
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
    /// A set that is opened after a crash between two commits.
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
        | Point::BeforePrimaryCommit
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
    /// Brings the worker to a crash point, and lets it go on or starts it again.
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
        match way(point) {
            Way::Write => {
                let passes = random.below(PASSES_MAX);
                self.arm_after(worker, point, act, passes)?;
            }
            Way::Return => {
                self.arm(worker, point, act)?;
                self.masters.cut_off(master).map_err(lab)?;
                std::thread::sleep(AWAY);
                self.masters.reconnect(master).map_err(lab)?;
            }
            Way::Copy => {
                self.arm(worker, point, act)?;
                self.masters.lose_data(master).map_err(lab)?;
            }
            Way::Undo => return self.undo(worker, hold),
        }
        let come_to = self.wait_until_come_to(worker, point)?;
        match act {
            _ if !come_to => drop(self.tell(worker, &Request::Disarm)),
            Act::Kill => {
                self.kill_worker(worker).map_err(lab)?;
                self.start_workers().map_err(lab)?;
                hold();
            }
            Act::Stop => {
                hold();
                if let Some(worker) = &mut self.workers[worker] {
                    worker.process().go_on().map_err(lab)?;
                }
            }
            Act::Hang(ms) => std::thread::sleep(Duration::from_millis(ms)),
        }
        Ok(())
    }

    /// One crash between the commits, and another one while it is undone.
    fn undo(&mut self, worker: usize, hold: Hold<'_>) -> Result<(), String> {
        let lab = |why: LabError| why.to_string();
        self.arm(worker, Point::BeforePrimaryCommit, Act::Kill)?;
        if self.wait_until_come_to(worker, Point::BeforePrimaryCommit)? {
            self.kill_worker(worker).map_err(lab)?;
            let armed = Arm { point: Point::Undoing.name().to_owned(), act: Act::Kill, passes: 0 };
            // It ends before it is ready, and its log comes with the error.
            if let Err(why) = self.start_one(worker, Some(&armed))
                && why.to_string().contains(&told(Point::Undoing))
            {
                *self.fired.entry(Point::Undoing).or_default() += 1;
            }
            self.start_workers().map_err(lab)?;
        }
        hold();
        Ok(())
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

    /// Waits until the worker has come to the point that was armed; `false` where
    /// it does not within the bound.
    pub(super) fn wait_until_come_to(
        &mut self,
        worker: usize,
        point: Point,
    ) -> Result<bool, String> {
        let until = Instant::now() + COME_TO_WITHIN;
        let told = told(point);
        let Some(program) = &mut self.workers[worker] else { return Ok(false) };
        loop {
            let ended = !program.process().is_running();
            let log = program.process().stderr_so_far();
            let times = log.matches(&told).count();
            if times > self.seen.get(&(worker, point)).copied().unwrap_or(0) {
                self.seen.insert((worker, point), times);
                *self.fired.entry(point).or_default() += 1;
                return Ok(true);
            }
            if ended || Instant::now() > until {
                return Ok(false);
            }
            std::thread::sleep(LOOK_AGAIN / 4);
        }
    }
}

/// The line by which a worker tells that it came to a point.
fn told(point: Point) -> String {
    format!("crash point {point}: ")
}
