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

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Aim {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// A figure beside what it should be.
#[derive(Clone, Debug)]
struct Aimed {
    name: String,
    value: f64,
    aim: Aim,
    /// Why this run can't tell; then it is neither met nor missed.
    moot: Option<String>,
}

/// The results of one bench.
#[derive(Clone, Debug)]
pub struct Report {
    bench: &'static str,
    rows: Vec<Row>,
    ratios: Map<String, Value>,
    facts: Map<String, Value>,
    aims: Vec<Aimed>,
}

impl Report {
    /// Without results yet.
    #[must_use]
    pub fn new(bench: &'static str) -> Self {
        Self { bench, rows: Vec::new(), ratios: Map::new(), facts: Map::new(), aims: Vec::new() }
    }

    /// Adds a line.
    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// How a subject did.
    ///
    /// # Panics
    /// When it was not measured.
    #[must_use]
    pub fn sample(&self, work: &str, callers: usize, subject: &str) -> Sample {
        let wanted = (work, subject, callers);
        let row = self.rows.iter().find(|row| (row.work, row.subject, row.callers) == wanted);
        row.unwrap_or_else(|| panic!("{subject} was not measured")).sample
    }

    /// Adds the ratio of the rates of two subjects that did the same work with
    /// as many callers, and returns it.
    ///
    /// # Panics
    /// When one of them was not measured.
    pub fn ratio(
        &mut self,
        name: &str,
        work: &str,
        callers: usize,
        subject: &str,
        rival: &str,
    ) -> f64 {
        let rate = |subject| self.sample(work, callers, subject).rate;
        let ratio = rounded(rate(subject) / rate(rival));
        self.ratios.insert(name.to_owned(), ratio.into());
        ratio
    }

    /// Adds a figure beside what it should be.
    pub fn aim(&mut self, name: &str, value: f64, aim: Aim) {
        self.aims.push(Aimed { name: name.to_owned(), value: rounded(value), aim, moot: None });
    }

    /// As [`Self::aim`], where this run can't tell, because of `why`.
    pub fn aim_moot(&mut self, name: &str, value: f64, aim: Aim, why: &str) {
        let (name, value, moot) = (name.to_owned(), rounded(value), Some(why.to_owned()));
        self.aims.push(Aimed { name, value, aim, moot });
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
            "{:work$}  {:subject$}  {:>7}  {:>10}  {:>9}  {:>9}  {:>6}",
            "work", "subject", "callers", "a second", "p50 µs", "p99 µs", "CPU µs"
        );
        for row in &self.rows {
            println!(
                "{:work$}  {:subject$}  {:>7}  {:>10.0}  {:>9}  {:>9}  {:>6}",
                row.work,
                row.subject,
                row.callers,
                row.sample.rate,
                row.sample.p50_us,
                row.sample.p99_us,
                row.sample.cpu_us.map_or_else(String::new, |cost| cost.to_string())
            );
        }
        self.print_ratios();
        for (name, value) in &self.facts {
            println!("{name}: {value}");
        }
        for Aimed { name, value, aim, moot } in &self.aims {
            let (bound, of) = match aim {
                Aim::AtLeast(bound) => ("at least", bound),
                Aim::AtMost(bound) => ("at most", bound),
            };
            let verdict = match moot {
                Some(why) => format!("not judged: {why}"),
                None if aim.is_met(*value) => "met".to_owned(),
                None => "MISSED".to_owned(),
            };
            println!("aim {name}: {value}, {bound} {of}: {verdict}");
        }
        println!("{}", self.to_json());
    }

    /// One line for those that differ only in how many callers there were.
    fn print_ratios(&self) {
        let mut lines: Vec<(&str, Vec<(u32, &Value)>)> = Vec::new();
        for (name, value) in &self.ratios {
            let (name, callers) = name.rsplit_once("_at_").unwrap_or((name, ""));
            let one = (callers.parse().unwrap_or(0), value);
            match lines.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(one),
                None => lines.push((name, vec![one])),
            }
        }
        for (name, mut values) in lines {
            values.sort_by_key(|(callers, _)| *callers);
            let values: Vec<String> =
                values.iter().map(|(callers, value)| format!("{value} at {callers}")).collect();
            println!("ratio {name}: {}", values.join(", "));
        }
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
                    "cpu_us": row.sample.cpu_us,
                })
            })
            .collect();
        let mut object = Map::new();
        object.insert("bench".to_owned(), self.bench.into());
        object.insert("rows".to_owned(), rows.into());
        object.insert("ratios".to_owned(), self.ratios.clone().into());
        object.extend(self.facts.clone());
        let aims: Vec<Value> = self.aims.iter().map(Aimed::to_json).collect();
        object.insert("aims".to_owned(), aims.into());
        object.into()
    }
}

impl Aimed {
    fn to_json(&self) -> Value {
        let (bound, of) = match self.aim {
            Aim::AtLeast(bound) => ("at_least", bound),
            Aim::AtMost(bound) => ("at_most", bound),
        };
        let met = self.moot.is_none().then(|| self.aim.is_met(self.value));
        json!({ "name": self.name, "value": self.value, bound: of, "met": met, "moot": self.moot })
    }
}

/// Three digits after the point say enough of a ratio.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
