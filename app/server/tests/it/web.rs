//! The reader's app in a real browser, against a real server.

mod edits;
mod faults;
mod front;
mod shelf;
mod shop;
mod store;
mod tour;
mod update;

use std::net::SocketAddr;
use std::path::Path;

use lab::chromium::{Browser, Opens};
use lab::{Port, Scratch, require_chromium};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::common::{PASSWORD, Reader, Server};

/// A server that can be stopped, and comes back at its address with its data.
struct Place {
    address: SocketAddr,
    server: Option<Server>,
    scratch: Scratch,
    /// Where a browser reaches it: at its address, or what is before it.
    reached_at: u16,
    ports: Vec<Port>,
}

impl Place {
    fn new(name: &str) -> Self {
        let (scratch, port) = (Scratch::new(name).unwrap(), Port::reserve().unwrap());
        let mut place = Self {
            address: port.address(),
            server: None,
            scratch,
            reached_at: port.address().port(),
            ports: vec![port],
        };
        place.begin();
        place
    }

    fn begin(&mut self) {
        self.begin_with(&[]);
    }

    fn begin_with(&mut self, more: &[&str]) {
        let address = self.address.to_string();
        let arguments = [&["--listen", &address], more].concat();
        self.server = Some(Server::start(&self.data(), &arguments));
    }

    fn end(&mut self) {
        self.server.take().expect("it runs").program.kill().unwrap();
    }

    fn freeze(&mut self) {
        self.server.as_mut().expect("it runs").program.process().freeze().unwrap();
    }

    fn thaw(&mut self) {
        self.server.as_mut().expect("it runs").program.process().thaw().unwrap();
    }

    fn data(&self) -> std::path::PathBuf {
        self.scratch.path().join("data")
    }

    fn url(&self, path: &str) -> String {
        // A browser keeps more for this name than for the number.
        format!("http://localhost:{}{path}", self.reached_at)
    }

    /// Something is before it from now on.
    fn is_behind(&mut self, port: u16) {
        self.reached_at = port;
    }

    /// As [`Self::is_behind`], at a port of the test's own.
    fn reached_at(&mut self, port: Port) {
        self.is_behind(port.address().port());
        self.ports.push(port);
    }

    async fn browser(&self, name: &str, opens: &Opens) -> Browser {
        Browser::open(&self.scratch.path().join(name), opens).await
    }
}

/// What a browser is told of the app's files: compressed, kept for ever where their name says
/// what is in them, and that nothing else may run.
#[tokio::test]
async fn the_app_is_served_compressed_and_alone() {
    if !require_chromium("the_app_is_served_compressed_and_alone") {
        return;
    }
    let place = Place::new("web-files");
    let get = async |path: &str, encoding: &str| {
        let request = crate::common::client().get(place.url(path));
        request.header("accept-encoding", encoding).send().await.unwrap()
    };
    let header = |response: &reqwest::Response, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    for screen in
        ["/", "/find", "/book/0190163d-8694-739b-aea5-966c26f8ad90", "/sync", "/reset-password"]
    {
        let page = get(screen, "gzip").await;
        assert_eq!(header(&page, "cache-control").as_deref(), Some("no-cache"));
        assert_eq!(header(&page, "content-encoding"), None);
        assert!(header(&page, "content-security-policy").unwrap().contains("default-src 'none'"));
        let text = page.text().await.unwrap();
        let named = text.split('"').filter(|part| part.starts_with("/app/"));
        for file in named {
            let small = get(file, "gzip, deflate, br, zstd").await;
            assert_eq!(small.status(), StatusCode::OK, "{file}");
            assert_eq!(header(&small, "content-encoding").as_deref(), Some("br"), "{file}");
            assert!(header(&small, "cache-control").unwrap().ends_with("immutable"), "{file}");
        }
        let script = text.split('"').find(|part| part.starts_with("/app/boot-")).unwrap();
        assert_eq!(get(&format!("{script}.br"), "br").await.status(), StatusCode::NOT_FOUND);
    }
}

/// The memos that one master has.
fn memos_on(data: &Path, master: &str) -> Vec<String> {
    let master = rusqlite::Connection::open(data.join(master)).unwrap();
    let mut statement = master.prepare("select content from memos order by content").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The memos that both masters have: they have to be the same.
fn memos_on_both(data: &Path) -> Vec<String> {
    let (one, other) = (memos_on(data, "a.db"), memos_on(data, "b.db"));
    assert_eq!(one, other, "both masters have the same");
    one
}

/// Waits until both masters have these memos; one of them may have them first.
async fn both_have(browser: &Browser, place: &Place, wanted: &[&str]) {
    let have = async || ["a.db", "b.db"].iter().all(|one| memos_on(&place.data(), one) == wanted);
    browser.until_async("both masters have them", have).await;
}

async fn sign_up(browser: &Browser, place: &Place, login_id: &str) {
    browser.go(&place.url("/")).await;
    browser.click("Sign up").await;
    browser.fill("Log-in id", login_id).await;
    browser.fill("E-mail", &format!("{login_id}@example.com")).await;
    browser.fill("Name", "해리").await;
    browser.fill("Password", PASSWORD).await;
    browser.submit("Sign up").await;
    browser.sees("The shelf is empty").await;
    is_installed(browser).await;
}

async fn log_in(browser: &Browser, place: &Place, login_id: &str) {
    browser.go(&place.url("/")).await;
    browser.fill("Log-in id", login_id).await;
    browser.fill("Password", PASSWORD).await;
    browser.submit("Log in").await;
    browser.sees("Today").await;
    is_installed(browser).await;
}

/// The app is kept by its service worker: it opens without a server from now on.
async fn is_installed(browser: &Browser) {
    let script = "return navigator.serviceWorker.controller !== null";
    browser.until("the worker serves this page", script).await;
}

async fn add_book(browser: &Browser, title: &str) {
    browser.click("Shelf").await;
    browser.touch("//a[@href='/find']", "Add a book").await;
    browser.sees("Write it down yourself").await;
    browser.fill("Title", title).await;
    browser.click("Put it on the shelf").await;
    browser.sees("Write a memo").await;
}

async fn write_memo(browser: &Browser, text: &str) {
    browser.click("Write a memo").await;
    browser.fill("Memo", text).await;
    done(browser).await;
    browser.sees(text).await;
}

async fn done(browser: &Browser) {
    browser.click("Done").await;
    browser.until("the editor is closed", "return !document.querySelector('.editor')").await;
}

/// A draft with this text is on the disk.
async fn is_kept(browser: &Browser, text: &str) {
    let is_kept = async || has_kept(browser, text).await;
    browser.until_async("all that was typed is kept", is_kept).await;
}

async fn has_kept(browser: &Browser, text: &str) -> bool {
    let kept = format!(
        "const open = indexedDB.open('endpaper'); \
         await new Promise((done) => {{ open.onsuccess = done; }}); \
         const all = open.result.transaction('kept').objectStore('kept').getAll(); \
         await new Promise((done) => {{ all.onsuccess = done; }}); \
         open.result.close(); return all.result.some((one) => one.includes({text:?}))"
    );
    browser.promise(&kept).await == serde_json::json!(true)
}

async fn path(browser: &Browser) -> String {
    browser.eval("return location.pathname").await.as_str().unwrap().to_owned()
}

/// Everything that was written is on the server.
async fn is_saved(browser: &Browser) {
    let script = "return document.querySelectorAll('.memo').length > 0 && \
                  [...document.querySelectorAll('.state')].every((one) => one.matches('.state-success'))";
    browser.until("everything is on the server", script).await;
}

#[tokio::test]
async fn ten_memos_without_a_server_reach_both_masters_once() {
    if !require_chromium("ten_memos_without_a_server_reach_both_masters_once") {
        return;
    }
    let mut place = Place::new("web-ten");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "채식주의자").await;
    browser.sees("On the server").await;
    let book = path(&browser).await;
    place.end();
    let memo = |number: usize| format!("memo {number} 첫 문장부터 좋다");
    for number in 0..10 {
        write_memo(&browser, &memo(number)).await;
    }
    browser.sees("Offline").await;
    browser.eval("scrollTo(0, 0)").await;
    browser.picture("book-offline").await;
    browser.kill();

    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url(&book)).await;
    for number in 0..10 {
        browser.sees(&memo(number)).await;
    }
    browser.sees("Saved on this device").await;
    place.begin();
    is_saved(&browser).await;
    let wanted: Vec<String> = (0..10).map(memo).collect();
    assert_eq!(memos_on_both(&place.data()), wanted);
    browser.close().await;
}

#[tokio::test]
async fn the_app_opens_without_a_server_and_says_what_is_away() {
    if !require_chromium("the_app_opens_without_a_server_and_says_what_is_away") {
        return;
    }
    let mut place = Place::new("web-opens");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "토지").await;
    is_on_server(&browser).await;
    browser.click("Sync").await;
    browser.sees("The server is there.").await;
    place.end();
    browser.reload().await;
    browser.sees("There is a network, but our server does not answer.").await;
    browser.network(false).await;
    browser.sees("This device has no network.").await;
    browser.click("Shelf").await;
    browser.sees("토지").await;
    browser.network(true).await;
    place.begin();
    browser.click("Sync").await;
    browser.sees("The server is there.").await;
    browser.close().await;
}

/// A server that takes a request and does not answer: what is on its way is waited for.
#[tokio::test]
async fn what_is_edited_and_deleted_while_it_is_being_sent_waits() {
    if !require_chromium("what_is_edited_and_deleted_while_it_is_being_sent_waits") {
        return;
    }
    let mut place = Place::new("web-flight");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Middlemarch").await;
    write_memo(&browser, "is there").await;
    write_memo(&browser, "to be deleted").await;
    is_saved(&browser).await;
    place.freeze();
    write_memo(&browser, "first words").await;
    browser.sees("Sending").await;
    browser.click_in("first words", "Edit").await;
    browser.types("Memo", ", and more").await;
    done(&browser).await;
    browser.sees("first words, and more").await;
    browser.sees("Waits for an earlier one").await;
    browser.click_in("to be deleted", "Edit").await;
    browser.types("Memo", " soon").await;
    done(&browser).await;
    browser.click_in("to be deleted soon", "Delete").await;
    browser.sees("The memo is deleted.").await;
    browser.sees_no_more("to be deleted soon").await;
    place.thaw();
    is_saved(&browser).await;
    let both = ["first words, and more", "is there"];
    both_have(&browser, &place, &both).await;
    browser.close().await;
}

#[tokio::test]
async fn two_tabs_are_one_and_a_leader_that_is_killed_is_replaced() {
    if !require_chromium("two_tabs_are_one_and_a_leader_that_is_killed_is_replaced") {
        return;
    }
    let mut place = Place::new("web-tabs");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Dune").await;
    browser.sees("On the server").await;
    let book = path(&browser).await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.go(&place.url(&book)).await;
    write_memo(&browser, "of the second tab").await;
    is_saved(&browser).await;
    browser.look_at(&first).await;
    browser.sees("of the second tab").await;
    place.end();
    write_memo(&browser, "of the first tab").await;
    browser.look_at(&second).await;
    browser.sees("of the first tab").await;
    browser.sees("Saved on this device").await;
    // The first one leads: it was there before.
    browser.look_at(&first).await;
    browser.crash_tab().await;
    browser.look_at(&second).await;
    place.begin();
    write_memo(&browser, "after the first tab").await;
    is_saved(&browser).await;
    let wanted = ["after the first tab", "of the first tab", "of the second tab"];
    assert_eq!(memos_on_both(&place.data()), wanted);
    browser.close().await;
}

#[tokio::test]
async fn two_devices_edit_one_memo() {
    if !require_chromium("two_devices_edit_one_memo") {
        return;
    }
    let mut place = Place::new("web-devices");
    let one = place.browser("one", &Opens::default()).await;
    sign_up(&one, &place, "haeri").await;
    add_book(&one, "Emma").await;
    write_memo(&one, "the quick fox").await;
    is_saved(&one).await;
    let book = path(&one).await;
    let other = place.browser("other", &Opens::default()).await;
    log_in(&other, &place, "haeri").await;
    other.go(&place.url(&book)).await;
    other.sees("the quick fox").await;
    place.end();
    // Other fields, and other words of one text: both win.
    one.click_in("the quick fox", "Edit").await;
    one.fill("Memo", "the quick brown fox").await;
    done(&one).await;
    other.click_in("the quick fox", "Edit").await;
    other.fill("Memo", "see the quick fox").await;
    other.fill("Page", "77").await;
    done(&other).await;
    place.begin();
    for browser in [&one, &other] {
        browser.sees("see the quick brown fox").await;
        browser.sees("p. 77").await;
        is_saved(browser).await;
    }
    assert_eq!(memos_on_both(&place.data()), ["see the quick brown fox"]);
    // The same words: the later ones stand, and the others are kept.
    place.end();
    one.click_in("see the quick brown fox", "Edit").await;
    one.fill("Memo", "see the quick red fox").await;
    done(&one).await;
    other.click_in("see the quick brown fox", "Edit").await;
    other.fill("Memo", "see the quick grey fox").await;
    done(&other).await;
    place.begin();
    for browser in [&one, &other] {
        is_saved(browser).await;
        browser.sees("see the quick grey fox").await;
        browser.click("Sync").await;
        browser.sees("see the quick red fox").await;
    }
    one.picture("kept").await;
    one.click("Put it back").await;
    other.go(&place.url(&book)).await;
    other.sees("see the quick red fox").await;
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn another_account_sees_nothing_of_the_first() {
    if !require_chromium("another_account_sees_nothing_of_the_first") {
        return;
    }
    let mut place = Place::new("web-accounts");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Persuasion").await;
    is_on_server(&browser).await;
    place.end();
    write_memo(&browser, "not sent yet").await;
    browser.click("You").await;
    browser.click("Log out").await;
    browser.sees("not on the server yet").await;
    browser.picture("log-out").await;
    // One more is written in another tab: that is asked about, too.
    let asked = browser.tab().await;
    let other = browser.new_tab().await;
    browser.look_at(&other).await;
    browser.go(&place.url("/")).await;
    browser.touch("//a[contains(., 'Persuasion')]", "Persuasion").await;
    write_memo(&browser, "nor is this").await;
    browser.look_at(&asked).await;
    browser.sees("1 thing is not on the server yet").await;
    browser.click("Leave without it").await;
    browser.sees("2 things are not on the server yet").await;
    browser.click("Stay").await;
    place.begin();
    browser.click("Shelf").await;
    browser.touch("//a[contains(., 'Persuasion')]", "Persuasion").await;
    is_saved(&browser).await;
    browser.click("You").await;
    browser.click("Log out").await;
    browser.sees("Log-in id").await;
    let kept = "const all = await indexedDB.databases(); return all.map((one) => one.name).sort()";
    assert_eq!(browser.promise(kept).await, serde_json::json!(["endpaper"]));
    // What could not be deleted then, because a tab held it, is deleted at the next start.
    let left = "const open = indexedDB.open('endpaper/0190163d-8694-739b-aea5-966c26f8ad90'); \
                await new Promise((done) => { open.onsuccess = done; }); open.result.close()";
    browser.promise(left).await;
    browser.reload().await;
    let gone = async || browser.promise(kept).await == serde_json::json!(["endpaper"]);
    browser.until_async("what was left is gone", gone).await;
    sign_up(&browser, &place, "hana").await;
    browser.sees("The shelf is empty").await;
    assert_eq!(memos_on_both(&place.data()), ["nor is this", "not sent yet"]);
    browser.close().await;
}

async fn is_on_server(browser: &Browser) {
    browser.sees("On the server").await;
}

#[tokio::test]
async fn a_log_in_that_ended_loses_nothing() {
    if !require_chromium("a_log_in_that_ended_loses_nothing") {
        return;
    }
    let place = Place::new("web-401");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Ulysses").await;
    is_on_server(&browser).await;
    let book = path(&browser).await;
    // Every session is ended, from elsewhere.
    let server = place.server.as_ref().unwrap();
    let reader = Reader::log_in(server, "haeri").await;
    let all = "/api/v1/users/me/devices";
    let (status, _) = server.ask(Method::DELETE, all, Some(&reader.token), None).await;
    assert_eq!(status, StatusCode::OK);
    write_memo(&browser, "written all the same").await;
    browser.sees("Log in again, and what waits is sent.").await;
    browser.click("Log in").await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Log in again").await;
    browser.sees_no_more("Log in again").await;
    browser.go(&place.url(&book)).await;
    is_saved(&browser).await;
    assert_eq!(memos_on_both(&place.data()), ["written all the same"]);
    browser.close().await;
}

#[tokio::test]
async fn a_keystroke_survives_a_browser_that_is_killed() {
    if !require_chromium("a_keystroke_survives_a_browser_that_is_killed") {
        return;
    }
    let place = Place::new("web-draft");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Beloved").await;
    is_on_server(&browser).await;
    let book = path(&browser).await;
    browser.click("Write a memo").await;
    browser.types("Memo", "half a sent").await;
    browser.sees("Kept on this device as you type").await;
    is_kept(&browser, "half a sent").await;
    browser.kill();
    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url(&book)).await;
    browser.sees("half a sent").await;
    is_saved(&browser).await;
    browser.close().await;
}

#[tokio::test]
async fn what_is_typed_is_taken_where_the_screen_is_left() {
    if !require_chromium("what_is_typed_is_taken_where_the_screen_is_left") {
        return;
    }
    let place = Place::new("web-left");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Kokoro").await;
    is_on_server(&browser).await;
    let book = path(&browser).await;
    browser.click("Write a memo").await;
    browser.types("Memo", "one more thing").await;
    browser.click("Today").await;
    browser.sees("one more thing").await;
    browser.go(&place.url(&book)).await;
    is_saved(&browser).await;
    assert_eq!(memos_on_both(&place.data()), ["one more thing"]);
    let drafts = browser.eval("return document.querySelector('.editor') === null").await;
    assert_eq!(drafts, true, "nothing of it is left to be written");
    browser.close().await;
}

#[tokio::test]
async fn a_name_that_was_changed_stays() {
    if !require_chromium("a_name_that_was_changed_stays") {
        return;
    }
    let place = Place::new("web-profile");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    browser.click("You").await;
    browser.fill("Name", "해리 포터").await;
    browser.fill("Time zone", "Asia/Nowhere").await;
    browser.submit("Save").await;
    browser
        .until(
            "it says why not",
            "return /zone/i.test(document.querySelector('form [role=status]').innerText)",
        )
        .await;
    browser.fill("Time zone", "Asia/Seoul").await;
    browser.submit("Save").await;
    browser.sees("Saved.").await;
    browser.reload().await;
    browser.sees("해리 포터").await;
    browser.close().await;
}

/// A file that was saved from the app brings back what is gone, once, also without a server.
#[tokio::test]
async fn a_backup_is_put_back() {
    if !require_chromium("a_backup_is_put_back") {
        return;
    }
    let mut place = Place::new("web-backup");
    let browser = place.browser("reader", &Opens::default()).await;
    let folder = place.scratch.path().join("downloads");
    browser.downloads_into(&folder).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Solaris").await;
    write_memo(&browser, "the ocean").await;
    is_saved(&browser).await;
    let book = path(&browser).await;
    browser.click("You").await;
    browser.click("Save a file").await;
    let saved = async || {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        files.map(|file| file.path()).find(|path| path.extension().is_some_and(|end| end == "json"))
    };
    browser.until_async("the file is there", async || saved().await.is_some()).await;
    let file = saved().await.unwrap();
    browser.go(&place.url(&book)).await;
    browser.click_in("the ocean", "Delete").await;
    both_have(&browser, &place, &[]).await;
    place.end();
    for says in ["1 put back; there already: 1", "0 put back; there already: 2"] {
        browser.click("You").await;
        browser.choose(&file).await;
        browser.sees(says).await;
        browser.click("Shelf").await;
    }
    place.begin();
    browser.go(&place.url(&book)).await;
    browser.sees("the ocean").await;
    is_saved(&browser).await;
    assert_eq!(memos_on_both(&place.data()), ["the ocean"]);
    browser.close().await;
}

#[tokio::test]
async fn a_clock_that_is_three_days_wrong_changes_nothing() {
    if !require_chromium("a_clock_that_is_three_days_wrong_changes_nothing") {
        return;
    }
    let place = Place::new("web-clock");
    let browser = place.browser("reader", &Opens::default()).await;
    let wrong = "const right = Date.now.bind(Date); const off = 3 * 24 * 3600 * 1000; \
                 Date.now = () => right() + off;";
    let source = serde_json::json!({ "source": wrong });
    browser.tell("Page.addScriptToEvaluateOnNewDocument", source).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "1984").await;
    write_memo(&browser, "from the future").await;
    is_saved(&browser).await;
    let now = browser.eval("return Date.now() - performance.timeOrigin > 2e8").await;
    assert_eq!(now, Value::Bool(true), "the clock is wrong");
    assert_eq!(memos_on_both(&place.data()), ["from the future"]);
    browser.close().await;
}

#[tokio::test]
async fn a_store_without_room_says_so_and_loses_nothing() {
    if !require_chromium("a_store_without_room_says_so_and_loses_nothing") {
        return;
    }
    let place = Place::new("web-quota");
    let browser = place.browser("reader", &Opens::default()).await;
    let quota = serde_json::json!({ "origin": place.url(""), "quotaSize": 12 << 20 });
    browser.tell("Storage.overrideQuotaForOrigin", quota).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Walden").await;
    write_memo(&browser, "there was room").await;
    is_saved(&browser).await;
    // Somebody else of this origin takes all of it.
    let fill = "const open = indexedDB.open('junk'); \
        open.onupgradeneeded = () => open.result.createObjectStore('junk', { autoIncrement: true }); \
        await new Promise((done) => { open.onsuccess = done; }); \
        const put = (size) => new Promise((done) => { \
            const tx = open.result.transaction('junk', 'readwrite'); \
            tx.objectStore('junk').put(crypto.getRandomValues(new Uint8Array(size))); \
            tx.oncomplete = () => done(true); tx.onabort = () => done(false); }); \
        let count = 0; \
        for (const size of [65536, 4096, 256, 16]) \
            while (count < 2000 && await put(size)) count += 1; \
        open.result.close(); return count";
    let count = browser.promise(fill).await.as_u64().unwrap();
    assert!((10..2000).contains(&count), "{count}");
    browser.click("Write a memo").await;
    browser.fill("Memo", "there is none").await;
    browser.sees("There is no room left on this device").await;
    browser.picture("no-room").await;
    let typed = "return document.querySelector('.editor textarea').value";
    assert_eq!(browser.eval(typed).await, "there is none");
    browser.sees("there was room").await;
    let free = "const gone = indexedDB.deleteDatabase('junk'); \
                await new Promise((done) => { gone.onsuccess = done; }); return true";
    browser.promise(free).await;
    done(&browser).await;
    is_saved(&browser).await;
    browser.sees_no_more("There is no room left on this device").await;
    assert_eq!(memos_on_both(&place.data()), ["there is none", "there was room"]);
    browser.close().await;
}

/// The browser wakes the service worker, which sends what a tab that is closed has left.
#[tokio::test]
async fn the_service_worker_finishes_the_queue() {
    if !require_chromium("the_service_worker_finishes_the_queue") {
        return;
    }
    let mut place = Place::new("web-background");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Ficciones").await;
    is_on_server(&browser).await;
    place.end();
    write_memo(&browser, "sent by nobody's tab").await;
    browser.sees("Offline").await;
    browser.go("about:blank").await;
    place.begin();
    browser.tell("ServiceWorker.enable", serde_json::json!({})).await;
    let event = serde_json::json!({
        "origin": place.url(""), "registrationId": "0", "tag": "queue", "lastChance": false,
    });
    browser.tell("ServiceWorker.dispatchSyncEvent", event).await;
    both_have(&browser, &place, &["sent by nobody's tab"]).await;
    browser.close().await;
}

/// Every screen, in both languages and both schemes, on a desktop and on a phone: pictures for
/// people to look at, and nothing that keeps somebody out.
#[tokio::test]
async fn every_screen_can_be_used_by_everybody() {
    if !require_chromium("every_screen_can_be_used_by_everybody") {
        return;
    }
    let mut place = Place::new("web-screens");
    place.end();
    place.begin_with(&["--demo"]);
    let mut wrong = Vec::new();
    for (language, words) in [("en", ["Log in", "Password"]), ("ko", ["로그인", "비밀번호"])]
    {
        let browser = place.browser(language, &Opens { language, ..Opens::default() }).await;
        browser.go(&place.url("/")).await;
        browser.sees(words[0]).await;
        looks(&browser, language, "door", &mut wrong).await;
        browser.touch("//input[@name='loginId']", "the log-in id").await;
        browser.fill(if language == "en" { "Log-in id" } else { "아이디" }, "demo").await;
        browser.fill(words[1], "endpaper-demo").await;
        browser.submit(words[0]).await;
        browser
            .until("books are there", "return document.querySelectorAll('.shelf li').length > 2")
            .await;
        looks(&browser, language, "shelf", &mut wrong).await;
        let most = "const links = [...document.querySelectorAll('.shelf a')]; \
                    return links.map((link) => link.getAttribute('href'))";
        let books = browser.eval(most).await;
        for book in books.as_array().unwrap() {
            browser.go(&place.url(book.as_str().unwrap())).await;
            browser
                .until("the book is there", "return document.querySelector('.memos') !== null")
                .await;
            if browser.eval("return document.querySelectorAll('.memo').length > 1").await == true {
                break;
            }
        }
        browser.touch("//button[@id='write']", "write a memo").await;
        looks(&browser, language, "book", &mut wrong).await;
        let screens = [
            ("find", "h1"),
            ("today", "h1"),
            ("sync", "h1"),
            ("me", "h1"),
            ("shop", ".goods li"),
            ("shop/coupons", ".goods li"),
            ("shop/wallet", ".goods li"),
            ("shop/orders", ":is(.empty, .goods li)"),
        ];
        for (screen, shows) in screens {
            browser.go(&place.url(&format!("/{screen}"))).await;
            let is_there = format!("return document.querySelector('main {shows}') !== null");
            browser.until("it is there", &is_there).await;
            looks(&browser, language, &screen.replace('/', "-"), &mut wrong).await;
        }
        browser.go(&place.url("/shop")).await;
        browser.touch("//ul[@class='goods']/li[1]//button", "the first book").await;
        browser.touch("//a[@href='/shop/cart']", "the cart").await;
        browser.touch("//button[@id='order']", "order").await;
        browser.until("it is made", "return document.querySelector('.bill dd') !== null && location.pathname.startsWith('/shop/orders/')").await;
        looks(&browser, language, "shop-order", &mut wrong).await;
        browser.go(&place.url("/shop")).await;
        browser.touch("//ul[@class='goods']/li[2]//button", "the second book").await;
        browser.touch("//a[@href='/shop/cart']", "the cart").await;
        browser.until("it is in", "return document.querySelector('.cart li') !== null").await;
        looks(&browser, language, "shop-cart", &mut wrong).await;
        browser.close().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn looks(browser: &Browser, language: &str, screen: &str, wrong: &mut Vec<String>) {
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        for (device, width, height) in [("phone", 390, 844), ("desktop", 1280, 900)] {
            browser.size(width, height).await;
            browser.picture(&format!("{screen}-{language}-{scheme}-{device}")).await;
            let violations = browser.violations().await;
            if violations != serde_json::json!([]) {
                wrong.push(format!("{screen} {language} {scheme} {device}: {violations:#}"));
            }
            let wide = "return document.documentElement.scrollWidth <= innerWidth";
            if browser.eval(wide).await != true {
                wrong.push(format!("{screen} {language} is wider than a {device}"));
            }
        }
    }
}
