//! Crash points and planted bugs are in the campaign alone, and only where it is
//! asked for them: what is built in one go has the same features.

use super::Finding;
use super::workspace::Package;

/// The package that has them, and the feature that brings them.
const STORE: &str = "multi-master";
const FEATURE: &str = "faults";
const FORWARDED: &str = "multi-master/faults";

/// The only package that may ask for them.
const CAMPAIGN: &str = "campaign";

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let manifest = format!("{}/Cargo.toml", package.directory);
        let asks = package.dependencies.iter().any(|dependency| {
            dependency.name == STORE && dependency.features.iter().any(|one| one == FEATURE)
        });
        if asks {
            findings.push(Finding::new(
                &manifest,
                format!(
                    "asks for the feature `{FEATURE}` of {STORE} always: whatever is built beside \
                     it gets crash points; let a feature of {CAMPAIGN} bring it"
                ),
            ));
        }
        let brings = |feature: &str| {
            let brought = package.features.get(feature).into_iter().flatten();
            brought.map(String::as_str).collect::<Vec<_>>()
        };
        let forwards = package.features.keys().any(|feature| brings(feature).contains(&FORWARDED));
        if forwards && package.name != CAMPAIGN {
            findings.push(Finding::new(
                &manifest,
                format!("brings `{FORWARDED}`: only {CAMPAIGN} may"),
            ));
        }
        let default = brings("default");
        let sabotaged = match package.name.as_str() {
            STORE | CAMPAIGN => default.contains(&FEATURE) || default.contains(&FORWARDED),
            _ => false,
        };
        if sabotaged {
            findings.push(Finding::new(
                &manifest,
                format!("`{FEATURE}` is no default: `cargo build` would build crash points"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::workspace::{Dependency, Layer};
    use super::*;

    fn package(name: &str, asks: &[&str], features: &[(&str, &[&str])]) -> Package {
        let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Package {
            name: name.to_owned(),
            directory: name.to_owned(),
            layer: Some(Layer::App),
            dependencies: vec![Dependency {
                features: texts(asks),
                ..Dependency::plain(STORE, false)
            }],
            features: features
                .iter()
                .map(|(name, brings)| ((*name).to_owned(), texts(brings)))
                .collect::<BTreeMap<_, _>>(),
            roots: Vec::new(),
        }
    }

    #[test]
    fn only_the_campaign_may_have_crash_points_and_only_when_asked() {
        let forwards: &[(&str, &[&str])] = &[("faults", &[FORWARDED])];
        assert_eq!(check(&[package(CAMPAIGN, &[], forwards), package("endpaper", &[], &[])]), []);
        let told = |package: Package| check(&[package]).remove(0).message;
        assert!(told(package("endpaper", &["faults"], &[])).contains("always"));
        assert!(told(package(CAMPAIGN, &["faults"], &[])).contains("always"));
        assert!(told(package("endpaper", &[], forwards)).contains("only campaign may"));
        let default: &[(&str, &[&str])] = &[("faults", &[FORWARDED]), ("default", &["faults"])];
        assert!(told(package(CAMPAIGN, &[], default)).contains("no default"));
        assert!(told(package(STORE, &[], &[("default", &["faults"])])).contains("no default"));
    }
}
