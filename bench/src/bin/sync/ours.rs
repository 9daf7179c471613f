//! `sync-sqlite` to `endpaper serve`.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bench::cpu_spent;
use bench::reader::{Token, open, shelve, sign_up, write};
use lab::{Program, Scratch, TakenAway};
use stdx::IdSource;
use sync::engine::Synced;
use sync::model::RecordId;
use sync_sqlite::{Device, HttpServer};
use tokio::runtime::Runtime;

use crate::Round;

/// Of a child that ends by itself.
const ENDS_WITHIN: Duration = Duration::from_mins(5);

/// A server, a device of an account there, and a book on its shelf.
struct Pair {
    program: Program,
    server: HttpServer<Token>,
    device: Device,
    book: RecordId,
    runtime: Runtime,
    scratch: Scratch,
}

impl Pair {
    fn start(server: &Path) -> Self {
        let scratch = Scratch::new("bench-sync").expect("a directory under target/");
        let data = scratch.path().join("data").display().to_string();
        let arguments =
            ["serve", "--data", &data, "--listen", "127.0.0.1:0", "--log-level", "warn"];
        let program = Program::start(server, arguments).expect("the server starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("it can be made");
        let (token, account) = runtime.block_on(sign_up(&program.url("")));
        let client = sync_sqlite::http::client().expect("a client");
        let base = program.url("/").parse().expect("a URL");
        let server = HttpServer::new(client, base, Token(token));
        let device = open(&scratch.path().join("device.db"), account, None);
        let book = shelve(&device, "소년이 온다");
        let pair = Self { program, server, device, book, runtime, scratch };
        pair.send();
        pair
    }

    /// Everything that waits is sent; how long that takes.
    fn send(&self) -> Duration {
        let started = Instant::now();
        let synced = self.runtime.block_on(self.device.sync(&self.server, |_| (), |_| ()));
        assert_eq!(synced.expect("it can be written down"), Synced::Done);
        assert_eq!(self.device.unsent().expect("it is read").len(), 0);
        started.elapsed()
    }

    fn stop(self) {
        drop(self.program.stop());
    }
}

pub(crate) fn run(server: &Path, count: usize) -> Round {
    let mut pair = Pair::start(server);
    let pids = [pair.program.process().pid()];
    let before = cpu_spent(&pids);
    let started = Instant::now();
    let latencies = write(&pair.device, pair.book, count);
    let local = started.elapsed();
    let send = pair.send();
    let cost = cpu_spent(&pids).saturating_sub(before);
    pair.stop();
    Round { latencies, local, send, cost }
}

/// How long it takes to send so many memos, from the question whether the server is well,
/// when one of its masters goes away just before that.
pub(crate) fn send_with_a_master_away(server: &Path, count: usize) -> Duration {
    let pair = Pair::start(server);
    let _ = write(&pair.device, pair.book, count);
    let away = TakenAway::take(&pair.scratch.path().join("data/b.db")).expect("it is there");
    let took = pair.send();
    pair.stop();
    drop(away);
    took
}

/// Of a process that queues so many operations and does nothing else.
pub(crate) fn queued_of_another_process(count: usize) -> u64 {
    let mut command = Command::new(std::env::current_exe().expect("it runs"));
    command.args(["--queue", &count.to_string()]);
    let finished = lab::run(command, ENDS_WITHIN).expect("it ends");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout.trim().parse().expect("a number")
}

pub(crate) fn queued_resident_bytes(count: usize) -> u64 {
    let scratch = Scratch::new("bench-queue").expect("a directory under target/");
    let account = IdSource::system().next();
    let device = open(&scratch.path().join("device.db"), account, Some(count + 1));
    let book = shelve(&device, "소년이 온다");
    let _ = write(&device, book, count);
    resident_bytes()
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kilobytes * 1024
}
