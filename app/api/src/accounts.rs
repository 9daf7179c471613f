//! Requests and answers of sign-up, log-in, tokens, devices, recovery.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Instant, Language, Secret, Text};

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Reads and writes what is their own.
    User,
    /// May also do what operators do.
    Admin,
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AccountStatus {
    /// It can be used.
    Active,
    /// An operator closed it; nobody can log in.
    Suspended,
}

/// `POST /auth/signup`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignupRequest {
    /// 4 to 32 of `a–z`, `0–9`, `_`, `.`, `-`; upper case is taken for lower.
    #[cfg_attr(feature = "openapi", schema(example = "haeri"))]
    pub login_id: Text,
    /// Where recovery mail goes; at most 254 characters.
    #[cfg_attr(feature = "openapi", schema(example = "haeri@example.com"))]
    pub email: Text,
    /// 1 to 50 characters.
    #[cfg_attr(feature = "openapi", schema(example = "해리"))]
    pub name: Text,
    /// 8 to 128 characters, of any script.
    pub password: Secret,
}

/// What everybody who may see an account sees of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// In lower case.
    pub login_id: String,
    /// As it was given.
    pub email: String,
    /// As it was given.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// How the account stands.
    pub status: AccountStatus,
}

/// `GET /users/me`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Profile {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// An IANA name; days of requests without `X-Time-Zone` are in it.
    #[cfg_attr(feature = "openapi", schema(example = "Asia/Seoul"))]
    pub time_zone: String,
    /// The language of mail, and of answers where the request asks for none.
    pub language: Language,
    /// When the account was made.
    pub created_at: Instant,
}

/// `PUT /users/me`: changes what is given and keeps the rest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileRequest {
    /// 1 to 50 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// An IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "Asia/Seoul"))]
    pub time_zone: Option<Text>,
    /// `ko` or `en`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

/// `POST /auth/login`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoginRequest {
    /// In upper or lower case.
    pub login_id: Text,
    /// As it was set.
    pub password: Secret,
    /// What the reader calls this device; at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "해리의 아이패드"))]
    pub device_name: Option<Text>,
}

/// The answer to `POST /auth/login`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Login {
    /// The tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
    /// This device; sent as `X-Device-Id` at the next log-in it stays the same.
    pub device_id: Uuid,
    /// Who logged in.
    pub user: User,
}

/// The answer to `POST /auth/refresh`, and part of that to a log-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// For `Authorization: Bearer …`.
    pub access_token: String,
    /// For the next refresh, once.
    pub refresh_token: Secret,
    /// Always `Bearer`.
    pub token_type: TokenType,
    /// How long the access token lives, in seconds.
    pub expires_in: u64,
}

/// How an access token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TokenType {
    /// In the `Authorization` header (RFC 6750).
    Bearer,
}

/// `POST /auth/refresh`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefreshRequest {
    /// From the last log-in or refresh.
    pub refresh_token: Secret,
}

/// `POST /auth/find-login-id`: the login id goes to the mail address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FindLoginIdRequest {
    /// The account's mail address.
    pub email: Text,
    /// The account's name.
    pub name: Text,
}

/// `POST /auth/verify-account`: a token to set a new password goes to the mail
/// address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerifyAccountRequest {
    /// The account's login id.
    pub login_id: Text,
    /// The account's mail address.
    pub email: Text,
}

/// The answer to both: the same, whether there is such an account or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryAccepted {
    /// What to do next, in the language of the request.
    pub message: String,
}

/// `POST /auth/reset-password`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResetPasswordRequest {
    /// From the mail.
    pub reset_token: Secret,
    /// 8 to 128 characters, of any script.
    pub new_password: Secret,
    /// The same again.
    pub confirm_password: Secret,
}

/// One device of a user that is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// The device's id.
    pub id: Uuid,
    /// What the reader calls it; empty where no name was given.
    pub name: String,
    /// When it logged in.
    pub logged_in_at: Instant,
    /// When it last logged in or refreshed its tokens.
    pub last_seen_at: Instant,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// The answer to `DELETE /users/me/devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DevicesDeleted {
    /// How many devices were logged out, the one that asked included.
    pub count: u32,
}
