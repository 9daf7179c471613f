//! Locks in each place, on real stores and a real Redis server.

mod common;
mod local;
mod masters;
mod redis;
