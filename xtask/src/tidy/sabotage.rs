//! Crash points and planted bugs are in the packages that look for them alone, and
//! only where they are asked for: what is built in one go has the same features.

use super::Finding;
use super::workspace::Package;

/// What brings them.
const FEATURE: &str = "faults";

/// Crates that have them, and the only package that may ask for those of each.
const SABOTAGED: [(&str, &str); 2] = [("multi-master", "campaign"), ("sync", "simulation")];

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let of_each =
        |package| SABOTAGED.map(|(library, harness)| check_one(package, library, harness));
    let faults = packages.iter().flat_map(of_each).flatten();
    faults.chain(packages.iter().flat_map(check_crash)).collect()
}

/// The crash points of sagas are for the tests of those who have sagas: as a dev-dependency,
/// which no program is built with.
fn check_crash(package: &Package) -> Vec<Finding> {
    let manifest = format!("{}/Cargo.toml", package.directory);
    let asks = package.dependencies.iter().any(|dependency| {
        dependency.name == "saga" && dependency.features.iter().any(|one| one == "crash")
    });
    let own = |brought: &String| package.name == "saga" && brought == "crash";
    let brings = package.features.values().flatten().any(|one| one == "saga/crash" || own(one));
    let finding = || {
        Finding::new(
            &manifest,
            "asks for the feature `crash` of saga outside of tests: what people run would have \
             crash points"
                .to_owned(),
        )
    };
    (asks || brings).then(finding).into_iter().collect()
}

/// One package, and one crate that has them.
fn check_one(package: &Package, library: &str, harness: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifest = format!("{}/Cargo.toml", package.directory);
    let forwarded = format!("{library}/{FEATURE}");
    let asks = package.dependencies.iter().any(|dependency| {
        let mut features = dependency.features.iter().chain(&dependency.dev_features);
        dependency.name == library && features.any(|one| one == FEATURE)
    });
    if asks {
        findings.push(Finding::new(
            &manifest,
            format!(
                "asks for the feature `{FEATURE}` of {library} always: whatever is built beside it \
                 gets crash points; let a feature of {harness} bring it"
            ),
        ));
    }
    let brings = |feature: &str, what: &str| {
        package.features.get(feature).into_iter().flatten().any(|brought| brought == what)
    };
    let forwards = package.features.keys().any(|feature| brings(feature, &forwarded));
    if forwards && package.name != harness {
        findings.push(Finding::new(&manifest, format!("brings `{forwarded}`: only {harness} may")));
    }
    let is_either = package.name == library || package.name == harness;
    if is_either && (brings("default", FEATURE) || brings("default", &forwarded)) {
        findings.push(Finding::new(
            &manifest,
            format!("`{FEATURE}` is no default: `cargo build` would build crash points"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::workspace::{Dependency, Layer};
    use super::*;

    const STORE: &str = "multi-master";
    const FORWARDED: &str = "multi-master/faults";
    const CAMPAIGN: &str = "campaign";

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
        let of_sync: &[(&str, &[&str])] = &[("faults", &["sync/faults"])];
        assert_eq!(check(&[package("simulation", &[], of_sync)]), []);
        assert!(told(package(CAMPAIGN, &[], of_sync)).contains("only simulation may"));
    }

    #[test]
    fn crash_points_of_sagas_are_for_tests() {
        let has = |features: &[&str], dev_features: &[&str], brings: &[(&str, &[&str])]| {
            let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
            let (features, dev_features) = (texts(features), texts(dev_features));
            let saga = Dependency { features, dev_features, ..Dependency::plain("saga", false) };
            let shop = package("endpaper-shop", &[], brings);
            !check(&[Package { dependencies: vec![saga], ..shop }]).is_empty()
        };
        assert!(!has(&[], &["crash"], &[]));
        assert!(has(&["crash"], &[], &[]));
        assert!(has(&[], &[], &[("chaos", &["saga/crash"])]));
        let by_default: &[(&str, &[&str])] = &[("default", &["crash"]), ("crash", &[])];
        assert!(!check(&[package("saga", &[], by_default)]).is_empty());
    }
}
