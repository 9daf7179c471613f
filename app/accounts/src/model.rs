//! What an account, a session and a device are.

use std::fmt;

use endpaper_api::accounts::{AccountStatus, Role};
use endpaper_api::{FieldProblem, Language};
use endpaper_http::{SessionId, UserId};
use stdx::UnixMicros;

use crate::rules;

stdx::id_type! {
    /// Identifies a device of a user, as the client chose it or as it was given
    /// at the first log-in. Two users of one device have one session each.
    pub struct DeviceId;
}

stdx::id_type! {
    /// Identifies a signing key: the `kid` of access tokens.
    pub struct KeyId;
}

stdx::id_type! {
    /// Identifies a mail.
    pub struct MailId;
}

/// What a user logs in with: 4 to 32 of `a–z`, `0–9`, `_`, `.`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginId(String);

impl LoginId {
    /// The fewest characters.
    pub const CHARS_MIN: u32 = 4;
    /// The most characters.
    pub const CHARS_MAX: u32 = 32;

    /// Reads one; upper case is taken for lower, spaces around are dropped.
    pub fn parse(text: &str) -> Result<Self, FieldProblem> {
        rules::login_id(text).map(Self)
    }

    /// In lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mail address, as it was given, and folded for comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    given: String,
    folded: String,
}

impl Email {
    /// The most characters (RFC 5321's path of 256 without its brackets).
    pub const CHARS_MAX: u32 = 254;

    /// Reads one; spaces around are dropped.
    pub fn parse(text: &str) -> Result<Self, FieldProblem> {
        let given = rules::email(text)?;
        let folded = rules::folded(&given);
        // Folding may lengthen a text; the column has a limit.
        rules::at_most(&folded, Self::CHARS_MAX)?;
        Ok(Self { given, folded })
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// In lower case; two accounts with the same are one person's.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

/// A person's name: 1 to 50 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    /// The most characters.
    pub const CHARS_MAX: u32 = 50;

    /// Reads one; spaces around are dropped.
    pub fn parse(text: &str) -> Result<Self, FieldProblem> {
        rules::line(text, 1, Self::CHARS_MAX).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a reader calls a device: up to 100 characters on one line, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceName(String);

impl DeviceName {
    /// The most characters.
    pub const CHARS_MAX: u32 = 100;

    /// Reads one; spaces around are dropped.
    pub fn parse(text: &str) -> Result<Self, FieldProblem> {
        rules::line(text, 0, Self::CHARS_MAX).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password that may be set: 8 to 128 characters of any script. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The fewest characters.
    pub const CHARS_MIN: u32 = 8;
    /// The most characters.
    pub const CHARS_MAX: u32 = 128;

    /// Reads one, in NFC; nothing is dropped.
    pub fn parse(secret: &endpaper_api::Secret) -> Result<Self, FieldProblem> {
        rules::password(secret.expose()).map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// An account, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: UserId,
    /// In lower case.
    pub login_id: String,
    /// As it was given.
    pub email: String,
    /// For comparing.
    pub email_folded: String,
    /// As it was given.
    pub name: String,
    /// A PHC string.
    pub password_hash: PasswordHash,
    /// What the user may do.
    pub role: Role,
    /// How the account stands.
    pub status: AccountStatus,
    /// An IANA name.
    pub time_zone: String,
    /// Of mail.
    pub language: Language,
    /// When it was made.
    pub created_at: UnixMicros,
}

/// A password's hash as a PHC string. Not printed: it can be attacked offline.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub(crate) String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A user, logged in on a device: one family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Where.
    pub device: DeviceId,
    /// What the reader calls the device.
    pub device_name: String,
    /// When the device logged in.
    pub logged_in_at: UnixMicros,
    /// When it last logged in or refreshed.
    pub last_seen_at: UnixMicros,
    /// When it ends unless it is refreshed before.
    pub expires_at: UnixMicros,
    /// SHA-256 of what all refresh tokens of the session have in common.
    pub family_hash: Digest,
    /// SHA-256 of the secret of the one refresh token that holds.
    pub refresh_hash: Digest,
    /// Goes into successors that are asked for with an idempotency key.
    pub rotation_salt: Digest,
}

/// 32 bytes: a SHA-256, or as much randomness. Not printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub(crate) [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}
