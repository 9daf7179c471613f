//! Each event once in effect: where what a subscriber does is in the same store.

use multi_master::{DbError, MultiMaster, Tx, WriteError};
use stdx::UnixMicros;

use crate::model::{Delivery, EventId};
use crate::store;

/// Whether this subscriber gets this event for the first time. To be called in the transaction
/// that does what the event asks for: saved with it, it is done once, however often it comes.
///
/// # Errors
/// Those of the store.
pub async fn first_time(tx: &mut Tx, delivery: &Delivery) -> Result<bool, DbError> {
    store::first_time(tx, &delivery.subscriber, delivery.event_id).await
}

/// The same for an event that came from another store, as over HTTP: whether who is called
/// `subscriber` here gets it for the first time.
///
/// # Errors
/// Those of the store.
pub async fn first_time_of(tx: &mut Tx, subscriber: &str, event: EventId) -> Result<bool, DbError> {
    store::first_time(tx, subscriber, event).await
}

/// Forgets what was done before an instant: how many. What comes later than that is done
/// again.
///
/// # Errors
/// Those of the store.
pub async fn forget(store: &MultiMaster, before: UnixMicros) -> Result<usize, WriteError<DbError>> {
    let mut forgotten = 0;
    loop {
        let some = store.write(async move |tx: &mut Tx| store::forget(tx, before, 100).await);
        match some.await.into_result()? {
            0 => return Ok(forgotten),
            some => forgotten += some,
        }
    }
}
