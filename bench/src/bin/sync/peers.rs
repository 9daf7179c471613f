//! What else brings documents that were written offline to a server. It is installed
//! from its registries; where that can't be, it is left out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bench::reader::memo;
use bench::{Latencies, cpu_spent};
use lab::{Process, Scratch};
use rouchdb::Database;
use serde_json::{Value, json};

use crate::Round;

/// Installing, and one round.
const ENDS_WITHIN: Duration = Duration::from_mins(8);
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// Where they are installed.
pub(crate) struct Peers(PathBuf);

/// Installs them with npm, once.
pub(crate) fn install() -> Option<Peers> {
    let left_out = |why: &str| {
        eprintln!("left out: rouchdb and PouchDB: {why}");
        None
    };
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/sync");
    let to = lab::suite::target_dir().join("bench-sync-peers");
    let copy = || -> std::io::Result<()> {
        std::fs::create_dir_all(&to)?;
        for name in ["package.json", "server.js", "client.js"] {
            std::fs::copy(from.join(name), to.join(name))?;
        }
        Ok(())
    };
    if let Err(error) = copy() {
        return left_out(&error.to_string());
    }
    if !to.join("node_modules/pouchdb").exists() {
        let mut command = Command::new("npm");
        command.args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(&to);
        match lab::run(command, ENDS_WITHIN) {
            Ok(finished) if finished.code == Some(0) => {}
            Ok(finished) => return left_out(finished.stderr.trim()),
            Err(error) => return left_out(&format!("npm: {error}")),
        }
    }
    Some(Peers(to))
}

/// express-pouchdb over LevelDB.
struct Server {
    process: Process,
    port: u16,
    _scratch: Scratch,
}

impl Server {
    fn start(peers: &Peers) -> Self {
        let scratch = Scratch::new("bench-sync-peer").expect("a directory under target/");
        let mut command = Command::new("node");
        command.arg("server.js").arg(scratch.path()).current_dir(&peers.0);
        let mut process = Process::start(command).expect("node starts");
        let port = process
            .wait_for_line(STARTS_WITHIN, |line| line.trim().parse().ok())
            .expect("it says its port");
        Self { process, port, _scratch: scratch }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/memos", self.port)
    }
}

pub(crate) fn pouchdb(peers: &Peers, count: usize) -> Round {
    let server = Server::start(peers);
    create(&server.url());
    let scratch = Scratch::new("bench-sync-client").expect("a directory under target/");
    let mut command = Command::new("node");
    command.arg("client.js").arg(scratch.path()).arg(server.url()).arg(count.to_string());
    command.arg(memo(0)).current_dir(&peers.0);
    let before = cpu_spent(&[server.process.pid()]);
    let finished = lab::run(command, ENDS_WITHIN).expect("it ends");
    let at_server = cpu_spent(&[server.process.pid()]).saturating_sub(before);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let last = finished.stdout.lines().last().expect("a line");
    let said: Value = serde_json::from_str(last).expect("JSON");
    let us = |name: &str| Duration::from_micros(said[name].as_u64().expect("a number"));
    let mut latencies = Latencies::default();
    for one in said["latencies"].as_array().expect("a list") {
        latencies.add(Duration::from_micros(one.as_u64().expect("a number")));
    }
    let cost = at_server + us("cpu_us");
    Round { latencies, local: us("local_us"), send: us("sync_us"), cost }
}

pub(crate) fn rouchdb(peers: &Peers, count: usize) -> Round {
    let server = Server::start(peers);
    create(&server.url());
    let scratch = Scratch::new("bench-sync-client").expect("a directory under target/");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("threads can be started");
    runtime.block_on(async {
        let path = scratch.path().join("local.redb");
        let local = Database::open(&path, "memos").expect("it is opened");
        let remote = Database::http(&server.url());
        let before = cpu_spent(&[server.process.pid()]);
        let started = Instant::now();
        let mut latencies = Latencies::default();
        for number in 0..count {
            let document = json!({ "page": number, "content": memo(number) });
            let one = Instant::now();
            local.put(&format!("memo-{number}"), document).await.expect("it is saved");
            latencies.add(one.elapsed());
        }
        let wrote = started.elapsed();
        let result = local.replicate_to(&remote).await.expect("it is sent");
        let send = started.elapsed().saturating_sub(wrote);
        assert!(result.ok, "{result:?}");
        let cost = cpu_spent(&[server.process.pid()]).saturating_sub(before);
        // It counts what the server says of each, which is nothing.
        assert_eq!(documents(&server.url()).await, u64::try_from(count).ok());
        Round { latencies, local: wrote, send, cost }
    })
}

/// How many the server has.
async fn documents(url: &str) -> Option<u64> {
    let client = reqwest::Client::builder().no_proxy().build().ok()?;
    let said: Value = client.get(url).send().await.ok()?.json().await.ok()?;
    said["doc_count"].as_u64()
}

fn create(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let made = runtime.expect("it can be made").block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        client.put(url).send().await?.error_for_status()
    });
    made.expect("the database is made");
}
