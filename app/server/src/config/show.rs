//! `endpaper config show`: what holds, and who said so.

use std::fmt::Write as _;

use multi_master::config::redacted;
use serde::Serialize;

use super::keys::{KEYS, Key};
use super::layers::{Resolved, Source};
use super::settings::Settings;
use super::takes::{Setting, Takes};

/// One key, for programs.
#[derive(Debug, Serialize)]
struct Shown {
    key: &'static str,
    value: serde_json::Value,
    source: &'static str,
    place: Option<String>,
    about: &'static str,
}

impl Resolved {
    /// A table for people: key, value, where it came from.
    pub(crate) fn to_table(&self) -> String {
        let rows: Vec<[String; 3]> = self
            .shown()
            .into_iter()
            .map(|(key, value, source)| [key.name.to_owned(), plain(&value), source.to_string()])
            .collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (names, values) = (width(0), width(1).min(60));
        let mut table = String::new();
        for [name, value, source] in &rows {
            writeln!(table, "{name:names$}  {value:values$}  {source}")
                .expect("a string takes all");
        }
        table
    }

    /// `{"settings": [{"key", "value", "source", "place", "about"}…]}`
    pub(crate) fn to_json(&self) -> String {
        let settings: Vec<Shown> = self
            .shown()
            .into_iter()
            .map(|(key, value, source)| Shown {
                key: key.name,
                value,
                source: source.kind(),
                place: source.place(),
                about: key.about,
            })
            .collect();
        serde_json::json!({ "settings": settings }).to_string()
    }

    /// Every key, also those that nobody set, with what follows from others
    /// worked out, and secrets hidden.
    fn shown(&self) -> Vec<(&'static Key, serde_json::Value, Source)> {
        let settings = Settings::of(self);
        let show = |key: &'static Key| {
            let (value, source) = match self.get(key.name) {
                Some((Setting::Text(_), source)) if key.takes == Takes::Witness => {
                    (settings.store.witness.to_string().into(), source.clone())
                }
                Some((value, source)) => (json(value), source.clone()),
                None => (followed(key, &settings), Source::Default),
            };
            let hidden = key.secret && !value.is_null();
            (key, if hidden { "***".into() } else { value }, source)
        };
        KEYS.iter().map(show).collect()
    }
}

/// What a key without a value comes to.
fn followed(key: &Key, settings: &Settings) -> serde_json::Value {
    match key.name {
        "masters" => {
            let masters = settings.store.masters.iter();
            masters.map(|master| master_json(&master.name.0, &master.url)).collect()
        }
        "store.witness" => settings.store.witness.to_string().into(),
        _ => serde_json::Value::Null,
    }
}

fn json(value: &Setting) -> serde_json::Value {
    match value {
        Setting::Text(text) => text.as_str().into(),
        Setting::Number(number) => (*number).into(),
        Setting::Truth(truth) => (*truth).into(),
        Setting::Texts(texts) => texts.as_slice().into(),
        Setting::Masters(masters) => {
            masters.iter().map(|master| master_json(&master.name, &master.url)).collect()
        }
    }
}

fn master_json(name: &str, url: &str) -> serde_json::Value {
    serde_json::json!({ "name": name, "url": redacted(url) })
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        serde_json::Value::Object(master) => {
            let text = |key: &str| master.get(key).map(plain).unwrap_or_default();
            format!("{}={}", text("name"), text("url"))
        }
        other => other.to_string(),
    }
}
