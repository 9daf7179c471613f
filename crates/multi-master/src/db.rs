//! The handles that closures of reads and writes get.

use std::ops::{Deref, DerefMut};

use crate::error::DbError;
use crate::value::{Row, Value};

/// Reads from one master, all from one moment.
#[derive(Debug)]
pub struct Db {}

impl Db {
    /// Runs a `select` that both engines understand; `?` stands for a parameter.
    ///
    /// Inside a write it reads from the primary, sees the write's own changes,
    /// and holds what it read until the write ends.
    pub async fn query(&mut self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let _ = (sql, params);
        Err(DbError::Closed)
    }

    /// The first row of a `select`, where there is one.
    pub async fn query_first(&mut self, sql: &str, params: Vec<Value>) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The row of `table` with this primary key, all columns and `_v`.
    pub async fn get(&mut self, table: &str, key: Vec<Value>) -> Result<Option<Row>, DbError> {
        let _ = (table, key);
        Err(DbError::Closed)
    }
}

/// One write: row operations that become one transaction on every master.
///
/// After the first error the write is lost whatever the closure does: further
/// calls return [`DbError::Misuse`], and nothing is saved.
#[derive(Debug)]
pub struct Tx {
    db: Db,
}

impl Deref for Tx {
    type Target = Db;
    fn deref(&self) -> &Db {
        &self.db
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Db {
        &mut self.db
    }
}

impl Tx {
    /// Inserts a row. Columns that are not named are null.
    ///
    /// # Errors
    /// [`DbError::Duplicate`], now or when the write ends: engines that save
    /// round trips send it later.
    pub async fn insert(&mut self, table: &'static str, fields: Vec<(&'static str, Value)>) -> Result<(), DbError> {
        let _ = (table, fields);
        Err(DbError::Closed)
    }

    /// Sets the named fields of the row with this primary key, and returns the
    /// row as it now is.
    ///
    /// # Errors
    /// [`DbError::Missing`] when there is none.
    pub async fn update(
        &mut self,
        table: &'static str,
        key: Vec<Value>,
        fields: Vec<(&'static str, Value)>,
    ) -> Result<Row, DbError> {
        let _ = (table, key, fields);
        Err(DbError::Closed)
    }

    /// Deletes the row with this primary key; `false` when there is none.
    pub async fn delete(&mut self, table: &'static str, key: Vec<Value>) -> Result<bool, DbError> {
        let _ = (table, key);
        Err(DbError::Closed)
    }
}
