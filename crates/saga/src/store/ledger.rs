//! Rows of a ledger.

use multi_master::{DbError, Tx, fields, id, params};
use stdx::UnixMicros;

use super::{cut, int, no_state, number};
use crate::ledger::Entry;
use crate::model::{Fence, Refusal, SagaId, StepError, StepKey};
use crate::schema::{CODE_CHARS_MAX, ERROR_CHARS_MAX};

/// What the ledger has of a step, held. Who asks with a smaller number than somebody before
/// is refused.
pub(crate) async fn entry(
    tx: &mut Tx,
    key: &StepKey,
    fence: Fence,
) -> Result<Option<Entry>, StepError> {
    let row = tx.get("saga_ledger", params![id(key.saga), key.step.as_str()]).await?;
    let Some(row) = row else { return Ok(None) };
    let seen = Fence(number(&row, "fence")?);
    if fence < seen {
        return Err(StepError::Failed(format!(
            "owner {fence} of the saga asks, and owner {seen} has asked before"
        )));
    }
    if fence > seen {
        let fields = fields! {"fence" => int(fence.0)};
        tx.update("saga_ledger", params![id(key.saga), key.step.as_str()], fields).await?;
    }
    let state: String = row.get("state")?;
    Ok(Some(match state.as_str() {
        "DONE" => Entry::Done(row.get("output")?),
        "REFUSED" => {
            Entry::Refused(Refusal::new(row.get::<String>("code")?, row.get::<String>("error")?))
        }
        "UNDONE" => Entry::Undone,
        other => return Err(no_state("state of a step", other).into()),
    }))
}

/// Writes what the ledger has of a step.
pub(crate) async fn put(
    tx: &mut Tx,
    key: &StepKey,
    fence: Fence,
    entry: &Entry,
    is_new: bool,
) -> Result<(), DbError> {
    let (state, output, refusal) = match entry {
        Entry::Done(json) => ("DONE", Some(json.as_str()), None),
        Entry::Refused(refusal) => ("REFUSED", None, Some(refusal)),
        Entry::Undone => ("UNDONE", None, None),
    };
    let now = tx.now().await?;
    let mut fields = fields! {
        "state" => state,
        "output" => output,
        "code" => refusal.map(|refusal| cut(&refusal.code, CODE_CHARS_MAX)),
        "error" => refusal.map(|refusal| cut(&refusal.message, ERROR_CHARS_MAX)),
        "fence" => int(fence.0),
        "asked_at" => now,
    };
    if is_new {
        fields.extend(fields! {"saga_id" => id(key.saga), "step" => key.step.as_str()});
        return tx.insert("saga_ledger", fields).await;
    }
    tx.update("saga_ledger", params![id(key.saga), key.step.as_str()], fields).await?;
    Ok(())
}

/// Takes away what was asked last before an instant, some; how many.
pub(crate) async fn forget(tx: &mut Tx, before: UnixMicros, limit: u32) -> Result<usize, DbError> {
    let sql = "select saga_id, step from saga_ledger where asked_at < ? order by asked_at limit ?";
    let rows = tx.query(sql, params![before, limit]).await?;
    for row in &rows {
        let (saga, step): (SagaId, String) = (row.id("saga_id")?, row.get("step")?);
        tx.delete("saga_ledger", params![id(saga), step]).await?;
    }
    Ok(rows.len())
}
