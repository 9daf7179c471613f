//! A store, and what every operation on it needs.

use std::fmt;
use std::str::FromStr;

use endpaper_api::{FieldProblem, Text};
use multi_master::{MultiMaster, Tx};
use saga::ledger::Ledger;
use stdx::ids::Id;
use stdx::{Clock, IdSource, UnixMicros};

use super::{SAGAS_KEPT, ShopError};

/// The version of the UUIDs that we derive.
const DERIVED: usize = 8;

/// How often a write is run again when it met another one, and a key decided. The second run
/// sees the other's rows.
const MEETINGS_MAX: u32 = 3;

/// The store of a part of the shop.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) store: MultiMaster,
    pub(crate) clock: Clock,
    ids: IdSource,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").finish_non_exhaustive()
    }
}

impl Base {
    pub(crate) const fn new(store: MultiMaster, clock: Clock, ids: IdSource) -> Self {
        Self { store, clock, ids }
    }

    pub(crate) fn now(&self) -> UnixMicros {
        self.clock.now()
    }

    /// The id that a client gave, or a new one. Those that we derive from others
    /// ([`crate::rules::derived`]) no client may take before us.
    pub(crate) fn id_of<I: Id + FromStr>(&self, given: Option<&Text>) -> Result<I, FieldProblem> {
        match given {
            Some(given) => given
                .parse()
                .ok()
                .filter(|id: &I| id.uuid().get_version_num() != DERIVED)
                .ok_or(FieldProblem::NotAnId),
            None => Ok(I::from_uuid(self.ids.next_uuid())),
        }
    }

    /// Writes, and runs again what met another write of the same thing.
    pub(crate) async fn write<T, F>(&self, closure: F) -> Result<T, ShopError>
    where
        F: AsyncFn(&mut Tx) -> Result<T, ShopError> + Clone + Send + 'static,
        T: Send + 'static,
    {
        let mut meetings = 0;
        loop {
            let result = self.store.write(closure.clone()).await.into_result();
            match result.map_err(ShopError::from) {
                Err(error) if error.is_meeting() && meetings < MEETINGS_MAX => meetings += 1,
                result => return result,
            }
        }
    }

    /// Forgets what sagas asked of this part that were over long ago: twice as long as they are
    /// kept themselves.
    pub(super) async fn forget_asks(&self) -> Result<(), ShopError> {
        let before = self.now().before(2 * SAGAS_KEPT);
        let forgotten = Ledger::new(self.store.clone()).forget(before).await;
        Ok(forgotten.map(drop)?)
    }
}
