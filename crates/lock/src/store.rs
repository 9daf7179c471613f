//! Rows: everything of this crate that is SQL.

use std::time::Duration;

use multi_master::{
    Column, Db, DbError, Kind, Migration, Row, Step, Table, Tx, Value, fields, params,
};
use stdx::UnixMicros;
use uuid::Uuid;

use crate::backend::Asked;
use crate::fence::Fence;
use crate::locks::NAME_CHARS_MAX;

/// To be put among the migrations of a store that has locks, or is protected by some.
pub const MIGRATIONS: &[Migration] =
    &[Migration { name: "lock-1", steps: &[Step::CreateTable(LOCKS), Step::CreateTable(FENCES)] }];

/// A row for each lock that ever was: what makes its number rise.
const LOCKS: Table = Table {
    name: "locks",
    key: &["name"],
    columns: &[
        Column::new("name", Kind::Text { chars_max: NAME_CHARS_MAX }),
        Column::nullable("owner_id", Kind::Id),
        // By the clock of the database.
        Column::new("held_until", Kind::Time),
        Column::new("fence", Kind::Int),
    ],
    indexes: &[],
};

/// The greatest number that has written under a lock.
const FENCES: Table = Table {
    name: "lock_fences",
    key: &["name"],
    columns: &[
        Column::new("name", Kind::Text { chars_max: NAME_CHARS_MAX }),
        Column::new("fence", Kind::Int),
    ],
    indexes: &[],
};

fn int(fence: Fence) -> Value {
    Value::Int(fence.0.cast_signed())
}

pub(crate) async fn greatest(tx: &mut Tx, name: &str) -> Result<Option<Fence>, DbError> {
    let row = tx.get("lock_fences", params![name]).await?;
    row.map(|row| row.get::<i64>("fence").map(|fence| Fence(fence.cast_unsigned()))).transpose()
}

pub(crate) async fn put_greatest(
    tx: &mut Tx,
    name: &str,
    fence: Fence,
    is_new: bool,
) -> Result<(), DbError> {
    let mut row = fields! {"fence" => int(fence)};
    if is_new {
        row.push(("name", name.into()));
        return tx.insert("lock_fences", row).await;
    }
    tx.update("lock_fences", params![name], row).await?;
    Ok(())
}

pub(crate) async fn acquire(
    tx: &mut Tx,
    name: &str,
    owner: Uuid,
    ttl: Duration,
) -> Result<Asked, DbError> {
    let now = tx.now().await?;
    let row = tx.get("locks", params![name]).await?;
    let held_until = row.as_ref().map(|row| row.get::<UnixMicros>("held_until")).transpose()?;
    if let Some(until) = held_until.filter(|until| *until > now) {
        return Ok(Asked::Busy { left: Some(until.since(now)) });
    }
    let last = row.as_ref().map(|row| row.get::<i64>("fence")).transpose()?;
    let fence = Fence(last.map_or(1, |last| last.cast_unsigned() + 1));
    let mut fields = fields! {
        "owner_id" => Some(owner),
        "held_until" => now.after(ttl),
        "fence" => int(fence),
    };
    if last.is_some() {
        tx.update("locks", params![name], fields).await?;
    } else {
        fields.push(("name", name.into()));
        tx.insert("locks", fields).await?;
    }
    Ok(Asked::Got(fence))
}

/// Whether this owner has it still.
pub(crate) async fn holds(db: &mut Db, name: &str, owner: Uuid) -> Result<bool, DbError> {
    let now = db.now().await?;
    let Some(row) = db.get("locks", params![name]).await? else { return Ok(false) };
    is_held_by(&row, owner, now)
}

fn is_held_by(row: &Row, owner: Uuid, now: UnixMicros) -> Result<bool, DbError> {
    Ok(row.get::<Option<Uuid>>("owner_id")? == Some(owner)
        && row.get::<UnixMicros>("held_until")? > now)
}

/// For how long from now; zero to let it go. False where somebody else has it, or nobody.
pub(crate) async fn hold_for(
    tx: &mut Tx,
    name: &str,
    owner: Uuid,
    ttl: Duration,
) -> Result<bool, DbError> {
    let now = tx.now().await?;
    let Some(row) = tx.get("locks", params![name]).await? else { return Ok(false) };
    if !is_held_by(&row, owner, now)? {
        return Ok(false);
    }
    let owner = (!ttl.is_zero()).then_some(owner);
    let fields = fields! {"owner_id" => owner, "held_until" => now.after(ttl)};
    tx.update("locks", params![name], fields).await?;
    Ok(true)
}
