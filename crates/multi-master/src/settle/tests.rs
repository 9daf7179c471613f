//! What a pass over the markers of a master must find.

use std::path::Path;
use std::time::Duration;

use stdx::{HybridTime, UnixMicros};

use super::{Rule, pass, undo};
use crate::db;
use crate::error::MasterName;
use crate::link::Link;
use crate::schema::{Column, Kind, Migration, Schema, Step, Table};
use crate::sqlite::{IfAbsent, SqliteLink};
use crate::tables;
use crate::value::Value;
use crate::write_set::{self, Change, Image, Journal};

const MIGRATIONS: &[Migration] = &[Migration {
    name: "notes",
    steps: &[Step::CreateTable(Table {
        name: "notes",
        key: &["id"],
        columns: &[Column::new("id", Kind::Int)],
        indexes: &[],
    })],
}];

async fn master(folder: &Path, name: &str) -> Link {
    let path = folder.join(name);
    let link = SqliteLink::open(&path, IfAbsent::Create, Duration::from_secs(5)).unwrap();
    let mut link = Link::Sqlite(link);
    tables::identify(&mut link).await.unwrap();
    tables::migrate(&mut link, &MasterName(name.to_owned()), MIGRATIONS).await.unwrap();
    link
}

/// A transaction that began at this time and inserts the note with this id.
async fn insert(link: &mut Link, schema: &Schema, began: i64, id: i64) {
    let info = schema.table("notes").unwrap();
    let version = HybridTime::from_wall(UnixMicros::from_millis(began));
    let after = Image { row: vec![Value::Int(id)], version };
    let mut journal = Journal::default();
    journal.add(info, &Change::Insert { after: &after });
    let txid = write_set::txid(version, 0);
    link.begin().await.unwrap();
    link.push(&write_set::insert(info, after)).await.unwrap();
    link.push(&db::marker(txid, 1, journal.into_marker())).await.unwrap();
    link.commit().await.unwrap();
}

async fn notes(link: &mut Link) -> Vec<i64> {
    let rows = link.query("select id from notes order by id", &[]).await.unwrap();
    rows.iter().map(|row| row.get("id").unwrap()).collect()
}

/// A write has its id before it comes to the server, and may come there after
/// one with a later id, also when a pass went by between the two.
#[tokio::test]
async fn a_marker_that_comes_late_with_an_early_id_is_found_by_the_next_pass() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::of(MIGRATIONS).unwrap();
    let (mut base, mut back) = (master(folder.path(), "a").await, master(folder.path(), "b").await);
    insert(&mut base, &schema, 1_000, 1).await;
    insert(&mut base, &schema, 3_000, 3).await;
    let until = tables::last_seq(&mut base).await.unwrap();
    let first = pass(&mut base, &mut back, &schema, Rule::Follow, 0, Some(until)).await.unwrap();
    assert_eq!((first.settled, notes(&mut back).await), (2, vec![1, 3]));
    insert(&mut base, &schema, 2_000, 2).await;
    let next = pass(&mut base, &mut back, &schema, Rule::Follow, until, None).await.unwrap();
    assert_eq!((next.settled, notes(&mut back).await), (1, vec![1, 2, 3]));
}

/// While a master is filled row by row, it copies a row that is undone on the base
/// afterwards. The pass that hears of it may end before the row is put right.
#[tokio::test]
async fn what_was_undone_after_it_was_copied_is_put_right_in_the_next_try_too() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::of(MIGRATIONS).unwrap();
    let (mut base, mut back) = (master(folder.path(), "a").await, master(folder.path(), "b").await);
    insert(&mut base, &schema, 1_000, 1).await;
    base.batch("delete from notes where id = 1; update mm_log set aborted = 1").await.unwrap();
    let copied = HybridTime::from_wall(UnixMicros::from_millis(1_000));
    let row = Image { row: vec![Value::Int(1)], version: copied };
    back.push(&write_set::insert(schema.table("notes").unwrap(), row)).await.unwrap();
    assert_eq!(notes(&mut back).await, [1]);
    // Its thread ends here.
    let heard = pass(&mut base, &mut back, &schema, Rule::Fill, 0, None).await.unwrap();
    assert_eq!((heard.losers.len(), notes(&mut back).await), (1, vec![1]));
    let heard = pass(&mut base, &mut back, &schema, Rule::Fill, 0, None).await.unwrap();
    undo(&mut base, &mut back, &schema, &heard.losers).await.unwrap();
    assert_eq!(notes(&mut back).await, Vec::<i64>::new());
}
