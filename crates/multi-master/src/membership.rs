//! Which masters serve: a state machine without I/O.
//!
//! ```text
//!        answers          has nearly everything         has everything
//!  DOWN ─────────▶ BEHIND ─────────────────────▶ JOINING ─────────────▶ LIVE
//!   ▲                │ ▲                            │ │                 │  ▲
//!   │                │ └── another master failed ───┘ │         an error│  │answers
//!   │                │                                │                 ▼  │
//!   └──── fails ─────┴──────────── fails ─────────────┴─── fails ──── SUSPECT
//! ```
//!
//! Two sets are kept. *Serving* masters take every write and answer reads now.
//! *Entitled* masters are those of which the witness says that they hold every
//! acknowledged write. Under [`Policy::Available`] the two are the same while
//! anybody serves: whoever stops serving loses the title before the next write
//! is acknowledged. Under [`Policy::All`] nothing is written while a master is
//! away, so nobody ever loses it.

use crate::config::Policy;
use crate::error::MasterName;

/// How a master stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MasterState {
    /// It takes every write and serves reads.
    Live,
    /// Something went wrong with it just now, and it is being asked. It takes
    /// every write, and serves reads only where no other master can.
    Suspect,
    /// It answers, misses writes, and serves nothing until it has them.
    Behind,
    /// It gets the last writes that it misses, while new ones wait.
    Joining,
    /// It can't be used.
    Down,
}

impl MasterState {
    /// Whether a master in this state takes writes, and so has all of them.
    #[must_use]
    pub const fn serves(self) -> bool {
        matches!(self, Self::Live | Self::Suspect)
    }
}

/// One master, for people and monitors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MasterStatus {
    /// Its name.
    pub name: MasterName,
    /// How it stands.
    pub state: MasterState,
    /// Why, where it is not live.
    pub reason: Option<String>,
}

/// The masters as they stand at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// As in the witness and in the epoch rows.
    pub(crate) epoch: u64,
    /// Counted up whenever the epoch or those that serve change: a report about
    /// an older view is no news, and its connections are closed.
    pub(crate) generation: u64,
    pub(crate) masters: Vec<MasterStatus>,
    /// Why nothing may be written although masters serve: the witness can't be
    /// told who they are.
    pub(crate) refuses: Option<String>,
}

impl View {
    /// Whether a master takes writes, and so has all of them.
    pub(crate) fn serves(&self, master: usize) -> bool {
        self.masters[master].state.serves()
    }

    /// The masters that serve, the primary first.
    pub(crate) fn serving(&self) -> Vec<usize> {
        (0..self.masters.len()).filter(|&at| self.serves(at)).collect()
    }

    /// The masters to read from: those that serve, without those that are
    /// suspect where there are others.
    pub(crate) fn reading(&self) -> Vec<usize> {
        let mut serving = self.serving();
        if serving.iter().any(|&at| self.masters[at].state == MasterState::Live) {
            serving.retain(|&at| self.masters[at].state == MasterState::Live);
        }
        serving
    }

    pub(crate) fn away(&self) -> Vec<MasterName> {
        self.owed(&[])
    }

    /// The masters that do not get a write under this view: those that do not
    /// serve, and those that `failed` while it was committed.
    pub(crate) fn owed(&self, failed: &[usize]) -> Vec<MasterName> {
        (0..self.masters.len())
            .filter(|at| !self.serves(*at) || failed.contains(at))
            .map(|at| self.masters[at].name.clone())
            .collect()
    }

    pub(crate) fn all_serve(&self) -> bool {
        (0..self.masters.len()).all(|at| self.serves(at))
    }

    /// Whether a write is kept that was committed on `masters` but for those that
    /// `failed`: one that has it serves, and the witness could be told so. A
    /// master that was taken out meanwhile may come back after another one has
    /// led without the write.
    pub(crate) fn keeps(&self, masters: &[usize], failed: &[usize]) -> bool {
        self.refuses.is_none() && masters.iter().any(|at| !failed.contains(at) && self.serves(*at))
    }

    /// Why nobody serves, for the caller.
    pub(crate) fn why_none(&self) -> String {
        let each = self.masters.iter().map(|master| {
            format!("{}: {}", master.name, master.reason.as_deref().unwrap_or("not tried yet"))
        });
        each.collect::<Vec<_>>().join("; ")
    }
}

/// The state machine.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    policy: Policy,
    view: View,
    entitled: Vec<bool>,
    /// The generation at which each master last stopped serving.
    left: Vec<u64>,
}

impl Membership {
    /// Nobody serves yet; `entitled` is what the witness says.
    pub(crate) fn new(
        policy: Policy,
        names: &[MasterName],
        epoch: u64,
        entitled: Vec<bool>,
    ) -> Self {
        assert_eq!(names.len(), entitled.len());
        let masters = names
            .iter()
            .map(|name| MasterStatus { name: name.clone(), state: MasterState::Down, reason: None })
            .collect();
        let left = vec![0; names.len()];
        Self { policy, view: View { epoch, generation: 0, masters, refuses: None }, entitled, left }
    }

    pub(crate) const fn view(&self) -> &View {
        &self.view
    }

    #[cfg(test)]
    pub(crate) fn entitled(&self) -> &[bool] {
        &self.entitled
    }

    pub(crate) fn entitled_names(&self) -> Vec<MasterName> {
        let both = self.view.masters.iter().zip(&self.entitled);
        both.filter(|(_, entitled)| **entitled).map(|(master, _)| master.name.clone()).collect()
    }

    /// Whether `master` may serve although nobody else does: nothing that was
    /// acknowledged can be missing on it.
    pub(crate) fn may_lead(&self, master: usize) -> bool {
        self.entitled[master] && self.view.serving().is_empty()
    }

    /// Whether a failure of `master`, seen under the view `generation`, is news:
    /// not where it has stopped serving since, and perhaps come back.
    pub(crate) fn is_news(&self, master: usize, generation: u64) -> bool {
        self.view.serves(master) && self.left[master] <= generation
    }

    /// Something went wrong with `master`, which serves; it is to be asked.
    pub(crate) fn suspect(&mut self, master: usize, why: String) {
        assert!(self.view.serves(master), "who does not serve is asked anyway");
        self.set(master, MasterState::Suspect, Some(why));
    }

    /// `master` was suspect, and answers as it should.
    pub(crate) fn clear(&mut self, master: usize) {
        if self.view.masters[master].state == MasterState::Suspect {
            self.set(master, MasterState::Live, None);
        }
    }

    /// `master` can't be used.
    pub(crate) fn fail(&mut self, master: usize, why: String) {
        let served = self.view.serves(master);
        self.set(master, MasterState::Down, Some(why));
        if served {
            self.left[master] = self.view.generation;
            self.retitle();
        }
    }

    /// Whoever still works under the present epoch is to be stopped.
    pub(crate) fn next_epoch(&mut self) {
        self.view.epoch += 1;
        self.view.generation += 1;
    }

    /// Whether the witness could be told, and if not, why.
    pub(crate) fn witnessed(&mut self, refuses: Option<String>) {
        if self.view.refuses != refuses {
            self.view.generation += 1;
            self.view.refuses = refuses;
        }
    }

    /// `master` answers, and does not have everything yet.
    pub(crate) fn behind(&mut self, master: usize, why: String) {
        assert!(!self.view.serves(master), "a master that serves has everything");
        self.set(master, MasterState::Behind, Some(why));
    }

    /// `master` misses little, and gets it while writers wait.
    pub(crate) fn joining(&mut self, master: usize) {
        assert!(!self.view.serves(master), "a master that serves has joined");
        self.set(master, MasterState::Joining, Some("it is joining".to_owned()));
    }

    /// These masters have everything that the others have, or
    /// [`Self::may_lead`].
    pub(crate) fn join(&mut self, masters: &[usize]) {
        assert!(
            !self.view.serving().is_empty() || masters.iter().any(|&at| self.entitled[at]),
            "a master without the title can't serve alone"
        );
        for &master in masters {
            self.set(master, MasterState::Live, None);
        }
        self.retitle();
    }

    /// Under `available` the title follows those that serve; while nobody does,
    /// the last ones keep it. Under `all` it is never lost.
    fn retitle(&mut self) {
        let title: Vec<bool> = (0..self.entitled.len())
            .map(|at| self.view.serves(at) || (self.policy == Policy::All && self.entitled[at]))
            .collect();
        if title != self.entitled && title.contains(&true) {
            self.entitled = title;
            self.next_epoch();
        }
    }

    fn set(&mut self, master: usize, state: MasterState, reason: Option<String>) {
        let served = self.view.serves(master);
        self.view.masters[master].state = state;
        self.view.masters[master].reason = reason;
        if self.view.serves(master) != served {
            self.view.generation += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(policy: Policy, masters: usize) -> Membership {
        let names: Vec<MasterName> =
            ["a", "b", "c"][..masters].iter().map(|name| MasterName((*name).to_owned())).collect();
        Membership::new(policy, &names, 1, vec![true; masters])
    }

    #[test]
    fn under_available_the_survivor_takes_the_title_alone() {
        let mut set = set(Policy::Available, 2);
        set.join(&[0, 1]);
        assert_eq!(set.view().epoch, 1, "as the witness has it");
        set.fail(0, "gone".to_owned());
        assert_eq!((set.view().epoch, set.entitled()), (2, [false, true].as_slice()));
        assert!(!set.may_lead(0), "b took writes without a");
        set.fail(1, "gone".to_owned());
        assert_eq!(set.view().epoch, 2, "the last one keeps the title");
        assert!(!set.may_lead(0));
        assert!(set.may_lead(1));
    }

    #[test]
    fn a_write_is_kept_by_a_master_that_serves() {
        let mut set = set(Policy::Available, 2);
        set.join(&[0, 1]);
        assert!(set.view().keeps(&[0, 1], &[0]));
        assert!(!set.view().keeps(&[0, 1], &[0, 1]));
        // While a group was committed, b was taken out, and a failed to commit.
        set.fail(1, "gone".to_owned());
        assert!(!set.view().keeps(&[0, 1], &[0]), "a may lead without it");
        assert!(set.view().keeps(&[0, 1], &[1]));
        set.witnessed(Some("the disk is full".to_owned()));
        assert!(!set.view().keeps(&[0, 1], &[1]));
    }

    #[test]
    fn under_all_nobody_loses_the_title() {
        let mut set = set(Policy::All, 2);
        set.join(&[0]);
        set.join(&[1]);
        set.fail(0, "gone".to_owned());
        set.fail(1, "gone".to_owned());
        assert_eq!(set.view().epoch, 1);
        assert!(set.may_lead(0) && set.may_lead(1));
    }

    #[test]
    fn an_old_report_does_not_take_out_a_master_that_is_back() {
        let mut set = set(Policy::Available, 2);
        set.join(&[0, 1]);
        let seen = set.view().generation;
        assert!(set.is_news(1, seen));
        set.fail(1, "gone".to_owned());
        assert!(!set.is_news(1, seen), "it is out already");
        assert!(set.is_news(0, seen), "the other may have failed as well");
        set.join(&[1]);
        assert!(!set.is_news(1, seen), "it has everything again");
        assert!(set.is_news(1, set.view().generation));
    }

    #[test]
    fn a_suspect_takes_writes_and_is_read_only_where_nobody_else_can_be() {
        let mut set = set(Policy::Available, 2);
        set.join(&[0, 1]);
        let epoch = set.view().epoch;
        set.suspect(0, "a connection fell".to_owned());
        assert_eq!((set.view().serving(), set.view().reading()), (vec![0, 1], vec![1]));
        set.suspect(1, "a connection fell".to_owned());
        assert_eq!(set.view().reading(), [0, 1]);
        set.clear(0);
        assert_eq!(set.view().reading(), [0]);
        assert_eq!(set.view().epoch, epoch, "nobody lost the title");
        set.fail(1, "gone".to_owned());
        set.clear(1);
        assert_eq!(set.view().masters[1].state, MasterState::Down, "an old answer is no news");
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Suspect(usize),
        Clear(usize),
        Fail(usize),
        Return(usize),
        Write,
    }

    proptest! {
        /// However masters come and go, whoever serves alone has every write
        /// that was acknowledged.
        #[test]
        fn who_serves_has_every_acknowledged_write(
            events in prop::collection::vec(
                prop_oneof![
                    (0..3usize).prop_map(Event::Suspect),
                    (0..3usize).prop_map(Event::Clear),
                    (0..3usize).prop_map(Event::Fail),
                    (0..3usize).prop_map(Event::Return),
                    Just(Event::Write),
                ],
                0..60,
            ),
            all in any::<bool>(),
        ) {
            let policy = if all { Policy::All } else { Policy::Available };
            let mut set = set(policy, 3);
            let (mut acknowledged, mut has, mut epoch) = (0, [0; 3], 1);
            for event in events {
                match event {
                    Event::Suspect(at) if set.view().serves(at) => {
                        set.suspect(at, "test".to_owned());
                    }
                    Event::Suspect(_) => {}
                    Event::Clear(at) => set.clear(at),
                    Event::Fail(at) => set.fail(at, "test".to_owned()),
                    Event::Return(at) if set.view().serves(at) => {}
                    Event::Return(at) if set.may_lead(at) => set.join(&[at]),
                    Event::Return(at) => match set.view().serving().first() {
                        None => set.behind(at, "waits".to_owned()),
                        Some(&from) => {
                            set.behind(at, "test".to_owned());
                            set.joining(at);
                            has[at] = has[from];
                            set.join(&[at]);
                        }
                    },
                    Event::Write => {
                        let serving = set.view().serving();
                        let may = match policy {
                            Policy::All => set.view().all_serve(),
                            Policy::Available => !serving.is_empty(),
                        };
                        if may {
                            acknowledged += 1;
                            for at in serving {
                                has[at] = acknowledged;
                            }
                        }
                    }
                }
                for at in set.view().serving() {
                    prop_assert_eq!(has[at], acknowledged);
                    prop_assert!(set.entitled()[at]);
                }
                let (serving, reading) = (set.view().serving(), set.view().reading());
                prop_assert!(reading.iter().all(|at| serving.contains(at)));
                prop_assert_eq!(serving.is_empty(), reading.is_empty());
                prop_assert!(set.view().epoch >= epoch, "epochs only grow");
                prop_assert!(set.entitled().contains(&true), "somebody always has the title");
                epoch = set.view().epoch;
            }
        }
    }
}
