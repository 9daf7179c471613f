//! Log-in, refresh, log-out, devices, and who is calling.

use std::net::IpAddr;
use std::time::Duration;

use endpaper_api::Secret;
use endpaper_api::accounts::AccountStatus;
use endpaper_http::caller::Authenticating;
use endpaper_http::{Authenticate, Principal, Problem, SessionId, UserId};
use multi_master::{Db, Tx};

use super::{AccountsError, AccountsService, Inner, Place, SESSIONS_MAX};
use crate::keys::Claims;
use crate::limits::subscriber;
use crate::model::{Account, DeviceId, DeviceName, Digest, LoginId, Password, Session};
use crate::passwords::Check;
use crate::secrets::{RefreshToken, same};
use crate::store;

/// What is needed to log in.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// As it was typed.
    pub login_id: String,
    /// As it was typed.
    pub password: Secret,
    /// The device, where it knows its id.
    pub device: Option<DeviceId>,
    /// What the reader calls the device; empty where nothing was given.
    pub device_name: DeviceName,
    /// Where the request came from.
    pub address: Option<IpAddr>,
}

/// Somebody is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Who.
    pub account: Account,
    /// Where: as given, or a new id.
    pub device: DeviceId,
    /// With what.
    pub tokens: IssuedTokens,
}

/// An access token and the refresh token for the next.
#[derive(Clone)]
pub struct IssuedTokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: Secret,
    /// How long the access token holds.
    pub expires_in: Duration,
}

impl std::fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedTokens").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// What became of a refresh token, decided inside the write.
enum Refreshed {
    /// It was the one that holds, and now another does.
    Rotated,
    /// It was exchanged before with the same idempotency key, and the one that
    /// it was exchanged for was not used yet: here it is again.
    Repeated,
    /// It was used before. The session is over.
    Reused,
}

impl AccountsService {
    /// Logs a user in on a device. A device that was logged in before gets a
    /// new session, and its old one ends.
    pub async fn log_in(&self, request: LogIn) -> Result<LoggedIn, AccountsError> {
        let inner = &self.0;
        let now = inner.clock.now();
        inner.limiters().login_by_address.take(&subscriber(request.address), now)?;
        // What can't be a log-in id is as wrong as one that nobody has.
        let login_id = LoginId::parse(&request.login_id).ok();
        let found = match login_id.clone() {
            Some(login_id) => self.find_user(login_id.as_str()).await?,
            None => None,
        };
        let place = self.place(&request, found.as_ref()).await?;
        if let Some(login_id) = &login_id {
            inner.limiters().take_login(login_id, place, now)?;
        }
        let hash = found.as_ref().map(|account| &account.password_hash);
        let check = inner.passwords.check(request.password.expose(), hash).await?;
        let (Some(account), Check::Right { outdated }) = (found, check) else {
            return Err(AccountsError::BadCredentials);
        };
        if let Some(login_id) = &login_id {
            inner.limiters().give_login_back(login_id, place, inner.clock.now());
        }
        if account.status == AccountStatus::Suspended {
            return Err(AccountsError::Suspended);
        }
        let rehashed = match Password::parse(&request.password) {
            Ok(password) if outdated => Some(inner.passwords.hash(&password).await?),
            _ => None,
        };
        // Before the write: a session without tokens helps nobody.
        let ring = inner.signing_ring().await?;

        let now = inner.clock.now();
        let session_id = inner.ids.next();
        let refresh = RefreshToken::first(session_id, &inner.random);
        let session = Session {
            id: session_id,
            user: account.id,
            device: request.device.unwrap_or_else(|| inner.ids.next()),
            device_name: request.device_name.as_str().to_owned(),
            logged_in_at: now,
            last_seen_at: now,
            expires_at: now.after(inner.config.refresh_life),
            family_hash: refresh.family_hash(),
            refresh_hash: refresh.secret_hash(),
            rotation_salt: Digest(inner.random.bytes()),
        };
        let device = session.device;
        let claims = inner.claims_of(account.id, session_id);
        let access =
            ring.sign(&claims).map_err(|error| AccountsError::Broken(error.to_string()))?;

        let checked = account.password_hash;
        let write = inner.store.write(async move |tx: &mut Tx| {
            let Some(account) = store::user(tx, session.user).await? else {
                return Err(AccountsError::BadCredentials);
            };
            // The password was changed while the old one was checked.
            if account.password_hash != checked {
                return Err(AccountsError::BadCredentials);
            }
            if let Some(hash) = &rehashed {
                store::set_password(tx, account.id, hash).await?;
            }
            let mut session = session.clone();
            let mut ended = Vec::new();
            let mut kept = 0;
            for old in store::sessions(tx, account.id).await? {
                let same_device = old.device == session.device;
                if same_device && session.device_name.is_empty() {
                    session.device_name.clone_from(&old.device_name);
                }
                if same_device || kept + 1 >= SESSIONS_MAX {
                    store::delete_session(tx, old.id).await?;
                    ended.push(old.id);
                } else {
                    kept += 1;
                }
            }
            store::insert_session(tx, &session).await?;
            Ok((account, ended))
        });
        let (account, ended) = write.await.into_result()?;
        inner.forget_sessions(&ended);
        let tokens = IssuedTokens {
            access,
            refresh: refresh.to_secret(),
            expires_in: inner.config.access_life,
        };
        Ok(LoggedIn { account, device, tokens })
    }

    /// Which tries count together with this one.
    async fn place(
        &self,
        request: &LogIn,
        account: Option<&Account>,
    ) -> Result<Place, AccountsError> {
        let address = Place::Address(subscriber(request.address));
        let (Some(device), Some(user)) = (request.device, account.map(|account| account.id)) else {
            return Ok(address);
        };
        let read = self.0.store.read(async move |db: &mut Db| {
            let known = store::session_of_device(db, user, device).await?;
            Ok::<_, AccountsError>(known.is_some())
        });
        Ok(if read.await? { Place::Device(device) } else { address })
    }

    /// Exchanges a refresh token for the next, and an access token.
    ///
    /// Each refresh token is exchanged once; one that comes again ends its
    /// session, for then two have it and one of them is a thief (RFC 9700,
    /// section 4.14.2). There is no time of grace, in which a thief could work.
    ///
    /// A client whose answer was lost has no thief: when it sends an
    /// `Idempotency-Key` with each refresh, and repeats a lost one with the same
    /// key, it gets the same next token again, for as long as that was not used.
    /// A thief of the old token does not know the key.
    pub async fn refresh(
        &self,
        token: &Secret,
        idempotency_key: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<IssuedTokens, AccountsError> {
        let inner = &self.0;
        inner.limiters().refresh_by_address.take(&subscriber(address), inner.clock.now())?;
        let presented = RefreshToken::parse(token).ok_or(AccountsError::RefreshInvalid)?;
        let session_id = presented.session;
        // Looked up before a write is opened: made-up tokens cost a read.
        let read = inner.store.read(async move |db: &mut Db| {
            let Some(session) = store::session(db, session_id).await? else { return Ok(None) };
            let principal = store::principal(db, session.id, session.user).await?;
            Ok::<_, AccountsError>(principal.map(|principal| (session, principal)))
        });
        let (session, principal) = read.await?.ok_or(AccountsError::RefreshInvalid)?;
        let now = inner.clock.now();
        if !same(&session.family_hash, &presented.family_hash()) || session.expires_at <= now {
            return Err(AccountsError::RefreshInvalid);
        }
        if principal.status == AccountStatus::Suspended {
            return Err(AccountsError::Suspended);
        }
        let ring = inner.signing_ring().await?;

        let next = match idempotency_key {
            Some(key) => presented.successor_for(key, &session.rotation_salt),
            None => presented.successor(&inner.random),
        };
        let (holds, becomes) = (presented.secret_hash(), next.secret_hash());
        let repeatable = idempotency_key.is_some();
        let expires_at = now.after(inner.config.refresh_life);
        let write = inner.store.write(async move |tx: &mut Tx| {
            let Some(session) = store::session(tx, session_id).await? else {
                return Err(AccountsError::RefreshInvalid);
            };
            if same(&session.refresh_hash, &holds) {
                store::rotate_session(tx, session_id, &becomes, now, expires_at).await?;
                return Ok(Refreshed::Rotated);
            }
            if repeatable && same(&session.refresh_hash, &becomes) {
                return Ok(Refreshed::Repeated);
            }
            store::delete_session(tx, session_id).await?;
            Ok(Refreshed::Reused)
        });
        match write.await.into_result()? {
            Refreshed::Rotated | Refreshed::Repeated => {}
            Refreshed::Reused => {
                inner.forget_sessions(&[session_id]);
                tracing::warn!(user = %session.user, device = %session.device,
                    "a refresh token was used twice; the session was ended");
                return Err(AccountsError::RefreshReused);
            }
        }
        let claims = inner.claims_of(session.user, session_id);
        let access =
            ring.sign(&claims).map_err(|error| AccountsError::Broken(error.to_string()))?;
        Ok(IssuedTokens { access, refresh: next.to_secret(), expires_in: inner.config.access_life })
    }

    /// Ends a session; one that has ended stays so.
    pub async fn log_out(&self, session: SessionId) -> Result<(), AccountsError> {
        let write = self.0.store.write(async move |tx: &mut Tx| {
            store::delete_session(tx, session).await?;
            Ok::<_, AccountsError>(())
        });
        write.await.into_result()?;
        self.0.forget_sessions(&[session]);
        Ok(())
    }

    /// The user's devices that are logged in, the one last seen first.
    pub async fn devices(&self, user: UserId) -> Result<Vec<Session>, AccountsError> {
        let now = self.0.clock.now();
        let read = self.0.store.read(async move |db: &mut Db| store::sessions(db, user).await);
        let mut sessions = read.await?;
        sessions.retain(|session| session.expires_at > now);
        Ok(sessions)
    }

    /// Logs one device of the user out.
    pub async fn delete_device(&self, user: UserId, device: DeviceId) -> Result<(), AccountsError> {
        let write = self.0.store.write(async move |tx: &mut Tx| {
            let Some(session) = store::session_of_device(tx, user, device).await? else {
                return Err(AccountsError::DeviceNotFound);
            };
            store::delete_session(tx, session).await?;
            Ok(session)
        });
        let session = write.await.into_result()?;
        self.0.forget_sessions(&[session]);
        Ok(())
    }

    /// Logs all devices of the user out, and says how many there were.
    pub async fn delete_devices(&self, user: UserId) -> Result<usize, AccountsError> {
        let write = self.0.store.write(async move |tx: &mut Tx| {
            let sessions = store::sessions(tx, user).await?;
            for session in &sessions {
                store::delete_session(tx, session.id).await?;
            }
            Ok::<_, AccountsError>(sessions.len())
        });
        let count = write.await.into_result()?;
        self.0.cache().forget_user(user);
        Ok(count)
    }

    /// Whom an access token stands for.
    pub async fn principal(&self, token: &str) -> Result<Principal, AccountsError> {
        let inner = &self.0;
        let Claims { user, session, .. } = inner.claims(token).await?;
        let now = inner.clock.now();
        let generation = {
            let cache = inner.cache();
            if let Some(principal) = cache.get(session, user, now) {
                return Ok(principal);
            }
            cache.generation()
        };
        let read =
            inner.store.read(async move |db: &mut Db| store::principal(db, session, user).await);
        let row = read.await?.ok_or(AccountsError::Unauthorized)?;
        if row.status == AccountStatus::Suspended {
            return Err(AccountsError::Suspended);
        }
        let principal = Principal {
            user,
            session,
            role: row.role,
            language: row.language,
            time_zone: row.time_zone,
        };
        inner.cache().remember(principal.clone(), generation, now);
        Ok(principal)
    }
}

impl Authenticate for AccountsService {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authenticating<'a> {
        Box::pin(async move { self.principal(token).await.map_err(Problem::from) })
    }
}

impl Inner {
    fn claims_of(&self, user: UserId, session: SessionId) -> Claims {
        let issued_at = self.clock.now().as_secs();
        let life = i64::try_from(self.config.access_life.as_secs()).unwrap_or(i64::MAX);
        Claims { user, session, issued_at, expires_at: issued_at.saturating_add(life) }
    }

    pub(super) fn forget_sessions(&self, sessions: &[SessionId]) {
        let mut cache = self.cache();
        for session in sessions {
            cache.forget_session(*session);
        }
    }
}
