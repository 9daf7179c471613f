//! A program around the sync server: notes, and what its devices send.

use std::collections::BTreeMap;

use multi_master::{
    Column, Config, Db, DbError, Index, Kind, Migration, MultiMaster, Policy, Step, Tx, fields, id,
    params,
};
use stdx::{Clock, HybridTime, IdSource, UnixMicros};
use sync::merge::Outcome;
use sync::model::{
    AccountId, DeviceId, Fields, LogId, OperationId, RecordId, RecordKey, Rule, Table, Value,
    Version,
};
use sync::operation::{Action, Operation};
use sync::wire::{PROTOCOL, Pull, PullAnswer, Push, PushAnswer};
use sync_server::domain::{Change, Domain, Refusal};
use sync_server::{Limits, SyncError, SyncServer};

pub(crate) const NOTES: Table =
    Table { name: "notes", fields: &[("content", Rule::Text), ("page", Rule::Latest)] };

const OWN: Migration = Migration {
    name: "notes",
    steps: &[Step::CreateTable(multi_master::Table {
        name: "notes",
        key: &["id"],
        columns: &[
            Column::new("id", Kind::Id),
            Column::new("account_id", Kind::Id),
            Column::new("content", Kind::Text { chars_max: 100 }),
            Column::nullable("page", Kind::Int),
        ],
        indexes: &[Index { name: "notes_account", columns: &["account_id"], unique: false }],
    })],
};

pub(crate) fn migrations() -> Vec<Migration> {
    [&[OWN], sync_server::MIGRATIONS].concat()
}

pub(crate) struct Notes;

/// A content that this program can't read.
pub(crate) const STRANGE: &str = "strange";

impl Domain for Notes {
    fn tables(&self) -> &'static [Table] {
        const { &[NOTES] }
    }

    fn schema(&self) -> u32 {
        2
    }

    /// In the first schema a page was called a leaf.
    fn upgrade(&self, operation: &mut Operation) -> Result<(), Refusal> {
        if let Action::Create { fields } | Action::Update { fields, .. } = &mut operation.action
            && let Some(leaf) = fields.remove("leaf")
            && fields.get("page").is_none()
        {
            fields.set("page", leaf);
        }
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
            let sql = "select content, page from notes where id = ? and account_id = ?";
            let Some(row) = db.query_first(sql, params![id(*record), id(account)]).await? else {
                continue;
            };
            let mut fields = Fields::new();
            let content: String = row.get("content")?;
            if content == STRANGE {
                return Err(DbError::Shape(format!("the content of {record} can't be read")));
            }
            fields.set("content", content.into());
            if let Some(page) = row.get::<Option<i64>>("page")? {
                fields.set("page", page.into());
            }
            found.insert(*record, fields);
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
            tx.delete("notes", key).await?;
            return Ok(Ok(None));
        };
        let page = match after.get("page") {
            Some(Value::Int(page)) if *page < 1 => {
                return Ok(Err(Refusal::new("PAGE", "a page is 1 or more")));
            }
            Some(Value::Int(page)) => Some(*page),
            _ => None,
        };
        let content = after.get("content").and_then(Value::text).unwrap_or("");
        let mut row = fields! {"content" => content, "page" => page};
        if change.before.is_some() {
            tx.update("notes", key, row).await?;
        } else {
            row.extend(fields! {"id" => id(change.key.id), "account_id" => id(change.account)});
            tx.insert("notes", row).await?;
        }
        Ok(Ok(Some(after.clone())))
    }

    async fn unlisted(
        &self,
        tx: &mut Tx,
        account: AccountId,
        _: &'static str,
        limit: u32,
    ) -> Result<Vec<RecordId>, DbError> {
        let sql = "select n.id as id from notes n where n.account_id = ? and not exists \
             (select 1 from sync_records r where r.account_id = n.account_id \
              and r.table_name = 'notes' and r.record_id = n.id) limit ?";
        let rows = tx.query(sql, params![id(account), limit]).await?;
        rows.iter().map(|row| row.id("id")).collect()
    }
}

/// A server in one process.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) store: MultiMaster,
    pub(crate) sync: SyncServer<Notes>,
    pub(crate) clock: Clock,
    pub(crate) ids: IdSource,
}

impl Server {
    pub(crate) async fn open(config: Config) -> Self {
        let store = MultiMaster::open(config, &migrations()).await.unwrap();
        store.wait_until_whole().await;
        Self::over(store)
    }

    pub(crate) async fn embedded(folder: &std::path::Path) -> Self {
        Self::open(Config::embedded(folder, Policy::Available)).await
    }

    pub(crate) fn over(store: MultiMaster) -> Self {
        let clock = Clock::starting_at(UnixMicros::from_secs(1_800_000_000));
        let ids = IdSource::system();
        let limits = Limits::default();
        let sync = SyncServer::new(store.clone(), Notes, limits, clock.clone());
        Self { store, sync, clock, ids }
    }

    pub(crate) fn device(&self, account: AccountId) -> Device {
        Device {
            server: self.clone(),
            account,
            id: self.ids.next(),
            sequence: 0,
            settled: 0,
            log: None,
        }
    }

    pub(crate) fn key(&self) -> RecordKey {
        RecordKey { table: "notes".into(), id: self.ids.next() }
    }
}

/// A device, as the server sees it.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) server: Server,
    pub(crate) account: AccountId,
    pub(crate) id: DeviceId,
    pub(crate) sequence: u64,
    pub(crate) settled: u64,
    pub(crate) log: Option<LogId>,
}

pub(crate) fn content(text: &str) -> Fields {
    Fields::from([("content", text)])
}

impl Device {
    pub(crate) fn operation(&mut self, key: &RecordKey, action: Action, base: u64) -> Operation {
        self.sequence += 1;
        let now = self.server.clock.now();
        Operation {
            id: self.server.ids.next::<OperationId>(),
            sequence: self.sequence,
            key: key.clone(),
            action,
            base: Version(base),
            written: now,
            at: now,
            after: HybridTime::ZERO,
            schema: 2,
            restores: false,
        }
    }

    pub(crate) fn create(&mut self, key: &RecordKey, text: &str) -> Operation {
        self.operation(key, Action::Create { fields: content(text) }, 0)
    }

    pub(crate) fn push_of(&self, operations: Vec<Operation>) -> Push {
        Push {
            protocol: PROTOCOL,
            account: self.account,
            device: self.id,
            log: self.log,
            now: self.server.clock.now(),
            settled: self.settled,
            operations,
        }
    }

    pub(crate) async fn push(&self, operations: Vec<Operation>) -> Result<PushAnswer, SyncError> {
        self.server.sync.push(self.account, self.push_of(operations)).await
    }

    pub(crate) async fn outcomes(&self, operations: Vec<Operation>) -> Vec<Outcome> {
        let answer = self.push(operations).await.unwrap();
        answer.answers.into_iter().map(|answer| answer.outcome).collect()
    }

    pub(crate) async fn pull(&self, cursor: u64, limit: u32) -> Result<PullAnswer, SyncError> {
        self.server.sync.pull(self.account, self.pull_of(cursor, limit)).await
    }

    pub(crate) const fn pull_of(&self, cursor: u64, limit: u32) -> Pull {
        Pull {
            protocol: PROTOCOL,
            account: self.account,
            device: self.id,
            log: self.log,
            cursor: Version(cursor),
            anew: None,
            limit,
        }
    }
}

pub(crate) fn applied(version: u64) -> Outcome {
    Outcome::Applied { version: Version(version) }
}

pub(crate) fn code(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}
