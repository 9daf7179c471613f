//! What was put off, and the statements that it becomes.
//!
//! Parsing a statement costs a server more than a row does, and so does an answer.
//! Rows that are inserted into one table become one `insert`; rows of which the same
//! columns are set, one `update` that is joined with what is set. And where many
//! statements are left, MariaDB gets them as one compound statement (`begin not atomic`),
//! which checks itself what each must have met, and sends one answer.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::render::{Dialect, Rows, Sql, Statement, inline, inlined_bytes};
use crate::sabotage::{Bug, is};
use crate::value::Value;

/// Rows of one `insert` or `update`: of more, few are parsed the faster for it.
const ROWS_MAX: u64 = 200;
/// From how many rows on one `update` is the cheaper: the server makes a temporary
/// table for it.
const UPDATES_MIN: usize = 4;
/// With a longer value (`CONVERT_IF_BIGGER_TO_BLOB` in MariaDB's source) that table
/// would be on disk.
const UPDATED_BYTES_MAX: usize = 512;
/// What a compound statement says where another epoch is in force.
pub(super) const MOVED: &str = "mm epoch";
/// What it says where a statement met another number of rows: which one, and how
/// many it met.
pub(super) const MET: &str = "mm rows";

/// A statement whose answer nobody needs yet.
#[derive(Debug)]
pub(super) enum PutOff {
    /// As it is.
    Text(String, Expect),
    /// It may become one with those beside it.
    Rows(Statement),
}

/// A statement of a packet.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) sql: String,
    pub(super) expect: Expect,
}

/// What the answer to one statement of a packet must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Anything,
    Rows(&'static str, u64),
    Epoch(u64),
}

impl PutOff {
    /// How long it is by itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(sql, _) => sql.len(),
            Self::Rows(statement) => inlined_bytes(&statement.sql, &statement.params),
        }
    }
}

/// Those that can be one as one. Each table's are in the same order; those of different tables
/// change places, as what is done to a row says nothing of another table's.
pub(super) fn join(put_off: &[PutOff], dialect: Dialect) -> Vec<Ready> {
    let mut all = Vec::new();
    let mut runs = Runs::default();
    for next in put_off {
        match next {
            PutOff::Text(sql, expect) => {
                runs.end(dialect, &mut all);
                all.push(Ready { sql: sql.clone(), expect: *expect });
            }
            PutOff::Rows(statement) if statement.rows.must().is_none() => {
                runs.end(dialect, &mut all);
                Run::of(statement).end(dialect, &mut all);
            }
            PutOff::Rows(statement) => runs.add(statement),
        }
    }
    runs.end(dialect, &mut all);
    all
}

/// Statements of which each is about one row of one table.
#[derive(Default)]
struct Runs<'a> {
    all: Vec<Run<'a>>,
    /// The last one of each table.
    last: BTreeMap<&'static str, usize>,
}

impl<'a> Runs<'a> {
    fn add(&mut self, next: &'a Statement) {
        if let Some(&last) = self.last.get(next.table)
            && self.all[last].takes(next)
        {
            return;
        }
        self.last.insert(next.table, self.all.len());
        self.all.push(Run::of(next));
    }

    fn end(&mut self, dialect: Dialect, all: &mut Vec<Ready>) {
        let Self { all: runs, .. } = std::mem::take(self);
        for run in runs {
            run.end(dialect, all);
        }
    }
}

/// Statements that are about one table, one after the other.
struct Run<'a> {
    statements: Vec<&'a Statement>,
    rows: u64,
    /// Rows that are set: each of them once.
    keys: BTreeSet<&'a [Value]>,
}

impl<'a> Run<'a> {
    fn of(first: &'a Statement) -> Self {
        let keys = key_of(first).into_iter().collect();
        Self { statements: vec![first], rows: first.rows.must().unwrap_or(0), keys }
    }

    /// Takes the next statement, where it can be one with these.
    fn takes(&mut self, next: &'a Statement) -> bool {
        let first = self.statements[0];
        let Some(more) = next.rows.must() else { return false };
        let fits = first.sql == next.sql
            && first.rows.must().is_some()
            && self.rows + more <= ROWS_MAX
            && match (key_of(first), key_of(next)) {
                (Some(_), Some(key)) => self.keys.insert(key),
                (None, None) => row_of(&next.sql).is_some(),
                _ => false,
            };
        if fits {
            self.statements.push(next);
            self.rows += more;
        }
        fits
    }

    fn end(self, dialect: Dialect, all: &mut Vec<Ready>) {
        let first = self.statements[0];
        let joined = match &first.sql {
            Sql::Update(update)
                if self.statements.len() >= UPDATES_MIN && dialect == Dialect::MariaDb =>
            {
                let rows = self.statements.iter().map(|one| one.params.as_slice());
                Some(update.joined(rows))
            }
            _ => row_of(&first.sql).map(|row| {
                let mut sql = String::new();
                inline(&mut sql, &first.sql, &first.params);
                for more in &self.statements[1..] {
                    sql.push_str(", ");
                    inline(&mut sql, row, &more.params);
                }
                sql
            }),
        };
        let expect = |one: &Statement, rows| match one.rows {
            Rows::One | Rows::Exactly(_) => Expect::Rows(one.table, rows),
            Rows::Any => Expect::Anything,
        };
        if let Some(sql) = joined {
            return all.push(Ready { sql, expect: expect(first, self.rows) });
        }
        for one in self.statements {
            let mut sql = String::new();
            inline(&mut sql, &one.sql, &one.params);
            all.push(Ready { sql, expect: expect(one, one.rows.must().unwrap_or(0)) });
        }
    }
}

/// Which row it sets, where that can be one statement with others.
fn key_of(statement: &Statement) -> Option<&[Value]> {
    let Sql::Update(update) = &statement.sql else { return None };
    let small = |value: &Value| match value {
        Value::Null | Value::Int(_) => true,
        Value::Text(text) => text.len() <= UPDATED_BYTES_MAX,
        Value::Bytes(bytes) => bytes.len() <= UPDATED_BYTES_MAX,
    };
    (statement.params.iter().all(small) && update.can_be_joined())
        .then(|| update.key_of(&statement.params))
}

/// The row of an `insert` of one, from its parenthesis on.
fn row_of(sql: &str) -> Option<&str> {
    let (_, row) = sql.strip_prefix("insert into ")?.split_once(" values ")?;
    Some(row)
}

/// One statement of several, which finds out itself whether each met what it
/// must. An `insert` fails where it does not insert all its rows. Which statement
/// a unique index refused is then in `@mm_at`.
pub(super) fn compound(statements: &[Ready], select: Option<String>) -> String {
    let mut packet = "begin not atomic ".to_owned();
    for (at, Ready { sql, expect }) in statements.iter().enumerate() {
        let written = match expect {
            Expect::Anything => write!(packet, "{sql}; "),
            Expect::Rows(..) if row_of(sql).is_some() => {
                write!(packet, "set @mm_at = {at}; {sql}; ")
            }
            Expect::Rows(_, rows) => write!(
                packet,
                "set @mm_at = {at}; {sql}; if row_count() <> {rows} then set @mm_met = concat('{MET} {at} ', \
                 row_count()); signal sqlstate '45000' set message_text = @mm_met; end if; "
            ),
            Expect::Epoch(_) if is(Bug::NoEpochCheck) => {
                write!(packet, "set @mm_epoch = ({sql}); ")
            }
            Expect::Epoch(epoch) => write!(
                packet,
                "if not (({sql}) <=> {epoch}) then signal sqlstate '45000' set message_text = \
                 '{MOVED}'; end if; "
            ),
        };
        written.expect("memory takes any text");
    }
    packet.push_str("end");
    if let Some(select) = select {
        packet.push_str("; ");
        packet.push_str(&select);
    }
    packet
}
