//! The tables of ours on every master, and the migrations of the program's.

use std::collections::BTreeMap;

use stdx::HybridTime;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::copy::Mark;
#[cfg(doc)]
use crate::copy::Position;
use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::render::{self, Dialect, Rows, Statement};
use crate::sabotage::{Point, reached};
use crate::schema::{Migration, Step};
use crate::value::Value;
use crate::write_set;

/// | table | a row says |
/// |---|---|
/// | `mm_meta` | `set_id`, `name`: which master of which set this is; `copying`: it is being filled, and how far that is ([`Position`]); `filled_for`: the last [`Mark`] for which it was filled; `fill.NAME`: the [`Mark`] of a master that has to be filled; `keep.NAME`: after which marker its filling needs them; `trimmed`, `trimmed_seq`: markers up to this id, and none that came after this one, were taken away; `log`: an id of its log, which is another when it was emptied |
/// | `mm_epoch` | the epoch in force; writers share it, who changes it holds it alone |
/// | `mm_log` | a marker: this transaction committed here (or never will, `aborted`); `seq`: in which order markers came to this master |
/// | `mm_tombstones` | this row was deleted at this version |
/// | `mm_conflicts` | what lost against a row of another master, kept for people |
/// | `mm_migrations` | this step of this migration is done |
fn create(dialect: Dialect) -> Vec<String> {
    let (id, name, key, blob, text, seq) = match dialect {
        Dialect::Sqlite => ("blob", "text", "blob", "blob", "text", "integer"),
        Dialect::MariaDb | Dialect::MySql => (
            "binary(16)",
            "varchar(64)",
            "varbinary(2784)",
            "longblob",
            "longtext",
            "bigint not null auto_increment",
        ),
    };
    let options = render::table_options(dialect);
    [
        format!("mm_meta (k {name} not null, val {text} not null, primary key (k))"),
        "mm_epoch (id bigint not null, epoch bigint not null, primary key (id))".to_owned(),
        format!(
            "mm_log (seq {seq}, txid {id} not null, epoch bigint not null, \
             aborted bigint not null, ops {blob} not null, primary key (seq), unique (txid))"
        ),
        format!(
            "mm_tombstones (tbl {name} not null, k {key} not null, v bigint not null, \
             primary key (tbl, k))"
        ),
        format!(
            "mm_conflicts (txid {id} not null, reason {text} not null, ops {blob} not null, \
             found_at bigint not null, primary key (txid))"
        ),
        format!(
            "mm_migrations (name {name} not null, step bigint not null, digest bigint not null, \
             primary key (name, step))"
        ),
    ]
    .map(|table| {
        // SQLite counts only the rows of tables that have numbers for them.
        let counted = dialect == Dialect::Sqlite && table.starts_with("mm_log ");
        format!("create table if not exists {table}{}", if counted { "" } else { &options })
    })
    .into()
}

fn statement(sql: &'static str, params: Vec<Value>) -> Statement {
    Statement { sql: sql.into(), params, rows: Rows::Any, table: "mm_meta" }
}

/// What a master says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The set that it belongs to; none: it was never used.
    pub(crate) set: Option<Uuid>,
    /// Its name there.
    pub(crate) name: Option<String>,
    /// It was being filled from another when something stopped.
    pub(crate) copying: bool,
    /// The last mark for which it was filled.
    pub(crate) filled_for: Option<Uuid>,
    /// Which masters of its set have to be filled, as far as it knows.
    pub(crate) marks: BTreeMap<String, Mark>,
    /// Markers up to this one were taken away.
    pub(crate) trimmed: Option<Uuid>,
    /// Its epoch row.
    pub(crate) epoch: u64,
    /// The last transaction that it has.
    pub(crate) last: Option<Uuid>,
}

/// Makes our tables where they are missing and asks the master who it is.
pub(crate) async fn identify(link: &mut Link) -> Result<Identity, Fault> {
    for sql in create(link.dialect()) {
        link.batch(&sql).await?;
    }
    who(link).await
}

/// Asks a master who it is.
pub(crate) async fn who(link: &mut Link) -> Result<Identity, Fault> {
    let mut identity = who_by_meta(link).await?;
    identity.epoch = epoch(link).await?.unwrap_or(0);
    identity.last = last_txid(link).await?;
    Ok(identity)
}

/// As [`who`], without its epoch and its last transaction.
pub(crate) async fn who_by_meta(link: &mut Link) -> Result<Identity, Fault> {
    let mut identity = Identity::default();
    for row in link.query("select k, val from mm_meta", &[]).await? {
        let (key, val): (String, String) = (read(&row, "k")?, read(&row, "val")?);
        match key.as_str() {
            "set_id" => identity.set = Uuid::try_parse(&val).ok(),
            "name" => identity.name = Some(val),
            "copying" => identity.copying = true,
            "trimmed" => identity.trimmed = Uuid::try_parse(&val).ok(),
            "filled_for" => identity.filled_for = Uuid::try_parse(&val).ok(),
            key => identity.marks.extend(Mark::of(key, &val)),
        }
    }
    Ok(identity)
}

/// The newest marker of a master.
pub(crate) async fn last_txid(link: &mut Link) -> Result<Option<Uuid>, Fault> {
    let rows = link.query("select txid from mm_log order by txid desc limit 1", &[]).await?;
    rows.first().map(|row| read(row, "txid")).transpose()
}

/// How far the markers of a master go, in the order in which they came.
pub(crate) async fn last_seq(link: &mut Link) -> Result<i64, Fault> {
    let rows = link.query("select seq from mm_log order by seq desc limit 1", &[]).await?;
    rows.first().map_or(Ok(0), |row| read(row, "seq"))
}

/// `mm_meta`: see [`trimmed_seq`].
pub(crate) const TRIMMED_SEQ: &str = "trimmed_seq";

/// The last marker, in the order in which they came, that was taken away.
pub(crate) async fn trimmed_seq(link: &mut Link) -> Result<i64, Fault> {
    let sql = "select val from mm_meta where k = ?";
    let rows = link.query_locked(sql, &[TRIMMED_SEQ.into()]).await?;
    let val: Option<String> = rows.first().map(|row| read(row, "val")).transpose()?;
    Ok(val.and_then(|val| val.parse().ok()).unwrap_or(0))
}

/// Up to which marker a master's were taken away.
pub(crate) async fn trimmed(link: &mut Link) -> Result<Option<Uuid>, Fault> {
    let rows =
        link.query_locked("select val from mm_meta where k = ?", &["trimmed".into()]).await?;
    let val: Option<String> = rows.first().map(|row| read(row, "val")).transpose()?;
    Ok(val.and_then(|val| Uuid::try_parse(&val).ok()))
}

/// Writes one entry of `mm_meta`.
pub(crate) async fn note(link: &mut Link, key: &str, val: String) -> Result<(), Fault> {
    run(link, "replace into mm_meta (k, val) values (?, ?)", vec![key.into(), val.into()]).await
}

/// Tells a master which one of which set it is, with `copying` when it has yet
/// to be filled from another.
pub(crate) async fn adopt(
    link: &mut Link,
    set: Uuid,
    name: &MasterName,
    epoch: u64,
    copying: bool,
) -> Result<(), Fault> {
    link.begin().await?;
    if copying {
        note(link, "copying", "1".to_owned()).await?;
    }
    note(link, "set_id", set.to_string()).await?;
    note(link, "name", name.0.clone()).await?;
    set_epoch(link, epoch).await?;
    link.commit().await
}

/// Runs one statement of ours.
pub(crate) async fn run(
    link: &mut Link,
    sql: &'static str,
    params: Vec<Value>,
) -> Result<(), Fault> {
    link.push(&statement(sql, params)).await?;
    link.flush().await
}

/// The epoch row.
pub(crate) async fn epoch(link: &mut Link) -> Result<Option<u64>, Fault> {
    epoch_by(link, "select epoch from mm_epoch where id = 1").await
}

/// The epoch row, which nobody changes until the transaction ends.
pub(crate) async fn epoch_shared(link: &mut Link) -> Result<Option<u64>, Fault> {
    match link.dialect() {
        // A SQLite transaction that writes holds all of the file.
        Dialect::Sqlite => epoch(link).await,
        Dialect::MariaDb | Dialect::MySql => {
            epoch_by(link, "select epoch from mm_epoch where id = 1 lock in share mode").await
        }
    }
}

async fn epoch_by(link: &mut Link, sql: &str) -> Result<Option<u64>, Fault> {
    let rows = link.query(sql, &[]).await?;
    let epoch: Option<i64> = rows.first().map(|row| read(row, "epoch")).transpose()?;
    Ok(epoch.and_then(|epoch| u64::try_from(epoch).ok()))
}

/// The version at which a row was deleted, where it was.
pub(crate) async fn buried(
    link: &mut Link,
    table: &'static str,
    key: &[Value],
) -> Result<Option<HybridTime>, Fault> {
    let rows = link
        .query(
            "select v from mm_tombstones where tbl = ? and k = ?",
            &[table.into(), Value::Bytes(write_set::key_bytes(key))],
        )
        .await?;
    rows.first().map(|row| read(row, "v")).transpose()
}

/// The newest version at which one of these rows was deleted, of those that are not
/// older than the row that is now in its place.
pub(crate) async fn newer_deletion(
    link: &mut Link,
    rows: &[(&'static str, Vec<u8>, HybridTime)],
) -> Result<Option<HybridTime>, Fault> {
    let mut by_table: BTreeMap<&str, BTreeMap<&[u8], HybridTime>> = BTreeMap::new();
    for (table, key, version) in rows {
        by_table.entry(table).or_default().insert(key, *version);
    }
    let (mut any, mut params) = (Vec::new(), Vec::new());
    for (table, keys) in &by_table {
        any.push(format!("(tbl = ? and k in ({}))", vec!["?"; keys.len()].join(", ")));
        params.push((*table).into());
        params.extend(keys.keys().map(|key| Value::Bytes(key.to_vec())));
    }
    let sql = format!("select tbl, k, v from mm_tombstones where {}", any.join(" or "));
    let mut newest = None;
    for row in link.query(&sql, &params).await? {
        let (table, key): (String, Vec<u8>) = (read(&row, "tbl")?, read(&row, "k")?);
        let deleted: HybridTime = read(&row, "v")?;
        let inserted = by_table.get(table.as_str()).and_then(|keys| keys.get(key.as_slice()));
        if inserted.is_some_and(|inserted| *inserted <= deleted) {
            newest = newest.max(Some(deleted));
        }
    }
    Ok(newest)
}

/// Writes the epoch row, in the transaction that is open.
pub(crate) async fn set_epoch(link: &mut Link, epoch: u64) -> Result<(), Fault> {
    let epoch = i64::try_from(epoch).expect("epochs are counted up from 1");
    let sql = "replace into mm_epoch (id, epoch) values (1, ?)";
    link.push(&statement(sql, vec![epoch.into()])).await
}

/// A step of a migration that a master does not have yet.
pub(crate) struct MissingStep<'a> {
    pub(crate) migration: &'static str,
    at: i64,
    digest: i64,
    step: &'a Step,
}

/// Applies the migrations that a master does not have yet.
pub(crate) async fn migrate(
    link: &mut Link,
    name: &MasterName,
    migrations: &[Migration],
) -> Result<(), Migrate> {
    for MissingStep { migration, at, digest, step } in missing(link, migrations).await? {
        tracing::info!(master = %name, migration, step = at + 1, "migrating");
        apply(
            link,
            render::step(step, link.dialect()),
            statement(
                "replace into mm_migrations (name, step, digest) values (?, ?, ?)",
                vec![migration.into(), at.into(), digest.into()],
            ),
        )
        .await?;
    }
    Ok(())
}

/// The steps that a master does not have yet, in order.
pub(crate) async fn missing<'a>(
    link: &mut Link,
    migrations: &'a [Migration],
) -> Result<Vec<MissingStep<'a>>, Migrate> {
    let mut done: BTreeMap<(String, i64), i64> = BTreeMap::new();
    for row in link.query("select name, step, digest from mm_migrations", &[]).await? {
        done.insert((read(&row, "name")?, read(&row, "step")?), read(&row, "digest")?);
    }
    for (migration, _) in done.keys() {
        if !migrations.iter().any(|known| known.name == migration) {
            return Err(Migrate::Refused(format!(
                "it has the migration `{migration}`, which this program does not know: it was \
                 last used by a newer one. Use that one, or a copy of the store from before"
            )));
        }
    }
    if let Some((name, _)) = done.keys().find(|(name, step)| {
        let steps = migrations.iter().find(|known| known.name == name).map_or(0, |m| m.steps.len());
        usize::try_from(*step).map_or(true, |step| step >= steps)
    }) {
        return Err(Migrate::Refused(format!(
            "its migration `{name}` has more steps than this program's: a released migration must \
             not be edited"
        )));
    }
    let mut missing: Vec<MissingStep<'_>> = Vec::new();
    for migration in migrations {
        for (at, step) in (0i64..).zip(migration.steps) {
            let digest = digest(step);
            let migration = migration.name;
            match (done.get(&(migration.to_owned(), at)), missing.first()) {
                (None, _) => missing.push(MissingStep { migration, at, digest, step }),
                // Columns are known by their place: what is new comes after what
                // is there.
                (Some(_), Some(before)) => {
                    return Err(Migrate::Refused(format!(
                        "it has the migration `{migration}` and not `{}`, which comes before it: \
                         a new migration goes to the end of the list",
                        before.migration
                    )));
                }
                (Some(known), None) if *known == digest => {}
                (Some(_), None) => {
                    return Err(Migrate::Refused(format!(
                        "its migration `{migration}`, step {}, is another than this program's: a \
                         released migration must not be edited",
                        at + 1
                    )));
                }
            }
        }
    }
    Ok(missing)
}

/// Of a step of a migration, in one rendering, whatever the master's kind is, so
/// that a store can move to the other kind.
fn digest(step: &Step) -> i64 {
    xxh3_64(render::step(step, Dialect::MariaDb).join(";").as_bytes()).cast_signed()
}

/// Which migrations a master has.
#[derive(Debug)]
pub(crate) enum Migrated {
    /// These many of the program's, all of their steps, and no others.
    All(usize),
    /// It is another program's, for this reason.
    Otherwise(String),
}

/// Which of the program's migrations a master has. Nothing is applied.
pub(crate) async fn migrated(link: &mut Link, migrations: &[Migration]) -> Result<Migrated, Fault> {
    let mut done: BTreeMap<(String, i64), i64> = BTreeMap::new();
    for row in link.query("select name, step, digest from mm_migrations", &[]).await? {
        done.insert((read(&row, "name")?, read(&row, "step")?), read(&row, "digest")?);
    }
    let mut count = 0;
    for migration in migrations {
        let steps = (0i64..).zip(migration.steps);
        let here: Vec<Option<bool>> = steps
            .map(|(at, step)| {
                let known = done.remove(&(migration.name.to_owned(), at));
                known.map(|known| known == digest(step))
            })
            .collect();
        if here.iter().all(Option::is_none) && !here.is_empty() {
            break;
        }
        if here.contains(&Some(false)) {
            return Ok(Migrated::Otherwise(format!(
                "has another migration `{}` than this program",
                migration.name
            )));
        }
        if here.contains(&None) {
            return Ok(Migrated::Otherwise(format!(
                "has only a part of the migration `{}`: start a server on it once",
                migration.name
            )));
        }
        count += 1;
    }
    Ok(match done.keys().next() {
        Some((name, _)) => Migrated::Otherwise(format!(
            "has the migration `{name}`, which this program does not know: it was made by a newer \
             one. Use that one"
        )),
        None => Migrated::All(count),
    })
}

/// One step and the note that it is done: one transaction where the engine can,
/// and where it can't, statements that a second attempt passes over.
async fn apply(link: &mut Link, sql: Vec<String>, note: Statement) -> Result<(), Fault> {
    if link.dialect() == Dialect::Sqlite {
        link.begin().await?;
        for sql in sql {
            link.batch(&sql).await?;
        }
        link.push(&note).await?;
        reached(Point::Migrating);
        return link.commit().await;
    }
    for sql in sql {
        link.alter(&sql).await?;
    }
    reached(Point::Migrating);
    link.push(&note).await?;
    link.flush().await
}

/// Why migrations were not applied.
#[derive(Debug)]
pub(crate) enum Migrate {
    Fault(Fault),
    Refused(String),
}

impl From<Fault> for Migrate {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A column of one of our own tables.
pub(crate) fn read<T: crate::value::FromValue>(
    row: &crate::value::Row,
    name: &str,
) -> Result<T, Fault> {
    row.get(name).map_err(Fault::Refused)
}
