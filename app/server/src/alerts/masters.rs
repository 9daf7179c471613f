//! Which states of the masters are alerts: a state machine without I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use monitor::{Alert, AlertKey, Severity};
use multi_master::{MasterStatus, Policy};
use stdx::UnixMicros;

/// What to tell the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Raise(Alert),
    Resolve(AlertKey),
}

/// The masters as they were when they were looked at last.
#[derive(Debug)]
pub(super) struct Masters {
    policy: Policy,
    /// How long a master is away until that is an alert.
    away: Duration,
    /// Those that do not serve, by name.
    absent: BTreeMap<String, Absent>,
    refuses_writes: bool,
    in_doubt: u64,
    /// When a write was last in doubt, where that was told and is not over.
    doubted_at: Option<UnixMicros>,
}

#[derive(Debug)]
struct Absent {
    since: UnixMicros,
    told: bool,
}

/// So long no write is in doubt until that is over.
const DOUBT_LASTS: Duration = Duration::from_mins(5);

impl Masters {
    /// Every master serves, as far as is known.
    pub(super) fn new(policy: Policy, away: Duration) -> Self {
        Self {
            policy,
            away,
            absent: BTreeMap::new(),
            refuses_writes: false,
            in_doubt: 0,
            doubted_at: None,
        }
    }

    /// What there is to tell of the masters as they are now. `in_doubt` counts
    /// the writes whose outcome could not be told since the store was opened.
    pub(super) fn look(
        &mut self,
        now: UnixMicros,
        masters: &[MasterStatus],
        in_doubt: u64,
    ) -> Vec<Order> {
        let mut orders = Vec::new();
        // What is worst is told first.
        self.look_at_writes(masters, &mut orders);
        for master in masters {
            self.look_at_one(now, master, &mut orders);
        }
        self.look_at_doubts(now, in_doubt, &mut orders);
        orders
    }

    fn look_at_writes(&mut self, masters: &[MasterStatus], orders: &mut Vec<Order>) {
        let mut serve = masters.iter().map(|master| master.state.serves());
        let refuses = match self.policy {
            Policy::Available => !serve.any(|serves| serves),
            Policy::All => !serve.all(|serves| serves),
        };
        if refuses == self.refuses_writes {
            return;
        }
        self.refuses_writes = refuses;
        let key = AlertKey::new("store/writes");
        if !refuses {
            orders.push(Order::Resolve(key));
            return;
        }
        let summary = match self.policy {
            Policy::Available => "no master can be written: every write is refused",
            Policy::All => "a master is away, and the policy is all: every write is refused",
        };
        let alert = Alert::new(Severity::Critical, key, summary);
        let alert = masters.iter().fold(alert, |alert, master| {
            let reason = master.reason.as_deref().map(|reason| format!(": {reason}"));
            let how = format!("{}{}", state(master), reason.unwrap_or_default());
            alert.detail(&master.name.0, &how)
        });
        orders.push(Order::Raise(alert));
    }

    fn look_at_one(&mut self, now: UnixMicros, master: &MasterStatus, orders: &mut Vec<Order>) {
        let name = &master.name.0;
        let key = || AlertKey::new(&format!("master/{name}"));
        if master.state.serves() {
            if self.absent.remove(name).is_some_and(|absent| absent.told) {
                orders.push(Order::Resolve(key()));
            }
            return;
        }
        let absent = self.absent.entry(name.clone()).or_insert(Absent { since: now, told: false });
        // A clock that went back must not put the alert off.
        absent.since = absent.since.min(now);
        if !absent.told && now.since(absent.since) >= self.away {
            absent.told = true;
            let summary = format!("master {name} is {}", state(master));
            let alert = Alert::new(Severity::Warning, key(), &summary);
            let alert = alert.detail("state", &state(master));
            let reason = master.reason.as_deref();
            let alert = reason.into_iter().fold(alert, |alert, why| alert.detail("reason", why));
            orders.push(Order::Raise(alert));
        }
    }

    fn look_at_doubts(&mut self, now: UnixMicros, in_doubt: u64, orders: &mut Vec<Order>) {
        let key = AlertKey::new("store/in-doubt");
        let new = in_doubt.saturating_sub(self.in_doubt);
        self.in_doubt = in_doubt;
        if new > 0 {
            self.doubted_at = Some(now);
            let summary = "what became of a write could not be told";
            let alert = Alert::new(Severity::Warning, key, summary);
            orders.push(Order::Raise(alert.detail("writes", &new.to_string())));
        } else if let Some(at) = &mut self.doubted_at {
            *at = (*at).min(now);
            if now.since(*at) >= DOUBT_LASTS {
                self.doubted_at = None;
                orders.push(Order::Resolve(key));
            }
        }
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
    use multi_master::{MasterName, MasterState};

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
            for order in masters.look(now, &status, 0) {
                writeln!(told, "{second} {}", shown(&order)).expect("a string takes all");
            }
        }
        expected.assert_eq(&told);
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
    fn writes_in_doubt_are_a_warning_until_there_are_none_for_a_while() {
        let mut masters = Masters::new(Policy::Available, Duration::ZERO);
        let mut look = |minute, in_doubt| {
            let orders = masters.look(
                START.after(Duration::from_mins(minute)),
                &[status("a", 'L')],
                in_doubt,
            );
            orders.iter().map(shown).collect::<Vec<_>>().join("\n")
        };
        let raised = "WARNING store/in-doubt: what became of a write could not be told";
        assert_eq!(look(0, 0), "");
        assert_eq!(look(1, 2), format!("{raised} (writes=2)"));
        assert_eq!(look(2, 2), "");
        assert_eq!(look(5, 3), format!("{raised} (writes=1)"));
        assert_eq!(look(9, 3), "");
        assert_eq!(look(10, 3), "resolved store/in-doubt");
        assert_eq!(look(30, 3), "");
    }
}
