//! The servers that are compared. All have one configuration but for what makes
//! each what it is, stand on one disk, and are spoken to over TCP.

use std::time::{Duration, Instant};

use lab::replication::{self, Server};
use lab::{Galera, MariaDb, Scratch, Software};
use mysql_async::{Conn, Opts, OptsBuilder};

/// MariaDB's own defaults, where the lab's are smaller. Every commit is flushed
/// (`innodb_flush_log_at_trx_commit=1`, the default), binary logs are not
/// (`sync_binlog=0`, the default), and who needs none has none.
const OPTIONS: [&str; 3] =
    ["--innodb-log-file-size=96M", "--innodb-buffer-pool-size=256M", "--table-open-cache=2000"];

/// Two servers that know nothing of each other, a pair with semi-synchronous
/// replication, and a cluster. Dropping it ends their processes.
pub(crate) struct Sets {
    pub(crate) pair: Pair,
    pub(crate) leader: MariaDb,
    pub(crate) follower: MariaDb,
    pub(crate) cluster: Option<Galera>,
    _scratch: Scratch,
}

/// The two servers that know nothing of each other.
pub(crate) struct Pair {
    pub(crate) servers: [MariaDb; 2],
    pub(crate) scratch: Scratch,
}

impl Pair {
    pub(crate) fn start(software: &Software) -> Self {
        let scratch = Scratch::new("bench-pair").expect("a directory under target/");
        let servers = [(); 2].map(|()| {
            MariaDb::start_with(software, scratch.path(), &OPTIONS).expect("the server starts")
        });
        Self { servers, scratch }
    }

    /// The servers' processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.servers.iter().filter_map(MariaDb::pid).collect()
    }

    /// Makes a database on both.
    pub(crate) fn create_database(&self, name: &str) {
        for server in &self.servers {
            server.create_database(name).expect("the database is made");
        }
    }
}

impl Sets {
    pub(crate) fn start(software: &Software) -> Self {
        let scratch = Scratch::new("bench-rivals").expect("a directory under target/");
        let pair = Pair::start(software);
        let start = |server, more: &[&'static str]| {
            let mut options = replication::options(server);
            options.extend(OPTIONS);
            options.extend(more);
            MariaDb::start_with(software, scratch.path(), &options).expect("the server starts")
        };
        let leader = start(
            Server::One,
            &["--rpl-semi-sync-master-enabled=ON", "--rpl-semi-sync-master-wait-point=AFTER_SYNC"],
        );
        let follower = start(Server::Two, &["--rpl-semi-sync-slave-enabled=ON"]);
        replication::follow(&follower, &leader).expect("it follows");
        let cluster = if let Some(missing) = lab::galera_missing() {
            eprintln!("left out: the Galera cluster: {missing}");
            None
        } else {
            let started = Galera::start(software, scratch.path(), 2, &OPTIONS);
            Some(started.expect("the cluster starts"))
        };
        Self { pair, leader, follower, cluster, _scratch: scratch }
    }

    /// The processes that have work when this subject writes.
    pub(crate) fn pids(&self, subject: &str) -> Vec<u32> {
        let servers: Vec<&MariaDb> = match subject {
            super::ONE => vec![&self.pair.servers[0]],
            super::SEMI => vec![&self.leader, &self.follower],
            super::GALERA => self.cluster.iter().flat_map(Galera::nodes).collect(),
            _ => self.pair.servers.iter().collect(),
        };
        servers.into_iter().filter_map(MariaDb::pid).collect()
    }

    /// Waits until the follower has everything; returns how long that took. What
    /// it still does would slow the next turn down.
    pub(crate) fn followed(&self) -> Duration {
        let started = Instant::now();
        replication::wait_until_followed(&self.follower, &self.leader).expect("it follows");
        started.elapsed()
    }

    /// Whether each commit so far waited for the follower. (After 10 s of silence
    /// the leader goes on without it.)
    pub(crate) fn all_were_semi_synchronous(&self) -> bool {
        let sql = "select variable_value from information_schema.global_status \
                   where variable_name = 'rpl_semi_sync_master_no_tx'";
        self.leader.sql("mysql", sql).is_ok_and(|count| count.trim() == "0")
    }

    /// Waits until the other node has applied everything.
    pub(crate) fn applied(&self) {
        if let Some(cluster) = &self.cluster {
            let sql = "set session wsrep_sync_wait = 1; select count(*) from mysql.db";
            cluster.nodes()[1].sql("mysql", sql).expect("the other node answers");
        }
    }
}

/// A connection as a program with care for speed has it.
pub(crate) async fn connect(url: &str) -> Conn {
    let opts = Opts::from_url(url).expect("a URL of ours");
    let opts = OptsBuilder::from_opts(opts).prefer_socket(false).tcp_nodelay(true);
    Conn::new(opts).await.expect("the server takes connections")
}
