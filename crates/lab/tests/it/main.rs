//! The lab itself, with real processes and a real MariaDB.

mod mariadb;
mod process;
mod proxy;
