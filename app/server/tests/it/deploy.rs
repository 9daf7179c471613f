//! What is in `deploy/`: real servers are started with its configurations.

use std::fs;
use std::path::{Path, PathBuf};

use lab::{MariaDb, Scratch};

use crate::common::{Reader, Server, endpaper, run};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(deploy(name)).unwrap()
}

#[tokio::test]
async fn two_servers_with_the_configurations_of_deploy_serve() {
    let Some(software) = lab::require_mariadb("the configurations in deploy/") else { return };
    let scratch = Scratch::new("deploy").unwrap();
    // The memory and disk of a test.
    let small = ["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M"];
    let servers = ["one", "two"].map(|name| {
        let file = deploy(&format!("mariadb/{name}.cnf"));
        let server = MariaDb::start_from_file(&software, scratch.path(), &file, &small).unwrap();
        server.create_database("endpaper").unwrap();
        server
    });
    for (server, number) in servers.iter().zip([1, 2]) {
        let own = "select @@server_id, @@gtid_domain_id, @@auto_increment_offset";
        assert_eq!(server.sql("mysql", own).unwrap(), format!("{number}\t{number}\t{number}\n"));
        let all = "select @@innodb_flush_log_at_trx_commit, @@sync_binlog, @@log_bin, \
                   @@binlog_format, @@log_slave_updates, @@gtid_strict_mode, \
                   @@auto_increment_increment, @@max_allowed_packet, @@max_connections, \
                   @@global.idle_transaction_timeout, @@character_set_server";
        assert_eq!(
            server.sql("mysql", all).unwrap(),
            "1\t1\t1\tROW\t1\t1\t2\t134217728\t200\t60\tutf8mb4\n"
        );
        let log = server.log();
        let complaints: Vec<&str> = log.lines().filter(|line| line.contains("[ERROR]")).collect();
        assert_eq!(complaints, [""; 0]);
    }

    let [one, two] = servers.each_ref().map(|server| server.url("endpaper"));
    let config = text("endpaper.toml")
        .replace("mysql://endpaper:change-me@db1.example:3306/endpaper", &one)
        .replace("mysql://endpaper:change-me@db2.example:3306/endpaper", &two)
        .replace("/var/lib/endpaper", &scratch.path().join("data").display().to_string());
    assert!(config.contains(&one) && config.contains(&two), "{config}");
    let file = scratch.path().join("endpaper.toml");
    fs::write(&file, config).unwrap();
    let server = Server::start_with(&["serve", "--config", &file.display().to_string()]);
    Reader::sign_up(&server, "reader").await;
    assert_eq!(server.program.stop().unwrap().code, Some(0));
    let count = "select count(*) from users";
    assert_eq!(servers.map(|server| server.sql("endpaper", count).unwrap()), ["1\n"; 2]);
}

#[test]
fn the_configuration_of_deploy_is_one() {
    let shown =
        run(&["config", "show", "--config", &deploy("endpaper.toml").display().to_string()]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
}

/// Compose itself may not be there; what is ours in its file is looked at.
#[test]
fn what_compose_sets_and_mounts_is_there() {
    let compose = text("compose.yaml");
    let lines: Vec<&str> = compose.lines().map(str::trim).collect();
    let mut command = endpaper(&["config", "show"]);
    let mut keys = 0;
    for (at, line) in lines.iter().enumerate() {
        if let Some((name, value)) = line.split_once(": ")
            && name.starts_with("ENDPAPER_")
        {
            // A value that begins on the next line.
            let value = if value == ">-" {
                lines[at + 1..]
                    .iter()
                    .take_while(|line| line.contains('='))
                    .copied()
                    .collect::<Vec<_>>()
                    .join(" ")
            } else {
                value.to_owned()
            };
            let from = "${ENDPAPER_DATABASE_PASSWORD:?copy deploy/example.env to deploy/.env}";
            command.env(name, value.replace(from, "secret"));
            keys += 1;
        }
        if let Some(mount) = line.strip_prefix("- ./") {
            let (file, _) = mount.split_once(':').unwrap();
            assert!(deploy(file).is_file(), "{line}");
        }
    }
    assert_eq!(keys, 5);
    let shown = lab::run(command, std::time::Duration::from_mins(1)).unwrap();
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for told in ["mysql://endpaper:***@mariadb-one:3306", "mysql://endpaper:***@mariadb-two:3306"] {
        assert!(shown.stdout.contains(told), "{}", shown.stdout);
    }
    for (name, needs) in
        [("example.env", "ENDPAPER_DATABASE_PASSWORD="), ("compose.yaml", "deploy/Dockerfile")]
    {
        assert!(text(name).contains(needs), "{name}");
    }
    assert!(deploy("Dockerfile").is_file());
}
