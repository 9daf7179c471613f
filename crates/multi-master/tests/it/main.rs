//! The store against real masters.

mod archive;
mod archive_mariadb;
mod at_once;
mod beneath;
mod common;
mod copying;
mod copying_mariadb;
mod embedded;
mod mariadb;
mod processes;
mod processes_fill;
mod queue;
mod returning;
mod settling;
mod two_witnesses;
mod untold;
mod verify;
