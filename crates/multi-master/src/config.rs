//! What a set of masters is made of.

mod witness;

use std::time::Duration;

use stdx::Clock;

use crate::error::MasterName;

pub use self::witness::WitnessConfig;

/// What a write needs to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Every master has it or none. With a master away a write is refused before
    /// anything of it is saved. One that fails in the very commit is owed it
    /// ([`Outcome::Owed`](crate::Outcome::Owed)): it has it before it serves again.
    All,
    /// The masters that serve have it; those that are away are owed it.
    Available,
}

/// One master.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterConfig {
    /// Its name, in messages and in the witness.
    pub name: MasterName,
    /// `sqlite:PATH`, or `mysql://user:password@host:port/database`.
    pub url: String,
}

impl std::fmt::Debug for MasterConfig {
    /// Never prints the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, redacted(&self.url))
    }
}

/// The URL with its password replaced.
#[must_use]
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => url.to_owned(),
    }
}

/// A set of masters and how they are used.
#[derive(Clone, Debug)]
pub struct Config {
    /// The masters; the first is the primary. All of one kind.
    pub masters: Vec<MasterConfig>,
    /// What a write needs.
    pub policy: Policy,
    /// The witness, which says which masters serve.
    pub witness: WitnessConfig,
    /// Time limits.
    pub limits: Limits,
    /// Where versions and ids get their time from.
    pub clock: Clock,
    /// A master that is to go on although it misses writes that others took,
    /// because those are lost for good. It is refused while one of them answers.
    /// What only they have is settled when one comes back after all: it is rolled
    /// forward, or kept in `mm_conflicts` where something else took its place.
    pub lead: Option<MasterName>,
}

/// Time limits and sizes. The defaults are for two servers in one building.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connecting to a master. Default 2 s.
    pub connect: Duration,
    /// One statement. Default 5 s, at least 2 s. A lock is waited for as long on
    /// SQLite, where nothing else is limited: a call on a file can't be given up.
    /// On MariaDB a write waits a second for a lock, is run again, and is given
    /// back as busy after 20 s.
    pub statement: Duration,
    /// One commit on MariaDB. Default 5 s, at least 2 s.
    pub commit: Duration,
    /// Connections to each MariaDB master for writes. Default 32.
    pub write_connections: usize,
    /// Connections to each master for reads. Default 8.
    pub read_connections: usize,
    /// Writes that may wait; more are refused with
    /// [`crate::DbError::Overloaded`]. Default 10,000.
    pub waiting_writes: usize,
    /// How often masters that are away are tried. Default 1 s, growing to 30 s.
    pub probe: Duration,
    /// The most markers that are kept for a master that is away. Default
    /// 1,000,000. Where the log outgrows this or [`Self::log_bytes_max`], that
    /// master is filled anew when it comes back. Markers of the last ten minutes
    /// are kept in any case.
    pub log_rows_max: u64,
    /// The most bytes of rows, before and after each change, in the markers that
    /// are kept for a master that is away. Default 4 GiB.
    pub log_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            statement: Duration::from_secs(5),
            commit: Duration::from_secs(5),
            write_connections: 32,
            read_connections: 8,
            waiting_writes: 10_000,
            probe: Duration::from_secs(1),
            log_rows_max: 1_000_000,
            log_bytes_max: 4 << 30,
        }
    }
}

impl Config {
    /// Masters under a policy, with the default limits and the real clock.
    #[must_use]
    pub fn new(
        masters: Vec<MasterConfig>,
        policy: Policy,
        witness: impl Into<WitnessConfig>,
    ) -> Self {
        let witness = witness.into();
        Self {
            masters,
            policy,
            witness,
            limits: Limits::default(),
            clock: Clock::real(),
            lead: None,
        }
    }

    /// The embedded default: two SQLite files, `a.db` and `b.db`, and the
    /// witness, in one directory.
    #[must_use]
    pub fn embedded(directory: &std::path::Path, policy: Policy) -> Self {
        let master = |name: &str| MasterConfig {
            name: MasterName(name.to_owned()),
            url: format!("sqlite:{}", directory.join(format!("{name}.db")).display()),
        };
        Self::new(vec![master("a"), master("b")], policy, directory.join("witness.json"))
    }
}
