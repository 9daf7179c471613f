//! README, *Two minutes in a browser*.

use lab::chromium::Opens;
use lab::require_chromium;

use super::{Place, is_installed, is_saved, path, write_memo};

#[tokio::test]
async fn two_minutes_in_a_browser() {
    if !require_chromium("two_minutes_in_a_browser") {
        return;
    }
    let mut place = Place::new("web-tour");
    place.end();
    place.begin_with(&["--demo"]);
    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url("/")).await;
    browser.fill("Log-in id", "demo").await;
    browser.fill("Password", "endpaper-demo").await;
    browser.submit("Log in").await;
    browser.sees("소년이 온다").await;
    is_installed(&browser).await;
    place.end();
    browser.reload().await;
    browser.touch("//a[contains(., '소년이 온다')]", "a book").await;
    browser.until("its memos are there", "return document.querySelector('.memo') !== null").await;
    write_memo(&browser, "비행기 안에서 적는다").await;
    browser.sees("Saved on this device").await;
    let book = path(&browser).await;
    browser.kill();

    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url(&book)).await;
    browser.sees("비행기 안에서 적는다").await;
    browser.sees("Saved on this device").await;
    place.begin_with(&["--demo"]);
    is_saved(&browser).await;
    let count = async |master: &str| {
        let master = rusqlite::Connection::open(place.data().join(master)).unwrap();
        let sql = "select count(*) from memos where content = '비행기 안에서 적는다'";
        master.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let once = async || count("a.db").await == 1 && count("b.db").await == 1;
    browser.until_async("both masters have it once", once).await;
    browser.close().await;
}
