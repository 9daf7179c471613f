//! A real server: started, stopped, killed, frozen, started again.

use lab::{LabError, MariaDb, Scratch, require_mariadb};

#[test]
fn a_server_keeps_what_was_committed_whatever_happens_to_it() {
    let Some(software) =
        require_mariadb("a MariaDB server is started, killed, frozen and started again")
    else {
        return;
    };
    let scratch = Scratch::new("lab-mariadb").unwrap();
    let mut server = MariaDb::start(&software, scratch.path()).unwrap();
    let port = server.port();
    server.create_database("books").unwrap();
    server
        .sql("books", "create table t (id int primary key, title text) character set utf8mb4")
        .unwrap();
    server.sql("books", "insert into t values (1, '채식주의자')").unwrap();

    server.kill().unwrap();
    assert!(!server.is_running());
    assert!(
        matches!(server.sql("books", "select 1"), Err(LabError::Sql { .. })),
        "nothing answers"
    );
    assert!(matches!(server.freeze(), Err(LabError::State { .. })));

    server.restart().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(server.sql("books", "select id, title from t").unwrap(), "1\t채식주의자\n");

    server.freeze().unwrap();
    assert!(server.is_running());
    server.thaw().unwrap();
    server.sql("books", "insert into t values (2, 'Pachinko')").unwrap();

    server.stop().unwrap();
    server.stop().unwrap();
    assert!(!server.is_running());
    server.restart().unwrap();
    assert_eq!(server.sql("books", "select count(*) from t").unwrap(), "2\n");

    let error = server.sql("books", "select nonsense").unwrap_err().to_string();
    assert!(error.contains("nonsense"), "{error}");
}

#[test]
fn a_server_gets_an_older_copy_of_its_data_back() {
    let Some(software) = require_mariadb("a MariaDB server gets an older copy of its data") else {
        return;
    };
    let scratch = Scratch::new("lab-older").unwrap();
    let mut server = MariaDb::start(&software, scratch.path()).unwrap();
    server.create_database("books").unwrap();
    server.sql("books", "create table t (id int primary key)").unwrap();
    server.sql("books", "insert into t values (1)").unwrap();
    let copy = scratch.path().join("copy");
    server.copy_data(&copy).unwrap();
    server.sql("books", "insert into t values (2)").unwrap();
    server.replace_data(&copy).unwrap();
    assert_eq!(server.sql("books", "select id from t").unwrap(), "1\n");
}

#[test]
fn two_servers_share_nothing_and_keep_the_default_durability() {
    let Some(software) = require_mariadb("two MariaDB servers stand beside each other") else {
        return;
    };
    let scratch = Scratch::new("lab-two").unwrap();
    let one =
        MariaDb::start_with(&software, scratch.path(), &["--innodb-lock-wait-timeout=7"]).unwrap();
    let two = MariaDb::start(&software, scratch.path()).unwrap();
    assert_ne!(one.port(), two.port());
    one.create_database("only_here").unwrap();
    assert!(two.sql("only_here", "select 1").is_err());
    let settings =
        "select @@innodb_flush_log_at_trx_commit, @@innodb_lock_wait_timeout, @@bind_address";
    assert_eq!(one.sql("mysql", settings).unwrap(), "1\t7\t127.0.0.1\n");
    assert_eq!(two.sql("mysql", settings).unwrap(), "1\t50\t127.0.0.1\n");
}
