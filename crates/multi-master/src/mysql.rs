//! Masters that are MariaDB or MySQL servers.

mod link;

mod store;

mod pool;

mod commits;

mod gather;

mod known;

mod lock_order;

mod packet;

mod write;

#[cfg(feature = "faults")]
mod planted;

pub(crate) use link::{LockWait, MySqlLink};
pub(crate) use store::{MySqlHandle, MySqlStore};
