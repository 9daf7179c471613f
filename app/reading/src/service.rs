//! The operations of reading: what can be asked for and done.
//!
//! A [`ReadingService`] is cheap to clone; clones are one service. Every
//! operation on a reader's things takes the reader's id, and an id of somebody
//! else's thing is "not found".

pub mod error;

pub mod books;

pub mod catalogue;

pub mod shelf;

pub mod memos;

pub mod incoming;

pub mod importing;

mod goodreads;

pub mod transfer;

pub mod demo;

mod running;

pub mod sync;

use std::fmt;
use std::sync::Arc;

use multi_master::{MultiMaster, Tx};
use stdx::{Clock, IdSource, UnixMicros};
use sync_server::SyncServer;

pub use error::ReadingError;

use crate::collation::ShelfCollator;
use crate::model::ReaderId;
use crate::sources::BookSources;
use importing::Imports;
use running::Running;

/// How often a write is run again when it met another and a unique index
/// decided. The second run sees the other's rows, so that more than one is
/// needed only when they are deleted and made again in between.
const MEETINGS_MAX: u32 = 3;

/// The operations of reading.
#[derive(Clone)]
pub struct ReadingService(Arc<Inner>);

struct Inner {
    store: MultiMaster,
    sources: BookSources,
    clock: Clock,
    ids: IdSource,
    korean: ShelfCollator,
    english: ShelfCollator,
    /// Requests with an idempotency key that run in this process.
    requests: Running<(ReaderId, String)>,
    imports: Imports,
    scans: books::Scans,
    sync: SyncServer<sync::Synced>,
}

impl fmt::Debug for ReadingService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadingService").finish_non_exhaustive()
    }
}

impl ReadingService {
    /// A service over a store that was opened with [`crate::MIGRATIONS`], and
    /// the sources that are asked for what its catalogue does not have.
    #[must_use]
    pub fn new(store: MultiMaster, sources: BookSources, clock: Clock, ids: IdSource) -> Self {
        let synced = sync::Synced::new(ids.clone());
        let limits = sync_server::Limits::default();
        let sync = SyncServer::new(store.clone(), synced, limits, clock.clone());
        Self(Arc::new(Inner {
            store,
            sources,
            clock,
            ids,
            korean: ShelfCollator::for_language("ko"),
            english: ShelfCollator::for_language("en"),
            requests: Running::default(),
            imports: Imports::default(),
            scans: books::Scans::default(),
            sync,
        }))
    }

    fn now(&self) -> UnixMicros {
        self.0.clock.now()
    }

    /// Writes, and runs again what met another write of the same thing.
    async fn write<T, F>(&self, closure: F) -> Result<T, ReadingError>
    where
        F: AsyncFn(&mut Tx) -> Result<T, ReadingError> + Clone + Send + 'static,
        T: Send + 'static,
    {
        let mut meetings = 0;
        loop {
            let result: Result<T, ReadingError> =
                self.0.store.write(closure.clone()).await.into_result().map_err(Into::into);
            match result {
                Err(error) if error.is_meeting() && meetings < MEETINGS_MAX => meetings += 1,
                result => return result,
            }
        }
    }
}
