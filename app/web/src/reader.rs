//! The reader who is logged in: their records, their edits, and how it all stands.

mod kept;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use endpaper_api::sync::{MEMOS, SCHEMA, SHELF, TABLES};
use endpaper_reading::rules::synced;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Deserialize;
use stdx::Clock;
use sync::engine::{Config, Edit, EditError, Notice, Status, Synced};
use sync::merge::REVISIONS;
use sync::model::{AccountId, Fields, RecordId, RecordKey, Rule, Value};
use sync::queue::{Priority, RecordState};
use sync_web::device::{DeviceError, Shown};
use sync_web::{Device, Fetch, Options, StoreError, Told};

use crate::account::{self, Account, AccountTokens};
use crate::browser;
use crate::records::{Book, Memo, key};
use crate::ui::toasts::Toasts;
use crate::words::{self, t};

pub use self::kept::Draft;

/// What memos are looked up by.
const OF_BOOK: (&str, &str) = (MEMOS.name, "userBookId");
const OF_TIME: (&str, &str) = (MEMOS.name, "memoStartTime");
/// How long what was deleted can be had back with a touch.
const UNDO: Duration = Duration::from_secs(6);

/// Begins the names of databases and locks.
const PLACE: &str = "endpaper";

fn options(account: AccountId) -> Options {
    Options {
        config: Config::new(TABLES, SCHEMA),
        account,
        name: PLACE,
        indexes: &[OF_BOOK, OF_TIME],
        clock: Clock::real(),
    }
}

/// A file of [`Reader::everything`].
#[derive(Debug, Deserialize)]
pub struct Backup {
    shelf: Vec<Saved>,
    memos: Vec<Saved>,
}

#[derive(Debug, Deserialize)]
struct Saved {
    id: RecordId,
    fields: Fields,
}

/// The text of a [`Backup`].
fn backup(tables: &[(&str, Vec<Shown>)]) -> String {
    let mut all = serde_json::Map::new();
    for (table, rows) in tables {
        let rows = rows.iter().map(|one| {
            let fields = serde_json::to_value(&one.fields).unwrap_or_default();
            let (id, state) = (one.id.to_string(), one.state.name());
            serde_json::json!({ "id": id, "state": state, "fields": fields })
        });
        all.insert((*table).to_owned(), rows.collect());
    }
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

/// A book or a memo, or what is kept of one, in the form of a backup.
pub(crate) fn backup_of(key: &RecordKey, fields: &Fields, state: RecordState) -> String {
    let row = || Shown { id: key.id, fields: fields.clone(), state };
    let of = |table: &'static str| (*key.table == *table).then(row);
    backup(&[SHELF.name, MEMOS.name].map(|table| (table, of(table).into_iter().collect())))
}

/// What came of a backup that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Books and memos that were put back.
    pub made: usize,
    /// Those that are here already: they stay as they are.
    pub there: usize,
    /// Those that can't be.
    pub refused: usize,
}

/// The reader who is logged in. A copy is the same one.
#[derive(Clone, Copy)]
pub struct Reader {
    device: StoredValue<Device, LocalStorage>,
    account: StoredValue<Account>,
    /// Counted up when memos change, here, in another tab or on another device.
    memos: RwSignal<u32>,
    shelf: RwSignal<u32>,
    revisions: RwSignal<u32>,
    status: RwSignal<Option<Status>>,
    /// What is about to be deleted, and can still be had back.
    going: RwSignal<BTreeMap<RecordId, (RecordKey, stdx::UnixMicros)>>,
    /// A newer program has taken over.
    is_replaced: RwSignal<bool>,
    /// What can't be written is said, until something can be.
    is_full: RwSignal<bool>,
    toasts: Toasts,
}

impl Reader {
    /// Opens what is stored of an account, and begins to speak with the server. What it has
    /// is there for as long as `owner`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(account: Account, toasts: Toasts, owner: &Owner) -> Result<Self, StoreError> {
        let (memos, shelf, revisions, changed) = owner.with(|| {
            let new = || RwSignal::new(0_u32);
            (new(), new(), new(), new())
        });
        let status = owner.with(|| RwSignal::new(None));
        let (is_replaced, is_full) = owner.with(|| (RwSignal::new(false), RwSignal::new(false)));
        let id = account.id;
        let told = move |told| {
            match told {
            Told::Notice(notice) => {
                if let Notice::Record(key) = &notice {
                    // Something was written: there is room again.
                    is_full.set(false);
                    let of = match &*key.table {
                        table if table == MEMOS.name => memos,
                        table if table == SHELF.name => shelf,
                        _ => revisions,
                    };
                    of.update(|count| *count += 1);
                } else {
                    toasts.notice(&notice);
                }
                changed.update(|count| *count += 1);
            }
            Told::Trouble(StoreError::Full) => is_full.set(true),
            Told::Trouble(error) => toasts.say(t(
                format!("서버에서 온 것을 적어 두지 못했습니다. 나중에 다시 합니다: {}", words::store(&error)),
                format!("What came from the server could not be written down, and is tried again later: {}", words::store(&error)),
            )),
            Told::Leader => changed.update(|count| *count += 1),
            Told::Replaced => {
                is_replaced.set(true);
                spawn_local(leave_where_another_is(id));
            }
        }
        };
        let device = Device::open(options(id), told).await?;
        let reader = owner.with(|| Self {
            device: StoredValue::new_local(device.clone()),
            account: StoredValue::new(account),
            memos,
            shelf,
            revisions,
            status,
            going: RwSignal::new(BTreeMap::new()),
            is_replaced,
            is_full,
            toasts,
        });
        // Asked once for whatever has changed meanwhile.
        let is_asking = Rc::new(Cell::new(false));
        let ask = move |_: Option<()>| {
            changed.track();
            if is_asking.replace(true) {
                return;
            }
            let (device, is_asking) = (reader.device(), Rc::clone(&is_asking));
            spawn_local(async move {
                is_asking.set(false);
                if let Ok(now) = device.status().await {
                    // The page may have gone on to another reader.
                    let _ = status.try_set(Some(now));
                }
            });
        };
        owner.with(|| Effect::new(ask));
        browser::on_window("online", {
            let device = device.clone();
            move || device.network(true)
        });
        browser::on_window("offline", {
            let device = device.clone();
            move || device.network(false)
        });
        browser::on_document("visibilitychange", {
            let device = device.clone();
            move || {
                // One that begins to be hidden may be frozen at any time: it begins nothing.
                if browser::is_seen() {
                    device.awake();
                }
            }
        });
        for (event, is_frozen) in [("freeze", true), ("resume", false)] {
            let device = device.clone();
            browser::on_document(event, move || device.freeze(is_frozen));
        }
        if !browser::has_network() {
            device.network(false);
        }
        // Where that can't be written down, what is there can be read and exported all the same.
        let _ = device.logged_in().await;
        spawn_local(async move {
            let server = Fetch::new(AccountTokens { account: id });
            device.lead(&server, browser::is_seen).await;
        });
        spawn_local(async move { reader.delete_what_was_going().await });
        Ok(reader)
    }

    /// The device.
    #[must_use]
    pub fn device(self) -> Device {
        self.device.get_value()
    }

    /// Who it is.
    #[must_use]
    pub fn account(self) -> Account {
        self.account.get_value()
    }

    /// The server, as this reader.
    #[must_use]
    pub fn server(self) -> Fetch<AccountTokens> {
        Fetch::new(AccountTokens { account: self.account().id })
    }

    /// How everything stands; none before it was asked.
    #[must_use]
    pub fn status(self) -> Option<Status> {
        self.status.get()
    }

    /// Whether a newer program has taken over.
    #[must_use]
    pub fn is_replaced(self) -> bool {
        self.is_replaced.get()
    }

    /// Whether there was no room for the last edit.
    #[must_use]
    pub fn is_full(self) -> bool {
        self.is_full.get()
    }

    /// The books of the shelf, as they are now, and each time that they change.
    #[must_use]
    pub fn books(self) -> Live<Vec<Book>> {
        Live::new(self.toasts, move || {
            self.shelf.track();
            let going = self.going.get();
            async move {
                let all = self.device().all(SHELF.name).await?;
                let books =
                    all.into_iter().filter(|one| !going.contains_key(&one.id)).map(Book::of);
                Ok(books.collect())
            }
        })
    }

    /// One book; none where it is not there.
    #[must_use]
    pub fn book(self, id: RecordId) -> Live<Option<Book>> {
        Live::new(self.toasts, move || {
            self.shelf.track();
            let is_going = self.going.with(|going| going.contains_key(&id));
            async move {
                let shown = self.device().shown(&key(&SHELF, id)).await?;
                Ok(shown.filter(|_| !is_going).map(Book::of))
            }
        })
    }

    /// A memo, as it is on this device now; none where it is not there.
    pub async fn memo(self, id: RecordId) -> Option<Memo> {
        let shown = self.device().shown(&key(&MEMOS, id)).await.ok()??;
        Some(Memo::of(shown))
    }

    /// A book or a memo, as it is on this device, and each time that it changes; none where it
    /// is not there.
    #[must_use]
    pub fn record(self, key: RecordKey) -> Live<Option<Shown>> {
        Live::new(self.toasts, move || {
            self.memos.track();
            self.shelf.track();
            let key = key.clone();
            async move { self.device().shown(&key).await }
        })
    }

    /// The memos of a book, along its pages.
    #[must_use]
    pub fn memos_of(self, book: RecordId) -> Live<Vec<Memo>> {
        Live::new(self.toasts, move || {
            self.memos.track();
            let going = self.going.get();
            async move {
                let book = Value::from(book.to_string());
                let found = self.device().by(OF_BOOK, &book, &book).await?;
                let memos =
                    found.into_iter().filter(|one| !going.contains_key(&one.id)).map(Memo::of);
                let mut memos: Vec<Memo> = memos.collect();
                memos.sort_by_key(|memo| (memo.page, memo.started, memo.id));
                Ok(memos)
            }
        })
    }

    /// The memos from one instant to before another, in their order.
    #[must_use]
    pub fn memos_between(
        self,
        between: impl Fn() -> (stdx::UnixMicros, stdx::UnixMicros) + 'static,
    ) -> Live<Vec<Memo>> {
        Live::new(self.toasts, move || {
            self.memos.track();
            let going = self.going.get();
            let (first, end) = between();
            async move {
                let (first, last) = (Value::Int(first.0), Value::Int(end.0 - 1));
                let found = self.device().by(OF_TIME, &first, &last).await?;
                let memos =
                    found.into_iter().filter(|one| !going.contains_key(&one.id)).map(Memo::of);
                Ok(memos.collect())
            }
        })
    }

    /// What is kept of edits that lost their place.
    #[must_use]
    pub fn revisions(self) -> Live<Vec<Shown>> {
        Live::new(self.toasts, move || {
            self.revisions.track();
            let going = self.going.get();
            async move {
                let mut all = self.device().all(REVISIONS.name).await?;
                all.retain(|one| !going.contains_key(&one.id));
                Ok(all)
            }
        })
    }

    /// What needs attention.
    #[must_use]
    pub fn failed(self) -> Live<Vec<sync_web::device::Failed>> {
        Live::new(self.toasts, move || {
            self.status.track();
            async move { self.device().failed().await }
        })
    }

    /// Takes an edit; what can't be taken is said. True where it is on the disk.
    pub async fn edit(self, key: &RecordKey, edit: Edit, written: stdx::UnixMicros) -> bool {
        let priority = if *key.table == *SHELF.name { Priority::HIGH } else { Priority::NORMAL };
        let is_memo = *key.table == *MEMOS.name;
        match self.device().edit(key, edit, written, priority).await {
            Ok(_) => {
                self.is_full.set(false);
                if is_memo {
                    spawn_local(keep_what_is_written());
                }
                spawn_local(wake_worker());
                true
            }
            Err(error) => {
                self.is_full.set(error == DeviceError::Store(StoreError::Full));
                self.toasts.say(why(&error));
                false
            }
        }
    }

    /// Deletes a record, in a moment: until then it can be had back with a touch.
    pub fn delete(self, key: RecordKey, written: stdx::UnixMicros, said: String) {
        let id = key.id;
        self.going.update(|going| drop(going.insert(id, (key.clone(), written))));
        // Where the page is closed before that, the next one does it.
        spawn_local(async move { self.keep_going(&key, written).await });
        let undo = move || {
            self.going.update(|going| drop(going.remove(&id)));
            spawn_local(async move { self.drop_going(id).await });
        };
        let delete = move || spawn_local(async move { self.delete_now(id).await });
        self.toasts.offer(said, t("되돌리기", "Undo"), UNDO, undo, delete);
    }

    /// Nothing where it was had back.
    async fn delete_now(self, id: RecordId) {
        let going = self.going.with_untracked(|going| going.get(&id).cloned());
        if let Some((key, written)) = going {
            self.edit(&key, Edit::Delete, written).await;
            self.drop_going(id).await;
            self.going.update(|going| drop(going.remove(&id)));
        }
    }

    /// What is about to be deleted is, now.
    pub async fn delete_all_now(self) {
        let going: Vec<RecordId> =
            self.going.with_untracked(|going| going.keys().copied().collect());
        for id in going {
            self.delete_now(id).await;
        }
    }

    /// All books and memos of this device, as JSON: also those that were not sent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn everything(self) -> Result<String, StoreError> {
        let (shelf, memos) =
            (self.device().all(SHELF.name).await?, self.device().all(MEMOS.name).await?);
        Ok(backup(&[(SHELF.name, shelf), (MEMOS.name, memos)]))
    }

    /// One book or memo, in the form of [`everything`](Self::everything); none where there is
    /// nothing of it on this device.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn one(self, key: &RecordKey) -> Result<Option<String>, StoreError> {
        let Some(shown) = self.device().shown(key).await? else { return Ok(None) };
        Ok(Some(backup_of(key, &shown.fields, shown.state)))
    }

    /// Puts back what is in a backup and not here, books before their memos. What is here
    /// stays as it is.
    ///
    /// # Errors
    /// [`DeviceError`], where no more can be taken; what was put back until then stays.
    pub async fn restore(self, backup: Backup) -> Result<Restored, DeviceError> {
        let mut restored = Restored::default();
        for (table, rows) in [(&SHELF, backup.shelf), (&MEMOS, backup.memos)] {
            for Saved { id, fields } in rows {
                // What only the server sets it sets again.
                let is_ours =
                    |name: &str| table.rule(name).is_some_and(|rule| rule != Rule::Server);
                let fields: Fields = fields
                    .iter()
                    .filter(|(name, value)| is_ours(name) && **value != Value::Null)
                    .map(|(name, value)| (name, value.clone()))
                    .collect();
                let is_right = if table.name == MEMOS.name {
                    synced::draft(&fields).is_ok()
                } else {
                    synced::shelve(&fields).is_ok()
                };
                if !is_right {
                    restored.refused += 1;
                    continue;
                }
                let written = match fields.get("memoStartTime") {
                    Some(Value::Int(at)) => stdx::UnixMicros(*at),
                    _ => Clock::real().now(),
                };
                let edit = Edit::Create(fields);
                let key = key(table, id);
                match self.device().edit(&key, edit, written, Priority::NORMAL).await {
                    Ok(_) => restored.made += 1,
                    Err(DeviceError::Edit(EditError::AlreadyThere(_))) => restored.there += 1,
                    Err(DeviceError::Edit(EditError::TooLarge { .. })) => restored.refused += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(restored)
    }

    /// What would be lost if everything of this account were deleted here: edits that are not
    /// on the server, what was typed and not taken, and orders and gifts without an answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unsent(self) -> Result<usize, StoreError> {
        Ok(self.device().unsent().await?.len() + kept::count(self.account().id).await?)
    }

    /// Deletes everything of this account from this browser, and logs out. Where more would be
    /// lost than `accepted`, nothing is done, and how much it is is given back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leave(self, accepted: usize) -> Result<Option<usize>, StoreError> {
        let id = self.account().id;
        let unsent = self.unsent().await?;
        if unsent > accepted {
            return Ok(Some(unsent));
        }
        let left = account::forget(id).await?;
        let deleted = Device::delete(&options(id)).await;
        // Another tab may have kept something until it heard of that.
        let forgotten = kept::forget(id).await;
        if let Some(left) = left {
            left.tell().await;
        }
        deleted.and(forgotten).map(|()| None)
    }
}

/// What is read from the database, again each time that it changes; none until it was read
/// once. What was read before is shown until then.
pub struct Live<T: 'static>(RwSignal<Option<T>, LocalStorage>);

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Live<T> {}

impl<T: Clone + PartialEq + 'static> Live<T> {
    fn new<F>(toasts: Toasts, read: impl Fn() -> F + 'static) -> Self
    where
        F: Future<Output = Result<T, StoreError>> + 'static,
    {
        let value = RwSignal::new_local(None);
        let latest = Rc::new(Cell::new(0_u32));
        Effect::new(move |_| {
            let reading = read();
            latest.set(latest.get() + 1);
            let (mine, latest) = (latest.get(), Rc::clone(&latest));
            spawn_local(async move {
                let read = match reading.await {
                    Ok(read) => read,
                    Err(error) => return toasts.say(words::store(&error)),
                };
                // An older answer may come after a newer one, or after the screen was left.
                if mine == latest.get()
                    && value.try_with_untracked(|shown| shown.as_ref() != Some(&read)) == Some(true)
                {
                    value.try_set(Some(read));
                }
            });
        });
        Self(value)
    }

    /// What is there now.
    #[must_use]
    pub fn get(self) -> Option<T> {
        self.0.get()
    }

    /// What is there now, without hearing of changes; none where the screen was left, too.
    pub fn try_get_untracked(self) -> Option<T> {
        self.0.try_get_untracked().flatten()
    }

    /// What is there now, without a copy.
    pub fn with<R>(self, see: impl FnOnce(Option<&T>) -> R) -> R {
        self.0.with(|value| see(value.as_ref()))
    }
}

/// Why an edit was not taken, for the person.
pub(crate) fn why(error: &DeviceError) -> String {
    match error {
        DeviceError::Store(StoreError::Full) => t(
            "이 기기에 남은 공간이 없어 저장하지 못했습니다. 적은 것은 화면에 그대로 있습니다. 공간을 비운 뒤 다시 해 보세요.",
            "There is no room left on this device, so this is not saved. What you typed is still on the screen: make room, and try again.",
        )
        .to_owned(),
        DeviceError::Edit(EditError::QueueFull(count)) => t(
            format!("보내지 못한 것이 {count}개나 되어 더 받을 수 없습니다. 네트워크에 연결해 주세요."),
            format!("{count} edits wait to be sent, and no more can be taken: connect to the network."),
        ),
        DeviceError::Edit(EditError::QueueTooOld(days)) => t(
            format!("{days}일 넘게 보내지 못해 더 받을 수 없습니다. 네트워크에 연결해 주세요."),
            format!("Edits wait for more than {days} days, and no more are taken: connect to the network."),
        ),
        DeviceError::Edit(EditError::TooLarge { .. }) => {
            t("너무 길어 저장할 수 없습니다. 줄여 주세요.", "This is too long to be saved: make it shorter.")
                .to_owned()
        }
        DeviceError::Edit(EditError::NotThere(_)) => t(
            "다른 기기에서 이미 지운 것입니다.",
            "It was deleted meanwhile, on another device or in another tab.",
        )
        .to_owned(),
        DeviceError::Store(error) => {
            let why = words::store(error);
            t(format!("저장하지 못했습니다: {why}"), format!("This is not saved: {why}"))
        }
        DeviceError::Edit(error) => t(format!("저장하지 못했습니다: {error}"), format!("This is not saved: {error}")),
    }
}

/// Deletes what was stored of accounts that are not here any more, where that was not possible
/// when they left.
pub(crate) async fn forget_others() {
    let is_here = async |id| !matches!(account::last().await, Ok(last) if last.as_ref().map(|one| one.id) != Some(id));
    // What can't be deleted now is tried again at the next start.
    let _ = Device::delete_others(PLACE, is_here).await;
    if let Ok(last) = account::last().await {
        let _ = kept::forget_others(last.map(|one| one.id)).await;
    }
}

/// Where somebody has logged out in another tab, this one shows nothing of theirs any more.
async fn leave_where_another_is(id: AccountId) {
    if !matches!(account::last().await, Ok(Some(account)) if account.id == id) {
        browser::go_home();
    }
}

/// Asks the browser, at the first memo, to throw nothing away.
async fn keep_what_is_written() {
    thread_local! {
        static ASKED: Cell<bool> = const { Cell::new(false) };
    }
    if !ASKED.replace(true) && !browser::is_persistent().await {
        browser::ask_to_persist().await;
    }
}

/// Asks the browser to wake the service worker when there is a network, also after this tab is
/// closed; where a browser can't, the next start sends what waits.
async fn wake_worker() {
    let _ = browser::register_sync("queue").await;
}

/// What the service worker does when the browser wakes it.
pub(crate) async fn finish_queue() -> Result<(), String> {
    let said = |error: StoreError| error.to_string();
    let Some(account) = account::last().await.map_err(said)? else { return Ok(()) };
    let device = Device::open(options(account.id), |_| {}).await.map_err(said)?;
    let server = Fetch::new(AccountTokens { account: account.id });
    match device.sync(&server).await.map_err(said)? {
        // A tab is at it: it may be closed before it is done.
        None if device.status().await.map_err(said)?.to_send > 0 => {
            Err("a tab is sending: look again later".to_owned())
        }
        // Or a person has to do something first.
        None | Some(Synced::Done | Synced::LogIn | Synced::Stopped(_)) => Ok(()),
        Some(Synced::Unreachable) => Err("the server can't be reached".to_owned()),
        Some(Synced::Later(_)) => Err("the server asks to come later".to_owned()),
    }
}
