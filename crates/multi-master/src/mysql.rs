//! Masters that are MariaDB or MySQL servers.

mod link;

mod store;

mod pool;

mod commits;

mod gather;

mod known;

mod write;

#[cfg(feature = "faults")]
mod planted;

pub(crate) use link::MySqlLink;
pub(crate) use store::{MySqlHandle, MySqlStore};
