//! The real server on two real SQLite files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use multi_master::archive::{Snapshot, restore};
use multi_master::{
    Column, Config, Db, DbError, Kind, Migration, MultiMaster, Policy, Row, Step, Tx, Verify,
    fields, id, params,
};
use stdx::ids::Id as _;
use stdx::{Clock, IdSource, Random, Seed, UnixMicros};
use sync::model::{
    AccountId, Fields, LogId, OperationId, RecordId, RecordKey, Table, Value, Version,
};
use sync::operation::Operation;
use sync::wire::{PROTOCOL, Pull, PullAnswer, Push, PushAnswer};
use sync_server::domain::{Change, Domain, Refusal};
use sync_server::{Limits, SyncError, SyncServer};
use tokio::runtime::Runtime;

use super::schema::{self, BOOKS, MEMOS, SCHEMA, TABLES};
use super::server::{Changed, Lost, Server};
use super::world::NO_BOOK;

/// How long two small files may take until they hold the same.
const WHOLE_MAX: Duration = Duration::from_mins(1);

const fn table(name: &'static str, columns: &'static [Column]) -> Step {
    Step::CreateTable(multi_master::Table { name, key: &["id"], columns, indexes: &[] })
}

const COLUMNS: [Column; 4] = [
    Column::new("id", Kind::Id),
    Column::new("account_id", Kind::Id),
    Column::new("content", Kind::Text { chars_max: 5_000 }),
    Column::nullable("page", Kind::Int),
];

const MEMO_COLUMNS: [Column; 6] = {
    let [id, account, content, page] = COLUMNS;
    let (book, mood) = (Column::nullable("book", Kind::Id), Column::nullable("mood", Kind::Int));
    [id, account, content, page, book, mood]
};

/// Books that were there: memos may be written on them.
const KNOWN_BOOKS: &str = "known_books";

const OWN: Migration = Migration {
    name: "memos",
    steps: &[
        table(BOOKS, &COLUMNS),
        table(KNOWN_BOOKS, &[Column::new("id", Kind::Id)]),
        table(MEMOS, &MEMO_COLUMNS),
    ],
};

pub(super) struct Real {
    runtime: Runtime,
    folder: tempfile::TempDir,
    account: AccountId,
    clock: Clock,
    ids: IdSource,
    running: Option<(MultiMaster, SyncServer<Memos>)>,
    /// The master whose file is elsewhere.
    away: Option<&'static str>,
    /// How often one was lost.
    lost: usize,
    /// How often the store was put back.
    stores: usize,
    head: Version,
    log: Option<LogId>,
    settled: BTreeSet<OperationId>,
    /// Since the last backup, where there is one.
    since_backup: Option<Changed>,
    wrong: Option<String>,
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Real").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Real {
    pub(super) fn new(account: AccountId, clock: &Clock) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut real = Self {
            runtime: runtime.expect("a runtime of one thread"),
            folder: tempfile::tempdir().expect("a temporary folder"),
            account,
            clock: clock.clone(),
            ids: IdSource::new(clock.clone(), Random::new(Seed(1))),
            running: None,
            away: None,
            lost: 0,
            stores: 0,
            head: Version::NONE,
            log: None,
            settled: BTreeSet::new(),
            since_backup: None,
            wrong: None,
        };
        real.restart();
        real
    }

    fn config(&self) -> Config {
        let folder = self.folder.path().join(format!("store-{}", self.stores));
        fs::create_dir_all(&folder).expect("a folder of our own");
        Config::embedded(&folder, Policy::Available)
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn stop(&mut self) {
        if let Some((store, server)) = self.running.take() {
            drop(server);
            self.runtime.block_on(store.close());
        }
    }

    fn start(&mut self) {
        let store = self.runtime.block_on(MultiMaster::open(self.config(), &migrations()));
        let store = store.expect("two files that nobody else has open");
        let limits = Limits { tombstone_kept: Duration::from_mins(10) };
        let server = SyncServer::new(store.clone(), Memos, limits, self.clock.clone());
        self.running = Some((store, server));
    }

    /// Puts the files of a master elsewhere, or back. A folder in their place keeps
    /// anybody from making new ones.
    fn hide(&self, master: &str, hidden: bool) {
        let folder = self.folder.path().join(format!("store-{}", self.stores));
        let place = folder.join(format!("{master}.db"));
        if !hidden {
            fs::remove_dir(&place).expect("an empty folder");
        }
        for end in ["", "-wal", "-shm"] {
            let here = folder.join(format!("{master}.db{end}"));
            let there = folder.join(format!("away-{master}.db{end}"));
            let (from, to) = if hidden { (here, there) } else { (there, here) };
            if from.exists() {
                fs::rename(from, to).expect("two names in one folder");
            }
        }
        if hidden {
            fs::create_dir(&place).expect("a free name");
        }
    }

    fn server(&self) -> SyncServer<Memos> {
        self.running.as_ref().expect("it runs between two calls").1.clone()
    }

    fn pulled(&mut self, pull: Pull) -> Result<PullAnswer, SyncError> {
        self.runtime.block_on(self.server().pull(self.account, pull))
    }
}

impl Server for Real {
    fn push(&mut self, push: &Push, _: UnixMicros) -> PushAnswer {
        let answer = self.runtime.block_on(self.server().push(self.account, push.clone()));
        let answer = answer.unwrap_or_else(|error| {
            self.wrong.get_or_insert(format!("a push has no answer: {error}"));
            PushAnswer {
                now: stdx::HybridTime::ZERO,
                answers: Vec::new(),
                head: self.head,
                sequence: 0,
                log: LogId::from_uuid(self.account.uuid()),
                common: None,
            }
        });
        // Where the store was put back, that is all that is said.
        let only_that = answer.common.is_some() && answer.answers.is_empty();
        let is_put_back = only_that && push.log != Some(answer.log);
        if !is_put_back && answer.answers.len() < push.operations.len() {
            self.wrong.get_or_insert(format!("{push:?} has no whole answer: {answer:?}"));
        }
        self.head = self.head.max(answer.head);
        self.log = Some(answer.log);
        if let Some(since) = &mut self.since_backup {
            since.records.extend(push.operations.iter().map(|operation| operation.key.clone()));
        }
        self.settled.extend(answer.answers.iter().map(|answer| answer.operation));
        answer
    }

    fn pull(&mut self, pull: Pull, _: UnixMicros) -> Option<PullAnswer> {
        match self.pulled(pull) {
            Ok(answer) => {
                self.log = Some(answer.log);
                Some(answer)
            }
            Err(SyncError::Expired) => None,
            Err(error) => {
                self.wrong.get_or_insert(format!("a pull has no answer: {error}"));
                None
            }
        }
    }

    /// It does by itself.
    fn forget(&mut self) {}

    fn restart(&mut self) {
        self.stop();
        if let Some(away) = self.away.take() {
            self.hide(away, false);
        }
        self.start();
        let Some((store, _)) = &self.running else { return };
        let compared = self.runtime.block_on(async {
            let whole = tokio::time::timeout(WHOLE_MAX, store.wait_until_whole()).await;
            whole.map_err(|_| format!("not whole: {:?}", store.status()))?;
            store.verify(Verify::default(), |_| ()).await.map_err(|error| error.to_string())
        });
        if !matches!(&compared, Ok(findings) if findings.is_well()) {
            self.wrong.get_or_insert(format!("the masters are not the same: {compared:?}"));
        }
    }

    fn lose_a_master(&mut self) {
        self.restart();
        self.stop();
        self.lost += 1;
        let away = ["a", "b"][self.lost % 2];
        self.hide(away, true);
        self.away = Some(away);
        self.start();
    }

    fn back_up(&mut self) {
        drop(fs::remove_file(self.backup()));
        let (config, file) = (self.config(), self.backup());
        let Some((store, _)) = &self.running else { return };
        let status = store.status().into_iter();
        let mut live = status.filter(|master| master.state.serves()).map(|master| master.name);
        let live = live.next_back().expect("somebody serves");
        let made = self.runtime.block_on(async {
            let snapshot = Snapshot::of_master(&config, &live, &migrations()).await?;
            snapshot.back_up(&file, |_| ()).await
        });
        made.expect("a backup can be made");
        self.since_backup = Some(Changed::default());
    }

    /// The store says by itself that it is another one.
    fn put_back(&mut self, _: LogId) -> Option<Lost> {
        let changed = self.since_backup.take()?;
        let mut shown = self.shown();
        self.stop();
        self.stores += 1;
        self.away = None;
        let (config, file) = (self.config(), self.backup());
        let done = self.runtime.block_on(async {
            let backup = Snapshot::of_backup(&file, &migrations()).await?;
            restore(backup, &config, |_| ()).await
        });
        done.expect("a backup can be put back");
        self.start();
        let there = self.shown();
        shown.retain(|key, fields| there.get(key) != Some(fields));
        self.since_backup = Some(Changed { any: true, ..Changed::default() });
        Some(Lost { shown, changed })
    }

    /// It is the newest.
    fn upgrade(&mut self, _: LogId) {}

    fn schema(&self) -> u32 {
        SCHEMA
    }

    fn is_all(&self, log: Option<LogId>, cursor: Version) -> bool {
        log == self.log && cursor == self.head
    }

    fn head(&self) -> Version {
        self.head
    }

    fn shown(&mut self) -> BTreeMap<RecordKey, Fields> {
        let mut shown = BTreeMap::new();
        let mut pull = Pull {
            protocol: PROTOCOL,
            account: self.account,
            device: self.ids.next(),
            log: None,
            cursor: Version::NONE,
            anew: Some(Version::NONE),
            limit: 50,
        };
        loop {
            match self.pulled(pull) {
                Ok(answer) => {
                    let changes = answer.changes.into_iter();
                    shown.extend(changes.filter_map(|change| Some((change.key, change.fields?))));
                    (self.head, self.log) = (answer.head, Some(answer.log));
                    if !answer.more {
                        return shown;
                    }
                    (pull.cursor, pull.anew) = (answer.cursor, Some(answer.head));
                }
                Err(error) => {
                    self.wrong.get_or_insert(format!("the judge can't pull: {error}"));
                    return shown;
                }
            }
        }
    }

    fn settled(&self) -> u64 {
        self.settled.len() as u64
    }

    fn wrong(&mut self) -> Option<String> {
        self.wrong.take()
    }
}

fn migrations() -> Vec<Migration> {
    [&[OWN], sync_server::MIGRATIONS].concat()
}

struct Memos;

fn record(table: &str, row: &Row) -> Result<Fields, DbError> {
    let mut fields = Fields::new();
    if table == MEMOS {
        if let Some(book) = row.id_or_null::<RecordId>("book")? {
            fields.set("book", book.to_string().into());
        }
        if let Some(mood) = row.get::<Option<i64>>("mood")? {
            fields.set("mood", mood.into());
        }
    }
    fields.set("content", row.get::<String>("content")?.into());
    if let Some(page) = row.get::<Option<i64>>("page")? {
        fields.set("page", page.into());
    }
    Ok(fields)
}

impl Domain for Memos {
    fn tables(&self) -> &'static [Table] {
        &TABLES[..2]
    }

    fn schema(&self) -> u32 {
        SCHEMA
    }

    fn upgrade(&self, operation: &mut Operation) -> Result<(), Refusal> {
        schema::upgrade_operation(operation);
        Ok(())
    }

    async fn load(
        &self,
        db: &mut Db,
        account: AccountId,
        table: &'static str,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, Fields>, DbError> {
        let mut found = BTreeMap::new();
        for one in ids {
            if let Some(row) = db.get(table, params![id(*one)]).await?
                && row.id::<AccountId>("account_id")? == account
            {
                found.insert(*one, record(table, &row)?);
            }
        }
        Ok(found)
    }

    async fn save(
        &self,
        tx: &mut Tx,
        change: &Change<'_>,
    ) -> Result<Result<Option<Fields>, Refusal>, DbError> {
        let (table, key) = (&*change.key.table, params![id(change.key.id)]);
        let table = if table == BOOKS { BOOKS } else { MEMOS };
        let Some(after) = change.after else {
            tx.delete(table, key).await?;
            return Ok(Ok(None));
        };
        let page = match after.get("page") {
            Some(Value::Int(-1)) => {
                return Ok(Err(Refusal::new("PAGE", "a page is 1 or more")));
            }
            Some(Value::Int(page)) => Some(*page),
            _ => None,
        };
        let content = after.get("content").and_then(Value::text).unwrap_or("");
        let mut row = fields! {"content" => content, "page" => page};
        let book = after.get("book").and_then(Value::text).and_then(|id| id.parse().ok());
        let book: Option<RecordId> = book;
        if table == MEMOS {
            row.push(("book", book.map_or(multi_master::Value::Null, id)));
            let mood = match after.get("mood") {
                Some(Value::Int(mood)) => (*mood).into(),
                _ => multi_master::Value::Null,
            };
            row.push(("mood", mood));
        }
        if change.before.is_some() {
            tx.update(table, key, row).await?;
            return Ok(Ok(Some(after.clone())));
        }
        row.extend(fields! {"id" => id(change.key.id), "account_id" => id(change.account)});
        if table == MEMOS {
            if let Some(book) = book
                && tx.get(KNOWN_BOOKS, params![id(book)]).await?.is_none()
            {
                return Ok(Err(Refusal::new(NO_BOOK, "its book was never there")));
            }
        } else if tx.get(KNOWN_BOOKS, key).await?.is_none() {
            tx.insert(KNOWN_BOOKS, fields! {"id" => id(change.key.id)}).await?;
        }
        tx.insert(table, row).await?;
        Ok(Ok(Some(after.clone())))
    }

    async fn unlisted(
        &self,
        _: &mut Tx,
        _: AccountId,
        _: &'static str,
        _: u32,
    ) -> Result<Vec<RecordId>, DbError> {
        Ok(Vec::new())
    }
}
