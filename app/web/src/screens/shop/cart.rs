//! The cart, and ordering what is in it.

use std::time::Duration;

use endpaper_api::shop::{Coupon, Order, Wallet};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::use_navigate;
use uuid::Uuid;

use super::Aisles;
use super::orders::Steps;
use crate::api::asked;
use crate::browser;
use crate::cart::{COPIES_MAX, Line};
use crate::reader::Reader;
use crate::shopping::{Sent, Shopping};
use crate::words::{t, won};

/// How often it is looked how far an order is while its answer is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How often an order is sent again whose answer did not come.
const SEND_EVERY: Duration = Duration::from_secs(3);

/// The screen.
#[component]
pub fn CartScreen() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let shopping = expect_context::<Shopping>();
    let navigate = StoredValue::new_local(use_navigate());
    let (said, under_way) = (RwSignal::new(None::<String>), RwSignal::new(None::<Order>));
    let is_here = StoredValue::new(true);
    spawn_local(async move { shopping.look().await });

    let send = move || {
        spawn_local(async move {
            said.try_set(None);
            loop {
                match shopping.send().await {
                    Sent::Made(order) => {
                        // The screen may have been left meanwhile.
                        let path = format!("/shop/orders/{}", order.id);
                        navigate.try_with_value(|go| go(&path, NavigateOptions::default()));
                        return;
                    }
                    Sent::Refused(why) => {
                        said.try_set(Some(why));
                        under_way.try_set(None);
                        return;
                    }
                    Sent::Nothing => return,
                    Sent::Unanswered(why) => {
                        said.try_set(Some(why));
                        browser::pause(SEND_EVERY).await;
                        if is_here.try_get_value().is_none() {
                            return;
                        }
                    }
                }
            }
        });
    };
    // How far it is, while its answer is waited for.
    spawn_local(async move {
        while is_here.try_get_value().is_some() {
            if let Some(Some(id)) = shopping.is_sending_now() {
                let asked = asked("GET", format!("/api/v1/shop/orders/{id}"));
                if let Ok(order) = reader.server().ask::<Order>(&asked).await {
                    under_way.try_set(Some(order));
                }
            }
            browser::pause(LOOK_EVERY).await;
        }
    });
    let is_empty = move || shopping.cart().lines.is_empty();
    let is_sent = move || shopping.sent().is_some();
    let button = move || {
        let label = if is_sent() {
            t("답을 다시 묻기", "Ask for the answer again")
        } else {
            t("주문하기", "Order")
        };
        view! {
            <button type="button" class="primary" id="order"
                disabled=move || shopping.is_sending() on:click=move |_| send()>{label}</button>
        }
    };
    let waits = move || {
        is_sent().then(|| {
            t(
                "주문을 보냈고 답을 기다립니다. 다시 보내도 주문은 하나입니다.",
                "Your order was sent, and its answer is waited for. Sent again it is still one order.",
            )
        })
    };
    view! {
        <Aisles title=t("장바구니", "Cart")/>
        <Show when=is_empty>
            <section class="empty">
                <p>{t("장바구니가 비어 있습니다.", "The cart is empty.")}</p>
                <A href="/shop" attr:class="button primary">{t("책 보러 가기", "See the books")}</A>
            </section>
        </Show>
        <Show when=move || !is_empty()>
            <ul class="goods cart">
                <For each=move || shopping.cart().lines key=|line| line.product let:line>
                    <InCart line/>
                </For>
            </ul>
            <Checkout/>
            <p role="status" class="said">{waits}</p>
            <p class="refusal" role="alert">{move || said.get()}</p>
            {move || under_way.get().map(|order| view! { <Steps order/> })}
            <div class="ways">{button}</div>
        </Show>
    }
}

/// Copies of a product. How many is read from the cart, so that the field stays where it is.
#[component]
fn InCart(line: Line) -> impl IntoView {
    let shopping = expect_context::<Shopping>();
    let (product, title, price) = (line.product, line.title.clone(), line.price);
    // What is being typed stays where something else of the cart changes.
    let copies = Memo::new(move |_| {
        let cart = shopping.cart();
        cart.lines.iter().find(|line| line.product == product).map_or(0, |line| line.copies)
    });
    let change = move |event| {
        let Ok(copies) = event_target_value(&event).parse() else { return };
        spawn_local(async move {
            shopping.change(|cart| cart.set(product, copies)).await;
        });
    };
    let remove = move |_| {
        spawn_local(async move {
            shopping.change(|cart| cart.remove(product)).await;
        });
    };
    let is_sent = move || shopping.sent().is_some();
    let of = t(format!("{title} 권수"), format!("Copies of {title}"));
    let away = t(format!("{title} 빼기"), format!("Remove {title}"));
    let cost = move || price.checked_mul(copies.get()).map(won).unwrap_or_default();
    view! {
        <li>
            <div>
                <strong>{title}</strong>
                <span>{won(price)}</span>
            </div>
            <input type="number" inputmode="numeric" min="1" max=COPIES_MAX.to_string()
                aria-label=of disabled=is_sent
                prop:value=move || copies.get().to_string() on:change=change/>
            <div class="price"><strong>{cost}</strong></div>
            <button type="button" class="quiet" aria-label=away disabled=is_sent on:click=remove>
                {t("빼기", "Remove")}
            </button>
        </li>
    }
}

/// The coupon, what it costs, and what is in the wallet.
#[component]
fn Checkout() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let shopping = expect_context::<Shopping>();
    let (coupons, balance) = (RwSignal::new(Vec::<Coupon>::new()), RwSignal::new(None::<i64>));
    spawn_local(async move {
        let server = reader.server();
        if let Ok(all) = server.ask::<Vec<Coupon>>(&asked("GET", "/api/v1/shop/coupons")).await {
            let usable = all.into_iter().filter(|coupon| coupon.mine && coupon.used_for.is_none());
            let usable: Vec<Coupon> = usable.collect();
            // Another device may have used the one that was chosen.
            let ids: Vec<Uuid> = usable.iter().map(|coupon| coupon.id).collect();
            shopping.use_only(&ids).await;
            coupons.try_set(usable);
        }
        if let Ok(wallet) = server.ask::<Wallet>(&asked("GET", "/api/v1/shop/wallet")).await {
            balance.try_set(Some(wallet.balance));
        }
    });
    let choose = move |event| {
        let chosen = event_target_value(&event).parse::<Uuid>().ok();
        spawn_local(async move {
            shopping.change(|cart| cart.choose(chosen)).await;
        });
    };
    let total = move || shopping.cart().total();
    let off = move || {
        let (chosen, coupons) = (shopping.cart().coupon, coupons.get());
        let coupon = coupons.iter().find(|coupon| Some(coupon.id) == chosen);
        coupon.map_or(0, |coupon| coupon.discount).min(total().unwrap_or_default())
    };
    let to_pay = move || total().map_or_else(|| "–".to_owned(), |total| won(total - off()));
    let is_sent = move || shopping.sent().is_some();
    let options = move || {
        let chosen = shopping.cart().coupon;
        coupons
            .get()
            .into_iter()
            .map(|coupon| {
                let text = format!("{} (−{})", coupon.name, won(coupon.discount));
                view! {
                    <option value=coupon.id.to_string() selected=chosen == Some(coupon.id)>{text}</option>
                }
            })
            .collect_view()
    };
    view! {
        <dl class="bill">
            <dt>{t("책", "Books")}</dt>
            <dd>{move || total().map(won)}</dd>
            <dt><label for="coupon">{t("쿠폰", "Coupon")}</label></dt>
            <dd>
                <select id="coupon" disabled=is_sent on:change=choose>
                    <option value="">{t("쓰지 않음", "None")}</option>
                    {options}
                </select>
            </dd>
            <dt>{t("낼 돈", "To pay")}</dt>
            <dd><strong>{to_pay}</strong></dd>
            <dt>{t("지갑", "In the wallet")}</dt>
            <dd>{move || balance.get().map_or_else(|| "–".to_owned(), won)}</dd>
        </dl>
    }
}
