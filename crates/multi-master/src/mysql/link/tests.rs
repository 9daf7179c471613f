//! What is put off, and what is sent of it.

use super::*;
use crate::render::{Rows, Sql, inlined_bytes};

/// One that is not connected: what it would send can be looked at.
fn link(bytes_max: usize) -> MySqlLink {
    MySqlLink { bytes_max, ..MySqlLink::without_server() }
}

fn insert(table: &'static str, value: i64) -> Statement {
    let sql: Sql = match table {
        "t" => "insert into t (a) values (?)".into(),
        _ => "insert into mm_log (txid, aborted) values (?, 0)".into(),
    };
    Statement { sql, params: vec![value.into()], rows: Rows::One, table }
}

fn put_off(link: &mut MySqlLink, statement: &Statement) -> Result<(), Fault> {
    use futures_util::FutureExt as _;
    link.push(statement).now_or_never().expect("nothing is waited for")
}

/// Whatever a write had put off before, it is as if it had not run.
#[test]
fn what_was_not_sent_is_taken_back_up_to_the_mark() {
    for before in 0..3 {
        let mut link = link(1 << 20);
        link.begin_write(7, LockWait::Second);
        for value in 0..before {
            put_off(&mut link, &insert("t", value)).unwrap();
        }
        let state = |link: &MySqlLink| format!("{:?} {}", link.put_off, link.bytes);
        let kept = state(&link);
        for table in ["t", "mm_log"] {
            link.mark();
            put_off(&mut link, &insert(table, 8)).unwrap();
            put_off(&mut link, &insert("mm_log", 9)).unwrap();
            assert!(link.take_back(), "nothing was sent");
            assert_eq!(state(&link), kept);
        }
        assert!(!link.take_back(), "there is no mark any more");
    }
}

#[test]
fn only_parameters_are_taken_for_parameters() {
    let one = [Value::Int(1)];
    assert!(can_be_inlined("select a from t where b = ? for update", &one));
    assert!(can_be_inlined("select a from t where b in (?)", &one));
    let two = [Value::Int(1), Value::Int(2)];
    assert!(can_be_inlined("select a from t where (b, c) > (?, ?) order by b", &two));
    for sql in [
        "select ? from t",
        "select a from t order by ?",
        "select a from t order by max(b), ?",
        "select a from t where b = ?and c = 1",
        "select a from t where b = 'what?'",
        "select a -- really?\nfrom t",
        "select a /* ? */ from t",
        "select `a?` from t",
        "select a from t # ?",
        "select a from t where b = ? and c = ?",
        "select 1; select ?",
    ] {
        assert!(!can_be_inlined(sql, &one), "{sql}");
    }
}

/// The third row would be more than the server takes: the packet goes first, and
/// there is nobody to send it to.
#[test]
fn a_packet_is_never_larger_than_the_server_takes() {
    let one = insert("t", 10);
    let bytes = STATEMENT_MARGIN + inlined_bytes(&one.sql, &one.params);
    let mut link = link(PACKET_MARGIN + 3 * bytes - STATEMENT_MARGIN - 1);
    put_off(&mut link, &one).unwrap();
    put_off(&mut link, &one).unwrap();
    let sent = put_off(&mut link, &one);
    assert!(matches!(sent, Err(Fault::Lost(_))), "{sent:?}");
    let small = Statement { params: vec![Value::Bytes(vec![0; 5_000])], ..one };
    let refused = put_off(&mut self::link(6_000), &small);
    let Err(Fault::Refused(DbError::Shape(why))) = refused else { panic!("{refused:?}") };
    assert!(why.contains("max_allowed_packet is 6000"), "{why}");
}

#[test]
fn the_index_of_a_duplicate_is_named() {
    assert_eq!(index_of("Duplicate entry 'it''s' for key 'users_login'"), "users_login");
    assert_eq!(index_of("Duplicate entry 'x' for key 'users.users_login'"), "users_login");
    assert_eq!(index_of("Duplicate entry '\\0' for key 'PRIMARY'"), "primary key");
}
