//! How many requests of one account are answered at once.
//!
//! Pushes of an account wait for each other, each with a connection to every master: an
//! account that sends many at once would keep others from writing. A request counts until
//! its write or its read is over, also where the client has gone away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync::model::AccountId;

use crate::{REQUESTS_MAX, SyncError};

/// By account, how many are being answered. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Mutex<HashMap<AccountId, usize>>>);

/// One that is being answered: until the last clone of this is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Request(
    #[expect(dead_code, reason = "it counts while it is there")] Arc<Counted>,
);

#[derive(Debug)]
struct Counted {
    all: Requests,
    account: AccountId,
}

impl Requests {
    pub(crate) fn begin(&self, account: AccountId) -> Result<Request, SyncError> {
        let mut all = self.lock();
        let count = all.entry(account).or_default();
        if *count >= REQUESTS_MAX {
            return Err(SyncError::TooManyRequests);
        }
        *count += 1;
        Ok(Request(Arc::new(Counted { all: self.clone(), account })))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.account);
            }
        }
    }
}
