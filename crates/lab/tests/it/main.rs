//! The lab itself, with real processes, real sockets and a real MariaDB.

mod clusters;
mod disk;
mod history;
mod mariadb;
mod process;
mod proxy;
