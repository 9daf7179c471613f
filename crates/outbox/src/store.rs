//! Rows: everything of this crate that is SQL.

use std::collections::BTreeSet;
use std::time::Duration;

use multi_master::{Db, DbError, Row, Tx, fields, id, params};
use stdx::UnixMicros;
use uuid::Uuid;

use crate::model::{Delivery, DeliveryId, EventId, Parked};
use crate::schema::{ERROR_CHARS_MAX, LINES};

/// Nobody may take it.
const NEVER: UnixMicros = UnixMicros(i64::MAX);

fn delivery(row: &Row) -> Result<Delivery, DbError> {
    Ok(Delivery {
        id: row.id("delivery_id")?,
        event_id: row.id("event_id")?,
        topic: row.get("topic")?,
        subscriber: row.get("subscriber")?,
        key: row.get("event_key")?,
        place: row.get("place")?,
        event: row.get::<String>("event")?.into(),
        emitted: row.get("emitted_at")?,
        attempt: row.get::<u32>("attempts")?.saturating_add(1),
    })
}

/// An event, as it is staged for each subscriber.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged<'a> {
    pub(crate) event_id: EventId,
    pub(crate) topic: &'a str,
    pub(crate) key: &'a str,
    pub(crate) event: &'a str,
    pub(crate) emitted: UnixMicros,
}

/// Whether all lines are there.
pub(crate) async fn has_lines(db: &mut Db) -> Result<bool, DbError> {
    let row = db.query_first("select count(*) as n from outbox_lines", params![]).await?;
    Ok(row.map_or(Ok(0), |row| row.get::<i64>("n"))? == LINES)
}

/// Makes the lines that are not there.
pub(crate) async fn make_lines(tx: &mut Tx) -> Result<(), DbError> {
    let there = tx.query("select line from outbox_lines", params![]).await?;
    let there: BTreeSet<i64> = there.iter().map(|row| row.get("line")).collect::<Result<_, _>>()?;
    for line in (0..LINES).filter(|line| !there.contains(line)) {
        tx.insert("outbox_lines", fields! {"line" => line, "last" => 0}).await?;
    }
    Ok(())
}

/// FNV-1a: a key is in the same line in every version of this program.
fn line_of(key: &str) -> i64 {
    let hash = key
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i64::from(hash) % LINES
}

/// Holds the line of a key until the commit, and gives out its next place.
async fn line_up(tx: &mut Tx, key: &str) -> Result<i64, DbError> {
    let line = line_of(key);
    let row = tx.get("outbox_lines", params![line]).await?;
    // They are made when the store can be written: come back in a moment.
    let place = row.ok_or(DbError::Busy)?.get::<i64>("last")? + 1;
    tx.update("outbox_lines", params![line], fields! {"last" => place}).await?;
    Ok(place)
}

/// Holds the line of a key until the commit.
async fn hold_line(tx: &mut Tx, key: &str) -> Result<(), DbError> {
    tx.get("outbox_lines", params![line_of(key)]).await.map(drop)
}

/// The first of a key that waits for a subscriber. Its line is held.
async fn first(tx: &mut Tx, subscriber: &str, key: &str) -> Result<Option<Row>, DbError> {
    let sql = "select * from outbox where subscriber = ? and event_key = ? and parked = 0 \
         order by place limit 1";
    tx.query_first(sql, params![subscriber, key]).await
}

/// From when one may be taken that is put behind those of its key. Its line is held.
async fn due(
    tx: &mut Tx,
    subscriber: &str,
    key: &str,
    now: UnixMicros,
) -> Result<UnixMicros, DbError> {
    Ok(if first(tx, subscriber, key).await?.is_some() { NEVER } else { now })
}

/// Stages one event for its subscribers, behind those of its key.
pub(crate) async fn stage(
    tx: &mut Tx,
    to: impl Iterator<Item = (DeliveryId, &str)>,
    staged: Staged<'_>,
) -> Result<(), DbError> {
    let place = line_up(tx, staged.key).await?;
    for (delivery, subscriber) in to {
        stage_one(tx, delivery, subscriber, staged, place).await?;
    }
    Ok(())
}

async fn stage_one(
    tx: &mut Tx,
    delivery: DeliveryId,
    subscriber: &str,
    staged: Staged<'_>,
    place: i64,
) -> Result<(), DbError> {
    let due = due(tx, subscriber, staged.key, staged.emitted).await?;
    let fields = fields! {
        "delivery_id" => id(delivery),
        "event_id" => id(staged.event_id),
        "topic" => staged.topic,
        "subscriber" => subscriber,
        "event_key" => staged.key,
        "place" => place,
        "event" => staged.event,
        "emitted_at" => staged.emitted,
        "due_at" => due,
        "attempts" => 0,
        "parked" => false,
    };
    tx.insert("outbox", fields).await
}

/// Takes what is due of a subscriber, the oldest first, for as long as the lease.
pub(crate) async fn take(
    tx: &mut Tx,
    subscriber: &str,
    owner: Uuid,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Delivery>, DbError> {
    let now = tx.now().await?;
    let sql = "select * from outbox where subscriber = ? and due_at <= ? order by due_at limit ?";
    let rows = tx.query(sql, params![subscriber, now, limit]).await?;
    let taken: Vec<Delivery> = rows.iter().map(delivery).collect::<Result<_, _>>()?;
    for one in &taken {
        lease_to(tx, one.id, owner, now.after(lease)).await?;
    }
    Ok(taken)
}

async fn lease_to(
    tx: &mut Tx,
    of: DeliveryId,
    owner: Uuid,
    until: UnixMicros,
) -> Result<(), DbError> {
    let fields = fields! {"due_at" => until, "owner_id" => Some(owner)};
    tx.update("outbox", params![id(of)], fields).await.map(drop)
}

/// Its row, where this owner has it still.
async fn mine(tx: &mut Tx, of: &Delivery, owner: Uuid) -> Result<bool, DbError> {
    let row = tx.get("outbox", params![id(of.id)]).await?;
    let Some(row) = row else { return Ok(false) };
    Ok(row.get::<Option<Uuid>>("owner_id")? == Some(owner) && !row.get::<bool>("parked")?)
}

/// The one before it is done with: the first of its key may be taken. Gives back that one,
/// taken.
async fn next_of(
    tx: &mut Tx,
    of: &Delivery,
    owner: Uuid,
    lease: Duration,
) -> Result<Option<Delivery>, DbError> {
    let Some(row) = first(tx, &of.subscriber, &of.key).await? else { return Ok(None) };
    let next = delivery(&row)?;
    let until = tx.now().await?.after(lease);
    lease_to(tx, next.id, owner, until).await?;
    Ok(Some(next))
}

/// It was delivered. Gives back the next of its key, taken.
pub(crate) async fn delivered(
    tx: &mut Tx,
    of: &Delivery,
    owner: Uuid,
    lease: Duration,
) -> Result<Option<Delivery>, DbError> {
    hold_line(tx, &of.key).await?;
    if !mine(tx, of, owner).await? {
        return Ok(None);
    }
    tx.delete("outbox", params![id(of.id)]).await?;
    next_of(tx, of, owner, lease).await
}

/// It was not delivered, and is tried again after a pause.
pub(crate) async fn failed(
    tx: &mut Tx,
    of: &Delivery,
    owner: Uuid,
    why: &str,
    pause: Duration,
) -> Result<(), DbError> {
    if mine(tx, of, owner).await? {
        let now = tx.now().await?;
        let fields = fields! {
            "due_at" => now.after(pause),
            "owner_id" => None::<Uuid>,
            "attempts" => of.attempt,
            "error" => cut(why),
        };
        tx.update("outbox", params![id(of.id)], fields).await?;
    }
    Ok(())
}

/// It is put aside for a person. Gives back the next of its key, taken.
pub(crate) async fn parked(
    tx: &mut Tx,
    of: &Delivery,
    owner: Uuid,
    why: &str,
    lease: Duration,
) -> Result<Option<Delivery>, DbError> {
    hold_line(tx, &of.key).await?;
    if !mine(tx, of, owner).await? {
        return Ok(None);
    }
    let fields = fields! {
        "due_at" => NEVER,
        "owner_id" => None::<Uuid>,
        "attempts" => of.attempt,
        "error" => cut(why),
        "parked" => true,
    };
    tx.update("outbox", params![id(of.id)], fields).await?;
    next_of(tx, of, owner, lease).await
}

/// What was taken and not begun: others may have it.
pub(crate) async fn give_back(tx: &mut Tx, of: &Delivery, owner: Uuid) -> Result<(), DbError> {
    if mine(tx, of, owner).await? {
        let fields = fields! {"due_at" => of.emitted, "owner_id" => None::<Uuid>};
        tx.update("outbox", params![id(of.id)], fields).await?;
    }
    Ok(())
}

/// What was put aside, the oldest first.
pub(crate) async fn list_parked(db: &mut Db, limit: u32) -> Result<Vec<Parked>, DbError> {
    let sql = "select * from outbox where parked = 1 order by emitted_at, delivery_id limit ?";
    let rows = db.query(sql, params![limit]).await?;
    let parked = |row: &Row| {
        let mut delivery = delivery(row)?;
        delivery.attempt -= 1;
        Ok(Parked { delivery, error: row.get::<Option<String>>("error")?.unwrap_or_default() })
    };
    rows.iter().map(parked).collect()
}

/// Has one tried again that was put aside: behind those of its key that wait now.
pub(crate) async fn replay(tx: &mut Tx, of: DeliveryId) -> Result<bool, DbError> {
    let Some(row) = tx.get("outbox", params![id(of)]).await? else { return Ok(false) };
    if !row.get::<bool>("parked")? {
        return Ok(false);
    }
    let now = tx.now().await?;
    let (subscriber, key): (String, String) = (row.get("subscriber")?, row.get("event_key")?);
    let place = line_up(tx, &key).await?;
    let due = due(tx, &subscriber, &key, now).await?;
    let fields = fields! {
        "place" => place,
        "due_at" => due,
        "attempts" => 0,
        "parked" => false,
    };
    tx.update("outbox", params![id(of)], fields).await?;
    Ok(true)
}

/// How many wait, of a subscriber, and since when the oldest does.
pub(crate) async fn backlog(
    db: &mut Db,
    subscriber: &str,
) -> Result<(u64, Option<UnixMicros>), DbError> {
    let sql = "select count(*) as n, min(emitted_at) as oldest from outbox \
         where subscriber = ? and parked = 0";
    let row = db.query_first(sql, params![subscriber]).await?;
    let Some(row) = row else { return Ok((0, None)) };
    Ok((row.get::<i64>("n")?.cast_unsigned(), row.get("oldest")?))
}

/// Whether a subscriber does it for the first time: then it has, once this write is saved.
pub(crate) async fn first_time(
    tx: &mut Tx,
    subscriber: &str,
    event: EventId,
) -> Result<bool, DbError> {
    if tx.get("outbox_inbox", params![subscriber, id(event)]).await?.is_some() {
        return Ok(false);
    }
    let now = tx.now().await?;
    let fields = fields! {"subscriber" => subscriber, "event_id" => id(event), "done_at" => now};
    tx.insert("outbox_inbox", fields).await?;
    Ok(true)
}

/// Takes away what was done before an instant, some; how many.
pub(crate) async fn forget(tx: &mut Tx, before: UnixMicros, limit: u32) -> Result<usize, DbError> {
    let sql = "select subscriber, event_id from outbox_inbox where done_at < ? \
         order by done_at limit ?";
    let rows = tx.query(sql, params![before, limit]).await?;
    for row in &rows {
        let (subscriber, event): (String, EventId) = (row.get("subscriber")?, row.id("event_id")?);
        tx.delete("outbox_inbox", params![subscriber, id(event)]).await?;
    }
    Ok(rows.len())
}

fn cut(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX as usize).collect()
}
