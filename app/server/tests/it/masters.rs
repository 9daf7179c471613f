//! The server over masters that are elsewhere, away, or all away.

use std::path::Path;
use std::time::Duration;

use lab::proxy::Fall;
use lab::{MariaDb, Proxy, Scratch};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Reader, Server, endpaper, run, until};
use crate::several::FROZEN;

#[tokio::test]
async fn masters_can_be_files_elsewhere() {
    let scratch = Scratch::new("masters").unwrap();
    let file = scratch.path().join("endpaper.toml");
    let text = "data = \"data\"\n[[masters]]\nname = \"left\"\nurl = \"sqlite:disks/left.db\"\n[[masters]]\nname = \"right\"\nurl = \"sqlite:right.db\"\n";
    std::fs::write(&file, text).unwrap();
    std::fs::create_dir(scratch.path().join("disks")).unwrap();
    let path = file.display().to_string();
    let server = Server::start_with(&["serve", "--config", &path]);
    Reader::sign_up(&server, "reader").await;
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    assert!(scratch.path().join("disks/left.db").exists(), "relative to the file");
    assert!(scratch.path().join("right.db").exists());
    let status = run(&["masters", "status", "--config", &path]);
    assert_eq!(status.stdout, "left   LIVE\nright  LIVE\n", "{}", status.stderr);
}

/// Two servers and a configuration for them.
pub(crate) struct Pair {
    pub(crate) masters: [MariaDb; 2],
    pub(crate) scratch: Scratch,
}

impl Pair {
    pub(crate) fn start(test: &str, policy: &str) -> Option<Self> {
        let software = lab::require_mariadb(test)?;
        let scratch = Scratch::new("masters-mariadb").unwrap();
        let masters = [0, 1].map(|_| {
            let master = MariaDb::start(&software, scratch.path()).unwrap();
            master.create_database("endpaper").unwrap();
            master
        });
        let [one, two] = [&masters[0], &masters[1]].map(|master| master.url("endpaper"));
        let text = format!(
            "data = \"data\"\n[store]\npolicy = \"{policy}\"\nprobe_ms = 50\nstatement_ms = 2000\ncommit_ms = 2000\n\
             [[masters]]\nname = \"one\"\nurl = \"{one}\"\n[[masters]]\nname = \"two\"\nurl = \"{two}\"\n"
        );
        std::fs::write(scratch.path().join("endpaper.toml"), text).unwrap();
        Some(Self { masters, scratch })
    }

    pub(crate) fn config(&self) -> String {
        let path: &Path = self.scratch.path();
        path.join("endpaper.toml").display().to_string()
    }

    fn serve(&self) -> Server {
        Server::start_with(&["serve", "--config", &self.config()])
    }
}

async fn write(server: &Server, reader: &Reader, book: &str, content: &str) -> (StatusCode, Value) {
    let memo = json!({ "userBookId": book, "pageNumber": 1, "content": content, "memoStartTime": "2026-03-01T09:00:00+09:00" });
    server.ask(Method::POST, "/api/v1/memos", Some(&reader.token), Some(memo)).await
}

async fn health(server: &Server) -> (StatusCode, Value) {
    server.ask(Method::GET, "/api/v1/health", None, None).await
}

async fn until_up(server: &Server) {
    until("every master is live", async || health(server).await.1["data"]["status"] == "UP").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_master_away_the_server_says_so_and_saves_nothing() {
    let Some(mut pair) = Pair::start("a server whose masters are all away", "available") else {
        return;
    };
    let server = pair.serve();
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "작별하지 않는다" })).await;
    assert_eq!(write(&server, &reader, &book, "before").await.0, StatusCode::CREATED);

    pair.masters.iter_mut().for_each(|master| master.kill().unwrap());
    let (status, answer) = write(&server, &reader, &book, "while they are away").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["error"]["retryable"], true, "{answer}");
    let (status, answer) = health(&server).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let masters = json!([{"name": "one", "state": "DOWN"}, {"name": "two", "state": "DOWN"}]);
    assert_eq!(answer["error"]["details"]["masters"], masters, "{answer}");

    pair.masters.iter_mut().for_each(|master| master.restart().unwrap());
    until_up(&server).await;
    let memos = reader.get(&server, &format!("/api/v1/memos/books/{book}")).await;
    assert_eq!(memos.as_array().unwrap().len(), 1, "{memos}");
    assert_eq!(write(&server, &reader, &book, "after").await.0, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_master_holds_nobody_up_for_long() {
    let Some(mut pair) = Pair::start("a server with a frozen master", "available") else { return };
    let server = pair.serve();
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "작별하지 않는다" })).await;
    for frozen in [1, 0] {
        pair.masters[frozen].freeze().unwrap();
        // The first to notice waits for the time limit of a statement; nobody
        // is refused.
        let (status, answer) = write(&server, &reader, &book, &format!("{frozen} is frozen")).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let memos = reader.get(&server, &format!("/api/v1/memos/books/{book}")).await;
        assert!(memos.to_string().contains(&format!("{frozen} is frozen")), "{memos}");
        pair.masters[frozen].thaw().unwrap();
        until_up(&server).await;
    }
}

/// Nobody else was there: it has its masters as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_frozen_for_a_minute_goes_on() {
    let Some(pair) = Pair::start("frozen for a minute, alone", "available") else { return };
    let mut server = pair.serve();
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "작별하지 않는다" })).await;
    assert_eq!(write(&server, &reader, &book, "before").await.0, StatusCode::CREATED);
    server.sleeps(FROZEN).await;
    let (status, answer) = write(&server, &reader, &book, "after").await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    until_up(&server).await;
    let memos = reader.get(&server, &format!("/api/v1/memos/books/{book}")).await;
    assert_eq!(memos.as_array().unwrap().len(), 2, "{memos}");
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_policy_all_a_missing_master_stops_writes_and_no_reads() {
    let Some(mut pair) = Pair::start("a server under the policy all", "all") else { return };
    let server = pair.serve();
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "작별하지 않는다" })).await;
    assert_eq!(write(&server, &reader, &book, "before").await.0, StatusCode::CREATED);
    for away in [1, 0] {
        pair.masters[away].kill().unwrap();
        let (status, answer) = write(&server, &reader, &book, "refused").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        let memos = reader.get(&server, &format!("/api/v1/memos/books/{book}")).await;
        assert_eq!(memos.as_array().unwrap().len(), 1, "{memos}");
        pair.masters[away].restart().unwrap();
        until_up(&server).await;
    }
    assert_eq!(write(&server, &reader, &book, "after").await.0, StatusCode::CREATED);
}

/// Changes a book of a master with another program than ours.
fn by_hand(file: &Path) {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    assert!(connection.execute("update users set name = 'somebody else'", []).unwrap() > 0);
}

#[tokio::test]
async fn what_somebody_changed_in_a_master_is_found_and_repaired() {
    let scratch = Scratch::new("masters").unwrap();
    let data = scratch.path().join("data");
    let path = data.display().to_string();
    let (server, operator) = Server::start_operated(&["serve", "--data", &path]);
    Reader::sign_up(&server, "reader").await;
    let verify = |more: &[&str]| {
        let mut command = endpaper(&["masters", "verify", "--data", &path]);
        command.args(more).env("ENDPAPER_OPERATOR_LISTEN", operator.as_str());
        lab::run(command, Duration::from_mins(1)).unwrap()
    };
    let finished = verify(&[]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains(" 0 different, 0 repaired\n"), "{}", finished.stdout);

    // Of a server that runs.
    by_hand(&data.join("b.db"));
    let finished = verify(&["--fast"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert!(finished.stderr.contains("masters verify --repair"), "{}", finished.stderr);
    assert!(finished.stdout.contains(", changed by hand\n"), "{}", finished.stdout);
    let finished = verify(&["--repair", "--json"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let found: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&found["different"], &found["repaired"]), (&json!(1), &json!(1)), "{found}");
    assert_eq!(found["rows_told"][0]["outcome"], json!({ "as": "a" }));
    assert_eq!(verify(&[]).code, Some(0));
    assert_eq!(server.program.stop().unwrap().code, Some(0));

    // And where none runs.
    by_hand(&data.join("a.db"));
    assert_eq!(verify(&[]).code, Some(1));
    let finished = verify(&["--repair"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("; all are now as b\n"), "{}", finished.stdout);
}

/// The only master that has the last writes is gone, and somebody decides.
#[tokio::test]
async fn a_person_decides_which_master_goes_on() {
    let scratch = Scratch::new("masters-lead").unwrap();
    let data = scratch.path().display().to_string();
    let hide = |name: &str, hidden: bool| {
        let file = scratch.path().join(format!("{name}.db"));
        let away = scratch.path().join(format!("{name}.db-away"));
        if hidden {
            std::fs::rename(&file, &away).unwrap();
            std::fs::create_dir(&file).unwrap();
        } else {
            std::fs::remove_dir(&file).unwrap();
            std::fs::rename(&away, &file).unwrap();
        }
    };
    let server = Server::start(scratch.path(), &[]);
    Reader::sign_up(&server, "early").await;
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    hide("b", true);
    let server = Server::start(scratch.path(), &[]);
    Reader::sign_up(&server, "late").await;
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    hide("b", false);
    hide("a", true);

    let refused = run(&["serve", "--data", &data]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("start a"), "{}", refused.stderr);
    assert!(refused.stderr.contains("masters lead NAME --accept-loss"), "{}", refused.stderr);
    assert_eq!(run(&["masters", "lead", "b", "--data", &data]).code, Some(2), "it wants a yes");
    let led = run(&["masters", "lead", "b", "--accept-loss", "--data", &data]);
    assert_eq!(led.code, Some(0), "{}", led.stderr);
    assert!(led.stdout.contains("`b` goes on"), "{}", led.stdout);
    let server = Server::start(scratch.path(), &[]);
    Reader::log_in(&server, "early").await;
    assert_eq!(server.program.stop().unwrap().code, Some(0));
}

/// The connection falls while committing, and nobody can be asked: the client is
/// told so, and its repeat gets the one true answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_one_answer_after_a_commit_whose_answer_was_lost() {
    let Some(pair) = Pair::start("a commit whose answer was lost", "all") else { return };
    let proxies = pair.masters.each_ref().map(|master| Proxy::to(master.address()).unwrap());
    let mut text = std::fs::read_to_string(pair.config()).unwrap();
    for (master, proxy) in pair.masters.iter().zip(&proxies) {
        text = text.replace(&master.url("endpaper"), &master.url_at(proxy.address(), "endpaper"));
    }
    std::fs::write(pair.config(), text).unwrap();
    let server = pair.serve();
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "작별하지 않는다" })).await;
    let memo = |id: &str, content: &str| {
        let at = "2026-03-01T09:00:00+09:00";
        json!({ "id": id, "userBookId": &book, "pageNumber": 1, "content": content, "memoStartTime": at })
    };
    let post = async |memo: &Value| {
        server.ask(Method::POST, "/api/v1/memos", Some(&reader.token), Some(memo.clone())).await
    };

    // Both masters do it, and neither can say so. Another write may have been in
    // between, which is not ours: then once more.
    let mut done = Value::Null;
    for round in 0..5 {
        done = memo(
            &format!("0190163d-8694-739b-aea5-966c26f8ad9{round}"),
            &format!("저장되었을까? {round}"),
        );
        let dropped = || proxies.each_ref().map(|proxy| proxy.counters().answers_dropped);
        let before = dropped();
        for proxy in &proxies {
            // The command itself: each new connection says `read committed`.
            proxy.drop_next_answer(b"\x03commit", Fall::Silence).unwrap();
        }
        let cut = async {
            let lost = before.map(|dropped| dropped + 1);
            until("the answers are lost", async || dropped() == lost).await;
            for proxy in &proxies {
                proxy.refuse().unwrap();
            }
        };
        let ((status, answer), ()) = tokio::join!(post(&done), cut);
        for proxy in &proxies {
            proxy.pass().unwrap();
        }
        until_up(&server).await;
        if status == StatusCode::GATEWAY_TIMEOUT {
            assert_eq!(answer["error"]["code"], "OUTCOME_UNKNOWN", "{answer}");
            break;
        }
        assert!(round < 4, "{answer}");
        let known = matches!(status, StatusCode::CREATED | StatusCode::SERVICE_UNAVAILABLE);
        assert!(known, "{status} {answer}");
    }
    let (status, first) = post(&done).await;
    assert!(status.is_success(), "{first}");
    let (status, second) = post(&done).await;
    assert!(status.is_success(), "{second}");
    assert_eq!(first["data"], second["data"], "one answer");

    // And one that never came to a master.
    let lost = memo("0190163d-8694-739b-aea5-966c26f8ad9f", "아직 아니다.");
    for proxy in &proxies {
        proxy.refuse().unwrap();
    }
    let (status, answer) = post(&lost).await;
    assert!(status.is_server_error(), "{answer}");
    for proxy in &proxies {
        proxy.pass().unwrap();
    }
    until_up(&server).await;
    assert!(post(&lost).await.0.is_success());
    let memos = reader.get(&server, &format!("/api/v1/memos/books/{book}")).await;
    let contents: Vec<&str> =
        memos.as_array().unwrap().iter().map(|memo| memo["content"].as_str().unwrap()).collect();
    for once in [&done, &lost] {
        let times = contents.iter().filter(|content| **content == once["content"]).count();
        assert_eq!(times, 1, "{contents:?}");
    }
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    let rows = "select id, content from memos order by id";
    let [one, two] = [0, 1].map(|at| pair.masters[at].sql("endpaper", rows).unwrap());
    assert_eq!(one, two);
}
