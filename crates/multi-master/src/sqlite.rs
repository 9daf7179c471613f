//! Masters that are SQLite files: one writer thread with group commit, and a
//! pool of reader threads.

mod link;

mod writer;

mod lanes;

mod queue;

mod lane;

mod readers;

#[cfg(test)]
mod broken;

#[cfg(test)]
mod tests;

pub(crate) use link::{IfAbsent, SqliteLink};
pub(crate) use readers::Readers;
pub(crate) use writer::{Writer, WriterHandle};
