//! Tables and the migrations that make them, in one form for both engines.

use std::collections::BTreeMap;

use crate::value::Value;

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

/// A numbered change of the tables. What was released is never edited: a
/// master that holds another migration of the same number is refused.
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
}
