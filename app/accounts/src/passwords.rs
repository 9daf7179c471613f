//! Hashing passwords, a few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use stdx::Random;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{Password, PasswordHash};

/// What one hashing costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB; at least 8.
    pub memory_kib: u32,
    /// Passes over it; at least 1.
    pub passes: u32,
}

impl HashCost {
    /// What OWASP's *Password Storage Cheat Sheet* asks of argon2id: 19 MiB, two
    /// passes, one lane. It takes a core for some tens of milliseconds.
    pub const OWASP: Self = Self { memory_kib: 19 * 1_024, passes: 2 };
}

/// Hashes and checks passwords with argon2id (RFC 9106).
///
/// Each hashing takes [`HashCost::memory_kib`] and a core for some time, so at
/// most `at_once` run, on threads of their own, [`Passwords::WAITING_MAX`] more
/// wait, and the rest are refused: a flood of log-ins can neither eat the
/// memory nor hold up other requests.
#[derive(Debug)]
pub struct Passwords {
    params: Params,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    random: Random,
    hashed: AtomicU64,
}

/// Whether a password is the one that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is another; or there is none, which takes as long to say.
    Wrong,
    /// It is.
    Right {
        /// Whether the hash was made at another cost than the present one.
        outdated: bool,
    },
}

/// Why nothing was hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already: try again in a moment.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// The stored hash can't be read, or hashing failed: a mistake of ours.
    #[error("a password can't be hashed: {0}")]
    Broken(String),
}

impl Passwords {
    /// How many may wait for their turn.
    pub const WAITING_MAX: usize = 64;

    /// Hashes at `cost`, `at_once` at a time.
    ///
    /// # Panics
    /// When argon2 does not take the cost: less than 8 KiB or no pass.
    #[must_use]
    pub fn new(cost: HashCost, at_once: usize, random: Random) -> Self {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None)
            .expect("the cost is at least 8 KiB and one pass");
        let at_once = at_once.max(1);
        Self {
            params,
            running: Arc::new(Semaphore::new(at_once)),
            admitted: Arc::new(Semaphore::new(at_once + Self::WAITING_MAX)),
            random,
            hashed: AtomicU64::new(0),
        }
    }

    /// How many hashings were begun.
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// Hashes a password with a fresh salt.
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let (params, password) = (self.params.clone(), password.clone());
        let salt = self.random.bytes::<16>();
        self.on_a_thread(move || {
            let hash = phc::PasswordHash {
                algorithm: argon2::ARGON2ID_IDENT,
                version: Some(Version::V0x13.into()),
                params: phc::ParamsString::try_from(&params).map_err(broken)?,
                salt: Some(phc::Salt::new(&salt).map_err(broken)?),
                hash: Some(output(password.as_bytes(), &salt, ARGON2ID, params)?),
            };
            Ok(PasswordHash(hash.to_string()))
        })
        .await
    }

    /// Checks a password against a hash. Without a hash it hashes all the same,
    /// so that the time does not tell whether there is an account.
    pub async fn check(
        &self,
        password: &str,
        hash: Option<&PasswordHash>,
    ) -> Result<Check, HashError> {
        let (params, password) = (self.params.clone(), password.to_owned());
        let hash = hash.map(|hash| hash.0.clone());
        let prefix = self.prefix();
        let salt = self.random.bytes::<16>();
        self.on_a_thread(move || {
            let Some(hash) = hash else {
                output(password.as_bytes(), &salt, ARGON2ID, params)?;
                return Ok(Check::Wrong);
            };
            Ok(if is_of(password.as_bytes(), &hash)? {
                Check::Right { outdated: !hash.starts_with(&prefix) }
            } else {
                Check::Wrong
            })
        })
        .await
    }

    /// How the PHC strings of the present cost begin.
    fn prefix(&self) -> String {
        let (memory, passes, lanes) =
            (self.params.m_cost(), self.params.t_cost(), self.params.p_cost());
        format!("$argon2id$v=19$m={memory},t={passes},p={lanes}$")
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let Ok(admitted) = Arc::clone(&self.admitted).try_acquire_owned() else {
            return Err(HashError::Busy);
        };
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running: OwnedSemaphorePermit = running.map_err(|_| HashError::Busy)?;
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let hashing = tokio::task::spawn_blocking(move || {
            // Held by the thread and not by the request: a client that hangs up
            // leaves a thread that still hashes.
            let _places = (admitted, running);
            work()
        });
        hashing.await.map_err(|error| HashError::Broken(error.to_string()))?
    }
}

type Kind = (Algorithm, Version);

/// What passwords are hashed with; old hashes name their own.
const ARGON2ID: Kind = (Algorithm::Argon2id, Version::V0x13);

/// Hashes in memory that goes back to the system when it is done.
///
/// What a thread frees, glibc keeps for that thread: after some log-ins every
/// thread that ever hashed would hold its 19 MiB for ever. Only what is larger
/// than the largest value that its threshold can grow to (32 MiB) is always a
/// mapping of its own, and unmapped when it is freed. So more is asked for than
/// is used: pages that are never touched cost addresses and no memory.
fn output(
    password: &[u8],
    salt: &[u8],
    (algorithm, version): Kind,
    params: Params,
) -> Result<phc::Output, HashError> {
    let count = params.block_count();
    let mut blocks: Vec<Block> = Vec::new();
    blocks.try_reserve_exact(count.max(MAPPED_BYTES_MIN / Block::SIZE)).map_err(broken)?;
    blocks.resize(count, Block::new());
    let mut hash = [0; phc::Output::MAX_LENGTH];
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let hash = hash.get_mut(..length).ok_or_else(|| broken("the hash is too long"))?;
    let argon = Argon2::new(algorithm, version, params);
    argon.hash_password_into_with_memory(password, salt, hash, &mut blocks).map_err(broken)?;
    phc::Output::new(hash).map_err(broken)
}

/// More than glibc's `DEFAULT_MMAP_THRESHOLD_MAX`.
const MAPPED_BYTES_MIN: usize = 33 << 20;

/// Whether a password is the one of a hash, at the cost that the hash names.
fn is_of(password: &[u8], hash: &str) -> Result<bool, HashError> {
    let hash = phc::PasswordHash::new(hash).map_err(broken)?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Err(broken("there is no salt or no hash"));
    };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(broken)?;
    let version = hash.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(broken)?;
    let params = Params::try_from(&hash).map_err(broken)?;
    // Outputs compare in constant time.
    Ok(output(password, &salt, (algorithm, version), params)? == expected)
}

fn broken(error: impl std::fmt::Display) -> HashError {
    HashError::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use endpaper_api::Secret;
    use stdx::Seed;

    use super::*;

    const CHEAP: HashCost = HashCost { memory_kib: 8, passes: 1 };

    fn passwords(cost: HashCost, at_once: usize) -> Passwords {
        Passwords::new(cost, at_once, Random::new(Seed(1)))
    }

    fn password(text: &str) -> Password {
        Password::parse(&Secret::new(text).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_cost_is_in_the_hash_as_owasp_asks() {
        let hash = passwords(HashCost::OWASP, 1).hash(&password("correct horse")).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
    }

    /// Known to be of "correct horse": hashes that are stored stay good.
    #[tokio::test]
    async fn a_stored_hash_is_read() {
        let stored = argon2::PasswordHasher::hash_password_with_salt(
            &Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 3, 1, None).unwrap()),
            b"correct horse",
            &[7; 16],
        );
        let stored = PasswordHash(stored.unwrap().to_string());
        let passwords = passwords(CHEAP, 1);
        let right = passwords.check("correct horse", Some(&stored)).await;
        assert_eq!(right, Ok(Check::Right { outdated: true }));
        assert_eq!(passwords.check("wrong horse", Some(&stored)).await, Ok(Check::Wrong));
        let ours = passwords.hash(&password("correct horse")).await.unwrap();
        argon2::PasswordVerifier::verify_password(
            &Argon2::default(),
            b"correct horse",
            ours.0.as_str(),
        )
        .expect("others read our hashes");
    }

    /// Eight threads that hash keep nothing of the 19 MiB that each took.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_memory_of_a_hashing_comes_back() {
        let resident_kib = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let passwords = Arc::new(passwords(HashCost::OWASP, 8));
        let before = resident_kib();
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..24 {
            let passwords = Arc::clone(&passwords);
            running.spawn(async move { passwords.check("correct horse", None).await });
        }
        while let Some(check) = running.join_next().await {
            assert_eq!(check.unwrap(), Ok(Check::Wrong));
        }
        let after = resident_kib();
        assert!(after < before + 60 * 1_024, "{before} KiB before, {after} KiB after");
    }

    #[tokio::test]
    async fn right_wrong_and_outdated() {
        let old = passwords(CHEAP, 1);
        let hash = old.hash(&password("correct horse")).await.unwrap();
        assert_ne!(hash, old.hash(&password("correct horse")).await.unwrap(), "salts differ");
        let check = async |passwords: &Passwords, text: &str, hash: Option<&PasswordHash>| {
            passwords.check(text, hash).await
        };
        assert_eq!(
            check(&old, "correct horse", Some(&hash)).await,
            Ok(Check::Right { outdated: false })
        );
        assert_eq!(check(&old, "wrong horse", Some(&hash)).await, Ok(Check::Wrong));
        assert_eq!(check(&old, "correct horse", None).await, Ok(Check::Wrong));
        let new = passwords(HashCost { memory_kib: 16, passes: 1 }, 1);
        assert_eq!(
            check(&new, "correct horse", Some(&hash)).await,
            Ok(Check::Right { outdated: true })
        );
        let broken = PasswordHash("md5:1234".to_owned());
        assert!(matches!(check(&old, "x", Some(&broken)).await, Err(HashError::Broken(_))));
    }

    #[tokio::test]
    async fn a_flood_is_refused_and_the_rest_is_served() {
        let passwords = passwords(CHEAP, 2);
        // All places taken: two run, the others wait.
        let places = u32::try_from(2 + Passwords::WAITING_MAX).unwrap();
        let taken = passwords.admitted.clone().try_acquire_many_owned(places).unwrap();
        assert_eq!(passwords.check("x", None).await, Err(HashError::Busy));
        drop(taken);
        assert_eq!(passwords.check("x", None).await, Ok(Check::Wrong));
    }

    #[tokio::test]
    async fn a_request_that_goes_away_keeps_its_place_until_the_thread_is_done() {
        let passwords = passwords(CHEAP, 1);
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        {
            let mut request = std::pin::pin!(passwords.on_a_thread(move || {
                let _ = started.send(());
                let _ = wait.recv();
                Ok(())
            }));
            tokio::select! {
                _ = &mut request => unreachable!("it waits"),
                started = has_started => started.unwrap(),
            }
        }
        assert_eq!(passwords.running.available_permits(), 0);
        go.send(()).unwrap();
        assert_eq!(passwords.check("x", None).await, Ok(Check::Wrong), "the place came back");
    }
}
