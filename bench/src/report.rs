//! How results are told: a table for people, then one line of JSON.

use serde_json::{Map, Value, json};

use crate::Sample;

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub work: &'static str,
    /// By what.
    pub subject: &'static str,
    /// How many did it at one time.
    pub callers: usize,
    /// How it went.
    pub sample: Sample,
}

/// The results of one bench.
#[derive(Clone, Debug)]
pub struct Report {
    bench: &'static str,
    rows: Vec<Row>,
    ratios: Map<String, Value>,
    facts: Map<String, Value>,
}

impl Report {
    /// Without results yet.
    #[must_use]
    pub fn new(bench: &'static str) -> Self {
        Self { bench, rows: Vec::new(), ratios: Map::new(), facts: Map::new() }
    }

    /// Adds a line.
    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds the ratio of the rates of two subjects that did the same work with
    /// as many callers.
    ///
    /// # Panics
    /// When one of them was not measured.
    pub fn ratio(&mut self, name: &str, work: &str, callers: usize, subject: &str, rival: &str) {
        let rate = |subject: &str| {
            let row = self
                .rows
                .iter()
                .find(|row| (row.work, row.subject, row.callers) == (work, subject, callers));
            row.unwrap_or_else(|| panic!("{subject} was not measured")).sample.rate
        };
        let ratio = (rate(subject) / rate(rival) * 1_000.0).round() / 1_000.0;
        self.ratios.insert(name.to_owned(), ratio.into());
    }

    /// Adds a number that has no callers and no rate.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    /// Prints the table, and as the last line the JSON object.
    pub fn print(&self) {
        let width = |of: fn(&Row) -> &'static str| {
            self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0)
        };
        let (work, subject) = (width(|row| row.work), width(|row| row.subject));
        println!(
            "{:work$}  {:subject$}  {:>7}  {:>10}  {:>9}  {:>9}",
            "work", "subject", "callers", "a second", "p50 µs", "p99 µs"
        );
        for row in &self.rows {
            println!(
                "{:work$}  {:subject$}  {:>7}  {:>10.0}  {:>9}  {:>9}",
                row.work,
                row.subject,
                row.callers,
                row.sample.rate,
                row.sample.p50_us,
                row.sample.p99_us
            );
        }
        for (name, value) in self.ratios.iter().chain(&self.facts) {
            println!("{name}: {value}");
        }
        println!("{}", self.to_json());
    }

    fn to_json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "work": row.work,
                    "subject": row.subject,
                    "callers": row.callers,
                    "rate": row.sample.rate.round(),
                    "p50_us": row.sample.p50_us,
                    "p99_us": row.sample.p99_us,
                })
            })
            .collect();
        let mut object = Map::new();
        object.insert("bench".to_owned(), self.bench.into());
        object.insert("rows".to_owned(), rows.into());
        object.insert("ratios".to_owned(), self.ratios.clone().into());
        object.extend(self.facts.clone());
        object.into()
    }
}
