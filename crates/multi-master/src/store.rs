//! The store itself.

use crate::config::Config;
use crate::db::{Db, Tx};
use crate::error::{DbError, MasterName, OpenError, Outcome, TxId};
use crate::schema::Migration;

/// A set of masters, open. Cheap to clone; clones are one store.
#[derive(Clone, Debug)]
pub struct MultiMaster {}

/// How a master stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MasterState {
    /// It takes every write and serves reads.
    Live,
    /// It can't be used.
    Down,
    /// It answers, misses writes, and serves nothing until it has them.
    Behind,
}

/// One master, for people and monitors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MasterStatus {
    /// Its name.
    pub name: MasterName,
    /// How it stands.
    pub state: MasterState,
    /// Why, where it is not live.
    pub reason: Option<String>,
}

impl MultiMaster {
    /// Opens the masters, settles what a crash left, and applies migrations.
    pub async fn open(config: Config, migrations: &[Migration]) -> Result<Self, OpenError> {
        let _ = (config, migrations);
        Err(OpenError::Config("not yet".to_owned()))
    }

    /// Runs `closure` against one live master, in one snapshot. When that
    /// master fails it is run again, from its start, against another.
    pub async fn read<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: AsyncFn(&mut Db) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let _ = closure;
        Err(DbError::Closed.into())
    }

    /// Runs `closure` and commits its row operations on the masters.
    ///
    /// The closure may be run several times (after a deadlock, or when a master
    /// fell before anything was committed); each run starts from nothing. It
    /// awaits nothing but its own statements.
    pub async fn write<T, E, F>(&self, closure: F) -> Outcome<T, E>
    where
        F: AsyncFn(&mut Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let _ = closure;
        Outcome::NotSaved(DbError::Closed.into())
    }

    /// Whether a transaction was saved; `None` when no master that knows can be
    /// asked now.
    pub async fn lookup(&self, txid: TxId) -> Option<bool> {
        let _ = txid;
        None
    }

    /// How each master stands.
    pub fn status(&self) -> Vec<MasterStatus> {
        Vec::new()
    }

    /// Ends the store: no new work is taken, what is accepted is finished.
    pub async fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    #[tokio::test]
    async fn futures_are_send() {
        fn is_send<T: Send>(_: &T) {}
        async fn in_a_handler(store: MultiMaster, name: String) -> Result<usize, DbError> {
            store.read(async move |db: &mut Db| {
                let rows = db.query("select 1", crate::params![&name]).await?;
                helper(db).await?;
                Ok::<_, DbError>(rows.len())
            }).await
        }
        async fn helper(db: &mut Db) -> Result<(), DbError> { db.query_first("", vec![]).await?; Ok(()) }
        async fn w(store: MultiMaster, name: String) -> Outcome<(), DbError> {
            store.write(async move |tx: &mut Tx| {
                let rows = tx.query("select 1", crate::params![&name]).await?;
                helper(tx).await?;
                tx.insert("x", crate::fields!{"a" => &name}).await?;
                Ok::<_, DbError>(())
            }).await
        }
        let f = in_a_handler(MultiMaster{}, "x".into());
        is_send(&f);
        let f = w(MultiMaster{}, "x".into());
        is_send(&f);
    }
}
