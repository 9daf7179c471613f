//! A newer version of the app; and the app as one of the device's.

use std::fs;
use std::path::{Path, PathBuf};

use lab::chromium::Opens;
use lab::require_chromium;
use serde_json::json;

use super::front::{Front, built, ending};
use super::{Place, add_book, both_have, is_saved, path, sign_up, write_memo};

/// Another version of it: every file under another name, and a page that says which one it is.
fn another(scratch: &Path) -> PathBuf {
    let into = scratch.join("another");
    fs::create_dir_all(into.join("app")).unwrap();
    let files = |folder: PathBuf| {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        let files = files.map(|file| file.file_name().into_string().unwrap());
        files.filter(|name| ending(name) != Some("br")).collect::<Vec<_>>()
    };
    let renamed = |name: &str| {
        let (stem, ending) = name.rsplit_once('.').unwrap();
        format!("{stem}-two.{ending}")
    };
    let hashed = files(built().join("app"));
    let rewritten = |content: Vec<u8>| match String::from_utf8(content) {
        Ok(text) => hashed.iter().fold(text, |text, name| text.replace(name, &renamed(name))),
        Err(_) => unreachable!("it is text"),
    };
    for name in &hashed {
        let mut content = fs::read(built().join("app").join(name)).unwrap();
        if ending(name) == Some("js") {
            content = rewritten(content).into_bytes();
        }
        if name.starts_with("boot-") {
            content.extend(b"\ndocument.documentElement.dataset.version = 'two';\n");
        }
        fs::write(into.join("app").join(renamed(name)), content).unwrap();
    }
    for name in ["index.html", "worker.js", "manifest.webmanifest"] {
        let text = rewritten(fs::read(built().join(name)).unwrap());
        let text = text.replace("const VERSION = \"", "const VERSION = \"two-");
        fs::write(into.join(name), text).unwrap();
    }
    into
}

/// The person is told, and says when. Until then every tab stays what it was, though the server
/// has nothing of that any more; then all are the new one at once, with what waited.
#[tokio::test]
async fn a_newer_version_takes_over_with_a_queue_waiting() {
    if !require_chromium("a_newer_version_takes_over_with_a_queue_waiting") {
        return;
    }
    let mut place = Place::new("web-update");
    let (front, port) = Front::begin(place.address, built()).await;
    place.reached_at(port);
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Orlando").await;
    write_memo(&browser, "there").await;
    is_saved(&browser).await;
    let book = path(&browser).await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.go(&place.url(&book)).await;
    browser.sees("there").await;
    browser.look_at(&first).await;
    place.end();
    write_memo(&browser, "before the new version").await;
    browser.sees("Offline").await;

    front.serves(another(place.scratch.path()));
    let look = "return navigator.serviceWorker.getRegistration().then((it) => it.update()).then(() => true)";
    assert_eq!(browser.promise(look).await, json!(true));
    for tab in [&second, &first] {
        browser.look_at(tab).await;
        browser.sees("A new version is ready.").await;
    }
    let version = "return (document.documentElement.dataset.version ?? 'one')";
    browser.reload().await;
    browser.sees("A new version is ready.").await;
    assert_eq!(browser.eval(version).await, "one", "nobody has said yes");
    write_memo(&browser, "of the old version").await;
    browser.look_at(&second).await;
    browser.click("Write a memo").await;
    browser.fill("Memo", "half a sent").await;
    browser.sees("Kept on this device as you type").await;

    browser.look_at(&first).await;
    browser.click("Load it").await;
    for tab in [&first, &second] {
        browser.look_at(tab).await;
        browser.until("it is the new version", &format!("{version} === 'two'")).await;
        browser.sees("of the old version").await;
        browser.sees("before the new version").await;
        let old = "return performance.getEntriesByType('resource').map((one) => one.name)\
                   .filter((name) => name.includes('/app/') && !name.includes('-two'))";
        assert_eq!(browser.eval(old).await, json!([]), "nothing of the old version is left");
    }
    browser
        .until_async("one version is kept", async || {
            let kept = browser.promise("return (await caches.keys()).length").await;
            kept == json!(1)
        })
        .await;
    // Of one tab it was being typed: every tab of the reader offers it, and one takes it.
    browser.sees("half a sent").await;
    place.begin();
    is_saved(&browser).await;
    let wanted = ["before the new version", "half a sent", "of the old version", "there"];
    both_have(&browser, &place, &wanted).await;
    browser.close().await;
}

/// A browser takes the app for one that can be installed.
#[tokio::test]
async fn the_app_can_be_installed() {
    if !require_chromium("the_app_can_be_installed") {
        return;
    }
    let place = Place::new("web-install");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    let why_not = browser.tell("Page.getInstallabilityErrors", json!({})).await;
    assert_eq!(why_not["installabilityErrors"], json!([]));
    let manifest = browser.tell("Page.getAppManifest", json!({})).await;
    assert_eq!(manifest["errors"], json!([]), "{manifest:#}");
    browser.close().await;
}
