//! The records: books, and memos that refer to them. What is called the mood of a memo was
//! called its feeling by the first programs.

use sync::engine::Config;
use sync::merge::REVISIONS;
use sync::model::{Rule, Table};
use sync::operation::{Action, Operation};

pub(super) const BOOKS: &str = "books";
pub(super) const MEMOS: &str = "memos";

/// The schema of the first programs.
pub(super) const FIRST: u32 = 1;
/// The schema that programs come to.
pub(super) const SCHEMA: u32 = 2;
pub(super) const TABLES: &[Table] = &[BOOK, memo(&fields_of_memo(MOOD)), REVISIONS];

const FIRST_TABLES: &[Table] = &[BOOK, memo(&fields_of_memo(FEELING)), REVISIONS];
const MOOD: &str = "mood";
const FEELING: &str = "feeling";
const BOOK: Table =
    Table { name: BOOKS, fields: &[("content", Rule::Text), ("page", Rule::Latest)] };

const fn memo(fields: &'static [(&'static str, Rule)]) -> Table {
    Table { name: MEMOS, fields }
}

const fn fields_of_memo(mood: &'static str) -> [(&'static str, Rule); 4] {
    [
        ("book", Rule::Reference(BOOKS)),
        ("content", Rule::Text),
        (mood, Rule::Latest),
        ("page", Rule::Latest),
    ]
}

/// The program is a newer one from now on.
pub(super) fn upgrade(config: &mut Config) {
    *config = Config { tables: TABLES, schema: SCHEMA, ..config.clone() };
}

/// The tables of a schema.
pub(super) const fn tables(schema: u32) -> &'static [Table] {
    if schema == FIRST { FIRST_TABLES } else { TABLES }
}

/// What the mood is called in a schema.
pub(super) const fn mood(schema: u32) -> &'static str {
    if schema == FIRST { FEELING } else { MOOD }
}

/// What a record, or what somebody set of it, is called in the newer schema.
pub(super) fn renamed(fields: &mut sync::model::Fields) {
    if let Some(mood) = fields.remove(FEELING)
        && fields.get(MOOD).is_none()
    {
        fields.set(MOOD, mood);
    }
}

/// Makes an operation of the newer schema.
pub(super) fn upgrade_operation(operation: &mut Operation) {
    if let Action::Create { fields } | Action::Update { fields, .. } = &mut operation.action {
        renamed(fields);
    }
}
