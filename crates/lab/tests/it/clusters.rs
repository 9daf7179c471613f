//! Servers that know of each other: a Galera cluster, and replication.

use lab::replication::{self, Server};
use lab::{Galera, MariaDb, Scratch, require_galera, require_mariadb};

const ROWS: &str = "select group_concat(id order by id) from t";

#[test]
fn a_cluster_has_one_content_whichever_node_is_away() {
    let Some(software) = require_galera("a Galera cluster is started, and its nodes restarted")
    else {
        return;
    };
    let scratch = Scratch::new("lab-galera").unwrap();
    let mut cluster = Galera::start(&software, scratch.path(), 2, &[]).unwrap();
    let size = "select variable_value from information_schema.global_status \
                where variable_name = 'wsrep_cluster_size'";
    // Without this a node may answer before it has applied what another wrote.
    let rows = |cluster: &Galera, at: usize| {
        let sql = format!("set session wsrep_sync_wait = 1; {ROWS}");
        cluster.nodes()[at].sql("books", &sql).unwrap()
    };
    assert_eq!(cluster.nodes()[1].sql("mysql", size).unwrap(), "2\n");
    cluster.nodes()[0].create_database("books").unwrap();
    cluster.nodes()[0].sql("books", "create table t (id int primary key)").unwrap();
    cluster.nodes()[0].sql("books", "insert into t values (1)").unwrap();
    cluster.nodes()[1].sql("books", "insert into t values (2)").unwrap();
    for at in [0, 1] {
        cluster.stop(at).unwrap();
        let insert = format!("insert into t values ({})", at + 3);
        cluster.nodes()[1 - at].sql("books", &insert).unwrap();
        cluster.restart(at).unwrap();
    }
    assert_eq!([0, 1].map(|at| rows(&cluster, at)), ["1,2,3,4\n"; 2]);
    cluster.restart_all(1).unwrap();
    cluster.nodes()[0].sql("books", "insert into t values (5)").unwrap();
    assert_eq!([0, 1].map(|at| rows(&cluster, at)), ["1,2,3,4,5\n"; 2]);
}

#[test]
fn servers_in_a_ring_follow_each_other_also_after_a_restart() {
    let Some(software) = require_mariadb("two MariaDB servers follow each other") else { return };
    let scratch = Scratch::new("lab-ring").unwrap();
    let [mut one, two] = [Server::One, Server::Two].map(|server| {
        MariaDb::start_with(&software, scratch.path(), &replication::options(server)).unwrap()
    });
    replication::follow(&two, &one).unwrap();
    replication::follow(&one, &two).unwrap();
    one.create_database("books").unwrap();
    one.sql("books", "create table t (id int primary key); insert into t values (1)").unwrap();
    replication::wait_until_followed(&two, &one).unwrap();
    one.stop().unwrap();
    two.sql("books", "insert into t values (2)").unwrap();
    one.restart().unwrap();
    replication::wait_until_followed(&one, &two).unwrap();
    one.sql("books", "insert into t values (3)").unwrap();
    replication::wait_until_followed(&two, &one).unwrap();
    for server in [&one, &two] {
        assert_eq!(server.sql("books", ROWS).unwrap(), "1,2,3\n");
    }
}
