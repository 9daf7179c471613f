//! The parts of the shop in processes of their own.
//!
//! ```text
//!  reader ──▶ orders ──┬─▶ stock      /internal/v1/asks         what a saga asks for, once
//!             │        │              /internal/v1/batons       or what goes from part to part
//!             │        ├─▶ coupons    /api/v1/shop/coupons/…    passed on as it came
//!             │        └─▶ wallet ──┐
//!             └◀────────────────────┘  /internal/v1/readers     who has this log-in id
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`Role`] | which part a process has |
//! | [`ServiceToken`], [`trusting`] | what processes know each other by; a process that listens to those alone |
//! | [`Peer`] | another process: a limit of time, a breaker, what is known of a request that failed |
//! | [`There`], [`asks`] | what sagas ask of a part that is elsewhere, and its other end |
//! | [`Onward`], [`batons`] | batons of orders that go to a part that is elsewhere, and its other end |
//! | [`RemoteReaders`], [`readers`] | looking readers up elsewhere, and its other end |
//! | [`relay`] | requests of readers that another process answers |
//!
//! Processes trust each other by one token that all of them have; who reads the network between
//! them reads it too. So it is a network of their own, or TLS is put between them.

mod ask;

mod batons;

mod peer;

mod readers;

mod relay;

mod trust;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use ask::{There, asks};
pub use batons::{Onward, batons};
pub use peer::{CallError, Peer, PeerError};
pub use readers::{RemoteReaders, readers};
pub use relay::relay;
pub use trust::{ServiceToken, TOKEN_BYTES_MIN, TokenTooShort, trusting};

/// Which part of the shop a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Orders: it asks the others, and is the one that readers talk to.
    Order,
    /// Products and copies.
    Stock,
    /// Money.
    Wallet,
    /// Coupons.
    Coupon,
}

impl Role {
    /// As it is written everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Stock => "stock",
            Self::Wallet => "wallet",
            Self::Coupon => "coupon",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
