//! `endpaper device` behind networks that are not what they seem.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect};
use futures_util::future::join_all;
use lab::proxy::{Proxy, Traffic, Way};
use lab::{Process, Scratch, SmallDisk, Suite};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Reader, Server};
use crate::device::{Device, start_at};

/// Of what comes by itself.
const WITHIN: Duration = Duration::from_secs(30);

fn proxy(server: &Server) -> (Proxy, String) {
    let url = server.program.url("");
    let address = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let proxy = Proxy::to(address).unwrap();
    let url = format!("http://{}", proxy.address());
    (proxy, url)
}

/// A hotel answers everything: with a page, or with the way to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_captive_portal_is_no_server() {
    let scratch = Scratch::new("device-portal").unwrap();
    let data = scratch.path().join("data");
    let port = lab::Port::reserve().unwrap();
    let server = start_at(&data, &port);
    Reader::sign_up(&server, "reader").await;
    let url = server.program.url("");
    let laptop = Device::new(scratch.path().join("laptop"));
    laptop.log_in(&url, "reader");
    laptop.done(&["shelf", "add", "--title", "흰"]);
    drop(server);
    let pages: [fn() -> axum::response::Response; 4] = [
        || Html("<h1>Welcome to our hotel</h1>").into_response(),
        || Redirect::temporary("http://127.0.0.1:1/welcome").into_response(),
        || (StatusCode::UNAUTHORIZED, Html("Room number?")).into_response(),
        || axum::Json(json!({ "status": "ok", "data": [] })).into_response(),
    ];
    for page in pages {
        let listener = tokio::net::TcpListener::bind(port.address()).await.unwrap();
        let portal = Router::new().fallback(async move || page());
        let portal = tokio::spawn(async move { axum::serve(listener, portal).await });
        laptop.fails(&["sync"], 1, "can't be reached; 1 edit to send");
        let status = laptop.status();
        assert_eq!((&status["loggedIn"], &status["online"]), (&json!(true), &json!(false)));
        portal.abort();
        let _ = portal.await;
    }
    let server = start_at(&data, &port);
    laptop.done(&["sync"]);
    assert_eq!(laptop.status()["pending"], 0);
    drop(server);
}

/// A person is told that searches find less, and memos do not wait for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_books_that_is_away_holds_nothing_back() {
    let scratch = Scratch::new("device-source").unwrap();
    let nobody = lab::Port::reserve().unwrap();
    let config = scratch.path().join("endpaper.toml");
    let address = nobody.address();
    let text = format!("[books]\naladin_key = \"key\"\naladin_url = \"http://{address}/ttb\"\n");
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let server = Server::start(&scratch.path().join("data"), &["--config", &config]);
    Reader::sign_up(&server, "reader").await;
    let laptop = Device::new(scratch.path().join("laptop"));
    laptop.log_in(&server.program.url(""), "reader");
    let mut watch = Process::start(laptop.command(&["watch"])).unwrap();
    let mut is_told = |what: &str| {
        let told = |line: &str| line.contains(what).then_some(());
        watch.wait_for_line(Duration::from_mins(1), told).unwrap();
    };
    is_told("source of books is away");
    let status = laptop.status();
    assert_eq!((&status["online"], &status["bookSource"]), (&json!(true), &json!(false)));
    laptop.done(&["shelf", "add", "--title", "흰"]);
    is_told("SUCCESS");
    assert_eq!(laptop.status()["pending"], 0);
    drop(server);
    is_told("offline");
    let status = laptop.status();
    assert_eq!((&status["online"], &status["bookSource"]), (&json!(false), &json!(null)));
}

/// An edit that can't be written down is not taken, and what was is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_costs_nothing_that_was_saved() {
    const NAME: &str = "a device whose disk is full";
    if Suite::current() == Suite::Quick {
        return lab::suite::left_out(NAME, "a user who may mount");
    }
    let scratch = Scratch::new("device-full").unwrap();
    let disk = match SmallDisk::mount(&scratch.path().join("laptop"), 8 << 20) {
        Ok(disk) => disk,
        Err(why) => return lab::suite::left_out(NAME, &format!("a user who may mount ({why})")),
    };
    let server = Server::start(&scratch.path().join("data"), &[]);
    Reader::sign_up(&server, "reader").await;
    let laptop = Device::new(disk.path().to_owned());
    // Its password is beside the folder.
    laptop.log_in(&server.program.url(""), "reader");
    laptop.done(&["shelf", "add", "--title", "흰"]);
    let long = "긴 ".repeat(2_000);
    let add = ["note", "add", "--book", "흰", "--page", "1", &long];
    laptop.done(&add);
    disk.fill().unwrap();
    let mut saved = 1;
    loop {
        assert!(saved < 10_000, "it is never full");
        let finished = lab::run(laptop.command(&add), Duration::from_mins(1)).unwrap();
        if finished.code != Some(0) {
            assert!(finished.stderr.contains("the disk is full: make room"), "{finished:?}");
            break;
        }
        saved += 1;
    }
    assert_eq!(laptop.memos().len(), saved);
    assert_eq!(laptop.status()["failed"], json!([]));
    laptop.fails(&["sync"], 1, "the disk is full: make room");
    // Who watches keeps nobody away, and goes on when there is room.
    let mut watch = Process::start(laptop.command(&["watch"])).unwrap();
    let told = |what: &'static str| move |line: &str| line.contains(what).then_some(());
    watch.wait_for_line(Duration::from_mins(1), told("watching")).unwrap();
    watch.wait_for_log_line(Duration::from_mins(1), told("the disk is full")).unwrap();
    let export = scratch.path().join("export.json").display().to_string();
    laptop.done(&["export", &export]);
    let export: Value = serde_json::from_slice(&std::fs::read(export).unwrap()).unwrap();
    assert_eq!(export["memos"].as_array().map(Vec::len), Some(saved));
    disk.free().unwrap();
    laptop.done(&add);
    watch.wait_for_line(Duration::from_mins(1), told("SUCCESS")).unwrap();
    drop(watch);
    laptop.done(&["sync"]);
    assert_eq!(laptop.status()["pending"], 0);
    let tablet = Device::new(scratch.path().join("tablet"));
    tablet.log_in(&server.program.url(""), "reader");
    assert_eq!(tablet.memos().len(), saved + 1);
}

/// Connections are taken, and nobody says anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_away_and_costs_nothing() {
    let scratch = Scratch::new("device-hangs").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    Reader::sign_up(&server, "reader").await;
    let (proxy, url) = proxy(&server);
    let laptop = Device::new(scratch.path().join("laptop"));
    laptop.log_in(&url, "reader");
    laptop.done(&["shelf", "add", "--title", "흰"]);
    proxy.set_both(Traffic::Held).unwrap();
    laptop.fails(&["sync"], 1, "can't be reached; 1 edit to send");
    // It heard everything, and its answer came to nobody.
    proxy.pass().unwrap();
    proxy.set(Way::ToClient, Traffic::Lost).unwrap();
    laptop.fails(&["sync"], 1, "can't be reached; 1 edit to send");
    proxy.pass().unwrap();
    laptop.done(&["sync"]);
    assert_eq!(laptop.status()["pending"], 0);
    assert_eq!(laptop.done(&["shelf", "ls"]).len(), 1);
    drop(server);
}

/// The token of a request is of use for minutes, and a laptop sleeps for days.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_too_old_is_made_anew_by_itself() {
    let scratch = Scratch::new("device-token").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    Reader::sign_up(&server, "reader").await;
    let laptop = Device::new(scratch.path().join("laptop"));
    laptop.log_in(&server.program.url(""), "reader");
    let held = || tokens(&laptop.folder);
    for number in 0..2 {
        laptop.done(&["shelf", "add", "--title", &format!("책 {number}")]);
        let before = held();
        // What the server says of a token that has expired it says of any that it can't use.
        spoil(&laptop.folder);
        laptop.done(&["sync"]);
        assert_ne!(held(), before, "a refresh token is of use once");
        let status = laptop.status();
        assert_eq!((&status["loggedIn"], &status["pending"]), (&json!(true), &json!(0)));
    }
    drop(server);
}

fn login(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("login.json")).unwrap()).unwrap()
}

fn tokens(folder: &Path) -> Value {
    login(folder)["tokens"].take()
}

fn spoil(folder: &Path) {
    let mut login = login(folder);
    login["tokens"]["access"] = json!("too-old");
    std::fs::write(folder.join("login.json"), login.to_string()).unwrap();
}

/// A device is new, its network slow, and its lid is closed half-way.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_goes_on_where_it_was_interrupted() {
    const MEMOS: usize = 1_600;
    let scratch = Scratch::new("device-first").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "토지" })).await;
    let write = async |number: usize| {
        let memo = json!({
            "userBookId": book, "pageNumber": 1, "content": format!("메모 {number}"),
            "memoStartTime": "2026-03-01T09:00:00+09:00",
        });
        reader.done(&server, Method::POST, "/api/v1/memos", Some(memo)).await;
    };
    for some in (0..MEMOS).collect::<Vec<_>>().chunks(32) {
        join_all(some.iter().map(|number| write(*number))).await;
    }
    let (proxy, url) = proxy(&server);
    let tablet = Device::new(scratch.path().join("tablet"));
    let slow = NonZeroU32::new(100 << 10).unwrap();
    proxy.set(Way::ToClient, Traffic::Dripping { bytes_per_s: slow }).unwrap();
    let password = scratch.path().join("password");
    std::fs::write(&password, crate::common::PASSWORD).unwrap();
    let password = password.display().to_string();
    let log_in = ["login", "--server", &url, "--user", "reader", "--password-file", &password];
    let mut first = Process::start(tablet.command(&log_in)).unwrap();
    // As much as is here is shown, while more comes.
    let until = Instant::now() + WITHIN;
    let here = loop {
        let here = tablet.command(&["note", "ls"]).output().unwrap();
        let here = here.stdout.split(|byte| *byte == b'\n').count().saturating_sub(1);
        if here > 0 {
            break here;
        }
        assert!(Instant::now() < until, "nothing comes");
    };
    assert!(here < MEMOS, "all of it was here at once");
    first.kill().unwrap();
    proxy.pass().unwrap();
    let said = tablet.done(&["sync"]);
    let received = usize::try_from(said[0]["received"].as_u64().unwrap()).unwrap();
    assert!(received <= MEMOS + 1 - here, "{received} came again, and {here} were here");
    assert_eq!(tablet.memos().len(), MEMOS);
    drop(server);
}

/// What somebody between device and server says to a request, before the server hears of
/// it.
type Filter = fn(&str) -> Option<axum::response::Response>;

/// Who stands between: what the filter has no word for goes on to the server.
async fn between(url: String, filter: Filter) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = reqwest::Client::new();
    let pass = async move |request: axum::extract::Request| {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 4 << 20).await.unwrap();
        if let Some(answer) = filter(&String::from_utf8_lossy(&body)) {
            return answer;
        }
        let url = format!("{url}{}", parts.uri);
        let mut passed = client.request(parts.method, url).body(body);
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            if let Some(value) = parts.headers.get(&name) {
                passed = passed.header(name, value);
            }
        }
        let answer = passed.send().await.unwrap();
        let (status, kind) = (answer.status(), answer.headers()[header::CONTENT_TYPE].clone());
        let body = answer.bytes().await.unwrap();
        (status, [(header::CONTENT_TYPE, kind)], body).into_response()
    };
    let app = Router::new().fallback(pass);
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (format!("http://{address}"), serving)
}

/// A filter between takes offence at one memo: that one waits, and no other does.
#[tokio::test(flavor = "multi_thread")]
async fn one_memo_that_does_not_get_through_keeps_no_other_waiting() {
    let scratch = Scratch::new("device-filter").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    let reader = Reader::sign_up(&server, "reader").await;
    let filter: Filter = |body| {
        let page = (StatusCode::FORBIDDEN, Html("<h1>Blocked by policy</h1>"));
        body.contains("select * from").then(|| page.into_response())
    };
    let (url, serving) = between(server.program.url(""), filter).await;
    let laptop = Device::new(scratch.path().join("laptop"));
    laptop.log_in(&url, "reader");
    let book =
        laptop.done(&["shelf", "add", "--title", "SQL"])[0]["id"].as_str().unwrap().to_owned();
    laptop.done(&["sync"]);
    let texts = ["select * from memos", "하나", "둘", "셋", "넷"];
    for text in texts {
        laptop.done(&["note", "add", "--book", &book, "--page", "1", text]);
    }
    let pending = || laptop.status()["pending"].as_u64().unwrap();
    let mut tries = 0;
    while pending() > 1 {
        laptop.fails(&["sync"], 1, "can't be reached");
        tries += 1;
        assert!(tries < 20, "{}", laptop.status());
    }
    let path = format!("/api/v1/memos/books/{book}");
    let there = async || reader.get(&server, &path).await.as_array().unwrap().len();
    assert_eq!(there().await, 4);
    let status = laptop.status();
    assert_eq!((&status["leftOut"], &status["failed"]), (&json!(1), &json!([])));
    // From another network.
    serving.abort();
    laptop.log_in(&server.program.url(""), "reader");
    laptop.done(&["sync"]);
    assert_eq!((there().await, pending()), (5, 0));
    assert_eq!(laptop.status()["leftOut"], 0);
}

/// Who counts requests before the server is obeyed, whatever the page looks like.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_asks_to_come_later_is_obeyed() {
    let scratch = Scratch::new("device-429").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    Reader::sign_up(&server, "reader").await;
    let filter: Filter = |body| {
        let later = [(header::RETRY_AFTER, "3600")];
        let page = (StatusCode::TOO_MANY_REQUESTS, later, Html("<h1>Slow down</h1>"));
        body.contains("operations").then(|| page.into_response())
    };
    let (url, _serving) = between(server.program.url(""), filter).await;
    let laptop = Device::new(scratch.path().join("laptop"));
    laptop.log_in(&url, "reader");
    laptop.done(&["shelf", "add", "--title", "흰"]);
    for _ in 0..2 {
        laptop.fails(&["sync"], 1, "asks to come later");
    }
    assert_eq!(laptop.status()["pending"], 1);
}
