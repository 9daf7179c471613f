//! What the benches share: measuring, medians, and how results are told.
//!
//! A bench compares **within one run**: its subjects take turns, several
//! rounds, and what is told is the median of each, and their ratios. Absolute
//! rates depend on the machine and on what else it does; ratios much less.
//!
//! Each bench is a binary in `src/`; its last line is one JSON object:
//! `{"bench": NAME, "rows": [{"work", "subject", "callers", "rate", "p50_us",
//! "p99_us", "cpu_us"}…], "ratios": {…}, "aims": [{"name", "value", "at_least" or "at_most",
//! "met", "moot"}…]}`.

use lab::{Software, Suite};

pub mod measure;

pub mod reader;

pub mod report;

pub use measure::{Latencies, Sample, cpu_spent, median};
pub use report::{Aim, Report, Row};

/// The MariaDB of this machine. In the full suite a missing one is a failure; else what needs
/// it is left out.
#[must_use]
pub fn mariadb_software() -> Option<Software> {
    match Software::find() {
        Ok(software) => Some(software),
        Err(_) if Suite::current() == Suite::Full => lab::require_mariadb("the bench"),
        Err(_) => {
            let missing = lab::mariadb_missing().unwrap_or_default();
            eprintln!("left out: everything on MariaDB servers: {missing}");
            None
        }
    }
}
