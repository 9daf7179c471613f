//! Small things by their name, beside what is synchronized: who is logged in, drafts.
//!
//! A value is JSON as text. What is written is on the disk when it is said to be, and what is
//! changed from what was there is changed by nobody else meanwhile, whichever tab or worker.

use js_sys::Array;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsCast as _;
use web_sys::{IdbDatabase, IdbKeyRange};

use crate::idb::{Database, Transaction, failed, wait};
use crate::store::{StoreError, json, parse};

const FORM: u32 = 1;
const KEPT: &str = "kept";

/// A database of small things. It is opened for each call: who keeps it open may hold others
/// up.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    name: &'static str,
}

impl Keep {
    /// The one of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }

    async fn open(self) -> Result<Database, StoreError> {
        let make = |database: &IdbDatabase| database.create_object_store(KEPT).map(drop);
        Database::open(self.name, FORM, make, || {}).await
    }

    /// What is kept under a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get<T: DeserializeOwned>(self, name: &str) -> Result<Option<T>, StoreError> {
        let database = self.open().await?;
        read(&database.read(&[KEPT])?, name).await
    }

    /// All that is kept under names that begin so: what comes after that, and the value.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all<T: DeserializeOwned>(
        self,
        begins: &str,
    ) -> Result<Vec<(String, T)>, StoreError> {
        let database = self.open().await?;
        let tx = database.read(&[KEPT])?;
        let store = tx.store(KEPT)?;
        let range = range(begins)?;
        let names = wait(&store.get_all_keys_with_key(&range).map_err(failed)?).await?;
        let values = wait(&store.get_all_with_key(&range).map_err(failed)?).await?;
        let (names, values): (Array, Array) = (names.unchecked_into(), values.unchecked_into());
        let mut all = Vec::new();
        for (name, value) in names.iter().zip(values.iter()) {
            let name = name.as_string().unwrap_or_default();
            let value = parse(&name, &value.as_string().unwrap_or_default())?;
            all.push((name[begins.len()..].to_owned(), value));
        }
        Ok(all)
    }

    /// Keeps a value in the place of what was there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set<T: Serialize>(self, name: &str, value: &T) -> Result<(), StoreError> {
        let database = self.open().await?;
        let tx = database.write(&[KEPT])?;
        let put = tx.store(KEPT)?.put_with_key(&json(value).into(), &name.into());
        put.map_err(failed)?;
        tx.commit().await
    }

    /// Keeps it no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(self, name: &str) -> Result<(), StoreError> {
        let database = self.open().await?;
        let tx = database.write(&[KEPT])?;
        tx.store(KEPT)?.delete(&name.into()).map_err(failed)?;
        tx.commit().await
    }

    /// Keeps nothing more whose name begins so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_all(self, begins: &str) -> Result<(), StoreError> {
        let database = self.open().await?;
        let tx = database.write(&[KEPT])?;
        let range = range(begins)?;
        tx.store(KEPT)?.delete(&range).map_err(failed)?;
        tx.commit().await
    }

    /// Changes what is there, where `change` says that it did. Returns what it returns.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub async fn change<T: Serialize + DeserializeOwned, R>(
        self,
        name: &str,
        change: impl FnOnce(&mut Option<T>) -> (bool, R),
    ) -> Result<R, StoreError> {
        let database = self.open().await?;
        let tx = database.write(&[KEPT])?;
        let mut value = read(&tx, name).await?;
        let (is_changed, result) = change(&mut value);
        if is_changed {
            let store = tx.store(KEPT)?;
            match value {
                Some(value) => store.put_with_key(&json(&value).into(), &name.into()),
                None => store.delete(&name.into()),
            }
            .map_err(failed)?;
            tx.commit().await?;
        }
        Ok(result)
    }
}

async fn read<T: DeserializeOwned>(tx: &Transaction, name: &str) -> Result<Option<T>, StoreError> {
    let found = wait(&tx.store(KEPT)?.get(&name.into()).map_err(failed)?).await?;
    found.as_string().map(|found| parse(name, &found)).transpose()
}

fn range(begins: &str) -> Result<IdbKeyRange, StoreError> {
    let end = format!("{begins}\u{ffff}");
    IdbKeyRange::bound(&begins.into(), &end.as_str().into()).map_err(failed)
}
