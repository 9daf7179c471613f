//! What is told in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use multi_master::sabotage::Point;

use super::faults::{Conditions, is_met};

/// What is told of one kind of fault.
#[derive(Default)]
pub(super) struct Line {
    pub(super) rounds: u64,
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    pub(super) lost: u64,
    pub(super) different: u64,
    pub(super) reads_stood: Duration,
    pub(super) writes_stood: Duration,
    pub(super) caught_up: Duration,
}

/// What can't be.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Who says so.
    pub(super) judge: &'static str,
    /// Where.
    pub(super) place: String,
    pub(super) why: String,
}

#[derive(Default)]
pub(super) struct Report {
    /// By masters and kind of fault.
    pub(super) lines: BTreeMap<(String, &'static str), Line>,
    pub(super) refusals: Vec<Refusal>,
    /// By crash point and masters: how often it was come to, armed.
    pub(super) fired: BTreeMap<(Point, String), u64>,
    /// How often each set of masters had every fault.
    pub(super) full: BTreeMap<String, u64>,
    /// Says nothing while it is made.
    pub(super) quiet: bool,
}

impl Report {
    pub(super) fn add(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.refusals.extend(other.refusals);
        self.fired.extend(other.fired);
        self.full.extend(other.full);
    }

    /// Notes the crash points of one set, and refuses those that were never come
    /// to although everything had its turn.
    pub(super) fn points(
        &mut self,
        masters: &str,
        fired: &BTreeMap<Point, u64>,
        conditions: Conditions,
        full: u64,
    ) {
        self.full.insert(masters.to_owned(), full);
        if !cfg!(feature = "faults") {
            return;
        }
        for point in Point::ALL.iter().copied().filter(|point| is_met(*point, conditions)) {
            let times = fired.get(&point).copied().unwrap_or(0);
            self.fired.insert((point, masters.to_owned()), times);
            if times == 0 && full > 0 {
                self.refusals.push(Refusal {
                    judge: "crash points",
                    place: masters.to_owned(),
                    why: format!("`{point}` was never come to"),
                });
            }
        }
    }

    /// Prints everything; `true` where nothing was lost, doubled or different.
    pub(super) fn told(&self, seed: u64) -> bool {
        println!(
            "{:18}  {:38}  {:>6}  {:>6}  {:>7}  {:>7}  {:>4}  {:>9}  {:>9}  {:>9}  {:>9}",
            "masters",
            "fault",
            "rounds",
            "acked",
            "refused",
            "unknown",
            "lost",
            "different",
            "no reads",
            "no writes",
            "caught up"
        );
        let mut sums = [0; 6];
        let mut kinds = BTreeSet::new();
        for ((masters, fault), line) in &self.lines {
            kinds.insert(*fault);
            let counts = [
                line.rounds,
                line.acknowledged,
                line.refused,
                line.unknown,
                line.lost,
                line.different,
            ];
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            let ms = |duration: Duration| format!("{} ms", duration.as_millis());
            println!(
                "{masters:18}  {fault:38}  {:>6}  {:>6}  {:>7}  {:>7}  {:>4}  {:>9}  {:>9}  {:>9}  {:>9}",
                line.rounds,
                line.acknowledged,
                line.refused,
                line.unknown,
                line.lost,
                line.different,
                ms(line.reads_stood),
                ms(line.writes_stood),
                ms(line.caught_up)
            );
        }
        self.told_points();
        for Refusal { judge, place, why } in &self.refusals {
            println!("REFUSED  {place}: {judge}: {why}");
        }
        let [faults, acknowledged, refused, unknown, lost, diverged] = sums;
        let refusals = self.refusals.len();
        let points: BTreeSet<Point> = self.fired.keys().map(|(point, _)| *point).collect();
        let missed = self.fired.values().filter(|times| **times == 0).count();
        println!(
            "{}",
            serde_json::json!({
                "lab": "masters", "faults": faults, "kinds": kinds.len(),
                "acknowledged": acknowledged, "refused": refused, "unknown": unknown,
                "lost": lost, "diverged": diverged, "spoiled": refusals, "seed": seed,
                "points": points.len(), "points_missed": missed,
                "full": self.full.values().min().copied().unwrap_or(0),
            })
        );
        lost == 0 && diverged == 0 && refusals == 0
    }

    fn told_points(&self) {
        let sets: BTreeSet<&str> = self.fired.keys().map(|(_, masters)| masters.as_str()).collect();
        if sets.is_empty() {
            return;
        }
        let column = |text: &str| format!("  {text:>18}");
        let heads: Vec<String> = sets.iter().map(|set| column(set)).collect();
        println!("\n{:30}{}", "come to at the crash point", heads.concat());
        let points: BTreeSet<Point> = self.fired.keys().map(|(point, _)| *point).collect();
        for point in points {
            let times: Vec<String> = sets
                .iter()
                .map(|set| match self.fired.get(&(point, (*set).to_owned())) {
                    Some(times) => column(&times.to_string()),
                    None => column("-"),
                })
                .collect();
            println!("{point:30}{}", times.concat());
        }
        println!();
    }
}
