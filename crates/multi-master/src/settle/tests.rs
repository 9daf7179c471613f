//! What a pass over the markers of a master must find.

use std::path::Path;
use std::time::Duration;

use stdx::{HybridTime, UnixMicros};

use super::{At, Rule, apart, pass, roll_forward, undo};
use crate::db;
use crate::error::MasterName;
use crate::fault::Fault;
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

/// Somebody came in to whom what is rolled forward would never come.
#[tokio::test]
async fn nothing_is_rolled_forward_under_another_epoch_than_the_one_that_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::of(MIGRATIONS).unwrap();
    let (mut base, mut back) = (master(folder.path(), "a").await, master(folder.path(), "b").await);
    tables::set_epoch(&mut base, 8).await.unwrap();
    insert(&mut back, &schema, 1_000, 1).await;
    let alone = apart(&mut back, &mut base).await.unwrap().alone;
    assert_eq!(alone.len(), 1);
    let old = roll_forward(&mut back, &mut base, &schema, 7, &alone).await;
    assert!(matches!(old, Err(At::To(Fault::Moved))), "{old:?}");
    base.rollback().await.unwrap();
    assert_eq!(notes(&mut base).await, Vec::<i64>::new());
    roll_forward(&mut back, &mut base, &schema, 8, &alone).await.unwrap();
    assert_eq!(notes(&mut base).await, [1]);
}

#[tokio::test]
async fn what_only_one_that_was_away_has_is_found_however_much_both_have_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::of(MIGRATIONS).unwrap();
    let (mut base, mut back) = (master(folder.path(), "a").await, master(folder.path(), "b").await);
    for link in [&mut base, &mut back] {
        link.batch(
            "insert into mm_log (txid, epoch, aborted, ops) \
             with recursive n (n) as (select 1 union all select n + 1 from n where n < 2500) \
             select cast(printf('%016d', n) as blob), 1, 0, x'' from n",
        )
        .await
        .unwrap();
    }
    let found = async |back: &mut Link, base: &mut Link| {
        let apart = apart(back, base).await.unwrap();
        (apart.alone.len(), apart.losers.len())
    };
    assert_eq!(found(&mut back, &mut base).await, (0, 0));
    // That the base has more, or did not say of one that it was aborted, is another matter.
    insert(&mut base, &schema, 1_000, 1).await;
    back.batch("update mm_log set aborted = 1 where seq = 7").await.unwrap();
    assert_eq!(found(&mut back, &mut base).await, (0, 0));
    insert(&mut back, &schema, 2_000, 2).await;
    assert_eq!(found(&mut back, &mut base).await, (1, 0));
    base.batch("update mm_log set aborted = 1 where seq in (9, 2100)").await.unwrap();
    assert_eq!(found(&mut back, &mut base).await, (1, 2));
}
