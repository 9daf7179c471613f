//! Chromium, and what drives it.

use crate::process::find_program;

/// What to install, as `cargo xtask test` does it and as messages name it. The fonts are for
/// Korean.
pub const PACKAGES: [&str; 3] = ["chromium", "chromium-driver", "fonts-noto-cjk"];

/// What is missing and what to do about it; `None` when everything is there.
#[must_use]
pub fn missing() -> Option<String> {
    let programs = ["chromium", "chromedriver"];
    let is_missing = |program: &&str| find_program(program, &["/usr/bin"]).is_none();
    programs.iter().any(is_missing).then(|| {
        let packages = PACKAGES.join(" ");
        format!(
            "Chromium is not installed (Debian: `apt-get install --no-install-recommends \
             {packages}`)"
        )
    })
}
