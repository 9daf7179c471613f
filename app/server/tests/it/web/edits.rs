//! What a person is in the middle of stays while something else changes.

use axum::http::{Method, StatusCode};
use lab::chromium::Opens;
use lab::require_chromium;
use serde_json::{Value, json};

use super::faults::sync_centre;
use super::{
    PASSWORD, Place, add_book, both_have, done, has_kept, is_kept, is_on_server, is_saved, log_in,
    path, sign_up, write_memo,
};
use crate::common::Reader;

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

/// A review that was begun when the browser was killed is there again; taken, it is kept no
/// more.
#[tokio::test]
async fn a_review_survives_a_browser_that_is_killed() {
    if !require_chromium("a_review_survives_a_browser_that_is_killed") {
        return;
    }
    let place = Place::new("web-review-killed");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "광장").await;
    is_on_server(&browser).await;
    let book = path(&browser).await;
    browser.touch("//summary[.='I finished it']", "I finished it").await;
    browser.fill("Review", "neither side").await;
    is_kept(&browser, "neither side").await;
    browser.kill();
    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url(&book)).await;
    browser.until("it is open", "return document.querySelector('#finish')?.open").await;
    browser.types("Review", " has room").await;
    is_kept(&browser, "neither side has room").await;
    browser.click("Finish").await;
    browser.sees("neither side has room").await;
    let kept = async || !has_kept(&browser, "neither side has room").await;
    browser.until_async("it is taken", kept).await;
    browser.touch("//summary[.='Change what you said']", "Change what you said").await;
    browser.fill("Review", "").await;
    browser.types("Review", "both sides").await;
    browser.click("Save").await;
    browser.sees("both sides").await;
    browser.close().await;
}

/// The page is closed before what was said to be deleted is: the next one deletes it.
#[tokio::test]
async fn what_was_said_to_be_deleted_is_where_the_page_is_closed_at_once() {
    if !require_chromium("what_was_said_to_be_deleted_is_where_the_page_is_closed_at_once") {
        return;
    }
    let place = Place::new("web-going");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "광장").await;
    for text in ["goes", "stays"] {
        write_memo(&browser, text).await;
    }
    is_saved(&browser).await;
    let book = path(&browser).await;
    browser.click_in("stays", "Delete").await;
    browser.click("Undo").await;
    browser.sees("stays").await;
    browser.click_in("goes", "Delete").await;
    browser.sees("The memo is deleted").await;
    let is_kept = async || has_kept(&browser, "written").await;
    browser.until_async("it is on the disk", is_kept).await;
    browser.kill();
    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url(&book)).await;
    both_have(&browser, &place, &["stays"]).await;
    browser.sees_no_more("goes").await;
    browser.close().await;
}

/// A keyboard goes past the menu.
#[tokio::test]
async fn the_first_link_leads_past_the_menu() {
    if !require_chromium("the_first_link_leads_past_the_menu") {
        return;
    }
    let place = Place::new("web-skip");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    browser.eval("document.querySelector('.skip').click(); return true").await;
    browser.until("the focus is there", "return document.activeElement?.id === 'main'").await;
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

/// Two memos were begun when the browser was killed: both are shown where what waits is shown,
/// and gone on with, also where one is opened from its memo.
#[tokio::test]
async fn what_was_begun_is_found_everywhere() {
    if !require_chromium("what_was_begun_is_found_everywhere") {
        return;
    }
    let place = Place::new("web-begun");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "토지").await;
    write_memo(&browser, "the first").await;
    is_saved(&browser).await;
    let book = path(&browser).await;
    // Without a page it is none that can be taken.
    browser.click_in("the first", "Edit").await;
    browser.types("Memo", " and more").await;
    browser.fill("Page", " ").await;
    is_kept(&browser, "the first and more").await;
    browser.click("Write a memo").await;
    browser.fill("Memo", "the second").await;
    browser.fill("Page", " ").await;
    is_kept(&browser, "the second").await;
    browser.kill();
    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url("/today")).await;
    browser.sees("go on with it under Sync").await;
    browser.click_in("the first", "Edit").await;
    let typed = "return document.querySelector('.editor textarea')?.value === 'the first and more'";
    browser.until("what was typed is there", typed).await;
    browser.fill("Page", "3").await;
    done(&browser).await;
    browser.sees("the first and more").await;
    sync_centre(&browser).await;
    browser.sees("Begun, and not finished").await;
    browser.picture("begun").await;
    browser.click_in("the second", "Go on writing").await;
    browser.fill("Page", "4").await;
    done(&browser).await;
    browser.sees_no_more("Begun, and not finished").await;
    browser.go(&place.url(&book)).await;
    is_saved(&browser).await;
    both_have(&browser, &place, &["the first and more", "the second"]).await;
    browser.close().await;
}

/// The link in the mail leads to where the password is set anew, and a log-in with it.
#[tokio::test]
async fn the_link_in_the_mail_sets_the_password_anew() {
    if !require_chromium("the_link_in_the_mail_sets_the_password_anew") {
        return;
    }
    let mut place = Place::new("web-reset");
    place.end();
    let here = place.url("");
    let config = place.scratch.path().join("endpaper.toml");
    std::fs::write(&config, format!("[accounts]\npublic_url = {here:?}\n")).unwrap();
    place.begin_with(&["--config", config.to_str().unwrap()]);
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    add_book(&browser, "토지").await;
    is_on_server(&browser).await;
    // Who can still read here, and not log in.
    let server = place.server.as_ref().unwrap();
    let reader = Reader::log_in(server, "haeri").await;
    let all = "/api/v1/users/me/devices";
    server.ask(Method::DELETE, all, Some(&reader.token), None).await;
    write_memo(&browser, "written all the same").await;
    browser.sees("Log in again, and what waits is sent.").await;
    browser.click("Log in").await;
    browser.click("I forgot my password").await;
    browser.touch("//summary[.='I forgot my log-in id']", "the other form").await;
    browser.touch("//summary[.='I forgot my password']", "I forgot my password").await;
    browser.fill("Log-in id", "haeri").await;
    browser.fill("E-mail", "haeri@example.com").await;
    browser.touch("//details[@open][.//input[@name='loginId']]//button", "Send a mail").await;
    let link = async || {
        let mails = std::fs::read_dir(place.data().join("mail")).into_iter().flatten().flatten();
        let texts = mails.filter_map(|mail| std::fs::read_to_string(mail.path()).ok());
        let mut lines = texts
            .flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>());
        lines.find(|line| line.starts_with(&here))
    };
    browser.until_async("there is a mail", async || link().await.is_some()).await;
    browser.go(&link().await.unwrap()).await;
    let address = "return location.hash";
    browser
        .until(
            "the code is filled in",
            "return !!document.querySelector('[name=resetToken]')?.value",
        )
        .await;
    assert_eq!(browser.eval(address).await, json!(""), "the code is in no address");
    browser.fill("New password", "another horse").await;
    browser.fill("Once more", "another horse").await;
    browser.submit("Change it").await;
    browser.sees("The password is changed").await;
    browser.click("You").await;
    browser.fill("Password", "another horse").await;
    browser.click("Log in again").await;
    browser.sees_no_more("Log in again").await;
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
