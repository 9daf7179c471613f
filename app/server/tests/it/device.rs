//! `endpaper device` against a real server: memos that are written offline, on two
//! devices, and processes that are killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::proxy::{Proxy, Traffic};
use lab::{Finished, Process};
use reqwest::Method;
use serde_json::{Value, json};
use stdx::{Random, Seed};

use crate::common::{PASSWORD, Reader, Server, endpaper};

/// A device: a folder.
pub(crate) struct Device {
    pub(crate) folder: PathBuf,
}

impl Device {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = endpaper(&["device", "--json", "--dir"]);
        command.arg(&self.folder).args(arguments);
        // A person's own language is no matter here.
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        lab::run(self.command(arguments), Duration::from_mins(1)).unwrap()
    }

    /// What has to succeed, and the lines that it prints.
    pub(crate) fn done(&self, arguments: &[&str]) -> Vec<Value> {
        let finished = self.run(arguments);
        assert!(finished.code == Some(0), "{arguments:?}: {finished:?}");
        let lines = finished.stdout.lines();
        lines.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    pub(crate) fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        let finished = self.run(arguments);
        assert_eq!(finished.code, Some(code), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(says), "{arguments:?}: {}", finished.stderr);
    }

    /// Logs in, and returns what was said beside the answer.
    pub(crate) fn log_in(&self, url: &str, user: &str) -> String {
        let password = self.folder.with_extension("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let password = password.display().to_string();
        let login = ["login", "--server", url, "--user", user, "--password-file", &password];
        let finished = self.run(&login);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        finished.stderr
    }

    /// Contents of the memos, by id.
    pub(crate) fn memos(&self) -> BTreeMap<String, String> {
        let text = |note: &Value, name: &str| note[name].as_str().unwrap().to_owned();
        self.done(&["note", "ls"])
            .iter()
            .map(|note| (text(note, "id"), text(note, "content")))
            .collect()
    }

    pub(crate) fn status(&self) -> Value {
        self.done(&["status"]).remove(0)
    }
}

fn id(lines: &[Value]) -> String {
    lines[0]["id"].as_str().unwrap().to_owned()
}

/// A server that comes back at the same address.
pub(crate) fn start_at(data: &Path, port: &lab::Port) -> Server {
    let (data, address) = (data.display().to_string(), port.address().to_string());
    Server::start_with(&["serve", "--data", &data, "--listen", &address])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memo_is_written_in_an_editor_and_what_is_kept_is_put_back() {
    let scratch = lab::Scratch::new("device-editor").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    let _reader = Reader::sign_up(&server, "reader").await;
    let [laptop, tablet] = ["laptop", "tablet"].map(|name| Device::new(scratch.path().join(name)));
    for device in [&laptop, &tablet] {
        device.log_in(&server.program.url(""), "reader");
    }
    let book = id(&laptop.done(&["shelf", "add", "--title", "흰"]));
    let text = "첫 문장과 끝 문장";
    let memo = id(&laptop.done(&["note", "add", "--book", &book, "--page", "1", text]));
    let edits = |editor: &str| {
        let mut command = laptop.command(&["note", "edit", &memo]);
        command.env_remove("VISUAL").env("EDITOR", editor).env("TMPDIR", scratch.path());
        lab::run(command, Duration::from_mins(1)).unwrap()
    };
    let left = || {
        let files = std::fs::read_dir(scratch.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("endpaper-memo-")).count()
    };
    let none = edits("");
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("set EDITOR"), "{none:?}");
    let fails = edits("false");
    assert!(fails.stderr.contains("nothing was changed"), "{fails:?}");
    assert_eq!((fails.code, left()), (Some(1), 1));
    assert_eq!(edits("sed -i s/첫/맨첫/").code, Some(0));
    assert_eq!(laptop.memos()[&memo], "맨첫 문장과 끝 문장");
    // It is changed elsewhere while the editor is open.
    let meanwhile = |name: &str, elsewhere: &str, here: &str| {
        let script = scratch.path().join(name);
        let text = format!(
            "'{}' device --dir '{}' note edit {memo} --text '{elsewhere}' && sed -i {here} \"$1\"\n",
            env!("CARGO_BIN_EXE_endpaper"),
            laptop.folder.display(),
        );
        std::fs::write(&script, text).unwrap();
        edits(&format!("sh {}", script.display()))
    };
    let both = meanwhile("both.sh", "맨첫 문장과 마지막 문장", "s/맨첫/맨처음/");
    assert_eq!((both.code, left()), (Some(0), 1), "{both:?}");
    assert_eq!(laptop.memos()[&memo], "맨처음 문장과 마지막 문장");
    let same = meanwhile("same.sh", "맨처음 글과 마지막 문장", "s/문장과/낱말과/");
    assert!(same.stderr.contains("What you wrote is in"), "{same:?}");
    assert_eq!((same.code, left()), (Some(1), 2));
    assert_eq!(laptop.memos()[&memo], "맨처음 글과 마지막 문장");

    // What lost its place is put back, and what is there instead is shown.
    laptop.done(&["sync"]);
    tablet.done(&["sync"]);
    laptop.done(&["note", "edit", &memo, "--text", "노트북의 글"]);
    tablet.done(&["note", "edit", &memo, "--text", "태블릿의 글"]);
    for device in [&laptop, &tablet, &laptop] {
        device.done(&["sync"]);
    }
    let stays = laptop.memos()[&memo].clone();
    let kept = laptop.done(&["kept", "ls"]).remove(0);
    let lost = kept["lost.content"].as_str().unwrap();
    assert_ne!(lost, stays);
    let restored = laptop.done(&["kept", "restore", kept["id"].as_str().unwrap()]);
    assert_eq!(restored[0]["instead"]["content"], stays);
    assert_eq!(laptop.memos()[&memo], lost);
    laptop.done(&["sync"]);
    tablet.done(&["sync"]);
    assert_eq!(tablet.memos()[&memo], lost);
    // Of a memo that was deleted a part alone is kept.
    tablet.done(&["note", "rm", &memo]);
    laptop.done(&["note", "edit", &memo, "--text", "다시 쓴 글"]);
    for device in [&tablet, &laptop] {
        device.done(&["sync"]);
    }
    assert!(laptop.memos().is_empty());
    let kept = laptop.done(&["kept", "ls"]);
    let again = kept.iter().find(|one| one["lost.content"] == "다시 쓴 글").unwrap();
    let again = again["id"].as_str().unwrap();
    laptop.fails(&["kept", "restore", again], 1, "was deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn memos_are_written_offline_and_reach_the_server_and_the_other_device() {
    let scratch = lab::Scratch::new("device-offline").unwrap();
    let port = lab::Port::reserve().unwrap();
    let server = start_at(&scratch.path().join("data"), &port);
    let reader = Reader::sign_up(&server, "reader").await;
    let url = server.program.url("");
    let [laptop, tablet] = ["laptop", "tablet"].map(|name| Device::new(scratch.path().join(name)));
    laptop.fails(&["note", "ls"], 1, "nobody has logged in here");
    laptop.log_in(&url, "reader");
    tablet.log_in(&url, "reader");

    // Nothing of this needs the server.
    drop(server);
    let book = id(&laptop.done(&[
        "shelf",
        "add",
        "--title",
        "소년이 온다",
        "--isbn",
        "9788936434120",
        "--pages",
        "216",
    ]));
    let memo = id(&laptop.done(&["note", "add", "--book", "소년", "--page", "12", "촛불 하나로"]));
    let other = id(&laptop.done(&["note", "add", "--book", &book, "--page", "13", "지울 것"]));
    laptop.done(&["note", "edit", &memo, "--text", "촛불 하나로 방이 넓어진다", "--page", "14"]);
    laptop.done(&["note", "rm", &other]);
    laptop.fails(&["note", "add", "--book", "소년", "--page", "0", "x"], 2, "pageNumber");
    laptop.fails(&["note", "add", "--book", "없는 책", "--page", "1", "x"], 1, "no book");
    laptop.fails(&["note", "edit", "ffffffff", "--text", "x"], 1, "there is no note");
    laptop.fails(&["sync"], 1, "can't be reached; 2 edits to send");
    assert_eq!(
        laptop.memos().into_iter().collect::<Vec<_>>(),
        [(memo.clone(), "촛불 하나로 방이 넓어진다".to_owned())]
    );
    let status = laptop.status();
    assert_eq!((&status["pending"], &status["waiting"]), (&json!(1), &json!(1)), "book, memo");
    laptop.fails(&["logout"], 1, "2 edits not sent yet");

    let server = start_at(&scratch.path().join("data"), &port);
    laptop.done(&["sync"]);
    assert_eq!(laptop.status()["pending"], 0);
    assert_eq!(laptop.done(&["note", "ls"])[0]["state"], "SUCCESS");
    tablet.done(&["sync"]);
    assert_eq!(tablet.memos(), laptop.memos());
    let read = reader.get(&server, &format!("/api/v1/memos/books/{book}")).await;
    assert_eq!(read[0]["content"], "촛불 하나로 방이 넓어진다");
    assert_eq!(read[0]["pageNumber"], 14);

    // Both change the same words, neither having seen the other's: one is kept.
    laptop.done(&["note", "edit", &memo, "--text", "촛불 둘로 방이 넓어진다"]);
    tablet.done(&["note", "edit", &memo, "--text", "촛불 셋으로 방이 넓어진다"]);
    laptop.done(&["sync"]);
    tablet.done(&["sync"]);
    laptop.done(&["sync"]);
    assert_eq!(laptop.memos(), tablet.memos());
    let kept = laptop.done(&["kept", "ls"]);
    assert_eq!(kept, tablet.done(&["kept", "ls"]));
    let words = format!("{}{}", laptop.memos()[&memo], kept[0]["lost.content"]);
    assert!(words.contains("둘로") && words.contains("셋으로"), "{words}");

    // Both put a book on the shelf, neither having seen that the other did: it is one.
    let add = ["shelf", "add", "--title", "흰", "--isbn", "978-89-5465-113-4"];
    let both = [&laptop, &tablet].map(|device| {
        let book = id(&device.done(&add));
        device.done(&["note", "add", "--book", &book, "--page", "1", "희다"]);
        book
    });
    assert_eq!(both[0], both[1]);
    laptop.done(&["sync"]);
    tablet.done(&["sync"]);
    laptop.done(&["sync"]);
    assert_eq!((laptop.memos(), laptop.memos().len()), (tablet.memos(), 3));
    assert_eq!(tablet.done(&["shelf", "ls"]), laptop.done(&["shelf", "ls"]));

    // What the server refuses waits for the person: a book without an ISBN that is on the
    // shelf already.
    laptop.fails(&["note", "add", "--book", "소년", "--page", "1", "--tags", "X", "x"], 2, "tags");
    laptop.fails(&["shelf", "add", "--title", "흰", "--isbn", "9788954651135"], 2, "no ISBN");
    let add = ["shelf", "add", "--title", "일기"];
    laptop.done(&add);
    tablet.done(&add);
    laptop.done(&["sync"]);
    tablet.fails(&["sync"], 1, "refused: 1 edit");
    let failed = tablet.status()["failed"][0].clone();
    assert_eq!(failed["table"], "shelf");
    let refused = failed["id"].as_str().unwrap();
    tablet.done(&["retry", refused]);
    // Its memo waits with it, and goes to the book that is there.
    let lost = id(&tablet.done(&["note", "add", "--book", refused, "--page", "7", "희다"]));
    tablet.fails(&["sync"], 1, "refused: 1 edit");
    assert_eq!(tablet.status()["waiting"], 1);
    let there = laptop.done(&["shelf", "ls"]).into_iter().find(|book| book["title"] == "일기");
    let there = there.unwrap()["id"].as_str().unwrap().to_owned();
    tablet.done(&["note", "edit", &lost, "--book", &there]);
    tablet.done(&["discard", refused]);
    let said = tablet.done(&["sync"]);
    assert_eq!(said, [json!({ "sent": 1, "received": 0 })]);
    assert_eq!(laptop.done(&["sync"]), [json!({ "sent": 0, "received": 1 })]);
    laptop.fails(&["note", "edit", &memo, "--book", &there], 2, "stays with its book");
    assert_eq!(tablet.done(&["shelf", "ls"]), laptop.done(&["shelf", "ls"]));

    let log = laptop.done(&["log"]);
    assert_eq!(log[0]["end"], "merged", "the server says what else a book has");
    let exported = laptop.run(&["export"]);
    let exported: Value = serde_json::from_str(&exported.stdout).unwrap();
    assert_eq!(exported["memos"].as_array().map(Vec::len), Some(4));
    assert_eq!(exported["unsent"], json!([]));

    // Whoever logs in next sees nothing of this.
    laptop.done(&["logout"]);
    laptop.fails(&["sync"], 1, "log in again");
    Reader::sign_up(&server, "another").await;
    laptop.log_in(&url, "another");
    assert!(laptop.memos().is_empty());
    laptop.log_in(&url, "reader");
    assert_eq!(laptop.memos(), tablet.memos());
    drop(server);
}

/// A book without an ISBN has another id each time that it is put on the shelf, but for
/// the one that is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_was_taken_off_comes_back_with_its_memos() {
    let scratch = lab::Scratch::new("device-back").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    Reader::sign_up(&server, "reader").await;
    let [laptop, tablet] = ["laptop", "tablet"].map(|name| Device::new(scratch.path().join(name)));
    for device in [&laptop, &tablet] {
        device.log_in(&server.program.url(""), "reader");
    }
    let book = id(&laptop.done(&["shelf", "add", "--title", "흰", "--author", "한강"]));
    laptop.done(&["note", "add", "--book", &book, "--page", "1", "첫 메모"]);
    laptop.done(&["sync"]);
    tablet.done(&["sync"]);
    // The one writes a memo, the other takes the book off: neither has heard of it.
    laptop.done(&["note", "add", "--book", &book, "--page", "2", "늦은 메모"]);
    tablet.done(&["shelf", "rm", &book]);
    tablet.done(&["sync"]);
    laptop.done(&["sync"]);
    assert_eq!(laptop.status()["failed"], json!([]));
    let again = id(&tablet.done(&["shelf", "add", "--title", "흰", "--author", "한강"]));
    tablet.fails(&["sync"], 1, &format!("was on the shelf before, as {book}"));
    let status = lab::run(
        {
            let mut command = endpaper(&["device", "--dir"]);
            command.arg(&tablet.folder).arg("status");
            command
        },
        Duration::from_mins(1),
    );
    let said = status.unwrap().stdout;
    assert!(said.contains("`shelf add --id` with the id that is named here"), "{said}");
    tablet.done(&["discard", &again]);
    tablet.fails(&["shelf", "add", "--title", "흰", "--id", "흰"], 2, "--id");
    tablet.done(&["shelf", "add", "--title", "흰", "--author", "한강", "--id", &book]);
    for device in [&tablet, &laptop] {
        device.done(&["sync"]);
        let books = device.done(&["shelf", "ls"]);
        assert_eq!((books.len(), &books[0]["id"]), (1, &json!(book)));
        let texts: Vec<String> = device.memos().into_values().collect();
        assert_eq!(texts, ["첫 메모", "늦은 메모"]);
    }
}

/// What readers were told to be saved after the backup is on their devices, and comes
/// back from there.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_has_lost_that_was_put_back_comes_back_from_the_devices() {
    let scratch = lab::Scratch::new("device-put-back").unwrap();
    let [data, other, file] =
        ["data", "other", "backup"].map(|name| scratch.path().join(name).display().to_string());
    let port = lab::Port::reserve().unwrap();
    let server = start_at(Path::new(&data), &port);
    Reader::sign_up(&server, "reader").await;
    let [laptop, tablet] = ["laptop", "tablet"].map(|name| Device::new(scratch.path().join(name)));
    for device in [&laptop, &tablet] {
        device.log_in(&server.program.url(""), "reader");
    }
    let book = id(&laptop.done(&["shelf", "add", "--title", "흰"]));
    let add = |device: &Device, text: &str| {
        id(&device.done(&["note", "add", "--book", &book, "--page", "1", text]))
    };
    let [early, gone] = ["first", "to be deleted"].map(|text| add(&laptop, text));
    laptop.done(&["sync"]);
    tablet.done(&["sync"]);
    drop(server);
    let run = |arguments: &[&str]| {
        let done = lab::run(endpaper(arguments), Duration::from_mins(1)).unwrap();
        assert_eq!(done.code, Some(0), "{done:?}");
    };
    run(&["backup", &file, "--data", &data]);
    // After the backup: on the server, and told to be.
    let server = start_at(Path::new(&data), &port);
    let another = id(&laptop.done(&["shelf", "add", "--title", "채식주의자"]));
    let later = id(&laptop.done(&["note", "add", "--book", &another, "--page", "2", "later"]));
    laptop.done(&["note", "edit", &early, "--text", "first, and more"]);
    laptop.done(&["note", "rm", &gone]);
    laptop.done(&["sync"]);
    assert_eq!(laptop.status()["pending"], 0);
    drop(server);
    run(&["restore", &file, "--data", &other]);
    let server = start_at(Path::new(&other), &port);
    tablet.log_in(&server.program.url(""), "reader");
    // The tablet has heard of nothing, and its memos take the numbers of what was lost.
    let new: Vec<String> = (0..6).map(|number| add(&tablet, &format!("new {number}"))).collect();
    tablet.done(&["sync"]);
    let said = laptop.log_in(&server.program.url(""), "reader");
    assert!(said.contains("the server was put back from a backup"), "{said}");
    tablet.done(&["sync"]);
    let memos = laptop.memos();
    assert_eq!(memos, tablet.memos());
    let text = |id: &String| memos.get(id).map(String::as_str);
    assert_eq!((text(&early), text(&later)), (Some("first, and more"), Some("later")));
    assert_eq!(text(&gone), None, "it stays deleted");
    assert!(new.iter().all(|id| text(id).is_some()));
    assert_eq!(memos.len(), 8);
    assert_eq!(laptop.done(&["shelf", "ls"]), tablet.done(&["shelf", "ls"]));
    let status = laptop.status();
    assert_eq!(
        (&status["pending"], &status["failed"], &status["kept"]),
        (&json!(0), &json!([]), &json!(0))
    );
}

/// The files are those of yesterday, and nobody but the operator knows it.
#[tokio::test(flavor = "multi_thread")]
async fn what_files_that_were_put_back_by_hand_lack_is_brought_back_where_that_is_said() {
    let scratch = lab::Scratch::new("device-by-hand").unwrap();
    let [data, copy] = ["data", "copy"].map(|name| scratch.path().join(name));
    let port = lab::Port::reserve().unwrap();
    let server = start_at(&data, &port);
    let reader = Reader::sign_up(&server, "reader").await;
    let laptop = Device::new(scratch.path().join("laptop"));
    laptop.log_in(&server.program.url(""), "reader");
    let book = id(&laptop.done(&["shelf", "add", "--title", "흰"]));
    let add = |text: &str| laptop.done(&["note", "add", "--book", &book, "--page", "1", text]);
    add("first");
    laptop.done(&["sync"]);
    drop(server);
    let files = |folder: &Path| {
        let all = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        all.filter(|file| file.file_type().unwrap().is_file()).collect::<Vec<_>>()
    };
    let copied = |from: &Path, to: &Path| {
        for file in files(from) {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    };
    std::fs::create_dir(&copy).unwrap();
    copied(&data, &copy);
    let server = start_at(&data, &port);
    add("later");
    laptop.done(&["sync"]);
    drop(server);
    for file in files(&data) {
        std::fs::remove_file(file.path()).unwrap();
    }
    copied(&copy, &data);
    let command = endpaper(&["masters", "recall", "--data", &data.display().to_string()]);
    let recalled = lab::run(command, Duration::from_mins(1)).unwrap();
    assert_eq!(recalled.code, Some(0), "{recalled:?}");
    assert!(recalled.stdout.contains("Start the servers again"), "{recalled:?}");
    let server = start_at(&data, &port);
    let path = format!("/api/v1/memos/books/{book}");
    let there = async || reader.get(&server, &path).await.as_array().unwrap().len();
    assert_eq!(there().await, 1);
    let synced = lab::run(laptop.command(&["sync"]), Duration::from_mins(1)).unwrap();
    assert!(synced.stderr.contains("has lost some of its writes"), "{synced:?}");
    assert_eq!((there().await, laptop.memos().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_costs_nothing_but_a_log_in() {
    let scratch = lab::Scratch::new("device-session").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    let reader = Reader::sign_up(&server, "reader").await;
    let url = server.program.url("");
    let device = Device::new(scratch.path().join("laptop"));
    device.log_in(&url, "reader");
    device.done(&["shelf", "add", "--title", "흰"]);
    reader.done(&server, Method::DELETE, "/api/v1/users/me/devices", None).await;
    device.fails(&["sync"], 1, "log in again");
    device.done(&["note", "add", "--book", "흰", "--page", "1", "그래도 쓴다"]);
    assert_eq!(device.status()["loggedIn"], false);
    let status = device.status();
    assert_eq!((&status["pending"], &status["waiting"]), (&json!(1), &json!(1)), "book, memo");
    device.log_in(&url, "reader");
    assert_eq!(device.status()["pending"], 0);
    assert_eq!(device.memos().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_sends_what_other_processes_write_and_is_told_what_other_devices_do() {
    let scratch = lab::Scratch::new("device-watch").unwrap();
    let server = Server::start(&scratch.path().join("data"), &[]);
    let reader = Reader::sign_up(&server, "reader").await;
    Reader::sign_up(&server, "another").await;
    let url = server.program.url("");
    let [laptop, tablet] = ["laptop", "tablet"].map(|name| Device::new(scratch.path().join(name)));
    laptop.log_in(&url, "reader");
    tablet.log_in(&url, "reader");
    let watch = |device: &Device| Process::start(device.command(&["watch"])).unwrap();
    let (mut at_laptop, mut at_tablet) = (watch(&laptop), watch(&tablet));
    let is_told = |process: &mut Process, what: &str| {
        let told = |line: &str| line.contains(what).then_some(());
        process.wait_for_line(Duration::from_mins(1), told).unwrap();
    };
    is_told(&mut at_laptop, "watching");
    is_told(&mut at_tablet, "watching");
    laptop.fails(&["sync"], 1, "runs: it does this");

    laptop.done(&["shelf", "add", "--title", "흰"]);
    let mut last = String::new();
    for number in 0..10 {
        let text = format!("메모 {number}");
        last = id(&laptop.done(&["note", "add", "--book", "흰", "--page", "1", &text]));
        laptop.status();
    }
    is_told(&mut at_tablet, &last[last.len() - 8..]);
    let book = id(&tablet.done(&["shelf", "ls"]));
    let path = format!("/api/v1/memos/books/{book}");
    let read = reader.get(&server, &path).await;
    assert_eq!(read.as_array().map(Vec::len), Some(10));

    // Somebody else logs in on the laptop: what watches there gets nothing of theirs.
    laptop.log_in(&url, "another");
    laptop.done(&["shelf", "add", "--title", "남의 책"]);
    laptop.done(&["sync"]);
    let memo = json!({ "userBookId": book, "pageNumber": 2, "content": "웹에서", "tags": [], "memoStartTime": "2026-03-01T21:30:00+09:00" });
    reader.done(&server, Method::POST, "/api/v1/memos", Some(memo)).await;
    is_told(&mut at_laptop, "log in again");
    at_laptop.kill().unwrap();
    laptop.log_in(&url, "reader");
    tablet.fails(&["sync"], 1, "runs: it does this");
    at_tablet.terminate().unwrap();
    drop(at_tablet.wait(Duration::from_mins(1)));
    tablet.done(&["sync"]);
    assert_eq!(laptop.memos(), tablet.memos());
    assert_eq!(laptop.memos().len(), 11);
    assert_eq!(laptop.done(&["shelf", "ls"]), tablet.done(&["shelf", "ls"]));
}

/// What a person was told of one memo.
#[derive(Debug, Default)]
struct Told {
    /// What they were told is saved last.
    saved: Option<String>,
    /// What was tried since, of which they were told nothing.
    tried: Vec<String>,
}

/// Two devices and a server, each killed at any moment.
struct Killing {
    random: Random,
    data: PathBuf,
    port: lab::Port,
    server: Option<Server>,
    devices: [Device; 2],
    /// By the first word of a memo, which stays; with it, the device that writes it.
    told: BTreeMap<String, (usize, Told)>,
    ids: BTreeMap<String, String>,
    writes: u32,
    kills: u32,
    /// Of them, those after which a push has no answer.
    in_a_push: u32,
}

impl Killing {
    fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// The moment of a fault: nothing is waited for here.
    fn a_moment(&self, micros_max: u64) {
        std::thread::sleep(Duration::from_micros(self.below(micros_max)));
    }

    /// Runs a command, or kills it at some moment; the line that it printed.
    fn edit(&mut self, device: usize, arguments: &[&str]) -> Option<Value> {
        let mut process = Process::start(self.devices[device].command(arguments)).unwrap();
        let is_killed = self.below(3) == 0;
        if is_killed {
            self.a_moment(60_000);
            drop(process.kill());
            self.kills += 1;
        }
        let finished = process.wait(Duration::from_mins(1)).unwrap();
        assert!(is_killed || finished.code == Some(0), "{arguments:?}: {finished:?}");
        let line = finished.stdout.lines().next()?;
        Some(serde_json::from_str(line).expect("a line is whole, or is not there"))
    }

    fn write(&mut self) {
        self.writes += 1;
        let number = self.writes;
        let device = usize::from(self.below(2) == 0);
        let mine: Vec<String> =
            self.ids.keys().filter(|word| self.told[*word].0 == device).cloned().collect();
        if !mine.is_empty() && self.below(3) == 0 {
            let word = mine[usize::try_from(self.below(mine.len() as u64)).unwrap()].clone();
            let text = format!("{word} 고침-{number}");
            let id = self.ids[&word].clone();
            let line = self.edit(device, &["note", "edit", &id, "--text", &text]);
            self.note(&word, device, text, line.is_some());
        } else {
            let word = format!("메모-{number}");
            let text = format!("{word} 처음");
            let add = ["note", "add", "--book", "흰", "--page", "1", &text];
            let line = self.edit(device, &add);
            self.note(&word, device, text, line.is_some());
            if let Some(line) = line {
                self.ids.insert(word, line["id"].as_str().unwrap().to_owned());
            }
        }
    }

    fn note(&mut self, word: &str, device: usize, text: String, is_saved: bool) {
        let (_, told) = self.told.entry(word.to_owned()).or_insert((device, Told::default()));
        if is_saved {
            (told.saved, told.tried) = (Some(text), Vec::new());
        } else {
            told.tried.push(text);
        }
    }

    fn sync(&mut self) {
        let device = usize::from(self.below(2) == 0);
        let mut process = Process::start(self.devices[device].command(&["sync"])).unwrap();
        // Some are written while it runs, on the same device or the other one.
        for _ in 0..self.below(6).saturating_sub(3) {
            self.write();
        }
        match self.below(6) {
            3..6 => {
                self.a_moment(200_000);
                drop(process.kill());
                self.kills += 1;
            }
            1 | 2 => {
                self.a_moment(200_000);
                let server = self.server.take().unwrap();
                server.program.kill().unwrap();
                self.kills += 1;
                self.server = Some(start_at(&self.data, &self.port));
            }
            _ => {}
        }
        let finished = process.wait(Duration::from_mins(1)).unwrap();
        let says = |what: &str| finished.stderr.contains(what);
        let away = finished.code == Some(1) && (says("can't be reached") || says("come later"));
        assert!(finished.signal.is_some() || finished.code == Some(0) || away, "{finished:?}");
        if finished.code != Some(0) && self.devices[device].status()["syncing"] != 0 {
            self.in_a_push += 1;
        }
    }
}

/// Kills in the full suite; and those of them, of a device, after which a push has no answer.
const KILLS: u32 = 300;
const KILLS_IN_A_PUSH: u32 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_told_to_be_saved_is_lost_or_doubled_whoever_is_killed() {
    let scratch = lab::Scratch::new("device-kills").unwrap();
    let data = scratch.path().join("data");
    let port = lab::Port::reserve().unwrap();
    let server = start_at(&data, &port);
    let reader = Reader::sign_up(&server, "reader").await;
    // A push takes a while, as it does over a real network.
    let proxy = Proxy::to(port.address()).unwrap();
    proxy.set_both(Traffic::Delayed(Duration::from_millis(20))).unwrap();
    let url = format!("http://{}", proxy.address());
    let devices = ["one", "two"].map(|name| Device::new(scratch.path().join(name)));
    for device in &devices {
        device.log_in(&url, "reader");
    }
    devices[0].done(&["shelf", "add", "--title", "흰"]);
    for device in &devices {
        device.done(&["sync"]);
    }
    let seed = Seed::from_system();
    println!("{seed:?}");
    let (random, server) = (Random::new(seed), Some(server));
    let (told, ids) = (BTreeMap::new(), BTreeMap::new());
    let mut killing = Killing {
        random,
        data,
        port,
        server,
        devices,
        told,
        ids,
        writes: 0,
        kills: 0,
        in_a_push: 0,
    };
    let share = if lab::Suite::current() == lab::Suite::Full { 1 } else { 20 };
    while killing.kills < KILLS / share || killing.in_a_push < KILLS_IN_A_PUSH / share {
        for _ in 0..=killing.below(3) {
            killing.write();
        }
        killing.sync();
    }
    let Killing { server, devices, told, kills, in_a_push, .. } = killing;
    // The second hears of what the first sent last.
    for device in [&devices[0], &devices[1], &devices[0]] {
        device.done(&["sync"]);
    }
    let memos = devices[0].memos();
    assert_eq!(devices[1].memos(), memos);
    let book = devices[0].done(&["shelf", "ls"])[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/memos/books/{book}");
    let read = reader.get(server.as_ref().unwrap(), &path).await;
    let text = |memo: &Value, name: &str| memo[name].as_str().unwrap().to_owned();
    let read: BTreeMap<String, String> = read
        .as_array()
        .unwrap()
        .iter()
        .map(|memo| (text(memo, "id"), text(memo, "content")))
        .collect();
    assert_eq!(read, memos);
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for content in memos.values() {
        let word = content.split(' ').next().unwrap();
        assert_eq!(found.insert(word, content), None, "{word} is there twice");
    }
    for (word, (_, told)) in &told {
        let there = found.remove(word.as_str());
        let may_be = told.saved.iter().chain(&told.tried).any(|text| there == Some(text));
        assert!(may_be || there.is_none() && told.saved.is_none(), "{word}: {there:?}, {told:?}");
    }
    assert!(found.is_empty(), "nobody wrote {found:?}");
    assert!(devices[0].done(&["kept", "ls"]).is_empty(), "nobody edited another's memo");
    println!("{} memos, {kills} kills, {in_a_push} in the middle of a push", memos.len());
}
