//! On two real MariaDB servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lab::{MariaDb, Scratch};
use multi_master::{Config, MasterConfig, MasterName, Policy};
use sync::model::{RecordKey, Version};

use crate::common::{Server, applied};

struct Pair {
    servers: [MariaDb; 2],
    scratch: Scratch,
}

impl Pair {
    fn start(test: &str) -> Option<Self> {
        let software = lab::require_mariadb(test)?;
        let scratch = Scratch::new(&test.replace(' ', "-")).unwrap();
        let servers = ["a", "b"].map(|name| {
            let server = MariaDb::start(&software, &scratch.path().join(name)).unwrap();
            server.create_database("sync").unwrap();
            server
        });
        Some(Self { servers, scratch })
    }

    fn config(&self) -> Config {
        let masters = ["a", "b"].into_iter().zip(&self.servers).map(|(name, server)| {
            MasterConfig { name: MasterName(name.to_owned()), url: server.url("sync") }
        });
        let witness = self.scratch.path().join("witness.json");
        Config::new(masters.collect(), Policy::Available, witness)
    }
}

/// Devices of two accounts push at the same time, each thing twice at once, while one
/// pulls: each operation is settled once, versions have no gap, and who pulls misses
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_push_at_the_same_time_are_settled_once_and_pullers_miss_nothing() {
    const DEVICES: usize = 3;
    const PUSHES: usize = 24;
    const EACH: usize = 5;
    let Some(pair) = Pair::start("devices push at once") else { return };
    let server = Server::open(pair.config()).await;
    let (account, another) = (server.ids.next(), server.ids.next());
    let done = Arc::new(AtomicBool::new(false));
    let puller = {
        let (device, done) = (server.device(account), Arc::clone(&done));
        tokio::spawn(async move {
            let (mut seen, mut cursor) = (BTreeMap::<RecordKey, Version>::new(), 0);
            loop {
                let last = done.load(Ordering::SeqCst);
                let told = device.pull(cursor, 17).await.unwrap();
                for change in told.changes {
                    assert!(change.version.0 > cursor);
                    assert!(seen.insert(change.key, change.version).is_none(), "made once");
                }
                cursor = told.cursor.0;
                if last && !told.more {
                    return (seen, cursor);
                }
            }
        })
    };
    let pushers: Vec<_> = (0..2 * DEVICES)
        .map(|number| {
            let is_other = number >= DEVICES;
            let mut device = server.device(if is_other { another } else { account });
            tokio::spawn(async move {
                let mut made = Vec::new();
                for _ in 0..PUSHES {
                    let keys: Vec<RecordKey> = (0..EACH).map(|_| device.server.key()).collect();
                    let operations: Vec<_> =
                        keys.iter().map(|key| device.create(key, "한 줄")).collect();
                    let twice = device.clone();
                    let again = operations.clone();
                    let again = tokio::spawn(async move { twice.push(again).await.unwrap() });
                    let first = device.push(operations).await.unwrap();
                    assert_eq!(first.answers, again.await.unwrap().answers);
                    made.extend(keys);
                }
                (is_other, made)
            })
        })
        .collect();
    let mut made = Vec::new();
    for pusher in pushers {
        let (is_other, some) = pusher.await.unwrap();
        made.extend(some.into_iter().filter(|_| !is_other));
    }
    done.store(true, Ordering::SeqCst);
    let (seen, cursor) = puller.await.unwrap();
    let all = DEVICES * PUSHES * EACH;
    assert_eq!((made.len(), seen.len(), cursor), (all, all, all as u64), "no gap, none missed");
    assert!(made.iter().all(|key| seen.contains_key(key)));
    let count = "select count(*) from notes; select count(*) from sync_records";
    for one in &pair.servers {
        let both = 2 * all;
        assert_eq!(one.sql("sync", count).unwrap().trim(), format!("{both}\n{both}"));
    }
}

#[tokio::test]
async fn what_a_master_that_died_took_with_it_is_answered_by_the_other() {
    let Some(mut pair) = Pair::start("a master dies between push and push") else { return };
    let server = Server::open(pair.config()).await;
    let mut device = server.device(server.ids.next());
    let operation = device.create(&server.key(), "a");
    assert_eq!(device.outcomes(vec![operation.clone()]).await, [applied(1)]);
    pair.servers[0].kill().unwrap();
    assert_eq!(device.outcomes(vec![operation]).await, [applied(1)]);
    let more = device.create(&server.key(), "b");
    assert_eq!(device.outcomes(vec![more]).await, [applied(2)]);
    assert_eq!(device.pull(0, 9).await.unwrap().changes.len(), 2);
}
