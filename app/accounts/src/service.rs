//! The operations.
//!
//! | file | what it has |
//! |---|---|
//! | `signup.rs` | sign-up, duplicate checks, profile, what operators do |
//! | `sessions.rs` | log-in, refresh, log-out, devices, who is calling |
//! | `recovery.rs` | forgotten log-in ids and passwords |
//! | `signing.rs` | the ring of signing keys, shared through the store |
//! | `cache.rs` | who is calling, remembered for some seconds |
//! | `tidy.rs` | deleting what has expired |

mod cache;
mod recovery;
mod sessions;
mod signing;
mod signup;
mod tidy;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use endpaper_http::FieldError;
use multi_master::{DbError, MultiMaster, TxId, WriteError};
use stdx::{Clock, IdSource, Random, UnixMicros};
use tokio::sync::Semaphore;

use crate::limits::{Limiter, Rule, TryAfter};
use crate::mail::Mailer;
use crate::model::{DeviceId, LoginId};
use crate::passwords::{HashCost, HashError, Passwords};

pub use sessions::{IssuedTokens, LogIn, LoggedIn};
pub use signup::{DEMO_LOGIN_ID, DEMO_PASSWORD, NewAccount};
pub use tidy::{TIDY_ROWS_MAX, Tidied};

/// A user's devices that may be logged in at once; one more log-in ends the
/// session of the device that was not seen for longest.
pub const SESSIONS_MAX: usize = 50;

/// Reset tokens of one user that hold at once: a second request must not void
/// the mail of the first, which may still be on its way.
pub const RESET_TOKENS_MAX: usize = 3;

/// Recoveries under way at once; more are told to come back.
pub const RECOVERIES_MAX: u32 = 64;

/// Keys that each limit remembers.
pub const LIMIT_KEYS_MAX: usize = 50_000;

/// How accounts behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long an access token holds. Default 15 minutes.
    pub access_life: Duration,
    /// How long a session lasts after its last refresh. Default 30 days.
    pub refresh_life: Duration,
    /// How long a reset token holds. Default 30 minutes.
    pub reset_life: Duration,
    /// When a new key begins to sign. Default 30 days.
    pub rotate_keys_after: Duration,
    /// How long a process believes what it read about a session: the longest
    /// that a device which was deleted through another process still gets in.
    /// (Through the same process the deletion works at once.) Default 5 s.
    pub believe_sessions_for: Duration,
    /// What hashing a password costs. Default [`HashCost::OWASP`].
    pub hash_cost: HashCost,
    /// Passwords hashed at once. Default 2: some 40 MiB while it lasts.
    pub hashings_at_once: usize,
    /// How often what may be tried.
    pub limits: LimitRules,
    /// Where the web client is, for links in mail: `https://books.example.com`.
    pub public_url: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            access_life: Duration::from_mins(15),
            refresh_life: Duration::from_hours(30 * 24),
            reset_life: Duration::from_mins(30),
            rotate_keys_after: Duration::from_hours(30 * 24),
            believe_sessions_for: Duration::from_secs(5),
            hash_cost: HashCost::OWASP,
            hashings_at_once: 2,
            limits: LimitRules::default(),
            public_url: None,
        }
    }
}

/// How often what may be tried. Each process counts for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRules {
    /// Failed log-ins with one log-in id from one address; and from one device
    /// that was logged in with it before. Default 10, then one each 30 s.
    pub login_by_id_and_place: Rule,
    /// Failed log-ins with one log-in id, from all addresses together: many,
    /// so that nobody locks a reader out by guessing from a few. Default 200,
    /// then one each 30 s.
    pub login_by_id: Rule,
    /// Log-ins from one address. Default 50, then one each 2 s.
    pub login_by_address: Rule,
    /// Sign-ups from one address. Default 20, then one each 30 s.
    pub signup_by_address: Rule,
    /// Refreshes from one address. Default 100, then one each second.
    pub refresh_by_address: Rule,
    /// Duplicate checks from one address. Default 60, then one each second.
    pub lookup_by_address: Rule,
    /// Recoveries for one mail address. Default 3, then one each 10 minutes.
    pub recovery_by_target: Rule,
    /// Recoveries from one address. Default 10, then one a minute.
    pub recovery_by_address: Rule,
}

impl Default for LimitRules {
    fn default() -> Self {
        Self {
            login_by_id_and_place: Rule::new(10, Duration::from_secs(30)),
            login_by_id: Rule::new(200, Duration::from_secs(30)),
            login_by_address: Rule::new(50, Duration::from_secs(2)),
            signup_by_address: Rule::new(20, Duration::from_secs(30)),
            refresh_by_address: Rule::new(100, Duration::from_secs(1)),
            lookup_by_address: Rule::new(60, Duration::from_secs(1)),
            recovery_by_target: Rule::new(3, Duration::from_mins(10)),
            recovery_by_address: Rule::new(10, Duration::from_mins(1)),
        }
    }
}

/// Why an operation was not done; nothing was saved, except where it says so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AccountsError {
    /// Fields are wrong.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldError>),
    /// Another account has the log-in id.
    #[error("the login id is taken")]
    LoginIdTaken,
    /// Another account has the mail address.
    #[error("the mail address is taken")]
    EmailTaken,
    /// No such log-in id, or another password.
    #[error("the login id or the password is wrong")]
    BadCredentials,
    /// An operator closed the account.
    #[error("the account is suspended")]
    Suspended,
    /// The access token is none of ours, or its session has ended.
    #[error("the access token does not hold")]
    Unauthorized,
    /// The access token has expired; a refresh helps.
    #[error("the access token has expired")]
    TokenExpired,
    /// The refresh token is none of ours, or its session has ended.
    #[error("the refresh token does not hold")]
    RefreshInvalid,
    /// The refresh token was used before. Its session was ended, and that was
    /// saved.
    #[error("the refresh token was used before")]
    RefreshReused,
    /// The reset token is none of ours, has expired, or was used.
    #[error("the reset token does not hold")]
    ResetInvalid,
    /// The user has no such device.
    #[error("there is no such device")]
    DeviceNotFound,
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// It was tried too often; try again after this time.
    #[error("tried too often; again in {0:?}")]
    TooOften(Duration),
    /// Too much is under way already; try again in a moment.
    #[error("too much is under way")]
    Busy,
    /// The store's reason.
    #[error(transparent)]
    Store(#[from] DbError),
    /// It may be saved: see [`multi_master::Outcome::InDoubt`].
    #[error("it is not known yet whether transaction {0} was saved")]
    InDoubt(TxId),
    /// A mistake of ours, for the log.
    #[error("{0}")]
    Broken(String),
}

impl From<WriteError<Self>> for AccountsError {
    fn from(error: WriteError<Self>) -> Self {
        match error {
            WriteError::NotSaved(error) => error,
            WriteError::InDoubt(txid) => Self::InDoubt(txid),
        }
    }
}

impl From<HashError> for AccountsError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Broken(reason) => Self::Broken(reason),
        }
    }
}

impl From<TryAfter> for AccountsError {
    fn from(TryAfter(after): TryAfter) -> Self {
        Self::TooOften(after)
    }
}

/// Accounts over a store. Cheap to clone; clones are one service.
#[derive(Clone)]
pub struct AccountsService(Arc<Inner>);

struct Inner {
    store: MultiMaster,
    config: Config,
    clock: Clock,
    ids: IdSource,
    random: Random,
    mailer: Arc<dyn Mailer>,
    passwords: Passwords,
    signing: signing::Signing,
    cache: Mutex<cache::SessionCache>,
    limiters: Mutex<Limiters>,
    recoveries: Arc<Semaphore>,
}

impl fmt::Debug for AccountsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountsService").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl AccountsService {
    /// Accounts in `store`, whose migrations include [`crate::MIGRATIONS`].
    /// `random` makes tokens and keys: programs give [`Random::secret`].
    #[must_use]
    pub fn new(
        store: MultiMaster,
        config: Config,
        clock: Clock,
        ids: IdSource,
        random: Random,
        mailer: Arc<dyn Mailer>,
    ) -> Self {
        let passwords = Passwords::new(config.hash_cost, config.hashings_at_once, random.clone());
        let limiters = Limiters::new(&config.limits);
        let recoveries = usize::try_from(RECOVERIES_MAX).unwrap_or(usize::MAX);
        Self(Arc::new(Inner {
            cache: Mutex::new(cache::SessionCache::new(config.believe_sessions_for)),
            store,
            config,
            clock,
            ids,
            random,
            mailer,
            passwords,
            signing: signing::Signing::default(),
            limiters: Mutex::new(limiters),
            recoveries: Arc::new(Semaphore::new(recoveries)),
        }))
    }

    /// How many passwords were hashed since the start, for operators: each costs
    /// what [`Config::hash_cost`] says.
    #[must_use]
    pub fn passwords_hashed(&self) -> u64 {
        self.0.passwords.hashed()
    }

    /// Waits until the recoveries under way have sent their mail: before a
    /// program ends, and before a test looks for it.
    pub async fn settle(&self) {
        // The semaphore is never closed, and there is nothing to do with the
        // places but give them back.
        drop(self.0.recoveries.acquire_many(RECOVERIES_MAX).await);
    }
}

/// From where somebody tries to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    /// An address, as [`crate::limits::subscriber`] counts it.
    Address(Option<IpAddr>),
    /// A device that was logged in with this log-in id before. Nobody else
    /// knows its id, so that nobody else's guesses count against it.
    Device(DeviceId),
}

struct Limiters {
    login_by_id_and_place: Limiter<(LoginId, Place)>,
    login_by_id: Limiter<LoginId>,
    login_by_address: Limiter<Option<IpAddr>>,
    signup_by_address: Limiter<Option<IpAddr>>,
    refresh_by_address: Limiter<Option<IpAddr>>,
    lookup_by_address: Limiter<Option<IpAddr>>,
    recovery_by_target: Limiter<String>,
    recovery_by_address: Limiter<Option<IpAddr>>,
}

impl Limiters {
    fn new(rules: &LimitRules) -> Self {
        Self {
            login_by_id_and_place: Limiter::new(rules.login_by_id_and_place, LIMIT_KEYS_MAX),
            login_by_id: Limiter::new(rules.login_by_id, LIMIT_KEYS_MAX),
            login_by_address: Limiter::new(rules.login_by_address, LIMIT_KEYS_MAX),
            signup_by_address: Limiter::new(rules.signup_by_address, LIMIT_KEYS_MAX),
            refresh_by_address: Limiter::new(rules.refresh_by_address, LIMIT_KEYS_MAX),
            lookup_by_address: Limiter::new(rules.lookup_by_address, LIMIT_KEYS_MAX),
            recovery_by_target: Limiter::new(rules.recovery_by_target, LIMIT_KEYS_MAX),
            recovery_by_address: Limiter::new(rules.recovery_by_address, LIMIT_KEYS_MAX),
        }
    }
}

impl Limiters {
    /// Takes a try to log in. A device that is known counts for itself alone.
    fn take_login(&mut self, id: &LoginId, place: Place, now: UnixMicros) -> Result<(), TryAfter> {
        self.login_by_id_and_place.take(&(id.clone(), place), now)?;
        match place {
            Place::Device(_) => Ok(()),
            Place::Address(_) => self.login_by_id.take(id, now),
        }
    }

    /// The try was one with the right password.
    fn give_login_back(&mut self, id: &LoginId, place: Place, now: UnixMicros) {
        self.login_by_id_and_place.give_back(&(id.clone(), place), now);
        if let Place::Address(_) = place {
            self.login_by_id.give_back(id, now);
        }
    }
}

impl Inner {
    fn limiters(&self) -> MutexGuard<'_, Limiters> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, cache::SessionCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
