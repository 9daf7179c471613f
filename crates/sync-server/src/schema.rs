//! The tables of the sync server.

use multi_master::{Column, Index, Kind, Migration, Step, Table};

/// The name of the table that has a row for each record: `account_id`, `table_name`,
/// `record_id` are its key.
pub const RECORDS: &str = "sync_records";

/// The most bytes of what is kept beside a record's values.
pub(crate) const STATE_BYTES_MAX: u32 = 256 << 10;

/// All migrations of this crate, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "sync-1",
        steps: &[
            Step::CreateTable(ACCOUNTS),
            Step::CreateTable(DEVICES),
            Step::CreateTable(RECORDS_TABLE),
            Step::CreateTable(REVISIONS),
        ],
    },
    Migration {
        name: "sync-2",
        steps: &[
            // The store in which the change log of the account was begun, and its id.
            Step::AddColumn {
                table: "sync_accounts",
                column: Column::nullable("store_id", Kind::Id),
            },
            Step::AddColumn {
                table: "sync_accounts",
                column: Column::nullable("log_id", Kind::Id),
            },
            Step::CreateTable(LOGS),
        ],
    },
];

/// Change logs that have ended: the store was put back from a backup, or went on without
/// some of its writes.
const LOGS: Table = Table {
    name: "sync_logs",
    key: &["account_id", "log_id"],
    columns: &[
        Column::new("account_id", Kind::Id),
        Column::new("log_id", Kind::Id),
        // The last change that it has in common with the one after it.
        Column::new("ended", Kind::Int),
    ],
    indexes: &[],
};

/// Accounts. A push locks the row of its account until it is committed.
const ACCOUNTS: Table = Table {
    name: "sync_accounts",
    key: &["account_id"],
    columns: &[
        Column::new("account_id", Kind::Id),
        // The last change.
        Column::new("head", Kind::Int),
        // The last deletion that is no longer remembered.
        Column::new("forgotten", Kind::Int),
        // The server's time of the last change.
        Column::new("at", Kind::Int),
        // Whether all records from before are in the change log.
        Column::new("listed", Kind::Bool),
    ],
    indexes: &[],
};

/// Devices.
const DEVICES: Table = Table {
    name: "sync_devices",
    key: &["account_id", "device_id"],
    columns: &[
        Column::new("account_id", Kind::Id),
        Column::new("device_id", Kind::Id),
        // Up to which of its operations it has the answers.
        Column::new("settled", Kind::Int),
        // The greatest sequence that was seen.
        Column::new("sequence", Kind::Int),
        Column::new("seen_at", Kind::Time),
    ],
    indexes: &[],
};

/// Records: what is kept beside their values, and with it the change log, in which
/// each record stands once, where it changed last.
const RECORDS_TABLE: Table = Table {
    name: RECORDS,
    key: &["account_id", "table_name", "record_id"],
    columns: &[
        Column::new("account_id", Kind::Id),
        Column::new("table_name", Kind::Text { chars_max: 40 }),
        Column::new("record_id", Kind::Id),
        // 0 where it was never there, or nobody remembers.
        Column::new("version", Kind::Int),
        Column::nullable("deleted_at", Kind::Time),
        // See `crate::state`.
        Column::new("state", Kind::Bytes { bytes_max: STATE_BYTES_MAX }),
    ],
    indexes: &[
        Index { name: "sync_records_version", columns: &["account_id", "version"], unique: false },
        Index {
            name: "sync_records_deleted",
            columns: &["account_id", "deleted_at"],
            unique: false,
        },
    ],
};

/// Values of the revisions.
const REVISIONS: Table = Table {
    name: "sync_revisions",
    key: &["account_id", "record_id"],
    columns: &[
        Column::new("account_id", Kind::Id),
        Column::new("record_id", Kind::Id),
        // As JSON: see `sync::merge::Revision::record`.
        Column::new("fields", Kind::Bytes { bytes_max: 1 << 20 }),
    ],
    indexes: &[],
};
