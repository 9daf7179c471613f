//! Our own masters, on MariaDB.

use std::path::Path;

use lab::MariaDb;
use multi_master::{
    Config, DbError, MasterConfig, MasterName, MultiMaster, Outcome, Policy, Tx, fields, params,
};

use super::Work;
use crate::pair::MIGRATIONS;
use crate::rows::MemoRow;

/// Rows of one transaction where many are written at once.
const ROWS_AT_ONCE: usize = 200;

/// How a store on these servers is opened.
pub(crate) fn config<'a>(
    servers: impl IntoIterator<Item = &'a MariaDb>,
    database: &str,
    policy: Policy,
    directory: &Path,
) -> Config {
    let masters = ["a", "b"].into_iter().zip(servers).map(|(name, server)| MasterConfig {
        name: MasterName(name.to_owned()),
        url: server.url(database),
    });
    let witness = directory.join(format!("{database}.witness.json"));
    Config::new(masters.collect(), policy, witness)
}

pub(crate) async fn open(config: Config) -> MultiMaster {
    let store = MultiMaster::open(config, MIGRATIONS).await.expect("the store opens");
    store.wait_until_whole().await;
    store
}

/// Writes one row, durably.
pub(crate) async fn write(store: &MultiMaster, work: Work, row: MemoRow) {
    let saved: Outcome<(), DbError> = store
        .write(async move |tx: &mut Tx| match work {
            Work::Insert => tx.insert("memos", row.fields()).await,
            Work::Update => {
                let fields = fields! {"page" => row.page, "content" => &row.content};
                tx.update("memos", params![row.id.as_slice()], fields).await.map(drop)
            }
        })
        .await;
    saved.into_result().expect("every write is saved");
}

/// Writes many rows.
pub(crate) async fn fill(store: &MultiMaster, rows: Vec<MemoRow>) {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some: Vec<MemoRow> = rows.by_ref().take(ROWS_AT_ONCE).collect();
        let saved = store
            .write(async move |tx: &mut Tx| {
                for row in &some {
                    tx.insert("memos", row.fields()).await?;
                }
                Ok::<_, DbError>(())
            })
            .await;
        saved.into_result().expect("every row is saved");
    }
}
