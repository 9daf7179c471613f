//! What the README promises.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::Scratch;
use reqwest::Method;
use serde_json::json;

use crate::common::{Server, until};
use crate::tables;

/// The five minutes with curl, word for word, and what is said after them.
#[tokio::test(flavor = "multi_thread")]
async fn the_five_minutes_are_true() {
    if !lab::has_program("curl", "the five minutes of the README") {
        return;
    }
    let scratch = Scratch::new("readme").unwrap();
    let data = scratch.path().join("data");
    let server = Server::start(&data, &[]);
    let [script] = &blocks_of("Five minutes with curl")[..] else { panic!("it is one block") };
    let script = script.replace("http://127.0.0.1:8080", &server.program.url(""));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-euc", &script]);
    let said = lab::run(shell, Duration::from_mins(1)).unwrap();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(!said.stdout.contains("\"ok\":false"), "{}", said.stdout);
    let answers = said.stdout.matches("\"ok\":true").count();
    let questions = script.matches("curl -s").count();
    // Two of the answers go into variables.
    assert_eq!(answers, questions - 2, "{}", said.stdout);
    assert!(said.stdout.contains("AlmostFinished"), "160 of 216 pages: {}", said.stdout);

    assert_eq!(server.program.stop().unwrap().code, Some(0));
    let before = tables::of_sqlite(&data.join("a.db"));
    fs::rename(data.join("b.db"), data.join("b.db.away")).unwrap();
    let server = Server::start(&data, &[]);
    until("the lost file is rebuilt", async || {
        let (_, health) = server.ask(Method::GET, "/api/v1/health", None, None).await;
        health["data"]["status"] == "UP"
    })
    .await;
    let login = json!({ "loginId": "reader", "password": "a long password" });
    let (status, answer) = server.ask(Method::POST, "/api/v1/auth/login", None, Some(login)).await;
    assert!(status.is_success(), "{answer}");
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    let [a, b] = ["a.db", "b.db"].map(|file| tables::of_sqlite(&data.join(file)));
    tables::assert_same(&a, &b);
    assert_eq!(a["memos"], before["memos"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_there_after_each_start_and_does_not_double() {
    let scratch = Scratch::new("demo").unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let server = Server::start(scratch.path(), &["--demo"]);
        let login = json!({ "loginId": "demo", "password": "endpaper-demo" });
        let (_, answer) = server.ask(Method::POST, "/api/v1/auth/login", None, Some(login)).await;
        let token = answer["data"]["accessToken"].as_str().expect("the demo account logs in");
        let (_, shelf) = server.ask(Method::GET, "/api/v1/user/books", Some(token), None).await;
        let (_, recent) =
            server.ask(Method::GET, "/api/v1/memos/books/recent", Some(token), None).await;
        seen.push((shelf, recent));
        let finished = server.program.stop().unwrap();
        assert!(!finished.stderr.contains("everybody knows its password"), "{}", finished.stderr);
        assert_eq!(finished.code, Some(0));
    }
    let without = Server::start(scratch.path(), &[]).program.stop().unwrap();
    assert!(without.stderr.contains("everybody knows its password"), "{}", without.stderr);
    assert!(seen[0].0["data"]["totalCount"].as_u64() > Some(3), "{}", seen[0].0);
    assert_eq!(seen[0], seen[1]);
}

/// The five minutes offline, word for word, with the server stopped and started between
/// the blocks.
#[test]
fn the_five_minutes_offline_are_true() {
    let scratch = Scratch::new("readme-offline").unwrap();
    let data = scratch.path().join("data").display().to_string();
    let [prepare, offline, online] = &blocks_of("Five minutes offline")[..] else {
        panic!("they are three blocks");
    };
    let serve = |address: &str| {
        Server::start_with(&["serve", "--demo", "--data", &data, "--listen", address])
    };
    let server = serve("127.0.0.1:0");
    let address = server.program.address().to_string();
    let variables = prepare.lines().filter(|line| line.starts_with(['l', 't']));
    let variables = variables.collect::<Vec<_>>().join("\n");
    let run = |block: &str| {
        let script = format!("{variables}\n{block}")
            .replace("cargo build --release --package endpaper", "")
            .replace("target/release/endpaper", env!("CARGO_BIN_EXE_endpaper"))
            .replace("127.0.0.1:8080", &address);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-euc", &script]).current_dir(scratch.path());
        let said = lab::run(shell, Duration::from_mins(1)).unwrap();
        assert_eq!(said.code, Some(0), "{block}: {}{}", said.stdout, said.stderr);
        said.stdout + &said.stderr
    };
    let said = run(prepare);
    assert!(said.contains("소년이 온다"), "{said}");
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    let said = run(offline);
    assert!(said.contains("⏳") && said.contains("can't be reached; 1 edit"), "{said}");
    let server = serve(&address);
    let said = run(online);
    assert!(said.contains("✓") && said.contains("촛불 하나로"), "{said}");
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

/// The blocks of shell under a heading of README.md.
pub(crate) fn blocks_of(heading: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, rest) = text.split_once(&format!("## {heading}\n")).expect("the heading is there");
    let section = rest.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}
