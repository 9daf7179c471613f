//! IndexedDB (W3C, *Indexed Database API 3.0*), as far as a store needs it: a request is
//! awaited, a transaction is all or nothing also where what does it is dropped, and a
//! commit is on the disk.

use std::cell::Cell;
use std::time::Duration;

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DomException, IdbDatabase, IdbObjectStore, IdbOpenDbRequest, IdbRequest, IdbTransaction,
};

use crate::js::{INDEXED_DB, sleep, text_of};
use crate::store::StoreError;

/// A database that is there is opened in some milliseconds.
const OPENED_WITHIN: Duration = Duration::from_secs(10);

/// A database, opened. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Database {
    database: IdbDatabase,
    _on_version_change: Closure<dyn FnMut()>,
}

impl Database {
    /// Opens it in this version, and makes it with `make` where it is not there; where that fails,
    /// nothing is made. `replaced` is called when a newer program wants it, or somebody deletes it:
    /// it is closed then.
    pub(crate) async fn open(
        name: &str,
        version: u32,
        make: impl FnOnce(&IdbDatabase) -> Result<(), JsValue> + 'static,
        replaced: impl Fn() + 'static,
    ) -> Result<Self, StoreError> {
        let open =
            INDEXED_DB.with(|factory| factory.open_with_u32(name, version)).map_err(failed)?;
        let upgrade = Closure::once_into_js(move |event: web_sys::IdbVersionChangeEvent| {
            let request: IdbOpenDbRequest = event.target().expect("a request").unchecked_into();
            let database = request.result().expect("it is open").unchecked_into();
            if make(&database).is_err()
                && let Some(transaction) = request.transaction()
            {
                // The opening fails then, too.
                let _ = transaction.abort();
            }
        });
        open.set_onupgradeneeded(Some(upgrade.unchecked_ref()));
        let opened = tokio::select! {
            opened = wait(&open) => opened?,
            // Somebody holds it who is to close it, and does nothing.
            () = sleep(OPENED_WITHIN) => return Err(StoreError::Blocked),
        };
        let database: IdbDatabase = opened.unchecked_into();
        let closing = database.clone();
        let on_version_change = Closure::<dyn FnMut()>::new(move || {
            closing.close();
            replaced();
        });
        let callback = Some(on_version_change.as_ref().unchecked_ref());
        database.set_onversionchange(callback);
        // The browser may close it by itself: the person has deleted what the site keeps.
        database.set_onclose(callback);
        Ok(Self { database, _on_version_change: on_version_change })
    }

    /// The names of all that are there.
    pub(crate) async fn names() -> Result<Vec<String>, StoreError> {
        let asked = INDEXED_DB.with(|factory| {
            let databases = Reflect::get(factory, &"databases".into())?;
            databases.unchecked_into::<Function>().call0(factory)
        });
        let all = JsFuture::from(Promise::from(asked.map_err(failed)?)).await.map_err(failed)?;
        let name = |one: JsValue| Reflect::get(&one, &"name".into()).ok()?.as_string();
        Ok(Array::from(&all).iter().filter_map(name).collect())
    }

    /// Deletes one that is there.
    pub(crate) async fn delete(name: &str) -> Result<(), StoreError> {
        let delete = INDEXED_DB.with(|factory| factory.delete_database(name)).map_err(failed)?;
        wait(&delete).await.map(drop)
    }

    /// Begins to read, as it is at one moment.
    pub(crate) fn read(&self, stores: &[&str]) -> Result<Transaction, StoreError> {
        self.begin(stores, "readonly")
    }

    /// Begins to write: nobody else does until it is over.
    pub(crate) fn write(&self, stores: &[&str]) -> Result<Transaction, StoreError> {
        self.begin(stores, "readwrite")
    }

    fn begin(&self, stores: &[&str], mode: &str) -> Result<Transaction, StoreError> {
        let names: Array = stores.iter().map(|name| JsValue::from_str(name)).collect();
        // By name: the binding of the options is not stable. Without `strict` a browser says
        // that it is written before it is on the disk.
        let begin: Function =
            Reflect::get(&self.database, &"transaction".into()).map_err(failed)?.unchecked_into();
        let options = object(&[("durability", "strict".into())]);
        let begun = begin.call3(&self.database, &names, &mode.into(), &options);
        let transaction: IdbTransaction = begun.map_err(failed)?.unchecked_into();
        Ok(Transaction { transaction, is_over: Cell::new(false) })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.database.set_onversionchange(None);
        self.database.set_onclose(None);
        self.database.close();
    }
}

/// A transaction. Dropped before it is committed, nothing of it is written.
#[derive(Debug)]
pub(crate) struct Transaction {
    transaction: IdbTransaction,
    is_over: Cell<bool>,
}

impl Transaction {
    pub(crate) fn store(&self, name: &str) -> Result<IdbObjectStore, StoreError> {
        self.transaction.object_store(name).map_err(failed)
    }

    /// Commits: when this returns, it is on the disk.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let done = Promise::new(&mut |resolve, reject| {
            self.transaction.set_oncomplete(Some(&resolve));
            self.transaction.set_onabort(Some(&reject));
        });
        // Without it the browser asks first whether there is more to come.
        #[expect(deprecated, reason = "the standard has it; the list that says so is an old one")]
        self.transaction.commit().map_err(failed)?;
        self.is_over.set(true);
        let done = JsFuture::from(done).await;
        self.transaction.set_oncomplete(None);
        self.transaction.set_onabort(None);
        match done {
            Ok(_) => Ok(()),
            Err(_) => Err(why(self.transaction.error().as_ref())),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_over.get() {
            // One that was only read from may be over already.
            let _ = self.transaction.abort();
        }
    }
}

/// What a request came to.
pub(crate) async fn wait(request: &IdbRequest) -> Result<JsValue, StoreError> {
    // A promise goes on before the transaction is idle: one that waits for nothing else
    // stays open.
    let done = Promise::new(&mut |resolve, reject| {
        request.set_onsuccess(Some(&resolve));
        request.set_onerror(Some(&reject));
    });
    match JsFuture::from(done).await {
        Ok(_) => request.result().map_err(failed),
        Err(_) => Err(why(request.error().ok().flatten().as_ref())),
    }
}

/// An object with these members.
pub(crate) fn object(members: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in members {
        // Of an object of ours.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn failed(thrown: JsValue) -> StoreError {
    match thrown.dyn_ref::<DomException>() {
        Some(exception) => why(Some(exception)),
        None => StoreError::Io(text_of(&thrown)),
    }
}

fn why(exception: Option<&DomException>) -> StoreError {
    let Some(exception) = exception else {
        return StoreError::Io("the browser does not say why".to_owned());
    };
    match &*exception.name() {
        "QuotaExceededError" => StoreError::Full,
        "VersionError" => StoreError::Newer,
        // It was closed under us.
        "InvalidStateError" => StoreError::Closed,
        name => StoreError::Io(format!("{name}: {}", exception.message())),
    }
}
