//! Chromium, and what drives it: WebDriver (W3C) over Debian's `chromedriver`, which is of the
//! same version as the browser.

#[cfg(feature = "browser")]
mod browser;

#[cfg(feature = "browser")]
pub use browser::{Browser, Opens, Tab};

use crate::process::find_program;
use crate::suite::{Suite, left_out};

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

/// Whether `test` may start a browser: where the full suite runs.
///
/// # Panics
/// When the full suite runs and there is none.
#[must_use]
pub fn require_chromium(test: &str) -> bool {
    match (Suite::current(), missing()) {
        (Suite::Quick, _) => {
            left_out(test, &PACKAGES.join(", "));
            false
        }
        (Suite::Full, None) => true,
        (Suite::Full, Some(missing)) => panic!("{missing}"),
    }
}
