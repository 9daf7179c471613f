//! The database of a browser, beside what memory would be.

use lab::chromium::{Browser, Opens};
use lab::{Port, Scratch, require_chromium, target_dir};
use serde_json::Value;

use super::front::Front;

/// Each takes some milliseconds of a disk.
const CASES: u32 = 60;

/// What is chosen is another thing each time; what fails says its seed.
#[tokio::test]
async fn a_database_of_a_browser_is_what_memory_would_be() {
    if !require_chromium("a_database_of_a_browser_is_what_memory_would_be") {
        return;
    }
    let scratch = Scratch::new("web-store").unwrap();
    let nobody = Port::reserve().unwrap();
    let (_front, port) = Front::begin(nobody.address(), target_dir().join("wasm/check")).await;
    let browser = Browser::open(&scratch.path().join("profile"), &Opens::default()).await;
    browser.go(&format!("http://localhost:{}/", port.address().port())).await;
    let check = format!(
        "const check = await import('/check.js'); await check.default({{ module_or_path: '/check_bg.wasm' }}); \
         await check.check_store(Math.floor(Math.random() * 2 ** 32), {CASES}); return 'right'"
    );
    assert_eq!(browser.promise(&check).await, Value::from("right"));
    browser.close().await;
}
