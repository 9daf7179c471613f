//! Every dependency is used: the workspace's by a package, a package's by its
//! code.

use super::Finding;
use super::workspace::{Package, Workspace};
use crate::shell::{Failure, Result};

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        findings.extend(unused_of(package, workspace));
    }
    for manifest in workspace.files.iter().filter(|file| file.path == "Cargo.toml") {
        let declared = declared(&manifest.text)?;
        let used = |name: &String| {
            workspace.packages.iter().any(|package| {
                package.dependencies.iter().any(|dependency| dependency.name == *name)
            })
        };
        findings.extend(declared.into_iter().filter(|name| !used(name)).map(|name| {
            Finding::new(
                &manifest.path,
                format!("no package uses the workspace's dependency `{name}`"),
            )
        }));
    }
    Ok(findings)
}

fn declared(manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table =
        manifest.parse().map_err(|error| Failure(format!("Cargo.toml: {error}")))?;
    let dependencies =
        manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    Ok(dependencies
        .and_then(toml::Value::as_table)
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default())
}

fn unused_of(package: &Package, workspace: &Workspace) -> Vec<Finding> {
    let sources: Vec<_> = workspace
        .rust()
        .filter(|(owner, ..)| owner.name == package.name)
        .map(|(_, file, rust)| (file, rust))
        .collect();
    package
        .dependencies
        .iter()
        .filter(|dependency| {
            let name = dependency.name.replace('-', "_");
            !sources.iter().any(|(file, rust)| {
                // Examples in documentation are comments, and use things too.
                rust.find(&name).next().is_some() || file.text.contains(&format!("use {name}"))
            })
        })
        .map(|dependency| {
            Finding::new(
                format!("{}/Cargo.toml", package.directory),
                format!("nothing in {} uses its dependency `{}`", package.name, dependency.name),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::workspace::{Dependency, Layer, SourceFile};
    use super::*;

    #[test]
    fn unused_dependencies_are_found() {
        let uses = |name: &str| Dependency::plain(name, false);
        let workspace = Workspace {
            packages: vec![Package {
                name: "a".to_owned(),
                directory: "crates/a".to_owned(),
                layer: Some(Layer::Core),
                dependencies: vec![uses("serde-json"), uses("idle"), uses("in-docs")],
                roots: Vec::new(),
                features: std::collections::BTreeMap::new(),
            }],
            files: vec![
                SourceFile::new(
                    "crates/a/src/lib.rs",
                    "/// use in_docs::X;\n// idle\nfn f() { serde_json::to_string(\"idle\"); let idleness = 1; }",
                ),
                SourceFile::new(
                    "Cargo.toml",
                    "[workspace.dependencies]\nserde-json = \"1\"\ngone = \"1\"\nidle = \"1\"\n",
                ),
            ],
            root: "/somewhere/else".to_owned(),
        };
        let findings: Vec<_> =
            check(&workspace).unwrap().into_iter().map(|finding| finding.to_string()).collect();
        assert_eq!(
            findings,
            [
                "crates/a/Cargo.toml: nothing in a uses its dependency `idle`",
                "Cargo.toml: no package uses the workspace's dependency `gone`",
            ]
        );
    }
}
