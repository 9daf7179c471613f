//! No clock, chance, disk or network where they have to be arguments.

use super::Finding;
use super::workspace::{Layer, SourceFile, Workspace};

/// What reaches for the time or for chance, and what to take instead. Kept out
/// of cores and of domains.
const CLOCK_AND_CHANCE: [(&str, &str); 8] = [
    ("SystemTime::now", "take a `stdx::Clock`"),
    ("Instant::now", "take a `stdx::Clock`"),
    ("Timestamp::now", "take a `stdx::Clock`"),
    ("Zoned::now", "take a `stdx::Clock`"),
    ("thread_rng", "take a `stdx::Random`"),
    ("rand::rng", "take a `stdx::Random`"),
    ("Uuid::new_v4", "take a `stdx::IdSource`"),
    ("Uuid::now_v7", "take a `stdx::IdSource`"),
];

/// What touches the machine. Kept out of cores.
const DISK_AND_NETWORK: [(&str, &str); 6] = [
    ("std::fs", "a core performs no I/O: its shell does"),
    ("std::net", "a core performs no I/O: its shell does"),
    ("std::process", "a core performs no I/O: its shell does"),
    ("std::env", "a core performs no I/O: its shell does"),
    ("thread::sleep", "a core performs no I/O: its shell does"),
    ("tokio", "a core performs no I/O: its shell does"),
];

/// The one door to the operating system.
const DOORS: [(&str, &str); 3] = [
    ("crates/stdx/src/time.rs", "SystemTime::now"),
    ("crates/stdx/src/time.rs", "Instant::now"),
    ("crates/stdx/src/random.rs", "Uuid::new_v4"),
];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (package, file, _) in workspace.rust() {
        if let Some(layer) = package.layer {
            findings.extend(check_file(layer, file));
        }
    }
    findings
}

fn check_file(layer: Layer, file: &SourceFile) -> Vec<Finding> {
    let words: Vec<(&str, &str)> = match layer {
        Layer::Core => CLOCK_AND_CHANCE.into_iter().chain(DISK_AND_NETWORK).collect(),
        Layer::Domain => CLOCK_AND_CHANCE.to_vec(),
        Layer::Shell | Layer::App => return Vec::new(),
    };
    let Some(rust) = file.rust.as_ref().filter(|_| !file.is_test()) else { return Vec::new() };
    let mut findings = Vec::new();
    for (word, instead) in words {
        if DOORS.contains(&(file.path.as_str(), word)) {
            continue;
        }
        for at in rust.find(word).filter(|at| !rust.in_test(*at)) {
            findings.push(Finding::at_line(
                &file.path,
                rust.line(at),
                format!("`{word}`: {instead}"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(layer: Layer, path: &str, source: &str) -> Vec<String> {
        check_file(layer, &SourceFile::new(path, source))
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn a_core_that_looks_at_the_clock_is_found() {
        let source = "// SystemTime::now\nfn f() { std::time::Instant::now(); }\n";
        assert_eq!(
            findings(Layer::Core, "crates/x/src/lib.rs", source),
            ["crates/x/src/lib.rs:2: `Instant::now`: take a `stdx::Clock`"]
        );
        assert!(findings(Layer::Shell, "crates/x/src/lib.rs", source).is_empty());
        assert!(findings(Layer::Core, "crates/x/tests/it/main.rs", source).is_empty());
    }

    #[test]
    fn every_word_is_found_in_a_core_and_the_first_eight_in_a_domain() {
        for (word, _) in CLOCK_AND_CHANCE.into_iter().chain(DISK_AND_NETWORK) {
            let source = format!("use {word};");
            assert_eq!(findings(Layer::Core, "crates/x/src/a.rs", &source).len(), 1, "{word}");
        }
        assert_eq!(findings(Layer::Domain, "app/x/src/a.rs", "Uuid::new_v4()").len(), 1);
        assert!(findings(Layer::Domain, "app/x/src/a.rs", "use tokio;").is_empty());
    }

    #[test]
    fn the_doors_are_open_for_what_they_are_for() {
        assert!(findings(Layer::Core, "crates/stdx/src/time.rs", "SystemTime::now()").is_empty());
        assert_eq!(findings(Layer::Core, "crates/stdx/src/time.rs", "Uuid::new_v4()").len(), 1);
    }
}
