//! What is sold, and what was sold most.

use endpaper_api::shop::{Product, Products as Page, Ranking, RankingSpan};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Aisles, NotHad};
use crate::api::{asked, why};
use crate::reader::Reader;
use crate::shopping::Shopping;
use crate::ui::toasts::Toasts;
use crate::words::{t, won};

/// Products that are asked for at once.
const PAGE: u32 = 50;

/// The screen.
#[component]
pub fn Products() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let (products, next) = (RwSignal::new(None::<Vec<Product>>), RwSignal::new(None::<String>));
    let failed = RwSignal::new(None::<String>);
    let ask = move |after: Option<String>| {
        spawn_local(async move {
            let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
            let url = format!("/api/v1/shop/products?limit={PAGE}{after}");
            match reader.server().ask::<Page>(&asked("GET", url)).await {
                Ok(page) => {
                    failed.try_set(None);
                    next.try_set(page.next);
                    let is_more = !after.is_empty();
                    products.try_update(|all| match all {
                        Some(all) if is_more => all.extend(page.products),
                        _ => *all = Some(page.products),
                    });
                }
                Err(trouble) => drop(failed.try_set(Some(why(trouble)))),
            }
        });
    };
    ask(None);
    let more = move || {
        next.get().map(|after| {
            let ask = move |_| ask(Some(after.clone()));
            view! { <p class="ways"><button type="button" on:click=ask>{t("더 보기", "More")}</button></p> }
        })
    };
    let list = move || {
        products.get().map(|products| {
            if products.is_empty() {
                return view! {
                    <section class="empty"><p>{t("아직 파는 책이 없습니다.", "Nothing is sold yet.")}</p></section>
                }
                .into_any();
            }
            view! {
                <ul class="goods">
                    {products.into_iter().map(|product| view! { <OnSale product/> }).collect_view()}
                </ul>
            }
            .into_any()
        })
    };
    let trouble = move || failed.get().map(|why| view! { <NotHad why again=move || ask(None)/> });
    view! {
        <Aisles title=t("서점", "Shop")/>
        <div class="shop">
            <section aria-label=t("파는 책", "Books on sale")>{trouble}{list}{more}</section>
            <BestSellers/>
        </div>
    }
}

/// One of them.
#[component]
fn OnSale(product: Product) -> impl IntoView {
    let shopping = expect_context::<Shopping>();
    let toasts = expect_context::<Toasts>();
    let (title, is_left) = (product.title.clone(), product.on_hand > 0);
    let label = t(format!("{title} 장바구니에 담기"), format!("Add {title} to the cart"));
    let left = match product.on_hand {
        ..=0 => t("품절", "Sold out").to_owned(),
        left @ 1..=9 => t(format!("{left}권 남음"), format!("{left} left")),
        _ => String::new(),
    };
    let (author, price) = (product.author.clone().unwrap_or_default(), product.price);
    let add = move |_| {
        let product = product.clone();
        spawn_local(async move {
            let title = product.title.clone();
            if shopping.change(|cart| cart.add(&product)).await {
                toasts.say(t(format!("담았습니다: {title}"), format!("In the cart: {title}")));
            }
        });
    };
    view! {
        <li>
            <div>
                <strong>{title}</strong>
                <span>{author}</span>
            </div>
            <div class="price">
                <strong>{won(price)}</strong>
                <span>{left}</span>
            </div>
            <button type="button" aria-label=label disabled=!is_left on:click=add>
                {t("담기", "Add")}
            </button>
        </li>
    }
}

/// What was sold most.
#[component]
fn BestSellers() -> impl IntoView {
    let reader = expect_context::<Reader>();
    let (span, ranking) = (RwSignal::new(RankingSpan::Week), RwSignal::new(None::<Ranking>));
    Effect::new(move |_| {
        let span = span.get();
        spawn_local(async move {
            let name = if span == RankingSpan::Day { "DAY" } else { "WEEK" };
            let asked = asked("GET", format!("/api/v1/shop/ranking?span={name}"));
            // Without one the books are there all the same.
            if let Ok(found) = reader.server().ask::<Ranking>(&asked).await {
                ranking.try_set(Some(found));
            }
        });
    });
    let tab = move |of: RankingSpan, name: &'static str| {
        view! {
            <button type="button" aria-pressed=move || (span.get() == of).to_string()
                on:click=move |_| span.set(of)>{name}</button>
        }
    };
    let places = move || {
        ranking.get().map(|ranking| {
            if ranking.places.is_empty() {
                return view! { <p class="said">{t("아직 팔린 책이 없습니다.", "Nothing was sold yet.")}</p> }
                    .into_any();
            }
            view! {
                <ol class="ranking">
                    {ranking.places.into_iter().take(10).map(|place| view! {
                        <li>
                            <span>{place.title}</span>
                            <span class="count">{t(format!("{}권", place.copies), place.copies.to_string())}</span>
                        </li>
                    }).collect_view()}
                </ol>
            }
            .into_any()
        })
    };
    view! {
        <section class="best" aria-label=t("많이 팔린 책", "Best sellers")>
            <h2>{t("많이 팔린 책", "Best sellers")}</h2>
            <div class="tabs" role="group" aria-label=t("언제", "Of")>
                {tab(RankingSpan::Day, t("오늘", "Today"))}
                {tab(RankingSpan::Week, t("이번 주", "This week"))}
            </div>
            {places}
        </section>
    }
}
