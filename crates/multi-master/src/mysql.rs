//! Masters that are MariaDB or MySQL servers.

mod link;

mod store;

mod pool;

mod commits;

pub(crate) use link::MySqlLink;
pub(crate) use store::{MySqlHandle, MySqlStore};
