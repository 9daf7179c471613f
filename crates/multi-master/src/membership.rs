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
//! Two sets are kept: the masters that serve, as this process sees them, and
//! those of which the witness says so. They are the same while this process can
//! reach anybody: whoever stops serving is out for the witness before the next
//! write is acknowledged. While nobody can be reached, those that the witness
//! names may lead, when one answers again: nobody else holds every acknowledged
//! write.

use uuid::Uuid;

use crate::error::MasterName;
use crate::sabotage::{Bug, is};
use crate::witness::Testimony;

/// How a master stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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

impl std::fmt::Display for MasterState {
    /// As it is written everywhere: `LIVE`, `SUSPECT`, `BEHIND`, `JOINING`, `DOWN`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Live => "LIVE",
            Self::Suspect => "SUSPECT",
            Self::Behind => "BEHIND",
            Self::Joining => "JOINING",
            Self::Down => "DOWN",
        })
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
    /// told who they are, or one of them serves only for other processes.
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
        if is(Bug::ReadsBehind) {
            let up = |at: &usize| self.masters[*at].state != MasterState::Down;
            return (0..self.masters.len()).filter(up).collect();
        }
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
    view: View,
    /// Who takes the writes of this epoch, as the witness has it or is about to.
    serving: Vec<bool>,
    /// The epoch that the witness has or is about to: later than the view's
    /// while it is paused.
    epoch: u64,
    /// Nobody writes under `epoch`: somebody is about to change who serves.
    paused: bool,
    /// Why the witness could not be told.
    untold: Option<String>,
    /// The generation at which each master last stopped serving.
    left: Vec<u64>,
}

impl Membership {
    /// Nobody serves yet; the rest is what the witness says.
    pub(crate) fn new(names: &[MasterName], testimony: &Testimony) -> Self {
        let masters = names
            .iter()
            .map(|name| MasterStatus { name: name.clone(), state: MasterState::Down, reason: None })
            .collect();
        let left = vec![0; names.len()];
        let Testimony { epoch, paused, .. } = *testimony;
        // Under the epoch before a pause nothing is lost: it is over on the masters
        // when the pause comes to something.
        let in_force = epoch.saturating_sub(u64::from(paused));
        let view = View { epoch: in_force, generation: 0, masters, refuses: None };
        let serving = names.iter().map(|name| testimony.serving.contains(name)).collect();
        Self { view, serving, epoch, paused, untold: None, left }
    }

    pub(crate) const fn view(&self) -> &View {
        &self.view
    }

    /// What the witness has to say.
    pub(crate) fn testimony(&self, set: Uuid) -> Testimony {
        let both = self.view.masters.iter().zip(&self.serving);
        let serving = both.filter(|(_, serving)| **serving);
        let serving = serving.map(|(master, _)| master.name.clone()).collect();
        Testimony { set, epoch: self.epoch, serving, paused: self.paused }
    }

    /// Whether `master` serves, as the witness says.
    pub(crate) fn is_in(&self, master: usize) -> bool {
        self.serving[master]
    }

    /// Nobody can be reached any more, and what was made of it was not said: it
    /// never was.
    pub(crate) fn revert(&mut self, known: &Testimony) {
        assert!(self.view.serving().is_empty(), "somebody goes on under what was made of it");
        self.epoch = known.epoch;
        self.paused = known.paused;
        self.view.epoch = known.epoch.saturating_sub(u64::from(known.paused));
        for at in 0..self.serving.len() {
            self.serving[at] = known.serving.contains(&self.view.masters[at].name);
        }
        self.review();
    }

    /// `master`, which serves as the witness says, answers this process too.
    pub(crate) fn rejoin(&mut self, master: usize) {
        assert!(self.serving[master], "it serves");
        self.set(master, MasterState::Live, None);
        self.review();
    }

    /// Whether a master serves, as the witness has it, and can't be reached from this
    /// process.
    pub(crate) fn is_cut_off(&self) -> bool {
        (0..self.serving.len()).any(|at| self.serving[at] && !self.view.serves(at))
    }

    /// Masters that serve for others, and that no other process is there to
    /// answer for, are out. False where there are none.
    pub(crate) fn drop_cut_off(&mut self) -> bool {
        let before = self.epoch;
        self.recount();
        self.review();
        before != self.epoch
    }

    /// The epoch in force, and, while it is paused, the next one.
    pub(crate) const fn epochs(&self) -> [u64; 2] {
        [self.view.epoch, self.epoch]
    }

    /// The masters that lack nothing that was acknowledged: one of them has to be
    /// there for anybody to serve.
    pub(crate) fn hold_all(&self) -> Vec<MasterName> {
        let all = (0..self.serving.len()).filter(|&at| self.serving[at]);
        all.map(|at| self.view.masters[at].name.clone()).collect()
    }

    /// Whether `master` may serve although nobody else does.
    pub(crate) fn may_lead(&self, master: usize) -> bool {
        self.serving[master] && self.view.serving().is_empty()
    }

    /// Another process has changed what the witness says. What this one was
    /// about to say, perhaps under the same epoch, never was.
    pub(crate) fn adopt(&mut self, testimony: &Testimony) {
        for at in 0..self.serving.len() {
            self.serving[at] = testimony.serving.contains(&self.view.masters[at].name);
            let why = "another process took it out".to_owned();
            match (self.serving[at], self.view.masters[at].state) {
                (true, state) if state.serves() => {}
                (true, _) => self.set(at, MasterState::Live, None),
                (false, state) if state.serves() => {
                    self.set(at, MasterState::Behind, Some(why));
                }
                // This process would have brought it in under another epoch.
                (false, MasterState::Joining) => self.set(at, MasterState::Behind, Some(why)),
                (false, _) => {}
            }
        }
        self.epoch = testimony.epoch;
        self.paused = testimony.paused;
        if !self.paused {
            self.view.epoch = self.epoch;
        }
        self.view.generation += 1;
        self.review();
    }

    /// `master` serves, as another process says, and can't be reached from this
    /// one. It stays in, and this process writes nothing.
    pub(crate) fn cut_off(&mut self, master: usize, why: String) {
        self.set(master, MasterState::Down, Some(why));
        self.review();
    }

    /// Whether a failure of `master`, seen under the view `generation`, is news:
    /// not where it has stopped serving since, and perhaps come back.
    pub(crate) fn is_news(&self, master: usize, generation: u64) -> bool {
        self.view.serves(master) && self.left[master] <= generation
    }

    /// The generation at which each master last stopped serving.
    pub(crate) fn left(&self) -> &[u64] {
        &self.left
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
            self.recount();
        }
        self.review();
    }

    /// Whoever writes is to be stopped, until it goes on.
    pub(crate) fn pause(&mut self) {
        self.epoch += 1;
        self.paused = true;
    }

    /// Writing goes on, under another epoch.
    pub(crate) fn go_on(&mut self) {
        if self.paused {
            self.next_epoch();
        }
    }

    /// Whether another process has stopped all writing, or this one.
    pub(crate) const fn is_paused(&self) -> bool {
        self.paused
    }

    fn next_epoch(&mut self) {
        self.epoch += 1;
        self.paused = false;
        self.view.epoch = self.epoch;
        self.view.generation += 1;
    }

    /// Whether the witness could be told, and if not, why.
    pub(crate) fn witnessed(&mut self, untold: Option<String>) {
        self.untold = untold;
        self.review();
    }

    /// Whether anything may be written.
    fn review(&mut self) {
        let cut_off = (0..self.serving.len()).find(|&at| self.serving[at] && !self.view.serves(at));
        let cut_off = cut_off.filter(|_| !self.view.serving().is_empty()).map(|at| {
            let name = &self.view.masters[at].name;
            format!("{name} serves for other processes, and can't be reached from this one")
        });
        let refuses = self.untold.clone().or(cut_off);
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
            !self.view.serving().is_empty() || masters.iter().any(|&at| self.serving[at]),
            "a master that misses writes can't serve alone"
        );
        for &master in masters {
            self.set(master, MasterState::Live, None);
        }
        self.recount();
        self.review();
    }

    /// While nobody serves, the last ones are remembered: they may lead.
    fn recount(&mut self) {
        let serving: Vec<bool> = (0..self.serving.len()).map(|at| self.view.serves(at)).collect();
        if serving != self.serving && serving.contains(&true) {
            self.serving = serving;
            self.next_epoch();
        }
    }

    fn set(&mut self, master: usize, state: MasterState, reason: Option<String>) {
        let served = self.view.serves(master);
        self.view.masters[master].state = state;
        self.view.masters[master].reason = reason;
        if self.view.serves(master) != served {
            self.view.generation += 1;
            if served {
                self.left[master] = self.view.generation;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(masters: usize) -> Membership {
        let names: Vec<MasterName> =
            ["a", "b", "c"][..masters].iter().map(|name| MasterName((*name).to_owned())).collect();
        let testimony =
            Testimony { set: Uuid::nil(), epoch: 1, serving: names.clone(), paused: false };
        Membership::new(&names, &testimony)
    }

    #[test]
    fn the_survivor_leads_alone() {
        let mut set = set(2);
        set.join(&[0, 1]);
        assert_eq!(set.view().epoch, 1, "as the witness has it");
        set.fail(0, "gone".to_owned());
        assert_eq!((set.view().epoch, &set.serving), (2, &vec![false, true]));
        assert!(!set.may_lead(0), "b took writes without a");
        set.fail(1, "gone".to_owned());
        assert_eq!(set.view().epoch, 2, "the last one stays");
        assert!(!set.may_lead(0));
        assert!(set.may_lead(1));
    }

    #[test]
    fn a_write_is_kept_by_a_master_that_serves() {
        let mut set = set(2);
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
    fn an_old_report_does_not_take_out_a_master_that_is_back() {
        let mut set = set(2);
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
        let mut set = set(2);
        set.join(&[0, 1]);
        let epoch = set.view().epoch;
        set.suspect(0, "a connection fell".to_owned());
        assert_eq!((set.view().serving(), set.view().reading()), (vec![0, 1], vec![1]));
        set.suspect(1, "a connection fell".to_owned());
        assert_eq!(set.view().reading(), [0, 1]);
        set.clear(0);
        assert_eq!(set.view().reading(), [0]);
        assert_eq!(set.view().epoch, epoch, "nobody is out");
        set.fail(1, "gone".to_owned());
        set.clear(1);
        assert_eq!(set.view().masters[1].state, MasterState::Down, "an old answer is no news");
    }

    fn said(epoch: u64, serving: &[&str], paused: bool) -> Testimony {
        let serving = serving.iter().map(|name| MasterName((*name).to_owned())).collect();
        Testimony { set: Uuid::nil(), epoch, serving, paused }
    }

    /// What is published while another master joins must not be an epoch under
    /// which a write could pass that master by.
    #[test]
    fn a_pause_is_no_part_of_the_view_whatever_is_published_meanwhile() {
        let mut set = set(2);
        set.join(&[0]);
        set.behind(1, "test".to_owned());
        set.joining(1);
        let in_force = set.view().epoch;
        set.pause();
        set.suspect(0, "a connection fell".to_owned());
        set.clear(0);
        assert_eq!(set.view().epoch, in_force);
        assert_eq!(set.epochs(), [in_force, in_force + 1]);
        assert_eq!(set.testimony(Uuid::nil()), said(in_force + 1, &["a"], true));
        set.join(&[1]);
        assert_eq!(set.epochs(), [in_force + 2; 2], "nobody writes under the one between");
        assert_eq!(set.testimony(Uuid::nil()), said(in_force + 2, &["a", "b"], false));
        set.pause();
        set.go_on();
        assert_eq!(set.epochs(), [in_force + 4; 2]);
        set.go_on();
        assert_eq!(set.epochs(), [in_force + 4; 2], "there was nothing to end");
    }

    #[test]
    fn what_another_process_says_replaces_what_this_one_was_about_to_say() {
        let mut set = set(2);
        set.join(&[0, 1]);
        set.fail(1, "gone from here".to_owned());
        assert_eq!(set.testimony(Uuid::nil()), said(2, &["a"], false));
        let seen = set.view().generation;
        set.adopt(&said(2, &["b"], false));
        assert_eq!(set.testimony(Uuid::nil()), said(2, &["b"], false));
        assert_eq!((set.view().serving(), set.view().refuses.as_deref()), (vec![1], None));
        assert!(!set.is_news(0, seen), "it is out, and what was seen of it before is old");
        assert!(!set.may_lead(0));
        let before = set.view().epoch;
        set.adopt(&said(3, &["b"], true));
        assert_eq!(set.view().epoch, before, "nobody writes under a pause");
        assert!(set.is_paused());
    }

    #[test]
    fn a_process_that_is_cut_off_from_a_master_writes_nothing_and_takes_nobody_out() {
        let mut set = set(2);
        set.join(&[0, 1]);
        set.fail(1, "cut off".to_owned());
        // Another process reaches it, and has brought it back.
        set.adopt(&said(4, &["a", "b"], false));
        set.cut_off(1, "still cut off".to_owned());
        assert!(set.is_cut_off());
        assert!(set.view().refuses.as_deref().is_some_and(|why| why.contains("b serves")));
        assert_eq!((set.view().serving(), set.view().reading()), (vec![0], vec![0]));
        assert_eq!(set.testimony(Uuid::nil()), said(4, &["a", "b"], false));
        set.rejoin(1);
        assert_eq!((set.view().serving(), set.view().refuses.as_deref()), (vec![0, 1], None));
        assert_eq!(set.view().epoch, 4, "nothing has changed for the others");
        assert!(!set.is_cut_off());
        set.cut_off(1, "and again".to_owned());
        assert!(set.drop_cut_off(), "nobody else is there to say that it serves");
        assert_eq!(set.testimony(Uuid::nil()), said(5, &["a"], false));
        assert_eq!(set.view().refuses, None);
        assert!(!set.drop_cut_off());
    }

    #[test]
    fn what_could_not_be_said_is_forgotten_when_nobody_is_left() {
        let mut set = set(2);
        set.join(&[0, 1]);
        set.fail(0, "gone".to_owned());
        set.witnessed(Some("the disk is full".to_owned()));
        set.fail(1, "gone".to_owned());
        assert!(!set.may_lead(0), "b would be the last");
        set.revert(&said(1, &["a", "b"], false));
        assert!(set.may_lead(0) && set.may_lead(1), "nothing was acknowledged without a");
        assert_eq!(set.epochs(), [1; 2]);
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
            let mut set = set(3);
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
                        // Under the policy `all`, or under `available`.
                        let may = if all { set.view().all_serve() } else { !serving.is_empty() };
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
                    prop_assert!(set.is_in(at));
                }
                let (serving, reading) = (set.view().serving(), set.view().reading());
                prop_assert!(reading.iter().all(|at| serving.contains(at)));
                prop_assert_eq!(serving.is_empty(), reading.is_empty());
                prop_assert!(set.view().epoch >= epoch, "epochs only grow");
                prop_assert!(!set.hold_all().is_empty(), "somebody always may lead");
                epoch = set.view().epoch;
            }
        }
    }
}
