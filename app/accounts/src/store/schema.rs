//! The tables.

use multi_master::{Column, Index, Kind, Migration, Step, Table};

use crate::model::{DeviceName, Email, LoginId, PersonName};

/// All migrations of this crate, in order.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "accounts-1",
    steps: &[
        Step::CreateTable(USERS),
        Step::CreateTable(SESSIONS),
        Step::CreateTable(RESET_TOKENS),
        Step::CreateTable(SIGNING_KEYS),
    ],
}];

/// Refuses a second account with the same log-in id.
pub(crate) const USERS_BY_LOGIN_ID: &str = "users_by_login_id";

/// Refuses a second account with the same mail address.
pub(crate) const USERS_BY_EMAIL: &str = "users_by_email";

const fn text(chars_max: u32) -> Kind {
    Kind::Text { chars_max }
}

const DIGEST: Kind = Kind::Bytes { bytes_max: 32 };

const USERS: Table = Table {
    name: "users",
    key: &["id"],
    columns: &[
        Column::new("id", Kind::Id),
        Column::new("login_id", text(LoginId::CHARS_MAX)),
        Column::new("email", text(Email::CHARS_MAX)),
        Column::new("email_folded", text(Email::CHARS_MAX)),
        Column::new("name", text(PersonName::CHARS_MAX)),
        // A PHC string of argon2id has about 100 characters.
        Column::new("password_hash", text(255)),
        Column::new("user_role", text(16)),
        Column::new("account_status", text(16)),
        Column::new("time_zone", text(64)),
        Column::new("lang", text(8)),
        Column::new("created_at", Kind::Time),
    ],
    indexes: &[
        Index { name: USERS_BY_LOGIN_ID, columns: &["login_id"], unique: true },
        Index { name: USERS_BY_EMAIL, columns: &["email_folded"], unique: true },
    ],
};

/// A user, logged in on a device. What is stored of refresh tokens are hashes.
const SESSIONS: Table = Table {
    name: "sessions",
    key: &["id"],
    columns: &[
        Column::new("id", Kind::Id),
        Column::new("user_id", Kind::Id),
        Column::new("device_id", Kind::Id),
        Column::new("device_name", text(DeviceName::CHARS_MAX)),
        Column::new("logged_in_at", Kind::Time),
        Column::new("last_seen_at", Kind::Time),
        Column::new("expires_at", Kind::Time),
        Column::new("family_hash", DIGEST),
        Column::new("refresh_hash", DIGEST),
        Column::new("rotation_salt", DIGEST),
    ],
    indexes: &[
        Index { name: "sessions_by_device", columns: &["user_id", "device_id"], unique: true },
        Index { name: "sessions_by_expiry", columns: &["expires_at"], unique: false },
    ],
};

const RESET_TOKENS: Table = Table {
    name: "reset_tokens",
    key: &["token_hash"],
    columns: &[
        Column::new("token_hash", DIGEST),
        Column::new("user_id", Kind::Id),
        Column::new("created_at", Kind::Time),
        Column::new("expires_at", Kind::Time),
    ],
    indexes: &[
        Index { name: "reset_tokens_by_user", columns: &["user_id"], unique: false },
        Index { name: "reset_tokens_by_expiry", columns: &["expires_at"], unique: false },
    ],
};

/// The keys that sign access tokens. They are stored as they are: whoever can
/// read this table can make access tokens, as whoever can write to the database
/// can make accounts. Its files and backups are to be guarded accordingly.
const SIGNING_KEYS: Table = Table {
    name: "signing_keys",
    key: &["id"],
    columns: &[
        Column::new("id", Kind::Id),
        Column::new("created_at", Kind::Time),
        Column::new("seed", DIGEST),
    ],
    indexes: &[],
};
