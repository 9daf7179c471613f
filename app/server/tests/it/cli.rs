//! What commands say and which exit codes they have: 0 done, 1 failed and why
//! in one line, 2 usage.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::{fs, thread};

use expect_test::{Expect, expect};
use lab::Scratch;

use crate::common::{Server, endpaper, run};

/// Runs the command and returns the exit code and what it said on standard
/// error, which is one line. `<scratch>` stands for the directory of the test.
fn check_failure(scratch: &Path, arguments: &[&str], expected: &Expect) {
    let mut command = endpaper(arguments);
    // Another test's server may have the default address; that is told as well.
    command.env("ENDPAPER_OPERATOR_LISTEN", "off");
    let finished = lab::run(command, std::time::Duration::from_mins(1)).unwrap();
    let said = finished.stderr.replace(&scratch.display().to_string(), "<scratch>");
    assert_eq!(finished.stdout, "");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    expected.assert_eq(&format!("{} {}", finished.code.unwrap(), said.trim_end()));
}

#[test]
fn usage_errors_have_exit_code_2() {
    for arguments in [
        &["sevre"][..],
        &[],
        &["serve", "--lisen", "127.0.0.1:0"],
        &["serve", "extra"],
        &["import"],
        &["import", "catalogue"],
        &["import", "goodreads", "file.csv"],
        &["config", "shwo"],
    ] {
        let finished = run(arguments);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains("Usage"), "{}", finished.stderr);
    }
    let suggestion = run(&["sevre"]).stderr;
    assert!(suggestion.contains("'serve'"), "{suggestion}");
}

#[test]
fn a_wrong_flag_is_usage_and_a_wrong_file_is_not() {
    let scratch = Scratch::new("cli").unwrap();
    let file = scratch.path().join("endpaper.toml");
    let path = file.display().to_string();
    check_failure(
        scratch.path(),
        &["serve", "--listen", "here"],
        &expect!["2 endpaper: --listen takes an address such as 127.0.0.1:8080, not `here`"],
    );
    check_failure(
        scratch.path(),
        &["serve", "--config", &path],
        &expect![
            "1 endpaper: can't read <scratch>/endpaper.toml: No such file or directory (os error 2)"
        ],
    );
    fs::write(&file, "[store]\npolcy = \"all\"\n").unwrap();
    check_failure(
        scratch.path(),
        &["serve", "--config", &path],
        &expect![
            "1 endpaper: <scratch>/endpaper.toml: there is no key `store.polcy`; did you mean `store.policy`?"
        ],
    );
    fs::write(&file, "[store\n").unwrap();
    check_failure(
        scratch.path(),
        &["config", "show", "--config", &path],
        &expect!["1 endpaper: <scratch>/endpaper.toml:1: unclosed table, expected `]`"],
    );
}

#[test]
fn a_directory_that_cannot_be_used_is_said_to_be_so() {
    let scratch = Scratch::new("cli").unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    let path = file.display().to_string();
    check_failure(
        scratch.path(),
        &["serve", "--listen", "127.0.0.1:0", "--data", &path],
        &expect!["1 endpaper: the data directory <scratch>/file is a file, not a directory"],
    );
    // Nobody can make files there, not even root.
    let finished = run(&["serve", "--listen", "127.0.0.1:0", "--data", "/sys/kernel"]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.lines().last().unwrap().starts_with("endpaper: /sys/kernel/"),
        "{}",
        finished.stderr
    );
}

/// It has seeds of signing keys and hashes of passwords in it.
#[test]
fn the_data_directory_is_for_its_user_alone() {
    let scratch = Scratch::new("cli").unwrap();
    let data = scratch.path().join("new/data");
    let server = Server::start(&data, &[]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let finished = server.program.stop().unwrap();
    assert!(!finished.stderr.contains("open to others"), "{}", finished.stderr);

    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
    let finished = Server::start(&data, &[]).program.stop().unwrap();
    assert!(finished.stderr.contains("is open to others (mode 750)"), "{}", finished.stderr);
    assert_eq!(mode(&data), 0o750, "what somebody chose stays");
}

#[test]
fn one_data_directory_has_one_server() {
    let scratch = Scratch::new("cli").unwrap();
    let data = scratch.path().join("data");
    let server = Server::start(&data, &[]);
    let data = data.display().to_string();
    let second =
        run(&["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--data", &data]);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("in use by another process"), "{}", second.stderr);
    assert_eq!(second.stderr.lines().count(), 1, "{}", second.stderr);
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    let status = run(&["masters", "status", "--data", &data]);
    assert_eq!((status.code, status.stdout.as_str()), (Some(0), "a  LIVE\nb  LIVE\n"));
}

#[test]
fn an_address_that_is_taken_is_found_out_before_the_store_is_touched() {
    let scratch = Scratch::new("cli").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = scratch.path().join("data");
    let finished = run(&["serve", "--listen", &address, "--data", &data.display().to_string()]);
    assert_eq!(finished.code, Some(1));
    let expected =
        format!("endpaper: can't listen on {address}: Address already in use (os error 98)\n");
    assert_eq!(finished.stderr, expected);
    assert!(!data.exists());
}

#[test]
fn a_master_that_is_no_database_is_said_to_be_none() {
    let scratch = Scratch::new("cli").unwrap();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = web.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in web.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    let mut command =
        endpaper(&["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--data"]);
    command.arg(scratch.path().join("data"));
    let masters =
        format!("one=mysql://u:hush@127.0.0.1:{port}/x two=mysql://u:hush@127.0.0.1:{port}/y");
    command.env("ENDPAPER_MASTERS", masters);
    let finished = lab::run(command, std::time::Duration::from_mins(1)).unwrap();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(
        finished.stderr.contains("one") && !finished.stderr.contains("hush"),
        "{}",
        finished.stderr
    );
}

#[test]
fn the_configuration_is_shown_with_its_sources_and_without_its_secrets() {
    let scratch = Scratch::new("cli").unwrap();
    let file = scratch.path().join("endpaper.toml");
    fs::write(&file, "[books]\naladin_key = \"ttbhush\"\n[store]\npolicy = \"all\"\n").unwrap();
    let mut command =
        endpaper(&["config", "show", "--json", "--listen", "127.0.0.1:1", "--config"]);
    command.arg(&file).env("ENDPAPER_LOG_LEVEL", "debug");
    let shown = lab::run(command, std::time::Duration::from_mins(1)).unwrap().stdout;
    assert!(!shown.contains("hush"), "{shown}");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let of = |key: &str| {
        let settings = shown["settings"].as_array().unwrap();
        let found = settings.iter().find(|setting| setting["key"] == key).unwrap();
        format!("{} {}", found["value"], found["source"].as_str().unwrap())
    };
    assert_eq!(of("listen"), "\"127.0.0.1:1\" flag");
    assert_eq!(of("store.policy"), "\"all\" file");
    assert_eq!(of("log.level"), "\"debug\" env");
    assert_eq!(of("books.aladin_key"), "\"***\" file");
    assert_eq!(of("store.probe_ms"), "1000 default");
}

#[test]
fn what_is_asked_of_no_store_makes_none() {
    let scratch = Scratch::new("cli").unwrap();
    let data = scratch.path().join("data").display().to_string();
    check_failure(
        scratch.path(),
        &["masters", "status", "--data", &data],
        &expect![
            "1 endpaper: there is no store: <scratch>/data/witness.json is missing; `endpaper serve` makes it"
        ],
    );
    assert!(!Path::new(&data).exists());
    let file = scratch.path().join("export.csv");
    fs::write(&file, "Book Id,Title\n").unwrap();
    let file = file.display().to_string();
    check_failure(
        scratch.path(),
        &["import", "goodreads", &file, "--user", "reader", "--data", &data],
        &expect![
            "1 endpaper: there is no store: <scratch>/data/witness.json is missing; `endpaper serve` makes it"
        ],
    );
    assert!(!Path::new(&data).exists());
}

/// `endpaper …` in a document is a command that exists.
#[test]
fn commands_in_the_documents_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut documents: Vec<_> = ["README.md", "README.ko.md", "CONTRIBUTING.md", "ARCHITECTURE.md"]
        .into_iter()
        .map(|name| root.join(name))
        .filter(|path| path.exists())
        .collect();
    for directory in ["docs", "docs/operations", "docs/decisions"] {
        let entries = fs::read_dir(root.join(directory)).unwrap();
        documents.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    }
    let mut commands = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for line in text.lines() {
            for (at, start) in line.match_indices("endpaper ") {
                let is_call = line[..at].ends_with(['`', '/'])
                    || line[..at].trim_start().is_empty()
                    || line[..at].ends_with("-- ");
                let words = words_of(&line[at + start.len()..]);
                let known_groups = ["config", "import", "accounts", "masters"];
                let Some(first) = words.first().filter(|_| is_call) else { continue };
                let depth = if known_groups.contains(first) { 2 } else { 1 };
                let mut arguments: Vec<&str> = words.into_iter().take(depth).collect();
                arguments.push("--help");
                let finished = run(&arguments);
                assert_eq!(finished.code, Some(0), "{}: `{}`", document.display(), line.trim());
                commands += 1;
            }
        }
    }
    assert!(commands > 0, "the documents name commands");
}

/// The first two words in lower case; what follows other characters is no part
/// of the command.
fn words_of(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in text.split(' ').take(2) {
        let end = word.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(word.len());
        if end > 0 {
            words.push(&word[..end]);
        }
        if end < word.len() {
            break;
        }
    }
    words
}
