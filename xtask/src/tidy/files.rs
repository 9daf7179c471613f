//! Lengths, and what no file of the repository has in it.

use super::Finding;
use super::workspace::{SourceFile, Workspace};

/// A Rust file is split by sub-state when it passes 600 lines, which takes a
/// person; it never passes this.
const LINES_MAX: usize = 1_000;

/// Marks of something unfinished, put together here so that this file has
/// none.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Marks that a merge left, put together for the same reason.
const CONFLICT: [&str; 2] = [concat!("<<<<", "<<< "), concat!(">>>>", ">>> ")];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.files.iter().flat_map(|file| check_file(file, &workspace.root)).collect()
}

fn check_file(file: &SourceFile, root: &str) -> Vec<Finding> {
    // Made by cargo; or what somebody else's server said, byte for byte.
    if file.path.ends_with("Cargo.lock") || file.path.contains("/tests/fixtures/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if file.rust.is_some() && lines > LINES_MAX {
        findings.push(Finding::new(
            &file.path,
            format!("{lines} lines, and at most {LINES_MAX}: split it by sub-state"),
        ));
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::new(&file.path, "end the last line"));
    }
    for (number, line) in file.text.split('\n').enumerate() {
        let mut found =
            |message: String| findings.push(Finding::at_line(&file.path, number + 1, message));
        if line.contains(root) {
            found(format!(
                "`{root}` is a path of this machine: name it from the root of the project"
            ));
        }
        for mark in UNFINISHED {
            if line.contains(mark) {
                found(format!(
                    "`{mark}`: finish it, or say in a sentence what is not there and why"
                ));
            }
        }
        if CONFLICT.iter().any(|mark| line.starts_with(mark)) {
            found("a merge was left half done".to_owned());
        }
        if line.ends_with('\r') {
            found("lines end with a line feed alone".to_owned());
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found() {
        let long = "\n".repeat(LINES_MAX + 1);
        let unfinished = format!("a\n// {} later\n", UNFINISHED[0]);
        let merged = format!("{}HEAD\n", CONFLICT[0]);
        let cases = [
            ("a.rs", long.as_str(), "a.rs: 1001 lines, and at most 1000: split it by sub-state"),
            (
                "a.md",
                "see /home/someone/endpaper/README.md\n",
                "a.md:1: `/home/someone/endpaper` is a path of this machine: name it from the root of the project",
            ),
            ("a.md", "no end", "a.md: end the last line"),
            ("a.md", "a\r\n", "a.md:1: lines end with a line feed alone"),
            ("a.toml", merged.as_str(), "a.toml:1: a merge was left half done"),
        ];
        for (path, text, message) in cases {
            let findings = check_file(&SourceFile::new(path, text), "/home/someone/endpaper");
            let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
            assert_eq!(findings, [message]);
        }
        assert_eq!(check_file(&SourceFile::new("a.rs", unfinished), "/x/y").len(), 1);
        assert!(
            check_file(&SourceFile::new("a.md", long), "/x/y").is_empty(),
            "only Rust files are bounded"
        );
    }
}
