//! A store that went on without some of its writes.

use multi_master::{MultiMaster, Tx};

use crate::SyncError;
use crate::store;

/// Accounts of one write.
const AT_ONCE: u32 = 200;

/// Ends the change log of every account, and begins another one. It has to be called where
/// the store went on without writes that devices may have been told of: where an operator
/// decided which master goes on, though others had more. Devices then bring back what is
/// missing. A store that was made of a backup needs it not.
///
/// # Errors
/// [`SyncError::Db`], [`SyncError::InDoubt`]: it can be called again.
pub async fn end_logs(store: &MultiMaster) -> Result<(), SyncError> {
    let mut after = None;
    loop {
        let write = store.write(async move |tx: &mut Tx| {
            let accounts = store::accounts_after(tx, after, AT_ONCE).await?;
            for account in &accounts {
                let Some(mut account) = store::account(tx, *account).await? else { continue };
                store::begin_log(tx, &mut account).await?;
            }
            Ok::<_, SyncError>(accounts.last().copied())
        });
        after = write.await.into_result().map_err(SyncError::from)?;
        if after.is_none() {
            return Ok(());
        }
    }
}
