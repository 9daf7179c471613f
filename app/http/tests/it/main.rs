//! The shared parts, through a small router.

mod callers;
mod params;
mod requests;
mod support;
