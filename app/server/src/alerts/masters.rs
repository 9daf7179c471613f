//! Which states of the masters are alerts: a state machine without I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use monitor::{Alert, AlertKey, Severity};
use multi_master::{MasterState, MasterStatus, Owed, Policy, Queue};
use stdx::UnixMicros;

use crate::verification::DIVERGED;

/// What to tell the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Raise(Alert),
    Resolve(AlertKey),
}

/// The store at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    pub(super) masters: &'a [MasterStatus],
    /// Why every write is refused although masters serve.
    pub(super) refuses: Option<&'a str>,
    /// Writes whose outcome could not be told, since the store was opened.
    pub(super) in_doubt: u64,
    /// Writes that were refused because the masters hold different rows, since the
    /// store was opened.
    pub(super) diverged: u64,
    /// What lost against something else and is kept.
    pub(super) conflicts_kept: u64,
    pub(super) queue: &'a Queue,
}

/// The masters as they were when they were looked at last.
#[derive(Debug)]
pub(super) struct Masters {
    policy: Policy,
    /// How long a master is away until that is an alert.
    away: Duration,
    /// Those that do not serve, by name.
    absent: BTreeMap<String, Absent>,
    /// Why writes are refused, where that was told.
    refused: Option<&'static str>,
    in_doubt: u64,
    diverged: u64,
    conflicts_kept: u64,
    fell_out: u64,
    /// What was told of transactions in doubt.
    doubted: Option<Severity>,
}

#[derive(Debug)]
struct Absent {
    since: UnixMicros,
    told: Option<Severity>,
}

impl Masters {
    /// Every master serves, as far as is known.
    pub(super) fn new(policy: Policy, away: Duration) -> Self {
        Self {
            policy,
            away,
            absent: BTreeMap::new(),
            refused: None,
            in_doubt: 0,
            diverged: 0,
            conflicts_kept: 0,
            fell_out: 0,
            doubted: None,
        }
    }

    /// What there is to tell of the store as it is now.
    pub(super) fn look(&mut self, now: UnixMicros, look: &Look<'_>) -> Vec<Order> {
        let mut orders = Vec::new();
        // What is worst is told first.
        self.look_at_writes(look, &mut orders);
        for master in look.masters {
            let owed = look.queue.masters.iter().find(|owed| owed.master == master.name);
            self.look_at_one(now, master, owed, &mut orders);
        }
        self.look_at_doubts(look, &mut orders);
        self.look_at_conflicts(look, &mut orders);
        orders
    }

    /// That the masters differ is over when a comparison says so.
    fn look_at_conflicts(&mut self, look: &Look<'_>, orders: &mut Vec<Order>) {
        if look.diverged > self.diverged {
            let summary = "a write was refused: the masters hold different rows";
            let alert = Alert::new(Severity::Critical, AlertKey::new(DIVERGED), summary)
                .detail("writes", &look.diverged.to_string())
                .detail("command", "endpaper masters verify --repair");
            orders.push(Order::Raise(alert));
        }
        self.diverged = look.diverged;
        let key = AlertKey::new("store/conflicts");
        if look.conflicts_kept > self.conflicts_kept {
            let summary = "something lost against something newer, and is kept";
            let alert = Alert::new(Severity::Warning, key, summary)
                .detail("kept", &look.conflicts_kept.to_string())
                .detail("command", "endpaper masters conflicts ls");
            orders.push(Order::Raise(alert));
        } else if look.conflicts_kept == 0 && self.conflicts_kept > 0 {
            orders.push(Order::Resolve(key));
        }
        self.conflicts_kept = look.conflicts_kept;
    }

    fn look_at_writes(&mut self, look: &Look<'_>, orders: &mut Vec<Order>) {
        let mut serve = look.masters.iter().map(|master| master.state.serves());
        let refused = match self.policy {
            Policy::Available if !serve.any(|serves| serves) => {
                Some("no master can be written: every write is refused")
            }
            Policy::All if !serve.all(|serves| serves) => {
                Some("a master is away, and the policy is all: every write is refused")
            }
            _ => look.refuses.map(|_| "every write is refused although masters serve"),
        };
        if refused == self.refused {
            return;
        }
        self.refused = refused;
        let key = AlertKey::new("store/writes");
        let Some(summary) = refused else {
            orders.push(Order::Resolve(key));
            return;
        };
        let alert = Alert::new(Severity::Critical, key, summary);
        let alert = look.refuses.iter().fold(alert, |alert, why| alert.detail("reason", why));
        // One that misses writes answers, and nobody serves who has them.
        let stays = look.masters.iter().find(|master| master.state == MasterState::Behind);
        let stays = stays.filter(|_| !look.masters.iter().any(|master| master.state.serves()));
        let alert = stays.into_iter().fold(alert, |alert, master| {
            let command = format!("endpaper masters lead {} --accept-loss", master.name);
            alert.detail("if_the_others_are_lost_for_good", &command)
        });
        let alert = look.masters.iter().fold(alert, |alert, master| {
            let reason = master.reason.as_deref().map(|reason| format!(": {reason}"));
            let how = format!("{}{}", state(master), reason.unwrap_or_default());
            alert.detail(&master.name.0, &how)
        });
        orders.push(Order::Raise(alert));
    }

    fn look_at_one(
        &mut self,
        now: UnixMicros,
        master: &MasterStatus,
        owed: Option<&Owed>,
        orders: &mut Vec<Order>,
    ) {
        let name = &master.name.0;
        let key = || AlertKey::new(&format!("master/{name}"));
        if master.state.serves() {
            if self.absent.remove(name).is_some_and(|absent| absent.told.is_some()) {
                orders.push(Order::Resolve(key()));
            }
            return;
        }
        let absent = self.absent.entry(name.clone()).or_insert(Absent { since: now, told: None });
        // A clock that went back must not put the alert off.
        absent.since = absent.since.min(now);
        let attempts = owed.map_or(0, |owed| owed.attempts);
        let severity = if attempts >= Queue::FAILURES_MAX {
            Some(Severity::Critical)
        } else {
            (now.since(absent.since) >= self.away).then_some(Severity::Warning)
        };
        if severity <= absent.told {
            return;
        }
        let Some(severity) = severity else { return };
        absent.told = Some(severity);
        let summary = match severity {
            Severity::Critical => {
                format!("master {name} could not be brought back {attempts} times")
            }
            _ => format!("master {name} is {}", state(master)),
        };
        let alert = Alert::new(severity, key(), &summary).detail("state", &state(master));
        let reason = owed.and_then(|owed| owed.last_error.as_deref()).or(master.reason.as_deref());
        let alert = reason.into_iter().fold(alert, |alert, why| alert.detail("reason", why));
        let owed = owed.and_then(|owed| owed.write_sets).map(|count| count.to_string());
        orders.push(Order::Raise(owed.iter().fold(alert, |alert, n| alert.detail("owed", n))));
    }

    fn look_at_doubts(&mut self, look: &Look<'_>, orders: &mut Vec<Order>) {
        let key = AlertKey::new("store/in-doubt");
        let new = look.in_doubt.saturating_sub(self.in_doubt);
        self.in_doubt = look.in_doubt;
        let queue = look.queue;
        let worst = queue.in_doubt.iter().max_by_key(|one| one.attempts);
        let fell_out = queue.fell_out > self.fell_out;
        self.fell_out = queue.fell_out;
        let patience = worst.is_none_or(|one| one.attempts < Queue::FAILURES_MAX);
        let severity = if fell_out || !patience {
            Some(Severity::Critical)
        } else {
            (new > 0 || worst.is_some()).then_some(Severity::Warning)
        };
        let Some(severity) = severity else {
            if self.doubted.take().is_some() {
                orders.push(Order::Resolve(key));
            }
            return;
        };
        if new == 0 && !fell_out && Some(severity) <= self.doubted {
            return;
        }
        self.doubted = self.doubted.max(Some(severity));
        let summary = match severity {
            Severity::Critical => "what became of a write can still not be told",
            _ => "what became of a write could not be told",
        };
        let alert = Alert::new(severity, key, summary)
            .detail("in_queue", &queue.in_doubt.len().to_string());
        let alert = worst.into_iter().fold(alert, |alert, one| {
            let alert = alert.detail("transaction", &one.txid.to_string());
            one.last_error.iter().fold(alert, |alert, why| alert.detail("reason", why))
        });
        let alert = if queue.fell_out > 0 {
            alert.detail("fell_out", &queue.fell_out.to_string())
        } else {
            alert
        };
        orders.push(Order::Raise(alert));
    }
}

/// As `endpaper masters status` writes it.
fn state(master: &MasterStatus) -> String {
    format!("{:?}", master.state).to_uppercase()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};
    use multi_master::{InDoubt, MasterName};

    use super::*;

    const START: UnixMicros = UnixMicros::from_secs(1_700_000_000);

    /// One look each second; a letter for the state of each master.
    fn check(policy: Policy, looks: &[&str], expected: &Expect) {
        let mut masters = Masters::new(policy, Duration::from_secs(5));
        let mut told = String::new();
        for (second, look) in looks.iter().enumerate() {
            let status: Vec<MasterStatus> = ["a", "b"]
                .into_iter()
                .zip(look.chars())
                .map(|(name, letter)| status(name, letter))
                .collect();
            let now = START.after(Duration::from_secs(second as u64));
            for order in masters.look(now, &look_at(&status, &Queue::default())) {
                writeln!(told, "{second} {}", shown(&order)).expect("a string takes all");
            }
        }
        expected.assert_eq(&told);
    }

    fn look_at<'a>(masters: &'a [MasterStatus], queue: &'a Queue) -> Look<'a> {
        Look { masters, refuses: None, in_doubt: 0, diverged: 0, conflicts_kept: 0, queue }
    }

    fn status(name: &str, letter: char) -> MasterStatus {
        let state = match letter {
            'L' => MasterState::Live,
            'S' => MasterState::Suspect,
            'D' => MasterState::Down,
            'B' => MasterState::Behind,
            'J' => MasterState::Joining,
            _ => panic!("no state has the letter {letter}"),
        };
        let reason = (!state.serves()).then(|| "test".to_owned());
        MasterStatus { name: MasterName(name.to_owned()), state, reason }
    }

    fn shown(order: &Order) -> String {
        match order {
            Order::Raise(alert) => {
                let details = alert.details().iter().map(|(name, value)| format!("{name}={value}"));
                let details = details.collect::<Vec<_>>().join(" ");
                let (severity, key) = (alert.severity(), alert.key());
                format!("{severity} {key}: {} ({details})", alert.summary())
            }
            Order::Resolve(key) => format!("resolved {key}"),
        }
    }

    #[test]
    fn a_master_that_is_away_for_long_is_a_warning() {
        check(
            Policy::Available,
            &["LL", "LS", "LD", "LD", "LD", "LB", "LD", "LD", "LD", "LB", "LJ", "LL", "LL"],
            &expect![[r"
                7 WARNING master/b: master b is DOWN (state=DOWN reason=test)
                11 resolved master/b
            "]],
        );
    }

    #[test]
    fn one_that_is_back_in_time_is_none() {
        check(Policy::Available, &["LL", "DL", "DL", "BL", "JL", "BL", "LL"], &expect![""]);
    }

    #[test]
    fn with_nobody_to_write_to_it_is_critical_at_once() {
        check(
            Policy::Available,
            &["LL", "LD", "DD", "SD", "LL"],
            &expect![[r"
            2 CRITICAL store/writes: no master can be written: every write is refused (a=DOWN: test b=DOWN: test)
            3 resolved store/writes
        "]],
        );
    }

    #[test]
    fn where_only_one_that_misses_writes_is_there_the_decision_is_named() {
        check(
            Policy::Available,
            &["DB"],
            &expect![[r"
                0 CRITICAL store/writes: no master can be written: every write is refused (if_the_others_are_lost_for_good=endpaper masters lead b --accept-loss a=DOWN: test b=BEHIND: test)
            "]],
        );
    }

    #[test]
    fn under_the_policy_all_one_is_enough() {
        check(
            Policy::All,
            &["LS", "LD", "DD", "DL", "LL"],
            &expect![[r"
            1 CRITICAL store/writes: a master is away, and the policy is all: every write is refused (a=LIVE b=DOWN: test)
            4 resolved store/writes
        "]],
        );
    }

    #[test]
    fn writes_that_are_refused_though_masters_serve_are_critical() {
        let mut masters = Masters::new(Policy::Available, Duration::ZERO);
        let status = [status("a", 'L')];
        let mut look = |refuses| {
            let queue = Queue::default();
            let look = Look { refuses, ..look_at(&status, &queue) };
            masters.look(START, &look).iter().map(shown).collect::<Vec<_>>().join("\n")
        };
        let why = Some("the disk is full");
        assert_eq!(
            look(why),
            "CRITICAL store/writes: every write is refused although masters serve \
             (reason=the disk is full a=LIVE)"
        );
        assert_eq!(look(why), "");
        assert_eq!(look(None), "resolved store/writes");
    }

    #[test]
    fn what_differs_and_what_is_kept_is_told() {
        let mut masters = Masters::new(Policy::Available, Duration::ZERO);
        let status = [status("a", 'L')];
        let mut look = |diverged, conflicts_kept| {
            let queue = Queue::default();
            let look = Look { diverged, conflicts_kept, ..look_at(&status, &queue) };
            masters.look(START, &look).iter().map(shown).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(look(0, 0), "");
        let refused = "CRITICAL store/diverged: a write was refused: the masters hold different \
                       rows (writes=1 command=endpaper masters verify --repair)";
        assert_eq!(look(1, 0), refused);
        assert_eq!(look(1, 0), "", "a comparison ends it");
        let kept = "WARNING store/conflicts: something lost against something newer, and is kept \
                    (kept=2 command=endpaper masters conflicts ls)";
        assert_eq!(look(1, 2), kept);
        assert_eq!(look(1, 2), "");
        assert_eq!(look(1, 1), "", "one was dropped");
        assert_eq!(look(1, 0), "resolved store/conflicts");
    }

    #[test]
    fn ten_failures_in_a_row_are_critical() {
        let mut masters = Masters::new(Policy::Available, Duration::from_hours(1));
        let mut look = |letter, attempts| {
            let status = [status("a", letter), status("b", 'L')];
            let owed = Owed {
                master: MasterName("a".to_owned()),
                state: status[0].state,
                since: START,
                write_sets: Some(7),
                or_more: false,
                oldest: None,
                attempts,
                last_error: Some("no route".to_owned()),
                next_try: None,
                to_be_filled: false,
            };
            let queue = Queue { masters: vec![owed], ..Queue::default() };
            let orders = masters.look(START, &look_at(&status, &queue));
            orders.iter().map(shown).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(look('D', 9), "");
        assert_eq!(
            look('D', 10),
            "CRITICAL master/a: master a could not be brought back 10 times \
             (state=DOWN reason=no route owed=7)"
        );
        assert_eq!(look('D', 11), "");
        assert_eq!(look('L', 0), "resolved master/a");
    }

    #[test]
    fn writes_in_doubt_are_told_until_every_outcome_is_known() {
        let mut masters = Masters::new(Policy::Available, Duration::ZERO);
        let status = [status("a", 'L')];
        let mut look = |in_doubt, attempts: &[u32], fell_out| {
            let doubt = |attempts: &u32| InDoubt {
                txid: "01a1fcee-9294-775e-bf13-e0cb65c6bd98".parse().unwrap(),
                since: START,
                attempts: *attempts,
                last_error: Some("b may have it".to_owned()),
                next_try: START,
            };
            let waiting = attempts.iter().map(doubt).collect();
            let queue = Queue { in_doubt: waiting, fell_out, ..Queue::default() };
            let look = Look { in_doubt, ..look_at(&status, &queue) };
            let told = masters.look(START, &look);
            told.iter()
                .map(|order| shown(order).split(" (").next().unwrap().to_owned())
                .collect::<Vec<String>>()
        };
        let (raised, still) = (
            vec!["WARNING store/in-doubt: what became of a write could not be told".to_owned()],
            vec![
                "CRITICAL store/in-doubt: what became of a write can still not be told".to_owned(),
            ],
        );
        let nothing: Vec<String> = Vec::new();
        let resolved = vec!["resolved store/in-doubt".to_owned()];
        assert_eq!(look(0, &[], 0), nothing);
        // It was settled before anybody looked.
        assert_eq!(look(1, &[], 0), raised);
        assert_eq!(look(1, &[], 0), resolved);
        assert_eq!(look(2, &[0], 0), raised);
        assert_eq!(look(2, &[9], 0), nothing);
        assert_eq!(look(2, &[10], 0), still);
        assert_eq!(look(2, &[11], 0), nothing);
        assert_eq!(look(2, &[], 0), resolved);
        assert_eq!(look(3, &[1], 1), still, "one fell out");
        assert_eq!(look(3, &[1], 1), nothing);
        assert_eq!(look(3, &[], 1), resolved);
        assert_eq!(look(3, &[], 1), nothing);
    }
}
