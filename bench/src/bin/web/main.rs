//! The reader's app in a real Chromium, from the release build of the server, over loopback.
//!
//! | what | how |
//! |---|---|
//! | the first load | bytes that the server sends to a browser that has nothing, until the app is kept for when there is no network; counted between the two |
//! | interactive | from the address to the first picture with what a person can touch: with nothing in the browser, and from what the service worker keeps, with 10,000 memos in the account |
//! | the shelf | from the touch of the link to the first picture with books |
//! | typing | pictures a second, and the longest pause between two, while 30 keys a second come: nobody types as fast |
//! | a memo saved | from the beginning of the transaction to its end on the disk (`durability: "strict"`) |
//! | Lighthouse | its marks of the door and of the shelf, as on a desktop and as on a phone |
//!
//! The server answers on loopback: what a network adds is not in it.

mod lighthouse;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench::reader::{LOGIN_ID, PASSWORD, Token, open, shelve, sign_up, write};
use bench::{Aim, Report};
use clap::Parser;
use lab::chromium::{Browser, Opens};
use lab::{Program, Proxy, Scratch};
use serde_json::{Value, json};
use sync::engine::Synced;
use sync_sqlite::HttpServer;

/// So many memos in the account.
const MEMOS: usize = 10_000;
/// On so many books.
const BOOKS: usize = 50;
/// So many are written in the browser.
const SAVES: usize = 100;
/// So often the app is opened by a browser that has nothing, and by one that has it.
const COLD: usize = 5;
const WARM: usize = 15;
/// So often the shelf is opened from another screen.
const SHELF: usize = 15;
/// What is typed.
const TYPED: &str = "The lamp was lit, and nobody had come to light it. 등불은 켜져 있었고 켠 사람은 \
    아무도 없었다. ";
/// So often.
const TYPED_TIMES: usize = 3;
/// From key to key.
const KEY: Duration = Duration::from_micros(33_333);

#[derive(Debug, Parser)]
#[command(name = "web", about = "The reader's app in a browser")]
struct Arguments {
    /// 1,000 memos, and each once
    #[arg(long)]
    quick: bool,
    /// Another count of memos
    #[arg(long, value_name = "N")]
    memos: Option<usize>,
    /// Without Lighthouse, which comes from npm
    #[arg(long)]
    without_lighthouse: bool,
    /// The server's binary, a release build with the app in it
    #[arg(long, value_name = "FILE", env = "BENCH_SERVER")]
    server: Option<PathBuf>,
}

/// How much is done.
struct Counts {
    memos: usize,
    saves: usize,
    cold: usize,
    warm: usize,
    shelf: usize,
    /// Lighthouse gives its own.
    marks: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let Some(server) = &arguments.server else {
        eprintln!(
            "the server's binary is needed: --server FILE (`cargo xtask bench web` gives it)"
        );
        std::process::exit(2);
    };
    if let Some(missing) = lab::chromium::missing() {
        eprintln!("{missing}");
        std::process::exit(2);
    }
    let mut counts = if arguments.quick {
        Counts { memos: MEMOS / 10, saves: SAVES / 10, cold: 1, warm: 1, shelf: 1, marks: true }
    } else {
        Counts { memos: MEMOS, saves: SAVES, cold: COLD, warm: WARM, shelf: SHELF, marks: true }
    };
    counts.memos = arguments.memos.unwrap_or(counts.memos) / BOOKS * BOOKS;
    counts.marks = !arguments.without_lighthouse;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let report = runtime.expect("it can be made").block_on(run(server, &counts));
    report.print();
}

async fn run(server: &Path, counts: &Counts) -> Report {
    let scratch = Scratch::new("bench-web").expect("a directory under target/");
    let data = scratch.path().join("data").display().to_string();
    let arguments = ["serve", "--data", &data, "--listen", "127.0.0.1:0", "--log-level", "warn"];
    let program = Program::start(server, arguments).expect("the server starts");
    let port = program.url("").trim_end_matches('/').rsplit_once(':').map(|(_, port)| port.parse());
    let port: u16 = port.and_then(Result::ok).expect("a port");
    let url = format!("http://localhost:{port}");
    let mut report = Report::new("web");
    first_load(&scratch, port, &mut report).await;
    cold(&scratch, &url, counts, &mut report).await;
    fill(&program, &scratch, counts).await;
    with_many(&scratch, &url, counts, &mut report).await;
    report
}

/// Bytes of everything that a browser without anything gets, until it needs the server no more.
async fn first_load(scratch: &Scratch, port: u16, report: &mut Report) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let proxy = Proxy::to(address).expect("it can listen");
    let browser = Browser::open(&scratch.path().join("first"), &Opens::default()).await;
    browser.go(&format!("http://localhost:{}/", proxy.address().port())).await;
    browser.sees("Sign up").await;
    let is_kept = "return navigator.serviceWorker.controller !== null";
    browser.until("the worker serves this page", is_kept).await;
    let bytes = proxy.counters().to_client.passed_bytes;
    browser.close().await;
    report.fact("first_load_bytes", bytes);
    #[expect(clippy::cast_precision_loss, reason = "it is below 2⁵³")]
    report.aim("first_load_kilobytes", bytes as f64 / 1_000.0, Aim::AtMost(400.0));
}

/// Takes note, in the page, of when something is first shown, of how long transactions take, and
/// of the pauses between pictures.
const PROBE: &str = r"
window.bench = { saves: [], frames: null, shown: {}, from: 0 };
const wanted = { door: 'form input', shelf: '.shelf li', book: '.book h1' };
const note = (name) => requestAnimationFrame(() => setTimeout(() => {
  bench.shown[name] ??= performance.now() - bench.from;
}));
const look = () => {
  for (const [name, selector] of Object.entries(wanted)) {
    if (!(name in bench.shown) && document.querySelector(selector)) note(name);
  }
};
new MutationObserver(look).observe(document, { childList: true, subtree: true });
bench.begin = () => { bench.shown = {}; bench.from = performance.now(); };
const transaction = IDBDatabase.prototype.transaction;
IDBDatabase.prototype.transaction = function (stores, mode, options) {
  const begun = transaction.call(this, stores, mode, options);
  if (mode === 'readwrite' && this.name.includes('/')) {
    const at = performance.now();
    begun.addEventListener('complete', () => bench.saves.push(performance.now() - at));
  }
  return begun;
};
bench.watch = () => {
  bench.frames = [];
  const frame = (at) => {
    if (!bench.frames) return;
    bench.frames.push(at);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
};
";

async fn probed(profile: &Path) -> Browser {
    let browser = Browser::open(profile, &Opens::default()).await;
    let source = json!({ "source": PROBE });
    browser.tell("Page.addScriptToEvaluateOnNewDocument", source).await;
    browser
}

/// When this was first shown, in milliseconds.
async fn shown(browser: &Browser, what: &str) -> f64 {
    browser.until(what, &format!("return bench.shown.{what} !== undefined")).await;
    number(&browser.eval(&format!("return bench.shown.{what}")).await)
}

async fn cold(scratch: &Scratch, url: &str, counts: &Counts, report: &mut Report) {
    let mut all = Vec::new();
    for number in 0..counts.cold {
        let browser = probed(&scratch.path().join(format!("cold-{number}"))).await;
        browser.go(url).await;
        all.push(shown(&browser, "door").await);
        browser.close().await;
    }
    report.aim("interactive_cold_ms", median(all), Aim::AtMost(1_000.0));
}

/// Another device of the reader has written everything.
async fn fill(program: &Program, scratch: &Scratch, counts: &Counts) {
    let (token, account) = sign_up(&program.url("")).await;
    let client = sync_sqlite::http::client().expect("a client");
    let base = program.url("/").parse().expect("a URL");
    let server = HttpServer::new(client, base, Token(token));
    let device = open(&scratch.path().join("device.db"), account, None);
    for number in 0..BOOKS {
        let book = shelve(&device, &format!("책 {number}"));
        let _ = write(&device, book, counts.memos / BOOKS);
    }
    let synced = device.sync(&server, |_| (), |_| ()).await;
    assert_eq!(synced.expect("it can be written down"), Synced::Done);
}

async fn with_many(scratch: &Scratch, url: &str, counts: &Counts, report: &mut Report) {
    let browser = probed(&scratch.path().join("reader")).await;
    browser.go(url).await;
    browser.fill("Log-in id", LOGIN_ID).await;
    browser.fill("Password", PASSWORD).await;
    browser.submit("Log in").await;
    browser.sees("책 1").await;
    let stored = format!("{{ {COUNT} }}");
    browser
        .until_async("all of it has come", async || {
            browser.promise(&stored).await == json!(counts.memos + BOOKS)
        })
        .await;
    report.fact("memos", counts.memos);
    let mut all = Vec::new();
    for _ in 0..counts.warm {
        browser.go(url).await;
        all.push(shown(&browser, "shelf").await);
    }
    report.aim("interactive_from_service_worker_ms", median(all), Aim::AtMost(300.0));
    let mut all = Vec::new();
    for _ in 0..counts.shelf {
        browser.click("Today").await;
        browser.until("it is another screen", "return !document.querySelector('.shelf li')").await;
        browser.eval("bench.begin(); document.querySelector('nav a[href=\"/\"]').click()").await;
        all.push(shown(&browser, "shelf").await);
    }
    report.aim("shelf_opens_ms", median(all), Aim::AtMost(200.0));
    typing(&browser, report).await;
    saving(&browser, counts, report).await;
    let marks = if counts.marks { lighthouse::marks(url, &browser).await } else { Vec::new() };
    browser.close().await;
    for mark in marks {
        let aim = if mark.category == "performance" { 95.0 } else { 100.0 };
        report.aim(&mark.name(), mark.value, Aim::AtLeast(aim));
    }
}

/// How many records the reader's database has.
const COUNT: &str = "const all = await indexedDB.databases(); \
    const { name } = all.find((one) => one.name.includes('/')); \
    const open = indexedDB.open(name); \
    await new Promise((done) => { open.onsuccess = done; }); \
    const count = open.result.transaction('records').objectStore('records').count(); \
    await new Promise((done) => { count.onsuccess = done; }); \
    open.result.close(); return count.result";

async fn typing(browser: &Browser, report: &mut Report) {
    browser.touch("//ul[contains(@class, 'shelf')]//a", "a book").await;
    browser.click("Write a memo").await;
    browser.eval("bench.watch()").await;
    let mut next = tokio::time::interval(KEY);
    for key in TYPED.chars().cycle().take(TYPED.chars().count() * TYPED_TIMES) {
        next.tick().await;
        let key = json!({ "type": "char", "text": key.to_string() });
        browser.tell("Input.dispatchKeyEvent", key).await;
    }
    let frames = browser.eval("const all = bench.frames; bench.frames = null; return all").await;
    let frames: Vec<f64> = frames.as_array().expect("a list").iter().map(number).collect();
    let pauses: Vec<f64> = frames.windows(2).map(|two| two[1] - two[0]).collect();
    let took = frames.last().zip(frames.first()).map_or(0.0, |(last, first)| last - first);
    let count = f64::from(u32::try_from(pauses.len()).unwrap_or(u32::MAX));
    let keys = f64::from(u32::try_from(TYPED.chars().count() * TYPED_TIMES).unwrap_or(u32::MAX));
    report.fact("typing_keys_a_second", (keys / took * 1_000.0).round());
    report.fact("typing_longest_pause_ms", pauses.iter().copied().fold(0.0, f64::max).round());
    // The clock of pictures is not exact to the last one.
    report.aim("typing_pictures_a_second", count / took * 1_000.0, Aim::AtLeast(59.0));
    browser.click("Done").await;
    browser.until("the editor is closed", "return !document.querySelector('.editor')").await;
}

/// Without a network: what is written then is by the person alone.
async fn saving(browser: &Browser, counts: &Counts, report: &mut Report) {
    browser.network(false).await;
    browser.sees("Offline").await;
    let mut all = Vec::new();
    for number in 0..counts.saves {
        browser.click("Write a memo").await;
        browser.fill("Memo", &format!("memo {number}")).await;
        browser.eval("bench.saves.length = 0").await;
        browser.click("Done").await;
        browser.until("the editor is closed", "return !document.querySelector('.editor')").await;
        let saves = browser.eval("return bench.saves").await;
        all.extend(saves.as_array().expect("a list").iter().map(self::number));
    }
    browser.network(true).await;
    assert!(all.len() >= counts.saves, "each is a transaction");
    all.sort_by(f64::total_cmp);
    let at = |of_100: usize| all[((all.len() * of_100).div_ceil(100) - 1).min(all.len() - 1)];
    report.fact("memo_saved_p50_ms", at(50));
    report.aim("memo_saved_p95_ms", at(95), Aim::AtMost(10.0));
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[(all.len() - 1) / 2]
}

/// Of Lighthouse, which ends by itself.
const ENDS_WITHIN: Duration = Duration::from_mins(5);
