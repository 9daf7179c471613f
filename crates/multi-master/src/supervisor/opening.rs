//! Opening a set: who may serve, what a crash left, migrations.

use std::collections::BTreeSet;
use std::sync::Arc;

use stdx::Backoff;
use tokio::time::Instant;
use uuid::Uuid;

use super::recovery::{Brought, Recovery, base_fault, needs_copy};
use super::{PROBE_MAX, Supervisor, Try, greet, list, stranger, why};
use crate::error::{MasterName, OpenError};
use crate::fault::Fault;
use crate::link::Link;
use crate::membership::Membership;
use crate::schema::Migration;
use crate::shared::Shared;
use crate::tables::{self, Identity, Migrate};
use crate::witness::{Testimony, Witness};

type Greeted = Result<(Link, Identity), Fault>;

impl Supervisor {
    /// Opens the set: finds out who may serve, settles what a crash left,
    /// applies migrations.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        migrations: Vec<Migration>,
        mut witness: Witness,
        names: &[MasterName],
    ) -> Result<Self, OpenError> {
        let mut links = Vec::new();
        for at in 0..names.len() {
            links.push(greet(&shared, at).await);
        }
        let testimony = testimony(&shared, names, &mut witness, &mut links).await?;
        let entitled: Vec<bool> =
            names.iter().map(|name| testimony.entitled.contains(name)).collect();
        if !entitled.contains(&true) {
            return Err(OpenError::Config(format!(
                "of the masters that hold every write ({}), none is in the configuration",
                list(&testimony.entitled)
            )));
        }
        let membership = Membership::new(shared.policy, names, testimony.epoch, entitled);
        let probe = shared.limits.probe;
        let tries = names
            .iter()
            .map(|_| Try {
                backoff: Backoff::new(probe, PROBE_MAX),
                at: Instant::now() + probe,
                suspected: None,
                bringing: None,
            })
            .collect();
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
        };
        supervisor.first_view(links, &testimony).await?;
        Ok(supervisor)
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
        for (at, greeted) in links.into_iter().enumerate() {
            match greeted {
                Err(fault) => self.membership.fail(at, why(fault)),
                Ok((link, identity)) => {
                    if identity.epoch > testimony.epoch {
                        return Err(OpenError::Refused {
                            master: name(self, at),
                            reason: format!(
                                "it is at epoch {}, and the witness {} at {}: the witness is an \
                                 old copy. If every master can be reached, move it away and it is \
                                 made anew from them",
                                identity.epoch,
                                self.witness.path().display(),
                                testimony.epoch
                            ),
                        });
                    }
                    let master = name(self, at);
                    if let Some(reason) = stranger(self.recovery.set, &master, &identity) {
                        return Err(OpenError::Refused { master, reason });
                    }
                    if needs_copy(&identity, horizon) {
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
                list(&testimony.entitled),
                "Masters that miss writes serve nothing until they have been brought up to date"
            )));
        };
        let refused = |master, error| match error {
            Migrate::Refused(reason) => OpenError::Refused { master, reason },
            Migrate::Fault(fault) => OpenError::Refused { master, reason: why(fault) },
        };
        let master = name(self, first);
        tables::migrate(&mut base, &master, &self.recovery.migrations)
            .await
            .map_err(|error| refused(master, error))?;
        let mut joining = vec![first];
        for (at, mut link) in others {
            let epoch = self.membership.view().epoch;
            let brought = match self.recovery.bring(first, &mut base, at, &mut link, epoch).await {
                Ok(news) => {
                    base.commit().await.map(|()| news).map_err(|fault| base_fault(first, fault))
                }
                Err(why) => {
                    base.rollback().await.map_err(|fault| base_fault(first, fault)).and(Err(why))
                }
            };
            match brought {
                Ok(news) => {
                    if news {
                        // Those brought before it have to get what it had.
                        joining.truncate(1);
                    }
                    joining.push(at);
                }
                Err(Brought::Failed(why)) => self.membership.fail(at, why),
                Err(Brought::Cancelled) => {}
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
        drop(base);
        self.put_in_force().await;
        if self.membership.view().serving().is_empty() {
            return Err(OpenError::NoMaster(self.membership.view().why_none()));
        }
        Ok(())
    }
}

/// What the witness says, or, where it says nothing yet, what the masters do.
async fn testimony(
    shared: &Shared,
    names: &[MasterName],
    witness: &mut Witness,
    links: &mut [Greeted],
) -> Result<Testimony, OpenError> {
    if let Some(said) = witness.said() {
        let said = said.clone();
        for (name, link) in names.iter().zip(links) {
            match link {
                Ok((_, Identity { set: Some(set), .. })) if *set != said.set => {
                    return Err(OpenError::Refused {
                        master: name.clone(),
                        reason: format!(
                            "it belongs to another set of masters ({set}) than the witness {} ({}): \
                             check its URL and the data directory",
                            witness.path().display(),
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
                    witness.path().display()
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
            Testimony { set, epoch: 1, entitled: names.to_vec() }
        }
        1 => {
            // The witness was lost. The highest epoch was only ever written on
            // masters that were entitled under it.
            let epoch = identities.iter().map(|identity| identity.epoch).max().unwrap_or(0);
            let entitled = names
                .iter()
                .zip(&identities)
                .filter(|(_, identity)| {
                    identity.set.is_some() && !identity.copying && identity.epoch == epoch
                })
                .map(|(name, _)| name.clone())
                .collect();
            let set = *sets.first().expect("there is one");
            Testimony { set, epoch: epoch + 1, entitled }
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
    witness.say(testimony.clone()).map_err(|error| OpenError::Disk {
        path: witness.path().display().to_string(),
        reason: format!("{error}; the witness must be on a disk that can be written"),
    })?;
    Ok(testimony)
}
