//! What is put off, and what is sent of it.

use super::*;

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

#[test]
fn rows_of_one_table_are_one_statement_in_their_order() {
    let mut link = link(1 << 20);
    link.begin_write(7);
    for (table, value) in [("t", 1), ("t", 2), ("mm_log", 3), ("mm_log", 4), ("t", 5)] {
        put_off(&mut link, &insert(table, value)).unwrap();
    }
    let update = Statement {
        sql: "update t set a = ?".into(),
        params: vec![6i64.into()],
        rows: Rows::One,
        table: "t",
    };
    put_off(&mut link, &update).unwrap();
    put_off(&mut link, &update).unwrap();
    put_off(&mut link, &insert("t", 7)).unwrap();
    assert_eq!(
        link.put_off.iter().skip(2).map(|one| one.sql.as_str()).collect::<Vec<_>>(),
        [
            "insert into t (a) values (1), (2)",
            "insert into mm_log (txid, aborted) values (3, 0), (4, 0)",
            "insert into t (a) values (5)",
            "update t set a = 6",
            "update t set a = 6",
            "insert into t (a) values (7)",
        ]
    );
    let rows: Vec<u64> = link
        .put_off
        .iter()
        .filter_map(|one| match one.expect {
            Expect::Rows(_, rows) => Some(rows),
            _ => None,
        })
        .collect();
    assert_eq!(rows, [2, 2, 1, 1, 1, 1], "each answer is held to its rows");
    link.forget();
    put_off(&mut link, &insert("t", 8)).unwrap();
    let [left] = link.put_off.as_slice() else { panic!("{:?}", link.put_off) };
    assert_eq!(left.sql, "insert into t (a) values (8)", "what was dropped is not taken up");
}

#[test]
fn a_compound_statement_checks_itself_what_was_met() {
    let mut link = link(1 << 20);
    link.begin_write(7);
    put_off(&mut link, &insert("t", 1)).unwrap();
    put_off(&mut link, &insert("t", 2)).unwrap();
    let delete = Statement {
        sql: "delete from t where a = ?".into(),
        params: vec![3i64.into()],
        rows: Rows::One,
        table: "t",
    };
    put_off(&mut link, &delete).unwrap();
    assert_eq!(
        compound(&link.put_off, Some("select 1".to_owned())).split("; ").collect::<Vec<_>>(),
        [
            "begin not atomic start transaction",
            "if not ((select epoch from mm_epoch where id = 1 lock in share mode) <=> 7) then \
             signal sqlstate '45000' set message_text = 'mm epoch'",
            "end if",
            "set @mm_at = 2",
            "insert into t (a) values (1), (2)",
            "set @mm_at = 3",
            "delete from t where a = 3",
            "if row_count() <> 1 then set @mm_met = concat('mm rows 3 ', row_count())",
            "signal sqlstate '45000' set message_text = @mm_met",
            "end if",
            "end",
            "select 1",
        ]
    );
}

/// Whatever a write had put off before, it is as if it had not run.
#[test]
fn what_was_not_sent_is_taken_back_up_to_the_mark() {
    for before in 0..3 {
        let mut link = link(1 << 20);
        link.begin_write(7);
        for value in 0..before {
            put_off(&mut link, &insert("t", value)).unwrap();
        }
        let state =
            |link: &MySqlLink| format!("{:?} {} {:?}", link.put_off, link.bytes, link.inserting);
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

#[test]
fn rows_are_one_statement_up_to_a_bound_and_to_what_a_server_takes() {
    let mut many = link(1 << 20);
    for value in 0..450 {
        put_off(&mut many, &insert("t", value)).unwrap();
    }
    let rows: Vec<usize> =
        many.put_off.iter().map(|one| one.sql.matches('(').count() - 1).collect();
    assert_eq!(rows, [200, 200, 50]);

    // The third row would be more than the server takes: the packet goes
    // first, and there is nobody to send it to.
    let mut small = link(PACKET_MARGIN + STATEMENT_MARGIN + 35);
    put_off(&mut small, &insert("t", 10)).unwrap();
    put_off(&mut small, &insert("t", 11)).unwrap();
    let sent = put_off(&mut small, &insert("t", 12));
    assert!(matches!(sent, Err(Fault::Lost(_))), "{sent:?}");
}

#[test]
fn the_index_of_a_duplicate_is_named() {
    assert_eq!(index_of("Duplicate entry 'it''s' for key 'users_login'"), "users_login");
    assert_eq!(index_of("Duplicate entry 'x' for key 'users.users_login'"), "users_login");
    assert_eq!(index_of("Duplicate entry '\\0' for key 'PRIMARY'"), "primary key");
}
