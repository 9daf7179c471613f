//! What is known of a saga, for people and programs.

use multi_master::DbError;
use serde::de::DeserializeOwned;
use stdx::UnixMicros;
use uuid::Uuid;

use super::Sagas;
use crate::definition::Step;
use crate::machine::{Cause, StepRecord};
use crate::model::{Fence, SagaId, SagaState};
use crate::store::{self, Listing, SagaRow};
use crate::wire::{self, JsonError};

/// A saga, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaView {
    /// Which.
    pub id: SagaId,
    /// The name of its definition.
    pub kind: String,
    /// And its version.
    pub version: u32,
    /// How it stands.
    pub state: SagaState,
    /// Whether it goes forward, also where it is stuck.
    pub is_forward: bool,
    /// What it was started with, as JSON.
    pub input: String,
    /// Why it turned back, or is stuck.
    pub cause: Option<Cause>,
    /// When it was started.
    pub started: UnixMicros,
    /// When it was over.
    pub finished: Option<UnixMicros>,
    /// Which process drives it.
    pub owner: Option<Uuid>,
    /// Until when nobody else may.
    pub lease_until: UnixMicros,
    /// Which owner that is.
    pub fence: Fence,
    /// Its steps, those that were begun, in order. (All of them, where this program has its
    /// definition.)
    pub steps: Vec<StepView>,
}

/// A step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepView {
    /// Its place, from 0.
    pub place: usize,
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub record: StepRecord,
}

impl SagaView {
    /// What a step gave back, where it is done.
    ///
    /// # Errors
    /// [`JsonError`] where it is not of that type.
    pub fn output<S: Step>(&self) -> Result<Option<S::Output>, JsonError> {
        let step = self.steps.iter().find(|step| step.name == S::NAME);
        let json = step.and_then(|step| step.record.output.as_deref());
        json.map(|json| wire::read(S::NAME, json)).transpose()
    }

    /// What it was started with.
    ///
    /// # Errors
    /// [`JsonError`] where it is not of that type.
    pub fn input<I: DeserializeOwned>(&self) -> Result<I, JsonError> {
        wire::read("the input", &self.input)
    }

    pub(super) fn of(row: SagaRow, steps: Vec<StepView>) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            version: row.version,
            state: row.state,
            is_forward: row.forward,
            input: row.input.to_string(),
            cause: row.cause,
            started: row.started,
            finished: row.finished,
            owner: row.owner,
            lease_until: row.lease_until,
            fence: row.fence,
            steps,
        }
    }
}

impl Sagas {
    /// A saga with its steps, whichever process drives it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn view(&self, saga: SagaId) -> Result<Option<SagaView>, DbError> {
        let found = self.0.core.store.read(async move |db| store::whole(db, saga).await).await?;
        let Some((row, begun)) = found else { return Ok(None) };
        let mut steps: Vec<StepView> = begun
            .into_iter()
            .map(|(at, name, record)| StepView { place: at, name, record })
            .collect();
        if let Some(program) = self.0.core.program_of(&row) {
            for (at, shape) in program.shape.steps.iter().enumerate() {
                if steps.get(at).is_none_or(|step| step.place != at) {
                    let waiting = StepView {
                        place: at,
                        name: shape.name.to_owned(),
                        record: StepRecord::default(),
                    };
                    steps.insert(at, waiting);
                }
            }
        }
        Ok(Some(SagaView::of(row, steps)))
    }

    /// Sagas without their steps, the latest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, listing: Listing) -> Result<Vec<SagaView>, DbError> {
        let rows = self.0.core.store.read(async move |db| store::list(db, &listing).await).await?;
        Ok(rows.into_iter().map(|row| SagaView::of(row, Vec::new())).collect())
    }

    /// How many are in a state. An alarm is due while some are [`SagaState::Stuck`].
    ///
    /// # Errors
    /// Those of the store.
    pub async fn count(&self, state: SagaState) -> Result<u64, DbError> {
        self.0.core.store.read(async move |db| store::count(db, state).await).await
    }

    /// Sagas that are not over and of definitions that this program has not: the first 100.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_others(&self) -> Result<Vec<SagaView>, DbError> {
        let known = self.0.core.known.clone();
        let rows = self
            .0
            .core
            .store
            .read(async move |db| store::of_others(db, &known, super::BATCH).await)
            .await?;
        Ok(rows.into_iter().map(|row| SagaView::of(row, Vec::new())).collect())
    }
}
