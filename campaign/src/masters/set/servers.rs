//! Masters that are MariaDB servers.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use lab::proxy::{Fall, Traffic, Way};
use lab::{LabError, MariaDb, Proxy, Software};
use stdx::Random;

use super::{Hold, Masters, Set};
use crate::masters::faults::OfServers;

/// Both directions.
const BOTH: [Way; 2] = [Way::ToServer, Way::ToClient];
/// Connections that a server takes: the worker's, and some.
const CONNECTIONS: usize = 70;
/// A stall and the time between two: nearly as long as a commit may take, and long
/// enough for some work.
const STALL: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(100));
const STALLS: u32 = 6;
/// Tries of another client to be in everybody's way.
const DEADLOCKS: u32 = 25;

pub(crate) struct Servers {
    servers: [(MariaDb, Proxy); 2],
}

impl Servers {
    fn server(&mut self, master: usize) -> &mut MariaDb {
        &mut self.servers[master].0
    }

    fn proxy(&self, master: usize) -> &Proxy {
        &self.servers[master].1
    }

    fn traffic(
        &self,
        master: usize,
        ways: &[Way],
        traffic: Traffic,
        hold: Hold<'_>,
    ) -> Result<(), LabError> {
        for way in ways {
            self.proxy(master).set(*way, traffic)?;
        }
        hold();
        self.proxy(master).pass()
    }

    /// Takes every connection that the server has left. A connection that says
    /// nothing is held for ten seconds before it is closed.
    fn take_connections(&self, master: usize) -> Vec<TcpStream> {
        let (server, proxy) = &self.servers[master];
        // Those of the worker fall, and it has to come again.
        drop(proxy.reset());
        let connect = |_| TcpStream::connect_timeout(&server.address(), Duration::from_secs(1));
        (0..CONNECTIONS + 8).filter_map(|at| connect(at).ok()).collect()
    }
}

impl Masters for Servers {
    type Own = OfServers;
    const KIND: &'static str = "MariaDB";
    const SHARED: bool = true;
    const COMMITS_FIRST: usize = 0;
    const INTO_THE_FILE: Option<&'static str> = None;

    fn start(software: &Software, directories: &[PathBuf; 2]) -> Result<Self, LabError> {
        let start = |directory: &PathBuf| -> Result<(MariaDb, Proxy), LabError> {
            let connections = format!("--max-connections={CONNECTIONS}");
            let server = MariaDb::start_with(software, directory, &[&connections])?;
            server.create_database("campaign")?;
            let proxy = Proxy::to(server.address())?;
            Ok((server, proxy))
        };
        Ok(Self { servers: [start(&directories[0])?, start(&directories[1])?] })
    }

    fn url(&self, master: usize) -> String {
        let (server, proxy) = &self.servers[master];
        server.url_at(proxy.address(), "campaign")
    }

    fn leave(&mut self, master: usize) -> Result<(), LabError> {
        self.server(master).kill()
    }

    fn come_back(&mut self, master: usize) -> Result<(), LabError> {
        self.server(master).restart()
    }

    fn cut_off(&mut self, master: usize) -> Result<(), LabError> {
        self.proxy(master).refuse()
    }

    fn reconnect(&mut self, master: usize) -> Result<(), LabError> {
        self.proxy(master).pass()
    }

    fn revive(&mut self) -> Result<(), LabError> {
        for (server, _) in &mut self.servers {
            if !server.is_running() {
                server.restart()?;
            }
        }
        Ok(())
    }

    fn lose_data(&mut self, master: usize) -> Result<(), LabError> {
        let again = "drop database campaign; create database campaign";
        self.server(master).sql("mysql", again).map(drop)
    }

    fn by_hand(&self, master: usize, sql: &str) -> Result<String, LabError> {
        self.servers[master].0.sql("campaign", sql)
    }

    fn suffer(
        set: &mut Set<Self>,
        fault: OfServers,
        random: &Random,
        hold: Hold<'_>,
    ) -> Result<(), LabError> {
        let all = set.setup.all;
        let masters = &mut set.masters;
        match fault {
            OfServers::Kill(master) => {
                masters.server(master).kill()?;
                hold();
                masters.server(master).restart()?;
            }
            OfServers::KillBoth => {
                masters.server(0).kill()?;
                masters.server(1).kill()?;
                hold();
                masters.server(0).restart()?;
                masters.server(1).restart()?;
            }
            OfServers::Freeze(master) => {
                masters.server(master).freeze()?;
                hold();
                masters.server(master).thaw()?;
            }
            OfServers::FreezeBoth => {
                masters.server(0).freeze()?;
                masters.server(1).freeze()?;
                hold();
                masters.server(1).thaw()?;
                masters.server(0).thaw()?;
            }
            OfServers::Stall(master) => {
                for _ in 0..STALLS {
                    masters.server(master).freeze()?;
                    std::thread::sleep(STALL.0);
                    masters.server(master).thaw()?;
                    std::thread::sleep(STALL.1);
                }
            }
            OfServers::Reset(master) => {
                masters.proxy(master).reset()?;
                hold();
            }
            OfServers::Refuse(master) => {
                masters.proxy(master).refuse()?;
                hold();
                masters.proxy(master).pass()?;
            }
            OfServers::Cut(master) => masters.traffic(master, &BOTH, Traffic::Held, hold)?,
            OfServers::LoseRequests(master) => {
                masters.traffic(master, &[Way::ToServer], Traffic::Lost, hold)?;
            }
            OfServers::LoseAnswers(master) => {
                masters.traffic(master, &[Way::ToClient], Traffic::Lost, hold)?;
            }
            OfServers::Delay(master) => {
                let later = Traffic::Delayed(Duration::from_millis(40));
                masters.traffic(master, &BOTH, later, hold)?;
            }
            OfServers::Drip(master) => {
                let bytes_per_s = std::num::NonZeroU32::new(20_000).expect("it is not 0");
                let slowly = Traffic::Dripping { bytes_per_s };
                masters.traffic(master, &[Way::ToServer], slowly, hold)?;
            }
            OfServers::LoseCommit(master, silently) => {
                let fall = if silently { Fall::Silence } else { Fall::Reset };
                masters.proxy(master).drop_next_answer("commit", fall)?;
                hold();
                masters.proxy(master).pass()?;
            }
            OfServers::LoseBothCommits => {
                for master in 0..2 {
                    masters.proxy(master).drop_next_answer("commit", Fall::Reset)?;
                }
                hold();
                for master in 0..2 {
                    masters.proxy(master).pass()?;
                }
            }
            OfServers::KillWithWorker(master) => {
                set.kill_workers()?;
                set.masters.server(master).kill()?;
                // The other may not be able to go on alone; then this waits.
                if all {
                    set.masters.server(master).restart()?;
                    set.start_workers()?;
                } else {
                    set.start_workers()?;
                    hold();
                    set.masters.server(master).restart()?;
                }
            }
            OfServers::OutOfConnections(master) => {
                let taken = masters.take_connections(master);
                hold();
                drop(taken);
            }
            OfServers::HoldRows(master) => {
                // Longer than a lock is waited for, and not for ever.
                for what in ["accounts where id >= 4", "mm_epoch"] {
                    let sql = format!(
                        "start transaction; select * from {what} for update; do sleep(1.6); \
                         rollback"
                    );
                    // It may itself have to wait too long.
                    drop(masters.by_hand(master, &sql));
                }
            }
            OfServers::Deadlock(master) => {
                for _ in 0..DEADLOCKS {
                    let (one, other) = (4 + random.below(4), random.below(4));
                    let sql = format!(
                        "start transaction; select * from accounts where id = {one} for update; \
                         do sleep(0.02); select * from accounts where id = {other} for update; \
                         rollback"
                    );
                    // That one of the two is told no is what this is for.
                    drop(masters.by_hand(master, &sql));
                }
            }
            OfServers::Empty(master) => {
                masters.lose_data(master)?;
                hold();
            }
            OfServers::OlderCopy(master) => {
                let copy = set.scratch.path().join("older");
                masters.server(master).copy_data(&copy)?;
                // What is written from here on is not in the copy.
                hold();
                let replaced = masters.server(master).replace_data(&copy);
                drop(std::fs::remove_dir_all(&copy));
                replaced?;
            }
        }
        Ok(())
    }
}
