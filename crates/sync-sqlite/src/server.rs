//! What is asked of the other side.

use sync::engine::Trouble;
use sync::model::Version;
use sync::wire::{Pull, PullAnswer, Push, PushAnswer};
use tokio::sync::mpsc;

/// The other side, as a device reaches it.
///
/// None of these waits without a bound, but for [`Server::live`]. A future of theirs
/// that is dropped is a request that was given up.
#[expect(async_fn_in_trait, reason = "they run on the task that drives the device")]
pub trait Server {
    /// Whether the server is there and well. Only an answer that is surely its own is
    /// a yes: the page of a captive portal is none.
    async fn is_well(&self) -> bool;

    /// Whether what the server needs from outside is there, as far as it says.
    async fn is_source_well(&self) -> bool;

    /// Sends operations.
    ///
    /// # Errors
    /// [`Trouble`]: there is no answer that counts.
    async fn push(&self, push: &Push) -> Result<PushAnswer, Trouble>;

    /// Asks for changes.
    ///
    /// # Errors
    /// [`Trouble`]: there is no answer that counts.
    async fn pull(&self, pull: &Pull) -> Result<PullAnswer, Trouble>;

    /// Listens, and tells the number of the last change each time that it hears of one,
    /// until nothing more is to be heard.
    async fn live(&self, heard: mpsc::Sender<Version>);
}
