//! Slow clients, and requests in flight while the server stops.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::{Program, Scratch};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::common::{Server, ask, endpaper};

/// Nothing here takes longer, unless it is broken.
const LIMIT: Duration = Duration::from_secs(30);

fn config(scratch: &Scratch, server: &str) -> PathBuf {
    let file = scratch.path().join("endpaper.toml");
    std::fs::write(&file, format!("data = \"data\"\n[server]\n{server}\n")).unwrap();
    file
}

fn start(config: &Path) -> Server {
    Server::start_with(&["serve", "--config", &config.display().to_string()])
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Everything until the server closes the connection.
fn read_to_end(mut stream: impl Read) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_client_that_never_sends_its_head_is_let_go() {
    let scratch = Scratch::new("connections").unwrap();
    let server = start(&config(&scratch, "header_ms_max = 300"));
    let mut slow = connect(server.program.address());
    slow.write_all(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n").unwrap();
    let answer = read_to_end(slow);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn an_idle_connection_is_let_go() {
    let scratch = Scratch::new("connections").unwrap();
    let server = start(&config(&scratch, "header_ms_max = 300"));
    let mut idle = connect(server.program.address());
    idle.write_all(b"GET /api/v1/tags HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let answer = read_to_end(idle);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Idle connections once took the files that the store needs, and with them
/// both masters.
#[tokio::test]
async fn idle_connections_take_no_files_from_the_store() {
    let scratch = Scratch::new("connections").unwrap();
    let data = scratch.path().join("data").display().to_string();
    let serve = endpaper(&["serve", "--listen", "127.0.0.1:0", "--data", &data]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 200; exec \"$0\" \"$@\""]);
    command.arg(serve.get_program()).args(serve.get_args());
    command.env("ENDPAPER_OPERATOR_LISTEN", "off").env("ENDPAPER_BOOKS_OPEN_LIBRARY", "false");
    let mut program = Program::start_command(command).unwrap();
    let idle: Vec<_> = (0..260).map(|_| connect(program.address())).collect();

    // Another client, which the first one leaves room.
    let client = reqwest::Client::builder().no_proxy().local_address(IpAddr::from([127, 0, 0, 2]));
    let client = client.timeout(LIMIT).build().unwrap();
    let account = json!({"loginId": "reader", "email": "a@example.com", "name": "a", "password": "a long password"});
    let url = program.url("/api/v1/auth/signup");
    let (status, answer) = ask(&client, &url, Method::POST, None, Some(account)).await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let url = program.url("/api/v1/health");
    let (_, health) = ask(&client, &url, Method::GET, None, None).await.unwrap();
    assert_eq!(health["data"]["status"], "UP", "{health}");
    drop(idle);
    let log = program.process().stderr_so_far();
    assert!(log.contains("fewer connections than configured"), "{log}");
    assert!(!log.contains("Too many open files"), "{log}");
    let refusals = log.matches("refused a client's further connections").count();
    assert!((1..20).contains(&refusals), "it is said, and not for each: {log}");
}

#[test]
fn a_client_has_a_bound_of_its_own() {
    let scratch = Scratch::new("connections").unwrap();
    let server = start(&config(&scratch, "connections_per_client_max = 2"));
    let address = server.program.address();
    let held = [connect(address), connect(address)];
    // It is closed without an answer; a reset says the same.
    let mut answer = Vec::new();
    let _ = connect(address).read_to_end(&mut answer);
    assert!(answer.is_empty());
    for mut stream in held {
        stream
            .write_all(b"HEAD /api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        assert!(read_to_end(stream).starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn a_client_that_never_reads_is_let_go() {
    let scratch = Scratch::new("connections").unwrap();
    let server = start(&config(&scratch, "write_ms_max = 300"));
    let mut deaf = connect(server.program.address());
    deaf.set_write_timeout(Some(LIMIT)).unwrap();
    // Until the system's buffers are full, and then until the server has had
    // enough.
    let error = loop {
        if let Err(error) = deaf.write_all(b"GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
        {
            break error;
        }
    };
    let closed = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(closed.contains(&error.kind()), "{error}");
}

#[test]
fn a_client_that_sends_on_still_reads_why_its_body_is_refused() {
    let scratch = Scratch::new("connections").unwrap();
    let server = start(&config(&scratch, "body_bytes_max = 2048"));
    let body = vec![b' '; 500_000];
    let head = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(server.program.address());
    stream.write_all(head.as_bytes()).unwrap();
    // The answer is there, and the client sends on without having looked.
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    for piece in body.chunks(50_000) {
        stream.write_all(piece).unwrap();
    }
    let answer = read_to_end(stream);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("BODY_TOO_LARGE"), "{answer}");
}

const LOGIN: &str = r#"{"loginId":"nobody","password":"no such password"}"#;

/// The head of a request, and half of its body.
fn begin_login(stream: &mut TcpStream) {
    let head = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        LOGIN.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&LOGIN.as_bytes()[..10]).unwrap();
}

/// Waits until nobody listens any more.
fn wait_until_closed(server: &mut Server) {
    let closed = |line: &str| line.contains("no more connections are taken").then_some(());
    server.program.process().wait_for_log_line(LIMIT, closed).unwrap();
    assert!(TcpStream::connect(server.program.address()).is_err());
}

#[test]
fn a_request_in_flight_is_answered_after_sigterm() {
    let scratch = Scratch::new("connections").unwrap();
    let mut server = Server::start(&scratch.path().join("data"), &[]);
    let address = server.program.address();
    let mut stream = connect(address);
    begin_login(&mut stream);
    // An answer on a later connection shows that the first was accepted.
    let mut other = connect(address);
    other
        .write_all(b"HEAD /api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    assert!(read_to_end(other).starts_with("HTTP/1.1 200"));

    server.program.process().terminate().unwrap();
    wait_until_closed(&mut server);
    stream.write_all(&LOGIN.as_bytes()[10..]).unwrap();
    let answer = read_to_end(stream);
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("BAD_CREDENTIALS"), "{answer}");
    let finished = server.program.process().wait(LIMIT).unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn a_request_that_never_ends_holds_a_stop_up_to_the_limit() {
    let scratch = Scratch::new("connections").unwrap();
    let mut server = start(&config(&scratch, "stop_ms_max = 200"));
    let mut stream = connect(server.program.address());
    begin_login(&mut stream);
    server.program.process().terminate().unwrap();
    let finished = server.program.process().wait(LIMIT).unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn a_second_signal_stops_at_once() {
    let scratch = Scratch::new("connections").unwrap();
    let mut server = start(&config(&scratch, "stop_ms_max = 600000"));
    let address = server.program.address();
    let mut stream = connect(address);
    begin_login(&mut stream);
    let mut other = connect(address);
    other
        .write_all(b"HEAD /api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    read_to_end(other);
    server.program.process().terminate().unwrap();
    wait_until_closed(&mut server);
    server.program.process().terminate().unwrap();
    let finished = server.program.process().wait(LIMIT).unwrap();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
}

#[test]
fn two_servers_with_the_default_operator_address_both_start() {
    let scratch = Scratch::new("connections").unwrap();
    let servers = ["one", "two"].map(|name| {
        let mut command = endpaper(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(scratch.path().join(name));
        Program::start_command(command).unwrap()
    });
    for server in servers {
        assert_eq!(server.stop().unwrap().code, Some(0));
    }
}
