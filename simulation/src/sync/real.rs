//! The real server on two real SQLite files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use multi_master::{
    Column, Config, Db, DbError, Kind, Migration, MultiMaster, Policy, Row, Step, Tx, fields, id,
    params,
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

use super::server::Server;
use super::world::{MEMOS, TABLES};

const OWN: Migration = Migration {
    name: "memos",
    steps: &[Step::CreateTable(multi_master::Table {
        name: MEMOS,
        key: &["id"],
        columns: &[
            Column::new("id", Kind::Id),
            Column::new("account_id", Kind::Id),
            Column::new("content", Kind::Text { chars_max: 5_000 }),
            Column::nullable("page", Kind::Int),
        ],
        indexes: &[],
    })],
};

pub(super) struct Real {
    runtime: Runtime,
    folder: tempfile::TempDir,
    account: AccountId,
    clock: Clock,
    ids: IdSource,
    running: Option<(MultiMaster, SyncServer<Memos>)>,
    head: Version,
    settled: BTreeSet<OperationId>,
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
            head: Version::NONE,
            settled: BTreeSet::new(),
            wrong: None,
        };
        real.restart();
        real
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
        if answer.answers.len() < push.operations.len() {
            self.wrong.get_or_insert(format!("{push:?} has no whole answer: {answer:?}"));
        }
        self.head = self.head.max(answer.head);
        self.settled.extend(answer.answers.iter().map(|answer| answer.operation));
        answer
    }

    fn pull(&mut self, pull: Pull, _: UnixMicros) -> Option<PullAnswer> {
        match self.pulled(pull) {
            Ok(answer) => Some(answer),
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
        if let Some((store, server)) = self.running.take() {
            drop(server);
            self.runtime.block_on(store.close());
        }
        let config = Config::embedded(self.folder.path(), Policy::Available);
        let migrations = [&[OWN], sync_server::MIGRATIONS].concat();
        let store = self.runtime.block_on(MultiMaster::open(config, &migrations));
        let store = store.expect("two files that nobody else has open");
        let limits = Limits { tombstone_kept: std::time::Duration::from_mins(10) };
        let server = SyncServer::new(store.clone(), Memos, limits, self.clock.clone());
        self.running = Some((store, server));
    }

    fn back_up(&mut self) {}

    /// This is for the model: a backup of two files takes too long for so many programs.
    fn put_back(&mut self, _: LogId) -> Option<BTreeMap<RecordKey, Fields>> {
        None
    }

    fn is_all(&self, _: Option<LogId>, cursor: Version) -> bool {
        cursor == self.head
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

struct Memos;

fn memo(row: &Row) -> Result<Fields, DbError> {
    let mut fields = Fields::new();
    fields.set("content", row.get::<String>("content")?.into());
    if let Some(page) = row.get::<Option<i64>>("page")? {
        fields.set("page", page.into());
    }
    Ok(fields)
}

impl Domain for Memos {
    fn tables(&self) -> &'static [Table] {
        &TABLES[..1]
    }

    fn schema(&self) -> u32 {
        1
    }

    fn upgrade(&self, _: &mut Operation) -> Result<(), Refusal> {
        Ok(())
    }

    async fn load(
        &self,
        db: &mut Db,
        account: AccountId,
        _: &'static str,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, Fields>, DbError> {
        let mut found = BTreeMap::new();
        for record in ids {
            if let Some(row) = db.get(MEMOS, params![id(*record)]).await?
                && row.id::<AccountId>("account_id")? == account
            {
                found.insert(*record, memo(&row)?);
            }
        }
        Ok(found)
    }

    async fn save(
        &self,
        tx: &mut Tx,
        change: &Change<'_>,
    ) -> Result<Result<Option<Fields>, Refusal>, DbError> {
        let key = params![id(change.key.id)];
        let Some(after) = change.after else {
            tx.delete(MEMOS, key).await?;
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
        if change.before.is_some() {
            tx.update(MEMOS, key, row).await?;
        } else {
            row.extend(fields! {"id" => id(change.key.id), "account_id" => id(change.account)});
            tx.insert(MEMOS, row).await?;
        }
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
