//! The tables of an outbox, as migrations of the store.

use multi_master::{Column, Index, Kind, Migration, Step, Table};

/// The longest name of a topic or a subscriber.
pub const NAME_CHARS_MAX: u32 = 64;
/// The longest key of an event.
pub const KEY_CHARS_MAX: u32 = 200;
/// The longest event, in bytes of JSON: of what is longer, an id is told.
pub const EVENT_BYTES_MAX: usize = 64 << 10;
/// The longest sentence that is kept about an error; what is longer is cut off.
pub const ERROR_CHARS_MAX: u32 = 500;

// JSON has at least one byte for each character.
#[expect(clippy::cast_possible_truncation, reason = "64 KiB")]
const EVENT_CHARS_MAX: u32 = EVENT_BYTES_MAX as u32;

/// To be put among the migrations of the store in which events are staged.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "outbox-1",
    steps: &[
        Step::CreateTable(LINES_TABLE),
        Step::CreateTable(DELIVERIES),
        Step::CreateTable(INBOX),
    ],
}];

/// So many lines give events their order: those of one key are in one line, and whoever emits
/// or delivers one holds its line until the commit. Fixed: rows are in the line of their key.
pub(crate) const LINES: i64 = 256;

/// A row for each line, made before anything is emitted: two who would make one at the same
/// time would be in each other's way.
const LINES_TABLE: Table = Table {
    name: "outbox_lines",
    key: &["line"],
    columns: &[
        Column::new("line", Kind::Int),
        // The place of the last event.
        Column::new("last", Kind::Int),
    ],
    indexes: &[],
};

/// A row for each event and subscriber.
const DELIVERIES: Table = Table {
    name: "outbox",
    key: &["delivery_id"],
    columns: &[
        Column::new("delivery_id", Kind::Id),
        // The same for all subscribers.
        Column::new("event_id", Kind::Id),
        Column::new("topic", Kind::Text { chars_max: NAME_CHARS_MAX }),
        Column::new("subscriber", Kind::Text { chars_max: NAME_CHARS_MAX }),
        Column::new("event_key", Kind::Text { chars_max: KEY_CHARS_MAX }),
        Column::new("place", Kind::Int),
        Column::new("event", Kind::Text { chars_max: EVENT_CHARS_MAX }),
        Column::new("emitted_at", Kind::Time),
        // When somebody may take it: at the end of the lease of who has it, or of a pause.
        // Never, while one of its key is before it, and when it is parked.
        Column::new("due_at", Kind::Time),
        Column::nullable("owner_id", Kind::Id),
        Column::new("attempts", Kind::Int),
        Column::nullable("error", Kind::Text { chars_max: ERROR_CHARS_MAX }),
        Column::new("parked", Kind::Bool),
    ],
    indexes: &[
        Index { name: "outbox_due", columns: &["subscriber", "due_at"], unique: false },
        Index { name: "outbox_parked", columns: &["parked", "emitted_at"], unique: false },
        Index {
            name: "outbox_place",
            columns: &["subscriber", "event_key", "place"],
            unique: false,
        },
    ],
};

/// What a subscriber has done, where that is in this store too.
const INBOX: Table = Table {
    name: "outbox_inbox",
    key: &["subscriber", "event_id"],
    columns: &[
        Column::new("subscriber", Kind::Text { chars_max: NAME_CHARS_MAX }),
        Column::new("event_id", Kind::Id),
        Column::new("done_at", Kind::Time),
    ],
    indexes: &[Index { name: "outbox_inbox_done", columns: &["done_at"], unique: false }],
};
