//! Tables and the migrations that make them, in one form for both engines.

mod info;

use std::collections::BTreeMap;

use crate::error::DbError;
use crate::render::TableSql;

/// What a column holds, and so which type each engine gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 16 bytes.
    Id,
    /// A signed 64-bit number.
    Int,
    /// 0 or 1.
    Bool,
    /// An instant, in microseconds since 1970 UTC.
    Time,
    /// A text of at most `chars_max` Unicode scalar values, compared byte for
    /// byte. At most [`Kind::INDEXED_CHARS_MAX`] of them can be indexed.
    Text {
        /// The most characters.
        chars_max: u32,
    },
    /// Bytes, at most `bytes_max`.
    Bytes {
        /// The most bytes.
        bytes_max: u32,
    },
}

impl Kind {
    /// Longer texts can't be in a key: InnoDB's keys hold 3,072 bytes.
    pub const INDEXED_CHARS_MAX: u32 = 700;
    /// From here on a text is stored outside the row's 65,535 bytes.
    pub(crate) const VARCHAR_CHARS_MAX: u32 = 1_000;
}

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name: lower case letters, digits and `_`.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may hold nothing.
    pub nullable: bool,
}

impl Column {
    /// A column that always has a value.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, nullable: false }
    }

    /// A column that may hold nothing.
    #[must_use]
    pub const fn nullable(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, nullable: true }
    }
}

/// An index over columns of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name, unique in the database.
    pub name: &'static str,
    /// The columns, first the one that narrows most.
    pub columns: &'static [&'static str],
    /// Whether two rows with the same values are refused. Rows with a null in
    /// one of the columns never count as the same.
    pub unique: bool,
}

/// A table. Every table also gets two columns of ours: `_v` (version: hybrid
/// logical time) and `_d` (digest of the row).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name: lower case letters, digits and `_`; not `mm_…`.
    pub name: &'static str,
    /// The primary key.
    pub key: &'static [&'static str],
    /// The columns, the key's included.
    pub columns: &'static [Column],
    /// Further indexes.
    pub indexes: &'static [Index],
}

/// One step of a migration. Each is applied to a master once; a crash between
/// two of them is taken up where it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes a table with its indexes.
    CreateTable(Table),
    /// Adds a column, which must be nullable: old rows have no value for it.
    AddColumn {
        /// The table.
        table: &'static str,
        /// The new column.
        column: Column,
    },
    /// Adds an index.
    CreateIndex {
        /// The table.
        table: &'static str,
        /// The new index.
        index: Index,
    },
}

/// A numbered change of the tables. What was released is never edited, and new
/// ones go to the end of the list: a master that holds another migration of the
/// same number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its name; unique, and its order is its place in the list.
    pub name: &'static str,
    /// What it does.
    pub steps: &'static [Step],
}

/// The tables as they are after all migrations.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    tables: BTreeMap<&'static str, TableInfo>,
}

/// A table as it is after all migrations.
#[derive(Clone, Debug)]
pub(crate) struct TableInfo {
    pub(crate) name: &'static str,
    pub(crate) key: Vec<usize>,
    pub(crate) columns: Vec<Column>,
    pub(crate) indexes: Vec<Index>,
    /// Its statements, rendered once.
    pub(crate) sql: TableSql,
}

/// InnoDB's 3,072 bytes, less what its rows add.
const INDEX_BYTES_MAX: u64 = Kind::INDEXED_CHARS_MAX as u64 * 4;
/// A primary key, with nine bytes for each column, has to fit a tombstone's.
const KEY_BYTES_MAX: u64 = 2_700;
const KEY_COLUMNS_MAX: usize = 8;

impl Schema {
    /// The tables that a list of migrations ends in.
    ///
    /// # Errors
    /// A sentence that names what is wrong with the list: it is a mistake in
    /// the program.
    pub fn of(migrations: &[Migration]) -> Result<Self, String> {
        let mut schema = Self::default();
        let mut names = std::collections::BTreeSet::new();
        for migration in migrations {
            if !names.insert(migration.name) {
                return Err(format!("two migrations are called `{}`", migration.name));
            }
            for step in migration.steps {
                schema
                    .take(step)
                    .map_err(|why| format!("migration `{}`: {why}", migration.name))?;
            }
        }
        Ok(schema)
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        let made: &[Index] = match step {
            Step::CreateTable(table) => table.indexes,
            Step::CreateIndex { index, .. } => std::slice::from_ref(index),
            Step::AddColumn { .. } => &[],
        };
        let known =
            |name| self.infos().flat_map(|info| &info.indexes).any(|i: &Index| i.name == name);
        if let Some(index) = made.iter().find(|index| known(index.name)) {
            return Err(format!("index `{}` is made twice", index.name));
        }
        match step {
            Step::CreateTable(table) => {
                let info = TableInfo::of(table)?;
                if self.tables.insert(table.name, info).is_some() {
                    return Err(format!("table `{}` is made twice", table.name));
                }
            }
            Step::AddColumn { table, column } => {
                let info = self.table_mut(table)?;
                check_column(column)?;
                if !column.nullable {
                    return Err(format!(
                        "`{}` must be nullable: old rows have no value",
                        column.name
                    ));
                }
                if info.columns.iter().any(|known| known.name == column.name) {
                    return Err(format!("`{table}` has a column `{}` already", column.name));
                }
                info.columns.push(*column);
                info.render();
            }
            Step::CreateIndex { table, index } => {
                let info = self.table_mut(table)?;
                info.check_index(index)?;
                info.indexes.push(*index);
            }
        }
        Ok(())
    }

    fn table_mut(&mut self, name: &str) -> Result<&mut TableInfo, String> {
        self.tables.get_mut(name).ok_or_else(|| format!("there is no table `{name}`"))
    }

    /// The names of the tables, sorted.
    pub fn tables(&self) -> impl Iterator<Item = &'static str> {
        self.tables.keys().copied()
    }

    pub(crate) fn table(&self, name: &str) -> Result<&TableInfo, DbError> {
        self.tables.get(name).ok_or_else(|| DbError::Shape(format!("there is no table `{name}`")))
    }

    pub(crate) fn infos(&self) -> impl Iterator<Item = &TableInfo> {
        self.tables.values()
    }
}

fn no_column(table: &str, column: &str) -> String {
    format!("`{table}` has no column `{column}`")
}

fn check_column(column: &Column) -> Result<(), String> {
    check_name(column.name)?;
    if column.name.starts_with('_') {
        return Err(format!("`{}`: names that begin with _ are ours", column.name));
    }
    match column.kind {
        Kind::Text { chars_max: 0 } | Kind::Bytes { bytes_max: 0 } => {
            Err(format!("`{}` can hold nothing", column.name))
        }
        _ => Ok(()),
    }
}

/// Words that MariaDB, MySQL or SQLite do not take as names.
const RESERVED: &[&str] = &[
    "add",
    "all",
    "alter",
    "analyze",
    "and",
    "as",
    "asc",
    "before",
    "between",
    "both",
    "by",
    "call",
    "cascade",
    "case",
    "change",
    "check",
    "collate",
    "column",
    "condition",
    "constraint",
    "continue",
    "convert",
    "create",
    "cross",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "cursor",
    "database",
    "default",
    "delete",
    "desc",
    "describe",
    "distinct",
    "div",
    "drop",
    "dual",
    "each",
    "else",
    "empty",
    "except",
    "exists",
    "explain",
    "false",
    "fetch",
    "for",
    "force",
    "foreign",
    "from",
    "fulltext",
    "function",
    "grant",
    "group",
    "groups",
    "having",
    "if",
    "ignore",
    "in",
    "index",
    "infile",
    "inner",
    "insert",
    "intersect",
    "interval",
    "into",
    "is",
    "iterate",
    "join",
    "key",
    "keys",
    "kill",
    "lateral",
    "leading",
    "leave",
    "left",
    "like",
    "limit",
    "lines",
    "load",
    "lock",
    "loop",
    "match",
    "mod",
    "natural",
    "not",
    "null",
    "of",
    "offset",
    "on",
    "optimize",
    "option",
    "or",
    "order",
    "out",
    "outer",
    "over",
    "partition",
    "precision",
    "primary",
    "procedure",
    "purge",
    "range",
    "rank",
    "read",
    "recursive",
    "references",
    "release",
    "rename",
    "repeat",
    "replace",
    "require",
    "resignal",
    "restrict",
    "return",
    "returning",
    "revoke",
    "right",
    "row",
    "row_number",
    "rows",
    "schema",
    "select",
    "separator",
    "set",
    "show",
    "signal",
    "spatial",
    "sql",
    "ssl",
    "starting",
    "system",
    "table",
    "terminated",
    "then",
    "to",
    "trailing",
    "transaction",
    "trigger",
    "true",
    "undo",
    "union",
    "unique",
    "unlock",
    "unsigned",
    "update",
    "usage",
    "use",
    "using",
    "values",
    "when",
    "where",
    "while",
    "window",
    "with",
    "write",
    "xor",
];

/// Names are written into SQL as they are, so they may hold nothing that
/// either engine would read otherwise.
fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=60).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.as_bytes()[0].is_ascii_digit();
    if RESERVED.contains(&name) {
        Err(format!("`{name}` is a word of SQL's own: use another name"))
    } else if fits {
        Ok(())
    } else {
        Err(format!("`{name}` is no name: use a to z, 0 to 9 and _, at most 60"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DbError;
    use crate::value::Value;

    const ID: Column = Column::new("id", Kind::Id);

    fn refused(steps: &'static [Step]) -> String {
        Schema::of(&[Migration { name: "one", steps }]).unwrap_err()
    }

    const fn table(columns: &'static [Column], indexes: &'static [Index]) -> Step {
        Step::CreateTable(Table { name: "t", key: &["id"], columns, indexes })
    }

    #[test]
    fn mistakes_in_migrations_are_named() {
        use Step::{AddColumn, CreateIndex};
        const NOTE: Column = Column::new("note", Kind::Text { chars_max: 5_000 });
        const BAD_NAME: Column = Column::new("No", Kind::Int);
        const INDEX: Index = Index { name: "t_note", columns: &["note"], unique: false };
        assert!(refused(const { &[table(&[NOTE], &[])] }).contains("no column `id`"));
        assert!(refused(const { &[table(&[ID, BAD_NAME], &[])] }).contains("`No` is no name"));
        assert!(refused(const { &[table(&[ID, ID], &[])] }).contains("two columns `id`"));
        assert!(
            refused(const { &[table(&[ID, NOTE], &[INDEX])] }).contains("may need 20000 bytes")
        );
        assert!(
            refused(const { &[AddColumn { table: "t", column: ID }] }).contains("no table `t`")
        );
        assert!(
            refused(const { &[table(&[ID], &[]), AddColumn { table: "t", column: NOTE }] })
                .contains("must be nullable")
        );
        assert!(
            refused(const { &[table(&[ID], &[]), CreateIndex { table: "t", index: INDEX }] })
                .contains("no column `note`")
        );
        let twice = [Migration { name: "one", steps: &[] }, Migration { name: "one", steps: &[] }];
        assert!(Schema::of(&twice).unwrap_err().contains("two migrations"));
    }

    #[test]
    fn values_are_checked_against_their_columns() {
        const COLUMNS: &[Column] = &[
            ID,
            Column::new("note", Kind::Text { chars_max: 3 }),
            Column::nullable("done", Kind::Bool),
        ];
        let schema =
            Schema::of(&[Migration { name: "one", steps: const { &[table(COLUMNS, &[])] } }])
                .unwrap();
        let info = schema.table("t").unwrap();
        let id = Value::Bytes(vec![7; 16]);
        let row = |note: Value, done: Value| {
            info.row(vec![("id", id.clone()), ("note", note), ("done", done)])
        };
        assert!(row("책갈피".into(), Value::Null).is_ok(), "characters, not bytes");
        for (note, done) in [
            (Value::from("abcd"), Value::Null),
            (Value::Null, Value::Null),
            (Value::Int(1), Value::Null),
            (Value::from("a"), Value::Int(2)),
        ] {
            assert!(matches!(row(note, done), Err(DbError::Shape(_))));
        }
        assert!(info.row(vec![("id", id.clone())]).is_err(), "note needs a value");
        assert!(info.row(vec![("nothing", id.clone())]).is_err());
        assert!(info.check_key(&[id.clone(), id]).is_err());
        assert!(info.check_key(&[Value::Bytes(vec![1])]).is_err());
    }
}
