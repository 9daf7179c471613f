//! The server's own answers, and how it stops.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lab::Scratch;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::common::{Reader, Server, ask, client};

#[tokio::test]
async fn health_is_told_to_people_and_to_programs() {
    let scratch = Scratch::new("serve").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    let (status, health) = server.ask(Method::GET, "/api/v1/health", None, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        health.to_string(),
        r#"{"data":{"masters":[{"name":"a","state":"LIVE"},{"name":"b","state":"LIVE"}],"status":"UP"},"ok":true}"#
    );
    let (status, nothing) = server.ask(Method::HEAD, "/api/v1/health", None, None).await;
    assert_eq!((status, nothing), (StatusCode::OK, "".into()));
    let finished = server.program.stop().unwrap();
    assert_eq!(finished.code, Some(0));
    let lines = finished.stdout.lines().count();
    assert_eq!(lines, 1, "one line on standard output: {}", finished.stdout);
}

#[tokio::test]
async fn what_there_is_not_is_told_in_the_envelope() {
    let scratch = Scratch::new("serve").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    for (method, path, body, status, code) in [
        (Method::GET, "/nothing", None, 404, "NOT_FOUND"),
        (Method::GET, "/app/nothing.js", None, 404, "NOT_FOUND"),
        (Method::GET, "/app/..%2fstatic%2fboot.js", None, 404, "NOT_FOUND"),
        (Method::GET, "/api/v1/nothing", None, 404, "NOT_FOUND"),
        (Method::DELETE, "/api/v1/health", None, 405, "METHOD_NOT_ALLOWED"),
        (Method::GET, "/api/v1/users/me", None, 401, "UNAUTHORIZED"),
        (Method::POST, "/api/v1/auth/login", None, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (Method::POST, "/api/v1/auth/login", Some(json!({"loginID": 1})), 400, "UNKNOWN_FIELD"),
    ] {
        let (answered, answer) = server.ask(method.clone(), path, None, body).await;
        assert_eq!(
            (answered.as_u16(), answer["error"]["code"].as_str()),
            (status, Some(code)),
            "{method} {path}: {answer}"
        );
        assert_eq!(answer["ok"], false);
    }
}

#[tokio::test]
async fn an_oversized_body_is_refused_before_it_is_sent() {
    let scratch = Scratch::new("serve").unwrap();
    let file = scratch.path().join("endpaper.toml");
    std::fs::write(&file, "data = \"data\"\n[server]\nbody_bytes_max = 2048\n").unwrap();
    let server = Server::start_with(&["serve", "--config", &file.display().to_string()]);
    let body = json!({ "loginId": "x".repeat(4_000) });
    let (status, answer) = server.ask(Method::POST, "/api/v1/auth/login", None, Some(body)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    assert_eq!(answer["error"]["code"], "BODY_TOO_LARGE");
}

#[tokio::test]
async fn request_ids_are_in_answers_and_in_the_log() {
    let scratch = Scratch::new("serve").unwrap();
    let server = Server::start(&scratch.path().join("data"), &["--log-format", "json"]);
    let request = client()
        .get(server.program.url("/api/v1/users/duplicate/email?value=someone@example.com"))
        .header("x-request-id", "from-the-client-1");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "from-the-client-1");
    let finished = server.program.stop().unwrap();
    let lines: Vec<Value> =
        finished.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let access = lines.iter().find(|line| line["target"] == "access").unwrap();
    assert_eq!(access["span"]["id"], "from-the-client-1");
    assert_eq!(access["spans"], Value::Null, "the id stands in a line once");
    assert_eq!((&access["method"], &access["status"]), (&"GET".into(), &200.into()));
    assert_eq!(access["path"], "/api/v1/users/duplicate/email");
    assert!(!finished.stderr.contains("someone"), "queries have mail addresses in them");
}

#[tokio::test]
async fn the_operator_reads_numbers_and_states() {
    let scratch = Scratch::new("serve").unwrap();
    let file = scratch.path().join("endpaper.toml");
    std::fs::write(&file, "data = \"data\"\n").unwrap();
    let path = file.display().to_string();
    let (server, operator) = Server::start_operated(&["serve", "--config", &path]);
    let get = async |url: String| client().get(url).send().await.unwrap().text().await.unwrap();
    get(server.program.url("/api/v1/tags")).await;
    get(server.program.url("/made-up")).await;
    let text = get(format!("http://{operator}/metrics")).await;
    for line in [
        r#"endpaper_http_requests_total{route="/api/v1/tags",method="GET",status="200"} 1"#,
        r#"endpaper_http_requests_total{route="none",method="GET",status="404"} 1"#,
        r#"endpaper_master_state{master="b",state="live"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    let resident =
        text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let resident: u64 = resident.unwrap().parse().unwrap();
    assert!(resident < 60 << 20, "an idle server is under 60 MB: {resident}");

    // `masters status` asks the server that runs.
    let mut command = crate::common::endpaper(&["masters", "status", "--json", "--config", &path]);
    command.env("ENDPAPER_OPERATOR_LISTEN", &operator);
    let status = lab::run(command, Duration::from_mins(1)).unwrap();
    let status: Value = serde_json::from_str(&status.stdout).expect(&status.stderr);
    assert_eq!(status["masters"][1]["state"], "LIVE");
}

/// What is served is documented, and what is documented is served.
#[tokio::test]
async fn the_document_and_the_routes_are_the_same() {
    let scratch = Scratch::new("serve").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    let (_, document) = server.ask(Method::GET, "/api/v1/openapi.json", None, None).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let methods = operations.as_object().unwrap().keys();
        let methods = methods.map(|method| method.to_uppercase()).filter(|method| method != "HEAD");
        documented.insert(path.clone(), methods.collect());
    }

    // The answer to a method that no route has names those that it has.
    for (path, methods) in &documented {
        let sample = path
            .replace("{isbn}", "9788936434120")
            .replace("{id}", "0190163d-8694-739b-aea5-966c26f8ad91")
            .replace("{userBookId}", "0190163d-8694-739b-aea5-966c26f8ad91");
        assert!(!sample.contains('{'), "{path} has a parameter that this test does not know");
        let method = Method::from_bytes(b"BREW").unwrap();
        let response = client().request(method, server.program.url(&sample)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path} is not served");
        let allowed = response.headers()["allow"].to_str().unwrap();
        let served: BTreeSet<String> = allowed
            .split(',')
            .map(|method| method.trim().to_owned())
            .filter(|method| method != "HEAD")
            .collect();
        assert_eq!(&served, methods, "{path}");
    }

    // The paths of all routes, as the sources declare them.
    let mut declared = BTreeSet::new();
    for source in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        let text = std::fs::read_to_string(&source).unwrap();
        for (at, _) in text.match_indices("\"/api/") {
            let before = text[..at].trim_end();
            if before.ends_with(".route(") {
                let path = text[at + 1..].split('"').next().unwrap();
                declared.insert(path.to_owned());
            }
        }
    }
    let documented: BTreeSet<String> = documented.into_keys().collect();
    assert_eq!(declared, documented);

    // Every type that is named is there.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "there is no type {name}");
    }
    let page = client().get(server.program.url("/api/docs")).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    for path in documented {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path} is not on the page");
    }
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Readers write while the server is told to stop. Whatever was answered with a
/// success is there when it runs again, and so is nothing that was refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_loses_no_acknowledged_memo() {
    write_and_stop("graceful", async |server| {
        let finished = server.program.stop().unwrap();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(!finished.stderr.contains("cut off"), "{}", finished.stderr);
    })
    .await;
}

/// As above, with kill -9.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_no_acknowledged_memo() {
    write_and_stop("killed", async |server| {
        assert_eq!(server.program.kill().unwrap().signal, Some(9));
    })
    .await;
}

const WRITERS: usize = 16;
/// So many memos are acknowledged before the server is stopped.
const ACKNOWLEDGED_BEFORE: usize = 200;

async fn write_and_stop(name: &str, stop: impl AsyncFnOnce(Server)) {
    let scratch = Scratch::new(name).unwrap();
    let data = scratch.path().join("data");
    let server = Server::start(&data, &["--log-level", "warn"]);
    let reader = Reader::sign_up(&server, "writer").await;
    let book = reader.shelve(&server, json!({ "title": "코스모스", "author": "Carl Sagan" })).await;

    let acknowledged = Arc::new(AtomicUsize::new(0));
    let (enough, mut is_enough) = watch::channel(false);
    let enough = Arc::new(enough);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let url = server.program.url("/api/v1/memos");
            let (token, book) = (reader.token.clone(), book.clone());
            let (acknowledged, enough) = (Arc::clone(&acknowledged), Arc::clone(&enough));
            tokio::spawn(async move {
                let client = client();
                let mut mine = Vec::new();
                // Until the server is gone.
                for number in 0.. {
                    let content = format!("memo {number} of writer {writer}");
                    let memo = json!({ "userBookId": book, "pageNumber": 1, "content": content, "tags": [], "memoStartTime": "2026-03-01T09:00:00+09:00" });
                    match ask(&client, &url, Method::POST, Some(&token), Some(memo)).await {
                        Ok((StatusCode::CREATED, _)) => {
                            mine.push(content);
                            if acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == ACKNOWLEDGED_BEFORE {
                                enough.send_replace(true);
                            }
                        }
                        Ok((status, answer)) => panic!("{status}: {answer}"),
                        Err(_) => break,
                    }
                }
                mine
            })
        })
        .collect();
    let waited = tokio::time::timeout(Duration::from_mins(1), is_enough.wait_for(|enough| *enough));
    waited.await.expect("memos are written").unwrap();
    stop(server).await;
    let mut expected = BTreeSet::new();
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    assert!(expected.len() >= ACKNOWLEDGED_BEFORE);

    let server = Server::start(&data, &[]);
    let memos = reader.get(&server, &format!("/api/v1/memos/books/{book}")).await;
    let found: Vec<String> = memos
        .as_array()
        .unwrap()
        .iter()
        .map(|memo| memo["content"].as_str().unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(distinct.len(), found.len(), "nothing is there twice");
    let lost: Vec<_> = expected.difference(&distinct).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged memos are lost: {lost:?}",
        lost.len(),
        expected.len()
    );
    // At most one a writer was under way when the server went.
    assert!(distinct.len() <= expected.len() + WRITERS);
}
