//! Rows: everything of this crate that is SQL.

pub(crate) mod ledger;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use multi_master::{Db, DbError, Row, Tx, Value, fields, id, params};
use stdx::UnixMicros;
use uuid::Uuid;

use crate::machine::{Cause, Machine, StepRecord};
use crate::model::{Fence, SagaId, SagaState, StepState};
use crate::schema::{CODE_CHARS_MAX, ERROR_CHARS_MAX};

/// A saga's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SagaRow {
    pub(crate) id: SagaId,
    pub(crate) kind: String,
    pub(crate) version: u32,
    pub(crate) fingerprint: u64,
    pub(crate) state: SagaState,
    pub(crate) forward: bool,
    pub(crate) input: Arc<str>,
    pub(crate) cause: Option<Cause>,
    pub(crate) started: UnixMicros,
    pub(crate) finished: Option<UnixMicros>,
    pub(crate) owner: Option<Uuid>,
    pub(crate) lease_until: UnixMicros,
    pub(crate) fence: Fence,
    pub(crate) revision: u64,
    pub(crate) taken_over: u32,
}

/// Who writes, and what it bases its write on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grip {
    pub(crate) id: SagaId,
    pub(crate) owner: Uuid,
    pub(crate) fence: Fence,
    pub(crate) revision: u64,
}

/// Why an owner's write is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another one owns the saga, or nobody knows of it.
    Lost,
    /// Something was written that this write does not know of: its own, whose answer was lost.
    Stale,
    /// The store said no.
    Db(DbError),
}

impl From<DbError> for Refused {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

fn int(number: u64) -> Value {
    Value::Int(number.cast_signed())
}

fn number(row: &Row, column: &str) -> Result<u64, DbError> {
    Ok(row.get::<i64>(column)?.cast_unsigned())
}

/// As much of a text as its column takes.
fn cut(text: &str, chars_max: u32) -> String {
    text.chars().take(chars_max as usize).collect()
}

fn no_state(column: &str, name: &str) -> DbError {
    DbError::Shape(format!("`{name}` is no {column} that this program knows"))
}

fn saga_state(name: &str) -> Result<SagaState, DbError> {
    let known = SagaState::ALL.into_iter().find(|state| state.name() == name);
    known.ok_or_else(|| no_state("state of a saga", name))
}

fn saga_row(row: &Row) -> Result<SagaRow, DbError> {
    let cause = match (row.get::<Option<u32>>("cause_step")?, row.get("cause")?) {
        (Some(step), Some(message)) => {
            Some(Cause { step: step as usize, code: row.get("cause_code")?, message })
        }
        _ => None,
    };
    Ok(SagaRow {
        id: row.id("saga_id")?,
        kind: row.get("kind")?,
        version: row.get("version")?,
        fingerprint: number(row, "fingerprint")?,
        state: saga_state(&row.get::<String>("state")?)?,
        forward: row.get("forward")?,
        input: row.get::<String>("input")?.into(),
        cause,
        started: row.get("started_at")?,
        finished: row.get("finished_at")?,
        owner: row.get("owner_id")?,
        lease_until: row.get("lease_until")?,
        fence: Fence(number(row, "fence")?),
        revision: number(row, "revision")?,
        taken_over: row.get("taken_over")?,
    })
}

fn step_record(row: &Row) -> Result<StepRecord, DbError> {
    let name: String = row.get("state")?;
    let known = StepState::ALL.into_iter().find(|state| state.name() == name);
    Ok(StepRecord {
        state: known.ok_or_else(|| no_state("state of a step", &name))?,
        maybe_ran: row.get("maybe_ran")?,
        attempts: row.get("attempts")?,
        undo_attempts: row.get("undo_attempts")?,
        output: row.get("output")?,
        error: row.get("error")?,
        began: row.get("began_at")?,
        ended: row.get("ended_at")?,
        undone: row.get("undone_at")?,
    })
}

/// A saga's row.
pub(crate) async fn saga(db: &mut Db, of: SagaId) -> Result<Option<SagaRow>, DbError> {
    db.get("sagas", params![id(of)]).await?.as_ref().map(saga_row).transpose()
}

/// The rows of a saga's steps, by their places.
pub(crate) async fn steps(
    db: &mut Db,
    of: SagaId,
) -> Result<Vec<(usize, String, StepRecord)>, DbError> {
    let sql = "select step, name, state, maybe_ran, attempts, undo_attempts, output, error, \
         began_at, ended_at, undone_at from saga_steps where saga_id = ? order by step";
    let rows = db.query(sql, params![id(of)]).await?;
    let step =
        |row: &Row| Ok((row.get::<u32>("step")? as usize, row.get("name")?, step_record(row)?));
    rows.iter().map(step).collect()
}

/// A saga with its steps.
pub(crate) async fn whole(
    db: &mut Db,
    of: SagaId,
) -> Result<Option<(SagaRow, Vec<(usize, String, StepRecord)>)>, DbError> {
    let Some(row) = saga(db, of).await? else { return Ok(None) };
    Ok(Some((row, steps(db, of).await?)))
}

/// Which sagas are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Those in this state alone.
    pub state: Option<SagaState>,
    /// Those that began before.
    pub before: Option<UnixMicros>,
    /// At most so many, 1 to 1,000. Default 100.
    pub limit: Option<u32>,
}

/// The latest first.
pub(crate) async fn list(db: &mut Db, listing: &Listing) -> Result<Vec<SagaRow>, DbError> {
    let (state, mut params) = match listing.state {
        Some(state) => ("state = ? and", params![state.name()]),
        None => ("", Vec::new()),
    };
    params.push(listing.before.unwrap_or(UnixMicros(i64::MAX)).into());
    params.push(listing.limit.unwrap_or(100).clamp(1, 1_000).into());
    let sql = format!(
        "select * from sagas where {state} started_at < ? order by started_at desc, saga_id desc \
         limit ?"
    );
    db.query(&sql, params).await?.iter().map(saga_row).collect()
}

/// Definitions, as rows name them: kind, version, fingerprint.
pub(crate) type Known = Vec<(&'static str, u32, u64)>;

fn is_known(known: &Known) -> (String, Vec<Value>) {
    let one = "(kind = ? and version = ? and fingerprint = ?)";
    let params = known
        .iter()
        .flat_map(|(kind, version, fingerprint)| params![*kind, *version, int(*fingerprint)]);
    (vec![one; known.len()].join(" or "), params.collect())
}

/// Sagas of these definitions that nobody drives, those first that wait longest.
pub(crate) async fn abandoned(
    db: &mut Db,
    known: &Known,
    limit: u32,
) -> Result<Vec<SagaId>, DbError> {
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let (is_known, kinds) = is_known(known);
    let sql = format!(
        "select saga_id from sagas where active = 1 and lease_until <= ? and ({is_known}) \
         order by lease_until limit ?"
    );
    let mut params = params![db.now().await?];
    params.extend(kinds);
    params.push(limit.into());
    db.query(&sql, params).await?.iter().map(|row| row.id("saga_id")).collect()
}

/// Sagas that are not over and of none of these definitions.
pub(crate) async fn of_others(
    db: &mut Db,
    known: &Known,
    limit: u32,
) -> Result<Vec<SagaRow>, DbError> {
    let (is_known, mut params) = is_known(known);
    let others = if known.is_empty() { String::new() } else { format!("and not ({is_known})") };
    let sql = format!(
        "select * from sagas where state in ('RUNNING', 'COMPENSATING', 'STUCK') {others} \
         order by started_at limit ?"
    );
    params.push(limit.into());
    db.query(&sql, params).await?.iter().map(saga_row).collect()
}

/// How many sagas are in a state.
pub(crate) async fn count(db: &mut Db, state: SagaState) -> Result<u64, DbError> {
    let sql = "select count(*) as n from sagas where state = ?";
    let row = db.query_first(sql, params![state.name()]).await?;
    row.map_or(Ok(0), |row| number(&row, "n"))
}

/// Makes the row of a saga that begins. [`Grip::revision`] is 0 then, and 1 from here on.
pub(crate) async fn insert(
    tx: &mut Tx,
    row: &SagaRow,
    machine: &Machine,
    lease: Duration,
    now: UnixMicros,
) -> Result<(), DbError> {
    let mut fields = fields! {
        "saga_id" => id(row.id),
        "kind" => row.kind.as_str(),
        "version" => row.version,
        "fingerprint" => int(row.fingerprint),
        "input" => &*row.input,
        "started_at" => row.started,
        "fence" => int(row.fence.0),
    };
    fields.extend(moving(machine, row.owner, now.after(lease), now));
    fields.push(("revision", int(1)));
    tx.insert("sagas", fields).await?;
    save_steps(tx, row.id, machine, &BTreeSet::new()).await
}

/// The fields that each write sets.
fn moving(
    machine: &Machine,
    owner: Option<Uuid>,
    lease_until: UnixMicros,
    now: UnixMicros,
) -> Vec<(&'static str, Value)> {
    let cause = machine.cause();
    let is_active = machine.state().is_active();
    let step = cause.and_then(|cause| i64::try_from(cause.step).ok());
    fields! {
        "state" => machine.state().name(),
        "forward" => machine.is_forward(),
        "active" => is_active,
        "cause_step" => step,
        "cause_code" => cause
            .and_then(|cause| cause.code.as_deref())
            .map(|code| cut(code, CODE_CHARS_MAX)),
        "cause" => cause.map(|cause| cut(&cause.message, ERROR_CHARS_MAX)),
        "finished_at" => machine.state().is_over().then_some(now),
        "owner_id" => owner.filter(|_| is_active),
        "lease_until" => if is_active { lease_until } else { UnixMicros(0) },
        "taken_over" => 0,
    }
}

/// The saga's row, held, if this owner may write.
pub(crate) async fn hold(tx: &mut Tx, grip: &Grip) -> Result<SagaRow, Refused> {
    let row = saga(tx, grip.id).await?.ok_or(Refused::Lost)?;
    if row.fence != grip.fence || row.owner != Some(grip.owner) {
        // The last write of a saga takes its owner away: where it is ours it is no loss.
        let is_ours = row.fence == grip.fence && row.revision == grip.revision + 1;
        return Err(if is_ours { Refused::Stale } else { Refused::Lost });
    }
    if row.revision != grip.revision {
        return Err(Refused::Stale);
    }
    Ok(row)
}

/// Writes what changed, once `row` is [held](hold). Whether the saga's own row was written:
/// where steps went forward it says nothing new, and stays as it is. Then the rows of steps
/// that were not there before refuse a write that is based on another one.
pub(crate) async fn save(
    tx: &mut Tx,
    row: &SagaRow,
    machine: &Machine,
    stored: &BTreeSet<usize>,
    lease: Duration,
    now: UnixMicros,
) -> Result<bool, Refused> {
    let is_said = row.state == machine.state()
        && row.forward == machine.is_forward()
        && (row.cause.is_none() && machine.cause().is_none())
        && row.taken_over == 0
        && row.lease_until >= now.after(lease / 2)
        && machine.changed().is_disjoint(stored);
    if !is_said {
        let mut fields = moving(machine, row.owner, now.after(lease), now);
        fields.push(("revision", int(row.revision + 1)));
        tx.update("sagas", params![id(row.id)], fields).await?;
    }
    save_steps(tx, row.id, machine, stored).await?;
    Ok(!is_said)
}

/// Whether a write was refused because the row of a step was there that it was to make.
pub(crate) fn is_stale(error: &DbError) -> bool {
    matches!(error, DbError::Duplicate { table, .. } if table == "saga_steps")
}

async fn save_steps(
    tx: &mut Tx,
    saga: SagaId,
    machine: &Machine,
    stored: &BTreeSet<usize>,
) -> Result<(), DbError> {
    for at in machine.changed() {
        let step = &machine.steps()[*at];
        let place = i64::try_from(*at).expect("a saga has 100 steps at most");
        let mut fields = fields! {
            "state" => step.state.name(),
            "maybe_ran" => step.maybe_ran,
            "attempts" => step.attempts,
            "undo_attempts" => step.undo_attempts,
            "output" => step.output.as_deref(),
            "error" => step.error.as_deref().map(|error| cut(error, ERROR_CHARS_MAX)),
            "began_at" => step.began,
            "ended_at" => step.ended,
            "undone_at" => step.undone,
        };
        if stored.contains(at) {
            tx.update("saga_steps", params![id(saga), place], fields).await?;
        } else {
            let name = machine.shape().steps[*at].name;
            fields.extend(fields! {"saga_id" => id(saga), "step" => place, "name" => name});
            tx.insert("saga_steps", fields).await?;
        }
    }
    Ok(())
}

/// Makes `owner` the owner of a saga that nobody drives; nothing where somebody does.
pub(crate) async fn take_over(
    tx: &mut Tx,
    of: SagaId,
    owner: Uuid,
    lease: Duration,
) -> Result<Option<SagaRow>, DbError> {
    let now = tx.now().await?;
    let Some(mut row) = saga(tx, of).await? else { return Ok(None) };
    if !row.state.is_active() || row.lease_until > now {
        return Ok(None);
    }
    row.owner = Some(owner);
    row.fence = Fence(row.fence.0 + 1);
    row.revision += 1;
    // One that was let go was not taken from a process that died over it.
    if row.lease_until > UnixMicros(0) {
        row.taken_over = row.taken_over.saturating_add(1);
    }
    row.lease_until = now.after(lease);
    let fields = fields! {
        "owner_id" => row.owner,
        "fence" => int(row.fence.0),
        "revision" => int(row.revision),
        "taken_over" => row.taken_over,
        "lease_until" => row.lease_until,
    };
    tx.update("sagas", params![id(of)], fields).await?;
    Ok(Some(row))
}

/// Makes leases longer, of those sagas that this owner still has. Gives back those it has not.
pub(crate) async fn renew(
    tx: &mut Tx,
    owner: Uuid,
    of: &[(SagaId, Fence)],
    lease: Duration,
) -> Result<Vec<SagaId>, DbError> {
    let until = tx.now().await?.after(lease);
    let mut lost = Vec::new();
    for (saga_id, fence) in of {
        match saga(tx, *saga_id).await? {
            Some(row) if row.fence == *fence && row.owner == Some(owner) => {
                tx.update("sagas", params![id(*saga_id)], fields! {"lease_until" => until}).await?;
            }
            _ => lost.push(*saga_id),
        }
    }
    Ok(lost)
}

/// Lets somebody else have a saga at once.
pub(crate) async fn let_go(tx: &mut Tx, grip: &Grip) -> Result<(), Refused> {
    hold(tx, grip).await?;
    let fields = fields! {"lease_until" => UnixMicros(0), "owner_id" => None::<Uuid>};
    tx.update("sagas", params![id(grip.id)], fields).await?;
    Ok(())
}

/// An operator's decision: whoever drove the saga before drives it no more.
pub(crate) async fn decide(
    tx: &mut Tx,
    row: &SagaRow,
    machine: &Machine,
    stored: &BTreeSet<usize>,
    now: UnixMicros,
) -> Result<(), DbError> {
    let mut fields = moving(machine, None, UnixMicros(0), now);
    fields.push(("revision", int(row.revision + 1)));
    fields.push(("fence", int(row.fence.0 + 1)));
    tx.update("sagas", params![id(row.id)], fields).await?;
    save_steps(tx, row.id, machine, stored).await
}

/// Takes away sagas that were over before an instant, some; how many they were.
pub(crate) async fn forget(tx: &mut Tx, before: UnixMicros, limit: u32) -> Result<usize, DbError> {
    let sql = "select saga_id from sagas where state in ('COMPLETED', 'COMPENSATED') \
         and started_at < ? and finished_at < ? order by started_at limit ?";
    let rows = tx.query(sql, params![before, before, limit]).await?;
    for row in &rows {
        let of: SagaId = row.id("saga_id")?;
        for (at, _, _) in steps(tx, of).await? {
            let place = i64::try_from(at).expect("it was read from a number");
            tx.delete("saga_steps", params![id(of), place]).await?;
        }
        tx.delete("sagas", params![id(of)]).await?;
    }
    Ok(rows.len())
}
