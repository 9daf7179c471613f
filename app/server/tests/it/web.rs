//! The reader's app in a real browser, against a real server.

mod browser;

use std::net::SocketAddr;
use std::path::Path;

use lab::{Port, Scratch};
use serde_json::Value;

use self::browser::{Browser, Opens, profile, require_chromium};
use crate::common::{PASSWORD, Server};

/// A server that can be stopped, and comes back at its address with its data.
struct Place {
    address: SocketAddr,
    server: Option<Server>,
    scratch: Scratch,
    _port: Port,
}

impl Place {
    fn new(name: &str) -> Self {
        let (scratch, port) = (Scratch::new(name).unwrap(), Port::reserve().unwrap());
        let mut place = Self { address: port.address(), server: None, scratch, _port: port };
        place.begin();
        place
    }

    fn begin(&mut self) {
        let address = self.address.to_string();
        self.server = Some(Server::start(&self.data(), &["--listen", &address]));
    }

    fn end(&mut self) {
        self.server.take().expect("it runs").program.kill().unwrap();
    }

    fn data(&self) -> std::path::PathBuf {
        self.scratch.path().join("data")
    }

    fn url(&self, path: &str) -> String {
        // A browser keeps more for this name than for the number.
        format!("http://localhost:{}{path}", self.address.port())
    }

    async fn browser(&self, name: &str, opens: &Opens) -> Browser {
        Browser::open(&profile(&self.scratch, name), opens).await
    }
}

/// What a column of both masters holds: it has to be the same.
fn on_both(data: &Path, sql: &str) -> Vec<String> {
    let read = |file: &str| {
        let master = rusqlite::Connection::open(data.join(file)).unwrap();
        let mut statement = master.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    let (one, other) = (read("a.db"), read("b.db"));
    assert_eq!(one, other, "both masters have the same");
    one
}

fn memos_on_both(data: &Path) -> Vec<String> {
    on_both(data, "select content from memos order by content")
}

async fn sign_up(browser: &Browser, place: &Place, login_id: &str) {
    browser.go(&place.url("/")).await;
    browser.click("Sign up").await;
    browser.fill("Log-in id", login_id).await;
    browser.fill("E-mail", &format!("{login_id}@example.com")).await;
    browser.fill("Name", "해리").await;
    browser.fill("Password", PASSWORD).await;
    let button = "document.querySelector('form .primary').click()";
    browser.eval(button).await;
    browser.sees("The shelf is empty").await;
}

async fn log_in(browser: &Browser, place: &Place, login_id: &str) {
    browser.go(&place.url("/")).await;
    browser.fill("Log-in id", login_id).await;
    browser.fill("Password", PASSWORD).await;
    browser.eval("document.querySelector('form .primary').click()").await;
    browser.sees("Shelf").await;
}

/// The app is kept by its service worker: it opens without a server from now on.
async fn is_installed(browser: &Browser) {
    let ready = "const kept = await navigator.serviceWorker.ready; return kept.active !== null";
    assert_eq!(browser.promise(ready).await, Value::Bool(true));
    browser
        .until("the worker serves this page", "return navigator.serviceWorker.controller !== null")
        .await;
}

async fn add_book(browser: &Browser, title: &str) {
    browser
        .eval("history.pushState({}, '', '/find'); dispatchEvent(new PopStateEvent('popstate'))")
        .await;
    browser.sees("Write it down yourself").await;
    browser.fill("Title", title).await;
    browser.click("Put it on the shelf").await;
    browser.sees("Write a memo").await;
}

async fn write_memo(browser: &Browser, text: &str) {
    browser.click("Write a memo").await;
    browser.fill("Memo", text).await;
    browser.click("Done").await;
    browser.until("the editor is closed", "return !document.querySelector('.editor')").await;
}

#[tokio::test]
async fn ten_memos_without_a_server_reach_both_masters_once() {
    if !require_chromium("ten_memos_without_a_server_reach_both_masters_once") {
        return;
    }
    let mut place = Place::new("web-ten");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    is_installed(&browser).await;
    add_book(&browser, "채식주의자").await;
    browser.sees("On the server").await;
    let book = browser.eval("return location.pathname").await;
    let book = book.as_str().unwrap().to_owned();
    place.end();
    let memo = |number: usize| format!("memo {number} 첫 문장부터 좋다");
    for number in 0..10 {
        write_memo(&browser, &memo(number)).await;
    }
    browser.sees("Offline").await;
    browser.picture("book-offline").await;
    browser.kill();

    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url(&book)).await;
    for number in 0..10 {
        browser.sees(&memo(number)).await;
    }
    browser.sees("Saved on this device").await;
    place.begin();
    browser.sees_no_more("Saved on this device").await;
    browser.sees("On the server").await;
    let wanted: Vec<String> = (0..10).map(memo).collect();
    assert_eq!(memos_on_both(&place.data()), wanted);
    browser.picture("book").await;
    browser.close().await;
}
