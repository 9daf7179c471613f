//! The shop in the app.

use std::path::Path;

use lab::chromium::{Browser, Opens};
use lab::proxy::Fall;
use lab::{Proxy, require_chromium};
use serde_json::json;

use super::{Place, is_installed, sign_up};

/// A server with the demo's books, coupon, and reader, who has 100,000 won.
fn shop(name: &str) -> Place {
    let mut place = Place::new(name);
    place.end();
    place.begin_with(&["--demo"]);
    place
}

async fn log_in_as_demo(browser: &Browser, place: &Place) {
    browser.go(&place.url("/")).await;
    browser.fill("Log-in id", "demo").await;
    browser.fill("Password", "endpaper-demo").await;
    browser.submit("Log in").await;
    browser.sees("Today").await;
    is_installed(browser).await;
}

async fn open(browser: &Browser, screen: &str) {
    browser.touch(&format!("//a[@href='{screen}']"), screen).await;
    let is_there = format!("return location.pathname === '{screen}'");
    browser.until("it is there", &is_there).await;
}

async fn put_into_cart(browser: &Browser, title: &str) {
    open(browser, "/shop").await;
    browser.touch(&format!("//button[@aria-label='Add {title} to the cart']"), title).await;
    browser.sees(&format!("In the cart: {title}")).await;
}

/// The id of each order and its state, as one master has them.
fn orders(data: &Path) -> Vec<String> {
    let master = rusqlite::Connection::open(data.join("a.db")).unwrap();
    let mut statement = master.prepare("select state from shop_orders order by placed_at").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

async fn steps_are(browser: &Browser, steps: &[&str]) {
    let steps = json!(steps);
    let are = format!(
        "return JSON.stringify([...document.querySelectorAll('.steps li')]\
         .map((step) => step.innerText.replace(/\\s+/g, ' '))) === JSON.stringify({steps})"
    );
    browser.until(&format!("the steps are {steps}"), &are).await;
}

/// With a coupon; and what can't be paid is said, and can be changed.
#[tokio::test]
async fn a_book_is_bought_and_taken_back() {
    if !require_chromium("a_book_is_bought_and_taken_back") {
        return;
    }
    let place = shop("web-shop");
    let browser = place.browser("reader", &Opens::default()).await;
    log_in_as_demo(&browser, &place).await;
    put_into_cart(&browser, "Pachinko").await;
    open(&browser, "/shop/coupons").await;
    browser.click("Take it").await;
    browser.sees("Yours").await;

    // Ten cost more than there is.
    open(&browser, "/shop/cart").await;
    browser.fill("Copies of Pachinko", "10").await;
    browser.touch("//h1", "elsewhere").await;
    browser.sees("₩180,000").await;
    browser.click("Order").await;
    browser.sees("The wallet has not so much.").await;
    browser.picture("cart-refused").await;
    browser.fill("Copies of Pachinko", "2").await;
    browser.touch("//h1", "elsewhere").await;
    browser.sees("₩36,000").await;
    let coupon = "const coupon = document.querySelector('#coupon'); coupon.selectedIndex = 1; \
                  coupon.dispatchEvent(new Event('change', { bubbles: true }))";
    browser.eval(coupon).await;
    browser.sees("₩33,000").await;
    // A double click is one order.
    let twice = "const order = document.querySelector('#order'); order.click(); order.click()";
    browser.eval(twice).await;
    browser.sees("Ordered").await;
    steps_are(&browser, &["Books done", "Coupon done", "Payment done"]).await;
    assert_eq!(orders(&place.data()), ["REJECTED", "COMPLETED"]);
    browser.picture("order-made").await;

    open(&browser, "/shop/cart").await;
    browser.sees("The cart is empty.").await;
    open(&browser, "/shop/wallet").await;
    browser.sees("₩67,000").await;
    open(&browser, "/shop").await;
    browser
        .until("it is ranked", "return document.querySelectorAll('.ranking li').length === 1")
        .await;
    open(&browser, "/shop/orders").await;
    browser.sees("₩33,000").await;
    browser.touch("//ul[@class='goods']//a[text()='Pachinko']", "the order").await;
    browser.click("Cancel the order").await;
    browser.click("Cancel it").await;
    let back = ["Books given back", "Coupon given back", "Payment given back"];
    steps_are(&browser, &back).await;
    browser.sees("Cancelled").await;
    open(&browser, "/shop/wallet").await;
    browser.sees("₩100,000").await;
    assert_eq!(orders(&place.data()), ["REJECTED", "CANCELLED"]);
    browser.close().await;
}

/// The answer is lost on its way, and then the browser is closed before there is one: each time
/// it is one order.
#[tokio::test]
async fn an_order_whose_answer_is_lost_is_one_order() {
    if !require_chromium("an_order_whose_answer_is_lost_is_one_order") {
        return;
    }
    let mut place = shop("web-shop-lost");
    let proxy = Proxy::to(place.address).unwrap();
    place.is_behind(proxy.address().port());
    let browser = place.browser("reader", &Opens::default()).await;
    log_in_as_demo(&browser, &place).await;
    put_into_cart(&browser, "Pachinko").await;
    open(&browser, "/shop/cart").await;
    proxy.drop_next_answer("POST /api/v1/shop/orders", Fall::Reset).unwrap();
    browser.click("Order").await;
    browser.sees("Ordered").await;
    assert_eq!(proxy.counters().answers_dropped, 1);
    assert_eq!(orders(&place.data()), ["COMPLETED"]);

    put_into_cart(&browser, "Pachinko").await;
    open(&browser, "/shop/cart").await;
    place.freeze();
    browser.click("Order").await;
    browser.sees("Sent again it is still one order").await;
    open(&browser, "/me").await;
    browser.touch("//button[@id='log-out']", "log out").await;
    browser.sees("1 thing is not on the server yet, or without an answer.").await;
    browser.click("Stay").await;
    browser.close().await;
    place.thaw();
    let browser = place.browser("reader", &Opens::default()).await;
    browser.go(&place.url("/shop/orders")).await;
    browser.sees("Your order is in.").await;
    let two = async || orders(&place.data()) == ["COMPLETED", "COMPLETED"];
    browser.until_async("there are two orders", two).await;
    open(&browser, "/shop/cart").await;
    browser.sees("The cart is empty.").await;
    browser.close().await;
}

/// A cart is kept on the device, and can be changed without a server; and it is one reader's.
#[tokio::test]
async fn a_cart_waits_for_the_server_and_is_one_readers() {
    if !require_chromium("a_cart_waits_for_the_server_and_is_one_readers") {
        return;
    }
    let mut place = shop("web-shop-cart");
    let browser = place.browser("reader", &Opens::default()).await;
    log_in_as_demo(&browser, &place).await;
    put_into_cart(&browser, "Pachinko").await;
    put_into_cart(&browser, "Pachinko").await;
    place.end();
    browser.go(&place.url("/shop/cart")).await;
    browser.sees("₩36,000").await;
    browser.fill("Copies of Pachinko", "3").await;
    browser.touch("//h1", "elsewhere").await;
    browser.sees("₩54,000").await;
    browser.reload().await;
    browser.sees("₩54,000").await;
    browser.click("Order").await;
    browser.sees("The server can't be reached.").await;
    browser.picture("cart-offline").await;
    place.begin_with(&["--demo"]);
    browser.sees("Ordered").await;
    assert_eq!(orders(&place.data()), ["COMPLETED"]);

    put_into_cart(&browser, "Pachinko").await;
    open(&browser, "/me").await;
    browser.touch("//button[@id='log-out']", "log out").await;
    browser.sees("Sign up").await;
    sign_up(&browser, &place, "haeri").await;
    open(&browser, "/shop").await;
    open(&browser, "/shop/cart").await;
    browser.sees("The cart is empty.").await;
    browser.close().await;
}

/// Money that is given is given once, also where the page was closed before the answer came.
#[tokio::test]
async fn money_is_given_once() {
    if !require_chromium("money_is_given_once") {
        return;
    }
    let mut place = shop("web-shop-gift");
    let browser = place.browser("reader", &Opens::default()).await;
    sign_up(&browser, &place, "haeri").await;
    open(&browser, "/me").await;
    browser.touch("//button[@id='log-out']", "log out").await;
    browser.sees("Sign up").await;
    log_in_as_demo(&browser, &place).await;
    open(&browser, "/shop").await;
    open(&browser, "/shop/wallet").await;
    browser.click("Give money to another reader").await;
    browser.fill("To whom (log-in id)", "nobody-here").await;
    browser.fill("How much (won)", "5000").await;
    browser.click("Give").await;
    browser
        .until("why is said", "return document.querySelector('.give .refusal').innerText !== ''")
        .await;
    browser.fill("To whom (log-in id)", "haeri").await;
    place.freeze();
    browser.submit("Give").await;
    let is_sent = "return document.querySelector('.give button').disabled";
    browser.until("it is sent", is_sent).await;
    browser.reload().await;
    place.thaw();
    browser.sees("₩5,000 was given to haeri.").await;
    browser.sees("₩95,000").await;
    browser.close().await;
}
