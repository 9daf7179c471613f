//! What a master says of its filling: persisted in its `mm_meta`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::tables::{self, read};
use crate::value::Value;

/// `mm_meta`: this master is being filled.
const COPYING: &str = "copying";
/// `mm_meta`: which log it has.
const LOG: &str = "log";
/// `mm_meta`: the marks of masters that have to be filled, by name.
const MARK: &str = "fill.";
/// `mm_meta`: after which marker of this one the filling of another needs them, by name.
const KEEP: &str = "keep.";

/// How far a filling is. Layout: JSON, under `copying`, written in the
/// transaction that puts the page before it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// From which master. Another one may lack what this one had.
    pub(crate) from: MasterName,
    /// Which log of that master ([`log`]): places in another say nothing.
    pub(crate) log: Option<Uuid>,
    /// Whatever is committed there after the first page was read has a marker
    /// after this place in the order in which they came.
    pub(crate) begun: i64,
    /// Rows copied, in all tables.
    pub(crate) rows: u64,
    /// What comes next.
    pub(crate) next: Next,
}

/// What a filling does next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Next {
    /// The tombstones after this table and key.
    Tombstones { after: Option<(String, Vec<u8>)> },
    /// The rows of this table, after this key.
    Rows { table: String, after: Option<Vec<Value>> },
    /// Settling what was changed meanwhile.
    Settling,
}

/// The position of a filling; `None` where there is none, or none that this
/// program can go on from.
pub(super) async fn position(link: &mut Link) -> Result<Option<Position>, Fault> {
    let rows = link.query("select val from mm_meta where k = ?", &[COPYING.into()]).await?;
    let val: Option<String> = rows.first().map(|row| read(row, "val")).transpose()?;
    Ok(val.and_then(|val| serde_json::from_str(&val).ok()))
}

/// Which log a master has: it is another whenever the master was emptied. `None`
/// of one that never was.
pub(crate) async fn log(link: &mut Link) -> Result<Option<Uuid>, Fault> {
    let rows = link.query("select val from mm_meta where k = ?", &[LOG.into()]).await?;
    let val: Option<String> = rows.first().map(|row| read(row, "val")).transpose()?;
    Ok(val.and_then(|val| Uuid::try_parse(&val).ok()))
}

/// Says that the log of a master, which is empty now, is another from here on.
pub(super) async fn new_log(link: &mut Link, log: Uuid) -> Result<(), Fault> {
    tables::note(link, LOG, log.to_string()).await?;
    tables::run(link, "delete from mm_meta where k = ?", vec![tables::TRIMMED_SEQ.into()]).await
}

/// Says that a master is being filled, and that nothing of it is there yet.
pub(super) async fn begin(link: &mut Link) -> Result<(), Fault> {
    tables::note(link, COPYING, "\"begun\"".to_owned()).await
}

impl Position {
    pub(super) async fn write(&self, link: &mut Link) -> Result<(), Fault> {
        let val = serde_json::to_string(self).expect("names, numbers and values are JSON");
        tables::note(link, COPYING, val).await
    }
}

/// Somebody decided that a master has to be filled. Layout: JSON, under
/// `fill.NAME`, on the masters that serve. It is taken away when that master serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Later marks have greater ids.
    pub(crate) id: Uuid,
    /// For people.
    pub(crate) why: String,
}

impl Mark {
    /// An entry of `mm_meta` that is a mark, with the name of the master.
    pub(crate) fn of(key: &str, val: &str) -> Option<(String, Self)> {
        Some((key.strip_prefix(MARK)?.to_owned(), serde_json::from_str(val).ok()?))
    }

    /// Tells a master that `about` has to be filled.
    pub(crate) async fn write(&self, link: &mut Link, about: &str) -> Result<(), Fault> {
        let val = serde_json::to_string(self).expect("texts are JSON");
        tables::note(link, &format!("{MARK}{about}"), val).await
    }
}

/// What a master says of others that are away, by name.
#[derive(Debug, Default)]
pub(crate) struct Away {
    pub(crate) marks: BTreeMap<String, Mark>,
    /// After which of its markers those are needed that came, for a filling that was
    /// begun and is not at its end.
    pub(crate) kept_after: BTreeMap<String, i64>,
}

impl Away {
    /// Whether it says something of one of these.
    pub(crate) fn names(&self, names: &[MasterName]) -> bool {
        let named = |name: &MasterName| {
            self.marks.contains_key(&name.0) || self.kept_after.contains_key(&name.0)
        };
        names.iter().any(named)
    }
}

pub(crate) async fn away(link: &mut Link) -> Result<Away, Fault> {
    let rows = link.query("select k, val from mm_meta", &[]).await?;
    let mut away = Away::default();
    for row in &rows {
        let (key, val): (String, String) = (read(row, "k")?, read(row, "val")?);
        if let Some(name) = key.strip_prefix(KEEP) {
            away.kept_after.extend(val.parse().ok().map(|after| (name.to_owned(), after)));
        } else {
            away.marks.extend(Mark::of(&key, &val));
        }
    }
    Ok(away)
}

/// Says that the filling of `about` needs what came after this marker.
pub(crate) async fn keep_after(link: &mut Link, about: &str, after: i64) -> Result<(), Fault> {
    tables::note(link, &format!("{KEEP}{about}"), after.to_string()).await
}

/// Says that no filling of `about` needs the log any more.
pub(crate) async fn keep_nothing(link: &mut Link, about: &str) -> Result<(), Fault> {
    let key = format!("{KEEP}{about}");
    tables::run(link, "delete from mm_meta where k = ?", vec![key.into()]).await
}

/// These serve, or are about to, with the transaction that is open.
pub(crate) async fn are_filled(link: &mut Link, names: &[MasterName]) -> Result<(), Fault> {
    for name in names {
        let keys = [MARK, KEEP].map(|what| format!("{what}{name}").into());
        let sql = "delete from mm_meta where k in (?, ?)";
        tables::run(link, sql, keys.into()).await?;
    }
    Ok(())
}

/// The filling is over: the master holds what `base` holds, and lacks the markers
/// that `base` lacks.
pub(crate) async fn end(base: &mut Link, link: &mut Link) -> Result<(), Fault> {
    let trimmed = tables::trimmed(base).await?;
    link.begin().await?;
    if let Some(trimmed) = trimmed {
        tables::note(link, "trimmed", trimmed.to_string()).await?;
    }
    tables::run(link, "delete from mm_meta where k = ?", vec![COPYING.into()]).await?;
    link.commit().await
}

/// Tells a master which others have to be filled, and no others: it may be all that is
/// left. What was needed of its own log, no filling needs any more.
pub(crate) async fn tell_marks(base: &mut Link, link: &mut Link) -> Result<(), Fault> {
    let marks = away(base).await?.marks;
    link.begin().await?;
    for what in [MARK, KEEP] {
        let sql = "delete from mm_meta where k like ?";
        tables::run(link, sql, vec![format!("{what}%").into()]).await?;
    }
    for (name, mark) in marks {
        mark.write(link, &name).await?;
    }
    link.commit().await
}
