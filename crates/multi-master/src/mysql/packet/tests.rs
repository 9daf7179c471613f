use proptest::prelude::*;

use super::*;
use crate::schema::{Column, Kind, Table, TableInfo};

const MEMOS: Table = Table {
    name: "memos",
    key: &["id"],
    columns: &[
        Column::new("id", Kind::Id),
        Column::nullable("content", Kind::Text { chars_max: 5_000 }),
        Column::new("page", Kind::Int),
    ],
    indexes: &[],
};

const WORDS: Table = Table {
    name: "words",
    key: &["id"],
    columns: &[Column::new("id", Kind::Text { chars_max: 40 }), Column::new("content", Kind::Int)],
    indexes: &[],
};

fn statement(table: &'static str, sql: impl Into<Sql>, rows: Rows, params: Vec<Value>) -> PutOff {
    PutOff::Rows(Statement { sql: sql.into(), params, rows, table })
}

fn insert(value: i64) -> PutOff {
    statement("t", "insert into t (a) values (?)", Rows::One, vec![value.into()])
}

fn delete(value: i64) -> PutOff {
    statement("t", "delete from t where a = ?", Rows::One, vec![value.into()])
}

fn marker(id: i64) -> PutOff {
    let sql = "insert into mm_log (txid, aborted) values (?, 0)";
    statement("mm_log", sql, Rows::One, vec![id.into()])
}

/// Sets the content of a row that is at version 1.
fn set(table: &Table, key: Value, content: Value) -> PutOff {
    let info = TableInfo::of(table).unwrap();
    let sql = Sql::Update(info.update_sql(&[1]).into());
    let params = vec![content, 2i64.into(), 77i64.into(), key, 1i64.into()];
    statement(table.name, sql, Rows::One, params)
}

fn memo(id: u8, content: impl Into<Value>) -> PutOff {
    set(&MEMOS, Value::Bytes(vec![id; 2]), content.into())
}

fn joined(put_off: &[PutOff]) -> Vec<(String, u64)> {
    let rows = |one: Ready| match one.expect {
        Expect::Rows(_, rows) => (one.sql, rows),
        _ => (one.sql, 0),
    };
    join(put_off, Dialect::MariaDb).into_iter().map(rows).collect()
}

/// How many rows each statement is about.
fn runs(put_off: &[PutOff]) -> Vec<u64> {
    joined(put_off).into_iter().map(|(_, rows)| rows).collect()
}

#[test]
fn rows_that_are_inserted_into_a_table_are_one_statement() {
    let all = joined(&[
        PutOff::Text("start transaction".to_owned(), Expect::Anything),
        insert(1),
        insert(2),
        marker(3),
        marker(4),
        insert(5),
        delete(6),
        marker(8),
        delete(6),
        insert(7),
    ]);
    let all: Vec<(&str, u64)> = all.iter().map(|(sql, rows)| (sql.as_str(), *rows)).collect();
    assert_eq!(
        all,
        [
            ("start transaction", 0),
            ("insert into t (a) values (1), (2), (5)", 3),
            ("insert into mm_log (txid, aborted) values (3, 0), (4, 0), (8, 0)", 3),
            ("delete from t where a = 6", 1),
            ("delete from t where a = 6", 1),
            ("insert into t (a) values (7)", 1),
        ]
    );
    let many: Vec<PutOff> = (0..450).map(insert).collect();
    assert_eq!(runs(&many), [200, 200, 50]);
}

/// A write that has a row in each of two tables is one of many in a group.
#[test]
fn rows_of_two_tables_that_take_turns_are_two_statements() {
    let rows = |id: u8| [insert(id.into()), memo(id, "a"), marker(id.into())];
    let put_off: Vec<PutOff> = (0..32).flat_map(rows).collect();
    assert_eq!(runs(&put_off), [32; 3]);
}

/// What is about any number of rows may read other tables.
#[test]
fn nothing_changes_places_with_what_may_be_about_all_tables() {
    let any = || statement("mm_log", "delete from mm_log where seq < 9", Rows::Any, Vec::new());
    let text = || PutOff::Text("savepoint s".to_owned(), Expect::Anything);
    let put_off = [insert(1), marker(2), any(), insert(3), marker(4), text(), insert(5)];
    assert_eq!(runs(&put_off), [1, 1, 0, 1, 1, 0, 1]);
}

proptest! {
    #[test]
    fn what_is_done_to_a_table_keeps_its_order(
        all in prop::collection::vec((0..3u8, any::<bool>()), 0..60),
    ) {
        let names = ["a", "b", "c"];
        let put_off: Vec<PutOff> = (100i64..)
            .zip(&all)
            .map(|(value, (table, is_new))| {
                let table = names[usize::from(*table)];
                let sql = if *is_new {
                    format!("insert into {table} (n) values (?)")
                } else {
                    format!("delete from {table} where n = ?")
                };
                statement(table, Sql::Made(sql.into()), Rows::One, vec![value.into()])
            })
            .collect();
        let joined = joined(&put_off);
        prop_assert_eq!(joined.iter().map(|(_, rows)| rows).sum::<u64>(), all.len() as u64);
        for table in 0..3u8 {
            let name = format!(" {} ", names[usize::from(table)]);
            let of_table = joined.iter().filter(|(sql, _)| sql.contains(&name));
            let done: Vec<i64> = of_table
                .flat_map(|(sql, _)| sql.split(|c: char| !c.is_ascii_digit()))
                .filter_map(|word| word.parse().ok())
                .collect();
            let wanted: Vec<i64> = (100i64..)
                .zip(&all)
                .filter_map(|(value, (of, _))| (*of == table).then_some(value))
                .collect();
            prop_assert_eq!(done, wanted);
        }
    }
}

#[test]
fn rows_of_which_the_same_is_set_are_one_statement() {
    let put_off = [memo(1, "a"), memo(2, Value::Null), memo(3, ""), memo(4, "b")];
    assert_eq!(
        joined(&put_off),
        [(
            "update (select null as c0, null as c1, null as c2, null as c3, null as c4 from dual \
             where 0 union all values (_utf8mb4 0x61, 2, 77, 0x0101, 1), \
             (null, 2, 77, 0x0202, 1), (_utf8mb4 '', 2, 77, 0x0303, 1), (_utf8mb4 0x62, 2, 77, 0x0404, 1)) s \
             straight_join memos t force index (primary) on t.id = s.c3 and t._v = s.c4 \
             set t.content = s.c0, t._v = s.c1, t._d = s.c2"
                .to_owned(),
            4
        )]
    );
    let one_by_one = join(&put_off, Dialect::MySql);
    assert_eq!(one_by_one.len(), 4);
    assert_eq!(
        one_by_one[1].sql,
        "update memos set content = null, _v = 2, _d = 77 where id = 0x0202 and _v = 1"
    );
}

#[test]
fn what_can_not_be_one_update_is_several() {
    let few: Vec<PutOff> = (0..3).map(|id| memo(id, "a")).collect();
    assert_eq!(runs(&few), [1, 1, 1], "so few are quicker one by one");
    let again: Vec<PutOff> = [1, 2, 3, 4, 2, 5, 6, 7].map(|id| memo(id, "a")).into();
    assert_eq!(runs(&again), [4, 4], "the second change of a row sees the first");
    let long: Vec<PutOff> = (0..9)
        .map(|id| memo(id, if id == 4 { "long".repeat(200) } else { String::new() }))
        .collect();
    assert_eq!(runs(&long), [4, 1, 4]);
    let words: Vec<PutOff> =
        (0..6).map(|id: i64| set(&WORDS, Value::Text(id.to_string()), id.into())).collect();
    assert_eq!(runs(&words), [1; 6]);
    let many: Vec<PutOff> = (0..=255).map(|id| memo(id, "a")).collect();
    assert_eq!(runs(&many), [200, 56]);
}

#[test]
fn a_compound_statement_checks_itself_what_was_met() {
    let epoch = "select epoch from mm_epoch where id = 1 lock in share mode";
    let put_off = [
        PutOff::Text("start transaction".to_owned(), Expect::Anything),
        PutOff::Text(epoch.to_owned(), Expect::Epoch(7)),
        insert(1),
        insert(2),
        delete(3),
    ];
    let statements = join(&put_off, Dialect::MariaDb);
    assert_eq!(
        compound(&statements, Some("select 1".to_owned())).split("; ").collect::<Vec<_>>(),
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
