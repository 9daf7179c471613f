//! The sync server on real stores.

mod common;
mod listening;
mod mariadb;
mod settling;
