//! Which part of the tests runs, and where they may write.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::LabError;

/// The environment variable that says which suite runs.
pub const VARIABLE: &str = "LAB_SUITE";

/// How much of the tests runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// What `cargo test` alone runs: nothing needs to be installed. Tests that
    /// need more say that they were left out.
    Quick,
    /// Everything, as `cargo xtask test` runs it. What is missing on the
    /// machine is a failure: a test that is skipped in silence proves nothing.
    Full,
}

impl Suite {
    /// The suite that this process runs: full where `LAB_SUITE` is `full`.
    #[must_use]
    pub fn current() -> Self {
        if std::env::var_os(VARIABLE).is_some_and(|value| value == "full") {
            Self::Full
        } else {
            Self::Quick
        }
    }
}

/// Says on standard error that a test was left out. The test harness captures
/// what `println!` prints of a test that passes, so this writes past it.
pub fn left_out(test: &str, needs: &str) {
    // A closed standard error is no reason to fail.
    let _ = writeln!(io::stderr(), "left out: {test}: needs {needs}; run `cargo xtask test`");
}

/// Whether `program` is on `PATH`. In the quick suite it says on standard error
/// that `test` is left out where it is not, and the test returns.
///
/// # Panics
/// When the full suite runs and the program is missing.
#[must_use]
pub fn has_program(program: &str, test: &str) -> bool {
    let found = crate::process::find_program(program, &[]).is_some();
    match Suite::current() {
        Suite::Quick if !found => left_out(test, program),
        Suite::Full => assert!(found, "`{program}` is not installed, and {test} needs it"),
        Suite::Quick => {}
    }
    found
}

/// The target directory that the running test was built into.
///
/// # Panics
/// When this is no part of a cargo build, which can't be for a test.
#[must_use]
pub fn target_dir() -> PathBuf {
    // Cargo marks its target directory with this file.
    let marked = |path: &&Path| path.join("CACHEDIR.TAG").is_file();
    if let Ok(program) = std::env::current_exe()
        && let Some(target) = program.ancestors().find(marked)
    {
        return target.to_owned();
    }
    // Examples in documentation are built elsewhere.
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = sources.ancestors().nth(2).expect("this crate lives in crates/ of the workspace");
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |target| root.join(target))
}

/// A new directory under `target/lab/`, deleted when the value is dropped, and
/// kept when the test panics, so that its logs can be read.
///
/// Declare it before the servers that live in it: values are dropped in the
/// reverse order.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A directory with `name` in its name.
    pub fn new(name: &str) -> Result<Self, LabError> {
        let lab = target_dir().join("lab");
        fs::create_dir_all(&lab).map_err(LabError::disk(&lab))?;
        let path = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&lab)
            .map_err(LabError::disk(&lab))?
            .keep();
        Ok(Self { path })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(io::stderr(), "kept for a look: {}", self.path.display());
        } else {
            // A directory that can't be deleted is in `target/` and harms nobody.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
