//! Coupons, first come, first served.

use endpaper_api::shop::Coupon;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;

use super::{Aisles, NotHad, when};
use crate::api::{asked, why};
use crate::reader::Reader;
use crate::ui::toasts::Toasts;
use crate::words::{t, won};

/// The screen.
#[component]
pub fn Coupons() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let toasts = expect_context::<Toasts>();
    let (coupons, failed) = (RwSignal::new(None::<Vec<Coupon>>), RwSignal::new(None::<String>));
    let ask = move || {
        spawn_local(async move {
            let asked = asked("GET", "/api/v1/shop/coupons");
            match reader.server().ask::<Vec<Coupon>>(&asked).await {
                Ok(found) => {
                    failed.try_set(None);
                    coupons.try_set(Some(found));
                }
                Err(trouble) => drop(failed.try_set(Some(why(trouble)))),
            }
        });
    };
    ask();
    // Asked for twice it is one: a reader has one piece of each.
    let claim = move |id: uuid::Uuid| {
        spawn_local(async move {
            let asked = asked("POST", format!("/api/v1/shop/coupons/{id}/claim"));
            match reader.server().ask::<Coupon>(&asked).await {
                Ok(got) => {
                    coupons.try_update(|all| {
                        for coupon in all.iter_mut().flatten().filter(|coupon| coupon.id == id) {
                            *coupon = got.clone();
                        }
                    });
                }
                Err(trouble) => {
                    toasts.say(why(trouble));
                    ask();
                }
            }
        });
    };
    let one = move |coupon: Coupon| {
        let id = coupon.id;
        let label = t(format!("{} 받기", coupon.name), format!("Take it: {}", coupon.name));
        let left = coupon.left;
        let way = match (coupon.mine, coupon.used_for) {
            (_, Some(order)) => view! {
                <A href=format!("/shop/orders/{order}")>{t("쓴 주문", "Used for an order")}</A>
            }
            .into_any(),
            (true, None) => view! { <span class="state">{t("내 쿠폰", "Yours")}</span> }.into_any(),
            (false, None) if left > 0 => view! {
                <button type="button" aria-label=label on:click=move |_| claim(id)>{t("받기", "Take it")}</button>
            }
            .into_any(),
            (false, None) => view! { <span class="state">{t("모두 나감", "All taken")}</span> }.into_any(),
        };
        view! {
            <li>
                <div>
                    <strong>{coupon.name.clone()}</strong>
                    <span>{t(
                        format!("{left}장 남음 · {}까지", when(coupon.ends)),
                        format!("{left} left · until {}", when(coupon.ends)),
                    )}</span>
                </div>
                <div class="price"><strong>{won(-coupon.discount)}</strong></div>
                {way}
            </li>
        }
    };
    let list = move || {
        coupons.get().map(|coupons| {
            if coupons.is_empty() {
                return view! {
                    <section class="empty"><p>{t("지금은 쿠폰이 없습니다.", "There are no coupons now.")}</p></section>
                }
                .into_any();
            }
            view! { <ul class="goods">{coupons.into_iter().map(one).collect_view()}</ul> }.into_any()
        })
    };
    let trouble = move || failed.get().map(|why| view! { <NotHad why again=ask/> });
    view! {
        <Aisles title=t("쿠폰", "Coupons")/>
        {trouble}{list}
    }
}
