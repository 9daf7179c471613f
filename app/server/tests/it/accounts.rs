//! What an operator does to accounts.

use std::path::Path;

use lab::{Finished, Scratch};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{PASSWORD, Reader, Server, run};

fn accounts(data: &Path, arguments: &[&str]) -> Finished {
    let data = data.display().to_string();
    run(&[&["accounts"], arguments, &["--data", &data]].concat())
}

/// The words of each line but the day it was made on.
fn words(finished: &Finished) -> Vec<String> {
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let words = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.remove(3);
        words.join(" ")
    };
    finished.stdout.lines().map(words).collect()
}

async fn log_in(server: &Server, login_id: &str) -> (StatusCode, Value) {
    let credentials = json!({ "loginId": login_id, "password": PASSWORD });
    server.ask(Method::POST, "/api/v1/auth/login", None, Some(credentials)).await
}

#[tokio::test]
async fn an_operator_lists_closes_and_opens_accounts_and_gives_roles() {
    let scratch = Scratch::new("accounts").unwrap();
    let data = scratch.path().join("data");
    let server = Server::start(&data, &[]);
    let haeri = Reader::sign_up(&server, "haeri").await;
    Reader::sign_up(&server, "dowon").await;
    let beside = accounts(&data, &["ls"]);
    assert_eq!(beside.code, Some(1));
    assert!(beside.stderr.contains("in use by another process"), "{}", beside.stderr);
    assert_eq!(server.program.stop().unwrap().code, Some(0));

    assert_eq!(
        words(&accounts(&data, &["ls"])),
        ["dowon user active dowon@example.com", "haeri user active haeri@example.com"]
    );
    assert_eq!(
        words(&accounts(&data, &["suspend", "Haeri"])),
        ["haeri user suspended haeri@example.com"]
    );
    let admin = accounts(&data, &["role", "dowon", "admin", "--json"]);
    let admin: Value = serde_json::from_str(&admin.stdout).expect(&admin.stderr);
    assert_eq!((&admin["loginId"], &admin["role"]), (&json!("dowon"), &json!("ADMIN")));
    let all = accounts(&data, &["ls", "--json"]).stdout;
    let all: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((all.len(), &all[1]["status"]), (2, &json!("SUSPENDED")), "{all:?}");
    assert!(!format!("{all:?}").contains("argon2"), "hashes stay where they are");

    let server = Server::start(&data, &[]);
    let (status, answer) = log_in(&server, "haeri").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    assert_eq!(answer["error"]["code"], "ACCOUNT_SUSPENDED");
    let (status, _) = server.ask(Method::GET, "/api/v1/users/me", Some(&haeri.token), None).await;
    assert!(matches!(status.as_u16(), 401 | 403), "the old token is of no use: {status}");
    let dowon = Reader::log_in(&server, "dowon").await;
    assert_eq!(dowon.get(&server, "/api/v1/users/me").await["role"], "ADMIN");
    assert_eq!(server.program.stop().unwrap().code, Some(0));

    words(&accounts(&data, &["resume", "haeri"]));
    let server = Server::start(&data, &[]);
    assert_eq!(log_in(&server, "haeri").await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_done_to_an_account_is_said_in_one_line() {
    let scratch = Scratch::new("accounts").unwrap();
    let data = scratch.path().join("data");
    for arguments in [&["ls"][..], &["suspend", "haeri"]] {
        let finished = accounts(&data, arguments);
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.starts_with("endpaper: there is no store"), "{}", finished.stderr);
    }
    assert!(!data.exists());
    assert_eq!(Server::start(&data, &[]).program.stop().unwrap().code, Some(0));
    assert_eq!(accounts(&data, &["ls"]).stdout, "");
    let finished = accounts(&data, &["resume", "nobody"]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (Some(1), "endpaper: there is no account with the login id `nobody`\n")
    );
    assert_eq!(accounts(&data, &["role", "nobody", "king"]).code, Some(2));
}
