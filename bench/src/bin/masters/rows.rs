//! The rows that every subject writes.

use multi_master::{Value, fields};
use stdx::{IdSource, Random, Seed};

/// A row as a memo is: its id, its reader's, a page, a text, a moment.
#[derive(Clone)]
pub(crate) struct MemoRow {
    pub(crate) id: [u8; 16],
    pub(crate) reader: [u8; 16],
    pub(crate) page: i64,
    pub(crate) content: String,
    pub(crate) at: i64,
}

impl MemoRow {
    /// As our own masters take it.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Value)> {
        fields! {
            "id" => self.id.as_slice(),
            "reader_id" => self.reader.as_slice(),
            "page" => self.page,
            "content" => &self.content,
            "started_at" => self.at,
        }
    }
}

/// Rows of one caller, the same for every subject.
pub(crate) struct Rows {
    ids: IdSource,
    reader: [u8; 16],
    count: i64,
}

impl Rows {
    pub(crate) fn of_caller(caller: usize) -> Self {
        let seed = Seed(u64::try_from(caller).unwrap_or(0) + 1);
        let ids = IdSource::new(stdx::Clock::real(), Random::new(seed));
        let reader = ids.next_uuid().into_bytes();
        Self { ids, reader, count: 0 }
    }

    pub(crate) fn next(&mut self) -> MemoRow {
        self.count += 1;
        MemoRow {
            id: self.ids.next_uuid().into_bytes(),
            reader: self.reader,
            page: self.count % 500 + 1,
            // Some 200 bytes, as a memo of a few sentences has.
            content: format!(
                "{:04} 책을 읽으며 적은 메모입니다. A memo that somebody wrote on the train, about a sentence that stayed with them for the rest of the day.",
                self.count
            ),
            at: 1_700_000_000_000_000 + self.count,
        }
    }
}
