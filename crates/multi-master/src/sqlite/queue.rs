//! A queue that is closed: what waits in it is still taken, and nothing more
//! comes in.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crossbeam_channel::{Sender, TrySendError};

/// The end into which work is put. Clones are closed together. When it is
/// closed, the receivers are disconnected after the last message: none is left
/// behind in a queue that nobody reads.
pub(super) struct Closable<T>(Arc<RwLock<Option<Sender<T>>>>);

impl<T> fmt::Debug for Closable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closable").finish_non_exhaustive()
    }
}

impl<T> Clone for Closable<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Closable<T> {
    /// `sender` is the only one.
    pub(super) fn new(sender: Sender<T>) -> Self {
        Self(Arc::new(RwLock::new(Some(sender))))
    }

    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Some(sender) => sender.try_send(message),
            None => Err(TrySendError::Disconnected(message)),
        }
    }

    pub(super) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
