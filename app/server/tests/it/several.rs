//! Several servers on the same two MariaDB servers, with `endpaper witness`.

use std::time::Duration;

use lab::{MariaDb, Process, Scratch};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Reader, Server, endpaper, run, until};

const READY_WITHIN: Duration = Duration::from_mins(1);
const TOKEN: &str = "aLongSecret";

/// Two masters, a witness, and a configuration with the witness's address.
pub(crate) struct Set {
    masters: [MariaDb; 2],
    _witness: Process,
    scratch: Scratch,
}

impl Set {
    pub(crate) fn start(test: &str) -> Option<Self> {
        let software = lab::require_mariadb(test)?;
        let scratch = Scratch::new("several").unwrap();
        let masters = [0, 1].map(|_| {
            let master = MariaDb::start(&software, scratch.path()).unwrap();
            master.create_database("endpaper").unwrap();
            master
        });
        let data = scratch.path().join("third").display().to_string();
        let mut command = endpaper(&["witness", "--data", &data, "--listen", "127.0.0.1:0"]);
        command.env("ENDPAPER_WITNESS_TOKEN", TOKEN);
        let mut witness = Process::start(command).unwrap();
        let address = witness.wait_for_line(READY_WITHIN, |line| {
            line.strip_prefix("listening on witness://").map(str::to_owned)
        });
        let [one, two] = [&masters[0], &masters[1]].map(|master| master.url("endpaper"));
        let text = format!(
            "[store]\nwitness = \"witness://{TOKEN}@{}\"\nprobe_ms = 50\n\
             [[masters]]\nname = \"one\"\nurl = \"{one}\"\n[[masters]]\nname = \"two\"\nurl = \"{two}\"\n",
            address.unwrap()
        );
        std::fs::write(scratch.path().join("endpaper.toml"), text).unwrap();
        Some(Self { masters, _witness: witness, scratch })
    }

    /// Adds to the configuration.
    pub(crate) fn configure(&self, more: &str) {
        let file = self.scratch.path().join("endpaper.toml");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before + more).unwrap();
    }

    /// The arguments of one of the servers, which has a directory of its own.
    pub(crate) fn arguments(&self, name: &str) -> [String; 4] {
        let path = |file: &str| self.scratch.path().join(file).display().to_string();
        ["--config".into(), path("endpaper.toml"), "--data".into(), path(name)]
    }

    fn serve(&self, name: &str) -> Server {
        let arguments = self.arguments(name);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Server::start_with(&[&["serve"], arguments.as_slice()].concat())
    }
}

async fn write(server: &Server, reader: &Reader, book: &str, content: &str) {
    let memo = json!({ "userBookId": book, "pageNumber": 1, "content": content, "memoStartTime": "2026-03-01T09:00:00+09:00" });
    let (status, answer) =
        server.ask(Method::POST, "/api/v1/memos", Some(&reader.token), Some(memo)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

pub(crate) async fn until_up(server: &Server) {
    let up = async || {
        let (_, answer) = server.ask(Method::GET, "/api/v1/health", None, None).await;
        answer["data"]["status"] == "UP"
    };
    until("every master is live", up).await;
}

fn contents(memos: &Value) -> Vec<&str> {
    let mut contents: Vec<&str> =
        memos.as_array().unwrap().iter().map(|memo| memo["content"].as_str().unwrap()).collect();
    contents.sort_unstable();
    contents
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_one_is_frozen_and_killed_while_a_master_dies() {
    let Some(mut set) = Set::start("two servers, one of which dies") else { return };
    let mut left = set.serve("left");
    let right = set.serve("right");
    let reader = Reader::sign_up(&left, "reader").await;
    // Who logged in here is known there.
    let book = reader.shelve(&right, json!({ "title": "작별하지 않는다" })).await;
    write(&left, &reader, &book, "1 by the left").await;
    write(&right, &reader, &book, "2 by the right").await;

    left.program.process().freeze().unwrap();
    set.masters[0].kill().unwrap();
    write(&right, &reader, &book, "3 while the left is frozen").await;
    left.program.process().thaw().unwrap();
    let path = format!("/api/v1/memos/books/{book}");
    let seen = reader.get(&left, &path).await;
    assert_eq!(contents(&seen).len(), 3, "it reads nothing old: {seen}");
    write(&left, &reader, &book, "4 by the left, awake again").await;
    set.masters[0].restart().unwrap();
    until_up(&left).await;
    until_up(&right).await;

    left.program.kill().unwrap();
    write(&right, &reader, &book, "5 after the left was killed").await;
    let left = set.serve("left");
    until_up(&left).await;
    write(&left, &reader, &book, "6 by the left, started again").await;
    for server in [&left, &right] {
        assert_eq!(contents(&reader.get(server, &path).await).len(), 6);
    }
    // A command is one more process, while the servers run.
    until_up(&right).await;
    let arguments = set.arguments("right");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let verified = run(&[&["masters", "verify", "--fast"], arguments.as_slice()].concat());
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    for server in [left, right] {
        assert_eq!(server.program.stop().unwrap().code, Some(0));
    }
}

/// Longer than the servers keep a connection that says nothing in a transaction, than
/// the witness waits for a process, and than any statement may take. That it is a
/// minute of the wall clock is what is tested.
pub(crate) const FROZEN: Duration = Duration::from_secs(65);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_frozen_for_a_minute_joins_the_other() {
    let Some(set) = Set::start("a server that was frozen for a minute") else { return };
    let mut left = set.serve("left");
    let right = set.serve("right");
    let reader = Reader::sign_up(&left, "reader").await;
    let book = reader.shelve(&right, json!({ "title": "작별하지 않는다" })).await;
    write(&left, &reader, &book, "1 by the left").await;
    let meanwhile = async {
        write(&right, &reader, &book, "2 by the right").await;
        until_up(&right).await;
        write(&right, &reader, &book, "3 by the right").await;
    };
    tokio::join!(left.sleeps(FROZEN), meanwhile);
    let path = format!("/api/v1/memos/books/{book}");
    let seen = reader.get(&left, &path).await;
    assert_eq!(contents(&seen).len(), 3, "it reads nothing old: {seen}");
    write(&left, &reader, &book, "4 by the left, awake again").await;
    until_up(&left).await;
    until_up(&right).await;
    for server in [&left, &right] {
        assert_eq!(contents(&reader.get(server, &path).await).len(), 4);
    }
    for server in [left, right] {
        assert_eq!(server.program.stop().unwrap().code, Some(0));
    }
}

#[test]
fn a_witness_for_everybody_wants_a_token() {
    let scratch = Scratch::new("witness-token").unwrap();
    let data = scratch.path().display().to_string();
    let refused = run(&["witness", "--data", &data, "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("witness.token"), "{}", refused.stderr);
}
