//! Masters that are MariaDB or MySQL servers.

mod link;

mod store;

pub(crate) use link::MySqlLink;
pub(crate) use store::{MySqlHandle, MySqlStore};
