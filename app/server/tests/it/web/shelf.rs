//! A book on the shelf, from its first page to the last, without a network.

use lab::chromium::{Browser, Opens};
use lab::require_chromium;
use rusqlite::types::Value;

use super::{Place, is_on_server, path, sign_up};

/// It is started, closed with almost all of it read, closed on its last page, and finished with
/// a date, stars and a review; the server and this device say the same of it.
#[tokio::test]
async fn a_book_is_read_to_its_end_without_a_network() {
    if !require_chromium("a_book_is_read_to_its_end_without_a_network") {
        return;
    }
    let mut place = Place::new("web-shelf");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    place.end();
    browser.touch("//a[@href='/find']", "Add a book").await;
    browser.fill("Title", "무진기행").await;
    browser.fill("Pages", "200").await;
    browser.click("Put it on the shelf").await;
    browser.sees("To read").await;
    let book = path(&browser).await;
    browser.click("Start reading").await;
    browser.fill("Read up to page", "150").await;
    browser.click("Close the book").await;
    browser.sees("Almost finished · 75%").await;
    // The server says the same: nobody has set it by hand.
    place.begin();
    is_on_server(&browser).await;
    browser.sees("Almost finished · 75%").await;
    place.end();
    browser.fill("Read up to page", "200").await;
    browser.click("Close the book").await;
    browser.until("it asks", "return document.querySelector('#finish').open").await;
    browser.touch("//label[contains(., '4 of 5 stars')]", "four stars").await;
    browser.fill("Review", "안개가 사람을 묶는다").await;
    browser.click("Finish").await;
    browser.sees("안개가 사람을 묶는다").await;
    of_category(&browser, "Finished").await;
    browser.picture("finished").await;
    place.begin();
    of_category(&browser, "Finished").await;
    browser.go(&place.url(&book)).await;
    is_on_server(&browser).await;
    let wanted = [
        Value::Text("Finished".to_owned()),
        Value::Integer(200),
        Value::Integer(4),
        Value::Text("안개가 사람을 묶는다".to_owned()),
    ];
    let have = async || {
        ["a.db", "b.db"].iter().all(|master| {
            let master = rusqlite::Connection::open(place.data().join(master)).unwrap();
            let sql = "select category, progress, rating, review from user_books";
            let row = master
                .query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
            row.is_ok_and(|row: [Value; 4]| row == wanted)
        })
    };
    browser.until_async("both masters have it", have).await;
    browser.close().await;
}

/// The shelf has the book where it belongs.
async fn of_category(browser: &Browser, category: &str) {
    browser.click("Shelf").await;
    browser.touch(&format!("//button[starts-with(., '{category}')]"), category).await;
    browser.sees("무진기행").await;
}
