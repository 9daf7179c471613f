//! Rows of accounts. All SQL of the crate is here.

mod schema;

use endpaper_api::Language;
use endpaper_api::accounts::{AccountStatus, Role};
use endpaper_http::{SessionId, UserId};
use multi_master::{Db, DbError, Row, Tx, Value, fields, id, params};
use stdx::UnixMicros;

use crate::keys::{KeySeed, StoredKey};
use crate::model::{Account, DeviceId, Digest, KeyId, PasswordHash, Session};

pub use schema::MIGRATIONS;
pub(crate) use schema::{USERS_BY_EMAIL, USERS_BY_LOGIN_ID};

/// What is needed to know who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrincipalRow {
    pub(crate) role: Role,
    pub(crate) status: AccountStatus,
    pub(crate) time_zone: String,
    pub(crate) language: Language,
}

/// A stored reset token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResetRow {
    pub(crate) hash: Digest,
    pub(crate) user: UserId,
    pub(crate) expires_at: UnixMicros,
}

// Users.

pub(crate) async fn user(db: &mut Db, user: UserId) -> Result<Option<Account>, DbError> {
    db.get("users", params![id(user)]).await?.as_ref().map(account).transpose()
}

pub(crate) async fn user_by_login_id(
    db: &mut Db,
    login_id: &str,
) -> Result<Option<Account>, DbError> {
    let row = db.query_first("select * from users where login_id = ?", params![login_id]).await?;
    row.as_ref().map(account).transpose()
}

pub(crate) async fn user_by_email(
    db: &mut Db,
    email_folded: &str,
) -> Result<Option<Account>, DbError> {
    let sql = "select * from users where email_folded = ?";
    let row = db.query_first(sql, params![email_folded]).await?;
    row.as_ref().map(account).transpose()
}

/// Accounts in the order of their log-in ids, from the first after `login_id`.
pub(crate) async fn users_after(
    db: &mut Db,
    login_id: &str,
    most: u32,
) -> Result<Vec<Account>, DbError> {
    let sql = "select * from users where login_id > ? order by login_id limit ?";
    let rows = db.query(sql, params![login_id, i64::from(most)]).await?;
    rows.iter().map(account).collect()
}

pub(crate) async fn login_id_exists(db: &mut Db, login_id: &str) -> Result<bool, DbError> {
    let sql = "select id from users where login_id = ?";
    Ok(db.query_first(sql, params![login_id]).await?.is_some())
}

pub(crate) async fn email_exists(db: &mut Db, email_folded: &str) -> Result<bool, DbError> {
    let sql = "select id from users where email_folded = ?";
    Ok(db.query_first(sql, params![email_folded]).await?.is_some())
}

pub(crate) async fn insert_user(tx: &mut Tx, account: &Account) -> Result<(), DbError> {
    tx.insert(
        "users",
        fields! {
            "id" => id(account.id),
            "login_id" => &account.login_id,
            "email" => &account.email,
            "email_folded" => &account.email_folded,
            "name" => &account.name,
            "password_hash" => &account.password_hash.0,
            "user_role" => role_text(account.role),
            "account_status" => status_text(account.status),
            "time_zone" => &account.time_zone,
            "lang" => account.language.tag(),
            "created_at" => account.created_at,
        },
    )
    .await
}

/// Sets what is given of the profile.
pub(crate) async fn update_profile(
    tx: &mut Tx,
    user: UserId,
    name: Option<&str>,
    time_zone: Option<&str>,
    language: Option<Language>,
) -> Result<Account, DbError> {
    let mut fields: Vec<(&'static str, Value)> = Vec::new();
    fields.extend(name.map(|name| ("name", Value::from(name))));
    fields.extend(time_zone.map(|zone| ("time_zone", Value::from(zone))));
    fields.extend(language.map(|language| ("lang", Value::from(language.tag()))));
    account(&tx.update("users", params![id(user)], fields).await?)
}

pub(crate) async fn set_password(
    tx: &mut Tx,
    user: UserId,
    hash: &PasswordHash,
) -> Result<(), DbError> {
    tx.update("users", params![id(user)], fields! { "password_hash" => &hash.0 }).await?;
    Ok(())
}

pub(crate) async fn set_role(tx: &mut Tx, user: UserId, role: Role) -> Result<(), DbError> {
    tx.update("users", params![id(user)], fields! { "user_role" => role_text(role) }).await?;
    Ok(())
}

pub(crate) async fn set_status(
    tx: &mut Tx,
    user: UserId,
    status: AccountStatus,
) -> Result<(), DbError> {
    let fields = fields! { "account_status" => status_text(status) };
    tx.update("users", params![id(user)], fields).await?;
    Ok(())
}

// Sessions.

pub(crate) async fn session(db: &mut Db, session: SessionId) -> Result<Option<Session>, DbError> {
    db.get("sessions", params![id(session)]).await?.as_ref().map(session_of).transpose()
}

/// All sessions of a user, the one last seen first.
pub(crate) async fn sessions(db: &mut Db, user: UserId) -> Result<Vec<Session>, DbError> {
    let sql = "select * from sessions where user_id = ? order by last_seen_at desc, id desc";
    db.query(sql, params![id(user)]).await?.iter().map(session_of).collect()
}

pub(crate) async fn session_of_device(
    db: &mut Db,
    user: UserId,
    device: DeviceId,
) -> Result<Option<SessionId>, DbError> {
    let sql = "select id from sessions where user_id = ? and device_id = ?";
    db.query_first(sql, params![id(user), id(device)]).await?.map(|row| row.id("id")).transpose()
}

/// Who calls with a token of this session; `None` once the session has ended.
pub(crate) async fn principal(
    db: &mut Db,
    session: SessionId,
    user: UserId,
) -> Result<Option<PrincipalRow>, DbError> {
    let sql = "select u.user_role, u.account_status, u.time_zone, u.lang \
               from sessions s join users u on u.id = s.user_id \
               where s.id = ? and s.user_id = ?";
    let row = db.query_first(sql, params![id(session), id(user)]).await?;
    row.map(|row| {
        Ok(PrincipalRow {
            role: role_of(&row)?,
            status: status_of(&row)?,
            time_zone: row.get("time_zone")?,
            language: language_of(&row)?,
        })
    })
    .transpose()
}

pub(crate) async fn insert_session(tx: &mut Tx, session: &Session) -> Result<(), DbError> {
    tx.insert(
        "sessions",
        fields! {
            "id" => id(session.id),
            "user_id" => id(session.user),
            "device_id" => id(session.device),
            "device_name" => &session.device_name,
            "logged_in_at" => session.logged_in_at,
            "last_seen_at" => session.last_seen_at,
            "expires_at" => session.expires_at,
            "family_hash" => bytes(&session.family_hash),
            "refresh_hash" => bytes(&session.refresh_hash),
            "rotation_salt" => bytes(&session.rotation_salt),
        },
    )
    .await
}

/// The session's one refresh token becomes another.
pub(crate) async fn rotate_session(
    tx: &mut Tx,
    session: SessionId,
    refresh_hash: &Digest,
    now: UnixMicros,
    expires_at: UnixMicros,
) -> Result<(), DbError> {
    let fields = fields! {
        "refresh_hash" => bytes(refresh_hash),
        "last_seen_at" => now,
        "expires_at" => expires_at,
    };
    tx.update("sessions", params![id(session)], fields).await?;
    Ok(())
}

pub(crate) async fn delete_session(tx: &mut Tx, session: SessionId) -> Result<bool, DbError> {
    tx.delete("sessions", params![id(session)]).await
}

/// Some sessions that ended by themselves.
pub(crate) async fn expired_sessions(
    db: &mut Db,
    now: UnixMicros,
    rows_max: u32,
) -> Result<Vec<SessionId>, DbError> {
    let sql = "select id from sessions where expires_at <= ? order by expires_at limit ?";
    db.query(sql, params![now, rows_max]).await?.iter().map(|row| row.id("id")).collect()
}

// Reset tokens.

pub(crate) async fn reset_token(db: &mut Db, hash: &Digest) -> Result<Option<ResetRow>, DbError> {
    db.get("reset_tokens", params![bytes(hash)]).await?.as_ref().map(reset_of).transpose()
}

/// All reset tokens of a user, the newest first.
pub(crate) async fn reset_tokens(db: &mut Db, user: UserId) -> Result<Vec<ResetRow>, DbError> {
    let sql = "select * from reset_tokens where user_id = ? order by expires_at desc";
    db.query(sql, params![id(user)]).await?.iter().map(reset_of).collect()
}

pub(crate) async fn insert_reset_token(
    tx: &mut Tx,
    row: &ResetRow,
    now: UnixMicros,
) -> Result<(), DbError> {
    tx.insert(
        "reset_tokens",
        fields! {
            "token_hash" => bytes(&row.hash),
            "user_id" => id(row.user),
            "created_at" => now,
            "expires_at" => row.expires_at,
        },
    )
    .await
}

pub(crate) async fn delete_reset_token(tx: &mut Tx, hash: &Digest) -> Result<bool, DbError> {
    tx.delete("reset_tokens", params![bytes(hash)]).await
}

/// Some reset tokens that nobody used in time.
pub(crate) async fn expired_reset_tokens(
    db: &mut Db,
    now: UnixMicros,
    rows_max: u32,
) -> Result<Vec<Digest>, DbError> {
    let sql =
        "select token_hash from reset_tokens where expires_at <= ? order by expires_at limit ?";
    let rows = db.query(sql, params![now, rows_max]).await?;
    rows.iter().map(|row| digest(row, "token_hash")).collect()
}

// Signing keys.

/// All signing keys; there are few.
pub(crate) async fn keys(db: &mut Db) -> Result<Vec<StoredKey>, DbError> {
    let rows = db.query("select * from signing_keys order by created_at", params![]).await?;
    rows.iter()
        .map(|row| {
            Ok(StoredKey {
                id: row.id("id")?,
                created_at: row.get("created_at")?,
                seed: KeySeed(digest(row, "seed")?.0),
            })
        })
        .collect()
}

pub(crate) async fn insert_key(tx: &mut Tx, key: &StoredKey) -> Result<(), DbError> {
    let fields = fields! {
        "id" => id(key.id),
        "created_at" => key.created_at,
        "seed" => key.seed.0.as_slice(),
    };
    tx.insert("signing_keys", fields).await
}

pub(crate) async fn delete_key(tx: &mut Tx, key: KeyId) -> Result<bool, DbError> {
    tx.delete("signing_keys", params![id(key)]).await
}

// Rows.

fn account(row: &Row) -> Result<Account, DbError> {
    Ok(Account {
        id: row.id("id")?,
        login_id: row.get("login_id")?,
        email: row.get("email")?,
        email_folded: row.get("email_folded")?,
        name: row.get("name")?,
        password_hash: PasswordHash(row.get("password_hash")?),
        role: role_of(row)?,
        status: status_of(row)?,
        time_zone: row.get("time_zone")?,
        language: language_of(row)?,
        created_at: row.get("created_at")?,
    })
}

fn session_of(row: &Row) -> Result<Session, DbError> {
    Ok(Session {
        id: row.id("id")?,
        user: row.id("user_id")?,
        device: row.id("device_id")?,
        device_name: row.get("device_name")?,
        logged_in_at: row.get("logged_in_at")?,
        last_seen_at: row.get("last_seen_at")?,
        expires_at: row.get("expires_at")?,
        family_hash: digest(row, "family_hash")?,
        refresh_hash: digest(row, "refresh_hash")?,
        rotation_salt: digest(row, "rotation_salt")?,
    })
}

fn reset_of(row: &Row) -> Result<ResetRow, DbError> {
    Ok(ResetRow {
        hash: digest(row, "token_hash")?,
        user: row.id("user_id")?,
        expires_at: row.get("expires_at")?,
    })
}

fn bytes(digest: &Digest) -> &[u8] {
    &digest.0
}

fn digest(row: &Row, column: &str) -> Result<Digest, DbError> {
    let bytes: Vec<u8> = row.get(column)?;
    match bytes.try_into() {
        Ok(bytes) => Ok(Digest(bytes)),
        Err(_) => Err(DbError::Shape(format!("column `{column}` should be 32 bytes"))),
    }
}

// What is stored keeps its spelling, whatever the wire calls it.

const fn role_text(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Admin => "admin",
    }
}

fn role_of(row: &Row) -> Result<Role, DbError> {
    match row.get::<String>("user_role")?.as_str() {
        "user" => Ok(Role::User),
        "admin" => Ok(Role::Admin),
        other => Err(DbError::Shape(format!("`{other}` is no role"))),
    }
}

const fn status_text(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
    }
}

fn status_of(row: &Row) -> Result<AccountStatus, DbError> {
    match row.get::<String>("account_status")?.as_str() {
        "active" => Ok(AccountStatus::Active),
        "suspended" => Ok(AccountStatus::Suspended),
        other => Err(DbError::Shape(format!("`{other}` is no status of an account"))),
    }
}

fn language_of(row: &Row) -> Result<Language, DbError> {
    let tag: String = row.get("lang")?;
    tag.parse().map_err(|_| DbError::Shape(format!("`{tag}` is no language")))
}
