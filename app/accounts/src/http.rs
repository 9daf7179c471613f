//! The routes, under `/api/v1`.

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::routing::{delete, get, post};
use endpaper_api::accounts::{
    Device, DevicesDeleted, FindLoginIdRequest, Login, LoginRequest, Profile, ProfileRequest,
    RecoveryAccepted, RefreshRequest, ResetPasswordRequest, SignupRequest, TokenType, Tokens, User,
    VerifyAccountRequest,
};
use endpaper_api::{ErrorCode, Failure, FieldProblem, Instant, Language, Nothing, Success, Text};
use endpaper_http::{
    Answer, Caller, ClientAddress, FieldError, IdempotencyKey, JsonBody, PathId, Preferred,
    Problem, QueryParams, RequestedTimeZone,
};
use stdx::ids::Id as _;
use utoipa::OpenApi;

use crate::model::{Account, DeviceId, DeviceName};
use crate::service::{AccountsError, AccountsService, IssuedTokens, LogIn, NewAccount};

/// The routes of accounts. Those marked 🔒 need the extension
/// [`endpaper_http::Authenticator`] around them, with this service inside.
pub fn router(service: AccountsService) -> Router {
    Router::new()
        .route("/api/v1/users/duplicate/loginId", get(duplicate_login_id))
        .route("/api/v1/users/duplicate/email", get(duplicate_email))
        .route("/api/v1/users/me", get(profile).put(change_profile))
        .route("/api/v1/users/me/devices", get(devices).delete(delete_devices))
        .route("/api/v1/users/me/devices/{id}", delete(delete_device))
        .route("/api/v1/auth/signup", post(sign_up))
        .route("/api/v1/auth/login", post(log_in))
        .route("/api/v1/auth/refresh", post(refresh))
        .route("/api/v1/auth/logout", post(log_out))
        .route("/api/v1/auth/find-login-id", post(find_login_id))
        .route("/api/v1/auth/verify-account", post(verify_account))
        .route("/api/v1/auth/reset-password", post(reset_password))
        .with_state(service)
}

/// The OpenAPI document of these routes. 🔒 refers to a security scheme
/// `bearer`, which whoever puts the documents together defines.
pub fn openapi() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(paths(
        duplicate_login_id,
        duplicate_email,
        profile,
        change_profile,
        devices,
        delete_devices,
        delete_device,
        sign_up,
        log_in,
        refresh,
        log_out,
        find_login_id,
        verify_account,
        reset_password,
    ))]
    struct Document;
    Document::openapi()
}

type Answered<T> = Result<Answer<T>, Problem>;

#[derive(serde::Deserialize)]
struct DuplicateQuery {
    value: Text,
}

/// Whether a login id is taken.
#[utoipa::path(
    get, path = "/api/v1/users/duplicate/loginId", tag = "users",
    params(("value" = String, Query, description = "the login id")),
    responses((status = 200, body = Success<bool>), (status = 400, body = Failure), (status = 429, body = Failure)),
)]
async fn duplicate_login_id(
    State(service): State<AccountsService>,
    ClientAddress(address): ClientAddress,
    QueryParams(query): QueryParams<DuplicateQuery>,
) -> Answered<bool> {
    Ok(Answer::ok(service.is_login_id_taken(&query.value, address).await?))
}

/// Whether a mail address is taken.
#[utoipa::path(
    get, path = "/api/v1/users/duplicate/email", tag = "users",
    params(("value" = String, Query, description = "the mail address")),
    responses((status = 200, body = Success<bool>), (status = 400, body = Failure), (status = 429, body = Failure)),
)]
async fn duplicate_email(
    State(service): State<AccountsService>,
    ClientAddress(address): ClientAddress,
    QueryParams(query): QueryParams<DuplicateQuery>,
) -> Answered<bool> {
    Ok(Answer::ok(service.is_email_taken(&query.value, address).await?))
}

/// Registers. The profile's language is that of `Accept-Language`, its time
/// zone that of `X-Time-Zone`, else UTC.
#[utoipa::path(
    post, path = "/api/v1/auth/signup", tag = "auth", request_body = SignupRequest,
    params(("X-Time-Zone" = Option<String>, Header, description = "an IANA name")),
    responses(
        (status = 201, body = Success<User>), (status = 400, body = Failure),
        (status = 409, description = "LOGIN_ID_TAKEN, EMAIL_TAKEN", body = Failure),
        (status = 429, body = Failure), (status = 503, body = Failure),
    ),
)]
async fn sign_up(
    State(service): State<AccountsService>,
    ClientAddress(address): ClientAddress,
    Preferred(language): Preferred,
    RequestedTimeZone(zone): RequestedTimeZone,
    JsonBody(request): JsonBody<SignupRequest>,
) -> Answered<User> {
    let zone = zone.as_ref().and_then(|zone| zone.iana_name()).unwrap_or("UTC");
    let new = NewAccount {
        login_id: request.login_id.into_string(),
        email: request.email.into_string(),
        name: request.name.into_string(),
        password: request.password,
        time_zone: zone.to_owned(),
        language,
    };
    Ok(Answer::created(user(&service.sign_up(&new, address).await?)))
}

/// Logs in and registers the device.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginRequest,
    params(("X-Device-Id" = Option<String>, Header, description = "the device's id, from its last log-in or of its own making")),
    responses(
        (status = 200, body = Success<Login>), (status = 400, body = Failure),
        (status = 401, description = "BAD_CREDENTIALS", body = Failure),
        (status = 403, description = "ACCOUNT_SUSPENDED", body = Failure),
        (status = 429, body = Failure), (status = 503, body = Failure),
    ),
)]
async fn log_in(
    State(service): State<AccountsService>,
    ClientAddress(address): ClientAddress,
    GivenDevice(device): GivenDevice,
    JsonBody(request): JsonBody<LoginRequest>,
) -> Answered<Login> {
    let device_name = request.device_name.as_deref().unwrap_or_default();
    let device_name =
        DeviceName::parse(device_name).map_err(|problem| Problem::field("deviceName", problem))?;
    let log_in = LogIn {
        login_id: request.login_id.into_string(),
        password: request.password,
        device,
        device_name,
        address,
    };
    let logged_in = service.log_in(log_in).await?;
    let login = Login {
        tokens: tokens(logged_in.tokens),
        device_id: logged_in.device.uuid(),
        user: user(&logged_in.account),
    };
    Ok(Answer::ok(login).no_store())
}

/// Exchanges the refresh token for the next; each is exchanged once, and one
/// that comes again ends the session. A client that repeats a lost refresh with
/// the same `Idempotency-Key` gets the same next token.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "of this refresh, for repeating it")),
    responses(
        (status = 200, body = Success<Tokens>), (status = 400, body = Failure),
        (status = 401, description = "REFRESH_TOKEN_INVALID, REFRESH_TOKEN_REUSED", body = Failure),
        (status = 403, description = "ACCOUNT_SUSPENDED", body = Failure),
        (status = 429, body = Failure), (status = 503, body = Failure),
    ),
)]
async fn refresh(
    State(service): State<AccountsService>,
    ClientAddress(address): ClientAddress,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<RefreshRequest>,
) -> Answered<Tokens> {
    let issued = service.refresh(&request.refresh_token, key.as_deref(), address).await?;
    Ok(Answer::ok(tokens(issued)).no_store())
}

/// Ends this session.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Success<Nothing>), (status = 401, body = Failure), (status = 503, body = Failure)),
)]
async fn log_out(State(service): State<AccountsService>, caller: Caller) -> Answered<Nothing> {
    service.log_out(caller.session).await?;
    Ok(Answer::ok(Nothing))
}

/// Mails the login id, where an account has this address and name. The answer
/// is the same where none has.
#[utoipa::path(
    post, path = "/api/v1/auth/find-login-id", tag = "auth", request_body = FindLoginIdRequest,
    responses((status = 200, body = Success<RecoveryAccepted>), (status = 400, body = Failure),
        (status = 429, body = Failure), (status = 503, body = Failure)),
)]
async fn find_login_id(
    State(service): State<AccountsService>,
    ClientAddress(address): ClientAddress,
    Preferred(language): Preferred,
    JsonBody(request): JsonBody<FindLoginIdRequest>,
) -> Answered<RecoveryAccepted> {
    service.find_login_id(&request.email, &request.name, address).await?;
    Ok(Answer::ok(accepted(language)))
}

/// Mails a token to set a new password, where an account has this login id and
/// address. The answer is the same where none has.
#[utoipa::path(
    post, path = "/api/v1/auth/verify-account", tag = "auth", request_body = VerifyAccountRequest,
    responses((status = 200, body = Success<RecoveryAccepted>), (status = 400, body = Failure),
        (status = 429, body = Failure), (status = 503, body = Failure)),
)]
async fn verify_account(
    State(service): State<AccountsService>,
    ClientAddress(address): ClientAddress,
    Preferred(language): Preferred,
    JsonBody(request): JsonBody<VerifyAccountRequest>,
) -> Answered<RecoveryAccepted> {
    service.verify_account(&request.login_id, &request.email, address).await?;
    Ok(Answer::ok(accepted(language)))
}

/// Sets a new password; all sessions end.
#[utoipa::path(
    post, path = "/api/v1/auth/reset-password", tag = "auth", request_body = ResetPasswordRequest,
    responses((status = 200, body = Success<Nothing>),
        (status = 400, description = "RESET_TOKEN_INVALID, VALIDATION_FAILED", body = Failure),
        (status = 429, body = Failure), (status = 503, body = Failure)),
)]
async fn reset_password(
    State(service): State<AccountsService>,
    ClientAddress(address): ClientAddress,
    JsonBody(request): JsonBody<ResetPasswordRequest>,
) -> Answered<Nothing> {
    let ResetPasswordRequest { reset_token, new_password, confirm_password } = request;
    service.reset_password(&reset_token, &new_password, &confirm_password, address).await?;
    Ok(Answer::ok(Nothing))
}

/// The caller's profile.
#[utoipa::path(
    get, path = "/api/v1/users/me", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = Success<Profile>), (status = 401, body = Failure)),
)]
async fn profile(State(service): State<AccountsService>, caller: Caller) -> Answered<Profile> {
    Ok(Answer::ok(profile_of(&service.profile(caller.user).await?)))
}

/// Changes what is given of the profile, and keeps the rest.
#[utoipa::path(
    put, path = "/api/v1/users/me", tag = "users", security(("bearer" = [])), request_body = ProfileRequest,
    responses((status = 200, body = Success<Profile>), (status = 400, body = Failure),
        (status = 401, body = Failure), (status = 503, body = Failure)),
)]
async fn change_profile(
    State(service): State<AccountsService>,
    caller: Caller,
    JsonBody(change): JsonBody<ProfileRequest>,
) -> Answered<Profile> {
    let (name, zone) = (change.name.as_deref(), change.time_zone.as_deref());
    let account = service.change_profile(caller.user, name, zone, change.language).await?;
    Ok(Answer::ok(profile_of(&account)))
}

/// The caller's devices that are logged in, the one last seen first.
#[utoipa::path(
    get, path = "/api/v1/users/me/devices", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = Success<Vec<Device>>), (status = 401, body = Failure)),
)]
async fn devices(State(service): State<AccountsService>, caller: Caller) -> Answered<Vec<Device>> {
    let sessions = service.devices(caller.user).await?;
    let devices = sessions.into_iter().map(|session| Device {
        id: session.device.uuid(),
        name: session.device_name,
        logged_in_at: Instant::from_micros(session.logged_in_at.0),
        last_seen_at: Instant::from_micros(session.last_seen_at.0),
        current: session.id == caller.session,
    });
    Ok(Answer::ok(devices.collect()))
}

/// Logs a device out.
#[utoipa::path(
    delete, path = "/api/v1/users/me/devices/{id}", tag = "users", security(("bearer" = [])),
    params(("id" = String, Path, description = "the device's id")),
    responses((status = 200, body = Success<Nothing>), (status = 401, body = Failure),
        (status = 404, description = "DEVICE_NOT_FOUND", body = Failure)),
)]
async fn delete_device(
    State(service): State<AccountsService>,
    caller: Caller,
    PathId(device): PathId<DeviceId>,
) -> Answered<Nothing> {
    service.delete_device(caller.user, device).await?;
    Ok(Answer::ok(Nothing))
}

/// Logs all devices out, this one included.
#[utoipa::path(
    delete, path = "/api/v1/users/me/devices", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = Success<DevicesDeleted>), (status = 401, body = Failure)),
)]
async fn delete_devices(
    State(service): State<AccountsService>,
    caller: Caller,
) -> Answered<DevicesDeleted> {
    let count = service.delete_devices(caller.user).await?;
    Ok(Answer::ok(DevicesDeleted { count: u32::try_from(count).unwrap_or(u32::MAX) }))
}

/// `X-Device-Id`, where it is given.
struct GivenDevice(Option<DeviceId>);

impl<S: Send + Sync> FromRequestParts<S> for GivenDevice {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("x-device-id") else { return Ok(Self(None)) };
        match value.to_str().unwrap_or_default().parse() {
            Ok(device) => Ok(Self(Some(device))),
            Err(_) => Err(Problem::field("X-Device-Id", FieldProblem::NotAnId)),
        }
    }
}

fn user(account: &Account) -> User {
    User {
        id: account.id.uuid(),
        login_id: account.login_id.clone(),
        email: account.email.clone(),
        name: account.name.clone(),
        role: account.role,
        status: account.status,
    }
}

fn profile_of(account: &Account) -> Profile {
    Profile {
        user: user(account),
        time_zone: account.time_zone.clone(),
        language: account.language,
        created_at: Instant::from_micros(account.created_at.0),
    }
}

fn tokens(issued: IssuedTokens) -> Tokens {
    Tokens {
        access_token: issued.access,
        refresh_token: issued.refresh,
        token_type: TokenType::Bearer,
        expires_in: issued.expires_in.as_secs(),
    }
}

fn accepted(language: Language) -> RecoveryAccepted {
    let message = match language {
        Language::Ko => {
            "일치하는 계정이 있으면 그 이메일로 안내를 보냈습니다. 메일함을 확인해 주세요."
        }
        Language::En => {
            "If there is such an account, mail is on its way to it. Please check your mailbox."
        }
    };
    RecoveryAccepted { message: message.to_owned() }
}

impl From<AccountsError> for Problem {
    fn from(error: AccountsError) -> Self {
        let code = match error {
            AccountsError::Invalid(fields) => return Self::fields(fields),
            AccountsError::LoginIdTaken => {
                return Self::new(ErrorCode::LoginIdTaken)
                    .with(FieldError::new("loginId", FieldProblem::Taken));
            }
            AccountsError::EmailTaken => {
                return Self::new(ErrorCode::EmailTaken)
                    .with(FieldError::new("email", FieldProblem::Taken));
            }
            AccountsError::TooOften(after) => {
                return Self::new(ErrorCode::RateLimited).retry_after(after);
            }
            AccountsError::Store(error) => return Self::from(error),
            AccountsError::InDoubt(txid) => {
                return Self::from(multi_master::WriteError::<Self>::InDoubt(txid));
            }
            AccountsError::Broken(reason) => return Self::internal(&reason),
            AccountsError::BadCredentials => ErrorCode::BadCredentials,
            AccountsError::Suspended => ErrorCode::AccountSuspended,
            AccountsError::Unauthorized => ErrorCode::Unauthorized,
            AccountsError::TokenExpired => ErrorCode::TokenExpired,
            AccountsError::RefreshInvalid => ErrorCode::RefreshTokenInvalid,
            AccountsError::RefreshReused => ErrorCode::RefreshTokenReused,
            AccountsError::ResetInvalid => ErrorCode::ResetTokenInvalid,
            AccountsError::DeviceNotFound => ErrorCode::DeviceNotFound,
            AccountsError::UserNotFound => ErrorCode::UserNotFound,
            AccountsError::Busy => ErrorCode::ServerBusy,
        };
        Self::new(code)
    }
}
