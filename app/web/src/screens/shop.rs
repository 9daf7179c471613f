//! The shop: what is sold, the cart, orders, the wallet, coupons.

pub mod cart;

pub mod coupons;

pub mod orders;

pub mod products;

pub mod wallet;

use endpaper_api::shop::OrderState;
use leptos::prelude::*;
use leptos_router::components::A;
use stdx::UnixMicros;

use crate::days;
use crate::shopping::Shopping;
use crate::words::t;

/// What all screens of the shop have above them: where one is, and where one can go.
#[component]
pub fn Aisles(
    /// What this screen is called.
    title: &'static str,
) -> impl IntoView {
    let shopping = expect_context::<Shopping>();
    crate::browser::set_title(&format!("{title} · Endpaper"));
    let copies = move || {
        let copies = shopping.cart().copies();
        (copies > 0).then(|| view! { " "<span class="count">{copies}</span> })
    };
    view! {
        <h1>{title}</h1>
        <nav class="aisles" aria-label=t("서점", "Shop")>
            <A href="/shop" exact=true>{t("책", "Books")}</A>
            <A href="/shop/cart">{t("장바구니", "Cart")}{copies}</A>
            <A href="/shop/orders">{t("주문", "Orders")}</A>
            <A href="/shop/wallet">{t("지갑", "Wallet")}</A>
            <A href="/shop/coupons">{t("쿠폰", "Coupons")}</A>
        </nav>
    }
}

/// Why something could not be had, and asking again.
#[component]
fn NotHad(
    /// Why.
    why: String,
    /// Asks again.
    again: impl Fn() + 'static,
) -> impl IntoView {
    view! {
        <div class="asks" role="status">
            <p>{why}</p>
            <button type="button" on:click=move |_| again()>{t("다시 해 보기", "Try again")}</button>
        </div>
    }
}

/// How an order stands, in words.
const fn standing(state: OrderState) -> (&'static str, &'static str) {
    match state {
        OrderState::Placed => ("주문하는 중", "Being made"),
        OrderState::Completed => ("주문됨", "Ordered"),
        OrderState::Rejected => ("주문되지 않음", "Not made"),
        OrderState::Cancelled => ("취소됨", "Cancelled"),
    }
}

fn when(at: endpaper_api::Instant) -> String {
    days::instant(UnixMicros(at.as_micros()))
}
