//! Configuration: one TOML file, the environment and flags, in rising
//! precedence, checked at the start.
//!
//! [`keys::KEYS`] is the one list of what can be set. Files, the environment,
//! `endpaper config show` and the reference in `docs/operations/` are read
//! from it or checked against it, so a key can't exist in one of them alone.

mod keys;

mod layers;

mod settings;

mod show;

mod takes;

pub(crate) use layers::{Flags, Resolved};
pub(crate) use settings::{
    AlertsSettings, BooksSettings, LockAt, LogFormat, LogSettings, MailOutbox, OrdersAs, Settings,
    ShopSettings, Workers,
};

use std::fmt;

/// Why a configuration can't be used: one line that names the place, the key,
/// and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    message: String,
    /// A flag is wrong, which is a mistake in the call.
    usage: bool,
}

impl ConfigError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), usage: false }
    }

    fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), usage: true }
    }

    /// Whether the call was wrong (exit code 2), not the configuration.
    pub(crate) fn is_usage(&self) -> bool {
        self.usage
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}
