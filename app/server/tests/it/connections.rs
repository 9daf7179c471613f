//! Slow clients, and requests in flight while the server stops.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::{Program, Scratch};

use crate::common::{Server, endpaper};

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
fn wait_until_closed(address: SocketAddr) {
    let until = std::time::Instant::now() + LIMIT;
    while TcpStream::connect(address).is_ok() {
        assert!(std::time::Instant::now() < until, "the server still listens");
        std::thread::sleep(Duration::from_millis(2));
    }
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
    wait_until_closed(address);
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
    wait_until_closed(address);
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
