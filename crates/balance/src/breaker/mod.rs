//! The circuit breaker.
//!
//! ```text
//!              too many failures                 the time is up
//!   CLOSED ───────────────────────▶ OPEN ─────────────────────────▶ HALF-OPEN
//!     ▲                              ▲                                │    │
//!     │                              └──────── a trial fails ─────────┘    │
//!     └──────────────────────── enough trials succeed ─────────────────────┘
//! ```
//!
//! Closed, every call may pass. Open, none may, for a time that doubles with
//! each opening that no closing came between. Half-open, a few may try.
//!
//! The core is [`Breaker`]: [`Breaker::ask`] gives a [`Ticket`], which comes
//! back by [`Breaker::success`], [`Breaker::failure`] or [`Breaker::cancel`].
//! [`SharedBreaker`] wraps it for callers on several threads, where a dropped
//! [`Permit`] cancels itself.

mod config;

mod machine;

mod shared;

pub use config::BreakerConfig;
pub use machine::{Breaker, Change, Refused, State, Ticket, Why};
pub use shared::{Permit, SharedBreaker};
