//! What is checked of a table, and of each row before it is written.

use super::{
    Column, INDEX_BYTES_MAX, Index, KEY_BYTES_MAX, KEY_COLUMNS_MAX, Kind, Table, TableInfo,
    check_column, check_name, no_column,
};
use crate::error::DbError;
use crate::render::TableSql;
use crate::value::Value;

impl TableInfo {
    pub(crate) fn of(table: &Table) -> Result<Self, String> {
        check_name(table.name)?;
        if table.name.starts_with("mm_") {
            return Err(format!("`{}`: names that begin with mm_ are ours", table.name));
        }
        for (at, column) in table.columns.iter().enumerate() {
            check_column(column)?;
            if table.columns[..at].iter().any(|before| before.name == column.name) {
                return Err(format!("`{}` has two columns `{}`", table.name, column.name));
            }
        }
        let mut info = Self {
            name: table.name,
            key: Vec::new(),
            columns: table.columns.to_vec(),
            indexes: Vec::new(),
            sql: TableSql::default(),
        };
        for key in table.key {
            let at = info.column_at(key).ok_or_else(|| no_column(table.name, key))?;
            if info.columns[at].nullable {
                return Err(format!("key column `{key}` of `{}` must not be nullable", table.name));
            }
            info.key.push(at);
        }
        if info.key.is_empty() {
            return Err(format!("`{}` has no primary key", table.name));
        }
        info.check_key_bytes("the primary key", table.key, KEY_BYTES_MAX)?;
        if info.key.len() > KEY_COLUMNS_MAX {
            return Err(format!("the primary key of `{}` has too many columns", table.name));
        }
        for index in table.indexes {
            info.check_index(index)?;
            info.indexes.push(*index);
        }
        info.render();
        Ok(info)
    }

    pub(super) fn check_index(&self, index: &Index) -> Result<(), String> {
        check_name(index.name)?;
        if self.indexes.iter().any(|known| known.name == index.name) {
            return Err(format!("index `{}` is made twice", index.name));
        }
        for column in index.columns {
            if self.column_at(column).is_none() {
                return Err(no_column(self.name, column));
            }
        }
        self.check_key_bytes(&format!("index `{}`", index.name), index.columns, INDEX_BYTES_MAX)
    }

    /// InnoDB's limit on the bytes of one key, four for each character.
    fn check_key_bytes(&self, what: &str, columns: &[&str], bytes_max: u64) -> Result<(), String> {
        let bytes: u64 = columns
            .iter()
            .filter_map(|name| self.column_at(name))
            .map(|at| match self.columns[at].kind {
                Kind::Id => 16,
                Kind::Int | Kind::Time => 8,
                Kind::Bool => 1,
                Kind::Text { chars_max } => u64::from(chars_max) * 4,
                Kind::Bytes { bytes_max } => u64::from(bytes_max),
            })
            .sum();
        if bytes > bytes_max {
            return Err(format!(
                "{what} of `{}` may need {bytes} bytes; a key holds {}",
                self.name, bytes_max
            ));
        }
        Ok(())
    }

    pub(crate) fn column_at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The unique index over exactly these columns.
    pub(crate) fn unique_over(&self, columns: &[&str]) -> Option<&'static str> {
        self.indexes
            .iter()
            .find(|index| index.unique && index.columns == columns)
            .map(|index| index.name)
    }

    /// A whole row from named fields; those that are not named are null.
    pub(crate) fn row(&self, fields: Vec<(&'static str, Value)>) -> Result<Vec<Value>, DbError> {
        // With room for `_v` and `_d`.
        let mut row = Vec::with_capacity(self.columns.len() + 2);
        row.resize(self.columns.len(), Value::Null);
        self.set(&mut row, fields)?;
        for (column, value) in self.columns.iter().zip(&row) {
            if *value == Value::Null && !column.nullable {
                return Err(self.misfit(column, "needs a value"));
            }
        }
        Ok(row)
    }

    /// Sets named fields of a row, each checked against its column.
    pub(crate) fn set(
        &self,
        row: &mut [Value],
        fields: Vec<(&'static str, Value)>,
    ) -> Result<(), DbError> {
        for (name, value) in fields {
            let at =
                self.column_at(name).ok_or_else(|| DbError::Shape(no_column(self.name, name)))?;
            self.check(&self.columns[at], &value)?;
            row[at] = value;
        }
        Ok(())
    }

    /// The parameters of a primary key, checked.
    pub(crate) fn check_key(&self, key: &[Value]) -> Result<(), DbError> {
        if key.len() != self.key.len() {
            return Err(DbError::Shape(format!(
                "the primary key of `{}` has {} columns, and {} values were given",
                self.name,
                self.key.len(),
                key.len()
            )));
        }
        self.key.iter().zip(key).try_for_each(|(&at, value)| self.check(&self.columns[at], value))
    }

    pub(crate) fn key_of(&self, row: &[Value]) -> Vec<Value> {
        self.key.iter().map(|&at| row[at].clone()).collect()
    }

    fn check(&self, column: &Column, value: &Value) -> Result<(), DbError> {
        let wrong = match (column.kind, value) {
            (_, Value::Null) if column.nullable => return Ok(()),
            (_, Value::Null) => "must not be null".to_owned(),
            (Kind::Id, Value::Bytes(bytes)) if bytes.len() == 16 => return Ok(()),
            (Kind::Id, _) => "holds ids of 16 bytes".to_owned(),
            (Kind::Int | Kind::Time, Value::Int(_)) | (Kind::Bool, Value::Int(0 | 1)) => {
                return Ok(());
            }
            (Kind::Int | Kind::Time, _) => "holds numbers".to_owned(),
            (Kind::Bool, _) => "holds 0 or 1".to_owned(),
            (Kind::Text { chars_max }, Value::Text(text)) => {
                let chars_max = chars_max as usize;
                if text.len() <= chars_max || text.chars().count() <= chars_max {
                    return Ok(());
                }
                format!("holds at most {chars_max} characters")
            }
            (Kind::Text { .. }, _) => "holds texts".to_owned(),
            (Kind::Bytes { bytes_max }, Value::Bytes(bytes)) => {
                if bytes.len() <= bytes_max as usize {
                    return Ok(());
                }
                format!("holds at most {bytes_max} bytes")
            }
            (Kind::Bytes { .. }, _) => "holds bytes".to_owned(),
        };
        Err(self.misfit(column, &wrong))
    }

    fn misfit(&self, column: &Column, what: &str) -> DbError {
        DbError::Shape(format!("`{}` of `{}` {what}", column.name, self.name))
    }
}
