//! What goes wrong, and the order in which it does.

use std::fmt::Debug;

use multi_master::sabotage::Point;
use stdx::Random;

use super::wire::Act;

/// One thing that goes wrong: with either kind of masters, or with those of one
/// kind alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault<O> {
    Common(Common),
    Own(O),
}

/// What can be done to masters of one kind.
pub(crate) trait Own: Copy + Debug {
    /// Each of them once, with a master to which it is done.
    fn all(random: &Random) -> Vec<Self>;
    /// What it is called, whichever master it hits.
    fn kind(self) -> &'static str;
    /// Whether the master loses what it has, so that another one must have it.
    fn takes_data(self) -> bool {
        false
    }
    /// Whether one master goes and the other does not: where one worker has the set,
    /// no reader notices.
    fn spares_reads(self) -> bool {
        false
    }
}

impl<O: Own> Fault<O> {
    pub(crate) fn spares_reads(self) -> bool {
        match self {
            Self::Common(_) => false,
            Self::Own(own) => own.spares_reads(),
        }
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Common(common) => common.kind(),
            Self::Own(own) => own.kind(),
        }
    }
}

/// With the master to which it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Common {
    KillWorker,
    FreezeWorker,
    /// The clock of the worker is another by so many seconds, and right again.
    ClockJumps(i64),
    /// A row is changed on a master by hand, and repaired.
    EditByHand(usize),
    /// A master goes, the other goes on; then that one goes with the worker, and
    /// the first comes back alone.
    SurvivorGoes(usize),
    /// The worker dies between two commits; this master comes back, and the
    /// other one later.
    OneByOne(usize),
    /// Nothing more fits on the disk of the master that has a small one.
    FullDisk,
    /// Nothing more fits on the disk of the witness, and a master goes.
    WitnessDiskFull(usize),
    /// The worker ends, stops or hangs at a crash point.
    Point(Point, Act),
    /// One of several workers is frozen until the others go on without it.
    FreezeLong,
    /// The witness that several workers share can't be reached, and a master
    /// goes.
    WitnessGone(usize),
}

/// What decides which faults there can be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions {
    /// The policy.
    pub(crate) all: bool,
    /// The disks of a master and of the witness can be filled.
    pub(crate) small_disks: bool,
    /// Several workers share the witness.
    pub(crate) shared: bool,
}

/// A year.
const YEAR_SECS: i64 = 365 * 24 * 60 * 60;

impl Common {
    fn all(random: &Random, conditions: Conditions) -> Vec<Self> {
        let master = || usize::from(random.one_in(2));
        let mut all = vec![
            Self::KillWorker,
            Self::FreezeWorker,
            Self::ClockJumps(if random.one_in(2) { YEAR_SECS } else { -YEAR_SECS }),
            Self::EditByHand(master()),
            Self::SurvivorGoes(master()),
        ];
        if conditions.small_disks {
            all.extend([Self::FullDisk, Self::WitnessDiskFull(master())]);
        }
        if conditions.shared {
            all.extend([Self::FreezeLong, Self::WitnessGone(master())]);
        }
        if cfg!(feature = "faults") {
            all.push(Self::OneByOne(master()));
        }
        all
    }

    /// Crash points, each once.
    fn points(random: &Random, conditions: Conditions) -> Vec<Self> {
        if !cfg!(feature = "faults") {
            return Vec::new();
        }
        let points = Point::ALL.iter().copied().filter(|point| is_met(*point, conditions));
        points
            .map(|point| {
                let act = match random.below(4) {
                    0 => Act::Hang(200 + random.below(1_500)),
                    1 => Act::Stop,
                    _ => Act::Kill,
                };
                Self::Point(point, act)
            })
            .collect()
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::KillWorker => "the worker is killed",
            Self::FreezeWorker => "the worker is frozen",
            Self::ClockJumps(by) if by > 0 => "the clock jumps a year forward",
            Self::ClockJumps(_) => "the clock jumps a year back",
            Self::EditByHand(_) => "a row is changed by hand",
            Self::SurvivorGoes(_) => "the survivor goes, the first returns",
            Self::OneByOne(_) => "a crash, masters return one by one",
            Self::FullDisk => "a disk is full",
            Self::WitnessDiskFull(_) => "the witness's disk is full",
            Self::FreezeLong => "a worker is frozen, others go on",
            Self::WitnessGone(_) => "the witness is gone, and a master",
            Self::Point(_, Act::Kill) => "killed at a crash point",
            Self::Point(_, Act::Stop) => "stopped at a crash point",
            Self::Point(_, Act::Hang(_)) => "hung at a crash point",
        }
    }
}

/// Whether a point can be come to.
pub(crate) fn is_met(point: Point, conditions: Conditions) -> bool {
    match point {
        // With a master away nobody writes what another transaction could lose to.
        Point::Undoing => !conditions.all,
        // What is shared is no worker's file.
        Point::WitnessWritten => !conditions.shared,
        _ => true,
    }
}

/// With the server to which it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OfServers {
    /// `kill -9`.
    Kill(usize),
    KillBoth,
    /// SIGSTOP, and SIGCONT.
    Freeze(usize),
    FreezeBoth,
    /// SIGSTOP and SIGCONT again and again, as where the disk stalls.
    Stall(usize),
    /// Every connection is reset.
    Reset(usize),
    /// Connections are reset and new ones refused.
    Refuse(usize),
    /// Nothing passes either way, and arrives when it is over.
    Cut(usize),
    /// What is sent to the server is gone.
    LoseRequests(usize),
    /// What the server answers is gone.
    LoseAnswers(usize),
    Delay(usize),
    Drip(usize),
    /// The next commit is done, and its answer lost: with a reset, or silently.
    LoseCommit(usize, bool),
    LoseBothCommits,
    KillWithWorker(usize),
    /// Others have all the connections that the server takes.
    OutOfConnections(usize),
    /// Another client holds rows, and then the epoch row.
    HoldRows(usize),
    /// Another client takes rows in the other order.
    Deadlock(usize),
    /// The database is dropped.
    Empty(usize),
    /// The server comes back with an older copy of its data.
    OlderCopy(usize),
}

impl Own for OfServers {
    fn all(random: &Random) -> Vec<Self> {
        let master = || usize::from(random.one_in(2));
        vec![
            Self::Kill(master()),
            Self::KillBoth,
            Self::Freeze(master()),
            Self::FreezeBoth,
            Self::Stall(master()),
            Self::Reset(master()),
            Self::Refuse(master()),
            Self::Cut(master()),
            Self::LoseRequests(master()),
            Self::LoseAnswers(master()),
            Self::Delay(master()),
            Self::Drip(master()),
            Self::LoseCommit(master(), random.one_in(2)),
            Self::LoseBothCommits,
            Self::KillWithWorker(master()),
            Self::OutOfConnections(master()),
            Self::HoldRows(master()),
            Self::Deadlock(master()),
            Self::Empty(master()),
            Self::OlderCopy(master()),
        ]
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Kill(_) => "a server is killed",
            Self::KillBoth => "both servers are killed",
            Self::Freeze(_) => "a server is frozen",
            Self::FreezeBoth => "both servers are frozen",
            Self::Stall(_) => "a server stalls again and again",
            Self::Reset(_) => "connections are reset",
            Self::Refuse(_) => "connections are refused",
            Self::Cut(_) => "nothing passes for a while",
            Self::LoseRequests(_) => "requests are lost",
            Self::LoseAnswers(_) => "answers are lost",
            Self::Delay(_) => "the network is slow",
            Self::Drip(_) => "the network drips",
            Self::LoseCommit(_, false) => "a commit's answer is lost",
            Self::LoseCommit(_, true) => "a commit's answer never comes",
            Self::LoseBothCommits => "the answers of both commits are lost",
            Self::KillWithWorker(_) => "the worker and a server are killed",
            Self::OutOfConnections(_) => "a server is out of connections",
            Self::HoldRows(_) => "others hold rows and the epoch",
            Self::Deadlock(_) => "others take rows in another order",
            Self::Empty(_) => "a database is dropped",
            Self::OlderCopy(_) => "a server gets an older copy",
        }
    }

    fn takes_data(self) -> bool {
        matches!(self, Self::Empty(_) | Self::OlderCopy(_))
    }

    fn spares_reads(self) -> bool {
        matches!(
            self,
            Self::Kill(_) | Self::Freeze(_) | Self::Stall(_) | Self::Refuse(_) | Self::Cut(_)
        )
    }
}

/// With the file to which it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OfFiles {
    /// It is deleted under the worker's feet.
    Delete(usize),
    /// Another program holds it.
    Lock(usize),
    /// The worker is killed, and the end of the file's log is not on disk, as far
    /// as it is not in the file yet.
    TearLog(usize),
    /// The worker is killed, and the file is gone.
    LoseWithWorker(usize),
    /// The worker is killed, and the file is an older copy.
    OlderCopy(usize),
}

impl Own for OfFiles {
    fn all(random: &Random) -> Vec<Self> {
        let master = || usize::from(random.one_in(2));
        vec![
            Self::Delete(master()),
            Self::Lock(master()),
            Self::TearLog(master()),
            Self::LoseWithWorker(master()),
            Self::OlderCopy(master()),
        ]
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Delete(_) => "a file is deleted in use",
            Self::Lock(_) => "a file is locked by another program",
            Self::TearLog(_) => "the worker is killed, a log is torn",
            Self::LoseWithWorker(_) => "the worker is killed, a file is gone",
            Self::OlderCopy(_) => "the worker is killed, a file is older",
        }
    }

    fn spares_reads(self) -> bool {
        matches!(self, Self::Delete(_) | Self::Lock(_))
    }
}

/// Faults in an order of chance, each once before any comes again.
#[derive(Debug)]
pub(crate) struct Deck<O> {
    left: Vec<Fault<O>>,
    only: Option<Vec<Fault<O>>>,
    conditions: Conditions,
    /// How often every fault was dealt.
    pub(crate) rounds: u64,
}

impl<O: Own> Deck<O> {
    /// All that can be done.
    pub(crate) fn full(conditions: Conditions) -> Self {
        Self { left: Vec::new(), only: None, conditions, rounds: 0 }
    }

    /// These, again and again.
    pub(crate) fn of(only: Vec<Fault<O>>) -> Self {
        let conditions = Conditions::default();
        Self { left: Vec::new(), only: Some(only), conditions, rounds: 0 }
    }

    pub(crate) fn deal(&mut self, random: &Random) -> Fault<O> {
        if self.left.is_empty() {
            self.left = self.only.clone().unwrap_or_else(|| {
                let common = Common::all(random, self.conditions).into_iter();
                let points = Common::points(random, self.conditions).into_iter();
                let own = O::all(random).into_iter().map(Fault::Own);
                common.chain(points).map(Fault::Common).chain(own).collect()
            });
            shuffle(&mut self.left, random);
        }
        let dealt = self.left.pop().expect("there is no fault at all");
        self.rounds += u64::from(self.left.is_empty());
        dealt
    }
}

/// Fisher and Yates.
fn shuffle<T>(all: &mut [T], random: &Random) {
    for at in (1..all.len()).rev() {
        let other = random.below(at as u64 + 1);
        all.swap(at, usize::try_from(other).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stdx::Seed;

    use super::*;

    #[test]
    fn every_fault_comes_once_before_any_comes_again() {
        let random = Random::new(Seed(7));
        let conditions = Conditions { all: true, small_disks: true, shared: true };
        let mut deck = Deck::<OfServers>::full(conditions);
        let mut orders = Vec::new();
        for _ in 0..2 {
            let (mut dealt, rounds) = (Vec::new(), deck.rounds);
            while deck.rounds == rounds {
                dealt.push(format!("{:?}", deck.deal(&random)));
            }
            let names = |dealt: &[String]| -> BTreeSet<String> {
                dealt.iter().map(|one| one.split([' ', ',']).next().unwrap().to_owned()).collect()
            };
            assert!(dealt.len() >= 24 && names(&dealt).len() >= 18, "{dealt:?}");
            orders.push(dealt);
        }
        assert_ne!(orders[0], orders[1]);
        let again = Random::new(Seed(7));
        let mut same = Deck::<OfServers>::full(conditions);
        assert_eq!(format!("{:?}", same.deal(&again)), orders[0][0], "the seed decides");
    }
}
