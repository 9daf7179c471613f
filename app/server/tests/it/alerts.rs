//! A master goes, and somebody is told; it comes back, and they are told that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use lab::{Scratch, TakenAway};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::common::{Reader, Server, client, endpaper};

/// A webhook on loopback that takes everything.
struct Webhook {
    address: String,
    received: mpsc::UnboundedReceiver<Value>,
}

/// Of a message about something that has happened.
const COMES_WITHIN: Duration = Duration::from_secs(30);

impl Webhook {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let app = Router::new().fallback(async move |body: Bytes| {
            let body = serde_json::from_slice(&body).unwrap();
            // A test that has ended hears of nothing more.
            let _ = sender.send(body);
            StatusCode::NO_CONTENT
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, received }
    }

    /// The first message that `wanted` knows; others that come before it are
    /// left out.
    async fn find(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = tokio::time::timeout(COMES_WITHIN, async {
            loop {
                let body = self.received.recv().await.unwrap();
                if wanted(&body) {
                    return body;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("{what}: not within {COMES_WITHIN:?}"))
    }

    async fn event(&mut self, key: &str, event: &str) -> Value {
        let wanted = |body: &Value| body["key"] == key && body["event"] == event;
        self.find(&format!("{key} {event}"), wanted).await
    }
}

/// A server with the embedded pair in `data` that tells the webhook at once.
fn server(scratch: &Scratch, address: &str, policy: &str, more: &str) -> (Server, PathBuf) {
    let file = configuration(scratch, address, policy, more);
    (Server::start_with(&["serve", "--config", &file]), scratch.path().join("data"))
}

/// The configuration file of such a server.
fn configuration(scratch: &Scratch, address: &str, policy: &str, more: &str) -> String {
    let file = scratch.path().join("endpaper.toml");
    let text = format!(
        "data = \"data\"\n[store]\npolicy = \"{policy}\"\nprobe_ms = 50\n[alerts]\n\
         webhook = \"{address}/secret\"\nmaster_away_ms = 0\nquiet_ms = 0\n{more}"
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn take_away(data: &Path, name: &str) -> TakenAway {
    TakenAway::take(&data.join(format!("{name}.db"))).unwrap()
}

#[tokio::test]
async fn a_master_that_is_away_is_told_and_so_is_its_return() {
    let scratch = Scratch::new("alerts").unwrap();
    let (mut webhook, mut slack) = (Webhook::start().await, Webhook::start().await);
    let more = format!("slack_webhook = \"{}/secret\"\n", slack.address);
    let (server, data) = server(&scratch, &webhook.address, "available", &more);
    let b = take_away(&data, "b");
    let raised = webhook.event("master/b", "raised").await;
    assert_eq!(raised["severity"], "WARNING", "{raised}");
    assert!(raised["summary"].as_str().unwrap().starts_with("master b is "), "{raised}");
    assert!(raised["details"]["reason"].is_string(), "{raised}");
    b.lose().unwrap();
    let resolved = webhook.event("master/b", "resolved").await;
    assert!(resolved["lasted_ms"].is_u64(), "{resolved}");
    let told = |body: &Value| body["text"].as_str().unwrap().starts_with("RESOLVED master/b");
    assert!(slack.find("the same for Slack", told).await["blocks"].is_array());

    let finished = server.program.stop().unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let told = |words: &str| finished.stderr.lines().any(|line| line.contains(words));
    assert!(told("WARN alerts: master b is"), "{}", finished.stderr);
    assert!(told("INFO alerts: resolved: master b is"), "{}", finished.stderr);
    assert!(!told("secret"), "{}", finished.stderr);
}

#[tokio::test]
async fn writes_that_are_refused_are_critical() {
    let scratch = Scratch::new("alerts").unwrap();
    let mut webhook = Webhook::start().await;
    let (server, data) = server(&scratch, &webhook.address, "all", "");
    let b = take_away(&data, "b");
    let raised = webhook.event("store/writes", "raised").await;
    assert_eq!(raised["severity"], "CRITICAL", "{raised}");
    assert_eq!(raised["details"]["a"], "LIVE", "{raised}");
    b.lose().unwrap();
    let resolved = webhook.event("store/writes", "resolved").await;
    assert_eq!(resolved["episode"], raised["episode"]);
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

#[tokio::test]
async fn a_master_that_cant_be_brought_back_is_critical_after_ten_failures() {
    let scratch = Scratch::new("alerts").unwrap();
    let mut webhook = Webhook::start().await;
    let file = configuration(&scratch, &webhook.address, "available", "");
    let (server, operator) = Server::start_operated(&["serve", "--config", &file]);
    let data = scratch.path().join("data");
    let b = take_away(&data, "b");
    webhook.event("master/b", "raised").await;
    // Its pauses grow: an operator who has no patience shortens them.
    let token = std::fs::read_to_string(data.join("operator-token")).unwrap();
    let impatient = tokio::spawn(async move {
        loop {
            let ask = client().post(format!("http://{operator}/queue/retry"));
            let ask = ask.bearer_auth(token.trim()).json(&json!({ "item": { "master": "b" } }));
            ask.send().await.unwrap().error_for_status().unwrap();
            tokio::task::yield_now().await;
        }
    });
    let worsened = webhook.event("master/b", "worsened").await;
    impatient.abort();
    assert_eq!(worsened["severity"], "CRITICAL", "{worsened}");
    assert!(worsened["summary"].as_str().unwrap().contains("could not be brought back"));
    b.lose().unwrap();
    let resolved = webhook.event("master/b", "resolved").await;
    assert_eq!(resolved["episode"], worsened["episode"]);
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

#[tokio::test]
async fn what_a_comparison_on_schedule_finds_is_told_until_it_is_repaired() {
    let scratch = Scratch::new("alerts").unwrap();
    let mut webhook = Webhook::start().await;
    let store = "available\"\nverify_every_ms = 1000 # \"";
    let (server, data) = server(&scratch, &webhook.address, store, "");
    Reader::sign_up(&server, "reader").await;
    let by_hand = rusqlite::Connection::open(data.join("b.db")).unwrap();
    by_hand.busy_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(by_hand.execute("update users set name = 'somebody else'", []).unwrap(), 1);
    let raised = webhook.event("verify/rows", "raised").await;
    assert_eq!((&raised["severity"], &raised["details"]["rows"]), (&json!("WARNING"), &json!("1")));
    by_hand.execute("update users set name = '읽는 사람'", []).unwrap();
    webhook.event("verify/rows", "resolved").await;
    by_hand.execute("create table other (x int)", []).unwrap();
    let raised = webhook.event("verify/structure", "raised").await;
    assert_eq!(raised["severity"], "CRITICAL", "{raised}");
    by_hand.execute("drop table other", []).unwrap();
    webhook.event("verify/structure", "resolved").await;
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

/// A reader meets a row that somebody changed on one master: the operator is told,
/// which row it is comes by itself, and what lost can be read until it is dropped.
#[tokio::test]
async fn a_write_that_meets_masters_that_differ_is_told_until_they_are_the_same() {
    let scratch = Scratch::new("alerts").unwrap();
    let mut webhook = Webhook::start().await;
    let store = "available\"\nverify_every_ms = \"off\" # \"";
    let file = configuration(&scratch, &webhook.address, store, "");
    let (server, operator) = Server::start_operated(&["serve", "--config", &file]);
    let masters = |arguments: &[&str]| {
        let arguments = [&["masters"], arguments, &["--config", &file]].concat();
        let mut command = endpaper(&arguments);
        command.env("ENDPAPER_OPERATOR_LISTEN", operator.as_str());
        lab::run(command, Duration::from_mins(1)).unwrap()
    };
    assert_eq!(masters(&["conflicts", "ls"]).stdout.trim(), NOTHING_KEPT);
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "소년이 온다" })).await;
    let memo = json!({ "userBookId": book, "content": "first", "pageNumber": 1, "memoStartTime": "2026-03-01T09:00:00+09:00" });
    let memo = reader.done(&server, Method::POST, "/api/v1/memos", Some(memo)).await;
    let path = format!("/api/v1/memos/{}", memo["id"].as_str().unwrap());
    let by_hand = rusqlite::Connection::open(scratch.path().join("data").join("b.db")).unwrap();
    by_hand.busy_timeout(Duration::from_secs(20)).unwrap();
    let change = "update memos set content = 'by hand', _v = _v - 1";
    assert_eq!(by_hand.execute(change, []).unwrap(), 1);

    let edit = json!({ "content": "second" });
    let (status, answer) =
        server.ask(Method::PUT, &path, Some(&reader.token), Some(edit.clone())).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{answer}");
    let raised = webhook.event("store/diverged", "raised").await;
    assert_eq!(raised["severity"], "CRITICAL", "{raised}");
    let found = webhook.event("verify/rows", "raised").await;
    assert!(found["details"]["first"].as_str().unwrap().starts_with("memos "), "{found}");
    assert_eq!(masters(&["verify", "--repair"]).code, Some(0));
    assert_eq!(webhook.event("store/diverged", "resolved").await["episode"], raised["episode"]);
    assert_eq!(webhook.event("verify/repaired", "raised").await["severity"], "INFO");
    assert_eq!(webhook.event("store/conflicts", "raised").await["severity"], "WARNING");
    reader.done(&server, Method::PUT, &path, Some(edit)).await;

    let kept = masters(&["conflicts", "ls"]).stdout;
    assert!(kept.contains("content \"by hand\""), "{kept}");
    let id = kept.split_whitespace().next().unwrap();
    assert!(masters(&["status"]).stdout.contains("1 that lost are kept"));
    let dropped = masters(&["conflicts", "drop", id]);
    assert_eq!((dropped.code, dropped.stdout.trim()), (Some(0), "dropped"), "{}", dropped.stderr);
    let again = masters(&["conflicts", "drop", id]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is not kept; `ls` shows what is"), "{}", again.stderr);
    webhook.event("store/conflicts", "resolved").await;
    assert_eq!(masters(&["conflicts", "ls"]).stdout.trim(), NOTHING_KEPT);
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

const NOTHING_KEPT: &str = "nothing is kept: nothing lost against anything";

#[tokio::test]
async fn what_reaches_nobody_is_in_the_log_when_the_server_stops() {
    let scratch = Scratch::new("alerts").unwrap();
    // Nobody listens there once this is gone.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let (mut server, data) = server(&scratch, &address, "available", "");
    let _ = take_away(&data, "b");
    let refused = |line: &str| line.contains("an alert was not delivered; it is").then_some(());
    server.program.process().wait_for_log_line(COMES_WITHIN, refused).unwrap();
    let finished = server.program.stop().unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let left = finished.stderr.lines().any(|line| {
        line.contains("an alert was not delivered before the end: master b is")
            && line.contains("key=master/b")
    });
    assert!(left, "{}", finished.stderr);
    assert!(!finished.stderr.contains("secret"), "{}", finished.stderr);
}
