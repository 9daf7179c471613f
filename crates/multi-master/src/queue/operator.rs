//! What an operator does with an item of the queue.

use stdx::ids::Id as _;
use tokio::sync::oneshot;

use super::{QueueError, QueueItem, Retried};
use crate::error::{DbError, TxId};
use crate::fault::Fault;
use crate::shared::{Command, Shared};
use crate::sqlite::IfAbsent;
use crate::supervisor::FillAnew;
use crate::tables;
use crate::write_set::Journal;

/// Tries an item now.
pub(crate) async fn retry(shared: &Shared, item: &QueueItem) -> Result<Retried, QueueError> {
    match item {
        QueueItem::Master(_) => {
            let at = away(shared, item)?;
            shared.supervisor.send(Command::Hurry { at }).map_err(|_| QueueError::Closed)?;
            Ok(Retried::Trying)
        }
        QueueItem::Transaction(txid) => {
            if !shared.queue.pending().is_in_doubt(*txid) {
                return Err(QueueError::NotThere(item.clone()));
            }
            Ok(match shared.look_up(*txid).await {
                Ok(saved) => Retried::Known(saved),
                Err(why) => Retried::StillInDoubt(why),
            })
        }
    }
}

/// Takes an item out of the queue.
pub(crate) async fn drop_item(
    shared: &Shared,
    item: &QueueItem,
    reason: &str,
) -> Result<(), QueueError> {
    match item {
        QueueItem::Master(name) => {
            let at = away(shared, item)?;
            let (reply, answer) = oneshot::channel();
            let ask = FillAnew {
                to: name.clone(),
                from: None,
                although_it_serves: false,
                why: format!("what was owed to it was dropped: {reason}"),
            };
            let ask = Command::Fill { ask, reply };
            shared.supervisor.send(ask).map_err(|_| QueueError::Closed)?;
            let noted = answer.await.map_err(|_| QueueError::Closed)?;
            noted.map_err(|why| QueueError::Refused(why.to_string()))?;
            shared.queue.pending().dropped(at);
            tracing::error!(
                severity = "WARNING", master = %name, reason,
                "what is owed to a master was dropped: it is filled when it is back"
            );
        }
        QueueItem::Transaction(txid) => {
            if !shared.queue.pending().is_in_doubt(*txid) {
                return Err(QueueError::NotThere(item.clone()));
            }
            keep_reason(shared, *txid, reason).await.map_err(|fault| {
                let why = DbError::from(fault);
                QueueError::Refused(format!("the reason could not be kept: {why}"))
            })?;
            shared.queue.pending().drop_doubt(*txid);
            tracing::error!(
                severity = "WARNING", %txid, reason,
                "a transaction in doubt was dropped: nobody looks it up any more"
            );
        }
    }
    Ok(())
}

/// Which master an item is about, that is away.
fn away(shared: &Shared, item: &QueueItem) -> Result<usize, QueueError> {
    let not_there = || QueueError::NotThere(item.clone());
    let QueueItem::Master(name) = item else { return Err(not_there()) };
    let view = shared.view();
    let at = view.masters.iter().position(|master| master.name == *name);
    at.filter(|at| !view.serves(*at)).ok_or_else(not_there)
}

/// On every master that serves, in `mm_conflicts`: with no rows, because nobody
/// knows which they were.
async fn keep_reason(shared: &Shared, txid: TxId, reason: &str) -> Result<(), Fault> {
    let view = shared.view();
    if view.serving().is_empty() {
        return Err(Fault::Lost(view.why_none()));
    }
    let found_at = shared.now();
    for at in view.serving() {
        let mut link = shared.connect(at, IfAbsent::Refuse).await?;
        let params = vec![
            txid.uuid().into(),
            format!("in doubt, and dropped by an operator: {reason}").into(),
            Journal::default().into_marker().into(),
            found_at.into(),
        ];
        let sql = "replace into mm_conflicts (txid, reason, ops, found_at) values (?, ?, ?, ?)";
        tables::run(&mut link, sql, params).await?;
    }
    Ok(())
}
