//! Default, file, environment, flags: each later one wins, and every value
//! knows where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::keys::{self, CONFIG_VARIABLE, KEYS, Key, VARIABLES};
use super::takes::{Setting, Takes, Wrong};

/// What was given on the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// `--config`
    pub(crate) config: Option<PathBuf>,
    /// The other flags, by the names of their keys.
    pub(crate) values: Vec<(&'static str, String)>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl Source {
    /// The kind, for programs.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(_) => "file",
            Self::Variable(_) => "env",
            Self::Flag(_) => "flag",
        }
    }

    /// The file, variable or flag.
    pub(super) fn place(&self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::File(path) => Some(path.display().to_string()),
            Self::Variable(name) => Some(name.clone()),
            Self::Flag(name) => Some((*name).to_owned()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            Some(place) => write!(f, "{} {place}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

/// What an error says in place of a value that may have a password in it.
const SENSITIVE: &str = "what is given";

/// All keys that have a value.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    values: BTreeMap<&'static str, (Setting, Source)>,
}

impl Resolved {
    /// Reads the file that the flags or the environment name, this process's
    /// environment, and the flags.
    pub(crate) fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::from(flags, std::env::vars_os())
    }

    /// As [`Resolved::load`], with another environment.
    pub(super) fn from(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut resolved = Self { values: BTreeMap::new() };
        resolved.put_defaults();
        let variables: BTreeMap<OsString, OsString> = variables.into_iter().collect();
        let file = flags.config.clone().or_else(|| {
            let named = variables.get(&OsString::from(CONFIG_VARIABLE));
            named.filter(|path| !path.is_empty()).map(PathBuf::from)
        });
        if let Some(file) = file {
            resolved.put_file(&file)?;
        }
        resolved.put_variables(&variables)?;
        for (name, text) in &flags.values {
            let key = keys::find(name).expect("flags are named after keys");
            let flag = key.flag.expect("a key with a flag");
            let value = key.takes.read_text(text).map_err(|wrong| {
                ConfigError::usage(wrong_value(flag, key.takes, &format!("`{text}`"), wrong))
            })?;
            resolved.values.insert(key.name, (value, Source::Flag(flag)));
        }
        Ok(resolved)
    }

    /// Whether nobody said anything about the key.
    pub(crate) fn is_default(&self, name: &str) -> bool {
        matches!(self.values.get(name), None | Some((_, Source::Default)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&(Setting, Source)> {
        self.values.get(name)
    }

    fn put_defaults(&mut self) {
        for key in KEYS {
            if let Some(default) = key.default {
                let value = key.takes.read_text(default).expect("a default is what its key takes");
                self.values.insert(key.name, (value, Source::Default));
            }
        }
    }

    fn put_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::new(format!("can't read {shown}: {error}")))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            let what = error.message().lines().next().unwrap_or("this is no TOML").to_owned();
            let about = key_in(text.lines().nth(line - 1).unwrap_or_default())
                .map_or_else(String::new, |key| format!("`{key}`: "));
            ConfigError::new(format!("{shown}:{line}: {about}{what}"))
        })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        for (name, value) in flattened(&table) {
            let Some(key) = keys::find(&name) else {
                return Err(unknown(&shown.to_string(), &name));
            };
            let read = key.takes.read_toml(&value).map_err(|wrong| {
                let given = if key.is_sensitive() { SENSITIVE.to_owned() } else { given(&value) };
                ConfigError::new(format!(
                    "{shown}: {}",
                    wrong_value(&format!("`{name}`"), key.takes, &given, wrong)
                ))
            })?;
            let read = relative_to(directory, key, read);
            self.values.insert(key.name, (read, Source::File(path.to_owned())));
        }
        Ok(())
    }

    fn put_variables(
        &mut self,
        variables: &BTreeMap<OsString, OsString>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLES)) else {
                continue;
            };
            if name == CONFIG_VARIABLE {
                continue;
            }
            let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
                let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
                let hint = suggestion(name, known.iter().map(String::as_str));
                return Err(ConfigError::new(format!(
                    "there is no environment variable {name}{hint}"
                )));
            };
            let wrong_here = |given: &str, wrong: Wrong| {
                let given = if key.is_sensitive() { SENSITIVE } else { given };
                ConfigError::new(format!(
                    "environment: {}",
                    wrong_value(name, key.takes, given, wrong)
                ))
            };
            let text = value.to_str().ok_or_else(|| wrong_here("bytes that are no UTF-8", None))?;
            let value = key
                .takes
                .read_text(text)
                .map_err(|wrong| wrong_here(&format!("`{text}`"), wrong))?;
            self.values.insert(key.name, (value, Source::Variable(name.to_owned())));
        }
        Ok(())
    }
}

/// The key that a line of a file begins with, where it begins with one. The
/// value is not looked at: it may be a password.
fn key_in(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    Some(key).filter(|key| !key.is_empty() && key.chars().all(plain))
}

/// The tables of the file as dotted names. What is inside a value that is not
/// one of our tables stays a value.
fn flattened(table: &toml::Table) -> Vec<(String, toml::Value)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                flat.extend(
                    inner.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone())),
                );
            }
            value => flat.push((name.clone(), value.clone())),
        }
    }
    flat
}

/// Paths in a file are relative to the file: it means the same whoever starts
/// the program where.
fn relative_to(directory: &Path, key: &Key, value: Setting) -> Setting {
    let joined = |path: &str| directory.join(path).display().to_string();
    match value {
        Setting::Text(path) if key.takes == Takes::Path => Setting::Text(joined(&path)),
        Setting::Masters(mut masters) => {
            for master in &mut masters {
                if let Some(path) = master.url.strip_prefix("sqlite:") {
                    master.url = format!("sqlite:{}", joined(path));
                }
            }
            Setting::Masters(masters)
        }
        value => value,
    }
}

fn wrong_value(place: &str, takes: Takes, given: &str, wrong: Wrong) -> String {
    match wrong {
        Some(why) => format!("{place}: {why}"),
        None => format!("{place} takes {takes}, not {given}"),
    }
}

fn given(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(_) => "a table".to_owned(),
        toml::Value::Array(_) => "a list".to_owned(),
        value => {
            let text = value.to_string();
            // An error is one line, whatever the value is.
            let short: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
            if short == text { text } else { format!("{short}…") }
        }
    }
}

fn unknown(place: &str, name: &str) -> ConfigError {
    let hint = suggestion(name, KEYS.iter().map(|key| key.name));
    ConfigError::new(format!("{place}: there is no key `{name}`{hint}"))
}

/// `; did you mean …?` where one of `known` is close.
fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    /// More changes than this make another word.
    const CHANGES_MAX: usize = 3;
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let distance = |candidate: &&str| {
        // A key in the wrong table, or without its table, is close too.
        if last(candidate) == last(name) { 1 } else { edit_distance(name, candidate) }
    };
    known
        .map(|candidate| (distance(&candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= CHANGES_MAX)
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean `{candidate}`?"))
}

/// Levenshtein's distance: insertions, deletions and replacements.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    for (row, c) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = previous[column] + usize::from(c != *other);
            current.push(replaced.min(previous[column + 1] + 1).min(current[column] + 1));
        }
        previous = current;
    }
    previous[to.len()]
}

#[cfg(test)]
mod tests;
