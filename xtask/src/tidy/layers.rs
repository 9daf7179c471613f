//! The direction of dependencies: `core ← shell ← domain ← app`.

use super::Finding;
use super::workspace::{Layer, Package};

/// What every domain speaks: the wire types, and what HTTP routes share. They
/// count as domains that other domains may use, and use no domain themselves.
const SHARED: [&str; 2] = ["endpaper-api", "endpaper-http"];

/// Starts and kills servers: for tests, and for the tools that run them.
const FOR_TESTS: &str = "lab";

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let manifest = format!("{}/Cargo.toml", package.directory);
        let Some(layer) = package.layer else {
            findings.push(Finding::new(
                manifest,
                "say where it stands: `[package.metadata.endpaper] layer = \"core\" | \"shell\" | \"domain\" | \"app\"`",
            ));
            continue;
        };
        let is_library = package.directory.starts_with("crates/");
        if is_library != matches!(layer, Layer::Core | Layer::Shell) {
            findings.push(Finding::new(
                &manifest,
                "core and shell live in crates/, domain and app outside it",
            ));
        }
        for dependency in &package.dependencies {
            let Some(other) = packages.iter().find(|other| other.name == dependency.name) else {
                continue;
            };
            if let Some(refusal) = refusal(package, layer, other, dependency.dev) {
                let kind = if dependency.dev { " in its tests" } else { "" };
                findings.push(Finding::new(
                    &manifest,
                    format!("{} may not use {}{kind}: {refusal}", package.name, other.name),
                ));
            }
        }
    }
    findings
}

/// Why `package` may not use `other`, where it may not.
///
/// Tests are freer: a core's tests may use a shell. Never may the library's
/// tests use the platform, nor a domain's another domain.
fn refusal(package: &Package, layer: Layer, other: &Package, dev: bool) -> Option<&'static str> {
    let other_layer = other.layer?;
    let shared = |package: &Package| SHARED.contains(&package.name.as_str());
    if other.name == FOR_TESTS && !dev && layer != Layer::App {
        return Some("it is for tests");
    }
    match (layer, other_layer) {
        (Layer::App, _) | (_, Layer::Core) => None,
        (_, Layer::App) => Some("nothing stands on the app but the app"),
        (Layer::Core, Layer::Shell) if dev => None,
        (Layer::Core, _) => Some("a core stands on cores alone"),
        (Layer::Shell, Layer::Domain) => Some("the library knows nothing of the platform"),
        (Layer::Domain, Layer::Domain) if shared(package) && !shared(other) => {
            Some("what the domains share knows no domain")
        }
        (Layer::Domain, Layer::Domain) if !shared(other) => {
            Some("a domain never uses another: `server` composes them")
        }
        (Layer::Shell | Layer::Domain, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::workspace::Dependency;
    use super::*;

    fn package(
        name: &str,
        directory: &str,
        layer: Option<Layer>,
        uses: &[(&str, bool)],
    ) -> Package {
        Package {
            name: name.to_owned(),
            directory: directory.to_owned(),
            layer,
            dependencies: uses.iter().map(|(name, dev)| Dependency::plain(name, *dev)).collect(),
            roots: Vec::new(),
            features: BTreeMap::new(),
        }
    }

    /// A house in order, with one package put in.
    fn with(odd: Package) -> Vec<String> {
        let mut packages = vec![
            package("stdx", "crates/stdx", Some(Layer::Core), &[]),
            package("lab", "crates/lab", Some(Layer::Shell), &[]),
            package(
                "multi-master",
                "crates/multi-master",
                Some(Layer::Shell),
                &[("stdx", false), ("lab", true)],
            ),
            package("endpaper-api", "app/api", Some(Layer::Domain), &[]),
            package(
                "endpaper-reading",
                "app/reading",
                Some(Layer::Domain),
                &[("endpaper-api", false), ("multi-master", false)],
            ),
            package("endpaper", "app/server", Some(Layer::App), &[("endpaper-reading", false)]),
            package("xtask", "xtask", Some(Layer::App), &[("lab", false)]),
        ];
        packages.push(odd);
        check(&packages).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_house_in_order_has_no_findings() {
        assert!(
            with(package(
                "sync",
                "crates/sync",
                Some(Layer::Core),
                &[("stdx", false), ("multi-master", true)]
            ))
            .is_empty()
        );
    }

    #[test]
    fn each_wrong_way_is_found() {
        let cases = [
            (
                "crates/a",
                Some(Layer::Core),
                ("multi-master", false),
                "a core stands on cores alone",
            ),
            (
                "crates/a",
                Some(Layer::Shell),
                ("endpaper-api", false),
                "knows nothing of the platform",
            ),
            (
                "crates/a",
                Some(Layer::Shell),
                ("endpaper-reading", true),
                "knows nothing of the platform",
            ),
            ("crates/a", Some(Layer::Shell), ("endpaper", true), "nothing stands on the app"),
            ("crates/a", Some(Layer::Shell), ("lab", false), "it is for tests"),
            ("app/a", Some(Layer::Domain), ("endpaper-reading", false), "never uses another"),
            ("app/a", Some(Layer::Domain), ("endpaper-reading", true), "never uses another"),
            ("app/a", Some(Layer::Domain), ("endpaper", false), "nothing stands on the app"),
            ("app/a", Some(Layer::Core), ("stdx", false), "core and shell live in crates/"),
            ("crates/a", None, ("stdx", false), "say where it stands"),
        ];
        for (directory, layer, uses, message) in cases {
            let findings = with(package("odd", directory, layer, &[uses]));
            assert!(
                matches!(&findings[..], [one] if one.contains(message)),
                "{uses:?}: {findings:?}"
            );
        }
        let findings = with(package(
            "endpaper-http",
            "app/http",
            Some(Layer::Domain),
            &[("endpaper-reading", false)],
        ));
        assert!(findings[0].contains("knows no domain"), "{findings:?}");
    }
}
