//! `cargo xtask tidy`: the rules of `docs/STYLE.md` that a program can keep.
//!
//! Every rule is a function from texts to findings, so that its tests can show
//! it a bad text and see it refuse. A finding names the place and what to do
//! instead. Comments, texts in quotes and tests are told apart from code by
//! [`rust_text`], a small lexer; what it can't see (macros that write code) no
//! rule sees.

mod workspace;

mod rust_text;

mod layers;

mod sabotage;

mod purity;

mod sql;

mod modules;

mod dependencies;

mod files;

mod docs;

use std::fmt;

use crate::shell::{Failure, Result};

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the root, with `:line` where there is one.
    place: String,
    /// What is wrong, and what to do instead.
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    fn at_line(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), message)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

pub(crate) fn run() -> Result {
    eprintln!("\n$ cargo xtask tidy");
    let workspace = workspace::Workspace::load()?;
    let mut findings = layers::check(&workspace.packages);
    findings.extend(sabotage::check(&workspace.packages));
    findings.extend(purity::check(&workspace));
    findings.extend(sql::check(&workspace));
    findings.extend(modules::check(&workspace));
    findings.extend(dependencies::check(&workspace)?);
    findings.extend(files::check(&workspace));
    findings.extend(docs::check(&workspace));
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        eprintln!("{} packages, {} files: tidy", workspace.packages.len(), workspace.files.len());
        Ok(())
    } else {
        Err(Failure(format!("tidy: {} finding(s)", findings.len())))
    }
}
