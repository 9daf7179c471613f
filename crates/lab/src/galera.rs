//! Galera clusters of a test's own: what a rival of several masters, or one URL
//! with a cluster behind it, is measured and tested with.
//!
//! The nodes are [`MariaDb`] servers on loopback, each with three more ports (for
//! the group, for what a returning node missed, and for whole copies). Nodes are
//! made with the same data at the same position, so a start copies nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::LabError;
use crate::mariadb::{MariaDb, Software, mariadb_missing, template};
use crate::port::Port;
use crate::process::{LOOK_AGAIN, find_program};
use crate::suite::{Suite, left_out};

/// What to install beside MariaDB's server, which brings Galera's library.
///
/// (Its other way to bring a node back, rsync, gives up its rights when it is
/// started by root, and can't write then.)
pub const PACKAGE: &str = "mariadb-backup";

/// Where distributions put Galera's library.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/galera/libgalera_smm.so",
    "/usr/lib/galera-4/libgalera_smm.so",
    "/usr/lib64/galera-4/libgalera_smm.so",
    "/usr/local/lib/libgalera_smm.so",
];

const SYNCED_WITHIN: Duration = Duration::from_mins(1);

/// What is missing for a cluster and what to do about it; `None` when everything
/// is there.
#[must_use]
pub fn galera_missing() -> Option<String> {
    mariadb_missing().or_else(|| {
        let backup = find_program("mariadb-backup", &["/usr/bin", "/usr/local/bin"]);
        (library().is_none() || backup.is_none()).then(|| {
            format!(
                "Galera's library (libgalera_smm.so) or `mariadb-backup` is not installed \
                 (Debian, Ubuntu: `apt-get install --no-install-recommends galera-4 {PACKAGE}`)"
            )
        })
    })
}

/// As [`require_mariadb`](crate::require_mariadb), for tests with a cluster.
///
/// # Panics
/// When the full suite runs and something is missing.
#[must_use]
pub fn require_galera(test: &str) -> Option<Software> {
    if Suite::current() == Suite::Quick {
        left_out(test, PACKAGE);
        return None;
    }
    if let Some(missing) = galera_missing() {
        panic!("{missing}");
    }
    Software::find().ok()
}

fn library() -> Option<PathBuf> {
    LIBRARIES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// A cluster. Dropping it kills its nodes.
#[derive(Debug)]
pub struct Galera {
    nodes: Vec<MariaDb>,
    /// Held for as long as the nodes may use them.
    _ports: Vec<[Port; 3]>,
}

impl Galera {
    /// Starts `nodes` nodes with data directories in `directory`, each with
    /// `options` of `mariadbd`, and waits until they are one cluster.
    pub fn start(
        software: &Software,
        directory: &Path,
        nodes: usize,
        options: &[&str],
    ) -> Result<Self, LabError> {
        let Some(library) = library() else {
            return Err(LabError::State { program: "libgalera_smm.so".into(), state: "missing" });
        };
        let ports = (0..nodes)
            .map(|_| Ok([Port::reserve()?, Port::reserve()?, Port::reserve()?]))
            .collect::<Result<Vec<_>, LabError>>()?;
        let numbers: Vec<[u16; 3]> =
            ports.iter().map(|ports| ports.each_ref().map(Port::number)).collect();
        let group: Vec<String> =
            numbers.iter().map(|[group, ..]| format!("127.0.0.1:{group}")).collect();
        let address = format!("--wsrep-cluster-address=gcomm://{}", group.join(","));
        let library = format!("--wsrep-provider={}", library.display());
        let mut cluster = Self { nodes: Vec::new(), _ports: ports };
        for [group, missed, whole] in numbers {
            let provider = format!(
                "--wsrep-provider-options=base_host=127.0.0.1;base_port={group};\
                 gmcast.listen_addr=tcp://127.0.0.1:{group};ist.recv_addr=127.0.0.1:{missed}"
            );
            let receive = format!("--wsrep-sst-receive-address=127.0.0.1:{whole}");
            let mut all = vec![
                "--wsrep-on=ON",
                &library,
                &address,
                &provider,
                &receive,
                "--wsrep-node-address=127.0.0.1",
                "--wsrep-sst-method=mariabackup",
                "--wsrep-sst-auth=root:",
                // What Galera demands.
                "--binlog-format=ROW",
                "--innodb-autoinc-lock-mode=2",
            ];
            all.extend(options);
            let data = match cluster.nodes.first_mut() {
                None => template(software)?,
                Some(first) => first.data(),
            };
            let mut node = MariaDb::prepare(software, directory, &data, &all)?;
            if cluster.nodes.is_empty() {
                // Gives the data its place in the cluster's history; every other
                // node begins with a copy of that.
                node.launch(&[BOOTSTRAP])?;
                wait_until_synced(&node)?;
                node.stop()?;
            }
            cluster.nodes.push(node);
        }
        cluster.start_all(0)?;
        Ok(cluster)
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[MariaDb] {
        &self.nodes
    }

    /// Stops one node gracefully; the others stay a cluster.
    pub fn stop(&mut self, at: usize) -> Result<(), LabError> {
        self.nodes[at].stop()
    }

    /// Starts a node again and waits until it has what it missed.
    pub fn restart(&mut self, at: usize) -> Result<(), LabError> {
        self.nodes[at].restart()?;
        wait_until_synced(&self.nodes[at])
    }

    /// Stops all nodes, `last` as the last one, and starts the cluster again
    /// from that one.
    pub fn restart_all(&mut self, last: usize) -> Result<(), LabError> {
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if at != last {
                node.stop()?;
            }
        }
        self.nodes[last].stop()?;
        self.start_all(last)
    }

    fn start_all(&mut self, first: usize) -> Result<(), LabError> {
        self.nodes[first].launch(&[BOOTSTRAP])?;
        wait_until_synced(&self.nodes[first])?;
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if at != first {
                node.launch(&[])?;
                wait_until_synced(node)?;
            }
        }
        Ok(())
    }
}

/// Makes a node the first of its cluster.
const BOOTSTRAP: &str = "--wsrep-new-cluster";

/// A node greets before it may be asked anything.
fn wait_until_synced(node: &MariaDb) -> Result<(), LabError> {
    let sql = "select variable_value from information_schema.global_status \
               where variable_name = 'wsrep_local_state_comment'";
    let until = Instant::now() + SYNCED_WITHIN;
    loop {
        if node.sql("mysql", sql).is_ok_and(|state| state.trim() == "Synced") {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(LabError::Late {
                program: "mariadbd".to_owned(),
                what: "a node of its cluster",
                limit: SYNCED_WITHIN,
                log: node.log(),
            });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
