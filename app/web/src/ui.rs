//! What several screens show.

pub mod cover;

pub mod state;

pub mod toasts;
