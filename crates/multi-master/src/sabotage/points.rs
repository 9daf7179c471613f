//! Crash points: moments between two steps, each with a name.

/// Makes the enum, its list and its names of one table.
macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal,)+) => {
        /// A moment at which a process may end, be stopped or hang.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[doc = $doc])+ $point,)+
        }

        impl Point {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$point,)+];

            /// What it is called.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// A write has its connection to the primary, and nothing has run there.
    BeforeStatements = "before the statements",
    /// The closure has run on the primary; its marker is not written.
    AfterStatements = "after the statements",
    /// The marker is written on the primary; the others have nothing, or are
    /// getting it.
    MarkerSent = "the marker is sent",
    /// Every master has run everything, and none commits yet.
    BeforeCommits = "before any commit",
    /// One master was told to commit, and another one was not.
    BetweenCommits = "between the commits",
    /// A master has committed; others may have.
    AfterOneCommit = "after a commit",
    /// All have committed, and the caller was not told.
    BeforeAnswer = "before the answer",
    /// A master that comes back has nearly everything.
    Settled = "settled",
    /// Writers are held back for a master that comes back.
    HoldingWriters = "holding writers back",
    /// What a master has, and what lost its place on the one that serves, is taken
    /// away, and what was there before is not put back.
    Undoing = "undoing",
    /// The witness was told, and the masters were not.
    WitnessTold = "the witness is told",
    /// The new testimony is beside the old one, and has not replaced it.
    WitnessWritten = "the witness is written",
    /// A master that serves is at the new epoch; others may not be.
    OneFenced = "one master is fenced",
    /// The base of a master that comes back is at the epoch of which the witness
    /// knows, and writers go on.
    BaseFenced = "the base is at the next epoch",
    /// A master that was brought up is about to serve.
    BeforeJoin = "before the join",
    /// A page of a copy is sent, and not committed.
    CopyingPage = "in a page of a copy",
    /// All rows are copied, and the master does not know it.
    BeforeCopied = "before a copy is noted",
    /// A step of a migration is done, and not noted.
    Migrating = "in a migration",
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Point {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|point| point.name() == name);
        found.copied().ok_or_else(|| format!("there is no crash point `{name}`"))
    }
}

#[cfg(not(feature = "faults"))]
pub(crate) const fn reached(_: Point) {}

#[cfg(feature = "faults")]
pub use armed::{Action, arm, disarm, passes};

#[cfg(feature = "faults")]
pub(crate) use armed::reached;

#[cfg(feature = "faults")]
mod armed {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::Point;

    /// What happens at a point that was armed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Action {
        /// The process ends there and then, as by `kill -9`.
        Kill,
        /// The process stops (SIGSTOP) until somebody lets it go on.
        Stop,
        /// The thread that came there stands for this long.
        Hang(Duration),
    }

    #[derive(Debug)]
    struct State {
        armed: Option<(Point, Action, u64)>,
        passes: BTreeMap<Point, u64>,
    }

    static STATE: Mutex<State> = Mutex::new(State { armed: None, passes: BTreeMap::new() });

    fn state() -> MutexGuard<'static, State> {
        STATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Arms a point of this process, once: it may be passed `passes` times, and
    /// then `action` is taken there. What was armed before no longer is.
    pub fn arm(point: Point, action: Action, passes: u64) {
        state().armed = Some((point, action, passes));
    }

    /// Takes back what was armed and did not happen.
    pub fn disarm() {
        state().armed = None;
    }

    /// How often each point was passed in this process.
    #[must_use]
    pub fn passes() -> BTreeMap<Point, u64> {
        state().passes.clone()
    }

    /// Passes a point, or does not.
    ///
    /// That it happens is told on standard error, in one line that begins with
    /// `crash point`: a process that ends can tell it in no other way.
    pub(crate) fn reached(point: Point) {
        let action = {
            let mut state = state();
            *state.passes.entry(point).or_default() += 1;
            match &mut state.armed {
                Some((armed, _, passes)) if *armed == point && *passes > 0 => {
                    *passes -= 1;
                    None
                }
                Some((armed, action, _)) if *armed == point => {
                    let action = *action;
                    state.armed = None;
                    Some(action)
                }
                _ => None,
            }
        };
        let Some(action) = action else { return };
        eprintln!("crash point {point}: {action:?}");
        let signal = match action {
            Action::Hang(time) => return std::thread::sleep(time),
            Action::Kill => Signal::KILL,
            Action::Stop => Signal::STOP,
        };
        kill_process(getpid(), signal).expect("a process may signal itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_found_by_its_name() {
        for point in Point::ALL {
            assert_eq!(point.name().parse(), Ok(*point));
        }
        assert!("nowhere".parse::<Point>().is_err());
    }

    /// The process of the tests has no point armed but this one, which no code
    /// of the store passes under this name.
    #[cfg(feature = "faults")]
    #[test]
    fn an_armed_point_is_passed_as_often_as_it_was_told() {
        use std::time::{Duration, Instant};

        arm(Point::Undoing, Action::Hang(Duration::from_millis(30)), 1);
        let start = Instant::now();
        reached(Point::Undoing);
        assert!(start.elapsed() < Duration::from_millis(30), "passed");
        reached(Point::Undoing);
        assert!(start.elapsed() >= Duration::from_millis(30), "it stood there");
        let start = Instant::now();
        reached(Point::Undoing);
        assert!(start.elapsed() < Duration::from_millis(30), "once");
        assert!(passes()[&Point::Undoing] >= 3);
    }
}
