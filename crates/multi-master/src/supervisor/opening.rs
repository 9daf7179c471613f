//! Opening a set: who may serve, what a crash left, migrations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stdx::Backoff;
use tokio::time::Instant;
use uuid::Uuid;

use super::ownership::{NotOurs, Ownership};
use super::processes::{HEAR_EVERY, Processes};
use super::recovery::{Brought, Recovery, base_fault, needs_copy};
use super::{PROBE_MAX, Supervisor, Try, greet, list, stranger, why};
use crate::error::{MasterName, OpenError};
use crate::fault::Fault;
use crate::lease::LEASE;
use crate::link::Link;
use crate::membership::Membership;
use crate::sabotage::{Bug, is};
use crate::schema::Migration;
use crate::shared::Shared;
use crate::tables::{self, Identity, Migrate};
use crate::witness::{Answer, Ask, Stage, Testimony, Unsaid, Witness};

type Greeted = Result<(Link, Identity), Fault>;

/// How long other processes may take to open the set.
const TURN_MAX: Duration = Duration::from_mins(1);

impl Supervisor {
    /// Opens the set: finds out who may serve. Where no other process has it
    /// open, what a crash left is settled and migrations are applied.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        migrations: Vec<Migration>,
        mut witness: Witness,
        names: &[MasterName],
    ) -> Result<Self, OpenError> {
        let goodbye = witness.shared().map(|client| client.another());
        let opened = Self::open_in_turn(shared, migrations, witness, names).await;
        if opened.is_err()
            && let Some(mut client) = goodbye
        {
            // Others need not wait until it is known to be gone.
            drop(client.ask(Ask::Leave).await);
        }
        opened
    }

    async fn open_in_turn(
        shared: Arc<Shared>,
        migrations: Vec<Migration>,
        mut witness: Witness,
        names: &[MasterName],
    ) -> Result<Self, OpenError> {
        let processes = turn(&shared, &mut witness).await?;
        let mut links = Vec::new();
        let ownership = Ownership::new(&shared);
        for (at, name) in names.iter().enumerate() {
            // What it says of itself counts when nobody else changes it.
            links.push(match ownership.take_patiently(&shared, at, name).await {
                Ok(()) => greet(&shared, at).await,
                Err(NotOurs::Fault(fault)) => Err(fault),
                Err(taken @ NotOurs::Taken) => {
                    let (master, reason) = (name.clone(), taken.why());
                    return Err(OpenError::Refused { master, reason });
                }
            });
        }
        let mut testimony = testimony(&shared, names, &mut witness, &mut links).await?;
        if let Some(lead) = &shared.lead {
            let others = processes.others_serve();
            testimony = decided(lead, names, &mut witness, &links, others).await?;
        }
        if !names.iter().any(|name| testimony.serving.contains(name)) {
            return Err(OpenError::Config(format!(
                "of the masters that hold every write ({}), none is in the configuration",
                list(&testimony.serving)
            )));
        }
        let membership = Membership::new(names, &testimony);
        let probe = shared.limits.probe;
        let tries = names
            .iter()
            .map(|_| Try {
                backoff: Backoff::new(probe, PROBE_MAX),
                at: Instant::now() + probe,
                suspected: None,
                from: None,
                too_long: 0,
                check: None,
                bringing: None,
            })
            .collect();
        shared.set.get_or_init(|| testimony.set);
        let recovery = Recovery {
            shared: Arc::clone(&shared),
            migrations: migrations.into(),
            set: testimony.set,
            names: names.into(),
        };
        let mut supervisor = Self {
            shared,
            recovery,
            membership,
            witness,
            tries,
            may_join_next: Vec::new(),
            in_force: None,
            epoch_in_force: testimony.epoch.saturating_sub(1),
            readable: testimony.serving.iter().cloned().collect(),
            processes,
            lacking: BTreeSet::new(),
            ownership,
        };
        if supervisor.processes.others_serve() {
            supervisor.follow(links).await?;
        } else {
            supervisor.keep_others_out(&links).await?;
            supervisor.first_view(links, &testimony).await?;
        }
        supervisor.serve().await;
        Ok(supervisor)
    }

    /// Other processes have the set open: who serves is known, and what a crash
    /// left is seen to by them.
    async fn follow(&mut self, links: Vec<Greeted>) -> Result<(), OpenError> {
        for (at, greeted) in links.into_iter().enumerate() {
            let master = self.recovery.names[at].clone();
            let is_in = self.membership.is_in(at);
            let (mut link, identity) = match greeted {
                Ok(greeted) => greeted,
                Err(fault) if is_in => {
                    self.membership.cut_off(at, why(fault));
                    continue;
                }
                Err(fault) => {
                    self.membership.fail(at, why(fault));
                    continue;
                }
            };
            if let Some(reason) = stranger(self.recovery.set, &master, &identity) {
                return Err(OpenError::Refused { master, reason });
            }
            if !is_in {
                self.membership.behind(at, "another process brings it back".to_owned());
            } else if identity.set.is_none() || identity.copying {
                self.membership.cut_off(at, "it is empty".to_owned());
            } else {
                let migrations = &self.recovery.migrations;
                let missing = tables::missing(&mut link, migrations).await;
                let reason = match missing {
                    Err(Migrate::Refused(reason)) => reason,
                    Err(Migrate::Fault(fault)) => why(fault),
                    Ok(missing) => match missing.first() {
                        None => {
                            self.membership.rejoin(at);
                            continue;
                        }
                        Some(step) => format!(
                            "it lacks the migration `{}`, which can't be applied while other \
                             processes have the set open: end them first",
                            step.migration
                        ),
                    },
                };
                return Err(OpenError::Refused { master, reason });
            }
        }
        if self.membership.view().serving().is_empty() {
            return Err(OpenError::NoMaster(self.membership.view().why_none()));
        }
        // Who serves may just have changed: see `wait_for_readers_elsewhere`.
        tokio::time::sleep(LEASE).await;
        self.put_in_force().await;
        Ok(())
    }

    /// A process that was taken for dead may wake up while what it left is
    /// settled: it finds that nobody writes.
    async fn keep_others_out(&mut self, links: &[Greeted]) -> Result<(), OpenError> {
        if !self.shared.among_others {
            return Ok(());
        }
        self.membership.pause();
        let [_, epoch] = self.membership.epochs();
        if !self.claim().await || self.membership.epochs()[1] != epoch {
            let why = self.membership.view().refuses.clone();
            return Err(OpenError::Witness(why.unwrap_or_else(|| {
                "another process changed who serves meanwhile: try again".to_owned()
            })));
        }
        for (at, greeted) in links.iter().enumerate() {
            if greeted.is_ok() && self.membership.is_in(at) {
                let fenced = self.fence_patiently(at, epoch).await;
                fenced.map_err(|fault| {
                    let master = self.recovery.names[at].clone();
                    OpenError::Refused { master, reason: why(fault) }
                })?;
            }
        }
        Ok(())
    }

    async fn first_view(
        &mut self,
        links: Vec<Result<(Link, Identity), Fault>>,
        testimony: &Testimony,
    ) -> Result<(), OpenError> {
        let name =
            |supervisor: &Self, at: usize| supervisor.membership.view().masters[at].name.clone();
        let mut base: Option<(usize, Link)> = None;
        let mut others = Vec::new();
        // Older than this, a master lacks markers that nobody has any more.
        let reached = links.iter().filter_map(|greeted| greeted.as_ref().ok());
        let horizon = reached.filter_map(|(_, identity)| identity.trimmed).max();
        let marks = marks(&links);
        for (at, greeted) in links.into_iter().enumerate() {
            match greeted {
                Err(fault) => self.membership.fail(at, why(fault)),
                Ok((link, identity)) => {
                    if identity.epoch > testimony.epoch && !is(Bug::NoWitness) {
                        return Err(OpenError::Refused {
                            master: name(self, at),
                            reason: format!(
                                "it is at epoch {}, and the witness {} at {}: the witness is an \
                                 old copy. If every master can be reached, move it away and it is \
                                 made anew from them",
                                identity.epoch,
                                self.witness.place(),
                                testimony.epoch
                            ),
                        });
                    }
                    let master = name(self, at);
                    if let Some(reason) = stranger(self.recovery.set, &master, &identity) {
                        return Err(OpenError::Refused { master, reason });
                    }
                    if needs_copy(&identity, horizon, marks.get(&master.0).copied()) {
                        // That takes long: it is done while the others serve.
                        self.membership.behind(at, "it has to be filled from another".to_owned());
                        self.tries[at].at = Instant::now();
                    } else if base.is_none() && self.membership.may_lead(at) {
                        base = Some((at, link));
                    } else {
                        others.push((at, link));
                    }
                }
            }
        }
        let Some((first, mut base)) = base else {
            for (at, _) in others {
                self.membership.behind(at, "it misses writes that others took".to_owned());
            }
            return Err(OpenError::NoMaster(format!(
                "no master that holds every write answers ({}): start {}. {}",
                self.membership.view().why_none(),
                list(&self.membership.hold_all()),
                "Masters that miss writes serve nothing until they have been brought up to date"
            )));
        };
        let refused = |master, error| match error {
            Migrate::Refused(reason) => OpenError::Refused { master, reason },
            Migrate::Fault(fault) => OpenError::Refused { master, reason: why(fault) },
        };
        let master = name(self, first);
        let there = async {
            tables::migrate(&mut base, &master, &self.recovery.migrations).await?;
            Ok(tables::epoch(&mut base).await?.unwrap_or(0))
        };
        let there = there.await.map_err(|error| refused(master.clone(), error))?;
        let mut joining = vec![first];
        for (at, mut link) in others {
            let epoch = self.membership.view().epoch;
            match link.brings_alone(&self.shared).await {
                Ok(true) => {}
                Ok(false) => {
                    let why = "another process brings it back".to_owned();
                    self.membership.behind(at, why);
                    continue;
                }
                Err(fault) => {
                    self.membership.fail(at, why(fault));
                    continue;
                }
            }
            // Those brought before it have to get what it alone has.
            let alone = async || {
                joining.truncate(1);
                Ok(there)
            };
            let brought = self.recovery.bring(first, &mut base, at, &mut link, epoch, alone).await;
            let on_base = |fault| base_fault(first, fault);
            let brought = match brought {
                Ok(()) => base.commit().await.map_err(on_base),
                Err(why) => base.rollback().await.map_err(on_base).and(Err(why)),
            };
            match brought {
                Ok(()) => joining.push(at),
                Err(Brought::Failed(why)) => self.membership.fail(at, why),
                Err(Brought::Cancelled | Brought::Elsewhere | Brought::TooLong(_)) => {}
                Err(Brought::Conflict(why)) => self.membership.behind(at, why),
                Err(Brought::Unfit(reason)) => {
                    return Err(OpenError::Refused { master: name(self, at), reason });
                }
                Err(Brought::BaseFailed(_, fault)) => {
                    return Err(OpenError::Refused {
                        master: name(self, first),
                        reason: why(fault),
                    });
                }
            }
        }
        self.membership.join(&joining);
        // A pause is over: ours, or one that a crash left.
        self.membership.go_on();
        drop(base);
        self.put_in_force().await;
        if self.membership.view().serving().is_empty() {
            return Err(OpenError::NoMaster(self.membership.view().why_none()));
        }
        Ok(())
    }
}

/// Which masters have to be filled, as those say that answer, each of the others.
fn marks(links: &[Greeted]) -> BTreeMap<String, Uuid> {
    let mut marks = BTreeMap::new();
    for (_, identity) in links.iter().filter_map(|greeted| greeted.as_ref().ok()) {
        for (name, mark) in &identity.marks {
            if identity.name.as_ref() != Some(name) {
                let last = marks.entry(name.clone()).or_insert(mark.id);
                *last = mark.id.max(*last);
            }
        }
    }
    marks
}

/// What the witness says, or, where it says nothing yet, what the masters do.
async fn testimony(
    shared: &Shared,
    names: &[MasterName],
    witness: &mut Witness,
    links: &mut [Greeted],
) -> Result<Testimony, OpenError> {
    if let Some(said) = witness.known() {
        let said = said.clone();
        for (name, link) in names.iter().zip(links) {
            match link {
                Ok((_, Identity { set: Some(set), .. })) if *set != said.set => {
                    return Err(OpenError::Refused {
                        master: name.clone(),
                        reason: format!(
                            "it belongs to another set of masters ({set}) than the witness {} ({}): \
                             check its URL and the data directory",
                            witness.place(),
                            said.set
                        ),
                    });
                }
                _ => {}
            }
        }
        return Ok(said);
    }
    for (name, link) in names.iter().zip(&*links) {
        if let Err(fault) = link {
            return Err(OpenError::Refused {
                master: name.clone(),
                reason: format!(
                    "{}. Without a witness ({} is not there yet) every master has to answer once",
                    why(fault.clone()),
                    witness.place()
                ),
            });
        }
    }
    let identities: Vec<&Identity> =
        links.iter().filter_map(|link| link.as_ref().ok()).map(|(_, identity)| identity).collect();
    let sets: BTreeSet<Uuid> = identities.iter().filter_map(|identity| identity.set).collect();
    let testimony = match sets.len() {
        0 => {
            let set = stdx::IdSource::new(stdx::Clock::real(), shared.random.clone()).next_uuid();
            Testimony { set, epoch: 1, serving: names.to_vec(), paused: false }
        }
        1 => {
            // The witness was lost. The highest epoch was only ever written on
            // masters that served under it.
            let epoch = identities.iter().map(|identity| identity.epoch).max().unwrap_or(0);
            let serving = names
                .iter()
                .zip(&identities)
                .filter(|(_, identity)| {
                    identity.set.is_some() && !identity.copying && identity.epoch == epoch
                })
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>();
            if serving.is_empty() {
                return Err(OpenError::NoMaster(
                    "no master is whole: they were being filled when something stopped. Do again \
                     what filled them, a restore or a move"
                        .to_owned(),
                ));
            }
            let set = *sets.first().expect("there is one");
            Testimony { set, epoch: epoch + 1, serving, paused: false }
        }
        _ => {
            return Err(OpenError::Config(format!(
                "the masters belong to different sets: {}",
                names
                    .iter()
                    .zip(&identities)
                    .map(|(name, identity)| match identity.set {
                        Some(set) => format!("{name} to {set}"),
                        None => format!("{name} to none"),
                    })
                    .collect::<Vec<_>>()
                    .join(", ")
            )));
        }
    };
    if sets.is_empty() {
        for (name, link) in names.iter().zip(links) {
            let Ok((link, identity)) = link else { continue };
            tables::adopt(link, testimony.set, name, testimony.epoch, false)
                .await
                .map_err(|fault| OpenError::Refused { master: name.clone(), reason: why(fault) })?;
            identity.set = Some(testimony.set);
            identity.epoch = testimony.epoch;
        }
    }
    match witness.say(testimony.clone()).await {
        Ok(()) => Ok(testimony),
        Err(Unsaid::Silent(error)) => Err(OpenError::Witness(format!(
            "{}: {error}; it must be on a disk that can be written",
            witness.place()
        ))),
        Err(Unsaid::Moved(_)) => {
            Err(OpenError::Witness("another process made the set meanwhile: try again".to_owned()))
        }
    }
}

/// A person has decided that `lead` goes on although it misses writes.
async fn decided(
    lead: &MasterName,
    names: &[MasterName],
    witness: &mut Witness,
    links: &[Greeted],
    others: bool,
) -> Result<Testimony, OpenError> {
    let refused = |reason: String| OpenError::Refused { master: lead.clone(), reason };
    let known = witness.known().cloned().expect("it was made or read before");
    let Some(at) = names.iter().position(|name| name == lead) else {
        let names = list(names);
        return Err(refused(format!("there is no master of that name: they are {names}")));
    };
    if others {
        return Err(refused("other processes have the set open: end them first".to_owned()));
    }
    let holds_all = |at: usize| known.serving.contains(&names[at]);
    if let Some(whole) = (0..names.len()).find(|&at| holds_all(at) && links[at].is_ok()) {
        return Err(refused(format!(
            "nobody has to decide: `{}` answers, and holds every write. Start as always",
            names[whole]
        )));
    }
    match &links[at] {
        Err(fault) => return Err(refused(why(fault.clone()))),
        Ok((_, identity)) if identity.set != Some(known.set) || identity.copying => {
            return Err(refused("it is empty, or was being filled from another".to_owned()));
        }
        Ok(_) => {}
    }
    tracing::warn!(
        severity = "CRITICAL", master = %lead, without = list(&known.serving),
        "a person decided that a master goes on without what only others have"
    );
    let epoch = known.epoch + 1;
    let testimony = Testimony { epoch, serving: vec![lead.clone()], paused: false, ..known };
    match witness.say(testimony.clone()).await {
        Ok(()) => Ok(testimony),
        Err(Unsaid::Silent(error)) => Err(OpenError::Witness(error)),
        Err(Unsaid::Moved(_)) => Err(refused("another process has the set open".to_owned())),
    }
}

/// Waits until this process may open the set, and says which others there are.
async fn turn(shared: &Arc<Shared>, witness: &mut Witness) -> Result<Processes, OpenError> {
    let Some(client) = witness.shared() else { return Ok(Processes::default()) };
    let until = Instant::now() + TURN_MAX;
    let Answer { testimony, others, .. } = loop {
        let answer = client.ask(Ask::Open).await.map_err(OpenError::Witness)?;
        if answer.stage == Stage::Opening {
            break answer;
        }
        if Instant::now() > until {
            return Err(OpenError::Witness(format!(
                "{}: another process has been opening the set for a minute",
                client.place()
            )));
        }
        tokio::time::sleep(HEAR_EVERY).await;
    };
    let processes = Processes::hear(shared, client, others);
    if let Some(testimony) = &testimony {
        witness.heard(testimony);
    }
    Ok(processes)
}
