//! What each mistake says, and who wins.

use std::fmt::Write as _;

use expect_test::{Expect, expect, expect_file};

use super::super::Settings;
use super::*;

struct Given<'a> {
    file: Option<&'a str>,
    variables: &'a [(&'a str, &'a str)],
    flags: &'a [(&'static str, &'a str)],
}

const NOTHING: Given<'_> = Given { file: None, variables: &[], flags: &[] };

fn resolve(given: &Given<'_>) -> Result<Resolved, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("endpaper.toml");
    let mut flags = Flags::default();
    if let Some(text) = given.file {
        fs::write(&path, text).unwrap();
        flags.config = Some(path);
    }
    flags.values = given.flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let variables = given.variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Resolved::from(&flags, variables).map_err(|error| ConfigError {
        message: error.message.replace(&format!("{}/", directory.path().display()), ""),
        ..error
    })
}

fn check_file(file: &str, expected: &Expect) {
    let error = resolve(&Given { file: Some(file), ..NOTHING }).unwrap_err();
    assert!(!error.is_usage());
    assert!(!error.message.contains('\n'), "one line");
    expected.assert_eq(&error.to_string());
}

#[test]
fn each_mistake_in_a_file_names_the_key_and_what_it_takes() {
    check_file(
        "lisen = \"127.0.0.1:1\"",
        &expect!["endpaper.toml: there is no key `lisen`; did you mean `listen`?"],
    );
    check_file(
        "policy = \"all\"",
        &expect!["endpaper.toml: there is no key `policy`; did you mean `store.policy`?"],
    );
    check_file(
        "[store]\npolcy = \"all\"",
        &expect!["endpaper.toml: there is no key `store.polcy`; did you mean `store.policy`?"],
    );
    check_file("[nonsense]\nwith = 1", &expect!["endpaper.toml: there is no key `nonsense.with`"]);
    check_file(
        "listen = 8080",
        &expect!["endpaper.toml: `listen` takes an address such as 127.0.0.1:8080, not 8080"],
    );
    check_file(
        "listen = \"8080\"",
        &expect![[
            r#"endpaper.toml: `listen` takes an address such as 127.0.0.1:8080, not "8080""#
        ]],
    );
    check_file(
        "[store]\npolicy = \"some\"",
        &expect![[r#"endpaper.toml: `store.policy` takes available or all, not "some""#]],
    );
    check_file(
        "[store]\nconnect_ms = \"2s\"",
        &expect![[
            r#"endpaper.toml: `store.connect_ms` takes a whole number from 10 to 60000, not "2s""#
        ]],
    );
    check_file(
        "[store]\nconnect_ms = -1",
        &expect!["endpaper.toml: `store.connect_ms` takes a whole number from 10 to 60000, not -1"],
    );
    check_file(
        "[store]\nconnect_ms = 2.5",
        &expect![
            "endpaper.toml: `store.connect_ms` takes a whole number from 10 to 60000, not 2.5"
        ],
    );
    check_file(
        "[books]\nopen_library = \"yes\"",
        &expect![[r#"endpaper.toml: `books.open_library` takes true or false, not "yes""#]],
    );
    check_file(
        "[books]\naladin_url = \"aladin\"",
        &expect![[
            r#"endpaper.toml: `books.aladin_url` takes an address that begins with http:// or https://, not "aladin""#
        ]],
    );
    check_file(
        "[server]\ntrusted_proxies = [\"proxy\"]",
        &expect![
            "endpaper.toml: `server.trusted_proxies` takes a list of IP addresses, not a list"
        ],
    );
    check_file("data = \"\"", &expect![[r#"endpaper.toml: `data` takes a path, not """#]]);
    check_file("store = 1", &expect!["endpaper.toml: there is no key `store`"]);
    check_file(
        "listen = ",
        &expect![
            "endpaper.toml:1: `listen`: string values must be quoted, expected literal string"
        ],
    );
    check_file(
        "data = \"d\"\nlisten = \n",
        &expect![
            "endpaper.toml:2: `listen`: string values must be quoted, expected literal string"
        ],
    );
    check_file("a = 1\n\nb = [", &expect!["endpaper.toml:3: `b`: unclosed array, expected `]`"]);
}

#[test]
fn each_mistake_in_masters_says_what_a_master_is() {
    check_file(
        "masters = \"mysql://endpaper:secret@db/endpaper\"",
        &expect![
            "endpaper.toml: `masters` takes masters, each with a name and a url, not what is given"
        ],
    );
    check_file(
        "masters = []",
        &expect!["endpaper.toml: `masters`: there are 1 to 8 masters, and here are 0"],
    );
    check_file(
        "[[masters]]\nname = \"a\"\nulr = \"sqlite:a.db\"",
        &expect!["endpaper.toml: `masters`: a master has a name and a url, and no `ulr`"],
    );
    check_file(
        "[[masters]]\nname = \"a\"",
        &expect!["endpaper.toml: `masters`: a master needs a `url`, which is a text"],
    );
    check_file(
        "[[masters]]\nname = \"A b\"\nurl = \"sqlite:a.db\"",
        &expect![
            "endpaper.toml: `masters`: the name of master 1 is not of 1 to 32 of a-z, 0-9, `-` and `_`"
        ],
    );
    check_file(
        "[[masters]]\nname = \"a\"\nurl = \"postgres://u:secret@h/d\"",
        &expect![
            "endpaper.toml: `masters`: master `a`: a url is sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/DATABASE"
        ],
    );
    let two = |other: &str| {
        format!("[[masters]]\nname = \"a\"\nurl = \"sqlite:a.db\"\n[[masters]]\n{other}")
    };
    check_file(
        &two("name = \"a\"\nurl = \"sqlite:b.db\""),
        &expect!["endpaper.toml: `masters`: two masters are named `a`"],
    );
    check_file(
        &two("name = \"b\"\nurl = \"mysql://h/d\""),
        &expect![
            "endpaper.toml: `masters`: the masters of one set are all SQLite or all MariaDB/MySQL"
        ],
    );
}

#[test]
fn mistakes_in_the_environment_and_in_flags_name_them() {
    let error = |given: Given<'_>| resolve(&given).unwrap_err();
    let unknown = error(Given { variables: &[("ENDPAPER_STORE_POLCY", "all")], ..NOTHING });
    expect!["there is no environment variable ENDPAPER_STORE_POLCY; did you mean `ENDPAPER_STORE_POLICY`?"].assert_eq(&unknown.to_string());
    let wrong = error(Given { variables: &[("ENDPAPER_LISTEN", "here")], ..NOTHING });
    expect!["environment: ENDPAPER_LISTEN takes an address such as 127.0.0.1:8080, not `here`"]
        .assert_eq(&wrong.to_string());
    let masters =
        error(Given { variables: &[("ENDPAPER_MASTERS", "mysql://u:secret@h/d")], ..NOTHING });
    expect!["environment: ENDPAPER_MASTERS: in text, masters are NAME=URL, with spaces between"]
        .assert_eq(&masters.to_string());
    let flag = error(Given { flags: &[("listen", "here")], ..NOTHING });
    expect!["--listen takes an address such as 127.0.0.1:8080, not `here`"]
        .assert_eq(&flag.to_string());
    assert!(flag.is_usage());
}

/// Whoever knows where alerts are posted can post there.
#[test]
fn addresses_of_webhooks_are_secrets() {
    for (url, key) in
        [("hooks/secret", "webhook"), ("https://:443/secret", "webhook"), ("", "slack_webhook")]
    {
        let file = format!("[alerts]\n{key} = \"{url}\"");
        let error = resolve(&Given { file: Some(&file), ..NOTHING }).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "endpaper.toml: `alerts.{key}` takes an address that begins with http:// or https://, not what is given"
            )
        );
    }
    let resolved = resolve(&Given {
        file: Some("[alerts]\nwebhook = \"http://10.0.0.1/secret\"\nquiet_ms = 0\n"),
        variables: &[("ENDPAPER_ALERTS_SLACK_WEBHOOK", "https://hooks.slack.com/secret")],
        flags: &[],
    })
    .unwrap();
    let settings = Settings::of(&resolved);
    let urls: Vec<&str> = settings.alerts.targets.iter().map(|target| &*target.url).collect();
    assert_eq!(urls, ["http://10.0.0.1/secret", "https://hooks.slack.com/secret"]);
    for shown in [resolved.to_table(), resolved.to_json(), format!("{settings:?}")] {
        assert!(shown.contains("***") && !shown.contains("secret"), "{shown}");
    }
}

#[test]
fn later_layers_win_and_every_value_knows_its_source() {
    let resolved = resolve(&Given {
        file: Some("listen = \"127.0.0.1:1\"\ndata = \"books\"\n[log]\nformat = \"json\"\n[store]\nprobe_ms = 500\n[books]\naladin_key = \"ttbsecret\"\n"),
        variables: &[
            ("ENDPAPER_LISTEN", "localhost:2"),
            ("ENDPAPER_LOG_FORMAT", "text"),
            ("ENDPAPER_MASTERS", "one=mysql://endpaper:secret@db1:3306/endpaper two=mysql://endpaper:secret@db2/endpaper"),
            ("PATH", "/usr/bin"),
        ],
        flags: &[("listen", "127.0.0.1:3")],
    })
    .unwrap();
    let table = resolved.to_table();
    assert!(!table.contains("secret"), "{table}");
    let lines: Vec<&str> = table.lines().filter(|line| !line.ends_with("default")).collect();
    let directory = |line: &str| {
        line.replace(char::is_whitespace, " ")
            .split(' ')
            .filter(|word| !word.is_empty() && !word.starts_with('/'))
            .collect::<Vec<_>>()
            .join(" ")
    };
    expect![[r"
        listen 127.0.0.1:3 flag --listen
        data file
        masters one=mysql://endpaper:***@db1:3306/endpaper two=mysql://endpaper:***@db2/endpaper env ENDPAPER_MASTERS
        store.probe_ms 500 file
        books.aladin_key *** file
        log.format text env ENDPAPER_LOG_FORMAT"]]
    .assert_eq(&lines.iter().map(|line| directory(line)).collect::<Vec<_>>().join("\n"));
    assert!(!resolved.to_json().contains("secret"));

    let settings = Settings::of(&resolved);
    assert_eq!(settings.listen.port(), 3);
    assert!(
        settings.data.is_absolute() && settings.data.ends_with("books"),
        "relative to the file: {:?}",
        settings.data
    );
    assert_eq!(settings.store.limits.probe, std::time::Duration::from_millis(500));
    assert_eq!(settings.store.masters[1].url, "mysql://endpaper:secret@db2/endpaper");
    assert_eq!(settings.books.aladin_key.as_deref(), Some("ttbsecret"));
    assert!(
        !format!("{settings:?}").contains("secret"),
        "a log of the settings has no secret in it"
    );
}

#[test]
fn with_nothing_given_the_defaults_hold() {
    let settings = Settings::of(&resolve(&NOTHING).unwrap());
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.data, Path::new("data"));
    assert_eq!(settings.store.masters[0].url, "sqlite:data/a.db");
    assert_eq!(
        settings.store.limits,
        multi_master::config::Limits::default(),
        "one truth for the store's defaults"
    );
    assert!(settings.operator.listen.is_some() && !settings.operator.chosen);
}

#[test]
fn a_listener_can_be_switched_off() {
    let settings = Settings::of(
        &resolve(&Given { file: Some("[operator]\nlisten = \"off\""), ..NOTHING }).unwrap(),
    );
    assert!(settings.operator.listen.is_none() && settings.operator.chosen);
}

#[test]
fn names_of_variables_are_unique_and_flags_are_of_keys() {
    let mut variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), KEYS.len());
    assert!(!variables.iter().any(|name| name == CONFIG_VARIABLE));
}

#[test]
fn the_reference_in_the_documents_is_this_list() {
    let mut text = String::from(REFERENCE_BEGINS);
    for key in KEYS {
        let default = key
            .default
            .filter(|default| !default.is_empty())
            .map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
        let flag = key.flag.map_or_else(String::new, |flag| format!(", `{flag}`"));
        let takes = key.takes.to_string();
        let (name, about, variable) = (key.name, key.about, key.variable());
        writeln!(text, "| `{name}` | {takes} | {default} | {about} | `{variable}`{flag} |")
            .unwrap();
    }
    text.push_str(REFERENCE_ENDS);
    expect_file!["../../../../../docs/operations/configuration.md"].assert_eq(&text);
}

const REFERENCE_BEGINS: &str = "\
# Configuration

One TOML file (`--config FILE`, or the environment variable `ENDPAPER_CONFIG`), the environment, and flags; the later wins. Everything is checked at the start: a key that does not exist, or a value that is not what the key takes, stops the program with one line that names it. `endpaper config show` prints what holds and who said so (`--json` for programs; passwords and keys are hidden).

A key with a dot is in a table of the file: `store.policy` is `policy` under `[store]`. Durations end in `_ms` (milliseconds), sizes in `_bytes`. Paths in a file are relative to the file, elsewhere to the working directory.

```toml
listen = \"127.0.0.1:8080\"
data = \"data\"

# Two MariaDB servers instead of the two files in `data`; the first is the primary.
[[masters]]
name = \"one\"
url = \"mysql://endpaper:password@db1.example:3306/endpaper\"

[[masters]]
name = \"two\"
url = \"mysql://endpaper:password@db2.example:3306/endpaper\"

[store]
policy = \"available\"
```

In the environment masters are `NAME=URL` with spaces between: `ENDPAPER_MASTERS=\"one=mysql://… two=mysql://…\"`.

| key | takes | default | what it is for | environment, flag |
|---|---|---|---|---|
";

const REFERENCE_ENDS: &str = "
This table is checked by the tests of the server: `UPDATE_EXPECT=1 cargo test -p endpaper reference` writes it anew.
";
