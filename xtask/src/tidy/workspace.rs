//! What there is to look at: packages and files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};

use super::rust_text::RustText;
use crate::shell::{Failure, Result, root};

/// Where a package stands in the direction of dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// Pure: no clock, randomness, disk or network of its own.
    Core,
    /// The library's contact with the outside.
    Shell,
    /// What the platform is about.
    Domain,
    /// What composes the domains.
    App,
}

impl Layer {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "core" => Some(Self::Core),
            "shell" => Some(Self::Shell),
            "domain" => Some(Self::Domain),
            "app" => Some(Self::App),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Relative to the root; `crates/stdx`.
    pub(super) directory: String,
    /// `None` where the manifest does not say.
    pub(super) layer: Option<Layer>,
    pub(super) dependencies: Vec<Dependency>,
    /// Its features, each with those that it brings.
    pub(super) features: BTreeMap<String, Vec<String>>,
    /// The files that cargo starts from, relative to the root.
    pub(super) roots: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// Only tests have it.
    pub(super) dev: bool,
    /// Those of its features that are asked for by name.
    pub(super) features: Vec<String>,
    /// Those that tests alone ask for.
    pub(super) dev_features: Vec<String>,
}

#[cfg(test)]
impl Dependency {
    /// One of which no feature is asked for.
    pub(super) fn plain(name: &str, dev: bool) -> Self {
        Self { name: name.to_owned(), dev, features: Vec::new(), dev_features: Vec::new() }
    }
}

/// A file of the repository.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// Taken apart, where it is Rust.
    pub(super) rust: Option<RustText>,
}

impl SourceFile {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let rust = has_extension(&path, "rs").then(|| RustText::read(&text));
        Self { path, text, rust }
    }

    /// Whether its name ends with `.extension`.
    pub(super) fn has_extension(&self, extension: &str) -> bool {
        has_extension(&self.path, extension)
    }

    /// Whether it is a test, a bench or an example as a whole.
    pub(super) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples"))
            || self.path.ends_with("/tests.rs")
    }
}

fn has_extension(path: &str, wanted: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == wanted)
}

#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) packages: Vec<Package>,
    pub(super) files: Vec<SourceFile>,
    /// Where the checkout is on this machine.
    pub(super) root: String,
}

/// Directories that are not the project's own.
const NOT_OURS: [&str; 4] = ["target", "dist", ".git", "data"];

impl Workspace {
    pub(super) fn load() -> Result<Self> {
        let root = root();
        let mut packages = Vec::new();
        for manifest in ["Cargo.toml", "bench/Cargo.toml", "fuzz/Cargo.toml"] {
            if root.join(manifest).exists() {
                packages.extend(packages_of(&root, manifest)?);
            }
        }
        let mut files = Vec::new();
        collect(&root, &root, &mut files)?;
        Ok(Self { packages, files, root: root.display().to_string() })
    }

    /// The package that a file belongs to.
    pub(super) fn package_of(&self, path: &str) -> Option<&Package> {
        self.packages
            .iter()
            .filter(|package| {
                path.strip_prefix(&package.directory).is_some_and(|rest| rest.starts_with('/'))
            })
            .max_by_key(|package| package.directory.len())
    }

    /// Rust files, each with its package and taken apart.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&Package, &SourceFile, &RustText)> {
        self.files
            .iter()
            .filter_map(|file| Some((self.package_of(&file.path)?, file, file.rust.as_ref()?)))
    }
}

fn packages_of(root: &Path, manifest: &str) -> Result<Vec<Package>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join(manifest))
        .no_deps()
        .exec()
        .map_err(|error| Failure(format!("cargo metadata of {manifest}: {error}")))?;
    let relative = |path: &str| {
        Path::new(path)
            .strip_prefix(root)
            .map_or_else(|_| path.to_owned(), |relative| relative.to_string_lossy().into_owned())
    };
    let mut packages = Vec::new();
    for package in metadata.workspace_packages() {
        let layer = package.metadata["endpaper"]["layer"].as_str().and_then(Layer::parse);
        let mut dependencies: BTreeMap<&str, Dependency> = BTreeMap::new();
        for dependency in &package.dependencies {
            let dev = dependency.kind == DependencyKind::Development;
            let known = dependencies.entry(dependency.name.as_str()).or_insert_with(|| {
                let (features, dev_features) = (Vec::new(), Vec::new());
                Dependency { name: dependency.name.clone(), dev, features, dev_features }
            });
            known.dev &= dev;
            let features = if dev { &mut known.dev_features } else { &mut known.features };
            features.extend(dependency.features.iter().cloned());
        }
        let directory = package.manifest_path.parent().map_or("", |directory| directory.as_str());
        packages.push(Package {
            name: package.name.to_string(),
            directory: relative(directory),
            layer,
            dependencies: dependencies.into_values().collect(),
            features: package.features.clone().into_iter().collect(),
            roots: package
                .targets
                .iter()
                .map(|target| relative(target.src_path.as_str()))
                .collect(),
        });
    }
    Ok(packages)
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<SourceFile>) -> Result {
    let unreadable =
        |path: &Path, error: std::io::Error| Failure(format!("{}: {error}", path.display()));
    let mut entries: Vec<_> = fs::read_dir(directory)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(|error| unreadable(directory, error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| unreadable(&path, error))?;
        if kind.is_dir() {
            if !NOT_OURS.contains(&entry.file_name().to_string_lossy().as_ref()) {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() {
            // A picture is there, and no other rule is about it.
            let text = fs::read_to_string(&path).unwrap_or_default();
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(SourceFile::new(relative, text));
        }
    }
    Ok(())
}
