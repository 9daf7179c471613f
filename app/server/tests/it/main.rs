//! The real binary, from the outside.

mod common;

mod cli;

mod serve;

mod walk;

mod tables;
