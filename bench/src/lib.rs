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

pub mod measure;

pub mod reader;

pub mod report;

pub use measure::{Latencies, Sample, cpu_spent, median};
pub use report::{Aim, Report, Row};
