//! Orders: those that there are, and one with its steps as they are done.

use std::time::Duration;

use endpaper_api::shop::{
    Order, OrderNeed, OrderState, OrderStep, OrderSummary, OrderedLine, Orders as Page, StepState,
};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use leptos_router::hooks::use_params_map;

use super::{Aisles, NotHad, standing, when};
use crate::api::{asked, why};
use crate::browser;
use crate::reader::Reader;
use crate::words::{count, t, won};

/// How often it is looked how far an order is: first, and at the most.
const LOOK_FIRST: Duration = Duration::from_millis(400);
const LOOK_MAX: Duration = Duration::from_secs(5);

/// The reader's orders.
#[component]
pub fn Orders() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let (orders, next) = (RwSignal::new(None::<Vec<OrderSummary>>), RwSignal::new(None::<String>));
    let failed = RwSignal::new(None::<String>);
    let ask = move |before: Option<String>| {
        spawn_local(async move {
            let before = before.map(|before| format!("?before={before}")).unwrap_or_default();
            let url = format!("/api/v1/shop/orders{before}");
            match reader.server().ask::<Page>(&asked("GET", url)).await {
                Ok(page) => {
                    failed.try_set(None);
                    next.try_set(page.next);
                    let is_more = !before.is_empty();
                    orders.try_update(|all| match all {
                        Some(all) if is_more => all.extend(page.orders),
                        _ => *all = Some(page.orders),
                    });
                }
                Err(trouble) => drop(failed.try_set(Some(why(trouble)))),
            }
        });
    };
    ask(None);
    let one = |order: OrderSummary| {
        let title = order.title.unwrap_or_else(|| t("주문", "An order").to_owned());
        let title = match order.products {
            ..=1 => title,
            more => {
                t(format!("{title} 외 {}종", more - 1), format!("{title} and {} more", more - 1))
            }
        };
        let (korean, english) = standing(order.state);
        view! {
            <li>
                <div>
                    <A href=format!("/shop/orders/{}", order.id)>{title}</A>
                    <span>{when(order.placed_at)}</span>
                </div>
                <div class="price">
                    <strong>{won(order.paid)}</strong>
                    <span>{t(korean, english)}</span>
                </div>
            </li>
        }
    };
    let list = move || {
        orders.get().map(|orders| {
            if orders.is_empty() {
                return view! {
                    <section class="empty">
                        <p>{t("아직 주문한 것이 없습니다.", "You have ordered nothing yet.")}</p>
                        <A href="/shop" attr:class="button primary">{t("책 보러 가기", "See the books")}</A>
                    </section>
                }
                .into_any();
            }
            view! { <ul class="goods">{orders.into_iter().map(one).collect_view()}</ul> }.into_any()
        })
    };
    let more = move || {
        next.get().map(|before| {
            let ask = move |_| ask(Some(before.clone()));
            view! { <p class="ways"><button type="button" on:click=ask>{t("더 보기", "More")}</button></p> }
        })
    };
    let trouble = move || failed.get().map(|why| view! { <NotHad why again=move || ask(None)/> });
    view! {
        <Aisles title=t("주문", "Orders")/>
        {trouble}{list}{more}
    }
}

/// Whether more becomes of it by itself.
fn is_under_way(order: &Order) -> bool {
    let is_back = |step: &OrderStep| step.state == StepState::GivenBack;
    match order.state {
        OrderState::Placed => true,
        OrderState::Cancelled => !order.steps.iter().all(is_back),
        OrderState::Completed | OrderState::Rejected => false,
    }
}

/// One order.
#[component]
pub fn OrderScreen() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let (order, failed) = (RwSignal::new(None::<Order>), RwSignal::new(None::<String>));
    let (asks, busy) = (RwSignal::new(false), RwSignal::new(false));
    // Looked at until nothing more becomes of it.
    let look = move || {
        let of = id.get_untracked();
        spawn_local(async move {
            let mut pause = LOOK_FIRST;
            loop {
                let asked = asked("GET", format!("/api/v1/shop/orders/{of}"));
                let goes_on = match reader.server().ask::<Order>(&asked).await {
                    Ok(found) => {
                        let goes_on = is_under_way(&found);
                        failed.try_set(None);
                        order.try_set(Some(found));
                        goes_on
                    }
                    Err(trouble) => {
                        failed.try_set(Some(why(trouble)));
                        // What is under way is asked for again; else a person does.
                        order.try_with_untracked(|order| order.as_ref().is_some_and(is_under_way))
                            == Some(true)
                    }
                };
                // The screen may have been left meanwhile, or show another one.
                let is_shown = id.try_get_untracked().is_some_and(|shown| shown == of);
                if !goes_on || !is_shown {
                    return;
                }
                browser::pause(pause).await;
                pause = (pause * 3 / 2).min(LOOK_MAX);
            }
        });
    };
    Effect::new(move |_| {
        let _ = id.get();
        order.set(None);
        look();
    });
    let cancel = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let id = id.get_untracked();
        spawn_local(async move {
            let asked = asked("POST", format!("/api/v1/shop/orders/{id}/cancel"));
            match reader.server().ask::<Order>(&asked).await {
                Ok(found) => {
                    order.try_set(Some(found));
                    look();
                }
                Err(trouble) => drop(failed.try_set(Some(why(trouble)))),
            }
            busy.try_set(false);
            asks.try_set(false);
        });
    };
    let ask_to_cancel = move || {
        let is_made = order
            .with(|order| order.as_ref().is_some_and(|order| order.state == OrderState::Completed));
        is_made.then(|| {
            if asks.get() {
                view! {
                    <div class="asks" role="alertdialog" aria-label=t("주문 취소", "Cancel the order")>
                        <p>{t(
                            "주문을 취소할까요? 돈과 쿠폰은 바로 돌아옵니다.",
                            "Cancel this order? Money and coupon come back at once.",
                        )}</p>
                        <button type="button" class="primary" on:click=move |_| asks.set(false)>
                            {t("그대로 두기", "Keep it")}
                        </button>" "
                        <button type="button" disabled=move || busy.get() on:click=cancel>
                            {t("취소하기", "Cancel it")}
                        </button>
                    </div>
                }
                .into_any()
            } else {
                view! {
                    <p class="ways">
                        <button type="button" on:click=move |_| asks.set(true)>
                            {t("주문 취소", "Cancel the order")}
                        </button>
                    </p>
                }
                .into_any()
            }
        })
    };
    let trouble = move || failed.get().map(|why| view! { <NotHad why again=look/> });
    view! {
        <Aisles title=t("주문", "Order")/>
        {move || order.get().map(|order| view! { <Steps order=order.clone()/><Bill order/> })}
        {trouble}
        {ask_to_cancel}
    }
}

/// How an order stands, and how far each thing is that it needs.
#[component]
pub fn Steps(
    /// Which.
    order: Order,
) -> impl IntoView {
    let (korean, english) = standing(order.state);
    let one = |step: OrderStep| {
        let need = match step.need {
            OrderNeed::Stock => t("책", "Books"),
            OrderNeed::Coupon => t("쿠폰", "Coupon"),
            OrderNeed::Payment => t("돈", "Payment"),
        };
        let (class, state) = match step.state {
            StepState::Waiting => ("step waiting", t("기다림", "waits")),
            StepState::Taken => ("step taken", t("됨", "done")),
            StepState::Refused => ("step refused", t("안 됨", "refused")),
            StepState::GivenBack => ("step back", t("돌려줌", "given back")),
        };
        view! { <li class=class><strong>{need}</strong>" "<span>{state}</span></li> }
    };
    let steps = order.steps.into_iter().map(one).collect_view();
    view! {
        <section class="standing-now" role="status" aria-label=t("주문 상태", "How it stands")>
            <p class="online">{t(korean, english)}</p>
            <ol class="steps">{steps}</ol>
        </section>
    }
}

/// What was ordered, what was paid, and what happened when.
#[component]
fn Bill(order: Order) -> impl IntoView {
    let line = |line: OrderedLine| {
        let title = line.title.unwrap_or_else(|| t("책", "A book").to_owned());
        let copies = usize::try_from(line.copies).unwrap_or_default();
        let cost = line.price.and_then(|price| price.checked_mul(line.copies));
        view! {
            <li>
                <div>
                    <strong>{title}</strong>
                    <span>{count(copies, "권수", "copy", "copies")}</span>
                </div>
                <div class="price"><strong>{cost.map(won)}</strong></div>
            </li>
        }
    };
    let discount = (order.discount > 0).then(|| {
        view! { <dt>{t("쿠폰", "Coupon")}</dt><dd>{won(-order.discount)}</dd> }
    });
    let paid = matches!(order.state, OrderState::Completed | OrderState::Cancelled).then(|| {
        view! {
            <dl class="bill">
                <dt>{t("책", "Books")}</dt><dd>{won(order.total)}</dd>
                {discount}
                <dt>{t("낸 돈", "Paid")}</dt><dd><strong>{won(order.paid)}</strong></dd>
            </dl>
        }
    });
    let happened = order.history.iter().map(|change| {
        let (korean, english) = standing(change.state);
        view! { <li>{when(change.at)}" · "{t(korean, english)}</li> }
    });
    let happened = happened.collect_view();
    view! {
        <ul class="goods">{order.lines.into_iter().map(line).collect_view()}</ul>
        {paid}
        <ol class="log" aria-label=t("있었던 일", "What happened")>{happened}</ol>
    }
}
