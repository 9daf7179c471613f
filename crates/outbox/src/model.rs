//! The words: events, deliveries, what a subscriber says.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use stdx::UnixMicros;

stdx::id_type! {
    /// Identifies one event: the same for all who get it, each time that they do.
    pub struct EventId;
}

stdx::id_type! {
    /// Identifies one event for one subscriber.
    pub struct DeliveryId;
}

/// An event on its way to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which.
    pub id: DeliveryId,
    /// Of which event.
    pub event_id: EventId,
    /// What it is about.
    pub topic: String,
    /// Who gets it.
    pub subscriber: String,
    /// Those of one key come one after the other, in the order in which they were emitted.
    pub key: String,
    pub(crate) place: i64,
    /// What happened, as JSON.
    pub event: Arc<str>,
    /// When, by the clock of the database.
    pub emitted: UnixMicros,
    /// Which try it is, from 1.
    pub attempt: u32,
}

impl Delivery {
    /// What happened.
    ///
    /// # Errors
    /// [`HandleError::Poison`] where it is of another type: it will not be another one the
    /// next time.
    pub fn read<E: DeserializeOwned>(&self) -> Result<E, HandleError> {
        serde_json::from_str(&self.event)
            .map_err(|error| HandleError::Poison(format!("the event can't be read: {error}")))
    }
}

/// An event that was put aside, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Which, and how often it was tried.
    pub delivery: Delivery,
    /// Why the last try failed.
    pub error: String,
}

/// Why a subscriber did not take an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// It may the next time.
    #[error("{0}")]
    Again(String),
    /// It never will: it is put aside at once.
    #[error("{0}")]
    Poison(String),
}

/// Who gets events.
pub trait Handler: Send + Sync + 'static {
    /// Takes one. It may come again: see [`crate::inbox::first_time`].
    fn handle(&self, delivery: &Delivery) -> impl Future<Output = Result<(), HandleError>> + Send;
}

/// Somewhere that events go to, in a form of the caller's.
pub trait Sink: Send + Sync + 'static {
    /// Sends a body about an event.
    ///
    /// # Errors
    /// [`HandleError::Again`] where it did not arrive, or was not taken.
    fn send(
        &self,
        delivery: &Delivery,
        body: String,
    ) -> impl Future<Output = Result<(), HandleError>> + Send;
}
