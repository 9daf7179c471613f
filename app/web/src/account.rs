//! Logging in and out, and the tokens of requests: kept in the browser's database, where
//! every tab and the service worker find them.

use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;

use endpaper_api::accounts::{
    FindLoginIdRequest, Login, LoginRequest, RecoveryAccepted, RefreshRequest,
    ResetPasswordRequest, SignupRequest, Tokens as Issued, User, VerifyAccountRequest,
};
use endpaper_api::{Nothing, Secret, Text};
use serde::{Deserialize, Serialize};
use stdx::IdSource;
use stdx::ids::Id as _;
use sync::engine::Trouble;
use sync::http::Tokens;
use sync::model::AccountId;
use sync_web::http::Asked;
use sync_web::{Fetch, Keep, StoreError};

use crate::api::{Refused, ask};
use crate::browser;

/// What is kept beside the records of accounts.
pub(crate) const KEEP: Keep = Keep::new("endpaper");
const ACCOUNT: &str = "account";
/// Who leaves waits for the server no longer.
const TELL_MAX: Duration = Duration::from_secs(3);

/// Who is logged in here, or was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Whose records are shown.
    pub id: AccountId,
    /// What they log in with.
    pub login_id: String,
    /// What they are called.
    pub name: String,
    /// What the server calls this browser.
    device: String,
    /// None where they have to log in again.
    tokens: Option<Held>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    access: String,
    refresh: Secret,
    /// A refresh was begun under this key: repeated under it, it is the same one.
    refreshing: Option<String>,
}

impl Held {
    fn of(issued: Issued) -> Self {
        Self { access: issued.access_token, refresh: issued.refresh_token, refreshing: None }
    }
}

/// Who was here last.
///
/// # Errors
/// [`StoreError`].
pub async fn last() -> Result<Option<Account>, StoreError> {
    KEEP.get(ACCOUNT).await
}

/// Logs in, and keeps it: somebody where nobody is, or the same one `again`. One browser has
/// the records of one account.
///
/// # Errors
/// [`Refused`].
pub async fn login(
    login_id: &str,
    password: &str,
    again: Option<AccountId>,
) -> Result<Account, Refused> {
    let login_id = Text::new(login_id).map_err(Refused::Wrong)?;
    let password = Secret::new(password).map_err(Refused::Wrong)?;
    let before = last().await.map_err(Refused::NotKept)?;
    if before.as_ref().map(|before| before.id) != again {
        return Err(Refused::Another);
    }
    let device_name = Text::new(&browser::device_name()).ok();
    let request = LoginRequest { login_id, password, device_name };
    let mut asked = Asked::new("POST", "/api/v1/auth/login").json(&request);
    if let Some(before) = before {
        asked = asked.header("x-device-id", before.device);
    }
    let login: Login = ask(asked).await?;
    let account = Account {
        id: AccountId::from_uuid(login.user.id),
        login_id: login.user.login_id,
        name: login.user.name,
        device: login.device_id.to_string(),
        tokens: Some(Held::of(login.tokens)),
    };
    // Another tab may have been quicker.
    let keep = |there: &mut Option<Account>| {
        let is_free = there.as_ref().is_none_or(|there| there.id == account.id);
        if is_free {
            *there = Some(account.clone());
        }
        (is_free, is_free)
    };
    match KEEP.change(ACCOUNT, keep).await {
        Ok(true) => Ok(account),
        Ok(false) => Err(Refused::Another),
        Err(error) => Err(Refused::NotKept(error)),
    }
}

/// Keeps another name of an account.
///
/// # Errors
/// [`StoreError`].
pub async fn rename(account: AccountId, name: String) -> Result<(), StoreError> {
    KEEP.change(ACCOUNT, |there: &mut Option<Account>| {
        let there = there.as_mut().filter(|there| there.id == account);
        let is_there = there.is_some();
        if let Some(there) = there {
            there.name = name;
        }
        (is_there, ())
    })
    .await
}

/// Signs up; then they log in.
///
/// # Errors
/// [`Refused`].
pub async fn sign_up(request: &SignupRequest) -> Result<User, Refused> {
    ask(Asked::new("POST", "/api/v1/auth/signup").json(request)).await
}

/// Asks for a mail with the log-in id.
///
/// # Errors
/// [`Refused`].
pub async fn find_login_id(request: &FindLoginIdRequest) -> Result<RecoveryAccepted, Refused> {
    ask(Asked::new("POST", "/api/v1/auth/find-login-id").json(request)).await
}

/// Asks for a mail with which the password can be set anew.
///
/// # Errors
/// [`Refused`].
pub async fn verify(request: &VerifyAccountRequest) -> Result<RecoveryAccepted, Refused> {
    ask(Asked::new("POST", "/api/v1/auth/verify-account").json(request)).await
}

/// Sets the password anew.
///
/// # Errors
/// [`Refused`].
pub async fn reset(request: &ResetPasswordRequest) -> Result<(), Refused> {
    let asked = Asked::new("POST", "/api/v1/auth/reset-password").json(request);
    ask::<Nothing>(asked).await.map(drop)
}

/// Forgets who was here. What is given back tells the server.
///
/// # Errors
/// [`StoreError`].
pub async fn forget(account: AccountId) -> Result<Option<Left>, StoreError> {
    KEEP.change(ACCOUNT, |there: &mut Option<Account>| {
        let is_same = there.as_ref().is_some_and(|there| there.id == account);
        let left = is_same.then(|| there.take()).flatten().and_then(|left| left.tokens);
        (is_same, left.map(|held| Left(RefCell::new(held))))
    })
    .await
}

/// Somebody who has left, as the server still knows them.
#[derive(Debug)]
pub struct Left(RefCell<Held>);

impl Left {
    /// Ends the session on the server, where that answers soon; else it ends by itself.
    pub async fn tell(self) {
        let server = Fetch::new(self);
        let asked = Asked::new("POST", "/api/v1/auth/logout");
        let told = server.ask::<Nothing>(&asked);
        let _ = futures_util::future::select(pin!(told), pin!(browser::pause(TELL_MAX))).await;
    }
}

impl Tokens for Left {
    async fn token(&self, stale: Option<&str>) -> Result<String, Trouble> {
        let held = self.0.borrow().clone();
        if stale != Some(&*held.access) {
            return Ok(held.access);
        }
        let key =
            held.refreshing.clone().unwrap_or_else(|| IdSource::system().next_uuid().to_string());
        let new = Held::of(refresh(&held, key).await?);
        let access = new.access.clone();
        self.0.replace(new);
        Ok(access)
    }
}

/// New tokens for old ones. Under one key it is one refresh.
async fn refresh(held: &Held, key: String) -> Result<Issued, Trouble> {
    let request = RefreshRequest { refresh_token: held.refresh.clone() };
    let asked = Asked::new("POST", "/api/v1/auth/refresh").json(&request);
    asked.header("idempotency-key", key).answer().await
}

/// The tokens of one account: where another tab has logged somebody else in meanwhile, there
/// are none.
#[derive(Clone, Copy, Debug)]
pub struct AccountTokens {
    /// Whose.
    pub account: AccountId,
}

impl AccountTokens {
    /// Changes the tokens from what is there now, where they are still of this account.
    /// Returns what is there then.
    async fn change(self, change: impl FnOnce(&mut Option<Held>) -> bool) -> Result<Held, Trouble> {
        let held = KEEP.change(ACCOUNT, |there: &mut Option<Account>| {
            let Some(there) = there.as_mut().filter(|there| there.id == self.account) else {
                return (false, None);
            };
            (change(&mut there.tokens), there.tokens.clone())
        });
        // A store that is full is no reason to log in again.
        held.await.map_err(|_| Trouble::Later(None))?.ok_or(Trouble::LogIn)
    }
}

impl Tokens for AccountTokens {
    async fn token(&self, stale: Option<&str>) -> Result<String, Trouble> {
        // The key is on the disk before it is used: the same refresh is repeated after a
        // crash, and by another tab, and is no theft.
        let begin = |tokens: &mut Option<Held>| match tokens {
            Some(held) if stale == Some(&*held.access) && held.refreshing.is_none() => {
                held.refreshing = Some(IdSource::system().next_uuid().to_string());
                true
            }
            _ => false,
        };
        let held = self.change(begin).await?;
        let Some(key) = held.refreshing.clone().filter(|_| stale == Some(&*held.access)) else {
            return Ok(held.access);
        };
        let new = match refresh(&held, key).await {
            Ok(issued) => Some(Held::of(issued)),
            Err(Trouble::LogIn | Trouble::Rejected(_) | Trouble::Stopped(_) | Trouble::Expired) => {
                None
            }
            Err(trouble) => return Err(trouble),
        };
        // Where others are there by now, they stay.
        let put = |tokens: &mut Option<Held>| {
            let is_same = tokens
                .as_ref()
                .is_some_and(|there| there.refresh.expose() == held.refresh.expose());
            if is_same {
                *tokens = new;
            }
            is_same
        };
        Ok(self.change(put).await?.access)
    }
}
