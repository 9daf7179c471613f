//! Documents that are true: commands that exist, links that lead somewhere,
//! and the same examples in both languages.

use std::collections::BTreeSet;

use clap::CommandFactory as _;

use super::Finding;
use super::workspace::{SourceFile, Workspace};

/// Documents that are there in Korean too, with the same examples.
const IN_BOTH_LANGUAGES: [(&str, &str); 1] = [("README.md", "README.ko.md")];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let documents = || workspace.files.iter().filter(|file| file.has_extension("md"));
    let tasks: BTreeSet<String> = crate::Arguments::command()
        .get_subcommands()
        .map(|task| task.get_name().to_owned())
        .collect();
    let paths: BTreeSet<&str> = workspace.files.iter().map(|file| file.path.as_str()).collect();
    let mut findings: Vec<Finding> =
        documents().flat_map(|file| check_document(file, &tasks, &paths)).collect();
    for (english, korean) in IN_BOTH_LANGUAGES {
        let text =
            |path: &str| documents().find(|file| file.path == path).map(|file| file.text.as_str());
        match (text(english), text(korean)) {
            (Some(one), Some(other)) if examples(one) != examples(other) => {
                findings.push(Finding::new(
                    korean,
                    format!("its examples or headings are not those of {english}: change both"),
                ));
            }
            (Some(_), None) => findings.push(Finding::new(korean, "is missing")),
            _ => {}
        }
    }
    findings
}

fn check_document(
    file: &SourceFile,
    tasks: &BTreeSet<String>,
    paths: &BTreeSet<&str>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for task in words_after(line, "cargo xtask ") {
            // A placeholder is written in capitals.
            let is_name = task.starts_with(|first: char| first.is_ascii_lowercase());
            if is_name && !tasks.contains(task) {
                findings.push(Finding::at_line(
                    &file.path,
                    number + 1,
                    format!("there is no `cargo xtask {task}`"),
                ));
            }
        }
        for target in links(line) {
            if !leads_somewhere(&file.path, target, paths) {
                findings.push(Finding::at_line(
                    &file.path,
                    number + 1,
                    format!("the link to `{target}` leads nowhere"),
                ));
            }
        }
    }
    findings
}

/// The word after each `start` in `line`.
fn words_after<'a>(line: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(start).map(move |(at, _)| {
        let rest = &line[at + start.len()..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
        &rest[..end]
    })
}

/// The targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, _)| {
        let rest = &line[at + 2..];
        rest.find(')').map(|end| &rest[..end])
    })
}

fn leads_somewhere(from: &str, target: &str, paths: &BTreeSet<&str>) -> bool {
    if target.contains("://") || target.starts_with("mailto:") || target.starts_with('#') {
        return true;
    }
    let target = target.split('#').next().unwrap_or(target);
    let mut place: Vec<&str> = from.split('/').collect();
    place.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if place.pop().is_none() {
                    return false;
                }
            }
            name => place.push(name),
        }
    }
    let place = place.join("/");
    paths.contains(place.as_str())
        || paths.iter().any(|path| path.starts_with(&format!("{place}/")))
}

/// What two translations of one document share: the fenced examples word for
/// word, and the levels of the headings in their order.
fn examples(text: &str) -> Vec<String> {
    let mut shared = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
            shared.push(line.to_owned());
        } else if inside {
            shared.push(line.to_owned());
        } else if line.starts_with('#') {
            shared.push(line.chars().take_while(|c| *c == '#').collect());
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let tasks = BTreeSet::from(["serve".to_owned()]);
        let paths = BTreeSet::from(["README.md", "docs/STYLE.md", "docs/decisions/1.md"]);
        check_document(&SourceFile::new(path, text), &tasks, &paths)
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn commands_that_are_not_there_are_found() {
        let text = "run `cargo xtask serve --demo`, `cargo xtask NAME`\n`cargo xtask sevre`\n";
        assert_eq!(findings("README.md", text), ["README.md:2: there is no `cargo xtask sevre`"]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let text =
            "[a](docs/STYLE.md) [b](docs/) [c](https://example.com) [d](#words) [e](docs/gone.md)";
        assert_eq!(
            findings("README.md", text),
            ["README.md:1: the link to `docs/gone.md` leads nowhere"]
        );
        assert!(
            findings("docs/decisions/1.md", "[a](../STYLE.md#x) [b](../../README.md)").is_empty()
        );
        assert_eq!(findings("docs/STYLE.md", "[a](../../README.md)").len(), 1);
    }

    #[test]
    fn translations_share_examples_and_headings() {
        let english = "# Title\ntext\n```sh\ncargo xtask serve\n```\n## More\n";
        assert_eq!(
            examples(english),
            examples("# 제목\n글\n```sh\ncargo xtask serve\n```\n## 더\n")
        );
        assert_ne!(
            examples(english),
            examples("# 제목\n```sh\ncargo xtask serve --demo\n```\n## 더\n")
        );
        assert_ne!(examples(english), examples("# 제목\n```sh\ncargo xtask serve\n```\n"));
    }
}
