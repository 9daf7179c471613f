//! A filling that is killed at any page and taken up, while rows are written,
//! unique values move, and markers are taken away.

use std::collections::VecDeque;
use std::future::Future as _;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::db::Tx;
use crate::error::{DbError, Outcome};
use crate::schema::{Column, Index, Kind, Migration, Step, Table};
use crate::settle::{self, Rule};
use crate::sqlite::{IfAbsent, SqliteLink};
use crate::store::MultiMaster;
use crate::{Config, Policy, fields, params};

const MIGRATIONS: &[Migration] = &[Migration {
    name: "shelves",
    steps: &[
        Step::CreateTable(Table {
            name: "books",
            key: &["shelf", "place"],
            columns: &[
                Column::new("shelf", Kind::Int),
                Column::new("place", Kind::Text { chars_max: 10 }),
                Column::nullable("title", Kind::Text { chars_max: 100 }),
            ],
            indexes: &[Index { name: "books_title", columns: &["title"], unique: true }],
        }),
        Step::CreateTable(Table {
            name: "readers",
            key: &["id"],
            columns: &[
                Column::new("id", Kind::Int),
                Column::nullable("note", Kind::Text { chars_max: 100 }),
            ],
            indexes: &[],
        }),
    ],
}];

#[derive(Clone, Debug)]
enum Event {
    /// One transaction: a book gets a title, which is taken from whoever has it.
    Title(i64, i64, i64),
    /// A book goes.
    Take(i64, i64),
    Note(i64, i64),
    /// The filling goes on by one page.
    Page,
    /// The process dies.
    Kill,
    /// Every marker but the newest is taken away, and the filling given up.
    Trim,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..4i64, 0..4i64, 0..6i64).prop_map(|(s, p, t)| Event::Title(s, p, t)),
        2 => (0..4i64, 0..4i64).prop_map(|(s, p)| Event::Take(s, p)),
        2 => (0..8i64, 0..100i64).prop_map(|(id, note)| Event::Note(id, note)),
        10 => Just(Event::Page),
        1 => Just(Event::Kill),
        1 => Just(Event::Trim),
    ];
    prop::collection::vec(event, 0..80)
}

async fn open(folder: &Path) -> MultiMaster {
    let mut config = Config::embedded(folder, Policy::Available);
    config.masters.truncate(1);
    MultiMaster::open(config, MIGRATIONS).await.unwrap()
}

async fn title(store: &MultiMaster, shelf: i64, place: i64, title: i64) {
    let done: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            let (place, title) = (format!("{place}"), format!("title {title}"));
            let sql = "select shelf, place from books where title = ?";
            for row in tx.query(sql, params![&title]).await? {
                let key = row.values().to_vec();
                tx.update("books", key, fields! {"title" => None::<String>}).await?;
            }
            if tx.get("books", params![shelf, &place]).await?.is_some() {
                tx.update("books", params![shelf, &place], fields! {"title" => &title}).await?;
            } else {
                let row = fields! {"shelf" => shelf, "place" => &place, "title" => &title};
                tx.insert("books", row).await?;
            }
            Ok(())
        })
        .await;
    assert!(matches!(done, Outcome::Saved { .. }), "{done:?}");
}

async fn note(store: &MultiMaster, id: i64, note: i64) {
    let done: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| {
            let note = format!("note {note}");
            if tx.get("readers", params![id]).await?.is_some() {
                tx.update("readers", params![id], fields! {"note" => note}).await?;
            } else {
                tx.insert("readers", fields! {"id" => id, "note" => note}).await?;
            }
            Ok(())
        })
        .await;
    assert!(matches!(done, Outcome::Saved { .. }), "{done:?}");
}

async fn write(store: &MultiMaster, event: &Event) {
    match *event {
        Event::Title(shelf, place, name) => title(store, shelf, place, name).await,
        Event::Take(shelf, place) => {
            let done: Outcome<bool, DbError> = store
                .write(async move |tx: &mut Tx| {
                    tx.delete("books", params![shelf, format!("{place}")]).await
                })
                .await;
            assert!(matches!(done, Outcome::Saved { .. }), "{done:?}");
        }
        Event::Note(id, text) => note(store, id, text).await,
        Event::Page | Event::Kill | Event::Trim => unreachable!("these write nothing"),
    }
}

/// Every marker but the newest goes, as [`crate::supervisor`] does it.
async fn trim(base: &mut Link) {
    let last = tables::last_seq(base).await.unwrap();
    let sql = "select txid, seq from mm_log where seq < ? order by seq desc limit 1";
    let rows = base.query(sql, &[last.into()]).await.unwrap();
    let Some(row) = rows.first() else { return };
    let (bound, seq): (Uuid, i64) = (read(row, "txid").unwrap(), read(row, "seq").unwrap());
    base.begin().await.unwrap();
    tables::note(base, "trimmed", bound.to_string()).await.unwrap();
    tables::note(base, tables::TRIMMED_SEQ, seq.to_string()).await.unwrap();
    tables::run(base, "delete from mm_log where seq <= ?", vec![seq.into()]).await.unwrap();
    base.commit().await.unwrap();
}

fn link(shared: &Shared, file: &Path) -> Link {
    let link = SqliteLink::open(file, IfAbsent::Create, Duration::from_secs(5)).unwrap();
    Link::Sqlite(link.with_schema(Arc::clone(&shared.schema)))
}

struct Sim {
    store: MultiMaster,
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
    names: [MasterName; 2],
}

impl Sim {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let shared = store.shared();
        let names = ["a", "b"].map(|name| MasterName(name.to_owned()));
        Self { store, shared, folder, names }
    }

    fn links(&self) -> (Link, Link) {
        let link = |name: &str| link(&self.shared, &self.folder.path().join(name));
        (link("a.db"), link("b.db"))
    }

    fn filling(&self, mark: Option<Uuid>, filled_for: Option<Uuid>) -> Filling<'_> {
        let [from, to] = &self.names;
        Filling { shared: &self.shared, at: 1, from, to, mark, filled_for, rows_max: 3 }
    }

    /// One life of the process that fills; true when the filling came to its end.
    async fn live(&self, events: &mut VecDeque<Event>) -> bool {
        let (mut base, mut link) = self.links();
        let identity = tables::identify(&mut link).await.unwrap();
        if identity.set.is_none() {
            let set = Uuid::from_u128(7);
            tables::adopt(&mut link, set, &self.names[1], 1, true).await.unwrap();
        }
        tables::migrate(&mut link, &self.names[1], MIGRATIONS).await.unwrap();
        let filling = self.filling(None, identity.filled_for);
        let mut run = Box::pin(filling.run(&mut base, &mut link));
        loop {
            match events.pop_front() {
                Some(Event::Page) | None => {
                    let mut context = Context::from_waker(Waker::noop());
                    if let Poll::Ready(done) = run.as_mut().poll(&mut context) {
                        done.unwrap();
                        break;
                    }
                }
                Some(Event::Kill) => return false,
                Some(Event::Trim) => {
                    drop(run);
                    trim(&mut base).await;
                    return false;
                }
                Some(event) => write(&self.store, &event).await,
            }
        }
        drop(run);
        let schema = &self.shared.schema;
        let mut after = 0;
        // Passes while writes go on, and the last one.
        while let Some(event) = events.pop_front() {
            match event {
                Event::Kill => return false,
                Event::Trim => {
                    trim(&mut base).await;
                    return false;
                }
                Event::Page => {
                    let until = came_before(&mut base).await.unwrap();
                    let (rule, to) = (Rule::Fill, Some(until));
                    settle::pass(&mut base, &mut link, schema, rule, after, to).await.unwrap();
                    after = until;
                }
                event => write(&self.store, &event).await,
            }
        }
        settle::pass(&mut base, &mut link, schema, Rule::Fill, after, None).await.unwrap();
        end(&mut base, &mut link).await.unwrap();
        true
    }

    fn contents(&self, file: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.folder.path().join(file)).unwrap();
        let mut all = Vec::new();
        for sql in [
            "select shelf || ' ' || place || ' ' || coalesce(title, '-') || ' ' || _v || ' ' || _d \
             from books order by shelf, place",
            "select id || ' ' || coalesce(note, '-') || ' ' || _v || ' ' || _d from readers \
             order by id",
            "select tbl || ' ' || hex(k) || ' ' || v from mm_tombstones order by tbl, k",
            // Older markers count for nothing, and the next trimming takes them away.
            "select hex(txid) || ' ' || aborted from mm_log where hex(txid) > coalesce((select \
             upper(replace(val, '-', '')) from mm_meta where k = 'trimmed'), '') order by txid",
            "select k || ' ' || val from mm_meta where k in ('copying', 'trimmed') order by k",
        ] {
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
            all.extend(rows.map(Result::unwrap));
        }
        all
    }
}

/// Where the log is cut while a master follows it, some of what it misses may be gone.
#[test]
fn one_that_follows_may_join_only_where_the_log_is_as_it_was() {
    runtime().block_on(async {
        let sim = Sim::new().await;
        note(&sim.store, 1, 1).await;
        assert!(sim.live(&mut VecDeque::new()).await);
        for text in 0..5 {
            note(&sim.store, 1, text).await;
        }
        let (mut base, mut link) = sim.links();
        let before = tables::trimmed_seq(&mut base).await.unwrap();
        let name = &sim.names[1];
        assert!(still_holds(&mut base, &mut link, name, Some(before)).await.unwrap());
        trim(&mut base).await;
        assert!(!still_holds(&mut base, &mut link, name, Some(before)).await.unwrap());
        sim.store.close().await;
    });
}

/// A mark from before is of no matter, wherever it is left.
#[test]
fn a_master_that_comes_back_knows_the_marks_of_its_base_and_no_others() {
    runtime().block_on(async {
        let sim = Sim::new().await;
        assert!(sim.live(&mut VecDeque::new()).await);
        let (mut base, mut link) = sim.links();
        let mark = |why: &str| Mark { id: sim.shared.new_txid().uuid(), why: why.to_owned() };
        mark("of now").write(&mut base, "c").await.unwrap();
        mark("of before").write(&mut link, "d").await.unwrap();
        keep_after(&mut link, "d", 7).await.unwrap();
        tell_marks(&mut base, &mut link).await.unwrap();
        let known = away(&mut link).await.unwrap();
        let names: Vec<&str> = known.marks.keys().map(String::as_str).collect();
        assert_eq!((names, known.kept_after.len()), (vec!["c"], 0));
        are_filled(&mut link, &[MasterName("c".to_owned())]).await.unwrap();
        assert!(away(&mut link).await.unwrap().marks.is_empty());
        sim.store.close().await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_meanwhile_the_filled_master_is_the_same(events in events()) {
        runtime().block_on(async {
            let sim = Sim::new().await;
            for place in 0..4 {
                title(&sim.store, place, 0, place).await;
                note(&sim.store, place, 0).await;
            }
            let mut events = VecDeque::from(events);
            while !sim.live(&mut events).await {}
            assert_eq!(sim.contents("a.db"), sim.contents("b.db"));
        });
    }
}

#[test]
fn a_filling_goes_on_where_it_was_killed_and_begins_anew_where_it_must() {
    runtime().block_on(async {
        let sim = Sim::new().await;
        for id in 0..30 {
            note(&sim.store, id, id).await;
        }
        let pages = |count: usize, then: Event| {
            let mut events = VecDeque::from(vec![Event::Page; count]);
            events.push_back(then);
            events
        };
        let resumed = || sim.shared.copies.all()[0].resumed_at;
        assert!(!sim.live(&mut pages(5, Event::Kill)).await);
        assert_eq!(resumed(), None);
        assert!(!sim.live(&mut pages(4, Event::Kill)).await);
        let first = resumed().expect("it goes on");
        assert!(first > 0);
        // A log that reaches back far enough is enough.
        assert!(!sim.live(&mut pages(2, Event::Trim)).await);
        assert!(resumed() > Some(first), "{:?}", resumed());
        // Newer than where it began: what was changed in between is in no marker.
        note(&sim.store, 3, 77).await;
        assert!(!sim.live(&mut VecDeque::from([Event::Trim])).await);
        note(&sim.store, 4, 78).await;
        assert!(!sim.live(&mut VecDeque::from([Event::Trim])).await);
        assert!(sim.live(&mut VecDeque::new()).await);
        assert_eq!(resumed(), None, "begun anew");
        assert_eq!(sim.contents("a.db"), sim.contents("b.db"));
    });
}

/// A pass brings markers from before the filling began, too.
#[test]
fn markers_may_be_taken_away_that_a_pass_has_brought() {
    runtime().block_on(async {
        let sim = Sim::new().await;
        for id in 0..4 {
            note(&sim.store, id, id).await;
        }
        let mut events = VecDeque::from(vec![Event::Page; 20]);
        events.push_back(Event::Trim);
        assert!(!sim.live(&mut events).await);
        assert!(sim.live(&mut VecDeque::new()).await);
        assert!(sim.shared.copies.all()[0].resumed_at.is_some());
        assert_eq!(sim.contents("a.db"), sim.contents("b.db"));
    });
}

/// Somebody wants it filled for another reason meanwhile.
#[test]
fn a_filling_for_an_older_mark_begins_anew() {
    runtime().block_on(async {
        let sim = Sim::new().await;
        for id in 0..30 {
            note(&sim.store, id, id).await;
        }
        let mut events = VecDeque::from(vec![Event::Page; 6]);
        events.push_back(Event::Kill);
        assert!(!sim.live(&mut events).await);
        let (mut base, mut link) = sim.links();
        let mark = Some(Uuid::from_u128(9));
        sim.filling(mark, None).run(&mut base, &mut link).await.unwrap();
        assert_eq!(sim.shared.copies.all()[0].resumed_at, None);
        assert_eq!(tables::identify(&mut link).await.unwrap().filled_for, mark);
    });
}

/// Shows what the invariant is for: without the check, rows are missed.
#[test]
fn going_on_past_markers_that_are_gone_would_miss_changes() {
    runtime().block_on(async {
        let sim = Sim::new().await;
        for id in 0..30 {
            note(&sim.store, id, id).await;
        }
        let mut events = VecDeque::from(vec![Event::Page; 9]);
        events.push_back(Event::Kill);
        assert!(!sim.live(&mut events).await);
        note(&sim.store, 0, 77).await;
        note(&sim.store, 0, 78).await;
        note(&sim.store, 29, 79).await;
        let (mut base, mut link) = sim.links();
        trim(&mut base).await;
        let trimmed = tables::trimmed_seq(&mut base).await.unwrap();
        // What a program without the check would do.
        let mut position = position(&mut link).await.unwrap().expect("it was killed");
        assert!(trimmed > position.begun);
        position.begun = i64::MAX;
        position.write(&mut link).await.unwrap();
        drop((base, link));
        assert!(sim.live(&mut VecDeque::new()).await);
        assert_ne!(sim.contents("a.db"), sim.contents("b.db"));
    });
}
