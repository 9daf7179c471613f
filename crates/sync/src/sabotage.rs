//! Planted bugs: mistakes that outboxes are known to have, so that it can be seen that
//! the simulation finds them.
//!
//! Without the feature `faults` none can be planted, and no program that people use is
//! built with it, which `cargo xtask tidy` sees to.

/// A mistake that can be planted in a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An operation leaves the queue when it is sent, before its answer is there.
    DequeuedWhenSent,
    /// What the server answers with 401 is deleted.
    DeletedOnLogIn,
    /// Operations are counted, and not named: after a restart from the beginning.
    IdsReused,
    /// A deletion that waits for the answer to an edit before it is lost with that.
    DeletionLost,
    /// What is never settled keeps its place before all others.
    NeverPassedOver,
    /// What a server that was put back has lost is not brought back.
    NotBroughtBack,
    /// What refers to a record goes before that.
    ReferencesIgnored,
}
