//! Filling a master from another, while writes go on there, and going on where a
//! filling was stopped.
//!
//! A page of rows and the [`Position`] after it are one transaction on the master
//! that is filled. The rows are of many moments: each page shows what was
//! committed when it was read. What makes one moment of them is the log of the
//! base, which is applied afterwards ([`crate::settle::Rule::Fill`]):
//!
//! > *Invariant.* `begun` is a place in the order in which markers came to the
//! > base, such that whatever is committed there after the first page was read
//! > has a later one. While no marker after `begun` was taken away
//! > (`trimmed_seq <= begun`), every row that was copied too early is in a marker
//! > that the base still has, with all of its values.
//!
//! So a filling is taken up exactly where that holds, on the same base with the
//! same log, and begun anew elsewhere. Rows are made the same by version, so a page
//! may be of any moment after `begun`. A unique value that has moved from one row
//! to another between two pages is in two rows: the later page wins, and the row
//! that goes has a marker after `begun`, which brings it back as it is now.

mod alone;
mod page;
mod position;
mod progress;
#[cfg(test)]
mod tests;

use stdx::ids::Id as _;
use uuid::Uuid;

use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::render::Dialect;
use crate::sabotage::{Point, reached};
use crate::schema::{Schema, TableInfo};
use crate::settle::At;
use crate::shared::Shared;
use crate::tables::{self, read};
use crate::value::{Row, Value};

pub(crate) use self::alone::keep as keep_what_it_alone_held;
use self::page::later;
pub(crate) use self::page::{InTheWay, PAGE_ROWS_MAX, next_rows, page, put, put_into};
pub(crate) use self::position::{
    Mark, Position, are_filled, away, end, keep_nothing, log, tell_marks,
};
use self::position::{Next, begin, keep_after, new_log, position};
pub(crate) use self::progress::Copies;
pub use self::progress::{CopyPhase, CopyProgress};

/// The columns of `mm_tombstones`.
pub(crate) const TOMBSTONE: &str = "tbl, k, v";

/// A filling of one master from another.
pub(crate) struct Filling<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) at: usize,
    pub(crate) from: &'a MasterName,
    pub(crate) to: &'a MasterName,
    /// For which mark, where there is one.
    pub(crate) mark: Option<Uuid>,
    /// The mark for which it was filled last, or is being filled.
    pub(crate) filled_for: Option<Uuid>,
    /// [`PAGE_ROWS_MAX`], or fewer in tests.
    pub(crate) rows_max: usize,
}

impl Filling<'_> {
    /// Copies what is not there yet; then everything that has to be settled is in
    /// the log of `base`. Returns the rows copied, by earlier attempts too.
    pub(crate) async fn run(&self, base: &mut Link, link: &mut Link) -> Result<u64, At> {
        let schema = &self.shared.schema;
        let trimmed = tables::trimmed_seq(base).await.map_err(At::From)?;
        let log = log(base).await.map_err(At::From)?;
        let position = position(link).await.map_err(At::To)?;
        let goes_on = position.filter(|position| {
            position.from == *self.from
                && position.log == log
                && trimmed <= position.begun
                && self.mark <= self.filled_for
                && position.is_known(schema)
        });
        let mut progress = CopyProgress {
            to: self.to.clone(),
            from: self.from.clone(),
            phase: CopyPhase::Emptying,
            rows: 0,
            rows_expected: 0,
            rows_per_second: 0,
            resumed_at: None,
        };
        let mut position = if let Some(position) = goes_on {
            progress.rows = position.rows;
            progress.resumed_at = Some(position.rows);
            let rows = position.rows;
            tracing::warn!(master = %self.to, rows, "a filling goes on where it was stopped");
            self.shared.copies.begin(self.at, progress);
            position
        } else {
            self.shared.copies.begin(self.at, progress);
            // Nothing is needed of the log before now.
            keep_after(base, &self.to.0, i64::MAX).await.map_err(At::From)?;
            self.begin(base, link).await?
        };
        keep_after(base, &self.to.0, position.begun).await.map_err(At::From)?;
        self.shared.copies.expect(self.at, expected(base, schema).await);
        loop {
            let phase = match &position.next {
                Next::Tombstones { .. } => CopyPhase::Copying("mm_tombstones".to_owned()),
                Next::Rows { table, .. } => CopyPhase::Copying(table.clone()),
                Next::Settling => CopyPhase::Settling,
            };
            self.shared.copies.tell(self.at, phase, position.rows);
            // Between two pages whoever waits for this may give it up.
            tokio::task::yield_now().await;
            match position.next.clone() {
                Next::Tombstones { after } => {
                    self.tombstones(base, link, &mut position, after).await?;
                }
                Next::Rows { table, after } => {
                    let info = schema.table(&table).map_err(|why| At::To(Fault::Refused(why)))?;
                    self.rows(base, link, &mut position, info, after).await?;
                }
                Next::Settling => return Ok(position.rows),
            }
        }
    }

    /// Takes away what is there, and notes from which marker on the log is
    /// needed.
    async fn begin(&self, base: &mut Link, link: &mut Link) -> Result<Position, At> {
        // Until the next note nothing that is there counts.
        begin(link).await.map_err(At::To)?;
        wipe(link, &self.shared.schema).await.map_err(At::To)?;
        let log = log(base).await.map_err(At::From)?;
        let begun = came_before(base).await.map_err(At::From)?;
        let next = Next::Tombstones { after: None };
        let position = Position { from: self.from.clone(), log, begun, rows: 0, next };
        let note = async {
            link.begin().await?;
            new_log(link, self.shared.new_txid().uuid()).await?;
            if let Some(mark) = self.mark {
                tables::note(link, "filled_for", mark.to_string()).await?;
            }
            position.write(link).await?;
            link.commit().await
        };
        note.await.map_err(At::To)?;
        Ok(position)
    }

    async fn tombstones(
        &self,
        base: &mut Link,
        link: &mut Link,
        position: &mut Position,
        after: Option<(String, Vec<u8>)>,
    ) -> Result<(), At> {
        let rows = tombstones(base, after.as_ref(), self.rows_max).await.map_err(At::From)?;
        position.next = match rows.last() {
            Some(last) => Next::Tombstones { after: Some(tombstone_key(last).map_err(At::From)?) },
            None => first_table(&self.shared.schema),
        };
        let rows = rows.into_iter().map(Row::into_values).collect();
        let put = async {
            link.begin().await?;
            put_into(link, "mm_tombstones", TOMBSTONE, rows, InTheWay::Goes).await?;
            position.write(link).await?;
            link.commit().await
        };
        put.await.map_err(At::To)
    }

    async fn rows(
        &self,
        base: &mut Link,
        link: &mut Link,
        position: &mut Position,
        info: &TableInfo,
        after: Option<Vec<Value>>,
    ) -> Result<(), At> {
        let mut after = after;
        let mut count = self.rows_max.min(FIRST_PAGE);
        loop {
            let rows = page(base, info, after.as_deref(), count).await.map_err(At::From)?;
            count = next_rows(&rows).min(self.rows_max);
            position.rows += rows.len() as u64;
            position.next = match rows.last() {
                Some(last) => {
                    after = Some(info.key_of(last.values()));
                    Next::Rows { table: info.name.to_owned(), after: after.clone() }
                }
                None => table_after(&self.shared.schema, info.name),
            };
            let goes_on = !rows.is_empty();
            put_page(link, info, rows, position).await.map_err(At::To)?;
            let phase = CopyPhase::Copying(info.name.to_owned());
            self.shared.copies.tell(self.at, phase, position.rows);
            if !goes_on {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Before it is known how large the rows are.
const FIRST_PAGE: usize = 200;

impl Position {
    fn is_known(&self, schema: &Schema) -> bool {
        match &self.next {
            Next::Rows { table, .. } => schema.table(table).is_ok(),
            Next::Tombstones { .. } | Next::Settling => true,
        }
    }
}

/// Whether what was settled is everything: no marker was taken away that was
/// needed, and nobody marked the master. Asked while writers wait, after the last
/// pass. `trimmed` is how far the log of one that was not filled was cut before.
pub(crate) async fn still_holds(
    base: &mut Link,
    link: &mut Link,
    name: &MasterName,
    trimmed: Option<i64>,
) -> Result<bool, Fault> {
    let mark = away(base).await?.marks.remove(&name.0);
    let filled_for = tables::who_by_meta(link).await?.filled_for;
    let now = tables::trimmed_seq(base).await?;
    let log_is_whole = if let Some(before) = trimmed {
        now == before
    } else {
        let log = log(base).await?;
        let position = position(link).await?;
        position.is_some_and(|position| position.log == log && now <= position.begun)
    };
    Ok(log_is_whole && mark.map(|mark| mark.id) <= filled_for)
}

/// Where the markers of a master are that takes writes: what is committed from now
/// on has a later one.
async fn came_before(base: &mut Link) -> Result<i64, Fault> {
    // Who holds the epoch row has ended when this has it, and who takes it later
    // puts its marker after the last one now.
    base.begin_barrier().await?;
    let last = tables::last_seq(base).await?;
    base.rollback().await?;
    Ok(last)
}

/// A page and where it ends are one transaction.
async fn put_page(
    link: &mut Link,
    info: &TableInfo,
    rows: Vec<Row>,
    position: &Position,
) -> Result<(), Fault> {
    link.begin().await?;
    match put(link, info, rows.clone(), InTheWay::Refused).await {
        Err(Fault::Duplicate { .. }) => {
            link.rollback().await?;
            link.begin().await?;
            put(link, info, rows, InTheWay::Goes).await?;
        }
        done => done?,
    }
    position.write(link).await?;
    reached(Point::CopyingPage);
    link.commit().await
}

fn first_table(schema: &Schema) -> Next {
    rows_of(schema.infos().next())
}

fn table_after(schema: &Schema, name: &str) -> Next {
    rows_of(schema.infos().find(|info| info.name > name))
}

fn rows_of(info: Option<&TableInfo>) -> Next {
    info.map_or(Next::Settling, |info| Next::Rows { table: info.name.to_owned(), after: None })
}

/// The next tombstones: table, key, version.
pub(crate) async fn tombstones(
    from: &mut Link,
    after: Option<&(String, Vec<u8>)>,
    rows: usize,
) -> Result<Vec<Row>, Fault> {
    let (condition, params) = match after {
        None => (String::new(), Vec::new()),
        Some((table, key)) => {
            let at = [table.as_str().into(), Value::Bytes(key.clone())];
            let (condition, params) = later(&["tbl", "k"], &at);
            (format!("where {condition} "), params)
        }
    };
    let sql =
        format!("select {TOMBSTONE} from mm_tombstones {condition}order by tbl, k limit {rows}");
    from.query(&sql, &params).await
}

/// What [`tombstones`] takes to go on after this one.
pub(crate) fn tombstone_key(row: &Row) -> Result<(String, Vec<u8>), Fault> {
    Ok((read(row, "tbl")?, read(row, "k")?))
}

/// How many rows there are, about: counting those of a large table on a server
/// takes long. Nothing hangs on it, so an answer that does not come is no
/// failure.
pub(crate) async fn expected(from: &mut Link, schema: &Schema) -> u64 {
    let mut rows = 0;
    for info in schema.infos() {
        let sql = match from.dialect() {
            Dialect::Sqlite => format!("select count(*) as n from {}", info.name),
            Dialect::MariaDb | Dialect::MySql => format!(
                "select cast(coalesce(max(table_rows), 0) as signed) as n \
                 from information_schema.tables \
                 where table_schema = database() and table_name = '{}'",
                info.name
            ),
        };
        let counted = from.query(&sql, &[]).await.unwrap_or_default();
        rows += counted.first().and_then(|row| row.get::<i64>("n").ok()).unwrap_or(0);
    }
    u64::try_from(rows).unwrap_or(0)
}

/// Takes everything away that a copy brings.
async fn wipe(to: &mut Link, schema: &Schema) -> Result<(), Fault> {
    let verb = match to.dialect() {
        Dialect::Sqlite => "delete from",
        Dialect::MariaDb | Dialect::MySql => "truncate table",
    };
    for info in schema.infos() {
        to.batch(&format!("{verb} {}", info.name)).await?;
    }
    to.batch(&format!("{verb} mm_tombstones")).await?;
    to.batch(&format!("{verb} mm_log")).await
}
