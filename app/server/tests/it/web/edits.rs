//! What a person is in the middle of stays while something else changes.

use axum::http::{Method, StatusCode};
use lab::chromium::Opens;
use lab::require_chromium;
use serde_json::{Value, json};

use super::faults::sync_centre;
use super::{
    PASSWORD, Place, add_book, both_have, done, is_on_server, is_saved, log_in, path, sign_up,
    write_memo,
};

/// A review is being written when the server has taken the book: the words stay, and the place
/// where they are written.
#[tokio::test]
async fn what_is_typed_of_a_book_stays_while_the_book_changes() {
    if !require_chromium("what_is_typed_of_a_book_stays_while_the_book_changes") {
        return;
    }
    let mut place = Place::new("web-review");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    place.end();
    add_book(&browser, "광장").await;
    browser.click("Start reading").await;
    browser.touch("//summary[.='I finished it']", "I finished it").await;
    browser.fill("Review", "neither side").await;
    browser.fill("Read up to page", "12").await;
    browser.touch("//label[contains(., '3 of 5 stars')]", "three stars").await;
    place.begin();
    is_on_server(&browser).await;
    browser.until("it is open", "return document.querySelector('#finish').open").await;
    browser.types("Review", " has room").await;
    let page = "return document.querySelector('.page-form input').value";
    assert_eq!(browser.eval(page).await, json!("12"), "a page that was typed");
    browser.click("Finish").await;
    browser.sees("neither side has room").await;
    let stars = "return document.querySelector('.stars').getAttribute('aria-label')";
    assert_eq!(browser.eval(stars).await, json!("3 of 5 stars"));
    browser.close().await;
}

/// What was refused is edited: while one pause of it is sent, and refused again, the person
/// goes on.
#[tokio::test]
async fn an_edit_of_what_was_refused_goes_on_while_it_is_sent() {
    if !require_chromium("an_edit_of_what_was_refused_goes_on_while_it_is_sent") {
        return;
    }
    let place = Place::new("web-refused-edit");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    let memo = json!({ "id": "0190163d-8694-739b-aea5-966c26f8ad91", "state": "SUCCESS", "fields": {
        "userBookId": "0190163d-8694-739b-aea5-966c26f8ad90", "pageNumber": 7,
        "content": "of no book", "memoStartTime": 1_717_000_000_000_000_i64, "tags": [],
    } });
    let file = place.scratch.path().join("backup.json");
    std::fs::write(&file, json!({ "shelf": [], "memos": [memo] }).to_string()).unwrap();
    browser.click("You").await;
    browser.choose(&file).await;
    browser.sees("1 put back").await;
    sync_centre(&browser).await;
    browser.click_in("of no book", "Edit").await;
    browser.types("Memo", ", one").await;
    // It was sent with that, and refused.
    let again = "return [...document.querySelectorAll('.attention')]\
                 .some((one) => one.innerText.includes('of no book, one'))";
    browser.until("it was refused again", again).await;
    browser.types("Memo", ", two").await;
    done(&browser).await;
    browser.sees("of no book, one, two").await;
    browser.close().await;
}

/// One tab is still at the door when somebody has come in by another one: nobody else comes in
/// by the first, and nothing of theirs is thrown away.
#[tokio::test]
async fn one_reader_at_a_time_is_in_a_browser() {
    if !require_chromium("one_reader_at_a_time_is_in_a_browser") {
        return;
    }
    let place = Place::new("web-two-doors");
    let body = json!({
        "loginId": "hana", "email": "hana@example.com", "name": "하나", "password": PASSWORD,
    });
    let server = place.server.as_ref().unwrap();
    let (status, _) = server.ask(Method::POST, "/api/v1/auth/signup", None, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED);
    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url("/")).await;
    browser.sees("Log-in id").await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.look_at(&second).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "Stoner").await;
    browser.look_at(&first).await;
    browser.fill("Log-in id", "hana").await;
    browser.fill("Password", PASSWORD).await;
    browser.submit("Log in").await;
    browser.sees("Somebody is logged in here already").await;
    browser.click("Load again").await;
    browser.sees("Stoner").await;
    browser.click("You").await;
    browser.sees("haeri").await;
    browser.close().await;
}

/// A button that is touched twice puts one book on the shelf.
#[tokio::test]
async fn a_book_that_is_added_twice_at_once_is_one() {
    if !require_chromium("a_book_that_is_added_twice_at_once_is_one") {
        return;
    }
    let place = Place::new("web-twice");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    browser.touch("//a[@href='/find']", "Add a book").await;
    browser.fill("Title", "토지").await;
    let twice = "const button = [...document.querySelectorAll('button')]\
                 .find((one) => one.innerText === 'Put it on the shelf'); \
                 button.click(); button.click(); return true";
    browser.eval(twice).await;
    browser.sees("Write a memo").await;
    is_on_server(&browser).await;
    browser.click("Shelf").await;
    browser.sees("토지").await;
    let books = "return document.querySelectorAll('.shelf li').length";
    assert_eq!(browser.eval(books).await, json!(1));
    browser.close().await;
}

/// Of a memo that another device has deleted meanwhile, what was written here is kept, and can
/// be had as a file: there is no place where it could be put back.
#[tokio::test]
async fn what_was_written_of_a_deleted_memo_can_be_had() {
    if !require_chromium("what_was_written_of_a_deleted_memo_can_be_had") {
        return;
    }
    let place = Place::new("web-deleted");
    let one = place.browser("one", &Opens::default()).await;
    sign_up(&one, &place, "haeri").await;
    add_book(&one, "Emma").await;
    write_memo(&one, "the quick fox").await;
    is_saved(&one).await;
    let book = path(&one).await;
    let other = place.browser("other", &Opens::default()).await;
    log_in(&other, &place, "haeri").await;
    other.go(&place.url(&book)).await;
    // This one does not hear of it.
    one.network(false).await;
    other.click_in("the quick fox", "Delete").await;
    both_have(&other, &place, &[]).await;
    other.close().await;
    one.click_in("the quick fox", "Edit").await;
    one.fill("Memo", "the quick red fox").await;
    done(&one).await;
    one.network(true).await;
    sync_centre(&one).await;
    one.sees("Another device deleted it").await;
    let downloads = place.scratch.path().join("downloads");
    one.downloads_into(&downloads).await;
    one.click("Save a file").await;
    let saved = async || {
        let files = std::fs::read_dir(&downloads).into_iter().flatten().flatten();
        let mut texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        texts.any(|text| {
            let saved: Value = serde_json::from_str(&text).unwrap_or_default();
            saved["memos"][0]["fields"]["content"] == "the quick red fox"
        })
    };
    one.until_async("the file is there", saved).await;
    one.close().await;
}
