//! The tables of sagas, as migrations of the store.

use multi_master::{Column, Index, Kind, Migration, Step, Table};

use crate::model::NAME_CHARS_MAX;
use crate::wire::JSON_BYTES_MAX;

/// The longest sentence that is kept about an error; what is longer is cut off.
pub const ERROR_CHARS_MAX: u32 = 500;
/// The longest code of a refusal; what is longer is cut off.
pub const CODE_CHARS_MAX: u32 = 64;

// JSON has at least one byte for each character.
#[expect(clippy::cast_possible_truncation, reason = "64 KiB")]
pub(crate) const JSON_CHARS_MAX: u32 = JSON_BYTES_MAX as u32;

/// To be put among the migrations of the store that sagas are journaled in.
pub const MIGRATIONS: &[Migration] =
    &[Migration { name: "saga-1", steps: &[Step::CreateTable(SAGAS), Step::CreateTable(STEPS)] }];

/// A row for each saga.
const SAGAS: Table = Table {
    name: "sagas",
    key: &["saga_id"],
    columns: &[
        Column::new("saga_id", Kind::Id),
        // Which definition, and what its steps were when it began.
        Column::new("kind", Kind::Text { chars_max: NAME_CHARS_MAX }),
        Column::new("version", Kind::Int),
        Column::new("fingerprint", Kind::Int),
        // A name of `SagaState`; whether it goes forward, which STUCK does not say; and
        // whether some process has to drive it.
        Column::new("state", Kind::Text { chars_max: 16 }),
        Column::new("forward", Kind::Bool),
        Column::new("active", Kind::Bool),
        Column::new("input", Kind::Text { chars_max: JSON_CHARS_MAX }),
        // Why it turned back, or is stuck.
        Column::nullable("cause_step", Kind::Int),
        Column::nullable("cause_code", Kind::Text { chars_max: CODE_CHARS_MAX }),
        Column::nullable("cause", Kind::Text { chars_max: ERROR_CHARS_MAX }),
        Column::new("started_at", Kind::Time),
        Column::nullable("finished_at", Kind::Time),
        // Who drives it, until when, and which owner that is.
        Column::nullable("owner_id", Kind::Id),
        Column::new("lease_until", Kind::Time),
        Column::new("fence", Kind::Int),
        // Counts what its owners wrote: a write that is based on another one is refused.
        Column::new("revision", Kind::Int),
        // How often it was taken over since something was last written about a step.
        Column::new("taken_over", Kind::Int),
    ],
    indexes: &[
        Index { name: "sagas_lease", columns: &["active", "lease_until"], unique: false },
        Index { name: "sagas_started", columns: &["started_at"], unique: false },
        Index { name: "sagas_state", columns: &["state", "started_at"], unique: false },
    ],
};

/// A row for each step that was begun. A step without one is `WAITING`.
const STEPS: Table = Table {
    name: "saga_steps",
    key: &["saga_id", "step"],
    columns: &[
        Column::new("saga_id", Kind::Id),
        // Its place in the definition, from 0.
        Column::new("step", Kind::Int),
        Column::new("name", Kind::Text { chars_max: NAME_CHARS_MAX }),
        Column::new("state", Kind::Text { chars_max: 16 }),
        Column::new("maybe_ran", Kind::Bool),
        Column::new("attempts", Kind::Int),
        Column::new("undo_attempts", Kind::Int),
        Column::nullable("output", Kind::Text { chars_max: JSON_CHARS_MAX }),
        Column::nullable("error", Kind::Text { chars_max: ERROR_CHARS_MAX }),
        Column::nullable("began_at", Kind::Time),
        Column::nullable("ended_at", Kind::Time),
        Column::nullable("undone_at", Kind::Time),
    ],
    indexes: &[],
};
