//! Compiling for browsers: `wasm32-unknown-unknown`.
//!
//! rustup has the target for its toolchains. Where it can't be had (a toolchain of a
//! distribution, or a machine that reaches Debian's packages alone), Debian's own compiler for
//! browsers is unpacked into `target/wasm`, and nothing is installed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::setup;
use crate::shell::{Failure, Result, cargo, run, succeeds, target_dir};

const TARGET: &str = "wasm32-unknown-unknown";
/// Crates that say that they compile for browsers.
const CRATES: [&str; 3] = ["sync", "sync-web", "endpaper-web"];

/// Checks that what has to compile for browsers does.
pub(crate) fn check() -> Result {
    let toolchain = match Toolchain::get() {
        Ok(toolchain) => toolchain,
        Err(why) => {
            eprintln!("left out: compiling for {TARGET}: {why}");
            return Ok(());
        }
    };
    // Much of them is for browsers alone, and the lints for this machine don't see it.
    let has_lints = matches!(toolchain, Toolchain::Own) && setup::has_component("clippy", "clippy");
    let mut check = toolchain.cargo(if has_lints { "clippy" } else { "check" });
    check.arg("--quiet");
    for name in CRATES {
        check.args(["--package", name]);
    }
    check.args(["--features", "sync-web/check", "--lib", "--examples"]);
    if has_lints {
        check.args(["--", "--deny", "warnings"]);
    }
    run(check)
}

/// What compiles for browsers.
pub(crate) enum Toolchain {
    /// The one that compiles everything else.
    Own,
    /// Debian's, unpacked: its `rustc`, which has to build the standard library too.
    Debian(PathBuf),
}

impl Toolchain {
    pub(crate) fn get() -> Result<Self> {
        if has_target() {
            return Ok(Self::Own);
        }
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", TARGET]);
        if succeeds(rustup) && has_target() {
            return Ok(Self::Own);
        }
        debian().map(Self::Debian).map_err(|Failure(why)| {
            Failure(format!(
                "`rustup target add {TARGET}` does not work here, and neither do Debian's packages \
                 ({why})"
            ))
        })
    }

    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo([subcommand, "--target", TARGET]);
        // Leptos without the type of every part of a screen in the types of its parts: a third
        // smaller.
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "--cfg=erase_components");
        if let Self::Debian(rustc) = self {
            command
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_DIR", self.target());
        }
        command
    }

    fn target(&self) -> PathBuf {
        match self {
            Self::Own => target_dir(),
            Self::Debian(_) => folder().join("target"),
        }
    }

    /// Where it puts what it builds: a folder for each profile.
    pub(crate) fn artifacts(&self) -> PathBuf {
        self.target().join(TARGET)
    }
}

fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries =
        Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    libraries.is_ok_and(|output| {
        let path = String::from_utf8_lossy(&output.stdout);
        output.status.success() && Path::new(path.trim()).is_dir()
    })
}

fn folder() -> PathBuf {
    target_dir().join("wasm")
}

/// Debian's `rustc` for browsers, which is fetched the first time.
fn debian() -> Result<PathBuf> {
    let rustc = folder().join("rustc");
    if rustc.exists() {
        return Ok(rustc);
    }
    let (packages, root) = (folder().join("packages"), folder().join("root"));
    for place in [&packages, &root] {
        let _ = fs::remove_dir_all(place);
        fs::create_dir_all(place).map_err(|error| failed(place, &error))?;
    }
    let compiler = ["rustc-web", "libstd-rust-web-dev", "rust-web-src"].map(str::to_owned);
    if download(&packages, &compiler).is_err() {
        // There may be no lists of packages yet.
        let mut update = Command::new("apt-get");
        update.arg("update").stdin(Stdio::null());
        run(update)?;
        download(&packages, &compiler)?;
    }
    let library = depends("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = depends(&library, "libllvm")?;
    download(&packages, &[library, llvm])?;
    for package in fs::read_dir(&packages).map_err(|error| failed(&packages, &error))? {
        let package = package.map_err(|error| failed(&packages, &error))?.path();
        let mut unpack = Command::new("dpkg");
        unpack.arg("-x").arg(package).arg(&root);
        run(unpack)?;
    }
    let _ = fs::remove_dir_all(&packages);
    // Last, so that it stands for all of it.
    let script = "#!/bin/sh\n\
        root=$(dirname \"$0\")/root\n\
        libraries=$(echo \"$root\"/usr/lib/*-linux-gnu)\n\
        LD_LIBRARY_PATH=$libraries exec \"$root/usr/bin/rustc\" \"$@\"\n";
    let made = rustc.with_extension("new");
    let write = || {
        fs::write(&made, script)?;
        fs::set_permissions(&made, Permissions::from_mode(0o755))?;
        fs::rename(&made, &rustc)
    };
    write().map_err(|error| failed(&rustc, &error))?;
    Ok(rustc)
}

fn download(into: &Path, packages: &[String]) -> Result {
    let mut download = Command::new("apt-get");
    download.arg("download").args(packages).current_dir(into).stdin(Stdio::null());
    run(download)
}

/// The package that one depends on whose name begins so.
fn depends(package: &str, on: &str) -> Result<String> {
    let none = || Failure(format!("`apt-cache depends {package}` names no {on}…"));
    let output = Command::new("apt-cache").args(["depends", package]).output();
    let output = output.map_err(|error| Failure(format!("can't run apt-cache: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let all = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    all.map(str::to_owned).find(|name| name.starts_with(on)).ok_or_else(none)
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure(format!("{}: {error}", path.display()))
}
