//! What is told: how bad it is, what it is about, and what is to be known.

use std::fmt;

use serde::Serialize;

/// How bad it is. Ordered: CRITICAL is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Info,
    /// Somebody should look today: what is left still works.
    Warning,
    /// Somebody has to look now: users notice.
    Critical,
}

impl Severity {
    /// As messages have it: `INFO`, `WARNING`, `CRITICAL`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an alert is about, such as `master/b`. Alerts under one key are one
/// matter.
///
/// At most [`AlertKey::CHARS_MAX`] characters, what is longer is cut; control
/// characters become spaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AlertKey(String);

impl AlertKey {
    /// The longest key.
    pub const CHARS_MAX: usize = 200;

    /// A key. It never fails: an alert that is not told because of its name
    /// would be a poor one.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self(one_line(key, Self::CHARS_MAX))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that somebody should know.
///
/// Texts are bounded, so that no message grows with what went wrong: what is
/// longer is cut and ends in `…`.
///
/// ```
/// use monitor::{Alert, AlertKey, Severity};
///
/// let alert = Alert::new(Severity::Warning, AlertKey::new("disk/data"), "the disk is nearly full")
///     .detail("free_bytes", "1048576");
/// assert_eq!(alert.details(), [("free_bytes".to_owned(), "1048576".to_owned())]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    severity: Severity,
    key: AlertKey,
    summary: String,
    details: Vec<(String, String)>,
}

impl Alert {
    /// The longest summary, and the longest value of a detail.
    pub const TEXT_CHARS_MAX: usize = 500;
    /// The most details; further ones are left out.
    pub const DETAILS_MAX: usize = 16;

    /// An alert with one line that says what is the matter.
    #[must_use]
    pub fn new(severity: Severity, key: AlertKey, summary: &str) -> Self {
        let summary = one_line(summary, Self::TEXT_CHARS_MAX);
        Self { severity, key, summary, details: Vec::new() }
    }

    /// The same with one more detail: a name, unique in this alert, and a value.
    /// One of a name that is there already takes its place.
    #[must_use]
    pub fn detail(mut self, name: &str, value: &str) -> Self {
        let name = one_line(name, AlertKey::CHARS_MAX);
        let value = one_line(value, Self::TEXT_CHARS_MAX);
        if let Some((_, known)) = self.details.iter_mut().find(|(known, _)| *known == name) {
            *known = value;
        } else if self.details.len() < Self::DETAILS_MAX {
            self.details.push((name, value));
        }
        self
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// What it is about.
    #[must_use]
    pub const fn key(&self) -> &AlertKey {
        &self.key
    }

    /// The one line.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Names and values, in the order in which they were given.
    #[must_use]
    pub fn details(&self) -> &[(String, String)] {
        &self.details
    }
}

/// `text` without control characters, of at most `chars_max` characters.
fn one_line(text: &str, chars_max: usize) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if text.chars().count() <= chars_max {
        return plain.collect();
    }
    plain.take(chars_max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_of_one_line() {
        let long = "책".repeat(1_000);
        assert_eq!(AlertKey::new("a\nb\u{7}").as_str(), "a b ");
        assert_eq!(AlertKey::new(&long).as_str().chars().count(), AlertKey::CHARS_MAX);
        let mut alert = Alert::new(Severity::Info, AlertKey::new("k"), &long);
        assert_eq!(alert.summary().chars().count(), Alert::TEXT_CHARS_MAX);
        assert!(alert.summary().ends_with("책…"));
        for at in 0..100 {
            alert = alert.detail(&at.to_string(), &long);
        }
        alert = alert.detail("3", "another");
        assert_eq!(alert.details().len(), Alert::DETAILS_MAX);
        assert_eq!(alert.details()[3], ("3".to_owned(), "another".to_owned()));
    }

    #[test]
    fn critical_is_the_greatest() {
        assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Critical);
    }
}
