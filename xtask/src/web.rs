//! `cargo xtask web`: the reader's app, from Rust to what a browser loads.
//!
//! ```text
//!  app/web ─ cargo, for wasm32 ─▶ wasm-bindgen ─▶ names with a hash of what is in them ─▶ app/web/dist, and each file compressed
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use wasm_bindgen_cli_support::Bindgen;

use crate::shell::{Failure, Result, root, run, target_dir};
use crate::wasm::Toolchain;

/// The files of `app/web/static` that get a hash into their names, those that others name
/// first.
const HASHED: [&str; 4] = ["icon.svg", "icon-192.png", "icon-512.png", "style.css"];
/// What is under a name of its own: the page that names the others, and what browsers ask for.
const NAMED: [&str; 3] = ["manifest.webmanifest", "worker.js", "index.html"];
/// Brotli's best: it is done once, and loaded often.
const QUALITY: u32 = 11;

/// Builds it into `app/web/dist`, where what was built of the same before is not there.
pub(crate) fn build() -> Result {
    let wasm = compile()?;
    let source = source_of(&wasm)?;
    let dist = dist();
    let stamp = dist.join(".source");
    if fs::read_to_string(&stamp).is_ok_and(|built| built == source) {
        return Ok(());
    }
    let bound = target_dir().join("wasm/bound");
    bind(&wasm, "endpaper", &bound)?;
    let _ = fs::remove_dir_all(&dist);
    let files = name(&bound)?;
    let mut sizes = Vec::new();
    for (path, content) in files {
        let at = dist.join(&path);
        fs::create_dir_all(at.parent().unwrap_or(&dist)).map_err(|error| failed(&at, &error))?;
        fs::write(&at, &content).map_err(|error| failed(&at, &error))?;
        let small = compressed(&content);
        let at = dist.join(format!("{path}.br"));
        fs::write(&at, &small).map_err(|error| failed(&at, &error))?;
        sizes.push(small.len());
    }
    let kib = sizes.iter().sum::<usize>().div_ceil(1024);
    eprintln!("the app: {} files, {kib} KiB compressed, in {}", sizes.len(), dist.display());
    fs::write(&stamp, source).map_err(|error| failed(&stamp, &error))
}

/// Which app was built, where one was.
pub(crate) fn version() -> Option<String> {
    fs::read_to_string(dist().join(".source")).ok()
}

fn dist() -> PathBuf {
    root().join("app/web/dist")
}

fn compile() -> Result<PathBuf> {
    let toolchain = Toolchain::get()?;
    let mut build = toolchain.cargo("build");
    build.args(["--package", "endpaper-web", "--profile", "web"]);
    run(build)?;
    Ok(toolchain.artifacts().join("web/endpaper_web.wasm"))
}

/// What the app is made from, as one number: the program, the files beside it, and this.
fn source_of(wasm: &Path) -> Result<String> {
    let mut all = read(wasm)?;
    for file in HASHED.iter().chain(&NAMED).chain(&["boot.js"]) {
        all.extend(read(&statics().join(file))?);
    }
    all.extend(include_bytes!("web.rs"));
    Ok(hash(&all))
}

fn statics() -> PathBuf {
    root().join("app/web/static")
}

/// Puts what a browser can load of `wasm` into a folder of its own.
fn bind(wasm: &Path, name: &str, into: &Path) -> Result {
    let _ = fs::remove_dir_all(into);
    let mut bindgen = Bindgen::new();
    let bindgen = bindgen.input_path(wasm).out_name(name).typescript(false);
    let bindgen = bindgen.remove_name_section(true).remove_producers_section(true);
    let done = bindgen.web(true).and_then(|bindgen| bindgen.generate(into));
    done.map_err(|error| Failure(format!("wasm-bindgen: {error:#}")))
}

/// Builds what a test has a browser do beside the app, into `target/wasm/check`.
pub(crate) fn build_check() -> Result {
    let toolchain = Toolchain::get()?;
    let mut build = toolchain.cargo("build");
    build.args(["--package", "sync-web", "--example", "check", "--features", "check"]);
    run(build)?;
    let into = target_dir().join("wasm/check");
    bind(&toolchain.artifacts().join("debug/examples/check.wasm"), "check", &into)?;
    let page = into.join("index.html");
    fs::write(&page, "<!doctype html><title>check</title>").map_err(|error| failed(&page, &error))
}

/// Every file under its name, with the names of the others put into it.
fn name(bound: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut names = Names::default();
    for file in HASHED {
        names.hashed(file, read(&statics().join(file))?);
    }
    names.hashed("endpaper.wasm", read(&bound.join("endpaper_bg.wasm"))?);
    names.hashed("endpaper.js", read(&bound.join("endpaper.js"))?);
    let snippets = bound.join("snippets");
    if snippets.exists() {
        return Err(Failure(format!("{} would be served by nobody", snippets.display())));
    }
    let boot = names.filled(&statics().join("boot.js"))?;
    names.hashed("boot.js", boot);
    // Pictures are for who installs the app, and not for the app itself.
    let is_shown = |path: &&String| Path::new(path).extension().is_none_or(|end| end != "png");
    let shown = names.of.values().filter(is_shown);
    let listed: Vec<String> = shown.map(|path| format!("{path:?}")).collect();
    names.of.insert("files".to_owned(), listed.join(", "));
    let page = names.filled(&statics().join("index.html"))?;
    names.of.insert("version".to_owned(), hash(&page));
    for file in NAMED {
        let content = names.filled(&statics().join(file))?;
        names.files.insert(file.to_owned(), content);
    }
    Ok(names.files)
}

/// What files are served as.
#[derive(Default)]
struct Names {
    of: BTreeMap<String, String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Names {
    fn hashed(&mut self, file: &str, content: Vec<u8>) {
        let (stem, end) = file.rsplit_once('.').expect("each has an ending");
        let path = format!("app/{stem}-{}.{end}", hash(&content));
        self.of.insert(file.to_owned(), format!("/{path}"));
        self.files.insert(path, content);
    }

    /// The file, with `{{name}}` as what it is served as.
    fn filled(&self, file: &Path) -> Result<Vec<u8>> {
        let content = read(file)?;
        let Ok(mut text) = String::from_utf8(content) else {
            return Err(Failure(format!("{} is no text", file.display())));
        };
        for (name, path) in &self.of {
            text = text.replace(&format!("{{{{{name}}}}}"), path);
        }
        if text.contains("{{") {
            return Err(Failure(format!("{} names what there is not", file.display())));
        }
        Ok(text.into_bytes())
    }
}

/// FNV-1a, 64 bits: it tells versions apart, and keeps nobody out.
fn hash(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 64 << 10, QUALITY, 22);
    writer.write_all(content).expect("memory takes everything");
    writer.into_inner()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure(format!("{}: {error}", path.display()))
}
