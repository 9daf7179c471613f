//! Filling a master, backups, and moving, as an operator types them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use lab::{Finished, Scratch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Reader, Server, endpaper, run, until};
use crate::masters::Pair;

const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// Runs a command that asks the server with this operator's listener.
fn ask(operator: &str, arguments: &[&str]) -> Finished {
    let mut command = endpaper(arguments);
    command.env("ENDPAPER_OPERATOR_LISTEN", operator);
    lab::run(command, ENDS_WITHIN).unwrap()
}

async fn memo(server: &Server, reader: &Reader, book: &str, content: &str) {
    let memo = json!({ "userBookId": book, "pageNumber": 1, "content": content, "memoStartTime": "2026-03-01T09:00:00+09:00" });
    reader.done(server, Method::POST, "/api/v1/memos", Some(memo)).await;
}

async fn memos(server: &Server, reader: &Reader, book: &str) -> usize {
    let memos = reader.get(server, &format!("/api/v1/memos/books/{book}")).await;
    memos.as_array().unwrap().len()
}

async fn until_up(server: &Server) {
    until("every master is live", async || {
        server.ask(Method::GET, "/api/v1/health", None, None).await.1["data"]["status"] == "UP"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_lost_is_replaced_by_an_empty_one() {
    let Some(mut pair) = Pair::start("a lost server is replaced", "available") else { return };
    let config = pair.config();
    let (server, operator) = Server::start_operated(&["serve", "--config", &config]);
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "작별하지 않는다" })).await;
    memo(&server, &reader, &book, "before").await;
    let copy = |more: &[&str]| {
        ask(&operator, &[&["masters", "copy", "--config", &config][..], more].concat())
    };

    // What makes no sense is refused, and changes nothing.
    for (more, why) in [
        (&["--to", "three"][..], "there is no master `three`: there are one, two"),
        (&["--to", "two", "--from", "two"], "`two` can't be filled from itself"),
        (&["--to", "two"], "`two` serves: it would be taken out, emptied and filled. `--yes`"),
    ] {
        let refused = copy(more);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }

    pair.masters[1].kill().unwrap();
    memo(&server, &reader, &book, "while it is lost").await;
    let refused = copy(&["--to", "one", "--yes"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("no master serves from which `one`"), "{}", refused.stderr);
    pair.masters[1].restart_empty().unwrap();
    pair.masters[1].create_database("endpaper").unwrap();
    let filled = copy(&["--to", "two"]);
    assert_eq!(filled.code, Some(0), "{}", filled.stderr);
    assert!(filled.stdout.starts_with("two is LIVE"), "{}", filled.stdout);
    until_up(&server).await;
    let verified = ask(&operator, &["masters", "verify", "--fast", "--config", &config]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);

    // The primary, while it serves.
    let filled = copy(&["--to", "one", "--from", "two", "--yes", "--json"]);
    assert_eq!(filled.code, Some(0), "{}", filled.stderr);
    let line: Value = serde_json::from_str(&filled.stdout).unwrap();
    assert!(line["live"]["rows"].as_u64().unwrap() > 3, "{line}");
    assert_eq!(line["live"]["from"], "two");
    assert_eq!(memos(&server, &reader, &book).await, 2);
    let verified = ask(&operator, &["masters", "verify", "--fast", "--config", &config]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);

    // Where no server runs, the command does it.
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    let filled = copy(&["--to", "two", "--yes"]);
    assert_eq!(filled.code, Some(0), "{}", filled.stderr);
    assert!(filled.stdout.contains("two is LIVE: it was filled from one, "), "{}", filled.stdout);
}

/// All that a backup has to have.
fn rows(file: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let sql = "select 'user ' || hex(id) || ' ' || _v || ' ' || _d from users union all \
               select 'memo ' || hex(id) || ' ' || content || ' ' || _v || ' ' || _d from memos \
               order by 1";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_server_that_runs_makes_the_store_again() {
    let scratch = Scratch::new("backup").unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let (data, file) = (path("data"), path("friday.backup"));
    let (server, operator) = Server::start_operated(&["serve", "--data", &data]);
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "작별하지 않는다" })).await;
    memo(&server, &reader, &book, "책갈피").await;

    let made = ask(&operator, &["backup", &file, "--data", &data]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(made.stdout.contains("friday.backup holds what b held: "), "{}", made.stdout);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "it holds secrets");
    let again = ask(&operator, &["backup", &file, "--data", &data]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("nothing is overwritten"), "{}", again.stderr);
    memo(&server, &reader, &book, "after the backup").await;
    let whole = run(&["backup", "--verify", &file]);
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    assert!(whole.stdout.contains("of master `b`, set "), "{}", whole.stdout);

    let over = ask(&operator, &["restore", &file, "--data", &data]);
    assert_eq!(over.code, Some(1), "{}", over.stdout);
    assert_eq!(over.stderr.lines().count(), 1, "{}", over.stderr);
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    let over = run(&["restore", &file, "--data", &data]);
    assert!(over.stderr.contains("says that there is a store already"), "{}", over.stderr);

    let other = path("other");
    let restored = run(&["restore", &file, "--data", &other]);
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert!(restored.stdout.starts_with("restored onto a, b: "), "{}", restored.stdout);
    for master in ["a.db", "b.db"] {
        assert_eq!(rows(&Path::new(&other).join(master)), rows(Path::new(&file)));
    }
    let server = Server::start(Path::new(&other), &[]);
    let reader = Reader::log_in(&server, "reader").await;
    assert_eq!(memos(&server, &reader, &book).await, 1, "what came later is not in it");
    memo(&server, &reader, &book, "and on it goes").await;

    let bytes = std::fs::read(&file).unwrap();
    let cut = path("cut.backup");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    for arguments in [&["backup", "--verify", &cut][..], &["restore", &cut, "--data", &path("x")]] {
        let refused = run(arguments);
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("is no whole backup"), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_become_two_servers() {
    let Some(pair) = Pair::start("two files become two servers", "available") else { return };
    let (data, config) = (pair.scratch.path().join("data"), pair.config());
    let shown = data.display().to_string();
    let server = Server::start(&data, &[]);
    let reader = Reader::sign_up(&server, "reader").await;
    let book = reader.shelve(&server, json!({ "title": "작별하지 않는다" })).await;
    memo(&server, &reader, &book, "책갈피").await;
    let moving = || run(&["masters", "move", "--data", &shown, "--into", &config]);
    let busy = moving();
    assert_eq!(busy.code, Some(1), "{}", busy.stdout);
    assert!(busy.stderr.contains("in use by another process"), "{}", busy.stderr);
    assert_eq!(server.program.stop().unwrap().code, Some(0));

    let moved = moving();
    assert_eq!(moved.code, Some(0), "{}", moved.stderr);
    assert!(moved.stdout.starts_with("moved to one, two: "), "{}", moved.stdout);
    let status = run(&["masters", "status", "--config", &config]);
    assert_eq!(status.stdout, "one  LIVE\ntwo  LIVE\n", "{}", status.stderr);
    let server = Server::start_with(&["serve", "--config", &config]);
    let reader = Reader::log_in(&server, "reader").await;
    assert_eq!(memos(&server, &reader, &book).await, 1);
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    // The old files are no way back by mistake.
    let old = run(&["masters", "status", "--data", &shown]);
    assert_eq!(old.code, Some(1), "{}", old.stdout);
    assert!(old.stderr.contains("belongs to another set of masters"), "{}", old.stderr);
}
