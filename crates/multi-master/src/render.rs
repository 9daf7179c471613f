//! The one place where SQL is made: row operations and tables, for both
//! engines.
//!
//! Row operations are the same text for both. Tables differ in the names of
//! types. Values are parameters (`?`), or, for a packet of several statements
//! to MariaDB, literals by [`inline`].

use std::fmt::Write as _;
use std::sync::Arc;

use crate::schema::{Column, Index, Kind, Step, Table, TableInfo};
use crate::value::Value;

/// Which SQL a master speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    MariaDb,
    /// MySQL 8: as MariaDB but for the name of the collation.
    MySql,
}

/// A statement, its parameters, and how many rows it must meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: Sql,
    pub(crate) params: Vec<Value>,
    pub(crate) rows: Rows,
    /// Which table it is about, for messages.
    pub(crate) table: &'static str,
}

/// The text of a statement: cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sql {
    Fixed(&'static str),
    Made(Arc<str>),
    Update(Arc<Update>),
}

/// `update … set` of some columns of one row, which is at some version.
///
/// Its parameters are the new values, the new version and digest, the key, and the
/// old version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    sql: String,
    table: &'static str,
    set: Vec<&'static str>,
    key: Vec<&'static str>,
    can_be_joined: bool,
}

impl Update {
    /// Whether [`Self::joined`] finds its rows by their key: a server compares a
    /// text of a temporary table by another collation.
    pub(crate) const fn can_be_joined(&self) -> bool {
        self.can_be_joined
    }

    pub(crate) fn key_of<'a>(&self, params: &'a [Value]) -> &'a [Value] {
        let from = self.set.len() + 2;
        &params[from..from + self.key.len()]
    }

    /// One statement that does the same to several rows, each of them once, on
    /// MariaDB.
    pub(crate) fn joined<'a>(&self, rows: impl Iterator<Item = &'a [Value]>) -> String {
        let set = self.set.iter().copied().chain(["_v", "_d"]);
        let found = self.key.iter().copied().chain(["_v"]);
        let columns = self.set.len() + 2 + self.key.len() + 1;
        // `values` gives its columns no names of their own.
        let names: Vec<String> = (0..columns).map(|at| format!("null as c{at}")).collect();
        let mut sql =
            format!("update (select {} from dual where 0 union all values ", names.join(", "));
        let row = format!("({})", vec!["?"; columns].join(", "));
        for (at, params) in rows.enumerate() {
            sql.push_str(if at == 0 { "" } else { ", " });
            inline(&mut sql, &row, params);
        }
        let found = found
            .enumerate()
            .map(|(at, name)| format!("t.{name} = s.c{}", self.set.len() + 2 + at));
        let found: Vec<String> = found.collect();
        let set: Vec<String> =
            set.enumerate().map(|(at, name)| format!("t.{name} = s.c{at}")).collect();
        let _ = write!(
            sql,
            ") s straight_join {} t force index (primary) on {} set {}",
            self.table,
            found.join(" and "),
            set.join(", ")
        );
        sql
    }
}

impl From<&'static str> for Sql {
    fn from(sql: &'static str) -> Self {
        Self::Fixed(sql)
    }
}

impl std::ops::Deref for Sql {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Self::Fixed(sql) => sql,
            Self::Made(sql) => sql,
            Self::Update(update) => &update.sql,
        }
    }
}

/// How many rows a statement must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    One,
    /// Of a statement that inserts so many.
    Exactly(u64),
    Any,
}

impl Rows {
    /// How many it must meet.
    pub(crate) const fn must(self) -> Option<u64> {
        match self {
            Self::One => Some(1),
            Self::Exactly(rows) => Some(rows),
            Self::Any => None,
        }
    }
}

/// The statements of a table that don't depend on the values.
#[derive(Clone, Debug)]
pub(crate) struct TableSql {
    /// All columns, then `_v`, `_d`.
    pub(crate) insert: Sql,
    /// The key, then `_v`.
    pub(crate) delete: Sql,
    /// The key; answers all columns, then `_v`, `_d`.
    pub(crate) select: String,
    /// `key = ? and …`
    pub(crate) where_key: String,
    /// All columns, `_v`, `_d`, separated by commas.
    pub(crate) columns: String,
    /// The same one by one.
    pub(crate) names: Arc<[String]>,
}

impl Default for TableSql {
    fn default() -> Self {
        Self {
            insert: Sql::Fixed(""),
            delete: Sql::Fixed(""),
            select: String::new(),
            where_key: String::new(),
            columns: String::new(),
            names: Arc::default(),
        }
    }
}

impl TableInfo {
    /// Renders [`TableSql`] anew, after a change of the columns.
    pub(crate) fn render(&mut self) {
        let names = self.columns.iter().map(|column| column.name).chain(["_v", "_d"]);
        let names: Arc<[String]> = names.map(str::to_owned).collect();
        let columns = names.join(", ");
        let marks = vec!["?"; names.len()].join(", ");
        let where_key = self
            .key
            .iter()
            .map(|&at| format!("{} = ?", self.columns[at].name))
            .collect::<Vec<_>>()
            .join(" and ");
        let name = self.name;
        self.sql = TableSql {
            insert: Sql::Made(format!("insert into {name} ({columns}) values ({marks})").into()),
            delete: Sql::Made(format!("delete from {name} where {where_key} and _v = ?").into()),
            select: format!("select {columns} from {name} where {where_key}"),
            where_key,
            columns,
            names,
        };
    }

    /// "The key is one of so many".
    pub(crate) fn one_of(&self, keys: usize, dialect: Dialect) -> String {
        let columns: Vec<&str> = self.key.iter().map(|&at| self.columns[at].name).collect();
        let one = format!("({})", vec!["?"; columns.len()].join(", "));
        let marks = vec![one.as_str(); keys].join(", ");
        let values = match dialect {
            Dialect::Sqlite => "values ",
            Dialect::MariaDb | Dialect::MySql => "",
        };
        format!("({}) in ({values}{marks})", columns.join(", "))
    }

    /// Sets these columns of a row.
    pub(crate) fn update_sql(&self, changed: &[usize]) -> Update {
        let mut sql = format!("update {} set ", self.name);
        for &at in changed {
            let _ = write!(sql, "{} = ?, ", self.columns[at].name);
        }
        let _ = write!(sql, "_v = ?, _d = ? where {} and _v = ?", self.sql.where_key);
        let name = |&at: &usize| self.columns[at].name;
        Update {
            sql,
            table: self.name,
            set: changed.iter().map(name).collect(),
            key: self.key.iter().map(name).collect(),
            can_be_joined: !self
                .key
                .iter()
                .any(|&at| matches!(self.columns[at].kind, Kind::Text { .. })),
        }
    }
}

/// The statements that apply one step of a migration.
pub(crate) fn step(step: &Step, dialect: Dialect) -> Vec<String> {
    match step {
        Step::CreateTable(table) => create_table(table, dialect),
        Step::AddColumn { table, column } => {
            vec![format!("alter table {table} add column {}", column_sql(column, dialect))]
        }
        Step::CreateIndex { table, index } => vec![create_index(table, index)],
    }
}

fn create_table(table: &Table, dialect: Dialect) -> Vec<String> {
    let mut lines: Vec<String> =
        table.columns.iter().map(|column| column_sql(column, dialect)).collect();
    lines.push("_v bigint not null".to_owned());
    lines.push("_d bigint not null".to_owned());
    lines.push(format!("primary key ({})", table.key.join(", ")));
    let mut sql = format!("create table if not exists {} ({})", table.name, lines.join(", "));
    sql.push_str(&table_options(dialect));
    let mut all = vec![sql];
    all.extend(table.indexes.iter().map(|index| create_index(table.name, index)));
    all
}

pub(crate) fn table_options(dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => " without rowid".to_owned(),
        Dialect::MariaDb | Dialect::MySql => {
            format!(" engine=InnoDB default charset=utf8mb4 collate={}", collation(dialect))
        }
    }
}

/// Bytes decide what is equal and what comes first, on every engine.
pub(crate) const fn collation(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "binary",
        Dialect::MariaDb => "utf8mb4_nopad_bin",
        Dialect::MySql => "utf8mb4_0900_bin",
    }
}

fn create_index(table: &str, index: &Index) -> String {
    let unique = if index.unique { "unique " } else { "" };
    format!("create {unique}index {} on {table} ({})", index.name, index.columns.join(", "))
}

fn column_sql(column: &Column, dialect: Dialect) -> String {
    let kind = column_type(column, dialect);
    let null = if column.nullable { "" } else { " not null" };
    format!("{} {kind}{null}", column.name)
}

pub(crate) fn column_type(column: &Column, dialect: Dialect) -> String {
    match (column.kind, dialect) {
        (Kind::Id | Kind::Bytes { .. }, Dialect::Sqlite) => "blob".to_owned(),
        (Kind::Id, _) => "binary(16)".to_owned(),
        (Kind::Int | Kind::Time, _) | (Kind::Bool, Dialect::Sqlite) => "bigint".to_owned(),
        (Kind::Bool, _) => "tinyint".to_owned(),
        (Kind::Text { .. }, Dialect::Sqlite) => "text".to_owned(),
        (Kind::Text { chars_max }, _) if chars_max <= Kind::VARCHAR_CHARS_MAX => {
            format!("varchar({chars_max})")
        }
        (Kind::Text { chars_max }, _) if chars_max <= 16_000 => "text".to_owned(),
        (Kind::Text { chars_max }, _) if chars_max <= 4_000_000 => "mediumtext".to_owned(),
        (Kind::Text { .. }, _) => "longtext".to_owned(),
        (Kind::Bytes { bytes_max }, _) if bytes_max <= 3_000 => format!("varbinary({bytes_max})"),
        (Kind::Bytes { bytes_max }, _) if bytes_max < 65_536 => "blob".to_owned(),
        (Kind::Bytes { bytes_max }, _) if bytes_max < 16_777_216 => "mediumblob".to_owned(),
        (Kind::Bytes { .. }, _) => "longblob".to_owned(),
    }
}

/// Puts literals in the place of a statement's `?`.
///
/// Only for statements rendered here: they hold no quoted text, so each `?` is
/// a parameter. Texts and bytes are written as hexadecimal, which no server
/// setting can read otherwise.
pub(crate) fn inline(into: &mut String, sql: &str, params: &[Value]) {
    let mut params = params.iter();
    for part in sql.split_inclusive('?') {
        let Some(text) = part.strip_suffix('?') else {
            into.push_str(part);
            continue;
        };
        into.push_str(text);
        match params.next().expect("one parameter for each ?") {
            Value::Null => into.push_str("null"),
            Value::Int(int) => {
                let _ = write!(into, "{int}");
            }
            Value::Text(text) if text.is_empty() => into.push_str("_utf8mb4 ''"),
            Value::Text(text) => {
                into.push_str("_utf8mb4 0x");
                hex(into, text.as_bytes());
            }
            Value::Bytes(bytes) if bytes.is_empty() => into.push_str("x''"),
            Value::Bytes(bytes) => {
                into.push_str("0x");
                hex(into, bytes);
            }
        }
    }
    debug_assert!(params.next().is_none(), "one ? for each parameter");
}

/// How long [`inline`] makes a statement, at most.
pub(crate) fn inlined_bytes(sql: &str, params: &[Value]) -> usize {
    let bytes = params.iter().map(|value| match value {
        Value::Null => "null".len(),
        Value::Int(_) => "-9223372036854775808".len(),
        Value::Text(text) => "_utf8mb4 0x".len() + 2 * text.len(),
        Value::Bytes(bytes) => "x''".len() + 2 * bytes.len(),
    });
    sql.len() + bytes.sum::<usize>()
}

fn hex(into: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    into.reserve(bytes.len() * 2);
    for byte in bytes {
        into.push(char::from(DIGITS[usize::from(byte >> 4)]));
        into.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_can_not_be_read_as_sql() {
        let mut sql = String::new();
        let params = [
            Value::from("'; drop table memos; --"),
            Value::Null,
            Value::Int(-5),
            Value::Bytes(vec![0, 255]),
            Value::from(""),
            Value::Bytes(Vec::new()),
        ];
        inline(&mut sql, "insert into t values (?, ?, ?, ?, ?, ?)", &params);
        assert_eq!(
            sql,
            "insert into t values (_utf8mb4 0x273b2064726f70207461626c65206d656d6f733b202d2d, \
             null, -5, 0x00ff, _utf8mb4 '', x'')"
        );
    }

    #[test]
    fn a_table_in_both_dialects() {
        const TABLE: Table = Table {
            name: "memos",
            key: &["id"],
            columns: &[
                Column::new("id", Kind::Id),
                Column::new("user_id", Kind::Id),
                Column::nullable("content", Kind::Text { chars_max: 5_000 }),
                Column::new("tag", Kind::Text { chars_max: 40 }),
                Column::new("open", Kind::Bool),
            ],
            indexes: &[Index { name: "memos_user", columns: &["user_id", "tag"], unique: true }],
        };
        let sqlite = step(&Step::CreateTable(TABLE), Dialect::Sqlite);
        assert_eq!(
            sqlite,
            [
                "create table if not exists memos (id blob not null, user_id blob not null, \
                 content text, tag text not null, open bigint not null, _v bigint not null, \
                 _d bigint not null, primary key (id)) without rowid",
                "create unique index memos_user on memos (user_id, tag)",
            ]
        );
        let mariadb = step(&Step::CreateTable(TABLE), Dialect::MariaDb);
        assert_eq!(
            mariadb[0],
            "create table if not exists memos (id binary(16) not null, user_id binary(16) not \
             null, content text, tag varchar(40) not null, open tinyint not null, _v bigint not \
             null, _d bigint not null, primary key (id)) engine=InnoDB default charset=utf8mb4 \
             collate=utf8mb4_nopad_bin"
        );
        let info = TableInfo::of(&TABLE).unwrap();
        assert_eq!(
            info.update_sql(&[2]).sql,
            "update memos set content = ?, _v = ?, _d = ? where id = ? and _v = ?"
        );
    }
}
