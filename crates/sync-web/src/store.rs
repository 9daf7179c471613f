//! The database of one account: records, operations, the log, settings.
//!
//! | object store | key | a value is |
//! |---|---|---|
//! | `records` | `[table, id]` | `{body, version, generation, by}`: a record |
//! | `operations` | id | `{body}`: an edit that is not settled |
//! | `log` | number | `{body}`: what became of an operation; the last 1,000 |
//! | `settings` | name | `session`: the [`Session`]; `writes`: how often anybody has written; `leader`: who speaks with the server |
//!
//! `body` is JSON as text: a number of JavaScript can't hold every version. What is beside
//! it is what indexes look at. `by` has `[table, field, value]` for each field that is looked
//! up by its value, of a record that is there: the index `by` over it (`multiEntry`) serves
//! all of them, and a field that is looked up from now on needs no new version of the
//! database.

use std::collections::{BTreeMap, BTreeSet};

use js_sys::{Array, Reflect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sync::engine::{LOG_MAX, Logged, Persist, Saved, Session};
use sync::model::{AccountId, Fields, RecordId, RecordKey, Value, Version};
use sync::queue::{Known, Queued};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{IdbDatabase, IdbIndexParameters, IdbKeyRange, IdbObjectStore};

use crate::idb::{Database, Transaction, failed, object, wait};

/// The form of the stores.
const FORM: u32 = 1;
const RECORDS: &str = "records";
const OPERATIONS: &str = "operations";
const LOG: &str = "log";
const SETTINGS: &str = "settings";
const STORES: &[&str] = &[RECORDS, OPERATIONS, LOG, SETTINGS];
const BY: &str = "by";
const VERSION: &str = "version";
const GENERATION: &str = "generation";
const BODY: &str = "body";

/// Why the database could not be used. Nothing of the call was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The browser gives no more room.
    #[error("there is no room left on this device: make some; nothing that was saved is lost")]
    Full,
    /// It was written by a newer program.
    #[error("a newer version of this program has been here: load the page again")]
    Newer,
    /// A newer program wants it, or the person has deleted it.
    #[error("a newer version of this program has taken over: load the page again")]
    Closed,
    /// A tab that does nothing holds it, and somebody wants to delete or change it.
    #[error(
        "another tab of this app is asleep and holds what is stored: close it, and load this page \
         again"
    )]
    Blocked,
    /// Another tab, or the service worker, speaks with the server instead.
    #[error("another tab speaks with the server now")]
    Deposed,
    /// It is of another account.
    #[error("this is the store of the account {theirs}, and not of {ours}")]
    OtherAccount {
        /// Whose it is.
        theirs: AccountId,
        /// For whom it was opened.
        ours: AccountId,
    },
    /// Something in it can't be read. It is left as it is.
    #[error("{what} can't be read: {why}")]
    Unreadable {
        /// Which.
        what: String,
        /// Why.
        why: String,
    },
    /// What the browser says.
    #[error("the browser's store fails: {0}")]
    Io(String),
}

/// A field by whose value records are looked up: a table, and its field.
pub type Index = (&'static str, &'static str);

/// The database, opened.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    indexes: &'static [Index],
}

impl Store {
    /// Opens it, and makes it where it is not there; `made` is the session that it then
    /// begins with.
    pub(crate) async fn open(
        name: &str,
        indexes: &'static [Index],
        made: &Session,
        replaced: impl Fn() + 'static,
    ) -> Result<Self, StoreError> {
        let session = json(made);
        let make = move |database: &IdbDatabase| {
            let records = database.create_object_store(RECORDS)?;
            for index in [VERSION, GENERATION] {
                records.create_index_with_str(index, index)?;
            }
            let parameters = IdbIndexParameters::new();
            parameters.set_multi_entry(true);
            records.create_index_with_str_and_optional_parameters(BY, BY, &parameters)?;
            database.create_object_store(OPERATIONS)?;
            database.create_object_store(LOG)?;
            let settings = database.create_object_store(SETTINGS)?;
            settings.put_with_key(&session.as_str().into(), &"session".into()).map(drop)
        };
        let database = Database::open(name, FORM, make, replaced).await?;
        let store = Self { database, indexes };
        let theirs = store.read()?.session().await?.account;
        let ours = made.account;
        if theirs == ours { Ok(store) } else { Err(StoreError::OtherAccount { theirs, ours }) }
    }

    /// Deletes the database of somebody.
    pub(crate) async fn delete(name: &str) -> Result<(), StoreError> {
        Database::delete(name).await
    }

    pub(crate) fn read(&self) -> Result<Access, StoreError> {
        self.access(self.database.read(STORES)?)
    }

    pub(crate) fn begin(&self) -> Result<Access, StoreError> {
        self.access(self.database.write(STORES)?)
    }

    fn access(&self, tx: Transaction) -> Result<Access, StoreError> {
        Ok(Access {
            records: tx.store(RECORDS)?,
            operations: tx.store(OPERATIONS)?,
            log: tx.store(LOG)?,
            settings: tx.store(SETTINGS)?,
            indexes: self.indexes,
            tx,
        })
    }
}

/// A transaction.
#[derive(Debug)]
pub(crate) struct Access {
    tx: Transaction,
    records: IdbObjectStore,
    operations: IdbObjectStore,
    log: IdbObjectStore,
    settings: IdbObjectStore,
    indexes: &'static [Index],
}

/// What is stored of a record, as JSON.
#[derive(serde::Deserialize)]
struct Row {
    id: RecordId,
    table: std::sync::Arc<str>,
    saved: Saved,
}

#[derive(Serialize)]
struct RowRef<'a> {
    id: RecordId,
    table: &'a str,
    saved: &'a Saved,
}

impl Access {
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }

    pub(crate) async fn session(&self) -> Result<Session, StoreError> {
        let found = wait(&self.settings.get(&"session".into()).map_err(failed)?).await?;
        let unreadable = || unreadable("the session", &"it is missing");
        parse("the session", &found.as_string().ok_or_else(unreadable)?)
    }

    /// Another number than before means that somebody has written meanwhile.
    pub(crate) async fn writes(&self) -> Result<u64, StoreError> {
        let found = wait(&self.settings.get(&"writes".into()).map_err(failed)?).await?;
        Ok(found.as_f64().map_or(0, whole))
    }

    pub(crate) fn set_writes(&self, writes: u64) -> Result<(), StoreError> {
        let put = self.settings.put_with_key(&number(writes), &"writes".into());
        put.map_err(failed).map(drop)
    }

    /// Who speaks with the server.
    pub(crate) async fn leader(&self) -> Result<Option<String>, StoreError> {
        let found = wait(&self.settings.get(&"leader".into()).map_err(failed)?).await?;
        Ok(found.as_string())
    }

    pub(crate) fn set_leader(&self, leader: &str) -> Result<(), StoreError> {
        let put = self.settings.put_with_key(&leader.into(), &"leader".into());
        put.map_err(failed).map(drop)
    }

    /// The operations, and what the server said of their records.
    pub(crate) async fn queue(
        &self,
    ) -> Result<(Vec<Queued>, BTreeMap<RecordKey, Known>), StoreError> {
        let found = wait(&self.operations.get_all().map_err(failed)?).await?;
        let mut operations = Vec::new();
        let mut all = BTreeMap::new();
        for row in found.unchecked_into::<Array>().iter() {
            let queued: Queued = parse("an operation", &body(&row)?)?;
            let key = &queued.operation.key;
            if !all.contains_key(key)
                && let Some(known) = self.record(key).await?.and_then(|saved| saved.known)
            {
                all.insert(key.clone(), known);
            }
            operations.push(queued);
        }
        Ok((operations, all))
    }

    pub(crate) async fn record(&self, key: &RecordKey) -> Result<Option<Saved>, StoreError> {
        let found = wait(&self.records.get(&key_of(key)).map_err(failed)?).await?;
        if found.is_undefined() {
            return Ok(None);
        }
        let row: Row = parse(&key.to_string(), &body(&found)?)?;
        Ok(Some(row.saved))
    }

    /// What the person sees of a table, in the order of the ids.
    pub(crate) async fn shown(&self, table: &str) -> Result<Vec<(RecordId, Fields)>, StoreError> {
        let range = bound(&[table.into()])?;
        shown(&wait(&self.records.get_all_with_key(&range).map_err(failed)?).await?)
    }

    /// What the person sees of the records of a table in one of whose fields the value is
    /// from the first to the last, in that order.
    pub(crate) async fn shown_by(
        &self,
        index: Index,
        first: &Value,
        last: &Value,
    ) -> Result<Vec<(RecordId, Fields)>, StoreError> {
        let place = |value| key_by(index, value).unwrap_or_default();
        let range = IdbKeyRange::bound(&place(first), &place(last)).map_err(failed)?;
        let by = self.records.index(BY).map_err(failed)?;
        shown(&wait(&by.get_all_with_key(&range).map_err(failed)?).await?)
    }

    /// What the server said of records in versions after this one, deletions included.
    pub(crate) async fn told_after(
        &self,
        version: Version,
    ) -> Result<Vec<(RecordKey, Known)>, StoreError> {
        let after = IdbKeyRange::lower_bound_with_open(&number(version.0), true).map_err(failed)?;
        let versions = self.records.index(VERSION).map_err(failed)?;
        let mut told = Vec::new();
        for row in rows(&wait(&versions.get_all_with_key(&after).map_err(failed)?).await?)? {
            let key = RecordKey { table: row.table, id: row.id };
            told.extend(row.saved.known.map(|known| (key, known)));
        }
        Ok(told)
    }

    /// What became of the last operations, the last one first.
    pub(crate) async fn log(&self) -> Result<Vec<Logged>, StoreError> {
        let found = wait(&self.log.get_all().map_err(failed)?).await?;
        let found = found.unchecked_into::<Array>();
        let mut all: Vec<Logged> = Vec::new();
        for row in found.iter() {
            all.push(parse("an entry of the log", &body(&row)?)?);
        }
        all.reverse();
        Ok(all)
    }

    /// Does one thing of what a step wants.
    pub(crate) async fn write(&self, persist: &Persist) -> Result<(), StoreError> {
        match persist {
            Persist::Session(session) => {
                let put = self.settings.put_with_key(&json(session).into(), &"session".into());
                put.map_err(failed)?;
            }
            Persist::Record(key, saved) => {
                let row = self.row(key, saved);
                self.records.put_with_key(&row, &key_of(key)).map_err(failed)?;
            }
            Persist::RecordGone(key) => {
                self.records.delete(&key_of(key)).map_err(failed)?;
            }
            Persist::Operation(queued) => {
                let row = object(&[(BODY, json(queued).into())]);
                let id = queued.operation.id.to_string();
                self.operations.put_with_key(&row, &id.into()).map_err(failed)?;
            }
            Persist::OperationGone(id) => {
                self.operations.delete(&id.to_string().into()).map_err(failed)?;
            }
            Persist::Log(entry, logged) => {
                let row = object(&[(BODY, json(logged).into())]);
                self.log.put_with_key(&row, &number(*entry)).map_err(failed)?;
                let last = number(entry.saturating_sub(LOG_MAX));
                let old = IdbKeyRange::upper_bound(&last).map_err(failed)?;
                self.log.delete(&old).map_err(failed)?;
            }
            Persist::Forget { older_than } => self.forget(*older_than).await?,
        }
        Ok(())
    }

    async fn forget(&self, older_than: u32) -> Result<(), StoreError> {
        let found = wait(&self.operations.get_all().map_err(failed)?).await?;
        let mut queued = BTreeSet::new();
        for row in found.unchecked_into::<Array>().iter() {
            let operation: Queued = parse("an operation", &body(&row)?)?;
            queued.insert(operation.operation.key);
        }
        let older = IdbKeyRange::upper_bound_with_open(&older_than.into(), true).map_err(failed)?;
        let generations = self.records.index(GENERATION).map_err(failed)?;
        for row in rows(&wait(&generations.get_all_with_key(&older).map_err(failed)?).await?)? {
            let key = RecordKey { table: row.table, id: row.id };
            if !queued.contains(&key) {
                self.records.delete(&key_of(&key)).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn row(&self, key: &RecordKey, saved: &Saved) -> JsValue {
        let row = RowRef { id: key.id, table: &key.table, saved };
        let by = Array::new();
        for index in self.indexes.iter().filter(|(table, _)| *table == &*key.table) {
            let value = saved.shown.as_ref().and_then(|shown| shown.get(index.1));
            if let Some(place) = value.and_then(|value| key_by(*index, value)) {
                by.push(&place);
            }
        }
        let row = object(&[(BODY, json(&row).into()), (BY, by.into())]);
        // One of which the server said nothing is before every generation, and is told by no
        // operation that is gone.
        let generation = saved.known.as_ref().map_or(-1.0, |known| f64::from(known.generation));
        let version = saved.known.as_ref().map_or(0, |known| known.version.0);
        for (name, value) in [(GENERATION, generation.into()), (VERSION, number(version))] {
            let _ = Reflect::set(&row, &name.into(), &value);
        }
        row.into()
    }
}

fn rows(found: &JsValue) -> Result<Vec<Row>, StoreError> {
    let found: &Array = found.unchecked_ref();
    found.iter().map(|row| parse("a record", &body(&row)?)).collect()
}

fn shown(found: &JsValue) -> Result<Vec<(RecordId, Fields)>, StoreError> {
    let shown = |row: Row| Some((row.id, row.saved.shown?));
    Ok(rows(found)?.into_iter().filter_map(shown).collect())
}

fn body(row: &JsValue) -> Result<String, StoreError> {
    let body = Reflect::get(row, &BODY.into()).ok().and_then(|body| body.as_string());
    body.ok_or_else(|| unreadable("a row", &"it has no text"))
}

fn key_of(key: &RecordKey) -> JsValue {
    Array::of2(&(&*key.table).into(), &key.id.to_string().into()).into()
}

/// The place of a value in the index of its field; none where it has no order.
#[expect(clippy::cast_precision_loss, reason = "instants are exact until the year 2255")]
fn key_by((table, field): Index, value: &Value) -> Option<Array> {
    let value: JsValue = match value {
        Value::Int(int) => (*int as f64).into(),
        Value::Text(text) => (&**text).into(),
        Value::Null | Value::Bool(_) | Value::Texts(_) => return None,
    };
    Some(Array::of3(&table.into(), &field.into(), &value))
}

/// Every key that begins so: an array is greater than each text.
fn bound(prefix: &[JsValue]) -> Result<IdbKeyRange, StoreError> {
    let (first, last): (Array, Array) = (prefix.iter().collect(), prefix.iter().collect());
    last.push(&Array::new());
    IdbKeyRange::bound(&first, &last).map_err(failed)
}

/// Versions and counts are far below 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "they are counted up by one")]
fn number(count: u64) -> JsValue {
    (count as f64).into()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count")]
fn whole(number: f64) -> u64 {
    number as u64
}

fn unreadable(what: &str, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable { what: what.to_owned(), why: why.to_string() }
}

pub(crate) fn parse<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|why| unreadable(what, &why))
}

pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is stored has names for keys")
}
