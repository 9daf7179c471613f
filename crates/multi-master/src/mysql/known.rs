//! Rows that the open transaction holds: what it has read or written need not be
//! asked for again.

use std::collections::BTreeMap;

use crate::value::{Row, Value};

/// More are not remembered: a write may change very many.
const ROWS_MAX: usize = 4_096;

/// By table and primary key.
#[derive(Debug, Default)]
pub(super) struct KnownRows {
    tables: BTreeMap<&'static str, BTreeMap<Vec<Value>, Known>>,
    rows: usize,
    /// What was changed since the mark.
    changed: Vec<(&'static str, Vec<Value>)>,
}

#[derive(Debug)]
pub(super) enum Known {
    /// It is there, and held.
    Row(Row),
    /// The transaction took it away, and holds that.
    Deleted,
    /// It was not there when it was asked for; nobody holds that.
    Absent,
}

impl Known {
    pub(super) const fn row(&self) -> Option<&Row> {
        match self {
            Self::Row(row) => Some(row),
            Self::Deleted | Self::Absent => None,
        }
    }
}

impl KnownRows {
    /// The transaction ends.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What the transaction sees of a row; nothing where that has to be asked for.
    pub(super) fn get(&self, table: &str, key: &[Value]) -> Option<&Known> {
        self.tables.get(table)?.get(key)
    }

    /// What was read.
    pub(super) fn read(&mut self, table: &'static str, key: Vec<Value>, row: Option<Row>) {
        self.keep(table, key, row.map_or(Known::Absent, Known::Row));
    }

    /// What the transaction itself made of a row.
    pub(super) fn changed(&mut self, table: &'static str, key: Vec<Value>, row: Option<Row>) {
        self.changed.push((table, key.clone()));
        self.keep(table, key, row.map_or(Known::Deleted, Known::Row));
    }

    /// Something else is asked for: it may show rows that came meanwhile.
    pub(super) fn forget_absences(&mut self) {
        for rows in self.tables.values_mut() {
            let before = rows.len();
            rows.retain(|_, known| !matches!(known, Known::Absent));
            self.rows -= before - rows.len();
        }
    }

    /// What is changed from here on may be taken back.
    pub(super) fn mark(&mut self) {
        self.changed.clear();
    }

    /// What was changed since the mark never was.
    pub(super) fn undo_to_mark(&mut self) {
        for (table, key) in std::mem::take(&mut self.changed) {
            self.forget(table, &key);
        }
    }

    fn keep(&mut self, table: &'static str, key: Vec<Value>, known: Known) {
        self.forget(table, &key);
        if self.rows < ROWS_MAX {
            self.tables.entry(table).or_default().insert(key, known);
            self.rows += 1;
        }
    }

    fn forget(&mut self, table: &str, key: &[Value]) {
        let known = self.tables.get_mut(table).and_then(|rows| rows.remove(key));
        self.rows -= usize::from(known.is_some());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn key(id: i64) -> Vec<Value> {
        vec![id.into()]
    }

    fn row(value: i64) -> Row {
        Row::new(Arc::from(["a".to_owned()]), key(value))
    }

    /// What is known of a row: its value, nothing where there is none, and that it
    /// is not known.
    fn known(rows: &KnownRows, id: i64) -> Result<Option<i64>, ()> {
        let known = rows.get("t", &key(id)).ok_or(())?;
        Ok(known.row().map(|row| row.get("a").unwrap()))
    }

    #[test]
    fn what_was_changed_since_the_mark_is_asked_for_again_when_it_is_taken_back() {
        let mut rows = KnownRows::default();
        for id in 0..3 {
            rows.read("t", key(id), Some(row(id)));
        }
        rows.changed("t", key(0), Some(row(10)));
        rows.mark();
        rows.changed("t", key(1), Some(row(11)));
        rows.changed("t", key(3), Some(row(13)));
        assert_eq!(known(&rows, 3), Ok(Some(13)));
        rows.undo_to_mark();
        let all = [0, 1, 2, 3].map(|id| known(&rows, id));
        assert_eq!(all, [Ok(Some(10)), Err(()), Ok(Some(2)), Err(())]);
    }

    #[test]
    fn only_what_is_held_is_known_after_something_else_was_asked_for() {
        let mut rows = KnownRows::default();
        rows.read("t", key(1), None);
        rows.changed("t", key(2), None);
        assert_eq!([known(&rows, 1), known(&rows, 2)], [Ok(None), Ok(None)]);
        rows.forget_absences();
        assert_eq!([known(&rows, 1), known(&rows, 2)], [Err(()), Ok(None)]);
        rows.clear();
        assert_eq!(known(&rows, 2), Err(()));
    }

    #[test]
    fn what_is_too_much_is_asked_for() {
        let mut rows = KnownRows::default();
        for id in 0..5_000 {
            rows.read("t", key(id), Some(row(id)));
        }
        assert_eq!([known(&rows, 4_095), known(&rows, 4_096)], [Ok(Some(4_095)), Err(())]);
        rows.changed("t", key(7), Some(row(0)));
        assert_eq!(known(&rows, 7), Ok(Some(0)), "in its own place");
        rows.changed("t", key(4_999), Some(row(0)));
        assert_eq!(known(&rows, 4_999), Err(()));
    }
}
