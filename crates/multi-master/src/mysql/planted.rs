//! The planted bugs that commit in another way than this store does.

use std::sync::Arc;

use futures_util::future::join_all;

use super::store::MySqlStore;
use super::write::{Branch, Sealed, commit, undo};
use crate::error::DbError;
use crate::fault::Fault;
use crate::job::Verdict;
use crate::link::Link;
use crate::membership::View;
use crate::render::{Rows, Statement};
use crate::sabotage::{Bug, is};
use crate::sqlite::IfAbsent;
use crate::value::Value;
use crate::write_set::{self, Change};

/// Whether a bug is planted that puts back what was committed.
pub(super) fn compensates() -> bool {
    is(Bug::Compensation) || is(Bug::CompensatedUnknown)
}

impl MySqlStore {
    /// Commits, one after the other or at once; where one fails, puts back what
    /// the others have, and calls it not saved.
    pub(super) async fn commit_and_compensate(
        &self,
        view: &Arc<View>,
        branches: Vec<Branch<'_>>,
        sealed: &Sealed,
    ) -> Verdict {
        let txid = sealed.txid;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        if is(Bug::Compensation) {
            for branch in branches {
                let at = branch.at;
                if !failed.is_empty() {
                    undo(branch.link, branch.lease).await;
                    continue;
                }
                match commit(branch).await {
                    Ok(()) => done.push(at),
                    Err(fault) => failed.push(fault),
                }
            }
        } else {
            let at: Vec<usize> = branches.iter().map(|branch| branch.at).collect();
            for (result, at) in join_all(branches.into_iter().map(commit)).await.into_iter().zip(at)
            {
                match result {
                    Ok(()) => done.push(at),
                    Err(fault) => failed.push(fault),
                }
            }
        }
        if failed.is_empty() {
            return Verdict::Saved { txid, owed: view.away() };
        }
        for at in done {
            if let Err(fault) = self.put_back(at, sealed).await {
                tracing::warn!(?fault, "what was committed can't be put back");
            }
        }
        self.report_all(view, failed).await;
        Verdict::NotSaved(DbError::Busy)
    }

    async fn put_back(&self, at: usize, sealed: &Sealed) -> Result<(), Fault> {
        let marker = sealed.statements.last().expect("the marker is the last one");
        let [txid, _, Value::Bytes(ops)] = marker.params.as_slice() else {
            return Err(Fault::Lost("the last statement is no marker".to_owned()));
        };
        let ops = write_set::decode(ops, &self.shared.schema).map_err(Fault::Lost)?;
        let mut link = self.shared.connect(at, IfAbsent::Refuse).await?;
        link.begin().await?;
        for op in ops.into_iter().rev() {
            let statement = match op.change {
                Change::Insert { after } => write_set::delete(op.info, &op.key, after.version),
                Change::Update { before, after } => {
                    let all: Vec<usize> = (0..op.info.columns.len()).collect();
                    write_set::update(op.info, &op.key, &all, &before, after.version)
                }
                Change::Delete { before, .. } => write_set::insert(op.info, before),
            };
            link.push(&statement).await?;
        }
        link.push(&Statement {
            sql: "delete from mm_log where txid = ?".into(),
            params: vec![txid.clone()],
            rows: Rows::Any,
            table: "mm_log",
        })
        .await?;
        Link::commit(&mut link).await
    }
}
