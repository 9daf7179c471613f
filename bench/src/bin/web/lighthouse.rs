//! Google's Lighthouse, from npm: what it says of a page.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::Scratch;
use lab::chromium::Browser;
use serde_json::Value;

use crate::ENDS_WITHIN;

/// The newest one wants a newer Node than Debian has.
const PACKAGE: &str = "lighthouse@12";
const CATEGORIES: [&str; 3] = ["performance", "accessibility", "best-practices"];

/// What it gave a page, of 100.
pub(crate) struct Mark {
    page: &'static str,
    device: &'static str,
    pub(crate) category: &'static str,
    pub(crate) value: f64,
}

impl Mark {
    pub(crate) fn name(&self) -> String {
        format!("lighthouse_{}_{}_{}", self.page, self.device, self.category.replace('-', "_"))
    }
}

/// Of the door, in a browser that has nothing, and of the shelf, in that of a reader; none where
/// it can't be installed.
pub(crate) async fn marks(url: &str, reader: &Browser) -> Vec<Mark> {
    let program = match install() {
        Ok(program) => program,
        Err(why) => {
            eprintln!("left out: Lighthouse: {why}");
            return Vec::new();
        }
    };
    let mut marks = Vec::new();
    for (page, port) in [("door", None), ("shelf", Some(reader.debugger_port()))] {
        for device in ["desktop", "phone"] {
            let (program, url) = (program.clone(), url.to_owned());
            let looked = tokio::task::spawn_blocking(move || look(&program, &url, device, port));
            let said = looked.await.expect("it does not panic");
            marks.extend(CATEGORIES.map(|category| {
                let score = said["categories"][category]["score"].as_f64();
                let value = score.expect("it gives each a mark") * 100.0;
                Mark { page, device, category, value }
            }));
            tell_what_costs(&said, page, device);
        }
    }
    marks
}

/// What is not right is told, for who wants to mend it.
fn tell_what_costs(said: &Value, page: &str, device: &str) {
    let audits = said["audits"].as_object().into_iter().flatten();
    for (name, audit) in audits {
        if audit["score"].as_f64().is_some_and(|score| score < 0.9) {
            let (title, value) = (&audit["title"], &audit["displayValue"]);
            eprintln!("Lighthouse, {page}, {device}: {name}: {title} {value}");
        }
    }
}

fn look(program: &Path, url: &str, device: &str, port: Option<u16>) -> Value {
    let scratch = Scratch::new("bench-lighthouse").expect("a directory under target/");
    let into = scratch.path().join("report.json");
    let mut command = Command::new(program);
    command.arg(url).args(["--quiet", "--output=json", "--no-enable-error-reporting"]);
    command.arg(format!("--output-path={}", into.display()));
    command.arg(format!("--only-categories={}", CATEGORIES.join(",")));
    command.arg("--chrome-flags=--headless=new --no-sandbox --disable-gpu");
    command.env("CHROME_PATH", "/usr/bin/chromium");
    if device == "desktop" {
        command.arg("--preset=desktop");
    } else {
        // A slow network and processor that are so: what Lighthouse reckons without them depends
        // on which of two files loopback had first.
        command.arg("--throttling-method=devtools");
    }
    if let Some(port) = port {
        command.arg(format!("--port={port}")).arg("--disable-storage-reset");
    }
    let finished = lab::run(command, ENDS_WITHIN).expect("it ends");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let report = std::fs::read(&into).expect("it has written its report");
    serde_json::from_slice(&report).expect("JSON")
}

/// Installs it with npm, once.
fn install() -> Result<PathBuf, String> {
    let folder = lab::suite::target_dir().join("npm-lighthouse");
    let program = folder.join("node_modules/.bin/lighthouse");
    if !program.exists() {
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut command = Command::new("npm");
        command.args(["install", "--no-save", "--no-audit", "--no-fund", "--silent", "--prefix"]);
        command.arg(&folder).arg(PACKAGE);
        let finished = lab::run(command, ENDS_WITHIN).map_err(|error| format!("npm: {error}"))?;
        if finished.code != Some(0) {
            return Err(finished.stderr.trim().to_owned());
        }
    }
    Ok(program)
}
