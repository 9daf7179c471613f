//! What an operator does with a saga that is stuck, and with those that are over.

use std::sync::Arc;

use multi_master::{DbError, Tx, TxId, WriteError};
use stdx::UnixMicros;

use super::{BATCH, Core, Sagas};
use crate::definition::Program;
use crate::drive::machine_of;
use crate::machine::{Machine, OperatorError, StepRecord};
use crate::model::SagaId;
use crate::store::{self, SagaRow};

/// An operator's decision could not be carried out. Nothing was changed, unless it says
/// that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// There is no such saga.
    #[error("there is no saga {0}")]
    NoSuchSaga(SagaId),
    /// It has no such step.
    #[error("the saga has no step `{0}`")]
    NoSuchStep(String),
    /// This program has not its definition.
    #[error("this program does not know `{kind}` of version {version}: decide in one that does")]
    NoDefinition {
        /// Of the saga.
        kind: String,
        /// Of the saga.
        version: u32,
    },
    /// It can't be done with a saga that stands so.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// What is stored can't be read.
    #[error("{0}")]
    Unreadable(String),
    /// The store said no.
    #[error(transparent)]
    Db(#[from] DbError),
    /// It may be done: look at the saga.
    #[error("it is not known yet whether transaction {0} was saved: look at the saga again")]
    InDoubt(TxId),
}

impl Sagas {
    /// Has a saga that is stuck go on trying.
    ///
    /// # Errors
    /// [`DecideError`].
    pub async fn retry(&self, saga: SagaId) -> Result<(), DecideError> {
        self.decide(saga, |machine, _| machine.retry().map_err(DecideError::from)).await
    }

    /// Leaves a step out that a saga is stuck at: somebody has seen to it by hand, and says
    /// why. The reason is kept with the step.
    ///
    /// # Errors
    /// [`DecideError`].
    pub async fn skip(&self, saga: SagaId, step: &str, reason: &str) -> Result<(), DecideError> {
        let (step, reason) = (step.to_owned(), reason.to_owned());
        self.decide(saga, move |machine, now| {
            let place = machine.shape().steps.iter().position(|shape| shape.name == step);
            let place = place.ok_or_else(|| DecideError::NoSuchStep(step.clone()))?;
            machine.skip(place, &reason, now).map_err(DecideError::from)
        })
        .await
    }

    async fn decide(
        &self,
        saga: SagaId,
        decision: impl Fn(&mut Machine, UnixMicros) -> Result<(), DecideError> + Send + 'static,
    ) -> Result<(), DecideError> {
        let core = Arc::clone(&self.0.core);
        let decided = self.0.core.store.write(async move |tx: &mut Tx| {
            let now = tx.now().await?;
            let row = store::saga(tx, saga).await?.ok_or(DecideError::NoSuchSaga(saga))?;
            let program = core.program_of(&row).ok_or_else(|| DecideError::NoDefinition {
                kind: row.kind.clone(),
                version: row.version,
            })?;
            let steps = store::steps(tx, saga).await?;
            let (mut machine, stored) = machine_of(&program, &row, steps)
                .map_err(|why| DecideError::Unreadable(format!("{why:?}")))?;
            decision(&mut machine, now)?;
            Ok(store::decide(tx, &row, &machine, &stored, now).await?)
        });
        match decided.await.into_result() {
            Ok(()) => {
                self.0.core.look.notify_one();
                Ok(())
            }
            Err(WriteError::NotSaved(error)) => Err(error),
            Err(WriteError::InDoubt(txid)) => Err(DecideError::InDoubt(txid)),
        }
    }

    /// Takes away the records of sagas that were over before an instant; how many. A saga
    /// that is started again under an id that was taken away runs again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget(&self, before: UnixMicros) -> Result<usize, DecideError> {
        let mut forgotten = 0;
        loop {
            let some = self
                .0
                .core
                .store
                .write(async move |tx: &mut Tx| store::forget(tx, before, BATCH).await);
            match some.await.into_result() {
                Ok(0) => return Ok(forgotten),
                Ok(some) => forgotten += some,
                Err(WriteError::NotSaved(error)) => return Err(error.into()),
                Err(WriteError::InDoubt(txid)) => return Err(DecideError::InDoubt(txid)),
            }
        }
    }
}

impl Core {
    /// The definition of a saga, where this program has it.
    pub(super) fn program_of(&self, row: &SagaRow) -> Option<Arc<Program>> {
        let of = |((name, version), _): &(&(&'static str, u32), &Arc<Program>)| {
            *name == row.kind && *version == row.version
        };
        let (_, program) = self.programs.iter().find(of)?;
        (program.fingerprint() == row.fingerprint).then(|| Arc::clone(program))
    }

    /// Leaves a saga to an operator that was taken over again and again.
    pub(super) async fn give_up(
        &self,
        program: &Program,
        row: &SagaRow,
        steps: Vec<(usize, String, StepRecord)>,
    ) {
        let Ok((mut machine, stored)) = machine_of(program, row, steps) else { return };
        machine.give_up(&format!(
            "the process that drove it ended {} times with nothing done in between",
            row.taken_over
        ));
        let (saga, row) = (row.id, row.clone());
        let given_up =
            self.store.write(async move |tx: &mut Tx| match store::saga(tx, row.id).await? {
                Some(now) if now.fence == row.fence && now.revision == row.revision => {
                    let at = tx.now().await?;
                    store::decide(tx, &row, &machine, &stored, at).await
                }
                _ => Ok(()),
            });
        match given_up.await.into_result() {
            Ok(()) => tracing::error!(%saga, "a saga is stuck: an operator has to decide"),
            Err(why) => tracing::warn!(%saga, %why, "a saga could not be given up"),
        }
    }
}
