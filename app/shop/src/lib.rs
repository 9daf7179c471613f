//! The shop: stock, the wallet, coupons, orders, the ranking.
//!
//! **What it does not do:** it knows no accounts and checks no token (a reader is an id that
//! the caller vouches for), has no payment provider (what was paid in an administrator books),
//! opens no store and listens nowhere.
//!
//! | module | what it has |
//! |---|---|
//! | [`model`] | money, products, coupons, orders, and their bounds |
//! | [`rules`] | what follows from what: an order from its events, what is sold from an order |
//! | [`events`] | what the shop tells, to whom: the ranking, a data platform, readers |
//! | [`parts`] | what an order needs of others, and giving it back |
//! | [`store`] | the tables, and everything that is SQL |
//! | [`service`] | [`Shop`]: the operations |
//! | [`choreography`] | orders that go from part to part, led by nobody |
//! | [`apart`] | parts of it in processes of their own |
//! | [`http`] | [`router`]: the routes under `/api/v1/shop` |
//!
//! # How an order goes
//!
//! ```text
//!  POST /shop/orders ── lock order:{reader} ── one write on all masters ──────────── 201
//!                                              │ copies    on hand − n, a move
//!                                              │ coupon    used for this order
//!                                              │ wallet    balance − paid, two entries
//!                                              │ order     PLACED, COMPLETED, the list
//!                                              │ event     a row for each who gets it
//!                                              └─────┬─────
//!                                          after it  └─▶ workers: ranking, webhooks
//! ```
//!
//! Everything is taken, or nothing is: it is one transaction. Where it can't be made, that is
//! kept too, so that the same request again gets the same answer. An order *is* its events
//! (Young, *CQRS Documents*, 2010): the list of orders and what was sold are made of them, and
//! can be made again ([`OrderService::rebuild`]).
//!
//! Money is double-entry: each transfer has two entries that are nothing together, so all
//! entries are; a wallet's balance is the sum of its own ([`Shop::audit`]).

pub mod model;

pub mod rules;

pub mod events;

pub mod parts;

pub mod store;

pub mod service;

pub mod http;

pub mod apart;

pub mod choreography;

pub use http::{openapi, router};
pub use service::{
    Config, CouponService, Making, OpenError, OrderService, Shop, ShopError, StockService,
    WalletService, Way,
};
pub use store::schema::MIGRATIONS;
