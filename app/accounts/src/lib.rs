//! Accounts: sign-up, log-in, tokens, devices, recovery.
//!
//! **What it does not do:** it delivers no mail itself (see [`mail::Mailer`]),
//! knows nothing of books, and counts its limits per process.
//!
//! | to read | for |
//! |---|---|
//! | [`model`] | [`model::Account`], [`model::Session`], and what may be a [`model::LoginId`] |
//! | `rules` | the rules behind those types, pure |
//! | [`limits`] | [`limits::Limiter`]: token buckets without I/O |
//! | [`passwords`] | [`passwords::Passwords`]: argon2id, a few at a time |
//! | `secrets` | refresh and reset tokens, and what is stored of them |
//! | [`keys`] | access tokens: JWTs signed with Ed25519, and the ring of keys |
//! | [`mail`] | [`mail::FileOutbox`] and [`mail::LogOutbox`] |
//! | `store` | the tables and all SQL |
//! | [`service`] | [`AccountsService`]: the operations |
//! | [`http`] | the routes |
//!
//! # How a caller is known
//! An access token is a JWT of 15 minutes that names the user and the session.
//! Each request asks whether the session still is, so a device that was deleted
//! is out at once; the answer is remembered for
//! [`Config::believe_sessions_for`], which is how long another process may lag.
//!
//! A session is one family of refresh tokens ([`AccountsService::refresh`] says
//! how they rotate). Of secrets the store has hashes, with one exception: the
//! private signing keys, which all processes share. Whoever reads the database
//! can make access tokens until the key is rotated out; guard its files and
//! backups.
//!
//! ```no_run
//! use std::sync::Arc;
//! use axum::{Extension, Router};
//! use endpaper_accounts::{AccountsService, Config, MIGRATIONS, mail::FileOutbox};
//! use endpaper_http::Authenticator;
//! use multi_master::{MultiMaster, Policy};
//! use stdx::{Clock, IdSource, Random};
//!
//! # async fn start() -> Result<Router, Box<dyn std::error::Error>> {
//! let data = std::path::Path::new("data");
//! let store =
//!     MultiMaster::open(multi_master::Config::embedded(data, Policy::Available), MIGRATIONS).await?;
//! let (clock, ids) = (Clock::real(), IdSource::system());
//! let outbox = FileOutbox::new(data.join("mail"), "no-reply@localhost", clock.clone(), ids.clone())?;
//! let accounts = AccountsService::new(
//!     store, Config::default(), clock, ids, Random::secret(), Arc::new(outbox),
//! );
//! let routes = endpaper_accounts::router(accounts.clone());
//! let routes = routes.layer(Extension(Authenticator(Arc::new(accounts))));
//! Ok(endpaper_http::finish(routes))
//! # }
//! ```

pub mod model;

mod rules;

pub mod limits;

pub mod passwords;

mod secrets;

pub mod keys;

pub mod mail;

mod store;

pub mod service;

pub mod http;

pub use http::{openapi, router};
pub use service::{AccountsError, AccountsService, Config};
pub use store::MIGRATIONS;
