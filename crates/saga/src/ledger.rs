//! The other end of a call: a service that does a step once, however often it is asked, and
//! undoes it also where it was never asked.
//!
//! A ledger is a table beside the service's own. [`Ledger::forward`] writes what the step did
//! and its answer in one commit, and answers a repeat as the first time, also where the
//! answer was no. [`Ledger::undo`] undoes it once; where the step has not come yet it leaves
//! a tombstone, and the step that comes late is refused.
//!
//! ```
//! use multi_master::{Config, MultiMaster, Policy};
//! use saga::ledger::{self, Ledger};
//! use saga::{Fence, StepError, StepKey};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let config = Config::embedded(folder.path(), Policy::All);
//! let store = MultiMaster::open(config, ledger::MIGRATIONS).await?;
//! let ledger = Ledger::new(store.clone());
//!
//! // The saga has sent the key and the number of its owner with its request.
//! let key: StepKey = "0190163d-8694-739b-aea5-966c26f8ad91/pay".parse()?;
//! let paid = ledger.forward(&key, Fence(1), async |_tx| Ok::<_, StepError>(12_000)).await?;
//! let again = ledger.forward(&key, Fence(1), async |_tx| Ok::<_, StepError>(99)).await?;
//! assert_eq!((paid, again), (12_000, 12_000), "the answer of the first time");
//!
//! ledger.undo(&key, Fence(1), async |_tx, paid: u32| {
//!     assert_eq!(paid, 12_000);
//!     Ok(())
//! })
//! .await?;
//! let late = ledger.forward(&key, Fence(1), async |_tx| Ok::<_, StepError>(99)).await;
//! assert!(matches!(late, Err(StepError::Refused(why)) if why.code == "UNDONE"));
//! # store.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Pat Helland, *Life beyond Distributed Transactions*, 2007.

use multi_master::{
    Column, DbError, Index, Kind, Migration, MultiMaster, Step, Table, Tx, WriteError,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stdx::UnixMicros;

use crate::model::{Fence, NAME_CHARS_MAX, Refusal, StepError, StepKey};
use crate::schema::{CODE_CHARS_MAX, ERROR_CHARS_MAX, JSON_CHARS_MAX};
use crate::store::ledger as rows;
use crate::wire;

/// To be put among the migrations of the service's store.
pub const MIGRATIONS: &[Migration] =
    &[Migration { name: "saga-ledger-1", steps: &[Step::CreateTable(LEDGER)] }];

const LEDGER: Table = Table {
    name: "saga_ledger",
    key: &["saga_id", "step"],
    columns: &[
        Column::new("saga_id", Kind::Id),
        Column::new("step", Kind::Text { chars_max: NAME_CHARS_MAX }),
        // DONE with an output, REFUSED with a code and an error, or UNDONE.
        Column::new("state", Kind::Text { chars_max: 16 }),
        Column::nullable("output", Kind::Text { chars_max: JSON_CHARS_MAX }),
        Column::nullable("code", Kind::Text { chars_max: CODE_CHARS_MAX }),
        Column::nullable("error", Kind::Text { chars_max: ERROR_CHARS_MAX }),
        // The greatest that has asked.
        Column::new("fence", Kind::Int),
        Column::new("asked_at", Kind::Time),
    ],
    indexes: &[Index { name: "saga_ledger_asked", columns: &["asked_at"], unique: false }],
};

/// What a service has done of sagas.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: MultiMaster,
}

/// What the ledger has of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Done(String),
    Refused(Refusal),
    Undone,
}

impl Ledger {
    /// Over a store that was opened with [`MIGRATIONS`] among its migrations.
    #[must_use]
    pub const fn new(store: MultiMaster) -> Self {
        Self { store }
    }

    /// Does a step, once. `effect` may run several times, as every write.
    ///
    /// # Errors
    /// [`StepError::Refused`] where the effect says no, said no before, or the step was
    /// undone already (code `UNDONE`); [`StepError::Failed`] where nothing was done;
    /// [`StepError::Unknown`] where nobody knows.
    pub async fn forward<T, F>(
        &self,
        key: &StepKey,
        fence: Fence,
        effect: F,
    ) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: AsyncFn(&mut Tx) -> Result<T, StepError> + Send + 'static,
    {
        let of = key.clone();
        let done =
            self.store.write(async move |tx: &mut Tx| match rows::entry(tx, &of, fence).await? {
                Some(Entry::Done(json)) => wire::read(&of.step, &json)
                    .map_err(|error| StepError::Failed(error.to_string())),
                Some(Entry::Refused(refusal)) => Err(StepError::Refused(refusal)),
                Some(Entry::Undone) => {
                    Err(StepError::refused("UNDONE", "this step was undone before it came"))
                }
                None => {
                    let output = effect(tx).await?;
                    let json = wire::write(&of.step, &output)
                        .map_err(|error| StepError::Failed(error.to_string()))?;
                    rows::put(tx, &of, fence, &Entry::Done(json), true).await?;
                    Ok(output)
                }
            });
        match done.await.into_result() {
            Ok(output) => Ok(output),
            Err(WriteError::InDoubt(txid)) => Err(in_doubt(txid)),
            Err(WriteError::NotSaved(StepError::Refused(refusal))) => {
                self.refuse(key, fence, refusal).await
            }
            Err(WriteError::NotSaved(error)) => Err(failed(error)),
        }
    }

    /// A repeat has to hear the same, whatever has changed since.
    async fn refuse<T>(
        &self,
        key: &StepKey,
        fence: Fence,
        refusal: Refusal,
    ) -> Result<T, StepError> {
        let (of, kept) = (key.clone(), refusal.clone());
        let kept =
            self.store.write(async move |tx: &mut Tx| match rows::entry(tx, &of, fence).await? {
                None => {
                    rows::put(tx, &of, fence, &Entry::Refused(kept.clone()), true).await?;
                    Ok(true)
                }
                Some(Entry::Done(_)) => Ok(false),
                Some(Entry::Refused(_) | Entry::Undone) => Ok(true),
            });
        match kept.await.into_result() {
            Ok(true) => Err(StepError::Refused(refusal)),
            Ok(false) => Err(StepError::Unknown(
                "another request of this step was quicker: ask again".into(),
            )),
            Err(WriteError::InDoubt(txid)) => Err(in_doubt(txid)),
            Err(WriteError::NotSaved(error)) => Err(failed(error)),
        }
    }

    /// Undoes a step, once: `effect` is given what the step gave back. What never ran is not
    /// undone, and refused from now on.
    ///
    /// # Errors
    /// [`StepError::Failed`] where nothing was done, [`StepError::Unknown`] where nobody
    /// knows: ask again.
    pub async fn undo<T, F>(&self, key: &StepKey, fence: Fence, effect: F) -> Result<(), StepError>
    where
        T: DeserializeOwned + Send + 'static,
        F: AsyncFn(&mut Tx, T) -> Result<(), StepError> + Send + 'static,
    {
        let of = key.clone();
        let undone = self.store.write(async move |tx: &mut Tx| {
            match rows::entry(tx, &of, fence).await? {
                None => rows::put(tx, &of, fence, &Entry::Undone, true).await?,
                Some(Entry::Undone | Entry::Refused(_)) => {}
                Some(Entry::Done(json)) => {
                    let output = wire::read(&of.step, &json)
                        .map_err(|error| StepError::Failed(error.to_string()))?;
                    effect(tx, output).await?;
                    rows::put(tx, &of, fence, &Entry::Undone, false).await?;
                }
            }
            Ok(())
        });
        match undone.await.into_result() {
            Ok(()) => Ok(()),
            Err(WriteError::InDoubt(txid)) => Err(in_doubt(txid)),
            Err(WriteError::NotSaved(error)) => Err(failed(error)),
        }
    }

    /// Takes away what was asked last before an instant: how many. What comes later than
    /// that is done again: keep them for longer than a saga can take.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn forget(&self, before: UnixMicros) -> Result<usize, WriteError<DbError>> {
        let mut forgotten = 0;
        loop {
            let some =
                self.store.write(async move |tx: &mut Tx| rows::forget(tx, before, 100).await);
            match some.await.into_result()? {
                0 => return Ok(forgotten),
                some => forgotten += some,
            }
        }
    }
}

fn in_doubt(txid: multi_master::TxId) -> StepError {
    StepError::Unknown(format!("it is not known yet whether transaction {txid} was saved"))
}

fn failed(error: StepError) -> StepError {
    match error {
        StepError::Unknown(why) => StepError::Failed(why),
        StepError::Db(error) => StepError::Failed(error.to_string()),
        other => other,
    }
}
