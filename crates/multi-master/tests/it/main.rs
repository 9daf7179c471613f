//! The store against real masters.

mod common;
mod embedded;
mod mariadb;
mod settling;
mod verify;
