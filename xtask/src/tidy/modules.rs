//! No dead files: every `.rs` file is a module that cargo reaches.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::rust_text::RustText;
use super::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let files: BTreeMap<&str, &RustText> =
        workspace.rust().map(|(_, file, rust)| (file.path.as_str(), rust)).collect();
    let roots = workspace.packages.iter().flat_map(|package| &package.roots).map(String::as_str);
    let reached = reach(&files, roots);
    workspace
        .files
        .iter()
        .filter(|file| file.rust.is_some() && !reached.contains(file.path.as_str()))
        .map(|file| Finding::new(&file.path, "no `mod` reaches this file: declare it or delete it"))
        .collect()
}

fn reach<'a>(
    files: &BTreeMap<&'a str, &RustText>,
    roots: impl Iterator<Item = &'a str>,
) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<(&str, bool)> = roots.map(|path| (path, true)).collect();
    while let Some((path, is_root)) = ahead.pop() {
        let Some((&path, rust)) = files.get_key_value(path) else { continue };
        if !reached.insert(path) {
            continue;
        }
        let below = directory_of_children(path, is_root);
        for name in declared(&rust.code) {
            for candidate in [format!("{below}/{name}.rs"), format!("{below}/{name}/mod.rs")] {
                if let Some((&known, _)) = files.get_key_value(candidate.as_str()) {
                    ahead.push((known, false));
                }
            }
        }
    }
    reached
}

/// Where the files of a module's children are.
fn directory_of_children(path: &str, is_root: bool) -> &str {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    if is_root || path.ends_with("/mod.rs") {
        directory
    } else {
        path.strip_suffix(".rs").unwrap_or(path)
    }
}

/// The names in `mod name;`.
fn declared(code: &str) -> impl Iterator<Item = &str> {
    code.split(';').filter_map(|statement| {
        let mut words = statement.split_ascii_whitespace().rev();
        let name = words.next()?;
        (words.next() == Some("mod")).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nothing_declares_is_not_reached() {
        let sources = [
            ("a/src/lib.rs", "//! x\npub mod one;\n#[cfg(test)]\nmod tests;\n// mod dead;\n"),
            ("a/src/one.rs", "mod two;"),
            ("a/src/one/two.rs", "mod three;"),
            ("a/src/one/two/three/mod.rs", ""),
            ("a/src/tests.rs", ""),
            ("a/src/dead.rs", ""),
            ("a/tests/it/main.rs", "mod walk;"),
            ("a/tests/it/walk.rs", ""),
        ];
        let texts: Vec<_> =
            sources.iter().map(|(path, source)| (*path, RustText::read(source))).collect();
        let files = texts.iter().map(|(path, text)| (*path, text)).collect();
        let reached = reach(&files, ["a/src/lib.rs", "a/tests/it/main.rs"].into_iter());
        let dead: Vec<_> =
            sources.iter().map(|(path, _)| *path).filter(|path| !reached.contains(path)).collect();
        assert_eq!(dead, ["a/src/dead.rs"]);
    }
}
