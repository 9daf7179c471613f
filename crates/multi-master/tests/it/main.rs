//! The store against real masters.

mod common;
mod embedded;
mod mariadb;
mod processes;
mod settling;
mod untold;
mod verify;
