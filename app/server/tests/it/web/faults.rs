//! What goes wrong between a browser and the server, and within a browser.

use lab::chromium::{Browser, Opens, Tab};
use lab::proxy::Fall;
use lab::{Port, Proxy, require_chromium};
use serde_json::{Value, json};

use super::front::{Front, built};
use super::{
    Place, add_book, both_have, done, is_kept, is_on_server, is_saved, path, sign_up, write_memo,
};

/// Looks at every picture that the page shows whether a memo is in it twice.
const WATCH_FOR_TWINS: &str = "window.twins = []; const look = () => { \
    const all = [...document.querySelectorAll('.memo .content')].map((one) => one.innerText); \
    if (new Set(all).size !== all.length) twins.push(all); requestAnimationFrame(look); }; look()";

/// The server has taken a memo, and its answer is lost: the device hears of its own memo before
/// it knows that it was taken. It is one memo, on the screen and on both masters.
#[tokio::test]
async fn what_was_taken_and_not_answered_is_tried_again_and_never_shown_twice() {
    const NAME: &str = "what_was_taken_and_not_answered_is_tried_again_and_never_shown_twice";
    if !require_chromium(NAME) {
        return;
    }
    let mut place = Place::new("web-lost-answer");
    let proxy = Proxy::to(place.address).unwrap();
    place.is_behind(proxy.address().port());
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Rebecca").await;
    is_on_server(&browser).await;
    browser.eval(WATCH_FOR_TWINS).await;
    for number in 0..3 {
        proxy.drop_next_answer("POST /api/v1/sync/push", Fall::Reset).unwrap();
        write_memo(&browser, &format!("memo {number}")).await;
        is_saved(&browser).await;
        assert_eq!(proxy.counters().answers_dropped, number + 1, "the answer was lost");
    }
    assert_eq!(browser.eval("return window.twins").await, json!([]));
    both_have(&browser, &place, &["memo 0", "memo 1", "memo 2"]).await;
    browser.close().await;
}

/// A server that does not answer is asked again, and one that is well and answers no push is sent
/// it again, later each time: the person sees when.
#[tokio::test]
async fn the_person_sees_when_it_is_tried_again() {
    if !require_chromium("the_person_sees_when_it_is_tried_again") {
        return;
    }
    let mut place = Place::new("web-backoff");
    let (front, port) = Front::begin(place.address, built()).await;
    place.reached_at(port);
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Molloy").await;
    is_on_server(&browser).await;
    let book = path(&browser).await;
    place.end();
    write_memo(&browser, "later").await;
    sync_centre(&browser).await;
    let counted = "return /asked again in \\d+ s/.test(document.querySelector('.again').innerText)";
    browser.until("the next question is counted down to", counted).await;
    browser.picture("asked-again").await;
    let note = "window.again = new Set(); new MutationObserver(() => \
                again.add(document.querySelector('.again')?.innerText))\
                .observe(document.body, { subtree: true, childList: true, characterData: true })";
    browser.eval(note).await;
    front.refuses(3);
    place.begin();
    let counted = "return [...again].some((text) => /is tried again in \\d+ s/.test(text))";
    browser.until("the next push is counted down to", counted).await;
    let is_quiet = "return document.querySelector('.again').innerText === ''";
    browser.until("nothing is counted down", is_quiet).await;
    browser.sees("The server is there.").await;
    browser.go(&place.url(&book)).await;
    is_saved(&browser).await;
    both_have(&browser, &place, &["later"]).await;
    browser.close().await;
}

/// Of what is sent together, the server takes what it can, and says of the rest why not: the
/// person edits it, tries it again, or throws it away.
#[tokio::test]
async fn what_the_server_refuses_holds_nothing_else_back() {
    if !require_chromium("what_the_server_refuses_holds_nothing_else_back") {
        return;
    }
    let mut place = Place::new("web-refused");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Austerlitz").await;
    is_on_server(&browser).await;
    let book = path(&browser).await;
    place.end();
    write_memo(&browser, "taken").await;
    // A file of another device has memos of a book that is gone.
    let memo = |id: &str, content: &str| {
        json!({ "id": id, "state": "SUCCESS", "fields": {
            "userBookId": "0190163d-8694-739b-aea5-966c26f8ad90", "pageNumber": 7,
            "content": content, "memoStartTime": 1_717_000_000_000_000_i64, "tags": [],
        } })
    };
    let memos = [
        memo("0190163d-8694-739b-aea5-966c26f8ad91", "of no book"),
        memo("0190163d-8694-739b-aea5-966c26f8ad92", "of none either"),
    ];
    let file = place.scratch.path().join("backup.json");
    std::fs::write(&file, json!({ "shelf": [], "memos": memos }).to_string()).unwrap();
    browser.click("You").await;
    browser.choose(&file).await;
    browser.sees("2 put back").await;
    place.begin();
    sync_centre(&browser).await;
    browser.sees("Needs your attention").await;
    browser.sees("of none either").await;
    browser.picture("attention").await;
    both_have(&browser, &place, &["taken"]).await;
    browser.click_in("of no book", "Edit").await;
    browser.types("Memo", ", edited").await;
    done(&browser).await;
    browser.sees("of no book, edited").await;
    browser.click_in("of none either", "Try again").await;
    browser.sees("of none either").await;
    let downloads = place.scratch.path().join("downloads");
    browser.downloads_into(&downloads).await;
    browser.click_in("of none either", "Save a file").await;
    let name = "endpaper-0190163d-8694-739b-aea5-966c26f8ad92.json";
    let saved = async || {
        let text = std::fs::read_to_string(downloads.join(name)).unwrap_or_default();
        let saved: Value = serde_json::from_str(&text).unwrap_or_default();
        saved["memos"][0]["fields"]["content"] == "of none either"
    };
    browser.until_async("the file is there", saved).await;
    for text in ["of none either", "of no book, edited"] {
        browser.click_in(text, "Discard").await;
        let gone = format!(
            "return ![...document.querySelectorAll('.attention')]\
             .some((one) => one.innerText.includes({text:?}))"
        );
        browser.until("it needs no attention any more", &gone).await;
    }
    browser.sees_no_more("Needs your attention").await;
    browser.go(&place.url(&book)).await;
    is_saved(&browser).await;
    both_have(&browser, &place, &["taken"]).await;
    browser.close().await;
}

/// Whether the server is there, and then whether what it needs from outside is: memos wait for
/// the first alone.
#[tokio::test]
async fn a_source_of_books_that_is_away_is_told_and_holds_nothing_back() {
    if !require_chromium("a_source_of_books_that_is_away_is_told_and_holds_nothing_back") {
        return;
    }
    let mut place = Place::new("web-source");
    place.end();
    let nobody = Port::reserve().unwrap();
    let config = place.scratch.path().join("endpaper.toml");
    let address = nobody.address();
    let text = format!("[books]\naladin_key = \"key\"\naladin_url = \"http://{address}/ttb\"\n");
    std::fs::write(&config, text).unwrap();
    place.begin_with(&["--config", &config.display().to_string()]);
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    sync_centre(&browser).await;
    browser.sees("The server is there.").await;
    browser.sees("The source of books outside does not answer. Memos don't wait for it.").await;
    add_book(&browser, "Pnin").await;
    write_memo(&browser, "not held back").await;
    is_saved(&browser).await;
    both_have(&browser, &place, &["not held back"]).await;
    browser.close().await;
}

/// A leader that the browser freezes makes room for another tab; what it had begun to send is
/// sent by that one, once.
#[tokio::test]
async fn a_leader_that_is_frozen_makes_room() {
    if !require_chromium("a_leader_that_is_frozen_makes_room") {
        return;
    }
    let mut place = Place::new("web-frozen");
    let browser = place.browser("reader", &Opens::default()).await;
    let (first, second) = two_tabs(&browser, &place).await;
    let before = leader(&browser).await;
    place.freeze();
    write_memo(&browser, "begun by the first").await;
    browser.sees("Sending").await;
    browser.look_at(&first).await;
    is_idle(&browser).await;
    browser.tell("Page.setWebLifecycleState", json!({ "state": "frozen" })).await;
    browser.look_at(&second).await;
    place.thaw();
    write_memo(&browser, "while the first is frozen").await;
    is_saved(&browser).await;
    assert_ne!(leader(&browser).await, before, "another one leads");
    let both = ["begun by the first", "while the first is frozen"];
    both_have(&browser, &place, &both).await;
    browser.look_at(&first).await;
    browser.tell("Page.setWebLifecycleState", json!({ "state": "active" })).await;
    browser.sees("while the first is frozen").await;
    write_memo(&browser, "after it woke").await;
    is_saved(&browser).await;
    both_have(&browser, &place, &["after it woke", both[0], both[1]]).await;
    // It waits to lead now. Frozen, it could not give back what it would be given.
    is_idle(&browser).await;
    browser.tell("Page.setWebLifecycleState", json!({ "state": "frozen" })).await;
    browser.look_at(&second).await;
    browser
        .until_async("it waits no more", async || {
            let waiting = "return (await navigator.locks.query()).pending.length";
            browser.promise(waiting).await == json!(0)
        })
        .await;
    browser.close().await;
}

/// A leader that hangs keeps its lock and does nothing: a tab that somebody looks at takes it
/// away. When it goes on, it leads no more, and sends nothing of what it had begun.
#[tokio::test]
async fn a_leader_that_hangs_is_deposed_and_sends_nothing_twice() {
    if !require_chromium("a_leader_that_hangs_is_deposed_and_sends_nothing_twice") {
        return;
    }
    let place = Place::new("web-hangs");
    let browser = place.browser("reader", &Opens::default()).await;
    let (first, second) = two_tabs(&browser, &place).await;
    let before = leader(&browser).await;
    browser.look_at(&first).await;
    // For longer than it takes to be missed.
    let hangs = "window.hung = false; new BroadcastChannel('test').onmessage = () => { \
                 const end = performance.now() + 14000; while (performance.now() < end); \
                 window.hung = true; }";
    browser.eval(hangs).await;
    browser.look_at(&second).await;
    is_idle(&browser).await;
    browser.eval("new BroadcastChannel('test').postMessage('hang')").await;
    write_memo(&browser, "while the first hangs").await;
    is_saved(&browser).await;
    assert_ne!(leader(&browser).await, before, "another one leads");
    both_have(&browser, &place, &["while the first hangs"]).await;
    browser.look_at(&first).await;
    browser.until("it goes on", "return window.hung").await;
    browser.sees("while the first hangs").await;
    write_memo(&browser, "after it went on").await;
    is_saved(&browser).await;
    both_have(&browser, &place, &["after it went on", "while the first hangs"]).await;
    browser.close().await;
}

/// Two tabs with one book: the first leads, and the second is looked at.
async fn two_tabs(browser: &Browser, place: &Place) -> (Tab, Tab) {
    sign_up(browser, place, "haeri").await;
    add_book(browser, "Stoner").await;
    is_on_server(browser).await;
    let book = path(browser).await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.go(&place.url(&book)).await;
    browser.sees("Write a memo").await;
    (first, second)
}

/// What was being typed when the browser was killed is found by two tabs: what both make of it
/// is one memo.
#[tokio::test]
async fn a_draft_that_two_tabs_find_is_one_memo() {
    if !require_chromium("a_draft_that_two_tabs_find_is_one_memo") {
        return;
    }
    let place = Place::new("web-two-drafts");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Nadja").await;
    is_on_server(&browser).await;
    let book = path(&browser).await;
    browser.click("Write a memo").await;
    // Without a page it is no memo yet, and stays a draft.
    browser.fill("Page", "0").await;
    browser.types("Memo", "who am I").await;
    is_kept(&browser, "who am I").await;
    browser.kill();
    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url(&book)).await;
    let is_found = "return document.querySelector('.editor textarea')?.value === 'who am I'";
    browser.until("the first tab has the draft", is_found).await;
    let first = browser.tab().await;
    browser.new_tab().await;
    browser.go(&place.url(&book)).await;
    browser.until("the second tab has the draft", is_found).await;
    let second = browser.tab().await;
    for (tab, page, more) in [(first, "7", ", then"), (second, "8", "?")] {
        browser.look_at(&tab).await;
        browser.types("Memo", more).await;
        browser.fill("Page", page).await;
        done(&browser).await;
        browser.sees(&format!("p. {page}")).await;
        is_saved(&browser).await;
    }
    let memos = super::memos_on_both(&place.data());
    assert_eq!(memos.len(), 1, "{memos:?}");
    assert!(memos[0].contains("then") && memos[0].contains('?'), "{memos:?}");
    browser.close().await;
}

pub(super) async fn sync_centre(browser: &Browser) {
    browser.touch("//a[@href='/sync']", "Sync").await;
}

/// Who speaks with the server, as the database has it.
async fn leader(browser: &Browser) -> Value {
    let leader = in_settings(browser, "get('leader')").await;
    assert!(leader.is_string(), "{leader}");
    leader
}

/// The tab is in the middle of no transaction, as far as that can be known: this one is behind
/// all that it had begun. Browsers freeze none that is.
async fn is_idle(browser: &Browser) {
    in_settings(browser, "put(0, 'of a test')").await;
}

/// A request to the settings of the reader's database.
async fn in_settings(browser: &Browser, request: &str) -> Value {
    let script = format!(
        "const {{ name }} = (await indexedDB.databases()).find((one) => one.name.includes('/')); \
         const open = indexedDB.open(name); \
         await new Promise((done) => {{ open.onsuccess = done; }}); \
         const tx = open.result.transaction('settings', 'readwrite'); \
         const request = tx.objectStore('settings').{request}; \
         await new Promise((done) => {{ tx.oncomplete = done; }}); \
         open.result.close(); return request.result"
    );
    browser.promise(&script).await
}
