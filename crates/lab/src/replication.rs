//! MariaDB's own replication between servers of a test.
//!
//! ```no_run
//! # fn test() -> Result<(), lab::LabError> {
//! # let Some(software) = lab::require_mariadb("a ring") else { return Ok(()) };
//! # let scratch = lab::Scratch::new("ring")?;
//! use lab::{MariaDb, replication, replication::Server};
//!
//! let start = |server| {
//!     MariaDb::start_with(&software, scratch.path(), &replication::options(server))
//! };
//! let (one, two) = (start(Server::One)?, start(Server::Two)?);
//! replication::follow(&two, &one)?;
//! replication::follow(&one, &two)?;
//! one.create_database("books")?;
//! replication::wait_until_followed(&two, &one)?;
//! # Ok(()) }
//! ```

use std::time::Duration;

use crate::mariadb::{PASSWORD, USER};
use crate::{LabError, MariaDb};

/// Of [`wait_until_followed`].
pub const FOLLOWED_WITHIN: Duration = Duration::from_mins(1);

/// Options of a server that others follow, and that follows others: row by row,
/// with global transaction ids, each server numbering its own in a domain of its
/// own, as a ring needs it.
#[must_use]
pub fn options(server: Server) -> Vec<&'static str> {
    let own: [&str; 2] = match server {
        Server::One => ["--server-id=1", "--gtid-domain-id=1"],
        Server::Two => ["--server-id=2", "--gtid-domain-id=2"],
    };
    let all = [
        "--log-bin=bin",
        "--binlog-format=ROW",
        "--relay-log=relay",
        "--gtid-strict-mode=ON",
        "--slave-parallel-threads=4",
    ];
    own.into_iter().chain(all).collect()
}

/// Which server of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The first.
    One,
    /// The other.
    Two,
}

/// Makes `follower` follow `leader` from the beginning, also after a restart.
pub fn follow(follower: &MariaDb, leader: &MariaDb) -> Result<(), LabError> {
    let port = leader.port();
    let sql = format!(
        "change master to master_host = '127.0.0.1', master_port = {port}, \
         master_user = '{USER}', master_password = '{PASSWORD}', master_use_gtid = slave_pos, \
         master_connect_retry = 1; start slave"
    );
    follower.sql("mysql", &sql).map(drop)
}

/// Waits until `follower` has applied what `leader` has written of its own by
/// now, at most [`FOLLOWED_WITHIN`].
pub fn wait_until_followed(follower: &MariaDb, leader: &MariaDb) -> Result<(), LabError> {
    let position = leader.sql("mysql", "select @@gtid_binlog_pos")?;
    let limit = FOLLOWED_WITHIN.as_secs() - 5;
    let wait = format!("select master_gtid_wait('{}', {limit})", position.trim());
    if follower.sql("mysql", &wait)?.trim() == "0" {
        return Ok(());
    }
    Err(LabError::Late {
        program: "mariadbd".to_owned(),
        what: "where its leader is",
        limit: FOLLOWED_WITHIN,
        log: follower.sql("mysql", "show all slaves status\\G").unwrap_or_default(),
    })
}
