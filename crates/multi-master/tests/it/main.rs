//! The store against real masters.

mod beneath;
mod common;
mod embedded;
mod mariadb;
mod processes;
mod settling;
mod verify;
