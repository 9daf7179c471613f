//! The store beside what memory would be, for a test in a real browser (feature `check`): a
//! browser has no `#[test]`, so that what happens is chosen here.

use std::fmt::Debug;

// It is told there that it may run in a browser, and has nothing else to do with this.
use getrandom as _;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stdx::IdSource;
use sync::engine::{Persist, Saved, Session, Stored};
use sync::model::{Fields, RecordId, RecordKey, Value, Version};
use sync::strategies::{ids, persists};

use crate::store::{Access, Index, Store, StoreError};

const PAGE: Index = ("memos", "page");
const TEXT: Index = ("memos", "text");
const TABLES: [&str; 2] = ["memos", "shelf"];

/// What is done with what was written.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It is dropped: nothing of it may be there.
    Dropped,
    Committed,
    /// And the database is opened anew.
    Opened,
}

/// Chooses so many cases by the seed: in each, what is written is read again, also after the
/// database was opened anew, and what was not committed was never there.
///
/// # Errors
/// What is different, and in which case.
pub async fn store(seed: u32, cases: u32) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    for case in 0..cases {
        let session = Session::new(IdSource::system().next(), IdSource::system().next());
        let then = prop_oneof![
            1 => Just(Then::Dropped),
            3 => Just(Then::Committed),
            1 => Just(Then::Opened),
        ];
        let step = vec((persists(session.account), any::<(u8, bool)>()), 1..5);
        let steps = vec((step, then), 0..25);
        let steps = steps.new_tree(&mut runner).map_err(|why| why.to_string())?.current();
        let name = format!("check/{}", session.account);
        let done = one(&name, &session, &steps).await;
        Store::delete(&name).await.map_err(|error| error.to_string())?;
        done.map_err(|why| format!("seed {seed}, case {case}: {why}: {steps:#?}"))?;
    }
    Ok(())
}

type Step = Vec<(Persist, (u8, bool))>;

async fn one(name: &str, session: &Session, steps: &[(Step, Then)]) -> Result<(), String> {
    let open = async || Store::open(name, &[PAGE, TEXT], session, || {}).await;
    let said = |error: StoreError| error.to_string();
    let mut store = open().await.map_err(said)?;
    let mut model = Stored::new(session.clone());
    for (step, then) in steps {
        let step: Vec<Persist> = step.iter().cloned().map(there_can_be).collect();
        let access = store.begin().map_err(said)?;
        for persist in &step {
            access.write(persist).await.map_err(said)?;
        }
        if matches!(then, Then::Dropped) {
            drop(access);
        } else {
            access.commit().await.map_err(said)?;
            for persist in step {
                model.write(persist);
            }
        }
        if matches!(then, Then::Opened) {
            store = open().await.map_err(said)?;
        }
    }
    compare(&store.read().map_err(said)?, &model).await
}

/// Numbers that JavaScript has, and fields that are looked up by their values.
fn there_can_be((mut persist, (page, is_text)): (Persist, (u8, bool))) -> Persist {
    if let Persist::Record(_, saved) = &mut persist {
        if let Some(known) = &mut saved.known {
            known.version.0 %= 1 << 53;
        }
        if let Some(shown) = &mut saved.shown {
            let page = i64::from(page % 4);
            shown.set("page", if is_text { Value::Null } else { Value::Int(page) });
            shown.set("text", Value::from(format!("{page}")));
        }
    }
    persist
}

async fn compare(store: &Access, model: &Stored) -> Result<(), String> {
    let said = |error: StoreError| error.to_string();
    is("the session", &store.session().await.map_err(said)?, &model.session)?;
    let mut runner = TestRunner::deterministic();
    let some: RecordId = ids().new_tree(&mut runner).map_err(|why| why.to_string())?.current();
    let one_that_may_not_be = RecordKey { table: "memos".into(), id: some };
    for key in model.records.keys().chain([&one_that_may_not_be]) {
        let saved = store.record(key).await.map_err(said)?;
        is("a record", &saved.as_ref(), &model.records.get(key))?;
    }
    let (operations, known) = store.queue().await.map_err(said)?;
    is("the operations", &operations, &model.operations.values().cloned().collect())?;
    is("what is known of their records", &known, &model.known())?;
    let log: Vec<_> = model.log.values().rev().cloned().collect();
    is("the log", &store.log().await.map_err(said)?, &log)?;
    let versions = model.records.values().filter_map(|saved| Some(saved.known.as_ref()?.version));
    for after in versions.chain([Version::NONE]) {
        let mut told = store.told_after(after).await.map_err(said)?;
        told.sort_by(|one, other| one.0.cmp(&other.0));
        is("what was told", &told, &model.told_after(after))?;
    }
    for table in TABLES {
        let shown = shown_in(model, table, |_| true);
        is("what is shown", &store.shown(table).await.map_err(said)?, &shown)?;
    }
    for (first, last) in [(0, 0), (1, 2), (0, 3), (3, 9)] {
        let between = |fields: &Fields| matches!(fields.get("page"), Some(Value::Int(page)) if (first..=last).contains(page));
        let mut wanted = shown_in(model, "memos", between);
        wanted.sort_by_key(|(id, fields)| match fields.get("page") {
            Some(Value::Int(page)) => (*page, *id),
            _ => (0, *id),
        });
        let found = store.shown_by(PAGE, &Value::Int(first), &Value::Int(last)).await;
        is("those of some pages", &found.map_err(said)?, &wanted)?;
    }
    let two = Value::from("2");
    let wanted = shown_in(model, "memos", |fields| fields.get("text") == Some(&two));
    let found = store.shown_by(TEXT, &two, &two).await.map_err(said)?;
    is("those of a text", &found, &wanted)
}

fn shown_in(
    model: &Stored,
    table: &str,
    is_wanted: impl Fn(&Fields) -> bool,
) -> Vec<(RecordId, Fields)> {
    let of = |(key, saved): (&RecordKey, &Saved)| {
        let shown = saved.shown.clone().filter(|_| *key.table == *table)?;
        is_wanted(&shown).then_some((key.id, shown))
    };
    model.records.iter().filter_map(of).collect()
}

fn is<T: PartialEq + Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what} is {found:#?}, and not {wanted:#?}")) }
}
