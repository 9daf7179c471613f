//! The server's half of [`sync`]: operations of devices are settled once, and every
//! device of the account hears what changed.
//!
//! | module | what it has |
//! |---|---|
//! | [`domain`] | [`Domain`]: what the program around it gives: its tables, its rules, its rows |
//! | [`push`] | settling operations |
//! | [`pull`] | telling what changed |
//! | [`note()`] | changes that come by another way than a push |
//! | [`live`] | who listens |
//! | [`schema`] | its own tables, as migrations |
//!
//! # What is where
//!
//! The *values* of a record are in the program's own tables, which it reads and
//! writes as it likes: [`Domain`] says how. This crate keeps beside them, in one row
//! for each record, when and by whom each field was last set, where the record stands
//! in the change log of its account, and what the last operation of each device on it
//! came to ([`sync::inbox`]). So a push of 50 new records is 100 rows and three more,
//! in one transaction on every master.
//!
//! # What is promised
//!
//! - *Once*: the last operation of a device on a record, where it comes again, in this
//!   process or another one, after a crash or a failover, is answered as the first time
//!   and changes nothing; of what was merged the record is told as it is now. An older
//!   one is refused. A device sends the next operation of a record when it has the
//!   answer to the one before; of two in one request the second is left out.
//! - *All or nothing, one by one*: what an operation changes, its place in the change
//!   log and its answer are one transaction. One that is refused spoils no other of
//!   its request.
//! - *No gaps*: who has pulled up to a version has every change up to it. Versions of
//!   an account are given out under a lock on the account's row, which is held until
//!   the commit.
//! - *One odd row* keeps nobody waiting: an operation that can't be settled is left out of
//!   its push, and a record that can't be read is told to no device; the log says which. (Who pulls all
//!   anew waits until it was mended: what it is not told it takes for gone.)
//!   Where it was mended, [`end_logs`] has every device ask for all once more.
//! - *One account* keeps no other waiting: what it may send, and how much at once, is bounded
//!   ([`OPERATIONS_MAX`], [`CHANGES_MAX`], [`REQUESTS_MAX`], [`DEVICES_MAX`],
//!   [`live::LISTENERS_MAX`]).
//! - *Deletions* are remembered for 90 days at least ([`Limits`]). A device that was away
//!   for longer is told to begin anew.
//!
//! # What it does not do
//!
//! - It speaks no HTTP and knows no log-in: the program around it does, and says whose
//!   request it is.
//! - It notices that its store was put back from a backup where that makes a store with
//!   another id, as [`multi_master::archive::restore`] does. Where it went on without writes that
//!   devices were told of, [`end_logs`] has to be called; where files were put back by
//!   hand, it is noticed by a device that has pulled more than there is. Revisions that
//!   were lost with it no device brings back.
//! - What a device is refused is remembered for good, also of records that never were.
//! - All processes have to be of one version: what one without [`note()`] writes no
//!   device is told.

pub mod domain;
pub mod live;
pub mod pull;
pub mod push;
pub mod schema;

mod logs;
mod note;
mod requests;
mod state;
mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use multi_master::{DbError, MultiMaster, TxId, WriteError};
use stdx::{Clock, HybridTime};
use sync::model::{AccountId, Version};
use sync::wire::PROTOCOL;

pub use self::domain::{Domain, Refusal};
pub use self::logs::end_logs;
pub use self::note::{Note, note};
pub use self::schema::MIGRATIONS;
use self::store::Account;

/// Operations of one push at most. Devices of ours send 50.
pub const OPERATIONS_MAX: usize = 200;
/// Records of one answer to a pull at most.
pub const CHANGES_MAX: u32 = 1_000;
/// An answer to a pull ends after so many bytes, about, and says that there is more.
pub const CHANGES_BYTES_MAX: usize = 1 << 20;
/// Devices of one account at most; one that was not seen for seven days makes room.
pub const DEVICES_MAX: usize = 200;

/// Pushes and pulls of one account that a process answers at once. Devices of ours send one
/// at a time.
pub const REQUESTS_MAX: usize = 8;

/// What can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a deletion is remembered at least: a device that was away for longer
    /// pulls everything anew. Default 90 days.
    pub tombstone_kept: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tombstone_kept: Duration::from_hours(90 * 24) }
    }
}

/// The server's half: cheap to clone, clones are one.
pub struct SyncServer<D>(Arc<Inner<D>>);

struct Inner<D> {
    store: MultiMaster,
    domain: Arc<D>,
    limits: Limits,
    clock: Clock,
    listeners: live::Listeners,
    requests: requests::Requests,
}

impl<D> Clone for SyncServer<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> fmt::Debug for SyncServer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncServer").finish_non_exhaustive()
    }
}

/// Why a request as a whole has no answer. Nothing of it was settled, unless it says
/// that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// It is of another version of the protocol.
    #[error("this server speaks version {ours} of the sync protocol, and not {0}", ours = PROTOCOL)]
    Protocol(u32),
    /// It is of another account than the one that is logged in.
    #[error("these edits are of another account: log in as that one")]
    WrongAccount,
    /// It has more operations than are taken at once.
    #[error("{0} operations in one request, and at most {OPERATIONS_MAX} are taken")]
    TooManyOperations(usize),
    /// The account has too many devices.
    #[error("an account has {DEVICES_MAX} devices at most")]
    TooManyDevices,
    /// It was made by a newer program than this server.
    #[error("the edits are of a newer program (schema {theirs}) than this server ({ours})")]
    NewerSchema {
        /// Of the operation.
        theirs: u32,
        /// Of the server.
        ours: u32,
    },
    /// Changes after the cursor were forgotten: everything is to be pulled anew.
    #[error("the cursor is older than what is remembered: pull everything anew")]
    Expired,
    /// As many requests of the account are being answered as may.
    #[error("{REQUESTS_MAX} requests of this account are being answered: come back in a moment")]
    TooManyRequests,
    /// As many listen to the account as may.
    #[error("{max} listen to this account already", max = live::LISTENERS_MAX)]
    TooManyListeners,
    /// The server stops.
    #[error("the server stops")]
    Stopping,
    /// The store said no.
    #[error("{0}")]
    Db(#[from] DbError),
    /// It may be saved: sent again, it gets its one answer.
    #[error("it is not known yet whether transaction {0} was saved: send it again")]
    InDoubt(TxId),
}

impl From<WriteError<Self>> for SyncError {
    fn from(error: WriteError<Self>) -> Self {
        match error {
            WriteError::NotSaved(error) => error,
            WriteError::InDoubt(txid) => Self::InDoubt(txid),
        }
    }
}

impl<D: Domain> SyncServer<D> {
    /// Over a store that was opened with [`MIGRATIONS`] among its migrations.
    #[must_use]
    pub fn new(store: MultiMaster, domain: D, limits: Limits, clock: Clock) -> Self {
        let domain = Arc::new(domain);
        let (listeners, requests) = (live::Listeners::default(), requests::Requests::default());
        Self(Arc::new(Inner { store, domain, limits, clock, listeners, requests }))
    }

    /// The last change of an account.
    ///
    /// # Errors
    /// [`SyncError::Db`].
    pub async fn head(&self, account: AccountId) -> Result<Version, SyncError> {
        Ok(self.listed(account).await?.head)
    }

    /// The account, once all that it has is in its change log.
    async fn listed(&self, account: AccountId) -> Result<Account, SyncError> {
        loop {
            let read = self.0.store.read(async move |db| {
                let known = store::account(db, account).await?;
                Ok::<_, DbError>(
                    known.filter(|known| known.listed && known.store == Some(db.store_id())),
                )
            });
            if let Some(known) = read.await? {
                return Ok(known);
            }
            note::list_some(&self.0, account).await?;
        }
    }

    /// The server's time for an account: it never goes back, in no process.
    fn time(&self, account: &Account) -> HybridTime {
        HybridTime::from_wall(self.0.clock.now()).max(account.time)
    }
}
