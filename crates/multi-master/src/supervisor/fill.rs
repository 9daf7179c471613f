//! Deciding that a master has to be filled from another.

use stdx::ids::Id as _;
use tokio::time::Instant;

use super::Supervisor;
use crate::copy::{self, Mark};
use crate::error::MasterName;
use crate::fault::Fault;
use crate::membership::MasterState;
use crate::sqlite::IfAbsent;

/// Which master is to be filled, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillAnew {
    /// The master that is emptied and filled.
    pub to: MasterName,
    /// From which one; the first that serves where this is nothing.
    pub from: Option<MasterName>,
    /// Also where it serves: it is taken out first.
    pub although_it_serves: bool,
    /// For people: it is told as long as the master is not filled.
    pub why: String,
}

/// Why a master is not filled. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The configuration has no such master.
    #[error("there is no master `{name}`: there are {known}")]
    Unknown {
        /// What was asked for.
        name: MasterName,
        /// The masters that there are.
        known: String,
    },
    /// A master can't be filled from itself.
    #[error("`{0}` can't be filled from itself")]
    Itself(MasterName),
    /// It serves, and nobody said that it may be taken out.
    #[error("`{0}` serves: it would be taken out, emptied and filled")]
    Serves(MasterName),
    /// No other master serves.
    #[error(
        "no master serves from which `{0}` could be filled: it may be the last that has everything"
    )]
    NoSource(MasterName),
    /// The master that it was to be filled from does not serve.
    #[error("`{0}` does not serve, so nothing can be filled from it")]
    NotServing(MasterName),
    /// No master that serves could note it.
    #[error("it could not be noted that `{name}` has to be filled: {why}")]
    NotNoted {
        /// The master that was to be filled.
        name: MasterName,
        /// Why.
        why: String,
    },
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl Supervisor {
    /// Has a master filled, or leaves the filling that runs alone.
    pub(super) async fn fill(&mut self, ask: FillAnew) -> Result<(), FillError> {
        let at = self.named(&ask.to)?;
        let from = ask.from.as_ref().map(|from| self.named(from)).transpose()?;
        if from == Some(at) {
            return Err(FillError::Itself(ask.to));
        }
        let mut sources = self.membership.view().serving();
        sources.retain(|&source| source != at);
        if sources.is_empty() {
            return Err(FillError::NoSource(ask.to));
        }
        if let (Some(from), Some(name)) = (from, &ask.from)
            && !sources.contains(&from)
        {
            return Err(FillError::NotServing(name.clone()));
        }
        if let Some(running) = self.shared.copies.running(at)
            && ask.from.as_ref().is_none_or(|from| *from == running.from)
        {
            return Ok(());
        }
        if self.membership.view().serves(at) {
            if !ask.although_it_serves {
                return Err(FillError::Serves(ask.to));
            }
            self.take_out(at, ask.why.clone());
            self.put_in_force().await;
        }
        self.tries[at].give_up();
        let noted = self.mark(&[at], &ask.why).await;
        self.tries[at].from = from;
        self.tries[at].backoff.reset();
        self.tries[at].at = Instant::now();
        noted
    }

    /// The log is too large to keep it for these masters: they have to be filled, and a
    /// filling that needs it begins anew. False where not every master that serves could
    /// note that, or where another view has come meanwhile.
    pub(super) async fn outgrown(
        &mut self,
        masters: Vec<usize>,
        generation: u64,
        why: &str,
    ) -> bool {
        let is_same = |ours: &Self| ours.membership.view().generation == generation;
        let is_joining =
            |&at: &usize| self.membership.view().masters[at].state == MasterState::Joining;
        if !is_same(self) || masters.iter().any(is_joining) {
            return false;
        }
        for &at in &masters {
            self.tries[at].give_up();
            self.shared.copies.end(at, false);
        }
        self.mark(&masters, why).await.is_ok() && is_same(self)
    }

    fn named(&self, name: &MasterName) -> Result<usize, FillError> {
        let masters = &self.membership.view().masters;
        masters.iter().position(|master| master.name == *name).ok_or_else(|| {
            let known: Vec<&str> = masters.iter().map(|master| master.name.0.as_str()).collect();
            FillError::Unknown { name: name.clone(), known: known.join(", ") }
        })
    }

    /// Notes on every master that serves that these, which do not, have to be
    /// filled. A master on which that fails is out; one has to have it.
    pub(super) async fn mark(&mut self, about: &[usize], why: &str) -> Result<(), FillError> {
        let mark = Mark { id: self.shared.new_txid().uuid(), why: why.to_owned() };
        let (mut noted, mut failed) = (false, None);
        for at in self.membership.view().serving() {
            match self.note(at, about, &mark).await {
                Ok(()) => noted = true,
                Err(fault) => {
                    let why = super::why(fault);
                    self.take_out(at, why.clone());
                    failed = Some(why);
                }
            }
        }
        for &at in about {
            // Another process may have brought it in meanwhile.
            if !noted || self.membership.view().serves(at) {
                continue;
            }
            tracing::warn!(
                severity = "WARNING", master = %self.membership.view().masters[at].name, why,
                "a master has to be filled from another"
            );
            self.shared.copies.mark(at, why.to_owned());
            let reason = self.with_mark(at, "it is not there yet".to_owned());
            match self.membership.view().masters[at].state {
                MasterState::Down => self.membership.fail(at, reason),
                _ => self.membership.behind(at, reason),
            }
        }
        if failed.is_some() {
            self.put_in_force().await;
        }
        self.publish();
        match (noted, about.first()) {
            (false, Some(&at)) => {
                let name = self.membership.view().masters[at].name.clone();
                let why = failed.unwrap_or_else(|| "no master serves".to_owned());
                Err(FillError::NotNoted { name, why })
            }
            _ => Ok(()),
        }
    }

    async fn note(&self, at: usize, about: &[usize], mark: &Mark) -> Result<(), Fault> {
        let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
        link.begin().await?;
        for &about in about {
            let name = &self.membership.view().masters[about].name.0;
            mark.write(&mut link, name).await?;
            // It is filled anew.
            copy::keep_nothing(&mut link, name).await?;
        }
        link.commit().await
    }

    /// Why a master is away, and that it will be filled where that is so.
    pub(super) fn with_mark(&self, at: usize, why: String) -> String {
        match self.shared.copies.mark_of(at) {
            Some(mark) => format!("it will be filled anew ({mark}): {why}"),
            None => why,
        }
    }
}
