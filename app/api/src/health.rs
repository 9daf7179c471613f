//! How the server and its store stand.

use serde::{Deserialize, Serialize};

/// The answer of `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// All in all.
    pub status: HealthStatus,
    /// Each master, the primary first.
    pub masters: Vec<MasterHealth>,
}

/// See [`Health::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthStatus {
    /// Every master is live.
    Up,
    /// Reads are served, and a master is away or behind.
    Degraded,
}

/// How one master stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MasterHealth {
    /// Its name, as the configuration gives it.
    pub name: String,
    /// How it stands.
    pub state: MasterHealthState,
}

/// See [`MasterHealth::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum MasterHealthState {
    /// It takes every write and serves reads.
    Live,
    /// Something went wrong with it just now, and it is being asked. It takes
    /// every write, and serves reads only where no other master can.
    Suspect,
    /// It can't be used.
    Down,
    /// It answers, misses writes, and serves nothing until it has them.
    Behind,
    /// It gets the last writes that it misses, while new ones wait.
    Joining,
}
