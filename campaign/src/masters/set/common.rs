//! What can be done to masters of either kind.

use std::time::{Duration, Instant};

use lab::LabError;
use multi_master::sabotage::Point;
use stdx::Random;

use super::{ALONE_WITHIN, Hold, LOOK_AGAIN, Masters, Set, TAKEN_FOR_DEAD, TRIED};
use crate::masters::faults::Common;
use crate::masters::store;
use crate::masters::wire::{Act, Reply, Request};

/// How long there is no witness before a master goes.
const WITHOUT_WITNESS: Duration = Duration::from_millis(500);
/// A row that is to be changed by hand is written again and again for as long.
const KEPT_WITHIN: Duration = Duration::from_secs(10);
/// What is written on a full disk: more than servers add to a file at a time.
const MUCH_ROWS: u32 = 24;
const MUCH_CHARS: usize = 250_000;
const MUCH_WITHIN: Duration = Duration::from_secs(4);
/// Rows that are changed by hand.
const KEPT_ROWS: u32 = 4;

impl<M: Masters> Set<M> {
    pub(super) fn suffer_common(
        &mut self,
        fault: Common,
        random: &Random,
        hold: Hold<'_>,
    ) -> Result<(), String> {
        let lab = |why: LabError| why.to_string();
        let worker = usize::try_from(random.below(self.workers.len() as u64)).unwrap_or(0);
        match fault {
            Common::KillWorker => {
                self.kill_worker(worker).map_err(lab)?;
                self.start_workers().map_err(lab)?;
                hold();
                Ok(())
            }
            Common::FreezeWorker => {
                if let Some(worker) = &mut self.workers[worker] {
                    worker.process().freeze().map_err(lab)?;
                    hold();
                    worker.process().thaw().map_err(lab)?;
                }
                Ok(())
            }
            Common::ClockJumps(secs) => {
                self.tell(worker, &Request::Clock(secs))?;
                hold();
                self.tell(worker, &Request::Clock(0))
            }
            Common::EditByHand(master) => self.edit_by_hand(master, hold),
            Common::SurvivorGoes(first) => self.survivor_goes(first, hold).map_err(lab),
            Common::OneByOne(first) => self.one_by_one(worker, first, hold),
            Common::FullDisk => {
                let Some([disk, _]) = &self.disks else { return Ok(()) };
                disk.fill().map_err(lab)?;
                self.write_much(worker);
                hold();
                let Some([disk, _]) = &self.disks else { return Ok(()) };
                disk.free().map_err(lab)?;
                self.masters.revive().map_err(lab)
            }
            Common::WitnessDiskFull(master) => {
                let Some([_, disk]) = &self.disks else { return Ok(()) };
                disk.fill().map_err(lab)?;
                self.masters.cut_off(master).map_err(lab)?;
                hold();
                self.masters.reconnect(master).map_err(lab)?;
                disk.free().map_err(lab)
            }
            Common::FreezeLong => {
                if let Some(worker) = &mut self.workers[worker] {
                    worker.process().freeze().map_err(lab)?;
                    std::thread::sleep(TAKEN_FOR_DEAD);
                    hold();
                    worker.process().thaw().map_err(lab)?;
                }
                Ok(())
            }
            Common::WitnessGone(master) => {
                let Some(witness) = &self.witness else { return Ok(()) };
                witness.network.refuse().map_err(lab)?;
                std::thread::sleep(WITHOUT_WITNESS);
                self.masters.cut_off(master).map_err(lab)?;
                hold();
                self.masters.reconnect(master).map_err(lab)?;
                let Some(witness) = &self.witness else { return Ok(()) };
                witness.network.pass().map_err(lab)
            }
            Common::Point(point, act) => self.come_to(worker, point, act, random, hold),
        }
    }

    /// Writes until more space is needed than a server has in its files. What is
    /// refused is what this is for.
    fn write_much(&mut self, worker: usize) {
        let until = Instant::now() + MUCH_WITHIN;
        for id in KEPT_ROWS..KEPT_ROWS + MUCH_ROWS {
            let text = char::from(b'a' + self.edits.to_le_bytes()[0] % 26).to_string();
            drop(self.tell(worker, &Request::Keep { id, text: text.repeat(MUCH_CHARS) }));
            if Instant::now() > until {
                return;
            }
        }
        self.edits += 1;
    }

    /// Changes a row on one master, and has it found and repaired: the row that
    /// is what its digest says wins, and the other is kept.
    fn edit_by_hand(&mut self, master: usize, hold: Hold<'_>) -> Result<(), String> {
        self.edits += 1;
        let (id, text) = (self.edits % KEPT_ROWS, format!("text {}", self.edits));
        let until = Instant::now() + KEPT_WITHIN;
        while let Err(why) = self.tell(0, &Request::Keep { id, text: text.clone() }) {
            if Instant::now() > until {
                return Err(format!("a row can't be written: {why}"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let lab = |why: LabError| why.to_string();
        let before = self.conflicts().map_err(lab)?;
        self.masters.by_hand(master, &store::edited_by_hand(id)).map_err(lab)?;
        hold();
        let until = Instant::now() + KEPT_WITHIN;
        loop {
            let found = self.call(0)?.ask(&Request::Repair);
            let is = [0, 1].map(|at| self.masters.by_hand(at, &store::kept(id)));
            match (&found, is) {
                (Ok(Reply::Findings(found)), [Ok(one), Ok(other)])
                    if found.is_well() && [one.trim(), other.trim()] == [text.as_str(); 2] =>
                {
                    break;
                }
                // A master is brought back just now: what a fault before this one left;
                // or the answer to a repair did not come.
                _ if Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
                (_, is) => {
                    return Err(format!(
                        "a row changed by hand was not repaired: {found:?}, it was `{text}` and \
                         is {is:?}"
                    ));
                }
            }
        }
        let after = self.conflicts().map_err(lab)?;
        if after <= before {
            return Err("what was written by hand is not kept in mm_conflicts".to_owned());
        }
        // A repair is no transaction that could be had from the other master again.
        let until = Instant::now() + KEPT_WITHIN;
        for at in 0..2 {
            while let Some(sql) = M::INTO_THE_FILE
                && !self.masters.by_hand(at, sql).map_err(lab)?.starts_with('0')
            {
                if Instant::now() > until {
                    return Err("what was repaired does not get into the file".to_owned());
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        Ok(())
    }

    fn conflicts(&self) -> Result<u64, LabError> {
        let mut all = 0;
        for master in 0..2 {
            let told = self.masters.by_hand(master, store::CONFLICTS)?;
            all += told.trim().parse::<u64>().unwrap_or(0);
        }
        Ok(all)
    }

    /// Who comes back alone misses what the survivor took, and must not serve.
    fn survivor_goes(&mut self, first: usize, hold: Hold<'_>) -> Result<(), LabError> {
        let survivor = 1 - first;
        self.masters.leave(first)?;
        hold();
        self.kill_workers()?;
        self.masters.leave(survivor)?;
        self.masters.come_back(first)?;
        if self.start_within(TRIED).is_ok() {
            hold();
        }
        self.masters.come_back(survivor)?;
        self.start_workers()
    }

    /// The worker dies between two commits; one master comes back and is written
    /// to, where the policy lets it, and the other one later.
    fn one_by_one(&mut self, worker: usize, first: usize, hold: Hold<'_>) -> Result<(), String> {
        let lab = |why: LabError| why.to_string();
        self.arm(worker, Point::BetweenCommits, Act::Kill)?;
        self.wait_until_come_to(&[worker], Point::BetweenCommits)?;
        self.kill_workers().map_err(lab)?;
        let other = 1 - first;
        self.masters.leave(other).map_err(lab)?;
        // Where that one was just out, nobody serves yet.
        if self.start_within(ALONE_WITHIN).is_ok() {
            hold();
        }
        self.masters.come_back(other).map_err(lab)?;
        self.start_workers().map_err(lab)
    }
}
