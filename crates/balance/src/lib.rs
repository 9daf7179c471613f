//! Picking a backend, without touching one: for now, the circuit breaker that
//! tells whether a backend is worth asking.
//!
//! | type | what it is |
//! |---|---|
//! | [`Breaker`] | the state machine, a plain value: `now` and chance are arguments |
//! | [`SharedBreaker`] | the same behind a lock, handing out [`Permit`]s that return themselves when dropped |
//! | [`BreakerConfig`] | when it opens, for how long, how many may try |
//! | [`Change`] | a change of state, for logs, metrics and alerts |
//!
//! **What it does not do:** it performs no I/O, has no clock and no randomness
//! of its own, starts no timer, and does not judge: what counts as a failure
//! (a refused connection, surely; an answer "not found", surely not) is said by
//! the caller. It sets no time limit on a call: the caller has to, and drops
//! the permit, or records a failure, when the time is up.
//!
//! The pattern is from M. Nygard, *Release It!*, 2007 (2nd edition 2018),
//! chapter *Stability Patterns*, section *Circuit Breaker*.
//!
//! ```
//! use balance::{BreakerConfig, SharedBreaker};
//! use stdx::{Random, Seed, UnixMicros};
//!
//! let breaker = SharedBreaker::new(BreakerConfig::default());
//! let random = Random::new(Seed(1));
//! let mut now = UnixMicros::from_secs(1_700_000_000);
//!
//! // Five failures in a row open it …
//! for _ in 0..5 {
//!     let permit = breaker.permit(now).expect("closed");
//!     permit.failure(now, &random);
//! }
//! let refused = breaker.permit(now).unwrap_err();
//!
//! // … and when its time has come, one call may try.
//! now = refused.retry_at;
//! let trial = breaker.permit(now).expect("half-open");
//! assert!(breaker.permit(now).is_err(), "one at a time");
//! trial.success(now);
//! assert!(breaker.permit(now).is_ok(), "closed again");
//! ```

pub mod breaker;

pub use breaker::{
    Breaker, BreakerConfig, Change, Permit, Refused, SharedBreaker, State, Ticket, Why,
};
