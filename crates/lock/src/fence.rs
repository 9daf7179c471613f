//! The number of a holder, and the check of it in the store that a lock protects.

use std::fmt;

use multi_master::{DbError, Tx};

use crate::store;

/// The number of a holder of a lock: greater than that of every holder before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who writes has lost the lock, and somebody else has written since.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FenceError {
    /// A later holder was here. Nothing may be written: give the work up.
    #[error("holder {mine} of `{name}` was late: holder {seen} has written since")]
    Late {
        /// Of which lock.
        name: String,
        /// Whose write it is.
        mine: Fence,
        /// The greatest that has written.
        seen: Fence,
    },
    /// The store said no.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Refuses a write of a holder that is late. To be called in the transaction that writes,
/// first: the row that it holds keeps every other holder of this name out until the commit.
///
/// ```
/// use std::time::Duration;
///
/// use lock::fence::{self, FenceError};
/// use lock::{Config, Fence, Locks};
/// use multi_master::{MultiMaster, Policy, Tx};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// let config = multi_master::Config::embedded(folder.path(), Policy::All);
/// let store = MultiMaster::open(config, lock::MIGRATIONS).await?;
/// let write = async |fence: Fence| {
///     let written = store.write(async move |tx: &mut Tx| {
///         fence::check(tx, "stock", fence).await?;
///         // … the rows that the lock is about …
///         Ok::<_, FenceError>(())
///     });
///     written.await.into_result()
/// };
///
/// let locks = Locks::local(Config::default())?;
/// let early = locks.lock("stock", Duration::ZERO).await?;
/// let number = early.fence();
/// early.release().await;
/// let late = locks.lock("stock", Duration::ZERO).await?;
/// write(late.fence()).await?;
/// assert!(write(number).await.is_err(), "it stood still, and somebody else has written");
/// # store.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`FenceError`].
pub async fn check(tx: &mut Tx, name: &str, fence: Fence) -> Result<(), FenceError> {
    let seen = store::greatest(tx, name).await?;
    if seen.is_some_and(|seen| fence < seen) {
        let seen = seen.unwrap_or_default();
        return Err(FenceError::Late { name: name.to_owned(), mine: fence, seen });
    }
    if seen != Some(fence) {
        store::put_greatest(tx, name, fence, seen.is_none()).await?;
    }
    Ok(())
}
