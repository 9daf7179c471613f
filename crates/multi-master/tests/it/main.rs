//! The store against real masters.

mod common;
mod embedded;
mod mariadb;
mod processes;
mod queue;
mod settling;
mod verify;
