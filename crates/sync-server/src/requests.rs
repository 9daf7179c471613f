//! How many requests of one account are answered at once.
//!
//! Pushes of an account wait for each other, each with a connection to every master: an
//! account that sends many at once would keep others from writing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sync::model::AccountId;

use crate::{REQUESTS_MAX, SyncError};

/// By account, how many are being answered.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<HashMap<AccountId, usize>>);

/// One that is being answered: until this is dropped.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    all: &'a Requests,
    account: AccountId,
}

impl Requests {
    pub(crate) fn begin(&self, account: AccountId) -> Result<Request<'_>, SyncError> {
        let mut all = self.lock();
        let count = all.entry(account).or_default();
        if *count >= REQUESTS_MAX {
            return Err(SyncError::TooManyRequests);
        }
        *count += 1;
        Ok(Request { all: self, account })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Request<'_> {
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
